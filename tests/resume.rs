//! Miners that come back: to the same pool, to one that was restarted, and under a short name.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{ADDRESS, FIXED_DIFFICULTY, Miner, Rig, assert_rejected};

/// Subscribes with the name of an earlier session, if any; gives the name of this one.
fn subscribe(miner: &mut Miner, session: Option<&str>) -> String {
    let params = match session {
        Some(session) => json!(["test/1", session]),
        None => json!(["test/1"]),
    };
    let reply = miner.ask("mining.subscribe", params);
    miner.extranonce1 = hex::decode(reply["result"][1].as_str().unwrap()).unwrap();
    miner.extranonce2_size = usize::try_from(reply["result"][2].as_u64().unwrap()).unwrap();
    reply["result"][0][0][1].as_str().unwrap().to_owned()
}

fn authorize(miner: &mut Miner, user: &str) -> Value {
    let reply = miner.ask("mining.authorize", json!([user, "x"]));
    if reply["result"] == true {
        while miner.job.is_none() {
            miner.hear();
        }
    }
    reply
}

fn begin(port: u16, session: Option<&str>) -> (Miner, String) {
    let mut miner = Miner::connect(port);
    let session = subscribe(&mut miner, session);
    assert_eq!(
        authorize(&mut miner, &format!("{ADDRESS}.test"))["result"],
        true
    );
    (miner, session)
}

/// Waits until the pool has noticed that a connection has ended.
fn wait_for_end(rig: &Rig) {
    crate::support::wait_for("the end of a connection", || {
        (rig.pool.metric("adit_connections") == 0).then_some(())
    });
}

#[test]
fn a_session_that_comes_back_has_its_extranonce_and_its_jobs() {
    let rig = Rig::new();
    let (mut miner, session) = begin(rig.pool.miners, None);
    let extranonce1 = miner.extranonce1.clone();
    let (first, second) = (miner.share(1), miner.share(2));
    assert_eq!(miner.submit(&first)["result"], true);
    drop(miner);
    wait_for_end(&rig);
    let (mut back, again) = begin(rig.pool.miners, Some(&session));
    assert_eq!(back.extranonce1, extranonce1);
    assert_eq!(again, session);
    assert_eq!(back.submit(&second)["result"], true);
    for known in [&first, &second] {
        assert_rejected(&back.submit(known), 22, "Duplicate share");
    }
    // Nobody has it twice, and nobody gets it by guessing.
    let (twin, other) = begin(rig.pool.miners, Some(&session));
    assert_ne!(twin.extranonce1, extranonce1);
    assert_ne!(other, session);
    for guess in ["00000000", "0000000000000001", "", "x"] {
        let (stranger, name) = begin(rig.pool.miners, Some(guess));
        assert_ne!(stranger.extranonce1, extranonce1);
        assert_ne!(name, guess);
    }
}

#[test]
fn work_of_an_earlier_tip_is_stale_for_who_comes_back() {
    let rig = Rig::new();
    let (miner, session) = begin(rig.pool.miners, None);
    let old = miner.share(1);
    drop(miner);
    wait_for_end(&rig);
    let height = rig.node.rpc.height();
    rig.mine_up_to(u32::try_from(height + 1).unwrap());
    let (mut back, _) = begin(rig.pool.miners, Some(&session));
    let reply = back.submit(&old);
    assert_eq!(reply["error"][0], 21, "{reply}");
    let new = back.share(1);
    assert_eq!(back.submit(&new)["result"], true);
}

#[test]
fn a_restart_tells_miners_to_come_back_and_their_work_earns_after_it() {
    let mut rig = Rig::new();
    let (mut miner, session) = begin(rig.pool.miners, None);
    let extranonce1 = miner.extranonce1.clone();
    let (first, second) = (miner.share(1), miner.share(2));
    assert_eq!(miner.submit(&first)["result"], true);
    assert!(rig.pool.process.stop().success());
    let mut said = Vec::new();
    while let Some(line) = miner.line() {
        said.push(line);
    }
    assert!(
        said.last().unwrap().contains("client.reconnect"),
        "{said:?}"
    );
    rig.pool.start_again();
    rig.pool.wait_until_ready();
    let (mut back, again) = begin(rig.pool.miners, Some(&session));
    assert_eq!((&back.extranonce1, &again), (&extranonce1, &session));
    assert_rejected(&back.submit(&first), 22, "Duplicate share");
    assert_eq!(back.submit(&second)["result"], true);
    assert_rejected(&back.submit(&second), 22, "Duplicate share");
    // No job of this run has the number of one of the last.
    let job = |miner: &Miner| miner.job.as_ref().unwrap().job_id.clone();
    assert_ne!(job(&back), second.job_id);
    let third = back.share(3);
    assert_eq!(back.submit(&third)["result"], true);
}

