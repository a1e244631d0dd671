//! Any body is a registration, a share, or an error that says why; what is read says the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::work::{BadBody, ID_LEN_MAX, Register, SubmitShare, Written};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(asked) = Register::parse(bytes) {
        let length = asked.worker_id.chars().count();
        assert!((1..=ID_LEN_MAX).contains(&length));
        assert!(!asked.worker_id.chars().any(char::is_control));
    }
    match SubmitShare::parse(bytes) {
        Ok(share) => {
            if let Ok(Written(hash)) = share.hash() {
                let again: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(Written::parse(&again), Ok(Written(hash)));
                let digits = share.hash.strip_prefix("0x").unwrap_or(&share.hash);
                assert!(digits.eq_ignore_ascii_case(&again));
            }
        }
        Err(BadBody::JsonRpc) => {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            assert!(text.contains("jsonrpc") || text.contains('\\'));
        }
        Err(_) => {}
    }
});
