//! What alerts have looked at: blocks and payouts by their state, troubles that have begun, and what of an
//! address is compared with later.

use mining::{
    Amount, Work,
    alert::{Kind, progress::Told},
    block::BlockState,
    ledger::Account,
    payout::BatchState,
};
use pow::Hash;

use super::kind;
use crate::{
    Block, Minute, PoolId, ReadError, Store, Sums, WriteError,
    blocks::{self, select_blocks},
    database::Connection,
    figures::sums_of_sums,
    ledger, rows, sql,
};

/// A block whose state is news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockNews {
    /// The block.
    pub block: Block,
    /// The state that was looked at last.
    pub before: Option<BlockState>,
}

/// A block that was looked at in this state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSeen {
    /// Its place in the order of blocks.
    pub seq: u64,
    /// Its state.
    pub state: BlockState,
}

/// A payout whose state is news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutNews {
    /// Its number.
    pub number: u64,
    /// Its state.
    pub state: BatchState,
    /// How far it was told of.
    pub told: Told,
    /// What it pays together.
    pub total: Amount,
    /// To how many accounts.
    pub payments: u64,
    /// Its transaction.
    pub txid: Option<Hash>,
    /// For people.
    pub reason: String,
    /// What it pays to addresses that have subscriptions.
    pub to_subscribers: Vec<(String, Amount)>,
}

/// A payout that was looked at in this state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutSeen {
    /// Its number.
    pub number: u64,
    /// Its state.
    pub state: BatchState,
    /// How far it is told of now.
    pub told: Told,
}

/// A trouble that has begun, or something to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCondition {
    /// What of.
    pub kind: Kind,
    /// Whose; empty for the operator's and the pool's.
    pub address: String,
    /// Which worker or daemon.
    pub subject: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// Whatever is to be known again.
    pub value: String,
}

/// What becomes of a condition. A trouble whose beginning is told is begun by that alert itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionChange {
    /// It is so: with this value and since then.
    Is(KnownCondition),
    /// The value of one that was begun by an alert of the same look.
    Value {
        /// What of.
        kind: Kind,
        /// Whose.
        address: String,
        /// Which.
        subject: String,
        /// What is to be known again.
        value: String,
    },
    /// It is not any more.
    Ends {
        /// What of.
        kind: Kind,
        /// Whose.
        address: String,
        /// Which.
        subject: String,
    },
}

/// The work of an address in a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressWork {
    /// The address.
    pub address: String,
    /// What it did.
    pub sums: Sums,
    /// The first minute or hour in which it did something, as a minute.
    pub first: Minute,
}

/// The addresses of those who want one kind of a pool's alerts: pool, bit.
macro_rules! subscribers {
    ($pool:literal, $bit:literal) => {
        concat!(
            "(SELECT address FROM alert_subscriptions
              WHERE pool = ",
            $pool,
            " AND state = 'active' AND (kinds & ",
            $bit,
            ") <> 0)"
        )
    };
}

