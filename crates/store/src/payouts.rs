//! Payouts, from their claim to their end. Called by `payout`.
//!
//! Every change of a payout is one transaction with its entry in the books, allowed from the state
//! it was in alone, and only to the holder of the lease: a process that was asleep while another one
//! took over changes nothing. What an operator decides is in `by_hand`.

mod by_hand;
mod list;

use mining::{
    Amount,
    ledger::{Account, BatchEntries},
    payout::{BatchState, Owner, Schedule},
};
use pow::Hash;

use crate::{
    EntryError, Lease, PoolId, ReadError, Store, WriteError,
    database::{Connection, Writing},
    ledger,
    payers::{cut, holds},
    rows, sql,
};

pub use list::Paid;

/// A payment of a payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRow {
    /// From whose balance.
    pub account: Account,
    /// To where.
    pub address: String,
    /// How much.
    pub amount: Amount,
}

/// A transaction that was signed and is not sent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its id.
    pub txid: Hash,
    /// Its bytes.
    pub raw: Vec<u8>,
    /// What the chain gets for it.
    pub network_fee: Amount,
}

/// A payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    /// Its number, which is also the cursor of the list.
    pub number: u64,
    /// How far it has come.
    pub state: BatchState,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// When its state last changed, likewise.
    pub changed_ms: i64,
    /// What it pays together.
    pub total: Amount,
    /// Its transaction, once it is signed.
    pub signed: Option<Signed>,
    /// The transaction that somebody else is to sign: a PSBT (BIP 174).
    pub draft: Option<Vec<u8>>,
    /// Blocks that confirm it, as last seen.
    pub confirmations: u32,
    /// For people.
    pub reason: String,
}

/// A payment as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPayment {
    /// The payout it is part of, which is also the cursor of the list.
    pub payout: u64,
    /// How far that has come.
    pub state: BatchState,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// Its transaction.
    pub txid: Option<Hash>,
    /// To where.
    pub address: String,
    /// How much.
    pub amount: Amount,
}

/// Why a payout was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayoutError {
    /// Another process pays.
    #[error("another process pays")]
    NotTheHolder,
    /// Payments are paused.
    #[error("payments are paused: {0}")]
    Paused(String),
    /// There is no such payout.
    #[error("there is no payout {0}")]
    Unknown(u64),
    /// It does not go from the one state to the other.
    #[error("a payout that is {from} does not become {to}")]
    Illegal {
        /// The state it is in.
        from: BatchState,
        /// The state asked for.
        to: BatchState,
    },
    /// It is in a state in which no operator decides.
    #[error("a payout that is {0} is not decided by hand")]
    NotByHand(BatchState),
    /// The process that pays may yet be at it.
    #[error("it was held only now: the process that pays may yet be at it; ask again in a minute")]
    TooSoon,
    /// The books refuse it.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

impl From<WriteError> for PayoutError {
    fn from(error: WriteError) -> Self {
        Self::Entry(error.into())
    }
}

impl From<sqlx::Error> for PayoutError {
    fn from(error: sqlx::Error) -> Self {
        Self::Entry(WriteError::from(error).into())
    }
}

impl Store {
    /// Everyone whose balance can be paid, by account, with what they want.
    pub async fn owners(&self, pool: PoolId) -> Result<Vec<Owner<Account>>, ReadError> {
        type Row = (
            String,
            i64,
            Option<i64>,
            Option<String>,
            Option<i64>,
            Option<i64>,
            Option<i64>,
            Option<String>,
            Option<i64>,
        );
        let mut reading = self.database.read().await?;
        let rows: Vec<Row> = sql::query(
            "SELECT accounts.name, accounts.posted, payout_settings.threshold,
                    payout_settings.schedule, payout_settings.paused, payout_settings.requested,
                    (SELECT MAX(payouts.made_ms) FROM payments JOIN payouts
                         ON payouts.pool = payments.pool AND payouts.number = payments.payout
                     WHERE payments.account = accounts.id AND payouts.state <> 'released'),
                    payout_settings.pay_to, payout_settings.pay_to_since_ms
             FROM accounts LEFT JOIN payout_settings ON payout_settings.account = accounts.id
             WHERE accounts.pool = $1 AND accounts.posted > 0 AND accounts.may_owe = 0
             ORDER BY accounts.name",
        )
        .bind(pool.0)
        .fetch_all(&mut reading)
        .await?;
        let mut owners = Vec::with_capacity(rows.len());
        for row in rows {
            let (name, posted, threshold, schedule, paused, requested, last_paid_ms, ..) = row;
            let (.., pay_to, pay_to_since_ms) = row;
            let account = ledger::account(&name)?;
            if !account.is_payable() {
                continue;
            }
            owners.push(Owner {
                account,
                available: rows::amount(posted)?,
                threshold: threshold.map(rows::amount).transpose()?,
                schedule: schedule
                    .as_deref()
                    .and_then(Schedule::of_name)
                    .unwrap_or_default(),
                paused: paused == Some(1),
                requested: requested == Some(1),
                last_paid_ms,
                pay_to,
                pay_to_since_ms,
            });
        }
        Ok(owners)
    }

