//! The work of a pool in the order in which it was accepted, in stretches that each add up the work
//! of each worker. A window or a round is read from here, however long it is, and not from single
//! shares.
//!
//! Buckets are made by the roll-up, some seconds of work each. A block's share ends one: it is cut
//! there (`locate`). Old ones are joined until each is a small part of the window, and
//! go when no window can reach them ([`Store::join_buckets`]).
//!
//! Where shares are paid for as they come there are no windows: a bucket is of one height there, and
//! goes when it is credited (`share_credits`).
//!
//! ```text
//! worker 8 | work 16     little-endian, 24 a worker
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};

use mining::{
    Work,
    accounting::{Bucket, Position, Window},
};

use crate::{
    PoolId, ReadError, Store, WorkerId, WriteError,
    database::{Connection, Writing},
    packed::Packed,
    rows, sql,
};

/// The bytes of one worker.
const RECORD: usize = 24;

/// The most buckets that one call joins or removes, for the same reason as with shares.
const MOST_JOINED: usize = 64;

/// A stretch without what its workers did.
struct Stretch {
    last: Position,
    last_ms: i64,
    work: Work,
}

/// What some shares of a scheme are together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gathered {
    /// Where shares are paid for as they come, that of all of them.
    height: Option<u32>,
    pub(crate) last: Option<Position>,
    last_ms: i64,
    pub(crate) shares: i64,
    total: Work,
    workers: BTreeMap<i64, Work>,
}

impl Gathered {
    /// None yet, and only such of this height will be added, if it is one.
    pub(crate) fn at(height: Option<u32>) -> Self {
        Self {
            height,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, share: &Packed, at: Position) -> sqlx::Result<()> {
        self.last = Some(at);
        self.last_ms = self.last_ms.max(share.share.time_ms());
        self.shares += 1;
        self.add_work(share.worker, share.share.work())
    }

    fn add_work(&mut self, worker: i64, work: Work) -> sqlx::Result<()> {
        let of_worker = self.workers.entry(worker).or_default();
        let sums = (of_worker.checked_add(work), self.total.checked_add(work));
        let (Some(of_worker_now), Some(total)) = sums else {
            return Err(rows::corrupt("a sum of work"));
        };
        *of_worker = of_worker_now;
        self.total = total;
        Ok(())
    }
}

impl Store {
    /// Adds the work of a scheme up to a position to a window, newest first, until that is full or
    /// there is no more behind `after`. Gives the number of buckets that it took; a few of them are
    /// held at a time.
    pub async fn fill_window(
        &self,
        pool: PoolId,
        scheme: &str,
        end: Position,
        after: Option<Position>,
        window: &mut Window<WorkerId>,
    ) -> Result<usize, ReadError> {
        let after = after.unwrap_or(Position::START);
        let mut reading = self.database.read().await?;
        let mut buckets = 0;
        let mut next = Position {
            seq: end.seq,
            place: end.place + 1,
        };
        while !window.is_full() {
            let page: Vec<(i64, i64, Vec<u8>)> = sql::query(
                "SELECT last_seq, last_place, workers FROM buckets
                 WHERE pool = $1 AND scheme = $2 AND (last_seq, last_place) < ($3, $4)
                   AND (last_seq, last_place) > ($5, $6)
                 ORDER BY last_seq DESC, last_place DESC LIMIT 16",
            )
            .bind(pool.0)
            .bind(scheme)
            .bind(next.seq)
            .bind(next.place)
            .bind(after.seq)
            .bind(after.place)
            .fetch_all(&mut reading)
            .await?;
            let Some((seq, place, _)) = page.last() else {
                break;
            };
            next = Position {
                seq: *seq,
                place: *place,
            };
            for (_, _, bytes) in page {
                if window.is_full() {
                    break;
                }
                let bucket = Bucket {
                    work: unpack(&bytes)?
                        .map(|(worker, work)| (WorkerId(worker), work))
                        .collect(),
                };
                let added = window.add(&bucket);
                added.map_err(|_| rows::corrupt("a sum of work"))?;
                buckets += 1;
            }
        }
        Ok(buckets)
    }

    /// The end of the newest bucket of a scheme, if there is one; a block may be split by the work up to
    /// it.
    pub async fn newest_bucket(
        &self,
        pool: PoolId,
        scheme: &str,
    ) -> Result<Option<Position>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Option<(i64, i64)> = sql::query(
            "SELECT last_seq, last_place FROM buckets WHERE pool = $1 AND scheme = $2
             ORDER BY last_seq DESC, last_place DESC LIMIT 1",
        )
        .bind(pool.0)
        .bind(scheme)
        .fetch_optional(&mut reading)
        .await?;
        Ok(found.map(|(seq, place)| Position { seq, place }))
    }

