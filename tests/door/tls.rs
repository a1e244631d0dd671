//! TLS on the miners' port, spoken by a real client: handshakes, both kinds of miners on one port,
//! a renewed certificate, and peers that do it wrong.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rustls::{
    ClientConnection,
    pki_types::CertificateDer,
    version::{TLS12, TLS13},
};

use super::{
    super::support::{
        FIXED_DIFFICULTY, Miner, PoolSettings,
        tls::{self, TlsStream, client, shake_hands, write_certificate},
        transport::{Duplex, proxy_header},
        wait_for,
    },
    LATE, PING, Rig, SOON, http_answer, hung_up_after, is_timeout, let_in, turned_away_after,
};

struct TlsRig {
    rig: Rig,
    certificate: CertificateDer<'static>,
}

impl TlsRig {
    fn start(mode: &str, listener: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = write_certificate(folder.path());
        let tls = tls::settings(mode, folder.path());
        let listener = format!("{FIXED_DIFFICULTY}{listener}\n{tls}");
        let rig = Rig::with(
            folder,
            PoolSettings {
                listener: &listener,
                ..PoolSettings::default()
            },
        );
        Self { rig, certificate }
    }

    fn client(&self) -> ClientConnection {
        client(&self.certificate, tls::BOTH)
    }

    /// A connection whose handshake is over.
    fn connect(&self) -> TlsStream {
        shake_hands(self.rig.connect(), self.client())
    }
}

#[track_caller]
fn mines(stream: impl Duplex + 'static, extranonce2: u64) {
    let mut miner = Miner::on(stream);
    miner.configure();
    miner.log_in(&format!("{}.test", super::super::support::ADDRESS));
    for number in 0..5 {
        let solution = miner.share(extranonce2 + number);
        assert_eq!(miner.submit(&solution)["result"], true);
    }
}

