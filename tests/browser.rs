//! The pages in a real browser: Chromium looks at each in the light and in the dark, at a desk and on a
//! phone, by keyboard, by the rules of WCAG and without script, and does with them what people do.

mod crowd;
mod panel;

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    money::{Mint, PAYING, miner},
    operator::make_key,
    support::{ADDRESS, Miner, Pool, wait_for},
};

/// The time that a drive may take: several times what it takes on a busy machine.
const LONGEST: Duration = Duration::from_secs(300);
/// A device that would run a script on every page, if a page let it.
const HOSTILE: &str =
    "<script>window.pwned='agent';alert(1)</script>\"'><img src=x onerror=alert(2)>";
/// An address of no pool here.
const OTHER_COIN: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
/// Above what the API puts on a page.
const BLOCKS: u32 = 53;

/// A script under `tests/browser` that drives a browser.
struct Drive {
    node: Child,
    lines: BufReader<ChildStdout>,
    /// Dropped at the end, which calls off the watchman.
    _ended: mpsc::Sender<()>,
}

impl Drive {
    fn start(script: &str, task: &Value) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
        assert!(
            folder.join("node_modules/playwright-core").is_dir(),
            "what drives the browser is missing: run `make clients`"
        );
        let node = Command::new("node")
            .arg(folder.join(script))
            .arg(task.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut node = match node {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("node is missing: run `make packages`")
            }
            node => node.unwrap(),
        };
        let id = node.id().to_string();
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || {
            if end.recv_timeout(LONGEST) == Err(mpsc::RecvTimeoutError::Timeout) {
                // It closes its browser.
                let _ = Command::new("kill").args(["-TERM", &id]).status();
            }
        });
        Self {
            lines: BufReader::new(node.stdout.take().unwrap()),
            node,
            _ended: ended,
        }
    }

    /// Does what it asks for, until it has its report.
    fn report(mut self, mut act: impl FnMut(&str)) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "no report: {:?}", self.node.wait());
            let said: Value = serde_json::from_str(&line).unwrap();
            let Some(wanted) = said["now"].as_str() else {
                assert!(self.node.wait().unwrap().success());
                return said;
            };
            act(wanted);
            let answers = self.node.stdin.as_mut().unwrap();
            answers.write_all(b"done\n").unwrap();
        }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

/// Where pictures go.
fn screenshots() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn origin(pool: &Pool) -> String {
    format!("http://127.0.0.1:{}", pool.http)
}

#[track_caller]
fn none(faults: &Value) {
    let faults = faults.as_array().unwrap();
    let text: Vec<_> = faults.iter().filter_map(Value::as_str).collect();
    assert!(
        text.is_empty(),
        "{} faults:\n{}",
        text.len(),
        text.join("\n")
    );
}

/// A name, a path and a status.
type Page<'a> = (&'a str, String, u16);

/// Looks at pages, and with half as many looks at those that differ little from them.
#[track_caller]
fn look(pool: &Pool, pages: &[Page<'_>], minor: &[Page<'_>]) {
    look_as(pool, None, pages, minor);
}

/// The same, logged in with an operator's key if there is one.
#[track_caller]
fn look_as(pool: &Pool, key: Option<&str>, pages: &[Page<'_>], minor: &[Page<'_>]) {
    let list = |pages: &[Page<'_>], minor: bool| -> Vec<Value> {
        let page = |(name, path, status): &Page<'_>| json!({"name": name, "path": path, "status": status, "minor": minor});
        pages.iter().map(page).collect()
    };
    let listed = [list(pages, false), list(minor, true)].concat();
    let task =
        json!({"origin": origin(pool), "screenshots": screenshots(), "pages": listed, "key": key});
    let report = Drive::start("look.js", &task).report(|wanted| panic!("{wanted}"));
    none(&report["faults"]);
    assert_eq!(report["looks"], pages.len() * 4 + minor.len() * 2);
}

