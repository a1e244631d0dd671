//! The soak: thousands of connections for minutes, honest miners amid every kind of peer that a pool
//! was ever attacked with. `make soak` runs it in a release build for `SOAK_TIME` seconds; ordinary
//! test runs leave it out.
//!
//! What must hold: an honest share is answered in time and kept once, no honest miner is refused
//! anything or banned, who sends nonsense is, memory does not grow, nothing panics, and the pool
//! still ends when it is told to.

// A test may spawn what it waits for itself.
#![allow(clippy::disallowed_methods)]

mod dice;
pub(crate) mod figures;
mod honest;
mod hostile;

use std::{
    collections::HashSet,
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::{
    dice::Dice,
    figures::{percentile, slope, thirds},
    honest::{Honest, Seen},
    hostile::{Hostile, Provoked},
};
use crate::support::{
    ADDRESS, FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings, connect_from, stored,
};

/// Seconds that it lasts, unless `SOAK_TIME` says otherwise.
const SECONDS: u64 = 120;
/// Honest connections. With the hostile ones there are 2,000.
const HONEST: usize = 1_700;
/// An honest miner beside all that waits no longer for the answers to 99 of 100 shares.
const ANSWER_MAX: Duration = Duration::from_millis(100);
/// What memory may grow by between the second third and the last, in percent.
const GROWTH_MAX: f64 = 5.0;
/// What the pool may keep of a session whose miner may come back to it. Their number and age are
/// bounded, but by more than a short soak takes, so that is not counted as growth.
const SESSION_KIB: u64 = 2;
/// The node finds a block so often, besides those that miners find: a connection remembers jobs of
/// eight tips, and is to have as many before memory is compared.
const BLOCK_EVERY: Duration = Duration::from_secs(5);
/// As long as `docs/operating.md` says an orderly end may take.
const END_MAX: Duration = Duration::from_secs(30);
/// Threads of the crowd give way to the pool, which would have a machine of its own.
const NICE: i32 = 10;

fn seconds() -> u64 {
    let asked = std::env::var("SOAK_TIME");
    asked.map_or(SECONDS, |asked| {
        asked.parse().expect("SOAK_TIME is a number of seconds")
    })
}

/// What the test looks at while it runs.
#[derive(Default)]
struct Watched {
    /// The time that each answer took.
    answers: Vec<Duration>,
    /// The pool's memory, each second, in KiB.
    resident: Vec<u64>,
    /// The sessions that miners may come back to, each second.
    kept: Vec<u64>,
    /// The memory without them.
    net: Vec<u64>,
    /// How long a thread of this machine was kept waiting that only writes some bytes to the disk.
    machine: Vec<Duration>,
    /// Blocks that the node found by itself.
    blocks: u32,
}

#[test]
#[ignore = "takes minutes: make soak"]
fn honest_miners_notice_nothing_of_a_hostile_crowd() {
    let time = Duration::from_secs(seconds());
    let folder = TempDir::new().unwrap();
    let node = thread::scope(|scope| {
        // A process has the priority of the thread that starts it: the node searches for its blocks
        // where the pool leaves time.
        let node = scope.spawn(|| {
            give_way();
            Node::start(&folder, "node", &["--spacing", "1"])
        });
        node.join().unwrap()
    });
    let listener = format!(
        "{FIXED_DIFFICULTY}connections_per_address_max = 4096\n\
         connections_per_network_max = 8192\n{}",
        tls(folder.path())
    );
    let mut pool = Pool::start(
        &folder,
        &PoolSettings {
            log: "filter = \"info\"",
            // All come from loopback here, and bans are to be seen.
            pool: "refresh_s = 5\n[pool.bans]\nexempt = []",
            listener: &listener,
            daemons: node.rpc.daemon(),
            ..PoolSettings::default()
        },
    );

    let seen = Arc::new(Seen::default());
    let provoked = Arc::new(Provoked::default());
    let crowd = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(give_way)
        .enable_all()
        .build()
        .unwrap();
    let honest: Vec<_> = (0..HONEST)
        .map(|number| {
            let miner = Honest::new(pool.miners, number, Arc::clone(&seen));
            crowd.spawn(miner.mine())
        })
        .collect();
    let hostile = Hostile::all(pool.miners, time, &provoked);
    let attacks = hostile.len();
    for peer in hostile {
        crowd.spawn(peer.attack());
    }

    let watched = watch(&pool, &node, &seen, time);
    let connected = pool.metric("adit_connections");
    let panics = pool.metric("adit_panics_total");
    let banned = bans(&pool);

    // Shares are on their way: what was answered is read to the end.
    seen.ending.store(true, Ordering::SeqCst);
    let began = Instant::now();
    pool.process.signal("TERM");
    let status = pool.process.wait();
    let end = began.elapsed();
    crowd.block_on(async {
        for miner in honest {
            miner.await.unwrap();
        }
    });
    crowd.shutdown_timeout(Duration::from_secs(1));
    let stored = stored::hashes(&pool.database());
    let accepted = seen.accepted();

    let mut answers = watched.answers.clone();
    answers.sort_unstable();
    let p99 = percentile(&answers, 99);
    let mut machine = watched.machine.clone();
    machine.sort_unstable();
    println!(
        "this machine by itself: p99 {:?}, longest {:?} for a write to the disk",
        percentile(&machine, 99),
        percentile(&machine, 100)
    );
    let (middle, last) = thirds(&watched.net);
    let growth = (last - middle) / middle * 100.0;
    println!(
        "{} s, {connected} connected at the end, {HONEST} of them honest, {attacks} attacks at a time",
        time.as_secs()
    );
    println!(
        "answers to one honest miner: {} of them, p50 {:?}, p99 {p99:?}, longest {:?}",
        answers.len(),
        percentile(&answers, 50),
        percentile(&answers, 100)
    );
    println!(
        "memory without the sessions that may come back: {middle:.0} KiB in the second third, \
         {last:.0} KiB in the last, {growth:+.2} %; fitted {:+.2} KiB a second",
        slope(&watched.net)
    );
    println!(
        "sessions that may come back, by the second: {:?}",
        watched.kept
    );
    println!("memory by the second, in KiB: {:?}", watched.resident);
    println!(
        "{} shares accepted, {} in the database, {} stale, {} connections came and went, {} blocks \
         by the node",
        accepted.len(),
        stored.len(),
        seen.stale(),
        seen.connections(),
        watched.blocks
    );
    println!("{} addresses banned; ended in {end:?}", banned.len());

    let log = pool.process.log_text();
    assert!(!log.contains("panicked"), "see {:?}", pool.process.log);
    assert_eq!(panics, 0);
    assert!(status.success(), "{status}");
    assert!(end <= END_MAX, "ended in {end:?}");
    let faults = seen.faults();
    assert!(
        faults.is_empty(),
        "{} honest miners complain: {:#?}",
        faults.len(),
        &faults[..faults.len().min(20)]
    );
    let twice: Vec<_> = stored.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    let lost = accepted.iter().filter(|hash| !stored.contains_key(hash));
    assert_eq!(lost.count(), 0, "accepted and not in the database");
    assert_eq!(
        accepted.iter().collect::<HashSet<_>>().len(),
        accepted.len(),
        "one share was accepted twice"
    );
    assert!(accepted.len() > HONEST, "too few shares to mean anything");
    provoked.check(&banned);
    assert!(
        p99 <= ANSWER_MAX,
        "99 of 100 answers within {p99:?}; is the machine busy with something else?"
    );
    assert!(growth <= GROWTH_MAX, "memory grows by {growth:.2} %");
}

/// Lets the calling thread wait for those with more to do.
fn give_way() {
    // Where it may not be, the crowd is only harder on the pool.
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// A certificate of its own, and the lines that make the port show it.
fn tls(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (key, chain) = (folder.join("key.pem"), folder.join("certificate.pem"));
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&chain, made.cert.pem()).unwrap();
    format!("tls = \"on\"\ntls_certificate = {chain:?}\ntls_key = {key:?}\n")
}

/// Mines honestly, one share at a time, while the memory is looked at, pages are read and the node
/// finds blocks.
fn watch(pool: &Pool, node: &Node, seen: &Seen, time: Duration) -> Watched {
    let over = AtomicBool::new(false);
    let mut watched = Watched::default();
    thread::scope(|scope| {
        let blocks = scope.spawn(|| {
            let mut blocks = 0;
            while !over.load(Ordering::SeqCst) {
                node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
                blocks += 1;
                let next = Instant::now() + BLOCK_EVERY;
                while Instant::now() < next && !over.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(100));
                }
            }
            blocks
        });
        let probe = scope.spawn(|| probe(pool.miners, seen, &over));
        let machine = scope.spawn(|| writes(&pool.folder, &over));
        let began = Instant::now();
        let mut second = 0;
        while began.elapsed() < time {
            let resident = pool.process.resident_kib();
            let kept = pool.metric("adit_kept_sessions");
            watched.resident.push(resident);
            watched.kept.push(kept);
            watched
                .net
                .push(resident.saturating_sub(SESSION_KIB * kept));
            if second % 5 == 0 {
                // As an operator's monitoring would.
                assert_eq!(pool.get("/metrics").unwrap().0, 200);
                assert_eq!(pool.status()["name"], "main");
            }
            second += 1;
            let next = began + Duration::from_secs(second);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        over.store(true, Ordering::SeqCst);
        watched.answers = probe.join().unwrap();
        watched.blocks = blocks.join().unwrap();
        watched.machine = machine.join().unwrap();
    });
    watched
}

