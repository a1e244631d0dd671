//! A miner with ten thousand workers and a month behind it, on a network as hard as Bitcoin's: its pages
//! are quick, and the pictures in README.md are taken of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::{Drive, in_url, look, none, origin, screenshots};
use crate::support::{
    ADDRESS, FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings, heavy::HeavyNode, runtime, wait_for,
};

/// Far above what a busy machine needs for any page.
const LONGEST: Duration = Duration::from_secs(5);
/// Tries, of which one must be in time: a machine that runs other tests may look away.
const TRIES: u32 = 3;
const PAYING: &str = "[pool.payout]\nenabled = true\nevery_s = 86400\n";

/// Each worker has the hours of a week, every hundredth one those of a month, and the miner's sums are of
/// all that time; minutes likewise, of an hour and of a day.
/// $1 is the time in milliseconds. A worker does 180 TH/s, more in the evening.
const FILL: &str = "
INSERT INTO workers (id, pool, address, name, first_seen_ms, last_seen_ms, shares, work_high, work_low,
                     best, expected_high, found, miner)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
SELECT i, pools.id, $2, printf('rack-%02d.rig-%03d', (i - 1) / 250, i), $1 - 720 * 3600000, $1,
       172800, 108633686016, 0, $3, 3865470, i <= 9, 1
FROM n, pools;

INSERT INTO hours (pool, worker, hour, shares, work_high, work_low)
WITH RECURSIVE h (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM h WHERE i < 719)
SELECT workers.pool, workers.id, $1 / 3600000 - h.i, 240,
       120000000 + abs((($1 / 3600000 - h.i) % 24) - 12) * 4000000 + (h.i * 7919 % 13) * 1000000, 0
FROM workers, h WHERE workers.id % 100 = 0 OR h.i <= 168;

UPDATE hours SET shares = shares * ($1 / 60000 % 60 + 1) / 60,
                 work_high = work_high * ($1 / 60000 % 60 + 1) / 60
WHERE hour = $1 / 3600000;

INSERT INTO minutes (pool, worker, minute, shares, work_high, work_low, last_ms)
WITH RECURSIVE m (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM m WHERE i < 1499)
SELECT workers.pool, workers.id, $1 / 60000 - m.i, 4, 2500000 + (m.i * 7919 % 13) * 20000, 0, $1
FROM workers, m WHERE workers.id % 100 = 0 OR m.i < 60;

INSERT INTO miner_hours (pool, miner, hour, shares, work_high, work_low)
SELECT pool, 1, hour, shares * 10000, work_high * 10000, 0 FROM hours WHERE worker = 100;
INSERT INTO miner_minutes (pool, miner, minute, shares, work_high, work_low)
SELECT pool, 1, minute, shares * 10000, work_high * 10000, 0 FROM minutes WHERE worker = 100;
INSERT INTO pool_hours SELECT pool, hour, shares, work_high, work_low FROM miner_hours;
INSERT INTO pool_minutes SELECT pool, minute, shares, work_high, work_low FROM miner_minutes;

UPDATE counters SET next = 10001 WHERE name = 'worker';
UPDATE pools SET round_high = 65000000000000, round_low = 0;
";

const BLOCK: &str = "
INSERT INTO blocks (seq, pool, hash, height, worker, bits, time, found_ms, reward, state, confirmations,
                    booked, outcome, credited, round_high, round_low)
SELECT $1, id, $2, $3, $4, 386020438, $5 / 1000, $5, 315000000 + $1 * 1234567, 'mature', $6,
       'mature', 'mature', 1, $7, 0
FROM pools";

/// Blocks of the month: the hours since, and the effort of each in percent.
const BLOCKS: [(i64, i64); 9] = [
    (655, 62),
    (611, 141),
    (540, 88),
    (402, 203),
    (377, 31),
    (290, 117),
    (171, 154),
    (96, 74),
    (29, 96),
];
/// The work of a block here, in 2^32 hashes.
const NETWORK: i64 = 127_700_000_000_000;

