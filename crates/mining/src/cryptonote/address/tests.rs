//! Addresses of each kind and network, with every character wrong once.

use proptest::prelude::*;

use super::*;
use crate::cryptonote::varint;

/// A wallet of Monero's: its address, a subaddress, and the address with payment id 0123456789abcdef.
const STANDARD: &str = "41yTY1oyTkuFzX4LWNkaVVapycdakhy6uU6cZKZN4twVdZao2tJaWzCW8gPhY6hJ5GSfARM7GjY5B76svoM3dkDZFFrxKKg";
const SUBADDRESS: &str = "84dJZhamuJXhorJzwWgihNdTe6q2S4vnFYvBfFez8tyzH9qS2BeUaXVZG15XiwB5nBJ47iAcibGYFUwhHR6vUMWyKhpSQGz";
const INTEGRATED: &str = "4Bg8YpdU52RFzX4LWNkaVVapycdakhy6uU6cZKZN4twVdZao2tJaWzCW8gPhY6hJ5GSfARM7GjY5B76svoM3dkDZN5QFoHtrzGCTzmTmbD";
/// The donation address of Monero's project.
const DONATIONS: &str = "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H";

const ALL: [(&str, Tags); 4] = [
    ("main", Tags::MONERO),
    ("stage", Tags::MONERO_STAGE),
    ("test", Tags::MONERO_TEST),
    ("wownero", Tags::WOWNERO),
];

/// An address from its parts, whatever they are.
fn written(tag: u64, parts: &[&[u8]]) -> String {
    let mut bytes = Vec::new();
    varint::push(&mut bytes, tag);
    bytes.extend(parts.concat());
    let checksum = checksum(&bytes);
    bytes.extend(checksum);
    base58::encode(&bytes)
}

fn point(seed: u64) -> [u8; 32] {
    let scalar = curve25519_dalek::Scalar::from(seed);
    curve25519_dalek::EdwardsPoint::mul_base(&scalar)
        .compress()
        .0
}

#[test]
fn the_addresses_of_a_wallet_are_read_with_their_keys() {
    let standard = Address::parse(&Tags::MONERO, STANDARD).unwrap();
    assert_eq!(standard.kind(), Kind::Standard);
    let integrated = Address::parse(&Tags::MONERO, INTEGRATED).unwrap();
    let id = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
    assert_eq!(integrated.kind(), Kind::Integrated(id));
    assert_eq!(integrated.spend_key(), standard.spend_key());
    assert_eq!(integrated.view_key(), standard.view_key());
    for text in [SUBADDRESS, DONATIONS] {
        let subaddress = Address::parse(&Tags::MONERO, text).unwrap();
        assert_eq!(subaddress.kind(), Kind::Subaddress);
        assert_eq!(subaddress.to_string(), text);
    }
    for text in [STANDARD, SUBADDRESS, INTEGRATED, DONATIONS] {
        let theirs: monero::Address = text.parse().unwrap();
        let ours = Address::parse(&Tags::MONERO, text).unwrap();
        assert_eq!(ours.spend_key(), theirs.public_spend.to_bytes());
        assert_eq!(ours.view_key(), theirs.public_view.to_bytes());
        assert_eq!(ours.as_str(), text);
    }
}

#[test]
fn any_one_character_wrong_is_found_out() {
    for text in [STANDARD, SUBADDRESS, INTEGRATED] {
        for (place, right) in text.char_indices() {
            for wrong in ['1', '2', 'z', '0', ' ', '\u{e9}'] {
                if wrong != right {
                    let mut typo = text.to_owned();
                    typo.replace_range(place..=place, &wrong.to_string());
                    assert!(Address::parse(&Tags::MONERO, &typo).is_err(), "{typo}");
                }
            }
            let mut missing = text.to_owned();
            missing.remove(place);
            assert!(Address::parse(&Tags::MONERO, &missing).is_err());
            let mut doubled = text.to_owned();
            doubled.insert(place, right);
            assert!(Address::parse(&Tags::MONERO, &doubled).is_err());
        }
        // Two neighbours swapped.
        for place in 1..text.len() {
            let mut swapped = text.as_bytes().to_vec();
            swapped.swap(place - 1, place);
            let swapped = String::from_utf8(swapped).unwrap();
            let parsed = Address::parse(&Tags::MONERO, &swapped);
            assert_eq!(parsed.is_ok(), swapped == text, "{swapped}");
        }
        assert!(Address::parse(&Tags::MONERO, &text.to_lowercase()).is_err());
        assert!(Address::parse(&Tags::MONERO, &text.to_uppercase()).is_err());
    }
}

