//! Trust: which shares of a costly proof of work are verified, and which are believed.
//!
//! Asked by the connection once a share has passed every cheap check. Without a rule all are verified,
//! which is the default. With one, a worker that has shown enough good shares has some of them believed,
//! by one draw each; what is verified still catches a liar within a dozen shares, and no trust is left
//! to anything of its account. What could make a lie pay is always verified: a block, and a share that
//! claims more than those shown before. What a liar may expect to win is less than two parts in `after`
//! of the work that it has shown, whatever it does, as long as nothing of its account is believed while
//! a share that the draw fell on waits. The random number is an argument.

use crate::Work;

/// Draws are of so many.
const OF: u64 = 1_000;
/// A share that claims more than this times the average of those shown is verified. Vardiff doubles
/// at most, so an honest worker hardly meets it.
const CLAIM_MAX: u128 = 2;

/// When shares are believed. Made by [`Sampling::new`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    after: u32,
    least: u16,
}

/// The numbers make no rule: `after` is at least 1, and `least` from 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("after is at least 1, and least is from 1 to 1000")]
pub struct NotSampling;

/// What a worker has shown. A new one has shown nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Verified shares that were good.
    good: u32,
    /// Their work, added up.
    shown: u128,
    is_suspect: bool,
}

/// A share that nobody has verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The work that it is credited with.
    pub work: Work,
    /// Its claimed result meets the network's target.
    pub is_candidate: bool,
}

/// What to do with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Compute the hash: nothing less was ever possible.
    Verify,
    /// Compute the hash: the draw fell on this one. Until that is done, believe nothing of its account;
    /// if it cannot be done, the worker has [shown nothing](Trust::default) any more. Otherwise a liar
    /// would send many at once, or see to it that the one is lost.
    Sample,
    /// Take the claimed result for true.
    Believe,
}

impl Sampling {
    /// Believes shares of workers that have shown more than `after` good ones. How many of them are
    /// verified falls from all to `least` of a thousand, as more good ones are shown.
    pub fn new(after: u32, least: u16) -> Result<Self, NotSampling> {
        let is_rule = after > 0 && (1..=OF).contains(&u64::from(least));
        is_rule.then_some(Self { after, least }).ok_or(NotSampling)
    }

    /// Good shares that a worker has to show before any is believed.
    pub fn after(self) -> u32 {
        self.after
    }

    /// How many of a thousand are verified at least.
    pub fn least(self) -> u16 {
        self.least
    }
}

impl Trust {
    /// What to do with a claim; without a rule, to verify it. `draw` is a random number, evenly of all, made anew for each claim; it
    /// is used once, for two draws that must both fall would seldom verify anything.
    pub fn check(&self, rule: Option<Sampling>, claim: Claim, draw: u64) -> Check {
        let Some(rule) = rule else {
            return Check::Verify;
        };
        let is_new = self.good <= rule.after;
        let is_above = claim.work.hashes().saturating_mul(u128::from(self.good))
            > self.shown.saturating_mul(CLAIM_MAX);
        if claim.is_candidate || self.is_suspect || is_new || is_above {
            return Check::Verify;
        }
        let falling = (OF * u64::from(rule.after)).div_ceil(u64::from(self.good));
        if draw % OF < falling.max(u64::from(rule.least)) {
            Check::Sample
        } else {
            Check::Believe
        }
    }

    /// A share was verified, and was what it claimed. What was only believed shows nothing.
    pub fn verified(&mut self, work: Work) {
        if let Some(good) = self.good.checked_add(1) {
            self.good = good;
            self.shown = self.shown.saturating_add(work.hashes());
        }
    }

