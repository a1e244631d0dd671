//! What a pool owes is paid whatever its node does: blocks that were found while it was hosted mature, and are paid, while
//! the node mines elsewhere or alone.

use serde_json::{Value, json};

use super::{PROP, do_it, mode, node, node_of, share, state};
use crate::{
    money::{OTHER, balances, is_open, on_chain},
    support::{ADDRESS, wait_for},
    work::{HARD, Vision, worker::Worker},
};

/// One hash in 2,000 is a block, so that not many come while the node mines alone.
const NODE: &[&str] = &[
    "--algorithm",
    "visionx",
    "--difficulty",
    "2000",
    "--maturity",
    "2",
];
const PAYING: &str =
    "[pool.payout]\nenabled = true\nevery_s = 1\nconfirmations = 2\nfee_rate = \"0.00005\"\n";

/// So many shares of two workers, the last of which is a block that the chain has.
#[track_caller]
fn find_block(own: &Vision, shares: [u64; 2]) -> Value {
    let (rpc, port) = (&own.node.rpc, own.pool.miners);
    let one = Worker::register(port, "one", ADDRESS);
    let two = Worker::register(port, "two", OTHER);
    let height = rpc.height();
    let job = wait_for("work on the newest tip", || {
        let job = two.job();
        (job["height"] == height + 1).then_some(job)
    });
    (0..shares[0]).for_each(|_| drop(share(&one)));
    (1..shares[1]).for_each(|_| drop(share(&two)));
    let block = two.mine_to(&job, job["target"].as_str().unwrap());
    let told = two.submit(&block).json();
    assert_eq!(told["message"], "Block found!", "{told}");
    wait_for("the block", || (rpc.height() == height + 1).then_some(()));
    assert_eq!(rpc.call("getblockhash", json!([height + 1])), block["hash"]);
    block["hash"].clone()
}

/// What the API says was paid to an address, and is confirmed.
fn confirmed(own: &Vision, address: &str) -> u64 {
    let path = format!("/api/v1/miners/{address}/payouts");
    let Some((200, text)) = own.pool.get(&path) else {
        return 0;
    };
    let payouts: Value = serde_json::from_str(&text).unwrap();
    let payouts = payouts["items"].as_array().unwrap().iter();
    payouts
        .filter(|payout| payout["state"] == "confirmed")
        .map(|payout| payout["amount"].as_str().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// Blocks come until the two workers are paid this in all, and nobody is owed anything.
#[track_caller]
fn wait_until_paid(own: &Vision, due: [u64; 2]) {
    let (rpc, addresses) = (&own.node.rpc, [ADDRESS, OTHER]);
    wait_for("all to be paid", || {
        rpc.call("generatetoaddress", json!([1, ADDRESS]));
        (addresses.map(|address| confirmed(own, address)) == due).then_some(())
    });
    assert_eq!(addresses.map(|address| on_chain(rpc, address)), due);
    let books = balances(own.folder());
    assert!(!books.keys().any(|name| is_open(name)), "{books:?}");
}

/// The state of a block, as the node tells it in any mode.
fn state_of(own: &Vision, hash: &Value) -> Option<Value> {
    let path = "/api/v1/pools/main/blocks?limit=500";
    let blocks = own.pool.question("GET", path).ask().json();
    let mut blocks = blocks["items"].as_array()?.iter();
    let block = blocks.find(|block| block["hash"] == *hash)?;
    Some(block["state"].clone())
}

#[test]
fn a_block_of_a_pool_is_paid_while_its_node_has_joined_another_one_and_while_it_mines_alone() {
    let other = node("host", "", HARD);
    let own = node_of("host", "", NODE, &format!("{PROP}{PAYING}"));
    // Nothing of it is mature when the pool closes.
    let first = find_block(&own, [3, 2]);
    let url = format!("http://127.0.0.1:{}", other.pool.miners);
    do_it(&own.pool, "/pool/mode", json!({"mode": "join", "url": url}));
    wait_for("an accepted share there", || {
        (state(&own.pool)["worker"]["accepted"].as_u64()? > 0).then_some(())
    });
    assert_ne!(state_of(&own, &first), Some(json!("mature")));
    // Of 48.5 coins by fifths.
    wait_until_paid(&own, [2_910_000_000, 1_940_000_000]);
    assert_eq!(mode(&own.pool), "join_pool");
    assert_eq!(state_of(&own, &first), Some(json!("mature")));

    do_it(&own.pool, "/pool/start", json!({}));
    own.pool.wait_until_ready();
    let second = find_block(&own, [1, 1]);
    do_it(&own.pool, "/pool/stop", json!({}));
    // By halves, on top of what was paid before.
    wait_until_paid(&own, [5_335_000_000, 4_365_000_000]);
    assert_eq!(mode(&own.pool), "solo");
    assert_eq!(state_of(&own, &second), Some(json!("mature")));
}
