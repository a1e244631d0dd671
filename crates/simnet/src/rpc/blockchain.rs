//! What the chain is: blocks, headers, tips, coins, and waiting for the next block.

use std::time::Duration;

use bitcoin::{BlockHash, OutPoint};
use serde_json::{Value, json};

use super::{
    arguments::{Arguments, as_u32},
    error::RpcError,
    transactions,
};
use crate::{
    address,
    chain::{Id, Standing},
    money,
    node::{Node, SharedNode, State},
};

/// The longest a call waits for a block when it does not say: Bitcoin Core waits for ever.
const MAX_WAIT: Duration = Duration::from_secs(3600);

pub(super) fn getblockcount(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    Ok(json!(node.state().height()))
}

pub(super) fn getbestblockhash(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    Ok(json!(state.chain.hash(state.tip())))
}

pub(super) fn getdifficulty(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    Ok(state.chain.head(state.tip()).demand().difficulty())
}

pub(super) fn getblockhash(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let height = arguments.required(arguments.integer(0)?)?;
    let height = u32::try_from(height)
        .ok()
        .filter(|height| *height <= state.height());
    let hash = height.and_then(|height| state.chain.hash_at(height));
    hash.map(|hash| json!(hash))
        .ok_or_else(|| RpcError::invalid("Block height out of range"))
}

pub(super) fn getblockchaininfo(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let (chain, tip) = (&state.chain, state.tip());
    let header = chain.header(tip);
    let params = chain.params();
    let warnings = match params.spacing {
        Some(spacing) => vec![format!(
            "adit simnet: {} proof of work, a block about every {spacing} s, coinbases mature after {}",
            params.proof_name(),
            params.maturity
        )],
        None => Vec::new(),
    };
    let mut json = json!({
        "chain": "regtest",
        "blocks": state.height(),
        "headers": chain.height(),
        "bestblockhash": chain.hash(tip),
        "time": header.time,
        "mediantime": chain.median_time(tip),
        "verificationprogress": if state.faults.unsynced { json!(0.5) } else { json!(1) },
        "initialblockdownload": state.faults.unsynced,
        "chainwork": format!("{:064x}", chain.work(tip)),
        "size_on_disk": 0,
        "pruned": false,
        "warnings": warnings,
    });
    chain.head(tip).demand().tell(&mut json);
    Ok(json)
}

pub(super) fn getblockheader(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let id = find(&state, &arguments.block_hash(0, "hash")?)?;
    if arguments.flag(1)?.unwrap_or(true) {
        return Ok(header_json(&state, id));
    }
    Ok(json!(hex::encode(state.chain.head(id).encode())))
}

pub(super) fn getblock(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let id = find(&state, &arguments.block_hash(0, "blockhash")?)?;
    let verbosity = arguments.verbosity(1, 1)?;
    let block = state.chain.block_of(id);
    let block =
        block.ok_or_else(|| RpcError::usage("Block not available (not fully downloaded)"))?;
    if verbosity <= 0 {
        return Ok(json!(state.chain.bytes_of(id).map(hex::encode)));
    }
    let mut json = header_json(&state, id);
    json["strippedsize"] = json!((block.weight().to_wu() - size(block.total_size())) / 3);
    json["size"] = json!(block.total_size());
    json["weight"] = json!(block.weight().to_wu());
    let mut spent = state.chain.undo(id).iter();
    json["tx"] = block
        .txdata
        .iter()
        .map(|transaction| {
            if verbosity == 1 {
                return json!(transaction.compute_txid());
            }
            let mut json = transactions::transaction_json(&state, transaction);
            if !transaction.is_coinbase() && state.chain.is_active(id) {
                let coins = spent.by_ref().take(transaction.input.len());
                let value: u64 = coins.map(|(_, coin)| coin.output.value.to_sat()).sum();
                let paid: u64 = transaction
                    .output
                    .iter()
                    .map(|out| out.value.to_sat())
                    .sum();
                json["fee"] = money::coins(value.saturating_sub(paid));
            }
            json
        })
        .collect();
    Ok(json)
}

pub(super) fn gettxoutsetinfo(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let (count, amount) = state.chain.utxo().total();
    Ok(json!({
        "height": state.chain.height(),
        "bestblock": state.chain.tip_hash(),
        "txouts": count,
        "total_amount": money::coins(amount),
    }))
}

pub(super) fn getchaintips(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let mut leaves = state.chain.leaves();
    leaves.sort_by_key(|(id, ..)| std::cmp::Reverse(state.chain.height_of(*id)));
    let tips = leaves.into_iter().map(|(id, length, standing)| {
        let status = match standing {
            Standing::Active => "active",
            Standing::ValidFork => "valid-fork",
            Standing::ValidHeaders => "valid-headers",
            Standing::HeadersOnly => "headers-only",
            Standing::Invalid => "invalid",
        };
        json!({
            "height": state.chain.height_of(id),
            "hash": state.chain.hash(id),
            "branchlen": length,
            "status": status,
        })
    });
    Ok(tips.collect())
}

