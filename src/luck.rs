//! Who finds far fewer blocks than its work should have: it may keep them back, or its device loses
//! them. One task a pool looks, and tells the operator; nothing is done to anybody, as chance does the
//! same once in a while.
//!
//! An account that is as it should be is counted anew from time to time
//! ([`Luck::is_full`](mining::luck::Luck::is_full)).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mining::luck::Expected;
use store::{AccountLuck, PoolId, ReadError, Store, WriteError};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    clock,
    metrics::Metrics,
    tasks::{Stage, Tasks},
};

/// How often accounts are looked at. Each look reads all workers.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// With fewer expected blocks chance explains anything.
const LOOKED_AT_FROM: Expected = Expected::whole(9);

/// The suspicious accounts, as the API sees them. Clones share them.
#[derive(Clone)]
pub struct Suspects {
    store: Store,
    pool: PoolId,
    metrics: Arc<Metrics>,
    addresses: Arc<Mutex<BTreeSet<String>>>,
}

/// Starts to look at the accounts of a pool.
pub fn start(store: Store, pool: PoolId, metrics: Arc<Metrics>, tasks: &Tasks) -> Suspects {
    let suspects = Suspects {
        store,
        pool,
        metrics,
        addresses: Arc::default(),
    };
    let looking = suspects.clone().run(tasks.ending(Stage::Books));
    tasks.spawn(Stage::Books, "luck", looking);
    suspects
}

impl Suspects {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// The accounts with enough work to be looked at, as they are now.
    pub async fn looked_at(&self) -> Result<Vec<AccountLuck>, ReadError> {
        self.store.lucks(self.pool, LOOKED_AT_FROM).await
    }

    /// Counts an account anew, by an operator who has looked into it.
    pub async fn count_anew(&self, address: &str) -> Result<(), WriteError> {
        self.store
            .count_anew(self.pool, address, clock::now_ms())
            .await?;
        let mut addresses = self.lock();
        if addresses.remove(address) {
            info!(address, "an account is counted anew, and suspected no more");
        }
        self.tell(addresses.len());
        Ok(())
    }

    async fn run(self, ending: CancellationToken) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut outage = false;
        while ending.run_until_cancelled(tick.tick()).await.is_some() {
            match self.look().await {
                Ok(()) => outage = false,
                Err(cause) if !outage => {
                    outage = true;
                    error!(
                        cause = format!("{cause:#}"),
                        "nobody looks at the luck of accounts"
                    );
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    async fn look(&self) -> anyhow::Result<()> {
        let mut suspicious = BTreeSet::new();
        for account in self.looked_at().await? {
            let luck = account.since;
            if luck.is_suspicious() {
                suspicious.insert(account.address.clone());
                self.note(&account);
            } else if luck.is_full() {
                let now = clock::now_ms();
                self.store
                    .count_anew(self.pool, &account.address, now)
                    .await?;
            }
        }
        let mut addresses = self.lock();
        for address in addresses.difference(&suspicious) {
            info!(address, "an account is suspected no more");
        }
        self.tell(suspicious.len());
        *addresses = suspicious;
        Ok(())
    }

    /// Tells of an account, once.
    fn note(&self, account: &AccountLuck) {
        let address = &account.address;
        if !self.lock().contains(address) {
            let luck = account.since;
            warn!(
                address,
                expected = %luck.expected,
                found = luck.found,
                once_in = luck.odds(),
                "an account finds far fewer blocks than its work should"
            );
        }
    }

    fn tell(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.suspects.set(count);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
