//! The pool and its daemons: blocks, outages, orphans, restarts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    ADDRESS, DEVICES, Miner, Node, Pool, PoolSettings, adit, loopback, runtime, wait_for,
};

fn pool_on(folder: &TempDir, nodes: &[&Node]) -> Pool {
    let daemons = nodes.iter().map(|node| node.rpc.daemon()).collect();
    Pool::start(
        folder,
        &PoolSettings {
            daemons,
            ..PoolSettings::default()
        },
    )
}

/// Solves a block on the job in hand.
fn solve_block(
    miner: &Miner,
    extranonce2: u64,
    version_bits: Option<u32>,
) -> crate::support::miner::Solution {
    let bits = miner.job.as_ref().unwrap().work.bits;
    let target = mining::Target::from_compact(bits).unwrap();
    miner.solve(extranonce2, version_bits, |hash| target.is_met_by(hash))
}

fn last_block(pool: &Pool) -> Option<Value> {
    pool.status()["blocks"]["last"].get(0).cloned()
}

#[test]
fn a_block_is_submitted_recorded_and_followed_until_it_is_mature() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let pool = pool_on(&folder, &[&node]);
    let mut miner = Miner::ready(pool.miners);
    let solution = solve_block(&miner, 1, None);
    let job = miner.job.clone().unwrap();
    assert_eq!(
        miner.submit(&solution)["result"],
        true,
        "a block is a share too"
    );
    wait_for("the node to have it", || {
        (node.rpc.height() == 1).then_some(())
    });
    let header = miner.header(
        &job,
        &solution.extranonce2,
        None,
        solution.ntime,
        solution.nonce,
    );
    let id = pow::sha256d(&header).to_string();
    assert_eq!(node.rpc.call("getblockhash", json!([1])), id.as_str());
    let kept = folder
        .path()
        .join("data/blocks/main")
        .join(format!("{id}.hex"));
    wait_for("the raw block on the disk", || kept.exists().then_some(()));
    let block = wait_for("the block to be seen", || {
        last_block(&pool).filter(|block| block["state"] == "immature")
    });
    assert_eq!(block["hash"], id.as_str());
    assert_eq!(block["height"], 1);
    assert_eq!(block["reward"], "5000000000");
    assert_eq!(block["confirmations"], 1);
    let verbose = node.rpc.call("getblock", json!([id, 2]));
    let outputs = verbose["tx"][0]["vout"].as_array().unwrap();
    assert_eq!(
        outputs[0]["scriptPubKey"]["hex"],
        "0014751e76e8199196d454941c45d1b3a323f1433bd6"
    );
    assert_eq!(verbose["tx"][0]["locktime"], 0, "height - 1");

    node.rpc.call("generatetoaddress", json!([98, ADDRESS]));
    let block = wait_for("99 confirmations", || {
        last_block(&pool).filter(|block| block["confirmations"] == 99)
    });
    assert_eq!(block["state"], "immature");
    node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
    wait_for("maturity", || {
        last_block(&pool).filter(|block| block["state"] == "mature")
    });
    wait_for("the raw block to be forgotten", || {
        (!kept.exists()).then_some(())
    });
}

#[test]
fn every_device_class_and_every_rolled_version_makes_blocks() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let pool = pool_on(&folder, &[&node]);
    for (height, agent) in (1..).zip(DEVICES) {
        let mut miner = Miner::connect(pool.miners);
        miner.configure();
        miner.subscribe(agent);
        let name = json!([format!("{ADDRESS}.test"), "x"]);
        assert_eq!(miner.ask("mining.authorize", name)["result"], true);
        let previous = node
            .rpc
            .call("getbestblockhash", json!([]))
            .as_str()
            .unwrap()
            .to_owned();
        let previous: pow::Hash = previous.parse().unwrap();
        while miner
            .job
            .as_ref()
            .is_none_or(|job| job.work.previous_block != previous.0)
        {
            miner.hear();
        }
        let bits = [0x0000_2000, 0x1fff_e000, 0x0aaa_a000][height % 3];
        let solution = solve_block(&miner, 7, Some(bits));
        assert_eq!(miner.submit(&solution)["result"], true, "{agent}");
        let height = u64::try_from(height).unwrap();
        wait_for("the block", || (node.rpc.height() == height).then_some(()));
    }
}

