//! Each shape against what is kept of it in `docs/compat`: the same figures must always give the same
//! text. `ADIT_RENEW_COMPAT=1 cargo test --lib compat` writes them anew.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Value, value::RawValue};

use super::{
    ckpool, miningcore, money::PageNumber, nodejs_pool, nomp, public_pool, samples, stats_mod,
    umbrel,
};

/// What is sent, to the letter.
fn text(shape: impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(&shape).expect("a shape is JSON")
}

fn value(shape: impl serde::Serialize) -> Value {
    serde_json::from_str(text(shape).get()).expect("JSON")
}

/// Compares, or writes anew.
#[track_caller]
fn assert_kept<const N: usize>(name: &str, shapes: [(&str, Box<RawValue>); N]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("docs/compat").join(format!("{name}.json"));
    let shapes = BTreeMap::from(shapes);
    let text = serde_json::to_string_pretty(&shapes).expect("JSON") + "\n";
    if std::env::var_os("ADIT_RENEW_COMPAT").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("it is written");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, kept, "{} is not this any more", path.display());
}

/// The lines of ckpool's status.
fn lines(status: &str) -> Box<RawValue> {
    assert!(status.ends_with("}\n"), "{status}");
    text(
        status
            .lines()
            .map(|line| RawValue::from_string(line.to_owned()).expect("each line is JSON"))
            .collect::<Vec<_>>(),
    )
}

#[test]
fn the_shape_of_ckpool_is_kept() {
    let (coin, now_ms) = (samples::bitcoin(), samples::NOW_MS);
    let user = ckpool::User::new(&samples::miner(), coin, now_ms).expect("active");
    assert_kept(
        "ckpool",
        [
            (
                "/pool/pool.status",
                lines(&ckpool::pool_status(&samples::pool())),
            ),
            (
                "/pool/pool.status of a young pool",
                lines(&ckpool::pool_status(&samples::young_pool())),
            ),
            ("/users/ADDRESS", text(user)),
        ],
    );
    let mut gone = samples::miner();
    gone.last_share_ms = Some(now_ms - 7 * 86_400_000 - 1);
    assert!(ckpool::User::new(&gone, coin, now_ms).is_none());
    gone.last_share_ms = None;
    assert!(ckpool::User::new(&gone, coin, now_ms).is_none());
}

#[test]
fn the_shape_of_public_pool_is_kept() {
    let (pool, miner) = (samples::pool(), samples::miner());
    let next = pool.next.as_ref().expect("a template");
    assert_kept(
        "public_pool",
        [
            (
                "/api/pool",
                text(public_pool::PoolInfo::new(&pool, &samples::blocks())),
            ),
            (
                "/api/pool of a young pool",
                text(public_pool::PoolInfo::new(&samples::young_pool(), &[])),
            ),
            (
                "/api/network",
                text(public_pool::MiningInfo::new(&pool, next)),
            ),
            (
                "/api/client/ADDRESS",
                text(public_pool::Client::new(
                    miner.best,
                    &miner.workers,
                    pool.coin,
                )),
            ),
        ],
    );
}

#[test]
fn the_shape_of_umbrel_is_kept() {
    let pool = samples::pool();
    assert_kept(
        "umbrel",
        [
            ("/widgets/pool", text(umbrel::Widget::of_pool(Some(&pool)))),
            (
                "/widgets/pool of a young pool",
                text(umbrel::Widget::of_pool(Some(&samples::young_pool()))),
            ),
            (
                "/widgets/pool without a store",
                text(umbrel::Widget::of_pool(None)),
            ),
            ("/umbrel-api", text(umbrel::Widget::of_datum(Some(&pool)))),
            (
                "/umbrel-api without a store",
                text(umbrel::Widget::of_datum(None)),
            ),
        ],
    );
}

#[test]
fn the_shape_of_miningcore_is_kept() {
    let (pool, money, miner) = (samples::pool(), samples::money(), samples::miner());
    let (coin, now_ms) = (pool.coin, samples::NOW_MS);
    let top = miningcore::TopMiner {
        miner: samples::ADDRESS.into(),
        hashrate: 2_147_516_416,
        shares_per_second: 0.5,
    };
    let of_blocks = || -> Vec<_> {
        let blocks = samples::found();
        let row = |now| miningcore::BlockRow::new("main", coin, money.maturity, now);
        blocks.iter().map(row).collect()
    };
    let payments = samples::payments();
    let of_payments = payments
        .iter()
        .map(|payment| miningcore::PaymentRow::new(coin, payment));
    let page = PageNumber { page: 1, size: 2 };
    let stats = miningcore::MinerStats::new(&miner, &samples::balance(), &payments, coin, now_ms);
    let young = samples::young_pool();
    assert_kept(
        "miningcore",
        [
            (
                "/api/pools/POOL",
                text(miningcore::PoolInfo::new(&pool, &money, vec![top], 2)),
            ),
            (
                "/api/pools/POOL of a young pool",
                text(miningcore::PoolInfo::new(
                    &young,
                    &samples::young_money(),
                    vec![],
                    0,
                )),
            ),
            ("/api/pools/POOL/blocks", text(of_blocks())),
            (
                "/api/v2/pools/POOL/blocks?page=1&pageSize=2",
                text(miningcore::Paged::of(page, of_blocks())),
            ),
            (
                "/api/pools/POOL/payments",
                text(of_payments.collect::<Vec<_>>()),
            ),
            ("/api/pools/POOL/miners/ADDRESS", text(stats)),
        ],
    );
}

