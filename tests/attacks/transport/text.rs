//! Lines that are not what they should be, and what the log makes of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{TRIES, answered, refused, rig, still_mines};
use crate::{
    attacks::Rig,
    support::{ADDRESS, FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings},
};

/// An answer that waits for nothing comes within this time, also on a busy machine.
const BUSY: Duration = Duration::from_secs(2);

#[test]
fn a54_deep_and_broad_json_is_answered_at_once() {
    let rig = rig("");
    let mut honest = rig.miner();
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let keys: String = (0..1_200).map(|at| format!("\"k{at}\":1,")).collect();
    let mut lines = vec![
        format!(
            "{{\"id\":1,\"method\":\"mining.submit\",\"params\":[{}1]}}",
            "1,".repeat(7_000)
        ),
        format!(
            "{{\"id\":1,\"method\":\"{}\",\"params\":[]}}",
            "m".repeat(15_000)
        ),
        format!("{{{keys}\"id\":1,\"method\":\"mining.dig\"}}"),
        format!("{{{}\"method\":\"mining.dig\"}}", "\"id\":1,".repeat(1_200)),
        // Over the limit of a line: cut off, however it would be read.
        nested(100_000),
        format!("{{\"params\":[{}1]}}", "1,".repeat(100_000)),
        format!("{{\"id\":\"{}\"}}", "i".repeat(1 << 20)),
    ];
    for depth in [127, 128, 1_000, 2_500] {
        lines.push(nested(depth));
        for (id, params) in [
            (nested(depth), "[]".to_owned()),
            (objects(depth), "[]".to_owned()),
            ("1".to_owned(), nested(depth)),
            ("1".to_owned(), format!("[{}]", objects(depth))),
        ] {
            lines.push(format!(
                "{{\"id\":{id},\"method\":\"mining.submit\",\"params\":{params}}}"
            ));
            let options =
                format!("{{\"id\":{id},\"method\":\"mining.configure\",\"params\":[[],{params}]}}");
            lines.push(options);
        }
    }
    let mut slowest = Duration::ZERO;
    for line in &lines {
        let what = format!("{} bytes: {}", line.len(), &line[..60]);
        let mut took = Duration::MAX;
        for _ in 0..TRIES {
            let mut miner = rig.miner();
            let asked = Instant::now();
            refused(&mut miner, line.as_bytes(), &what);
            took = took.min(asked.elapsed());
            if took < BUSY {
                break;
            }
        }
        assert!(took < BUSY, "{what}: after {took:?}");
        slowest = slowest.max(took);
    }
    println!("{} lines, the slowest took {slowest:?}", lines.len());
    still_mines(&mut honest, 1);
    assert_eq!(rig.pool.metric("adit_panics_total"), 0);
}

#[test]
fn a55_keys_that_come_twice_are_refused() {
    let rig = rig("");
    let mut miner = Miner::connect(rig.pool.miners);
    miner.subscribe("test/1");
    let user = format!("[\"{ADDRESS}.test\",\"x\"]");
    for line in [
        format!(
            "{{\"id\":5,\"method\":\"mining.submit\",\"method\":\"mining.authorize\",\"params\":{user}}}"
        ),
        format!(
            "{{\"id\":5,\"method\":\"mining.authorize\",\"method\":\"mining.authorize\",\"params\":{user}}}"
        ),
        format!("{{\"id\":5,\"method\":\"mining.authorize\",\"params\":{user},\"params\":[]}}"),
        format!("{{\"id\":5,\"id\":6,\"method\":\"mining.authorize\",\"params\":{user}}}"),
        // The same key, spelled with an escape.
        format!(
            "{{\"id\":5,\"\\u006dethod\":\"mining.ping\",\"method\":\"mining.authorize\",\"params\":{user}}}"
        ),
        "{\"id\":5,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\"],\
         {\"version-rolling.mask\":\"00000000\",\"version-rolling.mask\":\"1fffe000\"}]}"
            .into(),
    ] {
        let reply = refused(&mut miner, line.as_bytes(), &line).expect("the connection is alive");
        assert_eq!(reply["error"][0], 20, "{line}: {reply}");
    }
    // None of them let anyone in.
    let submit = json!([
        format!("{ADDRESS}.test"),
        "1",
        "0000000000000000",
        "00000000",
        "00000000"
    ]);
    assert_eq!(miner.ask("mining.submit", submit)["error"][0], 24);
    assert!(rig.pool.status()["sessions"].as_array().unwrap().is_empty());
}