#[test]
fn a_stale_block_is_still_submitted() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let pool = pool_on(&folder, &[&node]);
    let mut miner = Miner::ready(pool.miners);
    let solution = solve_block(&miner, 1, None);
    let old = miner.job.clone().unwrap();
    node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
    while miner.job.as_ref().unwrap().work.previous_block == old.work.previous_block {
        miner.hear();
    }
    let reply = miner.submit(&solution);
    assert_eq!(reply["reject-reason"], "Stale");
    let header = miner.header(
        &old,
        &solution.extranonce2,
        None,
        solution.ntime,
        solution.nonce,
    );
    let id = pow::sha256d(&header).to_string();
    wait_for("the node to know it", || {
        node.rpc.try_call("getblockheader", json!([id])).ok()
    });
    wait_for("it to be recorded as an orphan", || {
        last_block(&pool).filter(|block| block["state"] == "orphaned")
    });
}

#[test]
fn a_hanging_daemon_and_a_locked_store_do_not_hold_up_a_block() {
    let folder = TempDir::new().unwrap();
    let hanging = Node::regtest(&folder);
    let second = Node::start(&folder, "second", &["--rules", "regtest"]);
    let pool = pool_on(&folder, &[&hanging, &second]);
    let mut miner = Miner::ready(pool.miners);
    hanging.rpc.call(
        "simnet_fault",
        json!(["silent", {"methods": ["submitblock"]}]),
    );

    // Another process holds the database for itself.
    let runtime = runtime();
    let database = format!("sqlite:{}", pool.database().display());
    let mut lock = runtime.block_on(async {
        use sqlx::{Connection as _, Executor as _};
        let mut connection = sqlx::SqliteConnection::connect(&database).await.unwrap();
        connection.execute("BEGIN EXCLUSIVE").await.unwrap();
        connection
    });
    let solution = solve_block(&miner, 1, None);
    let sent = Instant::now();
    let id = miner.send_share(&solution);
    wait_for("the second node to have it", || {
        (second.rpc.height() == 1).then_some(())
    });
    assert!(
        sent.elapsed() < Duration::from_secs(5),
        "{:?}",
        sent.elapsed()
    );

    runtime.block_on(async {
        use sqlx::Executor as _;
        lock.execute("ROLLBACK").await.unwrap();
    });
    assert_eq!(
        miner.answer_to(id)["result"],
        true,
        "the share is answered once it is stored"
    );
    wait_for("the block to be recorded", || last_block(&pool));
}

#[test]
fn the_pool_says_why_it_stops_and_goes_on_by_itself() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let pool = pool_on(&folder, &[&node]);
    let mut miner = Miner::ready(pool.miners);
    node.rpc.call("simnet_fault", json!(["unsynced"]));
    assert!(
        miner.is_hung_up(Duration::from_secs(30)),
        "so that it goes to another pool"
    );
    let (status, body) = wait_for("the pool to be not ready", || {
        pool.get("/ready").filter(|(status, _)| *status == 503)
    });
    assert_eq!(status, 503);
    assert!(body.contains("initial"), "{body}");
    let (status, health) = pool.get("/health").unwrap();
    assert_eq!(status, 503);
    assert!(
        health.contains("unhealthy") && health.contains("recommendations"),
        "{health}"
    );
    node.rpc.call("simnet_fault", json!(["clear"]));
    pool.wait_until_ready();
    Miner::ready(pool.miners);
}

