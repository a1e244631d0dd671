//! `adit pool`: a pool, from one configuration file.

use std::path::PathBuf;

use clap::Parser;
use tracing::info;

use super::config::SettingsArguments;
use crate::{
    api,
    config::BadConfig,
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
        let (layers, config) = self.settings.read()?;
        let settings = api::Setting::all(&layers, &config);
        drop(layers);
        telemetry::start(&config.log)?;
        let (tasks, failures) = Tasks::new();
        let served = serve(&config, settings, &tasks, failures).await;
        let in_time = tasks.shut_down().await;
        served?;
        anyhow::ensure!(in_time, "not everything ended in time");
        Ok(())
    }
}

/// Runs all pools of the configuration until a signal or a failure.
async fn serve(
    config: &crate::config::Config,
    settings: Vec<api::Setting>,
    tasks: &Tasks,
    mut failures: Failures,
) -> anyhow::Result<()> {
    let listeners = config.pool.iter().flat_map(|pool| &pool.listener);
    let wanted = listeners.fold(0_usize, |sum, listener| {
        sum.saturating_add(listener.connections_max)
    });
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
    let mut pools = Vec::new();
    let store = data::open_store(&config.data, config.database.as_deref()).await?;
    let (ended, opened) = (tasks.ending(Stage::Database), store.clone());
    tasks.spawn(Stage::Database, "database", async move {
        ended.cancelled().await;
        opened.close().await;
        Ok(())
    });
    for settings in &config.pool {
        pools.push(pool::start(settings, &config.data, &store, &house, tasks).await?);
    }
    let door = api::Door {
        rules,
        settings,
        store,
        files: files.http,
    };
    api::open(door, pools, tasks).await?;
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
