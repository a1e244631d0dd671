//! The door for miners: who is let in, who is turned away, and what becomes of those who speak
//! something else than Stratum.

mod bans;
mod tls;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use super::support::{
    FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings, connect_from, loopback,
    transport::{Duplex, proxy_header},
    wait_for,
};

/// Within this time a hang-up comes that has nothing to wait for.
const SOON: Duration = Duration::from_secs(30);
/// How much later than asked for a busy machine may act.
const LATE: Duration = Duration::from_secs(20);

const PING: &[u8] = b"{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n";

/// A pool before a simulated node.
struct Rig {
    pool: Pool,
    node: Node,
    folder: TempDir,
}

impl Rig {
    /// With these lines more for `[[pool]]` and `[[pool.listener]]`.
    fn start(pool: &str, listener: &str) -> Self {
        let settings = PoolSettings {
            pool,
            listener: &format!("{FIXED_DIFFICULTY}{listener}\n"),
            ..PoolSettings::default()
        };
        Self::with(tempfile::tempdir().unwrap(), settings)
    }

    fn with(folder: TempDir, settings: PoolSettings<'_>) -> Self {
        let node = Node::simnet(&folder);
        let settings = PoolSettings {
            daemons: node.rpc.daemon(),
            ..settings
        };
        Self {
            pool: Pool::start(&folder, &settings),
            node,
            folder,
        }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(loopback(self.pool.miners)).unwrap()
    }

    /// From another address of loopback.
    fn connect_from(&self, address: &str) -> TcpStream {
        connect_from(address, self.pool.miners)
    }

    /// The value of a counter or gauge without labels of its own.
    fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.pool.get("/metrics").unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name}{{")));
        let (_, value) = line.unwrap().rsplit_once(' ').unwrap();
        value.parse().unwrap()
    }
}

/// Checks that a peer gets nothing but a closed connection.
#[track_caller]
fn turned_away(stream: TcpStream) {
    turned_away_after(stream, PING);
}

#[track_caller]
fn turned_away_after(mut stream: TcpStream, bytes: &[u8]) {
    // It may be gone before anything is sent.
    let _ = stream.write_all(bytes);
    stream.set_read_timeout(Some(SOON)).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(0) => {}
        Ok(_) => panic!("it was let in"),
        Err(error) => assert!(!is_timeout(&error), "it was kept waiting"),
    }
}

/// Checks that a peer is answered, and gives it back.
#[track_caller]
fn let_in(stream: impl Duplex + 'static) -> Miner {
    let mut miner = Miner::on(stream);
    assert!(miner.ask("mining.ping", json!([]))["error"].is_null());
    miner
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// How long after this instant the pool hangs up; nothing if it does not. Sends these bytes one by one,
/// five a second.
fn hung_up_after(
    start: Instant,
    mut stream: TcpStream,
    mut bytes: impl Iterator<Item = u8>,
) -> Option<Duration> {
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    while start.elapsed() < Duration::from_secs(60) {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return Some(start.elapsed()),
            Ok(_) => {}
            Err(error) if is_timeout(&error) => {}
            Err(_) => return Some(start.elapsed()),
        }
        if let Some(byte) = bytes.next() {
            // The pool may have hung up.
            let _ = stream.write_all(&[byte]);
        }
    }
    None
}

#[test]
fn a46_slowloris_is_closed_in_total_time() {
    let rig = Rig::start("", "handshake_s = 2");
    let header: Vec<u8> = b"GET / HTTP/1.1\r\n".to_vec();
    let proxy = wire::proxy::SIGNATURE;
    let peers: Vec<(&str, Vec<u8>)> = vec![
        ("silent", Vec::new()),
        ("half a word", b"G".to_vec()),
        ("half a signature", proxy[..11].to_vec()),
        ("half a TLS record", vec![0x16]),
        ("a line that never ends", vec![b'{'; 200]),
        ("empty lines", vec![b'\n'; 200]),
    ];
    let peers: Vec<_> = peers
        .into_iter()
        .map(|(what, bytes)| {
            // The pool's time begins later than this.
            let start = Instant::now();
            let stream = rig.connect();
            let closed = thread::spawn(move || hung_up_after(start, stream, bytes.into_iter()));
            (what, closed)
        })
        .collect();
    // A request has its own, shorter time once it is known to be one: 5 s.
    let (start, stream) = (Instant::now(), rig.connect());
    let drop_by_drop = header.into_iter().chain(std::iter::repeat(b'x'));
    let http = thread::spawn(move || hung_up_after(start, stream, drop_by_drop));
    for (what, closed) in peers {
        let after = closed.join().unwrap();
        let after = after.unwrap_or_else(|| panic!("{what}: never closed"));
        let expected = Duration::from_millis(1900)..Duration::from_secs(2) + LATE;
        assert!(expected.contains(&after), "{what}: closed after {after:?}");
    }
    let after = http.join().unwrap().expect("a request ends");
    assert!(after < Duration::from_secs(7) + LATE, "{after:?}");
}

