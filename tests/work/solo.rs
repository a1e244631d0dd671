//! Workers of HTTP at a port whose blocks pay who finds them: by a coinbase of their own where the pool makes it, and
//! at one address alone where the daemon does.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    ONE_IN_4, Vision,
    mine::{mine, summary},
    money::{no_block, share},
    refused,
    worker::Worker,
};
use crate::{
    monerod::{
        chain::{Chain, SOMEBODY, Wallet},
        miner::Miner,
    },
    money::{OTHER, ask, balances, is_open, miner},
    support::{
        ADDRESS, FIXED_DIFFICULTY, Node, Pool, PoolSettings, free_port, node::Rpc, wait_for,
    },
};

/// What pays [`OTHER`].
const OTHER_SCRIPT: &str = "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262";
const REWARD: i64 = 5_000_000_000;
/// A round that all share, with fees. Work that has not changed is offered again each second.
const PROP: &str = "scheme = \"prop\"\nmaturity = 3\nrefresh_s = 1\n\
                    [[pool.fee]]\nname = \"pool\"\npercent = 2\n\
                    [[pool.fee]]\nname = \"foundation\"\npercent = 1\n";

/// These lines for a listener of the pool's scheme, and for one at `port` that is solo.
fn and_solo(lines: &str, port: u16) -> String {
    format!("{lines}[[pool.listener]]\nlisten = \"127.0.0.1:{port}\"\nscheme = \"solo\"\n{lines}")
}

/// The fees that a worker is told, in hundredths of a percent.
fn fees(worker: &Worker) -> [Value; 2] {
    let told = worker.registration().json();
    ["pool_fee_bps", "foundation_fee_bps"].map(|name| told[name].clone())
}

/// A job of another offer than this one.
fn next_job(worker: &Worker, before: &Value) -> Value {
    wait_for("another job", || {
        let job = worker.job();
        (job["job_id"] != before["job_id"]).then_some(job)
    })
}

/// The job of a block of this height, once the pool is there.
fn job_at(worker: &Worker, height: u64) -> Value {
    wait_for("work on the next block", || {
        let job = worker.job();
        (job["height"] == height).then_some(job)
    })
}

/// Sends a block of this job, which is accepted; its hash.
#[track_caller]
fn find_block(worker: &Worker, job: &Value, rpc: &Rpc) -> Value {
    let height = rpc.height();
    let block = worker.mine_to(job, job["target"].as_str().unwrap());
    let told = worker.submit(&block).json();
    assert_eq!(
        (&told["message"], &told["is_block"]),
        (&json!("Block found!"), &json!(true)),
        "{told}"
    );
    wait_for("the block", || (rpc.height() == height + 1).then_some(()));
    rpc.call("getblockhash", json!([height + 1]))
}

/// The block pays [`OTHER`] all there is, and nobody else.
#[track_caller]
fn assert_pays_other(rpc: &Rpc, hash: &Value) -> Value {
    let block = rpc.call("getblock", json!([hash, 2]));
    let outputs = block["tx"][0]["vout"].as_array().unwrap().iter();
    let paid: Vec<_> = outputs
        .filter(|output| output["value"].as_f64() != Some(0.0))
        .map(|output| (&output["scriptPubKey"]["hex"], output["value"].as_f64()))
        .collect();
    assert_eq!(paid, [(&json!(OTHER_SCRIPT), Some(50.0))], "{block}");
    block
}

/// The books, once this account has this, posted and pending; they add up to nothing.
#[track_caller]
fn books(folder: &Path, account: &str, has: (i64, i64)) -> BTreeMap<String, (i64, i64)> {
    let books = wait_for(&format!("{account} to have {has:?}"), || {
        let books = balances(folder);
        (books.get(account) == Some(&has)).then_some(books)
    });
    let sum = |of: fn(&(i64, i64)) -> i64| books.values().map(of).sum::<i64>();
    assert_eq!(
        (sum(|both| both.0), sum(|both| both.1)),
        (0, 0),
        "{books:?}"
    );
    let checked = ask(folder, &["ledger", "check"]);
    assert_eq!(checked["balance"], true, "{checked}");
    books
}

/// Nobody is owed anything.
fn owes_nobody(books: &BTreeMap<String, (i64, i64)>) -> bool {
    !books
        .keys()
        .any(|name| is_open(name) || name.starts_with("fee:"))
}

