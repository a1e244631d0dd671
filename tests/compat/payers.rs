//! What the pages and apps of pools that pay read.

use serde_json::{Value, json};

use super::{Kind::*, ask, assert_reads, told};
use crate::{
    money::{Mint, PAYING, miner},
    support::{ADDRESS, Miner, wait_for},
};

/// A pool that has paid a block's miner, who is there still.
fn pool() -> (Mint, Miner) {
    let mint = Mint::new(PAYING);
    mint.find_block(ADDRESS);
    mint.bury(4);
    wait_for("a payment", || {
        let payouts = told_v1(&mint, "/payouts");
        (payouts["items"][0]["txid"].is_string()).then_some(())
    });
    mint.find_block(ADDRESS);
    let mut miner = Miner::connect(mint.pool.miners);
    miner.log_in_as("bitaxe/BM1370/v2.13", &format!("{ADDRESS}.rig"));
    wait_for("the shares to be rolled up", || {
        let best = told(&mint.pool, &format!("/api/client/{ADDRESS}"));
        (best["bestDifficulty"].as_f64()? > 0.0).then_some(())
    });
    (mint, miner)
}

fn told_v1(mint: &Mint, what: &str) -> Value {
    let (_, body) = mint
        .pool
        .get(&format!("/api/v1/miners/{ADDRESS}{what}"))
        .unwrap();
    serde_json::from_str(&body).unwrap_or_default()
}

/// Miningcore.WebUI: each field of each of its pages.
#[test]
fn the_pages_of_miningcore_read_pools_blocks_payments_and_miners() {
    let (mint, _miner) = pool();
    let pool = &mint.pool;
    assert_reads(
        &told(pool, "/api/pools"),
        &[
            ("pools.*.id", Text),
            ("pools.*.coin.type", Text),
            ("pools.*.coin.name", Text),
            ("pools.*.coin.algorithm", Text),
            ("pools.*.address", Text),
            ("pools.*.addressInfoLink", Text),
            ("pools.*.poolStats.connectedMiners", Whole),
            ("pools.*.poolStats.poolHashrate", Number),
            ("pools.*.poolFeePercent", Number),
            ("pools.*.networkStats.networkHashrate", Number),
            ("pools.*.networkStats.networkDifficulty", Number),
            ("pools.*.networkStats.blockHeight", Whole),
            ("pools.*.networkStats.connectedPeers", Whole),
            ("pools.*.paymentProcessing.minimumPayment", Number),
            ("pools.*.paymentProcessing.payoutScheme", Text),
            ("pools.*.ports", Object),
            ("pools.*.ports.*.difficulty", Number),
            ("pools.*.ports.*.tls", Flag),
            ("pools.*.ports.*.varDiff.minDiff", Number),
            ("pools.*.ports.*.varDiff.maxDiff", Number),
            ("pools.*.totalPaid", Number),
            ("pools.*.totalBlocks", Whole),
            ("pools.*.lastPoolBlockTime", Time),
            ("pools.*.poolEffort", Number),
            ("pools.*.topMiners.*.miner", Text),
        ],
    );
    assert_reads(&told(pool, "/api/pools/main"), &[("pool.id", Text)]);
    assert_reads(
        &told(pool, "/api/pools/main/miners?page=0&pagesize=20"),
        &[
            ("*.miner", Text),
            ("*.hashrate", Number),
            ("*.sharesPerSecond", Number),
        ],
    );
    let blocks = told(pool, "/api/pools/main/blocks?page=0&pageSize=100");
    let row = [
        ("*.created", Time),
        ("*.infoLink", Text),
        ("*.blockHeight", Whole),
        ("*.status", Text),
        ("*.reward", Number),
        ("*.confirmationProgress", Number),
    ];
    assert_reads(&blocks, &row);
    assert_reads(&told(pool, "/api/blocks"), &row);
    let statuses: Vec<_> = blocks
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["status"])
        .collect();
    assert_eq!(statuses, ["pending", "confirmed"]);
    let text = ask(pool, "/api/pools/main/blocks").text;
    assert!(text.contains("\"reward\":50.00000000,"), "exact: {text}");
    let paid = told(pool, "/api/pools/main/payments?page=0&pageSize=500");
    let row = [
        ("*.created", Time),
        ("*.address", Text),
        ("*.addressInfoLink", Text),
        ("*.amount", Number),
        ("*.transactionInfoLink", Text),
        ("*.transactionConfirmationData", Text),
    ];
    assert_reads(&paid, &row);
    assert_eq!(
        paid[0]["transactionConfirmationData"]
            .as_str()
            .unwrap()
            .len(),
        64
    );
    let path = format!("/api/pools/main/miners/{ADDRESS}");
    let stats = told(pool, &path);
    assert_reads(
        &stats,
        &[
            ("pendingShares", Number),
            ("pendingBalance", Number),
            ("totalPaid", Number),
            ("todayPaid", Number),
            ("lastPayment", Time),
            ("performance.workers", Object),
            ("performance.workers.*.hashrate", Number),
            ("performance.workers.*.sharesPerSecond", Number),
        ],
    );
    // To the unit what the API says.
    let balance = told_v1(&mint, "/balances");
    let balance = &balance["pools"][0];
    let units = |names: [&str; 2]| -> u64 {
        names
            .iter()
            .map(|name| balance[name].as_str().unwrap().parse::<u64>().unwrap())
            .sum()
    };
    let in_coins = |units: u64| format!("{}.{:08}", units / 100_000_000, units % 100_000_000);
    let paid = in_coins(units(["paid", "in_flight"]));
    let text = ask(pool, &path).text;
    assert!(
        text.contains(&format!("\"totalPaid\":{paid},")),
        "{paid}: {text}"
    );
    assert_eq!(mint.balance(&miner(ADDRESS)).0, 0);
    assert_reads(
        &told(pool, &format!("{path}/settings")),
        &[("paymentThreshold", Number)],
    );
    assert!(told(pool, &format!("{path}/performance")).is_array());
    assert_reads(
        &told(pool, "/api/pools/main/performance"),
        &[("stats", List)],
    );
    assert_reads(
        &told(pool, &format!("{path}/balancechanges")),
        &[("*.amount", Number), ("*.usage", Text), ("*.created", Time)],
    );
    let earned = told(pool, &format!("{path}/earnings/daily"));
    assert_reads(&earned, &[("*.amount", Number), ("*.date", Time)]);
    assert_eq!(ask(pool, "/api/health-check").status, 200);
}

