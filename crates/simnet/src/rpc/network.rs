//! The node itself: version, connections, ZMQ, help, stop.

use serde_json::{Value, json};

use super::{arguments::Arguments, error::RpcError, methods::METHODS};
use crate::{address, mempool::MIN_FEE_RATE, money, node::Node};

/// The Bitcoin Core whose answers these are.
const VERSION: u32 = 310_000;
/// Connections the node reports; it has no network, but pools refuse a node without peers.
const CONNECTIONS: u32 = 8;

pub(super) fn getnetworkinfo(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let connections = state.faults.peers.unwrap_or(CONNECTIONS);
    Ok(json!({
        "version": state.faults.version.unwrap_or(VERSION),
        "subversion": "/adit-simnet:0.1/",
        "protocolversion": 70016,
        "localservices": "0000000000000409",
        "localservicesnames": ["NETWORK", "WITNESS", "NETWORK_LIMITED"],
        "localrelay": true,
        "timeoffset": 0,
        "networkactive": true,
        "connections": connections,
        "connections_in": 0,
        "connections_out": connections,
        "networks": [],
        "relayfee": money::coins(MIN_FEE_RATE),
        "incrementalfee": money::coins(MIN_FEE_RATE),
        "localaddresses": [],
        "warnings": [],
    }))
}

pub(super) fn getconnectioncount(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    Ok(json!(node.state().faults.peers.unwrap_or(CONNECTIONS)))
}

pub(super) fn getpeerinfo(_: &Node, _: &Arguments) -> Result<Value, RpcError> {
    Ok(json!([]))
}

pub(super) fn ping(_: &Node, _: &Arguments) -> Result<Value, RpcError> {
    Ok(Value::Null)
}

pub(super) fn getzmqnotifications(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    let notifications = node.zmq_endpoint.iter().map(
        |address| json!({"type": "pubhashblock", "address": address, "hwm": crate::zmq::QUEUE}),
    );
    Ok(notifications.collect())
}

pub(super) fn uptime(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    Ok(json!(node.started.elapsed().as_secs()))
}

pub(super) fn help(_: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let Some(command) = arguments.text(0)? else {
        let lines: Vec<String> = METHODS.iter().map(super::methods::Method::usage).collect();
        return Ok(json!(lines.join("\n")));
    };
    match METHODS.iter().find(|method| method.name == command) {
        Some(method) => Ok(json!(method.usage())),
        None => {
            let start: String = command.chars().take(100).collect();
            Ok(json!(format!("help: unknown command: {start}\n")))
        }
    }
}

/// Ends this node.
pub(super) fn stop(node: &Node, _: &Arguments) -> Result<Value, RpcError> {
    node.cancel.cancel();
    Ok(json!("adit simnet stopping"))
}

pub(super) fn validateaddress(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let text = arguments.required(arguments.text(0)?)?;
    let state = node.state();
    let Some(script) = address::decode(state.chain.params(), text) else {
        let error = "Invalid or unsupported Segwit (Bech32) or Base58 encoding.";
        return Ok(json!({"isvalid": false, "error_locations": [], "error": error}));
    };
    let mut json = json!({
        "isvalid": true,
        "address": address::encode(state.chain.params(), &script),
        "scriptPubKey": script.to_hex_string(),
        "isscript": script.is_p2sh() || script.is_p2wsh() || script.is_p2tr(),
        "iswitness": script.is_witness_program(),
    });
    if let Some(version) = script.witness_version() {
        json["witness_version"] = json!(version.to_num());
        json["witness_program"] = json!(hex::encode(&script.as_bytes()[2..]));
    }
    Ok(json)
}
