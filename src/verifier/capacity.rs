//! How many hashes the verifying threads can do, measured while they do them.

use pow::randomx::Memory;

/// A new measurement counts for one in so many: some seconds' worth at full load, and one that was
/// disturbed changes little.
const WEIGHT: u64 = 32;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What all verifying threads together can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    nanos: u64,
    threads: u64,
}

impl Capacity {
    /// Verifications a second, rounded down.
    pub fn per_second(self) -> u64 {
        self.per(1)
    }

    /// Verifications a minute, rounded down: what is left of a slow machine's is not rounded away.
    pub fn per_minute(self) -> u64 {
        self.per(60)
    }

    /// The time between two shares of each miner, in milliseconds, at which so many of them take half of
    /// it: the other half is for bursts, and for those who lie.
    pub fn share_time_ms(self, miners: usize) -> u64 {
        let miners = u64::try_from(miners).unwrap_or(u64::MAX);
        let in_two_minutes = miners.saturating_mul(2 * 60_000);
        in_two_minutes.div_ceil(self.per_minute().max(1))
    }

    fn per(self, seconds: u64) -> u64 {
        let time = u128::from(NANOS_PER_SECOND) * u128::from(seconds);
        let count = time * u128::from(self.threads) / u128::from(self.nanos);
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

/// What takes how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// RandomX with a cache.
    Light,
    /// RandomX with a dataset.
    Fast,
    VisionX,
}

/// What a hash of each kind takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    light: Mean,
    fast: Mean,
    visionx: Mean,
}

/// The running mean of what a hash takes.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    /// In units of 1/WEIGHT of a nanosecond, so that rounding does not hold it in place.
    mean: u64,
}

impl Kind {
    pub(super) fn of(memory: &Memory) -> Self {
        match memory {
            Memory::Light(_) => Self::Light,
            Memory::Fast(_) => Self::Fast,
        }
    }
}

impl Measured {
    /// A hash took so many nanoseconds.
    pub(super) fn took(&mut self, kind: Kind, nanos: u64) {
        match kind {
            Kind::Light => self.light.took(nanos),
            Kind::Fast => self.fast.took(nanos),
            Kind::VisionX => self.visionx.took(nanos),
        }
    }

    /// Whether there was any hash.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.mean(kind).mean > 0
    }

    /// What so many threads can do; nothing before the first hash.
    pub(super) fn capacity(&self, kind: Kind, threads: u64) -> Option<Capacity> {
        self.mean(kind).capacity(threads)
    }

    fn mean(&self, kind: Kind) -> Mean {
        match kind {
            Kind::Light => self.light,
            Kind::Fast => self.fast,
            Kind::VisionX => self.visionx,
        }
    }
}

impl Mean {
    /// A hash took so many nanoseconds.
    fn took(&mut self, nanos: u64) {
        // A hash that takes a minute is a machine that slept.
        let nanos = nanos.clamp(1, 60 * NANOS_PER_SECOND);
        self.mean = if self.mean == 0 {
            nanos * WEIGHT
        } else {
            self.mean - self.mean / WEIGHT + nanos
        };
    }

    /// What so many threads can do; nothing before the first hash.
    fn capacity(self, threads: u64) -> Option<Capacity> {
        let nanos = self.mean / WEIGHT;
        (nanos > 0).then_some(Capacity { nanos, threads })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_first_hash_says_it_and_later_ones_correct_it() {
        let mut measured = Mean::default();
        assert_eq!(measured.capacity(2), None);
        measured.took(50 * MS);
        let first = measured.capacity(2).unwrap();
        assert_eq!((first.per_second(), first.per_minute()), (40, 2_400));
        measured.took(25 * MS);
        let second = measured.capacity(2).unwrap().per_minute();
        assert!((2_401..2_500).contains(&second), "{second}");
        (0..1_000).for_each(|_| measured.took(25 * MS));
        assert_eq!(measured.capacity(2).unwrap().per_second(), 80);
        (0..1_000).for_each(|_| measured.took(50 * MS));
        assert_eq!(measured.capacity(2).unwrap().per_second(), 40);
    }

    #[test]
    fn honest_miners_take_half_of_it_however_many_they_are() {
        let mut measured = Mean::default();
        measured.took(25 * MS);
        let capacity = measured.capacity(2).unwrap();
        assert_eq!(capacity.per_second(), 80);
        assert_eq!(capacity.share_time_ms(0), 0);
        assert_eq!(capacity.share_time_ms(40), 1_000);
        assert_eq!(capacity.share_time_ms(4_000), 100_000);
        // Never more often than that.
        assert_eq!(capacity.share_time_ms(41), 1_025);
        assert_eq!(capacity.share_time_ms(usize::MAX), u64::MAX / 4_800 + 1);
    }

    #[test]
    fn a_slow_machine_is_not_rounded_to_nothing_and_a_machine_that_slept_comes_back() {
        let mut measured = Mean::default();
        measured.took(1_500 * MS);
        let slow = measured.capacity(1).unwrap();
        assert_eq!((slow.per_second(), slow.per_minute()), (0, 40));
        measured.took(u64::MAX);
        measured.took(0);
        (0..2_000).for_each(|_| measured.took(25 * MS));
        assert_eq!(measured.capacity(1).unwrap().per_second(), 40);
    }
}
