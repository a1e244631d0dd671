//! Shares rolled up: their number and work for each worker and minute, and for each address, whose number
//! is the id of its first worker. Figures older than a few
//! minutes come from here, so that shares need not be kept for them.
//!
//! A batch of shares is rolled up once, in the transaction that also notes that it is. So every
//! share counts in exactly one place: in its minute if its batch is rolled up, by its own record
//! if it is not.

use std::collections::{BTreeMap, HashMap};

use mining::{Scheme, Work, accounting::Position};

use crate::{
    PoolId, ShareRecord, Store, WriteError,
    buckets::{self, Gathered},
    database::Connection,
    luck::{self, Counted},
    packed::{self, Packed},
    rows, sql,
};

/// The most batches that one call looks at, and the shares after which it looks at no more. What they add
/// up to is written in some milliseconds, in which no share is; many shares at a time are fewer rows in all.
const MOST_BATCHES: u32 = 4_096;
const ENOUGH_SHARES: i64 = 4_096;

/// The most rows that one call prunes, for the same reason as with shares.
const MOST_PRUNED: u32 = 4_000;

/// Of this length are the steps of older figures.
pub(crate) const MINUTES_AN_HOUR: i64 = 60;

/// A minute since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(i64);

/// How far a roll-up came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolledUp {
    /// Whether that were all. If not, call again.
    pub done: bool,
}

impl Minute {
    /// The first one.
    pub const FIRST: Self = Self(0);

    /// The minute of a time in milliseconds since 1970; what is before 1970 is in the first.
    pub fn of_ms(time_ms: i64) -> Self {
        Self(time_ms.div_euclid(60_000).max(0))
    }

    /// From the number of minutes since 1970.
    pub fn from_number(number: i64) -> Self {
        Self(number.max(0))
    }

    /// The number of minutes since 1970.
    pub fn number(self) -> i64 {
        self.0
    }

    /// When it began, in milliseconds since 1970.
    pub fn start_ms(self) -> i64 {
        self.0.saturating_mul(60_000)
    }

    /// The minute with which its hour began.
    pub fn hour(self) -> Self {
        Self(self.0 - self.0 % MINUTES_AN_HOUR)
    }

    /// The number of the first hour that begins with it or later.
    pub(crate) fn next_hour(self) -> i64 {
        self.0.saturating_add(MINUTES_AN_HOUR - 1) / MINUTES_AN_HOUR
    }

    /// The minute so many minutes before.
    pub fn back(self, minutes: u32) -> Self {
        Self::from_number(self.0 - i64::from(minutes))
    }
}

