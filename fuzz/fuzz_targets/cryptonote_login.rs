//! Any text is a login of Monero's or none, and its address is the one way to write it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mining::cryptonote::{Address, address::Tags, base58, login::Login};

fuzz_target!(|text: &str| {
    if let Ok(bytes) = base58::decode(text) {
        assert_eq!(base58::encode(&bytes), text);
    }
    let tags = [Tags::MONERO, Tags::MONERO_STAGE, Tags::WOWNERO];
    for tags in &tags {
        if let Ok(login) = Login::parse(tags, text) {
            let address = login.address.as_str();
            assert!(text.contains(address));
            assert_eq!(Address::parse(tags, address).as_ref(), Ok(&login.address));
        }
    }
});