#[test]
fn a_visionx_block_at_a_solo_port_pays_its_worker_alone_and_leaves_the_round_open() {
    let flags = [
        "--algorithm",
        "visionx",
        "--difficulty",
        "400",
        "--maturity",
        "3",
    ];
    let port = free_port();
    let host = Vision::start(&flags, PROP, &and_solo(ONE_IN_4, port));
    let (rpc, folder) = (&host.node.rpc, host.folder());
    let third = rpc.call("getnewaddress", json!([]));
    let third = third.as_str().unwrap();
    let together = host.worker("together");
    assert_eq!(fees(&together), [json!(200), json!(100)]);
    (0..3).for_each(|_| share(&together));

    let alone = Worker::register(port, "alone", OTHER);
    assert_eq!(fees(&alone), [json!(0), json!(0)]);
    let first = alone.job();
    assert_eq!(first["miner"], OTHER);
    // What all share names the pool, and is other work.
    assert_ne!(together.job()["miner"], OTHER);
    // Its shares are in no round.
    (0..2).for_each(|_| share(&alone));
    // Another offer is another coinbase of the same worker's, and the job before is as good as ever.
    let second = next_job(&alone, &first);
    assert_eq!(second["miner"], OTHER);
    assert_ne!(second["message"], first["message"]);
    let late = alone.submit(&no_block(&alone, &first));
    assert_eq!(late.status, 200, "{late:?}");
    let hash = find_block(&alone, &first, rpc);
    let block = assert_pays_other(rpc, &hash);
    assert_eq!(block["miner"], OTHER);
    // A new tip is other work; that of the old one is over.
    assert_eq!(job_at(&alone, 2)["miner"], OTHER);
    let late = no_block(&alone, &second);
    refused(&alone.submit(&late), 400, "stale job id");

    let first_books = books(folder, "paid", (0, REWARD));
    assert_eq!(first_books["reward"], (0, -REWARD));
    assert!(owes_nobody(&first_books), "{first_books:?}");
    let found = host.pool.last_block().unwrap();
    assert_eq!(
        (&found["hash"], &found["worker"]),
        (&hash, &json!(format!("{OTHER}.alone")))
    );

    // The round has gone on all the while: who was in it before shares the next block of it.
    let finder = Worker::register(host.pool.miners, "finder", third);
    find_block(&finder, &finder.job(), rpc);
    let second_books = books(folder, "reward", (0, -2 * REWARD));
    assert_eq!(second_books["paid"], (0, REWARD));
    assert_eq!(second_books["fee:pool"], (0, 100_000_000));
    assert_eq!(second_books["fee:foundation"], (0, 50_000_000));
    assert_eq!(second_books[&miner(ADDRESS)], (0, 3_637_500_000));
    assert_eq!(second_books[&miner(third)], (0, 1_212_500_000));
    assert!(
        !second_books.contains_key(&miner(OTHER)),
        "{second_books:?}"
    );

    rpc.call("generatetoaddress", json!([4, ADDRESS]));
    let last_books = books(folder, "reward", (-2 * REWARD, 0));
    assert_eq!(last_books["paid"], (REWARD, 0));
    assert_eq!(last_books[&miner(ADDRESS)], (3_637_500_000, 0));
    assert!(!last_books.contains_key(&miner(OTHER)), "{last_books:?}");
}

#[test]
fn a_bitcoin_block_of_a_worker_of_http_at_a_solo_port_pays_it_alone() {
    let folder = TempDir::new().unwrap();
    let node = Node::start(&folder, "node", &["--rules", "regtest", "--maturity", "3"]);
    let port = free_port();
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            pool: PROP,
            listener: &and_solo(FIXED_DIFFICULTY, port),
            daemons: node.rpc.daemon(),
            ..PoolSettings::default()
        },
    );
    let pays_other = |job: &Value| job["coinbase2"].as_str().unwrap().contains(OTHER_SCRIPT);
    let alone = Worker::register(port, "alone", OTHER);
    assert_eq!(fees(&alone), [json!(0), json!(0)]);
    let first = alone.job();
    assert!(pays_other(&first), "{first}");
    // Two workers of one address are not each other's copies, and one of another address is paid itself.
    let twin = Worker::register(port, "twin", OTHER).job();
    assert!(
        pays_other(&twin) && twin["coinbase1"] != first["coinbase1"],
        "{twin}"
    );
    let stranger = Worker::register(port, "stranger", ADDRESS);
    assert!(!pays_other(&stranger.job()));
    let together = Worker::register(pool.miners, "together", OTHER);
    assert!(
        !pays_other(&together.job()),
        "a block of the round pays the pool"
    );
    assert_eq!(fees(&together), [json!(200), json!(100)]);

    let second = next_job(&alone, &first);
    assert!(pays_other(&second), "{second}");
    // A block of the job before, on the same tip, is one.
    let hash = find_block(&alone, &first, &node.rpc);
    assert_pays_other(&node.rpc, &hash);
    let third = job_at(&alone, 2);
    assert!(pays_other(&third), "{third}");
    let paid = books(folder.path(), "paid", (0, REWARD));
    assert!(owes_nobody(&paid), "{paid:?}");

    // It leaves the chain, and the books take it back.
    node.rpc.call("invalidateblock", json!([hash]));
    node.rpc.call("generatetoaddress", json!([6, ADDRESS]));
    wait_for("the orphan in the books", || {
        balances(folder.path()).is_empty().then_some(())
    });
    let hash = find_block(&alone, &job_at(&alone, 7), &node.rpc);
    assert_pays_other(&node.rpc, &hash);
    node.rpc.call("generatetoaddress", json!([4, ADDRESS]));
    let last = books(folder.path(), "paid", (REWARD, 0));
    assert!(owes_nobody(&last), "{last:?}");
}

