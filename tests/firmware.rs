//! Every firmware's way of speaking Stratum V1, byte for byte, from its first line to an accepted
//! share. The rows are in `table`; they are played over whatever transport a test hands in.

mod coinbase;
mod device;
mod errors;
mod script;
mod table;
mod username;
mod work;

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::{
    ADDRESS, FIXED_DIFFICULTY, Miner, Node, Rig, runtime,
    tls::{self, Tls},
    transport::{Balanced, Duplex, Plain, Six, Transport},
    wait_for,
};

/// Plays the whole table at once against a fresh pool, the rows by turns over each of these
/// transports, then looks at what the pool says of each.
fn play_all(rig: &Rig, transports: &[&dyn Transport]) {
    let port = rig.pool.miners;
    let players: Vec<_> = table::FIXTURES
        .iter()
        .zip(transports.iter().cycle())
        .map(|(fixture, transport)| fixture.play(*transport, port))
        .collect();
    for fixture in table::FIXTURES {
        let session = rig.session(&worker(&fixture.user()), 1);
        assert_eq!(session["agent"], fixture.agent, "{session}");
        assert_eq!(session["rejected"], 0, "{session}");
    }
    let status = rig.pool.status();
    assert_eq!(status["connected"], players.len(), "{status}");
    assert_eq!(status["shares"]["stored"], players.len(), "{status}");
}

/// The worker as the pool keeps it: a name has at most 64 characters behind the address.
fn worker(user: &str) -> String {
    user.chars().take(ADDRESS.len() + 1 + 64).collect()
}

/// A pool that offers no unchanged work again meanwhile: what is heard then was asked for.
fn calm(listener: &str) -> Rig {
    Rig::of("refresh_s = 3600", listener, Node::simnet)
}

#[test]
fn every_firmware_gets_its_share_accepted() {
    play_all(&calm(FIXED_DIFFICULTY), &[&Plain]);
}

#[test]
fn every_firmware_gets_its_share_accepted_over_ipv6() {
    play_all(&Rig::at("[::1]", FIXED_DIFFICULTY), &[&Six]);
}

#[test]
fn every_firmware_gets_its_share_accepted_through_a_balancer() {
    let listener = format!("{FIXED_DIFFICULTY}proxy_from = [\"127.0.0.2\"]\n");
    let rig = calm(&listener);
    let through = Balanced {
        balancer: "127.0.0.2",
        peer: "9.8.7.6:1000",
    };
    play_all(&rig, &[&through]);
    wait_for("the peer in the log", || {
        let log = rig.pool.process.log_text();
        log.contains("9.8.7.6:1000").then_some(())
    });
}

/// A pool whose port speaks TLS so, and who can speak to it.
fn with_tls(mode: &str) -> (Rig, Tls) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = tls::write_certificate(folder.path());
    let settings = tls::settings(mode, folder.path());
    // The pool has read the files once it is ready.
    let rig = calm(&format!("{FIXED_DIFFICULTY}{settings}"));
    (rig, Tls { certificate })
}

#[test]
fn every_firmware_gets_its_share_accepted_under_tls() {
    let (rig, tls) = with_tls("only");
    play_all(&rig, &[&tls]);
}

#[test]
fn every_firmware_gets_its_share_accepted_where_tls_and_plain_share_a_port() {
    let (rig, tls) = with_tls("on");
    play_all(&rig, &[&tls, &Plain]);
    let (rig, tls) = with_tls("on");
    play_all(&rig, &[&Plain, &tls]);
}

/// The bytes that AxeOS reads in one go when it looks whether its first pool is back, and how long
/// a busy machine may take to send them: AxeOS waits 5 s.
const PROBE_READ: usize = 1023;
const PROBE_PATIENCE: Duration = Duration::from_secs(20);

/// What one read gives after AxeOS has said who it is.
fn probe(connection: &mut dyn Duplex, user: &str) -> String {
    let socket = connection.socket();
    socket.set_read_timeout(Some(PROBE_PATIENCE)).unwrap();
    let lines = format!(
        "{{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": [\"bitaxe/BM1370/v2.13.0\"]}}\n\
         {{\"id\": 2, \"method\": \"mining.authorize\", \"params\": [\"{user}\", \"x\"]}}\n"
    );
    connection.write_all(lines.as_bytes()).unwrap();
    connection.flush().unwrap();
    let mut bytes = [0; PROBE_READ];
    let count = connection.read(&mut bytes).unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

#[test]
fn the_look_of_axeos_at_a_pool_finds_it_and_leaves_nothing_behind() {
    let rig = Rig::new();
    let user = format!("{ADDRESS}.bitaxe");
    for _ in 0..3 {
        let mut connection = Plain.connect(rig.pool.miners);
        let heard = probe(&mut *connection, &user);
        assert!(heard.contains("mining.notify"), "{heard}");
    }
    wait_for("the sessions to end", || {
        (rig.pool.status()["connected"] == 0).then_some(())
    });
    assert_eq!(rig.pool.status()["sessions"], json!([]));
    // Beside a miner at work it is a second session, and the first one is what remains.
    let mut miner = rig.miner();
    let mut connection = Plain.connect(rig.pool.miners);
    probe(&mut *connection, &format!("{ADDRESS}.test"));
    drop(connection);
    let share = miner.share(1);
    assert_eq!(miner.submit(&share)["result"], true);
    wait_for("the second session to end", || {
        (rig.pool.status()["connected"] == 1).then_some(())
    });
    rig.session(&format!("{ADDRESS}.test"), 1);
    // Only the share made a worker.
    let names = runtime().block_on(async {
        let url = format!("sqlite://{}?mode=ro", rig.pool.database().display());
        let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let rows: Vec<(String,)> = sqlx::query_as("SELECT name FROM workers")
            .fetch_all(&mut database)
            .await
            .unwrap();
        rows
    });
    assert_eq!(names, [("test".to_owned(),)]);
}

#[test]
fn a_spoiled_minimum_of_bits_does_not_spoil_rolling() {
    let rig = Rig::new();
    let mut miner = rig.miner();
    for spoiled in [
        "null",
        "-1",
        "2.5",
        "\"\"",
        "\"x\"",
        "[2]",
        "{}",
        "99999999999999999999",
    ] {
        miner.say(&format!(
            r#"{{"id":"b","method":"mining.configure","params":[["version-rolling"],{{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":{spoiled}}}]}}"#
        ));
        // Work may come between.
        let reply: Value = loop {
            let line = miner.hear();
            if line["method"].is_null() {
                break line;
            }
        };
        assert_eq!(reply["result"]["version-rolling"], true, "{spoiled}");
        assert_eq!(reply["error"], Value::Null, "{spoiled}");
    }
}

#[test]
fn what_bfgminer_says_of_itself_is_not_answered_before_its_subscription() {
    let rig = Rig::new();
    let mut miner = Miner::connect(rig.pool.miners);
    miner.say(
        r#"{"id":null,"method":"mining.capabilities","params":[{"notify":[],"set_difficulty":{},"set_goal":[],"malgo":{"SHA256d":{}}}]}"#,
    );
    miner.say(r#"{"id": 0, "method": "mining.subscribe", "params": ["bfgminer/5.5.0"]}"#);
    let first = miner.hear();
    assert_eq!(first["id"], 0, "{first}");
}
