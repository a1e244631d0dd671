//! A template without transactions, made from a new tip alone, so that miners leave the old tip
//! before the daemon has put together its own template. A pure rule.
//!
//! Made only where nothing about the next block can differ from what is said here, and checked
//! against the full template that follows; [`follow`](super::follow) stops making them for a daemon
//! for which it was wrong once.

use mining::{
    Network, Target, Template,
    coin::{Coin, NetworkRules, Retarget},
    template::{Room, TemplateKind, Transactions},
};

use super::{reply::Header, template::compact};

/// Made from `tip`, the block on top of which to mine, and `before`, the full template of the
/// height of `tip`, which came `elapsed_s` seconds ago. Nothing where it is not safe.
pub(super) fn subsidy_only(
    coin: &Coin,
    rules: &NetworkRules,
    before: &Template,
    elapsed_s: u32,
    tip: &Header,
) -> Option<Template> {
    // Test networks let the difficulty fall with time.
    if matches!(rules.network, Network::Test | Network::Testnet4) {
        return None;
    }
    let Retarget::Every(period) = coin.bitcoin()?.retarget else {
        return None;
    };
    let halving = rules.halving?;
    let height = tip.height.checked_add(1)?;
    // Nothing is known of a block after another one than the template was made for, and Litecoin's
    // blocks need an extension block that only the daemon can make.
    if before.height != tip.height
        || tip.previous != Some(before.previous)
        || compact(&tip.bits) != Ok(before.bits)
        || height % period == 0
        || height % halving == 0
        || before.kind != TemplateKind::Full
        || !before.tail.is_empty()
    {
        return None;
    }
    let min_time = tip.median_time.checked_add(1)?;
    Some(Template {
        height,
        version: before.version,
        previous: tip.hash,
        bits: before.bits,
        target: before.target.min(Target::from_compact(before.bits).ok()?),
        // The daemon's clock, not ours, which may be wrong.
        time: before.time.saturating_add(elapsed_s).max(min_time),
        min_time,
        value: before.value.checked_sub(before.fees)?,
        fees: mining::Amount::ZERO,
        // A block without witnesses needs none.
        witness_commitment: None,
        coinbase_flags: before.coinbase_flags.clone(),
        transactions: Transactions::default(),
        tail: String::new(),
        room: Room::EMPTY_BLOCK,
        kind: TemplateKind::SubsidyOnly,
    })
}

/// What the full template of the same tip shows to have been wrong.
pub(super) fn difference(made: &Template, full: &Template) -> Option<&'static str> {
    let checks = [
        (made.height == full.height, "height"),
        (made.bits == full.bits, "bits"),
        (made.target == full.target, "target"),
        (made.version == full.version, "version"),
        (
            full.value.checked_sub(full.fees) == Some(made.value),
            "subsidy",
        ),
        (made.min_time >= full.min_time, "mintime"),
        (full.tail.is_empty(), "extension block"),
    ];
    checks.iter().find(|(same, _)| !same).map(|(_, what)| *what)
}

#[cfg(test)]
pub(super) mod tests {
    use mining::Amount;
    use pow::Hash;

    use super::*;

    const HEIGHT: u32 = 900_001;

    /// A template of Bitcoin's main network.
    pub(in crate::daemon) fn before() -> Template {
        Template {
            height: HEIGHT,
            version: 0x2000_0000,
            previous: Hash([1; 32]),
            bits: 0x1702_3456,
            target: Target::from_compact(0x1702_3456).unwrap(),
            time: 1_800_000_000,
            min_time: 1_799_999_000,
            value: Amount::from_units(312_600_000),
            fees: Amount::from_units(100_000),
            witness_commitment: Some(vec![0x6a]),
            coinbase_flags: Vec::new(),
            transactions: Transactions::new("00".into(), &[Hash([9; 32])]),
            tail: String::new(),
            room: Room::EMPTY_BLOCK,
            kind: TemplateKind::Full,
        }
    }

    fn tip() -> Header {
        Header {
            hash: Hash([2; 32]),
            confirmations: 1,
            height: HEIGHT,
            time: 1_800_000_010,
            median_time: 1_799_999_500,
            bits: "17023456".into(),
            previous: Some(Hash([1; 32])),
        }
    }

    fn coin() -> &'static Coin {
        "bitcoin".parse().unwrap()
    }

    fn made(before: &Template, tip: &Header, network: Network) -> Option<Template> {
        subsidy_only(coin(), coin().on(network).unwrap(), before, 20, tip)
    }

    #[test]
    fn it_is_the_next_block_without_fees() {
        let made = made(&before(), &tip(), Network::Main).unwrap();
        assert_eq!((made.height, made.previous), (HEIGHT + 1, Hash([2; 32])));
        assert_eq!((made.value.units(), made.fees), (312_500_000, Amount::ZERO));
        assert_eq!((made.time, made.min_time), (1_800_000_020, 1_799_999_501));
        assert_eq!(made.transactions.count(), 0);
        assert_eq!(made.kind, TemplateKind::SubsidyOnly);
        let mut full = before();
        full.height += 1;
        full.min_time = made.min_time;
        assert_eq!(difference(&made, &full), None);
    }

    #[test]
    fn time_is_never_before_the_earliest() {
        let mut tip = tip();
        tip.median_time = 1_900_000_000;
        assert_eq!(
            made(&before(), &tip, Network::Main).unwrap().time,
            1_900_000_001
        );
    }

    #[test]
    fn none_is_made_where_the_next_block_may_differ() {
        #[track_caller]
        fn case(change: impl FnOnce(&mut Template, &mut Header)) {
            let (mut before, mut tip) = (before(), tip());
            change(&mut before, &mut tip);
            assert!(made(&before, &tip, Network::Main).is_none());
        }
        let at = |height: u32| {
            move |before: &mut Template, tip: &mut Header| {
                before.height = height;
                tip.height = height;
            }
        };
        case(at(2016 * 450 - 1)); // retarget
        case(at(210_000 * 5 - 1)); // halving
        case(at(u32::MAX));
        case(|before, _| before.height -= 1);
        case(|_, tip| tip.previous = Some(Hash([3; 32])));
        case(|_, tip| tip.previous = None);
        case(|_, tip| tip.bits = "17023457".into());
        case(|_, tip| tip.bits = "x".into());
        case(|_, tip| tip.median_time = u32::MAX);
        case(|before, _| before.tail = "0100".into());
        case(|before, _| before.kind = TemplateKind::SubsidyOnly);
        case(|before, _| before.fees = Amount::from_units(u64::MAX));
        for network in [Network::Test, Network::Testnet4] {
            assert!(made(&before(), &tip(), network).is_none());
        }
        let dogecoin: &Coin = "dogecoin".parse().unwrap();
        let rules = dogecoin.on(Network::Main).unwrap();
        assert!(subsidy_only(dogecoin, rules, &before(), 0, &tip()).is_none());
    }

    #[test]
    fn a_full_template_that_differs_is_seen() {
        #[track_caller]
        fn case(change: impl FnOnce(&mut Template), expected: &str) {
            let made = made(&before(), &tip(), Network::Main).unwrap();
            let mut full = Template {
                fees: Amount::from_units(0),
                ..made.clone()
            };
            change(&mut full);
            assert_eq!(difference(&made, &full), Some(expected));
        }
        case(|full| full.height += 1, "height");
        case(|full| full.bits += 1, "bits");
        case(|full| full.version += 1, "version");
        case(|full| full.value = Amount::from_units(5), "subsidy");
        case(|full| full.min_time += 1, "mintime");
        case(|full| full.tail = "01".into(), "extension block");
    }
}
