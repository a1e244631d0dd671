//! `adit config --check`: what works and what does not, and why.

use std::{net::TcpListener, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use super::{code, outcome, path, said, write};
use crate::support::{ADDRESS, Node, adit, free_port, refusing_port, run};

#[test]
fn a_check_finds_what_works_and_what_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::regtest(&folder);
    let good = node.rpc.daemon();
    let checked = Checked::run(&folder, &good, free_port(), free_port(), &[]);
    assert_eq!(checked.code, 0, "{}", checked.text);
    assert!(!checked.text.contains("FAIL"), "{}", checked.text);
    for what in [
        "settings of pool main",
        "daemon http://",
        "port for miners",
        "port for HTTP",
    ] {
        checked.says("ok", what, "");
    }
    checked.says("ok", "daemon http://", "height");
    checked.says("ok", "database in", "");

    let wrong = good.replace("password = \"adit\"", "password = \"wrong-one\"");
    assert_ne!(wrong, good);
    let checked = Checked::run(&folder, &wrong, free_port(), free_port(), &[]);
    assert_eq!(checked.code, 1, "{}", checked.text);
    checked.says("FAIL", "daemon http://", "password is wrong");
    checked.says("ok", "database in", "");
    assert!(!checked.text.contains("wrong-one"), "{}", checked.text);

    let (_held, dead) = refusing_port();
    let nobody = format!("[[pool.daemon]]\nurl = \"http://127.0.0.1:{dead}\"\n");
    let checked = Checked::run(&folder, &nobody, free_port(), free_port(), &[]);
    assert_eq!(checked.code, 1, "{}", checked.text);
    checked.says("FAIL", &format!("daemon http://127.0.0.1:{dead}"), "");
    assert!(
        checked.text.to_lowercase().contains("refused"),
        "{}",
        checked.text
    );

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let checked = Checked::run(&folder, &good, port, free_port(), &[]);
    assert_eq!(checked.code, 1, "{}", checked.text);
    checked.says(
        "FAIL",
        &format!("port for miners 127.0.0.1:{port}"),
        "in use",
    );
    checked.says("ok", "port for HTTP", "");
    let checked = Checked::run(&folder, &good, free_port(), port, &[]);
    assert_eq!(checked.code, 1, "{}", checked.text);
    checked.says("FAIL", &format!("port for HTTP 127.0.0.1:{port}"), "in use");

    // A file where the directory should be.
    let blocked = write(&folder, "");
    let checked = Checked::run(
        &folder,
        &good,
        free_port(),
        free_port(),
        &["--data", path(&blocked)],
    );
    assert_eq!(checked.code, 1, "{}", checked.text);
    checked.says("FAIL", "database in", "");
    assert!(
        !Path::new("/nonexistent").exists(),
        "a check leaves nothing behind"
    );
}

#[test]
fn a_check_says_what_is_wrong_with_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        &folder,
        "[http]\nlisten = \"127.0.0.1:0\"\n[[pool]]\npayout_address = \"nobody\"\n\
         [[pool.listener]]\nlisten = \"127.0.0.1:0\"\n",
    );
    let data = folder.path().join("data");
    let output = run(&[
        "config",
        "-c",
        path(&file),
        "--check",
        "--json",
        "--data",
        path(&data),
    ]);
    assert_eq!(code(&output), 1, "{}", said(&output));
    assert!(said(&output).starts_with("error: "), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| check["ok"] == false).collect();
    assert!(!failed.is_empty(), "{:#}", report["checks"]);
    assert!(
        failed
            .iter()
            .any(|check| check["found"].as_str().unwrap().contains("payout_address"))
    );
    // Without a daemon there is nothing to mine.
    assert!(
        failed
            .iter()
            .any(|check| check.to_string().contains("daemon")),
        "{:#}",
        report["checks"]
    );
}

