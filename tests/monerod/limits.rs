//! The limits of a port for Monero's miners: those of Bitcoin's dialect hold in this one, too, and whoever
//! passes one costs nobody else anything.

mod shapes;

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    LIGHT, NETWORK, ONE_IN_20, assert_refused,
    chain::{Chain, SOMEBODY},
    miner::{Miner, Share},
};
use crate::support::{PATIENCE, Pool, PoolSettings, connect_from, loopback, wait_for};

/// Every second hash is a share.
const ONE_IN_2: &str = "start_difficulty = 2.0\nmin_difficulty = 2.0\nmax_difficulty = 2.0\n\
                        messages_per_second_max = 0\nshares_per_second_max = 0\n";
/// Nobody is exempt, as all tests come from loopback.
const STRICT: &str = "[pool.bans]\nshares_min = 20\nexempt = []\n";
/// The longest line before and after a login.
const LINE_MAX: [usize; 2] = [4 * 1024, 16 * 1024];
/// How much later than asked for a busy machine may act.
const LATE: Duration = Duration::from_secs(20);

/// A pool before a node.
struct Rig {
    pool: Pool,
    _chain: Chain,
    _folder: TempDir,
}

impl Rig {
    /// With these lines more for `[[pool]]`, and these for `[[pool.listener]]`.
    fn start(pool: &str, listener: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let chain = Chain::start(&folder, NETWORK);
        let settings = PoolSettings {
            coin: "monero",
            address: SOMEBODY,
            pool: &format!("{LIGHT}{pool}"),
            listener,
            daemons: chain.daemon(),
            ..PoolSettings::default()
        };
        Self {
            pool: Pool::start(&folder, &settings),
            _chain: chain,
            _folder: folder,
        }
    }

    fn connect(&self) -> Miner {
        Miner::connect(self.pool.miners)
    }

    fn miner(&self, name: &str) -> Miner {
        Miner::ready(self.pool.miners, &format!("{SOMEBODY}.{name}"))
    }

    /// From another address of loopback.
    fn connect_from(&self, address: &str) -> Miner {
        Miner::over(connect_from(address, self.pool.miners))
    }

    fn bare(&self) -> TcpStream {
        TcpStream::connect(loopback(self.pool.miners)).unwrap()
    }

    fn bans(&self) -> Vec<Value> {
        let (status, text) = self.pool.get("/api/v1/bans").unwrap();
        assert_eq!(status, 200);
        let told: Value = serde_json::from_str(&text).unwrap();
        told["pools"][0]["bans"].as_array().unwrap().clone()
    }
}

/// A share that is none and says that it is one, but no block.
fn forged(miner: &Miner, number: u64) -> Share {
    let mut result = [0xa5; 32];
    result[..8].copy_from_slice(&number.to_le_bytes());
    result[24..].copy_from_slice(&(u64::MAX / 40).to_le_bytes());
    Share {
        job: miner.job["job_id"].clone(),
        nonce: "00000000".to_owned(),
        result: hex::encode(result),
    }
}

/// What is submitted for a share.
fn params(miner: &Miner, share: &Share) -> Value {
    json!({
        "id": miner.session, "job_id": share.job, "nonce": share.nonce, "result": share.result,
        "algo": "rx/0",
    })
}

/// Sends shares that are none, each once, until it is hung up on or so many were answered: how many were.
fn provoke(miner: &mut Miner, numbers: std::ops::Range<u64>) -> u64 {
    let mut answered = 0;
    for number in numbers {
        let params = params(miner, &forged(miner, number));
        match miner.try_ask("submit", params) {
            Some(told) if told["id"].is_null() => break,
            None => break,
            Some(told) => {
                let text = told["error"]["message"].as_str().unwrap();
                assert_eq!(text, "Rejected share: invalid result", "{told}");
                answered += 1;
            }
        }
    }
    answered
}

/// Whether a login succeeds. If not, it is refused or hung up on, and hung up on in the end.
#[track_caller]
fn logs_in(mut miner: Miner) -> Option<Miner> {
    let params =
        json!({"login": format!("{SOMEBODY}.again"), "pass": "x", "agent": "XMRig/6.22.2"});
    let told = miner.try_ask("login", params)?;
    if told["result"]["status"] == "OK" {
        miner.session = told["result"]["id"].clone();
        miner.job = told["result"]["job"].clone();
        return Some(miner);
    }
    assert!(told["error"]["message"].is_string(), "{told}");
    assert!(miner.line().is_none());
    None
}

/// The pool is there for this miner.
#[track_caller]
fn is_served(miner: &mut Miner) {
    let told = miner.ask("keepalived", json!({"id": miner.session}));
    assert_eq!(told["result"]["status"], "KEEPALIVED", "{told}");
}

