//! `adit pool`: a pool, from one configuration file.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use super::config::SettingsArguments;
use crate::{
    alerts, api,
    bans::Bans,
    config::{self, BadConfig, Config, PublicPoolPorts},
    data,
    devices::Devices,
    http::Rules,
    listener::{House, SharedPorts, StatusPage},
    open_files, pool,
    reload::Reload,
    systemd::{self, Sockets},
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
        let sockets = Sockets::inherited();
        // From the beginning: a pool that is stopped while it starts ends in order, too, and none ends
        // because it was told to read its settings again.
        let stopped = stop_signal();
        let hangup = signal(SignalKind::hangup()).context("no handler for SIGHUP")?;
        let (layers, config) = self.settings.read()?;
        let filter = telemetry::start(&config.log)?;
        let (tasks, failures) = Tasks::new();
        let house = Opening {
            settings: api::Setting::all(&layers, &config),
            sockets,
            tasks: &tasks,
        };
        let served = async {
            let mut opened = config.clone();
            let ports = opened.open_public_pool_ports();
            let bans = house.open(&opened, ports).await?;
            let reload = Reload::new(layers, config, filter, bans);
            self.follow(reload, hangup, failures).await
        };
        let served = tokio::select! {
            served = served => served,
            () = stopped => {
                info!("stopping");
                Ok(())
            }
        };
        systemd::stopping();
        let in_time = tasks.shut_down().await;
        served?;
        anyhow::ensure!(in_time, "not everything ended in time");
        Ok(())
    }

    /// Says that the pools run, and reads the settings again whenever it is told to, until a failure.
    async fn follow(
        &self,
        mut reload: Reload,
        mut hangup: Signal,
        mut failures: Failures,
    ) -> anyhow::Result<()> {
        systemd::ready();
        let watched = systemd::watchdog();
        loop {
            // A runtime that comes to a halt says no more that it is alive.
            let alive = tokio::time::sleep(watched.unwrap_or(Duration::MAX));
            tokio::select! {
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

/// What pools are opened with, beside their configuration.
struct Opening<'a> {
    settings: Vec<api::Setting>,
    sockets: Sockets,
    tasks: &'a Tasks,
}

impl Opening<'_> {
    /// Opens all pools of the configuration, and gives the bans of each.
    async fn open(
        self,
        config: &Config,
        ports: Option<PublicPoolPorts>,
    ) -> anyhow::Result<Vec<Bans>> {
        let tasks = self.tasks;
        let room = config.pool.iter().map(config::Pool::connections_max);
        let room: Vec<usize> = room.collect();
        let wanted = room
            .iter()
            .fold(0_usize, |sum, room| sum.saturating_add(*room));
        let devices = Devices::start(config.devices.clone(), tasks)?;
        let status_page = StatusPage::new(&config.http).map_err(BadConfig::Value)?;
        let rules = Rules::new(&config.http).map_err(BadConfig::Value)?;
        let shared_ports = SharedPorts::of(&config.pool)?;
        let lock = data::lock(&config.data)?;
        let files = open_files::share(wanted, config.http.connections_max);
        let house = House {
            devices,
            status_page,
            files: files.miners,
            holder: lock.name().to_owned(),
            sockets: self.sockets,
            shared_ports,
        };
        let terms = alerts::Terms::new(&config.alerts, config.http.url.as_deref())?;
        let mut pools = Vec::new();
        let store = data::open_store(&config.data, config.database.as_deref()).await?;
        let (ended, opened) = (tasks.ending(Stage::Database), store.clone());
        tasks.spawn(Stage::Database, "database", async move {
            ended.cancelled().await;
            opened.close().await;
            // The directory is this process's until nothing of it writes there any more.
            drop(lock);
            Ok(())
        });
        for settings in &config.pool {
            pools.push(pool::start(settings, &config.data, &store, &house, &terms, tasks).await?);
        }
        alerts::start(&terms, &pools, &room, &config.data, tasks).await?;
        let door = api::Door {
            rules,
            settings: self.settings,
            store,
            files: files.http,
            sockets: house.sockets.clone(),
        };
        if let Some(ports) = ports
            && let Some(pool) = pools.get(ports.pool)
        {
            api::open_for_nerdminers(ports.http, pool.clone(), &door, tasks).await?;
        }
        let bans = pools.iter().map(|pool: &pool::Pool| pool.bans.clone());
        let bans = bans.collect();
        api::open(door, pools, &config.compat, tasks).await?;
        house.sockets.close_rest();
        info!(version = env!("CARGO_PKG_VERSION"), data = %config.data.display(), "adit runs");
        Ok(bans)
    }
}

/// Waits for Ctrl-C or, from a service manager, SIGTERM. They are heard from the call on, not only once it
/// is waited for.
pub(crate) fn stop_signal() -> impl Future<Output = ()> {
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