#[test]
fn the_second_version_of_miningcore_counts_its_pages() {
    let (mint, _miner) = pool();
    let pool = &mint.pool;
    let miner = format!("/api/v2/pools/main/miners/{ADDRESS}");
    for (path, count) in [
        ("/api/v2/pools/main/blocks".to_owned(), 2),
        ("/api/v2/pools/main/payments".to_owned(), 1),
        (format!("{miner}/blocks"), 2),
        (format!("{miner}/payments"), 1),
        (format!("{miner}/earnings/daily"), 1),
    ] {
        let page = told(pool, &format!("{path}?page=0&pageSize=1"));
        assert_eq!(page["result"].as_array().unwrap().len(), 1, "{path}");
        assert_eq!(
            (&page["success"], &page["itemCount"], &page["pageCount"]),
            (&json!(true), &json!(count), &json!(count)),
            "{path}"
        );
        let beyond = told(
            pool,
            &format!("{path}?page=18446744073709551615&pageSize=500"),
        );
        assert_eq!(beyond["result"], json!([]), "{path}");
        for bad in ["pageSize=0", "pageSize=501", "page=-1", "page=x"] {
            assert_eq!(
                ask(pool, &format!("{path}?{bad}")).status,
                400,
                "{path} {bad}"
            );
        }
    }
    assert!(told(pool, &format!("{miner}/balancechanges"))["itemCount"].as_u64() > Some(1));
}

