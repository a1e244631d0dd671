//! Solved blocks that something stands in the way of, and chains that change their mind.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;

use super::Rig;
use crate::support::{
    ADDRESS, Miner, Node, Pool, PoolSettings, assert_rejected, miner::Solution, run, runtime,
    wait_for,
};

/// Keeps the tip where it is while shares are judged: the node takes a block only after this.
const HELD_BACK: Duration = Duration::from_secs(3);

pub(super) fn fault(node: &Node, name: &str, options: Value) {
    node.rpc.call("simnet_fault", json!([name, options]));
}

/// Takes no block from now on. A pool whose node is gone sends its miners away soon, perhaps before they
/// have said what they found.
fn refuse_blocks(node: &Node) {
    fault(
        node,
        "http",
        json!({"status": 503, "methods": ["submitblock"]}),
    );
}

fn hold_blocks_back(node: &Node) {
    let ms = u64::try_from(HELD_BACK.as_millis()).unwrap();
    fault(node, "slow", json!({"ms": ms, "methods": ["submitblock"]}));
}

/// Submits all of these at once, before the tip can move, and gives their answers in this order: what is
/// refused is answered before what waits for its commit.
fn submit_at_once<const N: usize>(miner: &mut Miner, solutions: [&Solution; N]) -> [Value; N] {
    let ids = solutions.map(|solution| miner.send_share(solution));
    let mut answers = [const { Value::Null }; N];
    while answers.iter().any(Value::is_null) {
        let message = miner.hear();
        if let Some(at) = ids.iter().position(|id| message["id"] == *id) {
            answers[at] = message;
        }
    }
    answers
}

#[test]
fn a06_duplicate_block_share() {
    let rig = Rig::regtest();
    let mut miner = rig.miner();
    let solution = miner.block(1, None);
    hold_blocks_back(&rig.node);
    let [first, second, third] = submit_at_once(&mut miner, [&solution; 3]);
    assert_eq!(first["result"], true);
    assert_rejected(&second, 22, "Duplicate share");
    assert_rejected(&third, 22, "Duplicate share");
    wait_for("the node to have it", || {
        (rig.node.rpc.height() == 1).then_some(())
    });
    wait_for("the block to be seen", || {
        (rig.pool.last_block()?["state"] == "immature").then_some(())
    });
    let status = rig.pool.status();
    assert_eq!(status["blocks"]["found"], 1, "{status}");
    assert_eq!(rig.stored(), 1);
    let log = rig.pool.process.log_text();
    assert!(log.matches("block accepted").count() <= 3, "{log}");
}

#[test]
fn a07_a_node_that_accepts_a_block_twice() {
    let rig = Rig::regtest();
    let mut miner = rig.miner();
    let solution = miner.block(1, None);
    // It says yes to everything and takes nothing, so the tip stays.
    fault(
        &rig.node,
        "result",
        json!({"value": null, "methods": ["submitblock"]}),
    );
    assert_eq!(miner.submit(&solution)["result"], true);
    assert_rejected(&miner.submit(&solution), 22, "Duplicate share");
    wait_for("both yeses", || {
        let log = rig.pool.process.log_text();
        (log.matches("block accepted").count() == 2).then_some(())
    });
    let status = rig.pool.status();
    assert_eq!(status["blocks"]["found"], 1, "{status}");
    assert_eq!(status["blocks"]["last"].as_array().unwrap().len(), 1);
    assert_eq!(rig.stored(), 1);
}

#[test]
fn a33_block_found_and_the_reply_is_lost() {
    let rig = Rig::regtest();
    let mut miner = rig.miner();
    let solution = miner.block(1, None);
    miner.send_share(&solution);
    // Gone before the answer can be.
    drop(miner);
    wait_for("the node to have it", || {
        (rig.node.rpc.height() == 1).then_some(())
    });
    wait_for("the credit", || (rig.stored() == 1).then_some(()));
    wait_for("the block's row", || rig.pool.last_block());
    let mut again = rig.miner();
    let reply = again.submit(&solution);
    assert!(!reply["error"].is_null(), "{reply}");
    assert_eq!(rig.stored(), 1);
    assert_eq!(rig.pool.status()["blocks"]["found"], 1);
}

