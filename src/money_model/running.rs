//! The running pool, as far as it handles money: its store, and the tasks that follow blocks, book them
//! and pay, each of which looks when it is told to. A restart opens all of it anew.

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use mining::{
    Address, Amount, Coin, Network, Scheme,
    accounting::{Fee, Fees, Multiple, Percent},
    payout::Policy,
};
use store::{Durability, PoolId, Settings, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    CONFIRMATIONS, MATURITY, PAYMENTS_MAX, POOL_FEE, THRESHOLD, WINDOW_IN_BLOCKS, chain::Chain,
    fees, pay_to,
};
use crate::{
    accounting::{self, Accounting, ReserveConfig},
    block::{Blocks, Maturity},
    daemon::{self, Daemons, FirstBlock, wallet::Wallet},
    metrics::Metrics,
    payout::{self, Payer, Purse, Trouble},
    tasks::Tasks,
};

/// Two processes that would pay.
pub(super) const PAYERS: [&str; 2] = ["here", "there"];
/// An operator's chain: fees are what they are.
const FEE_RATE: Amount = Amount::from_units(5_000);

pub(super) struct Running {
    url: String,
    coin: &'static Coin,
    daemons: Daemons,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    node: daemon::Config,
    unclear_after: Duration,
    /// The fee of the pool's own, in hundredths of a percent.
    pub(super) pool_fee: u64,
    pub(super) store: Store,
    pub(super) pool: PoolId,
    pub(super) blocks: Blocks,
    pub(super) accounting: Accounting,
    payers: [Payer; 2],
    folder: TempDir,
}

impl Running {
    pub(super) async fn start(chain: &Chain, unclear_after: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("pool.db").display());
        let coin: &'static Coin = "bitcoin".parse().unwrap();
        let (tasks, _) = Tasks::new();
        let node = chain.daemon();
        let kept = folder.path().join("blocks");
        let first = FirstBlock::any();
        let (daemons, _) = daemon::start(
            vec![node.clone()],
            coin,
            Network::Regtest,
            "",
            kept,
            first,
            &tasks,
        )
        .unwrap();
        let metrics = Arc::new(Metrics::new("main", coin.name));
        let config = accounting_config(coin, POOL_FEE);
        let (store, pool) = open(&url, &config).await;
        let accounting = Accounting::new(store.clone(), pool, config);
        let payers = PAYERS.map(|name| {
            let config = payout_config(coin, unclear_after);
            payer(&store, pool, &node, config, name, &metrics)
        });
        let blocks = blocks(&daemons, &store, pool, &folder, &metrics, &tasks);
        Self {
            url,
            coin,
            daemons,
            tasks,
            metrics,
            node,
            unclear_after,
            pool_fee: POOL_FEE,
            store,
            pool,
            blocks,
            accounting,
            payers,
            folder,
        }
    }

    /// What was in memory is gone.
    pub(super) async fn restart(&mut self) {
        self.store.close().await;
        let config = accounting_config(self.coin, self.pool_fee);
        (self.store, self.pool) = open(&self.url, &config).await;
        let (store, pool) = (&self.store, self.pool);
        self.accounting = Accounting::new(store.clone(), pool, config);
        self.payers = PAYERS.map(|name| {
            let config = payout_config(self.coin, self.unclear_after);
            payer(store, pool, &self.node, config, name, &self.metrics)
        });
        let (daemons, folder) = (&self.daemons, &self.folder);
        self.blocks = blocks(daemons, store, pool, folder, &self.metrics, &self.tasks);
    }

    /// Asks the chain what became of blocks.
    pub(super) async fn follow(&self) {
        while self.daemons.health()[0].fit.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.blocks.look(true).await.unwrap();
    }

    /// One look of a process that pays, which may fail; it says so if it was all.
    pub(super) async fn pay(&mut self, payer: usize, waits: usize) -> bool {
        let mut trouble = Trouble::default();
        let look = self.payers[payer].look(&mut trouble);
        ended_after(waits, look).await.is_some()
    }
}

/// Carries something out until it is done, or it has waited so many times: then it is dropped where it
/// is, as if its process had ended.
pub(super) async fn ended_after<T>(waits: usize, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut left) = (pin!(work), waits);
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// As a process of this configuration begins.
pub(super) async fn open(url: &str, config: &accounting::Config) -> (Store, PoolId) {
    let settings = Settings {
        durability: Durability::Normal,
        ..Settings::default()
    };
    let store = Store::open_with(url, settings).await.unwrap();
    let pool = store.pool("main", config.coin, Network::Regtest).await;
    let pool = pool.unwrap();
    store.agree_fees(pool, &config.fees).await.unwrap();
    (store, pool)
}

pub(super) fn accounting_config(coin: &'static Coin, pool_fee: u64) -> accounting::Config {
    let fee = |(name, hundredths): (&str, u64)| Fee {
        name: name.to_owned(),
        percent: percent(hundredths),
    };
    let fees = fees(pool_fee);
    let (remainder, _) = fees[fees.len() - 1];
    accounting::Config {
        coin,
        schemes: vec![Scheme::Pplns, Scheme::Prop, Scheme::Solo],
        fees: Fees::new(fees.map(fee).to_vec(), remainder).unwrap(),
        window: Multiple::from_hundredths(WINDOW_IN_BLOCKS * 100).unwrap(),
        reserve: ReserveConfig {
            every: Duration::from_secs(1),
            least: 0,
        },
        split: None,
    }
}

fn payout_config(coin: &'static Coin, unclear_after: Duration) -> payout::Config {
    let fee_addresses = fees(POOL_FEE).into_iter().filter_map(|(name, _)| {
        let (address, _) = pay_to(&format!("fee:{name}"))?;
        let address = Address::parse(coin, Network::Regtest, &address).unwrap();
        Some((name.to_owned(), address))
    });
    payout::Config {
        coin,
        network: Network::Regtest,
        policy: Policy {
            threshold: Amount::from_units(THRESHOLD),
            least: Amount::from_units(1_000),
            payments_max: PAYMENTS_MAX,
            batch_min: Amount::ZERO,
            fee_max: percent(100),
        },
        confirmations: CONFIRMATIONS,
        every: Duration::ZERO,
        fee_rate: Some(FEE_RATE),
        fee_addresses: fee_addresses.collect(),
        unclear_after,
        shared_wallet: false,
    }
}

fn percent(hundredths: u64) -> Percent {
    Percent::from_hundredths(u16::try_from(hundredths).unwrap()).unwrap()
}

fn payer(
    store: &Store,
    pool: PoolId,
    node: &daemon::Config,
    config: payout::Config,
    name: &str,
    metrics: &Arc<Metrics>,
) -> Payer {
    let wallet = Wallet::new(node, None, config.coin).unwrap();
    let (metrics, ending) = (Arc::clone(metrics), CancellationToken::new());
    let purse = Purse::Wallet(wallet);
    Payer::new(store.clone(), pool, purse, config, name, metrics, ending)
}

fn blocks(
    daemons: &Daemons,
    store: &Store,
    pool: PoolId,
    folder: &TempDir,
    metrics: &Arc<Metrics>,
    tasks: &Tasks,
) -> Blocks {
    let (daemons, store, metrics) = (daemons.clone(), store.clone(), Arc::clone(metrics));
    Blocks::new(
        daemons,
        store,
        pool,
        Maturity {
            confirmations: MATURITY,
            // A model leaves more blocks than any network.
            orphan_rate: "100".parse().unwrap(),
        },
        folder.path(),
        metrics,
        tasks,
    )
}
