//! What a pool says to a miner, except for its jobs.
//!
//! Each function appends one line to `out`, newline included, so that the answers of a batch leave
//! in one write. An id is echoed as it came. On success `error` is `null` and never left out, for
//! NerdMiner and ESP-Miner look at it first.

use super::configure::Granted;
use super::difficulty::Difficulty;
use crate::hex;
use crate::id::Id;
use crate::json::{push_integer, push_string};

/// A code and a text that firmware explains to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReply<'a> {
    pub code: i32,
    pub text: &'a str,
}

/// The answer to `mining.subscribe`. Nothing may be sent before it, and AxeOS looks for the words
/// `mining.notify` in the first kilobyte.
pub fn subscribed(
    out: &mut Vec<u8>,
    id: Id<'_>,
    session: &str,
    extranonce1: &[u8],
    extranonce2_size: usize,
) {
    begin(out, id);
    out.extend_from_slice(br#"[[["mining.set_difficulty","#);
    push_string(out, session);
    out.extend_from_slice(br#"],["mining.notify","#);
    push_string(out, session);
    out.extend_from_slice(br#"]],""#);
    hex::push(out, extranonce1);
    out.extend_from_slice(br#"","#);
    push_size(out, extranonce2_size);
    out.extend_from_slice(b"],\"error\":null}\n");
}

/// `true` or `false` with no error, as to `mining.authorize` or an accepted share.
pub fn boolean(out: &mut Vec<u8>, id: Id<'_>, result: bool) {
    begin(out, id);
    push_boolean(out, result);
    out.extend_from_slice(b",\"error\":null}\n");
}

/// The answer to `mining.ping`.
pub fn pong(out: &mut Vec<u8>, id: Id<'_>) {
    begin(out, id);
    out.extend_from_slice(b"\"pong\",\"error\":null}\n");
}

/// The answer to `mining.get_transactions`: none.
pub fn no_transactions(out: &mut Vec<u8>, id: Id<'_>) {
    begin(out, id);
    out.extend_from_slice(b"[],\"error\":null}\n");
}

/// A request that could not be read or is not known: `result` is `null`.
pub fn error(out: &mut Vec<u8>, id: Id<'_>, error: &ErrorReply<'_>) {
    begin(out, id);
    out.extend_from_slice(b"null");
    push_error(out, error);
    out.extend_from_slice(b"}\n");
}

/// A request that was read and denied, as a share: `result` is `false`, and the text comes a second
/// time where cgminer, bfgminer and ESP-Miner look for it.
pub fn reject(out: &mut Vec<u8>, id: Id<'_>, error: &ErrorReply<'_>) {
    begin(out, id);
    out.extend_from_slice(b"false");
    push_error(out, error);
    out.extend_from_slice(br#","reject-reason":"#);
    push_string(out, error.text);
    out.extend_from_slice(b"}\n");
}

/// The answer to `mining.configure`.
pub fn configured(out: &mut Vec<u8>, id: Id<'_>, granted: &Granted) {
    begin(out, id);
    out.push(b'{');
    let mut answer = |name: &str, granted: bool| {
        if !out.ends_with(b"{") {
            out.push(b',');
        }
        push_string(out, name);
        out.push(b':');
        push_boolean(out, granted);
    };
    if let Some(granted) = granted.minimum_difficulty {
        answer("minimum-difficulty", granted);
    }
    if let Some(granted) = granted.subscribe_extranonce {
        answer("subscribe-extranonce", granted);
    }
    if let Some(granted) = granted.info {
        answer("info", granted);
    }
    if let Some(mask) = granted.version_rolling {
        answer("version-rolling", mask != 0);
        out.extend_from_slice(br#","version-rolling.mask":""#);
        hex::push_u32(out, mask);
        out.push(b'"');
    }
    out.extend_from_slice(b"},\"error\":null}\n");
}

/// Holds from the next job on.
pub fn set_difficulty(out: &mut Vec<u8>, difficulty: Difficulty) {
    out.extend_from_slice(br#"{"id":null,"method":"mining.set_difficulty","params":["#);
    difficulty.push(out);
    out.extend_from_slice(b"]}\n");
}

/// Only for a miner that has sent `mining.configure`.
pub fn set_version_mask(out: &mut Vec<u8>, mask: u32) {
    out.extend_from_slice(br#"{"id":null,"method":"mining.set_version_mask","params":[""#);
    hex::push_u32(out, mask);
    out.extend_from_slice(b"\"]}\n");
}

/// Holds from the next job on; only for a miner that has subscribed to it.
pub fn set_extranonce(out: &mut Vec<u8>, extranonce1: &[u8], extranonce2_size: usize) {
    out.extend_from_slice(br#"{"id":null,"method":"mining.set_extranonce","params":[""#);
    hex::push(out, extranonce1);
    out.extend_from_slice(b"\",");
    push_size(out, extranonce2_size);
    out.extend_from_slice(b"]}\n");
}

/// A text for whoever looks at the miner; AxeOS shows 256 characters.
pub fn show_message(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(br#"{"id":null,"method":"client.show_message","params":["#);
    push_string(out, text);
    out.extend_from_slice(b"]}\n");
}

/// Hang up and come back.
pub fn reconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":null,\"method\":\"client.reconnect\",\"params\":[]}\n");
}

/// Hang up and go to another host after `wait` seconds; cgminer follows only within one domain.
pub fn reconnect_to(out: &mut Vec<u8>, host: &str, port: u16, wait: u32) {
    out.extend_from_slice(br#"{"id":null,"method":"client.reconnect","params":["#);
    push_string(out, host);
    out.push(b',');
    push_integer(out, port.into());
    out.push(b',');
    push_integer(out, wait.into());
    out.extend_from_slice(b"]}\n");
}

/// Asks for a sign of life; the answer reads as [`ClientMessage::Response`](super::ClientMessage).
pub fn ping(out: &mut Vec<u8>, id: u64) {
    ask(out, id, "mining.ping");
}

/// Asks for the firmware's name; the answer reads as a response, too.
pub fn get_version(out: &mut Vec<u8>, id: u64) {
    ask(out, id, "client.get_version");
}

fn ask(out: &mut Vec<u8>, id: u64, method: &str) {
    out.extend_from_slice(br#"{"id":"#);
    push_integer(out, id);
    out.extend_from_slice(br#","method":"#);
    push_string(out, method);
    out.extend_from_slice(b",\"params\":[]}\n");
}

fn begin(out: &mut Vec<u8>, id: Id<'_>) {
    out.extend_from_slice(br#"{"id":"#);
    out.extend_from_slice(id.as_str().as_bytes());
    out.extend_from_slice(br#","result":"#);
}

fn push_error(out: &mut Vec<u8>, error: &ErrorReply<'_>) {
    out.extend_from_slice(br#","error":["#);
    if error.code < 0 {
        out.push(b'-');
    }
    push_integer(out, error.code.unsigned_abs().into());
    out.push(b',');
    push_string(out, error.text);
    out.extend_from_slice(b",null]");
}

fn push_boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn push_size(out: &mut Vec<u8>, size: usize) {
    push_integer(out, u64::try_from(size).unwrap_or(u64::MAX));
}
