//! Workers by what they did of late and by their best shares, the strongest first, and single workers
//! by name. For the shapes that other tools read.
//!
//! What a call costs is bounded by the workers that found a share in the time asked for.

use std::collections::HashMap;

use pow::Hash;

use crate::{
    Minute, PoolId, ReadError, Store, Sums, Worker, WorkerName,
    database::Connection,
    figures::sums_of_sums,
    packed::Packed,
    rows, sql,
    worker_list::{MOST_WINDOWS, WorkerRow, add_late, add_windows, of_row, worker_columns},
};

/// The most workers in one answer.
const MOST_WORKERS: usize = 10_000;

/// The smallest hash of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestShare {
    /// Whose.
    pub who: WorkerName,
    /// The hash.
    pub hash: Hash,
    /// When that worker's last share came, in milliseconds since 1970: it is not older.
    pub last_share_ms: i64,
}

impl Store {
    /// The workers of a pool, or of one address, that found a share since the first of `windows`, by
    /// their work since then, the most first; with what they did since each of `windows`, at most 8.
    /// At most `limit` and at most 10,000 of them.
    pub async fn strongest(
        &self,
        pool: PoolId,
        address: Option<&str>,
        windows: &[Minute],
        limit: usize,
    ) -> Result<Vec<Worker>, ReadError> {
        let windows = &windows[..windows.len().min(MOST_WINDOWS)];
        let Some(first) = windows.first() else {
            return Ok(Vec::new());
        };
        let address = address.unwrap_or("");
        let mut reading = self.database.read().await?;
        let late = self.tails.read(&mut reading, pool).await?;
        let mut ranking = since(&mut reading, pool, address, *first).await?;
        for Packed { share, worker } in &late {
            if share.minute() >= *first {
                ranking.entry(*worker).or_default().add_share(share)?;
            }
        }
        let mut ranking: Vec<(i64, Sums)> = ranking.into_iter().collect();
        ranking.sort_unstable_by_key(|(worker, sums)| (std::cmp::Reverse(sums.work), *worker));
        // Shares that are not rolled up are of any address: who they are of is known below.
        let is_cut = address.is_empty();
        if is_cut {
            ranking.truncate(limit.min(MOST_WORKERS));
        }
        let ids: Vec<i64> = ranking.iter().map(|(worker, _)| *worker).collect();
        let mut workers = by_id(&mut reading, pool, &ids).await?;
        workers.retain(|worker| address.is_empty() || worker.who.address() == address);
        workers.truncate(limit.min(MOST_WORKERS));
        add_windows(&mut reading, windows, &mut workers).await?;
        add_late(windows, &late, &mut workers)?;
        Ok(workers)
    }

    /// The worker of this name, with what it did since each of `windows`, at most 8; nothing if it never
    /// found a share.
    pub async fn worker(
        &self,
        pool: PoolId,
        address: &str,
        name: &str,
        windows: &[Minute],
    ) -> Result<Option<Worker>, ReadError> {
        let windows = &windows[..windows.len().min(MOST_WINDOWS)];
        let mut reading = self.database.read().await?;
        let id: Option<i64> =
            sql::query("SELECT id FROM workers WHERE pool = $1 AND address = $2 AND name = $3")
                .bind(pool.0)
                .bind(address)
                .bind(name)
                .fetch_optional_value(&mut reading)
                .await?;
        let Some(id) = id else {
            return Ok(None);
        };
        let mut workers = by_id(&mut reading, pool, &[id]).await?;
        add_windows(&mut reading, windows, &mut workers).await?;
        add_late(
            windows,
            &self.tails.read(&mut reading, pool).await?,
            &mut workers,
        )?;
        Ok(workers.pop())
    }

    /// The smallest hash of each address, the smallest first, at most `limit`, as far as shares are
    /// rolled up: seconds late.
    pub async fn best_shares(&self, pool: PoolId, limit: u32) -> Result<Vec<BestShare>, ReadError> {
        type Row = (String, String, Vec<u8>, i64);
        let mut reading = self.database.read().await?;
        let rows: Vec<Row> = sql::query(
            "SELECT address, name, best, last_seen_ms FROM (
                 SELECT address, name, best, last_seen_ms,
                        ROW_NUMBER() OVER (PARTITION BY address ORDER BY best, id) AS place
                 FROM workers WHERE pool = $1 AND best IS NOT NULL) AS own
             WHERE place = 1 ORDER BY best LIMIT $2",
        )
        .bind(pool.0)
        .bind(limit)
        .fetch_all(&mut reading)
        .await?;
        let best = |(address, name, hash, last_share_ms): Row| {
            Ok(BestShare {
                who: WorkerName::of_row(address, name),
                hash: rows::hash(&hash)?,
                last_share_ms,
            })
        };
        Ok(rows.into_iter().map(best).collect::<sqlx::Result<_>>()?)
    }
}

/// What each worker did since a minute, as far as it is rolled up; of all addresses if none is named.
async fn since(
    connection: &mut Connection,
    pool: PoolId,
    address: &str,
    since: Minute,
) -> sqlx::Result<HashMap<i64, Sums>> {
    let text = concat!(
        "SELECT worker, ",
        sums_of_sums!(),
        " FROM (SELECT worker, shares, work_high, work_low FROM minutes
                WHERE pool = $1 AND minute >= $2 AND minute < $3 * 60
                UNION ALL SELECT worker, shares, work_high, work_low FROM hours
                WHERE pool = $1 AND hour >= $3) AS done
          WHERE $4 = '' OR worker IN (SELECT id FROM workers WHERE pool = $1 AND address = $4)
          GROUP BY worker"
    );
    type Row = (i64, i64, i64, i64, i64);
    let found: Vec<Row> = sql::query(text)
        .bind(pool.0)
        .bind(since.number())
        .bind(since.next_hour())
        .bind(address)
        .fetch_all(connection)
        .await?;
    let sums =
        |(worker, shares, top, middle, low)| Ok((worker, Sums::of((shares, top, middle, low))?));
    found.into_iter().map(sums).collect()
}

/// The workers with these ids, in their order, without windows.
async fn by_id(
    connection: &mut Connection,
    pool: PoolId,
    ids: &[i64],
) -> sqlx::Result<Vec<Worker>> {
    let mut found: HashMap<i64, Worker> = HashMap::with_capacity(ids.len());
    for chunk in rows::chunks(ids) {
        let text = format!(
            "SELECT {} FROM workers WHERE pool = $1 AND id IN (VALUES {})",
            worker_columns!(),
            sql::placeholders(connection.kind(), 2, chunk.len(), 1)
        );
        let mut query = sql::built(text).bind(pool.0);
        for id in chunk {
            query = query.bind(id);
        }
        let rows: Vec<WorkerRow> = query.fetch_all(connection).await?;
        for row in rows {
            let worker = of_row(row)?;
            found.insert(worker.id.0, worker);
        }
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}
