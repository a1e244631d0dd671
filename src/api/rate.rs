//! The one definition of hashrate, for a pool, a miner and a worker: the sum of the work in a stretch
//! of time over its seconds.

use mining::Work;
use serde::Serialize;
use store::{Minute, Sums};
use utoipa::ToSchema;

use crate::{display, pool::Pool};

/// Since when work is summed up for [`Rates`], in minutes before the one that is now.
const WINDOWS: [u32; 7] = [1, 5, 15, 60, 6 * 60, 24 * 60, 7 * 24 * 60];

/// Minutes are kept for two days; longer stretches begin with an hour.
const BY_MINUTE: u32 = 24 * 60;

/// Minutes up to now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// The first one.
    pub(crate) since: Minute,
    /// What has gone by of them.
    pub(crate) millis: u64,
}

/// Work per second, in H/s, since the minute that was so long before this one began. A stretch is never
/// longer than the pool has existed.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Rates {
    /// Over a minute.
    #[serde(rename = "1m")]
    pub(crate) minute: f64,
    /// Over five minutes.
    #[serde(rename = "5m")]
    pub(crate) five_minutes: f64,
    /// Over fifteen minutes.
    #[serde(rename = "15m")]
    pub(crate) quarter: f64,
    /// Over an hour.
    #[serde(rename = "1h")]
    pub(crate) hour: f64,
    /// Over six hours.
    #[serde(rename = "6h")]
    pub(crate) six_hours: f64,
    /// Over a day.
    #[serde(rename = "1d")]
    pub(crate) day: f64,
    /// Over seven days, from the beginning of an hour on.
    #[serde(rename = "7d")]
    pub(crate) week: f64,
}

impl Stretch {
    pub(crate) fn new(pool: &Pool, minutes: u32, now_ms: i64) -> Self {
        let mut since = Minute::of_ms(now_ms).back(minutes);
        if minutes > BY_MINUTE {
            since = since.hour();
        }
        let millis = now_ms - since.start_ms().max(pool.began_ms);
        Self {
            since,
            millis: u64::try_from(millis).unwrap_or(0).max(1),
        }
    }

    /// Those of [`Rates`].
    pub(super) fn all(pool: &Pool, now_ms: i64) -> [Self; 7] {
        WINDOWS.map(|minutes| Self::new(pool, minutes, now_ms))
    }

    /// In H/s.
    pub(crate) fn rate(self, work: Work) -> f64 {
        display::to_f64(work.per_second(self.millis))
    }
}

impl Rates {
    /// Of what was done in [`Stretch::all`].
    pub(super) fn of(stretches: [Stretch; 7], sums: &[Sums]) -> Self {
        let rate = |place: usize| {
            let work = sums.get(place).map_or(Work::ZERO, |sums| sums.work);
            stretches[place].rate(work)
        };
        Self {
            minute: rate(0),
            five_minutes: rate(1),
            quarter: rate(2),
            hour: rate(3),
            six_hours: rate(4),
            day: rate(5),
            week: rate(6),
        }
    }

    /// Each with its name.
    pub(crate) fn named(&self) -> [(&'static str, f64); 7] {
        [
            ("1m", self.minute),
            ("5m", self.five_minutes),
            ("15m", self.quarter),
            ("1h", self.hour),
            ("6h", self.six_hours),
            ("1d", self.day),
            ("7d", self.week),
        ]
    }
}
