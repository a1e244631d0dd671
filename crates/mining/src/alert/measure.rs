//! What numbers are trouble. Between the bound at which trouble begins and the one at which it is over
//! there is always room, so that a number that sways about a bound tells nobody anything twice.

use super::Level;

/// A drop is judged from so many shares on that were to be expected: of 60, half as many or fewer come
/// once in 30,000 times by chance.
pub const EXPECTED_SHARES_MIN: u64 = 60;
/// Rejects are judged from so many shares on.
pub const SHARES_MIN: u64 = 50;

/// Work done in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// In expected hashes.
    pub hashes: u128,
    /// How many shares.
    pub shares: u64,
    /// The length of the stretch, in milliseconds.
    pub millis: u64,
}

impl Done {
    /// Work per second.
    pub fn per_second(self) -> u128 {
        self.hashes.saturating_mul(1000) / u128::from(self.millis.max(1))
    }
}

/// Whether a worker is gone. One that was told to be gone is back once it has sent a share since.
pub fn worker(connected: bool, gone_since_ms: Option<i64>, last_share_ms: i64) -> Level {
    match (connected, gone_since_ms) {
        (false, _) => Level::Bad,
        (true, Some(since_ms)) if last_share_ms <= since_ms => Level::Unclear,
        (true, _) => Level::Good,
    }
}

/// Whether a miner does far less than usual: by `drop_percent` or more it is trouble, and by half of
/// that or less it is none.
pub fn hashrate(now: Done, usual: Done, drop_percent: u32) -> Level {
    let expected = u128::from(usual.shares) * u128::from(now.millis);
    if expected < u128::from(EXPECTED_SHARES_MIN) * u128::from(usual.millis.max(1)) {
        return Level::Unclear;
    }
    let part = |percent: u32| {
        let left = 100 - percent.min(100);
        usual.per_second() / 100 * u128::from(left)
    };
    let rate = now.per_second();
    if rate <= part(drop_percent) {
        Level::Bad
    } else if rate >= part(drop_percent / 2) {
        Level::Good
    } else {
        Level::Unclear
    }
}

/// Whether too many shares are refused: `percent` or more is trouble, less than half of that is none.
pub fn rejects(accepted: u64, rejected: u64, percent: u32) -> Level {
    let shares = accepted.saturating_add(rejected);
    if shares < SHARES_MIN {
        return Level::Unclear;
    }
    let bound = u128::from(shares) * u128::from(percent);
    let refused = u128::from(rejected) * 100;
    if refused >= bound {
        Level::Bad
    } else if refused * 2 < bound {
        Level::Good
    } else {
        Level::Unclear
    }
}

/// Whether something is too much: from `most` on it is trouble, below nine tenths of that it is none.
pub fn above(number: u64, most: u64) -> Level {
    if number >= most {
        Level::Bad
    } else if u128::from(number) * 10 < u128::from(most) * 9 {
        Level::Good
    } else {
        Level::Unclear
    }
}

/// Whether something is too little: below `least` it is trouble, from a quarter more on it is none.
pub fn below(number: u64, least: u64) -> Level {
    if number < least {
        Level::Bad
    } else if u128::from(number) * 4 >= u128::from(least) * 5 {
        Level::Good
    } else {
        Level::Unclear
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn done(rate: u128, shares: u64, seconds: u64) -> Done {
        Done {
            hashes: rate * u128::from(seconds),
            shares,
            millis: seconds * 1000,
        }
    }

    #[test]
    fn a_worker_is_back_with_a_share_and_not_with_a_connection() {
        assert_eq!(worker(false, None, 0), Level::Bad);
        assert_eq!(worker(true, None, 0), Level::Good);
        assert_eq!(worker(true, Some(10), 0), Level::Unclear);
        assert_eq!(worker(true, Some(10), 10), Level::Unclear);
        assert_eq!(worker(true, Some(10), 11), Level::Good);
        assert_eq!(worker(false, Some(10), 11), Level::Bad);
    }

    #[test]
    fn a_drop_is_judged_by_its_part_of_the_usual() {
        let usual = done(1_000, 5_760, 86_400);
        #[track_caller]
        fn case(rate: u128, expected: Level, usual: Done) {
            assert_eq!(hashrate(done(rate, 0, 1_800), usual, 50), expected);
        }
        case(0, Level::Bad, usual);
        case(500, Level::Bad, usual);
        case(501, Level::Unclear, usual);
        case(749, Level::Unclear, usual);
        case(750, Level::Good, usual);
        case(9_000, Level::Good, usual);
        // A miner with few shares is not judged by half an hour: chance does that.
        let few = done(1_000, 2_879, 86_400);
        assert_eq!(hashrate(done(0, 0, 1_800), few, 50), Level::Unclear);
        assert_eq!(
            hashrate(done(0, 0, 1_800), Done::default(), 50),
            Level::Unclear
        );
    }

    #[test]
    fn rejects_are_judged_by_their_part() {
        assert_eq!(rejects(0, 49, 10), Level::Unclear);
        assert_eq!(rejects(45, 5, 10), Level::Bad);
        assert_eq!(rejects(46, 4, 10), Level::Unclear);
        assert_eq!(rejects(95, 5, 10), Level::Unclear);
        assert_eq!(rejects(96, 4, 10), Level::Good);
        assert_eq!(rejects(u64::MAX, u64::MAX, 100), Level::Bad);
    }

    #[test]
    fn bounds_have_room_between_them() {
        assert_eq!(above(90, 90), Level::Bad);
        assert_eq!(above(81, 90), Level::Unclear);
        assert_eq!(above(80, 90), Level::Good);
        assert_eq!(below(99, 100), Level::Bad);
        assert_eq!(below(100, 100), Level::Unclear);
        assert_eq!(below(124, 100), Level::Unclear);
        assert_eq!(below(125, 100), Level::Good);
    }

    proptest! {
        /// No number is worse than a worse one.
        #[test]
        fn more_work_is_never_more_trouble(
            usual in 1..1_u128 << 80, a in 0..1_u128 << 80, b in 0..1_u128 << 80, drop in 1..100_u32,
        ) {
            let usual = done(usual, 100_000, 86_400);
            let (less, more) = (a.min(b), a.max(b));
            let level = |rate| match hashrate(done(rate, 0, 1_800), usual, drop) {
                Level::Bad => 0,
                Level::Unclear => 1,
                Level::Good => 2,
            };
            prop_assert!(level(less) <= level(more));
        }
    }
}
