//! How often something may happen: a token bucket, and the ceiling of a worker's shares built on
//! it.
//!
//! Asked by a connection for each request or share. Time is an argument, in milliseconds of any
//! clock. A clock that goes back costs nobody anything: nothing is filled up for that step, nothing
//! is taken away, and counting goes on from the new time.

/// A token in the units a bucket counts in, so that each millisecond fills up `per_second` units.
const TOKEN: u64 = 1000;

/// So many in a second in the long run, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many in each second; zero is no limit.
    pub per_second: u32,
    /// How many at once after a pause; zero is taken as one, as nothing could pass otherwise.
    pub burst: u32,
}

/// A token bucket: it begins full, and each event takes a token.
#[derive(Clone, Debug)]
pub struct Bucket {
    limit: Limit,
    /// What is in it, in thousandths of a token.
    filled: u64,
    last_ms: u64,
}

impl Bucket {
    /// A full one.
    pub fn new(limit: Limit, now_ms: u64) -> Self {
        Self {
            limit,
            filled: full(limit),
            last_ms: now_ms,
        }
    }

    /// Whether one more may happen now. What is refused takes no token, so asking again and again
    /// keeps nobody out.
    pub fn take(&mut self, now_ms: u64) -> bool {
        if self.limit.per_second == 0 {
            return true;
        }
        let passed_ms = now_ms.saturating_sub(self.last_ms);
        self.last_ms = now_ms;
        let gained = passed_ms.saturating_mul(u64::from(self.limit.per_second));
        self.filled = self.filled.saturating_add(gained).min(full(self.limit));
        match self.filled.checked_sub(TOKEN) {
            Some(left) => {
                self.filled = left;
                true
            }
            None => false,
        }
    }
}

fn full(limit: Limit) -> u64 {
    u64::from(limit.burst.max(1)) * TOKEN
}

/// The most shares a worker sends in a second. Vardiff aims at one in some seconds, so this is
/// reached by devices that do not heed their difficulty, and by floods.
pub const SHARES_PER_SECOND_MAX: u32 = 100;
/// Shares above the ceiling are borne for so many seconds of it: what a miner sends at once after
/// its network was away.
const BURST_S: u32 = 2;
/// A raised difficulty shows in the shares after this time: the job has to reach the device, and
/// the shares under way have to arrive.
const HEEDED_MS: u64 = 5_000;

/// The ceiling of one worker's shares.
///
/// The first share above it asks for a higher difficulty and a clean job. Whoever still sends too
/// many 5 s later has those that are too many refused, and no others. After 5 s without a share too
/// many all is forgotten.
#[derive(Clone, Debug)]
pub struct Ceiling {
    bucket: Bucket,
    excess: Option<Excess>,
}

#[derive(Clone, Copy, Debug)]
struct Excess {
    raised_ms: u64,
    last_ms: u64,
}

/// What to do with a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Judge it.
    Fine,
    /// Judge it, raise the difficulty and send a clean job. Said once for each excess.
    Raise,
    /// Refuse it: a raise was asked for at least 5 s ago.
    Refuse,
}

impl Ceiling {
    /// A ceiling of `per_second` shares, [`SHARES_PER_SECOND_MAX`] unless the operator says
    /// otherwise; zero is no ceiling.
    pub fn new(per_second: u32, now_ms: u64) -> Self {
        let limit = Limit {
            per_second,
            burst: per_second.saturating_mul(BURST_S),
        };
        Self {
            bucket: Bucket::new(limit, now_ms),
            excess: None,
        }
    }