#[test]
fn after_a_crash_miners_begin_anew() {
    let mut rig = Rig::new();
    let (miner, session) = begin(rig.pool.miners, None);
    let old = miner.share(1);
    rig.pool.process.kill();
    rig.pool.start_again();
    rig.pool.wait_until_ready();
    let (mut back, again) = begin(rig.pool.miners, Some(&session));
    assert_ne!(back.extranonce1, miner.extranonce1);
    assert_ne!(again, session);
    let reply = back.submit(&old);
    // The number of its job may have been given out again, for other work.
    assert!(
        [21, 23].contains(&reply["error"][0].as_i64().unwrap()),
        "{reply}"
    );
}

#[test]
fn a_short_name_stands_for_an_address_that_has_mined_here() {
    let listener = format!("{FIXED_DIFFICULTY}default_address = \"{ADDRESS}\"\n");
    let rig = Rig::with(&listener);
    let mut miner = Miner::connect(rig.pool.miners);
    subscribe(&mut miner, None);
    let unknown = authorize(&mut miner, "u/1.rig");
    assert_rejected(&unknown, 24, "Invalid Bitcoin address");
    // Where the name has no address, the listener's is paid.
    assert_eq!(authorize(&mut miner, ".home")["result"], true);
    let share = miner.share(1);
    let params = |user: &str, share: &crate::support::miner::Solution| {
        json!([
            user,
            share.job_id,
            hex::encode(&share.extranonce2),
            format!("{:08x}", share.ntime),
            format!("{:08x}", share.nonce),
        ])
    };
    let reply = miner.ask("mining.submit", params(".home", &share));
    assert_eq!(reply["result"], true, "{reply}");
    let mut short = Miner::connect(rig.pool.miners);
    subscribe(&mut short, None);
    assert_eq!(authorize(&mut short, "u/1.shed")["result"], true);
    let share = short.share(1);
    let reply = short.ask("mining.submit", params("u/1.shed", &share));
    assert_eq!(reply["result"], true, "{reply}");
    let status = rig.pool.status();
    assert_eq!(status["sessions"][0]["alias"], "u/1", "{status}");
    let workers: Vec<_> = status["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["worker"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(
        workers.contains(&format!("{ADDRESS}.shed"))
            && workers.contains(&format!("{ADDRESS}.home")),
        "{status}"
    );
}

#[test]
fn who_sends_too_many_messages_is_hung_up_on() {
    let listener = FIXED_DIFFICULTY.replace(
        "messages_per_second_max = 0",
        "messages_per_second_max = 20",
    );
    let rig = Rig::with(&listener);
    let mut miner = rig.miner();
    let mut heard = 0;
    let ping = json!({"id": 7, "method": "mining.ping", "params": []}).to_string();
    for _ in 0..1_000 {
        if miner.try_say(&ping).is_err() {
            break;
        }
    }
    while miner.try_hear().is_some() {
        heard += 1;
    }
    // A busy machine may leave seconds in between, in which more are allowed.
    assert!((50..900).contains(&heard), "{heard} answers");
    assert!(miner.is_hung_up(Duration::from_secs(1)));
    assert_eq!(rig.miner().ask("mining.ping", json!([]))["result"], "pong");
}

#[test]
fn a_listener_can_be_deaf_to_wishes() {
    let listener = format!("{FIXED_DIFFICULTY}heed_suggestions = false\n");
    let rig = Rig::with(&listener);
    let mut miner = rig.miner();
    let reply = miner.ask("mining.suggest_difficulty", json!([5]));
    let text = "Suggest difficulty is disabled for this connection";
    assert_rejected(&reply, 20, text);
}
