//! What was done: shares and work of a pool or worker, ever or since a minute. All figures are
//! integers and exact: closed minutes as they were rolled up, and every later share by its row, of
//! one commit.
//!
//! Rates are made by whoever shows them, of this work and the time it took
//! ([`Work::per_second`](mining::Work::per_second)).

use std::collections::HashMap;

use mining::Work;
use pow::Hash;
use sqlx::SqliteConnection;

use crate::{Minute, PoolId, ReadError, Store, WorkerId, WorkerName, rows};

/// The most workers on one page.
const LONGEST_PAGE: u32 = 1_000;

/// The most windows of one query; a page shows three or four.
const MOST_WINDOWS: usize = 8;

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

/// A worker with what it has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its id, which is also the cursor of the list.
    pub id: WorkerId,
    /// Who it is.
    pub who: WorkerName,
    /// When its first share came, in milliseconds since 1970.
    pub first_share_ms: i64,
    /// When its last share came, in milliseconds since 1970.
    pub last_share_ms: i64,
    /// Its smallest hash.
    pub best: Option<Hash>,
    /// All it ever did.
    pub total: Sums,
    /// What it did since each of the minutes that were asked for.
    pub windows: Vec<Sums>,
}

/// Number, then work in three parts; see [`rows::work`].
type SumRow = (i64, i64, i64, i64);

impl Sums {
    fn of((shares, top, middle, low): SumRow) -> sqlx::Result<Self> {
        Ok(Self {
            shares: rows::unsigned(shares, "shares")?,
            work: rows::work(top, middle, low)?,
        })
    }

    fn add(&mut self, other: Self) -> sqlx::Result<()> {
        let sum = || {
            Some(Self {
                shares: self.shares.checked_add(other.shares)?,
                work: self.work.checked_add(other.work)?,
            })
        };
        *self = sum().ok_or_else(|| rows::corrupt("a sum of work"))?;
        Ok(())
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

/// Sums over shares, whose work is below 2^63.
macro_rules! sums_of_shares {
    () => {
        "COUNT(*), CAST(0 AS BIGINT),
         CAST(COALESCE(SUM(work >> 32), 0) AS BIGINT),
         CAST(COALESCE(SUM(work & 4294967295), 0) AS BIGINT)"
    };
}

/// Shares of minutes from `$2` on that are not rolled up. One bound, so that it is the one by
/// which rows are found.
macro_rules! open_shares {
    () => {
        " FROM shares WHERE pool = $1 AND minute >= (
              SELECT CASE WHEN rolled_until > $2 THEN rolled_until ELSE $2 END
              FROM pools WHERE id = $1)"
    };
}

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
        let open = concat!("SELECT ", sums_of_shares!(), open_shares!());
        sums.add(sum(&mut reading, open, pool, since).await?)?;
        Ok(sums)
    }

    /// All the pool ever did.
    pub async fn pool_total(&self, pool: PoolId) -> Result<Sums, ReadError> {
        let closed = concat!("SELECT ", sums_of_sums!(), " FROM workers WHERE pool = $1");
        let open = concat!("SELECT ", sums_of_shares!(), open_shares!());
        let mut reading = self.database.read().await?;
        let row = sqlx::query_as(closed)
            .bind(pool.0)
            .fetch_one(&mut *reading)
            .await?;
        let mut sums = Sums::of(row)?;
        sums.add(sum(&mut reading, open, pool, Minute::FIRST).await?)?;
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
        const OPEN: &str = concat!(
            "SELECT minute / $4 AS step, ",
            sums_of_shares!(),
            open_shares!(),
            " AND minute < $3 AND ($5 = 0 OR worker = $5) GROUP BY minute / $4"
        );
        let mut reading = self.database.read().await?;
        let mut steps: std::collections::BTreeMap<i64, Sums> = Default::default();
        for text in [CLOSED, OPEN] {
            let rows: Vec<(i64, i64, i64, i64, i64)> = sqlx::query_as(text)
                .bind(pool.0)
                .bind(from.number())
                .bind(to)
                .bind(step)
                .bind(worker.map_or(0, |worker| worker.0))
                .fetch_all(&mut *reading)
                .await?;
            for (number, shares, top, middle, low) in rows {
                steps
                    .entry(number)
                    .or_default()
                    .add(Sums::of((shares, top, middle, low))?)?;
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
        let (workers, addresses): (i64, i64) = sqlx::query_as(concat!(
            "SELECT COUNT(*), COUNT(DISTINCT address) FROM workers WHERE id IN (
                 SELECT worker FROM minutes WHERE pool = $1 AND minute >= $2
                 UNION SELECT worker",
            open_shares!(),
            ")"
        ))
        .bind(pool.0)
        .bind(since.number())
        .fetch_one(&mut *reading)
        .await?;
        Ok(Active {
            workers: rows::unsigned(workers, "workers")?,
            addresses: rows::unsigned(addresses, "addresses")?,
        })
    }

    /// A page of workers, all or those of one address, in the order in which they first came, with
    /// what each did since the beginning of each of `windows` (at most 8). The next page begins
    /// after the last id; a page has at most 1000.
    pub async fn workers(
        &self,
        pool: PoolId,
        address: Option<&str>,
        windows: &[Minute],
        after: Option<WorkerId>,
        limit: u32,
    ) -> Result<Vec<Worker>, ReadError> {
        let page = Page {
            pool,
            address: address.unwrap_or(""),
            after: after.map_or(0, |after| after.0),
            limit: limit.min(LONGEST_PAGE),
        };
        let windows = &windows[..windows.len().min(MOST_WINDOWS)];
        let mut reading = self.database.read().await?;
        let mut workers = page.workers(&mut reading, windows.len()).await?;
        let index: HashMap<i64, usize> = workers
            .iter()
            .enumerate()
            .map(|(index, worker)| (worker.id.0, index))
            .collect();
        for (number, since) in windows.iter().enumerate() {
            for (worker, sums) in page.closed(&mut reading, *since).await? {
                if let Some(index) = index.get(&worker) {
                    workers[*index].windows[number].add(sums)?;
                }
            }
        }
        for (worker, minute, last_ms, sums) in page.open(&mut reading).await? {
            let Some(index) = index.get(&worker) else {
                continue;
            };
            let worker = &mut workers[*index];
            worker.last_share_ms = worker.last_share_ms.max(last_ms);
            worker.total.add(sums)?;
            for (since, window) in windows.iter().zip(&mut worker.windows) {
                if minute >= since.number() {
                    window.add(sums)?;
                }
            }
        }
        Ok(workers)
    }
}

/// Which workers.
struct Page<'a> {
    pool: PoolId,
    /// All if empty: no address is.
    address: &'a str,
    after: i64,
    limit: u32,
}

