//! Shares that are to count twice, too much, or not at all.

use std::{collections::HashSet, time::Duration};

use serde_json::{Value, json};

use super::{RARE_SHARES, Rig};
use crate::support::{ADDRESS, Miner, assert_rejected, run, wait_for};

#[test]
fn a01_hex_case_duplicates() {
    let rig = Rig::simnet();
    let mut miner = rig.miner();
    // Letters in the nonce, to spell them large.
    let share = (1..)
        .map(|extranonce2| miner.share(extranonce2))
        .find(|share| format!("{:08x}", share.nonce).contains(|c: char| c.is_ascii_alphabetic()))
        .unwrap();
    assert_eq!(miner.submit(&share)["result"], true);
    assert_rejected(&miner.submit(&share), 22, "Duplicate share");
    let mut params = Miner::params(&format!("{ADDRESS}.test"), &share);
    for spelled in [
        format!("{:08X}", share.nonce),
        format!("{:x}", share.nonce),
        format!("{:08x}", share.nonce),
    ] {
        params[4] = json!(spelled);
        let reply = miner.ask("mining.submit", params.clone());
        assert_rejected(&reply, 22, "Duplicate share");
    }
    for bad in ["0000000g", "", "123456789", "+1234567", "0x123456"] {
        params[4] = json!(bad);
        let reply = miner.ask("mining.submit", params.clone());
        assert_eq!(reply["error"][0], 20, "{bad}: {reply}");
    }
    // Another worker of the same connection proves nothing new with it either.
    let authorized = miner.ask("mining.authorize", json!([format!("{ADDRESS}.other"), "x"]));
    assert_eq!(authorized["result"], true);
    let reply = miner.ask(
        "mining.submit",
        Miner::params(&format!("{ADDRESS}.other"), &share),
    );
    assert_rejected(&reply, 22, "Duplicate share");
    assert_eq!(rig.stored(), 1);
}

#[test]
fn a02_junk_tail_in_extranonce2() {
    let rig = Rig::simnet_with("extranonce2_size = 4", RARE_SHARES);
    let mut miner = rig.miner();
    assert_eq!(miner.extranonce2_size, 4);
    let share = miner.share(1);
    let mut params = Miner::params(&format!("{ADDRESS}.test"), &share);
    for junk in [
        "0000000g",
        "000000",
        "0000000",
        "0000000100",
        "00000001 ",
        "0x000001",
        "+0000001",
        "",
    ] {
        params[2] = json!(junk);
        let reply = miner.ask("mining.submit", params.clone());
        assert_eq!(reply["error"][0], 20, "{junk}: {reply}");
    }
    assert_eq!(rig.stored(), 0);
    // None of them was taken for the proof they resemble: it is still new.
    assert_eq!(miner.submit(&share)["result"], true);
    assert_eq!(rig.stored(), 1);
}

#[test]
fn a03_duplicate_across_reconnect() {
    let rig = Rig::simnet_with("", RARE_SHARES);
    let mut first = rig.miner();
    let share = first.share(1);
    assert_eq!(first.submit(&share)["result"], true);
    let old = hex::encode(&first.extranonce1);
    drop(first);
    for user in [format!("{ADDRESS}.test"), format!("{ADDRESS}.other")] {
        let mut again = Miner::connect(rig.pool.miners);
        // The old session is asked for, as firmware does that wants to go on where it was.
        let subscribed = again.ask("mining.subscribe", json!(["test/1", old]));
        assert_ne!(subscribed["result"][1], old.as_str());
        again.log_in(&user);
        let reply = again.ask("mining.submit", Miner::params(&user, &share));
        // The extranonce is another one, so the same numbers are another hash.
        assert!(
            [21, 22, 23].contains(&reply["error"][0].as_i64().unwrap()),
            "{reply}"
        );
    }
    assert_eq!(rig.stored(), 1);
}

