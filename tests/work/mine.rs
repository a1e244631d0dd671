//! `adit mine` at pools of HTTP: real nodes, a real pool, and the program that comes with it.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{HARD, ONE_IN_4, Vision};
use crate::{
    monerod::chain::{Chain, SOMEBODY},
    support::{ADDRESS, FIXED_DIFFICULTY, Node, Pool, PoolSettings, Process, Rig, adit, wait_for},
};

/// The program, as it is started by a person; its events are in its log.
pub(super) fn mine(folder: &Path, urls: &[&str], user: &str, more: &[&str]) -> Process {
    let mut arguments = vec!["mine", "--user", user, "--threads", "1", "--json"];
    for url in urls {
        arguments.extend(["--url", url]);
    }
    arguments.extend(more);
    Process::start(adit(&arguments), folder.join("mine.log"))
}

pub(super) fn url(pool: &Pool) -> String {
    format!("http://127.0.0.1:{}", pool.miners)
}

/// What it has told so far.
fn events(miner: &Process) -> Vec<Value> {
    let log = miner.log_text();
    let lines = log.lines().filter(|line| line.starts_with('{'));
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

pub(super) fn count(miner: &Process, kind: &str) -> usize {
    let told = events(miner);
    told.iter().filter(|event| event["event"] == kind).count()
}

/// Its last words, once it has ended.
#[track_caller]
pub(super) fn summary(miner: &Process) -> Value {
    let told = events(miner);
    let last = told.last().expect("it has told something").clone();
    assert_eq!(last["event"], "summary", "{last}");
    last
}

#[test]
fn adit_mine_finds_a_visionx_block_over_http() {
    let folder = TempDir::new().unwrap();
    let host = Vision::start(
        &["--algorithm", "visionx", "--difficulty", "100"],
        "",
        ONE_IN_4,
    );
    let user = format!("{ADDRESS}.rig1");
    let mut miner = mine(
        folder.path(),
        &[&url(&host.pool)],
        &user,
        &["--throttle", "50"],
    );
    wait_for("a block of the worker's", || {
        (host.node.rpc.height() >= 2).then_some(())
    });
    assert!(miner.stop().success());
    let summary = summary(&miner);
    assert!(summary["accepted"].as_u64() >= Some(2), "{summary}");
    assert_eq!(summary["unanswered"], 0, "{summary}");
    // What was late is all that may have been refused.
    for reason in summary["rejected"].as_object().unwrap().keys() {
        assert_eq!(reason, "stale job id", "{summary}");
    }
    let found = wait_for("the block in the books", || host.pool.last_block());
    assert_eq!(found["worker"], user, "{found}");
    assert_eq!(host.pool.rejected("wrong_result"), 0);
    assert_eq!(host.pool.rejected("duplicate"), 0);
}

/// The node mines all but two blocks of the first epoch, and the program finds those, and goes on in the second one.
#[test]
fn adit_mine_goes_from_one_epoch_into_the_next_and_no_share_of_it_is_wrong() {
    /// Blocks of an epoch, by the figures for tests.
    const EPOCH: u64 = 32;
    let folder = TempDir::new().unwrap();
    let flags = ["--algorithm", "visionx", "--difficulty", "100"];
    let host = Vision::start(&flags, "", ONE_IN_4);
    let rpc = &host.node.rpc;
    rpc.call("generatetoaddress", json!([EPOCH - 3, ADDRESS]));
    let looking = host.worker("looking");
    let before = wait_for("work on the newest tip", || {
        let job = looking.job();
        (job["height"] == EPOCH - 2).then_some(job)
    });
    assert_eq!(before["visionx"]["epoch_blocks"], EPOCH);
    assert_eq!(before["epoch"], 0);
    let user = format!("{ADDRESS}.rig1");
    let more = ["--throttle", "50"];
    let mut miner = mine(folder.path(), &[&url(&host.pool)], &user, &more);
    let heights = wait_for("blocks and shares of the next epoch", || {
        let heights = accepted_at(&miner);
        let has_shares = heights.iter().any(|height| *height > EPOCH);
        (has_shares && rpc.height() >= EPOCH + 2).then_some(heights)
    });
    assert!(miner.stop().success());
    assert!(heights.iter().any(|height| *height < EPOCH), "{heights:?}");
    let summary = summary(&miner);
    assert_eq!(summary["unanswered"], 0, "{summary}");
    for reason in summary["rejected"].as_object().unwrap().keys() {
        assert_eq!(reason, "stale job id", "{summary}");
    }
    assert_eq!(host.pool.rejected("wrong_result"), 0);
    // The node has taken the last block of the one epoch, and the first ones of the other, and they are the worker's.
    for height in [EPOCH - 2, EPOCH - 1, EPOCH, EPOCH + 1, EPOCH + 2] {
        let hash = rpc.call("getblockhash", json!([height]));
        let found = wait_for("the block in the list", || {
            let blocks = host.pool.status()["blocks"]["last"].clone();
            let mut blocks = blocks.as_array()?.iter();
            blocks.find(|block| block["hash"] == hash).cloned()
        });
        assert_eq!(
            (&found["height"], &found["worker"]),
            (&json!(height), &json!(user))
        );
    }
    let after = looking.job();
    assert_eq!(after["epoch"], 1, "{after}");
    assert_ne!(after["epoch_seed"], before["epoch_seed"]);
}

/// The heights of the jobs whose shares were accepted.
fn accepted_at(miner: &Process) -> Vec<u64> {
    let told = events(miner);
    let accepted = told.iter().filter(|event| event["event"] == "accepted");
    let height = |event: &Value| {
        let (height, _) = event["job_id"].as_str()?.split_once('-')?;
        height.parse().ok()
    };
    accepted.map(|event| height(event).unwrap()).collect()
}

#[test]
fn adit_mine_earns_shares_of_bitcoin_over_http_beside_stratum() {
    let folder = TempDir::new().unwrap();
    let rig = Rig::with(FIXED_DIFFICULTY);
    let user = format!("{ADDRESS}.http");
    let more = ["--shares", "60", "--fail-fast", "--throttle", "1"];
    let mut miner = mine(folder.path(), &[&url(&rig.pool)], &user, &more);
    assert!(miner.wait().success());
    let summary = summary(&miner);
    // One more may be under way when the last is answered.
    assert!(summary["accepted"].as_u64() >= Some(60), "{summary}");
    assert_eq!(rig.pool.rejected("wrong_result"), 0);
    assert_eq!(rig.pool.rejected("duplicate"), 0);
    wait_for("the shares on the disk", || {
        (rig.pool.status()["shares"]["stored"].as_u64() >= Some(60)).then_some(())
    });
}

/// Nobody says what to hash but the pool.
#[test]
fn adit_mine_earns_shares_of_scrypt_over_http() {
    let folder = TempDir::new().unwrap();
    let node = Node::start(&folder, "node", &["--algorithm", "scrypt"]);
    let address = "rltc1qw508d6qejxtdg4y5r3zarvary0c5xw7k693xs3";
    let settings = PoolSettings {
        coin: "litecoin",
        address,
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    let pool = Pool::start(&folder, &settings);
    let user = format!("{address}.rig1");
    let more = ["--shares", "5", "--throttle", "10"];
    let mut miner = mine(folder.path(), &[&url(&pool)], &user, &more);
    assert!(miner.wait().success());
    assert!(summary(&miner)["accepted"].as_u64() >= Some(5));
    assert_eq!(pool.rejected("wrong_result"), 0);
}

#[test]
fn adit_mine_finds_a_block_of_monero_over_http() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, 50);
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            coin: "monero",
            address: SOMEBODY,
            pool: "randomx = { mode = \"light\", threads = 1 }\n",
            listener: "start_difficulty = 20.0\nmin_difficulty = 20.0\nmax_difficulty = 20.0\n",
            daemons: chain.daemon(),
            ..PoolSettings::default()
        },
    );
    let before = chain.height();
    let user = format!("{SOMEBODY}.rig");
    let more = ["--randomx-mode", "light"];
    let mut miner = mine(folder.path(), &[&url(&pool)], &user, &more);
    wait_for("a block of the worker's", || {
        (chain.height() > before && count(&miner, "accepted") > 0).then_some(())
    });
    assert!(miner.stop().success());
    let summary = summary(&miner);
    assert_eq!(summary["unanswered"], 0, "{summary}");
    assert_eq!(pool.rejected("wrong_result"), 0);
    assert_eq!(pool.rejected("duplicate"), 0);
}

