//! Luck: how many blocks work was expected to find, and how many it found. Of an account, it tells who
//! sends shares but keeps blocks back; of a round, it is the pool's effort. Called by `luck` and `api`,
//! with what the store has added up.
//!
//! No protocol shows that a block was kept back, so there are only statistics. Blocks come by chance, as
//! a Poisson process, with `work / network` as their expected number. An account that found so few as
//! happens once in ten thousand times is told to the operator, and nothing more is done: by chance it
//! happens to honest miners too.

use std::{fmt, iter::Sum};

use ruint::aliases::U256;

use crate::{Work, poisson};

/// What happens less often than that is suspicious. Fewer than 9.2 expected blocks never are.
const SUSPICIOUS_ODDS: u128 = 10_000;

/// After so many expected blocks an account that is not suspicious is counted anew: so a miner cannot
/// be honest for years to have a stock of blocks that it may keep back.
const COUNTED_ANEW_AFTER: Expected = Expected::whole(256);

/// The number of blocks that work was expected to find, in units of 2^-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expected(u128);

/// What was expected, and what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Luck {
    /// The blocks that were expected.
    pub expected: Expected,
    /// Those that were found.
    pub found: u64,
}

/// The work of a round, and the work that a block takes on average. Their ratio is the effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// What was done since the block before, up to and with the share that is the block.
    pub work: Work,
    /// What the network asks for at its height; above zero.
    network: Work,
}

impl Expected {
    /// None.
    pub const ZERO: Self = Self(0);

    /// So many blocks.
    pub const fn whole(blocks: u32) -> Self {
        // 32 bits and 64 bits fit 128; `u128::from` is not const.
        Self((blocks as u128) << 64)
    }

    /// In units of 2^-64.
    pub const fn from_units(units: u128) -> Self {
        Self(units)
    }

    /// What `work` is expected to find where a block takes `network`, rounded down; nothing where that
    /// is zero.
    pub fn of(work: Work, network: Work) -> Self {
        let units = (U256::from(work.hashes()) << 64_usize)
            .checked_div(U256::from(network.hashes()))
            .unwrap_or_default();
        Self(units.saturating_to())
    }

    /// In units of 2^-64.
    pub const fn units(self) -> u128 {
        self.0
    }

    /// Whole blocks.
    pub fn floor(self) -> u64 {
        u64::try_from(self.0 >> 64).expect("64 bits are left")
    }

    /// What is left beside whole blocks, in units of 2^-64.
    pub fn fraction(self) -> u64 {
        u64::try_from(self.0 & u128::from(u64::MAX)).expect("masked to 64 bits")
    }

    /// The sum, or as much as fits.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Expected {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Self::plus)
    }
}

/// With six decimals, rounded down.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millionths = (u128::from(self.fraction()) * 1_000_000) >> 64;
        write!(f, "{}.{millionths:06}", self.floor())
    }
}

impl Luck {
    /// What came since another count of the same account.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            expected: Expected(self.expected.0.saturating_sub(before.expected.0)),
            found: self.found.saturating_sub(before.found),
        }
    }

    /// That so few are found, or fewer, happens once in so many times.
    pub fn odds(self) -> u128 {
        poisson::odds_of_at_most(self.found, self.expected)
    }

    /// Whether that is less than chance explains.
    pub fn is_suspicious(self) -> bool {
        self.odds() >= SUSPICIOUS_ODDS
    }

    /// Whether it is time to count anew.
    pub fn is_full(self) -> bool {
        self.expected >= COUNTED_ANEW_AFTER
    }
}

impl Effort {
    /// Nothing if a block takes no work.
    pub fn new(work: Work, network: Work) -> Option<Self> {
        (network > Work::ZERO).then_some(Self { work, network })
    }

    /// What a block takes on average.
    pub fn network(self) -> Work {
        self.network
    }
}

