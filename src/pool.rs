//! One pool, wired: daemons, templates, share log, blocks, listeners. Read this to know what feeds
//! what.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use mining::{
    Address, Coin, Difficulty, Network, ban::Rule, bucket::Limit, coinbase::Payees,
    extranonce::Allocator, seen::Seen, vardiff,
};
use store::{PoolId, Store};
use tokio::sync::{Semaphore, watch};

use crate::{
    bans::{self, Bans},
    block::Blocks,
    clock,
    config::{self, BadConfig, TlsMode},
    connection::{Context, Rules},
    daemon::{self, Daemons, Feed, FirstBlock},
    data, devices, first_block,
    kept_sessions::KeptSessions,
    listener::{self, Certificate, House, Limits, Port, StatusPage, Tls},
    mailbox::{Mailboxes, Notice},
    metrics::Metrics,
    networks::Networks,
    proposal::{self, Proposals},
    sessions::Sessions,
    share_log,
    tasks::{Stage, Tasks},
    template_feed::{self, FIRST_TIP, JobIds, Newest, Recipe},
};

/// Extranonces leased at a time: enough for a storm of reconnects, and 4,096 leases go by before
/// the first one comes up again.
const LEASE: u32 = 1 << 20;
/// How often the lease is looked at.
const LEASE_CHECK: Duration = Duration::from_secs(1);
/// A reply must not wait longer for company.
const COMMIT_WAIT_MAX_MS: u64 = 1_000;
/// How long a daemon may take to show that it can be mined with.
const TRY_DAEMON: Duration = Duration::from_secs(15);
/// A longer ban is a matter for a firewall.
const BAN_MAX_S: u32 = 30 * 24 * 60 * 60;
/// The longest time that shares count towards a ban.
const BAN_WINDOW_MAX_S: u32 = 24 * 60 * 60;
/// So many seconds' worth of messages may come at once: what a proxy sends after a pause.
const MESSAGES_BURST_S: u32 = 4;
/// The longest tag that leaves room in every coinbase.
const TAG_MAX: usize = 38;

/// A running pool, as the API sees it.
#[derive(Clone)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The coin.
    pub coin: &'static Coin,
    /// The coin's network.
    pub network: Network,
    /// Its key in the store.
    pub id: PoolId,
    /// The store.
    pub store: Store,
    /// The nodes.
    pub daemons: Daemons,
    /// The newest work.
    pub newest: watch::Receiver<Newest>,
    /// What the daemon would refuse.
    pub proposals: Proposals,
    /// What became of the blocks that were found.
    pub blocks: Blocks,
    /// Who is connected.
    pub sessions: Sessions,
    /// Who may not be.
    pub bans: Bans,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where miners connect.
    pub listening: Vec<SocketAddr>,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: i64,
}

/// Settings that make sense: parsed and checked before anything is started.
struct Plan {
    coin: &'static Coin,
    recipe: Recipe,
    /// What each listener allows, in the order of the settings.
    rules: Vec<Rules>,
    /// Their ports, likewise.
    ports: Vec<Port>,
    bans: bans::Settings,
}

fn bad(settings: &config::Pool, text: &str) -> BadConfig {
    BadConfig::Value(format!("pool {:?}: {text}", settings.name))
}

