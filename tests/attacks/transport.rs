//! What a peer can send, or not send, to take memory, time or places from others: the cases that
//! `tests/door.rs` does not have. Memory is measured in `memory.rs`, text in `text.rs`.

mod memory;
mod text;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::Rig;
use crate::support::{
    self, ADDRESS, FIXED_DIFFICULTY, Miner, PATIENCE, connect_from, loopback, wait_for,
};

/// Within this time an answer or a hang-up comes that has nothing to wait for.
const SOON: Duration = Duration::from_secs(30);
/// How much later than asked for a busy machine may act.
const LATE: Duration = Duration::from_secs(20);
/// A busy machine's share of what an honest miner may wait for 99 of 100 answers. `make soak` holds
/// the release build to 100 ms.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// Tries, of which one must be in time: a machine that runs other tests may look away.
const TRIES: u64 = 3;

/// With these lines more for `[[pool.listener]]`.
fn rig(listener: &str) -> Rig {
    Rig::simnet_with("", &format!("{FIXED_DIFFICULTY}{listener}\n"))
}

/// A bare connection that is logged in.
fn authorized(rig: &Rig) -> TcpStream {
    let stream = TcpStream::connect(loopback(rig.pool.miners)).unwrap();
    Miner::on(stream.try_clone().unwrap()).log_in(&format!("{ADDRESS}.bare"));
    stream
}

/// Reads what comes until the pool hangs up; false if it does not in time.
fn is_hung_up(stream: &mut TcpStream, within: Duration) -> bool {
    let began = Instant::now();
    let pause = Some(Duration::from_millis(200));
    stream.set_read_timeout(pause).unwrap();
    while began.elapsed() < within {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if is_timeout(&error) => {}
            Err(_) => return true,
        }
    }
    false
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Submits shares one by one from this extranonce2 on until so many are enough, and gives the time within
/// which 99 of 100 were answered.
#[track_caller]
fn slow_answers(miner: &mut Miner, from: u64, mut enough: impl FnMut(usize) -> bool) -> Duration {
    let mut times = Vec::new();
    for extranonce2 in from.. {
        let share = miner.share(extranonce2);
        let asked = Instant::now();
        assert_eq!(miner.submit(&share)["result"], true);
        times.push(asked.elapsed());
        if enough(times.len()) {
            break;
        }
        // Fewer in a second than any worker may send.
        thread::sleep(Duration::from_millis(12));
    }
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    println!("{} answers, 99 % of them within {p99:?}", times.len());
    p99
}

#[track_caller]
fn still_mines(miner: &mut Miner, extranonce2: u64) {
    let share = miner.share(extranonce2);
    assert_eq!(miner.submit(&share)["result"], true);
}

#[test]
fn a45_a_line_without_end_is_cut_off() {
    let rig = rig("");
    let mut honest = rig.miner();
    let long = 16 * 1024 + 1;
    for log_in in [false, true] {
        // The first time, code that runs for the first time is read into memory, too.
        for (length, is_first) in [(long, true), (long, false), (1 << 20, false)] {
            let mut stream = if log_in {
                authorized(&rig)
            } else {
                TcpStream::connect(loopback(rig.pool.miners)).unwrap()
            };
            let before = rig.pool.process.resident_kib();
            // The pool may hang up before it has read all of it.
            let _ = stream.write_all(&vec![b'x'; length]);
            assert!(is_hung_up(&mut stream, SOON), "{length} bytes");
            let after = rig.pool.process.resident_kib();
            let is_little = is_first || after < before + 512;
            assert!(is_little, "from {before} to {after} KiB");
        }
    }
    still_mines(&mut honest, 1);
}

/// Pings say that a device is there, and nothing of its work.
#[test]
fn a47_a_miner_without_shares_is_closed() {
    const SHARELESS: Duration = Duration::from_secs(10);
    let rig = rig("shareless_s = 10\nidle_s = 60");
    let began = Instant::now();
    let mut idle = rig.miner();
    let mut unknown = rig.miner();
    let mut working = rig.miner();
    let mut share = unknown.share(1);
    share.job_id = "ffffffff".into();
    let mut ended = [None, None];
    for extranonce2 in 0.. {
        if began.elapsed() > PATIENCE || !ended.contains(&None) {
            break;
        }
        still_mines(&mut working, extranonce2);
        let ping = "{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}";
        let is_open = idle.try_say(ping).is_ok() && idle.line().is_some();
        if !is_open && ended[0].is_none() {
            ended[0] = Some(began.elapsed());
        }
        // A share of a job that never was is no work either.
        let is_open = unknown.try_send_share(&share).is_some() && unknown.line().is_some();
        if !is_open && ended[1].is_none() {
            ended[1] = Some(began.elapsed());
        }
        thread::sleep(Duration::from_millis(100));
    }
    for (what, after) in ["pings", "unknown jobs"].into_iter().zip(ended) {
        let after = after.unwrap_or_else(|| panic!("{what}: never closed"));
        assert!(after >= SHARELESS, "{what}: {after:?}");
    }
    still_mines(&mut working, 1_000_000);
}

