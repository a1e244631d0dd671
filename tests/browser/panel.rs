//! The page of a node's modes: each mode looked at, and all of them gone through by pressing buttons.

use serde_json::json;

use super::{Drive, HOSTILE, look_as, none, origin, screenshots};
use crate::{
    node::{mode, node, share},
    operator::make_key,
    support::ADDRESS,
    work::{HARD, worker::Worker},
};

const PAGE: &str = "/operator/node";

#[test]
fn a_node_is_switched_by_its_page() {
    let other = node("host", "", HARD);
    let node = node("solo", "", HARD);
    let key = make_key(&node.pool, "anna");
    // What workers call themselves, and what a pool is called, is text and nothing else.
    let name = HOSTILE.chars().take(50).collect::<String>();
    let task = json!({
        "origin": origin(&node.pool),
        "screenshots": screenshots(),
        "key": key,
        "url": format!("http://127.0.0.1:{}", other.pool.miners),
        "name": name,
    });
    let mut workers = Vec::new();
    let report = Drive::start("node.js", &task).report(|wanted| match wanted {
        "worker desk" | "worker phone" => {
            let name: String = HOSTILE.chars().take(58).collect();
            let worker = Worker::register(node.pool.miners, &name, ADDRESS);
            drop(share(&worker));
            workers.push(worker);
        }
        // Once is enough: a look is at both screens in both colours.
        looked if looked.ends_with("phone") => {}
        looked => {
            let name = looked
                .trim_start_matches("looked at ")
                .trim_end_matches(" desk");
            let page = format!("node-{name}");
            look_as(&node.pool, Some(&key), &[(&page, PAGE.into(), 200)], &[]);
        }
    });
    let turns = report["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 2, "{report}");
    for turn in turns {
        none(&turn["faults"]);
        assert_eq!(turn["modes"], json!(["host", "solo", "join", "solo"]));
        let address = format!("http://127.0.0.1:{}", node.pool.miners);
        assert_eq!(turn["address"], address.as_str());
        assert_eq!(turn["hasCode"], 1);
        let row = turn["row"].as_str().unwrap();
        assert!(row.contains(&ADDRESS[..20]), "{row}");
        let joined = turn["joined"].as_str().unwrap();
        assert!(
            joined.contains("Connected") && joined.contains("main"),
            "{joined}"
        );
        let log = turn["log"].as_str().unwrap();
        assert!(log.contains("mining alone for"), "{log}");
        assert!(log.contains("joining http://127.0.0.1"), "{log}");
    }
    assert_eq!(mode(&node.pool), "solo");
}
