//! A PROXY header is read alike however much of it is there, and never past its end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::proxy::{HEADER_MAX, Progress, SIGNATURE, read};

fuzz_target!(|input: &[u8]| {
    let signed = [&SIGNATURE[..], input].concat();
    for bytes in [input, &signed[..]] {
        let Ok(Progress::Whole(_, length)) = read(bytes) else {
            continue;
        };
        assert!(length <= bytes.len() && length <= HEADER_MAX);
        assert_eq!(read(&bytes[..length]), read(bytes));
        let part = read(&bytes[..length - 1]);
        assert!(matches!(part, Ok(Progress::Needs(needed)) if needed <= length));
    }
});
