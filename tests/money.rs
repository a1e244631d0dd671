//! From shares to money on the chain: blocks are split by the work before them, matured by the node,
//! and paid by its wallet, and the books agree with the chain to the smallest unit.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;

use crate::support::{
    ADDRESS, FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings, adit, node::Rpc, runtime, wait_for,
};

/// Another miner than [`ADDRESS`].
pub(crate) const OTHER: &str = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";
/// Pays at once what there is.
pub(crate) const PAYING: &str = "maturity = 3\n[pool.payout]\nenabled = true\nevery_s = 1\nconfirmations = 2\n\
                      fee_rate = \"0.00005\"\n";

/// A pool on a node of its own whose blocks mature after three confirmations.
pub(crate) struct Mint {
    pub(crate) pool: Pool,
    pub(crate) node: Node,
    pub(crate) folder: TempDir,
}

impl Mint {
    pub(crate) fn new(settings: &str) -> Self {
        Self::with_node(settings, |folder| {
            Node::start(folder, "node", &["--rules", "regtest", "--maturity", "3"])
        })
    }

    pub(crate) fn with_node(settings: &str, node: impl Fn(&TempDir) -> Node) -> Self {
        let folder = TempDir::new().unwrap();
        let node = node(&folder);
        let address = node.rpc.call("getnewaddress", json!([]));
        let pool = Pool::start(
            &folder,
            &PoolSettings {
                address: address.as_str().unwrap(),
                pool: settings,
                listener: FIXED_DIFFICULTY,
                daemons: node.rpc.daemon(),
                ..PoolSettings::default()
            },
        );
        Self { pool, node, folder }
    }

    /// Finds a block as this miner, and waits until the pool has its coins in the books.
    pub(crate) fn find_block(&self, address: &str) -> u64 {
        let user = format!("{address}.rig");
        let height = (0..10).find_map(|_| {
            wait_for("work on the newest tip", || {
                let next = self.node.rpc.height() + 1;
                (self.pool.status()["template"]["height"] == next).then_some(())
            });
            let mut miner = Miner::connect(self.pool.miners);
            miner.log_in(&user);
            let height = self.node.rpc.height();
            let block = miner.block(1, None);
            let answer = miner.ask("mining.submit", Miner::params(&user, &block));
            // What was only meant to be a share may have been a block, and this one comes too late.
            let is_late = answer["error"][0] == 21;
            assert!(answer["result"] == true || is_late, "{answer}");
            (!is_late).then_some(height)
        });
        let height = height.expect("no tip lasts long enough for a block");
        wait_for("the block", || {
            (self.node.rpc.height() > height).then_some(())
        });
        // Or the next miner is sent the job that this block has made stale.
        wait_for("work on the next block", || {
            let next = self.pool.status()["template"]["height"].as_u64()?;
            (next > height + 1).then_some(())
        });
        height + 1
    }

    /// The node mines by itself.
    pub(crate) fn bury(&self, blocks: u32) {
        self.node
            .rpc
            .call("generatetoaddress", json!([blocks, ADDRESS]));
    }

    pub(crate) fn ask(&self, words: &[&str]) -> Value {
        ask(self.folder.path(), words)
    }

    pub(crate) fn say(&self, words: &[&str]) {
        say(self.folder.path(), words);
    }

    pub(crate) fn balances(&self) -> BTreeMap<String, (i64, i64)> {
        balances(self.folder.path())
    }

    pub(crate) fn balance(&self, account: &str) -> (i64, i64) {
        self.balances().get(account).copied().unwrap_or_default()
    }

    pub(crate) fn assert_balanced(&self) {
        let books = self.ask(&["ledger", "check"]);
        assert_eq!(books["balance"], true, "{books}");
    }

    /// The payouts that are confirmed, oldest first.
    pub(crate) fn confirmed(&self) -> Vec<Value> {
        let payouts = self.ask(&["payout", "list", "--limit", "1000"]);
        let payouts = payouts.as_array().unwrap().iter().rev();
        payouts
            .filter(|payout| payout["state"] == "confirmed")
            .cloned()
            .collect()
    }
}

/// What a command of the operator's says of the pool in this folder, as JSON.
pub(crate) fn ask(folder: &Path, words: &[&str]) -> Value {
    let output = command(folder, words, &["--json"]);
    serde_json::from_slice(&output).unwrap()
}

/// Gives a command of the operator's.
pub(crate) fn say(folder: &Path, words: &[&str]) {
    command(folder, words, &[]);
}

