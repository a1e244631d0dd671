//! Bitcoin and Monero in one process: each has its ports and its work, and what befalls one leaves the other
//! alone.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    LIGHT, NETWORK, ONE_IN_20, assert_refused,
    chain::{Chain, SOMEBODY},
    miner,
};
use crate::{
    money::{self, OTHER},
    support::{Miner, Node, Pool, PoolSettings, free_port, wait_for},
};

/// The confirmations after which a block of Bitcoin is paid for here.
const MATURITY: u32 = 3;

/// A process with both pools, which have work, and the port of Monero's miners.
fn both(folder: &TempDir, node: &Node, chain: &Chain) -> (Pool, u16) {
    let port = free_port();
    let monero = format!(
        "[[pool]]\nname = \"xmr\"\ncoin = \"monero\"\nnetwork = \"regtest\"\n\
         payout_address = \"{SOMEBODY}\"\n{LIGHT}[[pool.listener]]\n\
         listen = \"127.0.0.1:{port}\"\n{ONE_IN_20}{}",
        chain.daemon()
    );
    let pool = Pool::start(
        folder,
        &PoolSettings {
            pool: &format!("maturity = {MATURITY}"),
            daemons: node.rpc.daemon() + &monero,
            ..PoolSettings::default()
        },
    );
    (pool, port)
}

/// What the API says of one pool.
fn of(pool: &Pool, name: &str) -> Value {
    let (_, page) = pool.get(&format!("/api/v1/pools/{name}")).unwrap();
    serde_json::from_str(&page).unwrap()
}

#[test]
fn a_coin_that_fails_leaves_the_other_alone() {
    let folder = TempDir::new().unwrap();
    let mut node = Node::simnet(&folder);
    let chain = Chain::start(&folder, NETWORK);
    let (pool, port) = both(&folder, &node, &chain);
    let of = |name: &str| of(&pool, name);
    let mut asic = Miner::ready(pool.miners);
    let share = asic.share(1);
    assert_eq!(asic.submit(&share)["result"], true);
    let mut cpu = miner::Miner::ready(port, &format!("{SOMEBODY}.rig"));
    let share = cpu.no_block(0, NETWORK);
    assert_eq!(cpu.submit(&share)["result"]["status"], "OK");
    assert_eq!(of("main")["algorithm"], "sha256d");
    assert_eq!(of("xmr")["template"]["difficulty"], json!(200.0));
    assert_eq!(
        (&of("xmr")["algorithm"], &of("xmr")["ticker"]),
        (&json!("randomx"), &json!("XMR"))
    );

    // Each port is one coin's, and says whose to miners of the other.
    let mut lost = miner::Miner::connect(pool.miners);
    let told = lost.ask(
        "login",
        json!({"login": SOMEBODY, "pass": "x", "agent": "XMRig"}),
    );
    assert_refused(&told, "This port is for miners of Bitcoin (sha256d)");
    assert!(lost.line().is_none());

    node.kill();
    wait_for("the end of Bitcoin's work", || {
        of("main")["stopped"].is_string().then_some(())
    });
    let share = cpu.no_block(1_000_000, NETWORK);
    assert_eq!(cpu.submit(&share)["result"]["status"], "OK");
    assert!(of("xmr")["stopped"].is_null());
    node.start_again();
    wait_for("Bitcoin's work", || {
        of("main")["stopped"].is_null().then_some(())
    });
    let mut asic = Miner::ready(pool.miners);
    let share = asic.share(2);
    assert_eq!(asic.submit(&share)["result"], true);
}

/// What `/health` says of one pool: the parts that are not well.
fn unwell(health: &Value, name: &str) -> Vec<String> {
    let parts = health["components"].as_array().unwrap().iter();
    let of_pool: Vec<&Value> = parts.filter(|part| part["pool"] == name).collect();
    assert!(
        of_pool.iter().any(|part| part["name"] == "work"),
        "{health}"
    );
    let unwell = of_pool.iter().filter(|part| part["healthy"] == false);
    unwell
        .map(|part| part["name"].as_str().unwrap().to_owned())
        .collect()
}

