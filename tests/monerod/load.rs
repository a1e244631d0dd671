//! What one address's junk costs honest miners of Monero, and what a connection takes of memory. `make load` runs it
//! in a release build; ordinary test runs leave it out.

use std::{
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use super::{
    LIGHT, NETWORK,
    chain::{Chain, SOMEBODY},
    miner::{Miner, Share},
};
use crate::{
    soak::figures::percentile,
    support::{Pool, PoolSettings, connect_from},
};

/// Every second hash is a share.
const ONE_IN_2: &str = "start_difficulty = 2.0\nmin_difficulty = 2.0\nmax_difficulty = 2.0\n\
                        messages_per_second_max = 0\nshares_per_second_max = 0\nconnections_max = 4000\n\
                        connections_per_address_max = 4000\nconnections_per_network_max = 4000\n";
const HONEST: u32 = 10;
const SHARES_EACH: u32 = 20;
/// Connections of whoever floods.
const FLOODING: usize = 20;
/// Of memory.
const IDLE: usize = 2_000;

fn pool(folder: &TempDir, chain: &Chain) -> Pool {
    Pool::start(
        folder,
        &PoolSettings {
            coin: "monero",
            address: SOMEBODY,
            pool: &format!("{LIGHT}bans = {{ enabled = false }}\n"),
            listener: ONE_IN_2,
            daemons: chain.daemon(),
            log: "filter = \"info\"",
            ..PoolSettings::default()
        },
    )
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

/// How long each of these miners waits for each answer when all of them send a share a second.
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
                        let due = Duration::from_secs(1) * place
                            + Duration::from_secs(1) * number / HONEST;
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
    let pool = pool(&folder, &chain);
    let mut honest: Vec<(Miner, Vec<Share>)> = (0..HONEST)
        .map(|number| {
            let miner = Miner::ready(pool.miners, &format!("{SOMEBODY}.rig{number}"));
            (miner, Vec::new())
        })
        .collect();
    let solve = |honest: &mut Vec<(Miner, Vec<Share>)>| {
        let mut nonce = 0;
        for (miner, shares) in honest {
            for _ in 0..SHARES_EACH {
                let share = miner.no_block(nonce, NETWORK);
                let solved = hex::decode(&share.nonce).unwrap().try_into().unwrap();
                nonce = u32::from_le_bytes(solved) + 1;
                shares.push(share);
            }
        }
    };
    solve(&mut honest);
    let calm = turn(&mut honest);
    told("alone", &calm);

    // Other work, or the same proofs would be found again.
    chain.generate(1, SOMEBODY);
    honest
        .iter_mut()
        .for_each(|(miner, _)| miner.hear_new_job());
    solve(&mut honest);
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
        let beside = turn(&mut honest);
        stop.store(true, Relaxed);
        let sent: u64 = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
        (beside, sent)
    });
    told(
        &format!("beside {sent} junk shares of one address"),
        &beside,
    );
    let [forged, throttled] =
        ["forged", "throttled"].map(|name| pool.metric(&format!("adit_shares_{name}_total")));
    println!("{forged} of them were hashed, {throttled} turned away");
}

#[test]
#[ignore = "measures: make load"]
fn an_idle_miner_of_monero_takes_little_memory() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, NETWORK);
    let pool = pool(&folder, &chain);
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
