//! One port for miners of Bitcoin and of Monero, who are told apart by their first line.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    LIGHT, NETWORK, ONE_IN_20, assert_refused,
    chain::{Chain, SOMEBODY},
    miner, xmrig,
};
use crate::support::{
    ADDRESS, FIXED_DIFFICULTY, Miner, Node, PATIENCE, Pool, PoolSettings, free_port, loopback, tls,
    wait_for,
};

#[test]
fn one_port_serves_miners_of_both_dialects() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let chain = Chain::start(&folder, NETWORK);
    let certificate = tls::write_certificate(folder.path());
    let shared = free_port();
    let listener = format!(
        "[[pool.listener]]\nlisten = \"127.0.0.1:{shared}\"\nhandshake_s = 20\n{}",
        tls::settings("on", folder.path())
    );
    let monero = format!(
        "[[pool]]\nname = \"xmr\"\ncoin = \"monero\"\nnetwork = \"regtest\"\n\
         payout_address = \"{SOMEBODY}\"\n{LIGHT}{listener}{ONE_IN_20}{}",
        chain.daemon()
    );
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            daemons: format!("{}{listener}{FIXED_DIFFICULTY}{monero}", node.rpc.daemon()),
            ..PoolSettings::default()
        },
    );
    let of = |name: &str| -> Value {
        let (_, page) = pool.get(&format!("/api/v1/pools/{name}")).unwrap();
        serde_json::from_str(&page).unwrap()
    };
    wait_for("work of both", || {
        let is_there = |name: &str| !of(name)["template"].is_null();
        (is_there("main") && is_there("xmr")).then_some(())
    });

    let mut asic = Miner::ready(shared);
    let share = asic.share(1);
    assert_eq!(asic.submit(&share)["result"], true);
    let mut secret = Miner::over(&tls::Tls { certificate }, shared);
    secret.configure();
    secret.log_in(&format!("{ADDRESS}.test"));
    let share = secret.share(2);
    assert_eq!(secret.submit(&share)["result"], true);
    let mut cpu = miner::Miner::ready(shared, &format!("{SOMEBODY}.rig"));
    let share = cpu.no_block(0, NETWORK);
    assert_eq!(cpu.submit(&share)["result"]["status"], "OK");
    for more in [&[][..], &["--tls"]] {
        let before = of("xmr")["shares"]["stored"].as_u64().unwrap();
        let mut xmrig = xmrig::start(&folder, shared, more);
        wait_for("a share of XMRig's", || {
            (of("xmr")["shares"]["stored"].as_u64()? > before).then_some(())
        });
        xmrig.kill();
    }

    // However the first line is cut; empty lines are none.
    let mut slow = TcpStream::connect(loopback(shared)).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    for piece in [
        "\r\n",
        "{\"id\":1,\"method\":\"lo",
        "gin\",\"params\":{\"login\":\"x\"}}\n",
    ] {
        slow.write_all(piece.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    assert!(all(&mut slow).contains("Invalid payment address provided"));
    // What is neither is answered as the first pool would.
    let mut lost = miner::Miner::connect(shared);
    let told = lost.ask("getwork", json!([]));
    assert_eq!(told["error"][0], 20, "{told}");
    let mut long = TcpStream::connect(loopback(shared)).unwrap();
    long.set_read_timeout(Some(PATIENCE)).unwrap();
    long.write_all(&[b'x'; 5000]).unwrap();
    assert_eq!(all(&mut long), "");
    // Whoever ends the first line never has no more time than others have.
    let mut silent = TcpStream::connect(loopback(shared)).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    silent.write_all(b"{").unwrap();
    assert_eq!(all(&mut silent), "");
    let mut browser = TcpStream::connect(loopback(shared)).unwrap();
    browser.set_read_timeout(Some(PATIENCE)).unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(all(&mut browser).contains("bitcoin and monero"));

    // The port that Bitcoin has alone says whose it is, as ever.
    let mut lost = miner::Miner::connect(pool.miners);
    let told = lost.ask("login", json!({"login": SOMEBODY, "pass": "x"}));
    assert_refused(&told, "This port is for miners of Bitcoin (sha256d)");
    for name in ["main", "xmr"] {
        let doors = of(name)["doors"].to_string();
        assert!(doors.contains(&shared.to_string()), "{doors}");
    }
}

/// What comes until the pool hangs up.
fn all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        // Something was on its way to it.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    String::from_utf8(bytes).unwrap()
}