#[test]
fn a51_vanished_peers_delay_nobody_and_are_reaped() {
    const VANISHED: usize = 200;
    let rig = Rig::regtest_with("idle_s = 20");
    let mut honest = rig.miner();
    // Open, and never read or written again: what a cut cable looks like from here.
    let mut vanished = Vec::new();
    for number in 0..VANISHED {
        if number % 20 == 0 {
            assert!(honest.ask("mining.ping", json!([]))["error"].is_null());
        }
        vanished.push(authorized(&rig));
    }
    let alive = u64::try_from(VANISHED).unwrap() + 1;
    assert_eq!(rig.pool.metric("adit_connections"), alive);
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let found = Instant::now();
        rig.node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
        honest.hear_new_tip();
        slowest = slowest.max(found.elapsed());
        assert!(honest.ask("mining.ping", json!([]))["error"].is_null());
    }
    assert!(slowest < LATE, "a new tip took {slowest:?}");
    wait_for("the vanished to be given up", || {
        assert!(honest.ask("mining.ping", json!([]))["error"].is_null());
        (rig.pool.metric("adit_connections") == 1).then_some(())
    });
    drop(vanished);
}

/// What peers send at once, each.
const REQUESTS: usize = 100_000;

/// Three peers that send so many requests at once; each ends with the last answer.
fn floods(rig: &Rig) -> Vec<thread::JoinHandle<()>> {
    let ping = "{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n";
    (0..3)
        .map(|_| {
            let mut stream = TcpStream::connect(loopback(rig.pool.miners)).unwrap();
            let mut reading = stream.try_clone().unwrap();
            let writer = thread::spawn(move || stream.write_all(ping.repeat(REQUESTS).as_bytes()));
            thread::spawn(move || {
                reading.set_read_timeout(Some(PATIENCE)).unwrap();
                let (mut bytes, mut answers) = (vec![0; 64 * 1024], 0);
                while answers < REQUESTS {
                    let count = reading.read(&mut bytes).unwrap();
                    assert_ne!(count, 0, "hung up after {answers}");
                    answers += bytes[..count].iter().filter(|byte| **byte == b'\n').count();
                }
                writer.join().unwrap().unwrap();
            })
        })
        .collect()
}

#[test]
fn a52_a_hundred_thousand_requests_at_once_delay_nobody() {
    /// Fewer answers than this say little of one in a hundred: the floods come again until then.
    const ANSWERS_MIN: usize = 200;
    let rig = rig("");
    let mut honest = rig.miner();
    let mut p99 = Duration::MAX;
    for round in 1..=TRIES {
        let mut coming = floods(&rig);
        let within = slow_answers(&mut honest, round * 100_000, |answers| {
            if !coming.iter().all(thread::JoinHandle::is_finished) {
                return false;
            }
            for flood in coming.drain(..) {
                flood.join().unwrap();
            }
            let is_enough = answers >= ANSWERS_MIN;
            if !is_enough {
                coming = floods(&rig);
            }
            is_enough
        });
        p99 = p99.min(within);
        if p99 < ANSWER_MAX {
            break;
        }
    }
    assert!(p99 < ANSWER_MAX, "99 of 100 answers within {p99:?}");

    // Where they make no sense, ten are answered.
    let mut stream = TcpStream::connect(loopback(rig.pool.miners)).unwrap();
    let before = rig.pool.metric("adit_lines_malformed_total");
    let junk = "{\"id\":1,\"method\":7}\n".repeat(REQUESTS);
    let _ = stream.write_all(junk.as_bytes());
    assert!(is_hung_up(&mut stream, SOON));
    let counted = rig.pool.metric("adit_lines_malformed_total") - before;
    assert_eq!(counted, 11);
    still_mines(&mut honest, 1);
}

/// A pool whose miners may wish for one of several difficulties.
fn rig_of_many_wishes() -> Rig {
    let listener = FIXED_DIFFICULTY.replace(
        "max_difficulty = 3.725290298461914e-09",
        "max_difficulty = 0.001",
    );
    Rig::simnet_with("", &listener)
}

