//! The miner that nearly all of Monero's hashes come from, as Debian has it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    LIGHT, ONE_IN_20,
    chain::{Chain, Epochs, SOMEBODY},
    pool,
};
use crate::support::{Pool, PoolSettings, Process, tls, wait_for, wait_within};

pub(super) const LOG: &str = "xmrig.log";

/// `scripts/xmrig` puts it here.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xmrig/run");
    assert!(path.exists(), "XMRig is missing: run `make xmrig`");
    path
}

/// Starts it with one thread, light.
pub(super) fn start(folder: &TempDir, port: u16, more: &[&str]) -> Process {
    let mut command = Command::new(program());
    let (pool, user) = (format!("127.0.0.1:{port}"), format!("{SOMEBODY}.xmrig"));
    command
        .args(["-o", &pool, "-u", &user, "-p", "x", "-k", "-t", "1"])
        .args([
            "--randomx-mode=light",
            "--no-dmi",
            "--randomx-wrmsr=-1",
            "--no-color",
        ])
        .args(["--donate-level=1", "--log-file"])
        .arg(folder.path().join(LOG))
        .args(more)
        .stdin(Stdio::null());
    Process::start(command, folder.path().join("xmrig.out"))
}

/// What it has to say, which it does not write to a pipe in time.
pub(super) fn said(folder: &TempDir) -> String {
    std::fs::read_to_string(folder.path().join(LOG)).unwrap()
}

fn stored(pool: &Pool) -> u64 {
    pool.status()["shares"]["stored"].as_u64().unwrap()
}

#[test]
fn xmrig_mines_with_and_without_tls_and_in_nicehash_s_mode() {
    let folder = TempDir::new().unwrap();
    // No share is a block, which the hash under way would come too late for.
    let chain = Chain::start(&folder, 1_000_000);
    tls::write_certificate(folder.path());
    let listener = format!("{ONE_IN_20}{}", tls::settings("on", folder.path()));
    let pool = pool(&folder, &chain, SOMEBODY, "", &listener);
    // As the page Connect has it.
    let (_, pools) = pool.get("/api/v1/pools").unwrap();
    let pools: Value = serde_json::from_str(&pools).unwrap();
    let told = &pools["pools"][0]["doors"][0]["tls_fingerprint"];
    let print = told.as_str().unwrap().replace(':', "").to_lowercase();
    let right = format!("--tls-fingerprint={print}");
    for more in [&[][..], &["--tls"], &["--tls", &right], &["--nicehash"]] {
        let before = stored(&pool);
        let mut miner = start(&folder, pool.miners, more);
        wait_for("three shares", || {
            (stored(&pool) >= before + 3).then_some(())
        });
        let log = said(&folder);
        assert!(log.contains("accepted"), "{log}");
        assert!(!log.contains("rejected"), "{log}");
        assert_eq!(log.contains("TLS"), more.contains(&"--tls"), "{log}");
        std::fs::remove_file(folder.path().join(LOG)).unwrap();
        miner.kill();
    }
    // Another certificate than the one that was told.
    let first = if print.starts_with('0') { "1" } else { "0" };
    let wrong = format!("--tls-fingerprint={first}{}", &print[1..]);
    let mut miner = start(&folder, pool.miners, &["--tls", &wrong]);
    let log = wait_for("a certificate that is not believed", || {
        let log = std::fs::read_to_string(folder.path().join(LOG)).ok()?;
        log.contains("fingerprint").then_some(log)
    });
    // It logs in nowhere, so that it has no work.
    assert!(!log.contains("new job"), "{log}");
    miner.kill();
}

/// XMRig makes a key ready and finds its blocks within this time, whatever else the machine does.
const WITHIN: Duration = Duration::from_secs(240);

/// A coin whose key changes often, as its daemon has it.
const OFTEN: Epochs = Epochs { blocks: 32, lag: 4 };
const OFTEN_TOLD: &str = r#"
[[coin]]
name = "often"
like = "monero"
ticker = "OFT"
seed_blocks = 32
seed_lag_blocks = 4
[[coin.network]]
network = "regtest"
standard_tag = 18
integrated_tag = 19
subaddress_tag = 42
"#;

/// The key of RandomX changes at heights 37 and 69, and nobody has to connect anew.
#[test]
fn xmrig_mines_through_changes_of_the_seed() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::with_epochs(&folder, 20, OFTEN);
    chain.generate(30, SOMEBODY);
    let pool = PoolSettings {
        coin: "often",
        daemons: chain.daemon() + OFTEN_TOLD,
        ..settings(&chain)
    };
    mine_through(&folder, &Pool::start(&folder, &pool), 71, 3);
}

/// Monero's own changes for the first time at height 2,113.
#[test]
#[ignore = "the chain needs 2,100 blocks first: `make soak`"]
fn xmrig_mines_through_a_change_of_monero_s_seed() {
    let folder = TempDir::new().unwrap();
    let mut chain = Chain::start(&folder, 1);
    // In parts, each of which is done within the time that an answer has.
    (0..210).for_each(|_| chain.generate(10, SOMEBODY));
    chain.start_again(20);
    let pool = Pool::start(&folder, &settings(&chain));
    mine_through(&folder, &pool, 2_115, 2);
}

fn settings(chain: &Chain) -> PoolSettings<'static> {
    PoolSettings {
        coin: "monero",
        address: SOMEBODY,
        pool: LIGHT,
        listener: ONE_IN_20,
        daemons: chain.daemon(),
        ..PoolSettings::default()
    }
}

/// Each share is a block, and they come until one is above this height. There are so many seeds on the way.
fn mine_through(folder: &TempDir, pool: &Pool, height: u64, seeds: usize) {
    let connected = || pool.status()["connected"].as_u64().unwrap();
    let mut miner = start(folder, pool.miners, &[]);
    wait_for("XMRig", || (connected() == 1).then_some(()));
    let last = wait_within(WITHIN, "blocks with the new seed", || {
        let last = pool.last_block()?;
        (last["height"].as_u64()? > height && last["state"] == "immature").then_some(last)
    });
    let log = said(folder);
    // Each seed is prepared once, and there was one connection.
    assert_eq!(log.matches("init dataset").count(), seeds, "{log}");
    assert_eq!(log.matches("use pool").count(), 1, "{log}");
    assert!(!log.contains("invalid result"), "{log}");
    assert_eq!(pool.rejected("wrong_result"), 0, "{last}");
    miner.kill();
}