    /// Claims balances for a new payout and gives its number.
    pub async fn reserve_payout(
        &self,
        lease: &Lease,
        coin: &str,
        payments: &[PaymentRow],
        now_ms: i64,
    ) -> Result<u64, PayoutError> {
        let mut writing = self.database.write().await?;
        holds(&mut writing, lease).await?;
        let paused: String = sql::query("SELECT paused FROM payers WHERE pool = $1")
            .bind(lease.pool.0)
            .fetch_value(&mut writing)
            .await?;
        if !paused.is_empty() {
            return Err(PayoutError::Paused(paused));
        }
        let number = rows::take_ids(&mut writing, "batch", 1).await?;
        let batch = rows::unsigned(number, "counters.next")?;
        let total = Amount::checked_sum(payments.iter().map(|payment| payment.amount))
            .ok_or(EntryError::Amount(Amount::from_units(u64::MAX)))?;
        sql::query(
            "INSERT INTO payouts (pool, number, state, made_ms, changed_ms, total)
             VALUES ($1, $2, 'reserved', $3, $3, $4)",
        )
        .bind(lease.pool.0)
        .bind(number)
        .bind(now_ms)
        .bind(units(total)?)
        .execute(&mut writing)
        .await?;
        let claimed = payments
            .iter()
            .map(|payment| (&payment.account, payment.amount));
        let claim = BatchEntries { coin, batch }.claim(claimed);
        ledger::enter(&mut writing, lease.pool, &claim, now_ms).await?;
        write_payments(&mut writing, lease.pool, number, payments).await?;
        use_requests(&mut writing, lease.pool, number).await?;
        writing.commit().await?;
        Ok(batch)
    }