#[test]
fn a56_bad_text_is_refused_and_strange_text_stays_outside() {
    let rig = rig("");
    let authorize = |user: &[u8]| {
        [
            b"{\"id\":5,\"method\":\"mining.authorize\",\"params\":[\"".as_slice(),
            user,
            b"\",\"x\"]}",
        ]
        .concat()
    };
    let address = ADDRESS.as_bytes();
    // No JSON at all.
    for bytes in [
        b".a\0b".as_slice(),
        b".\xc3\x28",
        b".\xc0\xaf",
        b".\xed\xa0\x80",
        b".\xf5\x80\x80\x80",
        b".\\ud800",
        b".\\x41",
        b".a\tb",
        b".\x1b[2J",
    ] {
        let mut miner = Miner::connect(rig.pool.miners);
        miner.subscribe("test/1");
        let line = authorize(&[address, bytes].concat());
        let reply = refused(&mut miner, &line, &String::from_utf8_lossy(&line));
        assert_eq!(reply.expect("an answer")["error"][0], 20);
    }
    let mut miner = Miner::connect(rig.pool.miners);
    let line = [
        b"\xef\xbb\xbf".as_slice(),
        b"{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}",
    ]
    .concat();
    refused(&mut miner, &line, "a byte order mark");

    // JSON, and no address.
    for user in [
        "\\u0000",
        "x\\u0000y",
        "\\u202e",
        "\\u2028",
        "'; DROP TABLE shares;--",
        " . ",
    ] {
        let mut miner = Miner::connect(rig.pool.miners);
        miner.subscribe("test/1");
        let reply = refused(&mut miner, &authorize(user.as_bytes()), user);
        assert_eq!(reply.expect("an answer")["error"][0], 24, "{user}");
    }
    // A worker's name takes nothing of it along.
    for name in [
        "\\u0000",
        "a\\u202eb",
        "\\u2028\\u200b",
        "<script>alert(1)</script>",
        "'; DROP TABLE x;--",
        "\\u001b[2J",
        "${jndi:x}",
        "{{7*7}}",
        "..%2f..%2f",
        "\\ud83d\\ude00",
        "\u{fc}ber",
    ] {
        let mut miner = Miner::connect(rig.pool.miners);
        miner.subscribe("test/1");
        let line = authorize(format!("{ADDRESS}.{name}").as_bytes());
        let reply = answered(&mut miner, &line).expect("an answer");
        if reply["result"] != true {
            assert_eq!(reply["error"][0], 24, "{name}: {reply}");
            continue;
        }
        let sessions = rig.pool.status()["sessions"].clone();
        for session in sessions.as_array().unwrap() {
            let worker = session["worker"].as_str().unwrap();
            let is_plain = worker
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
            assert!(is_plain, "{name}: {worker:?}");
        }
    }
}

/// Every method with its fields as they should be.
fn methods() -> Vec<(&'static str, Vec<Value>)> {
    let mask = json!({"version-rolling.mask": "1fffe000", "minimum-difficulty.value": 1});
    let extensions = json!(["version-rolling", "minimum-difficulty"]);
    let user = json!(format!("{ADDRESS}.test"));
    vec![
        ("mining.configure", vec![extensions, mask]),
        (
            "mining.subscribe",
            vec![json!("agent/1"), json!("00000000")],
        ),
        ("mining.authorize", vec![user.clone(), json!("x")]),
        ("mining.suggest_difficulty", vec![json!(1)]),
        ("mining.suggest_target", vec![json!("00".repeat(32))]),
        ("mining.extranonce.subscribe", vec![]),
        (
            "mining.submit",
            [
                user,
                json!("1"),
                json!("00".repeat(8)),
                json!("00000000"),
                json!("00000000"),
            ]
            .into_iter()
            .chain([json!("00002000")])
            .collect(),
        ),
        ("mining.get_transactions", vec![json!("1")]),
        ("mining.ping", vec![]),
        ("mining.multi_version", vec![json!(4)]),
        ("pong", vec![]),
        ("mining.pong", vec![]),
        ("mining.nothing", vec![json!(1)]),
    ]
}

/// What stands in a field instead.
fn wrong() -> Vec<Value> {
    let long = json!("a".repeat(1_000_000));
    vec![
        Value::Null,
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(123),
        json!(1.5e300),
        json!(u64::MAX),
        json!(""),
        json!("\0"),
        json!("zz"),
        json!("+1"),
        json!("a".repeat(3_000)),
        json!([]),
        json!([[], {}, null]),
        json!({}),
        json!({"a": {"b": []}}),
        long,
    ]
}

/// Talks with connections of its own until each is used up.
struct Talker<'a> {
    rig: &'a Rig,
    log_in: bool,
    miner: Option<Miner>,
    lines: u32,
    errors: u32,
}

impl Talker<'_> {
    fn say(&mut self, line: &str) {
        let Self { rig, log_in, .. } = *self;
        let connect = if log_in { Miner::ready } else { Miner::connect };
        let miner = self.miner.get_or_insert_with(|| connect(rig.pool.miners));
        self.lines += 1;
        let shown = &line[..line.len().min(200)];
        if miner.try_say(line).is_err() {
            self.miner = None;
            return;
        }
        // Some are notifications, or answers, and get none: the ping's answer ends the wait.
        let ping = "{\"id\":424242,\"method\":\"mining.ping\",\"params\":[]}";
        if miner.try_say(ping).is_err() {
            self.miner = None;
            return;
        }
        loop {
            let Some(reply) = miner.try_hear() else {
                self.miner = None;
                return;
            };
            if reply["id"] == 424_242 {
                return;
            }
            if reply["method"].is_null() && !reply["error"].is_null() {
                let error = reply["error"].as_array().expect(shown);
                assert!(
                    error[0].is_i64() && error[1].is_string(),
                    "{shown}: {reply}"
                );
                self.errors += 1;
            }
        }
    }
}

