//! Shares rolled up: their number and work for each worker and minute. Figures older than a few
//! minutes come from here, so that shares need not be kept for them.
//!
//! A minute is rolled up once, in the transaction that also closes it. So every share counts in
//! exactly one place: in its minute if that is closed, by its own row if it is not.

use crate::{PoolId, Store, WriteError};

/// The most rows that one call prunes, for the same reason as with shares.
const MOST_PRUNED: u32 = 4_000;

/// A minute since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(i64);

/// How far a roll-up came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolledUp {
    /// All minutes before this one are closed.
    pub until: Minute,
    /// Whether that is all that was asked for. If not, call again.
    pub done: bool,
}

impl Minute {
    /// The first one.
    pub const FIRST: Self = Self(0);

    /// The minute of a time in milliseconds since 1970; what is before 1970 is in the first.
    pub fn of_ms(time_ms: i64) -> Self {
        Self(time_ms.div_euclid(60_000).max(0))
    }

    /// From the number of minutes since 1970.
    pub fn from_number(number: i64) -> Self {
        Self(number.max(0))
    }

    /// The number of minutes since 1970.
    pub fn number(self) -> i64 {
        self.0
    }

    /// When it began, in milliseconds since 1970.
    pub fn start_ms(self) -> i64 {
        self.0.saturating_mul(60_000)
    }

    /// The minute so many minutes before.
    pub fn back(self, minutes: u32) -> Self {
        Self::from_number(self.0 - i64::from(minutes))
    }
}

impl Store {
    /// Rolls up minutes before `until`: one that has shares a call, so that the share log is not
    /// kept waiting. Asked again for the same, it does nothing.
    ///
    /// Shares that come after their minute was closed count in the first open one, so `until`
    /// should be a minute or two ago. Minutes after the last share stay open: a clock that was
    /// wrong for an hour closes none that are to come.
    pub async fn roll_up(&self, pool: PoolId, until: Minute) -> Result<RolledUp, WriteError> {
        let mut writing = self.database.write().await?;
        let open: i64 = sqlx::query_scalar("SELECT rolled_until FROM pools WHERE id = $1")
            .bind(pool.0)
            .fetch_one(&mut *writing)
            .await?;
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(minute) FROM shares WHERE pool = $1 AND minute >= $2 AND minute < $3",
        )
        .bind(pool.0)
        .bind(open)
        .bind(until.0)
        .fetch_one(&mut *writing)
        .await?;
        let Some(minute) = next else {
            writing.commit().await?;
            return Ok(RolledUp {
                until: Minute(open),
                done: true,
            });
        };
        for statement in [SUM_UP, ADD_TO_TOTALS] {
            sqlx::query(statement)
                .bind(pool.0)
                .bind(minute)
                .execute(&mut *writing)
                .await?;
        }
        sqlx::query("UPDATE pools SET rolled_until = $2 WHERE id = $1")
            .bind(pool.0)
            .bind(minute + 1)
            .execute(&mut *writing)
            .await?;
        writing.commit().await?;
        Ok(RolledUp {
            until: Minute(minute + 1),
            done: minute + 1 == until.0,
        })
    }

    /// Removes minutes before `before`, some a call, and says how many; to be called until it says
    /// 0. The totals of each worker stay.
    pub async fn prune_minutes(&self, pool: PoolId, before: Minute) -> Result<u64, WriteError> {
        let mut writing = self.database.write().await?;
        let pruned = sqlx::query(
            "DELETE FROM minutes WHERE (worker, minute) IN (
                 SELECT worker, minute FROM minutes WHERE pool = $1 AND minute < $2
                 ORDER BY minute LIMIT $3)",
        )
        .bind(pool.0)
        .bind(before.0)
        .bind(MOST_PRUNED)
        .execute(&mut *writing)
        .await?
        .rows_affected();
        writing.commit().await?;
        Ok(pruned)
    }
}

// 4294967295 is 2^32 - 1. The sums of halves fit 64 bits up to 2^31 shares a minute.
const SUM_UP: &str = "
    INSERT INTO minutes (pool, worker, minute, shares, work_high, work_low, last_ms)
    SELECT pool, worker, minute, COUNT(*),
           CAST(SUM(work >> 32) AS BIGINT) + (CAST(SUM(work & 4294967295) AS BIGINT) >> 32),
           CAST(SUM(work & 4294967295) AS BIGINT) & 4294967295,
           MAX(time_ms)
    FROM shares WHERE pool = $1 AND minute = $2
    GROUP BY pool, worker, minute";

const ADD_TO_TOTALS: &str = "
    UPDATE workers SET
        shares = workers.shares + added.shares,
        work_high = workers.work_high + added.work_high
            + ((workers.work_low + added.work_low) >> 32),
        work_low = (workers.work_low + added.work_low) & 4294967295,
        last_seen_ms = CASE WHEN added.last_ms > workers.last_seen_ms
            THEN added.last_ms ELSE workers.last_seen_ms END
    FROM minutes AS added
    WHERE added.worker = workers.id AND added.pool = $1 AND added.minute = $2";
