//! Transactions: those that wait, those in blocks, and taking new ones.

use bitcoin::{OutPoint, Transaction, consensus};
use serde_json::{Value, json};

use super::{
    arguments::{Arguments, as_amount, as_text, as_transaction},
    blockchain::{confirmations, find, script_json},
    error::RpcError,
};
use crate::{
    check::Reject,
    mempool::{Entry, MIN_FEE_RATE},
    money,
    node::{Node, State, now},
    utxo::is_unspendable,
};

/// The highest fee rate taken without being asked to: 0.10 coins per 1000 virtual bytes.
const MAX_FEE_RATE: u64 = 10_000_000;
/// Transactions one `testmempoolaccept` may hold.
const MAX_TESTED: usize = 25;

pub(super) fn sendrawtransaction(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let transaction = arguments.transaction(0)?;
    let max_rate = arguments.get(1).map_or(Ok(MAX_FEE_RATE), as_amount)?;
    let max_burn = arguments.get(2).map_or(Ok(0), as_amount)?;
    let burnt = |output: &&bitcoin::TxOut| {
        is_unspendable(&output.script_pubkey) && output.value.to_sat() > max_burn
    };
    if transaction.output.iter().find(burnt).is_some() {
        let text = "Unspendable output exceeds maximum configured by user (maxburnamount)";
        return Err(RpcError::new(-25, text));
    }
    let txid = transaction.compute_txid();
    {
        let state = node.state();
        let mut outputs = (0_u32..).take(transaction.output.len());
        if outputs.any(|vout| state.chain.coin(&OutPoint { txid, vout }).is_some()) {
            return Err(RpcError::new(
                -27,
                "Transaction outputs already in utxo set",
            ));
        }
        if state.mempool.get(&txid).is_some() {
            return Ok(json!(txid));
        }
        let entry = state
            .mempool
            .check(&state.chain, &transaction, now())
            .map_err(not_taken)?;
        if exceeds(&entry, max_rate) {
            let text = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
            return Err(RpcError::new(-25, text));
        }
    }
    node.offer(&transaction)
        .map(|txid| json!(txid))
        .map_err(not_taken)
}

pub(super) fn testmempoolaccept(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let list = arguments.required(arguments.array(0)?)?;
    if list.is_empty() || list.len() > MAX_TESTED {
        let text = format!("Array must contain between 1 and {MAX_TESTED} transactions.");
        return Err(RpcError::invalid(text));
    }
    let max_rate = arguments.get(1).map_or(Ok(MAX_FEE_RATE), as_amount)?;
    let state = node.state();
    let mut answers = Vec::with_capacity(list.len());
    for text in list {
        let transaction = as_transaction(as_text(text)?)?;
        let mut answer =
            json!({"txid": transaction.compute_txid(), "wtxid": transaction.compute_wtxid()});
        match state.mempool.check(&state.chain, &transaction, now()) {
            Ok(entry) if exceeds(&entry, max_rate) => {
                answer["allowed"] = json!(false);
                answer["reject-reason"] = json!("max-fee-exceeded");
            }
            Ok(entry) => {
                answer["allowed"] = json!(true);
                answer["vsize"] = json!(entry.vsize());
                answer["fees"] = json!({"base": money::coins(entry.fee)});
            }
            Err(reject) => {
                answer["allowed"] = json!(false);
                answer["reject-reason"] = match reject.reason.as_ref() {
                    "bad-txns-inputs-missingorspent" => json!("missing-inputs"),
                    reason => json!(reason),
                };
            }
        }
        answers.push(answer);
    }
    Ok(Value::Array(answers))
}

pub(super) fn getmempoolinfo(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let entries = state.mempool.in_order();
    let bytes: u64 = entries.iter().map(|entry| entry.vsize()).sum();
    let fees: u64 = entries.iter().map(|entry| entry.fee).sum();
    Ok(json!({
        "loaded": true,
        "size": entries.len(),
        "bytes": bytes,
        "usage": state.mempool.weight(),
        "total_fee": money::coins(fees),
        "maxmempool": 300_000_000,
        "mempoolminfee": money::coins(MIN_FEE_RATE),
        "minrelaytxfee": money::coins(MIN_FEE_RATE),
        "incrementalrelayfee": money::coins(MIN_FEE_RATE),
        "unbroadcastcount": 0,
        "fullrbf": true,
    }))
}

pub(super) fn getrawmempool(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let verbose = arguments.flag(0)?.unwrap_or(false);
    let entries = state.mempool.in_order();
    if arguments.flag(1)?.unwrap_or(false) {
        if verbose {
            let text = "Verbose results cannot contain mempool sequence values.";
            return Err(RpcError::invalid(text));
        }
        let txids: Vec<_> = entries.iter().map(|entry| entry.txid).collect();
        return Ok(json!({"txids": txids, "mempool_sequence": *node.pool_changes.borrow()}));
    }
    if verbose {
        let pairs = entries
            .iter()
            .map(|entry| (entry.txid.to_string(), entry_json(&state, entry)));
        return Ok(Value::Object(pairs.collect()));
    }
    Ok(entries.iter().map(|entry| json!(entry.txid)).collect())
}

