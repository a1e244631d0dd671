//! One process that mines alone, hosts a pool and joins one, in turns: by the API, by the command, and by
//! itself where the pool that it joined goes away.

mod owed;
mod ports;
mod tls;

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use serde_json::{Value, json};

use crate::{
    money::{OTHER, balances, miner},
    operator::make_key,
    support::{ADDRESS, Pool, Process, adit, asked::Answer, free_port, run, wait_for},
    work::{HARD, ONE_IN_4, Vision, worker::Worker},
};

/// One hash in 200 is a block.
const EASY: &[&str] = &[
    "--algorithm",
    "visionx",
    "--difficulty",
    "200",
    "--maturity",
    "2",
];
const PROP: &str = "scheme = \"prop\"\nmaturity = 2\n[[pool.fee]]\nname = \"pool\"\npercent = 2\n\
                    [[pool.fee]]\nname = \"foundation\"\npercent = 1\n";
/// Whoever comes from here comes through a proxy, and from elsewhere.
const PROXY: &str = "proxy_from = [\"127.0.0.2\"]\n";

/// A node on a VisionX chain that begins in this mode.
pub(crate) fn node(mode: &str, more: &str, flags: &[&str]) -> Vision {
    node_of(mode, more, flags, PROP)
}

/// The same with these lines for its pool.
fn node_of(mode: &str, more: &str, flags: &[&str], pool: &str) -> Vision {
    let port = free_port();
    let settings = format!(
        "{PROXY}[node]\nmode = \"{mode}\"\nworker_name = \"own\"\nprofile = \"laptop\"\n\
         solo_listen = \"127.0.0.1:{port}\"\n{more}"
    );
    Vision::of("node", &settings, flags, pool, ONE_IN_4)
}

fn say(pool: &Pool, path: &str, body: Value) -> Answer {
    pool.question("POST", path).json(&body).ask()
}

