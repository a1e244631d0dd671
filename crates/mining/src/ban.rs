//! When an address is banned: too many of its shares are invalid. Called by `src/bans.rs`, which
//! counts; here is only the rule.
//!
//! Time is cut into halves of the window. What counts is the half that runs and the one before it,
//! so a share counts for at least half a window and at most a whole one. That costs four numbers
//! an address instead of a list of its shares.

/// When to ban. Numbers are the operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// More than so many of a hundred shares are invalid.
    pub invalid_percent: u32,
    /// Of at least so many shares.
    pub shares_min: u64,
    /// Within so many milliseconds.
    pub window_ms: i64,
}

/// Shares of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accepted.
    pub valid: u64,
    /// Refused for what they are. Stale shares and unknown jobs are not among them.
    pub invalid: u64,
}

/// The shares of an address in the newest window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// When the running half began, in milliseconds since 1970.
    began_ms: i64,
    running: Counts,
    before: Counts,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            valid: self.valid.saturating_add(other.valid),
            invalid: self.invalid.saturating_add(other.invalid),
        }
    }

    /// All of them.
    pub fn shares(self) -> u64 {
        self.valid.saturating_add(self.invalid)
    }
}

impl Rule {
    /// Whether an address with these shares is to be banned.
    pub fn bans(&self, counts: Counts) -> bool {
        let shares = counts.shares();
        let invalid = u128::from(counts.invalid) * 100;
        shares >= self.shares_min && invalid > u128::from(shares) * u128::from(self.invalid_percent)
    }
}

impl Window {
    /// Nothing was counted yet.
    pub fn new(now_ms: i64) -> Self {
        Self {
            began_ms: now_ms,
            running: Counts::default(),
            before: Counts::default(),
        }
    }

    /// Counts shares that came just now, and gives all that count. A clock that was set back starts
    /// the running half anew, and keeps what was counted.
    pub fn add(&mut self, rule: &Rule, more: Counts, now_ms: i64) -> Counts {
        let half = (rule.window_ms / 2).max(1);
        let age = now_ms.saturating_sub(self.began_ms);
        if age < 0 {
            self.began_ms = now_ms;
        } else if age / half == 1 {
            self.before = std::mem::take(&mut self.running);
            self.began_ms += half;
        } else if age / half > 1 {
            *self = Self::new(now_ms);
        }
        self.running = self.running.plus(more);
        self.before.plus(self.running)
    }

    /// Whether nothing counts any more.
    pub fn is_empty(&self) -> bool {
        self.before.plus(self.running) == Counts::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const RULE: Rule = Rule {
        invalid_percent: 10,
        shares_min: 100,
        window_ms: 600_000,
    };

    fn counts(valid: u64, invalid: u64) -> Counts {
        Counts { valid, invalid }
    }

    #[test]
    fn more_than_the_percentage_of_enough_shares_is_a_ban() {
        #[track_caller]
        fn case(valid: u64, invalid: u64, expected: bool) {
            assert_eq!(RULE.bans(counts(valid, invalid)), expected);
        }
        case(0, 99, false);
        case(0, 100, true);
        case(90, 10, false);
        case(89, 11, true);
        case(1_000, 100, false);
        case(1_000, 112, true);
        case(0, 0, false);
        case(u64::MAX, u64::MAX, true);
        case(u64::MAX, 0, false);
        case(0, u64::MAX, true);
        let never = Rule {
            invalid_percent: 100,
            ..RULE
        };
        assert!(!never.bans(counts(0, 1_000)));
    }

    #[test]
    fn two_of_ten_are_a_fifth_and_the_third_is_more() {
        let rule = Rule {
            invalid_percent: 20,
            shares_min: 10,
            window_ms: 600_000,
        };
        let mut window = Window::new(0);
        assert!(!rule.bans(window.add(&rule, counts(8, 2), 0)));
        assert!(rule.bans(window.add(&rule, counts(0, 1), 0)));
        // The same part of fewer is none.
        assert!(!rule.bans(counts(6, 3)));
    }

    #[test]
    fn shares_count_for_half_a_window_at_least_and_a_whole_one_at_most() {
        let mut window = Window::new(0);
        let mut look = |more, now_ms| window.add(&RULE, more, now_ms).invalid;
        assert_eq!(look(counts(0, 1), 299_999), 1);
        assert_eq!(look(counts(0, 1), 300_000), 2);
        assert_eq!(look(counts(0, 0), 599_999), 2);
        assert_eq!(look(counts(0, 0), 600_000), 1);
        assert_eq!(look(counts(0, 0), 900_000), 0);
        assert_eq!(look(counts(0, 5), 900_001), 5);
        assert_eq!(look(counts(0, 0), 9_000_000), 0);
        assert!(window.is_empty());
    }

    #[test]
    fn a_clock_that_jumps_neither_keeps_counts_for_ever_nor_overflows() {
        let mut window = Window::new(1_000_000);
        window.add(&RULE, counts(0, 50), 1_000_000);
        assert_eq!(window.add(&RULE, counts(0, 1), 0).invalid, 51);
        assert_eq!(window.add(&RULE, counts(0, 0), 300_000).invalid, 51);
        assert_eq!(window.add(&RULE, counts(0, 0), 600_000).invalid, 0);
        for now in [i64::MAX, i64::MIN, 0, i64::MAX] {
            window.add(&RULE, counts(1, 1), now);
        }
        let most = window.add(&RULE, counts(u64::MAX, u64::MAX), i64::MAX);
        assert_eq!(most.shares(), u64::MAX);
    }

    proptest! {
        /// Against a list of all shares: what came within half a window counts, and nothing counts
        /// that is older than a whole one.
        #[test]
        fn the_two_halves_lie_between_half_a_window_and_a_whole_one(
            steps in prop::collection::vec((0_i64..400_000, 0_u64..5, 0_u64..5), 1..80),
        ) {
            let mut window = Window::new(0);
            let mut all = VecDeque::new();
            let mut now = 0;
            for (step, valid, invalid) in steps {
                now += step;
                all.push_back((now, counts(valid, invalid)));
                let counted = window.add(&RULE, counts(valid, invalid), now);
                let since = |from: i64| {
                    all.iter()
                        .filter(|(at, _)| *at > from)
                        .fold(Counts::default(), |sum, (_, more)| sum.plus(*more))
                };
                let (least, most) = (since(now - 300_000), since(now - 600_000 - 1));
                prop_assert!(least.valid <= counted.valid && counted.valid <= most.valid);
                prop_assert!(least.invalid <= counted.invalid && counted.invalid <= most.invalid);
            }
        }
    }
}
