//! The wallet: addresses, balances, coins and history.

use std::collections::HashSet;

use bitcoin::{OutPoint, ScriptBuf, Txid};
use serde_json::{Value, json};

use super::{
    arguments::{Arguments, as_address, as_text, as_u32},
    blockchain::find,
    error::RpcError,
    payments::outpoint,
};
use crate::{
    address,
    chain::Id,
    money,
    node::{Node, State},
    wallet::{Seen, State as TxState, Unspent, keys::Kind},
};

/// The name of the one wallet, beside the empty name.
const NAME: &str = "simnet";
/// Transactions one `listtransactions` gives at most.
const MAX_LISTED: usize = 10_000;

/// Whether a wallet of this name is there.
pub(super) fn is_loaded(name: &str) -> bool {
    name.is_empty() || name == NAME
}

pub(super) fn listwallets(_: &Node, _: &Arguments) -> Result<Value, RpcError> {
    Ok(json!([NAME]))
}

pub(super) fn loadwallet(_: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let name = arguments.required(arguments.text(0)?)?;
    if is_loaded(name) {
        return Err(RpcError::new(
            -35,
            format!("Wallet \"{name}\" is already loaded."),
        ));
    }
    Err(RpcError::new(
        -18,
        "Wallet file verification failed. Path does not exist.",
    ))
}

pub(super) fn getnewaddress(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let kind = kind(arguments.text(1)?)?;
    let script = node.new_script(kind);
    Ok(json!(address::encode(node.state().chain.params(), &script)))
}

pub(super) fn getrawchangeaddress(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let kind = kind(arguments.text(0)?)?;
    let mut state = node.state();
    let script = state.wallet.new_script(kind, true);
    node.save_keys(&state.wallet);
    Ok(json!(address::encode(state.chain.params(), &script)))
}

pub(super) fn getaddressinfo(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let text = arguments.required(arguments.text(0)?)?;
    let script = address::decode(state.chain.params(), text).ok_or_else(|| {
        RpcError::not_found("Invalid or unsupported Segwit (Bech32) or Base58 encoding.")
    })?;
    let key = state.wallet.keys.find(&script);
    let mut json = json!({
        "address": text,
        "scriptPubKey": script.to_hex_string(),
        "ismine": key.is_some(),
        "solvable": key.is_some(),
        "iswatchonly": false,
        "isscript": script.is_p2sh() || script.is_p2wsh() || script.is_p2tr(),
        "iswitness": script.is_witness_program(),
        "ischange": key.is_some_and(|key| key.change),
        "labels": [],
    });
    if let Some(key) = key {
        json["pubkey"] = json!(state.wallet.keys.keypair(key).public_key().to_string());
        json["hdkeypath"] = json!(format!("m/{}", state.wallet.keys.path(key)));
        json["hdmasterfingerprint"] = json!(state.wallet.keys.fingerprint().to_string());
    }
    Ok(json)
}

pub(super) fn getwalletinfo(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let balances = Balances::of(&state, 0);
    Ok(json!({
        "walletname": NAME,
        "walletversion": 169_900,
        "format": "adit",
        "balance": money::coins(balances.trusted),
        "unconfirmed_balance": money::coins(balances.untrusted),
        "immature_balance": money::coins(balances.immature),
        "txcount": state.wallet.history().count(),
        "keypoolsize": 1,
        "paytxfee": 0,
        "private_keys_enabled": true,
        "avoid_reuse": false,
        "scanning": false,
        "descriptors": false,
        "lastprocessedblock": last_block(&state),
    }))
}

pub(super) fn getbalance(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    if arguments.text(0)?.is_some_and(|dummy| dummy != "*") {
        return Err(RpcError::new(
            -32,
            "dummy first argument must be excluded or set to \"*\".",
        ));
    }
    let confirmations = arguments
        .get(1)
        .map_or(Ok(0), |value| as_u32(value, "minconf"))?;
    let state = node.state();
    Ok(money::coins(Balances::of(&state, confirmations).trusted))
}

pub(super) fn getbalances(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let balances = Balances::of(&state, 0);
    Ok(json!({
        "mine": {
            "trusted": money::coins(balances.trusted),
            "untrusted_pending": money::coins(balances.untrusted),
            "immature": money::coins(balances.immature),
        },
        "lastprocessedblock": last_block(&state),
    }))
}