/// A text in a URL.
fn in_url(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A pool with blocks of several pages, a payment, and a hostile device that is connected.
fn rich() -> (Mint, Miner) {
    let mint = Mint::new(PAYING);
    let user = format!("{ADDRESS}.rig");
    let mut device = Miner::connect(mint.pool.miners);
    device.log_in_as(HOSTILE, &user);
    for number in 0..BLOCKS {
        let tip = |device: &Miner| device.job.as_ref().unwrap().work.previous_block;
        let before = tip(&device);
        let block = device.block(number.into(), None);
        let params = Miner::params(&user, &block);
        assert_eq!(device.ask("mining.submit", params)["result"], true);
        while tip(&device) == before {
            device.hear();
        }
    }
    mint.bury(4);
    wait_for("a payment", || {
        let path = format!("/api/v1/miners/{ADDRESS}/payouts");
        let (_, body) = mint.pool.get(&path)?;
        let paid: Value = serde_json::from_str(&body).unwrap();
        (paid["items"][0]["txid"].is_string() && mint.balance(&miner(ADDRESS)).1 >= 0).then_some(())
    });
    (mint, device)
}

/// A69, and the rules of WCAG 2.1 AA: a page complains of nothing, asks nobody else, fits its screen, is
/// usable by keyboard, says the same without script, and runs nothing that came from outside.
#[test]
fn every_page_is_sound_in_a_browser() {
    let (mint, device) = rich();
    let pool = &mint.pool;
    let unknown = mint.node.rpc.call("getnewaddress", json!([]));
    let unknown = unknown.as_str().unwrap();
    // A day is signed before its end, so that there is one.
    mint.ask(&["receipts", "close"]);
    let (_, body) = pool.get("/api/v1/pools/main/blocks").unwrap();
    let blocks: Value = serde_json::from_str(&body).unwrap();
    let hash = blocks["items"][49]["hash"].as_str().unwrap();
    let next = blocks["next"].as_str().unwrap();
    let bad = in_url(HOSTILE);
    let own = format!("/miners/{ADDRESS}");
    look(
        pool,
        &[
            ("home", "/".into(), 200),
            (
                "connect",
                format!("/connect?address={ADDRESS}&worker=rig-1"),
                200,
            ),
            ("find", "/miners".into(), 200),
            ("miner", own.clone(), 200),
            ("why", format!("{own}/why"), 200),
            ("credit", format!("{own}/credits/{hash}"), 200),
            ("blocks", "/blocks".into(), 200),
            ("payouts", "/payouts".into(), 200),
            ("verify", format!("/verify?address={ADDRESS}"), 200),
            ("login", "/operator".into(), 401),
            ("error", "/blocks?pool=other".into(), 404),
        ],
        &[
            ("home-week", "/?span=7d".into(), 200),
            ("verify-hostile", format!("/verify?address={bad}"), 200),
            ("connect-empty", "/connect".into(), 200),
            (
                "connect-other-coin",
                format!("/connect?address={OTHER_COIN}"),
                200,
            ),
            (
                "connect-hostile",
                format!("/connect?address={bad}&worker={bad}"),
                200,
            ),
            ("find-hostile", format!("/miners?address={bad}"), 200),
            ("miner-unknown", format!("/miners/{unknown}"), 404),
            ("miner-other-coin", format!("/miners/{OTHER_COIN}"), 400),
            (
                "blocks-older",
                format!("/blocks?cursor={}", in_url(next)),
                200,
            ),
        ],
    );
    let key = make_key(pool, "anna");
    look_as(
        pool,
        Some(&key),
        &[("operator", "/operator".into(), 200)],
        &[],
    );
    drop(device);
}

/// What people do: they copy what to type, wait for a first share, and watch for blocks.
#[test]
fn pages_do_what_people_want_of_them() {
    let mint = Mint::new(PAYING);
    let new = || {
        let address = mint.node.rpc.call("getnewaddress", json!([]));
        address.as_str().unwrap().to_owned()
    };
    let (awaited, unknown) = (new(), new());
    let task = json!({
        "origin": origin(&mint.pool),
        "screenshots": screenshots(),
        "awaited": awaited,
        "unknown": unknown,
    });
    let share = |device: &mut Miner, user: &str| {
        let share = device.share(0);
        let answer = device.ask("mining.submit", Miner::params(user, &share));
        assert_eq!(answer["result"], true, "{answer}");
    };
    let user = format!("{awaited}.rig");
    let mut devices = Vec::new();
    let report = Drive::start("act.js", &task).report(|wanted| match wanted {
        "connect" => {
            let mut device = Miner::connect(mint.pool.miners);
            device.log_in(&user);
            devices.push(device);
        }
        "share" => share(&mut devices[0], &user),
        "first share of another" => {
            let user = format!("{unknown}.rig");
            let mut device = Miner::connect(mint.pool.miners);
            device.log_in(&user);
            share(&mut device, &user);
            devices.push(device);
        }
        "block" => {
            mint.find_block(ADDRESS);
        }
        other => panic!("{other}"),
    });
    for part in ["copy", "light", "figures"] {
        none(&report[part]["faults"]);
    }
    assert!(report["copy"]["copied"].as_u64().unwrap() >= 20, "{report}");
    let light = &report["light"];
    assert_eq!(light["isEarly"], 0, "{light}");
    assert_eq!(light["stayed"], true, "{light}");
    let said = light["said"].as_array().unwrap();
    let begins = ["Waiting", "Connected", "It works"];
    for (said, begin) in said.iter().zip(begins) {
        assert!(said.as_str().unwrap().starts_with(begin), "{light}");
    }
    let figures = &report["figures"];
    assert_eq!(figures["stayed"], true, "{figures}");
    assert_ne!(figures["before"]["blocks"], figures["after"]["blocks"]);
}