pub(super) fn getmempoolentry(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let entry = state.mempool.get(&arguments.txid(0, "txid")?);
    let entry = entry.ok_or_else(|| RpcError::not_found("Transaction not in mempool"))?;
    Ok(entry_json(&state, entry))
}

pub(super) fn getrawtransaction(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let txid = arguments.txid(0, "parameter 1")?;
    let verbosity = arguments.verbosity(1, 0)?;
    let block = match arguments.get(2) {
        Some(_) => Some(find(&state, &arguments.block_hash(2, "parameter 3")?)?),
        None => state.chain.confirmed_in(&txid),
    };
    let waiting = || {
        state
            .mempool
            .get(&txid)
            .map(|entry| entry.transaction.as_ref())
    };
    let found = match block.and_then(|id| state.chain.block_of(id)) {
        Some(block) => block.txdata.iter().find(|tx| tx.compute_txid() == txid),
        None => waiting(),
    };
    let Some(transaction) = found else {
        let text = "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.";
        return Err(RpcError::not_found(text));
    };
    if verbosity <= 0 {
        return Ok(json!(consensus::encode::serialize_hex(transaction)));
    }
    let mut json = transaction_json(&state, transaction);
    if let Some(id) = block {
        json["blockhash"] = json!(state.chain.hash(id));
        json["confirmations"] = json!(confirmations(&state, id).max(0));
        json["time"] = json!(state.chain.header(id).time);
        json["blocktime"] = json!(state.chain.header(id).time);
    }
    Ok(json)
}

pub(super) fn decoderawtransaction(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let mut json = transaction_json(&node.state(), &arguments.draft(0)?);
    if let Some(json) = json.as_object_mut() {
        json.remove("hex");
    }
    Ok(json)
}

/// A transaction as `getrawtransaction` and `getblock` show it.
pub(super) fn transaction_json(state: &State, transaction: &Transaction) -> Value {
    let inputs = transaction.input.iter().map(|input| {
        let script = input.script_sig.to_hex_string();
        let mut json = if transaction.is_coinbase() {
            json!({"coinbase": script})
        } else {
            json!({
                "txid": input.previous_output.txid,
                "vout": input.previous_output.vout,
                "scriptSig": {"asm": input.script_sig.to_asm_string(), "hex": script},
            })
        };
        if !input.witness.is_empty() {
            json["txinwitness"] = input
                .witness
                .iter()
                .map(|e| json!(hex::encode(e)))
                .collect();
        }
        json["sequence"] = json!(input.sequence.to_consensus_u32());
        json
    });
    let outputs = (0_u32..).zip(&transaction.output).map(|(n, output)| {
        json!({
            "value": money::coins(output.value.to_sat()),
            "n": n,
            "scriptPubKey": script_json(state, &output.script_pubkey),
        })
    });
    json!({
        "txid": transaction.compute_txid(),
        "hash": transaction.compute_wtxid(),
        "version": transaction.version.0,
        "size": transaction.total_size(),
        "vsize": transaction.vsize(),
        "weight": transaction.weight().to_wu(),
        "locktime": transaction.lock_time.to_consensus_u32(),
        "vin": inputs.collect::<Value>(),
        "vout": outputs.collect::<Value>(),
        "hex": consensus::encode::serialize_hex(transaction),
    })
}

/// -25 for missing inputs, -26 for what the pool refuses.
pub(super) fn not_taken(reject: Reject) -> RpcError {
    if reject.reason == "bad-txns-inputs-missingorspent" {
        return RpcError::new(-25, reject.reason);
    }
    if reject.detail.is_empty() {
        return RpcError::new(-26, reject.reason);
    }
    RpcError::new(-26, format!("{}, {}", reject.reason, reject.detail))
}

fn exceeds(entry: &Entry, max_rate: u64) -> bool {
    let limit = u128::from(max_rate) * u128::from(entry.vsize()) / 1000;
    max_rate != 0 && u128::from(entry.fee) > limit
}

fn entry_json(state: &State, entry: &Entry) -> Value {
    let ancestors = state.mempool.ancestors(&entry.parents);
    let descendants = state.mempool.with_descendants(&entry.txid);
    let sum = |fees: &mut dyn Iterator<Item = &Entry>| fees.map(|entry| entry.fee).sum::<u64>();
    let ancestor_fees =
        sum(&mut ancestors.iter().filter_map(|txid| state.mempool.get(txid))) + entry.fee;
    let descendant_fees = sum(&mut descendants
        .iter()
        .filter_map(|txid| state.mempool.get(txid)));
    let spent_by: Vec<_> = (0_u32..)
        .take(entry.transaction.output.len())
        .filter_map(|vout| {
            state.mempool.spender(&OutPoint {
                txid: entry.txid,
                vout,
            })
        })
        .collect();
    json!({
        "vsize": entry.vsize(),
        "weight": entry.weight,
        "time": entry.time,
        "height": entry.height,
        "descendantcount": descendants.len(),
        "ancestorcount": ancestors.len() + 1,
        "wtxid": entry.wtxid,
        "fees": {
            "base": money::coins(entry.fee),
            "modified": money::coins(entry.fee),
            "ancestor": money::coins(ancestor_fees),
            "descendant": money::coins(descendant_fees),
        },
        "depends": entry.parents,
        "spentby": spent_by,
        "bip125-replaceable": true,
        "unbroadcast": false,
    })
}
