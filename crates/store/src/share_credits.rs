//! Shares that are paid for as they come: their work waits in buckets of one height each
//! ([`Store::unpaid_shares`]), and what it is worth is credited once ([`Store::credit_shares`]).
//! Called by `accounting`.
//!
//! Whole units are entered in the books; what is less than one is kept for each account until it is
//! more.

use std::collections::BTreeMap;

use mining::{
    Amount, Scheme, Work,
    accounting::{Owed, Position},
    ledger::{Account, ShareEntries},
};

use crate::{
    EntryError, PoolId, ReadError, Store, WorkerId, WriteError, buckets::unpack,
    database::Connection, ledger, rows, sql,
};

/// The most buckets that are credited in one transaction: with ten thousand workers in each, 15 MB.
const MOST_BUCKETS: u32 = 64;

/// Work that is not paid for yet, all of one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpaidShares {
    /// How it is paid.
    pub scheme: Scheme,
    /// The height that it was done at.
    pub height: u32,
    /// Who did how much.
    pub work: BTreeMap<WorkerId, Work>,
    /// Its buckets, of which there is at least one.
    buckets: Vec<Position>,
}

/// What became of an attempt to credit shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareCredit {
    /// They are credited, with so much in whole units.
    Done(Amount),
    /// They were credited before.
    Before,
    /// The reserve has too little for it. Nothing was changed.
    Short {
        /// What it has.
        reserve: i64,
        /// What they are worth, in whole units.
        wanted: Amount,
    },
}

impl Store {
    /// The oldest work of a scheme that is not paid for, and all that is of the same height, up to a
    /// limit; nothing if all is paid. Only what is rolled up is seen.
    pub async fn unpaid_shares(
        &self,
        pool: PoolId,
        scheme: Scheme,
    ) -> Result<Option<UnpaidShares>, ReadError> {
        let mut reading = self.database.read().await?;
        let oldest: Option<i64> = sql::query(
            "SELECT height FROM buckets WHERE pool = $1 AND scheme = $2 AND height IS NOT NULL
             ORDER BY last_seq, last_place LIMIT 1",
        )
        .bind(pool.0)
        .bind(scheme.name())
        .fetch_optional_value(&mut reading)
        .await?;
        let Some(height) = oldest else {
            return Ok(None);
        };
        let found: Vec<(i64, i64, Vec<u8>)> = sql::query(
            "SELECT last_seq, last_place, workers FROM buckets
             WHERE pool = $1 AND scheme = $2 AND height = $3
             ORDER BY last_seq, last_place LIMIT $4",
        )
        .bind(pool.0)
        .bind(scheme.name())
        .bind(height)
        .bind(MOST_BUCKETS)
        .fetch_all(&mut reading)
        .await?;
        let mut unpaid = UnpaidShares {
            scheme,
            height: rows::unsigned(height, "buckets.height")?,
            work: BTreeMap::new(),
            buckets: Vec::with_capacity(found.len()),
        };
        for (seq, place, bytes) in found {
            unpaid.buckets.push(Position { seq, place });
            for (worker, work) in unpack(&bytes)? {
                let sum = unpaid.work.entry(WorkerId(worker)).or_default();
                *sum = sum
                    .checked_add(work)
                    .ok_or_else(|| rows::corrupt("a sum of work"))?;
            }
        }
        Ok(Some(unpaid))
    }

    /// Credits what shares are worth, from the reserve, together with what these accounts were owed
    /// below a unit; and that is all that happens to these shares, whoever tries it how often.
    ///
    /// The reserve keeps at least `least`, below zero if it may owe; else nothing is changed. Each
    /// account is in `worth` once.
    pub async fn credit_shares(
        &self,
        pool: PoolId,
        coin: &str,
        unpaid: &UnpaidShares,
        worth: &[(Account, Owed)],
        least: i64,
        now_ms: i64,
    ) -> Result<ShareCredit, EntryError> {
        let mut writing = self.database.write().await?;
        let scheme = unpaid.scheme.name();
        let there = count(&mut writing, pool, scheme, &unpaid.buckets)
            .await
            .map_err(WriteError::from)?;
        if there != unpaid.buckets.len() {
            writing.commit().await?;
            return Ok(ShareCredit::Before);
        }
        let accounts = worth.iter().map(|(account, _)| account);
        let ids = ledger::accounts(&mut writing, pool, accounts)
            .await
            .map_err(WriteError::from)?;
        let mut fractions = fractions(&mut writing, &ids.values().copied().collect::<Vec<_>>())
            .await
            .map_err(WriteError::from)?;
        let mut parts: Vec<(&Account, Amount)> = Vec::with_capacity(worth.len());
        let mut left: Vec<(i64, u64)> = Vec::with_capacity(worth.len());
        let mut wanted = Amount::ZERO;
        for (account, owed) in worth {
            let id = ids[account];
            let before = Owed::new(Amount::ZERO, fractions.remove(&id).unwrap_or_default());
            let too_much = || WriteError::from(rows::corrupt("what is owed"));
            let mut owed = before.plus(*owed).map_err(|_| too_much())?;
            let whole = owed.take();
            wanted = wanted.checked_add(whole).ok_or_else(too_much)?;
            parts.push((account, whole));
            left.push((id, owed.fraction()));
        }
        let reserve = ledger::posted(&mut writing, pool, &Account::Reserve)
            .await
            .map_err(WriteError::from)?;
        let units = i64::try_from(wanted.units()).map_err(|_| EntryError::Amount(wanted))?;
        let keeps = reserve.checked_sub(units).is_some_and(|rest| rest >= least);
        if units > 0 && !keeps {
            writing.commit().await?;
            return Ok(ShareCredit::Short { reserve, wanted });
        }
        let entry = ShareEntries {
            coin,
            scheme: unpaid.scheme,
            height: unpaid.height,
            last: unpaid.last().map_err(WriteError::from)?,
        };
        if units > 0 && !ledger::enter(&mut writing, pool, &entry.credit(parts), now_ms).await? {
            return Err(WriteError::from(rows::corrupt("the buckets of credited shares")).into());
        }
        keep_fractions(&mut writing, &left)
            .await
            .map_err(WriteError::from)?;
        for bucket in &unpaid.buckets {
            crate::buckets::remove(&mut writing, pool, scheme, *bucket)
                .await
                .map_err(WriteError::from)?;
        }
        writing.commit().await?;
        Ok(ShareCredit::Done(wanted))
    }

