//! Monero's miners are paid by the pool's wallet: once, whatever is killed when, and to the piconero.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    LIGHT,
    chain::{Chain, SOMEBODY, Wallet},
    miner::Miner,
};
use crate::{
    money,
    support::{Pool, PoolSettings, run, wait_for},
};

/// Each hash is a share, and a block.
const EVERY_HASH: &str = "start_difficulty = 1.0\nmin_difficulty = 1.0\nmax_difficulty = 1.0\n";

/// A pool whose wallet has the blocks, and the wallet of its miners.
struct Mint {
    pool: Pool,
    chain: Chain,
    wallet: Wallet,
    miners: Wallet,
    addresses: Vec<String>,
    folder: TempDir,
    _miners_folder: TempDir,
}

impl Mint {
    fn new() -> Self {
        let (folder, miners_folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let chain = Chain::start(&folder, 1);
        // A transaction hides its coins among fifteen others.
        chain.generate(25, SOMEBODY);
        let wallet = Wallet::start(&folder, &chain);
        let own = wallet.create("pool");
        let miners = Wallet::start(&miners_folder, &chain);
        let mut addresses = vec![miners.create("miners")];
        addresses.extend(miners.subaddresses(4));
        let paying = format!(
            "scheme = \"prop\"\n{LIGHT}[pool.payout]\nenabled = true\nevery_s = 1\n\
             confirmations = 2\nthreshold = \"0.1\"\nwallet_url = \"http://127.0.0.1:{}\"\n",
            wallet.port
        );
        let pool = Pool::start(
            &folder,
            &PoolSettings {
                coin: "monero",
                address: &own,
                pool: &paying,
                listener: EVERY_HASH,
                daemons: chain.daemon(),
                ..PoolSettings::default()
            },
        );
        Self {
            pool,
            chain,
            wallet,
            miners,
            addresses,
            folder,
            _miners_folder: miners_folder,
        }
    }

    fn ask(&self, words: &[&str]) -> Value {
        money::ask(self.folder.path(), words)
    }

    /// Each miner finds a block, which then matures.
    fn find_blocks(&self) {
        for address in &self.addresses {
            let before = self.chain.height();
            wait_for("work on the next block", || {
                let height = self.pool.status()["template"]["height"].as_u64()?;
                (height == before + 1).then_some(())
            });
            let mut miner = Miner::ready(self.pool.miners, &format!("{address}.rig"));
            miner.mine(0);
            wait_for("the block", || (self.chain.height() > before).then_some(()));
        }
        self.chain.generate(60, SOMEBODY);
        wait_for("all to mature", || {
            let mature = self.pool.status()["blocks"]["mature"].as_u64()?;
            (mature == 5).then_some(())
        });
    }

    /// What the books owe to each miner, once they do.
    fn owed(&self) -> BTreeMap<String, i64> {
        let balances = money::balances(self.folder.path());
        let of = |address: &String| {
            let balance = balances.get(&money::miner(address));
            Some((address.clone(), balance?.0))
        };
        self.addresses.iter().filter_map(of).collect()
    }
}

#[test]
fn five_miners_of_monero_are_paid_in_one_go_and_once_whatever_is_killed() {
    let mut mint = Mint::new();
    money::say(
        mint.folder.path(),
        &["payout", "pause", "--reason", "all at once"],
    );
    mint.find_blocks();
    let owed = wait_for("five balances", || {
        let owed = mint.owed();
        let is_theirs = owed.len() == 5 && owed.values().all(|posted| *posted > 0);
        is_theirs.then_some(owed)
    });
    let before = mint.ask(&["ledger", "check", "--wallet"]);
    assert_eq!(before["wallet"]["more"], "0", "{before}");

    money::say(mint.folder.path(), &["payout", "resume"]);
    // A kill may come before the transaction is made, while it is kept, and after it was sent.
    for ms in [50, 150, 300, 600, 1_000] {
        std::thread::sleep(Duration::from_millis(ms));
        mint.pool.process.kill();
        if ms == 300 {
            // With all that it has not written down.
            mint.wallet.start_again("pool");
        }
        mint.pool.start_again();
        mint.pool.wait_until_ready();
    }
    let payouts = wait_for("the payout to be sent", || {
        let payouts = mint.ask(&["payout", "list"]);
        (payouts[0]["state"] == "broadcast").then_some(payouts)
    });
    let is_paid = |payout: &&Value| payout["state"] != "released";
    let sent = payouts.as_array().unwrap().iter().filter(is_paid).count();
    assert_eq!(sent, 1, "{payouts}");
    mint.chain.generate(3, SOMEBODY);
    wait_for("the payout to be confirmed", || {
        let payouts = mint.ask(&["payout", "list"]);
        (payouts[0]["state"] == "confirmed").then_some(())
    });
    let got: BTreeMap<String, i64> = wait_for("the miners to see it", || {
        let got = mint.miners.balances();
        let got = got
            .into_iter()
            .map(|(address, units)| (address, units.try_into().unwrap()));
        let got: BTreeMap<_, _> = got.collect();
        (got.len() == 5).then_some(got)
    });
    assert_eq!(got, owed, "to the piconero");
    // Each can be shown so, and nobody is shown what is another's.
    let number = payouts[0]["number"].to_string();
    for (address, units) in &owed {
        let proof = mint.ask(&["payout", "proof", &number, address]);
        let transactions = proof["transactions"].as_array().unwrap();
        let received = transactions.iter().map(|it| {
            let key = json!({"txid": it["txid"], "tx_key": it["key"], "address": address});
            let told = mint.miners.ask("check_tx_key", key)["received"].as_i64();
            let text = it["received"].as_str().unwrap();
            assert_eq!(told, text.parse().ok(), "as the miners' own wallet says");
            told.unwrap()
        });
        assert_eq!(received.sum::<i64>(), *units, "{proof}");
    }
    let config = mint.folder.path().join("adit.toml");
    let words = [
        "payout",
        "proof",
        &number,
        SOMEBODY,
        "-c",
        config.to_str().unwrap(),
    ];
    let nobody = run(&words);
    let said = String::from_utf8_lossy(&nobody.stderr);
    assert!(
        !nobody.status.success() && said.contains("pays nothing"),
        "{said}"
    );
    let after = mint.ask(&["ledger", "check", "--wallet"]);
    assert_eq!(after["balance"], true, "{after}");
    assert_eq!(after["wallet"]["more"], "0", "{after}");
    assert_eq!(after["wallet"]["foreign"], json!([]), "{after}");
}
