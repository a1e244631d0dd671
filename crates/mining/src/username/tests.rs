//! Names as miners write them, those of real firmware among them.

use proptest::prelude::*;

use super::*;

const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const LITECOIN: &str = "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9";
const DOGECOIN: &str = "DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L";

fn bitcoin() -> &'static Coin {
    "bitcoin".parse().unwrap()
}

fn login(text: &str) -> Result<Login, BadLogin> {
    Login::parse(bitcoin(), Network::Regtest, text, None)
}

fn paid(address: &str, worker: &str, others: &[&str]) -> Login {
    let (coin, network) = match address {
        LITECOIN => ("litecoin", Network::Main),
        DOGECOIN => ("dogecoin", Network::Main),
        _ => ("bitcoin", Network::Regtest),
    };
    let address = Address::parse(coin.parse().unwrap(), network, address).unwrap();
    let worker = worker.to_owned();
    Login::Address {
        username: Username { address, worker },
        others: others.iter().map(|&other| other.to_owned()).collect(),
    }
}

#[track_caller]
fn worker_is(name: &str, worker: &str) {
    let text = format!("{ADDRESS}{name}");
    assert_eq!(login(&text), Ok(paid(ADDRESS, worker, &[])), "{text}");
    let username = Username::parse(bitcoin(), Network::Regtest, &text).unwrap();
    assert_eq!(username.to_string(), format!("{ADDRESS}.{worker}"));
}

#[test]
fn the_worker_is_what_follows_the_separator_made_safe() {
    worker_is("", "worker");
    worker_is(".", "worker");
    worker_is(".rig1", "rig1");
    worker_is("_rig1", "rig1");
    worker_is("_rig.1", "rig.1");
    worker_is(".rig_1", "rig_1");
    worker_is(".farm.rig-1_a+b", "farm.rig-1_a+b");
    worker_is(".<script>\u{202e}\n=1", "_script____1");
    worker_is(&format!(".{}", "x".repeat(500)), &"x".repeat(64));
    worker_is(".~split", "_split");
}

#[test]
fn names_of_63_127_and_191_characters_are_taken() {
    for length in [63, 127, 191] {
        let worker = "w".repeat(length - ADDRESS.len() - 1);
        let kept = &worker[..worker.len().min(WORKER_LEN_MAX)];
        worker_is(&format!(".{worker}"), kept);
    }
}

#[test]
fn white_space_around_a_name_is_none_of_it() {
    for text in [
        format!("  {ADDRESS}.rig1\r\n"),
        format!("%20{ADDRESS}.rig1%0D%0A"),
    ] {
        assert_eq!(login(&text), Ok(paid(ADDRESS, "rig1", &[])), "{text:?}");
    }
}

#[test]
fn percent_encoding_is_undone_once() {
    worker_is("%2Erig1", "rig1");
    worker_is("%2erig%5F1", "rig_1");
    worker_is("%5Frig1", "rig1");
    worker_is(".rig%2B1", "rig+1");
    // Encoded twice, it is decoded once, and what is left is made safe.
    worker_is(".rig%252E1", "rig_2E1");
    worker_is(".rig%C3%A4", "rig_");
    worker_is(".rig%00%1b", "rig__");
    for wrong in ["%", "%2", "%2G", "%G2", "%+1", "% 1", "%%2E", "%ff", "%c3"] {
        for text in [format!("{ADDRESS}.rig{wrong}"), wrong.to_owned()] {
            assert_eq!(login(&text), Err(BadLogin::Percent), "{text}");
        }
    }
}

#[test]
fn an_address_in_capitals_is_the_same_miner() {
    let upper = ADDRESS.to_ascii_uppercase();
    let Ok(Login::Address { username, .. }) = login(&format!("{upper}.rig1")) else {
        panic!("upper case is valid bech32");
    };
    assert_eq!(username.address.as_str(), ADDRESS);
    let mixed = ADDRESS.replace('q', "Q");
    assert!(login(&mixed).is_err());
}

#[test]
fn of_several_addresses_that_of_the_coin_is_paid_wherever_it_stands() {
    let both = |separator: &str| format!("{LITECOIN}{separator}{DOGECOIN}.w");
    for separator in [",", "-", "/"] {
        for (coin, own, other) in [
            ("litecoin", LITECOIN, DOGECOIN),
            ("dogecoin", DOGECOIN, LITECOIN),
        ] {
            let coin = coin.parse().unwrap();
            let parsed = Login::parse(coin, Network::Main, &both(separator), None);
            assert_eq!(parsed, Ok(paid(own, "w", &[other])), "{separator}");
        }
    }
    let text = format!("{DOGECOIN}%2C{ADDRESS}-{LITECOIN},{ADDRESS}_w.1");
    let others = [DOGECOIN, LITECOIN, ADDRESS];
    assert_eq!(login(&text), Ok(paid(ADDRESS, "w.1", &others)));
    // A separator inside of the worker's name is part of it.
    worker_is(".a,b-c/d", "a_b-c_d");
    worker_is(",.rig1", "rig1");
}

#[test]
fn other_addresses_are_few_short_and_printable() {
    let with = |other: &str| format!("{ADDRESS},{other}.rig1");
    let longest = "x".repeat(OTHER_LEN_MAX);
    assert_eq!(
        login(&with(&longest)),
        Ok(paid(ADDRESS, "rig1", &[&longest]))
    );
    for other in [
        "x".repeat(OTHER_LEN_MAX + 1),
        "a b".into(),
        "ä".into(),
        "%1b[2J".into(),
    ] {
        assert_eq!(login(&with(&other)), Err(BadLogin::Other), "{other}");
    }
    assert!(login(&with("a,b,c,d,e,f,g")).is_ok());
    assert_eq!(
        login(&with("a,b,c,d,e,f,g,h")),
        Err(BadLogin::TooManyAddresses)
    );
}

