//! Stratum V1 line by line, as firmware sees it.

use serde_json::{Value, json};

use crate::support::{ADDRESS, Miner, Rig, assert_rejected, wait_for};

#[test]
fn the_handshake_answers_in_the_order_that_firmware_waits_for() {
    let rig = Rig::new();
    let mut miner = Miner::connect(rig.pool.miners);
    let configured = miner.configure();
    assert_eq!(configured["result"]["version-rolling"], true);
    assert_eq!(configured["result"]["version-rolling.mask"], "1fffe000");
    miner.say(r#"{"id":"s","method":"mining.subscribe","params":["bitaxe/BM1370/v2.9",null]}"#);
    let subscribed = miner.hear();
    assert_eq!(subscribed["id"], "s", "ids come back as they were sent");
    assert_eq!(subscribed["error"], Value::Null);
    let [subscriptions, extranonce1, size] = subscribed["result"].as_array().unwrap().as_slice()
    else {
        panic!("{subscribed}")
    };
    assert_eq!(subscriptions[0][0], "mining.set_difficulty");
    assert_eq!(subscriptions[1][0], "mining.notify");
    assert_eq!(extranonce1.as_str().unwrap().len(), 8);
    assert_eq!(*size, 8);
    miner.say(&json!({"id": 2, "method": "mining.authorize", "params": [ADDRESS]}).to_string());
    let authorized = miner.hear();
    assert_eq!(
        (&authorized["id"], &authorized["result"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(miner.hear()["method"], "mining.set_difficulty");
    let notify = miner.hear();
    assert_eq!(notify["method"], "mining.notify");
    assert_eq!(notify["params"][8], true, "the first job is a clean one");
    let job = miner.job.as_ref().unwrap();
    let size = job.work.coinbase1.len() + 12 + job.work.coinbase2.len();
    assert!(size <= 500, "one output fits the smallest device: {size}");
}

#[test]
fn nothing_is_given_to_those_who_did_not_ask_in_order() {
    let rig = Rig::new();
    let mut miner = Miner::connect(rig.pool.miners);
    let submit = json!([ADDRESS, "1", "0000000000000000", "00000000", "00000000"]);
    assert_rejected(
        &miner.ask("mining.submit", submit.clone()),
        25,
        "Not subscribed",
    );
    let early = miner.ask("mining.authorize", json!([ADDRESS, "x"]));
    assert_rejected(&early, 25, "Not subscribed");
    miner.subscribe("test");
    assert_rejected(
        &miner.ask("mining.submit", submit),
        24,
        "Unauthorized worker",
    );
    for user in [
        "",
        "rig1",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig",
        "1x.rig",
    ] {
        let refused = miner.ask("mining.authorize", json!([user, "x"]));
        assert_eq!(refused["result"], false, "{user}");
        assert_eq!(refused["error"][0], 24);
        let text = refused["reject-reason"].as_str().unwrap();
        assert!(text.starts_with("Invalid bitcoin address"), "{text}");
    }
    miner.log_in(&format!("{ADDRESS}.rig"));
    assert_eq!(miner.ask("mining.nonsense", json!([]))["error"][0], 20);
}

#[test]
fn a_share_counts_once_however_it_is_spelled() {
    let rig = Rig::new();
    let mut miner = rig.miner();
    let mut extranonce2 = 0;
    let share = loop {
        // Letters in the nonce, to spell them large.
        extranonce2 += 1;
        let share = miner.share(extranonce2);
        if format!("{:08x}", share.nonce).contains(|c: char| c.is_ascii_alphabetic()) {
            break share;
        }
    };
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
        assert_eq!(
            miner.ask("mining.submit", params.clone())["error"][0],
            20,
            "{bad}"
        );
    }
    // Another worker of the same connection proves nothing new with it either.
    let authorized = miner.ask("mining.authorize", json!([format!("{ADDRESS}.other"), "x"]));
    assert_eq!(authorized["result"], true);
    let reply = miner.ask(
        "mining.submit",
        Miner::params(&format!("{ADDRESS}.other"), &share),
    );
    assert_rejected(&reply, 22, "Duplicate share");
    let status = rig.pool.status();
    assert_eq!(status["shares"]["stored"], 1, "{status}");
}

#[test]
fn each_broken_rule_has_its_own_code_and_text() {
    let rig = Rig::new();
    let mut miner = rig.miner();
    let target = miner.target();
    let low = miner.solve(1, None, |hash| !target.is_met_by(hash));
    assert_rejected(&miner.submit(&low), 23, "Difficulty too low");

    let share = miner.share(2);
    let user = format!("{ADDRESS}.test");
    let mut ask = |at: usize, value: &str| {
        let mut params = Miner::params(&user, &share);
        params[at] = json!(value);
        miner.ask("mining.submit", params)
    };
    assert_rejected(
        &ask(0, &format!("{ADDRESS}.stranger")),
        24,
        "Unauthorized worker",
    );
    for job in ["ffffffff", "0", "../../x", "-1", "", "18446744073709551616"] {
        assert_rejected(&ask(1, job), 21, "Job not found");
    }
    for extranonce2 in ["", "00", "00000000000000"] {
        assert_rejected(&ask(2, extranonce2), 20, "Invalid nonce2 length");
    }
    for ntime in ["00000000", "ffffffff"] {
        assert_rejected(&ask(3, ntime), 20, "Ntime out of range");
    }
    for (at, value) in [
        (2, "000000000000000000"),
        (2, "zz00000000000000"),
        (3, "1"),
        (3, ""),
    ] {
        assert_eq!(ask(at, value)["error"][0], 20, "{at} {value}");
    }
    let mut rolled = share.clone();
    for bits in [0x2000_0000, 0x0000_1000, 0x8000_0000] {
        rolled.version_bits = Some(bits);
        assert_rejected(&miner.submit(&rolled), 20, "Invalid version mask");
    }
    assert_eq!(
        miner.submit(&share)["result"],
        true,
        "and the share itself is good"
    );
}

#[test]
fn version_bits_roll_only_where_that_was_agreed() {
    let rig = Rig::new();
    let mut agreed = rig.miner();
    let target = agreed.target();
    for bits in [0x2000, 0x1fff_e000, 0x0400_0000] {
        let share = agreed.solve(bits.into(), Some(bits), |hash| target.is_met_by(hash));
        assert_eq!(agreed.submit(&share)["result"], true, "{bits:08x}");
    }
    let mut plain = Miner::connect(rig.pool.miners);
    plain.log_in(&format!("{ADDRESS}.test"));
    let share = plain.solve(1, Some(0x2000), |hash| target.is_met_by(hash));
    assert_rejected(&plain.submit(&share), 20, "Invalid version mask");
}

#[test]
fn a_share_of_the_last_tip_is_stale_and_no_crime() {
    let rig = Rig::new();
    let mut miner = rig.miner();
    let old = miner.share(1);
    rig.node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
    let job = miner.job.take().unwrap();
    while miner.job.is_none() {
        miner.hear();
    }
    let notify = miner.job.as_ref().unwrap();
    assert!(notify.clean, "a new tip ends the jobs before");
    assert_ne!(notify.work.previous_block, job.work.previous_block);
    assert_rejected(&miner.submit(&old), 21, "Stale");
    let new = miner.share(1);
    assert_eq!(miner.submit(&new)["result"], true);
}

#[test]
fn a_job_is_judged_by_the_difficulty_it_was_sent_with() {
    let rig = Rig::with(
        "start_difficulty = 3.725290298461914e-09
min_difficulty = 3.725290298461914e-09
max_difficulty = 0.001
share_time_s = 3600
",
    );
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
    let work: u128 = rig.pool.status()["shares"]["work"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(work, easy.work().hashes() + hard.work().hashes());
}

#[test]
fn vardiff_stops_a_flood_and_never_repeats_work() {
    let rig = Rig::with("start_difficulty = 1e-8\nmin_difficulty = 1e-9\nmax_difficulty = 0.001\n");
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
    assert!(
        miner.difficulty.unwrap() > 100.0 * first,
        "{:?}",
        miner.difficulty
    );
    for (i, job) in jobs.iter().enumerate() {
        for other in &jobs[..i] {
            assert_ne!(job.job_id, other.job_id);
            assert_ne!(job.work.coinbase1, other.work.coinbase1);
        }
    }
}

#[test]
fn extranonces_differ_and_none_comes_back_after_a_restart() {
    let mut rig = Rig::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        for _ in 0..20 {
            let mut miner = Miner::connect(rig.pool.miners);
            miner.subscribe("test");
            assert!(
                seen.insert(miner.extranonce1.clone()),
                "{:?}",
                miner.extranonce1
            );
        }
        rig.pool.process.kill();
        rig.pool.start_again();
        rig.pool.wait_until_ready();
    }
}

#[test]
fn old_and_odd_firmware_is_understood() {
    let rig = Rig::new();
    let mut miner = Miner::connect(rig.pool.miners);
    // NerdMiner: reads one line after subscribe, then suggests without waiting.
    miner.say(r#"{"id": 1, "method": "mining.subscribe", "params": ["NerdMinerV2/1.8.3"]}"#);
    assert_eq!(miner.hear()["result"][1].as_str().map(str::len), Some(8));
    miner
        .say(&json!({"params": [ADDRESS, "x"], "id": 2, "method": "mining.authorize"}).to_string());
    miner.say(r#"{"id": null, "method": "mining.suggest_difficulty", "params": ["0.00000001"]}"#);
    // bfgminer's string id, and an answer to a request of ours that we never sent.
    miner.say(r#"{"id": "xnsub", "method": "mining.extranonce.subscribe", "params": []}"#);
    miner.say(r#"{"id": 7, "method": "pong"}"#);
    miner.say(r#"{"id": 9, "result": true, "error": null}"#);
    assert_eq!(miner.answer_to(2)["result"], true);
    loop {
        let message = miner.hear();
        if message["id"] == "xnsub" {
            assert_eq!(message["result"], true);
            break;
        }
    }
    miner.say(r#"{"id": 10, "method": "mining.ping", "params": []}"#);
    assert_eq!(miner.answer_to(10)["result"], "pong");
    let listed = wait_for("the session", || {
        let status = rig.pool.status();
        status["sessions"].get(0).cloned()
    });
    assert_eq!(listed["agent"], "NerdMinerV2/1.8.3");
    assert_eq!(listed["worker"], format!("{ADDRESS}.worker"));
}
