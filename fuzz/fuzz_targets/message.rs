//! Whatever is sent as a signature, there is a verdict; and what proves one message for one address
//! proves no other message, and the same message for no other address.
//!
//! The first byte picks the address and how the rest is read: as the text of a signature, or as its
//! bytes with one of the prefixes.

#![no_main]

use std::sync::LazyLock;

use bitcoin::base64::{Engine, prelude::BASE64_STANDARD};
use libfuzzer_sys::fuzz_target;
use mining::{Address, Coin, Network, message::verify};

const MESSAGE: &str = "message";

/// Of the keys 1 and 2, for each kind of address, and one of several keys.
const ADDRESSES: [(&str, [&str; 2]); 7] = [
    (
        "bitcoin",
        [
            "1C6Rc3w25VHud3dLDamutaqfKWqhrLRTaD",
            "1NVYv5jmr9JRF3usPZJQmJFJhbQhrPESTP",
        ],
    ),
    (
        "bitcoin",
        [
            "35LM1A29K95ADiQ8rJ9uEfVZCKffZE4D9i",
            "3QZ4t6Z2Ej5SuA4XQEDbHpVt5xbShz93kG",
        ],
    ),
    (
        "bitcoin",
        [
            "bc1q0xcqpzrky6eff2g52qdye53xkk9jxkvrh6yhyw",
            "bc1qa0qwuze2h85zw7nqpsj3ga0z9geyrgwpp9ee7r",
        ],
    ),
    (
        "bitcoin",
        [
            "bc1prwzv24nmzfjypx2a8m264ws9vht3uxp5vpypnluuzl67n4waq78slkn95a",
            "bc1pf49ke5fkzqev4x7j46uajq92f4zan6kcpty5yvm5c3g6wf2dqanqs7umvg",
        ],
    ),
    (
        "litecoin",
        [
            "MBYVK3S7GFvb2Dg2xB9F4JjxX2G7aoRhps",
            "MWmDByxzBqvshfLRW7Cw7TkHQfBtcGhK8t",
        ],
    ),
    (
        "dogecoin",
        [
            "DGEX9JsfNuCCA3ovxAmUSM1GCea1BpY4Et",
            "DSdeTLgR9ZChn46U89HyK4Quaj91EU2Zuq",
        ],
    ),
    (
        "bitcoin",
        [
            "bc1qp0ahvfh83088w49k405szqgg4f3pptr7p2g06tdxfjcd40z4lh4q95lsz9",
            "bc1qw6g0rgrpuxvj4edkwtvzpmt3c5m08mhp8nuk3mrk4erufvlczp5ssdscjd",
        ],
    ),
];

static OWNERS: LazyLock<Vec<(&'static Coin, [Address; 2])>> = LazyLock::new(|| {
    let parse = |(coin, texts): &(&str, [&str; 2])| {
        let coin: &Coin = coin.parse().expect("it is in the table");
        let address = |text| Address::parse(coin, Network::Main, text).expect("an address");
        (coin, texts.map(address))
    };
    ADDRESSES.iter().map(parse).collect()
});

fuzz_target!(|input: &[u8]| {
    let Some((pick, rest)) = input.split_first() else {
        return;
    };
    let (coin, [owner, stranger]) = &OWNERS[usize::from(*pick) % OWNERS.len()];
    let prefix = match usize::from(*pick) / OWNERS.len() % 4 {
        0 => None,
        1 => Some(""),
        2 => Some("smp"),
        _ => Some("ful"),
    };
    let signature = match prefix {
        Some(prefix) => prefix.to_owned() + &BASE64_STANDARD.encode(rest),
        None => String::from_utf8_lossy(rest).into_owned(),
    };
    let signed_by = |address, message| verify(coin, Network::Main, address, message, &signature);
    let verdict = signed_by(owner, MESSAGE);
    assert_eq!(verdict, signed_by(owner, MESSAGE));
    if verdict.is_ok() {
        assert!(signed_by(owner, "messagf").is_err());
        assert!(signed_by(stranger, MESSAGE).is_err());
    }
});
