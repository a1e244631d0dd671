//! What a connection can make the pool hold, measured on the process.

use std::{io::Write, net::TcpStream};

use serde_json::json;

use super::{rig, still_mines};
use crate::{
    attacks::Rig,
    support::{ADDRESS, Miner, connect_from, wait_for},
};

/// Connections of a measurement.
const COUNT: u64 = 1_000;

/// The memory of the pool with so many connections more that `open` makes, by connection, in bytes.
fn bytes_each(rig: &Rig, open: impl Fn(u64) -> TcpStream) -> u64 {
    // The first ones pay for what is there once.
    let mut held: Vec<TcpStream> = (0..50).map(&open).collect();
    settled(rig, 50);
    let before = rig.pool.process.resident_kib();
    held.extend((0..COUNT).map(&open));
    settled(rig, 50 + COUNT);
    let after = rig.pool.process.resident_kib();
    let each = after.saturating_sub(before) * 1024 / COUNT;
    println!("{each} bytes a connection: from {before} to {after} KiB by {COUNT}");
    drop(held);
    each
}

/// Waits until the pool has so many connections and has read what they sent.
fn settled(rig: &Rig, count: u64) {
    wait_for("all connections", || {
        (rig.pool.metric("adit_connections") == count).then_some(())
    });
    let mut last = 0;
    wait_for("the memory to settle", || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let now = rig.pool.process.resident_kib();
        let is_settled = now.abs_diff(last) < 32;
        last = now;
        is_settled.then_some(())
    });
}

#[test]
fn i18_a_stranger_costs_at_most_16_kib() {
    let rig = rig("handshake_s = 60");
    let each = bytes_each(&rig, |number| {
        let address = format!("127.0.{}.1", number % 4);
        let stream = connect_from(&address, rig.pool.miners);
        let mut miner = Miner::on(stream.try_clone().unwrap());
        // The longest agent, then the longest line but for its end.
        miner.subscribe(&"a".repeat(255));
        let mut stream = stream;
        stream.write_all(&[b'{'; 4 * 1024]).unwrap();
        stream
    });
    assert!(each <= 16 * 1024, "{each} bytes");
}

#[test]
fn i19_a_miner_costs_at_most_64_kib() {
    let rig = rig("");
    let each = bytes_each(&rig, |number| {
        let address = format!("127.0.{}.1", number % 4);
        let stream = connect_from(&address, rig.pool.miners);
        let mut miner = Miner::on(stream.try_clone().unwrap());
        miner.configure();
        miner.log_in(&format!("{ADDRESS}.{number}"));
        // Workers, jobs of its own, and the longest line but for its end.
        for worker in 0..8 {
            let user = format!("{ADDRESS}.{number}-{worker}{}", "x".repeat(40));
            assert_eq!(
                miner.ask("mining.authorize", json!([user, "x"]))["result"],
                true
            );
        }
        let mut stream = stream;
        stream.write_all(&[b'{'; 16 * 1024]).unwrap();
        stream
    });
    assert!(each <= 64 * 1024, "{each} bytes");
    let mut honest = rig.miner();
    still_mines(&mut honest, 1);
}

/// Whatever a miner types, nothing of it becomes a label.
#[test]
fn a66_names_make_no_metrics() {
    let rig = rig("");
    let port = rig.pool.miners;
    let series = || {
        let (_, text) = rig.pool.get("/metrics").unwrap();
        let names = text.lines().filter(|line| !line.starts_with('#'));
        let names: Vec<String> = names
            .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
            .collect();
        names
    };
    still_mines(&mut Miner::ready(port), 1);
    let before = series();
    assert!(before.len() > 10, "{before:?}");
    let mut names = 0;
    let mut kept = Vec::new();
    for connection in 0..40 {
        let mut miner = Miner::connect(port);
        miner.log_in_as(
            &format!("canary-{connection}/1"),
            &format!("{ADDRESS}.canary{connection}"),
        );
        let ids: Vec<u64> = (0..120)
            .map(|worker| {
                let user = format!("{ADDRESS}.canary{connection}-{worker}");
                miner.send("mining.authorize", json!([user, "x"]))
            })
            .collect();
        for id in ids {
            assert_eq!(miner.answer_to(id)["result"], true);
            names += 1;
        }
        for method in 0..5 {
            miner.ask(&format!("canary.method{method}"), json!([]));
        }
        let share = miner.share(1);
        let params = Miner::params(&format!("{ADDRESS}.canary{connection}-7"), &share);
        assert_eq!(miner.ask("mining.submit", params)["result"], true);
        assert_eq!(
            rig.pool.get(&format!("/canary/{connection}")).unwrap().0,
            404
        );
        kept.push(miner);
    }
    assert_eq!(names, 4_800);
    assert_eq!(series(), before);
}
