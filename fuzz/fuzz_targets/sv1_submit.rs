//! The short way to read a submit and the general one always say the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::sv1::Request;

fuzz_target!(|line: &[u8]| {
    assert_eq!(Request::parse(line), Request::parse_any(line));
});
