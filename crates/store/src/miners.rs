//! What there is of one miner, whatever its workers are called: its work, its balance, and how each
//! credit came about. Called by the API.

use std::collections::HashSet;

use mining::{Amount, Scheme, ledger::Account};
use pow::Hash;

use crate::{
    BlockFee, MinerCredit, Minute, PoolId, ReadError, Store, Sums,
    database::Connection,
    figures::{since_of_miner, sums_of_sums},
    packed::Packed,
    rows, sql,
};

/// A miner with what it has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Miner {
    /// How many workers it ever had.
    pub workers: u64,
    /// When its first share came, in milliseconds since 1970.
    pub first_share_ms: Option<i64>,
    /// When its last share came, likewise.
    pub last_share_ms: Option<i64>,
    /// All it ever did.
    pub total: Sums,
    /// What it did since each of the minutes that were asked for.
    pub windows: Vec<Sums>,
}

/// The money of a miner. `available`, `pending`, `in_flight` and `paid` add up to what was ever
/// posted to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinerBalance {
    /// Credits of blocks that are not mature.
    pub immature: Amount,
    /// Posted and not claimed.
    pub available: Amount,
    /// Claimed for a payout that is not signed yet.
    pub pending: Amount,
    /// In a signed transaction that is not deep enough in the chain.
    pub in_flight: Amount,
    /// Paid by confirmed payouts, and by coinbases of mature blocks.
    pub paid: Amount,
}

/// How a credit came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditDetail {
    /// The credit.
    pub credit: MinerCredit,
    /// How the block is paid.
    pub scheme: Scheme,
    /// Blocks that confirm it, as last seen.
    pub confirmations: u32,
    /// What the window would hold if it were full.
    pub length: mining::Work,
    /// The fees, in the order of the configuration.
    pub fees: Vec<BlockFee>,
    /// How many miners the block paid.
    pub miners: u64,
    /// How often the credits of the block were entered in the books; zero if not yet.
    pub entered: u32,
}

impl MinerBalance {
    /// What was ever posted to the miner.
    pub fn earned(&self) -> Option<Amount> {
        Amount::checked_sum([self.available, self.pending, self.in_flight, self.paid])
    }
}

