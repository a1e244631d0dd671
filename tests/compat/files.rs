//! What stands in files: ckpool's, and what `packaging` has for Prometheus and Grafana.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use super::{Kind::*, ask, assert_reads};
use crate::support::{ADDRESS, FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings, wait_for};

fn pool(folder: &TempDir, node: &Node, compat: &str) -> Pool {
    let settings = PoolSettings {
        log: &format!("filter = \"info\"\n[compat]\n{compat}"),
        listener: FIXED_DIFFICULTY,
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    Pool::start(folder, &settings)
}

fn mine(pool: &Pool, worker: &str) {
    let mut miner = Miner::connect(pool.miners);
    let user = format!("{ADDRESS}.{worker}");
    miner.log_in(&user);
    let params = Miner::params(&user, &miner.share(1));
    assert_eq!(miner.ask("mining.submit", params)["result"], true);
}

#[test]
fn ckpools_files_say_what_is_said_over_http() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let logs = folder.path().join("logs");
    let mut pool = pool(&folder, &node, &format!("ckpool_logdir = {logs:?}"));
    mine(&pool, "rig");
    // They are written at the start and then each minute.
    pool.process.stop();
    pool.start_again();
    pool.wait_until_ready();
    let user = logs.join("users").join(ADDRESS);
    wait_for("the user's file", || user.exists().then_some(()));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(&user).unwrap()).unwrap();
    let told = ask(&pool, &format!("/users/{ADDRESS}")).json();
    for field in ["shares", "lastshare", "bestever", "authorised"] {
        assert_eq!(file[field], told[field], "{field}");
    }
    assert_eq!(file["worker"][0]["workername"], format!("{ADDRESS}.rig"));
    assert_reads(
        &file,
        &[
            ("hashrate1m", Rate),
            ("hashrate7d", Rate),
            ("workers", Whole),
        ],
    );
    let status = std::fs::read_to_string(logs.join("pool/pool.status")).unwrap();
    assert_eq!(status.lines().count(), 3);
    let left: Vec<_> = std::fs::read_dir(logs.join("users")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

fn packaged(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    std::fs::read_to_string(root.join(name)).unwrap()
}

/// The names of metrics in an expression; those that are recorded have a colon.
fn names(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c: char| !is_part(c));
    let ours = words.filter(|word| word.contains("adit_"));
    ours.map(str::to_owned).collect()
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if ["expr", "query"].contains(&name.as_str()) => {
                        found.push(text.clone());
                    }
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn every_metric_that_the_rules_and_the_board_name_is_served() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let pool = pool(&folder, &node, "");
    let served: BTreeSet<String> = ask(&pool, "/metrics")
        .text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
        .collect();
    let rules = packaged("prometheus/adit.rules.yml");
    let told = |key: &str| -> Vec<String> {
        let lines = rules
            .lines()
            .filter_map(|line| line.trim().strip_prefix(key));
        lines.map(|text| text.trim().to_owned()).collect()
    };
    let recorded: BTreeSet<String> = told("- record:").into_iter().collect();
    assert!(recorded.len() >= 5 && told("- alert:").len() >= 10);
    assert_eq!(told("expr:").len(), recorded.len() + told("- alert:").len());
    // All but names, comments and texts for people is expressions.
    let body = rules.lines().filter(|line| {
        let line = line.trim();
        !line.starts_with('#')
            && !line.starts_with("- record:")
            && !line.starts_with("annotations:")
    });
    let body: Vec<&str> = body.filter(|line| !line.contains("- name:")).collect();
    let board: Value = serde_json::from_str(&packaged("grafana/adit.json")).unwrap();
    let mut found = Vec::new();
    expressions(&board, &mut found);
    assert!(found.len() >= 16, "{found:?}");
    found.push(body.join("\n"));
    let mut used = BTreeSet::new();
    for name in found.iter().flat_map(|text| names(text)) {
        let is_known = served.contains(&name) || recorded.contains(&name);
        assert!(
            is_known,
            "{name} is neither served nor recorded; there are {served:?}"
        );
        used.insert(name);
    }
    assert!(used.len() >= 20, "{used:?}");
    for line in ask(&pool, "/metrics").text.lines() {
        if line.starts_with("adit_connections{") {
            assert!(line.contains("listener=\"127.0.0.1:") && line.contains("protocol=\"sv1\""));
        }
    }
}

/// The boards of p2poolv2 and Hydrapool name these.
#[test]
fn other_boards_find_their_metrics_where_they_are_asked_for() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let pool = pool(&folder, &node, "metrics_alias = true");
    mine(&pool, "rig\"}");
    let text = ask(&pool, "/metrics").text;
    assert!(
        text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1,
        "{text}"
    );
    for name in [
        "shares_accepted_total",
        "accepted_difficulty_total",
        "shares_rejected_total",
        "best_share",
        "best_share_ever",
        "pool_difficulty",
        "network_difficulty",
        "start_time_seconds",
        "work_since_last_block",
        "bitcoin_blocks_found_total",
    ] {
        let line = format!("\n{name}{{pool=\"main\"}} ");
        assert!(text.contains(&line), "{name}: {text}");
    }
    for name in [
        "worker_shares_valid_total",
        "worker_best_share",
        "worker_last_share_at",
    ] {
        let line = format!("\n{name}{{pool=\"main\",btcaddress=\"{ADDRESS}\",workername=\"rig");
        assert!(text.contains(&line), "{name}: {text}");
    }
    // One hash in 16 is a share here, and their boards draw hashes.
    let user =
        format!("\nuser_shares_valid_total{{pool=\"main\",btcaddress=\"{ADDRESS}\"}} 16.0\n");
    assert!(text.contains(&user), "{text}");
}
