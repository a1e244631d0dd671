//! What a miner or a proxy says to a pool.
//!
//! Each function appends one line to `out`, newline included. The ids are numbers of the caller's
//! choice, by which it knows the [`Response`](super::Response).

use crate::hex;
use crate::json::{push_integer, push_string};

/// Who logs in. What is `None` or empty is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials<'a> {
    pub login: &'a str,
    pub password: &'a str,
    pub agent: &'a str,
    pub rig: Option<&'a str>,
    pub algorithms: &'a [&'a str],
}

/// A share in the words of the pool that gave the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    pub session: &'a str,
    pub job_id: &'a str,
    pub nonce: [u8; 4],
    pub result: [u8; 32],
    /// Only where the pool knows the extension.
    pub algorithm: Option<&'a str>,
    /// Only with `rx/2`.
    pub commitment: Option<[u8; 32]>,
}

pub fn login(out: &mut Vec<u8>, id: u64, credentials: &Credentials<'_>) {
    begin(out, id, "login");
    out.extend_from_slice(br#""login":"#);
    push_string(out, credentials.login);
    out.extend_from_slice(br#","pass":"#);
    push_string(out, credentials.password);
    out.extend_from_slice(br#","agent":"#);
    push_string(out, credentials.agent);
    if let Some(rig) = credentials.rig {
        out.extend_from_slice(br#","rigid":"#);
        push_string(out, rig);
    }
    if !credentials.algorithms.is_empty() {
        out.extend_from_slice(br#","algo":["#);
        for (place, name) in credentials.algorithms.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            push_string(out, name);
        }
        out.push(b']');
    }
    end(out);
}

pub fn submit(out: &mut Vec<u8>, id: u64, share: &Share<'_>) {
    begin(out, id, "submit");
    out.extend_from_slice(br#""id":"#);
    push_string(out, share.session);
    out.extend_from_slice(br#","job_id":"#);
    push_string(out, share.job_id);
    out.extend_from_slice(br#","nonce":""#);
    hex::push(out, &share.nonce);
    out.extend_from_slice(br#"","result":""#);
    hex::push(out, &share.result);
    out.push(b'"');
    if let Some(algorithm) = share.algorithm {
        out.extend_from_slice(br#","algo":"#);
        push_string(out, algorithm);
    }
    if let Some(commitment) = &share.commitment {
        out.extend_from_slice(br#","commitment":""#);
        hex::push(out, commitment);
        out.push(b'"');
    }
    end(out);
}

/// Only where the pool knows the extension.
pub fn keep_alive(out: &mut Vec<u8>, id: u64, session: &str) {
    of_session(out, id, "keepalived", session);
}

pub fn get_job(out: &mut Vec<u8>, id: u64, session: &str) {
    of_session(out, id, "getjob", session);
}

fn of_session(out: &mut Vec<u8>, id: u64, method: &str, session: &str) {
    begin(out, id, method);
    out.extend_from_slice(br#""id":"#);
    push_string(out, session);
    end(out);
}

fn begin(out: &mut Vec<u8>, id: u64, method: &str) {
    out.extend_from_slice(br#"{"id":"#);
    push_integer(out, id);
    out.extend_from_slice(br#","jsonrpc":"2.0","method":"#);
    push_string(out, method);
    out.extend_from_slice(br#","params":{"#);
}

fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}}\n");
}