#[test]
fn miners_with_and_without_tls_share_a_port() {
    let tls = TlsRig::start("on", "");
    for (number, version) in [(0, &TLS13), (100, &TLS12)] {
        let client = client(&tls.certificate, &[version]);
        let stream = shake_hands(tls.rig.connect(), client);
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        mines(stream, number);
    }
    mines(tls.rig.connect(), 200);
    let status = tls.rig.pool.status();
    assert_eq!(status["shares"]["accepted"], 15, "{status}");
    let page = http_answer(tls.connect(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(
        page.contains("stratum+ssl://x:") && page.contains("stratum+tcp://x:"),
        "{page}"
    );
}

/// More than a record and more than the buffers hold, in both directions.
#[test]
fn long_lines_and_many_lines_go_through_tls() {
    let tls = TlsRig::start("on", "");
    let mut stream = tls.connect();
    let lines = String::from_utf8_lossy(PING).repeat(5_000);
    stream.write_all(lines.as_bytes()).unwrap();
    let mut heard = 0;
    while heard < 5_000 {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "after {heard} answers");
        heard += bytes[..count].iter().filter(|byte| **byte == b'\n').count();
    }
}

#[test]
fn a_port_for_tls_only_takes_nothing_else_and_one_without_takes_none() {
    let only = TlsRig::start("only", "");
    mines(only.connect(), 0);
    let page = http_answer(only.connect(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(
        page.contains("stratum+ssl://x:") && !page.contains("stratum+tcp"),
        "{page}"
    );
    turned_away_after(only.rig.connect(), PING);
    turned_away_after(only.rig.connect(), b"GET / HTTP/1.1\r\n\r\n");
    let off = TlsRig::start("off", "");
    let mut hello = Vec::new();
    off.client().write_tls(&mut hello).unwrap();
    turned_away_after(off.rig.connect(), &hello);
}

#[test]
fn a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_never() {
    let mut tls = TlsRig::start("on", "handshake_s = 120");
    let folder = tls.rig.folder.path().to_owned();
    let mut before = tls.connect();
    fs::write(folder.join("key.pem"), "no key").unwrap();
    wait_for("the broken key in the log", || {
        let log = tls.rig.pool.process.log_text();
        log.contains("the certificate in use stays").then_some(())
    });
    let_in(tls.connect());
    let renewed = write_certificate(&folder);
    let old = std::mem::replace(&mut tls.certificate, renewed);
    wait_for("the new certificate", || {
        let (mut socket, mut client) = (tls.rig.connect(), tls.client());
        client
            .complete_io(&mut socket)
            .ok()
            .filter(|_| !client.is_handshaking())
    });
    let mut socket = tls.rig.connect();
    let mut stale = client(&old, &[&TLS13]);
    assert!(
        stale.complete_io(&mut socket).is_err(),
        "the old one is gone"
    );
    // What was connected before stays so.
    before.write_all(PING).unwrap();
    assert!(before.read(&mut [0; 512]).unwrap() > 0);
}

#[test]
fn broken_records_end_their_connection_alone() {
    let tls = TlsRig::start("on", "");
    let mut honest = Miner::on(tls.connect());
    honest.log_in(&format!("{}.test", super::super::support::ADDRESS));
    let ends = |mut socket: TcpStream| {
        socket.set_read_timeout(Some(SOON)).unwrap();
        let mut bytes = [0; 4096];
        loop {
            match socket.read(&mut bytes) {
                Ok(0) => return,
                // An alert.
                Ok(_) => {}
                Err(error) => return assert!(!is_timeout(&error), "it was kept waiting"),
            }
        }
    };
    for garbage in [
        b"\x16\x03\x01\x00\x05hello".to_vec(),
        b"\x16\x03\xff\x00\x05hello".to_vec(),
        [&b"\x16\x03\x01\x40\x00"[..], &[1; 16_384]].concat(),
        // A handshake message of 16 MB, of which much comes.
        [&b"\x16\x03\x01\x40\x00\x01\xff\xff\xff"[..], &[1; 16_380]].concat(),
    ] {
        let mut socket = tls.rig.connect();
        // The pool may hang up before it has read all of it.
        let _ = socket.write_all(&garbage);
        ends(socket);
    }
    let mut established = tls.connect();
    established
        .sock
        .write_all(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
        .unwrap();
    ends(established.sock);
    let solution = honest.share(1);
    assert_eq!(honest.submit(&solution)["result"], true);
}

#[test]
fn a46_who_stalls_in_a_handshake_is_closed_in_total_time() {
    let tls = TlsRig::start("on", "handshake_s = 2");
    let mut hello = Vec::new();
    tls.client().write_tls(&mut hello).unwrap();
    let half = hello[..hello.len() / 2].to_vec();
    let start = Instant::now();
    let established = tls.connect();
    let after = [
        ("dripping", tls.rig.connect(), hello.clone()),
        ("half a hello", tls.rig.connect(), Vec::new()),
        ("no answer to the pool's", tls.rig.connect(), Vec::new()),
        (
            "silent once it is over",
            established.sock.try_clone().unwrap(),
            Vec::new(),
        ),
    ];
    let peers: Vec<_> = after
        .into_iter()
        .map(|(what, mut socket, drip)| {
            match what {
                "half a hello" => socket.write_all(&half).unwrap(),
                "no answer to the pool's" => socket.write_all(&hello).unwrap(),
                _ => {}
            }
            (
                what,
                thread::spawn(move || hung_up_after(start, socket, drip.into_iter())),
            )
        })
        .collect();
    for (what, peer) in peers {
        let after = peer.join().unwrap();
        let after = after.unwrap_or_else(|| panic!("{what}: never closed"));
        assert!(
            after < Duration::from_secs(2) + LATE,
            "{what}: closed after {after:?}"
        );
    }
    // The same time holds in all: one that authorized in it is not closed.
    let mut ready = Miner::on(tls.connect());
    ready.log_in(&format!("{}.test", super::super::support::ADDRESS));
    thread::sleep(Duration::from_secs(3));
    assert!(ready.ask("mining.ping", serde_json::json!([]))["error"].is_null());
}

#[test]
fn both_ends_of_tls_say_good_bye() {
    let mut tls = TlsRig::start("on", "");
    let mut polite = tls.connect();
    polite.write_all(PING).unwrap();
    assert!(polite.read(&mut [0; 512]).unwrap() > 0);
    polite.conn.send_close_notify();
    polite.conn.complete_io(&mut polite.sock).unwrap();
    // Nothing more is said, and the end is a proper one: without the alert it were an error.
    assert_eq!(polite.read(&mut [0; 512]).unwrap(), 0);
    let mut waiting = tls.connect();
    let mut rude = tls.connect();
    rude.write_all(PING).unwrap();
    drop(rude.sock);
    waiting.write_all(PING).unwrap();
    assert!(waiting.read(&mut [0; 512]).unwrap() > 0);
    assert!(tls.rig.pool.process.stop().success());
    assert_eq!(
        waiting.read(&mut [0; 512]).unwrap(),
        0,
        "told at the end of the pool"
    );
}

#[test]
fn tls_comes_through_a_balancer_and_hides_no_header() {
    let tls = TlsRig::start("on", "proxy_from = [\"127.0.0.2\"]");
    let header = proxy_header("9.8.7.6:1000");
    let mut socket = tls.rig.connect_from("127.0.0.2");
    socket.write_all(&header).unwrap();
    mines(shake_hands(socket, tls.client()), 0);
    let mut hidden = tls.connect();
    hidden.write_all(&[&header, PING].concat()).unwrap();
    assert!(!matches!(hidden.read(&mut [0; 64]), Ok(count) if count > 0));
}

/// The memory of a process, in KiB.
fn resident_kib(id: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_tls_connection_holds_little_before_it_is_authorized() {
    const COUNT: u64 = 300;
    let tls = TlsRig::start(
        "on",
        "handshake_s = 600\nconnections_per_address_max = 4000",
    );
    let mut hello = Vec::new();
    tls.client().write_tls(&mut hello).unwrap();
    let id = tls.rig.pool.process.id();
    // What is made once is made by the first ones.
    let warm: Vec<_> = (0..50).map(|_| tls.connect()).collect();
    let mut faults = Vec::new();
    let mut measure = |what: &str, most_kib: u64, connect: &dyn Fn() -> TcpStream| {
        let before = resident_kib(&id);
        let peers: Vec<_> = (0..COUNT).map(|_| connect()).collect();
        let settled = Instant::now() + Duration::from_secs(1);
        while Instant::now() < settled {
            thread::sleep(Duration::from_millis(50));
        }
        let each = resident_kib(&id).saturating_sub(before) * 1024 / COUNT;
        println!("{what}: {each} bytes of resident memory each");
        if each > most_kib * 1024 {
            faults.push(format!("{what}: {each} bytes"));
        }
        peers
    };
    let silent = measure("silent", 8, &|| tls.rig.connect());
    let half = measure("in the middle of a hello", 16, &|| {
        let mut socket = tls.rig.connect();
        socket.write_all(&hello[..hello.len() - 1]).unwrap();
        socket
    });
    let stopped = measure("before the client's end of the handshake", 16, &|| {
        let mut socket = tls.rig.connect();
        socket.write_all(&hello).unwrap();
        socket
    });
    // As much as is read of it, and then nothing.
    let long = [&b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"[..], &[3; 4_000]].concat();
    let longest = measure("in the middle of the longest hello", 20, &|| {
        let mut socket = tls.rig.connect();
        socket.write_all(&long).unwrap();
        socket
    });
    let idle = measure("established", 16, &|| tls.connect().sock);
    assert!(faults.is_empty(), "{faults:?}");
    drop((warm, silent, half, stopped, longest, idle));
}
