//! Any body is a registration, a share, a call of JSON-RPC, or an error that says why; what is read says the same
//! again, and a call is answered by JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::work::{ID_LEN_MAX, Register, Spoken, SubmitShare, Written};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(asked) = Register::parse(bytes) {
        let length = asked.worker_id.chars().count();
        assert!((1..=ID_LEN_MAX).contains(&length));
        assert!(!asked.worker_id.chars().any(char::is_control));
    }
    if let Ok(share) = SubmitShare::parse(bytes)
        && let Ok(Written(hash)) = share.hash()
    {
        let again: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Written::parse(&again), Ok(Written(hash)));
        let digits = share.hash.strip_prefix("0x").unwrap_or(&share.hash);
        assert!(digits.eq_ignore_ascii_case(&again));
    }
    if let Ok(Spoken::JsonRpc(call)) = Spoken::of(bytes) {
        // What is in fields that nobody knows may be no text.
        let text = String::from_utf8_lossy(bytes);
        assert!(text.contains("jsonrpc") || text.contains('\\'));
        // An answer has no method, so that as a body it is no call, but of the same id.
        let answer = call.refused();
        let Ok(Spoken::JsonRpc(again)) = Spoken::of(answer.as_bytes()) else {
            panic!("{answer}");
        };
        let (_, id) = answer.split_once("},").unwrap();
        assert!(again.method().is_none() && again.refused().ends_with(id));
    }
});