/// Sends a share, waits for its answer, and so on.
fn probe(port: u16, seen: &Seen, over: &AtomicBool) -> Vec<Duration> {
    let mut miner = Miner::on(connect_from("127.9.0.1", port));
    miner.log_in(&format!("{ADDRESS}.test"));
    let mut answers = Vec::new();
    let mut dice = Dice::new(1);
    for extranonce2 in 0.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        // Whatever came in the meantime is heard before the answer to this.
        miner.ask("mining.ping", json!([]));
        let share = miner.share(extranonce2);
        let previous = miner.job.as_ref().unwrap().work.previous_block;
        let asked = Instant::now();
        let reply = miner.submit(&share);
        answers.push(asked.elapsed());
        if reply["result"] == true {
            seen.accept(share.hash);
        } else if reply["error"][1] != "Stale"
            || miner.job.as_ref().unwrap().work.previous_block == previous
        {
            seen.fault(format!("the prober got {reply}"));
        }
        thread::sleep(Duration::from_millis(10 + dice.below(20)));
    }
    answers
}

/// Writes some bytes to the disk now and then, as the pool must for each share: what that takes is
/// the machine's, not the pool's.
fn writes(folder: &Path, over: &AtomicBool) -> Vec<Duration> {
    let mut file = std::fs::File::create(folder.join("machine")).unwrap();
    let mut times = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let began = Instant::now();
        file.write_all(&[0; 60]).unwrap();
        file.sync_data().unwrap();
        times.push(began.elapsed());
        thread::sleep(Duration::from_millis(50));
    }
    times
}

/// The addresses that are banned.
fn bans(pool: &Pool) -> HashSet<String> {
    let (status, text) = pool.get("/api/v1/bans").unwrap();
    assert_eq!(status, 200, "{text}");
    let text: Value = serde_json::from_str(&text).unwrap();
    let bans = text["pools"][0]["bans"].as_array().unwrap();
    let addresses = bans.iter().map(|ban| ban["address"].as_str().unwrap());
    addresses.map(str::to_owned).collect()
}
