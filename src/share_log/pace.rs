//! For how many shares a commit waits: a commit costs the same for one as for a hundred, and a
//! miner does not notice two milliseconds.
//!
//! As many as the last one had, as those who were answered send their next ones; twice as many
//! while that is few. Whoever waited in vain waits for no more than came. After a pause nothing is
//! waited for.

use std::time::Duration;

/// From here on more shares hardly make a commit cheaper by the share.
const ENOUGH: usize = 64;

/// How many shares the next commit is worth waiting for.
#[derive(Debug)]
pub(super) struct Pace {
    target: usize,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { target: 1 }
    }

    /// The number of shares to wait for, when the first one came `pause` after the last commit. A
    /// pause longer than any wait means that nothing else is coming.
    pub(super) fn target(&self, pause: Duration, longest_wait: Duration) -> usize {
        match pause > longest_wait {
            true => 1,
            false => self.target,
        }
    }

    /// A batch of so many is written; `in_time` if they came before the wait was over.
    pub(super) fn written(&mut self, shares: usize, in_time: bool) {
        self.target = match in_time && shares < ENOUGH {
            true => shares * 2,
            false => shares,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(2);

    #[test]
    fn it_grows_while_shares_come_in_time_and_falls_back_to_what_came() {
        let mut pace = Pace::new();
        let mut targets = Vec::new();
        for _ in 0..9 {
            let target = pace.target(Duration::ZERO, WAIT);
            targets.push(target);
            pace.written(target, true);
        }
        assert_eq!(targets, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        pace.written(20, false);
        assert_eq!(pace.target(Duration::ZERO, WAIT), 20);
        pace.written(3_000, true);
        assert_eq!(pace.target(Duration::ZERO, WAIT), 3_000);
    }

    #[test]
    fn after_a_pause_nobody_waits() {
        let mut pace = Pace::new();
        pace.written(1_000, true);
        assert_eq!(pace.target(WAIT, WAIT), 1_000);
        assert_eq!(pace.target(WAIT * 2, WAIT), 1);
    }
}
