//! How a family of daemons writes its requests and replies.
//!
//! Called by [`rpc`](super::rpc). An error that a daemon tells becomes a [`CallError`] by what its
//! number means in that family.

use axum::body::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

use super::rpc::{CallError, cut};

/// A family of daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Bitcoin Core's: JSON-RPC 1.0 at the url itself, with a plain login or a cookie.
    Core,
    /// That of Monero's daemon and wallet: JSON-RPC 2.0 at `/json_rpc` and plain JSON at other paths,
    /// with a digest login. The two programs do not mean the same by a number, so all errors are a
    /// [`CallError::Rpc`].
    Monero,
}

/// The error object of a reply.
#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
    #[serde(default)]
    message: String,
}

/// A reply. `result` tells a missing one from a null.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Reply<T> {
    #[serde(default = "none", deserialize_with = "present")]
    result: Option<T>,
    #[serde(default)]
    error: Option<ErrorObject>,
}

fn none<T>() -> Option<T> {
    None
}

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: P,
}

/// From this size on a reply is parsed on a thread where it holds up nobody.
pub(super) const LARGE: usize = 64 * 1024;

impl Dialect {
    /// The body of a request.
    pub(super) fn request(self, id: u64, method: &str, params: impl Serialize) -> Bytes {
        json_of(Request {
            jsonrpc: match self {
                Self::Core => "1.0",
                Self::Monero => "2.0",
            },
            id,
            method,
            params,
        })
    }

    /// The result in a reply.
    pub(super) fn parse<'de, T: Deserialize<'de>>(self, body: &'de [u8]) -> Result<T, CallError> {
        // Errors first: theirs have a null for a result, which few results can be read from.
        if body.len() < LARGE
            && let Ok(Reply {
                error: Some(error), ..
            }) = serde_json::from_slice::<Reply<serde::de::IgnoredAny>>(body)
        {
            return Err(self.error(&error));
        }
        let reply: Reply<T> = plain(body)?;
        if let Some(error) = reply.error {
            return Err(self.error(&error));
        }
        reply
            .result
            .ok_or_else(|| CallError::Malformed("neither result nor error".to_owned()))
    }

    fn error(self, error: &ErrorObject) -> CallError {
        let message = cut(&error.message);
        match (self, error.code) {
            (Self::Core, -28) => CallError::WarmingUp(message),
            (Self::Core, -9) => CallError::NotConnected(message),
            (Self::Core, -10) => CallError::InitialDownload(message),
            (_, code) => CallError::Rpc { code, message },
        }
    }
}

/// The body of a request to Core's family.
pub(super) fn request(id: u64, method: &str, params: impl Serialize) -> Bytes {
    Dialect::Core.request(id, method, params)
}

/// The result in a reply of Core's family.
pub(super) fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, CallError> {
    Dialect::Core.parse(body)
}

/// A reply that is nothing but what it says.
pub(super) fn plain<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|failure| CallError::Malformed(cut(&failure.to_string())))
}

/// A body.
pub(super) fn json_of(value: impl Serialize) -> Bytes {
    serde_json::to_vec(&value)
        .expect("requests have string keys and no failing fields")
        .into()
}