    /// A share came in.
    pub fn share(&mut self, now_ms: u64) -> Rate {
        if self.bucket.take(now_ms) {
            return Rate::Fine;
        }
        // A clock that went back would otherwise keep the excess alive until it has caught up.
        let excess = self.excess.map(|excess| Excess {
            raised_ms: excess.raised_ms.min(now_ms),
            last_ms: excess.last_ms.min(now_ms),
        });
        let (raised_ms, rate) = match excess {
            Some(excess) if now_ms - excess.last_ms < HEEDED_MS => {
                let rate = if now_ms - excess.raised_ms < HEEDED_MS {
                    Rate::Fine
                } else {
                    Rate::Refuse
                };
                (excess.raised_ms, rate)
            }
            _ => (now_ms, Rate::Raise),
        };
        self.excess = Some(Excess {
            raised_ms,
            last_ms: now_ms,
        });
        rate
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(per_second: u32, burst: u32) -> Bucket {
        Bucket::new(Limit { per_second, burst }, 0)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = bucket(4, 2);
        assert!(bucket.take(0) && bucket.take(0) && !bucket.take(0));
        assert!(!bucket.take(249));
        assert!(bucket.take(250));
        assert!(!bucket.take(251));
        // However long the pause, no more than the burst.
        assert!(bucket.take(1 << 40) && bucket.take(1 << 40) && !bucket.take(1 << 40));
    }

    #[test]
    fn without_a_rate_there_is_no_limit_and_without_a_burst_one_passes() {
        let mut free = bucket(0, 0);
        assert!((0..10_000).all(|_| free.take(0)));
        let mut one = bucket(1, 0);
        assert!(one.take(0) && !one.take(0) && one.take(1_000));
        let mut largest = bucket(u32::MAX, u32::MAX);
        assert!(largest.take(u64::MAX) && largest.take(0) && largest.take(u64::MAX));
    }

    #[test]
    fn a_clock_that_goes_back_starves_nobody() {
        let mut bucket = Bucket::new(
            Limit {
                per_second: 1,
                burst: 1,
            },
            3_600_000,
        );
        assert!(bucket.take(3_600_000));
        assert!(!bucket.take(0), "nothing is given for the step back");
        assert!(bucket.take(1_000), "and it goes on from there");
    }

    #[test]
    fn a_bucket_is_small() {
        assert!(size_of::<Bucket>() <= 24, "{}", size_of::<Bucket>());
    }

    /// Sends `count` shares, one each `step_ms`; returns what was said to each.
    fn send(ceiling: &mut Ceiling, now_ms: &mut u64, count: usize, step_ms: u64) -> Vec<Rate> {
        (0..count)
            .map(|_| {
                *now_ms += step_ms;
                ceiling.share(*now_ms)
            })
            .collect()
    }

    fn count(rates: &[Rate], rate: Rate) -> usize {
        rates.iter().filter(|said| **said == rate).count()
    }

    #[test]
    fn a_flood_is_asked_to_slow_down_once_and_then_only_the_excess_is_refused() {
        let (mut ceiling, mut now) = (Ceiling::new(SHARES_PER_SECOND_MAX, 0), 0);
        // 1,000 a second: the burst is gone after about 220 shares.
        let first = send(&mut ceiling, &mut now, 5_000, 1);
        assert_eq!(
            (count(&first, Rate::Raise), count(&first, Rate::Refuse)),
            (1, 0)
        );
        let later = send(&mut ceiling, &mut now, 10_000, 1);
        let refused = count(&later, Rate::Refuse);
        assert!((8_000..9_500).contains(&refused), "{refused}");
        assert_eq!(count(&later, Rate::Raise), 0);
        let heeded = send(&mut ceiling, &mut now, 1_000, 10);
        assert_eq!(
            count(&heeded, Rate::Fine),
            1_000,
            "at the ceiling all is well"
        );
        let again = send(&mut ceiling, &mut now, 2_000, 1);
        assert_eq!(
            (count(&again, Rate::Raise), count(&again, Rate::Refuse)),
            (1, 0),
            "another flood is asked first again"
        );
    }

    #[test]
    fn without_a_ceiling_every_share_is_fine() {
        let mut ceiling = Ceiling::new(0, 0);
        assert!((0..10_000).all(|_| ceiling.share(0) == Rate::Fine));
    }

    proptest! {
        #[test]
        fn no_window_passes_more_than_burst_and_rate(
            per_second in 1u32..50, burst in 1u32..50,
            steps in prop::collection::vec(0u64..60, 1..300),
        ) {
            let mut bucket = bucket(per_second, burst);
            let mut now = 0;
            let mut passed = Vec::new();
            for step in steps {
                now += step;
                if bucket.take(now) {
                    passed.push(now);
                }
            }
            for (from, start) in passed.iter().enumerate() {
                for (to, end) in passed.iter().enumerate().skip(from) {
                    let allowed = u64::from(burst) * 1000 + (end - start) * u64::from(per_second);
                    prop_assert!(u64::try_from(to - from + 1).unwrap() * 1000 <= allowed);
                }
            }
        }

        #[test]
        fn what_keeps_to_burst_and_rate_always_passes(
            per_second in 1u32..50, burst in 1u32..50,
            steps in prop::collection::vec(0u64..60, 1..300),
        ) {
            let limit = Limit { per_second, burst };
            let mut bucket = Bucket::new(limit, 0);
            let (mut now, mut sent) = (0, Vec::<u64>::new());
            for step in steps {
                now += step;
                let keeps = (0..=sent.len()).all(|from| {
                    let start = sent.get(from).copied().unwrap_or(now);
                    let count = u64::try_from(sent.len() - from + 1).unwrap();
                    count * 1000 <= u64::from(burst) * 1000 + (now - start) * u64::from(per_second)
                });
                if keeps {
                    sent.push(now);
                    prop_assert!(bucket.take(now), "{sent:?}");
                }
            }
        }

        #[test]
        fn nothing_is_refused_that_was_not_asked_to_slow_down_5_s_before(
            per_second in 1u32..20,
            bursts in prop::collection::vec((1usize..200, 0u64..50, 0u64..20_000), 1..20),
        ) {
            let mut ceiling = Ceiling::new(per_second, 0);
            let (mut now, mut raised) = (0u64, None);
            for (count, step, pause) in bursts {
                now += pause;
                for _ in 0..count {
                    now += step;
                    match ceiling.share(now) {
                        Rate::Fine => {}
                        Rate::Raise => raised = Some(now),
                        Rate::Refuse => prop_assert!(raised.is_some_and(|at| at + 5_000 <= now)),
                    }
                }
            }
        }

        #[test]
        fn whoever_keeps_to_the_ceiling_is_never_bothered(
            per_second in 1u32..20, steps in prop::collection::vec(0u64..4_000, 1..300),
        ) {
            let mut ceiling = Ceiling::new(per_second, 0);
            // At least 1/per_second between two shares, rounded up to milliseconds; and a burst of
            // two seconds at the start.
            let gap = 1_000u64.div_ceil(u64::from(per_second));
            let mut now = 0;
            for _ in 0..per_second * BURST_S {
                prop_assert_eq!(ceiling.share(now), Rate::Fine);
            }
            for step in steps {
                now += gap + step;
                prop_assert_eq!(ceiling.share(now), Rate::Fine);
            }
        }

        #[test]
        fn no_clock_makes_it_panic(times in prop::collection::vec(any::<u64>(), 1..100)) {
            let mut ceiling = Ceiling::new(1, 0);
            for now in times {
                ceiling.share(now);
            }
        }
    }
}
