//! What was done: shares and work of a pool or worker, ever or since a minute. All figures are
//! integers and exact: what was rolled up by minutes, and every later share by its record, of one
//! commit.
//!
//! Rates are made by whoever shows them, of this work and the time it took
//! ([`Work::per_second`](mining::Work::per_second)).

use std::collections::{BTreeMap, HashMap, HashSet};

use mining::Work;

use crate::{
    Minute, PoolId, ReadError, ShareRecord, Store, WorkerId, miners::own_workers,
    minutes::MINUTES_AN_HOUR, packed::Packed, rows, sql,
};

/// The most points of a chart; there are no more columns on a screen.
const MOST_POINTS: i64 = 2_000;

/// A number of shares and their work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many.
    pub shares: u64,
    /// What they are worth together.
    pub work: Work,
}

/// Who has found a share of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Active {
    /// The number of workers.
    pub workers: u64,
    /// The number of addresses they work for.
    pub addresses: u64,
}

/// Number, then work in three parts; see [`rows::work`].
type SumRow = (i64, i64, i64, i64);

impl Sums {
    pub(crate) fn of((shares, top, middle, low): SumRow) -> sqlx::Result<Self> {
        Ok(Self {
            shares: rows::unsigned(shares, "shares")?,
            work: rows::work(top, middle, low)?,
        })
    }

    pub(crate) fn add(&mut self, other: Self) -> sqlx::Result<()> {
        let sum = || {
            Some(Self {
                shares: self.shares.checked_add(other.shares)?,
                work: self.work.checked_add(other.work)?,
            })
        };
        *self = sum().ok_or_else(|| rows::corrupt("a sum of work"))?;
        Ok(())
    }

    pub(crate) fn add_share(&mut self, share: &ShareRecord) -> sqlx::Result<()> {
        self.add(Self {
            shares: 1,
            work: share.work(),
        })
    }
}

/// Sums over rows that hold sums.
macro_rules! sums_of_sums {
    () => {
        "CAST(COALESCE(SUM(shares), 0) AS BIGINT),
         CAST(COALESCE(SUM(work_high >> 32), 0) AS BIGINT),
         CAST(COALESCE(SUM(work_high & 4294967295), 0) AS BIGINT),
         CAST(COALESCE(SUM(work_low), 0) AS BIGINT)"
    };
}

pub(crate) use sums_of_sums;

/// The number of an address in pool `$1`.
macro_rules! miner_of {
    ($address:literal) => {
        concat!(
            "miner = (SELECT workers.miner FROM workers WHERE workers.pool = $1
                 AND workers.address = ",
            $address,
            " LIMIT 1)"
        )
    };
}

/// What address `$4` did since minute `$2`, which the hour `$3` is in or begins: whole hours, and the
/// minutes before them.
macro_rules! since_of_miner {
    () => {
        concat!(
            " FROM (SELECT shares, work_high, work_low FROM miner_minutes
                    WHERE pool = $1 AND minute >= $2 AND minute < $3 * 60 AND ",
            crate::figures::miner_of!("$4"),
            " UNION ALL SELECT shares, work_high, work_low FROM miner_hours
                    WHERE pool = $1 AND hour >= $3 AND ",
            crate::figures::miner_of!("$4"),
            ") AS done"
        )
    };
}

pub(crate) use {miner_of, since_of_miner};

/// Sums by step: pool, first row, the row after the last one, rows of a step, worker, address.
macro_rules! history {
    ($table:literal, $row:literal, $whose:expr) => {
        concat!(
            "SELECT ",
            $row,
            " / $4 AS step, ",
            sums_of_sums!(),
            " FROM ",
            $table,
            " WHERE pool = $1 AND ",
            $row,
            " >= $2 AND ",
            $row,
            " < $3 AND ",
            $whose,
            " GROUP BY ",
            $row,
            " / $4"
        )
    };
}

macro_rules! of_pool {
    () => {
        "$5 = 0 AND $6 = ''"
    };
}

macro_rules! of_worker {
    () => {
        "worker = $5 AND $6 = ''"
    };
}

macro_rules! of_miner {
    () => {
        concat!("$5 = 0 AND ", miner_of!("$6"))
    };
}

/// Whose history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of<'a> {
    /// All of a pool.
    Pool,
    /// All workers of an address.
    Miner(&'a str),
    /// One worker.
    Worker(WorkerId),
}

impl Store {
    /// What the pool did since a minute began: of the time for which minutes are kept from any minute on,
    /// of older times from an hour's first.
    pub async fn pool_sums(&self, pool: PoolId, since: Minute) -> Result<Sums, ReadError> {
        let sums = self.pool_windows(pool, &[since]).await?;
        Ok(sums.into_iter().next().unwrap_or_default())
    }

