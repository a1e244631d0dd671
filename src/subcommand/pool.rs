//! `adit pool`: a pool, from one configuration file.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use super::config::SettingsArguments;
use crate::{
    api,
    base::Base,
    reload::Reload,
    systemd::{self, Sockets},
    tasks::{Failures, Tasks},
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
        let served = async {
            let settings = api::Setting::all(&layers, &config);
            let base = Base::open(&config, settings, sockets, &tasks).await?;
            let pools = base.pools(&config, &tasks).await?;
            let bans = pools.iter().map(|pool| pool.bans.clone()).collect();
            api::open(base.door(), pools, &config.compat, &tasks).await?;
            base.is_open();
            let reload = Reload::new(layers, config, filter, bans);
            self.follow(reload, hangup, failures).await
        };
        let served = until(stopped, served).await;
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

/// Serves until it fails or is told to stop, which is said to whoever has started the process.
pub(crate) async fn until(
    stopped: impl Future<Output = ()>,
    served: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let served = tokio::select! {
        served = served => served,
        () = stopped => {
            info!("stopping");
            Ok(())
        }
    };
    systemd::stopping();
    served
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
