//! The same for the money: killed while blocks are credited and matured, and payouts claimed, signed,
//! kept, sent and waited for, the pool pays everyone what the blocks were worth, once.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;

use super::kills;
use crate::{
    money::{Mint, PAYING, is_open, miner, on_chain},
    support::wait_for,
};

/// Miners, who find one block after the other.
const MINERS: usize = 8;
/// One block in so many lives of the process; the others go by with what is under way.
const LIVES: u32 = 3;

/// What each block paid that the pool has found, as its node's chain has them.
fn blocks_found(mint: &Mint) -> Vec<i64> {
    let rpc = &mint.node.rpc;
    let mut found = Vec::new();
    for height in 1..=rpc.height() {
        let hash = rpc.call("getblockhash", json!([height]));
        let block = rpc.call("getblock", json!([hash, 2]));
        let script = block["tx"][0]["vin"][0]["coinbase"].as_str().unwrap();
        // The pool's tag: "/adit/".
        if script.contains("2f616469742f") {
            let outputs = block["tx"][0]["vout"].as_array().unwrap().iter();
            let coins: f64 = outputs
                .map(|output| output["value"].as_f64().unwrap())
                .sum();
            found.push(format!("{coins:.8}").replace('.', "").parse().unwrap());
        }
    }
    found
}

#[test]
fn a76_money_survives_kills_at_any_instant() {
    // Two payments in a transaction, so that there are many of them.
    let mut mint = Mint::new(&(PAYING.to_owned() + "payments_max = 2\n"));
    let rpc = mint.node.rpc.clone();
    let addresses: Vec<String> = (0..MINERS)
        .map(|_| {
            let address = rpc.call("getnewaddress", json!([]));
            address.as_str().unwrap().to_owned()
        })
        .collect();
    // So that every call is there to be killed in.
    let methods = [
        "createrawtransaction",
        "fundrawtransaction",
        "signrawtransactionwithwallet",
        "sendrawtransaction",
        "gettransaction",
        "listsinceblock",
    ];
    let slow = json!(["slow", {"ms": 15, "methods": methods}]);
    rpc.call("simnet_fault", slow);
    let (started, mut chance, mut blocks) = (Instant::now(), 11_u64, 0_usize);
    for round in 0..kills() {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        if round % LIVES == 0 {
            mint.pool.wait_until_ready();
            mint.find_block(&addresses[blocks % MINERS]);
            blocks += 1;
        }
        std::thread::sleep(Duration::from_millis((chance >> 33) % 250));
        mint.pool.process.kill();
        mint.bury(1);
        mint.pool.start_again();
    }
    mint.pool.wait_until_ready();
    // A regtest chain halves its subsidy each 150 blocks.
    let found = blocks_found(&mint);
    assert_eq!(found.len(), blocks, "a block is not in the books");
    let reward = -found.iter().sum::<i64>();
    wait_for("all to be mature", || {
        mint.bury(1);
        (mint.balance("reward") == (reward, 0)).then_some(())
    });
    wait_for("all to be paid", || {
        mint.bury(1);
        let open = mint.balances().keys().any(|name| is_open(name));
        (!open).then_some(())
    });
    mint.assert_balanced();
    let paid = mint.balance("paid").0;
    // 2.5 percent of each are fees.
    assert_eq!(
        paid,
        found.iter().map(|reward| reward / 1000 * 975).sum::<i64>()
    );
    let chain: u64 = addresses
        .iter()
        .map(|address| on_chain(&rpc, address))
        .sum();
    // The wallet's change goes to addresses of its own.
    assert_eq!(i64::try_from(chain).unwrap(), paid);
    let confirmed = mint.confirmed();
    let transactions: BTreeSet<&str> = confirmed
        .iter()
        .map(|payout| payout["txid"].as_str().unwrap())
        .collect();
    assert_eq!(transactions.len(), confirmed.len(), "one transaction each");
    for address in &addresses {
        assert_eq!(mint.balance(&miner(address)), (0, 0));
    }
    println!(
        "{} kills in {:?}: {blocks} blocks, {} payouts confirmed",
        kills(),
        started.elapsed(),
        confirmed.len()
    );
}