#[test]
fn a04_duplicate_across_job_reannounce() {
    let rig = Rig::simnet_with("refresh_s = 1", RARE_SHARES);
    let mut miner = rig.miner();
    let share = miner.share(1);
    assert_eq!(miner.submit(&share)["result"], true);
    let first = miner.job.clone().unwrap();
    miner.hear_new_job();
    let again = miner.job.clone().unwrap();
    assert_eq!(first.work.previous_block, again.work.previous_block);
    assert_eq!(first.work.branch, again.work.branch);
    assert_ne!(
        first.work.coinbase1, again.work.coinbase1,
        "the same template under another id is other work"
    );
    let mut renamed = share.clone();
    renamed.job_id = again.job_id;
    assert_rejected(&miner.submit(&renamed), 23, "Difficulty too low");
    // The new announcement made nothing forget the old proof.
    assert_rejected(&miner.submit(&share), 22, "Duplicate share");
    assert_eq!(rig.stored(), 1);
}

#[test]
fn a10_extranonces_differ_and_none_comes_back_after_a_restart() {
    let mut rig = Rig::simnet();
    let mut seen = HashSet::new();
    for _ in 0..3 {
        for _ in 0..20 {
            let mut miner = Miner::connect(rig.pool.miners);
            miner.subscribe("test");
            let extranonce1 = miner.extranonce1.clone();
            assert!(seen.insert(extranonce1), "{:?}", miner.extranonce1);
        }
        rig.pool.process.kill();
        rig.pool.start_again();
        rig.pool.wait_until_ready();
    }
}

#[test]
fn a11_extranonce2_sizes_that_devices_cannot_use() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("adit.toml");
    let data = folder.path().join("data");
    for (size, good) in [
        ("-1", false),
        ("0", false),
        ("1", false),
        ("2", true),
        ("4", true),
        ("8", true),
        ("9", false),
        ("17", false),
        ("18446744073709551616", false),
    ] {
        std::fs::write(
            &file,
            format!(
                "data = {data:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[[pool]]\n\
                 network = \"regtest\"\npayout_address = \"{ADDRESS}\"\n\
                 extranonce2_size = {size}\n[[pool.listener]]\nlisten = \"127.0.0.1:0\"\n\
                 [[pool.daemon]]\nurl = \"http://127.0.0.1:1\"\nmin_peers = 0\n"
            ),
        )
        .unwrap();
        let file = file.to_str().unwrap();
        if good {
            let checked = run(&["config", "-c", file, "--check"]);
            let text = String::from_utf8_lossy(&checked.stdout).into_owned();
            assert!(text.contains("make sense"), "{size}: {text}");
        } else {
            let started = run(&["pool", "-c", file]);
            let text = String::from_utf8_lossy(&started.stderr).into_owned();
            assert_eq!(started.status.code(), Some(64), "{size}: {text}");
            assert!(
                text.contains("extranonce2_size") || text.contains("line 7"),
                "{text}"
            );
        }
    }
}

#[test]
fn a12_stale_race_at_tip_change() {
    const LATE: u64 = 30;
    let rig = Rig::simnet();
    let mut miner = rig.miner();
    let late: Vec<_> = (0..LATE)
        .map(|extranonce2| miner.share(extranonce2))
        .collect();
    rig.node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
    miner.hear_new_tip();
    assert!(
        miner.job.as_ref().unwrap().clean,
        "a new tip ends the jobs before"
    );
    std::thread::sleep(Duration::from_millis(50));
    // More of them than lines without sense would be forgiven: it is no crime.
    for share in &late {
        assert_rejected(&miner.submit(share), 21, "Stale");
    }
    let new = miner.share(1);
    assert_eq!(miner.submit(&new)["result"], true);
    assert_eq!(rig.pool.rejected("stale"), LATE);
    assert_eq!(rig.pool.rejected("unknown_job"), 0);
    assert_eq!(rig.stored(), 1);
}