impl Store {
    /// Blocks whose state is not the one that alerts looked at last, oldest first, at most so many.
    pub async fn block_news(&self, pool: PoolId, limit: u32) -> Result<Vec<BlockNews>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<blocks::Row> = sql::query(concat!(
            select_blocks!(),
            " AND blocks.alerted <> blocks.state ORDER BY blocks.seq LIMIT $2"
        ))
        .bind(pool.0)
        .bind(limit)
        .fetch_all(&mut reading)
        .await?;
        let mut news = Vec::with_capacity(rows.len());
        for row in rows {
            let block = blocks::block(row)?;
            let before: String =
                sql::query("SELECT alerted FROM blocks WHERE pool = $1 AND hash = $2")
                    .bind(pool.0)
                    .bind(block.found.hash.to_display_bytes().to_vec())
                    .fetch_value(&mut reading)
                    .await?;
            let before = match before.as_str() {
                "" => None,
                name => Some(blocks::state(name)?),
            };
            news.push(BlockNews { block, before });
        }
        Ok(news)
    }

    /// Payouts whose state is not the one that alerts looked at last, likewise.
    pub async fn payout_news(
        &self,
        pool: PoolId,
        limit: u32,
    ) -> Result<Vec<PayoutNews>, ReadError> {
        type Row = (i64, String, i64, i64, Option<Vec<u8>>, String, i64);
        let mut reading = self.database.read().await?;
        let rows: Vec<Row> = sql::query(
            "SELECT number, state, told, total, txid, reason,
                    (SELECT COUNT(*) FROM payments
                     WHERE payments.pool = payouts.pool AND payments.payout = payouts.number)
             FROM payouts WHERE pool = $1 AND alerted <> state ORDER BY number LIMIT $2",
        )
        .bind(pool.0)
        .bind(limit)
        .fetch_all(&mut reading)
        .await?;
        let mut news = Vec::with_capacity(rows.len());
        for (number, state, told, total, txid, reason, payments) in rows {
            let told: u32 = rows::unsigned(told, "payouts.told")?;
            news.push(PayoutNews {
                number: rows::unsigned(number, "payouts.number")?,
                state: crate::payouts::state(&state)?,
                told: Told::of_number(told).ok_or_else(|| rows::corrupt("payouts.told"))?,
                total: rows::amount(total)?,
                payments: rows::unsigned(payments, "the number of payments")?,
                txid: txid.as_deref().map(rows::hash).transpose()?,
                reason,
                to_subscribers: to_subscribers(&mut reading, pool, number).await?,
            });
        }
        Ok(news)
    }

    /// All blocks and payouts are as if they had been looked at: nobody wants the news of long ago.
    pub async fn skip_news(&self, pool: PoolId) -> Result<(), WriteError> {
        let mut writing = self.database.write().await?;
        for text in [
            "UPDATE blocks SET alerted = state WHERE pool = $1 AND alerted <> state",
            "UPDATE payouts SET alerted = state, told = CASE state
                 WHEN 'confirmed' THEN 2 WHEN 'broadcast' THEN 1 ELSE told END
             WHERE pool = $1 AND alerted <> state",
        ] {
            sql::query(text).bind(pool.0).execute(&mut writing).await?;
        }
        writing.commit().await
    }

    /// The troubles of a pool that are not over, and what is compared with.
    pub async fn alert_conditions(&self, pool: PoolId) -> Result<Vec<KnownCondition>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<(String, String, String, i64, String)> = sql::query(
            "SELECT kind, address, subject, since_ms, value FROM alert_conditions WHERE pool = $1",
        )
        .bind(pool.0)
        .fetch_all(&mut reading)
        .await?;
        let condition = |(name, address, subject, since_ms, value): (String, _, _, _, _)| {
            Ok(KnownCondition {
                kind: kind(&name)?,
                address,
                subject,
                since_ms,
                value,
            })
        };
        Ok(rows
            .into_iter()
            .map(condition)
            .collect::<sqlx::Result<_>>()?)
    }

    /// The names of an address's workers that had a share since then, with the time of the last one, as
    /// far as shares are rolled up; at most so many, the newest first.
    pub async fn last_shares(
        &self,
        pool: PoolId,
        address: &str,
        since_ms: i64,
        limit: u32,
    ) -> Result<Vec<(String, i64)>, ReadError> {
        let mut reading = self.database.read().await?;
        Ok(sql::query(
            "SELECT name, last_seen_ms FROM workers
             WHERE pool = $1 AND address = $2 AND last_seen_ms >= $3
             ORDER BY last_seen_ms DESC LIMIT $4",
        )
        .bind(pool.0)
        .bind(address)
        .bind(since_ms)
        .bind(limit)
        .fetch_all(&mut reading)
        .await?)
    }

    /// The smallest hash that each address has found whose owner wants to be told of a record, as far as
    /// shares are rolled up.
    pub async fn best_hashes(&self, pool: PoolId) -> Result<Vec<(String, Hash)>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<(String, Vec<u8>)> = sql::query(concat!(
            "SELECT address, best FROM workers
             WHERE pool = $1 AND best IS NOT NULL AND address IN ",
            subscribers!("$1", "$2"),
            " ORDER BY address, best"
        ))
        .bind(pool.0)
        .bind(i64::from(bit(Kind::RecordShare)))
        .fetch_all(&mut reading)
        .await?;
        let mut best: Vec<(String, Hash)> = Vec::new();
        for (address, hash) in rows {
            if best.last().is_none_or(|(last, _)| *last != address) {
                best.push((address, rows::hash(&hash)?));
            }
        }
        Ok(best)
    }

    /// What each address did from one minute up to another, whose owner wants to be told of a drop.
    pub async fn recent_work(
        &self,
        pool: PoolId,
        from: Minute,
        to: Minute,
    ) -> Result<Vec<AddressWork>, ReadError> {
        let text = concat!(
            "SELECT address, MIN(at), ",
            sums_of_sums!(),
            " FROM (SELECT workers.address, minutes.minute AS at, minutes.shares AS shares,
                           minutes.work_high AS work_high, minutes.work_low AS work_low
                    FROM minutes JOIN workers ON workers.id = minutes.worker
                    WHERE minutes.pool = $1 AND minutes.minute >= $2 AND minutes.minute < $3
                      AND workers.address IN ",
            subscribers!("$1", "$4"),
            ") AS done GROUP BY address"
        );
        self.work(text, pool, from.number(), to.number(), 1).await
    }

    /// The same by whole hours: from the hour that begins with a minute, or the next one, up to the one
    /// that another minute is in.
    pub async fn usual_work(
        &self,
        pool: PoolId,
        from: Minute,
        to: Minute,
    ) -> Result<Vec<AddressWork>, ReadError> {
        let text = concat!(
            "SELECT address, MIN(at), ",
            sums_of_sums!(),
            " FROM (SELECT workers.address, hours.hour AS at, hours.shares AS shares,
                           hours.work_high AS work_high, hours.work_low AS work_low
                    FROM hours JOIN workers ON workers.id = hours.worker
                    WHERE hours.pool = $1 AND hours.hour >= $2 AND hours.hour < $3
                      AND workers.address IN ",
            subscribers!("$1", "$4"),
            ") AS done GROUP BY address"
        );
        let hours = (from.next_hour(), to.hour().next_hour());
        self.work(text, pool, hours.0, hours.1, 60).await
    }

    async fn work(
        &self,
        text: &'static str,
        pool: PoolId,
        from: i64,
        to: i64,
        minutes: i64,
    ) -> Result<Vec<AddressWork>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<(String, i64, i64, i64, i64, i64)> = sql::query(text)
            .bind(pool.0)
            .bind(from)
            .bind(to)
            .bind(i64::from(bit(Kind::HashrateDrop)))
            .fetch_all(&mut reading)
            .await?;
        let row = |(address, first, shares, top, middle, low)| {
            Ok(AddressWork {
                address,
                sums: Sums {
                    shares: rows::unsigned(shares, "shares")?,
                    work: work(top, middle, low)?,
                },
                first: Minute::from_number(first * minutes),
            })
        };
        Ok(rows.into_iter().map(row).collect::<sqlx::Result<_>>()?)
    }
}