/// Sends wishes and reads no answer, until the pool hangs up (true), it has enough of it by the time
/// for which nothing more could be sent (false), or two minutes went by.
fn asks_and_does_not_read(mut stream: TcpStream, enough: impl Fn(Duration) -> bool) -> bool {
    let wish = |difficulty: &str| {
        format!("{{\"id\":1,\"method\":\"mining.suggest_difficulty\",\"params\":[{difficulty}]}}\n")
    };
    let wishes = (wish("0.0001") + &wish("0.0002")).repeat(50);
    let pause = Duration::from_millis(100);
    stream.set_write_timeout(Some(pause)).unwrap();
    let (began, mut sent, mut taken_at) = (Instant::now(), 0, Instant::now());
    while began.elapsed() < Duration::from_secs(120) && !enough(taken_at.elapsed()) {
        match stream.write(&wishes.as_bytes()[sent..]) {
            Ok(count) => {
                sent = (sent + count) % wishes.len();
                taken_at = Instant::now();
            }
            Err(error) if is_timeout(&error) => {}
            Err(_) => return true,
        }
    }
    false
}

/// Each wish changes the difficulty and brings a job of its own, so the pool has much to say.
#[test]
fn a53_a_reader_with_a_closed_window_is_dropped() {
    const DEAF: usize = 10;
    /// What each may hold, 64 KiB of what is unsent and one job more, and the allocator's share.
    const GROWTH_KIB: u64 = 4 * 1024;
    let rig = rig_of_many_wishes();
    let mut honest = rig.miner();
    let before = rig.pool.process.resident_kib();
    let deaf: Vec<_> = (0..DEAF).map(|_| authorized(&rig)).collect();
    let deaf: Vec<_> = deaf
        .into_iter()
        .map(|stream| thread::spawn(move || asks_and_does_not_read(stream, |_| false)))
        .collect();
    let (mut worst, mut most) = (Duration::ZERO, before);
    while !deaf.iter().all(thread::JoinHandle::is_finished) {
        let asked = Instant::now();
        assert!(honest.ask("mining.ping", json!([]))["error"].is_null());
        worst = worst.max(asked.elapsed());
        most = most.max(rig.pool.process.resident_kib());
        thread::sleep(Duration::from_millis(20));
    }
    for peer in deaf {
        assert!(peer.join().unwrap(), "it was never dropped");
    }
    println!("{before} to {most} KiB, an honest miner waited {worst:?}");
    assert!(most < before + GROWTH_KIB, "from {before} to {most} KiB");
    assert!(worst < LATE, "an honest miner waited {worst:?}");
    let log = rig.pool.process.log_text();
    assert!(log.contains("does not read what it is sent"));
}

/// It has the time for its last words, and not the whole time of a slow reader.
#[test]
fn a53_a_reader_with_a_closed_window_does_not_hold_up_the_end() {
    let mut end = Duration::MAX;
    for _ in 0..TRIES {
        let mut rig = rig_of_many_wishes();
        let stream = authorized(&rig);
        let kept = stream.try_clone().unwrap();
        let hung_up = asks_and_does_not_read(stream, |stuck| stuck > Duration::from_secs(1));
        assert!(!hung_up, "dropped before the pool was stopped");
        let asked = Instant::now();
        rig.pool.process.signal("TERM");
        assert!(rig.pool.process.wait().success());
        end = end.min(asked.elapsed());
        drop(kept);
        // A slow reader has ten seconds.
        if end < Duration::from_secs(8) {
            break;
        }
    }
    assert!(end < Duration::from_secs(8), "ended after {end:?}");
}

/// Whoever logs in again as somebody else adds a worker, and takes nothing from the first.
#[test]
fn a62_an_address_that_changes_redirects_no_share() {
    const OTHER: &str = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";
    let rig = support::Rig::new();
    let mut miner = rig.miner();
    still_mines(&mut miner, 1);
    assert_eq!(
        miner.ask("mining.authorize", json!([format!("{OTHER}.thief"), "x"]))["result"],
        true
    );
    // What names the first worker is the first worker's, and nothing else is.
    for extranonce2 in 2..5 {
        still_mines(&mut miner, extranonce2);
    }
    let share = miner.share(5);
    let params = Miner::params(&format!("{OTHER}.thief"), &share);
    assert_eq!(miner.ask("mining.submit", params)["result"], true);
    for stranger in [OTHER.to_owned(), format!("{ADDRESS}.other"), String::new()] {
        let share = miner.share(6);
        let reply = miner.ask("mining.submit", Miner::params(&stranger, &share));
        assert_eq!(reply["error"][0], 24, "{stranger}: {reply}");
    }
    rig.session(&format!("{ADDRESS}.test"), 4);
    rig.session(&format!("{OTHER}.thief"), 1);
    // A password is none of the pool's business, and moves nothing either.
    let again = json!([format!("{ADDRESS}.test"), format!("address={OTHER}")]);
    assert_eq!(miner.ask("mining.authorize", again)["result"], true);
    still_mines(&mut miner, 7);
    rig.session(&format!("{ADDRESS}.test"), 5);
    rig.session(&format!("{OTHER}.thief"), 1);
}

