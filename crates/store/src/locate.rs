//! Where a block's own share is in the share log. With it ends what the block pays for, so a bucket is
//! cut there. Called by `accounting`, once for each block.

use mining::accounting::Position;
use pow::Hash;

use crate::{
    PoolId, Store, WriteError,
    buckets::{Gathered, insert, remove},
    database::{Connection, Writing},
    packed, rows, sql,
};

/// How many batches are read in one go: 4 MB of them where they are full.
const PAGE: u32 = 16;

/// A share is written within this time after it was found, or not at all: the share log gives up
/// sooner.
const WRITTEN_WITHIN_MS: i64 = 60_000;

/// Where what a block pays for ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// With this share, which is the block's own if there is one.
    At(Position),
    /// Its share may yet be written, or that of a block before it, with which its round begins.
    NotYet,
}

impl Store {
    /// Finds the share of a block and ends a bucket with it, so that what the block pays for can be
    /// read. Without such a share it is all that was written by the time at which the block was
    /// found, but only once the share cannot come any more.
    ///
    /// Blocks of a scheme are found in the order in which they were solved: what an earlier one pays
    /// for is not paid again by a later one, so that waits.
    pub async fn locate_block(
        &self,
        pool: PoolId,
        hash: Hash,
        now_ms: i64,
    ) -> Result<Located, WriteError> {
        // Shares are written meanwhile: only what comes behind them is added, so what is found stays.
        let mut reading = self.database.read().await?;
        type Row = (i64, String, i64, Vec<u8>, Option<i64>, Option<i64>);
        let (block, scheme, found_ms, proof, seq, place): Row = sql::query(
            "SELECT seq, scheme, found_ms, COALESCE(proof, hash), share_seq, share_place
             FROM blocks WHERE pool = $1 AND hash = $2",
        )
        .bind(pool.0)
        .bind(hash.to_display_bytes().to_vec())
        .fetch_one(&mut reading)
        .await?;
        if let (Some(seq), Some(place)) = (seq, place) {
            return Ok(Located::At(Position { seq, place }));
        }
        let earlier: i64 = sql::query(
            "SELECT COUNT(*) FROM blocks
             WHERE pool = $1 AND scheme = $2 AND share_seq IS NULL AND booked <> state
               AND (found_ms, seq) < ($3, $4)",
        )
        .bind(pool.0)
        .bind(&scheme)
        .bind(found_ms)
        .bind(block)
        .fetch_value(&mut reading)
        .await?;
        if earlier > 0 {
            return Ok(Located::NotYet);
        }
        let proof = rows::hash(&proof)?;
        let found = find_share(&mut reading, pool, &scheme, proof, found_ms).await?;
        drop(reading);
        let position = match found {
            Share::At(position) => position,
            Share::Before(position) if now_ms > found_ms.saturating_add(WRITTEN_WITHIN_MS) => {
                position
            }
            Share::Before(_) => return Ok(Located::NotYet),
        };
        let mut writing = self.database.write().await?;
        // What is not rolled up has no bucket yet.
        while rolled(&mut writing, pool).await? < position.seq {
            writing.commit().await?;
            self.roll_up(pool).await?;
            writing = self.database.write().await?;
        }
        let position = cut(&mut writing, pool, &scheme, position).await?;
        sql::query(
            "UPDATE blocks SET share_seq = $3, share_place = $4 WHERE pool = $1 AND hash = $2",
        )
        .bind(pool.0)
        .bind(hash.to_display_bytes().to_vec())
        .bind(position.seq)
        .bind(position.place)
        .execute(&mut writing)
        .await?;
        writing.commit().await?;
        Ok(Located::At(position))
    }
}

/// Where a block's share is.
enum Share {
    At(Position),
    /// It is not there; the last one that was there when the block was found is.
    Before(Position),
}

