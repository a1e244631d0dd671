//! Peers that a pool has to bear, each kind from an address of its own. One does what it does until
//! the pool hangs up, waits, and does it again.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{dice::Dice, honest::connect};
use crate::support::ADDRESS;

/// No attack on one connection goes on for longer.
const ATTACK_MAX: Duration = Duration::from_secs(30);
/// Fewer than the API shows, so that every one can be looked for.
const BANS_MAX: u64 = 900;
/// Shares without proof on one connection: a ban comes after a tenth of them.
const JUNK_SHARES: u32 = 1_000;

/// Who sent enough to be banned.
#[derive(Default)]
pub(super) struct Provoked {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    addresses: HashSet<String>,
    let_in: Vec<String>,
}

impl Provoked {
    fn next_address(&self) -> String {
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        format!("127.200.{}.{}", state.next / 250, 1 + state.next % 250)
    }

    /// Checks that all of them are banned, and nobody else.
    #[track_caller]
    pub(super) fn check(&self, banned: &HashSet<String>) {
        let state = self.state.lock().unwrap();
        let missing: Vec<_> = state.addresses.difference(banned).collect();
        assert!(missing.is_empty(), "not banned: {missing:?}");
        let innocent = banned
            .iter()
            .find(|address| !address.starts_with("127.200."));
        assert_eq!(innocent, None, "banned");
        assert!(state.let_in.is_empty(), "let in: {:?}", state.let_in);
        assert!(!state.addresses.is_empty(), "nobody was banned");
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Silent,
    Dripping,
    EndlessLine,
    /// Authorized, and then neither reads nor writes.
    Vanished,
    /// Asks and asks, and never reads.
    NeverReads,
    JunkLines,
    DeepJson,
    /// Thousands of requests in one write.
    Pipelined,
    HalfTls,
    Scanner,
    ManyWorkers,
    /// One share again and again, shares above the target, shares with forbidden bits.
    BadShares,
}

/// The kinds with how many of each there are at a time, and how long one waits between two attacks,
/// in milliseconds.
const KINDS: [(Kind, usize, u64); 11] = [
    (Kind::Silent, 60, 500),
    (Kind::Dripping, 40, 500),
    (Kind::EndlessLine, 5, 1_000),
    (Kind::Vanished, 80, 500),
    (Kind::NeverReads, 4, 3_000),
    (Kind::JunkLines, 20, 1_000),
    (Kind::DeepJson, 10, 1_000),
    (Kind::Pipelined, 2, 1_000),
    (Kind::HalfTls, 60, 500),
    (Kind::Scanner, 10, 500),
    (Kind::ManyWorkers, 5, 2_000),
];

/// A peer of one kind.
pub(super) struct Hostile {
    port: u16,
    kind: Kind,
    pause: Duration,
    dice: Dice,
    provoked: Arc<Provoked>,
}

impl Hostile {
    /// All of them, for a test of this length.
    pub(super) fn all(port: u16, time: Duration, provoked: &Arc<Provoked>) -> Vec<Self> {
        let pause = (time * 4 / u32::try_from(BANS_MAX).unwrap()).max(Duration::from_secs(1));
        let pause_ms = u64::try_from(pause.as_millis()).unwrap();
        KINDS
            .iter()
            .chain(&[(Kind::BadShares, 4, pause_ms)])
            .flat_map(|(kind, count, pause)| std::iter::repeat_n((*kind, *pause), *count))
            .enumerate()
            .map(|(number, (kind, pause))| Self {
                port,
                kind,
                pause: Duration::from_millis(pause),
                dice: Dice::new(50_000 + u64::try_from(number).unwrap()),
                provoked: Arc::clone(provoked),
            })
            .collect()
    }

    /// Attacks again and again. The runtime ends it.
    pub(super) async fn attack(mut self) {
        loop {
            // The pool hangs up in the middle of most of them, which is what it should do.
            let _ = match self.kind {
                Kind::BadShares => self.bad_shares().await,
                Kind::Vanished => self.once().await,
                _ => timeout(ATTACK_MAX, self.once()).await.unwrap_or(Ok(())),
            };
            let more = self
                .dice
                .below(1 + u64::try_from(self.pause.as_millis()).unwrap());
            sleep(self.pause + Duration::from_millis(more)).await;
        }
    }

