//! The one definition of hashrate, for a pool, a miner and a worker: the sum of the work in a stretch
//! of time over its seconds.

use mining::Work;
use serde::Serialize;
use store::{Minute, Sums};
use utoipa::ToSchema;

use crate::{display, pool::Pool};

/// The stretches of a miner's and a worker's figures, in minutes.
const OF_MINERS: [u32; 3] = [10, 60, 24 * 60];

/// Minutes up to now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// The first one: so many before this one, or that in which the pool started.
    pub(crate) since: Minute,
    /// What has gone by of them.
    pub(super) millis: u64,
}

/// Work per second, in H/s.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rates {
    /// Over ten minutes.
    #[serde(rename = "10m")]
    ten_minutes: f64,
    /// Over an hour.
    #[serde(rename = "1h")]
    hour: f64,
    /// Over a day, or since the pool was started.
    #[serde(rename = "24h")]
    day: f64,
}

impl Stretch {
    pub(crate) fn new(pool: &Pool, minutes: u32, now_ms: i64) -> Self {
        let started = Minute::of_ms(pool.started_ms);
        let since = Minute::of_ms(now_ms).back(minutes).max(started);
        let millis = now_ms - since.start_ms().max(pool.started_ms);
        Self {
            since,
            millis: u64::try_from(millis).unwrap_or(0).max(1),
        }
    }

    /// Those of [`Rates`].
    pub(super) fn of_miners(pool: &Pool, now_ms: i64) -> [Self; 3] {
        OF_MINERS.map(|minutes| Self::new(pool, minutes, now_ms))
    }

    /// In H/s.
    pub(crate) fn rate(self, work: Work) -> f64 {
        display::to_f64(work.per_second(self.millis))
    }
}

impl Rates {
    /// Of what was done in [`Stretch::of_miners`].
    pub(super) fn of(stretches: [Stretch; 3], sums: &[Sums]) -> Self {
        let rate = |place: usize| {
            let work = sums.get(place).map_or(Work::ZERO, |sums| sums.work);
            stretches[place].rate(work)
        };
        Self {
            ten_minutes: rate(0),
            hour: rate(1),
            day: rate(2),
        }
    }
}
