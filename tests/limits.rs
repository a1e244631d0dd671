//! What a peer can do to the pool, and what it cannot: each limit of a listener is met by a peer that
//! passes it, while an honest miner beside it notices nothing.

use std::{
    collections::HashSet,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{
    ADDRESS, FIXED_DIFFICULTY, Miner, Node, PATIENCE, Pool, PoolSettings, connect_from, loopback,
    wait_for,
};

/// The longest line before and after a miner is authorized.
const LINE_MAX: [usize; 2] = [4 * 1024, 16 * 1024];
/// Within this time an answer or a hang-up comes that has nothing to wait for.
const SOON: Duration = Duration::from_secs(30);
/// How much later than asked for a busy machine may act.
const LATE: Duration = Duration::from_secs(20);

#[test]
fn a_line_that_is_too_long_ends_its_connection_alone() {
    let rig = Rig::start("", "");
    let mut honest = Miner::ready(rig.pool.miners);
    for (authorized, limit) in [false, true].into_iter().zip(LINE_MAX) {
        let peer = || {
            let miner = if authorized {
                Miner::ready
            } else {
                Miner::connect
            };
            miner(rig.pool.miners)
        };
        let mut longest = peer();
        longest.say(&padded_ping(limit));
        assert!(longest.answer_to(77)["error"].is_null());
        for end in ["\n", ""] {
            let mut stream = bare(&rig, authorized);
            let line = padded_ping(limit + 1) + end;
            // The pool may hang up before it has read all of it.
            let _ = stream.write_all(line.as_bytes());
            let after = hung_up_after(Instant::now(), &mut stream, SOON, |_| {});
            assert!(after.is_some(), "{limit} bytes and one more");
        }
        longest.say(&padded_ping(limit));
        assert!(longest.answer_to(77)["error"].is_null());
    }
    let solution = honest.share(1);
    assert_eq!(honest.submit(&solution)["result"], true);
}

#[test]
fn who_does_not_authorize_in_time_is_closed_whatever_it_sends() {
    let rig = Rig::start("", "handshake_s = 2");
    let port = rig.pool.miners;
    let mut authorized = Miner::ready(port);
    let peer = |meanwhile: fn(&mut TcpStream)| {
        // The pool's time begins later than this.
        let start = Instant::now();
        let mut stream = TcpStream::connect(loopback(port)).unwrap();
        thread::spawn(move || hung_up_after(start, &mut stream, PATIENCE, meanwhile))
    };
    // The pool may have hung up in between: then nothing can be sent.
    let peers = [
        ("silent", peer(|_| {})),
        (
            "dripping",
            peer(|stream| {
                thread::sleep(Duration::from_millis(300));
                let _ = stream.write_all(b"x");
            }),
        ),
        (
            "talking",
            peer(|stream| {
                let _ = stream.write_all(b"{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n");
            }),
        ),
        (
            "subscribing",
            peer(|stream| {
                let _ =
                    stream.write_all(b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n");
            }),
        ),
        (
            "sending empty lines",
            peer(|stream| {
                let _ = stream.write_all(&[b'\n'; 1000]);
            }),
        ),
    ];
    for (what, peer) in peers {
        let after = peer.join().unwrap();
        let after = after.unwrap_or_else(|| panic!("{what}: never closed"));
        assert!(
            (Duration::from_millis(1900)..Duration::from_secs(2) + LATE).contains(&after),
            "{what}: closed after {after:?}"
        );
    }
    assert!(authorized.ask("mining.ping", json!([]))["error"].is_null());
}

/// Faster than it can be read, so that there is always something to read.
#[test]
fn a_flood_does_not_put_off_the_end_of_the_handshake() {
    let rig = Rig::start("", "handshake_s = 2");
    let port = rig.pool.miners;
    let mut honest = Miner::ready(port);
    let floods: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(loopback(port)).unwrap();
            thread::spawn(move || flood(&mut stream, &[b'\n'; 256 * 1024], PATIENCE))
        })
        .collect();
    let worst = slowest_answer(&mut honest, || {
        floods.iter().all(|flood| flood.is_finished())
    });
    for flood in floods {
        let after = flood.join().unwrap().expect("the flood ends");
        assert!(after < Duration::from_secs(2) + LATE, "{after:?}");
    }
    assert!(worst < LATE, "an honest miner waited {worst:?}");
}

