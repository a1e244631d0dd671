//! Any body that an operator sends to a node is a change of its settings or an error that says why. What is kept of
//! it has its bounds, and read and written again it is the same.
//!
//! The first byte is what was kept before; the rest is the body.

#![no_main]

use std::sync::LazyLock;

use adit::{
    config::{Config, Listener, Pool},
    daemon,
    node::read_wish,
    worker::Endpoint,
};
use libfuzzer_sys::fuzz_target;
use mining::{Network, Scheme, address::ADDRESS_LEN_MAX};
use serde_json::Value;

const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
/// What nodes have kept: one of which nothing was said, one that mines alone, and one that has joined a pool.
const BEFORE: [&str; 3] = [
    "{}",
    r#"{"mode":"solo","pool_name":"Cellar","worker_name":"rig","fall_back_s":60}"#,
    r#"{"mode":"join","url":"https://pool.example","wallet_address":"a","fell_back":null,
        "tls_fingerprint":"0000000000000000000000000000000000000000000000000000000000000000"}"#,
];

/// A node with a pool of its own.
static CONFIG: LazyLock<Config> = LazyLock::new(|| Config {
    pool: vec![Pool {
        network: Network::Regtest,
        payout_address: ADDRESS.to_owned(),
        scheme: Scheme::Prop,
        daemon: vec![daemon::Config::at("http://127.0.0.1:1")],
        listener: vec![Listener::default()],
        ..Pool::default()
    }],
    ..Config::default()
});

/// The settings that are texts, as long as they may be.
fn check(kept: &Value) {
    let text = |key: &str| kept[key].as_str();
    let is_name = |name: &str, most: usize| {
        (1..=most).contains(&name.chars().count()) && !name.chars().any(char::is_control)
    };
    assert!(text("pool_name").is_none_or(|name| is_name(name, 50)));
    assert!(text("worker_name").is_none_or(|name| is_name(name, 32) && name.is_ascii()));
    assert!(text("url").is_none_or(|url| url.is_empty() || url.parse::<Endpoint>().is_ok()));
    let fingerprint = text("tls_fingerprint").unwrap_or_default();
    assert!(fingerprint.len() < 200, "{fingerprint}");
    for key in ["wallet_address", "host_address"] {
        assert!(text(key).is_none_or(|address| address.len() <= ADDRESS_LEN_MAX));
    }
    let port = kept["pool_port"].as_u64();
    assert!(port.is_none_or(|port| [7072, 8082].contains(&port)));
    assert!(
        kept["fall_back_s"]
            .as_u64()
            .is_none_or(|seconds| seconds <= 86_400)
    );
    assert!(kept["fell_back"].is_null());
}

fuzz_target!(|input: &[u8]| {
    let Some((first, body)) = input.split_first() else {
        return;
    };
    let before = BEFORE[usize::from(*first) % BEFORE.len()];
    match read_wish(body, before, &CONFIG) {
        Ok(kept) => {
            check(&serde_json::from_str(&kept).expect("it is JSON"));
            let again = read_wish(b"{}", &kept, &CONFIG);
            assert_eq!(again, Ok(kept), "nothing was wished for");
        }
        Err(refused) => assert!(!refused.is_empty()),
    }
});
