//! How many blocks work was expected to find and how many it found: of a pool, of an account, and the
//! work of each round. Counted by the roll-up, share by share in the order in which they were accepted,
//! so that what was expected and what was found are always of the same shares. Called by `luck` and the
//! API.
//!
//! A share's work meets the network's work at its height, as the [`prices`](crate::prices) have it. Of a
//! height that was missed it is that of the last one below; before the first one nobody knows, and
//! nothing is expected: that can hide somebody, and never accuse.

use std::collections::{BTreeMap, HashMap};

use mining::{
    Work,
    luck::{Expected, Luck},
};
use pow::Hash;

use crate::{
    PoolId, ReadError, Store, WriteError, database::Connection, packed::Packed, prices, rows, sql,
};

/// The luck of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLuck {
    /// The address that is mined for.
    pub address: String,
    /// All that was counted.
    pub ever: Luck,
    /// What came since it was counted anew; all if it never was.
    pub since: Luck,
    /// When that was, in milliseconds since 1970.
    pub counted_anew_ms: Option<i64>,
    /// When its last share came, likewise.
    pub last_share_ms: i64,
}

/// What a worker's shares of a roll-up were expected to find, and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) expected: Expected,
    pub(crate) found: i64,
}

/// Expected in two halves of many rows, in three parts; see [`rows::work`].
type LuckRow = (i64, i64, i64, i64);

/// Sums over workers.
macro_rules! sums_of_luck {
    () => {
        "CAST(COALESCE(SUM(expected_high >> 32), 0) AS BIGINT),
         CAST(COALESCE(SUM(expected_high & 4294967295), 0) AS BIGINT),
         CAST(COALESCE(SUM(expected_low), 0) AS BIGINT),
         CAST(COALESCE(SUM(found), 0) AS BIGINT)"
    };
}

impl Store {
    /// What a pool's work was expected to find, and found, as far as it is rolled up.
    pub async fn pool_luck(&self, pool: PoolId) -> Result<Luck, ReadError> {
        let text = concat!("SELECT ", sums_of_luck!(), " FROM workers WHERE pool = $1");
        let mut reading = self.database.read().await?;
        let row: LuckRow = sql::query(text)
            .bind(pool.0)
            .fetch_one(&mut reading)
            .await?;
        Ok(luck(row)?)
    }

    /// What an account's work was expected to find, and found, likewise.
    pub async fn luck_of(&self, pool: PoolId, address: &str) -> Result<Luck, ReadError> {
        let mut reading = self.database.read().await?;
        Ok(of_account(&mut reading, pool, address).await?)
    }

    /// The accounts that were expected to find at least so many blocks since they were counted anew, in
    /// the order of their addresses.
    pub async fn lucks(
        &self,
        pool: PoolId,
        at_least: Expected,
    ) -> Result<Vec<AccountLuck>, ReadError> {
        let mut reading = self.database.read().await?;
        type Anew = (String, i64, i64, i64, i64);
        let anew: Vec<Anew> = sql::query(
            "SELECT address, expected_high, expected_low, found, time_ms FROM counted_anew
             WHERE pool = $1",
        )
        .bind(pool.0)
        .fetch_all(&mut reading)
        .await?;
        let mut before: HashMap<String, (Luck, i64)> = HashMap::with_capacity(anew.len());
        for (address, high, low, found, time_ms) in anew {
            before.insert(address, (luck((0, high, low, found))?, time_ms));
        }
        // Most accounts have far too little work to be looked at one by one. What this leaves out of a
        // worker is below 2^-16 of a block.
        type Row = (String, i64, i64, i64, i64, i64);
        let text = concat!(
            "SELECT address, ",
            sums_of_luck!(),
            ", MAX(last_seen_ms) FROM workers WHERE pool = $1
             GROUP BY address HAVING SUM(expected_high >> 16) + COUNT(*) > $2 ORDER BY address"
        );
        let sixteenth = i64::try_from(at_least.units() >> 48).unwrap_or(i64::MAX);
        let found: Vec<Row> = sql::query(text)
            .bind(pool.0)
            .bind(sixteenth)
            .fetch_all(&mut reading)
            .await?;
        let mut accounts = Vec::new();
        for (address, top, middle, low, found, last_share_ms) in found {
            let ever = luck((top, middle, low, found))?;
            let (counted, time_ms) = before.remove(&address).unzip();
            let since = ever.since(counted.unwrap_or_default());
            if since.expected >= at_least {
                accounts.push(AccountLuck {
                    address,
                    ever,
                    since,
                    counted_anew_ms: time_ms,
                    last_share_ms,
                });
            }
        }
        Ok(accounts)
    }