    /// Keeps the signed transaction of a payout that is reserved. From here on this is what is sent.
    pub async fn sign_payout(
        &self,
        lease: &Lease,
        number: u64,
        signed: &Signed,
        now_ms: i64,
    ) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        holds(&mut writing, lease).await?;
        keep_signed(&mut writing, lease.pool, number, signed, now_ms).await?;
        Ok(writing.commit().await?)
    }

    /// Keeps the transaction of a payout that is reserved for somebody else to sign: a PSBT, which
    /// gives the chain `network_fee`. Nobody must see it before that.
    pub async fn draft_payout(
        &self,
        lease: &Lease,
        number: u64,
        draft: &[u8],
        network_fee: Amount,
    ) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        holds(&mut writing, lease).await?;
        let found = state_of(&mut writing, lease.pool, number).await?;
        if found.state != BatchState::Reserved || found.has_draft {
            return Err(PayoutError::NotByHand(found.state));
        }
        sql::query(
            "UPDATE payouts SET draft = $3, network_fee = $4 WHERE pool = $1 AND number = $2",
        )
        .bind(lease.pool.0)
        .bind(signed_number(number)?)
        .bind(draft.to_vec())
        .bind(units(network_fee)?)
        .execute(&mut writing)
        .await?;
        Ok(writing.commit().await?)
    }

    /// Notes a state that moves no money: `signed`, `broadcast` or `manual`.
    pub async fn move_payout(
        &self,
        lease: &Lease,
        number: u64,
        to: BatchState,
        reason: &str,
        now_ms: i64,
    ) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        holds(&mut writing, lease).await?;
        step(&mut writing, lease.pool, number, to, reason, now_ms).await?;
        Ok(writing.commit().await?)
    }

    /// Notes how deep the transaction of a payout is, which changes nothing else.
    pub async fn note_confirmations(
        &self,
        lease: &Lease,
        number: u64,
        confirmations: u32,
    ) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        holds(&mut writing, lease).await?;
        sql::query("UPDATE payouts SET confirmations = $3 WHERE pool = $1 AND number = $2")
            .bind(lease.pool.0)
            .bind(signed_number(number)?)
            .bind(confirmations)
            .execute(&mut writing)
            .await?;
        Ok(writing.commit().await?)
    }

    /// The transaction of a payout is deep enough: what was claimed is paid.
    pub async fn confirm_payout(
        &self,
        lease: &Lease,
        coin: &str,
        number: u64,
        now_ms: i64,
    ) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        let batch = BatchEntries {
            coin,
            batch: number,
        };
        holds(&mut writing, lease).await?;
        let to = BatchState::Confirmed;
        let number = step(&mut writing, lease.pool, number, to, "", now_ms).await?;
        let (total, fee): (i64, Option<i64>) =
            sql::query("SELECT total, network_fee FROM payouts WHERE pool = $1 AND number = $2")
                .bind(lease.pool.0)
                .bind(number)
                .fetch_one(&mut writing)
                .await?;
        let entry = batch.confirm(rows::amount(total)?, rows::amount(fee.unwrap_or_default())?);
        ledger::enter(&mut writing, lease.pool, &entry, now_ms).await?;
        Ok(writing.commit().await?)
    }

    /// The transaction of a payout can never confirm, or there is none: the balances are where they
    /// were.
    pub async fn release_payout(
        &self,
        lease: &Lease,
        coin: &str,
        number: u64,
        reason: &str,
        now_ms: i64,
    ) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        holds(&mut writing, lease).await?;
        release(&mut writing, lease.pool, coin, number, reason, now_ms).await?;
        Ok(writing.commit().await?)
    }
}

pub(crate) fn state(name: &str) -> sqlx::Result<BatchState> {
    let found = BatchState::ALL
        .into_iter()
        .find(|state| state.name() == name);
    found.ok_or_else(|| rows::corrupt("payouts.state"))
}

/// What a change of a payout begins with.
struct StateOf {
    state: BatchState,
    changed_ms: i64,
    has_draft: bool,
}

async fn state_of(
    connection: &mut Connection,
    pool: PoolId,
    number: u64,
) -> Result<StateOf, PayoutError> {
    let found: Option<(String, i64, i64)> = sql::query(
        "SELECT state, changed_ms, CAST(CASE WHEN draft IS NULL THEN 0 ELSE 1 END AS BIGINT)
         FROM payouts
         WHERE pool = $1 AND number = $2",
    )
    .bind(pool.0)
    .bind(signed_number(number)?)
    .fetch_optional(connection)
    .await?;
    let (name, changed_ms, has_draft) = found.ok_or(PayoutError::Unknown(number))?;
    Ok(StateOf {
        state: state(&name)?,
        changed_ms,
        has_draft: has_draft == 1,
    })
}

/// Takes a payout to a state, if it can go there, and notes when and why. Gives its number as a row.
async fn step(
    writing: &mut Writing<'_>,
    pool: PoolId,
    number: u64,
    to: BatchState,
    reason: &str,
    now_ms: i64,
) -> Result<i64, PayoutError> {
    let row = signed_number(number)?;
    let from = state_of(writing, pool, number).await?.state;
    if !from.becomes(to) {
        return Err(PayoutError::Illegal { from, to });
    }
    sql::query(
        "UPDATE payouts SET state = $3, changed_ms = $4, reason = $5
         WHERE pool = $1 AND number = $2",
    )
    .bind(pool.0)
    .bind(row)
    .bind(to.name())
    .bind(now_ms)
    .bind(cut(reason))
    .execute(writing)
    .await?;
    Ok(row)
}

