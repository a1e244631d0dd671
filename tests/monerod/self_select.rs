//! Miners whose own node makes the blocks, as XMRig does with `self-select`: what the pool takes, and what
//! it refuses.

use mining::cryptonote::block::hashing_blob_of;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    NETWORK, ONE_IN_20, assert_refused,
    chain::{Chain, SOMEBODY, Wallet},
    miner::Miner,
    pool, xmrig,
};
use crate::support::wait_for;

/// A pool that pays a real wallet.
struct Rig {
    chain: Chain,
    wallet: Wallet,
    address: String,
    /// Lines of `[[pool]]` with the private view key of that wallet.
    key: String,
    folder: TempDir,
}

impl Rig {
    fn start() -> Self {
        Self::on(NETWORK)
    }

    /// Where so many hashes are a block.
    fn on(difficulty: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let chain = Chain::start(&folder, difficulty);
        let wallet = Wallet::start(&folder, &chain);
        let address = wallet.create("pool");
        let key = wallet.ask("query_key", json!({"key_type": "view_key"}));
        // No job comes but for a new tip.
        let key = format!("view_key = {}\nrefresh_s = 3600\n", key["key"]);
        Self {
            chain,
            wallet,
            address,
            key,
            folder,
        }
    }

    /// What a node says of a block that pays `wallet` and bears this extra nonce.
    fn block_for(&self, wallet: &Value, extra_nonce: &Value) -> Value {
        let params = json!({"wallet_address": wallet, "extra_nonce": extra_nonce});
        self.chain.ask("get_block_template", params)
    }

    /// The miner has a job for the block after the newest.
    fn hear_of_tip(&self, miner: &mut Miner) {
        let next = self.chain.height() + 1;
        while miner.job["height"] != next {
            miner.hear_new_job();
        }
    }

    /// What the miner's job asks for.
    fn block(&self, miner: &Miner) -> Value {
        self.block_for(&miner.job["pool_wallet"], &miner.job["extra_nonce"])
    }
}

fn log_in(port: u16) -> (Miner, Value) {
    let mut miner = Miner::connect(port);
    let params = json!({
        "login": format!("{SOMEBODY}.own"), "pass": "x", "agent": "XMRig/6.22.2",
        "algo": ["rx/0"], "mode": "self-select",
    });
    let told = miner.ask("login", params);
    miner.session = told["result"]["id"].clone();
    miner.job = told["result"]["job"].clone();
    (miner, told)
}

/// The message with what a node said.
fn params(miner: &Miner, block: &Value) -> Value {
    json!({
        "id": miner.session, "job_id": miner.job["job_id"],
        "blob": block["blocktemplate_blob"], "height": block["height"],
        "difficulty": block["difficulty"], "prev_hash": block["prev_hash"],
        "seed_hash": block["seed_hash"], "next_seed_hash": block["next_seed_hash"],
    })
}

/// The miner sends a block, which is taken, and hashes it from here on.
#[track_caller]
fn bring(miner: &mut Miner, block: &Value) {
    let params = params(miner, block);
    let told = miner.ask("block_template", params);
    assert_eq!(told["result"]["status"], "OK", "{told}");
    miner.job["blob"] = block["blockhashing_blob"].clone();
}

/// The same block with another reward, of as many bytes.
fn paying(block: &Value, units: u64) -> Value {
    let varint = |mut units: u64| {
        let mut digits = String::new();
        while units >= 0x80 {
            digits += &format!("{:02x}", units & 0x7f | 0x80);
            units >>= 7;
        }
        digits + &format!("{units:02x}")
    };
    let (is, becomes) = (
        varint(block["expected_reward"].as_u64().unwrap()),
        varint(units),
    );
    let text = block["blocktemplate_blob"].as_str().unwrap();
    assert_eq!(text.matches(&is).count(), 1, "{text}");
    assert_eq!(is.len(), becomes.len());
    let mut block = block.clone();
    block["blocktemplate_blob"] = text.replace(&is, &becomes).into();
    block
}

