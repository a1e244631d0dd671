//! Methods that only this node has: faults and reorganisations for tests.

use serde_json::{Value, json};

use super::{
    arguments::{Arguments, as_u32},
    error::RpcError,
};
use crate::{
    fault::{Fault, Faults},
    node::Node,
    wallet::keys::Kind,
};

/// `simnet_fault "slow" {"ms": 500, "methods": ["submitblock"], "times": 1}`, or `"clear"`.
pub(super) fn simnet_fault(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let kind = arguments.required(arguments.text(0)?)?;
    if kind == "clear" {
        node.state().faults = Faults::default();
        return Ok(Value::Null);
    }
    let described = match arguments.object(1)? {
        Some(options) => json!({kind: options}),
        None if kind == "unsynced" => json!(kind),
        None => json!({kind: {}}),
    };
    let fault: Fault = serde_json::from_value(described)
        .map_err(|error| RpcError::invalid(format!("Invalid fault: {error}")))?;
    if node.state().faults.add(fault) {
        return Ok(Value::Null);
    }
    Err(RpcError::invalid(
        "Too many faults in force: clear them first",
    ))
}

/// Leaves the last `depth` blocks for a longer branch of empty ones; gives its hashes.
pub(super) fn simnet_reorganise(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let depth = match arguments.get(0) {
        Some(Value::Object(options)) => options.get("depth"),
        value => value,
    };
    let depth = as_u32(arguments.required(depth)?, "depth")?;
    if depth > node.state().chain.height() {
        return Err(RpcError::invalid("depth is more than the chain is high"));
    }
    let script = node.new_script(Kind::Segwit);
    let hashes = node.reorganise(depth, &script);
    hashes
        .map(|hashes| json!(hashes))
        .map_err(|error| RpcError::new(-1, error.to_string()))
}
