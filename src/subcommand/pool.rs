//! `adit pool`: a pool, from one configuration file.

use std::path::PathBuf;

use clap::Parser;
use tracing::info;

use super::config::SettingsArguments;
use crate::{
    alerts, api,
    config::{self, BadConfig, Config, PublicPoolPorts},
    data,
    devices::Devices,
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
        drop(layers);
        telemetry::start(&config.log)?;
        let (tasks, failures) = Tasks::new();
        let ports = config.open_public_pool_ports();
        let served = serve(&config, ports, &tasks, failures).await;
        let in_time = tasks.shut_down().await;
        served?;
        anyhow::ensure!(in_time, "not everything ended in time");
        Ok(())
    }
}

/// Runs all pools of the configuration until a signal or a failure.
async fn serve(
    config: &Config,
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
    let lock = data::lock(&config.data)?;
    let house = House {
        devices,
        status_page,
        files: open_files::for_miners(wanted),
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
        api::open_for_nerdminers(ports.http, pool.clone(), tasks).await?;
    }
    api::open(config.http.listen, pools, &config.compat, tasks).await?;
    info!(version = env!("CARGO_PKG_VERSION"), data = %config.data.display(), "adit runs");
    tokio::select! {
        () = stop_signal() => {
            info!("stopping");
            Ok(())
        }
        failure = failures.first() => Err(anyhow::anyhow!(failure)),
    }
}

/// Waits for Ctrl-C or, from a service manager, SIGTERM.
pub(crate) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate =
        signal(SignalKind::terminate()).expect("a handler for SIGTERM can be installed");
    tokio::select! {
        // An error means that Ctrl-C cannot be seen; then SIGTERM has to do.
        Ok(()) = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// The configuration file that is read when none is named.
pub(crate) fn default_file() -> PathBuf {
    PathBuf::from("adit.toml")
}