#[test]
fn a35_two_blocks_on_one_parent_are_both_submitted() {
    let rig = Rig::regtest();
    let (mut miner, mut other) = (rig.miner(), rig.miner());
    let solutions = [
        miner.block(1, None),
        miner.block(2, Some(0x2000)),
        other.block(1, None),
    ];
    hold_blocks_back(&rig.node);
    let id = other.send_share(&solutions[2]);
    for answer in submit_at_once(&mut miner, [&solutions[0], &solutions[1]]) {
        assert_eq!(answer["result"], true);
    }
    assert_eq!(other.answer_to(id)["result"], true);
    for solution in &solutions {
        let id = solution.hash.to_string();
        wait_for("the node to have both", || {
            rig.node.rpc.try_call("getblockheader", json!([id])).ok()
        });
    }
    wait_for("one of them to win", || {
        let blocks = &rig.pool.status()["blocks"];
        (blocks["immature"] == 1 && blocks["orphaned"] == 2).then_some(())
    });
}

/// A solved block has this long to reach a daemon.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Tries, of which one must be in time: a machine that runs other tests may look away.
const TRIES: u64 = 4;

#[test]
fn a36_a_locked_store_and_a_hanging_daemon_do_not_hold_up_a_block() {
    let folder = TempDir::new().unwrap();
    let hanging = Node::regtest(&folder);
    let second = Node::start(&folder, "second", &["--rules", "regtest"]);
    let daemons = [&hanging, &second].map(|node| node.rpc.daemon()).concat();
    let settings = PoolSettings {
        daemons,
        ..PoolSettings::default()
    };
    let pool = Pool::start(&folder, &settings);
    fault(&hanging, "silent", json!({"methods": ["submitblock"]}));
    let runtime = runtime();
    let database = format!("sqlite:{}", pool.database().display());
    let mut lock = runtime
        .block_on(sqlx::SqliteConnection::connect(&database))
        .unwrap();
    let mut best = Duration::MAX;
    for extranonce2 in 0..TRIES {
        // The first daemon's tip stays, so all of them are blocks on the same parent.
        let mut miner = Miner::ready(pool.miners);
        let solution = miner.block(extranonce2, None);
        // Another process holds the database for itself, but not until the share is given up.
        runtime.block_on(async { lock.execute("BEGIN EXCLUSIVE").await.unwrap() });
        let hash = solution.hash.to_string();
        let sent = Instant::now();
        let id = miner.send_share(&solution);
        wait_for("the second node to have it", || {
            second.rpc.try_call("getblockheader", json!([hash])).ok()
        });
        best = best.min(sent.elapsed());
        let kept = folder.path().join(format!("data/blocks/main/{hash}.hex"));
        wait_for("the raw block on the disk", || kept.exists().then_some(()));
        runtime.block_on(async { lock.execute("ROLLBACK").await.unwrap() });
        let reply = miner.answer_to(id);
        assert_eq!(reply["result"], true, "answered once it is stored");
        if best < AT_ONCE {
            break;
        }
    }
    assert!(best < AT_ONCE, "{best:?}");
    wait_for("the block to be recorded", || pool.last_block());
}