#[test]
fn a12_a_stale_block_is_still_submitted() {
    let rig = Rig::regtest();
    let mut miner = rig.miner();
    let solution = miner.block(1, None);
    rig.node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
    miner.hear_new_tip();
    assert_rejected(&miner.submit(&solution), 21, "Stale");
    let id = solution.hash.to_string();
    wait_for("the node to know it", || {
        rig.node.rpc.try_call("getblockheader", json!([id])).ok()
    });
    wait_for("it to be recorded as an orphan", || {
        let block = rig.pool.last_block()?;
        (block["state"] == "orphaned").then_some(())
    });
}

/// A pool with difficulties that a miner may choose between, all of them easy.
const CHOICE: &str = "start_difficulty = 3.725290298461914e-09
min_difficulty = 3.725290298461914e-09
max_difficulty = 0.001
share_time_s = 3600
";

#[test]
fn a14_every_job_that_may_be_answered_solves_its_block() {
    const JOBS: u32 = 20;
    let rig = Rig::regtest_with(CHOICE);
    let mut miner = rig.miner();
    let mut solutions = vec![miner.block(0, None)];
    for round in 1..JOBS {
        // Each wish for another difficulty is answered with a job of one's own.
        let wish = 1e-6 + f64::from(round) * 1e-7;
        miner.send("mining.suggest_difficulty", json!([wish]));
        miner.hear_new_job();
        solutions.push(miner.block(u64::from(round), None));
    }
    let jobs: HashSet<_> = solutions.iter().map(|solution| &solution.job_id).collect();
    assert_eq!(jobs.len(), solutions.len());
    // The tip stays until all of them are on their way.
    rig.node.rpc.call(
        "simnet_fault",
        json!(["slow", {"ms": 3000, "methods": ["submitblock"]}]),
    );
    let ids: Vec<_> = solutions
        .iter()
        .map(|solution| miner.send_share(solution))
        .collect();
    for id in ids {
        assert_eq!(miner.answer_to(id)["result"], true);
    }
    for solution in &solutions {
        let id = solution.hash.to_string();
        wait_for("the node to have each block", || {
            rig.node.rpc.try_call("getblockheader", json!([id])).ok()
        });
    }
    assert_eq!(rig.pool.status()["blocks"]["found"], JOBS);
}

#[test]
fn a15_a_job_is_judged_by_the_difficulty_it_was_sent_with() {
    let rig = Rig::simnet_with("", CHOICE);
    let mut miner = rig.miner();
    let easy = miner.target();
    let first = miner.solve(1, None, |hash| easy.is_met_by(hash));
    let first_job = miner.job.take().unwrap();
    let id = miner.send("mining.suggest_difficulty", json!([0.000_001]));
    assert_eq!(miner.answer_to(id)["result"], true);
    while miner.job.is_none() {
        miner.hear();
    }
    let hard = miner.target();
    assert!(hard < easy);
    let second_job = miner.job.clone().unwrap();
    assert_ne!(
        second_job.work.coinbase1, first_job.work.coinbase1,
        "no work is sent twice"
    );
    // The first job's share still counts, by the first job's difficulty.
    assert_eq!(miner.submit(&first)["result"], true);
    let too_easy = miner.solve(2, None, |hash| {
        easy.is_met_by(hash) && !hard.is_met_by(hash)
    });
    assert_rejected(&miner.submit(&too_easy), 23, "Difficulty too low");
    let good = miner.solve(3, None, |hash| hard.is_met_by(hash));
    assert_eq!(miner.submit(&good)["result"], true);
    assert_eq!(rig.work(), easy.work().hashes() + hard.work().hashes());
}

