//! `adit pool`: a pool, from one configuration file.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::config::SettingsArguments;
use crate::{
    api,
    config::{BadConfig, Config, Layers},
    data,
    devices::Devices,
    listener::{House, StatusPage},
    open_files, pool,
    reload::Reload,
    systemd::{self, Sockets},
    tasks::{Failures, Stage, Tasks},
    telemetry::{self, Filter},
};

/// Run a pool
#[derive(Debug, Parser)]
pub(crate) struct Pool {
    #[command(flatten)]
    settings: SettingsArguments,
}

impl Pool {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let sockets = Sockets::inherited();
        let (layers, config) = self.settings.read()?;
        let filter = telemetry::start(&config.log)?;
        let (tasks, failures) = Tasks::new();
        let begun = (layers, filter);
        let served = self.serve(&config, begun, sockets, &tasks, failures).await;
        systemd::stopping();
        let in_time = tasks.shut_down().await;
        served?;
        anyhow::ensure!(in_time, "not everything ended in time");
        Ok(())
    }

    /// Runs all pools of the configuration until a signal or a failure.
    async fn serve(
        &self,
        config: &Config,
        (layers, filter): (Layers, Filter),
        sockets: Sockets,
        tasks: &Tasks,
        mut failures: Failures,
    ) -> anyhow::Result<()> {
        let listeners = config.pool.iter().flat_map(|pool| &pool.listener);
        let wanted = listeners.fold(0_usize, |sum, listener| {
            sum.saturating_add(listener.connections_max)
        });
        let devices = Devices::start(config.devices.clone(), tasks)?;
        let status_page = StatusPage::new(&config.http).map_err(BadConfig::Value)?;
        let lock = data::lock(&config.data)?;
        let house = House {
            devices,
            status_page,
            files: open_files::for_miners(wanted),
            holder: lock.name().to_owned(),
            sockets,
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
        let bans = pools.iter().map(|pool: &pool::Pool| pool.bans.clone());
        let mut reload = Reload::new(layers, config.clone(), filter, bans.collect());
        api::open(config.http.listen, &house.sockets, pools, tasks).await?;
        house.sockets.close_rest();
        info!(version = env!("CARGO_PKG_VERSION"), data = %config.data.display(), "adit runs");
        systemd::ready();
        let mut hangup = signal(SignalKind::hangup()).context("no handler for SIGHUP")?;
        let stop = stop_signal();
        tokio::pin!(stop);
        let watched = systemd::watchdog();
        loop {
            // A runtime that comes to a halt says no more that it is alive.
            let alive = tokio::time::sleep(watched.unwrap_or(Duration::MAX));
            tokio::select! {
                () = &mut stop => {
                    info!("stopping");
                    return Ok(());
                }
                failure = failures.first() => return Err(anyhow::anyhow!(failure)),
                Some(()) = hangup.recv() => {
                    systemd::reloading();
                    reload.take(self.settings.read());
                    systemd::ready();
                }
                () = alive, if watched.is_some() => systemd::alive(),
            }
        }
    }
}

/// Waits for Ctrl-C or, from a service manager, SIGTERM.
pub(crate) async fn stop_signal() {
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