impl Store {
    /// Whether an address has ever mined in a pool, or has an account there.
    pub async fn knows(&self, pool: PoolId, address: &str) -> Result<bool, ReadError> {
        let mut reading = self.database.read().await?;
        let found: i64 = sql::query(
            "SELECT (SELECT COUNT(*) FROM (
                         SELECT 1 FROM workers WHERE pool = $1 AND address = $2 LIMIT 1) AS w)
                  + (SELECT COUNT(*) FROM accounts WHERE pool = $1 AND name = $3)",
        )
        .bind(pool.0)
        .bind(address)
        .bind(Account::Miner(address.to_owned()).to_string())
        .fetch_value(&mut reading)
        .await?;
        Ok(found > 0)
    }

    /// What an address has done, ever and since each of `windows`.
    pub async fn miner(
        &self,
        pool: PoolId,
        address: &str,
        windows: &[Minute],
    ) -> Result<Miner, ReadError> {
        let mut reading = self.database.read().await?;
        let mut miner = totals(&mut reading, pool, address).await?;
        for since in windows {
            let row = sql::query(concat!("SELECT ", sums_of_sums!(), since_of_miner!()))
                .bind(pool.0)
                .bind(since.number())
                .bind(since.next_hour())
                .bind(address)
                .fetch_one(&mut reading)
                .await?;
            miner.windows.push(Sums::of(row)?);
        }
        let late = self.tails.read(&mut reading, pool).await?;
        let own = own_workers(&mut reading, pool, address, &late).await?;
        for Packed { share, worker } in late {
            if !own.contains(&worker) {
                continue;
            }
            let time_ms = share.time_ms();
            miner.last_share_ms = miner.last_share_ms.max(Some(time_ms));
            miner.total.add_share(&share)?;
            for (since, window) in windows.iter().zip(&mut miner.windows) {
                if share.minute() >= *since {
                    window.add_share(&share)?;
                }
            }
        }
        Ok(miner)
    }

    /// The money of an account, all of one commit; nothing at all if it has never had any.
    pub async fn miner_balance(
        &self,
        pool: PoolId,
        account: &Account,
    ) -> Result<MinerBalance, ReadError> {
        let mut reading = self.database.read().await?;
        let row: Option<(i64, i64, i64)> =
            sql::query("SELECT id, posted, pending FROM accounts WHERE pool = $1 AND name = $2")
                .bind(pool.0)
                .bind(account.to_string())
                .fetch_optional(&mut reading)
                .await?;
        let Some((id, posted, immature)) = row else {
            return Ok(MinerBalance::default());
        };
        let by_state: (i64, i64, i64) = sql::query(
            "SELECT CAST(COALESCE(SUM(CASE WHEN payouts.state = 'reserved'
                        THEN payments.amount ELSE 0 END), 0) AS BIGINT),
                    CAST(COALESCE(SUM(CASE WHEN payouts.state IN ('signed', 'broadcast', 'manual')
                        THEN payments.amount ELSE 0 END), 0) AS BIGINT),
                    CAST(COALESCE(SUM(CASE WHEN payouts.state = 'confirmed'
                        THEN payments.amount ELSE 0 END), 0) AS BIGINT)
             FROM payments JOIN payouts
                 ON payouts.pool = payments.pool AND payouts.number = payments.payout
             WHERE payments.account = $1",
        )
        .bind(id)
        .fetch_one(&mut reading)
        .await?;
        // What a coinbase paid goes to `paid` without a batch between.
        let by_coinbase: i64 = sql::query(
            "SELECT CAST(COALESCE(SUM(transfers.amount), 0) AS BIGINT)
             FROM transfers JOIN entries ON entries.seq = transfers.entry
             WHERE transfers.debit = $1 AND entries.state = 'posted' AND transfers.credit =
                 (SELECT accounts.id FROM accounts WHERE accounts.pool = $2 AND accounts.name = $3)",
        )
        .bind(id)
        .bind(pool.0)
        .bind(Account::Paid.to_string())
        .fetch_value(&mut reading)
        .await?;
        let (pending, in_flight, paid) = by_state;
        let paid = rows::amount(paid)?.checked_add(rows::amount(by_coinbase)?);
        Ok(MinerBalance {
            immature: rows::amount(immature)?,
            available: rows::amount(posted)?,
            pending: rows::amount(pending)?,
            in_flight: rows::amount(in_flight)?,
            paid: paid.ok_or_else(|| rows::corrupt("a sum of payments"))?,
        })
    }

    /// How the credit of an account from a block came about; nothing if there is none.
    pub async fn credit_detail(
        &self,
        pool: PoolId,
        account: &Account,
        block: Hash,
    ) -> Result<Option<CreditDetail>, ReadError> {
        type Row = (i64, String, i64, i64, Option<i64>, Option<i64>, i64);
        let mut reading = self.database.read().await?;
        let row: Option<Row> = sql::query(
            "SELECT blocks.seq, blocks.scheme, blocks.confirmations, blocks.credited,
                    blocks.length_high, blocks.length_low,
                    (SELECT COUNT(*) FROM credits WHERE credits.block = blocks.seq)
             FROM blocks WHERE blocks.pool = $1 AND blocks.hash = $2",
        )
        .bind(pool.0)
        .bind(block.to_display_bytes().to_vec())
        .fetch_optional(&mut reading)
        .await?;
        let Some((seq, scheme, confirmations, credited, Some(high), Some(low), miners)) = row
        else {
            return Ok(None);
        };
        drop(reading);
        let seq: u64 = rows::unsigned(seq, "blocks.seq")?;
        // What was credited never changes, so that it may be of another commit.
        let list = self.credits_of(pool, account, Some(seq + 1), 1).await?;
        let Some(credit) = list.into_iter().find(|credit| credit.seq == seq) else {
            return Ok(None);
        };
        let credits = self.block_fees(pool, block).await?;
        Ok(Some(CreditDetail {
            credit,
            scheme: Scheme::of_name(&scheme).ok_or_else(|| rows::corrupt("blocks.scheme"))?,
            confirmations: rows::unsigned(confirmations, "blocks.confirmations")?,
            length: rows::work(0, high, low)?,
            fees: credits,
            miners: rows::unsigned(miners, "the number of credits")?,
            entered: rows::unsigned(credited, "blocks.credited")?,
        }))
    }

    async fn block_fees(&self, pool: PoolId, block: Hash) -> Result<Vec<BlockFee>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<(String, i64, i64)> = sql::query(
            "SELECT fees.name, fees.hundredths, fees.amount
             FROM fees JOIN blocks ON blocks.seq = fees.block
             WHERE blocks.pool = $1 AND blocks.hash = $2 ORDER BY fees.place",
        )
        .bind(pool.0)
        .bind(block.to_display_bytes().to_vec())
        .fetch_all(&mut reading)
        .await?;
        let fee = |(name, hundredths, amount): (String, i64, i64)| {
            let percent = mining::accounting::Percent::from_hundredths(rows::unsigned(
                hundredths,
                "fees.hundredths",
            )?);
            Ok(BlockFee {
                name,
                percent: percent.ok_or_else(|| rows::corrupt("fees.hundredths"))?,
                amount: rows::amount(amount)?,
            })
        };
        Ok(rows.into_iter().map(fee).collect::<sqlx::Result<_>>()?)
    }
}