#[test]
fn a16_a_block_earns_no_more_than_it_proves() {
    let rig = Rig::regtest_with("start_difficulty = 1e9\nmin_difficulty = 1e9\n");
    let mut miner = rig.miner();
    let network = mining::Target::from_compact(miner.job.as_ref().unwrap().work.bits).unwrap();
    assert_eq!(network.work().hashes(), 2);
    let solution = miner.block(1, None);
    assert_eq!(miner.submit(&solution)["result"], true);
    wait_for("the block", || (rig.node.rpc.height() == 1).then_some(()));
    // The easiest difficulty that can be told is below regtest's: it is what was asked for.
    let credited = rig.work();
    assert!((1..=2).contains(&credited), "{credited} hashes");
}

#[test]
fn a21_a_flood_of_easy_shares_is_stopped_and_no_work_repeated() {
    let rig = Rig::simnet_with(
        "",
        "start_difficulty = 1e-8\nmin_difficulty = 1e-9\nmax_difficulty = 0.001\n",
    );
    let mut miner = rig.miner();
    let (first, mut jobs) = (miner.difficulty.unwrap(), vec![miner.job.clone().unwrap()]);
    for extranonce2 in 0..40 {
        let share = miner.share(extranonce2);
        let id = miner.send_share(&share);
        loop {
            let before = miner.job.as_ref().unwrap().job_id.clone();
            let message = miner.hear();
            if miner.job.as_ref().unwrap().job_id != before {
                jobs.push(miner.job.clone().unwrap());
            }
            if message["id"] == id {
                assert_eq!(message["result"], true, "{message}");
                break;
            }
        }
        if miner.difficulty.unwrap() > 100.0 * first {
            break;
        }
    }
    let reached = miner.difficulty;
    assert!(reached.unwrap() > 100.0 * first, "{reached:?}");
    for (i, job) in jobs.iter().enumerate() {
        for other in &jobs[..i] {
            assert_ne!(job.job_id, other.job_id);
            assert_ne!(job.work.coinbase1, other.work.coinbase1);
        }
    }
}

/// Well-formed shares that prove nothing.
const JUNK: u32 = 1_000_000;
/// What the memory of a process may grow by for reasons of its allocator, and of what else it does meanwhile:
/// half of what it would be with eight bytes of each.
const GROWTH_KIB: u64 = 4 * 1024;

#[test]
fn a22_junk_shares_are_not_remembered() {
    const BATCH: u32 = 1_000;
    let rig = Rig::simnet_with(
        "",
        "start_difficulty = 0.001\nmin_difficulty = 0.001\nmax_difficulty = 0.001\nmessages_per_second_max = 0\n",
    );
    let mut miner = rig.miner();
    let job = miner.job.clone().unwrap();
    let mut nonce = 0_u32;
    let mut flood = |count: u32| {
        for _ in 0..count / BATCH {
            let mut lines = String::new();
            for _ in 0..BATCH {
                nonce += 1;
                let params = json!([
                    format!("{ADDRESS}.test"),
                    job.job_id,
                    format!("{nonce:016x}"),
                    format!("{:08x}", job.work.ntime),
                    format!("{nonce:08x}"),
                ]);
                let line = json!({"id": nonce, "method": "mining.submit", "params": params});
                lines.push_str(&line.to_string());
                lines.push('\n');
            }
            miner.say(lines.trim_end());
            // One in four million is a share.
            let mut last = Value::Null;
            while last["id"] != nonce {
                last = miner.hear();
            }
        }
    };
    // Until every buffer and cache has its size.
    flood(200_000);
    let before = rig.pool.process.resident_kib();
    flood(JUNK);
    let after = rig.pool.process.resident_kib();
    assert!(
        after <= before + GROWTH_KIB,
        "from {before} to {after} KiB by {JUNK} shares"
    );
    println!("{before} to {after} KiB by {JUNK} shares");
    // By chance one of them is a block, and what comes after it is stale.
    let refused = ["low_difficulty", "stale"].map(|reason| rig.pool.rejected(reason));
    assert!(
        refused.iter().sum::<u64>() >= u64::from(JUNK),
        "{refused:?}"
    );
    assert!(rig.stored() < 10);
}