/// A miner of Bitcoin finds the next block, whose id this is.
fn find_block(pool: &Pool, node: &Node) -> Value {
    let user = format!("{OTHER}.asic");
    (0..10)
        .find_map(|_| {
            let height = node.rpc.height() + 1;
            wait_for("work on the newest tip", || {
                (of(pool, "main")["template"]["height"] == height).then_some(())
            });
            let mut asic = Miner::connect(pool.miners);
            asic.log_in(&user);
            let block = asic.block(1, None);
            let told = asic.ask("mining.submit", Miner::params(&user, &block));
            // Its job may have been over by then.
            let is_late = told["error"][0] == 21;
            assert!(told["result"] == true || is_late, "{told}");
            (!is_late).then(|| json!(block.hash.to_string()))
        })
        .expect("no tip lasts long enough for a block")
}

/// A block of Bitcoin is found, booked and matures while monerod is away, and Monero's miners have work as soon
/// as it is back.
#[test]
fn bitcoin_s_blocks_are_booked_while_monerod_is_away() {
    let folder = TempDir::new().unwrap();
    let node = Node::start(&folder, "node", &["--rules", "regtest", "--maturity", "3"]);
    let mut chain = Chain::start(&folder, NETWORK);
    let (pool, port) = both(&folder, &node, &chain);
    let of = |name: &str| of(&pool, name);
    let health = || -> (u16, Value) {
        let (code, text) = pool.get("/health").unwrap();
        (code, serde_json::from_str(&text).unwrap())
    };
    let (code, told) = health();
    assert_eq!((code, &told["status"]), (200, &json!("healthy")), "{told}");
    let login = format!("{SOMEBODY}.rig");
    let mut cpu = miner::Miner::ready(port, &login);
    cpu.earn(0, NETWORK);

    chain.kill();
    wait_for("the end of Monero's work", || {
        of("xmr")["stopped"].is_string().then_some(())
    });
    assert!(cpu.answer().is_none(), "so that it goes to another pool");
    let told = miner::Miner::connect(port).log_in(&login);
    assert_refused(&told, "No block template yet. Please wait.");

    let block = find_block(&pool, &node);
    let state = |state: &str| {
        wait_for(state, || {
            let last = of("main")["blocks"]["last"][0].clone();
            assert!(last.is_null() || last["hash"] == block, "{last}");
            (last["state"] == state).then_some(())
        });
    };
    state("immature");
    assert_eq!(node.rpc.call("getblockhash", json!([1])), block);
    let account = money::miner(OTHER);
    let booked = |posted: i64, pending: i64| {
        wait_for("the block in the books", || {
            let balances = money::balances(folder.path());
            (balances.get(&account) == Some(&(posted, pending))).then_some(())
        });
    };
    // 2.5 percent are fees.
    booked(0, 4_875_000_000);
    node.rpc.call("generatetoaddress", json!([MATURITY, OTHER]));
    state("mature");
    booked(4_875_000_000, 0);
    let books = money::ask(folder.path(), &["ledger", "check"]);
    assert_eq!(books["balance"], true, "{books}");

    // All of that with monerod away.
    let (code, told) = health();
    assert_eq!(
        (code, &told["status"]),
        (503, &json!("unhealthy")),
        "{told}"
    );
    assert_eq!(unwell(&told, "main"), [""; 0], "{told}");
    let names = unwell(&told, "xmr");
    assert!(
        matches!(&names[..], [daemon, work] if daemon.starts_with("daemon ") && work == "work"),
        "{names:?}"
    );
    assert!(of("main")["stopped"].is_null());
    let (code, reason) = pool.get("/ready").unwrap();
    assert_eq!(code, 503);
    assert!(reason.contains("pool xmr: "), "{reason}");

    chain.come_back();
    pool.wait_until_ready();
    let mut cpu = miner::Miner::ready(port, &login);
    cpu.earn(1_000_000, NETWORK);
    let share = cpu.block(2_000_000, NETWORK);
    assert_eq!(cpu.submit(&share)["result"]["status"], "OK");
    wait_for("Monero's block", || {
        let last = of("xmr")["blocks"]["last"][0].clone();
        (last["state"] == "immature").then_some(())
    });
    assert_eq!(chain.height(), 1);
    // Those of before are still there.
    assert_eq!(of("xmr")["shares"]["stored"], 3);
    wait_for("both to be well", || {
        (health().1["status"] == "healthy").then_some(())
    });
}