#[test]
fn a57_every_field_with_every_wrong_type() {
    let mut rig = rig("");
    let mut honest = rig.miner();
    let (mut lines, mut errors) = (0, 0);
    for log_in in [false, true] {
        let mut talker = Talker {
            rig: &rig,
            log_in,
            miner: None,
            lines: 0,
            errors: 0,
        };
        for (method, params) in methods() {
            let mut say = |id: &Value, method: &Value, params: &Value| {
                talker.say(&json!({"id": id, "method": method, "params": params}).to_string());
            };
            for value in wrong() {
                say(&value, &json!(method), &json!(params));
                say(&json!(1), &value, &json!(params));
                say(&json!(1), &json!(method), &value);
                for at in 0..=params.len() {
                    let mut params = params.clone();
                    match params.get_mut(at) {
                        Some(field) => *field = value.clone(),
                        None => params.push(value.clone()),
                    }
                    say(&json!(1), &json!(method), &json!(params));
                }
            }
            for fewer in 0..params.len() {
                say(&json!(1), &json!(method), &json!(params[..fewer]));
            }
        }
        for value in wrong() {
            for option in ["version-rolling.mask", "minimum-difficulty.value"] {
                let extension = option.split_once('.').unwrap().0;
                let params = json!([[extension], {option: value}]);
                talker.say(
                    &json!({"id": 1, "method": "mining.configure", "params": params}).to_string(),
                );
            }
            talker.say(&json!({"id": 1, "result": value, "error": value}).to_string());
            talker.say(&value.to_string());
        }
        lines += talker.lines;
        errors += talker.errors;
        still_mines(&mut honest, u64::from(log_in));
    }
    println!("{lines} lines, {errors} answered with an error");
    assert!(lines > 2_000 && errors > 500);
    assert!(rig.pool.process.is_running());
    assert_eq!(rig.pool.metric("adit_panics_total"), 0);
    assert!(!rig.pool.process.log_text().contains("panicked"));
}

/// Typed by a miner into every field there is, by a browser, and by a monitor.
#[test]
fn a67_nothing_forges_a_line_of_the_log() {
    for format in ["text", "json"] {
        let folder = TempDir::new().unwrap();
        let node = Node::simnet(&folder);
        let log = format!("filter = \"debug,hyper=info,reqwest=info\"\nformat = \"{format}\"");
        let pool = Pool::start(
            &folder,
            &PoolSettings {
                log: &log,
                listener: FIXED_DIFFICULTY,
                daemons: node.rpc.daemon(),
                ..PoolSettings::default()
            },
        );
        let evil = "x\u{1b}[2J\r\n2026-01-01T00:00:00Z ERROR adit: paid 9 BTC\u{7f}\u{9b}31m\u{2028}\u{202e}";
        for (method, params) in methods() {
            for at in 0..=params.len() {
                let mut miner = Miner::connect(pool.miners);
                if method != "mining.subscribe" {
                    miner.log_in_as(evil, &format!("{ADDRESS}.{evil}"));
                }
                let mut params = params.clone();
                params.insert(at, json!(evil));
                miner.send(method, json!(params));
                miner.send(evil, json!([evil]));
                miner.try_say(evil).unwrap();
            }
        }
        let mut honest = Miner::ready(pool.miners);
        still_mines(&mut honest, 1);
        let path = "/%1b[2J%0d%0a2026-01-01T00:00:00Z%20ERROR%20paid%209%20BTC";
        assert_eq!(pool.get(path).unwrap().0, 404);
        let mut loud = Miner::connect(pool.miners);
        let before = pool.process.log_text().len();
        for _ in 0..2_000 {
            assert!(loud.ask("mining.ping", json!(["paid 9 BTC"]))["error"].is_null());
        }
        drop(loud);
        let log = pool.process.log_text();
        assert!(
            log.len() - before < 64 * 1024,
            "{} bytes",
            log.len() - before
        );
        assert!(log.len() > 1_000, "there is a log");
        for line in log.lines() {
            let strange = line
                .chars()
                .find(|c| c.is_control() || "\u{2028}\u{202e}".contains(*c));
            assert_eq!(strange, None, "{line:?}");
            if format == "json" {
                let entry: Value = serde_json::from_str(line).expect(line);
                assert!(entry["level"].is_string(), "{line}");
                assert_ne!(entry["timestamp"], "2026-01-01T00:00:00Z");
            } else {
                assert!(!line.starts_with("2026-01-01T00:00:00Z"), "{line}");
                assert!(!line.trim_start().starts_with("ERROR"), "{line}");
            }
        }
    }
}
