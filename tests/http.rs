//! The HTTP port as strangers use it: slowly, too often, and many at once.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{Miner, Pool, PoolSettings, Rig, loopback, node::Node, wait_for};

/// Whoever comes from here comes through a proxy.
const PROXY: &str = "proxy_from = [\"127.0.0.2\"]\n";

fn connect(pool: &Pool) -> TcpStream {
    let stream = TcpStream::connect(loopback(pool.http)).unwrap();
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience).unwrap();
    stream
}

/// The first line of the next answer; empty once the pool has hung up.
fn first_line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    // It is cut off with a reset where bytes lie unread.
    let _ = stream.read_line(&mut line);
    line.trim_end().to_owned()
}

/// A46 at the other port: a head must be whole in time, and a connection that is idle goes.
#[test]
fn a46_who_is_slow_or_idle_on_the_http_port_is_closed() {
    let rig = Rig::new();
    let began = Instant::now();
    let mut slow = connect(&rig.pool);
    write!(slow, "GET /ready HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let silent = connect(&rig.pool);
    let mut idle = connect(&rig.pool);
    write!(idle, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut idle = BufReader::new(idle);
    assert_eq!(first_line(&mut idle), "HTTP/1.1 200 OK");
    // One that writes a byte from time to time is no faster.
    let drip = slow.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        let mut drip = drip;
        while drip.write_all(b"a").is_ok() && began.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    for mut stream in [idle, BufReader::new(silent), BufReader::new(slow)] {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = stream.read_to_end(&mut rest);
        let within = began.elapsed();
        assert!(
            within > Duration::from_secs(8) && within < Duration::from_secs(25),
            "{within:?}"
        );
    }
    dripping.join().unwrap();
    let mut long = connect(&rig.pool);
    let head = format!("GET /ready HTTP/1.1\r\nX-Long: {}", "a".repeat(64 << 10));
    // It may hang up before it has heard all.
    let _ = long.write_all(head.as_bytes());
    let line = first_line(&mut BufReader::new(long));
    assert!(line.is_empty() || line.contains("431"), "{line}");
    assert_eq!(rig.pool.get("/ready").unwrap().0, 200);
}

/// However many connections of HTTP there are, miners have their files.
#[test]
fn http_takes_no_files_from_miners() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::simnet(&folder);
    let settings = PoolSettings {
        open_files: Some(200),
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    let pool = Pool::start(&folder, &settings);
    let before = open_files(&pool);
    let flood: Vec<TcpStream> = (0..300).map(|_| connect(&pool)).collect();
    // Half of the 200 are for miners, and half of the reserve is for HTTP.
    let taken = wait_for("the flood to be served or turned away", || {
        let taken = open_files(&pool) - before;
        (taken >= 45).then_some(taken)
    });
    assert!(taken <= 60, "{taken}");
    let mut miners: Vec<Miner> = (0..50).map(|_| Miner::ready(pool.miners)).collect();
    for miner in &mut miners {
        assert!(miner.ask("mining.ping", json!([]))["error"].is_null());
    }
    drop(flood);
    wait_for("a place", || {
        pool.get("/ready").filter(|(status, _)| *status == 200)
    });
    let log = pool.process.log_text();
    assert!(!log.contains("cannot accept connections"), "{log}");
}

fn open_files(pool: &Pool) -> usize {
    let folder = format!("/proc/{}/fd", pool.process.id());
    std::fs::read_dir(folder).unwrap().count()
}

/// Each address has a bucket for what is cheap and one for what is dear, and is told when to come again;
/// this machine has none.
#[test]
fn who_asks_too_fast_is_told_to_wait() {
    let limits = format!("{PROXY}requests_per_second = 1\nburst = 20\n");
    let rig = Rig::http(&limits);
    let ask = |address: &str, path: &str| {
        let question = rig.pool.question("GET", path).from("127.0.0.2");
        question.header("x-forwarded-for", address).ask()
    };
    // Asks until it is refused: so many at once, and more where asking takes long, as one comes in each so
    // many seconds.
    let refused_after = |path: &str, burst: u64, every_s: u64| {
        let began = Instant::now();
        let mut good = 0;
        loop {
            let answer = ask("203.0.113.7", path);
            if answer.status != 200 {
                let most = burst + began.elapsed().as_secs() / every_s;
                assert!((burst..=most).contains(&good), "{good} of {most}");
                return answer;
            }
            good += 1;
            assert!(good <= 3 * burst, "it is never refused");
        }
    };
    let refused = refused_after("/api/v1/bans", 20, 1);
    assert_eq!((refused.status, refused.code().as_str()), (429, "too_fast"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(refused.header("x-content-type-options"), "nosniff");
    // Its neighbour is not concerned, and what is dear has a bucket of its own: a tenth.
    assert_eq!(ask("203.0.113.8", "/api/v1/bans").status, 200);
    assert_eq!(refused_after("/metrics", 2, 10).status, 429);
    // All of a /64 are one.
    let is_refused = |address: &str, path| ask(address, path).status == 429;
    let first = (0..60).find(|number| is_refused(&format!("2001:db8::{number}"), "/api/v1/bans"));
    assert!(first >= Some(20), "{first:?}");
    assert!((0..3).any(|_| is_refused("2001:db8::ffff", "/api/v1/bans")));
    assert_eq!(ask("2001:db8:0:1::1", "/api/v1/bans").status, 200);
    // What others write before the proxy's own word changes nothing. The bucket may have one for it by now,
    // and not the two that a new one has.
    assert!((0..2).any(|_| is_refused("198.51.100.1, 203.0.113.7", "/metrics")));
    for _ in 0..50 {
        assert_eq!(rig.pool.get("/api/v1/bans").unwrap().0, 200);
    }
}

/// Who looks at pages is told so by a page; programs get what programs read.
#[test]
fn who_looks_at_pages_too_fast_is_told_so_by_a_page() {
    let rig = Rig::http(&format!("{PROXY}requests_per_second = 1\nburst = 2\n"));
    let ask = |path: &str, accept: &str| {
        let question = rig.pool.question("GET", path).from("127.0.0.2");
        let question = question.header("x-forwarded-for", "203.0.113.7");
        question.header("accept", accept).ask()
    };
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    // Who is slow to ask may be answered some times more.
    let refused = |path: &str, accept: &str| {
        let mut answers = (0..60).map(|_| ask(path, accept));
        let refused = answers.find(|answer| answer.status != 200);
        refused.expect("a refusal")
    };
    let page = refused("/", browser);
    assert_eq!(page.status, 429);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").contains("'none'"));
    assert!(page.text.contains("try again in"), "{}", page.text);
    let wait: u64 = page.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    for (path, accept) in [("/", "*/*"), ("/api/v1/status", browser)] {
        let refused = refused(path, accept);
        assert_eq!((refused.status, refused.code().as_str()), (429, "too_fast"));
    }
}

/// A browser that asks first is told that pages of others may read, and nothing of what changes something
/// or is the operator's.
#[test]
fn pages_of_others_may_ask_whether_they_may_read() {
    let rig = Rig::new();
    let ask = |path: &str, method: &str| {
        let question = rig.pool.question("OPTIONS", path);
        let question = question.header("origin", "https://elsewhere.example");
        question
            .header("access-control-request-method", method)
            .ask()
    };
    for path in [
        "/api/v1/status",
        "/api/v1/pools/main/blocks",
        "/api/v1/events",
        "/api/v1/miners/x/workers",
        // To change them is another method, which is not named.
        "/api/v1/miners/x/payout-settings",
    ] {
        let answer = ask(path, "GET");
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{path}");
        let header = |name| answer.header(name);
        assert_eq!(header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(header("access-control-allow-methods"), "GET, HEAD");
        let headers = header("access-control-allow-headers");
        assert_eq!(headers, "if-none-match, last-event-id");
        assert_eq!(header("access-control-allow-credentials"), "");
    }
    for (path, method) in [
        ("/api/v1/luck", "GET"),
        ("/api/v1/operator/log", "GET"),
        ("/api/v1/blocknotify", "POST"),
        ("/operator", "GET"),
        ("/", "GET"),
        ("/api/v1/nothing", "GET"),
    ] {
        let answer = ask(path, method);
        assert!(matches!(answer.status, 404 | 405), "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), "", "{path}");
    }
}

/// A household has twenty pages open, and no more.
#[test]
fn listeners_of_one_address_have_an_end() {
    let rig = Rig::http(PROXY);
    let listen = |address: &str| {
        let mut stream = crate::support::connect_from("127.0.0.2", rig.pool.http);
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).unwrap();
        let head = format!("Host: x\r\nX-Forwarded-For: {address}\r\n");
        write!(stream, "GET /api/v1/events HTTP/1.1\r\n{head}\r\n").unwrap();
        let mut stream = BufReader::new(stream);
        (first_line(&mut stream), stream)
    };
    let mut listeners: Vec<_> = (0..20).map(|_| listen("203.0.113.7")).collect();
    for (line, _) in &listeners {
        assert_eq!(line, "HTTP/1.1 200 OK");
    }
    assert_eq!(listen("203.0.113.7").0, "HTTP/1.1 429 Too Many Requests");
    assert_eq!(listen("203.0.113.8").0, "HTTP/1.1 200 OK");
    listeners.pop();
    wait_for("a place", || {
        (listen("203.0.113.7").0 == "HTTP/1.1 200 OK").then_some(())
    });
}

/// What is polled has a tag, may be read by pages of others, and is not sent to whoever has it.
#[test]
fn answers_say_how_long_they_hold_and_who_may_read_them() {
    let rig = Rig::new();
    let ask = |path| rig.pool.question("GET", path).ask();
    for (path, holds) in [
        ("/api/v1/status", "public, max-age=2"),
        ("/api/v1/pools", "public, max-age=2"),
        ("/api/v1/pools/main", "public, max-age=2"),
        ("/api/v1/pools/main/blocks", "public, max-age=5"),
        ("/api/v1/pools/main/hashrate", "public, max-age=15"),
    ] {
        let answer = ask(path);
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, holds)
        );
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert!(answer.header("etag").starts_with('"'), "{answer:?}");
    }
    let path = "/api/v1/pools/main/blocks";
    let tag = ask(path).header("etag").to_owned();
    let known = |tag: &str| {
        let question = rig.pool.question("GET", path);
        question.header("if-none-match", tag).ask()
    };
    let same = known(&tag);
    assert_eq!((same.status, same.text.as_str()), (304, ""));
    assert_eq!(same.header("etag"), tag);
    assert_eq!(same.header("access-control-allow-origin"), "*");
    assert_eq!(known("\"other\"").status, 200);
    // Another block is another answer.
    rig.mine_up_to(1);
    let mut miner = rig.miner();
    let block = miner.block(1, None);
    assert_eq!(miner.submit(&block)["result"], true);
    wait_for("another answer", || {
        (known(&tag).status == 200).then_some(())
    });
    for path in ["/", "/style.css", "/nothing", "/metrics", "/api/v1/pools/x"] {
        assert_eq!(
            ask(path).header("x-content-type-options"),
            "nosniff",
            "{path}"
        );
    }
    assert_eq!(ask("/").header("access-control-allow-origin"), "");
    for path in ["/api/v1/luck", "/api/v1/operator/log"] {
        let answer = ask(path);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}
