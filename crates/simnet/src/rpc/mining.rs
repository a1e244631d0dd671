//! Templates, submitted blocks, and generating blocks here.

use std::time::Duration;

use bitcoin::{BlockHash, consensus};
use ruint::aliases::U256;
use serde_json::{Value, json};

use super::{
    arguments::{Arguments, as_text, as_u32},
    error::RpcError,
};
use crate::{
    chain::Verdict,
    check::{MAX_BLOCK_SIGOPS, MAX_BLOCK_WEIGHT},
    demand::Demand,
    node::{MAX_GENERATE, Node, SharedNode, now},
    params::Proof,
    sealed::{Head, Sealed},
    target,
    template::VERSION,
};

/// A long poll is answered with a fresh template after this long at the latest.
const MAX_LONG_POLL: Duration = Duration::from_secs(600);
/// Blocks `getnetworkhashps` looks back.
const HASH_RATE_SPAN: u32 = 120;

/// BIP 22, 23 and 145.
pub(super) fn getblocktemplate(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let request = arguments.object(0)?;
    let field = |name: &str| request.and_then(|request| request.get(name));
    let mode = field("mode").map_or(Ok("template"), |mode| {
        mode.as_str()
            .ok_or_else(|| RpcError::invalid("Invalid mode"))
    })?;
    if mode == "proposal" {
        return propose(node, field("data"));
    }
    if mode != "template" {
        return Err(RpcError::invalid("Invalid mode"));
    }
    let state = node.state();
    if state.faults.peers == Some(0) {
        return Err(RpcError::new(-9, "Bitcoin Core is not connected!"));
    }
    if state.faults.unsynced {
        let text = "Bitcoin Core is in initial sync and waiting for blocks...";
        return Err(RpcError::new(-10, text));
    }
    let rules = field("rules").and_then(Value::as_array);
    if !rules.is_some_and(|rules| rules.iter().any(|rule| rule.as_str() == Some("segwit"))) {
        let text = "getblocktemplate must be called with the segwit rule set (call with {\"rules\": [\"segwit\"]})";
        return Err(RpcError::invalid(text));
    }
    let template = state.template();
    let position = |txid| template.entries.iter().position(|entry| entry.txid == txid);
    let transactions: Vec<Value> = template
        .entries
        .iter()
        .map(|entry| {
            let mut depends: Vec<usize> = entry
                .parents
                .iter()
                .filter_map(|txid| position(*txid))
                .map(|i| i + 1)
                .collect();
            depends.sort_unstable();
            json!({
                "data": consensus::encode::serialize_hex(entry.transaction.as_ref()),
                "txid": entry.txid,
                "hash": entry.wtxid,
                "depends": depends,
                "fee": entry.fee,
                "sigops": entry.sigops,
                "weight": entry.weight,
            })
        })
        .collect();
    let changes = *node.pool_changes.borrow();
    let mut json = json!({
        "capabilities": ["proposal"],
        "version": VERSION,
        "rules": ["csv", "!segwit", "taproot"],
        "vbavailable": {},
        "vbrequired": 0,
        "previousblockhash": template.parent,
        "transactions": transactions,
        "coinbaseaux": {},
        "coinbasevalue": template.value,
        "longpollid": format!("{}{changes}", template.parent),
        "mintime": template.min_time,
        "mutable": ["time", "transactions", "prevblock"],
        "sigoplimit": MAX_BLOCK_SIGOPS,
        "sizelimit": MAX_BLOCK_WEIGHT,
        "weightlimit": MAX_BLOCK_WEIGHT,
        "curtime": template.time,
        "height": template.height,
        "default_witness_commitment": template.commitment_script().to_hex_string(),
    });
    let mut demand = json!({});
    template.demand.tell(&mut demand);
    json["target"] = demand["target"].take();
    match (&state.chain.params().proof, template.demand) {
        (Proof::VisionX(vision), Demand::Difficulty(difficulty)) => {
            json["noncerange"] = json!("0000000000000000ffffffffffffffff");
            json["difficulty"] = json!(difficulty);
            json["visionx"] = vision.json();
        }
        _ => {
            json["noncerange"] = json!("00000000ffffffff");
            json["bits"] = demand["bits"].take();
        }
    }
    Ok(json)
}

/// A long poll waits for another tip, or for a changed pool once the refresh time is over.
pub(super) async fn wait_for_template(
    node: &SharedNode,
    arguments: &Arguments,
) -> Result<(), RpcError> {
    let Some(id) = arguments
        .object(0)?
        .and_then(|request| request.get("longpollid"))
    else {
        return Ok(());
    };
    let id = as_text(id)?;
    let (hash, changes) = id.split_at_checked(64).unwrap_or((id, ""));
    // As in Bitcoin Core, an id that is none of ours is answered at once.
    let Ok(hash) = hash.parse::<BlockHash>() else {
        return Ok(());
    };
    let changes = changes.parse::<u64>().unwrap_or(0);
    if node.state().faults.lagging > 0 {
        // A node that lags has no news to wake anybody with.
        tokio::select! {
            () = node.cancel.cancelled() => {}
            () = tokio::time::sleep(node.long_poll_refresh) => {}
        }
        return Ok(());
    }
    let mut tips = node.tip.subscribe();
    let mut pool = node.pool_changes.subscribe();
    let pool_changed = async {
        tokio::time::sleep(node.long_poll_refresh).await;
        pool.wait_for(|count| *count != changes).await.ok();
    };
    tokio::select! {
        () = node.cancel.cancelled() => {}
        () = tokio::time::sleep(MAX_LONG_POLL) => {}
        _ = tips.wait_for(|tip| tip.hash != hash) => {}
        () = pool_changed => {}
    }
    Ok(())
}

