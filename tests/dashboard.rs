//! The pages and what they are made of, as a browser without script asks for them. With script they are
//! tried in `tests/browser.rs`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use crate::{
    money::{Mint, miner},
    support::{ADDRESS, FIXED_DIFFICULTY, Miner, Pool, Rig, wait_for},
};

/// A page that must be there.
#[track_caller]
fn page(pool: &Pool, path: &str) -> String {
    let (status, page) = pool.get(path).expect("the pool answers");
    assert_eq!(status, 200, "{path}: {page}");
    assert!(page.starts_with("<!doctype html>"), "{path}");
    page
}

/// What the API says.
#[track_caller]
fn told(pool: &Pool, path: &str) -> Value {
    let (status, body) = pool.get(path).expect("the pool answers");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A pool with a mature block, an immature one and a payment is shown on every page, and each figure
/// is the API's.
#[test]
fn every_page_shows_what_the_api_says() {
    let mint = Mint::new(crate::money::PAYING);
    let pool = &mint.pool;
    mint.find_block(ADDRESS);
    mint.bury(4);
    wait_for("a payment", || {
        (mint.balance(&miner(ADDRESS)).0 == 0).then_some(())?;
        let paid = told(pool, &format!("/api/v1/miners/{ADDRESS}/payouts"));
        // One that is not signed yet has no transaction.
        paid["items"][0]["txid"].is_string().then_some(())
    });
    let home = page(pool, "/");
    let summary = told(pool, "/api/v1/pools/main");
    let height = summary["template"]["height"].as_u64().unwrap();
    assert!(
        home.contains(&format!(r#"data-figure="height">{height}<"#)),
        "{home}"
    );
    assert!(
        home.contains("pool 1.5 %") && home.contains("foundation 1 %"),
        "{home}"
    );
    let blocks = told(pool, "/api/v1/pools/main/blocks");
    let hash = blocks["items"][0]["hash"].as_str().unwrap();
    assert!(page(pool, "/blocks").contains(hash));
    let payouts = told(pool, "/api/v1/pools/main/payouts");
    let payout = &payouts["items"][0];
    assert_eq!(payout["payments"], 1);
    let txid = payout["txid"].as_str().unwrap();
    assert!(page(pool, "/payouts?pool=main").contains(txid));
    let own = page(pool, &format!("/miners/{ADDRESS}"));
    assert!(own.contains(txid) && own.contains(hash), "{own}");
    let credit = page(pool, &format!("/miners/{ADDRESS}/credits/{hash}"));
    assert!(credit.contains("48.75000000 BTC"), "{credit}");
    assert!(page(pool, &format!("/miners/{ADDRESS}/why")).contains("48.75000000 BTC"));
    assert!(page(pool, "/connect").contains(&format!("stratum+tcp://127.0.0.1:{}", pool.miners)));
    page(pool, "/miners");
    let keys = told(pool, "/api/v1/receipts");
    assert!(page(pool, "/verify?pool=main").contains(keys["pools"][0]["key"].as_str().unwrap()));
    // The same as files.
    let (_, csv) = pool
        .get(&format!("/api/v1/miners/{ADDRESS}/payouts.csv"))
        .unwrap();
    let row = csv.lines().nth(1).unwrap();
    assert!(
        row.starts_with("main,bitcoin,satoshis,1,") && row.ends_with(txid),
        "{csv}"
    );
    let (_, csv) = pool
        .get(&format!("/api/v1/miners/{ADDRESS}/credits.csv"))
        .unwrap();
    assert!(
        csv.contains(hash) && csv.trim_end().ends_with(",4875000000"),
        "{csv}"
    );
    let (_, csv) = pool
        .get(&format!("/api/v1/miners/{ADDRESS}/statement.csv"))
        .unwrap();
    assert!(csv.lines().count() > 2, "{csv}");
}

/// A page that makes no sense says so with its status, and the pages go on.
#[test]
fn what_is_not_there_is_refused_with_a_page() {
    let rig = Rig::new();
    let other = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    for (path, wanted) in [
        ("/blocks?pool=other", 404),
        ("/payouts?cursor=x", 400),
        ("/verify?pool=other", 404),
        ("/verify?cursor=x", 400),
        ("/blocks?cursor=+1", 400),
        (&format!("/miners/{other}")[..], 400),
        (&format!("/miners/{ADDRESS}")[..], 404),
        (&format!("/miners/{ADDRESS}/why")[..], 404),
        ("/miners/%ff", 400),
    ] {
        let (status, page) = rig.pool.get(path).unwrap();
        assert_eq!(status, wanted, "{path}: {page}");
    }
    // Who waits for a first share is shown that.
    let (_, waiting) = rig.pool.get(&format!("/miners/{ADDRESS}")).unwrap();
    assert!(waiting.contains("data-await"), "{waiting}");
    let (_, wrong) = rig.pool.get(&format!("/connect?address={other}")).unwrap();
    assert!(
        wrong.contains(r#"role="alert""#) && !wrong.contains("data-await"),
        "{wrong}"
    );
    // A link with a span that nobody has is a link to the page.
    page(&rig.pool, "/?span=2h");
    for (path, code) in [
        ("/api/v1/pools/other", "unknown_pool"),
        ("/api/v1/pools/main/hashrate?span=2h", "bad_query"),
        ("/api/v1/pools/main/blocks?limit=0", "bad_limit"),
        ("/api/v1/pools/main/blocks?cursor=-1", "bad_cursor"),
        ("/api/v1/events?of=all", "bad_query"),
    ] {
        let (_, body) = rig.pool.get(path).unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"]["code"], code, "{path}");
    }
}

/// A69: what a device calls itself is a text on every page, whatever it holds.
#[test]
fn a69_what_devices_call_themselves_is_shown_as_text() {
    let rig = Rig::heavy(FIXED_DIFFICULTY);
    let payload = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}";
    let mut miner = Miner::connect(rig.pool.miners);
    let answer = miner.ask("mining.subscribe", serde_json::json!([payload]));
    assert!(answer["error"].is_null(), "{answer}");
    miner.log_in(&format!("{ADDRESS}.rig"));
    let share = miner.share(0);
    let params = Miner::params(&format!("{ADDRESS}.rig"), &share);
    assert_eq!(miner.ask("mining.submit", params)["result"], true);
    let status = rig.session(&format!("{ADDRESS}.rig"), 1);
    let agent = status["agent"].as_str().unwrap();
    assert!(agent.contains("script"), "{agent}");
    for path in [format!("/miners/{ADDRESS}"), "/".into()] {
        let page = page(&rig.pool, &path);
        assert!(
            !page.contains("<script>alert") && !page.contains("<img"),
            "{page}"
        );
    }
    assert!(page(&rig.pool, &format!("/miners/{ADDRESS}")).contains("&#60;script&#62;"));
}

/// The chart of an hour adds up to the shares that came, and the doctor says that all is well.
#[test]
fn a_chart_and_a_diagnosis_are_made_of_shares() {
    let rig = Rig::heavy(FIXED_DIFFICULTY);
    let mut miner = Miner::connect(rig.pool.miners);
    miner.log_in(&format!("{ADDRESS}.rig"));
    for nth in 0..3 {
        let share = miner.share(nth);
        let params = Miner::params(&format!("{ADDRESS}.rig"), &share);
        assert_eq!(miner.ask("mining.submit", params)["result"], true);
    }
    for path in [
        "/api/v1/pools/main/hashrate?span=1h".to_owned(),
        "/api/v1/pools/main/hashrate?span=1y".to_owned(),
        format!("/api/v1/miners/{ADDRESS}/hashrate?span=7d"),
        format!("/api/v1/miners/{ADDRESS}/hashrate?span=24h&worker=rig&pool=main"),
    ] {
        let chart = told(&rig.pool, &path);
        let points = chart["points"].as_array().unwrap();
        let shares: u64 = points
            .iter()
            .map(|point| point["shares"].as_u64().unwrap())
            .sum();
        assert_eq!(shares, 3, "{path}: {chart}");
        // The last one is of another minute where that has just begun.
        let is_work = |point: &Value| {
            point["shares"].as_u64() > Some(0) && point["hashrate"].as_f64() > Some(0.0)
        };
        assert!(points.iter().any(is_work), "{chart}");
    }
    let path = format!("/api/v1/miners/{ADDRESS}/hashrate?worker=other");
    assert_eq!(rig.pool.get(&path).unwrap().0, 404);
    let found = told(&rig.pool, &format!("/api/v1/miners/{ADDRESS}/doctor"));
    assert_eq!(found["verdict"], "luck", "{found}");
    let codes: Vec<&str> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    for code in ["last_share", "part_of_work", "block_time"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
    let best = told(&rig.pool, "/api/v1/pools/main");
    assert_eq!(best["best"]["worker"], format!("{ADDRESS}.rig"));
    assert!(best["hashrate"]["7d"].as_f64().unwrap() > 0.0, "{best}");
}

/// Whoever waits for a first share hears of it, and of the pool's figures.
#[test]
fn events_tell_of_a_first_share() {
    let rig = Rig::heavy(FIXED_DIFFICULTY);
    let path = format!("/api/v1/events?address={ADDRESS}");
    let mut stream = TcpStream::connect(("127.0.0.1", rig.pool.http)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut next = |wanted: &str| -> Value {
        let event = format!("event: {wanted}");
        lines.find(|line| *line == event).expect("the event");
        let data = lines
            .find(|line| line.starts_with("data: "))
            .expect("its data");
        serde_json::from_str(&data["data: ".len()..]).unwrap()
    };
    assert_eq!(next("pool")["name"], "main");
    assert_eq!(next("miner")["connected"], 0);
    let mut miner = Miner::connect(rig.pool.miners);
    miner.log_in(&format!("{ADDRESS}.rig"));
    let share = miner.share(0);
    let params = Miner::params(&format!("{ADDRESS}.rig"), &share);
    assert_eq!(miner.ask("mining.submit", params)["result"], true);
    while next("miner")["accepted"] != 1 {}
}
