//! What all sequences share, as it costs time to build: a store, a share log, blocks and devices,
//! all real. No share and no block comes to them: the test is the share log, and no hash is a block.

use std::sync::Arc;

use mining::{Address, Coin, Network};
use store::{PoolId, Store};

use crate::{
    block::{Blocks, Maturity},
    daemon::{self, FirstBlock},
    devices::Devices,
    metrics::Metrics,
    share_log::{self, ShareLog},
    tasks::Tasks,
};

pub(super) const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

pub(super) struct House {
    pub(super) coin: &'static Coin,
    pub(super) address: Address,
    pub(super) store: Store,
    pub(super) pool: PoolId,
    pub(super) share_log: ShareLog,
    pub(super) blocks: Blocks,
    pub(super) metrics: Arc<Metrics>,
    pub(super) devices: Devices,
    /// Nothing that was spawned on it runs after the start.
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl House {
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let coin: &'static Coin = "bitcoin".parse().unwrap();
        let network = Network::Regtest;
        let url = format!("sqlite:{}", folder.path().join("pool.db").display());
        let (tasks, _) = Tasks::new();
        let metrics = Arc::new(Metrics::new("main", coin.name));
        let (store, pool, share_log, blocks) = runtime.block_on(async {
            let store = Store::open(&url).await.unwrap();
            let pool = store.pool("main", coin, network).await.unwrap();
            let log = share_log::start(store.clone(), pool, share_log::Config::default(), &tasks);
            let nobody = toml::from_str("url = \"http://127.0.0.1:1\"").unwrap();
            let kept = folder.path().join("blocks");
            let notes = kept.clone();
            let (daemons, _) = daemon::start(
                vec![nobody],
                coin,
                network,
                "",
                kept,
                FirstBlock::any(),
                &tasks,
            )
            .unwrap();
            let counted = Arc::clone(&metrics);
            let maturity = Maturity {
                confirmations: 100,
                orphan_rate: "1".parse().unwrap(),
            };
            let blocks = Blocks::start(
                daemons,
                store.clone(),
                pool,
                maturity,
                &notes,
                counted,
                &tasks,
            );
            (store, pool, log, blocks)
        });
        Self {
            coin,
            address: Address::parse(coin, network, ADDRESS).unwrap(),
            store,
            pool,
            share_log,
            blocks,
            metrics,
            devices: Devices::start(None, &tasks).unwrap(),
            _runtime: runtime,
            _folder: folder,
        }
    }
}
