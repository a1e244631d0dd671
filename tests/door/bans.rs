//! Bans, from the shares that earn one to the operator who lifts it.

use serde_json::{Value, json};

use super::{
    super::support::{Miner, wait_for},
    Rig, SOON, let_in, proxy_header, turned_away,
};

/// Nobody is exempt, as all tests come from loopback.
const STRICT: &str = "[pool.bans]\nshares_min = 20\nexempt = []";

/// Sends shares that are none until the pool hangs up, and says how many that took.
#[track_caller]
fn provoke(miner: &mut Miner, most: u32) -> Option<u32> {
    let mut share = miner.share(0);
    for number in 0..most {
        // Bits that were never agreed on.
        share.version_bits = Some(0x8000_0000);
        share.nonce = number;
        let Some(id) = miner.try_send_share(&share) else {
            return Some(number);
        };
        loop {
            match miner.try_hear() {
                None => return Some(number),
                Some(message) if message["id"] == id => break,
                Some(_) => {}
            }
        }
    }
    None
}

fn bans(rig: &Rig) -> Vec<Value> {
    let (status, text) = rig.pool.get("/api/v1/bans").unwrap();
    assert_eq!(status, 200);
    let text: Value = serde_json::from_str(&text).unwrap();
    let bans = text["pools"][0]["bans"].as_array().unwrap().clone();
    assert_eq!(text["pools"][0]["count"], bans.len());
    bans
}

#[test]
fn an_address_with_too_many_invalid_shares_is_banned_until_it_is_lifted() {
    let mut rig = Rig::start(STRICT, "");
    let mut beside = Miner::ready(rig.pool.miners);
    let mut other = Miner::on(rig.connect_from("127.0.0.2"));
    other.log_in(&format!("{}.test", super::super::support::ADDRESS));
    // A new connection is no new beginning.
    assert_eq!(provoke(&mut Miner::ready(rig.pool.miners), 10), None);
    let took = provoke(&mut Miner::ready(rig.pool.miners), 100).expect("a ban");
    assert!((10..=11).contains(&took), "after {took} more");
    assert!(beside.is_hung_up(SOON), "its other connection ends too");
    turned_away(rig.connect());
    let solution = other.share(1);
    assert_eq!(other.submit(&solution)["result"], true);
    assert_eq!(rig.metric("adit_bans_total"), 1);
    let found = bans(&rig);
    assert_eq!(
        (found.len(), &found[0]["address"]),
        (1, &json!("127.0.0.1"))
    );
    assert_eq!(
        (&found[0]["shares"], &found[0]["invalid"]),
        (&json!(20), &json!(20))
    );

    assert!(rig.pool.process.stop().success());
    rig.pool.start_again();
    rig.pool.wait_until_ready();
    turned_away(rig.connect());
    assert_eq!(bans(&rig), found);

    assert_eq!(rig.pool.delete("/api/v1/bans/127.0.0.2"), 404);
    assert_eq!(rig.pool.delete("/api/v1/bans/nobody"), 400);
    turned_away(rig.connect());
    assert_eq!(rig.pool.delete("/api/v1/bans/127.0.0.1"), 204);
    assert_eq!(rig.pool.delete("/api/v1/bans/127.0.0.1"), 404);
    assert!(bans(&rig).is_empty());
    let mut again = Miner::ready(rig.pool.miners);
    let solution = again.share(2);
    assert_eq!(again.submit(&solution)["result"], true);
    // What was counted before the ban counts no more.
    assert_eq!(provoke(&mut again, 18), None);
}

#[test]
fn a_ban_ends_by_itself_and_by_default_loopback_has_none() {
    let rig = Rig::start(
        "[pool.bans]\nshares_min = 20\nban_s = 10",
        "proxy_from = [\"127.0.0.2\"]",
    );
    assert_eq!(provoke(&mut Miner::ready(rig.pool.miners), 100), None);
    let through = |peer: &str| {
        let mut stream = rig.connect_from("127.0.0.2");
        std::io::Write::write_all(&mut stream, &proxy_header(peer)).unwrap();
        stream
    };
    let mut banned = Miner::on(through("[2a00::1]:1"));
    banned.log_in(&format!("{}.test", super::super::support::ADDRESS));
    assert!(provoke(&mut banned, 100).is_some());
    turned_away(through("[2a00::ffff]:1"));
    let_in(through("[2a00:0:0:1::1]:1"));
    wait_for("the end of the ban", || {
        let mut miner = Miner::on(through("[2a00::1]:1"));
        miner
            .try_say("{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}")
            .ok()?;
        miner.line()
    });
}

#[test]
fn late_and_unknown_shares_ban_nobody_and_malformed_ones_do() {
    let rig = Rig::start(STRICT, "");
    let mut miner = Miner::ready(rig.pool.miners);
    let mut share = miner.share(1);
    share.job_id = "ffffffff".into();
    for _ in 0..100 {
        assert_eq!(miner.submit(&share)["error"][0], 21);
    }
    assert!(bans(&rig).is_empty());
    drop(miner);
    // Ten of them are forgiven on a connection; the address has twenty.
    for _ in 0..2 {
        let mut miner = Miner::ready(rig.pool.miners);
        for _ in 0..10 {
            let reply = miner.ask("mining.submit", json!([1, 2]));
            assert_eq!(reply["error"][0], 20, "{reply}");
        }
    }
    turned_away(rig.connect());
    assert_eq!(bans(&rig).len(), 1);
}
