//! Any line gives a pool of Monero's a request or an error that it can answer with a line of JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::cryptonote::{Reason, Request, ServerMessage, reply};

fuzz_target!(|line: &[u8]| {
    let id = match Request::parse(line) {
        Ok(request) => request.id,
        Err(malformed) => malformed.id,
    };
    let mut out = Vec::new();
    reply::refused(&mut out, id, Reason::InvalidMethod);
    let answer = out.strip_suffix(b"\n").unwrap_or(&out);
    assert!(matches!(
        ServerMessage::parse(answer),
        Ok(ServerMessage::Response(_))
    ));
});