#[test]
fn a37_all_daemons_down() {
    let folder = TempDir::new().unwrap();
    let mut node = Node::regtest(&folder);
    let settings = PoolSettings {
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    let mut pool = Pool::start(&folder, &settings);
    let mut miner = Miner::ready(pool.miners);
    let (first, second) = (miner.block(1, None), miner.block(2, None));
    refuse_blocks(&node);
    miner.send_share(&first);
    miner.send_share(&second);
    let kept = |hash: &pow::Hash| folder.path().join(format!("data/blocks/main/{hash}.hex"));
    for solution in [&first, &second] {
        let file = kept(&solution.hash);
        wait_for("the block on the disk", || file.exists().then_some(()));
    }
    node.kill();
    // Not even the end of the pool loses them.
    pool.process.kill();
    pool.start_again();
    node.start_again();
    for solution in [&first, &second] {
        let hash = solution.hash.to_string();
        wait_for("the block at the node", || {
            node.rpc.try_call("getblockheader", json!([hash])).ok()
        });
    }
    pool.wait_until_ready();
    assert_eq!(node.rpc.height(), 1);
}

#[test]
fn a37_a_daemon_that_comes_back_gets_the_block_without_a_restart() {
    let mut rig = Rig::regtest();
    let mut miner = rig.miner();
    let solution = miner.block(1, None);
    refuse_blocks(&rig.node);
    miner.send_share(&solution);
    let file = rig
        .folder
        .path()
        .join(format!("data/blocks/main/{}.hex", solution.hash));
    wait_for("the block on the disk", || file.exists().then_some(()));
    rig.node.kill();
    std::thread::sleep(Duration::from_millis(1_500));
    rig.node.start_again();
    let back = Instant::now();
    wait_for("the block at the node", || {
        (rig.node.rpc.height() == 1).then_some(())
    });
    // Every second at first, every five at last.
    assert!(
        back.elapsed() < Duration::from_secs(30),
        "{:?}",
        back.elapsed()
    );
    wait_for("the block's row", || {
        (rig.pool.last_block()?["state"] == "immature").then_some(())
    });
    assert_eq!(rig.stored(), 1);
}

#[test]
fn a38_every_job_is_of_one_piece() {
    let rig = Rig::regtest();
    let mut miner = rig.miner();
    let node = rig.node.rpc.clone();
    let growing = std::thread::spawn(move || {
        for _ in 0..30 {
            node.call("generatetoaddress", json!([1, ADDRESS]));
            // So that a pool that is kept waiting by other tests sees some of them, too.
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let mut seen = 0;
    loop {
        let work = miner.job.clone().unwrap().work;
        let parent = pow::Hash(work.previous_block).to_string();
        let header = rig.node.rpc.call("getblockheader", json!([parent]));
        let height = header["height"].as_u64().unwrap() + 1;
        // Behind version, one input, its empty origin and the script's length.
        let script = &work.coinbase1[4 + 1 + 36 + 1..];
        let told = match script[0] {
            small @ 0x51..=0x60 => u64::from(small - 0x50),
            1 => u64::from(script[1]),
            other => panic!("heights below 128 take one byte, not {other:02x}"),
        };
        assert_eq!(told, height, "the coinbase is for the block after {parent}");
        let locktime = work.coinbase2.last_chunk().unwrap();
        assert_eq!(u64::from(u32::from_le_bytes(*locktime)), height - 1);
        assert!(u64::from(work.ntime) > header["mediantime"].as_u64().unwrap());
        seen += 1;
        if height > 30 {
            break;
        }
        miner.hear_new_tip();
    }
    growing.join().unwrap();
    assert!(seen > 3, "{seen} tips");
}

#[test]
fn a40_only_the_operators_daemon_moves_the_tip() {
    let rig = Rig::regtest();
    let mut miner = rig.miner();
    let tip = rig.pool.status()["template"]["previous"].clone();
    for line in [
        json!({"id": null, "method": "mining.notify", "params": [
            "1", "00".repeat(32), "00", "00", [], "20000000", "207fffff", "00000000", true]}),
        json!({"id": null, "method": "mining.set_difficulty", "params": [1e-9]}),
        json!({"id": 8, "method": "submitblock", "params": ["00".repeat(81)]}),
        json!({"id": 9, "method": "blocknotify", "params": ["11".repeat(32)]}),
    ] {
        miner.say(&line.to_string());
    }
    // A notice makes the pool look, and believes nothing.
    for _ in 0..5 {
        assert_eq!(rig.pool.post("/api/v1/blocknotify"), 204);
        rig.pool
            .post(&format!("/api/v1/blocknotify?hash={}", "11".repeat(32)));
    }
    assert_eq!(miner.ask("mining.ping", json!([]))["result"], "pong");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(rig.pool.status()["template"]["previous"], tip);
    let solution = miner.block(1, None);
    assert_eq!(miner.submit(&solution)["result"], true);
    wait_for("a real block moves it", || {
        let moved = rig.pool.status()["template"]["previous"] == solution.hash.to_string();
        moved.then_some(())
    });
}

#[test]
fn a42_the_pool_says_why_it_stops_and_goes_on_by_itself() {
    let rig = Rig::regtest();
    let mut miner = rig.miner();
    fault(&rig.node, "unsynced", Value::Null);
    assert!(
        miner.is_hung_up(Duration::from_secs(30)),
        "so that it goes to another pool"
    );
    let (_, body) = wait_for("the pool to be not ready", || {
        rig.pool.get("/ready").filter(|(status, _)| *status == 503)
    });
    assert!(body.contains("initial"), "{body}");
    let (status, health) = rig.pool.get("/health").unwrap();
    assert_eq!(status, 503);
    assert!(
        health.contains("unhealthy") && health.contains("recommendations"),
        "{health}"
    );
    rig.node.rpc.call("simnet_fault", json!(["clear"]));
    rig.pool.wait_until_ready();
    rig.miner();
}

/// A pool of the main network before a node of regtest.
fn on_the_wrong_network(folder: &TempDir, node: &Node) -> Pool {
    let settings = PoolSettings {
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    let mut pool = Pool::start_without_waiting(folder, &settings);
    pool.process.kill();
    let config = folder.path().join("adit.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("network = \"regtest\"", "network = \"main\"");
    let text = text.replace(ADDRESS, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4");
    let text = text.replace("/data\"", "/other\"");
    std::fs::write(&config, text).unwrap();
    pool.start_again();
    pool
}

#[test]
fn a42_a_pool_before_a_daemon_of_another_network_says_so_and_waits() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let mut pool = on_the_wrong_network(&folder, &node);
    let names_both = |text: &str| text.contains("\"regtest\", not on \"main\"");
    wait_for("the reason", || {
        let (status, body) = pool.get("/ready")?;
        let body = body.replace('\\', "");
        (status == 503 && names_both(&body)).then_some(())
    });
    let log = pool.process.log_text();
    let line = log.lines().find(|line| line.contains("daemon is not fit"));
    let line = line.expect("the log says it").replace('\\', "");
    assert!(names_both(&line), "{line}");
    let status = pool.status();
    assert_eq!(status["template"], Value::Null);
    assert_eq!(status["daemons"][0]["fit"], false);
    // A miner gets no job, and the pool does not end.
    let mut miner = Miner::connect(pool.miners);
    miner.send("mining.subscribe", json!(["test/1"]));
    let user = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.test";
    miner.send("mining.authorize", json!([user, "x"]));
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let heard = miner.overheard(Duration::from_millis(200));
        assert!(!heard.contains("mining.notify"), "{heard}");
    }
    assert!(pool.process.is_running());
    let file = folder.path().join("adit.toml");
    let checked = run(&["config", "-c", file.to_str().unwrap(), "--check"]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{text}");
    let failed = |line: &str| line.starts_with("FAIL daemon") && names_both(line);
    assert!(text.lines().any(failed), "{text}");
}

#[test]
fn a42_the_database_of_another_chain_gets_no_shares() {
    let folder = TempDir::new().unwrap();
    let first = Node::regtest(&folder);
    // Both call themselves regtest; their first blocks differ.
    let other = Node::start(&folder, "other", &["--spacing", "600"]);
    let settings = PoolSettings {
        daemons: first.rpc.daemon(),
        ..PoolSettings::default()
    };
    let mut pool = Pool::start(&folder, &settings);
    pool.process.kill();
    let config = folder.path().join("adit.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let (right, wrong) = (first.rpc.port.to_string(), other.rpc.port.to_string());
    let exchanged = text.replace(&right, &wrong);
    assert_ne!(exchanged, text);
    std::fs::write(&config, exchanged).unwrap();
    pool.start_again();
    wait_for("the reason", || {
        let (status, body) = pool.get("/ready")?;
        (status == 503 && body.contains("the database is of the chain")).then_some(())
    });
    let genesis = first.rpc.call("getblockhash", json!([0]));
    let log = pool.process.log_text();
    let line = log
        .lines()
        .find(|line| line.contains("the database is of another chain than the daemon"));
    let line = line.expect("the log says it");
    assert!(line.contains(genesis.as_str().unwrap()), "{line}");
    assert_eq!(pool.status()["template"], Value::Null);
    assert_eq!(pool.status()["shares"]["stored"], 0);
    pool.process.kill();
    std::fs::write(&config, text).unwrap();
    pool.start_again();
    pool.wait_until_ready();
    Miner::ready(pool.miners);
}

#[test]
fn a43_a_block_is_left_by_the_chain_and_taken_back() {
    let rig = Rig::regtest();
    let mut miner = rig.miner();
    let state = |state: &str| {
        wait_for(state, || {
            let block = rig.pool.last_block()?;
            (block["state"] == state).then_some(block)
        })
    };
    let solution = miner.block(1, None);
    assert_eq!(miner.submit(&solution)["result"], true);
    state("immature");
    rig.node.rpc.call("simnet_reorganise", json!([1]));
    state("orphaned");
    assert_eq!(rig.pool.status()["blocks"]["found"], 1);
    // The branch that took its place is found to be bad.
    let other = rig.node.rpc.call("getblockhash", json!([1]));
    rig.node.rpc.call("invalidateblock", json!([other]));
    state("immature");
    rig.node
        .rpc
        .call("generatetoaddress", json!([101, ADDRESS]));
    state("mature");
    let blocks = rig.pool.status()["blocks"].clone();
    assert_eq!(
        (&blocks["found"], &blocks["mature"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(rig.stored(), 1);
}

#[test]
fn a44_nothing_is_mature_before_its_time() {
    let rig = Rig::regtest();
    let (node, pool) = (&rig.node.rpc, &rig.pool);
    let mut miner = rig.miner();
    let solution = miner.block(1, None);
    assert_eq!(
        miner.submit(&solution)["result"],
        true,
        "a block is a share too"
    );
    wait_for("the node to have it", || (node.height() == 1).then_some(()));
    let id = solution.hash.to_string();
    assert_eq!(node.call("getblockhash", json!([1])), id.as_str());
    let kept = rig.folder.path().join(format!("data/blocks/main/{id}.hex"));
    wait_for("the raw block on the disk", || kept.exists().then_some(()));
    let block = wait_for("the block to be seen", || {
        pool.last_block()
            .filter(|block| block["state"] == "immature")
    });
    assert_eq!(block["hash"], id.as_str());
    assert_eq!(block["height"], 1);
    assert_eq!(block["reward"], "5000000000");
    assert_eq!(block["confirmations"], 1);
    let verbose = node.call("getblock", json!([id, 2]));
    let outputs = verbose["tx"][0]["vout"].as_array().unwrap();
    assert_eq!(
        outputs[0]["scriptPubKey"]["hex"],
        "0014751e76e8199196d454941c45d1b3a323f1433bd6"
    );
    assert_eq!(verbose["tx"][0]["locktime"], 0, "height - 1");

    node.call("generatetoaddress", json!([98, ADDRESS]));
    let block = wait_for("99 confirmations", || {
        pool.last_block()
            .filter(|block| block["confirmations"] == 99)
    });
    assert_eq!(block["state"], "immature");
    node.call("generatetoaddress", json!([1, ADDRESS]));
    wait_for("maturity", || {
        pool.last_block().filter(|block| block["state"] == "mature")
    });
    wait_for("the raw block to be forgotten", || {
        (!kept.exists()).then_some(())
    });
}

#[test]
fn a44_a_chain_that_leaves_a_mature_block_is_told() {
    let rig = Rig::regtest();
    let mut miner = rig.miner();
    let state = |state: &str| {
        wait_for(state, || {
            (rig.pool.last_block()?["state"] == state).then_some(())
        });
    };
    let solution = miner.block(1, None);
    assert_eq!(miner.submit(&solution)["result"], true);
    wait_for("the block", || (rig.node.rpc.height() == 1).then_some(()));
    rig.node
        .rpc
        .call("generatetoaddress", json!([119, ADDRESS]));
    state("mature");
    rig.node.rpc.call("simnet_reorganise", json!([120]));
    let id = solution.hash.to_string();
    let health = wait_for("health to name the block", || {
        let (_, health) = rig.pool.get("/health")?;
        health.contains(&id).then_some(health)
    });
    assert!(health.contains("degraded"), "{health}");
    state("orphaned");
    let log = rig.pool.process.log_text();
    let is_told = |line: &&str| {
        line.contains("ERROR") && line.contains("left a mature block") && line.contains(&id)
    };
    assert_eq!(log.lines().filter(is_told).count(), 1);
    let (_, metrics) = rig.pool.get("/metrics").unwrap();
    let counted =
        |line: &str| line.starts_with("adit_mature_blocks_left_total") && line.ends_with(" 1");
    assert!(metrics.lines().any(counted), "{metrics}");
    // The chain comes back, and all is as before.
    let other = rig.node.rpc.call("getblockhash", json!([1]));
    rig.node.rpc.call("invalidateblock", json!([other]));
    state("mature");
    let (_, health) = rig.pool.get("/health").unwrap();
    assert!(!health.contains(&id), "{health}");
}