/// Writes a month into the database of a pool that is not running.
async fn fill(pool: &Pool) {
    let url = format!("sqlite:{}", pool.database().display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let mut best = [0xa5; 32];
    best[..9].fill(0);
    sqlx::raw_sql("PRAGMA synchronous = OFF; BEGIN")
        .execute(&mut database)
        .await
        .unwrap();
    for text in FILL.split(";\n").filter(|text| !text.trim().is_empty()) {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        if text.contains("$1") {
            query = query.bind(now);
        }
        if text.contains("$2") {
            query = query.bind(ADDRESS).bind(best.to_vec());
        }
        query.execute(&mut database).await.unwrap();
    }
    for (number, (hours, effort)) in (1_i64..).zip(BLOCKS) {
        let mut hash = pow::sha256d(&number.to_le_bytes()).0;
        hash[..10].fill(0);
        sqlx::query(BLOCK)
            .bind(number)
            .bind(hash.to_vec())
            .bind(920_000 - hours * 6)
            .bind(number * 37)
            .bind(now - hours * 3_600_000 - number * 173_000)
            .bind(1_000 + hours * 6)
            .bind(NETWORK / 100 * effort)
            .execute(&mut database)
            .await
            .unwrap();
    }
    sqlx::raw_sql("UPDATE counters SET next = 100 WHERE name = 'block'; COMMIT")
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
}

/// Each page of it comes at once, and so does the API.
#[test]
fn ten_thousand_workers_with_a_month_behind_them_are_shown_at_once() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let heavy = HeavyNode::before(&node.rpc);
    let settings = PoolSettings {
        pool: PAYING,
        listener: FIXED_DIFFICULTY,
        daemons: heavy.rpc.daemon() + "subsidy_only = false\n",
        // It would be a line for each share.
        log: "filter = \"info\"",
        ..PoolSettings::default()
    };
    let mut pool = Pool::start(&folder, &settings);
    pool.process.stop();
    runtime().block_on(fill(&pool));
    pool.start_again();
    pool.wait_until_ready();
    let devices: Vec<Miner> = ["bitaxe/BM1370", "Antminer S21/1", "cgminer/4.12"]
        .into_iter()
        .enumerate()
        .map(|(number, agent)| {
            let user = format!("{ADDRESS}.rack-00.rig-{:03}", number + 1);
            let mut device = Miner::connect(pool.miners);
            device.log_in_as(agent, &user);
            let share = device.share(0);
            let answer = device.ask("mining.submit", Miner::params(&user, &share));
            assert_eq!(answer["result"], true, "{answer}");
            device
        })
        .collect();
    wait_for("the shares in the status", || {
        (pool.status()["shares"]["stored"] == 1_728_000_003_u64).then_some(())
    });
    let own = format!("/miners/{ADDRESS}");
    let api = format!("/api/v1/miners/{ADDRESS}");
    let (_, body) = pool.get(&format!("{api}/workers?limit=500")).unwrap();
    let workers: Value = serde_json::from_str(&body).unwrap();
    let next = workers["next"].as_str().unwrap();
    for path in [
        "/".to_owned(),
        own.clone(),
        format!("{own}?span=24h"),
        format!("{own}?span=30d"),
        format!("{own}?cursor={}", in_url(next)),
        format!("{own}/why"),
        api.clone(),
        format!("{api}/stats"),
        format!("{api}/workers?limit=500"),
        format!("{api}/hashrate?span=24h"),
        format!("{api}/hashrate?span=1y"),
        format!("{api}/estimate"),
        format!("{api}/doctor"),
        "/api/v1/pools".into(),
        "/api/v1/status".into(),
    ] {
        let mut took = Duration::MAX;
        for _ in 0..TRIES {
            let start = Instant::now();
            let (status, body) = pool.get(&path).unwrap();
            took = took.min(start.elapsed());
            println!("{took:?} {path}, {} bytes", body.len());
            assert_eq!(status, 200, "{path}: {body}");
            if took < LONGEST {
                break;
            }
        }
        assert!(took < LONGEST, "{path} took {took:?}");
    }
    let (_, body) = pool.get(&api).unwrap();
    let miner: Value = serde_json::from_str(&body).unwrap();
    let stats = &miner["pools"][0];
    assert_eq!(stats["workers"], 10_000, "{miner}");
    let rate = stats["hashrate"]["1d"].as_f64().unwrap();
    assert!((1.2e18..2.4e18).contains(&rate), "{miner}");
    look(
        &pool,
        &[],
        &[
            ("crowd-home", "/?span=30d".into(), 200),
            ("crowd", own.clone(), 200),
        ],
    );
    let picture = |name, path: &str, theme, width, height| json!({"name": name, "path": path, "theme": theme, "width": width, "height": height});
    let task = json!({"origin": origin(&pool), "screenshots": screenshots(), "pages": [
        picture("home", "/?span=30d", "light", 1280, 900),
        picture("miner", &format!("{own}?span=7d"), "dark", 1280, 900),
        picture("connect", &format!("/connect?address={ADDRESS}&worker=bitaxe"), "light", 390, 844),
    ]});
    let report = Drive::start("picture.js", &task).report(|wanted| panic!("{wanted}"));
    none(&report["faults"]);
    drop(devices);
}
