//! Pays for shares as they come, out of the operator's reserve (PPS and FPPS): what a block is
//! expected to pay at their height, for the part of its work that they are.
//!
//! One task a pool. All work of a height that waits is credited in one transaction, which happens
//! once. Where the reserve would have less than it must keep, nothing more of that scheme is credited
//! until it has; nothing is lost meanwhile, and the other schemes know nothing of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use mining::{
    Amount, Scheme, Work,
    accounting::{AVERAGED_BLOCKS, Fees, Owed, Price, average},
    ledger::Account,
};
use store::{PoolId, ShareCredit, Store, UnpaidShares, WorkerId};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use super::{LOOK_EVERY, fees::at_height};
use crate::{clock, metrics::Metrics};

/// While shares wait, it is looked so often whether they still have to.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The schemes that pay for shares.
const SCHEMES: [Scheme; 2] = [Scheme::Pps, Scheme::Fpps];

/// How shares are paid for.
#[derive(Clone, Debug)]
pub struct Config {
    /// Shares are credited so often.
    pub every: Duration,
    /// What the reserve keeps, in the smallest unit; below zero it may owe so much.
    pub least: i64,
}

/// Whether the reserve pays for shares, as the API sees it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Reserve {
    waiting: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Reserve {
    /// Why shares wait to be credited, by scheme; nothing while none do.
    pub fn waiting(&self) -> BTreeMap<&'static str, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a scheme stands, and tells it if that is new.
    fn note(&self, scheme: Scheme, why: Option<String>) {
        let mut waiting = self.lock();
        match why {
            Some(why) => {
                let before = waiting.insert(scheme.name(), why.clone());
                if before.is_none() {
                    error!(scheme = scheme.name(), %why, "shares wait to be credited");
                }
            }
            None => {
                if waiting.remove(scheme.name()).is_some() {
                    info!(scheme = scheme.name(), "shares are credited again");
                }
            }
        }
    }
}

/// The task that pays for shares.
pub(super) struct Payer {
    pub(super) store: Store,
    pub(super) pool: PoolId,
    /// The coin's name.
    pub(super) coin: &'static str,
    pub(super) decimals: u8,
    pub(super) config: Config,
    pub(super) reserve: Reserve,
    pub(super) metrics: Arc<Metrics>,
}

impl Payer {
    pub(super) async fn run(self, ending: CancellationToken) -> anyhow::Result<()> {
        let mut outage = false;
        // What a run before has left comes first.
        let mut pause = LOOK_EVERY;
        loop {
            let pausing = tokio::time::sleep(pause);
            if ending.run_until_cancelled(pausing).await.is_none() {
                return Ok(());
            }
            match self.look(&ending).await {
                Ok(()) => outage = false,
                Err(cause) if !outage => {
                    outage = true;
                    error!(cause = format!("{cause:#}"), "shares are not credited");
                }
                Err(_) => {}
            }
            pause = self.config.every;
            if outage || !self.reserve.waiting().is_empty() {
                pause = pause.min(LOOK_AGAIN_AFTER);
            }
        }
    }

    /// Credits all that can be. Schemes that the configuration does not name any more too: what was
    /// accepted is paid for.
    async fn look(&self, ending: &CancellationToken) -> anyhow::Result<()> {
        while !ending.is_cancelled() && !self.store.roll_up(self.pool).await?.done {}
        for scheme in SCHEMES {
            while !ending.is_cancelled() {
                let unpaid = self.store.unpaid_shares(self.pool, scheme).await?;
                let Some(unpaid) = unpaid else {
                    self.reserve.note(scheme, None);
                    break;
                };
                if let Some(why) = self.credit(&unpaid).await? {
                    self.reserve.note(scheme, Some(why));
                    break;
                }
            }
        }
        let short = self.reserve.waiting().len();
        let short = i64::try_from(short).context("the number of schemes")?;
        self.metrics.schemes_waiting.set(short);
        let balance = self.store.balance(self.pool, &Account::Reserve).await?;
        self.metrics.reserve.set(balance.posted);
        Ok(())
    }

    /// Credits the work of a height, or says why it has to wait.
    async fn credit(&self, unpaid: &UnpaidShares) -> anyhow::Result<Option<String>> {
        let (height, scheme) = (unpaid.height, unpaid.scheme);
        let Some(price) = self.price(scheme, height).await? else {
            return Ok(Some(format!(
                "height {height} has no price: no template of it or of a later one was seen"
            )));
        };
        let fees = at_height(&self.store, self.pool, scheme, height).await?;
        let worth = self.worth(price, &fees, &unpaid.work).await?;
        let least = self.config.least;
        let credited =
            self.store
                .credit_shares(self.pool, self.coin, unpaid, &worth, least, clock::now_ms());
        Ok(match credited.await? {
            ShareCredit::Done(amount) => {
                debug!(scheme = scheme.name(), height, %amount, "shares credited");
                None
            }
            ShareCredit::Before => None,
            ShareCredit::Short { reserve, wanted } => Some(format!(
                "the reserve has {}, keeps {}, and shares at height {height} are worth {}",
                self.coins(reserve),
                self.coins(least),
                wanted.in_coins(self.decimals)
            )),
        })
    }

    /// What work at a height is worth; nothing while that cannot be known.
    async fn price(&self, scheme: Scheme, height: u32) -> anyhow::Result<Option<Price>> {
        let Some(expected) = self.store.expected_block(self.pool, height).await? else {
            return Ok(None);
        };
        let fees = match scheme {
            Scheme::Fpps => {
                let fees = self.store.fees_below(self.pool, height, AVERAGED_BLOCKS);
                average(&fees.await?)
            }
            _ => Amount::ZERO,
        };
        let price = expected.price(fees).context("a block without a price")?;
        Ok(Some(price))
    }

    /// What each account gets for this work: a miner's workers are one.
    async fn worth(
        &self,
        price: Price,
        fees: &Fees,
        work: &BTreeMap<WorkerId, Work>,
    ) -> anyhow::Result<Vec<(Account, Owed)>> {
        let by_miner = super::by_miner(&self.store, work).await?;
        let recipients = fees.list();
        let mut of_fees = vec![Owed::default(); recipients.len()];
        let mut worth = Vec::with_capacity(by_miner.len() + recipients.len());
        for (account, work) in by_miner {
            let (miner, taken) = price.of(work, fees)?;
            for (sum, owed) in of_fees.iter_mut().zip(taken) {
                *sum = sum.plus(owed)?;
            }
            worth.push((account, miner));
        }
        let names = recipients.iter().map(|fee| Account::Fee(fee.name.clone()));
        worth.extend(names.zip(of_fees));
        Ok(worth)
    }

    fn coins(&self, units: i64) -> String {
        let sign = if units < 0 { "-" } else { "" };
        let amount = Amount::from_units(units.unsigned_abs());
        format!("{sign}{}", amount.in_coins(self.decimals))
    }
}