/// Whoever lets miners be believed is told what that means, and a rule that is none is refused.
#[test]
fn what_believing_shares_means_is_told_beforehand() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let checked = |randomx: &str| {
        let address = crate::monerod::chain::SOMEBODY;
        let file = write(
            &folder,
            &format!(
                "data = {data:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[[pool]]\ncoin = \"monero\"\n\
                 payout_address = \"{address}\"\nnetwork = \"regtest\"\n\
                 randomx = {{ mode = \"light\", threads = 1{randomx} }}\n[[pool.daemon]]\n\
                 url = \"http://127.0.0.1:1\"\n[[pool.listener]]\nlisten = \"127.0.0.1:0\"\n"
            ),
        );
        let output = run(&["config", "-c", path(&file), "--check"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text
            .lines()
            .filter(|line| line.contains("settings of pool"));
        lines.next().unwrap_or_default().to_owned()
    };
    assert!(checked("").ends_with(": make sense"), "{}", checked(""));
    let told = checked(", trust_after = 50");
    assert!(told.starts_with("ok "), "{told}");
    for part in [
        "more than 50 good ones",
        "at least 82 of 1000",
        "two parts in 50",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let told = checked(", trust_after = 0");
    assert!(told.starts_with("FAIL"), "{told}");
    assert!(told.contains("trust_after is at least 1"), "{told}");
}

#[test]
fn a_table_of_devices_is_checked_and_a_bad_one_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("devices.toml");
    let data = folder.path().join("data");
    let file = write(
        &folder,
        &format!(
            "devices = {table:?}\ndata = {data:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[[pool]]\n\
             payout_address = \"{ADDRESS}\"\nnetwork = \"regtest\"\n[[pool.daemon]]\n\
             url = \"http://127.0.0.1:1\"\n[[pool.listener]]\nlisten = \"127.0.0.1:0\"\n"
        ),
    );
    let good = concat!(env!("CARGO_MANIFEST_DIR"), "/devices.toml");
    let good = std::fs::read_to_string(good).unwrap();
    let checked = || {
        let output = run(&["config", "-c", path(&file), "--check"]);
        String::from_utf8(output.stdout).unwrap()
    };
    let line = |verdict: &str, found: &str| {
        let begin = format!("{verdict} devices in {}: ", path(&table));
        let text = checked();
        let is_said = |line: &str| line.starts_with(&begin) && line.contains(found);
        assert!(text.lines().any(is_said), "{begin}{found} in\n{text}");
    };
    line("FAIL", "cannot be read");
    std::fs::write(&table, &good).unwrap();
    let count = good.matches("[[device]]\n").count();
    line("ok  ", &format!("{count} devices"));
    let bad = good.replace("start = 524288", "start = 5e5");
    assert_ne!(bad, good);
    std::fs::write(&table, bad).unwrap();
    line(
        "FAIL",
        "device 1 (\"NiceHash\"), start: not a decimal number",
    );

    let output = outcome(&mut adit(&["pool", "-c", path(&file)]));
    assert_eq!(code(&output), 64, "{}", said(&output));
    assert!(said(&output).contains("NiceHash"), "{}", said(&output));
}

/// What `adit config --check` found.
struct Checked {
    code: i32,
    text: String,
}

impl Checked {
    fn run(folder: &TempDir, daemon: &str, miners: u16, http: u16, flags: &[&str]) -> Self {
        let data = folder.path().join("checked");
        let file = folder.path().join("checked.toml");
        std::fs::write(
            &file,
            format!(
                "data = {data:?}\n[http]\nlisten = \"127.0.0.1:{http}\"\n\
                 [[pool]]\nnetwork = \"regtest\"\npayout_address = \"{ADDRESS}\"\n\
                 [[pool.listener]]\nlisten = \"127.0.0.1:{miners}\"\n{daemon}"
            ),
        )
        .unwrap();
        let output = run(&[&["config", "-c", path(&file), "--check"], flags].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
        Self {
            code: code(&output),
            text,
        }
    }

    /// That a line says so of something, with this in it.
    #[track_caller]
    fn says(&self, verdict: &str, what: &str, found: &str) {
        let line = self.text.lines().find(|line| {
            line.strip_prefix(verdict)
                .is_some_and(|rest| rest.trim_start().starts_with(what))
        });
        let line = line.unwrap_or_else(|| panic!("{verdict} {what} in\n{}", self.text));
        assert!(line.contains(found), "{line}");
    }
}