pub(super) fn listunspent(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let least = arguments
        .get(0)
        .map_or(Ok(1), |value| as_u32(value, "minconf"))?;
    let most = arguments
        .get(1)
        .map_or(Ok(9_999_999), |value| as_u32(value, "maxconf"))?;
    let state = node.state();
    let params = state.chain.params();
    let wanted = arguments.array(2)?.map(Vec::as_slice).unwrap_or_default();
    let wanted = wanted
        .iter()
        .map(|address| as_address(as_text(address)?, params))
        .collect::<Result<HashSet<ScriptBuf>, _>>()?;
    let with_unsafe = arguments.flag(3)?.unwrap_or(true);
    let coins = state
        .wallet
        .unspent(&state.chain, &state.mempool)
        .into_iter()
        .filter(|coin| {
            coin.mature
                && (least..=most).contains(&coin.confirmations)
                && (wanted.is_empty() || wanted.contains(&coin.output.script_pubkey))
                && (with_unsafe || coin.trusted)
                && !state.wallet.locked.contains(&coin.outpoint)
        });
    Ok(coins.map(|coin| unspent_json(&state, &coin)).collect())
}

pub(super) fn lockunspent(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let unlock = arguments.required(arguments.flag(0)?)?;
    let mut state = node.state();
    let Some(list) = arguments.array(1)? else {
        if unlock {
            state.wallet.locked.clear();
        }
        return Ok(json!(true));
    };
    let outpoints = list.iter().map(outpoint).collect::<Result<Vec<_>, _>>()?;
    for outpoint in &outpoints {
        let problem = if state.wallet.output(outpoint).is_none() {
            Some("Invalid parameter, unknown transaction")
        } else if state.chain.coin(outpoint).is_none() && state.mempool.output(outpoint).is_none() {
            Some("Invalid parameter, expected unspent output")
        } else {
            match (state.wallet.locked.contains(outpoint), unlock) {
                (true, false) => Some("Invalid parameter, output already locked"),
                (false, true) => Some("Invalid parameter, expected locked output"),
                _ => None,
            }
        };
        if let Some(problem) = problem {
            return Err(RpcError::invalid(problem));
        }
    }
    for outpoint in outpoints {
        if unlock {
            state.wallet.locked.remove(&outpoint);
        } else {
            state.wallet.locked.insert(outpoint);
        }
    }
    Ok(json!(true))
}

pub(super) fn listlockunspent(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let mut locked: Vec<&OutPoint> = state.wallet.locked.iter().collect();
    locked.sort_unstable();
    Ok(locked
        .iter()
        .map(|out| json!({"txid": out.txid, "vout": out.vout}))
        .collect())
}

pub(super) fn gettransaction(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let txid = arguments.txid(0, "txid")?;
    let seen = state.wallet.seen(&txid);
    let seen = seen.ok_or_else(|| RpcError::not_found("Invalid or non-wallet transaction id"))?;
    let (spent, _) = state.wallet.spent_by(&seen.transaction);
    let fee = fee(&state, seen);
    let mut json = common_json(&state, &txid, seen);
    json["amount"] = money::signed_coins(received(&state, seen) - signed(spent) + fee.unwrap_or(0));
    if let Some(fee) = fee {
        json["fee"] = money::signed_coins(-fee);
    }
    json["details"] = details(&state, &txid, seen).into_iter().collect();
    json["hex"] = json!(bitcoin::consensus::encode::serialize_hex(
        seen.transaction.as_ref()
    ));
    json["lastprocessedblock"] = last_block(&state);
    Ok(json)
}

pub(super) fn listtransactions(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let number = |index, default: u32, name: &str| {
        arguments
            .get(index)
            .map_or(Ok(default), |value| as_u32(value, name))
    };
    let count = usize::try_from(number(1, 10, "count")?)
        .unwrap_or(MAX_LISTED)
        .min(MAX_LISTED);
    let skip = usize::try_from(number(2, 0, "skip")?).unwrap_or(usize::MAX);
    let newest_first = state.wallet.history().rev().flat_map(|(txid, seen)| {
        let mut entries = entries(&state, txid, seen);
        entries.reverse();
        entries
    });
    let mut list: Vec<Value> = newest_first.skip(skip).take(count).collect();
    list.reverse();
    Ok(Value::Array(list))
}

