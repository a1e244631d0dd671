//! What one address's junk costs honest miners of Monero, how fast a pool verifies the shares of 500 connections, and
//! what a connection takes of memory. `make load` runs it in a release build; ordinary test runs leave it out.

use std::{
    io::Write as _,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::available_parallelism,
    time::{Duration, Instant},
};

use pow::randomx::{Cache, Dataset, Memory, Pages, Variant, Vm};
use serde_json::json;
use tempfile::TempDir;

use super::{
    LIGHT, NETWORK,
    chain::{Chain, SOMEBODY},
    miner::{Miner, Share},
};
use crate::{
    soak::figures::percentile,
    support::{Pool, PoolSettings, connect_from, wait_within},
};

/// Every second hash is a share.
const ONE_IN_2: &str = "start_difficulty = 2.0\nmin_difficulty = 2.0\nmax_difficulty = 2.0\n\
                        messages_per_second_max = 0\nshares_per_second_max = 0\nconnections_max = 4000\n\
                        connections_per_address_max = 4000\nconnections_per_network_max = 4000\n";
/// The same in fast mode.
const FAST: &str = "randomx = { mode = \"fast\", threads = 1 }\n";
/// Honest connections.
const CONNECTIONS: u32 = 500;
/// Those of them that send shares while one address floods, each from an address of its own.
const HONEST: u32 = 20;
const SHARES_EACH: u32 = 15;
/// Each of them sends so often: all together take a third of what is verified in light mode.
const SHARE_EVERY: Duration = Duration::from_secs(2);
/// Connections of whoever floods.
const FLOODING: usize = 20;
/// Shares that are under way where as many are verified as can be: the thread never waits for one, and none is turned
/// away.
const UNDER_WAY: usize = 50;
/// Bare hashes are timed for so long before that, and again after.
const BARE: Duration = Duration::from_secs(3);
/// A dataset is filled within this time by any machine.
const FILLED_WITHIN: Duration = Duration::from_secs(600);
/// Of memory.
const IDLE: usize = 2_000;

fn pool(folder: &TempDir, chain: &Chain, mode: &str) -> Pool {
    Pool::start(
        folder,
        &PoolSettings {
            coin: "monero",
            address: SOMEBODY,
            pool: &format!("refresh_s = 3600\n{mode}bans = {{ enabled = false }}\n"),
            listener: ONE_IN_2,
            daemons: chain.daemon(),
            log: "filter = \"info\"",
            ..PoolSettings::default()
        },
    )
}

/// An honest miner. Four of them have an address together, so that no address has too many.
fn honest(pool: &Pool, number: u32) -> Miner {
    let host = 1 + number / 4;
    let mut miner = Miner::over(connect_from(&format!("127.0.1.{host}"), pool.miners));
    let told = miner.log_in(&format!("{SOMEBODY}.rig{number}"));
    assert_eq!(told["result"]["status"], "OK", "{told}");
    miner
}

/// So many shares of each miner's job, which are no blocks, found by all processors.
fn solve(miners: &mut [(Miner, Vec<Share>)], count: u32) {
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    let some = miners.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for miners in miners.chunks_mut(some) {
            scope.spawn(move || {
                for (miner, shares) in miners {
                    let mut nonce = 0;
                    for _ in 0..count {
                        let share = miner.no_block(nonce, NETWORK);
                        let solved = hex::decode(&share.nonce).unwrap().try_into().unwrap();
                        nonce = u32::from_le_bytes(solved) + 1;
                        shares.push(share);
                    }
                }
            });
        }
    });
}

/// A share that is none, and says that it meets the target.
fn junk(miner: &Miner, number: u64) -> serde_json::Value {
    let mut result = [0xa5; 32];
    result[..8].copy_from_slice(&number.to_le_bytes());
    result[24..].copy_from_slice(&(u64::MAX / 4).to_le_bytes());
    json!({"id": number, "jsonrpc": "2.0", "method": "submit", "params": {
        "id": miner.session, "job_id": miner.job["job_id"], "nonce": "00000000",
        "result": hex::encode(result), "algo": "rx/0",
    }})
}

