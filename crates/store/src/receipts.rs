//! The logs of days, from which receipts are made: how far they have come, what they hold, and what the
//! pool has signed. Called by the task `receipts` and by the API.
//!
//! A log is a stretch of the order of shares, so its leaves are read from their batches, as long as
//! those are kept. Each step is written together with how far it came: whenever a process ends, the
//! next one goes on behind the last share that is in a log.

mod proofs;

use std::collections::BTreeMap;

use mining::{
    Scheme, Work,
    accounting::Position,
    date::Date,
    receipt::{Digest, Edge, PublicKey, SaltKey, Signature, SignedStatement},
};

use crate::{
    PoolId, ReadError, ShareRecord, Store, WorkerId, WriteError,
    database::Connection,
    packed::{self, Packed},
    rows, sql,
};

/// The most batches that one step takes, and the shares after which it takes no more: a few
/// milliseconds of hashing.
const MOST_BATCHES: u32 = 512;
const ENOUGH_SHARES: usize = 2_048;

/// The most statements of one answer.
const LONGEST_PAGE: u32 = 1_000;

/// A share with its place in the order of all shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedShare {
    /// Where it is.
    pub at: Position,
    /// The share.
    pub share: ShareRecord,
    /// Whose it is.
    pub worker: WorkerId,
    /// How it is paid.
    pub scheme: Scheme,
}

/// Shares that are in no log yet, oldest first, and the log that they come behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlogged {
    after: i64,
    until: i64,
    /// The shares: some thousands at most.
    pub shares: Vec<PlacedShare>,
    /// The log that is open.
    pub open: Option<OpenLog>,
    /// The newest day whose log is closed.
    pub closed: Option<Date>,
    /// Whether these are all.
    pub done: bool,
}

/// A log that gets more shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLog {
    /// Its day.
    pub date: Date,
    /// The tree of its shares.
    pub edge: Edge,
    /// Their work.
    pub work: Work,
}

/// What some shares make of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChange {
    /// The log as it is then.
    pub log: OpenLog,
    /// The chunks that begin or end with these shares.
    pub chunks: Vec<Chunk>,
    /// What each account did in these shares.
    pub added: BTreeMap<Digest, (u64, Work)>,
    /// Whether no more shares will come.
    pub closed: bool,
}

/// A chunk of a log's leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its number, from 0 on.
    pub number: u64,
    /// Where its first share is; nothing if that is written already.
    pub first: Option<Position>,
    /// Its digest, if it is complete.
    pub digest: Option<Digest>,
}

/// A log that is closed and not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedLog {
    /// The log.
    pub log: OpenLog,
    /// What each account did, in their order.
    pub sums: Vec<AccountSum>,
    /// The statement of the day before.
    pub previous: Option<SignedStatement>,
}

/// What an account did on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountSum {
    /// The account.
    pub account: Digest,
    /// Its shares.
    pub shares: u64,
    /// Their work.
    pub work: Work,
}

impl Store {
    /// The key of the pool's salts: the one that is kept, or `fresh`, which is kept from now on. Logs
    /// begin with the shares that are accepted after the first call.
    pub async fn salt_key(&self, pool: PoolId, fresh: SaltKey) -> Result<SaltKey, WriteError> {
        let mut writing = self.database.write().await?;
        sql::query(
            "INSERT INTO receipt_logs (pool, salt_key, logged_seq)
             VALUES ($1, $2, (SELECT COALESCE(MAX(seq), 0) FROM share_batches WHERE pool = $1))
             ON CONFLICT (pool) DO NOTHING",
        )
        .bind(pool.0)
        .bind(&fresh.to_bytes()[..])
        .execute(&mut writing)
        .await?;
        let kept: Vec<u8> = sql::query("SELECT salt_key FROM receipt_logs WHERE pool = $1")
            .bind(pool.0)
            .fetch_value(&mut writing)
            .await?;
        writing.commit().await?;
        Ok(SaltKey::from_bytes(array(&kept, "receipt_logs.salt_key")?))
    }

