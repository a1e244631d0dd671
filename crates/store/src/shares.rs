//! Accepted shares, in the order in which they were accepted: a batch of them is a row, and a
//! commit. That a hash is in it once is the affair of whoever appends; [`Store::newest_hashes`]
//! gives what has to be known for that after a restart.

use std::sync::Arc;

use mining::{Scheme, Work};
use pow::Hash;

use crate::{
    FoundBlock, Minute, PoolId, ReadError, Store, WorkerName, WriteError, blocks, packed, rows,
    sql::{self, Query},
    workers,
};

/// The most batches that one call prunes. That takes some milliseconds, and the share log waits
/// no longer.
const MOST_PRUNED: u32 = 256;

/// A share as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareRecord {
    pub(crate) hash: Hash,
    pub(crate) work: i64,
    pub(crate) height: u32,
    pub(crate) time_ms: i64,
}

/// A share and whose it is.
#[derive(Clone, Debug)]
pub struct ShareRow {
    /// The share.
    pub share: ShareRecord,
    /// Who found it.
    pub worker: Arc<WorkerName>,
    /// How it is paid.
    pub scheme: Scheme,
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

    /// The minute it came in.
    pub(crate) fn minute(&self) -> Minute {
        Minute::of_ms(self.time_ms)
    }

    /// When it came, in milliseconds since 1970.
    pub fn time_ms(&self) -> i64 {
        self.time_ms
    }
}

impl Store {
    /// Writes shares in one commit, in this order, those of each scheme by themselves. After
    /// [`WriteError::Unknown`] they may be there; after any other error they are not.
    pub async fn append_shares(&self, pool: PoolId, shares: &[ShareRow]) -> Result<(), WriteError> {
        self.append_shares_and_blocks(pool, shares, &[]).await
    }

    /// Writes shares likewise, and in the same commit the blocks that some of them are, unless they
    /// are there.
    pub async fn append_shares_and_blocks(
        &self,
        pool: PoolId,
        shares: &[ShareRow],
        blocks: &[&FoundBlock],
    ) -> Result<(), WriteError> {
        let Some(first) = shares.first() else {
            return Ok(());
        };
        // Workers that are known need no look at the database, and then one statement is all.
        if let Some(ids) = workers::known(&self.known, pool, shares)
            && shares.iter().all(|row| row.scheme == first.scheme)
            && blocks.is_empty()
        {
            let query = insert(
                pool,
                first.scheme,
                &shares.iter().zip(ids).collect::<Vec<_>>(),
            )?;
            return self.database.write_one(query).await;
        }
        let mut writing = self.database.write().await?;
        let found = workers::of_rows(&self.known, &mut writing, pool, shares).await?;
        for scheme in Scheme::ALL {
            let rows = shares.iter().zip(found.ids.iter().copied());
            let rows: Vec<_> = rows.filter(|(row, _)| row.scheme == scheme).collect();
            if !rows.is_empty() {
                insert(pool, scheme, &rows)?.execute(&mut writing).await?;
            }
        }
        for FoundBlock { block, by_coinbase } in blocks {
            // A reward that no coin has is said by whoever records the block by itself.
            if let Ok(reward) = i64::try_from(block.reward.units()) {
                let by_coinbase = by_coinbase.as_ref();
                blocks::insert(&mut writing, pool, block, by_coinbase, reward).await?;
            }
        }
        writing.commit().await?;
        self.known.keep(pool, found.made);
        Ok(())
    }

    /// The hashes of the newest height that shares were accepted for: only a share on the present
    /// tip is accepted, so no other can come again.
    pub async fn newest_hashes(&self, pool: PoolId) -> Result<Vec<Hash>, ReadError> {
        let mut reading = self.database.read().await?;
        let batches: Vec<(i64, Vec<u8>)> = sql::query(
            "SELECT height, shares FROM share_batches WHERE pool = $1 AND height >= (
                 SELECT height FROM share_batches WHERE pool = $1 ORDER BY seq DESC LIMIT 1)",
        )
        .bind(pool.0)
        .fetch_all(&mut reading)
        .await?;
        let mut hashes = Vec::new();
        for (_, bytes) in &batches {
            hashes.extend(packed::unpack(bytes)?.map(|packed| packed.share.hash));
        }
        Ok(hashes)
    }

    /// Removes batches of shares that all came before `before`, some a call, and says how many
    /// batches; to be called until it says 0. Their sums stay, as only what is rolled up and logged
    /// goes.
    ///
    /// With its row goes the memory of a hash, so those of the newest height stay however old they
    /// are.
    pub async fn prune_shares(&self, pool: PoolId, before: Minute) -> Result<u64, WriteError> {
        let mut writing = self.database.write().await?;
        let pruned = sql::query(
            "DELETE FROM share_batches WHERE seq IN (
                 SELECT seq FROM share_batches
                 WHERE pool = $1
                   AND last_ms < $2
                   AND seq <= (SELECT rolled_seq FROM pools WHERE id = $1)
                   AND NOT EXISTS (SELECT 1 FROM receipt_logs
                                   WHERE pool = $1 AND logged_seq < share_batches.seq)
                   AND seq < (SELECT MAX(seq) FROM share_batches WHERE pool = $1)
                   AND height < (SELECT height FROM share_batches WHERE pool = $1
                                 ORDER BY seq DESC LIMIT 1)
                 ORDER BY seq LIMIT $3)",
        )
        .bind(pool.0)
        .bind(before.start_ms())
        .bind(MOST_PRUNED)
        .execute(&mut writing)
        .await?;
        writing.commit().await?;
        Ok(pruned)
    }
}

/// Writes a batch. The newest batch is never pruned, so no number comes twice.
fn insert(pool: PoolId, scheme: Scheme, shares: &[(&ShareRow, i64)]) -> sqlx::Result<Query> {
    let count = i64::try_from(shares.len()).map_err(|_| rows::corrupt("the number of shares"))?;
    let height = shares.iter().map(|(row, _)| row.share.height).max();
    let last_ms = shares.iter().map(|(row, _)| row.share.time_ms).max();
    let query = sql::query(
        "INSERT INTO share_batches (seq, pool, scheme, count, height, last_ms, shares)
         SELECT COALESCE(MAX(seq), 0) + 1, $1, $2, $3, $4, $5, $6 FROM share_batches",
    );
    Ok(query
        .bind(pool.0)
        .bind(scheme.name())
        .bind(count)
        .bind(height.map_or(0, i64::from))
        .bind(last_ms)
        .bind(packed::pack(shares)))
}