pub(super) fn submitblock(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    match node.submit_block(arguments.block(0, node)?) {
        Verdict::Undecodable => Err(RpcError::undecodable("Block decode failed")),
        verdict => Ok(json!(verdict.reason())),
    }
}

pub(super) fn submitheader(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let text = arguments.required(arguments.text(0)?)?;
    let mut state = node.state();
    let head = hex::decode(text)
        .ok()
        .and_then(|bytes| Head::decode(state.chain.params(), &bytes))
        .ok_or_else(|| RpcError::undecodable("Block header decode failed"))?;
    let previous = head.header.prev_blockhash;
    if state.chain.find(&previous).is_none() {
        let text = format!("Must submit previous header ({previous}) first");
        return Err(RpcError::new(-25, text));
    }
    match state.chain.process_header(&head, now()) {
        Ok(()) => Ok(Value::Null),
        Err(reject) => Err(RpcError::new(-25, reject.reason)),
    }
}

pub(super) fn getmininginfo(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let tip = state.tip();
    let mut next = json!({"height": state.height() + 1});
    state.chain.parent(tip).next.tell(&mut next);
    let mut json = json!({
        "blocks": state.height(),
        "networkhashps": hash_rate(&state, HASH_RATE_SPAN, state.height()),
        "pooledtx": state.mempool.len(),
        "blockmintxfee": 0.00000001,
        "chain": "regtest",
        "next": next,
        "warnings": [],
    });
    state.chain.head(tip).demand().tell(&mut json);
    Ok(json)
}

pub(super) fn getnetworkhashps(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let span = match arguments.integer(0)? {
        Some(-1) | None => HASH_RATE_SPAN,
        Some(0) => {
            return Err(RpcError::invalid(
                "Invalid nblocks. Must be a positive number or -1.",
            ));
        }
        Some(_) => as_u32(arguments.required(arguments.get(0))?, "nblocks")?,
    };
    let height = match arguments.integer(1)? {
        Some(-1) | None => state.height(),
        Some(_) => as_u32(arguments.required(arguments.get(1))?, "height")?,
    };
    if height > state.height() {
        return Err(RpcError::invalid(
            "Block does not exist at specified height",
        ));
    }
    Ok(hash_rate(&state, span, height))
}

pub(super) fn generatetoaddress(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let count = as_u32(arguments.required(arguments.get(0))?, "nblocks")?;
    let script = {
        let state = node.state();
        arguments
            .address(1, state.chain.params())
            .map_err(|_| RpcError::not_found("Error: Invalid address"))?
    };
    let tries = match arguments.integer(2)? {
        None => None,
        Some(tries) => {
            let tries = u64::try_from(tries);
            Some(tries.map_err(|_| RpcError::invalid("maxtries must not be negative"))?)
        }
    };
    if count > MAX_GENERATE {
        let text = format!("at most {MAX_GENERATE} blocks can be generated at once");
        return Err(RpcError::invalid(text));
    }
    let hashes = node.generate(count, &script, tries);
    hashes
        .map(|hashes| json!(hashes))
        .map_err(|error| RpcError::new(-1, error.to_string()))
}

fn propose(node: &Node, data: Option<&Value>) -> Result<Value, RpcError> {
    let Some(Value::String(data)) = data else {
        return Err(RpcError::wrong_type("Missing data String key for proposal"));
    };
    let state = node.state();
    let block = hex::decode(data)
        .ok()
        .and_then(|bytes| Sealed::decode(state.chain.params(), &bytes));
    let block = block.ok_or_else(|| RpcError::undecodable("Block decode failed"))?;
    match &state.faults.proposals {
        Some((Some(code), message)) => return Err(RpcError::new(*code, message.clone())),
        Some((None, reason)) => return Ok(json!(reason)),
        None => {}
    }
    match state.chain.propose(&block, now()) {
        Ok(()) => Ok(Value::Null),
        Err(reject) => Ok(json!(reject.reason)),
    }
}

/// Work over time of the last blocks, in whole hashes a second.
fn hash_rate(state: &crate::node::State, span: u32, height: u32) -> Value {
    let first = height.saturating_sub(span);
    let times = (first..=height).filter_map(|height| state.chain.at(height));
    let times: Vec<u32> = times.map(|id| state.chain.header(id).time).collect();
    let (Some(low), Some(high)) = (times.iter().min(), times.iter().max()) else {
        return json!(0);
    };
    if high == low {
        return json!(0);
    }
    let hashes = (first + 1..=height)
        .filter_map(|height| state.chain.at(height))
        .map(|id| state.chain.head(id).demand().hashes())
        .fold(Default::default(), U256::saturating_add);
    let rate = hashes / target::number(high - low);
    json!(u64::try_from(rate).unwrap_or(u64::MAX))
}