fn work(top: i64, middle: i64, low: i64) -> sqlx::Result<Work> {
    rows::work(top, middle, low)
}

fn bit(kind: Kind) -> u32 {
    std::iter::once(kind)
        .collect::<mining::alert::Kinds>()
        .bits()
}

async fn to_subscribers(
    connection: &mut Connection,
    pool: PoolId,
    payout: i64,
) -> sqlx::Result<Vec<(String, Amount)>> {
    let rows: Vec<(String, i64)> = sql::query(
        "SELECT accounts.name, payments.amount
         FROM payments JOIN accounts ON accounts.id = payments.account
         WHERE payments.pool = $1 AND payments.payout = $2 AND accounts.name IN (
             SELECT 'miner:' || address FROM alert_subscriptions
             WHERE pool = $1 AND state = 'active')
         ORDER BY accounts.id",
    )
    .bind(pool.0)
    .bind(payout)
    .fetch_all(connection)
    .await?;
    let mut payments = Vec::with_capacity(rows.len());
    for (name, amount) in rows {
        if let Account::Miner(address) = ledger::account(&name)? {
            payments.push((address, rows::amount(amount)?));
        }
    }
    Ok(payments)
}

pub(super) async fn begin(
    connection: &mut Connection,
    pool: PoolId,
    kind: Kind,
    address: &str,
    subject: &str,
    alert: i64,
    now_ms: i64,
) -> sqlx::Result<()> {
    sql::query(
        "INSERT INTO alert_conditions (pool, kind, address, subject, since_ms, alert, value)
         VALUES ($1, $2, $3, $4, $5, $6, '')
         ON CONFLICT (pool, kind, address, subject) DO UPDATE SET
             since_ms = excluded.since_ms, alert = excluded.alert",
    )
    .bind(pool.0)
    .bind(kind.name())
    .bind(address)
    .bind(subject)
    .bind(now_ms)
    .bind(alert)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn change_condition(
    connection: &mut Connection,
    pool: PoolId,
    change: &ConditionChange,
) -> sqlx::Result<()> {
    let query = match change {
        ConditionChange::Is(known) => sql::query(
            "INSERT INTO alert_conditions (pool, kind, address, subject, since_ms, value)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (pool, kind, address, subject) DO UPDATE SET
                 since_ms = excluded.since_ms, value = excluded.value",
        )
        .bind(pool.0)
        .bind(known.kind.name())
        .bind(&known.address)
        .bind(&known.subject)
        .bind(known.since_ms)
        .bind(&known.value),
        ConditionChange::Value {
            kind,
            address,
            subject,
            value,
        } => sql::query(
            "UPDATE alert_conditions SET value = $5
             WHERE pool = $1 AND kind = $2 AND address = $3 AND subject = $4",
        )
        .bind(pool.0)
        .bind(kind.name())
        .bind(address)
        .bind(subject)
        .bind(value),
        ConditionChange::Ends {
            kind,
            address,
            subject,
        } => sql::query(
            "DELETE FROM alert_conditions
             WHERE pool = $1 AND kind = $2 AND address = $3 AND subject = $4",
        )
        .bind(pool.0)
        .bind(kind.name())
        .bind(address)
        .bind(subject),
    };
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn block_seen(
    connection: &mut Connection,
    pool: PoolId,
    block: &BlockSeen,
) -> sqlx::Result<()> {
    sql::query("UPDATE blocks SET alerted = $3 WHERE pool = $1 AND seq = $2")
        .bind(pool.0)
        .bind(rows::cursor(Some(block.seq)))
        .bind(block.state.name())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn payout_seen(
    connection: &mut Connection,
    pool: PoolId,
    payout: &PayoutSeen,
) -> sqlx::Result<()> {
    sql::query("UPDATE payouts SET alerted = $3, told = $4 WHERE pool = $1 AND number = $2")
        .bind(pool.0)
        .bind(rows::cursor(Some(payout.number)))
        .bind(payout.state.name())
        .bind(payout.told.number())
        .execute(connection)
        .await?;
    Ok(())
}
