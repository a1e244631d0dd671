//! `adit pool`: a pool, from one configuration file.

use std::{path::PathBuf, sync::Arc};

use clap::Parser;
use tracing::info;

use super::config::SettingsArguments;
use crate::{
    alerts, api,
    config::{self, BadConfig, Config, PublicPoolPorts},
    data,
    devices::Devices,
    http::Rules,
    listener::{House, StatusPage},
    open_files, pool,
    tasks::{Failures, Stage, Tasks},
    telemetry,
};

/// Run a pool
#[derive(Debug, Parser)]
pub(crate) struct Pool {
    #[command(flatten)]
    settings: SettingsArguments,
}

impl Pool {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (layers, mut config) = self.settings.read()?;
        let settings = api::Setting::all(&layers, &config);
        drop(layers);
        telemetry::start(&config.log)?;
        let (tasks, failures) = Tasks::new();
        let ports = config.open_public_pool_ports();
        // From the beginning: a pool that is stopped while it starts ends in order, too.
        let stopped = stop_signal();
        let served = tokio::select! {
            served = serve(&config, settings, ports, &tasks, failures) => served,
            () = stopped => {
                info!("stopping");
                Ok(())
            }
        };
        let in_time = tasks.shut_down().await;
        served?;
        anyhow::ensure!(in_time, "not everything ended in time");
        Ok(())
    }
}

/// Runs all pools of the configuration until a failure.
async fn serve(
    config: &Config,
    settings: Vec<api::Setting>,
    ports: Option<PublicPoolPorts>,
    tasks: &Tasks,
    mut failures: Failures,
) -> anyhow::Result<()> {
    let room = config.pool.iter().map(config::Pool::connections_max);
    let room: Vec<usize> = room.collect();
    let wanted = room
        .iter()
        .fold(0_usize, |sum, room| sum.saturating_add(*room));
    let devices = Devices::start(config.devices.clone(), tasks)?;
    let status_page = StatusPage::new(&config.http).map_err(BadConfig::Value)?;
    let rules = Rules::new(&config.http).map_err(BadConfig::Value)?;
    let lock = data::lock(&config.data)?;
    let files = open_files::share(wanted, config.http.connections_max);
    let house = House {
        devices,
        status_page,
        files: files.miners,
        holder: lock.name().to_owned(),
    };
    let terms = alerts::Terms::new(&config.alerts, config.http.url.as_deref())?;
    let mut pools = Vec::new();
    let store = data::open_store(&config.data, config.database.as_deref()).await?;
    let (ended, opened) = (tasks.ending(Stage::Database), store.clone());
    tasks.spawn(Stage::Database, "database", async move {
        ended.cancelled().await;
        opened.close().await;
        Ok(())
    });
    for settings in &config.pool {
        pools.push(pool::start(settings, &config.data, &store, &house, &terms, tasks).await?);
    }
    alerts::start(&terms, &pools, &room, &config.data, tasks).await?;
    if let Some(ports) = ports
        && let Some(pool) = pools.get(ports.pool)
    {
        let files = Arc::clone(&files.http);
        api::open_for_nerdminers(ports.http, pool.clone(), &rules, files, tasks).await?;
    }
    let door = api::Door {
        rules,
        settings,
        store,
        files: files.http,
    };
    api::open(door, pools, &config.compat, tasks).await?;
    info!(version = env!("CARGO_PKG_VERSION"), data = %config.data.display(), "adit runs");
    Err(anyhow::anyhow!(failures.first().await))
}

/// Waits for Ctrl-C or, from a service manager, SIGTERM. They are heard from the call on, not only once it
/// is waited for.
pub(crate) fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = |kind| signal(kind).expect("a handler of signals can be installed");
    let (mut terminate, mut interrupt) = (
        heard(SignalKind::terminate()),
        heard(SignalKind::interrupt()),
    );
    async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// The configuration file that is read when none is named.
pub(crate) fn default_file() -> PathBuf {
    PathBuf::from("adit.toml")
}
