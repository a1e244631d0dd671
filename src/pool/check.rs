//! What `adit config --check` tries: settings, daemons, wallets, database, ports.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use mining::{Coin, Network};

use super::plan::Plan;
use crate::{
    alerts, config,
    daemon::{self, Feed},
    data, devices,
    http::Rules,
    listener::{self, SharedPorts, StatusPage},
    payout::Purse,
    tasks::Tasks,
    verifier,
};

/// How long a daemon may take to show that it can be mined with.
const TRY_DAEMON: Duration = Duration::from_secs(15);

/// Something that was tried.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Check {
    /// What.
    pub(crate) what: String,
    /// Whether it works.
    pub(crate) ok: bool,
    /// What was found.
    pub(crate) found: String,
}

/// Tries what a configuration needs: settings, daemons, wallets, database, ports.
pub(crate) async fn check(config: &config::Config) -> Vec<Check> {
    // With the second pair of ports, as the pool opens it.
    let mut config = config.clone();
    let ports = config.open_public_pool_ports();
    let mut checks = Vec::new();
    let mut note = |what: String, result: anyhow::Result<String>| {
        let (ok, found) = match result {
            Ok(found) => (true, found),
            Err(error) => (false, format!("{error:#}")),
        };
        checks.push(Check { what, ok, found });
    };
    if let Err(error) = SharedPorts::of(&config.pool) {
        note("ports of all pools".into(), Err(error.into()));
    }
    for pool in &config.pool {
        let plan = Plan::new(pool).map_err(anyhow::Error::from);
        let coin = plan.as_ref().ok().map(|plan| plan.coin);
        let purse = match &plan {
            Ok(Plan {
                payout: Some((purse, _)),
                ..
            }) => Some(try_purse(purse, pool).await),
            _ => None,
        };
        note(
            format!("settings of pool {}", pool.name),
            plan.map(|plan| match plan.verifier.and_then(|it| it.sampling) {
                None => "make sense".into(),
                Some(rule) => format!("make sense; {}", verifier::told(rule)),
            }),
        );
        if pool.daemon.is_empty() {
            let none = Err(anyhow::anyhow!("none is configured"));
            note(format!("daemon of pool {}", pool.name), none);
        }
        for daemon in &pool.daemon {
            if let Some(coin) = coin {
                let pays = &pool.payout_address;
                let result = try_daemon(daemon, coin, pool.network, pays).await;
                note(format!("daemon {}", daemon.name()), result);
            }
        }
        if let Some(found) = purse {
            note(format!("wallet of pool {}", pool.name), found);
        }
        for listener in &pool.listener {
            note(
                format!("port for miners {}", listener.listen),
                try_port(listener.listen),
            );
        }
    }
    if let Some(path) = &config.devices {
        let found = devices::read(path)
            .map(|profiles| format!("{} devices", profiles.list().len()))
            .map_err(anyhow::Error::from);
        note(format!("devices in {}", path.display()), found);
    }
    if let Err(error) = alerts::Terms::new(&config.alerts, config.http.url.as_deref()) {
        note("settings of alerts".into(), Err(error.into()));
    }
    let page = StatusPage::new(&config.http).map(drop);
    if let Err(error) = page.and_then(|()| Rules::new(&config.http).map(drop)) {
        note("settings of HTTP".into(), Err(anyhow::anyhow!(error)));
    }
    note(
        format!("port for HTTP {}", config.http.listen),
        try_port(config.http.listen),
    );
    if let Some(ports) = ports {
        note(
            format!("port for NerdMiners' HTTP {}", ports.http),
            try_port(ports.http),
        );
    }
    let store = data::open_store(&config.data, config.database.as_deref()).await;
    note(
        match config.database {
            Some(_) => "database".to_owned(),
            None => format!("database in {}", config.data.display()),
        },
        store.map(|_| "opens and is of this version".into()),
    );
    checks
}

/// Follows a daemon as the pool would, until it gives a template or says why not.
pub(crate) async fn try_daemon(
    daemon: &daemon::Config,
    coin: &'static Coin,
    network: Network,
    pays: &str,
) -> anyhow::Result<String> {
    let (tasks, _failures) = Tasks::new();
    let (daemons, mut templates) = daemon::try_out(daemon.clone(), coin, network, pays, &tasks)?;
    let settled = templates.wait_for(|feed| !matches!(feed, Feed::Waiting));
    let in_time = tokio::time::timeout(TRY_DAEMON, settled).await.is_ok();
    let health = daemons.health();
    tasks.shut_down().await;
    ensure!(in_time, "no answer in {} s", TRY_DAEMON.as_secs());
    let health = health.first().context("no daemon")?;
    match &health.fit {
        Ok(()) => Ok(format!("at height {}", health.height.unwrap_or_default())),
        Err(reason) => anyhow::bail!("{reason}"),
    }
}

/// Asks the wallet what it has.
async fn try_purse(purse: &Purse, pool: &config::Pool) -> anyhow::Result<String> {
    let coin: &Coin = pool.coin.parse()?;
    let balance = purse.look().await?;
    let (has, ticker) = (balance.in_coins(coin.decimals), coin.ticker);
    Ok(match purse.misses_blocks().await? {
        None => format!("has {has} {ticker}"),
        Some(reason) => format!("has {has} {ticker}, BUT {reason}"),
    })
}

fn try_port(address: SocketAddr) -> anyhow::Result<String> {
    listener::is_free(address)?;
    Ok("free".into())
}