#[test]
fn an_address_belongs_to_one_network() {
    let keys = [point(1), point(2)].concat();
    let id = [7; 8];
    for (name, tags) in ALL {
        for (tag, kind, parts) in [
            (tags.standard, Kind::Standard, &[&keys[..]][..]),
            (tags.subaddress, Kind::Subaddress, &[&keys]),
            (tags.integrated, Kind::Integrated(id), &[&keys, &id]),
        ] {
            let text = written(tag, parts);
            assert!(text.len() <= 108, "{text}");
            for (other, other_tags) in ALL {
                let parsed = Address::parse(&other_tags, &text);
                if other == name {
                    let address = parsed.unwrap();
                    assert_eq!((address.kind(), address.as_str()), (kind, text.as_str()));
                } else {
                    let expected = other_tags.standard;
                    let fault = BadAddress::Tag {
                        found: tag,
                        expected,
                    };
                    assert_eq!(parsed, Err(fault), "{name} on {other}");
                }
            }
        }
    }
    // As such addresses look.
    assert!(written(4146, &[&keys]).starts_with("Wo"));
    assert!(written(18, &[&keys]).starts_with('4') && written(42, &[&keys]).starts_with('8'));
}

#[test]
fn what_is_no_address_is_told_by_its_fault() {
    let keys = [point(1), point(2)].concat();
    let case = |text: &str, fault| {
        assert_eq!(Address::parse(&Tags::MONERO, text), Err(fault), "{text}");
    };
    case(&"1".repeat(129), BadAddress::TooLong);
    case("", BadAddress::CutOff);
    case("111", BadAddress::CutOff);
    case("1", BadAddress::Base58(BadBase58::Length(1)));
    case("4O", BadAddress::Base58(BadBase58::Character('O')));
    case(&"1".repeat(95), BadAddress::Checksum);
    let cut = |bytes: &[u8]| written(18, &[bytes]);
    let length = |expected, found| BadAddress::Length { expected, found };
    case(&cut(&[]), length(69, 5));
    case(&cut(&keys[..63]), length(69, 68));
    case(&cut(&[&keys[..], &[0]].concat()), length(69, 70));
    case(&written(19, &[&keys]), length(77, 69));
    case(&written(19, &[&keys, &[0; 7]]), length(77, 76));
    case(&written(18, &[&keys, &[0; 8]]), length(69, 77));
    // A checksum alone, and a tag without an end.
    let nothing = checksum(&[]);
    case(&base58::encode(&nothing), BadAddress::NoTag);
    let endless = [0xff; 12];
    let bytes = [&endless[..], &checksum(&endless)].concat();
    case(&base58::encode(&bytes), BadAddress::NoTag);
}

#[test]
fn keys_that_are_no_points_are_refused_as_the_daemon_does() {
    let good = point(5);
    let case = |key: [u8; 32], is_good: bool| {
        let first = Address::parse(&Tags::MONERO, &written(18, &[&key, &good]));
        let second = Address::parse(&Tags::MONERO, &written(18, &[&good, &key]));
        if is_good {
            assert!(first.is_ok() && second.is_ok());
        } else {
            assert_eq!(first, Err(BadAddress::SpendKey));
            assert_eq!(second, Err(BadAddress::ViewKey));
        }
    };
    let y = |low: u8, high: u8| {
        let mut bytes = [0; 32];
        (bytes[0], bytes[31]) = (low, high);
        bytes
    };
    // The neutral element, and the same with the sign of zero.
    case(y(1, 0), true);
    case(y(1, 0x80), false);
    // No x goes with this y.
    case(y(2, 0), false);
    // The modulus, one more and one less: 0, 1 and -1 in another spelling, and -1 in its own.
    let near_modulus = |low: u8| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, 0x7f);
        bytes
    };
    case(near_modulus(0xec), true);
    case(near_modulus(0xed), false);
    case(near_modulus(0xee), false);
    case([0xff; 32], false);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_address_survives_the_round_trip(spend: u64, view: u64, id: [u8; 8], row in 0usize..4) {
        let (spend, view, tags) = (point(spend), point(view), ALL[row].1);
        for (tag, parts) in [
            (tags.standard, &[&spend[..], &view][..]),
            (tags.subaddress, &[&spend, &view]),
            (tags.integrated, &[&spend, &view, &id]),
        ] {
            let text = written(tag, parts);
            let address = Address::parse(&tags, &text).unwrap();
            prop_assert_eq!(address.to_string(), text);
            prop_assert_eq!((address.spend_key(), address.view_key()), (spend, view));
        }
    }

    #[test]
    fn any_keys_are_judged_as_others_judge_them(spend: [u8; 32], view: [u8; 32]) {
        let text = written(18, &[&spend, &view]);
        let theirs = text.parse::<monero::Address>().is_ok();
        prop_assert_eq!(Address::parse(&Tags::MONERO, &text).is_ok(), theirs);
    }

    #[test]
    fn any_text_gives_an_address_or_an_error(text in "[1-9A-HJ-NP-Za-km-z]{0,130}|.{0,130}") {
        let parsed = Address::parse(&Tags::MONERO, &text);
        prop_assert_eq!(parsed.is_ok(), text.parse::<monero::Address>().is_ok());
    }
}
