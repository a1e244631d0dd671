//! Bitcoin and Monero in one process: each has its ports and its work, and what befalls one leaves the other
//! alone.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    LIGHT, NETWORK, ONE_IN_20, assert_refused,
    chain::{Chain, SOMEBODY},
    miner,
};
use crate::support::{Miner, Node, Pool, PoolSettings, free_port, wait_for};

#[test]
fn a_coin_that_fails_leaves_the_other_alone() {
    let folder = TempDir::new().unwrap();
    let mut node = Node::simnet(&folder);
    let chain = Chain::start(&folder, NETWORK);
    let port = free_port();
    let monero = format!(
        "[[pool]]\nname = \"xmr\"\ncoin = \"monero\"\nnetwork = \"regtest\"\n\
         payout_address = \"{SOMEBODY}\"\n{LIGHT}[[pool.listener]]\n\
         listen = \"127.0.0.1:{port}\"\n{ONE_IN_20}{}",
        chain.daemon()
    );
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            daemons: node.rpc.daemon() + &monero,
            ..PoolSettings::default()
        },
    );
    let of = |name: &str| -> Value {
        let (_, page) = pool.get(&format!("/api/v1/pools/{name}")).unwrap();
        serde_json::from_str(&page).unwrap()
    };
    wait_for("work of both", || {
        let is_there = |name: &str| !of(name)["template"].is_null();
        (is_there("main") && is_there("xmr")).then_some(())
    });
    let mut asic = Miner::ready(pool.miners);
    let share = asic.share(1);
    assert_eq!(asic.submit(&share)["result"], true);
    let mut cpu = miner::Miner::ready(port, &format!("{SOMEBODY}.rig"));
    let share = cpu.no_block(0, NETWORK);
    assert_eq!(cpu.submit(&share)["result"]["status"], "OK");
    assert_eq!(of("main")["algorithm"], "sha256d");
    assert_eq!(of("xmr")["template"]["difficulty"], json!(200.0));
    assert_eq!(
        (&of("xmr")["algorithm"], &of("xmr")["ticker"]),
        (&json!("randomx"), &json!("XMR"))
    );

    // Each port is one coin's, and says whose to miners of the other.
    let mut lost = miner::Miner::connect(pool.miners);
    let told = lost.ask(
        "login",
        json!({"login": SOMEBODY, "pass": "x", "agent": "XMRig"}),
    );
    assert_refused(&told, "This port is for miners of Bitcoin (sha256d)");
    assert!(lost.line().is_none());

    node.kill();
    wait_for("the end of Bitcoin's work", || {
        of("main")["stopped"].is_string().then_some(())
    });
    let share = cpu.no_block(1_000_000, NETWORK);
    assert_eq!(cpu.submit(&share)["result"]["status"], "OK");
    assert!(of("xmr")["stopped"].is_null());
    node.start_again();
    wait_for("Bitcoin's work", || {
        of("main")["stopped"].is_null().then_some(())
    });
    let mut asic = Miner::ready(pool.miners);
    let share = asic.share(2);
    assert_eq!(asic.submit(&share)["result"], true);
}
