//! The first promise: a share answered "accepted" survives `kill -9` at any instant and is in the
//! store exactly once.

mod money;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use pow::Hash;
use tempfile::TempDir;

use crate::support::{Miner, Node, Pool, PoolSettings, stored};

/// Kills in a run, unless more are asked for. Each one hits the pool at another instant of its work.
const KILLS: u32 = 200;
/// Shares on their way at once.
const PIPELINE: usize = 24;

/// How often the pool is killed: `CRASH_KILLS`, or [`KILLS`].
fn kills() -> u32 {
    let asked = std::env::var("CRASH_KILLS");
    asked.map_or(KILLS, |asked| {
        asked.parse().expect("CRASH_KILLS is a number")
    })
}

#[test]
fn every_share_answered_true_is_in_the_store_once_through_many_kills() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let settings = PoolSettings {
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    let mut pool = Pool::start(&folder, &settings);
    let mut acknowledged: HashSet<Hash> = HashSet::new();
    let mut sent = 0u64;
    let started = Instant::now();
    for round in 0..kills() {
        // Who comes before the first template waits for it, and may be sent away.
        pool.wait_until_ready();
        let mut miner = Miner::ready(pool.miners);
        // From the first share on its way to well into a steady stream.
        let life = Duration::from_micros(u64::from(round * 7919 % 60) * 1_000 + 200);
        let killer = {
            let pid = pool.process.id();
            std::thread::spawn(move || {
                std::thread::sleep(life);
                let killed = std::process::Command::new("kill")
                    .args(["-KILL", &pid])
                    .status();
                assert!(killed.unwrap().success());
            })
        };
        let mut waiting: HashMap<u64, Hash> = HashMap::new();
        'connection: for extranonce2 in 0.. {
            let share = miner.share(extranonce2);
            let Some(id) = miner.try_send_share(&share) else {
                break;
            };
            waiting.insert(id, share.hash);
            sent += 1;
            while waiting.len() >= PIPELINE {
                let Some(message) = miner.try_hear() else {
                    break 'connection;
                };
                take(&message, &mut waiting, &mut acknowledged);
            }
        }
        // What was said before the end counts, read or not.
        while let Some(message) = miner.try_hear() {
            take(&message, &mut waiting, &mut acknowledged);
        }
        killer.join().unwrap();
        pool.process.wait();
        pool.start_again();
    }
    pool.wait_until_ready();
    let stored = stored::hashes(&pool.database());
    println!(
        "{} kills in {:?}: {sent} shares sent, {} acknowledged, {} stored",
        kills(),
        started.elapsed(),
        acknowledged.len(),
        stored.len()
    );
    assert!(
        acknowledged.len() > 200,
        "too few shares to mean anything: {}",
        acknowledged.len()
    );
    for hash in &acknowledged {
        assert_eq!(stored.get(hash), Some(&1), "{hash}");
    }
    assert!(stored.values().all(|count| *count == 1));
}

fn take(
    message: &serde_json::Value,
    waiting: &mut HashMap<u64, Hash>,
    acknowledged: &mut HashSet<Hash>,
) {
    let Some(hash) = message["id"].as_u64().and_then(|id| waiting.remove(&id)) else {
        return;
    };
    assert_eq!(message["result"], true, "{message}");
    assert!(acknowledged.insert(hash), "{hash} was answered twice");
}