pub(super) fn listsinceblock(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let since = match arguments.text(0)? {
        Some("") | None => None,
        Some(_) => Some(find(&state, &arguments.block_hash(0, "blockhash")?)?),
    };
    let depth = arguments
        .get(1)
        .map_or(Ok(1), |value| as_u32(value, "target_confirmations"))?;
    if depth == 0 {
        return Err(RpcError::invalid("Invalid parameter"));
    }
    // From a block beside the active chain, everything since the branches parted is new.
    let mut fork = since;
    while let Some(id) = fork.filter(|id| !state.chain.is_active(*id)) {
        fork = state.chain.find(&state.chain.header(id).prev_blockhash);
    }
    let after = fork.map(|id| state.chain.height_of(id));
    let is_new = |txid: &Txid| match state.wallet.state(&state.chain, &state.mempool, txid) {
        TxState::Confirmed { id, .. } => {
            after.is_none_or(|after| state.chain.height_of(id) > after)
        }
        _ => true,
    };
    let list = state.wallet.history().filter(|(txid, _)| is_new(txid));
    let list: Vec<Value> = list
        .flat_map(|(txid, seen)| entries(&state, txid, seen))
        .collect();
    let removed = removed_since(&state, since, fork);
    let last = state.chain.height().saturating_sub(depth - 1);
    Ok(json!({
        "transactions": list,
        "removed": removed,
        "lastblock": state.chain.hash_at(last),
    }))
}

/// What the wallet is worth, in the smallest unit.
struct Balances {
    trusted: u64,
    untrusted: u64,
    immature: u64,
}

impl Balances {
    fn of(state: &State, confirmations: u32) -> Self {
        let mut balances = Self {
            trusted: 0,
            untrusted: 0,
            immature: 0,
        };
        for coin in state.wallet.unspent(&state.chain, &state.mempool) {
            let value = coin.output.value.to_sat();
            if !coin.mature {
                balances.immature += value;
            } else if !coin.trusted {
                balances.untrusted += value;
            } else if coin.confirmations >= confirmations {
                balances.trusted += value;
            }
        }
        balances
    }
}

fn kind(name: Option<&str>) -> Result<Kind, RpcError> {
    match name {
        None | Some("bech32") => Ok(Kind::Segwit),
        Some("legacy") => Ok(Kind::Legacy),
        Some("p2sh-segwit") => Ok(Kind::Nested),
        Some("bech32m") => Ok(Kind::Taproot),
        Some(_) => Err(RpcError::not_found("Unknown address type")),
    }
}

fn unspent_json(state: &State, coin: &Unspent) -> Value {
    json!({
        "txid": coin.outpoint.txid,
        "vout": coin.outpoint.vout,
        "address": address::encode(state.chain.params(), &coin.output.script_pubkey),
        "label": "",
        "scriptPubKey": coin.output.script_pubkey.to_hex_string(),
        "amount": money::coins(coin.output.value.to_sat()),
        "confirmations": coin.confirmations,
        "spendable": true,
        "solvable": true,
        "safe": coin.trusted,
    })
}

fn last_block(state: &State) -> Value {
    json!({"hash": state.chain.tip_hash(), "height": state.chain.height()})
}

/// Amounts are below 2^63 by consensus.
fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn received(state: &State, seen: &Seen) -> i64 {
    let own = seen.transaction.output.iter();
    let own = own.filter(|output| state.wallet.keys.find(&output.script_pubkey).is_some());
    signed(own.map(|output| output.value.to_sat()).sum())
}

/// What the transaction pays to miners, when the wallet paid it.
fn fee(state: &State, seen: &Seen) -> Option<i64> {
    let (spent, all) = state.wallet.spent_by(&seen.transaction);
    let paid: u64 = seen
        .transaction
        .output
        .iter()
        .map(|output| output.value.to_sat())
        .sum();
    (all && spent > 0).then(|| signed(spent) - signed(paid))
}

