//! Who pays: one process at a time, by a lease, and nobody while payments are paused. Called by
//! `payout` and by an operator's commands.

use pow::Hash;

use crate::{
    PayoutError, PoolId, ReadError, Store, WriteError,
    database::Connection,
    sql::{self, Query},
};

/// How much of a reason is kept.
const LONGEST_REASON: usize = 512;

/// The right to pay, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub(crate) pool: PoolId,
    epoch: i64,
}

impl Store {
    /// Takes the lease, or holds it for longer. Nothing if somebody else holds it.
    pub async fn lease_payer(
        &self,
        pool: PoolId,
        holder: &str,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<Option<Lease>, WriteError> {
        let mut writing = self.database.write().await?;
        let found: Option<(i64, String, i64)> =
            sql::query("SELECT epoch, holder, until_ms FROM payers WHERE pool = $1")
                .bind(pool.0)
                .fetch_optional(&mut writing)
                .await?;
        let epoch = match found {
            // Its own, whatever the time: nobody else has taken it.
            Some((epoch, held_by, _)) if held_by == holder => epoch,
            Some((_, _, held_until)) if held_until > now_ms => {
                writing.commit().await?;
                return Ok(None);
            }
            Some((epoch, ..)) => epoch + 1,
            None => 1,
        };
        sql::query(
            "INSERT INTO payers (pool, epoch, holder, until_ms) VALUES ($1, $2, $3, $4)
             ON CONFLICT (pool) DO UPDATE SET epoch = excluded.epoch, holder = excluded.holder,
                 until_ms = excluded.until_ms",
        )
        .bind(pool.0)
        .bind(epoch)
        .bind(holder)
        .bind(until_ms)
        .execute(&mut writing)
        .await?;
        writing.commit().await?;
        Ok(Some(Lease { pool, epoch }))
    }

    /// Why payments are paused; nothing if they are not.
    pub async fn payments_paused(&self, pool: PoolId) -> Result<Option<String>, ReadError> {
        let mut reading = self.database.read().await?;
        let reason: Option<String> = sql::query("SELECT paused FROM payers WHERE pool = $1")
            .bind(pool.0)
            .fetch_optional_value(&mut reading)
            .await?;
        Ok(reason.filter(|reason| !reason.is_empty()))
    }

    /// The block up to which the wallet's history was compared with the payouts; nothing if it never
    /// was.
    pub async fn wallet_compared(&self, pool: PoolId) -> Result<Option<String>, ReadError> {
        let mut reading = self.database.read().await?;
        let block: Option<String> = sql::query("SELECT compared FROM payers WHERE pool = $1")
            .bind(pool.0)
            .fetch_optional_value(&mut reading)
            .await?;
        Ok(block.filter(|block| !block.is_empty()))
    }

    /// Notes the block up to which the wallet's history agrees with the payouts.
    pub async fn note_compared(&self, lease: &Lease, block: &str) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        holds(&mut writing, lease).await?;
        sql::query("UPDATE payers SET compared = $2 WHERE pool = $1")
            .bind(lease.pool.0)
            .bind(block)
            .execute(&mut writing)
            .await?;
        Ok(writing.commit().await?)
    }

    /// Those of the transactions that are neither a payout nor known to an operator.
    pub async fn foreign_sends(&self, pool: PoolId, sent: &[Hash]) -> Result<Vec<Hash>, ReadError> {
        let mut reading = self.database.read().await?;
        let mut foreign = Vec::new();
        for txid in sent {
            let known: i64 = sql::query(
                "SELECT (SELECT COUNT(*) FROM payouts WHERE pool = $1 AND txid = $2)
                      + (SELECT COUNT(*) FROM foreign_sends WHERE pool = $1 AND txid = $2)",
            )
            .bind(pool.0)
            .bind(txid.to_display_bytes().to_vec())
            .fetch_value(&mut reading)
            .await?;
            if known == 0 {
                foreign.push(*txid);
            }
        }
        Ok(foreign)
    }

    /// Pauses payments for a reason, or resumes them with none.
    pub async fn pause_payments(&self, pool: PoolId, reason: &str) -> Result<(), WriteError> {
        self.database.write_one(pause(pool, reason)).await
    }
}

/// Pauses payments, or resumes them.
pub(crate) fn pause(pool: PoolId, reason: &str) -> Query {
    let query = sql::query(
        "INSERT INTO payers (pool, epoch, holder, until_ms, paused) VALUES ($1, 0, '', 0, $2)
         ON CONFLICT (pool) DO UPDATE SET paused = excluded.paused",
    );
    query.bind(pool.0).bind(cut(reason))
}

/// Whether the lease is still the newest.
pub(crate) async fn holds(connection: &mut Connection, lease: &Lease) -> Result<(), PayoutError> {
    let epoch: Option<i64> = sql::query("SELECT epoch FROM payers WHERE pool = $1")
        .bind(lease.pool.0)
        .fetch_optional_value(connection)
        .await?;
    match epoch {
        Some(epoch) if epoch == lease.epoch => Ok(()),
        _ => Err(PayoutError::NotTheHolder),
    }
}

/// A reason as it is kept.
pub(crate) fn cut(reason: &str) -> String {
    reason[..reason.floor_char_boundary(LONGEST_REASON)].replace('\0', "")
}