    /// The addresses of workers.
    pub async fn addresses(
        &self,
        workers: &[WorkerId],
    ) -> Result<HashMap<WorkerId, String>, ReadError> {
        let mut reading = self.database.read().await?;
        let mut addresses = HashMap::with_capacity(workers.len());
        for chunk in rows::chunks(workers) {
            let text = format!(
                "SELECT id, address FROM workers WHERE id IN (VALUES {})",
                sql::placeholders(reading.kind(), 1, chunk.len(), 1)
            );
            let mut query = sql::built(text).once();
            for worker in chunk {
                query = query.bind(worker.0);
            }
            let found: Vec<(i64, String)> = query.fetch_all(&mut reading).await?;
            addresses.extend(
                found
                    .into_iter()
                    .map(|(id, address)| (WorkerId(id), address)),
            );
        }
        Ok(addresses)
    }

    /// Joins neighbours that together have no more than `grain`, if they are older than
    /// `before_ms`, and removes what lies more than `keep` of work behind the newest. True if there
    /// is more to do.
    ///
    /// Nothing is joined across the last block, with which a round begins, nor across one whose
    /// credits are not made, nor while a block is not located: it may have to cut one.
    pub async fn join_buckets(
        &self,
        pool: PoolId,
        scheme: &str,
        grain: Work,
        keep: Work,
        before_ms: i64,
    ) -> Result<bool, WriteError> {
        let mut writing = self.database.write().await?;
        let waiting: i64 = sql::query(
            "SELECT COUNT(*) FROM blocks
             WHERE pool = $1 AND scheme = $2 AND share_seq IS NULL AND booked <> state",
        )
        .bind(pool.0)
        .bind(scheme)
        .fetch_value(&mut writing)
        .await?;
        if waiting > 0 {
            writing.commit().await?;
            return Ok(false);
        }
        let edges = edges(&mut writing, pool, scheme).await?;
        let stretches = stretches(&mut writing, pool, scheme).await?;
        let mut sum = Work::ZERO;
        let mut run: Vec<&Stretch> = Vec::new();
        let mut run_work = Work::ZERO;
        let mut changed = 0;
        let mut runs: Vec<Vec<&Stretch>> = Vec::new();
        for stretch in &stretches {
            if changed >= MOST_JOINED {
                break;
            }
            if sum > keep {
                remove(&mut writing, pool, scheme, stretch.last).await?;
                changed += 1;
                continue;
            }
            sum = sum
                .checked_add(stretch.work)
                .ok_or_else(|| rows::corrupt("a sum of work"))?;
            let together = run_work.checked_add(stretch.work);
            let joins = stretch.last_ms < before_ms
                && together.is_some_and(|together| together <= grain)
                && !edges.contains(&stretch.last);
            if !joins && !run.is_empty() {
                runs.push(std::mem::take(&mut run));
                run_work = Work::ZERO;
            }
            if stretch.last_ms < before_ms {
                run_work = run_work
                    .checked_add(stretch.work)
                    .ok_or_else(|| rows::corrupt("a sum of work"))?;
                run.push(stretch);
            }
        }
        runs.push(run);
        for run in runs.iter().filter(|run| run.len() > 1) {
            if changed >= MOST_JOINED {
                break;
            }
            join(&mut writing, pool, scheme, run).await?;
            changed += run.len();
        }
        writing.commit().await?;
        Ok(changed >= MOST_JOINED)
    }
}

/// The last block of a scheme whose share is located.
async fn last_block(
    connection: &mut Connection,
    pool: PoolId,
    scheme: &str,
) -> sqlx::Result<Option<Position>> {
    let found: Option<(i64, i64)> = sql::query(
        "SELECT share_seq, share_place FROM blocks
         WHERE pool = $1 AND scheme = $2 AND share_seq IS NOT NULL
         ORDER BY share_seq DESC, share_place DESC LIMIT 1",
    )
    .bind(pool.0)
    .bind(scheme)
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|(seq, place)| Position { seq, place }))
}

/// The ends of rounds that are yet to be read: of the last block, and of those without credits.
async fn edges(
    connection: &mut Connection,
    pool: PoolId,
    scheme: &str,
) -> sqlx::Result<HashSet<Position>> {
    let rows: Vec<(i64, i64)> = sql::query(
        "SELECT share_seq, share_place FROM blocks
         WHERE pool = $1 AND scheme = $2 AND share_seq IS NOT NULL AND window_high IS NULL
         UNION SELECT split_seq, split_place FROM blocks
         WHERE pool = $1 AND scheme = $2 AND split_seq IS NOT NULL AND window_high IS NULL",
    )
    .bind(pool.0)
    .bind(scheme)
    .fetch_all(connection)
    .await?;
    let open = rows.into_iter().map(|(seq, place)| Position { seq, place });
    let last = last_block(connection, pool, scheme).await?;
    Ok(open.chain(last).collect())
}

