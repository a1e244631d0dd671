//! Blocks that pay miners by themselves: what their coinbase paid is what the books say, to the unit, and
//! what it had no room for is owed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    money::{Mint, OTHER, miner},
    support::{ADDRESS, Miner, wait_for},
};

pub(crate) const REWARD: i64 = 5_000_000_000;
/// Nobody is paid less by a coinbase; the pool offers new work each second.
pub(crate) const SPLITTING: &str =
    "maturity = 3\nrefresh_s = 1\n[pool.payout]\ncoinbase = true\nleast = \"0.01\"\n";

/// What the coinbase of the block at a height pays, by address.
pub(crate) fn paid_by(mint: &Mint, height: u64) -> BTreeMap<String, i64> {
    let rpc = &mint.node.rpc;
    let hash = rpc.call("getblockhash", json!([height]));
    let block = rpc.call("getblock", json!([hash, 2]));
    let outputs = block["tx"][0]["vout"].as_array().unwrap().iter();
    let paid = outputs.filter_map(|output| {
        let address = output["scriptPubKey"]["address"].as_str()?;
        let coins = format!("{:.8}", output["value"].as_f64().unwrap());
        Some((address.to_owned(), coins.replace('.', "").parse().unwrap()))
    });
    paid.collect()
}

/// Waits for a job whose coinbase pays so many.
pub(crate) fn wait_for_split(miner: &mut Miner, outputs: usize) {
    let is_split = |line: &Value| {
        let coinbase = line["params"][3].as_str().unwrap_or_default();
        // Sequence, then the number of outputs; one is the commitment.
        let count = coinbase
            .find("feffffff")
            .and_then(|at| coinbase.get(at + 8..at + 10));
        count.and_then(|count| usize::from_str_radix(count, 16).ok()) == Some(outputs + 1)
    };
    wait_for(&format!("a job that pays {outputs}"), || {
        let line: Value = serde_json::from_str(&miner.line()?).unwrap();
        (line["method"] == "mining.notify" && is_split(&line)).then_some(())
    });
}

#[test]
fn a_coinbase_pays_miners_and_the_books_say_so() {
    let mint = Mint::new(SPLITTING);
    mint.find_block(OTHER);
    mint.find_block(ADDRESS);
    let mut watcher = Miner::ready(mint.pool.miners);
    wait_for_split(&mut watcher, 3);
    let before = mint.balances();
    let height = mint.find_block(ADDRESS);
    let paid = paid_by(&mint, height);
    // 97.5 percent of the block in halves, as both did the same work before it, and the pool the rest.
    let half = REWARD / 1000 * 975 / 2;
    assert_eq!(paid[ADDRESS], half, "{paid:?}");
    assert_eq!(paid[OTHER], half, "{paid:?}");
    assert_eq!(paid.values().sum::<i64>(), REWARD, "{paid:?}");
    wait_for("the third block in the books", || {
        (mint.balance("reward").1 + mint.balance("reward").0 == -3 * REWARD).then_some(())
    });
    mint.bury(4);
    wait_for("all to be mature", || {
        (mint.balance("reward") == (-3 * REWARD, 0)).then_some(())
    });
    // What it paid is not owed.
    assert_eq!(mint.balance("paid"), (2 * half, 0));
    for address in [ADDRESS, OTHER] {
        let (posted, pending) = before.get(&miner(address)).copied().unwrap_or_default();
        assert_eq!(
            mint.balance(&miner(address)),
            (posted + pending, 0),
            "{address}"
        );
    }
    mint.assert_balanced();
    // The chain takes it back: whoever was paid by it is paid no more, and nobody owes it.
    let hash = mint.node.rpc.call("getblockhash", json!([height]));
    mint.node.rpc.call("invalidateblock", json!([hash]));
    mint.bury(9);
    wait_for("the block to leave the books", || {
        (mint.balance("reward") == (-2 * REWARD, 0)).then_some(())
    });
    assert_eq!(mint.balance("paid"), (0, 0));
    assert_eq!(mint.balance("reserve"), (-(REWARD - 2 * half), 0));
    mint.assert_balanced();
}

/// The process is killed in the instant after it sent such a block.
#[test]
fn a_split_block_survives_a_kill() {
    let mut mint = Mint::new(SPLITTING);
    mint.find_block(OTHER);
    let mut watcher = Miner::ready(mint.pool.miners);
    wait_for_split(&mut watcher, 2);
    let height = mint.find_block(ADDRESS);
    mint.pool.process.kill();
    let paid = paid_by(&mint, height);
    // All of the work before it was the other one's.
    assert_eq!(paid[OTHER], REWARD / 1000 * 975, "{paid:?}");
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    mint.bury(4);
    wait_for("both to be mature", || {
        (mint.balance("reward") == (-2 * REWARD, 0)).then_some(())
    });
    assert_eq!(mint.balance("paid"), (REWARD / 1000 * 975, 0));
    mint.assert_balanced();
}

#[test]
fn coinbases_pay_by_pplns_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let config = folder.path().join("adit.toml");
    let data = folder.path().join("data");
    let settings = "[[pool]]\nscheme = \"prop\"\nnetwork = \"regtest\"\n\
                    payout_address = \"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080\"\n\
                    [pool.payout]\ncoinbase = true\n[[pool.daemon]]\nurl = \"http://127.0.0.1:1\"\n";
    std::fs::write(&config, format!("data = {data:?}\n{settings}")).unwrap();
    let output = crate::support::run(&["pool", "-c", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("payout.coinbase: goes with pplns"), "{text}");
}
