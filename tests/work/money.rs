//! From the shares of workers of HTTP to their payment by the node's wallet.

use serde_json::{Value, json};

use super::{ONE_IN_4, Vision};
use crate::{
    money::{ask, balances, is_open, miner, say},
    support::{ADDRESS, wait_for},
    work::worker::Worker,
};

/// Another miner.
const OTHER: &str = crate::money::OTHER;
/// One hash in 400 is a block, so that a share is none by chance, nearly always.
const NODE: &[&str] = &[
    "--algorithm",
    "visionx",
    "--difficulty",
    "400",
    "--maturity",
    "3",
];
const PAYING: &str = "scheme = \"prop\"\nmaturity = 3\n[[pool.fee]]\nname = \"pool\"\npercent = 2\n\
                      [[pool.fee]]\nname = \"foundation\"\npercent = 1\n\
                      [pool.payout]\nenabled = true\nevery_s = 1\nconfirmations = 2\nfee_rate = \"0.00005\"\n";

/// A share that is no block.
pub(super) fn share(worker: &Worker) {
    let answer = worker.submit(&no_block(worker, &worker.job()));
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// One of this job, as it is sent.
pub(super) fn no_block(worker: &Worker, job: &Value) -> Value {
    let block = job["target"].as_str().unwrap();
    let share = std::iter::repeat_with(|| worker.mine(job))
        .find(|share| share["hash"].as_str().unwrap() > block);
    share.unwrap()
}

/// Seven tenths and three tenths of a round, with the pool killed in the middle of it: who has worked is paid what
/// the formula of the fees says, to the unit, by the wallet of the node.
#[test]
fn a_block_of_a_worker_is_accepted_matures_and_pays_the_round() {
    let mut host = Vision::start(NODE, PAYING, ONE_IN_4);
    let folder = host.folder().to_owned();
    let port = host.pool.miners;
    let register = |id: &str, wallet: &str| Worker::register(port, id, wallet);
    let (one, two) = (register("one", ADDRESS), register("two", OTHER));
    (0..3).for_each(|_| share(&one));
    (0..3).for_each(|_| share(&two));
    host.pool.process.kill();
    host.pool.start_again();
    host.pool.wait_until_ready();
    // Nobody knows it any more, and it may come as it came first.
    let gone = one.get("/pool/job?worker_id=one");
    assert_eq!(
        (gone.status, gone.text.as_str()),
        (400, "worker one is unknown: register first")
    );
    let one = register("one", ADDRESS);
    (0..3).for_each(|_| share(&one));
    // Two thirds of the round, of what fees leave of a block; told as soon as all of it is rolled up.
    wait_for("an estimate by all shares", || {
        let stats = one.get("/pool/stats").json();
        (stats["workers"][0]["estimated_payout"] == 3_233_333_333_u64).then_some(())
    });
    let job = one.job();
    let block = one.mine_to(&job, job["target"].as_str().unwrap());
    let told = one.submit(&block).json();
    assert_eq!(
        (&told["message"], &told["is_block"]),
        (&json!("Block found!"), &json!(true))
    );
    wait_for("the block", || (host.node.rpc.height() == 1).then_some(()));
    let found = host.pool.last_block().unwrap();
    assert_eq!(found["hash"], block["hash"]);
    assert_eq!(
        host.node.rpc.call("getblockhash", json!([1])),
        block["hash"]
    );
    wait_for("the block in the books", || {
        balances(&folder)
            .contains_key("fee:foundation")
            .then_some(())
    });
    let books = balances(&folder);
    assert_eq!(books["reward"], (0, -5_000_000_000));
    assert_eq!(books["fee:foundation"], (0, 50_000_000));
    assert_eq!(books["fee:pool"], (0, 100_000_000));
    assert_eq!(books[&miner(ADDRESS)], (0, 3_395_000_000));
    assert_eq!(books[&miner(OTHER)], (0, 1_455_000_000));
    wait_for("all to be paid", || {
        host.node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
        let books = balances(&folder);
        let is_paid = books.get("paid").is_some_and(|(paid, _)| *paid > 0);
        (is_paid && !books.keys().any(|name| is_open(name))).then_some(())
    });
    assert_eq!(balances(&folder)["paid"].0, 4_850_000_000);
    let payouts = ask(&folder, &["payout", "list"]);
    for payout in payouts.as_array().unwrap() {
        let txid = &payout["txid"];
        let seen = host.node.rpc.call("gettransaction", json!([txid]));
        assert!(seen["confirmations"].as_u64().unwrap() >= 2, "{seen}");
    }
    say(&folder, &["ledger", "check"]);
    let metrics = one.get("/pool/metrics").json();
    assert_eq!(metrics["blocks_found"], 1);
    assert_eq!(metrics["total_payouts"], payouts.as_array().unwrap().len());
    assert_eq!(metrics["total_payouts_land"], 4_850_000_000_u64);
}