/// How long each of these miners waits for each answer when all of them send shares at their pace.
fn turn(miners: &mut [(Miner, Vec<Share>)]) -> Vec<Duration> {
    let begun = Instant::now();
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = miners
            .iter_mut()
            .zip(0u32..)
            .map(|((miner, shares), number)| {
                scope.spawn(move || {
                    let mut waits = Vec::new();
                    for (place, share) in (0u32..).zip(shares.drain(..)) {
                        let due = SHARE_EVERY * place + SHARE_EVERY * number / HONEST;
                        std::thread::sleep(due.saturating_sub(begun.elapsed()));
                        let sent = Instant::now();
                        let told = miner.submit(&share);
                        assert_eq!(told["result"]["status"], "OK", "{told}");
                        waits.push(sent.elapsed());
                    }
                    waits
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    waits.sort_unstable();
    waits
}

fn told(name: &str, waits: &[Duration]) {
    let at = |percent| percentile(waits, percent);
    println!(
        "{name}: p50 {:?}, p99 {:?}, of {}",
        at(50),
        at(99),
        waits.len()
    );
}

#[test]
#[ignore = "measures: make load"]
fn one_address_s_junk_makes_honest_miners_wait_for_a_hash_or_two() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, NETWORK);
    let pool = pool(&folder, &chain, LIGHT);
    // Four of an address wait for each other's turns; these do not.
    let mut miners: Vec<(Miner, Vec<Share>)> = (0..HONEST)
        .map(|number| (honest(&pool, 4 * number), Vec::new()))
        .collect();
    let others: Vec<Miner> = (0..CONNECTIONS)
        .filter(|number| number % 4 > 0 || number / 4 >= HONEST)
        .map(|number| honest(&pool, number))
        .collect();
    solve(&mut miners, SHARES_EACH);
    let calm = turn(&mut miners);
    told(
        &format!("{HONEST} of {CONNECTIONS} honest miners, alone"),
        &calm,
    );

    // Other work, or the same proofs would be found again.
    chain.generate(1, SOMEBODY);
    for (miner, _) in &mut miners {
        miner.hear_new_job();
    }
    solve(&mut miners, SHARES_EACH);
    let stop = AtomicBool::new(false);
    let (beside, sent) = std::thread::scope(|scope| {
        let floods: Vec<_> = (0..FLOODING)
            .map(|number| {
                let (port, stop) = (pool.miners, &stop);
                scope.spawn(move || {
                    let mut miner = Miner::over(connect_from("127.0.0.2", port));
                    miner.log_in(&format!("{SOMEBODY}.flood{number}"));
                    let mut sent = 0u64;
                    let base = u64::try_from(number).unwrap() << 32;
                    while !stop.load(Relaxed) {
                        // As many as the pool reads ahead, and then their answers.
                        let many: String = (0..16)
                            .map(|place| junk(&miner, base + sent + place).to_string() + "\n")
                            .collect();
                        miner.stream().write_all(many.as_bytes()).unwrap();
                        sent += 16;
                        (0..16).for_each(|_| drop(miner.line().expect("an answer")));
                    }
                    sent
                })
            })
            .collect();
        std::thread::sleep(Duration::from_secs(2));
        let beside = turn(&mut miners);
        stop.store(true, Relaxed);
        let sent: u64 = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
        (beside, sent)
    });
    told(
        &format!("the same beside {sent} junk shares of one address"),
        &beside,
    );
    let [forged, throttled] =
        ["forged", "throttled"].map(|name| pool.metric(&format!("adit_shares_{name}_total")));
    println!("{forged} of them were hashed, {throttled} turned away");
    drop(others);
}

#[test]
#[ignore = "measures: make load"]
fn shares_of_500_connections_are_verified_as_fast_as_one_thread_hashes_light() {
    verified(LIGHT, 1);
}

#[test]
#[ignore = "measures: make load"]
fn shares_of_500_connections_are_verified_as_fast_as_one_thread_hashes_fast() {
    verified(FAST, 2);
}

/// Each connection has so many shares, which are sent as fast as others are answered.
fn verified(mode: &str, shares_each: u32) {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, NETWORK);
    let pool = pool(&folder, &chain, mode);
    let is_fast = mode == FAST;
    let mut miners: Vec<(Miner, Vec<Share>)> = (0..CONNECTIONS)
        .map(|number| (honest(&pool, number), Vec::new()))
        .collect();
    solve(&mut miners, shares_each);
    let mut machine = machine(&miners[0].0, is_fast);
    if is_fast {
        wait_within(FILLED_WITHIN, "the pool's dataset", || {
            let log = pool.process.log_text();
            log.contains("dataset prepared").then_some(())
        });
    }
    let before = hash_time(&mut machine);
    let some = miners.len().div_ceil(UNDER_WAY);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for miners in miners.chunks_mut(some) {
            scope.spawn(move || {
                while miners.iter().any(|(_, shares)| !shares.is_empty()) {
                    for (miner, shares) in &mut *miners {
                        if let Some(share) = shares.pop() {
                            let told = miner.submit(&share);
                            assert_eq!(told["result"]["status"], "OK", "{told}");
                        }
                    }
                }
            });
        }
    });
    let time = begun.elapsed();
    let of_hash = (before + hash_time(&mut machine)) / 2;
    let shares = CONNECTIONS * shares_each;
    assert_eq!(pool.metric("adit_shares_verified_total"), u64::from(shares));
    let of_share = time / shares;
    println!(
        "{}: {shares} shares of {CONNECTIONS} connections verified by one thread in {time:.1?}, {of_share:.2?} for \
         each; a bare hash takes {of_hash:.2?}: {} % of its rate",
        if is_fast { "fast" } else { "light" },
        100 * of_hash.as_nanos() / of_share.as_nanos()
    );
}

