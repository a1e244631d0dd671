//! Brings payouts further that are under way: what the chain says of each, and what that means.

use mining::payout::{BatchState, Kept, Standing, Step, next};
use store::{Lease, Payout, Signed};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{Payer, kept};
use crate::{clock, daemon::wallet::Sent};

/// So many of the last payouts are looked at again after they were confirmed: no chain has ever left so
/// many blocks that an hourly payout in each would reach further.
const CONFIRMED_LOOKED_AT: u32 = 20;

/// Whether something holds a payout up.
pub(super) enum Held {
    /// It goes its way.
    No,
    /// It waits, and nobody else has to.
    Waits(String),
    /// Nobody can tell what becomes of it: no other payout begins.
    Unclear(String),
    /// A person decides.
    Manual,
}

impl Payer {
    /// Brings a payout further.
    pub(super) async fn follow(
        &mut self,
        lease: &Lease,
        payout: &Payout,
        send_again: bool,
    ) -> anyhow::Result<Held> {
        let number = payout.number;
        let kept = kept(payout);
        let standing = match (&payout.signed, &payout.draft) {
            _ if payout.state == BatchState::Manual => return Ok(Held::Manual),
            (Some(signed), _) => self.purse.standing(signed).await?,
            (None, Some(draft)) => {
                if send_again {
                    self.purse.lock(None, Some(draft)).await;
                    self.look_for_signed(payout, draft).await?;
                }
                Standing::Unknown
            }
            (None, None) => Standing::Unknown,
        };
        if let Standing::Confirmed(depth) = standing
            && depth != payout.confirmations
        {
            self.store.note_confirmations(lease, number, depth).await?;
        }
        match next(payout.state, kept, standing, self.config.confirmations) {
            Step::Wait if send_again && kept == Kept::Signed => {
                self.send_kept(lease, payout, send_again).await
            }
            Step::Wait => Ok(Held::No),
            Step::Send => self.send_kept(lease, payout, send_again).await,
            Step::Confirm => {
                let (coin, now) = (self.config.coin.name, clock::now_ms());
                self.store.confirm_payout(lease, coin, number, now).await?;
                info!(number, "payout confirmed");
                Ok(Held::No)
            }
            Step::ReleaseUnsigned => {
                self.release(lease, payout, "it was never signed").await?;
                warn!(number, "a payout that was never signed was given back");
                Ok(Held::No)
            }
            Step::ReleaseConflicted(depth) => {
                let reason = format!("another transaction with its inputs is {depth} blocks deep");
                self.release(lease, payout, &reason).await?;
                error!(number, reason, "a payout was given back");
                Ok(Held::No)
            }
            Step::Hold(depth) => {
                let why = format!("another transaction with its inputs is {depth} blocks deep");
                Ok(Held::Unclear(why))
            }
            Step::Ask => {
                let why = "something has its inputs, and it cannot be told what";
                self.unclear(lease, payout, why).await
            }
        }
    }

    /// Sends payouts again that were confirmed and have left the chain since, by a branch that went
    /// deeper than `confirmations`. The books stay: the same bytes pay, or nothing does.
    pub(super) async fn look_back(&self) -> anyhow::Result<()> {
        let last = self
            .store
            .payouts(self.pool, None, CONFIRMED_LOOKED_AT)
            .await?;
        // The oldest first, as later ones may spend its change.
        for payout in last.iter().rev() {
            let number = payout.number;
            let (BatchState::Confirmed, Some(signed)) = (payout.state, &payout.signed) else {
                continue;
            };
            let has_left = match self.purse.standing(signed).await? {
                Standing::Confirmed(0) => true,
                Standing::Unknown => self.purse.asks_the_chain(),
                Standing::Conflicted(depth) => {
                    error!(number, txid = %signed.txid, depth, "another transaction has the inputs of a payout that was confirmed");
                    false
                }
                Standing::Confirmed(_) | Standing::Unclear => false,
            };
            if !has_left {
                continue;
            }
            match self.purse.send(&signed.raw).await? {
                Sent::Taken => {
                    warn!(number, txid = %signed.txid, "a payout that was confirmed has left the chain: it is sent again");
                }
                Sent::Refused(reason) | Sent::InputsGone(reason) => {
                    error!(number, txid = %signed.txid, reason, "a payout that was confirmed has left the chain, and is not taken again");
                }
            }
        }
        Ok(())
    }

    async fn release(&self, lease: &Lease, payout: &Payout, reason: &str) -> anyhow::Result<()> {
        let (coin, now) = (self.config.coin.name, clock::now_ms());
        self.store
            .release_payout(lease, coin, payout.number, reason, now)
            .await?;
        self.purse.unlock(payout).await;
        Ok(())
    }

    /// Sends what was kept. From time to time its inputs are locked before that: a daemon that was
    /// started anew knows of neither.
    async fn send_kept(
        &mut self,
        lease: &Lease,
        payout: &Payout,
        lock: bool,
    ) -> anyhow::Result<Held> {
        let Some(signed) = &payout.signed else {
            return Ok(Held::No);
        };
        if lock && payout.state == BatchState::Signed {
            self.purse.lock(Some(signed), None).await;
        }
        match self
            .send(lease, payout.number, payout.state, signed)
            .await?
        {
            Sent::Taken => {
                self.unclear_since.remove(&payout.number);
                Ok(Held::No)
            }
            Sent::Refused(reason) => {
                let why = format!("the daemon does not take it: {reason}");
                Ok(Held::Waits(why))
            }
            Sent::InputsGone(reason) => {
                let why = format!("the daemon says its inputs are gone: {reason}");
                self.unclear(lease, payout, &why).await
            }
        }
    }

    /// Sends what was kept of a payout that is in this state, and notes that a daemon has it.
    pub(super) async fn send(
        &self,
        lease: &Lease,
        number: u64,
        state: BatchState,
        signed: &Signed,
    ) -> anyhow::Result<Sent> {
        let sent = self.purse.send(&signed.raw).await?;
        if sent == Sent::Taken && state == BatchState::Signed {
            let (to, now) = (BatchState::Broadcast, clock::now_ms());
            self.store.move_payout(lease, number, to, "", now).await?;
            info!(number, txid = %signed.txid, "payout sent");
        }
        Ok(sent)
    }

    /// Waits for a while, as a daemon may only be behind; then a person has to say.
    async fn unclear(&mut self, lease: &Lease, payout: &Payout, why: &str) -> anyhow::Result<Held> {
        let now = Instant::now();
        let since = *self.unclear_since.entry(payout.number).or_insert(now);
        if now - since < self.config.unclear_after {
            return Ok(Held::Unclear(why.to_owned()));
        }
        let (number, to, now) = (payout.number, BatchState::Manual, clock::now_ms());
        self.store.move_payout(lease, number, to, why, now).await?;
        self.unclear_since.remove(&number);
        error!(number, why, "nobody can tell what became of a payout");
        Ok(Held::Unclear(why.to_owned()))
    }

    /// Whether somebody has signed a draft and sent it himself.
    async fn look_for_signed(&self, payout: &Payout, draft: &[u8]) -> anyhow::Result<()> {
        let Some(signed) = self.purse.signed_elsewhere(draft).await? else {
            return Ok(());
        };
        let (number, now) = (payout.number, clock::now_ms());
        self.store
            .sign_draft(self.pool, number, &signed, now)
            .await?;
        info!(number, txid = %signed.txid, "a payout was signed and sent elsewhere");
        Ok(())
    }
}
