//! A listener whose blocks pay the miner that solves them.

use serde_json::json;

use crate::support::{ADDRESS, FIXED_DIFFICULTY, Miner, Node, Rig, assert_rejected};

/// Another one than the pool's.
const OTHER: &str = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";
const OTHER_SCRIPT: &str = "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262";

#[test]
fn a_solo_miner_is_paid_by_its_own_coinbase() {
    let listener = format!("{FIXED_DIFFICULTY}scheme = \"solo\"\n");
    let rig = Rig::of("", &listener, Node::regtest);
    let mut miner = Miner::connect(rig.pool.miners);
    miner.log_in(OTHER);
    let coinbase2 = hex::encode(&miner.job.as_ref().unwrap().work.coinbase2);
    assert!(coinbase2.contains(OTHER_SCRIPT), "{coinbase2}");
    let height = rig.node.rpc.height();
    let block = miner.block(1, None);
    let tip = miner.job.as_ref().unwrap().work.previous_block;
    let params = Miner::params(OTHER, &block);
    assert_eq!(miner.ask("mining.submit", params)["result"], true);
    rig.wait_for_height(height + 1);
    let hash = rig.node.rpc.call("getblockhash", json!([height + 1]));
    let found = rig.node.rpc.call("getblock", json!([hash, 2]));
    let paid = &found["tx"][0]["vout"][0];
    assert_eq!(paid["scriptPubKey"]["hex"], OTHER_SCRIPT, "{found}");
    assert_eq!(paid["value"].as_f64(), Some(50.0), "{found}");
    // The next job pays it again, and another miner itself.
    while miner.job.as_ref().unwrap().work.previous_block == tip {
        miner.hear();
    }
    let work = &miner.job.as_ref().unwrap().work;
    assert!(hex::encode(&work.coinbase2).contains(OTHER_SCRIPT));
    let pools = rig.miner();
    let work = &pools.job.as_ref().unwrap().work;
    assert!(!hex::encode(&work.coinbase2).contains(OTHER_SCRIPT));
    let second = miner.ask("mining.authorize", json!([ADDRESS, "x"]));
    assert_rejected(&second, 24, "One address for each connection");
}