#[test]
fn connections_of_one_address_are_counted() {
    let rig = Rig::start("", "connections_per_address_max = 3");
    let port = rig.pool.miners;
    let mut inside: Vec<_> = (0..3).map(|_| Miner::ready(port)).collect();
    for _ in 0..3 {
        turned_away(TcpStream::connect(loopback(port)).unwrap());
    }
    // Another address is another party.
    Miner::on(connect_from("127.0.0.2", port)).subscribe("test/1");
    for left in 0..3 {
        drop(inside.swap_remove(left));
        inside.push(let_in_again(port));
        turned_away(TcpStream::connect(loopback(port)).unwrap());
    }
    for miner in &mut inside {
        assert!(miner.ask("mining.ping", json!([]))["error"].is_null());
    }
}

#[test]
fn connections_are_counted_in_all() {
    let rig = Rig::start("", "connections_max = 2");
    let port = rig.pool.miners;
    let first = Miner::ready(port);
    let second = Miner::on(connect_from("127.0.0.2", port));
    turned_away(TcpStream::connect(loopback(port)).unwrap());
    turned_away(connect_from("127.0.0.3", port));
    drop(second);
    let again = let_in_again(port);
    turned_away(connect_from("127.0.0.2", port));
    drop((first, again));
    let _both = [let_in_again(port), let_in_again(port)];
}

#[test]
fn ten_lines_that_make_no_sense_are_forgiven_and_the_eleventh_is_not() {
    let rig = Rig::start("", "");
    for ready in [false, true] {
        for line in [
            "nonsense",
            "{\"id\":7,\"method\":\"mining.dig\",\"params\":[]}",
        ] {
            let miner = if ready { Miner::ready } else { Miner::connect };
            let mut miner = miner(rig.pool.miners);
            for _ in 0..10 {
                miner.say(line);
                let reply = loop {
                    let reply = miner.hear();
                    if reply["method"].is_null() {
                        break reply;
                    }
                };
                assert!(!reply["error"].is_null(), "{reply}");
            }
            assert!(miner.ask("mining.ping", json!([]))["error"].is_null());
            miner.say(line);
            assert!(miner.is_hung_up(SOON), "{line}");
        }
    }
}

#[test]
fn no_bytes_kill_the_pool() {
    let mut rig = Rig::start("", "");
    let mut honest = Miner::ready(rig.pool.miners);
    for (number, line) in garbage().iter().enumerate() {
        for authorized in [false, true] {
            let mut stream = bare(&rig, authorized);
            // The pool may hang up before it has read all of it.
            let _ = stream.write_all(line);
            let _ = stream.write_all(b"\n");
            let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
            answered_or_hung_up(stream, &format!("{number}: {shown}"));
        }
        assert!(rig.pool.process.is_running());
        assert!(honest.ask("mining.ping", json!([]))["error"].is_null());
    }
    let solution = honest.share(1);
    assert_eq!(honest.submit(&solution)["result"], true);
    let log = rig.pool.process.log_text();
    assert!(!log.contains("panicked"), "{log}");
}

