//! The command line as a stranger uses it: what is asked for wrongly gets code 64 and a sentence
//! that names the key; what is asked for rightly is told with where it came from.

mod check;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{ADDRESS, adit, refusing_port, run};

/// A program that was to refuse its settings and does not is stopped after this time.
const REFUSES_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn help_and_version_are_no_errors() {
    for arguments in [
        &["--help"][..],
        &["help"],
        &["--version"],
        &["pool", "--help"],
        &["mine", "--help"],
        &["demo", "--help"],
        &["simnet", "--help"],
        &["config", "--help"],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", said(&output));
        assert!(output.stderr.is_empty() && !output.stdout.is_empty());
    }
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert_eq!(version.trim(), concat!("adit ", env!("CARGO_PKG_VERSION")));
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for subcommand in ["demo", "pool", "mine", "simnet", "config"] {
        assert!(help.contains(subcommand), "{help}");
    }
}

#[test]
fn what_is_no_command_ends_with_64() {
    for (arguments, named) in [
        (&["dig"][..], "dig"),
        (&["--dig"], "--dig"),
        (&[], "Usage"),
        (&["pool", "--dig"], "--dig"),
        (&["pool", "-c"], "--config"),
        (&["config", "--chekc"], "--check"),
        (&["mine"], "--url"),
        (
            &["mine", "--url", "a:1", "--user", "b", "--throttle", "0"],
            "--throttle",
        ),
        (&["simnet", "--listen", "nowhere"], "--listen"),
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 64, "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(named), "{}", said(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_missing_or_broken_file_is_told_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    for subcommand in ["pool", "config"] {
        let output = run(&[subcommand, "-c", path(&missing)]);
        assert_eq!(code(&output), 64, "{}", said(&output));
        let text = said(&output);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("error: "), "{text}");
        assert!(lines[0].contains("missing.toml"), "{text}");
        assert!(lines[1].starts_with("because: "), "{text}");
    }
    let broken = write(&folder, "data = \"x\"\n[http\n");
    let output = run(&["config", "-c", path(&broken)]);
    assert_eq!(code(&output), 64);
    let text = said(&output);
    assert!(
        text.contains("error: ") && text.contains("because: "),
        "{text}"
    );
    assert!(text.contains("line 2"), "{text}");
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    let folder = tempfile::tempdir().unwrap();
    for (text, unknown, nearest) in [
        ("dta = \"x\"", "dta", "data"),
        ("[http]\nlisen = \"127.0.0.1:1\"", "lisen", "listen"),
        ("[log]\nfilterr = \"info\"", "filterr", "filter"),
        (
            "[[pool]]\npayout_adress = \"x\"",
            "payout_adress",
            "payout_address",
        ),
        (
            "[[pool]]\n[pool.shares]\ncommit_wait = 1",
            "commit_wait",
            "commit_wait_ms",
        ),
        ("[[pool]]\n[[pool.listener]]\nidle = 1", "idle", "idle_s"),
        (
            "[[pool]]\n[[pool.daemon]]\nurl = \"http://a:1\"\npasswort = \"x\"",
            "passwort",
            "password",
        ),
    ] {
        let file = write(&folder, text);
        let output = run(&["config", "-c", path(&file)]);
        assert_eq!(code(&output), 64, "{}", said(&output));
        let said = said(&output);
        assert!(
            said.contains(&format!("{unknown:?}")) && said.contains(&format!("{nearest:?}")),
            "{said}"
        );
    }
}

#[test]
fn a_setting_that_makes_no_sense_is_named() {
    let listener = |text: &str| (String::new(), text.to_owned());
    let pool = |text: &str| (text.to_owned(), String::new());
    refused(&[
        (pool("payout_address = \"nobody\""), "payout_address"),
        (pool("payout_address = \"\""), "payout_address"),
        // Of another network.
        (
            pool("payout_address = \"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4\""),
            "payout_address",
        ),
        (pool("coin = \"bitcorn\""), "coin"),
        (pool("coin = \"litecoin\"\nnetwork = \"signet\""), "network"),
        (pool("extranonce2_size = 1"), "extranonce2_size"),
        (pool("extranonce2_size = 9"), "extranonce2_size"),
        (pool("version_mask = \"1fffe00g\""), "version_mask"),
        (pool("version_mask = \"\""), "version_mask"),
        (pool("refresh_s = 0"), "refresh_s"),
        (pool("coinbase_tag = \"über\""), "coinbase_tag"),
        (
            listener("min_difficulty = 4.0\nmax_difficulty = 2.0"),
            "min_difficulty",
        ),
        (listener("start_difficulty = 0.0"), "start_difficulty"),
        (listener("max_difficulty = nan"), "max_difficulty"),
        (listener("handshake_s = 0"), "handshake_s"),
        (listener("idle_s = 100000"), "idle_s"),
    ]);
}