fn command(folder: &Path, words: &[&str], flags: &[&str]) -> Vec<u8> {
    let config = folder.join("adit.toml");
    let mut arguments = words.to_vec();
    arguments.extend(["-c", config.to_str().unwrap()]);
    arguments.extend(flags);
    let output = adit(&arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {text}");
    output.stdout
}

/// Posted and pending of each account that has something.
pub(crate) fn balances(folder: &Path) -> BTreeMap<String, (i64, i64)> {
    let lines = ask(folder, &["ledger", "balance"]);
    let number = |value: &Value| value.as_str().unwrap().parse().unwrap();
    let lines = lines.as_array().unwrap().iter();
    lines
        .map(|line| {
            let name = line["account"].as_str().unwrap().to_owned();
            (name, (number(&line["posted"]), number(&line["pending"])))
        })
        .collect()
}

/// Whether this is an account that is still to be paid.
pub(crate) fn is_open(account: &str) -> bool {
    account.starts_with("batch:") || account.starts_with("miner:")
}

pub(crate) fn miner(address: &str) -> String {
    format!("miner:{address}")
}

/// What a transaction pays to an address, in the smallest unit.
fn paid_to(rpc: &Rpc, txid: &str, address: &str) -> u64 {
    let transaction = rpc.call("gettransaction", json!([txid]));
    let decoded = rpc.call("decoderawtransaction", json!([transaction["hex"]]));
    paid_by(&decoded, address)
}

/// What a decoded transaction pays to an address, in the smallest unit.
fn paid_by(transaction: &Value, address: &str) -> u64 {
    let outputs = transaction["vout"].as_array().unwrap();
    let script = |output: &Value| {
        let script = &output["scriptPubKey"];
        script["address"].as_str().map_or_else(
            || {
                script["addresses"][0]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            },
            str::to_owned,
        )
    };
    let units = |value: &Value| {
        let text = format!("{:.8}", value.as_f64().unwrap());
        text.replace('.', "").parse::<u64>().unwrap()
    };
    outputs
        .iter()
        .filter(|output| script(output) == address)
        .map(|output| units(&output["value"]))
        .sum()
}

#[test]
fn a_block_is_split_matured_and_paid_and_the_chain_agrees() {
    let mint = Mint::new(PAYING);
    mint.find_block(OTHER);
    mint.find_block(ADDRESS);
    wait_for("both blocks in the books", || {
        // 2.5 percent of each are fees.
        (mint.balance("reward").1 == -10_000_000_000).then_some(())
    });
    let balances = mint.balances();
    assert_eq!(balances["fee:pool"], (0, 150_000_000));
    assert_eq!(balances["fee:foundation"], (0, 100_000_000));
    // The first block was all of the first miner's work; both have done the same by the second.
    assert_eq!(balances[&miner(OTHER)].1, 4_875_000_000 + 2_437_500_000);
    assert_eq!(balances[&miner(ADDRESS)].1, 2_437_500_000);
    mint.bury(3);
    wait_for("a payout", || {
        (!mint.ask(&["payout", "list"]).as_array()?.is_empty()).then_some(())
    });
    // Blocks come until all is paid.
    wait_for("all to be paid", || {
        mint.bury(1);
        let open = mint.balances().keys().any(|name| is_open(name));
        (!open).then_some(())
    });
    mint.assert_balanced();
    let (mut to_other, mut to_address, mut total, mut fees) = (0, 0, 0, 0);
    for payout in mint.confirmed() {
        let txid = payout["txid"].as_str().unwrap();
        to_other += paid_to(&mint.node.rpc, txid, OTHER);
        to_address += paid_to(&mint.node.rpc, txid, ADDRESS);
        total += payout["total"].as_str().unwrap().parse::<u64>().unwrap();
        fees += payout["network_fee"]
            .as_str()
            .unwrap()
            .parse::<i64>()
            .unwrap();
    }
    assert_eq!(to_other, 7_312_500_000);
    assert_eq!(to_address, 2_437_500_000);
    assert_eq!(total, 9_750_000_000);
    assert_eq!(mint.balance("paid"), (9_750_000_000, 0));
    assert_eq!(mint.balance("reserve"), (-fees, 0));
    assert_eq!(mint.balance("reward"), (-10_000_000_000, 0));
}

/// The chain takes back one block of two: nobody keeps its credits, and the other is paid.
#[test]
fn a43_an_orphan_pays_nobody() {
    let mint = Mint::new("maturity = 3\n");
    mint.find_block(ADDRESS);
    let height = mint.find_block(OTHER);
    wait_for("both blocks in the books", || {
        (mint.balance("reward").1 == -10_000_000_000).then_some(())
    });
    let hash = mint.node.rpc.call("getblockhash", json!([height]));
    mint.node.rpc.call("invalidateblock", json!([hash]));
    mint.bury(6);
    wait_for("one matured and one voided", || {
        (mint.balance("reward") == (-5_000_000_000, 0)).then_some(())
    });
    assert_eq!(mint.balance(&miner(OTHER)), (0, 0));
    assert_eq!(mint.balance(&miner(ADDRESS)), (4_875_000_000, 0));
    mint.assert_balanced();
    let statement = mint.ask(&["ledger", "statement", &miner(OTHER)]);
    assert_eq!(statement[0]["state"], "voided", "{statement}");
}

/// A block that was mature, and paid for, leaves the chain: the reserve bears it, no miner does.
#[test]
fn a44_a_late_orphan_is_the_reserve_s() {
    let mint = Mint::new("maturity = 3\n");
    let height = mint.find_block(ADDRESS);
    let hash = mint.node.rpc.call("getblockhash", json!([height]));
    mint.bury(3);
    wait_for("a mature block", || {
        (mint.balance("reward").0 == -5_000_000_000).then_some(())
    });
    mint.node.rpc.call("invalidateblock", json!([hash]));
    mint.bury(6);
    wait_for("the reserve to be charged", || {
        (mint.balance("reserve").0 == -5_000_000_000).then_some(())
    });
    assert_eq!(mint.balance(&miner(ADDRESS)), (4_875_000_000, 0));
    assert_eq!(mint.balance("reward"), (0, 0));
    mint.assert_balanced();
    let log = mint.pool.process.log_text();
    assert!(log.contains("the reserve bears it"), "{log}");
}

#[test]
fn prop_pays_by_the_round() {
    let mint = Mint::new("maturity = 3\nscheme = \"prop\"\n");
    mint.find_block(OTHER);
    mint.find_block(ADDRESS);
    wait_for("both blocks in the books", || {
        (mint.balance("reward").1 == -10_000_000_000).then_some(())
    });
    // Each was alone in its round.
    assert_eq!(mint.balance(&miner(OTHER)).1, 4_875_000_000);
    assert_eq!(mint.balance(&miner(ADDRESS)).1, 4_875_000_000);
    mint.assert_balanced();
}

#[test]
fn payouts_can_be_paused_and_go_on() {
    let mint = Mint::new(PAYING);
    mint.say(&["payout", "pause", "--reason", "a look at the wallet"]);
    mint.find_block(ADDRESS);
    mint.bury(5);
    wait_for("money to pay", || {
        (mint.balance(&miner(ADDRESS)).0 > 0).then_some(())
    });
    // Several times at which it would have been paid go by.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mint.ask(&["payout", "list"]), json!([]));
    let preview = mint.ask(&["payout", "preview"]);
    assert_eq!(preview["paused"], "a look at the wallet");
    assert_eq!(preview["total"], "4875000000", "{preview}");
    mint.say(&["payout", "resume"]);
    wait_for("a payout", || {
        (!mint.ask(&["payout", "list"]).as_array()?.is_empty()).then_some(())
    });
}

/// A81: the wallet has too little, or the chain wants too much. Nothing is taken from anybody.
#[test]
fn a81_what_cannot_be_paid_stays_in_the_books() {
    let settings = PAYING.to_owned() + "fee_max_percent = 0\n";
    let mint = Mint::new(&settings);
    mint.find_block(ADDRESS);
    mint.bury(5);
    let payout = wait_for("a payout that was given back", || {
        let newest = mint.ask(&["payout", "list"]).get(0)?.clone();
        (newest["state"] == "released").then_some(newest)
    });
    let reason = payout["reason"].as_str().unwrap();
    assert!(reason.contains("more than is allowed"), "{reason}");
    wait_for("the balance to be back", || {
        (mint.balance(&miner(ADDRESS)) == (4_875_000_000, 0)).then_some(())
    });
    mint.assert_balanced();
    // No input stays locked in the wallet.
    wait_for("the inputs to be free", || {
        (mint.node.rpc.call("listlockunspent", json!([])) == json!([])).then_some(())
    });
}

/// What the chain has paid to an address outside of coinbases, in the smallest unit.
pub(crate) fn on_chain(rpc: &Rpc, address: &str) -> u64 {
    let mut sum = 0;
    for height in 1..=rpc.height() {
        let hash = rpc.call("getblockhash", json!([height]));
        let block = rpc.call("getblock", json!([hash, 2]));
        for transaction in &block["tx"].as_array().unwrap()[1..] {
            sum += paid_by(transaction, address);
        }
    }
    sum
}

/// Killed while it claims, signs, keeps, sends, and waits, the pool pays everyone once.
#[test]
fn a76_a_pool_that_is_killed_again_and_again_pays_once() {
    const MINERS: usize = 16;
    const KILLS_MAX: u32 = 60;
    // One payment in each transaction, so that there are many.
    let mut mint = Mint::new(&(PAYING.to_owned() + "payments_max = 1\n"));
    let rpc = mint.node.rpc.clone();
    mint.say(&["payout", "pause", "--reason", "until all is mature"]);
    let addresses: Vec<String> = (0..MINERS)
        .map(|_| {
            rpc.call("getnewaddress", json!([]))
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    for address in &addresses {
        mint.find_block(address);
    }
    mint.bury(4);
    let reward = -5_000_000_000 * i64::try_from(MINERS).unwrap();
    wait_for("all to be mature", || {
        (mint.balance("reward") == (reward, 0)).then_some(())
    });
    let due = mint.balances();
    // Every step takes its time, so that kills come in between.
    let methods = [
        "createrawtransaction",
        "fundrawtransaction",
        "signrawtransactionwithwallet",
        "sendrawtransaction",
        "gettransaction",
    ];
    rpc.call(
        "simnet_fault",
        json!(["slow", {"ms": 60, "methods": methods}]),
    );
    mint.say(&["payout", "resume"]);
    let (mut chance, mut kills) = (7_u64, 0);
    while mint.balances().keys().any(|name| is_open(name)) {
        assert!(kills < KILLS_MAX, "no end: {:?}", mint.balances());
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        // It looks for payouts a second after its start.
        std::thread::sleep(Duration::from_millis(1000 + (chance >> 40) % 1200));
        mint.pool.process.kill();
        kills += 1;
        mint.bury(1);
        mint.pool.start_again();
        mint.pool.wait_until_ready();
    }
    mint.assert_balanced();
    // The chain has paid each what the books owed it, and once.
    for address in &addresses {
        let owed = due[&miner(address)].0;
        assert_eq!(
            i64::try_from(on_chain(&rpc, address)).unwrap(),
            owed,
            "{address}"
        );
    }
    let payouts = mint.ask(&["payout", "list", "--limit", "1000"]);
    let states = |state: &str| {
        let payouts = payouts.as_array().unwrap().iter();
        payouts.filter(|payout| payout["state"] == state).count()
    };
    let (confirmed, released) = (states("confirmed"), states("released"));
    println!(
        "{kills} kills: {confirmed} payouts confirmed, {released} given back that were never signed"
    );
    assert_eq!(confirmed, MINERS);
    assert_eq!(confirmed + released, payouts.as_array().unwrap().len());
    assert!(kills >= 5, "only {kills} kills");
}

/// The process ends in the instant after a block was sent, and the store knows nothing of it: neither
/// of the block nor of its share. It is in the chain, so it is paid for.
#[test]
fn a36_a_block_that_was_only_sent_is_booked_by_the_next_run() {
    let mut mint = Mint::new("maturity = 3\n");
    let runtime = runtime();
    let database = format!("sqlite:{}", mint.pool.database().display());
    let mut lock = runtime.block_on(async {
        let mut connection = sqlx::SqliteConnection::connect(&database).await.unwrap();
        connection.execute("BEGIN EXCLUSIVE").await.unwrap();
        connection
    });
    let mut miner = Miner::ready(mint.pool.miners);
    let block = miner.block(1, None);
    miner.send_share(&block);
    let folder = mint.folder.path().join("data/blocks/main");
    let note = folder.join(format!("{}.json", block.hash));
    wait_for("the note", || note.exists().then_some(()));
    wait_for("the block", || (mint.node.rpc.height() == 1).then_some(()));
    mint.pool.process.kill();
    runtime.block_on(async { lock.execute("ROLLBACK").await.unwrap() });
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    let found = wait_for("the block to be recorded", || mint.pool.last_block());
    assert_eq!(found["hash"], block.hash.to_string());
    wait_for("the note to go", || (!note.exists()).then_some(()));
}