/// A machine of the seed that a miner was told.
fn machine(miner: &Miner, is_fast: bool) -> Vm {
    let key = hex::decode(miner.job["seed_hash"].as_str().unwrap()).unwrap();
    let cache = Cache::new(Variant::Rx0, &key, Pages::Large).unwrap();
    let memory = if is_fast {
        let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let never = AtomicBool::new(false);
        let dataset = Dataset::new(&cache, threads, Pages::Large, &never).unwrap();
        Memory::Fast(Arc::new(dataset))
    } else {
        Memory::Light(Arc::new(cache))
    };
    Vm::new(memory, Pages::Large).unwrap()
}

/// What a bare hash takes.
fn hash_time(machine: &mut Vm) -> Duration {
    let mut blob = [7; 76];
    machine.hash(&blob);
    let (begun, mut hashes) = (Instant::now(), 0);
    while begun.elapsed() < BARE {
        hashes += 1;
        blob[39..43].copy_from_slice(&u32::to_le_bytes(hashes));
        machine.hash(&blob);
    }
    begun.elapsed() / hashes
}

#[test]
#[ignore = "measures: make load"]
fn an_idle_miner_of_monero_takes_little_memory() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, NETWORK);
    let pool = pool(&folder, &chain, LIGHT);
    let ready = |number: usize| Miner::ready(pool.miners, &format!("{SOMEBODY}.rig{number}"));
    let mut miners: Vec<Miner> = (0..100).map(ready).collect();
    let before = pool.process.resident_kib();
    miners.extend((100..100 + IDLE).map(ready));
    let more = pool.process.resident_kib() - before;
    println!(
        "{} bytes of memory for each of {IDLE} miners",
        more * 1024 / u64::try_from(IDLE).unwrap()
    );
    drop(miners);
}
