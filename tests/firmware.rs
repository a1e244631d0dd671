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
    ADDRESS, Miner, Rig, runtime,
    transport::{Duplex, Plain, Transport},
    wait_for,
};

/// Plays the whole table at once against a fresh pool, then looks at what the pool says of each.
fn play_all(rig: &Rig, transport: &dyn Transport) {
    let port = rig.pool.miners;
    let players: Vec<_> = table::FIXTURES
        .iter()
        .map(|fixture| fixture.play(transport, port))
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

#[test]
fn every_firmware_gets_its_share_accepted() {
    play_all(&Rig::new(), &Plain);
}

/// The bytes that AxeOS reads in one go when it looks whether its first pool is back, and how long
/// it waits for them.
const PROBE_READ: usize = 1023;
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

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
        let reply: Value = miner.hear();
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
