//! The parameters of one call, by position or by name, each read as what it must be.
//!
//! A missing or null parameter is `None`; a wrong type is error -3, a wrong form -8, as in Bitcoin
//! Core. Nothing here panics on any JSON.

use bitcoin::{BlockHash, ScriptBuf, Transaction, Txid};
use serde_json::{Map, Value};

use super::{error::RpcError, methods::Method};
use crate::{address, decode, money, node::Node, params::Params, sealed::Sealed};

#[derive(Debug)]
pub(crate) struct Arguments {
    usage: String,
    values: Vec<Value>,
}

impl Arguments {
    /// Puts the parameters into the method's order and checks their number.
    pub(crate) fn new(method: &Method, params: Value) -> Result<Self, RpcError> {
        let usage = method.usage();
        let values = match params {
            Value::Array(values) => values,
            Value::Object(named) => by_name(method, named)?,
            _ => Vec::new(),
        };
        let required = values
            .iter()
            .take(method.required)
            .filter(|value| !value.is_null());
        if values.len() > method.parameters.len() || required.count() < method.required {
            return Err(RpcError::usage(usage));
        }
        Ok(Self { usage, values })
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(index).filter(|value| !value.is_null())
    }

    pub(crate) fn required<T>(&self, value: Option<T>) -> Result<T, RpcError> {
        value.ok_or_else(|| RpcError::usage(self.usage.clone()))
    }

    pub(crate) fn text(&self, index: usize) -> Result<Option<&str>, RpcError> {
        self.get(index).map(|value| as_text(value)).transpose()
    }

    pub(crate) fn integer(&self, index: usize) -> Result<Option<i64>, RpcError> {
        self.get(index).map(as_integer).transpose()
    }

    pub(crate) fn flag(&self, index: usize) -> Result<Option<bool>, RpcError> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| wrong_type(value, "bool"));
        self.get(index).map(flag).transpose()
    }

    pub(crate) fn object(&self, index: usize) -> Result<Option<&Map<String, Value>>, RpcError> {
        let object = |value| Value::as_object(value).ok_or_else(|| wrong_type(value, "object"));
        self.get(index).map(object).transpose()
    }

    pub(crate) fn array(&self, index: usize) -> Result<Option<&Vec<Value>>, RpcError> {
        let array = |value| Value::as_array(value).ok_or_else(|| wrong_type(value, "array"));
        self.get(index).map(array).transpose()
    }

    /// A verbosity: a number, or a flag that stands for 0 and 1.
    pub(crate) fn verbosity(&self, index: usize, default: i64) -> Result<i64, RpcError> {
        match self.get(index) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(i64::from(*flag)),
            Some(value) => as_integer(value),
        }
    }

    pub(crate) fn block_hash(&self, index: usize, name: &str) -> Result<BlockHash, RpcError> {
        let text = self.required(self.text(index)?)?;
        text.parse().map_err(|_| not_a_hash(name, text))
    }

    pub(crate) fn txid(&self, index: usize, name: &str) -> Result<Txid, RpcError> {
        let text = self.required(self.text(index)?)?;
        text.parse().map_err(|_| not_a_hash(name, text))
    }

    /// A block as this chain writes them.
    pub(crate) fn block(&self, index: usize, node: &Node) -> Result<Sealed, RpcError> {
        let text = self.required(self.text(index)?)?;
        let block = hex::decode(text)
            .ok()
            .and_then(|bytes| Sealed::decode(node.state().chain.params(), &bytes));
        block.ok_or_else(|| RpcError::undecodable("Block decode failed"))
    }

    pub(crate) fn transaction(&self, index: usize) -> Result<Transaction, RpcError> {
        as_transaction(self.required(self.text(index)?)?)
    }

    /// A transaction that may lack inputs, to be funded or looked at.
    pub(crate) fn draft(&self, index: usize) -> Result<Transaction, RpcError> {
        let text = self.required(self.text(index)?)?;
        let draft = hex::decode(text)
            .ok()
            .and_then(|bytes| decode::draft(&bytes));
        draft.ok_or_else(|| RpcError::undecodable("TX decode failed"))
    }

    pub(crate) fn address(&self, index: usize, params: &Params) -> Result<ScriptBuf, RpcError> {
        as_address(self.required(self.text(index)?)?, params)
    }

    pub(crate) fn amount(&self, index: usize) -> Result<u64, RpcError> {
        as_amount(self.required(self.get(index))?)
    }
}

pub(crate) fn as_text(value: &Value) -> Result<&str, RpcError> {
    value.as_str().ok_or_else(|| wrong_type(value, "string"))
}

pub(crate) fn as_integer(value: &Value) -> Result<i64, RpcError> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .ok_or_else(|| RpcError::usage("JSON integer out of range")),
        _ => Err(wrong_type(value, "number")),
    }
}

/// A number that fits `u32`, or error -8 with the name of what it is.
pub(crate) fn as_u32(value: &Value, name: &str) -> Result<u32, RpcError> {
    u32::try_from(as_integer(value)?)
        .map_err(|_| RpcError::invalid(format!("Invalid parameter, {name} is out of range")))
}

pub(crate) fn as_amount(value: &Value) -> Result<u64, RpcError> {
    if !value.is_number() && !value.is_string() {
        return Err(RpcError::wrong_type("Amount is not a number or string"));
    }
    money::from_json(value).ok_or_else(|| RpcError::wrong_type("Invalid amount"))
}

pub(crate) fn as_transaction(text: &str) -> Result<Transaction, RpcError> {
    let transaction = hex::decode(text)
        .ok()
        .and_then(|bytes| decode::transaction(&bytes));
    transaction.ok_or_else(|| {
        RpcError::undecodable("TX decode failed. Make sure the tx has at least one input.")
    })
}

pub(crate) fn as_address(text: &str, params: &Params) -> Result<ScriptBuf, RpcError> {
    address::decode(params, text)
        .ok_or_else(|| RpcError::not_found(format!("Invalid Bitcoin address: {text}")))
}

fn by_name(method: &Method, mut named: Map<String, Value>) -> Result<Vec<Value>, RpcError> {
    let values = method
        .parameters
        .iter()
        .map(|name| named.remove(*name).unwrap_or(Value::Null))
        .collect();
    match named.keys().next() {
        Some(unknown) => Err(RpcError::invalid(format!(
            "Unknown named parameter {unknown}"
        ))),
        None => Ok(values),
    }
}

fn not_a_hash(name: &str, text: &str) -> RpcError {
    if text.len() == 64 {
        return RpcError::invalid(format!("{name} must be hexadecimal string (not '{text}')"));
    }
    let length = text.len();
    RpcError::invalid(format!(
        "{name} must be of length 64 (not {length}, for '{}')",
        start(text)
    ))
}

/// The first characters of what somebody sent, for an error text of bounded length.
fn start(text: &str) -> String {
    text.chars().take(100).collect()
}

fn wrong_type(value: &Value, expected: &str) -> RpcError {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let text = format!("JSON value of type {found} is not of expected type {expected}");
    RpcError::wrong_type(text)
}
