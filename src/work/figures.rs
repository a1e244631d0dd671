//! What `GET /pool/metrics` says: counts, and two averages in which a new sample counts for a tenth.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mining::Work;

/// Hashrates are of so many seconds.
const RECENT_S: usize = 60;

/// What was done since the port was opened.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<Sums>);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) received: u64,
    pub(super) invalid: u64,
    pub(super) blocks: u64,
    job: Average,
    share: Average,
    recent: Recent,
}

/// In nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Average(Option<u64>);

/// The work of the last minute, second by second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    seconds: [u128; RECENT_S],
    /// The newest of them, since the process started.
    newest: u64,
}

impl Figures {
    /// A job was told after so long.
    pub(super) fn job(&self, took: Duration) {
        self.sums().job.sample(took);
    }

    /// A share was answered after so long, accepted or not.
    pub(super) fn share(&self, took: Duration) {
        let mut sums = self.sums();
        sums.received += 1;
        sums.share.sample(took);
    }

    /// It was invalid.
    pub(super) fn invalid(&self) {
        self.sums().invalid += 1;
    }

    /// It was accepted, in this second.
    pub(super) fn accepted(&self, work: Work, second: u64, is_block: bool) {
        let mut sums = self.sums();
        sums.blocks += u64::from(is_block);
        sums.recent.add(work, second);
    }

    /// What they are now.
    pub(super) fn now(&self) -> Sums {
        *self.sums()
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sums {
    /// The part of shares that were invalid: `1.25%`.
    pub(super) fn invalid_rate(&self) -> String {
        let hundredths = (u128::from(self.invalid) * 10_000)
            .checked_div(self.received.into())
            .unwrap_or(0);
        format!("{}.{:02}%", hundredths / 100, hundredths % 100)
    }

    /// The average time until a job was told, in milliseconds: `0.25`.
    pub(super) fn job_ms(&self) -> String {
        self.job.ms()
    }

    /// The average time until a share was answered, likewise.
    pub(super) fn share_ms(&self) -> String {
        self.share.ms()
    }

    /// Hashes a second, of the last minute.
    pub(super) fn hashrate(&self, second: u64) -> u64 {
        self.recent.hashrate(second)
    }
}

impl Average {
    fn sample(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX / 10);
        let before = self.0.unwrap_or(nanos);
        self.0 = Some(before - before / 10 + nanos / 10);
    }

    fn ms(self) -> String {
        let hundredths = self.0.unwrap_or(0) / 10_000;
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            seconds: [0; RECENT_S],
            newest: 0,
        }
    }
}

impl Recent {
    pub(super) fn add(&mut self, work: Work, second: u64) {
        self.go_to(second);
        let place = place(second);
        self.seconds[place] = self.seconds[place].saturating_add(work.hashes());
    }

    /// Hashes a second, of the last minute.
    pub(super) fn hashrate(mut self, second: u64) -> u64 {
        self.go_to(second);
        let all = self
            .seconds
            .iter()
            .fold(0u128, |sum, work| sum.saturating_add(*work));
        let seconds = u128::try_from(RECENT_S).unwrap_or(1);
        u64::try_from(all / seconds).unwrap_or(u64::MAX)
    }

    /// Forgets what is older than a minute.
    fn go_to(&mut self, second: u64) {
        let passed = second.saturating_sub(self.newest);
        if passed >= u64::try_from(RECENT_S).unwrap_or(u64::MAX) {
            self.seconds = [0; RECENT_S];
        } else {
            for passed in 1..=passed {
                self.seconds[place(self.newest + passed)] = 0;
            }
        }
        self.newest = self.newest.max(second);
    }
}

fn place(second: u64) -> usize {
    let seconds = u64::try_from(RECENT_S).unwrap_or(1);
    usize::try_from(second % seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_follow_by_a_tenth_and_rates_have_two_decimals() {
        let figures = Figures::default();
        assert_eq!(figures.now().share_ms(), "0.00");
        assert_eq!(figures.now().invalid_rate(), "0.00%");
        figures.share(Duration::from_millis(10));
        assert_eq!(figures.now().share_ms(), "10.00");
        figures.share(Duration::from_millis(20));
        assert_eq!(figures.now().share_ms(), "11.00");
        figures.share(Duration::from_millis(20));
        figures.invalid();
        assert_eq!(figures.now().invalid_rate(), "33.33%");
        figures.job(Duration::from_micros(250));
        assert_eq!(figures.now().job_ms(), "0.25");
    }

    #[test]
    fn hashrate_is_that_of_the_last_minute() {
        let mut recent = Recent::default();
        recent.add(Work::from_hashes(600), 5);
        recent.add(Work::from_hashes(600), 6);
        assert_eq!(recent.hashrate(6), 20);
        assert_eq!(recent.hashrate(65), 10);
        assert_eq!(recent.hashrate(66), 0);
        recent.add(Work::from_hashes(60), 1_000_000);
        assert_eq!(recent.hashrate(1_000_000), 1);
    }
}