pub(super) fn gettxout(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let txid = arguments.txid(0, "txid")?;
    let vout = as_u32(arguments.required(arguments.get(1))?, "n")?;
    let outpoint = OutPoint { txid, vout };
    let with_pool = arguments.flag(2)?.unwrap_or(true);
    if with_pool && state.mempool.spender(&outpoint).is_some() {
        return Ok(Value::Null);
    }
    let waiting = state.mempool.output(&outpoint).filter(|_| with_pool);
    let (output, confirmations, coinbase) = match (state.chain.coin(&outpoint), waiting) {
        (Some(coin), _) => (
            &coin.output,
            state.chain.height() - coin.height + 1,
            coin.coinbase,
        ),
        (None, Some(output)) => (output, 0, false),
        (None, None) => return Ok(Value::Null),
    };
    Ok(json!({
        "bestblock": state.chain.tip_hash(),
        "confirmations": confirmations,
        "value": money::coins(output.value.to_sat()),
        "scriptPubKey": script_json(&state, &output.script_pubkey),
        "coinbase": coinbase,
    }))
}

pub(super) fn invalidateblock(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let hash = arguments.block_hash(0, "blockhash")?;
    if node.invalidate(&hash) {
        Ok(Value::Null)
    } else {
        Err(RpcError::not_found("Block not found"))
    }
}

pub(super) fn reconsiderblock(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let hash = arguments.block_hash(0, "blockhash")?;
    if node.reconsider(&hash) {
        Ok(Value::Null)
    } else {
        Err(RpcError::not_found("Block not found"))
    }
}

/// Answers with the tip; [`wait_for_block`] came before.
pub(super) fn waitfornewblock(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    Ok(json!({"hash": state.chain.hash(state.tip()), "height": state.height()}))
}

/// Waits until the tip is another, the timeout is over, or the node stops.
pub(super) async fn wait_for_block(
    node: &SharedNode,
    arguments: &Arguments,
) -> Result<(), RpcError> {
    let millis = u64::try_from(arguments.integer(0)?.unwrap_or(0))
        .map_err(|_| RpcError::usage("Negative timeout"))?;
    let timeout = if millis == 0 {
        MAX_WAIT
    } else {
        Duration::from_millis(millis).min(MAX_WAIT)
    };
    let mut tips = node.tip.subscribe();
    let known = match arguments.get(1) {
        Some(_) => arguments.block_hash(1, "current_tip")?,
        None => tips.borrow().hash,
    };
    tokio::select! {
        () = node.cancel.cancelled() => {}
        () = tokio::time::sleep(timeout) => {}
        _ = tips.wait_for(|tip| tip.hash != known) => {}
    }
    Ok(())
}

pub(super) fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length in memory fits 64 bits")
}

pub(super) fn script_json(state: &State, script: &bitcoin::Script) -> Value {
    let kind = match script {
        _ if script.is_p2pkh() => "pubkeyhash",
        _ if script.is_p2sh() => "scripthash",
        _ if script.is_p2wpkh() => "witness_v0_keyhash",
        _ if script.is_p2wsh() => "witness_v0_scripthash",
        _ if script.is_p2tr() => "witness_v1_taproot",
        _ if script.is_op_return() => "nulldata",
        _ if script.is_p2pk() => "pubkey",
        _ => "nonstandard",
    };
    let mut json =
        json!({"asm": script.to_asm_string(), "hex": script.to_hex_string(), "type": kind});
    if let Some(address) = address::encode(state.chain.params(), script) {
        json["address"] = json!(address);
    }
    json
}

/// Confirmations as the node admits to them: -1 beside the active chain.
pub(super) fn confirmations(state: &State, id: Id) -> i64 {
    let height = state.chain.height_of(id);
    match state.height().checked_sub(height) {
        Some(depth) if state.chain.is_active(id) => i64::from(depth) + 1,
        _ => -1,
    }
}

/// A block the node admits to know.
pub(super) fn find(state: &State, hash: &BlockHash) -> Result<Id, RpcError> {
    let hidden = |id: &Id| state.faults.lagging > 0 && state.chain.height_of(*id) > state.height();
    let id = state.chain.find(hash).filter(|id| !hidden(id));
    id.ok_or_else(|| RpcError::not_found("Block not found"))
}

fn header_json(state: &State, id: Id) -> Value {
    let chain = &state.chain;
    let header = chain.header(id);
    let height = chain.height_of(id);
    let mut json = json!({
        "hash": chain.hash(id),
        "confirmations": confirmations(state, id),
        "height": height,
        "time": header.time,
        "mediantime": chain.median_time(id),
        "chainwork": format!("{:064x}", chain.work(id)),
        "nTx": chain.block_of(id).map_or(0, |block| block.txdata.len()),
    });
    chain.head(id).demand().tell(&mut json);
    match &chain.head(id).vision {
        Some(vision) => {
            json["version"] = json!(1);
            json["merkleroot"] = json!(hex::encode(vision.tx_root));
            json["nonce"] = json!(vision.nonce);
            json["miner"] = json!(vision.miner.as_str());
        }
        None => {
            let version = header.version.to_consensus();
            json["version"] = json!(version);
            json["versionHex"] = json!(format!("{version:08x}"));
            json["merkleroot"] = json!(header.merkle_root);
            json["nonce"] = json!(header.nonce);
        }
    }
    if height > 0 {
        json["previousblockhash"] = json!(header.prev_blockhash);
    }
    if chain.is_active(id) && height < state.height() {
        json["nextblockhash"] = json!(chain.hash_at(height + 1));
    }
    json
}
