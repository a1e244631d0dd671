//! Whose work the block that is mined now is split by, where its coinbase pays miners by itself: looked
//! up in the store every few seconds, for the next job.

use std::{sync::Arc, time::Duration};

use mining::{
    Address, Amount, Network,
    accounting::{Split, Window},
    ledger::Account,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{Accounting, by_miner};
use crate::template_feed::Newest;

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
            let bits = match &*newest.borrow() {
                Newest::Offer(offer) => Some(offer.template.bits),
                Newest::Nothing(_) => None,
            };
            if let Some(bits) = bits {
                match self.split_at(bits, &config).await {
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

    /// The split of a block of these bits by what is rolled up; nothing before the first share.
    async fn split_at(&self, bits: u32, config: &Config) -> anyhow::Result<Option<Arc<Split>>> {
        let scheme = mining::Scheme::Pplns.name();
        let Some(end) = self.store.newest_bucket(self.pool, scheme).await? else {
            return Ok(None);
        };
        let window = Window::empty(self.window_at(bits)?);
        let window = self.filled(window, scheme, end, None).await?;
        let by_miner = by_miner(&self.store, window.work()).await?;
        let work = by_miner.into_iter().filter_map(|(account, work)| {
            let Account::Miner(text) = account else {
                return None;
            };
            let address = Address::parse(self.config.coin, config.network, &text).ok()?;
            Some((address, work))
        });
        let fees = self.config.fees.clone();
        let split = Split::new(end, fees, config.least, &config.keeper, work);
        Ok(Some(Arc::new(split)))
    }
}
