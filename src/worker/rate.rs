//! Hashes per second: those of a window by its seconds, the one definition of a hashrate.

use std::{collections::VecDeque, time::Duration};

use mining::Work;
use tokio::time::Instant;

/// The seconds over which the hashrate is taken: long enough to be calm, short enough to follow.
const RATE_WINDOW_S: usize = 30;

/// Hashes per second: those of the window by its seconds.
pub(super) struct Rate {
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    pub(super) fn new(now: Instant, hashes: u64) -> Self {
        Self {
            samples: VecDeque::from([(now, hashes)]),
        }
    }

    /// To be told once a second.
    pub(super) fn sample(&mut self, now: Instant, hashes: u64) -> u64 {
        self.samples.push_back((now, hashes));
        if self.samples.len() > RATE_WINDOW_S + 1 {
            self.samples.pop_front();
        }
        let (since, before) = self.samples[0];
        let window: Duration = now - since;
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let work = Work::from_hashes(u128::from(hashes.saturating_sub(before)));
        u64::try_from(work.per_second(millis)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut rate = Rate::new(start, 0);
        assert_eq!(rate.sample(start, 0), 0, "no time has passed");
        assert_eq!(rate.sample(at(1), 500), 500);
        assert_eq!(rate.sample(at(2), 2500), 1250);
        for second in 3..40 {
            rate.sample(at(second), 2500);
        }
        assert_eq!(rate.sample(at(40), 2500), 0);
    }
}