/// The ids of a page: pool, something else, address, cursor, limit.
macro_rules! of_page {
    () => {
        " AND worker IN (SELECT id FROM workers
              WHERE pool = $1 AND ($3 = '' OR address = $3) AND id > $4 ORDER BY id LIMIT $5)"
    };
}

impl Page<'_> {
    async fn workers(
        &self,
        connection: &mut SqliteConnection,
        windows: usize,
    ) -> sqlx::Result<Vec<Worker>> {
        type Row = (
            i64,
            String,
            String,
            i64,
            i64,
            Option<Vec<u8>>,
            i64,
            i64,
            i64,
        );
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, address, name, first_seen_ms, last_seen_ms, best, shares, work_high, work_low
             FROM workers
             WHERE pool = $1 AND ($2 = '' OR address = $2) AND id > $3 ORDER BY id LIMIT $4",
        )
        .bind(self.pool.0)
        .bind(self.address)
        .bind(self.after)
        .bind(self.limit)
        .fetch_all(connection)
        .await?;
        let worker = |(id, address, name, first, last, best, shares, high, low): Row| {
            Ok(Worker {
                id: WorkerId(id),
                who: WorkerName::of_row(address, name),
                first_share_ms: first,
                last_share_ms: last,
                best: best.map(|best| rows::hash(&best)).transpose()?,
                total: Sums::of((shares, 0, high, low))?,
                windows: vec![Sums::default(); windows],
            })
        };
        rows.into_iter().map(worker).collect()
    }

    async fn closed(
        &self,
        connection: &mut SqliteConnection,
        since: Minute,
    ) -> sqlx::Result<Vec<(i64, Sums)>> {
        let text = concat!(
            "SELECT worker, ",
            sums_of_sums!(),
            " FROM minutes WHERE pool = $1 AND minute >= $2",
            of_page!(),
            " GROUP BY worker"
        );
        let rows: Vec<(i64, i64, i64, i64, i64)> = sqlx::query_as(text)
            .bind(self.pool.0)
            .bind(since.number())
            .bind(self.address)
            .bind(self.after)
            .bind(self.limit)
            .fetch_all(connection)
            .await?;
        let row = |(worker, shares, top, middle, low)| {
            Ok((worker, Sums::of((shares, top, middle, low))?))
        };
        rows.into_iter().map(row).collect()
    }

    /// Worker, minute, time of the last share, sums.
    async fn open(
        &self,
        connection: &mut SqliteConnection,
    ) -> sqlx::Result<Vec<(i64, i64, i64, Sums)>> {
        let text = concat!(
            "SELECT worker, minute, MAX(time_ms), ",
            sums_of_shares!(),
            open_shares!(),
            of_page!(),
            " GROUP BY worker, minute"
        );
        let rows: Vec<(i64, i64, i64, i64, i64, i64, i64)> = sqlx::query_as(text)
            .bind(self.pool.0)
            .bind(Minute::FIRST.number())
            .bind(self.address)
            .bind(self.after)
            .bind(self.limit)
            .fetch_all(connection)
            .await?;
        let row = |(worker, minute, last_ms, shares, top, middle, low)| {
            Ok((
                worker,
                minute,
                last_ms,
                Sums::of((shares, top, middle, low))?,
            ))
        };
        rows.into_iter().map(row).collect()
    }
}

async fn sum(
    connection: &mut SqliteConnection,
    text: &'static str,
    pool: PoolId,
    since: Minute,
) -> sqlx::Result<Sums> {
    let row: SumRow = sqlx::query_as(text)
        .bind(pool.0)
        .bind(since.number())
        .fetch_one(connection)
        .await?;
    Sums::of(row)
}
