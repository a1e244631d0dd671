//! The HTTP work protocol through its door: a pool that is hosted on a simulated node, and workers that register,
//! fetch jobs and send shares by plain HTTP.

mod joined;
mod load;
mod mine;
mod money;
mod solo;
pub(crate) mod worker;

use std::{
    collections::BTreeSet,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::{
    money::no_block,
    worker::{Answer, Worker},
};
use crate::{
    money::OTHER,
    support::{ADDRESS, Miner, Node, Pool, PoolSettings, free_port, wait_for},
};

/// One VisionX hash in 4 is a share, one in 1,000 a block.
pub(crate) const ONE_IN_4: &str = "start_difficulty = 4.0\nmin_difficulty = 4.0\nmax_difficulty = 4.0\n\
                        share_time_s = 3600\n";
/// Shares and no blocks.
pub(crate) const HARD: &[&str] = &["--algorithm", "visionx", "--difficulty", "1000000"];
/// The pool verifies one hash with the network's figures within this time, on any machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// The longest that a worker can have its answer held back.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A pool on a VisionX chain with these flags.
pub(crate) struct Vision {
    pub(crate) pool: Pool,
    pub(crate) node: Node,
    folder: TempDir,
}

impl Vision {
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn start(flags: &[&str], pool: &str, listener: &str) -> Self {
        Self::of("pool", "", flags, pool, listener)
    }

    /// With this subcommand, and these lines behind `[http]`.
    pub(crate) fn of(
        subcommand: &'static str,
        http: &str,
        flags: &[&str],
        pool: &str,
        listener: &str,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let node = Node::start(&folder, "node", flags);
        let address = node.rpc.call("getnewaddress", json!([]));
        let settings = PoolSettings {
            subcommand,
            http,
            coin: "vision",
            address: address.as_str().unwrap(),
            pool,
            listener,
            daemons: node.rpc.daemon(),
            ..PoolSettings::default()
        };
        Self {
            pool: Pool::start(&folder, &settings),
            node,
            folder,
        }
    }

    fn worker(&self, id: &str) -> Worker {
        Worker::register(self.pool.miners, id, ADDRESS)
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status, answer.text.as_str()), (status, text));
}

