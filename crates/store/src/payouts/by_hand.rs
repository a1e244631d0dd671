//! What an operator decides about a payout, beside the process that pays. Called by `adit payout`.
//!
//! None of it needs the lease: whoever pays leaves alone what is `manual` and what somebody else signs,
//! and each change is allowed from the state it was in alone.

use mining::payout::BatchState;

use super::{PayoutError, Signed, keep_signed, release, state_of, step};
use crate::{EntryError, PoolId, Store};

/// Whoever pays may just be sending what he read before the payout became `manual`; after so long
/// he is not.
const HELD_AT_LEAST_MS: i64 = 60_000;

impl Store {
    /// Holds a payout that is signed or sent: from here on only an operator decides.
    pub async fn hold_payout(
        &self,
        pool: PoolId,
        number: u64,
        reason: &str,
        now_ms: i64,
    ) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        step(
            &mut writing,
            pool,
            number,
            BatchState::Manual,
            reason,
            now_ms,
        )
        .await?;
        Ok(writing.commit().await?)
    }

    /// Has a payout that is `manual` sent again as it was signed.
    pub async fn retry_payout(
        &self,
        pool: PoolId,
        number: u64,
        reason: &str,
        now_ms: i64,
    ) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        let found = state_of(&mut writing, pool, number).await?;
        if found.state != BatchState::Manual {
            return Err(PayoutError::NotByHand(found.state));
        }
        step(
            &mut writing,
            pool,
            number,
            BatchState::Signed,
            reason,
            now_ms,
        )
        .await?;
        Ok(writing.commit().await?)
    }

    /// Gives the balances back of a payout that is `manual` for a while, or that somebody else was to
    /// sign. It must be certain that its transaction never confirms.
    pub async fn void_payout(
        &self,
        pool: PoolId,
        coin: &str,
        number: u64,
        reason: &str,
        now_ms: i64,
    ) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        let found = state_of(&mut writing, pool, number).await?;
        match found.state {
            BatchState::Manual if now_ms < found.changed_ms + HELD_AT_LEAST_MS => {
                return Err(PayoutError::TooSoon);
            }
            BatchState::Manual => {}
            BatchState::Reserved if found.has_draft => {}
            state => return Err(PayoutError::NotByHand(state)),
        }
        release(&mut writing, pool, coin, number, reason, now_ms).await?;
        Ok(writing.commit().await?)
    }

    /// Keeps what somebody else has signed of a draft. From here on this is what is sent.
    pub async fn sign_draft(
        &self,
        pool: PoolId,
        number: u64,
        signed: &Signed,
        now_ms: i64,
    ) -> Result<(), PayoutError> {
        let mut writing = self.database.write().await?;
        let found = state_of(&mut writing, pool, number).await?;
        if found.state != BatchState::Reserved || !found.has_draft {
            return Err(PayoutError::NotByHand(found.state));
        }
        keep_signed(&mut writing, pool, number, signed, now_ms).await?;
        Ok(writing.commit().await?)
    }

    /// Notes that the wallet has sent this and that an operator knows of it.
    pub async fn accept_send(
        &self,
        pool: PoolId,
        txid: pow::Hash,
        reason: &str,
        now_ms: i64,
    ) -> Result<(), EntryError> {
        let query = crate::sql::query(
            "INSERT INTO foreign_sends (pool, txid, reason, noted_ms) VALUES ($1, $2, $3, $4)
             ON CONFLICT (pool, txid) DO NOTHING",
        )
        .bind(pool.0)
        .bind(txid.to_display_bytes().to_vec())
        .bind(crate::payers::cut(reason))
        .bind(now_ms);
        Ok(self.database.write_one(query).await?)
    }
}