#[test]
fn mining_goes_on_with_the_second_daemon_and_back_with_the_first() {
    let folder = TempDir::new().unwrap();
    let first = Node::regtest(&folder);
    let second = Node::start(&folder, "second", &["--rules", "regtest"]);
    let pool = pool_on(&folder, &[&first, &second]);
    let mut miner = Miner::ready(pool.miners);
    first.rpc.call("simnet_fault", json!(["unsynced"]));
    let fit = |index: usize| pool.status()["daemons"][index]["fit"] == true;
    wait_for("the first to be unfit", || {
        (!fit(0) && fit(1)).then_some(())
    });
    assert_eq!(pool.get("/ready").unwrap().0, 200);
    let solution = solve_block(&miner, 1, None);
    assert_eq!(miner.submit(&solution)["result"], true);
    wait_for("both to have it", || {
        (first.rpc.height() == 1 && second.rpc.height() == 1).then_some(())
    });
    first.rpc.call("simnet_fault", json!(["clear"]));
    assert_eq!(pool.post("/api/v1/pools/main/daemons/0/reset"), 204);
    assert_eq!(pool.post("/api/v1/pools/main/daemons/7/reset"), 404);
    assert_eq!(pool.post("/api/v1/blocknotify"), 204);
    wait_for("the first to be fit again", || fit(0).then_some(()));
}

#[test]
fn a_reorganisation_orphans_a_block_and_another_one_brings_it_back() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let pool = pool_on(&folder, &[&node]);
    let mut miner = Miner::ready(pool.miners);
    let solution = solve_block(&miner, 1, None);
    assert_eq!(miner.submit(&solution)["result"], true);
    wait_for("the block", || {
        last_block(&pool).filter(|block| block["state"] == "immature")
    });
    node.rpc.call("simnet_reorganise", json!([1]));
    wait_for("the orphan", || {
        last_block(&pool).filter(|block| block["state"] == "orphaned")
    });
    // The branch that took its place is found to be bad.
    let other = node.rpc.call("getblockhash", json!([1]));
    node.rpc.call("invalidateblock", json!([other]));
    wait_for("the block to be back", || {
        last_block(&pool).filter(|block| block["state"] == "immature")
    });
}

#[test]
fn a_pool_ends_cleanly_and_its_shares_are_there_when_it_returns() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let mut pool = pool_on(&folder, &[&node]);
    let mut miner = Miner::ready(pool.miners);
    let mut ids = Vec::new();
    for extranonce2 in 0..40 {
        let share = miner.share(extranonce2);
        ids.push(miner.send_share(&share));
    }
    for id in &ids {
        assert_eq!(miner.answer_to(*id)["result"], true);
    }
    assert!(pool.process.stop().success());
    assert!(std::net::TcpStream::connect(loopback(pool.miners)).is_err());
    pool.start_again();
    pool.wait_until_ready();
    assert_eq!(pool.status()["shares"]["stored"], 40);
    let (status, metrics) = pool.get("/metrics").unwrap();
    assert_eq!(status, 200);
    assert!(metrics.contains("adit_shares_accepted_total") && metrics.ends_with("# EOF\n"));
    assert_eq!(pool.get("/nowhere").unwrap().0, 404);
    let (status, page) = pool.get("/").unwrap();
    assert!(status == 200 && page.contains("<h1>adit</h1>"));
}

#[test]
fn a_database_of_another_chain_is_refused() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let mut pool = pool_on(&folder, &[&node]);
    assert!(pool.process.stop().success());
    let config = folder.path().join("adit.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("coin = \"bitcoin\"", "coin = \"litecoin\"");
    let text = text.replace(ADDRESS, "rltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kg3g4ty");
    std::fs::write(&config, text).unwrap();
    let ended = adit(&["pool", "-c", config.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!ended.status.success());
    let text = String::from_utf8_lossy(&ended.stderr);
    assert!(
        text.contains("error:") && text.contains("litecoin"),
        "{text}"
    );
}
