//! The pool and its daemons: blocks, outages, orphans, restarts.

use serde_json::json;
use tempfile::TempDir;

use crate::support::{ADDRESS, DEVICES, Miner, Node, Pool, PoolSettings, adit, loopback, wait_for};

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
        let solution = miner.block(7, Some(bits));
        assert_eq!(miner.submit(&solution)["result"], true, "{agent}");
        let height = u64::try_from(height).unwrap();
        wait_for("the block", || (node.rpc.height() == height).then_some(()));
    }
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
    let solution = miner.block(1, None);
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
    // Whoever copies the one file has all of it.
    let log = pool.database().with_extension("db-wal");
    assert!(pool.database().exists() && !log.exists(), "{log:?}");
    pool.start_again();
    pool.wait_until_ready();
    assert_eq!(pool.status()["shares"]["stored"], 40);
    let (status, metrics) = pool.get("/metrics").unwrap();
    assert_eq!(status, 200);
    assert!(metrics.contains("adit_shares_accepted_total") && metrics.ends_with("# EOF\n"));
    assert_eq!(pool.get("/nowhere").unwrap().0, 404);
    let (status, page) = pool.get("/").unwrap();
    assert!(status == 200 && page.contains(">adit</a>"));
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
    let text = text.replace(ADDRESS, "rltc1qw508d6qejxtdg4y5r3zarvary0c5xw7k693xs3");
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
