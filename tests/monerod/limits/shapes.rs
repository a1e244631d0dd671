//! Logins and shares that are out of shape.

use serde_json::json;

use super::super::miner::{Miner, Share};
use super::{
    super::{NETWORK, ONE_IN_20, chain::SOMEBODY},
    Rig, is_served, params,
};

/// Arrays in arrays.
fn deep(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

/// Logins that are none, and what is said to them.
fn odd_logins() -> Vec<(String, &'static str)> {
    let line = |params: &str| format!(r#"{{"id":5,"method":"login","params":{params}}}"#);
    let login = |more: &str| line(&format!(r#"{{"login":"{SOMEBODY}"{more}}}"#));
    let object = format!(r#"{{"login":"{SOMEBODY}"}}"#);
    let twice = |key: &str, value: &str| {
        format!(r#"{{"id":5,"method":"login","params":{object},"{key}":{value}}}"#)
    };
    let (none, params) = ("not a JSON object", "params is no object");
    let mut cases = vec![
        (twice("id", "6"), none),
        (twice("method", "\"submit\""), none),
        (twice("params", &object), none),
        (twice("p\\u0061rams", &object), none),
        (login(&format!(r#","login":"{SOMEBODY}""#)), params),
        (login(&format!(r#","lo\u0067in":"{SOMEBODY}""#)), params),
        (login(r#","pass":"x","pass":"y""#), params),
        (login(r#","algo":["rx/0"],"algo":["cn/r"]"#), params),
        (line(&deep(1_000)), "params is an array"),
        ("[".repeat(4_000), none),
        ("{\"a\":".repeat(800), none),
        (
            login(&format!(r#","algo":{}"#, deep(1_000))),
            "algo is malformed",
        ),
        (
            login(&format!(r#","agent":{}"#, deep(1_000))),
            "agent is malformed",
        ),
        (login(&format!(r#","x":{}"#, "[".repeat(1_000))), none),
        (
            format!(
                r#"{{"id":{},"method":"login","params":{object}}}"#,
                deep(1_000)
            ),
            "id is no number",
        ),
        (
            format!(r#"{{"id":5,"method":{},"params":{object}}}"#, deep(9)),
            "no method",
        ),
        (
            line(&format!(r#"{{"login":{}}}"#, deep(1_000))),
            "login is malformed",
        ),
        (
            line(&format!(r#"{{"login":"{}"}}"#, "4".repeat(513))),
            "login is malformed",
        ),
        (line("null"), params),
        (line("17"), params),
        (line("\"x\""), params),
        (
            line(&format!(r#"["{SOMEBODY}","x"]"#)),
            "params is an array",
        ),
        (line("{}"), "login is malformed"),
    ];
    for value in ["null", "17", "true", "\"\"", "[]", "{}", "1e999"] {
        let odd = line(&format!(r#"{{"login":{value}}}"#));
        cases.push((odd, "login is malformed"));
    }
    for (field, value, told) in [
        ("pass", "[\"x\"]", "pass is malformed"),
        ("agent", "{}", "agent is malformed"),
        ("rigid", "1", "rigid is malformed"),
        ("algo", "[1]", "algo is malformed"),
        ("algo", "{\"rx/0\":1}", "algo is malformed"),
        ("algo-perf", "[]", "algo-perf is malformed"),
        ("algo-perf", "{\"rx/0\":-1}", "algo-perf is malformed"),
        ("algo-min-time", "\"60\"", "algo-min-time is malformed"),
        ("mode", "5", "mode is malformed"),
    ] {
        cases.push((login(&format!(r#","{field}":{value}"#)), told));
    }
    cases
}

/// The same of this share, which is a good one.
fn odd_submits(miner: &Miner, share: &Share) -> Vec<(String, &'static str)> {
    let good = params(miner, share);
    let line = |params: &str| format!(r#"{{"id":5,"method":"submit","params":{params}}}"#);
    let text = good.to_string();
    let text = text.strip_suffix('}').unwrap();
    let (none, params) = ("not a JSON object", "params is no object");
    let mut cases = vec![
        (line("null"), params),
        (line("{}"), "job_id is malformed"),
        (line("[\"a\",\"b\",\"c\"]"), "params is an array"),
        (line(&deep(1_000)), "params is an array"),
        (line(&format!(r#"{text},"x":{}"#, "[".repeat(5_000))), none),
        (
            format!(r#"{{"id":5,"method":"submit","params":{good},"params":{good}}}"#),
            none,
        ),
    ];
    for (field, told) in [
        ("id", "id is malformed"),
        ("job_id", "job_id is malformed"),
        ("nonce", "nonce is malformed"),
        ("result", "result is malformed"),
        ("algo", "algo is malformed"),
    ] {
        let twice = format!(r#"{text},"{field}":{}}}"#, good[field]);
        cases.push((line(&twice), params));
        for odd in [json!(17), json!(true), json!([]), json!({"a": {}})] {
            let mut changed = good.clone();
            changed[field] = odd;
            cases.push((line(&changed.to_string()), told));
        }
        let mut changed = good.clone();
        changed[field] = json!("deep");
        let changed = changed.to_string().replace("\"deep\"", &deep(4_000));
        cases.push((line(&changed), told));
    }
    for (field, odd, told) in [
        ("nonce", "0000001", "nonce is malformed"),
        ("nonce", "0x000001", "nonce is malformed"),
        ("nonce", "000000001", "nonce is malformed"),
        ("result", "", "result is malformed"),
        ("result", "zz", "result is malformed"),
        ("commitment", "00", "commitment is malformed"),
    ] {
        let mut changed = good.clone();
        changed[field] = json!(odd);
        cases.push((line(&changed.to_string()), told));
    }
    cases
}

/// Keys that come twice, JSON without a bottom and values of other types: each is refused for what it is, its
/// own connection goes on, and none of it is a share.
#[test]
fn logins_and_shares_out_of_shape_are_refused_and_cost_nobody_anything() {
    let mut rig = Rig::start("", ONE_IN_20);
    let mut honest = rig.miner("honest");
    let refused = |miner: &mut Miner, line: &str, told: &str| {
        let shown = &line[..line.len().min(120)];
        miner.say(line);
        let answer = miner
            .answer()
            .unwrap_or_else(|| panic!("no answer: {shown}"));
        assert_eq!(answer["error"]["code"], -1, "{shown}: {answer}");
        let text = answer["error"]["message"].as_str().unwrap();
        assert!(text.starts_with(told), "{shown}: {answer}");
        assert!(answer["id"].is_null() || answer["id"] == 5, "{answer}");
    };
    let logins = odd_logins();
    // As many as are forgiven on one connection, which then logs in.
    for lines in logins.chunks(10) {
        let mut miner = rig.connect();
        for (line, told) in lines {
            refused(&mut miner, line, told);
        }
        let told = miner.log_in(&format!("{SOMEBODY}.odd"));
        assert_eq!(told["result"]["status"], "OK", "{told}");
        is_served(&mut honest);
    }
    let mut count = 0;
    loop {
        let mut miner = rig.miner("odd");
        let from = u32::try_from(count).unwrap() << 20;
        let share = miner.no_block(from, NETWORK);
        let lines = odd_submits(&miner, &share);
        for (line, told) in lines.iter().skip(count).take(10) {
            refused(&mut miner, line, told);
            count += 1;
        }
        // It is a good one still.
        assert_eq!(miner.submit(&share)["result"]["status"], "OK");
        is_served(&mut honest);
        if count == lines.len() {
            break;
        }
    }
    honest.earn(u32::MAX / 2, NETWORK);
    assert!(rig.pool.process.is_running());
    let status = rig.pool.status();
    let good = u64::try_from(count.div_ceil(10)).unwrap() + 1;
    assert_eq!(status["shares"]["stored"], good, "{status}");
    assert_eq!(status["blocks"]["found"], 0, "{status}");
    let refused = status["shares"]["rejected"].as_array().unwrap().iter();
    let refused = refused.map(|row| row["count"].as_u64().unwrap());
    assert_eq!(refused.sum::<u64>(), 0, "{status}");
    let log = rig.pool.process.log_text();
    assert!(!log.contains("panicked"), "{log}");
}

/// What no field asks for is never entered, however deep it is.
#[test]
fn what_no_field_asks_for_may_be_anything() {
    let rig = Rig::start("", ONE_IN_20);
    let mut miner = rig.connect();
    miner.say(&format!(
        r#"{{"x":{0},"id":5,"method":"login","params":{{"login":"{SOMEBODY}","x":{0},"x":1}}}}"#,
        deep(900)
    ));
    let told = miner.answer().expect("an answer");
    assert_eq!(told["result"]["status"], "OK", "{told}");
    miner.session = told["result"]["id"].clone();
    miner.job = told["result"]["job"].clone();
    let share = miner.no_block(0, NETWORK);
    let good = params(&miner, &share).to_string();
    let good = good.strip_suffix('}').unwrap();
    miner.say(&format!(
        r#"{{"id":6,"method":"submit","params":{good},"x":{}}}}}"#,
        deep(3_000)
    ));
    let told = miner.answer().expect("an answer");
    assert_eq!(told["result"]["status"], "OK", "{told}");
}