impl Plan {
    fn new(settings: &config::Pool) -> Result<Self, BadConfig> {
        let bad = |text: String| bad(settings, &text);
        let coin: &'static Coin = settings
            .coin
            .parse()
            .map_err(|error| bad(format!("{error}")))?;
        if coin.on(settings.network).is_none() {
            return Err(bad(format!(
                "{} has no network {}",
                coin.name, settings.network
            )));
        }
        if settings.payout_address.is_empty() {
            return Err(bad(
                "payout_address is not set: it is where rewards go".into()
            ));
        }
        let address = Address::parse(coin, settings.network, &settings.payout_address)
            .map_err(|error| bad(format!("payout_address: {error}")))?;
        let tag = settings.coinbase_tag.as_bytes();
        if tag.len() > TAG_MAX
            || !settings
                .coinbase_tag
                .chars()
                .all(|c| c == ' ' || c.is_ascii_graphic())
        {
            return Err(bad(format!(
                "coinbase_tag: at most {TAG_MAX} printable ASCII characters"
            )));
        }
        let version_mask = wire::hex::u32_padded(&settings.version_mask)
            .ok_or_else(|| bad("version_mask: eight hexadecimal digits".into()))?;
        let sizes = mining::coinbase::EXTRANONCE2_SIZE_MIN..=mining::coinbase::EXTRANONCE2_SIZE_MAX;
        if !sizes.contains(&settings.extranonce2_size) {
            return Err(bad("extranonce2_size: 2 to 8".into()));
        }
        if settings.refresh_s == 0 {
            return Err(bad("refresh_s: at least 1".into()));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        // It is a folder's name too.
        if !settings.name.chars().all(is_name) || settings.name.trim_matches('.').is_empty() {
            return Err(bad(
                "name: letters, digits, '.', '_' and '-', not dots alone".into(),
            ));
        }
        if settings.daemon.is_empty() {
            return Err(bad("a pool needs a [[pool.daemon]]".into()));
        }
        for daemon in &settings.daemon {
            daemon.check().map_err(|error| bad(format!("{error:#}")))?;
        }
        if settings.listener.is_empty() {
            return Err(bad("a pool needs a [[pool.listener]]".into()));
        }
        let shares = &settings.shares;
        if shares.keep_shares_days == 0 || shares.keep_minutes_days == 0 {
            return Err(bad(
                "keep_shares_days and keep_minutes_days: at least 1".into()
            ));
        }
        if shares.commit_wait_ms > COMMIT_WAIT_MAX_MS {
            return Err(bad(format!("commit_wait_ms: at most {COMMIT_WAIT_MAX_MS}")));
        }
        let rules = settings
            .listener
            .iter()
            .map(|listener| rules(listener, settings, coin, version_mask).map_err(bad))
            .collect::<Result<_, _>>()?;
        let ports = settings
            .listener
            .iter()
            .map(|listener| port(listener).map_err(bad))
            .collect::<Result<_, _>>()?;
        let bans = ban_settings(&settings.bans).map_err(bad)?;
        let recipe = Recipe {
            tag: tag.to_vec(),
            payees: Payees {
                outputs: Vec::new(),
                keeper: address.script().to_vec(),
            },
            extranonce2_size: settings.extranonce2_size,
            algorithm: coin.algorithm,
            refresh: Duration::from_secs(settings.refresh_s),
        };
        Ok(Self {
            coin,
            recipe,
            rules,
            ports,
            bans,
        })
    }
}

/// What a listener allows, from its settings.
fn rules(
    listener: &config::Listener,
    settings: &config::Pool,
    coin: &Coin,
    version_mask: u32,
) -> Result<Rules, String> {
    let default_address = listener
        .default_address
        .as_ref()
        .map(|address| Address::parse(coin, settings.network, address))
        .transpose()
        .map_err(|error| format!("default_address: {error}"))?;
    let difficulty = |name: &str, number: f64| {
        Difficulty::from_f64(number).ok_or_else(|| format!("{name}: a number above zero"))
    };
    let min = difficulty("min_difficulty", listener.min_difficulty)?;
    let max = difficulty("max_difficulty", listener.max_difficulty)?;
    let start_difficulty = difficulty("start_difficulty", listener.start_difficulty)?;
    if min > max || start_difficulty < min || start_difficulty > max {
        return Err("min_difficulty <= start_difficulty <= max_difficulty must hold".into());
    }
    for (name, value) in [
        ("connections_max", listener.connections_max),
        (
            "connections_per_address_max",
            listener.connections_per_address_max,
        ),
        (
            "connections_per_network_max",
            listener.connections_per_network_max,
        ),
    ] {
        if value == 0 || value > Semaphore::MAX_PERMITS {
            return Err(format!("{name}: 1 to {}", Semaphore::MAX_PERMITS));
        }
    }
    for (name, value) in [
        ("share_time_s", listener.share_time_s),
        ("handshake_s", listener.handshake_s),
        ("idle_s", listener.idle_s),
        ("shareless_s", listener.shareless_s),
    ] {
        if value == 0 || value > 86_400 {
            return Err(format!("{name}: 1 to 86400"));
        }
    }
    Ok(Rules {
        vardiff: vardiff::Limits {
            min,
            max,
            share_time_ms: listener.share_time_s * 1000,
            harder_only: false,
        },
        start_difficulty,
        extranonce2_size: settings.extranonce2_size,
        version_mask,
        handshake: Duration::from_secs(listener.handshake_s),
        idle: Duration::from_secs(listener.idle_s),
        shareless: Duration::from_secs(listener.shareless_s),
        messages: Limit {
            per_second: listener.messages_per_second_max,
            burst: listener
                .messages_per_second_max
                .saturating_mul(MESSAGES_BURST_S),
        },
        shares_per_second: listener.shares_per_second_max,
        heed_suggestions: listener.heed_suggestions,
        default_address,
    })
}

/// Starts a pool. Its tasks end with `tasks`.
pub async fn start(
    settings: &config::Pool,
    data: &Path,
    store: &Store,
    house: &House,
    tasks: &Tasks,
) -> anyhow::Result<Pool> {
    let plan = Plan::new(settings)?;
    let coin = plan.coin;
    let metrics = Arc::new(Metrics::new(&settings.name, coin.name));
    let id = store.pool(&settings.name, coin, settings.network).await?;

    // template: daemons -> templates -> jobs
    let kept_blocks = data.join("blocks").join(&settings.name);
    let first_block = FirstBlock::to_be_confirmed();
    let (daemons, templates) = daemon::start(
        settings.daemon.clone(),
        coin,
        settings.network,
        kept_blocks,
        first_block.clone(),
        tasks,
    )
    .map_err(|error| bad(settings, &format!("{error:#}")))?;
    first_block::confirm(first_block, daemons.clone(), store.clone(), id, tasks);
    let job_ids = JobIds::new();
    let newest = template_feed::follow(templates, plan.recipe, job_ids.clone(), tasks);

    let proposals = proposal::start(
        newest.clone(),
        daemons.clone(),
        settings.extranonce2_size,
        Arc::clone(&metrics),
        tasks,
    );

    // share: connections -> share log -> store; blocks -> daemons
    let seen = Arc::new(Seen::of_tip(
        FIRST_TIP,
        store.newest_hashes(id).await.context("no shares")?,
    ));
    let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    let log = share_log::Config {
        commit_wait: Duration::from_millis(settings.shares.commit_wait_ms),
        keep_shares: days(settings.shares.keep_shares_days),
        keep_minutes: days(settings.shares.keep_minutes_days),
    };
    let share_log = share_log::start(store.clone(), id, log, tasks);
    let blocks = Blocks::start(
        daemons.clone(),
        store.clone(),
        id,
        coin.maturity,
        Arc::clone(&metrics),
        tasks,
    );
    let prefixes = lease_extranonces(store.clone(), id, tasks).await?;
    let sessions = Sessions::default();
    let kept_sessions = KeptSessions::default();
    let mailboxes = Mailboxes::default();
    post_notices(newest.clone(), mailboxes.clone(), tasks);
    let bans = bans::start(
        plan.bans,
        store.clone(),
        id,
        mailboxes.clone(),
        Arc::clone(&metrics),
        tasks,
    )
    .await
    .context("the list of bans")?;

    let mut listening = Vec::new();
    for (port, rules) in plan.ports.into_iter().zip(plan.rules) {
        let context = Arc::new(Context {
            coin,
            network: settings.network,
            newest: newest.clone(),
            job_ids: job_ids.clone(),
            prefixes: prefixes.clone(),
            seen: Arc::clone(&seen),
            share_log: share_log.clone(),
            blocks: blocks.clone(),
            kept_sessions: kept_sessions.clone(),
            store: store.clone(),
            pool: id,
            mailboxes: mailboxes.clone(),
            sessions: sessions.clone(),
            bans: bans.clone(),
            metrics: Arc::clone(&metrics),
            devices: house.devices.clone(),
            rules,
        });
        listening.push(listener::open(port, house, context, tasks).await?);
    }
    Ok(Pool {
        name: settings.name.clone(),
        coin,
        network: settings.network,
        id,
        store: store.clone(),
        daemons,
        newest,
        proposals,
        blocks,
        sessions,
        bans,
        metrics,
        listening,
        started_ms: clock::now_ms(),
    })
}

/// Tells all connections of newer work, and that the pool is stopping.
fn post_notices(mut newest: watch::Receiver<Newest>, mailboxes: Mailboxes, tasks: &Tasks) {
    let stopping = tasks.ending(Stage::Doors);
    tasks.spawn(Stage::Doors, "notices", async move {
        loop {
            tokio::select! {
                changed = newest.changed() => match changed {
                    Ok(()) => mailboxes.post(Notice::Work),
                    Err(_) => break,
                },
                () = stopping.cancelled() => break,
            }
        }
        mailboxes.post(Notice::Stop);
        Ok(())
    });
}

/// A listener's port, from its settings. Reads the certificate.
fn port(listener: &config::Listener) -> Result<Port, String> {
    let proxy_from =
        Networks::parse(&listener.proxy_from).map_err(|error| format!("proxy_from: {error}"))?;
    let files = (&listener.tls_certificate, &listener.tls_key);
    let tls = match (listener.tls, files) {
        (TlsMode::Off, _) => None,
        (mode, (Some(certificate), Some(key))) => Some(Tls {
            certificate: Certificate::load(certificate, key)
                .map_err(|error| format!("TLS at {}: {error}", listener.listen))?,
            only: mode == TlsMode::Only,
        }),
        (TlsMode::On | TlsMode::Only, _) => {
            return Err("TLS needs tls_certificate and tls_key".into());
        }
    };
    Ok(Port {
        address: listener.listen,
        limits: Limits {
            connections: listener.connections_max,
            per_address: listener.connections_per_address_max,
            per_network: listener.connections_per_network_max,
        },
        proxy_from,
        tls,
    })
}

fn ban_settings(settings: &config::Bans) -> Result<bans::Settings, String> {
    // All of a hundred would ban nobody: that is what `enabled` is for.
    if settings.invalid_percent > 99 {
        return Err("bans.invalid_percent: 0 to 99".into());
    }
    for (name, value, most) in [
        ("shares_min", settings.shares_min, u32::MAX),
        ("window_s", settings.window_s, BAN_WINDOW_MAX_S),
        ("ban_s", settings.ban_s, BAN_MAX_S),
    ] {
        if value == 0 || value > most {
            return Err(format!("bans.{name}: 1 to {most}"));
        }
    }
    let rule = Rule {
        invalid_percent: settings.invalid_percent,
        shares_min: settings.shares_min.into(),
        window_ms: i64::from(settings.window_s) * 1000,
    };
    Ok(bans::Settings {
        rule: settings.enabled.then_some(rule),
        lasts: Duration::from_secs(settings.ban_s.into()),
        exempt: Networks::parse(&settings.exempt)
            .map_err(|error| format!("bans.exempt: {error}"))?,
    })
}

/// Takes a lease now and another one whenever half of it is spent.
async fn lease_extranonces(store: Store, pool: PoolId, tasks: &Tasks) -> anyhow::Result<Allocator> {
    let allocator = Allocator::default();
    allocator.lease(
        store
            .lease_extranonce(pool, LEASE)
            .await
            .context("no lease of extranonces")?,
    );
    let leasing = allocator.clone();
    let stopping = tasks.ending(Stage::Doors);
    tasks.spawn(Stage::Doors, "extranonces", async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LEASE_CHECK) => {}
                () = stopping.cancelled() => return Ok(()),
            }
            if leasing.left() < u64::from(LEASE / 2) {
                match store.lease_extranonce(pool, LEASE).await {
                    Ok(range) => leasing.lease(range),
                    Err(error) => tracing::warn!(%error, "no new lease of extranonces"),
                }
            }
        }
    });
    Ok(allocator)
}

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