    /// The next shares that are in no log; none before the first call of [`salt_key`](Self::salt_key).
    pub async fn unlogged_shares(&self, pool: PoolId) -> Result<Unlogged, ReadError> {
        let mut reading = self.database.read().await?;
        let after: Option<i64> = sql::query("SELECT logged_seq FROM receipt_logs WHERE pool = $1")
            .bind(pool.0)
            .fetch_optional_value(&mut reading)
            .await?;
        let after = after.unwrap_or(i64::MAX);
        let batches: Vec<(i64, String, Vec<u8>)> = sql::query(
            "SELECT seq, scheme, shares FROM share_batches WHERE pool = $1 AND seq > $2
             ORDER BY seq LIMIT $3",
        )
        .bind(pool.0)
        .bind(after)
        .bind(MOST_BATCHES)
        .fetch_all(&mut reading)
        .await?;
        let mut unlogged = Unlogged {
            after,
            until: after,
            shares: Vec::new(),
            open: open_log(&mut reading, pool).await?,
            closed: closed(&mut reading, pool).await?,
            done: batches.len() < usize::try_from(MOST_BATCHES).unwrap_or(usize::MAX),
        };
        for (seq, scheme, bytes) in &batches {
            if unlogged.shares.len() >= ENOUGH_SHARES {
                unlogged.done = false;
                break;
            }
            unlogged.shares.extend(placed(*seq, scheme, bytes)?);
            unlogged.until = *seq;
        }
        Ok(unlogged)
    }

    /// Writes what these shares make of the logs, oldest day first, and that they are logged. False if
    /// they are logged already, which changes nothing.
    pub async fn log_shares(
        &self,
        pool: PoolId,
        shares: &Unlogged,
        changes: &[LogChange],
    ) -> Result<bool, WriteError> {
        let mut writing = self.database.write().await?;
        let first = sql::query(
            "UPDATE receipt_logs SET logged_seq = $3 WHERE pool = $1 AND logged_seq = $2",
        )
        .bind(pool.0)
        .bind(shares.after)
        .bind(shares.until)
        .execute(&mut writing)
        .await?;
        if first == 0 {
            writing.commit().await?;
            return Ok(false);
        }
        for change in changes {
            write_log(&mut writing, pool, change).await?;
            write_chunks(&mut writing, pool, change).await?;
            add_sums(&mut writing, pool, change).await?;
        }
        writing.commit().await?;
        Ok(true)
    }

    /// Closes the open log of a day, if all shares are in a log. False if there is more to log, or no
    /// such open log.
    pub async fn close_log(&self, pool: PoolId, date: Date) -> Result<bool, WriteError> {
        let mut writing = self.database.write().await?;
        let closed = sql::query(
            "UPDATE receipt_days SET closed = 1
             WHERE pool = $1 AND day = $2 AND closed = 0 AND NOT EXISTS (
                 SELECT 1 FROM share_batches WHERE pool = $1
                   AND seq > (SELECT logged_seq FROM receipt_logs WHERE pool = $1))",
        )
        .bind(pool.0)
        .bind(date.number())
        .execute(&mut writing)
        .await?;
        writing.commit().await?;
        Ok(closed > 0)
    }