#[test]
fn three_workers_register_with_ranges_of_their_own_and_earn_shares() {
    let host = Vision::start(HARD, "", ONE_IN_4);
    let workers = ["one", "two", "three"].map(|id| host.worker(id));
    let jobs = workers.each_ref().map(Worker::job);
    let range_of = |job: &Value| {
        let number = |key: &str| job[key].as_u64().unwrap();
        (number("extra_nonce_start"), number("extra_nonce_end"))
    };
    // What a job says is what the registration said.
    let mut ranges: Vec<(u64, u64)> = jobs.iter().map(range_of).collect();
    let registered: Vec<(u64, u64)> = workers.iter().map(Worker::range).collect();
    assert_eq!(ranges, registered);
    ranges.sort_unstable();
    assert!(
        ranges.iter().all(|(start, end)| start < end)
            && ranges.windows(2).all(|two| two[0].1 <= two[1].0),
        "{ranges:?}"
    );
    // No two of them hash the same message, whatever nonces they try.
    let messages: BTreeSet<&str> = jobs
        .iter()
        .map(|job| job["message"].as_str().unwrap())
        .collect();
    assert_eq!(messages.len(), workers.len(), "{jobs:?}");
    for (worker, job) in workers.iter().zip(jobs) {
        assert_eq!(job["algorithm"], "visionx");
        assert_eq!(job["height"], 1);
        assert_eq!(job["difficulty"], 1_000_000);
        // A job is the same one until there is other work.
        assert_eq!(worker.job()["job_id"], job["job_id"]);
        let share = worker.mine(&job);
        let answer = worker.submit(&share);
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = answer.json();
        assert_eq!(told["message"], "Share accepted");
        assert_eq!(
            (&told["ok"], &told["is_block"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(told["total_shares"], 1);
    }
    let stats = workers[0].get("/pool/stats").json();
    assert_eq!(stats["worker_count"], 3);
    assert_eq!(stats["total_shares"], 3);
    assert_eq!(stats["workers"][0]["worker_id"], "one");
    let metrics = workers[0].get("/api/pool/metrics").json();
    assert_eq!(metrics["total_shares_received"], 3);
    assert_eq!(metrics["invalid_shares_received"], 0);
    assert_eq!(metrics["invalid_share_rate"], "0.00%");
    assert_eq!(host.pool.status()["shares"]["stored"], 3);
    let mode = workers[0].get("/pool/mode").json();
    assert_eq!(
        mode,
        json!({"mode": "host_pool", "is_hosting": true, "is_worker": false})
    );
}

/// The network's figures: the worker hashes in the 256 MiB that the definition fills, the pool without them.
#[test]
fn a_share_with_the_figures_of_the_network_is_verified() {
    let flags = &["--figures", "mainnet"];
    let host = Vision::start(&[HARD, flags].concat(), "", ONE_IN_4);
    let worker = host.worker("rig");
    let job = worker.job();
    assert_eq!(job["visionx"]["dataset_mib"], 256, "{job}");
    let share = worker.mine(&job);
    // The worker has hashed; what is measured is what the pool takes for its answer.
    let sent = Instant::now();
    let answer = worker.submit(&share);
    let took = sent.elapsed();
    assert_eq!(answer.json()["message"], "Share accepted");
    assert!(took < ANSWERED_WITHIN, "{took:?}");
    let mut forged = share.clone();
    forged["nonce"] = json!(share["nonce"].as_u64().unwrap() + 1);
    forged["hash"] = json!("00".repeat(32));
    let sent = Instant::now();
    refused(
        &worker.submit(&forged),
        400,
        "Rejected share: invalid result",
    );
    let took = sent.elapsed();
    assert!(took < ANSWERED_WITHIN, "{took:?}");
    assert_eq!(host.pool.status()["shares"]["stored"], 1);
}

#[test]
fn what_is_wrong_is_refused_and_counted() {
    let host = Vision::start(HARD, "", ONE_IN_4);
    let worker = host.worker("honest");
    let job = worker.job();
    let share = worker.mine(&job);
    assert_eq!(worker.submit(&share).status, 200);
    refused(&worker.submit(&share), 400, "Duplicate share");
    // A digest that meets the target and is not the nonce's.
    let mut forged = worker.mine(&job);
    forged["hash"] = json!("00".repeat(32));
    refused(
        &worker.submit(&forged),
        400,
        "Rejected share: invalid result",
    );
    // It is not a block either.
    assert_eq!(host.node.rpc.height(), 0);
    let mut easy = worker.mine(&job);
    easy["hash"] = json!("ff".repeat(32));
    refused(&worker.submit(&easy), 400, "share misses its target");
    let changed = |key: &str, value: Value| {
        let mut changed = worker.mine(&job);
        changed[key] = value;
        worker.submit(&changed)
    };
    refused(&changed("job_id", json!("1-99")), 400, "stale job id");
    refused(&changed("job_id", json!("+1-1")), 400, "stale job id");
    refused(&changed("hash", json!("xyz")), 400, "hash is not hex");
    refused(
        &changed("hash", json!("00")),
        400,
        "hash is not of 32 bytes",
    );
    refused(
        &changed("worker_id", json!("nobody")),
        400,
        "worker nobody is unknown: register first",
    );
    let other = changed("wallet_address", json!("bcrt1qsomebodyelse"));
    refused(
        &other,
        400,
        "wallet_address is not the one that was registered",
    );
    assert!(
        changed("nonce", json!(-1))
            .text
            .starts_with("body: invalid value")
    );
    // Of the same name, without its token.
    let thief = Worker::with_token(host.pool.miners, "honest", ADDRESS, None);
    refused(
        &thief.submit(&worker.mine(&job)),
        401,
        "the token is not that of worker honest",
    );
    let again = thief.registration();
    refused(&again, 400, "worker honest is registered already");
    // With its token it may register again, for the same wallet only.
    assert_eq!(worker.registration().status, 200);
    let query = format!("/pool/job?worker_id={}", "honest");
    refused(
        &thief.get(&query),
        401,
        "the token is not that of worker honest",
    );
    refused(&thief.get("/pool/job"), 400, "no worker_id given");
    let metrics = worker.get("/pool/metrics").json();
    assert_eq!(metrics["invalid_shares_received"], 3);
    assert_eq!(host.pool.rejected("wrong_result"), 1);
    assert_eq!(host.pool.status()["shares"]["stored"], 1);
}

#[test]
fn more_than_a_tenth_of_a_hundred_invalid_shares_bans_a_worker_and_nobody_else() {
    let host = Vision::start(HARD, "[pool.bans]\nenabled = false\n", ONE_IN_4);
    let (liar, honest) = (host.worker("liar"), host.worker("honest"));
    let job = liar.job();
    let forged = |nonce: u64| {
        json!({"worker_id": "liar", "job_id": job["job_id"], "nonce": nonce, "extra_nonce": 0,
               "hash": format!("{nonce:064x}")})
    };
    for nonce in 1..=90 {
        let share = liar.submit(&no_block(&liar, &job));
        assert_eq!(share.status, 200, "{share:?}");
        liar.wait_for_rate(nonce);
    }
    // Exactly a tenth is none too many, the next one is.
    for nonce in 91..=101 {
        let answer = liar.submit(&forged(nonce));
        refused(&answer, 400, "Rejected share: invalid result");
    }
    refused(&liar.submit(&forged(102)), 403, "worker liar is banned");
    refused(
        &liar.get("/pool/job?worker_id=liar"),
        403,
        "worker liar is banned",
    );
    refused(&liar.registration(), 403, "worker liar is banned");
    let share = honest.mine(&honest.job());
    assert_eq!(honest.submit(&share).status, 200);
    // An operator lifts it, once, and it begins as whoever comes first.
    let bans = host.pool.question("GET", "/api/v1/bans").ask().json();
    let bans = &bans["pools"][0];
    assert_eq!(bans["count"], 0, "{bans}");
    let banned: Vec<&Value> = bans["workers"].as_array().unwrap().iter().collect();
    assert_eq!(banned.len(), 1, "{bans}");
    assert_eq!(banned[0]["worker"], "liar");
    let lift = |worker: &str| {
        let path = format!("/api/v1/bans/workers/{worker}");
        host.pool.question("DELETE", &path).ask().status
    };
    assert_eq!(lift("honest"), 404);
    assert_eq!((lift("liar"), lift("liar")), (204, 404));
    let share = liar.mine(&liar.job());
    assert_eq!(liar.submit(&share).status, 200);
    let answer = liar.submit(&forged(103));
    refused(&answer, 400, "Rejected share: invalid result");
}

/// A later protocol's calls come where shares do.
#[test]
fn a_call_of_json_rpc_is_told_from_a_share_and_never_counted() {
    let host = Vision::start(HARD, "", ONE_IN_4);
    let worker = host.worker("one");
    let mut share = worker.mine(&worker.job());
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "submit_share", "params": share});
    let told = json!({"jsonrpc": "2.0", "id": 7,
                      "error": {"code": -32601, "message": "Method not found"}});
    for path in ["/pool/share", "/api/pool/share", "/pool/metrics"] {
        assert_eq!(worker.post(path, &call).json(), told, "{path}");
    }
    share["jsonrpc"] = json!("2.0");
    assert_eq!(worker.submit(&share).json()["error"]["code"], -32600);
    let metrics = worker.get("/pool/metrics").json();
    assert_eq!(metrics["total_shares_received"], 0);
    assert_eq!(metrics["invalid_shares_received"], 0);
    share.as_object_mut().unwrap().remove("jsonrpc");
    assert_eq!(worker.submit(&share).status, 200);
}

#[test]
fn three_workers_that_wait_hear_of_a_block_at_once_and_the_job_before_is_stale() {
    let mined_soon = ["--algorithm", "visionx", "--difficulty", "1000"];
    // Work that has not changed is not offered again meanwhile.
    let host = Vision::start(&mined_soon, "refresh_s = 3600\n", ONE_IN_4);
    let workers = ["one", "two", "three"].map(|id| host.worker(id));
    let before = workers.each_ref().map(Worker::job);
    let shares: Vec<Value> = workers
        .iter()
        .zip(&before)
        .map(|(worker, job)| no_block(worker, job))
        .collect();
    let told = thread::scope(|scope| {
        let waiting = workers.each_ref().map(|worker| {
            scope.spawn(move || {
                let (id, wait) = (worker.id(), LONGEST_WAIT.as_secs());
                let begun = Instant::now();
                let job = worker.get(&format!("/pool/job?worker_id={id}&wait={wait}"));
                (job.json(), begun.elapsed())
            })
        });
        thread::sleep(Duration::from_millis(500));
        // Nobody is told anything as long as there is nothing to tell.
        let is_waiting = waiting.iter().all(|thread| !thread.is_finished());
        host.node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
        assert!(is_waiting, "an answer before the block");
        waiting.map(|thread| thread.join().unwrap())
    });
    for ((job, waited), before) in told.iter().zip(&before) {
        assert_eq!((&before["height"], &job["height"]), (&json!(1), &json!(2)));
        assert_ne!(job["prev_hash"], before["prev_hash"]);
        // It was the block that ended the wait, and not its own end.
        assert!(*waited < LONGEST_WAIT / 2, "{waited:?}");
    }
    for (worker, share) in workers.iter().zip(&shares) {
        refused(&worker.submit(share), 400, "stale job id");
    }
    // Late is not wrong.
    let metrics = workers[0].get("/pool/metrics").json();
    assert_eq!(metrics["invalid_shares_received"], 0);
}

/// Two ports of one pool: at one of them a name is all there is, at the other one it takes the token, too.
#[test]
fn a_program_that_knows_of_no_token_is_let_in_where_the_port_says_so_and_nowhere_else() {
    let strict_port = free_port();
    let listeners = format!(
        "{ONE_IN_4}http_without_token = true\n\
         [[pool.listener]]\nlisten = \"127.0.0.1:{strict_port}\"\n{ONE_IN_4}"
    );
    let host = Vision::start(HARD, "", &listeners);
    let open_port = host.pool.miners;
    let old = |port| Worker::with_token(port, "old", ADDRESS, None);
    let (open, strict) = (old(open_port), old(strict_port));
    // Both are given a token, and do not read it.
    for worker in [&open, &strict] {
        let told = worker.registration().json();
        assert!(told["ok"] == true && told["token"].is_string(), "{told}");
    }
    let share = open.mine(&open.job());
    let told = open.submit(&share).json();
    assert_eq!(told["message"], "Share accepted");
    // It may come again as it came first, but for nobody else's wallet.
    assert_eq!(open.registration().json()["ok"], true);
    let thief = Worker::with_token(open_port, "old", OTHER, None);
    refused(
        &thief.registration(),
        400,
        "wallet_address is not the one that was registered",
    );
    // A token that is wrong is not none.
    let wrong = format!("adit_{}", "0".repeat(64));
    let liar = Worker::with_token(open_port, "old", ADDRESS, Some(&wrong));
    let kept_out = |worker: &Worker| {
        let text = "the token is not that of worker old";
        refused(&worker.get("/pool/job?worker_id=old"), 401, text);
        refused(&worker.submit(&share), 401, text);
        let text = "worker old is registered already";
        refused(&worker.registration(), 400, text);
    };
    kept_out(&liar);
    kept_out(&strict);
    assert_eq!(host.pool.status()["shares"]["stored"], 1);
    assert_eq!(open.get("/pool/stats").json()["total_shares"], 1);
    assert_eq!(strict.get("/pool/stats").json()["total_shares"], 0);
}

#[test]
fn one_address_has_as_many_workers_as_connections_and_asks_no_faster() {
    let few = format!("{ONE_IN_4}connections_per_address_max = 2\nmessages_per_second_max = 5\n");
    let host = Vision::start(HARD, "", &few);
    // A connection counts until the pool has seen its end.
    let port = host.pool.miners;
    let kept =
        ["one", "two"].map(|id| wait_for("its place", || Worker::try_register(port, id, ADDRESS)));
    let third = Worker::with_token(port, "three", ADDRESS, None);
    refused(
        &wait_for("an answer", || third.try_registration()),
        503,
        "as many workers from there as there may be",
    );
    // So many that not all are answered where a busy machine leaves seconds between them.
    let asked = kept[0].ask_on_one_connection("/pool/mode", 200);
    let answered = asked.iter().filter(|status| **status == 200).count();
    assert!((20..200).contains(&answered), "{asked:?}");
    assert!(
        asked.iter().all(|status| [200, 429].contains(status)),
        "{asked:?}"
    );
}

#[test]
fn a_browser_at_the_port_is_told_where_it_is_and_stratum_that_it_is_not_spoken() {
    let host = Vision::start(HARD, "", ONE_IN_4);
    let worker = host.worker("looking");
    let page = worker.get("/");
    assert_eq!(page.status, 200);
    let port = host.pool.miners;
    assert!(
        page.text.contains(&format!("http://127.0.0.1:{port}")),
        "{}",
        page.text
    );
    assert!(!page.text.contains("stratum"), "{}", page.text);
    let (_, connect) = host.pool.get("/connect").unwrap();
    let command = format!("adit mine --url http://127.0.0.1:{port} --user");
    assert!(connect.contains(&command), "{connect}");
    assert!(!connect.contains("stratum+"), "{connect}");
    let mut miner = Miner::connect(port);
    let told = miner.ask("mining.subscribe", json!(["test"]));
    assert_eq!(
        told["error"][1], "This port is for miners of Vision (visionx), over HTTP",
        "{told}"
    );
}