    /// A share was not what it claimed, or there is another reason to doubt: all trust is gone, and none
    /// is earned again. Call it for every worker of the account.
    pub fn doubt(&mut self) {
        *self = Self {
            is_suspect: true,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule() -> Option<Sampling> {
        Some(Sampling::new(30, 82).unwrap())
    }

    fn claim(hashes: u128) -> Claim {
        Claim {
            work: Work::from_hashes(hashes),
            is_candidate: false,
        }
    }

    fn shown(good: u32) -> Trust {
        let mut trust = Trust::default();
        (0..good).for_each(|_| trust.verified(Work::from_hashes(1_000)));
        trust
    }

    /// How many of a thousand are verified.
    fn verified(trust: &Trust, claim: Claim) -> usize {
        (0..OF)
            .filter(|draw| trust.check(rule(), claim, *draw) != Check::Believe)
            .count()
    }

    #[test]
    fn without_a_rule_everything_is_verified() {
        for draw in [0, OF - 1, u64::MAX] {
            assert_eq!(
                shown(100_000).check(None, claim(1), draw),
                Check::Verify,
                "{draw}"
            );
        }
    }

    #[test]
    fn a_new_worker_is_verified_and_a_known_one_less_and_less_down_to_the_least() {
        for (good, expected) in [
            (0, 1_000),
            (30, 1_000),
            (31, 968),
            (60, 500),
            (300, 100),
            (366, 82),
            (100_000, 82),
        ] {
            assert_eq!(verified(&shown(good), claim(1_000)), expected, "{good}");
        }
    }

    #[test]
    fn a_block_is_always_verified() {
        let block = Claim {
            work: Work::from_hashes(1_000),
            is_candidate: true,
        };
        assert_eq!(verified(&shown(100_000), block), 1_000);
    }

    #[test]
    fn trust_earned_with_small_shares_does_not_cover_a_large_one() {
        let trust = shown(1_000);
        assert_eq!(verified(&trust, claim(2_000)), 82);
        assert_eq!(verified(&trust, claim(2_001)), 1_000);
        assert_eq!(verified(&trust, claim(u128::MAX)), 1_000);
    }

    #[test]
    fn the_first_lie_takes_all_trust_and_none_comes_back() {
        let mut trust = shown(100_000);
        trust.doubt();
        assert_eq!(verified(&trust, claim(1)), 1_000);
        (0..100_000).for_each(|_| trust.verified(Work::from_hashes(1_000)));
        assert_eq!(verified(&trust, claim(1)), 1_000);
    }

    #[test]
    fn a_rule_that_would_verify_nothing_is_none() {
        for (after, least) in [(0, 82), (30, 0), (30, 1_001)] {
            assert_eq!(
                Sampling::new(after, least),
                Err(NotSampling),
                "{after} {least}"
            );
        }
        assert!(Sampling::new(1, 1).is_ok() && Sampling::new(u32::MAX, 1_000).is_ok());
    }

    proptest! {
        #[test]
        fn more_good_shares_never_make_more_verified(
            good in 0u32..2_000, more in 0u32..2_000, draw: u64,
        ) {
            let [fewer, more] = [good, good + more].map(shown);
            if more.check(rule(), claim(1_000), draw) != Check::Believe {
                prop_assert_ne!(fewer.check(rule(), claim(1_000), draw), Check::Believe);
            }
        }

        /// Each lie that may be believed is worth less than what catching it by its draw takes away, which
        /// is all that was shown: so a liar wins less than two parts in `after` of that, on average,
        /// however it chooses its lies and whatever it shows between them.
        #[test]
        fn a_lie_wins_less_than_two_parts_in_after_of_what_was_shown(
            works in prop::collection::vec(1u128..1 << 60, 1..300),
            after in 1u32..100, least in 1u16..=1_000, lie in 1u128..1 << 61,
        ) {
            let mut trust = Trust::default();
            works.iter().for_each(|work| trust.verified(Work::from_hashes(*work)));
            let rule = Sampling::new(after, least).ok();
            let count = |wanted| {
                let draws = (0..OF).filter(|draw| trust.check(rule, claim(lie), *draw) == wanted);
                u128::try_from(draws.count()).unwrap()
            };
            let (won, caught) = (count(Check::Believe) * lie, count(Check::Sample));
            let shown: u128 = works.iter().sum();
            prop_assert!(won * u128::from(after) <= 2 * caught * shown, "{won} {caught} {shown}");
        }

        #[test]
        fn no_number_makes_it_panic(
            works in prop::collection::vec(any::<u128>(), 0..50),
            after in 1u32.., least in 1u16..=1_000, work: u128, draw: u64,
        ) {
            let mut trust = Trust::default();
            for work in works {
                trust.verified(Work::from_hashes(work));
            }
            let rule = Sampling::new(after, least).ok();
            trust.check(rule, claim(work), draw);
        }
    }
}