async fn totals(connection: &mut Connection, pool: PoolId, address: &str) -> sqlx::Result<Miner> {
    type Row = (i64, Option<i64>, Option<i64>, i64, i64, i64, i64);
    let row: Row = sql::query(concat!(
        "SELECT COUNT(*), MIN(first_seen_ms), MAX(last_seen_ms), ",
        sums_of_sums!(),
        " FROM workers WHERE pool = $1 AND address = $2"
    ))
    .bind(pool.0)
    .bind(address)
    .fetch_one(connection)
    .await?;
    let (workers, first_share_ms, last_share_ms, shares, top, middle, low) = row;
    Ok(Miner {
        workers: rows::unsigned(workers, "the number of workers")?,
        first_share_ms,
        last_share_ms,
        total: Sums::of((shares, top, middle, low))?,
        windows: Vec::new(),
    })
}

/// Which of the workers of these shares are the address's own.
pub(crate) async fn own_workers(
    connection: &mut Connection,
    pool: PoolId,
    address: &str,
    shares: &[Packed],
) -> sqlx::Result<HashSet<i64>> {
    let mut ids: Vec<i64> = shares.iter().map(|packed| packed.worker).collect();
    ids.sort_unstable();
    ids.dedup();
    // An address usually has fewer workers than found a share.
    let limit = i64::try_from(ids.len()).map_err(|_| rows::corrupt("the number of workers"))?;
    let all: Vec<(i64,)> =
        sql::query("SELECT id FROM workers WHERE pool = $1 AND address = $2 LIMIT $3")
            .bind(pool.0)
            .bind(address)
            .bind(limit)
            .fetch_all(connection)
            .await?;
    if all.len() < ids.len() {
        let own = all.into_iter().map(|(id,)| id);
        return Ok(own.filter(|id| ids.binary_search(id).is_ok()).collect());
    }
    let mut own = HashSet::new();
    for chunk in rows::chunks(&ids) {
        let text = format!(
            "SELECT id FROM workers WHERE pool = $1 AND address = $2 AND id IN (VALUES {})",
            sql::placeholders(connection.kind(), 3, chunk.len(), 1)
        );
        let mut query = sql::built(text).bind(pool.0).bind(address);
        for id in chunk {
            query = query.bind(id);
        }
        let found: Vec<(i64,)> = query.fetch_all(connection).await?;
        own.extend(found.into_iter().map(|(id,)| id));
    }
    Ok(own)
}
