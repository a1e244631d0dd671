//! Errors as Bitcoin Core numbers them (rpc/protocol.h).

use std::borrow::Cow;

use serde_json::{Value, json};

/// A JSON-RPC error: a code and a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcError {
    pub(crate) code: i32,
    pub(crate) message: Cow<'static, str>,
}

impl RpcError {
    pub(crate) fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn invalid_request(message: &'static str) -> Self {
        Self::new(-32600, message)
    }

    pub(crate) fn method_not_found() -> Self {
        Self::new(-32601, "Method not found")
    }

    /// RPC_MISC_ERROR: how the method is called.
    pub(crate) fn usage(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-1, message)
    }

    /// RPC_TYPE_ERROR.
    pub(crate) fn wrong_type(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-3, message)
    }

    /// RPC_INVALID_ADDRESS_OR_KEY, also used for what is not found.
    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-5, message)
    }

    /// RPC_INVALID_PARAMETER.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-8, message)
    }

    /// RPC_DESERIALIZATION_ERROR.
    pub(crate) fn undecodable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-22, message)
    }

    /// The HTTP status of a JSON-RPC 1.0 answer.
    pub(crate) fn status(&self) -> u16 {
        match self.code {
            -32600 => 400,
            -32601 => 404,
            _ => 500,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({"code": self.code, "message": self.message})
    }
}