async fn find_share(
    connection: &mut Connection,
    pool: PoolId,
    scheme: &str,
    proof: Hash,
    found_ms: i64,
) -> sqlx::Result<Share> {
    let mut before = None;
    let mut next = i64::MAX;
    loop {
        let page: Vec<(i64, i64, Vec<u8>)> = sql::query(
            "SELECT seq, last_ms, shares FROM share_batches
             WHERE pool = $1 AND scheme = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4",
        )
        .bind(pool.0)
        .bind(scheme)
        .bind(next)
        .bind(PAGE)
        .fetch_all(connection)
        .await?;
        let Some((seq, ..)) = page.last() else { break };
        next = *seq;
        for (seq, last_ms, bytes) in &page {
            let mut last = None;
            for (place, packed) in (0_i64..).zip(packed::unpack(bytes)?) {
                let position = Position { seq: *seq, place };
                if packed.share.hash() == proof {
                    return Ok(Share::At(position));
                }
                if packed.share.time_ms() <= found_ms {
                    last = Some(position);
                }
            }
            before = before.or(last);
            if *last_ms < found_ms.saturating_sub(WRITTEN_WITHIN_MS) {
                return Ok(Share::Before(before.unwrap_or(Position::START)));
            }
        }
    }
    Ok(Share::Before(before.unwrap_or(Position::START)))
}

async fn rolled(connection: &mut Connection, pool: PoolId) -> sqlx::Result<i64> {
    sql::query("SELECT rolled_seq FROM pools WHERE id = $1")
        .bind(pool.0)
        .fetch_value(connection)
        .await
}

/// Ends a bucket with a share, and gives where it ends: with that share, or where its single shares
/// are gone, with the bucket that it is in.
async fn cut(
    writing: &mut Writing<'_>,
    pool: PoolId,
    scheme: &str,
    at: Position,
) -> sqlx::Result<Position> {
    let found: Option<(i64, i64, i64)> = sql::query(
        "SELECT last_seq, last_place, shares FROM buckets
         WHERE pool = $1 AND scheme = $2 AND (last_seq, last_place) >= ($3, $4)
         ORDER BY last_seq, last_place LIMIT 1",
    )
    .bind(pool.0)
    .bind(scheme)
    .bind(at.seq)
    .bind(at.place)
    .fetch_optional(writing)
    .await?;
    let Some((seq, place, shares)) = found else {
        // Nothing was accepted up to there.
        return Ok(at);
    };
    let last = Position { seq, place };
    if last == at {
        return Ok(at);
    }
    let first: Option<(i64, i64)> = sql::query(
        "SELECT last_seq, last_place FROM buckets
         WHERE pool = $1 AND scheme = $2 AND (last_seq, last_place) < ($3, $4)
         ORDER BY last_seq DESC, last_place DESC LIMIT 1",
    )
    .bind(pool.0)
    .bind(scheme)
    .bind(last.seq)
    .bind(last.place)
    .fetch_optional(writing)
    .await?;
    let before = first.map_or(Position::START, |(seq, place)| Position { seq, place });
    if before >= at {
        return Ok(at);
    }
    let batches: Vec<(i64, Vec<u8>)> = sql::query(
        "SELECT seq, shares FROM share_batches
         WHERE pool = $1 AND scheme = $2 AND seq >= $3 AND seq <= $4 ORDER BY seq",
    )
    .bind(pool.0)
    .bind(scheme)
    .bind(before.seq)
    .bind(last.seq)
    .fetch_all(writing)
    .await?;
    let (mut left, mut right) = (Gathered::default(), Gathered::default());
    for (seq, bytes) in &batches {
        for (place, packed) in (0_i64..).zip(packed::unpack(bytes)?) {
            let position = Position { seq: *seq, place };
            if position <= before || position > last {
                continue;
            }
            let half = if position <= at {
                &mut left
            } else {
                &mut right
            };
            half.add(&packed, position)?;
        }
    }
    if left.shares + right.shares != shares || left.last != Some(at) {
        tracing::warn!(
            seq = at.seq,
            "single shares are gone: a block's window ends a little later"
        );
        return Ok(last);
    }
    remove(writing, pool, scheme, last).await?;
    insert(writing, pool, scheme, &left).await?;
    insert(writing, pool, scheme, &right).await?;
    Ok(at)
}