#[test]
fn the_shape_of_nodejs_pool_is_kept() {
    let (pool, money, miner) = (samples::pool(), samples::money(), samples::miner());
    let payments = samples::payments();
    let next = pool.next.as_ref().expect("a template");
    let blocks: Vec<_> = samples::found()
        .iter()
        .map(nodejs_pool::Block::of)
        .collect();
    let transactions = nodejs_pool::Transaction::all(&payments, "pplns");
    let stats = nodejs_pool::PoolStats::new(&pool, &money, payments.first());
    let least = mining::Amount::from_units(10_000);
    assert_kept(
        "nodejs_pool",
        [
            ("/pool/stats", text(stats)),
            (
                "/pool/stats of a young pool",
                text(nodejs_pool::PoolStats::new(
                    &samples::young_pool(),
                    &samples::young_money(),
                    None,
                )),
            ),
            (
                "/pool/ports, its list",
                text(nodejs_pool::PoolPort::all(&pool, &money)),
            ),
            ("/pool/blocks", text(blocks)),
            ("/pool/payments", text(transactions)),
            (
                "/network/stats",
                text(nodejs_pool::NetworkStats::new(next, samples::NOW_MS)),
            ),
            (
                "/config",
                text(nodejs_pool::Config::new(&pool, &money, least)),
            ),
            (
                "/miner/ADDRESS/stats",
                text(nodejs_pool::AddressStats::new(
                    &miner,
                    &samples::balance(),
                    2,
                )),
            ),
            (
                "/miner/ADDRESS/stats/allWorkers",
                text(nodejs_pool::WorkerStats::all(&miner)),
            ),
        ],
    );
}

#[test]
fn the_shapes_of_lists_of_pools_are_kept() {
    let (pool, money, found) = (samples::pool(), samples::money(), samples::found());
    let young = samples::young_pool();
    let workers = samples::miner().workers;
    assert_kept(
        "stats_mod",
        [
            (
                "/stats",
                text(stats_mod::StatsMod::new(&pool, &money, &found)),
            ),
            (
                "/stats of a young pool",
                text(stats_mod::StatsMod::new(
                    &young,
                    &samples::young_money(),
                    &[],
                )),
            ),
        ],
    );
    let one = [(pool.clone(), money.clone())];
    let all = [(pool, money, workers)];
    assert_kept(
        "nomp",
        [
            ("/api/stats", text(nomp::Stats::new(&all, samples::NOW_MS))),
            ("/api/status", text(nomp::algorithms(&one))),
        ],
    );
}

/// A NerdMiner adds up the rates of the list, counts by `workersCount`, and has 2,048 bytes for all.
#[test]
fn a_miner_of_any_number_of_workers_fits_a_nerdminer_and_adds_up() {
    let coin = samples::bitcoin();
    for number in [0_u64, 1, 5, 11, 12, 13, 14, 100, 3_000] {
        let long = "\"".repeat(64);
        let name = |place: u64| {
            if place.is_multiple_of(3) {
                long.as_str()
            } else {
                "rig"
            }
        };
        let workers: Vec<_> = (1..=number)
            .rev()
            .map(|place| samples::worker(place, name(place), None))
            .collect();
        let all = public_pool::Client::new(None, &workers, coin);
        let rates = |document: &Value| -> u64 {
            let workers = document["workers"].as_array().expect("a list");
            workers
                .iter()
                .map(|one| one["hashRate"].as_u64().expect("a number"))
                .sum()
        };
        let whole = value(&all);
        let text = serde_json::to_string(&all.within(public_pool::DOCUMENT_MAX)).expect("JSON");
        assert!(text.len() <= 2_048, "{number}: {}", text.len());
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["workersCount"], number);
        assert_eq!(rates(&document), rates(&whole), "{number}");
        let listed = document["workers"].as_array().expect("a list");
        if number >= 14 {
            // As many as there is room for, and the rest as one.
            assert!(
                listed.len() >= 8 && text.len() > 1_600,
                "{number}: {}",
                listed.len()
            );
            assert_eq!(listed.last().expect("one")["name"], "others");
            assert_eq!(listed[0]["hashRate"], whole["workers"][0]["hashRate"]);
        } else if number <= 5 {
            assert_eq!(document, whole);
        }
    }
}