/// Miners on a slow line.
const MINERS: usize = 8;

/// What they have met.
#[derive(Default)]
struct Met {
    good: AtomicU32,
    stale: AtomicU32,
    /// Changes of the difficulty.
    steps: AtomicU32,
    /// The rounds of each.
    rounds: [AtomicU32; MINERS],
    over: AtomicBool,
}

impl Met {
    fn is_enough(&self) -> bool {
        let met = |count: &AtomicU32, least| count.load(Ordering::SeqCst) >= least;
        met(&self.good, 200) && met(&self.stale, 20) && met(&self.steps, 16)
    }

    fn rounds(&self) -> [u32; MINERS] {
        std::array::from_fn(|number| self.rounds[number].load(Ordering::SeqCst))
    }

    /// Mines over a slow line: what is heard is acted on late.
    fn mine(&self, miner: &mut Miner, rounds: &AtomicU32) {
        let mut extranonce2 = 0;
        while !self.over.load(Ordering::SeqCst) {
            let difficulty = miner.difficulty;
            let shares: Vec<_> = (0..3)
                .map(|_| {
                    extranonce2 += 1;
                    miner.share(extranonce2)
                })
                .collect();
            thread::sleep(Duration::from_millis(60));
            for share in &shares {
                let reply = miner.submit(share);
                let is_good = reply["result"] == true;
                assert!(is_good || reply["error"][1] == "Stale", "{reply}");
                let count = if is_good { &self.good } else { &self.stale };
                count.fetch_add(1, Ordering::SeqCst);
            }
            let steps = u32::from(miner.difficulty != difficulty);
            self.steps.fetch_add(steps, Ordering::SeqCst);
            rounds.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Shares of an earlier tip, shares of an earlier difficulty: none of it is held against who sends
/// them.
#[test]
fn i07_honest_miners_are_never_banned() {
    // Faster than any miner would be: difficulties change all the time.
    let rig = support::Rig::heavy(
        "start_difficulty = 1e-8\nmin_difficulty = 1e-9\nmax_difficulty = 1e-6\nshare_time_s = 1\n\
         [pool.bans]\nshares_min = 5\ninvalid_percent = 0\nexempt = []\n",
    );
    let met = Met::default();
    thread::scope(|scope| {
        for (number, rounds) in (1..).zip(&met.rounds) {
            let address = format!("127.0.0.{number}");
            let mut miner = Miner::on(connect_from(&address, rig.pool.miners));
            miner.log_in(&format!("{ADDRESS}.test"));
            let met = &met;
            scope.spawn(move || met.mine(&mut miner, rounds));
        }
        let began = Instant::now();
        let mut at_tip = [0; MINERS];
        while !met.is_enough() && began.elapsed() < 2 * PATIENCE {
            // A job of many tips ago is forgotten: whoever is held up is waited for.
            let rounds = met.rounds();
            if at_tip.iter().zip(rounds).all(|(before, now)| *before < now) {
                at_tip = rounds;
                rig.node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
            }
            thread::sleep(Duration::from_millis(400));
        }
        met.over.store(true, Ordering::SeqCst);
    });
    println!(
        "{:?} good shares, {:?} stale, {:?} changes of difficulty",
        met.good, met.stale, met.steps
    );
    assert!(met.is_enough(), "too little to mean anything");
    assert_eq!(rig.pool.metric("adit_bans_total"), 0);
    let (_, text) = rig.pool.get("/metrics").unwrap();
    let refused = text
        .lines()
        .filter(|line| line.starts_with("adit_shares_rejected_total"));
    for line in refused {
        assert!(line.contains("\"stale\"") || line.ends_with(" 0"), "{line}");
    }
}

/// Checks that a line is answered with an error of the protocol, or that its connection ends.
#[track_caller]
fn refused(miner: &mut Miner, line: &[u8], what: &str) -> Option<Value> {
    let reply = answered(miner, line)?;
    let is_refused = !reply["error"].is_null() || reply["result"] == false;
    assert!(is_refused, "{what}: {reply}");
    Some(reply)
}

/// The answer to a line; nothing if the pool hung up.
fn answered(miner: &mut Miner, line: &[u8]) -> Option<Value> {
    if miner.try_say_bytes(line).is_err() {
        return None;
    }
    loop {
        let reply = miner.try_hear()?;
        if reply["method"].is_null() {
            return Some(reply);
        }
    }
}
