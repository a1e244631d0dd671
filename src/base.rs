//! What a process has once, whatever pools it runs: its data directory, the database, devices, and how many
//! files may be open.
//!
//! Called by `adit pool`, which starts its pools once, and by `adit node`, which starts them anew with each
//! mode.

use std::{path::PathBuf, sync::Arc};

use store::Store;
use tokio::sync::Semaphore;
use tracing::info;

use crate::{
    alerts, api,
    bans::WorkerBans,
    config::{self, BadConfig, Config},
    data,
    devices::Devices,
    http::Rules,
    listener::{House, SharedPorts, StatusPage},
    open_files,
    pool::{self, Pool},
    systemd::Sockets,
    tasks::{Stage, Tasks},
};

/// What is opened first, and closed last.
pub(crate) struct Base {
    data: PathBuf,
    store: Store,
    devices: Devices,
    status_page: StatusPage,
    sockets: Sockets,
    worker_bans: WorkerBans,
    holder: String,
    rules: Rules,
    settings: Vec<api::Setting>,
    terms: Arc<alerts::Terms>,
    /// Connections that the listeners of each pool of the settings allow.
    room: Vec<usize>,
    /// A permit for each file: of miners, and of HTTP.
    files: (Arc<Semaphore>, Arc<Semaphore>),
}

impl Base {
    /// Takes the data directory, and opens the database. Its tasks end with `tasks`.
    pub(crate) async fn open(
        config: &Config,
        settings: Vec<api::Setting>,
        sockets: Sockets,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let config = &{
            let mut config = config.clone();
            config.open_public_pool_ports();
            config
        };
        let room = config.pool.iter().map(config::Pool::connections_max);
        let room: Vec<usize> = room.collect();
        let wanted = room
            .iter()
            .fold(0_usize, |sum, room| sum.saturating_add(*room));
        let devices = Devices::start(config.devices.clone(), tasks)?;
        let status_page = StatusPage::new(&config.http).map_err(BadConfig::Value)?;
        let rules = Rules::new(&config.http).map_err(BadConfig::Value)?;
        // Before anything is taken that another process may have.
        SharedPorts::of(&config.pool)?;
        let lock = data::lock(&config.data)?;
        let files = open_files::share(wanted, config.http.connections_max);
        let terms = alerts::Terms::new(&config.alerts, config.http.url.as_deref())?;
        let holder = lock.name().to_owned();
        let store = data::open_store(&config.data, config.database.as_deref()).await?;
        let (ended, opened) = (tasks.ending(Stage::Database), store.clone());
        tasks.spawn(Stage::Database, "database", async move {
            ended.cancelled().await;
            opened.close().await;
            // The directory is this process's until nothing of it writes there any more.
            drop(lock);
            Ok(())
        });
        Ok(Self {
            data: config.data.clone(),
            store,
            devices,
            status_page,
            sockets,
            worker_bans: WorkerBans::default(),
            holder,
            rules,
            settings,
            terms,
            room,
            files: (files.miners, files.http),
        })
    }

    /// Starts all pools of these settings, in their order. Their tasks end with `tasks`, and what they wrote
    /// down is there for the next ones.
    pub(crate) async fn pools(&self, config: &Config, tasks: &Tasks) -> anyhow::Result<Vec<Pool>> {
        let mut config = config.clone();
        let ports = config.open_public_pool_ports();
        let house = House {
            devices: self.devices.clone(),
            status_page: self.status_page.clone(),
            files: Arc::clone(&self.files.0),
            holder: self.holder.clone(),
            sockets: self.sockets.clone(),
            worker_bans: self.worker_bans.clone(),
            shared_ports: SharedPorts::of(&config.pool)?,
        };
        let mut pools = Vec::new();
        for settings in &config.pool {
            let started = pool::start(
                settings,
                &self.data,
                &self.store,
                &house,
                &self.terms,
                tasks,
            );
            pools.push(started.await?);
        }
        alerts::start(&self.terms, &pools, &self.room, &self.data, tasks).await?;
        if let Some(ports) = ports
            && let Some(pool) = pools.get(ports.pool)
        {
            api::open_for_nerdminers(ports.http, pool.clone(), &self.door(), tasks).await?;
        }
        Ok(pools)
    }

    /// What the HTTP port needs.
    pub(crate) fn door(&self) -> api::Door {
        api::Door {
            rules: self.rules.clone(),
            settings: self.settings.clone(),
            store: self.store.clone(),
            files: Arc::clone(&self.files.1),
            sockets: self.sockets.clone(),
        }
    }

    /// Says that all is open: sockets of the run before that nobody took are closed.
    pub(crate) fn is_open(&self) {
        self.sockets.close_rest();
        info!(version = env!("CARGO_PKG_VERSION"), data = %self.data.display(), "adit runs");
    }

    /// Where the process keeps what is its own.
    pub(crate) fn data(&self) -> &std::path::Path {
        &self.data
    }
}
