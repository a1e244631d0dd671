//! Whoever asked for it is told, once, and nobody else: by the real program, over real sockets.

mod asked;
mod servers;
mod told;

use std::time::{Duration, SystemTime};

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use serde_json::{Value, json};

use crate::{
    money::Mint,
    support::{Pool, key::Key, receiver::Posted, wait_for},
};

/// Longer than two wishes of a miner have to be apart.
const APART: Duration = Duration::from_millis(1_100);
/// Lets miners' webhooks reach the servers of these tests.
const REACHABLE: &str = "[alerts.miners]\nreachable = [\"127.0.0.0/8\"]\n";

/// The path of something of a miner's subscriptions.
fn path(address: &str, what: &str) -> String {
    format!("/api/v1/miners/{address}/alert-subscriptions{what}")
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_millis().try_into().unwrap()
}

/// A pool that knows the miner with this key by a block of the worker `rig`, which is no news any more.
fn known(settings: &str, key: &Key) -> Mint {
    let mint = Mint::new(settings);
    mint.find_block(&key.address);
    wait_for("the first block to be told of", || {
        let (_, alerts) = mint.pool.send("GET", "/api/v1/alerts", None, "");
        let told = alerts["items"].as_array()?.iter();
        told.clone()
            .find(|alert| alert["kind"] == "block_found")
            .map(|_| ())
    });
    mint
}

/// The text of a wish, as a miner writes it from what the pool says is to be signed.
fn text(pool: &Pool, address: &str, which: &str, number: u64, wish: &Value) -> String {
    let (status, offer) = pool.send("GET", &path(address, ""), None, "");
    assert_eq!(status, 200, "{offer}");
    let text = offer["pools"][0]["to_sign"][which].as_str().unwrap();
    let mut lines = Vec::new();
    for line in text.lines() {
        let (name, _) = line.split_once(": ").unwrap_or((line, ""));
        match name {
            "number" => lines.push(format!("number: {number}")),
            "sink" => {
                lines.push(format!("sink: {}", wish["sink"].as_str().unwrap()));
                if let Some(target) = wish["target"].as_str() {
                    lines.push(format!("target: {target}"));
                }
            }
            "kinds" => {
                let kinds = wish["kinds"].as_array().unwrap().iter();
                let kinds: Vec<_> = kinds.map(|kind| kind.as_str().unwrap()).collect();
                lines.push(format!("kinds: {}", kinds.join(",")));
            }
            "subscription" => lines.push(format!("subscription: {}", wish["subscription"])),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

/// Sends a wish that a key has signed.
fn wish(pool: &Pool, key: &Key, what: &str, wish: &Value) -> (u16, Value) {
    let which = match what {
        "" => "subscribe",
        what => &what[1..],
    };
    let number = now_ms();
    let text = text(pool, &key.address, which, number, wish);
    let mut body = wish.clone();
    body["number"] = json!(number);
    body["signature"] = json!(key.sign(&text));
    send(pool, &key.address, what, &body)
}

fn send(pool: &Pool, address: &str, what: &str, body: &Value) -> (u16, Value) {
    let url = format!("http://127.0.0.1:{}{}", pool.http, path(address, what));
    // What is done has no body.
    crate::support::runtime().block_on(async {
        let request = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let answer = serde_json::from_str(&text).unwrap_or(Value::Null);
        (status, answer)
    })
}

/// Subscribes, and gives the answer.
#[track_caller]
fn subscribe(pool: &Pool, key: &Key, sink: &str, target: Option<&str>, kinds: &[&str]) -> Value {
    std::thread::sleep(APART);
    let mut body = json!({"sink": sink, "kinds": kinds});
    if let Some(target) = target {
        body["target"] = json!(target);
    }
    let (status, answer) = wish(pool, key, "", &body);
    assert_eq!(status, 201, "{answer}");
    answer
}

/// Checks a request's signature as docs/alerts.md says it is done.
#[track_caller]
fn assert_signed(posted: &Posted, secret: &str) {
    let header = &posted.headers["adit-signature"];
    let (time, signature) = header.split_once(",v1=").unwrap();
    let time = time.strip_prefix("t=").unwrap();
    let age = now_ms() / 1000 - time.parse::<u64>().unwrap();
    assert!(age < 300, "{header}");
    let mut engine = HmacEngine::<sha256::Hash>::new(secret.as_bytes());
    engine.input(time.as_bytes());
    engine.input(b".");
    engine.input(&posted.body);
    let right = hex::encode(Hmac::from_engine(engine).to_byte_array());
    assert_eq!(signature, right, "{posted:?}");
    assert_eq!(posted.headers["adit-alert-id"], posted.json()["id"]);
    assert_eq!(posted.headers["content-type"], "application/json");
}
