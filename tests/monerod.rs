//! Real monerod and its wallet: Monero's miners find blocks, and are paid for them.

mod agree;
mod beside;
pub(crate) mod chain;
mod failover;
mod handshakes;
mod limits;
mod load;
pub(crate) mod miner;
mod paid;
mod self_select;
mod shared_port;
mod signed;
mod trust;
mod unfit;
mod xmrig;

use serde_json::{Value, json};
use tempfile::TempDir;

use self::{
    chain::{Chain, SOMEBODY},
    miner::{Miner, Share},
};
use crate::{
    money,
    support::{Pool, PoolSettings, Process, adit, wait_for},
};

/// One hash in 20 is a share.
const ONE_IN_20: &str = "start_difficulty = 20.0\nmin_difficulty = 20.0\nmax_difficulty = 20.0\n\
                         messages_per_second_max = 0\nshares_per_second_max = 0\n";
/// The hashes behind a block, where shares are to be no blocks.
const NETWORK: u64 = 200;
/// Verified light, with one thread: tests are many, and the machine is one.
const LIGHT: &str = "randomx = { mode = \"light\", threads = 1 }\n";

fn pool(folder: &TempDir, chain: &Chain, address: &str, lines: &str, listener: &str) -> Pool {
    Pool::start(
        folder,
        &PoolSettings {
            coin: "monero",
            address,
            pool: &format!("{LIGHT}{lines}"),
            listener,
            daemons: chain.daemon(),
            ..PoolSettings::default()
        },
    )
}

#[track_caller]
fn assert_refused(told: &Value, text: &str) {
    assert_eq!(told["error"]["code"], -1, "{told}");
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.starts_with(text), "{told}");
}

/// The texts are those that miners act on, each for what it means.
#[test]
fn each_share_of_monero_is_verified_and_each_refusal_says_what_it_is() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, NETWORK);
    let pool = pool(&folder, &chain, SOMEBODY, "", ONE_IN_20);
    let mut miner = Miner::ready(pool.miners, &format!("{SOMEBODY}.rig"));
    let share = miner.no_block(0, NETWORK);
    assert_eq!(miner.submit(&share)["result"]["status"], "OK");
    assert_refused(&miner.submit(&share), "Duplicate share");
    let forged = Share {
        result: "00".repeat(32),
        ..share.clone()
    };
    assert_refused(&miner.submit(&forged), "Rejected share: invalid result");
    // Whoever has that hash one day is no second one.
    assert_refused(&miner.submit(&forged), "Rejected share: invalid result");
    assert_refused(&miner.submit(&miner.too_easy()), "Low difficulty share");
    let unknown = Share {
        job: json!("ffffffff"),
        ..share.clone()
    };
    assert_refused(&miner.submit(&unknown), "Invalid job id");
    let params = json!({
        "id": miner.session, "job_id": share.job, "nonce": share.nonce, "result": share.result,
        "algo": "rx/2",
    });
    assert_refused(&miner.ask("submit", params), "Incorrect algorithm");
    let alive = miner.ask("keepalived", json!({"id": miner.session}));
    assert_eq!(alive["result"]["status"], "KEEPALIVED");
    assert!(miner.ask("getjob", json!({"id": miner.session}))["result"].is_null());
    assert_refused(
        &miner.ask("getjob", json!({"id": "other"})),
        "Unauthenticated",
    );
    assert_refused(&miner.ask("dance", json!({})), "Invalid method");
    let lines = miner.ask("submit", json!(["a", "b"]));
    assert_refused(&lines, "params is an array");

    // Somebody else finds a block: the old jobs are over, and the miner need not log in anew.
    let late = miner.no_block(1_000_000, NETWORK);
    chain.generate(1, SOMEBODY);
    miner.hear_new_job();
    assert_refused(&miner.submit(&late), "Block expired");
    let share = miner.no_block(0, NETWORK);
    assert_eq!(miner.submit(&share)["result"]["status"], "OK");

    // What reads four bytes alone is told four.
    let mut old = Miner::connect(pool.miners);
    let params = json!({"login": SOMEBODY, "pass": "x", "agent": "cpuminer-multi/1.3"});
    let told = old.ask("login", params);
    old.session = told["result"]["id"].clone();
    old.job = told["result"]["job"].clone();
    assert_eq!(old.job["target"], "cccccc0c", "{told}");
    let share = old.no_block(0, NETWORK);
    assert_eq!(old.submit(&share)["result"]["status"], "OK");

    let status = pool.status();
    assert_eq!(status["shares"]["stored"], 3, "{status}");
    // What claims to be a block and is none is seen by no daemon.
    assert_eq!(status["blocks"]["found"], 0, "{status}");
    assert_eq!(pool.rejected("wrong_result"), 2);
    // Nobody has said that any should be believed.
    for (name, count) in [("verified", 3), ("forged", 2), ("believed", 0)] {
        let name = format!("adit_shares_{name}_total");
        assert_eq!(pool.metric(&name), count, "{name}");
    }
    assert!(status["verification"]["trust_after"].is_null(), "{status}");
    assert_eq!(pool.rejected("duplicate"), 1);
    assert_eq!(pool.rejected("low_difficulty"), 1);
    assert_eq!(pool.rejected("stale"), 1);
}

