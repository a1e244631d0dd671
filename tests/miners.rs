//! What a miner can ask and change by HTTP: everything that is said equals the books, and nothing is
//! changed without its signature.

mod asked;
mod settings;

use serde_json::{Value, json};

use crate::{
    money::Mint,
    support::{Pool, wait_for},
};

/// The path of something of a miner's.
fn path(address: &str, what: &str) -> String {
    format!("/api/v1/miners/{address}{what}")
}

/// What is answered to a question that makes sense.
#[track_caller]
fn told(pool: &Pool, address: &str, what: &str) -> Value {
    let (status, body) = pool.get(&path(address, what)).expect("the pool answers");
    assert_eq!(status, 200, "{what}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The code of what is answered to one that makes none, with this status.
#[track_caller]
fn refusal(pool: &Pool, status: u16, path: &str) -> String {
    let (found, answer) = pool.send("GET", path, None, "");
    code(status, path, (found, answer))
}

/// The code of an answer that must have this status.
#[track_caller]
fn code(status: u16, what: &str, (found, answer): (u16, Value)) -> String {
    assert_eq!(found, status, "{what}: {answer}");
    let error = answer["error"].as_object().expect("an error");
    assert_eq!(error.len(), 2, "{answer}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{answer}");
    error["code"].as_str().unwrap().to_owned()
}

/// A text of money or work as a number.
#[track_caller]
fn number(value: &Value) -> u128 {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .parse()
        .unwrap()
}

/// Waits until an account has so much posted and pending.
#[track_caller]
fn wait_for_balance(mint: &Mint, account: &str, balance: (i64, i64)) {
    wait_for("a balance", || {
        (mint.balance(account) == balance).then_some(())
    });
}

fn put(pool: &Pool, address: &str, body: &Value) -> (u16, Value) {
    send(pool, "PUT", &path(address, "/payout-settings"), body)
}

fn ask_for_payout(pool: &Pool, address: &str, body: &Value) -> (u16, Value) {
    send(pool, "POST", &path(address, "/payout"), body)
}

fn send(pool: &Pool, method: &str, path: &str, body: &Value) -> (u16, Value) {
    pool.send(method, path, Some("application/json"), body.to_string())
}

/// The only pool's entry in an answer.
fn only(answer: &Value) -> &Value {
    assert_eq!(answer["pools"].as_array().unwrap().len(), 1, "{answer}");
    &answer["pools"][0]
}

/// The settings that are the pool's own.
fn plain() -> Value {
    json!({"threshold": "default", "schedule": "threshold", "pay_to": "default", "paused": false})
}
