//! What was done: shares and work of a pool or worker, ever or since a minute. All figures are
//! integers and exact: what was rolled up by minutes, and every later share by its record, of one
//! commit.
//!
//! Rates are made by whoever shows them, of this work and the time it took
//! ([`Work::per_second`](mining::Work::per_second)).

use std::collections::{BTreeMap, HashMap, HashSet};

use mining::Work;

use crate::{
    Minute, PoolId, ReadError, ShareRecord, Store, WorkerId, database::Connection, packed::Packed,
    rows, shares::tail, sql,
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

impl Store {
    /// What the pool did since a minute began, as long as minutes are kept.
    pub async fn pool_sums(&self, pool: PoolId, since: Minute) -> Result<Sums, ReadError> {
        let closed = concat!(
            "SELECT ",
            sums_of_sums!(),
            " FROM minutes WHERE pool = $1 AND minute >= $2"
        );
        let mut reading = self.database.read().await?;
        let mut sums = sum(&mut reading, closed, pool, since).await?;
        for packed in tail(&mut reading, pool).await? {
            if packed.share.minute() >= since {
                sums.add_share(&packed.share)?;
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
        for packed in tail(&mut reading, pool).await? {
            sums.add_share(&packed.share)?;
        }
        Ok(sums)
    }

    /// What the pool, or one worker of it, did in each step of `step` minutes from `from` up to
    /// but without `to`. Steps without shares are left out; steps begin at multiples of `step`.
    pub async fn history(
        &self,
        pool: PoolId,
        worker: Option<WorkerId>,
        from: Minute,
        to: Minute,
        step: u32,
    ) -> Result<Vec<(Minute, Sums)>, ReadError> {
        let step = i64::from(step.max(1));
        let to = to.number().min(
            from.number()
                .saturating_add(step.saturating_mul(MOST_POINTS)),
        );
        const CLOSED: &str = concat!(
            "SELECT minute / $4 AS step, ",
            sums_of_sums!(),
            " FROM minutes WHERE pool = $1 AND minute >= $2 AND minute < $3
              AND ($5 = 0 OR worker = $5) GROUP BY minute / $4"
        );
        let mut reading = self.database.read().await?;
        let mut steps: BTreeMap<i64, Sums> = Default::default();
        let rows: Vec<(i64, i64, i64, i64, i64)> = sql::query(CLOSED)
            .bind(pool.0)
            .bind(from.number())
            .bind(to)
            .bind(step)
            .bind(worker.map_or(0, |worker| worker.0))
            .fetch_all(&mut reading)
            .await?;
        for (number, shares, top, middle, low) in rows {
            steps.insert(number, Sums::of((shares, top, middle, low))?);
        }
        for Packed { share, worker: id } in tail(&mut reading, pool).await? {
            let minute = share.minute().number();
            if (from.number()..to).contains(&minute) && worker.is_none_or(|worker| worker.0 == id) {
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
        let mut late: Vec<i64> = tail(&mut reading, pool)
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

async fn sum(
    connection: &mut Connection,
    text: &'static str,
    pool: PoolId,
    since: Minute,
) -> sqlx::Result<Sums> {
    let row: SumRow = sql::query(text)
        .bind(pool.0)
        .bind(since.number())
        .fetch_one(connection)
        .await?;
    Sums::of(row)
}