/// New work is sent each second, which is no sign of life of the miner's.
#[test]
fn a_miner_that_says_nothing_is_closed() {
    let rig = Rig::start("refresh_s = 1", "idle_s = 10");
    let peer = |meanwhile: fn(&mut TcpStream)| {
        let (start, mut stream) = (Instant::now(), bare(&rig, true));
        let limit = Duration::from_secs(40);
        thread::spawn(move || hung_up_after(start, &mut stream, limit, meanwhile))
    };
    let silent = peer(|_| {});
    // A line that never ends says nothing.
    let dripping = peer(|stream| {
        // The pool may have hung up.
        let _ = stream.write_all(b" ");
    });
    let talking = peer(|stream| {
        let _ = stream.write_all(b"{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n");
    });
    let mut faults = Vec::new();
    for (what, peer) in [("silent", silent), ("dripping", dripping)] {
        match peer.join().unwrap() {
            Some(after) if after < Duration::from_secs(10) + LATE => {}
            after => faults.push(format!("{what}: closed after {after:?}")),
        }
    }
    if let Some(after) = talking.join().unwrap() {
        faults.push(format!("talking: closed after {after:?}"));
    }
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_peer_that_never_reads_is_dropped_and_slows_nobody() {
    let rig = Rig::start("", "");
    let mut honest = Miner::ready(rig.pool.miners);
    let mut stream = bare(&rig, true);
    let flooding = thread::spawn(move || {
        let lines = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n".repeat(1000);
        flood(&mut stream, lines.as_bytes(), PATIENCE)
    });
    let worst = slowest_answer(&mut honest, || flooding.is_finished());
    flooding.join().unwrap().expect("it is dropped");
    assert!(worst < LATE, "an honest miner waited {worst:?}");
    let solution = honest.share(1);
    assert_eq!(honest.submit(&solution)["result"], true);
    wait_for("the reason in the log", || {
        let log = rig.pool.process.log_text();
        log.contains("does not read what it is sent").then_some(())
    });
}

#[test]
fn connections_come_and_go_without_a_trace() {
    const COUNT: usize = 200;
    let rig = Rig::start("", "");
    let mut prefixes = HashSet::new();
    for round in 0..2 {
        let mut miners: Vec<_> = (0..COUNT).map(|_| Miner::ready(rig.pool.miners)).collect();
        let strangers: Vec<_> = (0..50)
            .map(|_| TcpStream::connect(loopback(rig.pool.miners)).unwrap())
            .collect();
        assert_eq!(rig.pool.status()["connected"], COUNT);
        let alive = miners.iter().map(|miner| miner.extranonce1.clone());
        let distinct: HashSet<_> = alive.collect();
        assert_eq!(distinct.len(), COUNT, "no two have the same extranonce1");
        prefixes.extend(distinct);
        for miner in miners.iter_mut().step_by(3) {
            // Gone in the middle of things: with an answer on its way.
            miner.send("mining.ping", json!([]));
        }
        drop((miners, strangers));
        wait_for("all to be gone", || {
            (rig.pool.status()["connected"] == 0).then_some(())
        });
        wait_for("all connections to be closed", || {
            let (_, text) = rig.pool.get("/metrics")?;
            let open = text
                .lines()
                .find(|line| line.starts_with("adit_connections{"))?;
            open.ends_with(" 0").then_some(())
        });
        assert!(prefixes.len() >= COUNT, "in round {round}");
    }
    let mut honest = Miner::ready(rig.pool.miners);
    let solution = honest.share(1);
    assert_eq!(honest.submit(&solution)["result"], true);
}

/// A pool before a simulated node.
struct Rig {
    pool: Pool,
    _node: Node,
    _folder: TempDir,
}

impl Rig {
    /// With these lines more for `[[pool]]` and `[[pool.listener]]`.
    fn start(pool: &str, listener: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::simnet(&folder);
        let settings = PoolSettings {
            pool,
            listener: &format!("{FIXED_DIFFICULTY}{listener}\n"),
            daemons: node.rpc.daemon(),
            ..PoolSettings::default()
        };
        Self {
            pool: Pool::start(&folder, &settings),
            _node: node,
            _folder: folder,
        }
    }
}

/// A bare connection, authorized if that is wanted.
fn bare(rig: &Rig, authorized: bool) -> TcpStream {
    let stream = TcpStream::connect(loopback(rig.pool.miners)).unwrap();
    if authorized {
        let mut miner = Miner::on(stream.try_clone().unwrap());
        miner.log_in(&format!("{ADDRESS}.bare"));
    }
    stream
}

/// Reads whatever comes until the pool hangs up, and says how long after this instant that was. Does
/// `meanwhile` some five times a second.
fn hung_up_after(
    start: Instant,
    stream: &mut TcpStream,
    limit: Duration,
    mut meanwhile: impl FnMut(&mut TcpStream),
) -> Option<Duration> {
    let pause = Duration::from_millis(200);
    stream.set_read_timeout(Some(pause)).unwrap();
    let mut told = Instant::now();
    while start.elapsed() < limit {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return Some(start.elapsed()),
            Ok(_) => {}
            Err(error) if is_timeout(&error) => {}
            Err(_) => return Some(start.elapsed()),
        }
        if told.elapsed() >= pause {
            told = Instant::now();
            meanwhile(stream);
        }
    }
    None
}

/// Sends these bytes again and again and reads nothing, until the pool hangs up.
fn flood(stream: &mut TcpStream, bytes: &[u8], limit: Duration) -> Option<Duration> {
    let start = Instant::now();
    stream
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut sent = 0;
    while start.elapsed() < limit {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent = (sent + count) % bytes.len(),
            Err(error) if is_timeout(&error) => {}
            Err(_) => return Some(start.elapsed()),
        }
    }
    None
}