/// MoneroOcean's pages.
#[test]
fn the_pages_of_nodejs_pool_read_pool_network_and_miner() {
    let (mint, _miner) = pool();
    let pool = &mint.pool;
    for path in ["/pool/stats", "/pool/stats/pplns"] {
        assert_reads(
            &told(pool, path),
            &[
                ("pool_list.*", Text),
                ("pool_statistics.hashRate", Number),
                ("pool_statistics.miners", Whole),
                ("pool_statistics.totalHashes", Number),
                ("pool_statistics.lastBlockFoundTime", Whole),
                ("pool_statistics.lastBlockFound", Whole),
                ("pool_statistics.totalBlocksFound", Whole),
                ("pool_statistics.totalMinersPaid", Whole),
                ("pool_statistics.totalPayments", Whole),
                ("pool_statistics.roundHashes", Number),
            ],
        );
    }
    assert_eq!(ask(pool, "/pool/stats/pps").status, 404);
    assert_reads(
        &told(pool, "/pool/ports"),
        &[
            ("global.*.host.hostname", Text),
            ("global.*.port", Whole),
            ("global.*.pool_type", Text),
            ("global.*.difficulty", Number),
            ("global.*.miners", Whole),
            ("global.*.description", Text),
            ("global.*.tls", Flag),
        ],
    );
    for path in ["/pool/blocks?page=0&limit=15", "/pool/blocks/pplns"] {
        assert_reads(
            &told(pool, path),
            &[
                ("*.ts", Whole),
                ("*.hash", Text),
                ("*.diff", Number),
                ("*.shares", Number),
                ("*.height", Whole),
                ("*.valid", Flag),
                ("*.unlocked", Flag),
                ("*.value", Whole),
            ],
        );
    }
    assert_reads(
        &told(pool, "/pool/payments?page=0&limit=15"),
        &[
            ("*.hash", Text),
            ("*.payees", Whole),
            ("*.fee", Whole),
            ("*.value", Whole),
            ("*.ts", Whole),
        ],
    );
    assert_reads(
        &told(pool, "/network/stats"),
        &[
            ("difficulty", Number),
            ("height", Whole),
            ("hash", Text),
            ("value", Whole),
            ("ts", Whole),
        ],
    );
    assert_reads(
        &told(pool, "/config"),
        &[
            ("pplns_fee", Number),
            ("min_wallet_payout", Whole),
            ("maturity_depth", Whole),
        ],
    );
    let path = format!("/miner/{ADDRESS}");
    assert_reads(
        &told(pool, &format!("{path}/stats")),
        &[
            ("hash", Number),
            ("hash2", Number),
            ("totalHashes", Number),
            ("validShares", Whole),
            ("invalidShares", Whole),
            ("lastHash", Whole),
            ("amtPaid", Whole),
            ("amtDue", Whole),
            ("txnCount", Whole),
        ],
    );
    let worker = [
        ("identifer", Text),
        ("lts", Whole),
        ("hash", Number),
        ("hash2", Number),
        ("totalHash", Number),
        ("validShares", Whole),
        ("invalidShares", Whole),
    ];
    let all = told(pool, &format!("{path}/stats/allWorkers"));
    assert_reads(&all["global"], &worker);
    assert_reads(&all["rig"], &worker);
    assert_reads(&told(pool, &format!("{path}/stats/rig")), &worker);
    assert_eq!(told(pool, &format!("{path}/identifiers")), json!(["rig"]));
    assert_reads(
        &told(pool, &format!("{path}/payments?page=0&limit=15")),
        &[
            ("*.ts", Whole),
            ("*.amount", Whole),
            ("*.txnHash", Text),
            ("*.pt", Text),
        ],
    );
    assert_reads(
        &told(pool, &format!("{path}/block_payments?page=0&limit=15")),
        &[
            ("*.ts", Whole),
            ("*.ts_found", Whole),
            ("*.port", Whole),
            ("*.hash", Text),
            ("*.value_percent", Number),
            ("*.value", Number),
        ],
    );
    for chart in ["", "/rig"] {
        assert!(told(pool, &format!("{path}/chart/hashrate{chart}")).is_array());
    }
    let all = told(pool, &format!("{path}/chart/hashrate/allWorkers"));
    assert_reads(&all, &[("global", List), ("rig", List)]);
    assert!(told(pool, "/pool/chart/hashrate").is_array());
    for missing in ["/stats/nobody", "/chart/hashrate/nobody"] {
        assert_eq!(
            ask(pool, &format!("{path}{missing}")).status,
            404,
            "{missing}"
        );
    }
}