impl Store {
    /// Rolls up shares, some thousands a call so that the share log is not kept waiting, and says
    /// whether there are more; to be called until there are none. A share counts in the minute it
    /// came in, however late it was written.
    pub async fn roll_up(&self, pool: PoolId) -> Result<RolledUp, WriteError> {
        // Batches never change, so that they are read and added up while shares are written.
        let mut reading = self.database.read().await?;
        let rolled = rolled_up_to(&mut reading, pool).await?;
        let batches: Vec<(i64, i64, String, Vec<u8>)> = sql::query(
            "SELECT seq, count, scheme, shares FROM share_batches
             WHERE pool = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(pool.0)
        .bind(rolled.unwrap_or(i64::MAX))
        .bind(MOST_BATCHES)
        .fetch_all(&mut reading)
        .await?;
        drop(reading);
        let mut minutes: BTreeMap<(i64, i64), Rolled> = BTreeMap::new();
        let mut hours: BTreeMap<(i64, i64), Rolled> = BTreeMap::new();
        let mut of_pool: BTreeMap<i64, Rolled> = BTreeMap::new();
        let mut workers: BTreeMap<i64, Rolled> = BTreeMap::new();
        let mut gathered: BTreeMap<(&str, Option<u32>), Gathered> = BTreeMap::new();
        let mut shares: Vec<Packed> = Vec::new();
        let (mut taken, mut last) = (0, None);
        for (seq, count, scheme, bytes) in &batches {
            if taken >= ENOUGH_SHARES {
                break;
            }
            let by_height = Scheme::of_name(scheme).is_some_and(Scheme::pays_for_shares);
            for (place, packed) in (0_i64..).zip(packed::unpack(bytes)?) {
                let height = by_height.then_some(packed.share.height);
                gathered
                    .entry((scheme, height))
                    .or_insert_with(|| Gathered::at(height))
                    .add(&packed, Position { seq: *seq, place })?;
                shares.push(packed);
                let Packed { share, worker } = packed;
                let minute = Minute::of_ms(share.time_ms).0;
                minutes.entry((worker, minute)).or_default().add(&share)?;
                let hour = minute / MINUTES_AN_HOUR;
                hours.entry((worker, hour)).or_default().add(&share)?;
                of_pool.entry(minute).or_default().add(&share)?;
                workers.entry(worker).or_default().add(&share)?;
            }
            taken += count;
            last = Some(*seq);
        }
        let Some(seq) = last else {
            return Ok(RolledUp { done: true });
        };
        let mut writing = self.database.write().await?;
        if rolled_up_to(&mut writing, pool).await? != rolled {
            // Somebody else was faster.
            writing.commit().await?;
            return Ok(RolledUp { done: false });
        }
        add_to_minutes(&mut writing, pool, &minutes).await?;
        HOURS.add(&mut writing, pool, &hours).await?;
        add_to_pool(&mut writing, pool, &of_pool).await?;
        let counted = luck::count(&mut writing, pool, &shares).await?;
        let miners = add_to_workers(&mut writing, &workers, &counted).await?;
        let of_miners = by_miner(&miners, &minutes)?;
        MINER_MINUTES.add(&mut writing, pool, &of_miners).await?;
        let of_miners = by_miner(&miners, &hours)?;
        MINER_HOURS.add(&mut writing, pool, &of_miners).await?;
        for ((scheme, _), gathered) in &gathered {
            buckets::insert(&mut writing, pool, scheme, gathered).await?;
        }
        sql::query("UPDATE pools SET rolled_seq = $2 WHERE id = $1")
            .bind(pool.0)
            .bind(seq)
            .execute(&mut writing)
            .await?;
        writing.commit().await?;
        let reached = last == batches.last().map(|(seq, ..)| *seq);
        Ok(RolledUp {
            done: reached && batches.len() < usize::try_from(MOST_BATCHES).unwrap_or(usize::MAX),
        })
    }

    /// Removes minutes before `before`, some a call, and says how many; to be called until it says
    /// 0. Hours, and the totals of each worker, stay.
    pub async fn prune_minutes(&self, pool: PoolId, before: Minute) -> Result<u64, WriteError> {
        let mut writing = self.database.write().await?;
        let mut pruned = 0;
        for table in [MINUTES, MINER_MINUTES] {
            pruned += table.prune(&mut writing, pool, before.0).await?;
        }
        sql::query("DELETE FROM pool_minutes WHERE pool = $1 AND minute < $2")
            .bind(pool.0)
            .bind(before.0)
            .execute(&mut writing)
            .await?;
        writing.commit().await?;
        Ok(pruned)
    }

    /// Removes the hours of workers and miners that ended before `before`, in the same way. Those of the
    /// pool stay.
    pub async fn prune_hours(&self, pool: PoolId, before: Minute) -> Result<u64, WriteError> {
        let mut writing = self.database.write().await?;
        let mut pruned = 0;
        for table in [HOURS, MINER_HOURS] {
            let before = before.0 / MINUTES_AN_HOUR;
            pruned += table.prune(&mut writing, pool, before).await?;
        }
        writing.commit().await?;
        Ok(pruned)
    }
}

/// The last batch that is rolled up; nothing if there is no such pool.
async fn rolled_up_to(connection: &mut Connection, pool: PoolId) -> sqlx::Result<Option<i64>> {
    sql::query("SELECT rolled_seq FROM pools WHERE id = $1")
        .bind(pool.0)
        .fetch_optional_value(connection)
        .await
}

/// Adds a row of sums to the one that is there.
fn added_to(table: &str) -> String {
    format!(
        "shares = {table}.shares + excluded.shares,
         work_high = {table}.work_high + excluded.work_high
             + (({table}.work_low + excluded.work_low) >> 32),
         work_low = ({table}.work_low + excluded.work_low) & 4294967295"
    )
}

/// What some shares are together.
#[derive(Default)]
struct Rolled {
    shares: i64,
    work: Work,
    last_ms: i64,
    /// The smallest hash, most significant byte first.
    best: Option<[u8; 32]>,
}

impl Rolled {
    fn add(&mut self, share: &ShareRecord) -> sqlx::Result<()> {
        self.shares += 1;
        self.work = self
            .work
            .checked_add(share.work())
            .ok_or_else(|| rows::corrupt("a sum of work"))?;
        self.last_ms = self.last_ms.max(share.time_ms);
        let hash = share.hash.to_display_bytes();
        self.best = Some(self.best.map_or(hash, |best| best.min(hash)));
        Ok(())
    }
}

async fn add_to_minutes(
    connection: &mut Connection,
    pool: PoolId,
    minutes: &BTreeMap<(i64, i64), Rolled>,
) -> sqlx::Result<()> {
    let minutes: Vec<_> = minutes.iter().collect();
    for chunk in rows::chunks(&minutes) {
        let text = format!(
            "INSERT INTO minutes (pool, worker, minute, shares, work_high, work_low, last_ms)
             VALUES {}
             ON CONFLICT (worker, minute) DO UPDATE SET {},
                 last_ms = CASE WHEN excluded.last_ms > minutes.last_ms
                     THEN excluded.last_ms ELSE minutes.last_ms END",
            sql::placeholders(connection.kind(), 1, chunk.len(), 7),
            added_to("minutes")
        );
        let mut query = sql::built(text);
        for ((worker, minute), rolled) in chunk {
            let (high, low) = rows::halves(rolled.work)?;
            query = query.bind(pool.0).bind(worker).bind(minute);
            query = query.bind(rolled.shares).bind(high).bind(low);
            query = query.bind(rolled.last_ms);
        }
        query.execute(connection).await?;
    }
    Ok(())
}

/// A table of sums.
#[derive(Clone, Copy)]
struct Table {
    name: &'static str,
    /// The column that says whose they are.
    of: &'static str,
    /// The column that says of when.
    when: &'static str,
}

const MINUTES: Table = Table {
    name: "minutes",
    of: "worker",
    when: "minute",
};
const HOURS: Table = Table {
    name: "hours",
    of: "worker",
    when: "hour",
};
const MINER_MINUTES: Table = Table {
    name: "miner_minutes",
    of: "miner",
    when: "minute",
};
const MINER_HOURS: Table = Table {
    name: "miner_hours",
    of: "miner",
    when: "hour",
};

impl Table {
    async fn add(
        self,
        connection: &mut Connection,
        pool: PoolId,
        sums: &BTreeMap<(i64, i64), Rolled>,
    ) -> sqlx::Result<()> {
        let Self { name, of, when } = self;
        let sums: Vec<_> = sums.iter().collect();
        for chunk in rows::chunks(&sums) {
            let text = format!(
                "INSERT INTO {name} (pool, {of}, {when}, shares, work_high, work_low) VALUES {}
                 ON CONFLICT ({of}, {when}) DO UPDATE SET {}",
                sql::placeholders(connection.kind(), 1, chunk.len(), 6),
                added_to(name)
            );
            let mut query = sql::built(text);
            for ((whose, number), rolled) in chunk {
                let (high, low) = rows::halves(rolled.work)?;
                query = query.bind(pool.0).bind(whose).bind(number);
                query = query.bind(rolled.shares).bind(high).bind(low);
            }
            query.execute(connection).await?;
        }
        Ok(())
    }