    async fn once(&mut self) -> io::Result<()> {
        let network = 10 + self.kind as u8;
        let mut stream = connect(&format!("127.{network}.0.1"), self.port).await?;
        match self.kind {
            Kind::Silent => until_closed(&mut stream).await,
            Kind::Dripping => loop {
                stream.write_all(b"{").await?;
                sleep(Duration::from_secs(1)).await;
            },
            Kind::EndlessLine => loop {
                stream.write_all(&[b'x'; 1_000]).await?;
                sleep(Duration::from_millis(50)).await;
            },
            Kind::Vanished => {
                log_in(&mut stream, "vanished").await?;
                sleep(Duration::from_secs(20 + self.dice.below(60))).await;
                Ok(())
            }
            Kind::NeverReads => {
                log_in(&mut stream, "deaf").await?;
                let lines = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n";
                let lines = lines.repeat(200);
                loop {
                    stream.write_all(lines.as_bytes()).await?;
                    sleep(Duration::from_millis(50)).await;
                }
            }
            Kind::JunkLines => {
                loop {
                    let length = 1 + usize::try_from(self.dice.below(2_000)).unwrap();
                    let junk: Vec<u8> = (0..length)
                        .map(|_| u8::try_from(self.dice.below(256)).unwrap())
                        // The first byte of TLS and of the PROXY protocol are looked at elsewhere.
                        .map(|byte| {
                            if byte == 0x16 || byte == b'\r' {
                                b'}'
                            } else {
                                byte
                            }
                        })
                        .collect();
                    stream.write_all(&junk).await?;
                    stream
                        .write_all(b"\n{\"id\":1,\"method\":[],\"params\":{}}\n")
                        .await?;
                    sleep(Duration::from_millis(100)).await;
                }
            }
            Kind::DeepJson => {
                log_in(&mut stream, "deep").await?;
                let (open, close) = ("[".repeat(7_000), "]".repeat(7_000));
                loop {
                    let line = format!("{{\"id\":{open}1{close},\"method\":\"x\"}}\n");
                    stream.write_all(line.as_bytes()).await?;
                    sleep(Duration::from_millis(100)).await;
                }
            }
            Kind::Pipelined => {
                let pings = "{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n".repeat(10_000);
                let (mut reader, mut writer) = stream.split();
                let mut nowhere = tokio::io::sink();
                let reading = tokio::io::copy(&mut reader, &mut nowhere);
                let writing = async {
                    writer.write_all(pings.as_bytes()).await?;
                    writer.shutdown().await
                };
                tokio::try_join!(reading, writing).map(|_| ())
            }
            Kind::HalfTls => {
                // The beginning of a first message that goes on for 508 bytes.
                stream
                    .write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])
                    .await?;
                until_closed(&mut stream).await
            }
            Kind::Scanner => match self.dice.below(4) {
                0 => Ok(()),
                1 => stream.set_zero_linger(),
                2 => {
                    stream
                        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                        .await?;
                    until_closed(&mut stream).await
                }
                _ => {
                    stream
                        .write_all(b"\0\0\0\0SSH-2.0-scan\r\n\x03\0\0\x13")
                        .await?;
                    sleep(Duration::from_millis(200)).await;
                    Ok(())
                }
            },
            Kind::ManyWorkers => {
                log_in(&mut stream, "many").await?;
                for number in 0..200 {
                    let params = json!([
                        format!("{ADDRESS}.{number}-{}", self.dice.below(1 << 40)),
                        "x"
                    ]);
                    say(&mut stream, number, "mining.authorize", &params).await?;
                }
                timeout(Duration::from_secs(5), until_closed(&mut stream))
                    .await
                    .unwrap_or(Ok(()))
            }
            Kind::BadShares => unreachable!("it has a function of its own"),
        }
    }

    /// Sends shares without proof until it is banned, from an address that nobody had before, and
    /// knocks once more.
    async fn bad_shares(&mut self) -> io::Result<()> {
        let address = self.provoked.next_address();
        for _ in 0..20 {
            let mut stream = connect(&address, self.port).await?;
            let job = log_in(&mut stream, "bad").await?;
            if self.junk_shares(&mut stream, &job).await.is_err() {
                break;
            }
        }
        let mut again = connect(&address, self.port).await?;
        self.provoked
            .state
            .lock()
            .unwrap()
            .addresses
            .insert(address.clone());
        // It may be gone before anything is said.
        let _ = say(&mut again, 1, "mining.ping", &json!([])).await;
        let mut byte = [0];
        if let Ok(Ok(1)) = timeout(ATTACK_MAX, again.read(&mut byte)).await {
            self.provoked.state.lock().unwrap().let_in.push(address);
        }
        Ok(())
    }

    /// Fails when the pool hangs up.
    async fn junk_shares(&mut self, stream: &mut TcpStream, job: &Value) -> io::Result<()> {
        let kind = self.dice.below(3);
        let mut lines = String::new();
        for number in 0..JUNK_SHARES {
            let (extranonce2, nonce) = match kind {
                // The same again and again: a share at most once.
                0 => (7, 7),
                _ => (number, number),
            };
            let mut params = json!([
                format!("{ADDRESS}.bad"),
                job[0],
                format!("{extranonce2:016x}"),
                job[7],
                format!("{nonce:08x}"),
            ]);
            if kind == 2 {
                params.as_array_mut().unwrap().push(json!("80000000"));
            }
            let line = json!({"id": number, "method": "mining.submit", "params": params});
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        let (mut reader, mut writer) = stream.split();
        let reading = async {
            let mut answers = [0; 4096];
            loop {
                let count = timeout(Duration::from_secs(2), reader.read(&mut answers)).await;
                match count {
                    // All is answered, and it goes on.
                    Err(_) => return Ok(()),
                    Ok(Ok(0)) => return Err(io::ErrorKind::ConnectionReset.into()),
                    Ok(count) => count.map(|_| ())?,
                }
            }
        };
        tokio::try_join!(writer.write_all(lines.as_bytes()), reading).map(|_| ())
    }
}

async fn until_closed(stream: &mut TcpStream) -> io::Result<()> {
    tokio::io::copy(stream, &mut tokio::io::sink())
        .await
        .map(|_| ())
}

async fn say(stream: &mut TcpStream, id: u64, method: &str, params: &Value) -> io::Result<()> {
    let line = json!({"id": id, "method": method, "params": params});
    stream.write_all(format!("{line}\n").as_bytes()).await
}

/// Logs in and gives the first job.
async fn log_in(stream: &mut TcpStream, worker: &str) -> io::Result<Value> {
    say(stream, 1, "mining.subscribe", &json!(["hostile/1"])).await?;
    say(
        stream,
        2,
        "mining.authorize",
        &json!([format!("{ADDRESS}.{worker}"), "x"]),
    )
    .await?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        let message: Value = serde_json::from_str(&line)?;
        if message["method"] == "mining.notify" {
            return Ok(message["params"].clone());
        }
    }
    Err(io::ErrorKind::ConnectionReset.into())
}
