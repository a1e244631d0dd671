//! Whatever file `adit verify` is given, there is a verdict and always the same; nothing that another key
//! signed is accepted; and what is accepted can still be read with a space behind it.
//!
//! The seeds are the vectors of `docs/receipts.md`, whose key the first byte may pick as the trusted one.

#![no_main]

use std::sync::LazyLock;

use adit::verify::verify_bytes;
use libfuzzer_sys::fuzz_target;
use mining::receipt::{PublicKey, SecretKey};

static KEYS: LazyLock<[Option<PublicKey>; 3]> = LazyLock::new(|| {
    let key = |byte| SecretKey::from_bytes(&[byte; 32]).map(|key| key.public());
    [None, key(7), key(8)]
});

fuzz_target!(|input: &[u8]| {
    let Some((pick, file)) = input.split_first() else {
        return;
    };
    let key = KEYS[usize::from(*pick) % KEYS.len()];
    let report = verify_bytes(file, key);
    let same = |one: &adit::verify::Report, other: &adit::verify::Report| {
        let told = |report: &adit::verify::Report| {
            let file = report.files.first().expect("one file has one report");
            (report.accepted, file.shown.clone(), file.refused.clone())
        };
        told(one) == told(other)
    };
    assert!(same(&report, &verify_bytes(file, key)));
    if !report.accepted {
        return;
    }
    // Who trusts another key accepts nothing that is signed.
    let signed = !report.keys.is_empty();
    assert!(!signed || !verify_bytes(file, KEYS[2]).accepted || key == KEYS[2]);
    assert!(verify_bytes(&[file, b"\n"].concat(), key).accepted || file.ends_with(b"\n"));
});