/// What others let anybody change who knows an address.
#[test]
fn nothing_changes_without_a_signature() {
    let (mint, _miner) = pool();
    for path in [
        "/user/updateThreshold".to_owned(),
        "/user/subscribeEmail".to_owned(),
        format!("/api/pools/main/miners/{ADDRESS}/settings"),
    ] {
        let body = r#"{"paymentThreshold": 0.1, "username": "x", "threshold": 1}"#;
        let (status, answer) = mint
            .pool
            .send("POST", &path, Some("application/json"), body);
        assert_eq!(status, 403, "{path}");
        assert_eq!(answer["error"]["code"], "not_signed");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("/payout-settings"), "{message}");
    }
    let admin = "/api/admin/pools/main/miners/x/getbalance";
    assert_eq!(ask(&mint.pool, admin).status, 404);
}

#[test]
fn a_miner_that_nobody_knows_is_not_found() {
    let (mint, _miner) = pool();
    let unknown = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202";
    for (before, ends) in [
        (
            "/api/pools/main/miners/",
            &[
                "",
                "/performance",
                "/settings",
                "/payments",
                "/blocks",
                "/balancechanges",
            ][..],
        ),
        (
            "/miner/",
            &[
                "/stats",
                "/stats/allWorkers",
                "/identifiers",
                "/chart/hashrate",
                "/payments",
            ],
        ),
    ] {
        for end in ends {
            for (address, status) in [(unknown, 404), ("nobody", 400)] {
                let path = format!("{before}{address}{end}");
                assert_eq!(ask(&mint.pool, &path).status, status, "{path}");
            }
        }
    }
    assert_eq!(ask(&mint.pool, "/api/pools/nobody").status, 404);
    assert_eq!(ask(&mint.pool, "/api/pools/nobody/blocks").status, 404);
}

#[test]
fn lists_of_pools_read_stats_and_status() {
    let (mint, _miner) = pool();
    let pool = &mint.pool;
    for path in ["/stats", "/api/stats_mod"] {
        assert_reads(
            &told(pool, path),
            &[
                ("config.ports.*.port", Whole),
                ("config.ports.*.tls", Flag),
                ("config.fee", Number),
                ("config.minPaymentThreshold", Whole),
                ("network.height", Whole),
                ("pool.stats.lastBlockFound", NumberText),
                ("pool.blocks.*", Text),
                ("pool.miners", Whole),
                ("pool.hashrate", Number),
                ("pool.roundHashes", Number),
            ],
        );
    }
    assert_reads(
        &told(pool, "/api/stats"),
        &[
            ("time", Whole),
            ("global.workers", Whole),
            ("global.hashrate", Number),
            ("algos.sha256.hashrate", Number),
            ("algos.sha256.hashrateString", Text),
            ("pools.main.poolStats.validShares", Whole),
            ("pools.main.poolStats.totalPaid", Number),
            ("pools.main.blocks.pending", Whole),
            ("pools.main.blocks.confirmed", Whole),
            ("pools.main.workers.*.hashrateString", Text),
            ("pools.main.hashrateString", Text),
            ("pools.main.workerCount", Whole),
        ],
    );
    assert_reads(
        &told(pool, "/api/status"),
        &[
            ("sha256.name", Text),
            ("sha256.port", Whole),
            ("sha256.coins", Whole),
            ("sha256.fees", Number),
            ("sha256.hashrate", Number),
            ("sha256.workers", Whole),
        ],
    );
}
