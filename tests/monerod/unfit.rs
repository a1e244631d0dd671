//! A monerod that may not be mined with: the pool waits, says why, and goes on by itself.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    LIGHT, NETWORK, ONE_IN_20, assert_refused,
    chain::{Chain, SOMEBODY},
    miner::Miner,
};
use crate::support::{Pool, PoolSettings, free_port, run, wait_for};

fn start(folder: &TempDir, chain: &Chain) -> Pool {
    let settings = PoolSettings {
        coin: "monero",
        address: SOMEBODY,
        pool: LIGHT,
        listener: ONE_IN_20,
        daemons: chain.daemon(),
        ..PoolSettings::default()
    };
    Pool::start_without_waiting(folder, &settings)
}

/// The same for the main network, whose addresses are those of the private ones.
fn start_on_main(folder: &TempDir, chain: &Chain) -> Pool {
    let mut pool = start(folder, chain);
    pool.process.kill();
    let text = std::fs::read_to_string(&pool.config).unwrap();
    let text = text.replace("network = \"regtest\"", "network = \"main\"");
    let text = text.replace("/data\"", "/other\"");
    std::fs::write(&pool.config, text).unwrap();
    pool.start_again();
    pool
}

/// The pool says everywhere why nothing is mined, and gives nobody work.
#[track_caller]
fn assert_waits(pool: &mut Pool, says_why: impl Fn(&str) -> bool) {
    let says_why = |text: &str| says_why(&text.replace('\\', ""));
    wait_for("the reason", || {
        let (status, body) = pool.get("/ready")?;
        (status == 503 && says_why(&body)).then_some(())
    });
    let (code, text) = pool.get("/health").unwrap();
    assert_eq!(code, 503, "{text}");
    let health: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(health["status"], "unhealthy", "{text}");
    let parts = health["components"].as_array().unwrap();
    for name in ["daemon ", "work"] {
        let is_it = |part: &&Value| part["name"].as_str().unwrap().starts_with(name);
        let part = parts.iter().find(is_it).unwrap();
        assert_eq!(part["healthy"], false, "{part}");
        assert!(says_why(part["detail"].as_str().unwrap()), "{part}");
    }
    let advice = health["recommendations"].to_string();
    assert!(says_why(&advice), "{advice}");
    let log = pool.process.log_text();
    let line = log.lines().find(|line| line.contains("daemon is not fit"));
    assert!(says_why(line.expect("the log says it")), "{line:?}");
    let status = pool.status();
    assert!(status["template"].is_null(), "{status}");
    assert_eq!(status["daemons"][0]["fit"], false, "{status}");

    // Whoever comes is told so, too, and is sent away for another pool.
    let mut miner = Miner::connect(pool.miners);
    let told = miner.log_in(SOMEBODY);
    assert_refused(&told, "No block template yet. Please wait.");
    assert!(
        says_why(told["error"]["message"].as_str().unwrap()),
        "{told}"
    );
    assert!(miner.line().is_none());
    assert!(pool.process.is_running());
}

/// What `adit config --check` says of the daemon, which it finds unfit.
#[track_caller]
fn checked(pool: &Pool) -> String {
    let checked = run(&["config", "-c", pool.config.to_str().unwrap(), "--check"]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{text}");
    let line = text.lines().find(|line| line.starts_with("FAIL daemon"));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn a42_a_pool_of_the_main_network_before_a_private_monerod_says_so_and_waits() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, NETWORK);
    let mut pool = start_on_main(&folder, &chain);
    let names_both = |text: &str| text.contains("\"fakechain\", not on \"mainnet\"");
    assert_waits(&mut pool, names_both);
    assert!(names_both(&checked(&pool)));
    // Nor does a new block there make it one of ours.
    chain.generate(3, SOMEBODY);
    wait_for("the new tip", || {
        let status = pool.status();
        assert!(status["template"].is_null(), "{status}");
        (status["daemons"][0]["height"] == 3).then_some(())
    });
    assert_waits(&mut pool, names_both);
}

/// Its peer is not there: it has the first block alone, and nobody to ask for more.
#[test]
fn a42_a_monerod_of_the_main_network_without_its_chain_is_not_mined_with() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::of_the_main_network(&folder);
    let told = chain.ask("get_info", json!({}));
    assert_eq!(
        (&told["nettype"], &told["synchronized"]),
        (&json!("mainnet"), &json!(false))
    );
    let mut pool = start_on_main(&folder, &chain);
    let says_why = |text: &str| text.contains("it is in initial download, at block 0 of 0");
    assert_waits(&mut pool, says_why);
    assert!(checked(&pool).contains("initial download"));
}

#[test]
fn a42_a_monerod_without_its_chain_is_mined_with_as_soon_as_it_has_it() {
    let folder = TempDir::new().unwrap();
    let (own, other) = (free_port(), free_port());
    let lone = Chain::beside(&folder, "lone", NETWORK, own, other);
    let mut pool = start(&folder, &lone);
    assert_waits(&mut pool, |text| text.contains("initial download"));

    let peer = Chain::beside(&folder, "peer", NETWORK, other, own);
    pool.wait_until_ready();
    let mut miner = Miner::ready(pool.miners, SOMEBODY);
    miner.earn(0, NETWORK);
    // What comes from there is mined on.
    peer.generate(2, SOMEBODY);
    while miner.job["height"] != 3 {
        miner.hear_new_job();
    }
    miner.earn(0, NETWORK);
    assert_eq!(lone.height(), 2);
    assert_eq!(pool.status()["shares"]["stored"], 2);
}
