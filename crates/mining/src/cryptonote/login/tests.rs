//! Names as miners write them, and what is none.

use proptest::prelude::*;

use super::*;

/// A standard address, a subaddress and an integrated address of one wallet.
const STANDARD: &str = "41yTY1oyTkuFzX4LWNkaVVapycdakhy6uU6cZKZN4twVdZao2tJaWzCW8gPhY6hJ5GSfARM7GjY5B76svoM3dkDZFFrxKKg";
const SUBADDRESS: &str = "84dJZhamuJXhorJzwWgihNdTe6q2S4vnFYvBfFez8tyzH9qS2BeUaXVZG15XiwB5nBJ47iAcibGYFUwhHR6vUMWyKhpSQGz";
const INTEGRATED: &str = "4Bg8YpdU52RFzX4LWNkaVVapycdakhy6uU6cZKZN4twVdZao2tJaWzCW8gPhY6hJ5GSfARM7GjY5B76svoM3dkDZN5QFoHtrzGCTzmTmbD";

fn parse(text: &str) -> Result<Login, BadLogin> {
    Login::parse(&Tags::MONERO, text)
}

#[test]
fn a_name_says_whom_to_pay_which_device_and_how_hard() {
    for address in [STANDARD, SUBADDRESS, INTEGRATED] {
        let case = |tail: &str, worker: Option<&str>, fixed: Option<&str>| {
            let login = parse(&format!("{address}{tail}")).unwrap();
            assert_eq!(login.address.as_str(), address);
            assert_eq!(login.named.as_deref(), worker, "{tail}");
            let fixed: Option<Difficulty> = fixed.map(|fixed| fixed.parse().unwrap());
            assert_eq!(login.fixed, fixed, "{tail}");
        };
        case("", None, None);
        case(" \n", None, None);
        case(".rig1", Some("rig1"), None);
        case("+25000", None, Some("25000"));
        case(".25000", None, Some("25000"));
        case(".rig1+25000", Some("rig1"), Some("25000"));
        case("+25000.rig1", Some("rig1"), Some("25000"));
        case(".rig1.25000", Some("rig1"), Some("25000"));
        case(".2000.25000", Some("2000"), Some("25000"));
        case(".2000+25000", Some("2000"), Some("25000"));
        case("+25000.2000", Some("2000"), Some("25000"));
        case(".25000.rig1", Some("25000.rig1"), None);
        // Numbered rigs.
        case(".1", Some("1"), None);
        case(".42", Some("42"), None);
        case(".007", Some("007"), None);
        case("+1", None, Some("1"));
        case(".", None, None);
        case("..", Some("."), None);
        case(".a.b-c_d", Some("a.b-c_d"), None);
        case(".<rig>\u{1b}", Some("_rig__"), None);
        // More than is kept.
        case("+99999999999", None, Some("1073741824"));
    }
}

#[test]
fn a_name_that_says_nothing_clear_is_refused() {
    let case = |text: &str, fault| assert_eq!(parse(text), Err(fault), "{text}");
    case("", BadLogin::NoAddress);
    case(" ", BadLogin::NoAddress);
    case(".rig", BadLogin::NoAddress);
    case("+5000", BadLogin::NoAddress);
    case(&"1".repeat(513), BadLogin::TooLong);
    let tail = |tail: &str, fault| case(&format!("{STANDARD}{tail}"), fault);
    for odd in [
        "+",
        "+abc",
        "+5e3",
        "+-5",
        "+5000x",
        "+0",
        "+ 5",
        "+0x5",
        "+\u{661}",
        "+.5",
        ".rig+",
        "+perfauto",
        "+NaN",
        "+123456789012345678901234567890",
    ] {
        tail(odd, BadLogin::Difficulty);
    }
    tail("+5000+5000", BadLogin::Again);
    tail("+5000.rig+1", BadLogin::Again);
    tail(&format!(".{}", "0f".repeat(32)), BadLogin::PaymentId);
    tail(&format!(".{}+5000", "0F".repeat(32)), BadLogin::PaymentId);
    let address = |text: &str| assert!(matches!(parse(text), Err(BadLogin::Address(_))), "{text}");
    address("x");
    address("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig");
    // The split that one pool knows, which this one does not.
    address(&format!("{STANDARD}%50%{SUBADDRESS}"));
    address(&STANDARD[1..]);
    assert_eq!(
        Login::parse(&Tags::MONERO_STAGE, STANDARD),
        Err(BadLogin::Address(BadAddress::Tag {
            found: 18,
            expected: 24
        }))
    );
}

#[test]
fn a_device_is_named_in_the_first_place_that_names_it() {
    let case = |name: &str, rigid: Option<&str>, password: &str, expected: &str| {
        let login = parse(&format!("{STANDARD}{name}")).unwrap();
        let options = Options::parse(password);
        assert_eq!(login.worker(rigid, &options), expected);
    };
    case(".a", Some("b"), "c", "a");
    case("", Some("b"), "c", "b");
    case("", Some(""), "c", "c");
    case("", None, "w=d", "d");
    case("", None, "c,w=d", "d");
    case("", None, "c:me@example.org", "c");
    case("", None, "x", "worker");
    case("", None, "X", "worker");
    case("", None, "", "worker");
    case("", None, "~rx/0", "worker");
    case("", None, "x:me@example.org", "worker");
    case("", Some("rig<1>"), "x", "rig_1_");
}

#[test]
fn a_difficulty_in_the_login_is_heeded_before_the_password() {
    let fixed = |name: &str, password: &str| {
        let login = parse(&format!("{STANDARD}{name}")).unwrap();
        login
            .fixed(&Options::parse(password))
            .map(|fixed| fixed.to_string())
    };
    assert_eq!(fixed("+5000", "d=7000").as_deref(), Some("5000"));
    assert_eq!(fixed("", "d=7000").as_deref(), Some("7000"));
    assert_eq!(fixed("", "x"), None);
}

proptest! {
    #[test]
    fn no_name_makes_it_panic_and_names_are_safe(tail in "([.+][0-9a-z]{0,6}){0,4}|\\PC{0,40}|.{0,600}") {
        for text in [tail.clone(), format!("{STANDARD}{tail}")] {
            if let Ok(login) = parse(&text) {
                prop_assert_eq!(login.address.as_str(), STANDARD);
                let worker = login.worker(None, &Options::default());
                prop_assert!((1..=64).contains(&worker.len()));
                prop_assert!(worker.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b)));
            }
        }
    }
}
