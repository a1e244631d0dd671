//! The list of workers, page by page, each with all it did and what it did of late. For the
//! dashboard, the API and whoever looks up an address.

use std::collections::HashMap;

use pow::Hash;

use crate::{
    Minute, PoolId, ReadError, Store, Sums, WorkerId, WorkerName,
    database::Connection,
    figures::{since_of_workers, sums_of_sums},
    packed::Packed,
    rows, sql,
};

/// The most workers on one page.
const LONGEST_PAGE: u32 = 1_000;

/// The most windows of one query; a page shows three or four.
const MOST_WINDOWS: usize = 8;

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

impl Store {
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
        for Packed { share, worker } in self.tails.read(&mut reading, pool).await? {
            let Some(index) = index.get(&worker) else {
                continue;
            };
            let worker = &mut workers[*index];
            worker.last_share_ms = worker.last_share_ms.max(share.time_ms());
            worker.total.add_share(&share)?;
            let best = worker.best.get_or_insert(share.hash());
            if share.hash().to_display_bytes() < best.to_display_bytes() {
                *best = share.hash();
            }
            for (since, window) in windows.iter().zip(&mut worker.windows) {
                if share.minute() >= *since {
                    window.add_share(&share)?;
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

/// The ids of a page: pool, two others, address, cursor, limit.
macro_rules! of_page {
    () => {
        " WHERE worker IN (SELECT id FROM workers
              WHERE pool = $1 AND ($4 = '' OR address = $4) AND id > $5 ORDER BY id LIMIT $6)"
    };
}

impl Page<'_> {
    async fn workers(
        &self,
        connection: &mut Connection,
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
        let rows: Vec<Row> = sql::query(
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
        connection: &mut Connection,
        since: Minute,
    ) -> sqlx::Result<Vec<(i64, Sums)>> {
        let text = concat!(
            "SELECT worker, ",
            sums_of_sums!(),
            since_of_workers!(),
            of_page!(),
            " GROUP BY worker"
        );
        let rows: Vec<(i64, i64, i64, i64, i64)> = sql::query(text)
            .bind(self.pool.0)
            .bind(since.number())
            .bind(since.next_hour())
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
}
