//! What proofs are made from: the shares of a log's chunks, the digests of the others, and the sums of a
//! day's miners. It goes when shares and hours go; what was signed stays.

use mining::{
    date::Date,
    receipt::{CHUNK, Digest},
};

use super::{AccountSum, PlacedShare, digest, placed};
use crate::{PoolId, ReadError, Store, WriteError, database::Connection, rows, sql};

/// The most batches whose sizes are read at once.
const SIZES_READ: u32 = 1_024;

/// The most rows that one call prunes, for the same reason as with shares.
const MOST_PRUNED: u32 = 4_000;

impl Store {
    /// The leaves of some chunks of a log, in their order. Nothing if their shares are not kept any
    /// more, or the log has no such chunk.
    pub async fn logged_shares(
        &self,
        pool: PoolId,
        date: Date,
        chunk: u64,
        chunks: u32,
    ) -> Result<Option<Vec<PlacedShare>>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Option<(i64, i64, i64)> = sql::query(
            "SELECT receipt_days.shares, first_seq, first_place
             FROM receipt_chunks JOIN receipt_days
                 ON receipt_days.pool = receipt_chunks.pool AND receipt_days.day = receipt_chunks.day
             WHERE receipt_chunks.pool = $1 AND receipt_chunks.day = $2 AND chunk = $3",
        )
        .bind(pool.0)
        .bind(date.number())
        .bind(i64::try_from(chunk).unwrap_or(i64::MAX))
        .fetch_optional(&mut reading)
        .await?;
        let Some((count, seq, place)) = found else {
            return Ok(None);
        };
        let count: u64 = rows::unsigned(count, "receipt_days.shares")?;
        let wanted = (u64::from(chunks) * CHUNK).min(count.saturating_sub(chunk * CHUNK));
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let place = usize::try_from(place).map_err(|_| rows::corrupt("a place"))?;
        let shares = shares_from(&mut reading, pool, seq, place, wanted).await?;
        Ok(shares.filter(|shares| shares.len() == wanted))
    }

    /// The digests of a log's chunks, of those that are complete.
    pub async fn chunk_digests(&self, pool: PoolId, date: Date) -> Result<Vec<Digest>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Vec<(Vec<u8>,)> = sql::query(
            "SELECT digest FROM receipt_chunks
             WHERE pool = $1 AND day = $2 AND digest IS NOT NULL ORDER BY chunk",
        )
        .bind(pool.0)
        .bind(date.number())
        .fetch_all(&mut reading)
        .await?;
        let digest = |(bytes,): (Vec<u8>,)| digest(&bytes, "receipt_chunks.digest");
        Ok(found.into_iter().map(digest).collect::<sqlx::Result<_>>()?)
    }

    /// What each account did on a day, in their order; none if that is not kept any more.
    pub async fn day_sums(&self, pool: PoolId, date: Date) -> Result<Vec<AccountSum>, ReadError> {
        let mut reading = self.database.read().await?;
        Ok(sums(&mut reading, pool, date).await?)
    }

    /// Removes what proofs are made from, of shares before the first day and of sums before the second,
    /// some a call, and says how many rows; to be called until it says 0. Statements stay.
    pub async fn prune_receipts(
        &self,
        pool: PoolId,
        chunks_before: Date,
        sums_before: Date,
    ) -> Result<u64, WriteError> {
        let mut writing = self.database.write().await?;
        let chunks = sql::query(
            "DELETE FROM receipt_chunks WHERE (pool, day, chunk) IN (
                 SELECT pool, day, chunk FROM receipt_chunks
                 WHERE pool = $1 AND day < $2 AND day IN (
                     SELECT day FROM receipt_days WHERE pool = $1 AND closed = 1)
                 ORDER BY day, chunk LIMIT $3)",
        )
        .bind(pool.0)
        .bind(chunks_before.number())
        .bind(MOST_PRUNED)
        .execute(&mut writing)
        .await?;
        let sums = sql::query(
            "DELETE FROM receipt_sums WHERE (pool, day, account) IN (
                 SELECT pool, day, account FROM receipt_sums
                 WHERE pool = $1 AND day < $2 AND day IN (
                     SELECT day FROM receipt_days WHERE pool = $1 AND statement IS NOT NULL)
                 ORDER BY day, account LIMIT $3)",
        )
        .bind(pool.0)
        .bind(sums_before.number())
        .bind(MOST_PRUNED)
        .execute(&mut writing)
        .await?;
        writing.commit().await?;
        Ok(chunks + sums)
    }
}

pub(super) async fn sums(
    connection: &mut Connection,
    pool: PoolId,
    date: Date,
) -> sqlx::Result<Vec<AccountSum>> {
    let found: Vec<(Vec<u8>, i64, i64, i64)> = sql::query(
        "SELECT account, shares, work_high, work_low FROM receipt_sums
         WHERE pool = $1 AND day = $2",
    )
    .bind(pool.0)
    .bind(date.number())
    .fetch_all(connection)
    .await?;
    let sum = |(account, shares, high, low): (Vec<u8>, i64, i64, i64)| {
        Ok(AccountSum {
            account: digest(&account, "receipt_sums.account")?,
            shares: rows::unsigned(shares, "receipt_sums.shares")?,
            work: rows::work(0, high, low)?,
        })
    };
    let mut sums: Vec<_> = found.into_iter().map(sum).collect::<sqlx::Result<_>>()?;
    sums.sort_by_key(|sum| sum.account);
    Ok(sums)
}

/// So many shares from a place on, or fewer if there are no more; nothing if the first is not kept.
async fn shares_from(
    connection: &mut Connection,
    pool: PoolId,
    first: i64,
    place: usize,
    wanted: usize,
) -> sqlx::Result<Option<Vec<PlacedShare>>> {
    let mut shares = Vec::with_capacity(wanted.min(1 << 16));
    let (mut next, mut skip) = (first, place);
    while shares.len() < wanted {
        // A batch may hold one share or thousands: their sizes say how many to read.
        let sizes: Vec<(i64, i64)> = sql::query(
            "SELECT seq, count FROM share_batches WHERE pool = $1 AND seq >= $2
             ORDER BY seq LIMIT $3",
        )
        .bind(pool.0)
        .bind(next)
        .bind(SIZES_READ)
        .fetch_all(connection)
        .await?;
        if next == first && sizes.first().is_none_or(|(seq, _)| *seq != first) {
            return Ok(None);
        }
        let missing = wanted - shares.len() + skip;
        let mut sum = 0;
        let enough = sizes.iter().find(|(_, count)| {
            sum += usize::try_from(*count).unwrap_or(0);
            sum >= missing
        });
        let Some((last, _)) = enough.or(sizes.last()) else {
            break;
        };
        let batches: Vec<(i64, String, Vec<u8>)> = sql::query(
            "SELECT seq, scheme, shares FROM share_batches
             WHERE pool = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq",
        )
        .bind(pool.0)
        .bind(next)
        .bind(*last)
        .fetch_all(connection)
        .await?;
        for (seq, scheme, bytes) in &batches {
            shares.extend(placed(*seq, scheme, bytes)?.skip(std::mem::take(&mut skip)));
        }
        next = last + 1;
    }
    shares.truncate(wanted);
    Ok(Some(shares))
}
