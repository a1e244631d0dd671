//! Payouts and payments as they are read: open ones, pages of all, and what an account was paid.

use std::collections::BTreeMap;

use mining::{Amount, ledger::Account};

use super::{OwnPayment, PaymentRow, Payout, Signed, payments, state};
use crate::{PoolId, ReadError, Store, rows, sql};

/// The most rows on one page.
const LONGEST_PAGE: u32 = 1_000;

/// The columns of `Row`.
macro_rules! select_payouts {
    () => {
        "SELECT number, state, made_ms, changed_ms, total, network_fee, txid, raw, draft,
                confirmations, reason
         FROM payouts WHERE pool = $1"
    };
}

/// What confirmed payouts come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    /// How many there are.
    pub payouts: u64,
    /// The accounts that were paid by any of them.
    pub accounts: u64,
    /// What all of them have paid.
    pub amount: Amount,
}

impl Store {
    /// The payouts that are neither confirmed nor released, oldest first.
    pub async fn open_payouts(&self, pool: PoolId) -> Result<Vec<Payout>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<Row> = sql::query(concat!(
            select_payouts!(),
            " AND state IN ('reserved', 'signed', 'broadcast', 'manual') ORDER BY number"
        ))
        .bind(pool.0)
        .fetch_all(&mut reading)
        .await?;
        Ok(rows.into_iter().map(payout).collect::<sqlx::Result<_>>()?)
    }

    /// A page of payouts, newest first. The next page begins before the last number; a page has at
    /// most 1000.
    pub async fn payouts(
        &self,
        pool: PoolId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Payout>, ReadError> {
        let before = rows::cursor(before);
        let mut reading = self.database.read().await?;
        let rows: Vec<Row> = sql::query(concat!(
            select_payouts!(),
            " AND number < $2 ORDER BY number DESC LIMIT $3"
        ))
        .bind(pool.0)
        .bind(before)
        .bind(limit.min(LONGEST_PAGE))
        .fetch_all(&mut reading)
        .await?;
        Ok(rows.into_iter().map(payout).collect::<sqlx::Result<_>>()?)
    }

    /// The payments of a payout, by account.
    pub async fn payments(&self, pool: PoolId, payout: u64) -> Result<Vec<PaymentRow>, ReadError> {
        let Ok(number) = i64::try_from(payout) else {
            return Ok(Vec::new());
        };
        let mut reading = self.database.read().await?;
        Ok(payments(&mut reading, pool, number).await?)
    }

    /// How many payments each of the payouts from one number to another has, by number.
    pub async fn payment_counts(
        &self,
        pool: PoolId,
        from: u64,
        to: u64,
    ) -> Result<BTreeMap<u64, u64>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Vec<(i64, i64)> = sql::query(
            "SELECT payout, COUNT(*) FROM payments
             WHERE pool = $1 AND payout >= $2 AND payout <= $3 GROUP BY payout",
        )
        .bind(pool.0)
        .bind(rows::cursor(Some(from)))
        .bind(rows::cursor(Some(to)))
        .fetch_all(&mut reading)
        .await?;
        let row = |(number, count)| {
            Ok((
                rows::unsigned(number, "payments.payout")?,
                rows::unsigned(count, "the number of payments")?,
            ))
        };
        Ok(found.into_iter().map(row).collect::<sqlx::Result<_>>()?)
    }

    /// A page of what was paid to an account, newest first. The next page begins before the last
    /// payout; a page has at most 1000.
    pub async fn payments_of(
        &self,
        pool: PoolId,
        account: &Account,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<OwnPayment>, ReadError> {
        let before = rows::cursor(before);
        let mut reading = self.database.read().await?;
        type Row = (i64, String, i64, Option<Vec<u8>>, String, i64);
        let rows: Vec<Row> = sql::query(
            "SELECT payouts.number, payouts.state, payouts.made_ms, payouts.txid, payments.address,
                    payments.amount
             FROM payments JOIN payouts
                 ON payouts.pool = payments.pool AND payouts.number = payments.payout
             WHERE payments.account = (SELECT id FROM accounts WHERE pool = $1 AND name = $2)
               AND payments.payout < $3
             ORDER BY payments.payout DESC LIMIT $4",
        )
        .bind(pool.0)
        .bind(account.to_string())
        .bind(before)
        .bind(limit.min(LONGEST_PAGE))
        .fetch_all(&mut reading)
        .await?;
        let payment = |(number, state_name, made_ms, txid, address, amount): Row| {
            Ok(OwnPayment {
                payout: rows::unsigned(number, "payouts.number")?,
                state: state(&state_name)?,
                made_ms,
                txid: txid.as_deref().map(rows::hash).transpose()?,
                address,
                amount: rows::amount(amount)?,
            })
        };
        Ok(rows.into_iter().map(payment).collect::<sqlx::Result<_>>()?)
    }

    /// The newest payments whose transaction is signed, to whomever, newest first; at most 1000.
    pub async fn recent_payments(
        &self,
        pool: PoolId,
        limit: u32,
    ) -> Result<Vec<OwnPayment>, ReadError> {
        let mut reading = self.database.read().await?;
        type Row = (i64, String, i64, Option<Vec<u8>>, String, i64);
        let rows: Vec<Row> = sql::query(
            "SELECT payouts.number, payouts.state, payouts.made_ms, payouts.txid, payments.address,
                    payments.amount
             FROM (SELECT number, state, made_ms, txid FROM payouts WHERE pool = $1
                     AND state IN ('signed', 'broadcast', 'confirmed')
                   ORDER BY number DESC LIMIT $2) AS payouts
             JOIN payments ON payments.pool = $1 AND payments.payout = payouts.number
             ORDER BY payouts.number DESC, payments.amount DESC, payments.address LIMIT $2",
        )
        .bind(pool.0)
        .bind(limit.min(LONGEST_PAGE))
        .fetch_all(&mut reading)
        .await?;
        let payment = |(number, state_name, made_ms, txid, address, amount): Row| {
            Ok(OwnPayment {
                payout: rows::unsigned(number, "payouts.number")?,
                state: state(&state_name)?,
                made_ms,
                txid: txid.as_deref().map(rows::hash).transpose()?,
                address,
                amount: rows::amount(amount)?,
            })
        };
        Ok(rows.into_iter().map(payment).collect::<sqlx::Result<_>>()?)
    }

    /// How many payouts are confirmed, how many accounts were ever paid by one, and how much in all.
    pub async fn paid(&self, pool: PoolId) -> Result<Paid, ReadError> {
        let mut reading = self.database.read().await?;
        let (payouts, accounts, amount): (i64, i64, i64) = sql::query(
            "SELECT COUNT(DISTINCT payouts.number), COUNT(DISTINCT payments.account),
                 CAST(COALESCE(SUM(payments.amount), 0) AS BIGINT)
             FROM payouts JOIN payments
                 ON payments.pool = payouts.pool AND payments.payout = payouts.number
             WHERE payouts.pool = $1 AND payouts.state = 'confirmed'",
        )
        .bind(pool.0)
        .fetch_one(&mut reading)
        .await?;
        Ok(Paid {
            payouts: rows::unsigned(payouts, "the number of payouts")?,
            accounts: rows::unsigned(accounts, "the number of accounts")?,
            amount: rows::amount(amount)?,
        })
    }
}

/// The columns of `select_payouts`.
type Row = (
    i64,
    String,
    i64,
    i64,
    i64,
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    i64,
    String,
);

fn payout(row: Row) -> sqlx::Result<Payout> {
    let (number, state_name, made_ms, changed_ms, total, fee, txid, raw, ..) = &row;
    let (.., draft, confirmations, reason) = &row;
    let signed = match (fee, txid, raw) {
        (Some(fee), Some(txid), Some(raw)) => Some(Signed {
            txid: rows::hash(txid)?,
            raw: raw.clone(),
            network_fee: rows::amount(*fee)?,
        }),
        _ => None,
    };
    Ok(Payout {
        number: rows::unsigned(*number, "payouts.number")?,
        state: state(state_name)?,
        made_ms: *made_ms,
        changed_ms: *changed_ms,
        total: rows::amount(*total)?,
        signed,
        draft: draft.clone(),
        confirmations: rows::unsigned(*confirmations, "payouts.confirmations")?,
        reason: reason.clone(),
    })
}