#[test]
fn a48_connection_floods_are_turned_away_by_address_and_network() {
    let limits = "connections_per_address_max = 3\nconnections_per_network_max = 5";
    let rig = Rig::start("", limits);
    let before = rig.metric("adit_connections_refused_total");
    let mut inside: Vec<_> = (0..3).map(|_| let_in(rig.connect())).collect();
    for _ in 0..300 {
        turned_away(rig.connect());
    }
    inside.extend((0..2).map(|_| let_in(rig.connect_from("127.0.0.2"))));
    // The address has one left, its network has none.
    turned_away(rig.connect_from("127.0.0.2"));
    turned_away(rig.connect_from("127.0.0.3"));
    inside.push(let_in(rig.connect_from("127.0.1.1")));
    assert_eq!(rig.metric("adit_connections_refused_total") - before, 302);
    inside.swap_remove(0);
    wait_for("the place to be free", || {
        let mut miner = Miner::on(rig.connect_from("127.0.0.3"));
        miner
            .try_say("{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}")
            .ok()?;
        miner.line()
    });
    for miner in &mut inside {
        assert!(miner.ask("mining.ping", json!([]))["error"].is_null());
    }
}

const LOCAL_HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

#[test]
fn a49_proxy_headers_from_strangers_are_refused() {
    let listener = "proxy_from = [\"127.0.0.2\", \"127.1.0.0/16\"]";
    let rig = Rig::start("", listener);
    for header in [
        proxy_header("9.8.7.6:1000"),
        proxy_header("[2001:db8::1]:1000"),
        LOCAL_HEADER.to_vec(),
        b"PROXY TCP4 9.8.7.6 127.0.0.1 1000 3333\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
    ] {
        let bytes = [&header, PING].concat();
        turned_away_after(rig.connect(), &bytes);
    }
    let _stranger = let_in(rig.connect());
    assert!(!rig.pool.process.log_text().contains("9.8.7.6"), "parsed");
}

#[test]
fn a49_a_balancer_must_send_one_proper_header() {
    let rig = Rig::start("", "proxy_from = [\"127.0.0.2\"]\nhandshake_s = 2");
    let header = proxy_header("9.8.7.6:1000");
    let mut lying = header.clone();
    lying[14] = 0xff;
    let mut short = header.clone();
    short[15] = 11;
    for bytes in [
        PING.to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"PROXY TCP4 9.8.7.6 127.0.0.1 1000 3333\r\n".to_vec(),
        [&header[..], &header, PING].concat(),
        [LOCAL_HEADER, &header, PING].concat(),
        lying,
        short,
        // The length says more than comes: it is waited for, but not for long.
        header[..20].to_vec(),
    ] {
        turned_away_after(rig.connect_from("127.0.0.2"), &bytes);
    }
}