#[test]
fn a_value_of_the_wrong_kind_is_named() {
    let listener = |text: &str| (String::new(), text.to_owned());
    let pool = |text: &str| (text.to_owned(), String::new());
    refused(&[
        (pool("network = \"moon\""), "network"),
        (pool("refresh_s = -1"), "refresh_s"),
        (pool("name = 5"), "name"),
        (listener("share_time_s = \"soon\""), "share_time_s"),
        (listener("listen = \"everywhere\""), "listen"),
    ]);
}

#[test]
fn a_daemon_that_cannot_be_meant_is_named() {
    let daemon = |text: &str| {
        let url = if text.contains("url") {
            ""
        } else {
            "url = \"http://127.0.0.1:1\"\n"
        };
        (String::new(), format!("[[pool.daemon]]\n{url}{text}"))
    };
    refused(&[
        (daemon("url = \"ftp://127.0.0.1:1\""), "http://"),
        (
            daemon("url = \"http://u:p@127.0.0.1:1\""),
            "user and password",
        ),
        (daemon("user = \"u\""), "password"),
        (
            daemon("user = \"u\"\npassword = \"p\"\ncookie = \"c\""),
            "cookie",
        ),
        (daemon("poll_ms = 1"), "poll_ms"),
        (daemon("check_s = 3600"), "check_s"),
        (daemon("refresh_s = 0"), "refresh_s"),
    ]);
}

#[test]
fn a_limit_that_lets_nobody_in_is_refused() {
    let listener = |text: &str| (String::new(), text.to_owned());
    refused(&[
        (listener("connections_max = 0"), "connections_max"),
        (
            listener("connections_per_address_max = 0"),
            "connections_per_address_max",
        ),
        (
            listener("connections_per_network_max = 0"),
            "connections_per_network_max",
        ),
    ]);
}

#[test]
fn a_door_that_cannot_be_meant_is_refused() {
    let listener = |text: &str| (String::new(), text.to_owned());
    let bans = |text: &str| (format!("[pool.bans]\n{text}"), String::new());
    refused(&[
        (listener("proxy_from = [\"everyone\"]"), "proxy_from"),
        (listener("proxy_from = [\"10.0.0.1/8\"]"), "10.0.0.0/8"),
        (listener("tls = \"maybe\""), "tls"),
        (listener("tls = \"on\""), "tls_certificate"),
        (
            listener("tls = \"only\"\ntls_certificate = \"none\"\ntls_key = \"none\""),
            "cannot read none",
        ),
        (bans("invalid_percent = 100"), "invalid_percent"),
        (bans("shares_min = 0"), "shares_min"),
        (bans("window_s = 86401"), "window_s"),
        (bans("ban_s = 0"), "ban_s"),
        (bans("ban_s = 2592001"), "ban_s"),
        (bans("exempt = [\"10.0.0.0/33\"]"), "exempt"),
    ]);
}

#[test]
fn a_url_of_the_status_page_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, "[http]\nurl = \"pool.example\"\n");
    let data = folder.path().join("data");
    let output = run(&["pool", "-c", path(&file), "--data", path(&data)]);
    assert_eq!(code(&output), 64, "{}", said(&output));
    assert!(said(&output).contains("http.url"), "{}", said(&output));
}

/// The name becomes a folder of the data directory.
#[test]
fn a_name_that_is_no_name_is_refused() {
    let pool = |text: &str| (text.to_owned(), String::new());
    refused(&[
        (pool("name = \"\""), "name"),
        (pool("name = \"../elsewhere\""), "name"),
        (pool("name = \"a/b\""), "name"),
        (pool("name = \"..\""), "name"),
    ]);
}