    /// The same since each of these minutes, all of one commit.
    pub async fn pool_windows(
        &self,
        pool: PoolId,
        windows: &[Minute],
    ) -> Result<Vec<Sums>, ReadError> {
        let closed = concat!(
            "SELECT ",
            sums_of_sums!(),
            " FROM (SELECT shares, work_high, work_low FROM pool_minutes
                    WHERE pool = $1 AND minute >= $2 AND minute < $3 * 60
                    UNION ALL SELECT shares, work_high, work_low FROM pool_hours
                    WHERE pool = $1 AND hour >= $3) AS done"
        );
        let mut reading = self.database.read().await?;
        let mut sums = Vec::with_capacity(windows.len());
        for since in windows {
            let row = sql::query(closed)
                .bind(pool.0)
                .bind(since.number())
                .bind(since.next_hour())
                .fetch_one(&mut reading)
                .await?;
            sums.push(Sums::of(row)?);
        }
        for packed in self.tails.read(&mut reading, pool).await? {
            for (since, sums) in windows.iter().zip(&mut sums) {
                if packed.share.minute() >= *since {
                    sums.add_share(&packed.share)?;
                }
            }
        }
        Ok(sums)
    }

    /// All the pool ever did.
    pub async fn pool_total(&self, pool: PoolId) -> Result<Sums, ReadError> {
        let closed = concat!("SELECT ", sums_of_sums!(), " FROM workers WHERE pool = $1");
        let mut reading = self.database.read().await?;
        let row = sql::query(closed)
            .bind(pool.0)
            .fetch_one(&mut reading)
            .await?;
        let mut sums = Sums::of(row)?;
        for packed in self.tails.read(&mut reading, pool).await? {
            sums.add_share(&packed.share)?;
        }
        Ok(sums)
    }

    /// What a pool, a miner or a worker did in each step of `step` minutes from `from` up to but without
    /// `to`. Steps without shares are left out; steps begin at multiples of `step`. Steps of whole hours
    /// go back as far as hours are kept, those of a pool for ever; others as far as minutes are.
    pub async fn history(
        &self,
        pool: PoolId,
        of: Of<'_>,
        from: Minute,
        to: Minute,
        step: u32,
    ) -> Result<Vec<(Minute, Sums)>, ReadError> {
        let step = i64::from(step.max(1));
        let most = from
            .number()
            .saturating_add(step.saturating_mul(MOST_POINTS));
        let to = to.number().min(most);
        let (worker, address) = match of {
            Of::Pool => (0, ""),
            Of::Worker(worker) => (worker.0, ""),
            Of::Miner(address) => (0, address),
        };
        let by_hour = step % MINUTES_AN_HOUR == 0;
        let text = match (of, by_hour) {
            (Of::Pool, false) => history!("pool_minutes", "minute", of_pool!()),
            (Of::Pool, true) => history!("pool_hours", "hour", of_pool!()),
            (Of::Worker(_), false) => history!("minutes", "minute", of_worker!()),
            (Of::Worker(_), true) => history!("hours", "hour", of_worker!()),
            (Of::Miner(_), false) => history!("miner_minutes", "minute", of_miner!()),
            (Of::Miner(_), true) => history!("miner_hours", "hour", of_miner!()),
        };
        // A row is of so many minutes.
        let grain = if by_hour { MINUTES_AN_HOUR } else { 1 };
        let mut reading = self.database.read().await?;
        let rows: Vec<(i64, i64, i64, i64, i64)> = sql::query(text)
            .bind(pool.0)
            .bind(rows_up_to(from.number(), grain))
            .bind(rows_up_to(to, grain))
            .bind(step / grain)
            .bind(worker)
            .bind(address)
            .fetch_all(&mut reading)
            .await?;
        let mut steps: BTreeMap<i64, Sums> = Default::default();
        for (number, shares, top, middle, low) in rows {
            steps.insert(number, Sums::of((shares, top, middle, low))?);
        }
        let late = self.tails.read(&mut reading, pool).await?;
        let own = match of {
            Of::Miner(address) => own_workers(&mut reading, pool, address, &late).await?,
            Of::Worker(worker) => HashSet::from([worker.0]),
            Of::Pool => HashSet::new(),
        };
        for Packed { share, worker } in late {
            let minute = share.minute().number();
            let is_asked = of == Of::Pool || own.contains(&worker);
            if is_asked && (from.number()..to).contains(&minute) {
                steps.entry(minute / step).or_default().add_share(&share)?;
            }
        }
        let minute = |number: i64| Minute::from_number(number.saturating_mul(step));
        Ok(steps
            .into_iter()
            .map(|(number, sums)| (minute(number), sums))
            .collect())
    }

    /// How many found a share since a minute began.
    pub async fn active(&self, pool: PoolId, since: Minute) -> Result<Active, ReadError> {
        let mut reading = self.database.read().await?;
        let mut late: Vec<i64> = self
            .tails
            .read(&mut reading, pool)
            .await?
            .into_iter()
            .filter(|packed| packed.share.minute() >= since)
            .map(|packed| packed.worker)
            .collect();
        late.sort_unstable();
        late.dedup();
        let mut active: HashMap<i64, String> = sql::query(
            "SELECT id, address FROM workers WHERE id IN (
                 SELECT worker FROM minutes WHERE pool = $1 AND minute >= $2)",
        )
        .bind(pool.0)
        .bind(since.number())
        .fetch_all(&mut reading)
        .await?
        .into_iter()
        .collect();
        late.retain(|worker| !active.contains_key(worker));
        for chunk in rows::chunks(&late) {
            let text = format!(
                "SELECT id, address FROM workers WHERE id IN (VALUES {})",
                sql::placeholders(reading.kind(), 1, chunk.len(), 1)
            );
            let mut query = sql::built(text);
            for worker in chunk {
                query = query.bind(worker);
            }
            let found: Vec<(i64, String)> = query.fetch_all(&mut reading).await?;
            active.extend(found);
        }
        let addresses: HashSet<&String> = active.values().collect();
        let count = |number: usize| {
            u64::try_from(number).map_err(|_| rows::corrupt("the number of workers"))
        };
        Ok(Active {
            workers: count(active.len())?,
            addresses: count(addresses.len())?,
        })
    }
}

/// How many rows of `grain` minutes begin before a minute.
fn rows_up_to(minute: i64, grain: i64) -> i64 {
    minute.saturating_add(grain - 1) / grain
}