    /// What an account is owed below one unit.
    pub async fn owed(&self, pool: PoolId, account: &Account) -> Result<Owed, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Option<(i64, i64)> = sql::query(
            "SELECT owed.high, owed.low FROM owed JOIN accounts ON accounts.id = owed.account
             WHERE accounts.pool = $1 AND accounts.name = $2",
        )
        .bind(pool.0)
        .bind(account.to_string())
        .fetch_optional(&mut reading)
        .await?;
        let fraction = found.map(|(high, low)| fraction(high, low)).transpose()?;
        Ok(Owed::new(Amount::ZERO, fraction.unwrap_or_default()))
    }
}

impl UnpaidShares {
    /// The place of the last share.
    fn last(&self) -> sqlx::Result<(u64, u64)> {
        let last = self.buckets.last();
        let last = last.ok_or_else(|| rows::corrupt("the buckets of unpaid shares"))?;
        Ok((
            rows::unsigned(last.seq, "buckets.last_seq")?,
            rows::unsigned(last.place, "buckets.last_place")?,
        ))
    }
}

/// How many of these buckets there are.
async fn count(
    connection: &mut Connection,
    pool: PoolId,
    scheme: &str,
    buckets: &[Position],
) -> sqlx::Result<usize> {
    let mut count = 0;
    for chunk in rows::chunks(buckets) {
        let text = format!(
            "SELECT COUNT(*) FROM buckets WHERE pool = $1 AND scheme = $2
             AND (last_seq, last_place) IN (VALUES {})",
            sql::placeholders(connection.kind(), 3, chunk.len(), 2)
        );
        let mut query = sql::built(text).once().bind(pool.0).bind(scheme);
        for bucket in chunk {
            query = query.bind(bucket.seq).bind(bucket.place);
        }
        let found: i64 = query.fetch_value(connection).await?;
        count += rows::unsigned::<usize>(found, "the number of buckets")?;
    }
    Ok(count)
}

/// What accounts are owed below a unit, by their ids; those that were never owed anything are not
/// there.
async fn fractions(connection: &mut Connection, ids: &[i64]) -> sqlx::Result<BTreeMap<i64, u64>> {
    let mut fractions = BTreeMap::new();
    for chunk in rows::chunks(ids) {
        let text = format!(
            "SELECT account, high, low FROM owed WHERE account IN (VALUES {})",
            sql::placeholders(connection.kind(), 1, chunk.len(), 1)
        );
        let mut query = sql::built(text);
        for id in chunk {
            query = query.bind(id);
        }
        let found: Vec<(i64, i64, i64)> = query.fetch_all(connection).await?;
        for (account, high, low) in found {
            fractions.insert(account, fraction(high, low)?);
        }
    }
    Ok(fractions)
}

async fn keep_fractions(connection: &mut Connection, left: &[(i64, u64)]) -> sqlx::Result<()> {
    for chunk in rows::chunks(left) {
        let text = format!(
            "INSERT INTO owed (account, high, low) VALUES {}
             ON CONFLICT (account) DO UPDATE SET high = excluded.high, low = excluded.low",
            sql::placeholders(connection.kind(), 1, chunk.len(), 3)
        );
        let mut query = sql::built(text);
        for (account, fraction) in chunk {
            let (high, low) = rows::halves(Work::from_hashes((*fraction).into()))?;
            query = query.bind(account).bind(high).bind(low);
        }
        query.execute(connection).await?;
    }
    Ok(())
}

fn fraction(high: i64, low: i64) -> sqlx::Result<u64> {
    let whole = rows::work(0, high, low)?.hashes();
    u64::try_from(whole).map_err(|_| rows::corrupt("a fraction of a unit"))
}
