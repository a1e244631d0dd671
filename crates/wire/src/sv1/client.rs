//! What a miner or a proxy says to a pool.
//!
//! Each function appends one line to `out`, newline included. The ids are numbers of the caller's
//! choice, by which it knows the [`Response`](super::Response).

use super::difficulty::Difficulty;
use crate::hex;
use crate::id::Id;
use crate::json::{push_integer, push_string};

/// A share in the words of the pool that gave the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    pub worker: &'a str,
    pub job_id: &'a str,
    pub extranonce2: &'a [u8],
    pub ntime: u32,
    pub nonce: u32,
    /// Which of the negotiated bits are set; `None` if none were negotiated.
    pub version_bits: Option<u32>,
}

/// Bits that may be rolled are asked for, two at least, as cgminer does.
pub fn configure(out: &mut Vec<u8>, id: u64, mask: u32) {
    begin(out, id, "mining.configure");
    out.extend_from_slice(br#"["version-rolling"],{"version-rolling.mask":""#);
    hex::push_u32(out, mask);
    out.extend_from_slice(br#"","version-rolling.min-bit-count":2}"#);
    end(out);
}

/// `session` is what an earlier subscription to this pool was called.
pub fn subscribe(out: &mut Vec<u8>, id: u64, agent: &str, session: Option<&str>) {
    begin(out, id, "mining.subscribe");
    push_string(out, agent);
    if let Some(session) = session {
        out.push(b',');
        push_string(out, session);
    }
    end(out);
}

pub fn authorize(out: &mut Vec<u8>, id: u64, user: &str, password: &str) {
    begin(out, id, "mining.authorize");
    push_string(out, user);
    out.push(b',');
    push_string(out, password);
    end(out);
}

pub fn suggest_difficulty(out: &mut Vec<u8>, id: u64, difficulty: Difficulty) {
    begin(out, id, "mining.suggest_difficulty");
    difficulty.push(out);
    end(out);
}

pub fn extranonce_subscribe(out: &mut Vec<u8>, id: u64) {
    begin(out, id, "mining.extranonce.subscribe");
    end(out);
}

pub fn submit(out: &mut Vec<u8>, id: u64, share: &Share<'_>) {
    begin(out, id, "mining.submit");
    push_string(out, share.worker);
    out.push(b',');
    push_string(out, share.job_id);
    out.extend_from_slice(br#",""#);
    hex::push(out, share.extranonce2);
    out.push(b'"');
    for number in [Some(share.ntime), Some(share.nonce), share.version_bits]
        .into_iter()
        .flatten()
    {
        out.extend_from_slice(br#",""#);
        hex::push_u32(out, number);
        out.push(b'"');
    }
    end(out);
}

/// The answer to [`ServerMessage::Ping`](super::ServerMessage::Ping).
pub fn pong(out: &mut Vec<u8>, id: Id<'_>) {
    answer(out, id, "pong");
}

/// The answer to [`ServerMessage::GetVersion`](super::ServerMessage::GetVersion).
pub fn version(out: &mut Vec<u8>, id: Id<'_>, agent: &str) {
    answer(out, id, agent);
}

fn answer(out: &mut Vec<u8>, id: Id<'_>, text: &str) {
    out.extend_from_slice(br#"{"id":"#);
    out.extend_from_slice(id.as_str().as_bytes());
    out.extend_from_slice(br#","result":"#);
    push_string(out, text);
    out.extend_from_slice(b",\"error\":null}\n");
}

fn begin(out: &mut Vec<u8>, id: u64, method: &str) {
    out.extend_from_slice(br#"{"id":"#);
    push_integer(out, id);
    out.extend_from_slice(br#","method":"#);
    push_string(out, method);
    out.extend_from_slice(br#","params":["#);
}

fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"]}\n");
}