#[test]
fn adit_mine_finds_a_visionx_block_for_itself_at_a_solo_port() {
    let folder = TempDir::new().unwrap();
    let listener = format!("{ONE_IN_4}scheme = \"solo\"\n");
    let flags = ["--algorithm", "visionx", "--difficulty", "100"];
    let host = Vision::start(&flags, "", &listener);
    let url = format!("http://127.0.0.1:{}", host.pool.miners);
    let user = format!("{OTHER}.rig1");
    let mut miner = mine(folder.path(), &[&url], &user, &["--throttle", "50"]);
    let rpc = &host.node.rpc;
    wait_for("a block", || (rpc.height() >= 1).then_some(()));
    assert!(miner.stop().success());
    assert_eq!(summary(&miner)["unanswered"], 0);
    let hash = rpc.call("getblockhash", json!([1]));
    assert_eq!(assert_pays_other(rpc, &hash)["miner"], OTHER);
    assert_eq!(host.pool.rejected("wrong_result"), 0);
    let owed = wait_for("the block in the books", || {
        let books = balances(host.folder());
        books.contains_key("paid").then_some(books)
    });
    assert!(owes_nobody(&owed), "{owed:?}");
}

/// The daemon makes the coinbases: a solo port is for whom they pay.
#[test]
fn a_solo_port_of_monero_is_for_the_address_that_its_blocks_pay() {
    const NETWORK: u64 = 50;
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, NETWORK);
    let wallet = Wallet::start(&folder, &chain);
    let own = wallet.create("own");
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            coin: "monero",
            address: &own,
            pool: "scheme = \"solo\"\nmaturity = 3\nrandomx = { mode = \"light\", threads = 1 }\n\
                   [[pool.fee]]\nname = \"foundation\"\npercent = 2\n",
            listener: "start_difficulty = 20.0\nmin_difficulty = 20.0\nmax_difficulty = 20.0\n",
            daemons: chain.daemon(),
            ..PoolSettings::default()
        },
    );
    // Those of others, and those of the same wallet that its blocks do not pay.
    let integrated = wallet.ask(
        "make_integrated_address",
        json!({"payment_id": "0102030405060708"}),
    );
    let integrated = integrated["integrated_address"]
        .as_str()
        .unwrap()
        .to_owned();
    let subaddress = wallet.subaddresses(1).remove(0);
    let why = "this solo port is for the pool's payout_address alone: the daemon's blocks pay nobody else";
    for other in [SOMEBODY, &integrated, &subaddress] {
        let mut miner = Miner::connect(pool.miners);
        let told = miner.log_in(&format!("{other}.rig"));
        let text = format!("Invalid payment address provided: {why}");
        assert_eq!(told["error"]["message"], text, "{told}");
        assert!(miner.line().is_none(), "it is hung up on");
        let worker = Worker::with_token(pool.miners, "rig", other, None);
        refused(
            &worker.registration(),
            400,
            &format!("wallet_address: {why}"),
        );
    }
    let looking = Worker::register(pool.miners, "looking", &own);
    assert_eq!(fees(&looking), [json!(0), json!(0)]);

    // Over Stratum.
    let mut by_stratum = Miner::ready(pool.miners, &format!("{own}.stratum"));
    let share = by_stratum.no_block(0, NETWORK);
    assert_eq!(by_stratum.submit(&share)["result"]["status"], "OK");
    let block = by_stratum.block(0, NETWORK);
    assert_eq!(by_stratum.submit(&block)["result"]["status"], "OK");
    wait_for("the block", || (chain.height() == 1).then_some(()));
    drop(by_stratum);
    // Over HTTP, by the program itself.
    let url = format!("http://127.0.0.1:{}", pool.miners);
    let user = format!("{own}.http");
    let more = ["--randomx-mode", "light"];
    let mut by_http = mine(folder.path(), &[&url], &user, &more);
    wait_for("a block of the worker's", || {
        (chain.height() > 1).then_some(())
    });
    assert!(by_http.stop().success());
    assert_eq!(summary(&by_http)["unanswered"], 0);
    assert_eq!(pool.rejected("wrong_result"), 0);

    // What the chain has paid to the wallet is what the books say was paid, and they owe nothing.
    chain.generate(4, SOMEBODY);
    let mature = wait_for("all to be mature or orphans", || {
        let (_, page) = pool.get("/api/v1/pools/main/blocks").unwrap();
        let page: Value = serde_json::from_str(&page).unwrap();
        let blocks = page["items"].as_array().unwrap();
        assert!(
            blocks.iter().all(|block| block["scheme"] == "solo"),
            "{page}"
        );
        let count = |state: &str| {
            blocks
                .iter()
                .filter(|block| block["state"] == state)
                .count()
        };
        (count("mature") + count("orphaned") == blocks.len()).then(|| count("mature"))
    });
    assert_eq!(u64::try_from(mature), Ok(chain.height() - 4));
    let paid: u64 = wallet.balances().iter().map(|(_, units)| units).sum();
    let paid = i64::try_from(paid).unwrap();
    let books = books(folder.path(), "paid", (paid, 0));
    assert_eq!(books["reward"], (-paid, 0));
    assert!(paid > 0 && owes_nobody(&books), "{books:?}");
}