#[test]
fn without_an_address_the_default_is_paid_where_there_is_one() {
    let default = Address::parse(bitcoin(), Network::Regtest, ADDRESS).unwrap();
    for (text, worker) in [
        ("", "worker"),
        ("  ", "worker"),
        (".", "worker"),
        (".rig1", "rig1"),
        ("..rig1", ".rig1"),
        ("%2Erig1", "rig1"),
    ] {
        let parsed = Login::parse(bitcoin(), Network::Regtest, text, Some(&default));
        assert_eq!(parsed, Ok(paid(ADDRESS, worker, &[])), "{text:?}");
        assert_eq!(login(text), Err(BadLogin::NoAddress), "{text:?}");
    }
    // A wrong address is not replaced by the default: somebody else would be paid.
    for text in ["rig1", "rig1.a", "_rig1", "bcrt1q.rig", ",", "u", LITECOIN] {
        let parsed = Login::parse(bitcoin(), Network::Regtest, text, Some(&default));
        assert!(parsed.is_err(), "{text:?}");
    }
}

#[test]
fn a_name_without_an_address_is_refused_and_says_why() {
    for (text, told) in [
        ("", "must begin with an address"),
        ("rig1", "not an address of bitcoin on regtest"),
        ("bcrt1q.rig", "not an address of bitcoin on regtest"),
        (
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig",
            "bcrt1... is needed",
        ),
        (&"x".repeat(NAME_LEN_MAX + 1), "longer than 1024"),
        ("u/1f3.rig", "an alias cannot be used here"),
    ] {
        let error = Username::parse(bitcoin(), Network::Regtest, text).unwrap_err();
        assert!(error.to_string().contains(told), "{text}: {error}");
    }
}

#[test]
fn an_alias_is_a_number_in_base_32() {
    #[track_caller]
    fn case(text: &str, number: u64, worker: &str) {
        let worker = worker.to_owned();
        assert_eq!(login(text), Ok(Login::Alias { number, worker }), "{text}");
    }
    case("u/1f3", 1 << 10 | 15 << 5 | 3, "worker");
    case("u/1f3.rig1", 1507, "rig1");
    case("u/1F3_rig1", 1507, "rig1");
    case("U/1f3.", 1507, "worker");
    case("u%2F1f3%2Erig1", 1507, "rig1");
    case("u/0", 0, "worker");
    case("u/zzzzzzzzzzzz", Alias::NUMBER_MAX, "worker");
    for (text, why) in [
        ("u/", BadAlias::Length),
        ("u/.rig1", BadAlias::Length),
        ("u/1000000000000", BadAlias::Length),
        ("u/01", BadAlias::LeadingZero),
        ("u/00", BadAlias::LeadingZero),
        ("u/i", BadAlias::Digit),
        ("u/1l", BadAlias::Digit),
        ("u/O", BadAlias::Digit),
        ("u/u", BadAlias::Digit),
        ("u/1=", BadAlias::Digit),
        ("u/-1", BadAlias::Digit),
        ("u/1 ,2", BadAlias::Digit),
        ("u/ä", BadAlias::Digit),
    ] {
        assert_eq!(login(text), Err(BadLogin::Alias(why)), "{text}");
    }
    assert_eq!(Alias::new(Alias::NUMBER_MAX + 1), None);
}

proptest! {
    #[test]
    fn an_alias_reads_as_it_is_written(number in 0..=Alias::NUMBER_MAX, shift in 0u32..60) {
        let alias = Alias::new(number >> shift).unwrap();
        let text = alias.to_string();
        prop_assert!(text.len() <= ALIAS_DIGITS_MAX);
        prop_assert_eq!(text.parse(), Ok(alias));
        prop_assert_eq!(text.to_uppercase().parse(), Ok(alias));
    }

    #[test]
    fn what_reads_as_an_alias_is_written_so(text in "[0-9a-z]{1,13}") {
        if let Ok(alias) = text.parse::<Alias>() {
            prop_assert_eq!(alias.to_string(), text);
        }
    }

    #[test]
    fn no_name_makes_it_panic_and_each_worker_is_safe(
        head in prop::sample::select(vec!["", ".", "_", "u/1f3.", "a,b-", ADDRESS, LITECOIN]),
        tail in "\\PC{0,80}|[%0-9A-F._,/-]{0,80}|.{0,300}",
    ) {
        let default = Address::parse(bitcoin(), Network::Regtest, ADDRESS).unwrap();
        for default in [None, Some(&default)] {
            let text = format!("{head}{tail}");
            let worker = match Login::parse(bitcoin(), Network::Regtest, &text, default) {
                Ok(Login::Address { username, others }) => {
                    prop_assert!(others.len() < ADDRESSES_MAX);
                    for other in others {
                        prop_assert!(other.len() <= OTHER_LEN_MAX);
                        prop_assert!(other.bytes().all(|b| b.is_ascii_graphic()));
                    }
                    username.worker
                }
                Ok(Login::Alias { worker, .. }) => worker,
                Err(_) => continue,
            };
            prop_assert!((1..=WORKER_LEN_MAX).contains(&worker.len()));
            prop_assert!(worker.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b)));
        }
    }
}