#[test]
fn a_pool_that_was_killed_is_mined_for_again_under_a_new_registration() {
    let folder = TempDir::new().unwrap();
    let mut host = Vision::start(HARD, "", ONE_IN_4);
    let user = format!("{ADDRESS}.rig1");
    let more = ["--algorithm", "visionx", "--throttle", "2"];
    let mut miner = mine(folder.path(), &[&url(&host.pool)], &user, &more);
    wait_for("some shares", || {
        (count(&miner, "accepted") >= 3).then_some(())
    });
    host.pool.process.kill();
    wait_for("the worker to notice", || {
        (count(&miner, "disconnected") >= 1).then_some(())
    });
    let before = count(&miner, "accepted");
    host.pool.start_again();
    host.pool.wait_until_ready();
    wait_for("shares by the new registration", || {
        (count(&miner, "accepted") >= before + 3).then_some(())
    });
    assert!(miner.stop().success());
    let summary = summary(&miner);
    assert_eq!(summary["connections"], 2, "{summary}");
    // All that were answered with yes are on the disk, over both lives of the pool.
    let accepted = summary["accepted"].as_u64();
    let stored = host.pool.status()["shares"]["stored"].as_u64();
    assert!(stored >= accepted, "{stored:?} {summary}");
    assert_eq!(host.pool.rejected("wrong_result"), 0);
}