/// The longest time a miner waits for an answer until `over`.
fn slowest_answer(miner: &mut Miner, mut over: impl FnMut() -> bool) -> Duration {
    let mut worst = Duration::ZERO;
    while !over() {
        let asked = Instant::now();
        let reply = miner.ask("mining.ping", json!([]));
        assert!(reply["error"].is_null(), "{reply}");
        worst = worst.max(asked.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    worst
}

/// Checks that a peer gets nothing but a closed connection.
#[track_caller]
fn turned_away(mut stream: TcpStream) {
    // It may be gone before anything is sent.
    let _ = stream.write_all(b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n");
    stream.set_read_timeout(Some(SOON)).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(0) => {}
        Ok(_) => panic!("it was let in"),
        Err(error) => assert!(!is_timeout(&error), "it was kept waiting"),
    }
}

/// Connects as soon as the pool has seen that another one left.
#[track_caller]
fn let_in_again(port: u16) -> Miner {
    wait_for("a place at the pool", || {
        let mut miner = Miner::connect(port);
        miner
            .try_say("{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}")
            .ok()?;
        miner.line()?;
        Some(miner)
    })
}

/// Checks that a line had one of the ends it may have, jobs in between passed over.
#[track_caller]
fn answered_or_hung_up(stream: TcpStream, what: &str) {
    let mut miner = Miner::on(stream);
    let start = Instant::now();
    while let Some(line) = miner.line() {
        let reply: Value = serde_json::from_str(&line).unwrap();
        if reply["method"].is_null() {
            let refused = !reply["error"].is_null() || reply["result"] == false;
            assert!(refused, "{what}: {reply}");
            break;
        }
    }
    assert!(start.elapsed() < SOON, "{what}: neither answer nor end");
}

/// Lines that are no request.
fn garbage() -> Vec<Vec<u8>> {
    let texts = [
        "[".repeat(4000),
        "{\"a\":".repeat(800),
        format!("{}{}", "[".repeat(2000), "]".repeat(2000)),
        format!("{{\"id\":1,\"method\":\"mining.subscribe\",\"params\":{}1{}}}", "[".repeat(1000), "]".repeat(1000)),
        format!("{{\"id\":{}1{},\"method\":\"mining.ping\",\"params\":[]}}", "[".repeat(1000), "]".repeat(1000)),
        format!("{{\"id\":{},\"method\":\"mining.ping\",\"params\":[]}}", "9".repeat(3000)),
        format!("{{\"id\":1,\"method\":{:?},\"params\":[]}}", "m".repeat(3000)),
        format!("{{\"id\":1,\"method\":\"mining.suggest_difficulty\",\"params\":[{}]}}", "9".repeat(3000)),
        "{\"id\":1,\"method\":\"mining.suggest_difficulty\",\"params\":[1e999]}".into(),
        "{\"id\":1,\"method\":\"mining.suggest_difficulty\",\"params\":[-1]}".into(),
        "{\"id\":1,\"method\":\"mining.suggest_difficulty\",\"params\":[0]}".into(),
        "{\"id\":1,\"method\":\"mining.suggest_target\",\"params\":[\"zz\"]}".into(),
        "{\"id\":1,\"method\":1,\"params\":[]}".into(),
        "{\"id\":1,\"method\":\"mining.submit\",\"params\":[1,2,3,4,5]}".into(),
        "{\"id\":1,\"method\":\"mining.submit\",\"params\":[\"a\",\"b\",\"zz\",\"zz\",\"zz\"]}".into(),
        "{\"id\":1,\"method\":\"mining.submit\",\"params\":[]}".into(),
        "{\"id\":1,\"method\":\"mining.authorize\",\"params\":[null,null]}".into(),
        "{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"\\u0000\",\"x\"]}".into(),
        "{\"id\":1,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\"],{\"version-rolling.mask\":\"-1\"}]}".into(),
        "{\"id\":1,\"method\":\"\\ud800\",\"params\":[]}".into(),
        "{\"id\":1,\"method\":\"mining.ping\",\"params\":[]".into(),
        "\u{feff}{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}".into(),
        "null".into(),
        "true".into(),
        "[]".into(),
        "\"".into(),
        "1e309".into(),
        "GET / HTTP/1.1".into(),
        "a\0b".into(),
        "{\"id\":1,\"method\":\"mining.ping\0\",\"params\":[]}".into(),
    ];
    let bytes = [
        vec![0; 4000],
        vec![0xff; 4000],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"\xc3\x28\",\"x\"]}".to_vec(),
        b"\xed\xa0\x80".to_vec(),
        // Some bytes of every value but the newline.
        (0..4000_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
            .map(|byte| if byte == b'\n' { b'x' } else { byte })
            .collect(),
    ];
    texts
        .into_iter()
        .map(String::into_bytes)
        .chain(bytes)
        .collect()
}

/// A ping of so many bytes, without its newline.
fn padded_ping(length: usize) -> String {
    let ping = "{\"id\":77,\"method\":\"mining.ping\",\"params\":[]}";
    format!("{ping}{}", " ".repeat(length - ping.len()))
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
