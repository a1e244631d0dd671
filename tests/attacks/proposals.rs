//! Blocks that the daemon would refuse, found before anybody has solved one.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::{Rig, blocks::fault};
use crate::support::{ADDRESS, Node, Pool, PoolSettings, wait_for};

/// The classes of devices: each has a coinbase of its own.
const CLASSES: u64 = 6;

/// Longer than proposals wait for their turn.
const A_WHILE: Duration = Duration::from_secs(4);

/// A pool that mines on nothing but the node's own templates.
fn rig(before: impl Fn(&Node)) -> Rig {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    before(&node);
    let settings = PoolSettings {
        daemons: node.rpc.daemon() + "subsidy_only = false\n",
        ..PoolSettings::default()
    };
    Rig {
        pool: Pool::start(&folder, &settings),
        node,
        folder,
    }
}

fn metric(rig: &Rig, name: &str) -> u64 {
    let (_, text) = rig.pool.get("/metrics").unwrap();
    let start = format!("{name}{{");
    let line = text.lines().find(|line| line.starts_with(&start)).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[track_caller]
fn wait_for_proposals(rig: &Rig, count: u64) {
    wait_for("the proposals", || {
        (metric(rig, "adit_proposals_total") >= count).then_some(())
    });
    std::thread::sleep(A_WHILE);
    assert_eq!(metric(rig, "adit_proposals_total"), count);
}

#[test]
fn a39_every_new_shape_of_block_is_proposed_to_the_daemon_once() {
    let rig = rig(|_| {});
    let node = &rig.node.rpc;
    wait_for_proposals(&rig, CLASSES);
    let own = node.call("getnewaddress", json!([]));
    node.call("generatetoaddress", json!([101, own]));
    wait_for_proposals(&rig, CLASSES);
    // With a transaction it is another block.
    node.call("sendtoaddress", json!([ADDRESS, 1]));
    node.call("generatetoaddress", json!([1, ADDRESS]));
    node.call("sendtoaddress", json!([ADDRESS, 1]));
    wait_for_proposals(&rig, 2 * CLASSES);
    assert_eq!(metric(&rig, "adit_proposals_refused_total"), 0);
    let (_, health) = rig.pool.get("/health").unwrap();
    assert!(!health.contains("degraded"), "{health}");
}

#[test]
fn a39_a_block_that_would_be_refused_is_told_and_holds_up_nothing() {
    let rig = rig(|node| fault(node, "proposals", json!({"reason": "bad-cb-amount"})));
    wait_for("the refusals", || {
        (metric(&rig, "adit_proposals_refused_total") == CLASSES).then_some(())
    });
    // Each is counted first and then told.
    let is_told = |line: &&str| line.contains("ERROR") && line.contains("bad-cb-amount");
    let told = || {
        let log = rig.pool.process.log_text();
        log.lines().filter(is_told).count()
    };
    wait_for("all to be told", || (told() >= 6).then_some(()));
    assert_eq!(told(), 6);
    let (status, health) = rig.pool.get("/health").unwrap();
    assert_eq!(status, 200);
    assert!(health.contains("degraded"), "{health}");
    assert!(health.contains("bad-cb-amount (class rental"), "{health}");
    // It says so and goes on: only the daemon's verdict on a solved block counts.
    let mut miner = rig.miner();
    let solution = miner.block(1, None);
    assert_eq!(miner.submit(&solution)["result"], true);
    wait_for("the block", || (rig.node.rpc.height() == 1).then_some(()));
}

#[test]
fn a39_a_daemon_that_does_not_know_proposals_is_left_alone() {
    let rig = rig(|_| {});
    wait_for_proposals(&rig, CLASSES);
    // A new shape, which it does not answer.
    let node = &rig.node.rpc;
    let own = node.call("getnewaddress", json!([]));
    node.call("generatetoaddress", json!([101, own]));
    fault(
        &rig.node,
        "proposals",
        json!({"code": -8, "reason": "Invalid mode"}),
    );
    node.call("sendtoaddress", json!([ADDRESS, 1]));
    node.call("generatetoaddress", json!([1, ADDRESS]));
    node.call("sendtoaddress", json!([ADDRESS, 1]));
    wait_for("the answers", || {
        let log = rig.pool.process.log_text();
        (log.matches("no block was checked").count() == 6).then_some(())
    });
    assert_eq!(metric(&rig, "adit_proposals_total"), CLASSES);
    assert_eq!(metric(&rig, "adit_proposals_refused_total"), 0);
    let (_, health) = rig.pool.get("/health").unwrap();
    assert!(!health.contains("degraded"), "{health}");
    assert!(!rig.pool.process.log_text().contains("ERROR"));
}
