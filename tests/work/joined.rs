//! Three programs that join a pool over HTTP, as three people start them: from their shares to their payment.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Vision,
    mine::{count, mine, summary, url},
    money::{PAYING, new_address, parts, told},
    worker::Worker,
};
use crate::{
    money::{OTHER, balances, is_open, on_chain, say},
    support::{ADDRESS, Process, wait_for, wait_within},
};

/// The hashes of a share: so many that a worker sends no more than it may.
const HASHES: i64 = 16;
const ONE_IN_16: &str = "start_difficulty = 16.0\nmin_difficulty = 16.0\nmax_difficulty = 16.0\n\
                         share_time_s = 3600\n";
const NODE: &[&str] = &[
    "--algorithm",
    "visionx",
    "--difficulty",
    "5000",
    "--maturity",
    "3",
];
/// What becomes of a reward, in hundredths of a percent: the pool's fee, that of the foundation, and the miners' part.
const PERCENTS: [i64; 3] = [200, 100, 9700];
/// A block that came too late for its own share is waited for by the books for a minute.
const LATE: Duration = Duration::from_secs(180);

fn number(value: &Value) -> i64 {
    value.as_str().unwrap().parse().unwrap()
}

fn sum(list: &[Value], key: &str) -> i64 {
    list.iter().map(|it| number(&it[key])).sum()
}

/// Whoever finds a block, each round pays by what each has done in it, to the unit, all work is in one round, and the
/// node's wallet pays it.
#[test]
fn three_programs_join_over_http_and_each_is_paid_for_its_work_to_the_unit() {
    let host = Vision::start(NODE, PAYING, ONE_IN_16);
    let (rpc, pool) = (&host.node.rpc, &host.pool);
    let own = new_address(&host.node);
    let addresses = [ADDRESS, OTHER, &own];
    let folders = [(); 3].map(|()| TempDir::new().unwrap());
    let mut programs: Vec<Process> = addresses
        .iter()
        .zip(&folders)
        .map(|(address, folder)| {
            let user = format!("{address}.rig");
            mine(folder.path(), &[&url(pool)], &user, &["--throttle", "5"])
        })
        .collect();
    wait_for("shares of each, and a block of one", || {
        let all = programs.iter().all(|it| count(it, "accepted") >= 3);
        (all && rpc.height() >= 1).then_some(())
    });
    let mut accepted = Vec::new();
    for program in &mut programs {
        assert!(program.stop().success());
        let summary = summary(program);
        for reason in summary["rejected"].as_object().unwrap().keys() {
            assert_eq!(reason, "stale job id", "{summary}");
        }
        accepted.push(summary["accepted"].as_i64().unwrap());
    }
    assert_eq!(pool.rejected("wrong_result"), 0);
    let first = rpc.call("getblockhash", json!([1]));
    let found = wait_for("the block in the list", || {
        let blocks = pool.status()["blocks"]["last"].clone();
        let mut blocks = blocks.as_array()?.iter();
        blocks.find(|block| block["hash"] == first).cloned()
    });
    let is_one = |address: &&str| found["worker"] == format!("{address}.rig");
    assert!(addresses.iter().any(is_one), "{found}");
    close_the_round(&host, &own);

    // All work is in a round that was split.
    let (shares, credits) = wait_within(LATE, "all work in a round", || {
        let rigs = addresses.map(|address| told(pool, address, "workers"));
        let credits = addresses.map(|address| told(pool, address, "credits"));
        let work = |lists: &[Vec<Value>; 3]| lists.each_ref().map(|list| sum(list, "work"));
        (work(&rigs) == work(&credits)).then_some((rigs.map(of_program), credits))
    });
    // Each share that was answered with yes is there, and at most one more whose answer its end cut off.
    for (shares, accepted) in shares.iter().zip(&accepted) {
        let is_right = (*accepted..=accepted + 1).contains(shares);
        assert!(is_right, "{shares} for {accepted}");
    }
    assert_split(&addresses, &credits);

    wait_for("all to be paid", || {
        rpc.call("generatetoaddress", json!([1, ADDRESS]));
        let blocks = &pool.status()["blocks"];
        let is_over = blocks["submitted"] == 0 && blocks["immature"] == 0;
        let is_paid = !balances(host.folder()).keys().any(|name| is_open(name));
        (is_over && is_paid).then_some(())
    });
    let due = addresses.map(|address| {
        let mut credits = told(pool, address, "credits");
        credits.retain(|credit| credit["state"] == "mature");
        sum(&credits, "amount")
    });
    let paid = addresses.map(|address| i64::try_from(on_chain(rpc, address)).unwrap());
    assert_eq!(paid, due);
    let all: i64 = paid.iter().sum();
    assert!(all > 0, "{paid:?}");
    assert_eq!(balances(host.folder())["paid"], (all, 0));
    say(host.folder(), &["ledger", "check"]);
}

/// The shares of the program among the workers of an address.
#[track_caller]
fn of_program(workers: Vec<Value>) -> i64 {
    let program = workers.iter().find(|it| it["name"] == "rig").unwrap();
    let shares = program["shares"].as_i64().unwrap();
    assert_eq!(number(&program["work"]), shares * HASHES);
    shares
}

/// Finds a block for this address when nobody mines any more, so that no work is left in an open round.
#[track_caller]
fn close_the_round(host: &Vision, address: &str) {
    let worker = Worker::register(host.pool.miners, "closing", address);
    let job = wait_for("work on the newest tip", || {
        let job = worker.job();
        (job["height"] == host.node.rpc.height() + 1).then_some(job)
    });
    let block = worker.mine_to(&job, job["target"].as_str().unwrap());
    let told = worker.submit(&block).json();
    assert_eq!(told["message"], "Block found!");
}

/// Each block of these credits pays all of the miners' part by the work of each, to the unit.
#[track_caller]
fn assert_split(addresses: &[&str], credits: &[Vec<Value>]) {
    let mut blocks: BTreeMap<&str, BTreeMap<&str, &Value>> = BTreeMap::new();
    for (address, list) in addresses.iter().zip(credits) {
        for credit in list {
            let block = credit["block"].as_str().unwrap();
            blocks.entry(block).or_default().insert(address, credit);
        }
    }
    let mut paid: BTreeSet<&str> = BTreeSet::new();
    for (block, credits) in &blocks {
        let of = |key: &str| -> Vec<i64> { credits.values().map(|it| number(&it[key])).collect() };
        let (work, reward) = (of("work"), of("reward")[0]);
        let taken = parts(reward, &PERCENTS);
        assert_eq!(of("fees")[0], taken[0] + taken[1], "{credits:?}");
        assert_eq!(of("amount"), parts(taken[2], &work), "{block}");
        let all: i64 = work.iter().sum();
        assert_eq!(of("window_work")[0], all, "{credits:?}");
        assert!(work.iter().all(|work| work % HASHES == 0), "{credits:?}");
        paid.extend(credits.keys());
    }
    assert_eq!(paid.len(), addresses.len(), "somebody has no credit");
}