/// In percent with two decimals, rounded down: 100 is what a block takes on average.
impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths =
            U256::from(self.work.hashes()) * U256::from(10_000) / U256::from(self.network.hashes());
        let (whole, rest) = hundredths.div_rem(U256::from(100));
        write!(f, "{whole}.{:02}", rest.saturating_to::<u64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(hashes: u128) -> Work {
        Work::from_hashes(hashes)
    }

    fn luck(hundredths: u128, found: u64) -> Luck {
        Luck {
            expected: Expected::of(work(hundredths), work(100)),
            found,
        }
    }

    #[test]
    fn what_is_expected_is_exact_to_64_bits() {
        #[track_caller]
        fn case(done: u128, network: u128, units: u128) {
            let expected = Expected::of(work(done), work(network));
            assert_eq!(expected.units(), units);
        }
        case(1, 1, 1 << 64);
        case(1, 3, (1 << 64) / 3);
        case(0, 3, 0);
        case(3, 0, 0);
        case(1 << 80, 1 << 79, 2 << 64);
        // A share of difficulty 1 on a network of 2^80 hashes a block.
        case(1 << 32, 1 << 80, 1 << 16);
        case(u128::MAX, 1, u128::MAX);
        let third = Expected::of(work(4), work(3));
        assert_eq!(third.to_string(), "1.333333");
        assert_eq!((third.floor(), third.fraction()), (1, u64::MAX / 3));
        assert_eq!(
            Expected::from_units(u128::MAX).plus(third),
            Expected(u128::MAX)
        );
        assert_eq!(Expected::ZERO.to_string(), "0.000000");
    }

    #[test]
    fn an_effort_is_a_ratio() {
        #[track_caller]
        fn case(done: u128, network: u128, text: &str) {
            let effort = Effort::new(work(done), work(network)).unwrap();
            assert_eq!(effort.to_string(), text);
        }
        case(1, 3, "33.33");
        case(2, 3, "66.66");
        case(3, 3, "100.00");
        case(0, 3, "0.00");
        case(1001, 1000, "100.10");
        case(u128::MAX, 1, "34028236692093846346337460743176821145500.00");
        assert_eq!(Effort::new(work(1), work(0)), None);
    }

    #[test]
    fn a88_a_withholder_is_told_from_a_miner_without_luck() {
        #[track_caller]
        fn case(hundredths: u128, found: u64, suspicious: bool) {
            assert_eq!(luck(hundredths, found).is_suspicious(), suspicious);
        }
        // None at ten expected happens once in 22,026 times.
        case(1000, 0, true);
        case(1000, 1, false);
        case(921, 0, false);
        case(922, 0, true);
        case(2000, 5, true);
        case(2000, 6, false);
        case(2000, 40, false);
        case(0, 0, false);
        // A quarter kept back, for as long as it is counted.
        case(25_600, 192, true);
        case(25_600, 230, false);
    }

    #[test]
    fn a88_a_withholder_with_a_stock_of_blocks_is_told_too() {
        // Honest for as long as can be, then everything is kept back.
        let honest = luck(25_500, 255);
        assert!(!honest.is_full() && luck(25_600, 256).is_full());
        let kept_back = (1..).find(|more| luck(25_500 + more * 100, 255).is_suspicious());
        assert_eq!(kept_back, Some(65));
        let ever = luck(25_600 + 1000, 256);
        assert!(ever.since(luck(25_600, 256)).is_suspicious() && !ever.is_suspicious());
        // What is pruned or forgotten is no reason to accuse.
        assert_eq!(honest.since(ever), Luck::default());
    }

    /// SplitMix64: a seed is a sequence.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
    }

    /// Lets an account work up to so many expected blocks, in steps of 1/256 of one, and looks at it
    /// 16 times for each. One of `kept` blocks is kept back; none if that is zero. Says with how many expected
    /// blocks it was suspicious first, and whether it is at the end.
    fn mine(dice: &mut Dice, blocks: u32, kept: u64) -> (Option<Expected>, bool) {
        let mut luck = Luck::default();
        let mut first = None;
        for step in 0..blocks * 256 {
            luck.expected = luck.expected.plus(Expected::of(work(1), work(256)));
            if dice.roll() < u64::MAX / 256 {
                luck.found += u64::from(kept == 0 || !dice.roll().is_multiple_of(kept));
            }
            // With four fifths of what was expected it is not, here.
            let may_be = luck.found * 5 <= luck.expected.floor() * 4;
            if first.is_none() && may_be && step % 16 == 15 && luck.is_suspicious() {
                first = Some(luck.expected);
            }
        }
        (first, luck.is_suspicious())
    }

    #[test]
    fn a88_of_a_thousand_honest_accounts_at_most_one_is_suspected() {
        let mut dice = Dice(88);
        let looked: Vec<_> = (0..1000).map(|_| mine(&mut dice, 20, 0)).collect();
        let at_the_end = looked.iter().filter(|(_, at_the_end)| *at_the_end).count();
        let ever = looked.iter().filter(|(first, _)| first.is_some()).count();
        println!("suspected at the end: {at_the_end}, ever: {ever}");
        assert!(at_the_end <= 1, "{at_the_end}");
        // It is looked at all the time, and not only at the end.
        assert!(ever <= 2, "{ever}");
    }

    #[test]
    fn a88_every_withholder_is_suspected() {
        let mut dice = Dice(89);
        for _ in 0..100 {
            let (first, at_the_end) = mine(&mut dice, 10, 1);
            assert!(at_the_end && first.unwrap() < Expected::whole(10));
        }
        let halves: Vec<_> = (0..100).map(|_| mine(&mut dice, 128, 2)).collect();
        let told = halves.iter().filter(|(first, _)| first.is_some()).count();
        println!("of 100 who keep back half, {told} are suspected within 128 expected blocks");
        assert!(told >= 99, "{told}");
    }
}
