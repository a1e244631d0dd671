//! What a program without a wallet of the node's asks: which coins a descriptor has, and what a
//! transaction should pay.
//!
//! Descriptors are read by miniscript, public keys only: whoever sends a private one to a node has
//! made a mistake that a test should see.

use std::collections::HashMap;

use bitcoin::{NetworkKind, ScriptBuf, hex::DisplayHex as _, secp256k1::Secp256k1};
use miniscript::{Descriptor, DescriptorPublicKey, descriptor::XKeyNetwork};
use serde_json::{Value, json};

use super::{
    arguments::{Arguments, as_integer, as_text},
    error::RpcError,
};
use crate::{money, node::Node};

/// The last script of a range that is not said.
const DEFAULT_LAST: i64 = 1000;
/// A wider range is refused.
const RANGE_MAX: i64 = 1_000_000;
/// Targets of an estimate, in blocks.
const TARGETS: std::ops::RangeInclusive<i64> = 1..=1008;

/// Says as a fresh node does that it has seen too little.
pub(super) fn estimatesmartfee(_: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let target = arguments.required(arguments.integer(0)?)?;
    if !TARGETS.contains(&target) {
        let text = "Invalid conf_target, must be between 1 and 1008";
        return Err(RpcError::invalid(text));
    }
    let told = ["Insufficient data or no feerate found"];
    Ok(json!({"errors": told, "blocks": target.max(2)}))
}

pub(super) fn scantxoutset(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    match arguments.required(arguments.text(0)?)? {
        "start" => {}
        // No scan takes long enough here to be asked about.
        "status" => return Ok(Value::Null),
        "abort" => return Ok(json!(false)),
        action => return Err(RpcError::invalid(format!("Invalid action '{action}'"))),
    }
    let objects = arguments
        .array(1)?
        .ok_or_else(|| RpcError::usage("scanobjects argument is required for the start action"))?;
    let mut needles = HashMap::new();
    for object in objects {
        expand(object, &mut needles)?;
    }
    let state = node.state();
    let chain = &state.chain;
    let mut found: Vec<_> = chain
        .utxo()
        .iter()
        .filter_map(|(outpoint, coin)| {
            let descriptor = needles.get(&coin.output.script_pubkey)?;
            Some((outpoint, coin, descriptor))
        })
        .collect();
    found.sort_by_key(|(outpoint, ..)| **outpoint);
    let total = found
        .iter()
        .map(|(_, coin, _)| coin.output.value.to_sat())
        .sum();
    let unspents: Vec<Value> = found
        .into_iter()
        .map(|(outpoint, coin, descriptor)| {
            json!({
                "txid": outpoint.txid,
                "vout": outpoint.vout,
                "scriptPubKey": coin.output.script_pubkey.as_bytes().to_lower_hex_string(),
                "desc": descriptor,
                "amount": money::coins(coin.output.value.to_sat()),
                "coinbase": coin.coinbase,
                "height": coin.height,
                "blockhash": chain.hash_at(coin.height),
                "confirmations": chain.height() - coin.height + 1,
            })
        })
        .collect();
    Ok(json!({
        "success": true,
        "txouts": chain.utxo().total().0,
        "height": chain.height(),
        "bestblock": chain.tip_hash(),
        "unspents": unspents,
        "total_amount": money::coins(total),
    }))
}

/// Adds the scripts of a scan object, each with its descriptor.
fn expand(object: &Value, scripts: &mut HashMap<ScriptBuf, String>) -> Result<(), RpcError> {
    let (text, range) = match object {
        Value::String(text) => (text.as_str(), None),
        Value::Object(fields) => {
            let text = fields.get("desc").ok_or_else(|| {
                RpcError::invalid("Descriptor needs to be provided in scan object")
            })?;
            (as_text(text)?, fields.get("range"))
        }
        _ => {
            let text = "Scan object needs to be either a string or an object";
            return Err(RpcError::invalid(text));
        }
    };
    let descriptor: Descriptor<DescriptorPublicKey> = text
        .parse()
        .map_err(|error: miniscript::Error| RpcError::not_found(error.to_string()))?;
    if descriptor.xkey_network() == XKeyNetwork::Single(NetworkKind::Main) {
        return Err(RpcError::not_found("key is not valid"));
    }
    let (first, last) = match (descriptor.has_wildcard(), range) {
        // Core takes a range for one script too, and uses it once.
        (false, _) => (0, 0),
        (true, range) => range.map_or(Ok((0, DEFAULT_LAST)), as_range)?,
    };
    let secp = Secp256k1::verification_only();
    for index in first..=last {
        let index = u32::try_from(index).map_err(|_| RpcError::invalid("Range is too large"))?;
        let definite = descriptor
            .derived_descriptor(&secp, index)
            .map_err(|_| RpcError::not_found("Cannot derive script without private keys"))?;
        scripts.insert(definite.script_pubkey(), definite.to_string());
    }
    Ok(())
}

fn as_range(range: &Value) -> Result<(i64, i64), RpcError> {
    let (first, last) = match range {
        Value::Array(ends) => match ends.as_slice() {
            [first, last] => (as_integer(first)?, as_integer(last)?),
            _ => {
                let text = "Range must have exactly two entries, begin and end";
                return Err(RpcError::invalid(text));
            }
        },
        last => (0, as_integer(last)?),
    };
    match () {
        () if first < 0 => Err(RpcError::invalid("Range should be greater or equal than 0")),
        () if last < first => Err(RpcError::invalid(
            "Range specified as [begin,end] must not have begin after end",
        )),
        () if last >> 31 != 0 => Err(RpcError::invalid("End of range is too high")),
        () if last >= first + RANGE_MAX => Err(RpcError::invalid("Range is too large")),
        () => Ok((first, last)),
    }
}