    /// Counts an account anew from here on. What it ever did stays.
    pub async fn count_anew(
        &self,
        pool: PoolId,
        address: &str,
        now_ms: i64,
    ) -> Result<(), WriteError> {
        let mut writing = self.database.write().await?;
        let luck = of_account(&mut writing, pool, address).await?;
        let (high, low) = rows::halves(Work::from_hashes(luck.expected.units()))?;
        let found = i64::try_from(luck.found).map_err(|_| rows::corrupt("blocks found"))?;
        sql::query(
            "INSERT INTO counted_anew (pool, address, expected_high, expected_low, found, time_ms)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (pool, address) DO UPDATE SET expected_high = excluded.expected_high,
                 expected_low = excluded.expected_low, found = excluded.found,
                 time_ms = excluded.time_ms",
        )
        .bind(pool.0)
        .bind(address)
        .bind(high)
        .bind(low)
        .bind(found)
        .bind(now_ms)
        .execute(&mut writing)
        .await?;
        writing.commit().await
    }

    /// The work since the last block of a pool, as far as it is rolled up; nothing where nobody knows
    /// when the round began.
    pub async fn round_work(&self, pool: PoolId) -> Result<Option<Work>, ReadError> {
        let mut reading = self.database.read().await?;
        Ok(round(&mut reading, pool).await?)
    }

    /// The work of the rounds that blocks ended, from the one with this `seq` on, by `seq`.
    pub async fn round_works(
        &self,
        pool: PoolId,
        from: u64,
    ) -> Result<BTreeMap<u64, Work>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Vec<(i64, i64, i64)> = sql::query(
            "SELECT seq, round_high, round_low FROM blocks
             WHERE pool = $1 AND seq >= $2 AND round_high IS NOT NULL",
        )
        .bind(pool.0)
        .bind(rows::cursor(Some(from)))
        .fetch_all(&mut reading)
        .await?;
        let row = |(seq, high, low)| {
            Ok((
                rows::unsigned(seq, "blocks.seq")?,
                rows::work(0, high, low)?,
            ))
        };
        Ok(found.into_iter().map(row).collect::<sqlx::Result<_>>()?)
    }
}

/// Counts shares that are rolled up, in the order in which they were accepted: ends the rounds of the
/// blocks among them, and gives what each worker was expected to find, and found.
pub(crate) async fn count(
    connection: &mut Connection,
    pool: PoolId,
    shares: &[Packed],
) -> sqlx::Result<BTreeMap<i64, Counted>> {
    let mut blocks = blocks_of(connection, pool, shares).await?;
    let mut round = round(connection, pool).await?;
    let mut counted: BTreeMap<i64, Counted> = BTreeMap::new();
    let mut by_height: BTreeMap<(u32, i64), (Work, u32)> = BTreeMap::new();
    for Packed { share, worker } in shares {
        let more = |sum: Work| {
            let sum = sum.checked_add(share.work());
            sum.ok_or_else(|| rows::corrupt("a sum of work"))
        };
        let (work, count) = by_height.entry((share.height(), *worker)).or_default();
        *work = more(*work)?;
        *count += 1;
        round = round.map(more).transpose()?;
        if let Some(seq) = blocks.remove(&share.hash()) {
            counted.entry(*worker).or_default().found += 1;
            if let Some(work) = round {
                end_round(connection, seq, work).await?;
            }
            round = Some(Work::ZERO);
        }
    }
    keep_round(connection, pool, round).await?;
    let mut network = None;
    for ((height, worker), (work, count)) in by_height {
        let at_height = match network {
            Some((known, work)) if known == height => work,
            _ => network_work(connection, pool, height).await?,
        };
        network = Some((height, at_height));
        let of_worker = counted.entry(worker).or_default();
        // No job asks for more than the network does. Where that is missed, a share is still one block at
        // most, so that no sum of them outgrows its column.
        let expected = Expected::of(work, at_height).min(Expected::whole(count));
        of_worker.expected = of_worker.expected.plus(expected);
    }
    Ok(counted)
}