#[test]
fn a_block_of_the_miner_s_own_node_is_mined_if_it_pays_the_pool() {
    let rig = Rig::start();
    let pool = pool(&rig.folder, &rig.chain, &rig.address, &rig.key, ONE_IN_20);
    let (mut miner, told) = log_in(pool.miners);
    let job = &miner.job;
    assert_eq!(job["pool_wallet"], rig.address, "{told}");
    assert!(job["blob"].is_null() && job["algo"] == "rx/0", "{job}");

    // Before there is a block, there is nothing that a share could be of.
    let block = rig.block(&miner);
    let mut early = Miner::connect(pool.miners);
    early.job = json!({
        "blob": block["blockhashing_blob"], "seed_hash": block["seed_hash"],
        "target": job["target"], "job_id": job["job_id"],
    });
    let share = early.no_block(0, NETWORK);
    assert_refused(&miner.submit(&share), "Block expired");

    let refused = |miner: &mut Miner, block: &Value, change: &dyn Fn(&mut Value), why: &str| {
        let mut params = params(miner, block);
        change(&mut params);
        assert_refused(&miner.ask("block_template", params), why);
    };
    let none = |_: &mut Value| {};
    let foreign = rig.block_for(&json!(SOMEBODY), &miner.job["extra_nonce"]);
    let why = "Block template refused: the block does not pay the pool's wallet";
    refused(&mut miner, &foreign, &none, why);
    let other = rig.block_for(&json!(rig.address), &json!("0000000000000000"));
    let why = "Block template refused: the extra nonce is not the job's";
    refused(&mut miner, &other, &none, why);
    let half = paying(&block, block["expected_reward"].as_u64().unwrap() / 2);
    refused(
        &mut miner,
        &half,
        &none,
        "Block template refused: the block pays",
    );
    let other_tip = |params: &mut Value| params["prev_hash"] = "00".repeat(32).into();
    let why = "Block template refused: your node's tip is not the pool's";
    refused(&mut miner, &block, &other_tip, why);
    let easier = |params: &mut Value| params["difficulty"] = (NETWORK - 1).into();
    let why = "Block template refused: the difficulty is not 200";
    refused(&mut miner, &block, &easier, why);
    let garbage = |params: &mut Value| params["blob"] = "00".into();
    let why = "Block template refused: the block's minor version";
    refused(&mut miner, &block, &garbage, why);
    let no_hex = |params: &mut Value| params["blob"] = "xyz".into();
    refused(&mut miner, &block, &no_hex, "blob");
    let strange = |params: &mut Value| params["id"] = "other".into();
    refused(&mut miner, &block, &strange, "Unauthenticated");
    let unknown = |params: &mut Value| params["job_id"] = "ffffffff".into();
    refused(&mut miner, &block, &unknown, "Invalid job id");
    assert_eq!(pool.metric("adit_own_templates_refused_total"), 6);
    assert_eq!(pool.metric("adit_own_templates_accepted_total"), 0);

    bring(&mut miner, &block);
    let share = miner.no_block(0, NETWORK);
    assert_eq!(miner.submit(&share)["result"]["status"], "OK");
    assert_refused(&miner.submit(&share), "Duplicate share");
    // A newer block for the same job; a share of the one before may be on its way.
    let late = miner.no_block(1_000_000, NETWORK);
    let newer = wait_for("a block of a later second", || {
        let newer = rig.block(&miner);
        (newer["blocktemplate_blob"] != block["blocktemplate_blob"]).then_some(newer)
    });
    bring(&mut miner, &newer);
    assert_eq!(miner.submit(&late)["result"]["status"], "OK");
    let share = miner.no_block(2_000_000, NETWORK);
    assert_eq!(miner.submit(&share)["result"]["status"], "OK");
    let forged = super::Share {
        result: "00".repeat(32),
        ..share
    };
    assert_refused(&miner.submit(&forged), "Rejected share: invalid result");
    assert_eq!(pool.metric("adit_own_templates_accepted_total"), 2);

    // Somebody else finds a block: the job is over, and its block is of no more use.
    let old = miner.job.clone();
    rig.chain.generate(1, SOMEBODY);
    rig.hear_of_tip(&mut miner);
    assert_ne!(miner.job["extra_nonce"], old["extra_nonce"]);
    let over = |params: &mut Value| params["job_id"] = old["job_id"].clone();
    let why = "Block template refused: the job is over";
    refused(&mut miner, &newer, &over, why);

    let block = rig.block(&miner);
    bring(&mut miner, &block);
    let solved = miner.block(0, NETWORK);
    let height = rig.chain.height();
    assert_eq!(miner.submit(&solved)["result"]["status"], "OK");
    let last = wait_for("the block", || {
        let last = pool.last_block()?;
        (last["state"] == "immature").then_some(last)
    });
    assert_eq!(rig.chain.height(), height + 1);
    assert_eq!(last["height"], block["height"], "{last}");
    // All of it is the pool's, as its wallet sees it.
    let paid = block["expected_reward"].as_u64().unwrap();
    let balances = rig.wallet.balances();
    assert_eq!(balances, [(rig.address.clone(), paid)]);

    // Which transactions are in it is the miner's choice, and nodes know whether they are any.
    rig.hear_of_tip(&mut miner);
    let mut block = rig.block(&miner);
    let text = block["blocktemplate_blob"].as_str().unwrap();
    let none = text.strip_suffix("00").expect("no transactions");
    let blob = format!("{none}01{}", "07".repeat(32));
    let hashed = hashing_blob_of(&hex::decode(&blob).unwrap()).unwrap();
    block["blocktemplate_blob"] = blob.into();
    block["blockhashing_blob"] = hex::encode(hashed).into();
    bring(&mut miner, &block);
    let solved = miner.block(0, NETWORK);
    assert_eq!(miner.submit(&solved)["result"]["status"], "OK");
    wait_for("the end of a block that no node takes", || {
        let last = pool.last_block()?;
        let is_it = last["height"] == block["height"] && last["state"] == "orphaned";
        is_it.then_some(())
    });
    assert_eq!(rig.chain.height(), height + 1);

    // Nobody brings a block who did not say so.
    let mut usual = Miner::ready(pool.miners, &format!("{SOMEBODY}.usual"));
    assert_refused(
        &usual.ask("block_template", params(&usual, &block)),
        "Permission denied",
    );
}