#[track_caller]
fn do_it(pool: &Pool, path: &str, body: Value) -> Value {
    let answer = say(pool, path, body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let message = &answer.json()["error"]["message"];
    let message = message.as_str().unwrap();
    assert!(message.starts_with(text), "{message}");
}

fn state(pool: &Pool) -> Value {
    pool.question("GET", "/api/v1/node").ask().json()
}

pub(crate) fn mode(pool: &Pool) -> String {
    let mode = pool.question("GET", "/pool/mode").ask().json();
    mode["mode"].as_str().unwrap().to_owned()
}

/// The log of the node has a line that begins so.
fn has_line(pool: &Pool, text: &str) -> bool {
    let state = state(pool);
    let mut lines = state["log"].as_array().unwrap().iter();
    lines.any(|line| line["text"].as_str().unwrap().starts_with(text))
}

fn command(node: &Vision, words: &[&str]) -> (bool, String) {
    let config = node.pool.config.to_str().unwrap();
    let output = run(&[&["node", "-c", config], words].concat());
    let said = match output.status.success() {
        true => output.stdout,
        false => output.stderr,
    };
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// A share that is no block.
#[track_caller]
pub(crate) fn share(worker: &Worker) -> Value {
    let job = worker.job();
    let block = job["target"].as_str().unwrap().to_owned();
    let share = std::iter::repeat_with(|| worker.mine(&job))
        .find(|share| share["hash"].as_str().unwrap() > block.as_str());
    let answer = worker.submit(&share.unwrap());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn stored(pool: &Pool) -> u64 {
    pool.status()["shares"]["stored"].as_u64().unwrap()
}

/// Alone it finds a block that pays its own address all of it, hosting it serves others, and as a worker it
/// mines at another node: three modes of one process, whose books go on.
#[test]
fn a_node_goes_from_solo_to_host_to_join_and_back() {
    let other = node("host", "", HARD);
    let mut node = node("solo", &format!("address = \"{OTHER}\"\n"), EASY);
    let folder = node.folder().to_owned();
    assert_eq!(mode(&node.pool), "solo");
    wait_for("a block of its own", || {
        (node.node.rpc.height() >= 1).then_some(())
    });
    let found = wait_for("the block in the books", || node.pool.last_block());
    assert_eq!(found["worker"], format!("{OTHER}.own"));
    // It pays the finder by itself, whole.
    let hash = node.node.rpc.call("getblockhash", json!([1]));
    let block = node.node.rpc.call("getblock", json!([hash, 2]));
    let outputs = block["tx"][0]["vout"].as_array().unwrap();
    let paid = |output: &&Value| output["scriptPubKey"]["address"] == OTHER;
    let paid = outputs.iter().find(paid).unwrap();
    assert_eq!(paid["value"].as_f64(), Some(50.0), "{block}");
    // Nobody else finds the port of the pool.
    assert!(std::net::TcpStream::connect(("127.0.0.1", node.pool.miners)).is_err());

    let started = do_it(
        &node.pool,
        "/pool/start",
        json!({"pool_name": "Home <b>pool", "pool_fee": 1.5}),
    );
    assert_eq!(started["mode"], "host_pool");
    assert_eq!(started["message"], "Pool hosting started");
    assert_eq!(started["pool_name"], "Home <b>pool");
    assert_eq!(started["pool_port"], node.pool.miners);
    assert_eq!(
        started["pool_url"],
        format!("http://127.0.0.1:{}", node.pool.miners)
    );
    // Before there is work, no job is given.
    node.pool.wait_until_ready();
    let one = Worker::register(node.pool.miners, "one", ADDRESS);
    let registered = one.registration().json();
    assert_eq!(registered["pool_fee_bps"], 150);
    assert!(
        registered["message"]
            .as_str()
            .unwrap()
            .contains("Home <b>pool")
    );
    let before = stored(&node.pool);
    (0..3).for_each(|_| drop(share(&one)));
    assert_eq!(stored(&node.pool), before + 3);
    assert!(state(&node.pool)["worker"].is_null());

    let url = format!("http://127.0.0.1:{}", other.pool.miners);
    let joined = do_it(
        &node.pool,
        "/api/pool/mode",
        json!({"mode": "JoinPool", "url": url, "wallet_address": ADDRESS, "worker_name": "guest"}),
    );
    assert_eq!(joined, json!({"ok": true, "mode": "join_pool"}));
    let guest = wait_for("an accepted share there", || {
        let state = state(&node.pool);
        let worker = &state["worker"];
        (worker["accepted"].as_u64()? > 0 && worker["pool_workers"] == 1).then_some(state)
    });
    assert_eq!(guest["worker"]["pool_name"], "main");
    assert_eq!(guest["settings"]["url"], url);
    let session = &other.pool.status()["sessions"][0];
    assert_eq!(session["worker"], format!("{ADDRESS}.guest"));
    assert!(std::net::TcpStream::connect(("127.0.0.1", node.pool.miners)).is_err());
    assert!(has_line(&node.pool, "mining at http://127.0.0.1"));

    // What it was told last holds after an end of any kind.
    node.pool.process.kill();
    node.pool.start_again();
    wait_for("the mode after a kill", || {
        let answer = node.pool.get("/pool/mode")?;
        answer.1.contains("join_pool").then_some(())
    });
    let stopped = node.pool.question("POST", "/pool/stop").ask().json();
    assert_eq!(stopped["mode"], "solo");
    assert_eq!(stopped["message"], "Pool hosting stopped");

    // The round of the pool is as it was: a block that is found there now pays for those shares, by the fees that
    // were told.
    let changed = do_it(&node.pool, "/pool/start", json!({"pool_fee": 3}));
    assert_eq!(changed["mode"], "host_pool");
    node.pool.wait_until_ready();
    let two = Worker::register(node.pool.miners, "two", OTHER);
    assert_eq!(two.registration().json()["pool_fee_bps"], 150);
    let job = two.job();
    let block = two.mine_to(&job, job["target"].as_str().unwrap());
    assert_eq!(two.submit(&block).json()["message"], "Block found!");
    let books = wait_for("the block in the books", || {
        let books = balances(&folder);
        books.contains_key("fee:foundation").then_some(books)
    });
    let (reward, miners) = (5_000_000_000_i64, 5_000_000_000 - 50_000_000 - 75_000_000);
    assert_eq!(books["fee:pool"].1, 75_000_000);
    wait_for("the fee of the next round", || {
        (two.registration().json()["pool_fee_bps"] == 300).then_some(())
    });
    let of = |address: &str| {
        books
            .get(&miner(address))
            .map_or(0, |(done, open)| done + open)
    };
    // Three shares and that of the block.
    assert_eq!(of(ADDRESS), miners / 4 * 3);
    // Its own blocks have paid it whole, beside the quarter.
    assert_eq!((of(OTHER) - miners / 4) % reward, 0, "{books:?}");
    let all: i64 = books.values().map(|(done, open)| done + open).sum();
    assert_eq!(all, 0, "{books:?}");
}

/// A69 of the node: what is told to be impossible is refused before anything stops, and whoever is no operator
/// changes nothing.
#[test]
fn what_makes_no_sense_changes_nothing() {
    let node = node("host", "", HARD);
    let pool = &node.pool;
    let one = Worker::register(pool.miners, "one", ADDRESS);
    for (path, body, text) in [
        (
            "/pool/configure",
            json!({"pool_fee": 10.01}),
            "pool fee above 10 %",
        ),
        (
            "/api/pool/configure",
            json!({"pool_fee": 250}),
            "pool fee above 10 %",
        ),
        (
            "/pool/configure",
            json!({"pool_fee": -1}),
            "pool_fee: a percentage",
        ),
        (
            "/pool/start",
            json!({"pool_port": 7070}),
            "pool port other than 7072 and 8082",
        ),
        (
            "/pool/start",
            json!({"host_address": "nobody"}),
            "host_address: ",
        ),
        (
            "/pool/configure",
            json!({"pool_name": ""}),
            "pool_name: 1 to 50 characters",
        ),
        (
            "/pool/configure",
            json!({"pool_name": "x".repeat(51)}),
            "pool_name: 1 to 50 characters",
        ),
        (
            "/pool/configure",
            json!({"worker_name": "a.b"}),
            "worker_name: 1 to 32",
        ),
        ("/pool/configure", json!({"url": "ftp://a:1"}), "url: "),
        (
            "/pool/configure",
            json!({"profile": "monster"}),
            "profile: ",
        ),
        (
            "/pool/configure",
            json!({"fall_back_s": 86_401}),
            "fall_back_s: ",
        ),
        ("/pool/mode", json!({}), "no mode field"),
        ("/pool/mode", json!({"mode": "farm"}), "unknown mode farm"),
        (
            "/pool/mode",
            json!({"mode": "join"}),
            "no url of a pool to join",
        ),
        (
            "/pool/mode",
            json!({"mode": "solo", "wallet_address": "nobody"}),
            "wallet_address: ",
        ),
    ] {
        refused(&say(pool, path, body.clone()), 400, text);
    }
    assert_eq!(say(pool, "/pool/mode", json!({"mood": "solo"})).status, 400);
    // From elsewhere it takes a key.
    let wish = json!({"mode": "solo"});
    let ask = || {
        let question = pool.question("POST", "/pool/mode").from("127.0.0.2");
        question
            .header("x-forwarded-for", "203.0.113.7")
            .json(&wish)
    };
    assert_eq!(ask().ask().status, 401);
    assert_eq!(
        ask().key(&format!("adit_{}", "0".repeat(64))).ask().status,
        401
    );
    for path in [
        "/pool/configure",
        "/pool/start",
        "/pool/stop",
        "/api/pool/stop",
    ] {
        let question = pool.question("POST", path).from("127.0.0.2");
        let question = question.header("x-forwarded-for", "203.0.113.7");
        assert_eq!(question.json(&json!({})).ask().status, 401, "{path}");
    }
    // Nor may a page of somebody else's make a browser of this machine ask.
    let forged = pool
        .question("POST", "/pool/mode")
        .header("origin", "https://evil.example");
    assert_eq!(forged.json(&wish).ask().status, 403);
    assert_eq!(mode(pool), "host_pool");
    // Its workers have noticed nothing of it.
    drop(share(&one));
    let key = make_key(pool, "anna");
    let done = ask().key(&key).ask();
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(mode(pool), "solo");
    let log = pool.question("GET", "/api/v1/operator/log").ask().json();
    assert_eq!(log["items"][0]["what"], "node mines alone");
    assert_eq!(log["items"][0]["who"], "key anna");
}

/// A port that somebody else has leaves the mode before, started again.
#[test]
fn a_mode_that_cannot_start_leaves_the_one_before() {
    let node = node("solo", "", HARD);
    let taken = std::net::TcpListener::bind(("127.0.0.1", node.pool.miners)).unwrap();
    let answer = say(&node.pool, "/pool/start", json!({"pool_name": "Never"}));
    refused(&answer, 409, "host could not be started: ");
    assert_eq!(answer.code(), "not_started");
    assert_eq!(mode(&node.pool), "solo");
    let now = state(&node.pool);
    assert_eq!(now["settings"]["pool_name"], "main");
    wait_for("its own worker again", || {
        (state(&node.pool)["worker"]["connected"] == true).then_some(())
    });
    // Nor is it what the next start of the process begins with.
    let mut node = node;
    node.pool.process.kill();
    node.pool.start_again();
    wait_for("the mode after a kill", || {
        let answer = node.pool.get("/pool/mode")?;
        answer.1.contains("solo").then_some(())
    });
    drop(taken);
    let started = do_it(&node.pool, "/pool/start", json!({"pool_name": "Now"}));
    assert_eq!(started["pool_name"], "Now");
}

/// Says when it is dropped that it is over.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Shares that come while modes change are in the log if they were answered so, each once.
#[test]
fn no_share_is_lost_when_modes_change_under_load() {
    let node = node("host", "", HARD);
    let (pool, port) = (&node.pool, node.pool.miners);
    let (accepted, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let (accepted, over) = (&accepted, &over);
            scope.spawn(move || {
                let mut rounds = 0;
                while !over.load(Ordering::Relaxed) {
                    rounds += 1;
                    assert!(rounds < 100_000, "endless");
                    let Some(worker) = Worker::try_register(port, name, ADDRESS) else {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        continue;
                    };
                    while !over.load(Ordering::Relaxed)
                        && let Some(is_accepted) = worker.try_share()
                    {
                        accepted.fetch_add(u64::from(is_accepted), Ordering::Relaxed);
                    }
                }
            });
        }
        // Also where something fails: the workers are waited for.
        let ended = Over(&over);
        let earned = |more: u64| {
            let goal = accepted.load(Ordering::Relaxed) + more;
            wait_for("more shares", || {
                (accepted.load(Ordering::Relaxed) >= goal).then_some(())
            });
        };
        earned(20);
        for _ in 0..4 {
            do_it(pool, "/pool/stop", json!({}));
            do_it(pool, "/pool/start", json!({}));
            earned(10);
        }
        drop(ended);
    });
    let own = |session: &Value| session["worker"].as_str().unwrap().ends_with(".own");
    assert!(
        !pool.status()["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .any(own)
    );
    let path = format!("/api/v1/miners/{ADDRESS}/workers");
    let workers = pool.question("GET", &path).ask().json();
    let workers = workers["items"].as_array().unwrap().clone();
    let of = |name: &str| {
        let found = workers.iter().find(|worker| worker["name"] == name);
        found.map_or(0, |worker| worker["shares"].as_u64().unwrap())
    };
    let logged: u64 = ["a", "b", "c"].into_iter().map(of).sum();
    let answered = accepted.load(Ordering::Relaxed);
    // One of each may have been stored whose answer its end cut off.
    assert!(logged >= answered, "{logged} of {answered} are in the log");
    assert!(logged <= answered + 3 * 8, "{logged} for {answered}");
}

/// A pool that goes away leaves its worker mining alone, if that is what it was told.
#[test]
fn without_the_pool_that_it_joined_it_mines_alone_if_told_so() {
    let mut other = node("host", "", HARD);
    let node = node("solo", "", HARD);
    let url = format!("http://127.0.0.1:{}", other.pool.miners);
    do_it(
        &node.pool,
        "/pool/mode",
        json!({"mode": "join", "url": url, "fall_back_s": 1}),
    );
    wait_for("the connection", || {
        (state(&node.pool)["worker"]["connected"] == true).then_some(())
    });
    other.pool.process.kill();
    let now = wait_for("mining alone", || {
        let now = state(&node.pool);
        (now["mode"] == "solo").then_some(now)
    });
    assert_eq!(now["fell_back"], format!("{url} did not answer"));
    wait_for("the line of it", || {
        has_line(&node.pool, &format!("{url} did not answer: mining alone")).then_some(())
    });
    // With nothing said it waits, and goes on when the pool is there again.
    let asked = json!({"mode": "join", "fall_back_s": 0});
    do_it(&node.pool, "/pool/mode", asked);
    assert_eq!(state(&node.pool)["worker"]["connected"], false);
    other.pool.start_again();
    wait_for("the connection again", || {
        (state(&node.pool)["worker"]["connected"] == true).then_some(())
    });
    assert!(state(&node.pool)["fell_back"].is_null());
    // An address of another coin's is good for the other pool alone.
    let foreign =
        json!({"mode": "solo", "wallet_address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"});
    refused(
        &say(&node.pool, "/pool/mode", foreign),
        400,
        "wallet_address: ",
    );
    assert_eq!(mode(&node.pool), "join_pool");
    // And once more, as often as it happens.
    do_it(&node.pool, "/pool/configure", json!({"fall_back_s": 1}));
    other.pool.process.kill();
    wait_for("mining alone again", || {
        (mode(&node.pool) == "solo").then_some(())
    });
    assert!(!state(&node.pool)["fell_back"].is_null());
}

/// Who only joins others has no node of a coin, and no pool in the settings.
#[test]
fn a_node_without_a_pool_of_its_own_joins_and_does_nothing_else() {
    let other = node("host", "", HARD);
    let folder = tempfile::TempDir::new().unwrap();
    let (config, http) = (folder.path().join("adit.toml"), free_port());
    let text = format!(
        "data = {:?}\n[http]\nlisten = \"127.0.0.1:{http}\"\n[node]\nmode = \"join\"\n\
         url = \"http://127.0.0.1:{}\"\naddress = \"{ADDRESS}\"\nworker_name = \"cellar\"\n",
        folder.path().join("data"),
        other.pool.miners
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let started = adit(&["node", "-c", config]);
    let mut process = Process::start(started, folder.path().join("node.log"));
    let say = |words: &[&str]| {
        let output = run(&[&["node", "-c", config], words].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    wait_for("a share there", || {
        let sessions = other.pool.status()["sessions"].clone();
        let session = &sessions[0];
        let is_ours = session["worker"] == format!("{ADDRESS}.cellar");
        (is_ours && session["accepted"].as_u64()? > 0).then_some(())
    });
    // Its own port may be open a moment later.
    wait_for("the node to answer", || {
        let (done, said) = say(&["status"]);
        (done && said.contains("connected          true")).then_some(())
    });
    for (word, text) in [
        ("host", "hosting needs a [[pool]]"),
        ("solo", "mining alone needs a [[pool]]"),
    ] {
        let (done, said) = say(&[word]);
        assert!(!done && said.contains(text), "{said}");
    }
    assert!(process.stop().success());
}

/// The same by the command, for whoever sits at the machine.
#[test]
fn the_command_switches_a_node_that_runs() {
    let node = node("solo", "", HARD);
    let (done, said) = command(&node, &["status"]);
    assert!(done && said.contains("mode               solo"), "{said}");
    let (done, said) = command(&node, &["host", "--name", "Cellar", "--fee", "0.5"]);
    assert!(done && said.contains("pool               Cellar"), "{said}");
    assert!(
        said.contains(&format!("http://127.0.0.1:{}", node.pool.miners)),
        "{said}"
    );
    let (done, said) = command(&node, &["host", "--fee", "11"]);
    assert!(!done && said.contains("pool fee above 10 %"), "{said}");
    let (done, said) = command(&node, &["join"]);
    assert!(!done && said.contains("no url of a pool to join"), "{said}");
    let url = format!("http://127.0.0.1:{}", node.pool.miners);
    let (done, said) = command(&node, &["join", &url, "--profile", "beast"]);
    assert!(done && said.contains("mode               join"), "{said}");
    let (done, _) = command(&node, &["solo"]);
    assert!(done);
    assert_eq!(mode(&node.pool), "solo");
    assert_eq!(state(&node.pool)["settings"]["profile"], "beast");
    // With a key that is none it is told so, also where none is needed.
    let wrong = node.folder().join("wrong");
    std::fs::write(&wrong, format!("adit_{}\n", "0".repeat(64))).unwrap();
    let (done, said) = command(&node, &["solo", "--key-file", wrong.to_str().unwrap()]);
    assert!(!done && said.contains("there is no such key"), "{said}");
    let right = node.folder().join("right");
    std::fs::write(&right, make_key(&node.pool, "anna")).unwrap();
    let (done, said) = command(&node, &["solo", "--key-file", right.to_str().unwrap()]);
    assert!(done && said.contains("mode               solo"), "{said}");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let (done, said) = command(&node, &["status", "--url", &nobody]);
    assert!(!done && said.contains("no node runs at"), "{said}");
    kept(node.folder());
}

/// What was changed is kept as it was said, and nothing else.
#[track_caller]
fn kept(folder: &Path) {
    let kept = std::fs::read_to_string(folder.join("data/node.json")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["mode"], "solo", "{kept}");
    assert_eq!(kept["pool_name"], "Cellar", "{kept}");
    assert!(kept["worker_name"].is_null(), "{kept}");
}
