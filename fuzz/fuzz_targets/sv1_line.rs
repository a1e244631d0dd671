//! Any line gives a pool a request or an error that it can answer with a line of JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::sv1::reply::{self, ErrorReply};
use wire::sv1::{Request, ServerMessage};

fuzz_target!(|line: &[u8]| {
    let id = match Request::parse(line) {
        Ok(request) => request.id,
        Err(malformed) => malformed.id,
    };
    assert_eq!(id.to_owned().as_id(), id);
    let mut out = Vec::new();
    reply::reject(
        &mut out,
        id,
        &ErrorReply {
            code: 20,
            text: "Malformed",
        },
    );
    let answer = out.strip_suffix(b"\n").unwrap_or(&out);
    assert!(matches!(
        ServerMessage::parse(answer),
        Ok(ServerMessage::Response(_))
    ));
});
