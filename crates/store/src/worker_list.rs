//! The list of workers, page by page, each with all it did and what it did of late. For the
//! dashboard, the API and whoever looks up an address.

use std::collections::HashMap;

use pow::Hash;

use crate::{
    Minute, PoolId, ReadError, Store, Sums, WorkerId, WorkerName, database::Connection,
    figures::sums_of_sums, packed::Packed, rows, sql,
};

/// The most workers on one page.
const LONGEST_PAGE: u32 = 1_000;

/// The most windows of one query; a page shows three or four.
pub(crate) const MOST_WINDOWS: usize = 8;

/// What [`of_row`] reads.
macro_rules! worker_columns {
    () => {
        "id, address, name, first_seen_ms, last_seen_ms, best, shares, work_high, work_low"
    };
}

pub(crate) use worker_columns;

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
        let mut workers = page.workers(&mut reading).await?;
        add_windows(&mut reading, windows, &mut workers).await?;
        add_late(
            windows,
            &self.tails.read(&mut reading, pool).await?,
            &mut workers,
        )?;
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

impl Page<'_> {
    async fn workers(&self, connection: &mut Connection) -> sqlx::Result<Vec<Worker>> {
        let rows: Vec<WorkerRow> = sql::query(concat!(
            "SELECT ",
            worker_columns!(),
            " FROM workers
             WHERE pool = $1 AND ($2 = '' OR address = $2) AND id > $3 ORDER BY id LIMIT $4"
        ))
        .bind(self.pool.0)
        .bind(self.address)
        .bind(self.after)
        .bind(self.limit)
        .fetch_all(connection)
        .await?;
        rows.into_iter().map(of_row).collect()
    }
}

pub(crate) type WorkerRow = (
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

/// A worker without windows.
pub(crate) fn of_row(
    (id, address, name, first, last, best, shares, high, low): WorkerRow,
) -> sqlx::Result<Worker> {
    Ok(Worker {
        id: WorkerId(id),
        who: WorkerName::of_row(address, name),
        first_share_ms: first,
        last_share_ms: last,
        best: best.map(|best| rows::hash(&best)).transpose()?,
        total: Sums::of((shares, 0, high, low))?,
        windows: Vec::new(),
    })
}

/// Where each worker stands in a list, by its id.
fn places(workers: &[Worker]) -> HashMap<i64, usize> {
    workers.iter().map(|worker| worker.id.0).zip(0..).collect()
}

/// Adds what workers did since each of these minutes, as far as it is rolled up.
pub(crate) async fn add_windows(
    connection: &mut Connection,
    windows: &[Minute],
    workers: &mut [Worker],
) -> sqlx::Result<()> {
    for worker in workers.iter_mut() {
        worker.windows = vec![Sums::default(); windows.len()];
    }
    let (places, ids) = (places(workers), ids(workers));
    for (number, since) in windows.iter().enumerate() {
        for (worker, sums) in closed(connection, &ids, *since).await? {
            if let Some(place) = places.get(&worker) {
                workers[*place].windows[number] = sums;
            }
        }
    }
    Ok(())
}

/// Adds the shares that are not rolled up.
pub(crate) fn add_late(
    windows: &[Minute],
    late: &[Packed],
    workers: &mut [Worker],
) -> sqlx::Result<()> {
    let places = places(workers);
    for Packed { share, worker } in late {
        let Some(place) = places.get(worker) else {
            continue;
        };
        let worker = &mut workers[*place];
        worker.last_share_ms = worker.last_share_ms.max(share.time_ms());
        worker.total.add_share(share)?;
        let best = worker.best.get_or_insert(share.hash());
        if share.hash().to_display_bytes() < best.to_display_bytes() {
            *best = share.hash();
        }
        for (since, window) in windows.iter().zip(&mut worker.windows) {
            if share.minute() >= *since {
                window.add_share(share)?;
            }
        }
    }
    Ok(())
}

fn ids(workers: &[Worker]) -> Vec<i64> {
    workers.iter().map(|worker| worker.id.0).collect()
}

/// What each of these workers did since a minute: whole hours, and the minutes before them. By the key of
/// each worker, so that a page costs the same among ten thousand workers.
async fn closed(
    connection: &mut Connection,
    ids: &[i64],
    since: Minute,
) -> sqlx::Result<Vec<(i64, Sums)>> {
    let mut found = Vec::new();
    for chunk in rows::chunks(ids) {
        let own = sql::placeholders(connection.kind(), 3, chunk.len(), 1);
        let text = format!(
            "SELECT worker, {}
             FROM (SELECT worker, shares, work_high, work_low FROM minutes
                   WHERE worker IN (VALUES {own}) AND minute >= $1 AND minute < $2 * 60
                   UNION ALL SELECT worker, shares, work_high, work_low FROM hours
                   WHERE worker IN (VALUES {own}) AND hour >= $2) AS done
             GROUP BY worker",
            sums_of_sums!()
        );
        let mut query = sql::built(text)
            .bind(since.number())
            .bind(since.next_hour());
        for id in chunk {
            query = query.bind(id);
        }
        let rows: Vec<(i64, i64, i64, i64, i64)> = query.fetch_all(connection).await?;
        for (worker, shares, top, middle, low) in rows {
            found.push((worker, Sums::of((shares, top, middle, low))?));
        }
    }
    Ok(found)
}