/// All stretches, newest first. What is paid for as it comes is none: it goes when it is credited.
async fn stretches(
    connection: &mut Connection,
    pool: PoolId,
    scheme: &str,
) -> sqlx::Result<Vec<Stretch>> {
    let rows: Vec<(i64, i64, i64, i64, i64)> = sql::query(
        "SELECT last_seq, last_place, last_ms, work_high, work_low FROM buckets
         WHERE pool = $1 AND scheme = $2 AND height IS NULL
         ORDER BY last_seq DESC, last_place DESC",
    )
    .bind(pool.0)
    .bind(scheme)
    .fetch_all(connection)
    .await?;
    let stretch = |(seq, place, last_ms, high, low)| {
        Ok(Stretch {
            last: Position { seq, place },
            last_ms,
            work: rows::work(0, high, low)?,
        })
    };
    rows.into_iter().map(stretch).collect()
}

/// Makes one bucket of neighbours, newest first, which ends where the newest does.
async fn join(
    writing: &mut Writing<'_>,
    pool: PoolId,
    scheme: &str,
    run: &[&Stretch],
) -> sqlx::Result<()> {
    let mut joined = Gathered {
        last: run.first().map(|stretch| stretch.last),
        ..Gathered::default()
    };
    for stretch in run {
        let (shares, bytes): (i64, Vec<u8>) = sql::query(
            "SELECT shares, workers FROM buckets
             WHERE pool = $1 AND scheme = $2 AND last_seq = $3 AND last_place = $4",
        )
        .bind(pool.0)
        .bind(scheme)
        .bind(stretch.last.seq)
        .bind(stretch.last.place)
        .fetch_one(writing)
        .await?;
        joined.shares += shares;
        joined.last_ms = joined.last_ms.max(stretch.last_ms);
        for (worker, work) in unpack(&bytes)? {
            joined.add_work(worker, work)?;
        }
        remove(writing, pool, scheme, stretch.last).await?;
    }
    insert(writing, pool, scheme, &joined).await
}

pub(crate) async fn remove(
    connection: &mut Connection,
    pool: PoolId,
    scheme: &str,
    last: Position,
) -> sqlx::Result<()> {
    sql::query(
        "DELETE FROM buckets WHERE pool = $1 AND scheme = $2 AND last_seq = $3 AND last_place = $4",
    )
    .bind(pool.0)
    .bind(scheme)
    .bind(last.seq)
    .bind(last.place)
    .execute(connection)
    .await
    .map(drop)
}

/// Writes a bucket; nothing if nothing is in it.
pub(crate) async fn insert(
    connection: &mut Connection,
    pool: PoolId,
    scheme: &str,
    gathered: &Gathered,
) -> sqlx::Result<()> {
    let Some(last) = gathered.last else {
        return Ok(());
    };
    let (high, low) = rows::halves(gathered.total)?;
    let count = i64::try_from(gathered.workers.len());
    sql::query(
        "INSERT INTO buckets (pool, scheme, last_seq, last_place, last_ms, shares, work_high,
                              work_low, count, workers, height)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(pool.0)
    .bind(scheme)
    .bind(last.seq)
    .bind(last.place)
    .bind(gathered.last_ms)
    .bind(gathered.shares)
    .bind(high)
    .bind(low)
    .bind(count.map_err(|_| rows::corrupt("the number of workers"))?)
    .bind(pack(&gathered.workers))
    .bind(gathered.height.map(i64::from))
    .execute(connection)
    .await
    .map(drop)
}

fn pack(workers: &BTreeMap<i64, Work>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(workers.len() * RECORD);
    for (worker, work) in workers {
        bytes.extend_from_slice(&worker.to_le_bytes());
        bytes.extend_from_slice(&work.hashes().to_le_bytes());
    }
    bytes
}

pub(crate) fn unpack(bytes: &[u8]) -> sqlx::Result<impl Iterator<Item = (i64, Work)>> {
    let (records, rest) = bytes.as_chunks::<RECORD>();
    if !rest.is_empty() {
        return Err(rows::corrupt("the length of a bucket"));
    }
    Ok(records.iter().map(|record| {
        let (mut worker, mut work) = ([0; 8], [0; 16]);
        worker.copy_from_slice(&record[..8]);
        work.copy_from_slice(&record[8..]);
        let work = Work::from_hashes(u128::from_le_bytes(work));
        (i64::from_le_bytes(worker), work)
    }))
}