    /// The oldest log that is closed and not signed.
    pub async fn unsigned_log(&self, pool: PoolId) -> Result<Option<UnsignedLog>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Option<LogRow> = sql::query(
            "SELECT day, shares, work_high, work_low, edge FROM receipt_days
             WHERE pool = $1 AND closed = 1 AND statement IS NULL ORDER BY day LIMIT 1",
        )
        .bind(pool.0)
        .fetch_optional(&mut reading)
        .await?;
        let Some(log) = found.map(log).transpose()? else {
            return Ok(None);
        };
        let sums = proofs::sums(&mut reading, pool, log.date).await?;
        let previous = signed(&mut reading, pool, Some(log.date), 1).await?.pop();
        Ok(Some(UnsignedLog {
            log,
            sums,
            previous,
        }))
    }

    /// Writes the statement of a day. False if it has one, which stays.
    pub async fn sign_log(
        &self,
        pool: PoolId,
        signed: &SignedStatement,
    ) -> Result<bool, WriteError> {
        let mut writing = self.database.write().await?;
        let written = sql::query(
            "UPDATE receipt_days SET statement = $3, public_key = $4, signature = $5
             WHERE pool = $1 AND day = $2 AND closed = 1 AND statement IS NULL",
        )
        .bind(pool.0)
        .bind(signed.statement.date.number())
        .bind(signed.statement.to_string())
        .bind(&signed.key.0[..])
        .bind(&signed.signature.0[..])
        .execute(&mut writing)
        .await?;
        writing.commit().await?;
        Ok(written > 0)
    }

    /// The log that gets more shares, if there is one.
    pub async fn open_log(&self, pool: PoolId) -> Result<Option<OpenLog>, ReadError> {
        let mut reading = self.database.read().await?;
        Ok(open_log(&mut reading, pool).await?)
    }

    /// The log of a day, signed or not.
    pub async fn day_log(&self, pool: PoolId, date: Date) -> Result<Option<OpenLog>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Option<LogRow> = sql::query(
            "SELECT day, shares, work_high, work_low, edge FROM receipt_days
             WHERE pool = $1 AND day = $2",
        )
        .bind(pool.0)
        .bind(date.number())
        .fetch_optional(&mut reading)
        .await?;
        Ok(found.map(log).transpose()?)
    }

    /// What was signed for days before this one, newest first; at most 1000.
    pub async fn statements(
        &self,
        pool: PoolId,
        before: Option<Date>,
        limit: u32,
    ) -> Result<Vec<SignedStatement>, ReadError> {
        let mut reading = self.database.read().await?;
        Ok(signed(&mut reading, pool, before, limit.min(LONGEST_PAGE)).await?)
    }

    /// What was signed for a day.
    pub async fn statement_of(
        &self,
        pool: PoolId,
        date: Date,
    ) -> Result<Option<SignedStatement>, ReadError> {
        let mut reading = self.database.read().await?;
        // The last day of all has none behind it, and no shares.
        let found = signed(&mut reading, pool, Some(date.next()), 1).await?;
        Ok(found.into_iter().find(|of| of.statement.date == date))
    }
}

type LogRow = (i64, i64, i64, i64, Vec<u8>);
type SignedRow = (String, Vec<u8>, Vec<u8>);

async fn open_log(connection: &mut Connection, pool: PoolId) -> sqlx::Result<Option<OpenLog>> {
    let found: Option<LogRow> = sql::query(
        "SELECT day, shares, work_high, work_low, edge FROM receipt_days
         WHERE pool = $1 AND closed = 0 ORDER BY day DESC LIMIT 1",
    )
    .bind(pool.0)
    .fetch_optional(connection)
    .await?;
    found.map(log).transpose()
}

async fn closed(connection: &mut Connection, pool: PoolId) -> sqlx::Result<Option<Date>> {
    let day: Option<i64> =
        sql::query("SELECT MAX(day) FROM receipt_days WHERE pool = $1 AND closed = 1")
            .bind(pool.0)
            .fetch_value(connection)
            .await?;
    day.map(date).transpose()
}

/// The statements of days before this one, newest first.
async fn signed(
    connection: &mut Connection,
    pool: PoolId,
    before: Option<Date>,
    limit: u32,
) -> sqlx::Result<Vec<SignedStatement>> {
    let found: Vec<SignedRow> = sql::query(
        "SELECT statement, public_key, signature FROM receipt_days
         WHERE pool = $1 AND day < $2 AND statement IS NOT NULL ORDER BY day DESC LIMIT $3",
    )
    .bind(pool.0)
    .bind(before.map_or(i64::MAX, |date| date.number().into()))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let signed = |(statement, key, signature): SignedRow| {
        Ok(SignedStatement {
            statement: statement
                .parse()
                .map_err(|_| rows::corrupt("receipt_days.statement"))?,
            key: PublicKey(array(&key, "receipt_days.public_key")?),
            signature: Signature(array(&signature, "receipt_days.signature")?),
        })
    };
    found.into_iter().map(signed).collect()
}

fn placed<'b>(
    seq: i64,
    scheme: &str,
    bytes: &'b [u8],
) -> sqlx::Result<impl Iterator<Item = PlacedShare> + use<'b>> {
    let scheme = Scheme::of_name(scheme).ok_or_else(|| rows::corrupt("share_batches.scheme"))?;
    let shares = packed::unpack(bytes)?;
    let placed = move |(place, Packed { share, worker }): (i64, Packed)| PlacedShare {
        at: Position { seq, place },
        share,
        worker: WorkerId(worker),
        scheme,
    };
    Ok((0..).zip(shares).map(placed))
}

