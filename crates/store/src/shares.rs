//! Accepted shares. A hash is booked once per pool: the unique key on it stands behind every other
//! check for duplicates, across jobs, connections, processes and restarts.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use mining::Work;
use pow::Hash;
use sqlx::SqliteConnection;

use crate::{
    Minute, PoolId, Store, WorkerName, WriteError, rows,
    rows::MOST_ROWS,
    workers::{self, Kept},
};

/// The most shares that one call prunes. That takes some 50 ms, and the share log waits
/// no longer.
const MOST_PRUNED: u32 = 4_000;

/// A share as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareRecord {
    hash: Hash,
    work: i64,
    height: u32,
    time_ms: i64,
}

/// A share and whose it is.
#[derive(Clone, Debug)]
pub struct ShareRow {
    /// The share.
    pub share: ShareRecord,
    /// Who found it.
    pub worker: Arc<WorkerName>,
}

/// No share has 2^63 of work: [`mining::Difficulty::MAX`] is below that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share of {0} hashes is more than any difficulty asks for")]
pub struct TooMuchWork(u128);

impl ShareRecord {
    /// From the hash of the header, the work of its job's own target, the height of the block it
    /// would be, and the time it came, in milliseconds since 1970.
    pub fn new(hash: Hash, work: Work, height: u32, time_ms: i64) -> Result<Self, TooMuchWork> {
        let work = i64::try_from(work.hashes()).map_err(|_| TooMuchWork(work.hashes()))?;
        Ok(Self {
            hash,
            work,
            height,
            time_ms,
        })
    }

    /// The hash of the header.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// What it is worth.
    pub fn work(&self) -> Work {
        Work::from_hashes(u128::from(self.work.unsigned_abs()))
    }

    /// The height of the block it would be.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// When it came, in milliseconds since 1970.
    pub fn time_ms(&self) -> i64 {
        self.time_ms
    }
}

impl Store {
    /// Writes shares in one commit, and says of each whether it is new. A share that is there
    /// already, or twice among these, is not written again.
    pub async fn append_shares(
        &self,
        pool: PoolId,
        shares: &[ShareRow],
    ) -> Result<Vec<bool>, WriteError> {
        if shares.is_empty() {
            return Ok(Vec::new());
        }
        let mut writing = self.database.write().await?;
        let (of_rows, all_known) =
            workers::of_rows(&self.known, &mut writing, pool, shares).await?;
        let new = insert(&mut writing, pool, shares, &of_rows).await?;
        let better = better_hashes(shares, &of_rows, &new);
        for (id, best) in &better {
            sqlx::query(
                "UPDATE workers SET best = $2 WHERE id = $1 AND (best IS NULL OR best > $2)",
            )
            .bind(id)
            .bind(&best[..])
            .execute(&mut *writing)
            .await?;
        }
        writing.commit().await?;
        let changed = shares.iter().zip(of_rows).filter_map(|(row, mut worker)| {
            let best = better.get(&worker.id).copied();
            worker.best = best.or(worker.best);
            (!all_known || best.is_some()).then(|| (Arc::clone(&row.worker), worker))
        });
        self.known.keep(pool, changed);
        Ok(new)
    }

    /// Removes shares of minutes before `before`, at most 4,000 a call, and says how many;
    /// to be called until it says 0. Their sums stay, as only what is rolled up is removed.
    ///
    /// With its row goes the memory of a hash, so the shares of the newest height stay however old
    /// they are: only a share on the present tip is accepted, so what is removed here cannot come
    /// again.
    pub async fn prune_shares(&self, pool: PoolId, before: Minute) -> Result<u64, WriteError> {
        let mut writing = self.database.write().await?;
        let pruned = sqlx::query(
            "DELETE FROM shares WHERE seq IN (
                 SELECT seq FROM shares
                 WHERE pool = $1
                   AND minute < $2
                   AND minute < (SELECT rolled_until FROM pools WHERE id = $1)
                   AND height < (SELECT height FROM shares WHERE pool = $1
                                 ORDER BY minute DESC, seq DESC LIMIT 1)
                 ORDER BY minute LIMIT $3)",
        )
        .bind(pool.0)
        .bind(before.number())
        .bind(MOST_PRUNED)
        .execute(&mut *writing)
        .await?
        .rows_affected();
        writing.commit().await?;
        Ok(pruned)
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    pool: PoolId,
    shares: &[ShareRow],
    of_rows: &[Kept],
) -> sqlx::Result<Vec<bool>> {
    let count = i64::try_from(shares.len()).map_err(|_| rows::corrupt("the number of shares"))?;
    let first = rows::take_ids(connection, "share", count).await?;
    let open: i64 = sqlx::query_scalar("SELECT rolled_until FROM pools WHERE id = $1")
        .bind(pool.0)
        .fetch_one(&mut *connection)
        .await?;
    let numbered: Vec<_> = (first..).zip(shares.iter().zip(of_rows)).collect();
    let mut new = Vec::with_capacity(shares.len());
    for chunk in rows::chunks(&numbered) {
        let mut query = sqlx::query(insert_text(chunk.len()));
        for (seq, (row, worker)) in chunk {
            let share = &row.share;
            // A minute that is rolled up is closed; what comes late counts in the first open one.
            let minute = Minute::of_ms(share.time_ms).number().max(open);
            query = query
                .bind(seq)
                .bind(pool.0)
                .bind(share.hash.to_display_bytes().to_vec());
            query = query
                .bind(worker.id)
                .bind(share.work)
                .bind(i64::from(share.height));
            query = query.bind(share.time_ms).bind(minute);
        }
        let written = query.execute(&mut *connection).await?.rows_affected();
        if usize::try_from(written) == Ok(chunk.len()) {
            new.resize(new.len() + chunk.len(), true);
            continue;
        }
        let [(first, _), .., (last, _)] = chunk else {
            new.push(false);
            continue;
        };
        let written: Vec<i64> =
            sqlx::query_scalar("SELECT seq FROM shares WHERE seq BETWEEN $1 AND $2 ORDER BY seq")
                .bind(first)
                .bind(last)
                .fetch_all(&mut *connection)
                .await?;
        new.extend(
            chunk
                .iter()
                .map(|(seq, _)| written.binary_search(seq).is_ok()),
        );
    }
    Ok(new)
}

/// The statement for `rows` shares, a power of two.
fn insert_text(rows: usize) -> &'static str {
    static TEXTS: [OnceLock<String>; MOST_ROWS.ilog2() as usize + 1] =
        [const { OnceLock::new() }; MOST_ROWS.ilog2() as usize + 1];
    TEXTS[rows.ilog2() as usize].get_or_init(|| {
        format!(
            "INSERT INTO shares (seq, pool, hash, worker, work, height, time_ms, minute)
             VALUES {} ON CONFLICT (pool, hash) DO NOTHING",
            rows::placeholders(rows, 8)
        )
    })
}

/// The smallest new hash of each worker, where it is smaller than the one known.
fn better_hashes(shares: &[ShareRow], of_rows: &[Kept], new: &[bool]) -> HashMap<i64, [u8; 32]> {
    let mut better: HashMap<i64, [u8; 32]> = HashMap::new();
    for ((row, worker), _) in shares.iter().zip(of_rows).zip(new).filter(|(_, new)| **new) {
        let hash = row.share.hash.to_display_bytes();
        if worker.best.is_none_or(|best| hash < best) {
            let best = better.entry(worker.id).or_insert(hash);
            *best = hash.min(*best);
        }
    }
    better
}