    /// Removes some of the rows before this one, and says how many.
    async fn prune(
        self,
        connection: &mut Connection,
        pool: PoolId,
        before: i64,
    ) -> sqlx::Result<u64> {
        let Self { name, of, when } = self;
        let text = format!(
            "DELETE FROM {name} WHERE ({of}, {when}) IN (
                 SELECT {of}, {when} FROM {name} WHERE pool = $1 AND {when} < $2
                 ORDER BY {when} LIMIT $3)"
        );
        sql::built(text)
            .bind(pool.0)
            .bind(before)
            .bind(MOST_PRUNED)
            .execute(connection)
            .await
    }
}

/// A batch is of a few minutes.
async fn add_to_pool(
    connection: &mut Connection,
    pool: PoolId,
    minutes: &BTreeMap<i64, Rolled>,
) -> sqlx::Result<()> {
    let insert = |table: &str, when: &str| {
        format!(
            "INSERT INTO {table} (pool, {when}, shares, work_high, work_low)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (pool, {when}) DO UPDATE SET {}",
            added_to(table)
        )
    };
    let by_minute = insert("pool_minutes", "minute");
    let by_hour = insert("pool_hours", "hour");
    for (minute, rolled) in minutes {
        let (high, low) = rows::halves(rolled.work)?;
        for (text, number) in [(&by_minute, *minute), (&by_hour, minute / MINUTES_AN_HOUR)] {
            sql::built(text.clone())
                .bind(pool.0)
                .bind(number)
                .bind(rolled.shares)
                .bind(high)
                .bind(low)
                .execute(connection)
                .await?;
        }
    }
    Ok(())
}

