//! Whose work the block that is mined now is split by, where its coinbase pays miners by itself: looked
//! up in the store every few seconds, for the next job.

use std::{sync::Arc, time::Duration};

use mining::{
    Address, Amount, Network, NetworkDifficulty, Scheme,
    accounting::{Payee, Split, Window},
    ledger::Account,
    payout::PAY_TO_HOLD_MS,
};
use store::PayWish;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{Accounting, by_miner};
use crate::{clock, template_feed::Newest};

/// How often it is looked up: as often as shares are rolled up.
const SPLIT_EVERY: Duration = Duration::from_secs(10);

/// How coinbases pay miners.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network of the addresses.
    pub network: Network,
    /// The script that gets what is left.
    pub keeper: Vec<u8>,
    /// Nobody is paid less by a coinbase.
    pub least: Amount,
    /// Where each new split goes.
    pub splits: watch::Sender<Option<Arc<Split>>>,
}

impl Accounting {
    /// Publishes each new split until the end.
    pub(super) async fn keep_split(
        self,
        config: Config,
        newest: watch::Receiver<Newest>,
        ending: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut outage = false;
        loop {
            let network = match &*newest.borrow() {
                Newest::Offer(offer) => Some(offer.template.network()),
                Newest::Nothing(_) => None,
            };
            if let Some(network) = network {
                match self.split_at(network, &config).await {
                    Ok(split) => {
                        outage = false;
                        config.splits.send_if_modified(|newest| {
                            let is_new = split.is_some() && *newest != split;
                            if is_new {
                                newest.clone_from(&split);
                            }
                            is_new
                        });
                    }
                    // The last one goes on: it is older, and as right as it was.
                    Err(cause) if !outage => {
                        outage = true;
                        error!(cause = format!("{cause:#}"), "coinbases are not split anew");
                    }
                    Err(_) => {}
                }
            }
            tokio::select! {
                () = tokio::time::sleep(SPLIT_EVERY) => {}
                () = ending.cancelled() => return Ok(()),
            }
        }
    }

    /// The split of a block of this difficulty by what is rolled up; nothing before the first share.
    async fn split_at(
        &self,
        network: NetworkDifficulty,
        config: &Config,
    ) -> anyhow::Result<Option<Arc<Split>>> {
        let scheme = Scheme::Pplns;
        let newest = self.store.newest_bucket(self.pool, scheme.name());
        let Some(end) = newest.await? else {
            return Ok(None);
        };
        let window = Window::empty(self.window_at(network)?);
        let window = self.filled(window, scheme.name(), end, None).await?;
        let by_miner = by_miner(&self.store, window.work()).await?;
        let wishes = self.store.pay_wishes(self.pool).await?;
        let now_ms = clock::now_ms();
        let work = by_miner.into_iter().filter_map(|(account, work)| {
            let Account::Miner(text) = &account else {
                return None;
            };
            let address = |text: &str| Address::parse(self.config.coin, config.network, text).ok();
            let miner = address(text)?;
            let pay_to = match wishes.get(&account) {
                Some(wish) if stays_in_the_books(wish, now_ms) => None,
                // What cannot be read is not paid by the other address instead.
                Some(PayWish {
                    pay_to: Some(other),
                    ..
                }) => address(other),
                _ => Some(miner.clone()),
            };
            Some((Payee { miner, pay_to }, work))
        });
        let start = self.store.round_of_share(self.pool, scheme.name(), end);
        let fees = self.fees(scheme, start.await?).await?;
        let split = Split::new(end, fees, config.least, &config.keeper, work);
        Ok(Some(Arc::new(split)))
    }
}

/// As with other payouts: not while they are paused, and not for a while after a change of address.
fn stays_in_the_books(wish: &PayWish, now_ms: i64) -> bool {
    let held_until = |since: i64| since.saturating_add(PAY_TO_HOLD_MS);
    wish.paused || wish.pay_to_since_ms.map(held_until) > Some(now_ms)
}