/// The fields every listing of a transaction has.
fn common_json(state: &State, txid: &Txid, seen: &Seen) -> Value {
    let mut json = json!({
        "txid": txid,
        "wtxid": seen.transaction.compute_wtxid(),
        "walletconflicts": [],
        "mempoolconflicts": [],
        "time": seen.time,
        "timereceived": seen.time,
        "bip125-replaceable": "no",
    });
    match state.wallet.state(&state.chain, &state.mempool, txid) {
        TxState::Confirmed { id, confirmations } => {
            json["confirmations"] = json!(confirmations);
            json["blockhash"] = json!(state.chain.hash(id));
            json["blockheight"] = json!(state.chain.height_of(id));
            json["blocktime"] = json!(state.chain.header(id).time);
            let block = state.chain.block_of(id);
            json["blockindex"] = json!(block.and_then(|block| {
                block
                    .txdata
                    .iter()
                    .position(|tx| tx.compute_txid() == *txid)
            }));
        }
        TxState::Waiting => {
            json["confirmations"] = json!(0);
            json["trusted"] = json!(state.wallet.spent_by(&seen.transaction).1);
            json["bip125-replaceable"] = json!("yes");
        }
        TxState::Abandoned { beaten } => {
            json["confirmations"] = json!(-i64::from(beaten.unwrap_or(0)));
            json["trusted"] = json!(false);
        }
    }
    if seen.transaction.is_coinbase() {
        json["generated"] = json!(true);
    }
    json
}

/// What a transaction sent and what it brought, output by output; change is left out.
fn details(state: &State, txid: &Txid, seen: &Seen) -> Vec<Value> {
    let transaction = &seen.transaction;
    let (spent, _) = state.wallet.spent_by(transaction);
    let fee = fee(state, seen).unwrap_or(0);
    let mut details = Vec::new();
    for (vout, output) in (0_u32..).zip(&transaction.output) {
        let key = state.wallet.keys.find(&output.script_pubkey);
        if spent > 0 && key.is_some_and(|key| key.change) {
            continue;
        }
        let value = signed(output.value.to_sat());
        let address = address::encode(state.chain.params(), &output.script_pubkey);
        let entry = |category: &str, amount: i64| {
            let mut json = json!({
                "category": category,
                "amount": money::signed_coins(amount),
                "vout": vout,
                "abandoned": false,
            });
            if let Some(address) = &address {
                json["address"] = json!(address);
            }
            json
        };
        if spent > 0 {
            let mut sent = entry("send", -value);
            sent["fee"] = money::signed_coins(-fee);
            details.push(sent);
        }
        if key.is_some() {
            let mut brought = entry(receipt(state, txid, seen), value);
            brought["label"] = json!("");
            details.push(brought);
        }
    }
    details
}

fn receipt(state: &State, txid: &Txid, seen: &Seen) -> &'static str {
    if !seen.transaction.is_coinbase() {
        return "receive";
    }
    match state.wallet.state(&state.chain, &state.mempool, txid) {
        TxState::Confirmed { confirmations, .. }
            if confirmations > state.chain.params().maturity =>
        {
            "generate"
        }
        TxState::Confirmed { .. } => "immature",
        _ => "orphan",
    }
}

/// The details with the common fields in each, as lists show them.
fn entries(state: &State, txid: &Txid, seen: &Seen) -> Vec<Value> {
    let common = common_json(state, txid, seen);
    let with_common = |mut detail: Value| {
        if let (Some(detail), Some(common)) = (detail.as_object_mut(), common.as_object()) {
            detail.extend(common.clone());
        }
        detail
    };
    details(state, txid, seen)
        .into_iter()
        .map(with_common)
        .collect()
}

/// The wallet's transactions of blocks that a change of branch left, down to the fork.
fn removed_since(state: &State, since: Option<Id>, fork: Option<Id>) -> Vec<Value> {
    let mut removed = Vec::new();
    let mut at = since;
    while let Some(id) = at.filter(|id| Some(*id) != fork) {
        for transaction in state
            .chain
            .block_of(id)
            .iter()
            .flat_map(|block| &block.txdata)
        {
            let txid = transaction.compute_txid();
            if let Some(seen) = state.wallet.seen(&txid) {
                removed.extend(entries(state, &txid, seen));
            }
        }
        at = state.chain.find(&state.chain.header(id).prev_blockhash);
    }
    removed
}