/// XMRig would stay on and do nothing: whoever is refused is hung up on after the answer.
#[test]
fn a_login_that_is_refused_says_why_and_is_hung_up_on() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, NETWORK);
    let pool = pool(&folder, &chain, SOMEBODY, "", ONE_IN_20);
    let refused = |params: Value, text: &str| {
        let mut miner = Miner::connect(pool.miners);
        let told = miner.ask("login", params);
        assert_refused(&told, text);
        assert!(miner.line().is_none(), "{text}");
    };
    refused(json!({"login": "x"}), "Invalid payment address provided");
    let mut typo = SOMEBODY.to_owned();
    typo.replace_range(20..21, if &typo[20..21] == "a" { "b" } else { "a" });
    refused(json!({"login": typo}), "Invalid payment address provided");
    // Of Monero's test network.
    let test = "9wviCeWe2D8XS82k2ovp5EUYLzBt9pYNW2LXUFsZiv8S3Mt21FZ5qQaAroko1enzw3eGr9qC7X1D7Geoo2RrAotYPwq9Gm8";
    refused(json!({"login": test}), "Invalid payment address provided");
    let other = json!({"login": SOMEBODY, "algo": ["cn/r", "kawpow"]});
    refused(other, "No compatible algorithm found");
    let own = json!({"login": SOMEBODY, "mode": "self-select"});
    refused(own, "Permission denied");

    let mut miner = Miner::ready(pool.miners, SOMEBODY);
    assert_refused(&miner.log_in(SOMEBODY), "No double login is allowed");
    assert!(miner.line().is_none());
    // Before a login, and in Bitcoin's words.
    let mut miner = Miner::connect(pool.miners);
    let early = json!({"id": "x", "job_id": "1", "nonce": "00000000", "result": "00".repeat(32)});
    assert_refused(&miner.ask("submit", early), "Unauthenticated");
    let told = miner.ask("mining.subscribe", json!([]));
    assert_eq!(
        told["error"][1],
        "This port is for miners of Monero (randomx)"
    );
    // As all that are let in.
    let told = miner.log_in(&format!("{SOMEBODY}.rig+37"));
    assert_eq!(told["result"]["job"]["algo"], "rx/0", "{told}");
    let target = (u64::MAX / 20).to_le_bytes();
    assert_eq!(
        miner.job["target"],
        hex::encode(target),
        "the listener allows no other"
    );
    let (status, page) = pool.get("/api/v1/status").unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("\"algorithm\":\"randomx\""), "{page}");
    // Those that were hung up on count until the pool has seen their ends.
    wait_for("one miner", || {
        (pool.status()["connected"] == 1).then_some(())
    });
}

/// What the program's own miner finds is in the chain. A chain that leaves a block takes its credits back,
/// even where the daemon does not know any more that it had it.
#[test]
fn adit_mine_finds_blocks_of_monero_and_a_reorganisation_orphans_one() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, 50);
    let pool = pool(&folder, &chain, SOMEBODY, "maturity = 3\n", ONE_IN_20);
    let url = format!("stratum+tcp://127.0.0.1:{}", pool.miners);
    let user = format!("{SOMEBODY}.rig");
    let arguments = [
        "mine",
        "--url",
        &url,
        "--user",
        &user,
        "--randomx-mode",
        "light",
    ];
    let mut miner = Process::start(adit(&arguments), folder.path().join("mine.log"));
    wait_for("two blocks", || {
        let found = pool.status()["blocks"]["immature"].as_u64().unwrap();
        (found >= 2).then_some(())
    });
    assert!(miner.stop().success());
    // A block that was under way is none that comes later.
    wait_for("the end of its connection", || {
        (pool.status()["connected"] == 0).then_some(())
    });
    let blocks = || {
        let (_, page) = pool.get("/api/v1/pools/main/blocks").unwrap();
        let page: Value = serde_json::from_str(&page).unwrap();
        page["items"].as_array().unwrap().clone()
    };
    let last = wait_for("the newest block's state", || {
        let tip = json!(chain.height());
        let is_tip = |block: &Value| block["height"] == tip && block["state"] == "immature";
        blocks().into_iter().find(is_tip)
    });
    let is = |state: &str| {
        let block = blocks()
            .into_iter()
            .find(|block| block["hash"] == last["hash"]);
        block.unwrap()["state"] == state
    };
    chain.undo(1);
    chain.generate(2, SOMEBODY);
    // It may yet come back, as far as anybody knows.
    assert!(is("immature"));
    // Twice as deep as usual where miners were slow to hear of a block, and others of them became orphans.
    chain.generate(4, SOMEBODY);
    wait_for("the orphan", || is("orphaned").then_some(()));
    let books = money::ask(folder.path(), &["ledger", "check"]);
    assert_eq!(books["balance"], true, "{books}");
}
