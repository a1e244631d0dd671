//! A pool that is started although memory is short for it.

use std::num::NonZeroUsize;

use super::*;
use crate::{daemon, verifier::Mode};

const MIB: u64 = 1 << 20;
/// Less than a cache takes.
const LITTLE: Option<u64> = Some(100 * MIB);
/// Enough for two caches, and for no dataset.
const FOR_LIGHT: Option<u64> = Some(600 * MIB);
/// Enough for whatever is wanted.
const MUCH: Option<u64> = Some(16_384 * MIB);

const MONERO: &str = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A";
const BITCOIN: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

fn settings(coin: &str, address: &str, mode: Mode) -> config::Pool {
    config::Pool {
        coin: coin.into(),
        network: Network::Regtest,
        payout_address: address.into(),
        daemon: vec![daemon::Config::at("http://127.0.0.1:18081")],
        listener: vec![config::Listener::default()],
        randomx: verifier::Config {
            mode,
            threads: 2,
            ..verifier::Config::default()
        },
        ..config::Pool::default()
    }
}

/// Whether it is fast, and whether it waits for memory.
#[track_caller]
fn started(settings: &config::Pool, free: Option<u64>) -> (bool, bool) {
    let plan = Plan::for_start_within(settings, free).map(|plan| plan.verifier);
    let verifier = plan.unwrap().expect("RandomX is verified by threads");
    assert_eq!(Some(verifier.threads), NonZeroUsize::new(2));
    (verifier.is_fast, verifier.waits_for_memory)
}

#[test]
fn a_pool_that_memory_is_short_for_is_started_and_waits_for_it() {
    for (mode, free, expected) in [
        (Mode::Light, LITTLE, (false, true)),
        (Mode::Light, FOR_LIGHT, (false, false)),
        (Mode::Light, None, (false, false)),
        (Mode::Fast, LITTLE, (true, true)),
        (Mode::Fast, FOR_LIGHT, (true, true)),
        (Mode::Fast, MUCH, (true, false)),
        (Mode::Fast, None, (true, false)),
        // It would have been light with less, so that it is light when it has waited.
        (Mode::Auto, LITTLE, (false, true)),
        (Mode::Auto, FOR_LIGHT, (false, false)),
        (Mode::Auto, MUCH, (true, false)),
    ] {
        let settings = settings("monero", MONERO, mode);
        assert_eq!(started(&settings, free), expected, "{mode:?} {free:?}");
        // Whoever asks whether the settings are right is told that they are not.
        let refused = Plan::within(&settings, free).err();
        assert_eq!(refused.is_some(), expected.1, "{mode:?} {free:?}");
    }
}

#[test]
fn what_is_wrong_with_a_pool_s_settings_is_no_lack_of_memory() {
    let settings = settings("monero", MONERO, Mode::Light);
    let nobody = config::Pool {
        payout_address: String::new(),
        ..settings.clone()
    };
    let mut crowd = settings;
    crowd.randomx.threads = 1_025;
    for (settings, text) in [
        (nobody, "payout_address is not set"),
        (crowd, "1025 threads are too many"),
    ] {
        for free in [LITTLE, MUCH] {
            let refused = Plan::for_start_within(&settings, free).err().unwrap();
            assert!(refused.to_string().contains(text), "{refused}");
        }
    }
}

#[test]
fn a_pool_that_needs_no_memory_does_not_wait_for_it() {
    let header = settings("bitcoin", BITCOIN, Mode::Light);
    let plan = Plan::for_start_within(&header, LITTLE).unwrap();
    assert!(plan.verifier.is_none());
    // Nobody comes, so nothing is verified.
    let closed = config::Pool {
        listener: Vec::new(),
        ..settings("monero", MONERO, Mode::Fast)
    };
    let plan = Plan::for_start_within(&closed, LITTLE).unwrap();
    assert!(plan.verifier.is_none());
}