/// Reads whatever comes until the pool hangs up, and says how long after this instant that was. Does
/// `meanwhile` some five times a second.
fn hung_up_after(
    start: Instant,
    stream: &mut TcpStream,
    mut meanwhile: impl FnMut(&mut TcpStream),
) -> Option<Duration> {
    let pause = Duration::from_millis(200);
    stream.set_read_timeout(Some(pause)).unwrap();
    let mut told = Instant::now();
    while start.elapsed() < PATIENCE {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return Some(start.elapsed()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return Some(start.elapsed()),
        }
        if told.elapsed() >= pause {
            told = Instant::now();
            meanwhile(stream);
        }
    }
    None
}

#[test]
fn an_address_with_too_many_forged_shares_is_banned_until_it_is_lifted() {
    let mut rig = Rig::start(STRICT, ONE_IN_20);
    let mut beside = rig.miner("beside");
    let mut other = rig.connect_from("127.0.0.2");
    other.log_in(&format!("{SOMEBODY}.other"));
    // A new connection is no new beginning.
    assert_eq!(provoke(&mut rig.miner("liar"), 0..10), 10);
    assert!(rig.bans().is_empty());
    is_served(&mut beside);
    let answered = provoke(&mut rig.miner("liar"), 10..110);
    assert!((9..=10).contains(&answered), "after {answered} more");
    // Its other connections hear why they end, too.
    let told = beside.answer().expect("the reason");
    assert_refused(&told, "Your IP is banned");
    assert!(beside.answer().is_none());
    assert!(logs_in(rig.connect()).is_none());
    other.earn(0, NETWORK);
    assert_eq!(rig.pool.metric("adit_bans_total"), 1);
    let found = rig.bans();
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
    assert!(logs_in(rig.connect()).is_none());
    assert_eq!(rig.bans(), found);
    assert_eq!(rig.pool.delete("/api/v1/bans/127.0.0.2"), 404);
    assert!(logs_in(rig.connect()).is_none());
    assert_eq!(rig.pool.delete("/api/v1/bans/127.0.0.1"), 204);
    assert!(rig.bans().is_empty());
    let mut again = logs_in(rig.connect()).expect("nobody is banned any more");
    again.earn(1 << 20, NETWORK);
    // What was counted before the ban counts no more.
    assert_eq!(provoke(&mut again, 200..218), 18);
    is_served(&mut again);
}

/// What costs the pool no hash counts as well: shares that are too easy, those that come twice and those that
/// nobody can read. A ban ends by itself.
#[test]
fn each_kind_of_invalid_share_counts_and_a_late_one_does_not() {
    let rig = Rig::start(&format!("{STRICT}ban_s = 10\n"), ONE_IN_20);
    let mut miner = rig.miner("rig");
    let unknown = Share {
        job: json!("ffffffff"),
        ..forged(&miner, 0)
    };
    for _ in 0..50 {
        let told = miner.submit(&unknown);
        assert_eq!(told["error"]["message"], "Invalid job id", "{told}");
    }
    // Six that are too easy, six times the same one, and one good one.
    let good = miner.no_block(0, NETWORK);
    assert_eq!(miner.submit(&good)["result"]["status"], "OK");
    let easy = miner.too_easy();
    for _ in 0..6 {
        let told = miner.submit(&easy);
        assert_eq!(told["error"]["message"], "Low difficulty share", "{told}");
        let told = miner.submit(&good);
        assert_eq!(told["error"]["message"], "Duplicate share", "{told}");
    }
    assert!(rig.bans().is_empty());
    for number in 0..7 {
        // Those behind the last one that counts may be answered no more.
        let Some(told) = miner.try_ask("submit", json!({"id": miner.session})) else {
            break;
        };
        assert!(told["error"]["message"].is_string(), "{number}: {told}");
    }
    wait_for("the ban", || (rig.bans().len() == 1).then_some(()));
    let ban = rig.bans().remove(0);
    assert_eq!(
        (&ban["shares"], &ban["invalid"]),
        (&json!(20), &json!(19)),
        "{ban}"
    );
    assert!(logs_in(rig.connect()).is_none());
    let mut again = wait_for("the end of the ban", || logs_in(rig.connect()));
    again.earn(1 << 20, NETWORK);
}

