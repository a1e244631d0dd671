//! What a pool says to a miner, except for its jobs.
//!
//! Each function appends one line to `out`, newline included. An id is echoed as it came. `result` and
//! `error` are objects, or else XMRig passes over them.

use super::job::{Extensions, Job};
use super::reason::Reason;
use crate::id::Id;
use crate::json::push_string;

/// The answer to `login`: the session's name and the first job.
pub fn logged_in(
    out: &mut Vec<u8>,
    id: Id<'_>,
    session: &str,
    job: &Job<'_>,
    extensions: Extensions,
) {
    begin(out, id);
    out.extend_from_slice(br#""error":null,"result":{"id":"#);
    push_string(out, session);
    out.extend_from_slice(br#","job":"#);
    job.push(out);
    out.extend_from_slice(br#","extensions":["#);
    for (place, name) in extensions.names().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        push_string(out, name);
    }
    out.extend_from_slice(b"],\"status\":\"OK\"}}\n");
}

/// A share was accepted.
pub fn accepted(out: &mut Vec<u8>, id: Id<'_>) {
    status(out, id, "OK");
}

/// The answer to a sign of life.
pub fn kept_alive(out: &mut Vec<u8>, id: Id<'_>) {
    status(out, id, "KEEPALIVED");
}

/// The answer to `getjob`; `null` where the miner has the newest one, for a job that is given twice
/// makes it hang up.
pub fn job(out: &mut Vec<u8>, id: Id<'_>, job: Option<&Job<'_>>) {
    begin(out, id);
    out.extend_from_slice(br#""error":null,"result":"#);
    match job {
        Some(job) => job.push(out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b"}\n");
}

/// A request is refused.
pub fn refused(out: &mut Vec<u8>, id: Id<'_>, reason: Reason) {
    error(out, id, reason.text());
}

/// A request is refused with more to say than a [`Reason`] does: `text` should begin with one.
pub fn error(out: &mut Vec<u8>, id: Id<'_>, text: &str) {
    begin(out, id);
    out.extend_from_slice(br#""error":{"code":-1,"message":"#);
    push_string(out, text);
    out.extend_from_slice(b"}}\n");
}

/// Hang up and go to another host; only for a miner that was told of the extension. The port is a
/// string, too.
pub fn reconnect_to(out: &mut Vec<u8>, host: &str, port: u16) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","method":"client.reconnect","params":["#);
    push_string(out, host);
    out.push(b',');
    push_string(out, &port.to_string());
    out.extend_from_slice(b"]}\n");
}

fn status(out: &mut Vec<u8>, id: Id<'_>, status: &str) {
    begin(out, id);
    out.extend_from_slice(br#""error":null,"result":{"status":"#);
    push_string(out, status);
    out.extend_from_slice(b"}}\n");
}

fn begin(out: &mut Vec<u8>, id: Id<'_>) {
    out.extend_from_slice(br#"{"id":"#);
    out.extend_from_slice(id.as_str().as_bytes());
    out.extend_from_slice(br#","jsonrpc":"2.0","#);
}
