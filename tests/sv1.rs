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
    let mask = miner.hear();
    assert_eq!(mask["method"], "mining.set_version_mask");
    assert_eq!(mask["params"], json!(["1fffe000"]));
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
        assert!(text == "Invalid Bitcoin address", "{text}");
    }
    miner.log_in(&format!("{ADDRESS}.rig"));
    assert_eq!(miner.ask("mining.nonsense", json!([]))["error"][0], 20);
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