#[test]
fn behind_a_balancer_the_address_in_the_header_counts() {
    let listener = "proxy_from = [\"127.0.0.2\"]\nconnections_per_address_max = 2";
    let rig = Rig::start("", listener);
    let through = |peer: &str| {
        let mut stream = rig.connect_from("127.0.0.2");
        stream.write_all(&proxy_header(peer)).unwrap();
        stream
    };
    let mut inside = vec![
        let_in(through("9.8.7.6:1000")),
        let_in(through("9.8.7.6:1001")),
        let_in(through("9.8.7.5:1000")),
        let_in(through("[2001:db8::1]:1")),
        let_in(through("[2001:db8::2]:1")),
    ];
    turned_away(through("9.8.7.6:1002"));
    turned_away(through("[::ffff:9.8.7.6]:1003"));
    turned_away(through("[2001:db8::3]:1"));
    for miner in &mut inside {
        assert!(miner.ask("mining.ping", json!([]))["error"].is_null());
    }
    // The balancer's own look at the port, byte by byte.
    let mut own = rig.connect_from("127.0.0.2");
    for byte in LOCAL_HEADER {
        own.write_all(&[*byte]).unwrap();
        own.flush().unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    let_in(own);
    drop(inside);
    wait_for("the log to name the peer", || {
        let log = rig.pool.process.log_text();
        log.contains("9.8.7.6:1001").then_some(())
    });
}

fn http_answer(mut stream: impl Read + Write, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_browser_on_the_miners_port_is_told_where_to_go() {
    let rig = Rig::start("", "");
    let port = rig.pool.miners;
    let url = format!("stratum+tcp://pool.example:{port}<");
    let long = format!("Cookie: {}\r\n", "x".repeat(4_000));
    for (request, more) in [
        ("GET / HTTP/1.1", ""),
        ("GET /any?thing HTTP/1.0", ""),
        ("POST / HTTP/1.1", "Content-Length: 5\r\n"),
        ("GET / HTTP/1.1", long.as_str()),
    ] {
        let request = format!("{request}\r\nHost: pool.example:{port}\r\n{more}\r\n");
        let answer = http_answer(rig.connect(), request.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.starts_with("http/1."), "{head}");
        assert!(head.contains(" 200 ok\r\n"), "{head}");
        assert!(head.contains("connection: close"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        assert!(body.contains(&url), "{body}");
        assert!(
            body.contains(&format!("127.0.0.1:{}/", rig.pool.http)),
            "{body}"
        );
    }
    let answer = http_answer(rig.connect(), b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\n") && answer.contains("content-length: "));
    let evil = b"GET / HTTP/1.1\r\nHost: x\"><script>\r\n\r\n";
    let answer = http_answer(rig.connect(), evil);
    assert!(!answer.contains("script") && answer.contains("stratum+tcp://127.0.0.1:"));
    assert_eq!(rig.pool.status()["connected"], 0);
    assert_eq!(rig.metric("adit_connections"), 0);
    assert_eq!(rig.metric("adit_lines_malformed_total"), 0);
}

#[test]
fn one_port_serves_both_families() {
    let rig = Rig::with(
        tempfile::tempdir().unwrap(),
        PoolSettings {
            host: "[::]",
            listener: "connections_per_address_max = 1",
            ..PoolSettings::default()
        },
    );
    let six = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], rig.pool.miners));
    let _four = let_in(rig.connect());
    let _six = let_in(TcpStream::connect(six).unwrap());
    // It is 127.0.0.1, in whatever clothes it comes.
    turned_away(rig.connect());
    turned_away(TcpStream::connect(six).unwrap());
    let_in(rig.connect_from("127.0.0.2"));
}

/// The seconds of processor time that a process has used.
fn cpu_time(id: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    // Fields 14 and 15 of proc(5), in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}

#[test]
fn a50_out_of_file_descriptors_is_survived() {
    let mut rig = Rig::with(
        tempfile::tempdir().unwrap(),
        PoolSettings {
            open_files: Some(200),
            ..PoolSettings::default()
        },
    );
    assert!(rig.pool.process.log_text().contains("too few open files"));
    let mut honest = Miner::ready(rig.pool.miners);
    let flood: Vec<_> = (0..400).map(|_| rig.connect()).collect();
    wait_for("the flood to be turned away", || {
        (rig.metric("adit_connections_refused_total") >= 300).then_some(())
    });
    let (began, before) = (Instant::now(), cpu_time(&rig.pool.process.id()));
    while began.elapsed() < Duration::from_secs(3) {
        // The reserve is for all of these.
        assert_eq!(rig.pool.get("/health").unwrap().0, 200);
        assert!(honest.ask("mining.ping", json!([]))["error"].is_null());
        thread::sleep(Duration::from_millis(200));
    }
    let busy = (cpu_time(&rig.pool.process.id()) - before) / began.elapsed().as_secs_f64();
    assert!(busy < 0.5, "{busy} of a processor");
    let solution = honest.share(1);
    assert_eq!(honest.submit(&solution)["result"], true);
    drop(flood);
    wait_for("a place", || {
        let mut miner = Miner::on(rig.connect());
        miner
            .try_say("{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}")
            .ok()?;
        miner.line()
    });
    assert!(rig.pool.process.is_running());
    let log = rig.pool.process.log_text();
    assert!(
        !log.contains("cannot accept connections"),
        "the reserve was used up"
    );
    assert!(rig.node.rpc.height() < 1_000);
}