/// Writes the signed transaction of a payout, and that it is signed.
async fn keep_signed(
    writing: &mut Writing<'_>,
    pool: PoolId,
    number: u64,
    signed: &Signed,
    now_ms: i64,
) -> Result<(), PayoutError> {
    // First what makes the state possible; if it is not allowed, neither was written.
    sql::query(
        "UPDATE payouts SET network_fee = $3, txid = $4, raw = $5
         WHERE pool = $1 AND number = $2",
    )
    .bind(pool.0)
    .bind(signed_number(number)?)
    .bind(units(signed.network_fee)?)
    .bind(signed.txid.to_display_bytes().to_vec())
    .bind(signed.raw.clone())
    .execute(writing)
    .await?;
    step(writing, pool, number, BatchState::Signed, "", now_ms).await?;
    Ok(())
}

/// Gives the balances of a payout back.
async fn release(
    writing: &mut Writing<'_>,
    pool: PoolId,
    coin: &str,
    number: u64,
    reason: &str,
    now_ms: i64,
) -> Result<(), PayoutError> {
    let batch = BatchEntries {
        coin,
        batch: number,
    };
    let to = BatchState::Released;
    let number = step(writing, pool, number, to, reason, now_ms).await?;
    let payments = payments(writing, pool, number).await?;
    let back = payments
        .iter()
        .map(|payment| (&payment.account, payment.amount));
    let entry = batch.release(back, reason);
    ledger::enter(writing, pool, &entry, now_ms).await?;
    sql::query(
        "UPDATE payout_settings SET requested = 1 WHERE account IN (
             SELECT account FROM payments WHERE pool = $1 AND payout = $2 AND requested = 1)",
    )
    .bind(pool.0)
    .bind(number)
    .execute(writing)
    .await?;
    Ok(())
}

/// What owners of a new payout have asked for is done with it, unless it is released.
async fn use_requests(
    writing: &mut Writing<'_>,
    pool: PoolId,
    number: i64,
) -> Result<(), PayoutError> {
    for text in [
        "UPDATE payments SET requested = 1 WHERE pool = $1 AND payout = $2 AND account IN (
             SELECT account FROM payout_settings WHERE requested = 1)",
        "UPDATE payout_settings SET requested = 0 WHERE account IN (
             SELECT account FROM payments WHERE pool = $1 AND payout = $2 AND requested = 1)",
    ] {
        sql::query(text)
            .bind(pool.0)
            .bind(number)
            .execute(writing)
            .await?;
    }
    Ok(())
}

async fn write_payments(
    connection: &mut Connection,
    pool: PoolId,
    number: i64,
    payments: &[PaymentRow],
) -> Result<(), PayoutError> {
    let accounts = payments.iter().map(|payment| &payment.account);
    let ids = ledger::accounts(connection, pool, accounts).await?;
    for chunk in rows::chunks(payments) {
        let text = format!(
            "INSERT INTO payments (pool, payout, account, address, amount) VALUES {}",
            sql::placeholders(connection.kind(), 1, chunk.len(), 5)
        );
        let mut query = sql::built(text);
        for payment in chunk {
            query = query.bind(pool.0).bind(number).bind(ids[&payment.account]);
            query = query.bind(&payment.address).bind(units(payment.amount)?);
        }
        query.execute(connection).await?;
    }
    Ok(())
}

async fn payments(
    connection: &mut Connection,
    pool: PoolId,
    number: i64,
) -> sqlx::Result<Vec<PaymentRow>> {
    let rows: Vec<(String, String, i64)> = sql::query(
        "SELECT accounts.name, payments.address, payments.amount
         FROM payments JOIN accounts ON accounts.id = payments.account
         WHERE payments.pool = $1 AND payments.payout = $2 ORDER BY accounts.name",
    )
    .bind(pool.0)
    .bind(number)
    .fetch_all(connection)
    .await?;
    let payment = |(name, address, amount): (String, String, i64)| {
        Ok(PaymentRow {
            account: ledger::account(&name)?,
            address,
            amount: rows::amount(amount)?,
        })
    };
    rows.into_iter().map(payment).collect()
}

fn units(amount: Amount) -> Result<i64, EntryError> {
    i64::try_from(amount.units()).map_err(|_| EntryError::Amount(amount))
}

fn signed_number(number: u64) -> Result<i64, PayoutError> {
    i64::try_from(number).map_err(|_| PayoutError::Unknown(number))
}
