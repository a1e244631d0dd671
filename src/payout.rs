//! Payouts: from balances that are due to transactions that are deep in the chain, exactly once.
//!
//! One task a pool, and of all processes on a database only the one that holds the lease. A payout is
//! claimed in the books, signed by the wallet, kept, and only then sent; what was kept is sent again
//! as often as it takes. So a process may end at any instant: what is only claimed is given back,
//! what is kept goes on. What nobody can tell stops all payments and calls for a person.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use mining::{
    Address, Amount, Coin, Network,
    ledger::Account,
    payout::{BatchState, Owner, Payment, Policy, batches, total},
};
use store::{Lease, PaymentRow, Payout, PoolId, Signed, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    clock,
    daemon::wallet::{Sent, SignError, Standing, Wallet},
    tasks::{Stage, Tasks},
};

/// How often payouts that are under way are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the right to pay lasts after the last look.
const LEASE_MS: i64 = 60_000;
/// A transaction that waits for its block is sent again so often: a daemon may have forgotten it.
const SEND_AGAIN_EVERY: Duration = Duration::from_secs(600);

/// Where each account is paid.
type Addresses = BTreeMap<Account, Address>;

/// How a pool pays.
#[derive(Clone, Debug)]
pub struct Config {
    /// The coin.
    pub coin: &'static Coin,
    /// Its network.
    pub network: Network,
    /// Who is due.
    pub policy: Policy,
    /// Confirmations after which a payment is done.
    pub confirmations: u32,
    /// Between two times at which balances are looked at.
    pub every: Duration,
    /// What the chain gets for a thousand bytes; the wallet's estimate if nothing is said.
    pub fee_rate: Option<Amount>,
    /// Where fees are paid, by name.
    pub fee_addresses: Vec<(String, Address)>,
}

/// Starts to pay, as `holder`: a name that no other process bears at the same time, and this one's
/// successor does.
pub fn start(
    store: Store,
    pool: PoolId,
    wallet: Wallet,
    config: Config,
    holder: &str,
    tasks: &Tasks,
) {
    let ending = tasks.ending(Stage::Books);
    let payer = Payer {
        store,
        pool,
        wallet,
        config,
        holder: holder.to_owned(),
        next_batch: Instant::now(),
        sent_again: Instant::now(),
    };
    tasks.spawn(Stage::Books, "payouts", payer.run(ending));
}

struct Payer {
    store: Store,
    pool: PoolId,
    wallet: Wallet,
    config: Config,
    holder: String,
    next_batch: Instant,
    sent_again: Instant,
}