/// Gives the number of each worker's address.
async fn add_to_workers(
    connection: &mut Connection,
    workers: &BTreeMap<i64, Rolled>,
    counted: &BTreeMap<i64, Counted>,
) -> sqlx::Result<HashMap<i64, i64>> {
    let mut miners = HashMap::with_capacity(workers.len());
    let workers: Vec<_> = workers.iter().collect();
    for chunk in rows::chunks(&workers) {
        let text = format!(
            "WITH added (id, shares, high, low, last_ms, best, expected_high, expected_low, found)
             AS (VALUES {})
             UPDATE workers SET
                 shares = workers.shares + added.shares,
                 work_high = workers.work_high + added.high
                     + ((workers.work_low + added.low) >> 32),
                 work_low = (workers.work_low + added.low) & 4294967295,
                 last_seen_ms = CASE WHEN added.last_ms > workers.last_seen_ms
                     THEN added.last_ms ELSE workers.last_seen_ms END,
                 best = CASE WHEN workers.best < added.best
                     THEN workers.best ELSE added.best END,
                 expected_high = workers.expected_high + added.expected_high
                     + ((workers.expected_low + added.expected_low) >> 32),
                 expected_low = (workers.expected_low + added.expected_low) & 4294967295,
                 found = workers.found + added.found
             FROM added WHERE added.id = workers.id RETURNING workers.id, workers.miner",
            sql::placeholders(connection.kind(), 1, chunk.len(), 9)
        );
        let mut query = sql::built(text);
        for (worker, rolled) in chunk {
            let (high, low) = rows::halves(rolled.work)?;
            query = query.bind(*worker).bind(rolled.shares).bind(high).bind(low);
            query = query.bind(rolled.last_ms);
            query = query.bind(rolled.best.map(|best| best.to_vec()));
            let counted = counted.get(*worker).copied().unwrap_or_default();
            let (high, low) = rows::halves(Work::from_hashes(counted.expected.units()))?;
            query = query.bind(high).bind(low).bind(counted.found);
        }
        let found: Vec<(i64, i64)> = query.fetch_all(connection).await?;
        miners.extend(found);
    }
    Ok(miners)
}

/// Sums of workers as those of their addresses.
fn by_miner(
    miners: &HashMap<i64, i64>,
    sums: &BTreeMap<(i64, i64), Rolled>,
) -> sqlx::Result<BTreeMap<(i64, i64), Rolled>> {
    let mut of_miners: BTreeMap<(i64, i64), Rolled> = BTreeMap::new();
    for ((worker, number), rolled) in sums {
        let miner = miners
            .get(worker)
            .ok_or_else(|| rows::corrupt("a share of no worker"))?;
        let sum = of_miners.entry((*miner, *number)).or_default();
        sum.shares += rolled.shares;
        let work = sum.work.checked_add(rolled.work);
        sum.work = work.ok_or_else(|| rows::corrupt("a sum of work"))?;
    }
    Ok(of_miners)
}