/// The blocks that these shares may be, by their proof.
async fn blocks_of(
    connection: &mut Connection,
    pool: PoolId,
    shares: &[Packed],
) -> sqlx::Result<HashMap<Hash, i64>> {
    let heights = || shares.iter().map(|packed| packed.share.height());
    let (Some(lowest), Some(highest)) = (heights().min(), heights().max()) else {
        return Ok(HashMap::new());
    };
    let found: Vec<(i64, Vec<u8>)> = sql::query(
        "SELECT seq, COALESCE(proof, hash) FROM blocks
         WHERE pool = $1 AND height >= $2 AND height <= $3",
    )
    .bind(pool.0)
    .bind(i64::from(lowest))
    .bind(i64::from(highest))
    .fetch_all(connection)
    .await?;
    let block = |(seq, proof): (i64, Vec<u8>)| Ok((rows::hash(&proof)?, seq));
    found.into_iter().map(block).collect()
}

async fn end_round(connection: &mut Connection, block: i64, work: Work) -> sqlx::Result<()> {
    let (high, low) = rows::halves(work)?;
    sql::query("UPDATE blocks SET round_high = $2, round_low = $3 WHERE seq = $1")
        .bind(block)
        .bind(high)
        .bind(low)
        .execute(connection)
        .await
        .map(drop)
}

async fn keep_round(
    connection: &mut Connection,
    pool: PoolId,
    round: Option<Work>,
) -> sqlx::Result<()> {
    let (high, low) = round.map(rows::halves).transpose()?.unzip();
    sql::query("UPDATE pools SET round_high = $2, round_low = $3 WHERE id = $1")
        .bind(pool.0)
        .bind(high)
        .bind(low)
        .execute(connection)
        .await
        .map(drop)
}

/// What a block takes at a height; none if nobody knows.
async fn network_work(
    connection: &mut Connection,
    pool: PoolId,
    height: u32,
) -> sqlx::Result<Work> {
    let network = prices::network_at(connection, pool, height).await?;
    let work = network.and_then(|network| network.work().ok());
    Ok(work.unwrap_or(Work::ZERO))
}

async fn round(connection: &mut Connection, pool: PoolId) -> sqlx::Result<Option<Work>> {
    let (high, low): (Option<i64>, Option<i64>) =
        sql::query("SELECT round_high, round_low FROM pools WHERE id = $1")
            .bind(pool.0)
            .fetch_one(connection)
            .await?;
    let halves = high.zip(low);
    halves
        .map(|(high, low)| rows::work(0, high, low))
        .transpose()
}

async fn of_account(
    connection: &mut Connection,
    pool: PoolId,
    address: &str,
) -> sqlx::Result<Luck> {
    let text = concat!(
        "SELECT ",
        sums_of_luck!(),
        " FROM workers WHERE pool = $1 AND address = $2"
    );
    let row: LuckRow = sql::query(text)
        .bind(pool.0)
        .bind(address)
        .fetch_one(connection)
        .await?;
    luck(row)
}

fn luck((top, middle, low, found): LuckRow) -> sqlx::Result<Luck> {
    Ok(Luck {
        expected: Expected::from_units(rows::work(top, middle, low)?.hashes()),
        found: rows::unsigned(found, "blocks found")?,
    })
}
