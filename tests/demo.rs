//! `adit demo` as the README starts it.

use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Process, adit, free_port, wait_within};

/// How long blocks take is luck, and a build with all its checks on a busy machine has little of it.
const LONGEST: Duration = Duration::from_secs(300);

#[test]
fn the_demo_ends_by_itself_when_its_blocks_are_paid() {
    for (coin, blocks) in [("bitcoin", "3"), ("litecoin", "1")] {
        let (miners, http) = (free_port().to_string(), free_port().to_string());
        let started = Instant::now();
        let output = adit(&[
            "demo",
            "--coin",
            coin,
            "--blocks",
            blocks,
            "--json",
            "--miner-port",
            &miners,
            "--http-port",
            &http,
        ])
        .output()
        .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert!(
            started.elapsed() < LONGEST,
            "{:?}\n{text}",
            started.elapsed()
        );
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            summary["seconds_to_first_block"].as_u64() < Some(LONGEST.as_secs()),
            "{summary}"
        );
        assert!(
            summary["blocks_accepted"].as_u64() >= blocks.parse().ok(),
            "{summary}"
        );
        let money = &summary["money"];
        assert_eq!(money["books_balance"], true, "{summary}");
        assert_eq!(money["credited"], money["mature_rewards"], "{summary}");
        let paid: u64 = money["paid"].as_str().unwrap().parse().unwrap();
        let whole: u64 = money["mature_rewards"].as_str().unwrap().parse().unwrap();
        // The fees, 2.5 percent, stay in the books, and so does what matured last.
        let blocks: u64 = blocks.parse().unwrap();
        assert!(paid >= 4_875_000_000 * blocks && paid < whole, "{summary}");
        let accounts = money["accounts"].as_array().unwrap();
        let named = |name: &str| accounts.iter().any(|line| line["account"] == name);
        assert!(named("fee:pool") && named("fee:foundation"), "{summary}");
        assert!(summary["shares_accepted"].as_u64() >= Some(1), "{summary}");
    }
}

#[test]
fn ctrl_c_ends_the_demo_cleanly_and_kept_data_is_taken_up_again() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("demo");
    let mut heights = Vec::new();
    for round in 0..2 {
        let (miners, http) = (free_port().to_string(), free_port());
        let arguments = [
            "demo",
            "--json",
            "--data",
            data.to_str().unwrap(),
            "--miner-port",
            &miners,
            "--http-port",
            &http.to_string(),
        ];
        let log = folder.path().join(format!("demo-{round}.log"));
        let mut demo = Process::start(adit(&arguments), log);
        wait_within(LONGEST, "a block", || {
            demo.log_text()
                .contains("verdict=\"accepted\"")
                .then_some(())
        });
        demo.signal("INT");
        assert!(demo.wait().success());
        let log = demo.log_text();
        let summary: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        heights.push(summary["height"].as_u64().unwrap());
    }
    assert!(heights[1] > heights[0], "{heights:?}");
}
