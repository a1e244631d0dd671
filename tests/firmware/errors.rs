//! Every error the pool can give, as the line that firmware looks into: the code and text, the text
//! again as `reject-reason`, and `result` false. AxeOS explains these very texts to its user.

use serde_json::{Value, json};

use crate::support::{ADDRESS, Miner, Rig};

/// Sends a request with the id 9 and gives the answer to it as it came.
fn line(miner: &mut Miner, method: &str, params: &Value) -> String {
    miner.say(&json!({"id": 9, "method": method, "params": params}).to_string());
    loop {
        let line = miner.line().expect("an answer");
        if line.starts_with(r#"{"id":9,"#) {
            return line;
        }
        miner.follow(&line);
    }
}

fn refused(code: i64, text: &str) -> String {
    format!(r#"{{"id":9,"result":false,"error":[{code},"{text}",null],"reject-reason":"{text}"}}"#)
}

const ACCEPTED: &str = r#"{"id":9,"result":true,"error":null}"#;

#[test]
fn each_error_has_the_line_that_firmware_reads() {
    let rig = Rig::new();
    let user = format!("{ADDRESS}.test");

    let mut early = Miner::connect(rig.pool.miners);
    let nothing = json!([user, "1", "0000000000000000", "00000000", "00000000"]);
    let not_subscribed = refused(25, "Not subscribed");
    assert_eq!(line(&mut early, "mining.submit", &nothing), not_subscribed);
    let name = json!([user, "x"]);
    assert_eq!(line(&mut early, "mining.authorize", &name), not_subscribed);
    early.subscribe("test/1");
    let unauthorized = refused(24, "Unauthorized worker");
    assert_eq!(line(&mut early, "mining.submit", &nothing), unauthorized);
    assert_eq!(line(&mut early, "mining.authorize", &name), ACCEPTED);

    let mut miner = rig.miner();
    let target = miner.target();
    let good = miner.share(1);
    let low = miner.solve(2, None, |hash| !target.is_met_by(hash));
    let other = miner.share(3);
    // A params array with one field spoiled, and the answer that it gets.
    let spoiled = |solution, at: usize, value: &str| {
        let mut params = Miner::params(&user, solution);
        match params.get_mut(at) {
            Some(field) => *field = json!(value),
            None => params.as_array_mut().unwrap().push(json!(value)),
        }
        params
    };
    let whole = |solution| Miner::params(&user, solution);
    for (params, expected) in [
        (whole(&good), ACCEPTED.to_owned()),
        (whole(&good), refused(22, "Duplicate share")),
        (whole(&low), refused(23, "Difficulty too low")),
        (spoiled(&other, 0, ADDRESS), unauthorized),
        (spoiled(&other, 1, "7fffffff"), refused(21, "Job not found")),
        (
            spoiled(&other, 2, "00000000"),
            refused(20, "Invalid nonce2 length"),
        ),
        (
            spoiled(&other, 3, "00000001"),
            refused(20, "Ntime out of range"),
        ),
        (
            spoiled(&other, 3, "ffffffff"),
            refused(20, "Ntime out of range"),
        ),
        (
            spoiled(&other, 5, "20000000"),
            refused(20, "Invalid version mask"),
        ),
        (
            spoiled(&other, 4, "nonsense"),
            refused(20, "nonce is malformed"),
        ),
        (whole(&other), ACCEPTED.to_owned()),
    ] {
        assert_eq!(
            line(&mut miner, "mining.submit", &params),
            expected,
            "{params}"
        );
    }

    let stale = miner.share(4);
    rig.node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
    // The old one may be offered again before.
    miner.hear_new_tip();
    assert_eq!(
        line(&mut miner, "mining.submit", &whole(&stale)),
        refused(21, "Stale")
    );
}

#[test]
fn what_is_no_share_is_answered_with_null_or_false_and_a_reason() {
    let rig = Rig::new();
    let mut miner = rig.miner();
    let unknown = line(&mut miner, "mining.hashrate", &json!([]));
    let expected = r#"{"id":9,"result":null,"error":[20,"Method not found",null]}"#;
    assert_eq!(unknown, expected);
    let spoiled = line(&mut miner, "mining.suggest_difficulty", &json!(["nan"]));
    let expected = r#"{"id":9,"result":null,"error":[20,"difficulty is malformed",null]}"#;
    assert_eq!(spoiled, expected);
    let refused = line(&mut miner, "mining.authorize", &json!(["nobody", "x"]));
    let refused: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(refused["result"], false, "{refused}");
    assert_eq!(refused["error"][0], 24, "{refused}");
    assert_eq!(refused["error"][2], Value::Null, "{refused}");
    assert_eq!(refused["reject-reason"], refused["error"][1], "{refused}");
    // Success has `"error":null`, never an error left out.
    for (method, params) in [
        ("mining.extranonce.subscribe", json!([])),
        ("mining.multi_version", json!([1])),
        ("mining.suggest_difficulty", json!([1])),
    ] {
        assert_eq!(line(&mut miner, method, &params), ACCEPTED, "{method}");
    }
}

#[test]
fn a_bad_address_is_refused_with_the_text_that_axeos_explains() {
    let rig = Rig::new();
    let mut miner = Miner::connect(rig.pool.miners);
    miner.subscribe("bitaxe/BM1370/v2.13.0");
    let answer = line(&mut miner, "mining.authorize", &json!(["nobody", "x"]));
    assert_eq!(answer, refused(24, "Invalid Bitcoin address"));
}
