//! Workers that ask at the node's own port are told where their pool is.

use serde_json::json;

use super::{HARD, do_it, node, refused, say};
use crate::{
    support::{ADDRESS, Pool, free_port},
    work::{ONE_IN_4, Vision},
};

/// What workers ask, each by every method that it might be asked by.
#[track_caller]
fn ask_as_a_worker(pool: &Pool, status: u16, code: &str, text: &str) {
    for path in [
        "/pool/register",
        "/pool/job",
        "/pool/share",
        "/pool/metrics",
    ] {
        for method in ["GET", "POST"] {
            let answer = pool.question(method, path).ask();
            assert_eq!(answer.code(), code, "{method} {path}: {}", answer.text);
            refused(&answer, status, text);
        }
    }
}

#[test]
fn a_worker_at_the_node_s_own_port_is_told_where_its_pool_is_or_that_there_is_none() {
    let node = node("host", "", HARD);
    let pool = &node.pool;
    let its_port = format!("workers of this pool ask http://127.0.0.1:{}", pool.miners);
    ask_as_a_worker(pool, 404, "other_port", &its_port);
    // What a worker sends is not even read.
    let register = json!({"worker_id": "one", "wallet_address": ADDRESS});
    let told = say(pool, "/pool/register", register.clone());
    refused(&told, 404, &its_port);
    let broken = pool.question("POST", "/pool/share").body("text/plain", "{");
    refused(&broken.ask(), 404, &its_port);
    // Nor is it a matter for operators alone.
    let stranger = pool.question("POST", "/pool/register").from("127.0.0.2");
    let stranger = stranger.header("x-forwarded-for", "203.0.113.7");
    refused(&stranger.json(&register).ask(), 404, &its_port);

    let none = "this node hosts no pool";
    do_it(pool, "/pool/stop", json!({}));
    ask_as_a_worker(pool, 503, "no_pool_hosted", none);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let join = json!({"mode": "join", "url": nobody, "wallet_address": ADDRESS});
    do_it(pool, "/pool/mode", join);
    ask_as_a_worker(pool, 503, "no_pool_hosted", none);
    do_it(pool, "/pool/start", json!({}));
    ask_as_a_worker(pool, 404, "other_port", &its_port);
}

#[test]
fn a_process_that_has_no_modes_says_so_to_workers_as_well() {
    let host = Vision::start(HARD, "", ONE_IN_4);
    let text = "this process runs pools alone; adit node has modes";
    ask_as_a_worker(&host.pool, 404, "no_node", text);
}