/// Tries what a configuration needs: settings, daemons, database, ports.
pub(crate) async fn check(config: &config::Config) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut note = |what: String, result: anyhow::Result<String>| {
        let (ok, found) = match result {
            Ok(found) => (true, found),
            Err(error) => (false, format!("{error:#}")),
        };
        checks.push(Check { what, ok, found });
    };
    for pool in &config.pool {
        let plan = Plan::new(pool).map_err(anyhow::Error::from);
        let coin = plan.as_ref().ok().map(|plan| plan.coin);
        note(
            format!("settings of pool {}", pool.name),
            plan.map(|_| "make sense".into()),
        );
        if pool.daemon.is_empty() {
            let none = Err(anyhow::anyhow!("none is configured"));
            note(format!("daemon of pool {}", pool.name), none);
        }
        for daemon in &pool.daemon {
            if let Some(coin) = coin {
                let result = try_daemon(daemon, coin, pool.network).await;
                note(format!("daemon {}", daemon.name()), result);
            }
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
    if let Err(error) = StatusPage::new(&config.http) {
        note("settings of HTTP".into(), Err(anyhow::anyhow!(error)));
    }
    note(
        format!("port for HTTP {}", config.http.listen),
        try_port(config.http.listen),
    );
    let store = data::open_store(&config.data).await;
    note(
        format!("database in {}", config.data.display()),
        store.map(|_| "opens and is of this version".into()),
    );
    checks
}

/// Follows a daemon as the pool would, until it gives a template or says why not.
async fn try_daemon(
    daemon: &daemon::Config,
    coin: &'static Coin,
    network: Network,
) -> anyhow::Result<String> {
    let (tasks, _failures) = Tasks::new();
    let nowhere = std::path::PathBuf::from("/nonexistent");
    let (daemons, mut templates) = daemon::start(
        vec![daemon.clone()],
        coin,
        network,
        nowhere,
        FirstBlock::any(),
        &tasks,
    )?;
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

fn try_port(address: SocketAddr) -> anyhow::Result<String> {
    listener::is_free(address)?;
    Ok("free".into())
}