#[test]
fn two_programs_of_one_name_are_two_workers_and_each_has_its_own_nonces() {
    let folders = [(); 2].map(|()| TempDir::new().unwrap());
    let host = Vision::start(HARD, "", ONE_IN_4);
    let user = format!("{ADDRESS}.rig1");
    let miners = folders.each_ref().map(|folder| {
        mine(
            folder.path(),
            &[&url(&host.pool)],
            &user,
            &["--shares", "10", "--throttle", "10"],
        )
    });
    for mut miner in miners {
        assert!(miner.wait().success());
        let summary = summary(&miner);
        assert_eq!(summary["rejected"], json!({}), "{summary}");
    }
    assert_eq!(host.pool.rejected("duplicate"), 0);
    // Both are the same worker where work is paid for.
    let stats = host.worker("looking").get("/pool/stats").json();
    let names: Vec<&Value> = stats["workers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|worker| worker["worker_name"] == "rig1")
        .map(|worker| &worker["worker_id"])
        .collect();
    assert!(names.len() == 2 && names[0] != names[1], "{stats}");
}

#[test]
fn who_is_not_let_in_is_told_why_and_goes_to_the_next_pool() {
    let folder = TempDir::new().unwrap();
    let host = Vision::start(HARD, "", ONE_IN_4);
    let url = url(&host.pool);
    let user = format!("{SOMEBODY}.rig1");
    let mut miner = mine(folder.path(), &[&url], &user, &["--fail-fast"]);
    assert!(!miner.wait().success());
    let log = miner.log_text();
    assert!(
        log.contains("does not register") && log.contains("wallet_address"),
        "{log}"
    );

    // A page that is no pool stands first.
    let page = format!("http://127.0.0.1:{}", host.pool.http);
    let user = format!("{ADDRESS}.rig1");
    let more = ["--shares", "2", "--throttle", "10"];
    let mut miner = mine(folder.path(), &[&page, &url], &user, &more);
    assert!(miner.wait().success());
    let summary = summary(&miner);
    assert_eq!(summary["pool"], json!(url), "{summary}");
}