async fn write_log(
    connection: &mut Connection,
    pool: PoolId,
    change: &LogChange,
) -> sqlx::Result<()> {
    let LogChange { log, closed, .. } = change;
    let (high, low) = rows::halves(log.work)?;
    let edge: Vec<u8> = log.edge.roots().iter().flat_map(|root| root.0).collect();
    sql::query(
        "INSERT INTO receipt_days (pool, day, shares, work_high, work_low, edge, closed)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (pool, day) DO UPDATE SET
             shares = excluded.shares, work_high = excluded.work_high,
             work_low = excluded.work_low, edge = excluded.edge, closed = excluded.closed",
    )
    .bind(pool.0)
    .bind(log.date.number())
    .bind(signed_number(log.edge.count())?)
    .bind(high)
    .bind(low)
    .bind(edge)
    .bind(i64::from(*closed))
    .execute(connection)
    .await
    .map(drop)
}

async fn write_chunks(
    connection: &mut Connection,
    pool: PoolId,
    change: &LogChange,
) -> sqlx::Result<()> {
    let day = change.log.date.number();
    for chunk in &change.chunks {
        let number = signed_number(chunk.number)?;
        let digest = chunk.digest.map(|digest| digest.0.to_vec());
        let query = match chunk.first {
            Some(first) => sql::query(
                "INSERT INTO receipt_chunks (pool, day, chunk, digest, first_seq, first_place)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(pool.0)
            .bind(day)
            .bind(number)
            .bind(digest)
            .bind(first.seq)
            .bind(first.place),
            None => sql::query(
                "UPDATE receipt_chunks SET digest = $4
                 WHERE pool = $1 AND day = $2 AND chunk = $3",
            )
            .bind(pool.0)
            .bind(day)
            .bind(number)
            .bind(digest),
        };
        query.execute(connection).await?;
    }
    Ok(())
}

async fn add_sums(
    connection: &mut Connection,
    pool: PoolId,
    change: &LogChange,
) -> sqlx::Result<()> {
    let added: Vec<_> = change.added.iter().collect();
    for chunk in rows::chunks(&added) {
        let text = format!(
            "INSERT INTO receipt_sums (pool, day, account, shares, work_high, work_low)
             VALUES {}
             ON CONFLICT (pool, day, account) DO UPDATE SET
                 shares = receipt_sums.shares + excluded.shares,
                 work_high = receipt_sums.work_high + excluded.work_high
                     + ((receipt_sums.work_low + excluded.work_low) >> 32),
                 work_low = (receipt_sums.work_low + excluded.work_low) & 4294967295",
            sql::placeholders(connection.kind(), 1, chunk.len(), 6)
        );
        let mut query = sql::built(text);
        for (account, (shares, work)) in chunk {
            let (high, low) = rows::halves(*work)?;
            query = query.bind(pool.0).bind(change.log.date.number());
            query = query.bind(&account.0[..]).bind(signed_number(*shares)?);
            query = query.bind(high).bind(low);
        }
        query.execute(connection).await?;
    }
    Ok(())
}

fn log((day, shares, high, low, edge): LogRow) -> sqlx::Result<OpenLog> {
    let wrong = || rows::corrupt("receipt_days.edge");
    let (roots, rest) = edge.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    let roots = roots.iter().copied().map(Digest).collect();
    Ok(OpenLog {
        date: date(day)?,
        edge: Edge::new(rows::unsigned(shares, "receipt_days.shares")?, roots).ok_or_else(wrong)?,
        work: rows::work(0, high, low)?,
    })
}

fn date(day: i64) -> sqlx::Result<Date> {
    Date::from_number(day).ok_or_else(|| rows::corrupt("receipt_days.day"))
}

fn digest(bytes: &[u8], what: &'static str) -> sqlx::Result<Digest> {
    array(bytes, what).map(Digest)
}

fn array<const N: usize>(bytes: &[u8], what: &'static str) -> sqlx::Result<[u8; N]> {
    bytes.try_into().map_err(|_| rows::corrupt(what))
}

fn signed_number(number: u64) -> sqlx::Result<i64> {
    i64::try_from(number).map_err(|_| rows::corrupt("a number of shares"))
}