#[test]
fn two_pools_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        &folder,
        "[[pool]]\nname = \"one\"\n[[pool]]\nname = \"one\"",
    );
    for subcommand in ["config", "pool"] {
        let output = run(&[subcommand, "-c", path(&file)]);
        assert_eq!(code(&output), 64, "{}", said(&output));
        assert!(said(&output).contains("name"), "{}", said(&output));
    }
    let file = write(
        &folder,
        "[[pool]]\nname = \"one\"\n[[pool]]\nname = \"two\"",
    );
    let output = run(&["config", "-c", path(&file)]);
    assert_eq!(code(&output), 0, "{}", said(&output));
}

#[test]
fn settings_are_printed_with_their_source_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        &folder,
        "data = \"from-the-file\"\n[[pool]]\ncoin = \"litecoin\"\n\
         [[pool.daemon]]\nurl = \"http://name:hidden1@127.0.0.1:1\"\nuser = \"u\"\n\
         password = \"hidden2\"\n",
    );
    let mut command = adit(&["config", "-c", path(&file), "--log", "debug"]);
    command.env("ADIT_POOL__REFRESH_S", "7");
    command.env("ADIT_POOL__0__LISTENER__0__IDLE_S", "8");
    let output = command.output().unwrap();
    assert_eq!(code(&output), 0, "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |key: &str| {
        text.lines()
            .find(|line| line.split(' ').next() == Some(key))
            .unwrap_or_else(|| panic!("{key} in\n{text}"))
    };
    for (key, value, source) in [
        ("data", "\"from-the-file\"", "# "),
        ("log.filter", "\"debug\"", "# flag --log"),
        ("log.format", "\"text\"", "# default"),
        ("http.listen", "\"127.0.0.1:3334\"", "# default"),
        ("pool.0.name", "\"main\"", "# default"),
        ("pool.0.coin", "\"litecoin\"", "adit.toml"),
        (
            "pool.0.refresh_s",
            "7",
            "# environment ADIT_POOL__REFRESH_S",
        ),
        (
            "pool.0.listener.0.idle_s",
            "8",
            "# environment ADIT_POOL__0__LISTENER__0__IDLE_S",
        ),
        (
            "pool.0.listener.0.listen",
            "\"127.0.0.1:3333\"",
            "# default",
        ),
        ("pool.0.daemon.0.user", "\"u\"", "adit.toml"),
        ("pool.0.daemon.0.password", "\"***\"", "adit.toml"),
        ("pool.0.daemon.0.poll_ms", "1000", "# default"),
    ] {
        let line = line(key);
        assert!(line.contains(&format!("= {value} ")), "{line}");
        assert!(line.contains(source), "{line}");
    }
    assert!(!text.contains("hidden"), "{text}");
}

#[test]
fn json_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        &folder,
        "[[pool]]\n[[pool.daemon]]\nurl = \"http://127.0.0.1:1\"\nuser = \"u\"\npassword = \"hidden\"",
    );
    let output = run(&["config", "-c", path(&file), "--json"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hidden"));
    let output: Value = serde_json::from_slice(&output.stdout).unwrap();
    let settings = output["settings"].as_array().unwrap();
    let find = |key: &str| {
        let found = settings.iter().find(|setting| setting["key"] == key);
        found.unwrap_or_else(|| panic!("{key}")).clone()
    };
    assert_eq!(
        find("pool.0.refresh_s"),
        json!({"key": "pool.0.refresh_s", "value": "30", "source": "default"})
    );
    assert_eq!(find("pool.0.daemon.0.password")["value"], "\"***\"");
    let plain = run(&["config", "-c", path(&file)]);
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert_eq!(plain.lines().count(), settings.len());
    assert!(output["checks"].is_null());
}

#[test]
fn the_environment_is_read_with_care() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        &folder,
        "[[pool]]\nname = \"one\"\n[[pool]]\nname = \"two\"",
    );
    for (name, value, named) in [
        ("ADIT_POOL__NAMES", "x", "ADIT_POOL__NAMES"),
        ("ADIT_POOL__REFRESH_S", "soon", "ADIT_POOL__REFRESH_S"),
        ("ADIT_POOL__9__NAME", "x", "ADIT_POOL__9__NAME"),
        // Only together with the second one's name is it wrong.
        ("ADIT_POOL__0__NAME", "two", "name"),
    ] {
        let mut command = adit(&["config", "-c", path(&file)]);
        let output = command.env(name, value).output().unwrap();
        assert_eq!(code(&output), 64, "{name}: {}", said(&output));
        assert!(said(&output).contains(named), "{}", said(&output));
    }
    let mut command = adit(&["config", "-c", path(&file), "--json"]);
    let output = command.env("ADIT_POOL__1__NAME", "three").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("three") && !text.contains("\\\"two\\\""),
        "{text}"
    );
    // The same value given twice: the flag goes over the environment.
    let mut command = adit(&["config", "-c", path(&file), "--data", "by-flag"]);
    let output = command.env("ADIT_DATA", "by-environment").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("by-flag") && !text.contains("by-environment"),
        "{text}"
    );
}

