//! How long to wait before the next attempt to reach a pool: twice as long after each failure, and
//! never the same for two workers, so that a farm does not come back in one instant.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Grows from `first` to `longest`.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// The next wait: between half of the step and all of it.
    pub(super) fn wait(&mut self) -> Duration {
        self.step(random_percent())
    }

    /// The pool has proved to work: the next failure waits as the first one did.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// `percent` is that of the half which is left to chance.
    fn step(&mut self, percent: u32) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        step / 2 + step / 200 * percent
    }
}

/// 0 to 100. The keys of the standard library's hash maps are random enough to spread waits.
fn random_percent() -> u32 {
    let random = RandomState::new().hash_one(()) % 101;
    u32::try_from(random).expect("a remainder of 101 fits 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let steps: Vec<u64> = (0..9).map(|_| backoff.step(100).as_secs()).collect();
        assert_eq!(steps, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.step(0), Duration::from_millis(500));
        assert_eq!(backoff.step(50), Duration::from_millis(1500));
    }

    #[test]
    fn two_workers_do_not_wait_alike() {
        let waits: std::collections::HashSet<Duration> = (0..64)
            .map(|_| Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).wait())
            .collect();
        assert!(waits.len() > 4, "{waits:?}");
        assert!(
            waits
                .iter()
                .all(|wait| wait.as_millis() >= 500 && wait.as_millis() <= 1000)
        );
    }
}