impl Payer {
    async fn run(mut self, ending: CancellationToken) -> anyhow::Result<()> {
        let mut told = String::new();
        loop {
            let pause = tokio::time::sleep(LOOK_EVERY);
            if ending.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
            // Not cut off by the end: every step is bounded, and one that was begun is best ended.
            match self.look().await {
                Ok(()) => told.clear(),
                Err(failure) => {
                    let failure = format!("{failure:#}");
                    // Once, not each second.
                    if failure != told {
                        error!(%failure, "payouts wait");
                        told = failure;
                    }
                }
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let now = clock::now_ms();
        let leased = self
            .store
            .lease_payer(self.pool, &self.holder, now, now + LEASE_MS);
        let Some(lease) = leased.await? else {
            // Another process pays.
            return Ok(());
        };
        let send_again = self.sent_again.elapsed() >= SEND_AGAIN_EVERY;
        if send_again {
            self.sent_again = Instant::now();
        }
        for payout in self.store.open_payouts(self.pool).await? {
            self.follow(&lease, &payout, send_again)
                .await
                .with_context(|| format!("payout {}", payout.number))?;
        }
        if Instant::now() < self.next_batch
            || self.store.payments_paused(self.pool).await?.is_some()
        {
            return Ok(());
        }
        self.next_batch = Instant::now() + self.config.every;
        let mut owners = self.store.owners(self.pool).await?;
        // Who has no address that can be paid waits.
        let addresses: Addresses = owners
            .iter()
            .filter_map(|owner| Some((owner.account.clone(), self.address_of(owner)?)))
            .collect();
        owners.retain(|owner| addresses.contains_key(&owner.account));
        for payments in batches(&owners, &self.config.policy, clock::now_ms()) {
            self.pay(&lease, payments, &addresses).await?;
        }
        Ok(())
    }

    fn address_of(&self, owner: &Owner<Account>) -> Option<Address> {
        match &owner.account {
            Account::Miner(text) => {
                let text = owner.pay_to.as_ref().unwrap_or(text);
                Address::parse(self.config.coin, self.config.network, text).ok()
            }
            Account::Fee(name) => {
                let mut list = self.config.fee_addresses.iter();
                list.find(|(fee, _)| fee == name)
                    .map(|(_, address)| address.clone())
            }
            _ => None,
        }
    }

    /// Claims, signs, keeps and sends.
    async fn pay(
        &self,
        lease: &Lease,
        payments: Vec<Payment<Account>>,
        addresses: &Addresses,
    ) -> anyhow::Result<()> {
        let coin = self.config.coin.name;
        let rows: Vec<PaymentRow> = payments
            .iter()
            .filter_map(|payment| {
                Some(PaymentRow {
                    account: payment.account.clone(),
                    address: addresses.get(&payment.account)?.as_str().to_owned(),
                    amount: payment.amount,
                })
            })
            .collect();
        let now = clock::now_ms();
        let number = self.store.reserve_payout(lease, coin, &rows, now).await?;
        let whole = total(&payments).context("more than any coin has")?;
        info!(number, payments = rows.len(), total = %whole, "payout claimed");
        match self.sign(&rows, whole).await {
            Ok(signed) => {
                let now = clock::now_ms();
                self.store.sign_payout(lease, number, &signed, now).await?;
                info!(number, txid = %signed.txid, fee = %signed.network_fee, "payout signed");
                self.send(lease, number, BatchState::Signed, &signed).await
            }
            Err(failure) => {
                let reason = failure.to_string();
                let now = clock::now_ms();
                self.store
                    .release_payout(lease, coin, number, &reason, now)
                    .await?;
                Err(failure).with_context(|| format!("payout {number} was given back"))
            }
        }
    }

    /// Has the wallet sign a transaction. What goes to the same address, goes there together.
    async fn sign(&self, rows: &[PaymentRow], whole: Amount) -> Result<Signed, SignError> {
        let mut payments: Vec<(Address, Amount)> = Vec::with_capacity(rows.len());
        for row in rows {
            let address = Address::parse(self.config.coin, self.config.network, &row.address);
            let address = address.map_err(|_| SignError::Wrong("an address that is none"))?;
            match payments.iter_mut().find(|(known, _)| *known == address) {
                Some((_, amount)) => {
                    let sum = amount.checked_add(row.amount);
                    *amount = sum.ok_or(SignError::Wrong("more than any coin has"))?;
                }
                None => payments.push((address, row.amount)),
            }
        }
        let fee_max = self.config.policy.fee_of(whole);
        let draft = self
            .wallet
            .sign(&payments, self.config.fee_rate, fee_max)
            .await?;
        Ok(Signed {
            txid: draft.txid,
            raw: draft.raw,
            network_fee: draft.fee,
        })
    }

    /// Sends what was kept of a payout that is in this state.
    async fn send(
        &self,
        lease: &Lease,
        number: u64,
        state: BatchState,
        signed: &Signed,
    ) -> anyhow::Result<()> {
        if let Sent::Refused(reason) = self.wallet.send(&signed.raw).await? {
            anyhow::bail!("the daemon does not take it: {reason}");
        }
        if state == BatchState::Signed {
            let (to, now) = (BatchState::Broadcast, clock::now_ms());
            self.store.move_payout(lease, number, to, "", now).await?;
            info!(number, txid = %signed.txid, "payout sent");
        }
        Ok(())
    }

    /// Brings a payout further that is under way.
    async fn follow(&self, lease: &Lease, payout: &Payout, send_again: bool) -> anyhow::Result<()> {
        let number = payout.number;
        let coin = self.config.coin.name;
        let Some(signed) = &payout.signed else {
            // Without a kept transaction nothing can have been sent.
            let reason = "it was never signed";
            let now = clock::now_ms();
            self.store
                .release_payout(lease, coin, number, reason, now)
                .await?;
            warn!(number, "a payout that was never signed was given back");
            return Ok(());
        };
        if payout.state == BatchState::Manual {
            return Ok(());
        }
        let standing = self.wallet.standing(signed.txid).await?;
        let deep_enough = self.config.confirmations;
        match standing {
            Standing::Confirmed(depth) if depth >= deep_enough => {
                self.store.note_confirmations(lease, number, depth).await?;
                let now = clock::now_ms();
                self.store.confirm_payout(lease, coin, number, now).await?;
                info!(number, txid = %signed.txid, depth, "payout confirmed");
                return Ok(());
            }
            Standing::Confirmed(depth) => {
                if depth != payout.confirmations {
                    self.store.note_confirmations(lease, number, depth).await?;
                }
                if depth > 0 {
                    return Ok(());
                }
            }
            // Another transaction has its inputs, so deep that it will keep them.
            Standing::Conflicted(depth) if depth >= deep_enough => {
                let reason = format!("another transaction with its inputs is {depth} blocks deep");
                let now = clock::now_ms();
                self.store
                    .release_payout(lease, coin, number, &reason, now)
                    .await?;
                self.wallet.unlock_inputs(&signed.raw).await;
                error!(number, txid = %signed.txid, reason, "a payout was given back");
                return Ok(());
            }
            Standing::Conflicted(depth) => {
                anyhow::bail!("another transaction with its inputs is {depth} blocks deep")
            }
            Standing::Unknown => {}
        }
        if payout.state == BatchState::Signed || standing == Standing::Unknown || send_again {
            self.send(lease, number, payout.state, signed).await?;
        }
        Ok(())
    }
}
