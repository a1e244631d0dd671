//! From the shares of workers of HTTP to their payment by the node's wallet.

use std::{cmp::Reverse, collections::BTreeMap};

use serde_json::{Value, json};

use super::{ONE_IN_4, Vision, refused};
use crate::{
    money::{ask, balances, is_open, miner, say},
    support::{ADDRESS, FIXED_DIFFICULTY, Miner, Node, Pool, Rig, wait_for},
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
pub(super) const PAYING: &str = "scheme = \"prop\"\nmaturity = 3\n[[pool.fee]]\nname = \"pool\"\npercent = 2\n\
                      [[pool.fee]]\nname = \"foundation\"\npercent = 1\n\
                      [pool.payout]\nenabled = true\nevery_s = 1\nconfirmations = 2\nfee_rate = \"0.00005\"\n";

/// The parts of an amount by what each has done: whole units, and those that are left to the largest fractions, one
/// each, of equal ones to the first.
pub(super) fn parts(amount: i64, work: &[i64]) -> Vec<i64> {
    let sum: i64 = work.iter().sum();
    let mut parts: Vec<i64> = work.iter().map(|work| amount * work / sum).collect();
    let left = amount - parts.iter().sum::<i64>();
    let mut places: Vec<usize> = (0..work.len()).collect();
    places.sort_by_key(|place| Reverse(amount * work[*place] % sum));
    for place in places.into_iter().take(usize::try_from(left).unwrap()) {
        parts[place] += 1;
    }
    parts
}

/// What the API tells a miner of itself, as a list.
#[track_caller]
pub(super) fn told(pool: &Pool, address: &str, what: &str) -> Vec<Value> {
    let path = format!("/api/v1/miners/{address}/{what}?limit=500");
    let mut told = pool.question("GET", &path).ask().json();
    assert!(told["next"].is_null(), "{told}");
    serde_json::from_value(told["items"].take()).unwrap()
}

/// An address of the node's wallet.
pub(super) fn new_address(node: &Node) -> String {
    let address = node.rpc.call("getnewaddress", json!([]));
    address.as_str().unwrap().to_owned()
}

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

/// Two workers of HTTP and two miners of Stratum, of four addresses, in one round of Bitcoin. The block that one of them
/// finds is split by what each has done, to the unit.
#[test]
fn workers_of_http_and_of_stratum_share_a_round_of_bitcoin() {
    /// Shares of each, the one that is the block among them.
    const SHARES: [u64; 4] = [3, 5, 2, 7];
    let settings = "scheme = \"prop\"\nmaturity = 3\n";
    let rig = Rig::of(settings, FIXED_DIFFICULTY, Node::simnet);
    let (rpc, pool, port) = (&rig.node.rpc, &rig.pool, rig.pool.miners);
    let own = [(); 2].map(|()| new_address(&rig.node));
    let addresses = [ADDRESS, OTHER, &own[0], &own[1]];
    let by_http = [("first", ADDRESS), ("second", OTHER)]
        .map(|(id, address)| Worker::register(port, id, address));
    let users = own.each_ref().map(|address| format!("{address}.rig"));
    let mut by_stratum = users.each_ref().map(|user| {
        let mut miner = Miner::connect(port);
        miner.log_in(user);
        miner
    });
    // They take turns, until each has done its part; the last share of the second is the block.
    for turn in 0..7 {
        for (worker, shares) in by_http.iter().zip([3, 4]) {
            if turn < shares {
                let job = worker.job();
                assert_eq!(job["algorithm"], "sha256d");
                let share = no_block(worker, &job);
                let answer = worker.submit(&share);
                assert_eq!(answer.status, 200, "{answer:?}");
                if turn == 0 {
                    refused(&worker.submit(&share), 400, "Duplicate share");
                    what_is_wrong_is_refused(worker, &job);
                }
            }
        }
        for ((miner, user), shares) in by_stratum.iter_mut().zip(&users).zip(&SHARES[2..]) {
            if turn < *shares {
                let params = Miner::params(user, &miner.share(turn));
                let answer = miner.ask("mining.submit", params);
                assert_eq!(answer["result"], true, "{answer}");
            }
        }
    }
    assert_eq!(rpc.height(), 0);
    let block = by_http[1].bitcoin_block(&by_http[1].job());
    let told_of_block = by_http[1].submit(&block).json();
    assert_eq!(told_of_block["message"], "Block found!");
    wait_for("the block", || (rpc.height() == 1).then_some(()));
    assert_eq!(rpc.call("getblockhash", json!([1])), block["hash"]);
    let counted = wait_for("all shares to be counted", || {
        let of = |address: &&str| -> u64 {
            let workers = told(pool, address, "workers");
            let shares = workers.iter().map(|it| it["shares"].as_u64().unwrap());
            shares.sum()
        };
        let counted = addresses.each_ref().map(of);
        (pool.status()["shares"]["stored"] == 17).then_some(counted)
    });
    assert_eq!(counted, SHARES);
    // One hash in 16 is a share of either protocol's.
    assert_eq!(rig.work(), 17 * 16);

    // A block's 50 coins, less 1.5 and 1 percent, by seventeenths.
    let done = SHARES.map(|shares| i64::try_from(shares).unwrap());
    let split = parts(4_875_000_000, &done);
    assert_eq!(
        split,
        [860_294_118, 1_433_823_529, 573_529_412, 2_007_352_941]
    );
    let fees = [
        ("reward", -5_000_000_000),
        ("fee:pool", 75_000_000),
        ("fee:foundation", 50_000_000),
    ];
    let fees = fees.map(|(account, amount)| (account.to_owned(), amount));
    let miners = addresses.iter().map(|address| miner(address)).zip(split);
    let due: Vec<(String, i64)> = miners.chain(fees).collect();
    let books = |entered: fn(i64) -> (i64, i64)| -> BTreeMap<String, (i64, i64)> {
        let due = due.iter();
        due.map(|(account, amount)| (account.clone(), entered(*amount)))
            .collect()
    };
    let entered = wait_for("the block in the books", || {
        let books = balances(&pool.folder);
        (!books.is_empty()).then_some(books)
    });
    assert_eq!(entered, books(|amount| (0, amount)));
    rpc.call("generatetoaddress", json!([3, ADDRESS]));
    let mature = wait_for("the block to be mature", || {
        let books = balances(&pool.folder);
        (books["reward"].0 != 0).then_some(books)
    });
    assert_eq!(mature, books(|amount| (amount, 0)));
    say(&pool.folder, &["ledger", "check"]);
}

/// Each for its reason; none of it counts.
#[track_caller]
fn what_is_wrong_is_refused(worker: &Worker, job: &Value) {
    let mut outside = worker.mine(job);
    let (start, end) = worker.range();
    outside["extra_nonce"] = json!(end);
    let text = format!("extra_nonce: yours are from {start} to below {end}");
    refused(&worker.submit(&outside), 400, &text);
    let mut forged = no_block(worker, job);
    forged["hash"] = json!("00".repeat(32));
    refused(
        &worker.submit(&forged),
        400,
        "Rejected share: invalid result",
    );
}