/// Variables that the program itself gives a meaning are no settings of the file.
#[test]
fn the_password_of_the_simulated_node_disturbs_no_other_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, "[[pool]]\n");
    let mut command = adit(&["config", "-c", path(&file)]);
    let output = command.env("ADIT_SIMNET_PASSWORD", "x").output().unwrap();
    assert_eq!(code(&output), 0, "{}", said(&output));
}

#[test]
fn a_url_that_names_no_pool_is_explained() {
    for (url, explained) in [
        ("pool.example", "no port"),
        ("pool.example:", "no port"),
        ("pool.example:99999", "no port"),
        ("stratum+tcp://:3333", "port"),
        ("http://127.0.0.1:3333/pool", "no port"),
        ("daemon+http://127.0.0.1:3333", "daemon+http://"),
        ("gopher://127.0.0.1:3333", "gopher://"),
        ("stratum2+tcp://127.0.0.1:3333", "stratum2+tcp://"),
        ("a b:3333", "host"),
        ("", "port"),
    ] {
        let output = outcome(&mut adit(&["mine", "--url", url, "--user", ADDRESS]));
        assert!(!output.status.success(), "{url}");
        let text = said(&output);
        assert!(text.starts_with("error: "), "{url}: {text}");
        assert!(text.contains(explained), "{url}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_pool_that_is_not_there_ends_a_miner_that_is_to_fail_fast() {
    let (_held, nobody) = refusing_port();
    let url = format!("127.0.0.1:{nobody}");
    let arguments = ["mine", "--url", &url, "--user", ADDRESS, "--fail-fast"];
    let output = outcome(&mut adit(&arguments));
    assert_eq!(code(&output), 1, "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("error: "), "{text}");
    assert!(text.contains(&url), "{text}");
    assert!(text.to_lowercase().contains("refused"), "{text}");
}

/// Checks that the pool refuses each of these, and names what it refuses. They are lines for
/// `[[pool]]` and lines behind `[[pool.listener]]`.
#[track_caller]
fn refused(cases: &[((String, String), &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let mut faults = Vec::new();
    for ((pool, listener), named) in cases {
        let mut lines = String::new();
        for (key, value) in [("network", "regtest"), ("payout_address", ADDRESS)] {
            if !pool.contains(key) {
                lines.push_str(&format!("{key} = {value:?}\n"));
            }
        }
        let listen = if listener.contains("listen =") {
            ""
        } else {
            "listen = \"127.0.0.1:0\"\n"
        };
        let daemon = if listener.contains("[[pool.daemon]]") {
            ""
        } else {
            "[[pool.daemon]]\nurl = \"http://127.0.0.1:1\"\n"
        };
        let file = write(
            &folder,
            &format!(
                "[http]\nlisten = \"127.0.0.1:0\"\n[[pool]]\n{lines}{pool}\n\
                 [[pool.listener]]\n{listen}{listener}\n{daemon}"
            ),
        );
        let data = folder.path().join("data");
        let mut command = adit(&["pool", "-c", path(&file), "--data", path(&data)]);
        let output = outcome(&mut command);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let case = format!("{pool}{listener}").replace('\n', "; ");
        match output.status.code() {
            Some(64) if text.contains("error: ") && text.contains(named) => {}
            Some(64) => faults.push(format!("{case}: does not name {named}: {text}")),
            Some(code) => faults.push(format!("{case}: code {code} instead of 64: {text}")),
            None => faults.push(format!("{case}: the pool runs with it")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Runs a command to its end, or kills it when it does not come to one.
fn outcome(command: &mut Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > REFUSES_WITHIN {
            child.kill().unwrap();
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

fn write(folder: &TempDir, text: &str) -> PathBuf {
    let file = folder.path().join("adit.toml");
    std::fs::write(&file, text).unwrap();
    file
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