/// By default nobody is banned who comes from this machine.
#[test]
fn ten_lines_that_make_no_sense_are_forgiven_and_the_eleventh_is_not() {
    let rig = Rig::start("[pool.bans]\nshares_min = 20\n", ONE_IN_20);
    let mut honest = rig.miner("honest");
    for is_ready in [false, true] {
        for line in [
            "nonsense",
            "{\"id\":7,\"method\":\"dig\",\"params\":{}}",
            "{\"id\":7,\"method\":\"submit\",\"params\":{}}",
        ] {
            let mut miner = match is_ready {
                true => rig.miner("rig"),
                false => rig.connect(),
            };
            for number in 0..11 {
                miner.say(line);
                match miner.answer() {
                    Some(told) => assert!(told["error"]["message"].is_string(), "{told}"),
                    None => assert_eq!(number, 10, "{line}"),
                }
            }
            assert!(miner.answer().is_none(), "{line}");
            is_served(&mut honest);
        }
    }
    honest.earn(0, NETWORK);
    assert!(rig.bans().is_empty());
}

#[test]
fn who_does_not_log_in_in_time_is_closed_whatever_it_sends() {
    let rig = Rig::start("", &format!("{ONE_IN_20}handshake_s = 2\n"));
    let mut honest = rig.miner("honest");
    let peer = |meanwhile: fn(&mut TcpStream)| {
        // The pool's time begins later than this.
        let start = Instant::now();
        let mut stream = rig.bare();
        thread::spawn(move || hung_up_after(start, &mut stream, meanwhile))
    };
    // The pool may have hung up in between: then nothing can be sent.
    let peers = [
        ("silent", peer(|_| {})),
        (
            "beginning a login",
            peer(|stream| {
                let _ = stream.write_all(b"{");
            }),
        ),
        (
            "keeping itself alive",
            peer(|stream| {
                let _ = stream.write_all(b"{\"id\":1,\"method\":\"keepalived\",\"params\":{}}\n");
            }),
        ),
        (
            "asking for a job",
            peer(|stream| {
                let _ = stream.write_all(b"{\"id\":1,\"method\":\"getjob\",\"params\":{}}\n");
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
            (Duration::from_millis(1_900)..Duration::from_secs(2) + LATE).contains(&after),
            "{what}: closed after {after:?}"
        );
    }
    is_served(&mut honest);
    honest.earn(0, NETWORK);
}

/// Signs of life say that a device is there, and nothing of its work.
#[test]
fn a_miner_without_shares_is_closed() {
    const SHARELESS: Duration = Duration::from_secs(15);
    let rig = Rig::start("", &format!("{ONE_IN_2}shareless_s = 15\nidle_s = 60\n"));
    let mut working = rig.miner("working");
    let began = Instant::now();
    let names = ["alive", "unknown", "forging"];
    let mut idle = names.map(|name| rig.miner(name));
    let mut ended = [None; 3];
    for (number, nonce) in (0u64..).zip((0u32..).step_by(1_000)) {
        if ended.iter().all(Option::is_some) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "closed after {ended:?}");
        working.earn(nonce, NETWORK);
        for (place, miner) in idle.iter_mut().enumerate() {
            if ended[place].is_some() {
                continue;
            }
            let mut share = forged(miner, number);
            if place == 1 {
                share.job = json!("ffffffff");
            }
            let told = match place {
                0 => miner.try_ask("keepalived", json!({"id": miner.session})),
                _ => miner.try_ask("submit", params(miner, &share)),
            };
            if told.is_none() {
                ended[place] = Some(began.elapsed());
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
    for (name, after) in names.into_iter().zip(ended) {
        let after = after.unwrap();
        assert!(after >= SHARELESS, "{name}: {after:?}");
    }
    working.earn(u32::MAX - 1_000_000, NETWORK);
    let log = rig.pool.process.log_text();
    assert_eq!(log.matches("no share for too long").count(), 3, "{log}");
}

#[test]
fn a_line_without_an_end_is_cut_off_alone() {
    let rig = Rig::start("", ONE_IN_20);
    let mut honest = rig.miner("honest");
    for (is_ready, limit) in [false, true].into_iter().zip(LINE_MAX) {
        let peer = || match is_ready {
            true => rig.miner("rig"),
            false => rig.connect(),
        };
        let alive = "{\"id\":77,\"method\":\"keepalived\",\"params\":{}}";
        let padded = |length: usize| format!("{alive}{}", " ".repeat(length - alive.len()));
        let mut longest = peer();
        longest.say(&padded(limit));
        let told = longest.answer().expect("an answer");
        assert_eq!(told["id"], 77, "{told}");
        assert_eq!(told["error"].is_null(), is_ready, "{told}");
        let endless = "x".repeat(1 << 20);
        for line in [padded(limit + 1) + "\n", padded(limit + 1), endless] {
            let mut peer = peer();
            // The pool may hang up before it has read all of it.
            let _ = peer.stream().write_all(line.as_bytes());
            assert!(peer.answer().is_none(), "{limit} bytes and one more");
        }
        longest.say(&padded(limit));
        assert_eq!(longest.answer().expect("an answer")["id"], 77);
        is_served(&mut honest);
    }
    honest.earn(0, NETWORK);
}
