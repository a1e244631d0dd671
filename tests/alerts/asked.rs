//! Who may ask to be told, what, and where.

use std::time::Duration;

use serde_json::{Value, json};

use super::{APART, known, path, send, subscribe, text, wish};
use crate::support::{key::Key, receiver::Receiver, wait_for};

#[track_caller]
fn code(status: u16, (found, answer): (u16, Value)) -> String {
    assert_eq!(found, status, "{answer}");
    answer["error"]["code"].as_str().unwrap().to_owned()
}

fn page() -> Value {
    json!({"sink": "page", "kinds": ["block_found"]})
}

/// A70: nobody is subscribed, listed or removed without the proof of the address.
#[test]
fn a70_alerts_are_asked_for_with_the_proof_of_the_address() {
    let (key, thief) = (Key::new(43), Key::new(44));
    let mint = known("maturity = 3\n", &key);
    let pool = &mint.pool;
    let number = super::now_ms();
    let hook = json!({
        "sink": "webhook", "target": "https://example.org/a", "kinds": ["block_found", "payout_sent"],
    });
    let right = text(pool, &key.address, "subscribe", number, &hook);
    let with = |signature: &str| {
        let mut body = hook.clone();
        body["number"] = json!(number);
        body["signature"] = json!(signature);
        send(pool, &key.address, "", &body)
    };
    for signature in ["", "c2lnbmVk", &thief.sign(&right)] {
        assert_eq!(code(403, with(signature)), "not_signed");
    }
    for (line, other) in [
        ("sink: webhook", "sink: ntfy"),
        ("https://example.org/a", "https://example.org/b"),
        ("block_found,payout_sent", "block_found"),
        ("alerts subscribe", "alerts remove"),
        ("pool: main", "pool: other"),
    ] {
        assert!(right.contains(line), "{right}");
        let wrong = key.sign(&right.replace(line, other));
        assert_eq!(code(403, with(&wrong)), "not_signed", "{other}");
    }
    let (status, made) = with(&key.sign(&right));
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["secret"].as_str().unwrap().len(), 64);
    std::thread::sleep(APART);
    assert_eq!(code(409, with(&key.sign(&right))), "number_used");
    // A text for payouts is none for alerts, and the other way round the number is used.
    let list = json!({});
    let number = super::now_ms();
    let text = text(pool, &key.address, "list", number, &list);
    let body = |signature: &str| json!({"number": number, "signature": signature});
    let refused = send(pool, &key.address, "/list", &body(&thief.sign(&text)));
    assert_eq!(code(403, refused), "not_signed");
    let (status, listed) = send(pool, &key.address, "/list", &body(&key.sign(&text)));
    assert_eq!(status, 200, "{listed}");
    assert_eq!(listed["items"][0]["target"], "https://example.org/a");
    assert_eq!(listed["items"][0]["kinds"], hook["kinds"]);
    assert_eq!(listed["items"][0].get("secret"), None);
    // Without a signature nobody learns where a miner is told.
    let (status, offer) = pool.send("GET", &path(&key.address, ""), None, "");
    assert_eq!(status, 200);
    assert!(!offer.to_string().contains("example.org"), "{offer}");
    assert_eq!(offer["pools"][0]["subscriptions"], 1);

    std::thread::sleep(APART);
    let id = &made["id"];
    let none = wish(pool, &key, "/remove", &json!({"subscription": 99}));
    assert_eq!(code(404, none), "unknown_subscription");
    std::thread::sleep(APART);
    let (status, _) = wish(pool, &key, "/remove", &json!({"subscription": id}));
    assert_eq!(status, 204);
    let nobody = send(pool, &thief.address, "", &page());
    assert_eq!(code(404, nobody), "unknown_miner");
}

#[test]
fn what_cannot_be_told_is_refused_with_its_reason() {
    let key = Key::new(45);
    let mint = known("maturity = 3\n[alerts.miners]\nof_address_max = 2\n", &key);
    let pool = &mint.pool;
    let with = |field: &str, value: Value| {
        let mut body = json!({
            "sink": "webhook", "target": "https://example.org/", "kinds": ["block_found"],
            "number": 1, "signature": "",
        });
        body[field] = value;
        code(422, send(pool, &key.address, "", &body))
    };
    for sink in ["", "Webhook", "mqtt", "pager", "telegram", "email"] {
        assert_eq!(with("sink", json!(sink)), "bad_sink", "{sink}");
    }
    for target in [
        "",
        "example.org",
        "http://127.0.0.1/",
        "http://localhost:22/",
        "http://2130706433/",
        "http://[::1]:8080/",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://100.64.0.1/",
        "http://user:password@example.org/",
        "ftp://example.org/",
    ] {
        assert_eq!(with("target", json!(target)), "bad_target", "{target}");
    }
    for kinds in [
        json!([]),
        json!(["disk_low"]),
        json!(["block_found", "x"]),
        json!(["confirmation"]),
    ] {
        assert_eq!(with("kinds", kinds.clone()), "bad_kinds", "{kinds}");
    }
    assert_eq!(with("kinds", json!("block_found")), "bad_field");
    assert_eq!(with("more", json!(1)), "bad_field");

    subscribe(pool, &key, "page", None, &["block_found"]);
    std::thread::sleep(APART);
    let twice = wish(pool, &key, "", &page());
    assert_eq!(code(409, twice), "twice");
    subscribe(
        pool,
        &key,
        "ntfy",
        Some("https://ntfy.sh/a"),
        &["block_found"],
    );
    std::thread::sleep(APART);
    let third = json!({"sink": "ntfy", "target": "https://ntfy.sh/b", "kinds": ["block_found"]});
    assert_eq!(code(409, wish(pool, &key, "", &third)), "too_many");
}

/// A name that leads to this machine is taken for a name, and refused when it is looked up.
#[test]
fn a_name_that_leads_to_a_private_address_is_never_spoken_to() {
    let trap = Receiver::start(&[]);
    let key = Key::new(46);
    let mint = known("maturity = 3\n", &key);
    let target = format!("http://localhost:{}/", trap.port);
    subscribe(&mint.pool, &key, "webhook", Some(&target), &["block_found"]);
    mint.find_block(&key.address);
    wait_for("an attempt", || {
        let log = mint.pool.process.log_text();
        log.contains("the address is not a public one")
            .then_some(())
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(trap.connections(), 0);
    let (_, alerts) = mint.pool.send("GET", "/api/v1/alerts", None, "");
    assert_eq!(alerts["pending"], 1, "{alerts}");
}