#[test]
fn without_a_view_key_no_miner_brings_blocks_and_with_one_liars_are_banned() {
    let rig = Rig::start();
    let folder = TempDir::new().unwrap();
    let keyless = pool(&folder, &rig.chain, &rig.address, "", ONE_IN_20);
    let (mut miner, told) = log_in(keyless.miners);
    assert_refused(&told, "Permission denied: the pool chooses the work here");
    assert!(told.to_string().contains("view_key"), "{told}");
    assert!(miner.line().is_none());
    drop(keyless);

    let bans = "[pool.bans]\nexempt = []\nshares_min = 5\n";
    let lines = format!("{}{bans}", rig.key);
    let pool = pool(&rig.folder, &rig.chain, &rig.address, &lines, ONE_IN_20);
    let (mut liar, _) = log_in(pool.miners);
    let foreign = rig.block_for(&json!(SOMEBODY), &liar.job["extra_nonce"]);
    let params = params(&liar, &foreign);
    for _ in 0..5 {
        let told = liar.ask("block_template", params.clone());
        assert_refused(&told, "Block template refused: the block does not pay");
    }
    let told = liar.answer().expect("the reason");
    assert_refused(&told, "Your IP is banned");
    assert!(liar.line().is_none(), "banned");
    assert_eq!(pool.metric("adit_bans_total"), 1);
}

#[test]
fn xmrig_mines_blocks_of_its_own_node() {
    // Two blocks come in time wherever hashes do.
    let rig = Rig::on(40);
    let pool = pool(&rig.folder, &rig.chain, &rig.address, &rig.key, ONE_IN_20);
    let node = format!("127.0.0.1:{}", rig.chain.port);
    for more in [
        &["--self-select", &node][..],
        &["--self-select", &node, "--submit-to-origin"],
    ] {
        let before = pool.status()["blocks"]["found"].as_u64().unwrap();
        let templates = pool.metric("adit_own_templates_accepted_total");
        let mut miner = xmrig::start(&rig.folder, pool.miners, more);
        wait_for("two blocks of XMRig's", || {
            // It does not survive a node that gives no block just then, as it is busy with another one.
            if miner.has_ended() {
                miner = xmrig::start(&rig.folder, pool.miners, more);
            }
            let status = pool.status();
            let last = pool.last_block()?;
            // Two may be of one template.
            let brought = pool.metric("adit_own_templates_accepted_total") >= templates + 2;
            let found = status["blocks"]["found"].as_u64()? >= before + 2;
            (found && brought && last["state"] == "immature").then_some(())
        });
        miner.kill();
        let log = xmrig::said(&rig.folder);
        assert!(log.contains("accepted"), "{log}");
        // Only what a new tip has overtaken.
        let refused = log.lines().filter(|line| line.contains("rejected"));
        for line in refused {
            assert!(line.contains("Block expired"), "{log}");
        }
        std::fs::remove_file(rig.folder.path().join(xmrig::LOG)).unwrap();
        // Its own node has the block before the pool has a new job for it, and then is ahead for a moment.
        let is_ahead = more.contains(&"--submit-to-origin");
        let refused = pool.metric("adit_own_templates_refused_total");
        assert!(is_ahead || refused == 0, "{refused}");
    }
    assert_eq!(pool.rejected("wrong_result"), 0);
    let found: u64 = rig.wallet.balances().iter().map(|(_, units)| units).sum();
    assert!(found > 0);
}
