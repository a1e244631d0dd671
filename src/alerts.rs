//! Tells people what they asked to be told: miners of their workers, blocks and payments, the operator of
//! what is wrong with the pool.
//!
//! One task a pool looks at the store and at what the process knows, every few seconds ([`watch`]); what
//! it sees goes into the outbox of the store, and from there to its places ([`outbox`]). Nothing of that
//! is called by whoever takes shares or pays, and nothing waits for it. The rules are in
//! `mining::alert`.

pub mod config;
mod discord;
mod email;
mod mqtt;
mod ntfy;
mod outbox;
pub(crate) mod place;
mod post;
pub(crate) mod reach;
mod sender;
mod telegram;
mod token;
mod watch;
mod webhook;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use mining::alert::{Kinds, Sink};
use store::{NewSubscription, Store, SubscriptionLimits, SubscriptionSecret};
use tracing::warn;

use self::{reach::Reach, sender::Sender};
pub(crate) use self::{
    token::{Token, new_secret},
    watch::facts,
};
use crate::{
    clock,
    config::BadConfig,
    networks::Networks,
    pool::Pool,
    tasks::{Stage, Tasks},
};

/// How often what is too old is forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// What miners are offered, and how copies are sent: the settings, checked.
pub struct Terms {
    settings: config::Config,
    operator_kinds: Kinds,
    sender: Arc<Sender>,
    /// The kinds of places that miners can ask for.
    pub(crate) sinks: Vec<Sink>,
    /// How many.
    pub(crate) limits: SubscriptionLimits,
    /// What they may reach.
    pub(crate) reach: Reach,
    /// Where people find the pool's pages, without a slash at the end; nothing if nobody has said.
    pub(crate) page: Option<String>,
}

impl std::fmt::Debug for Terms {
    /// Nothing of the operator's places, which hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terms")
            .field("sinks", &self.sinks)
            .finish_non_exhaustive()
    }
}

impl Terms {
    /// From the settings.
    pub fn new(settings: &config::Config, page: Option<&str>) -> Result<Arc<Self>, BadConfig> {
        let terms = Self::checked(settings, page);
        terms.map(Arc::new).map_err(BadConfig::Value)
    }

    fn checked(settings: &config::Config, page: Option<&str>) -> Result<Self, String> {
        settings.check()?;
        let miners = &settings.miners;
        let reachable = Networks::parse(&miners.reachable)
            .map_err(|error| format!("alerts.miners.reachable: {error}"))?;
        let reach = Reach::Public(reachable);
        let sender = Sender::new(settings, reach.clone(), page)?;
        let mut sinks = Vec::new();
        for name in &miners.sinks {
            let sink = Sink::of_name(name).filter(|sink| *sink != Sink::Mqtt);
            let sink =
                sink.ok_or_else(|| format!("alerts.miners.sinks: {name:?} is none for miners"))?;
            // A miner has to find the link by which it confirms.
            let can =
                sender.can_reach_miners(sink) && (!sink.is_confirmed_first() || page.is_some());
            if settings.enabled && can && !sinks.contains(&sink) {
                sinks.push(sink);
            }
        }
        Ok(Self {
            operator_kinds: settings.operator_kinds()?,
            sender: Arc::new(sender),
            sinks,
            limits: SubscriptionLimits {
                of_address: miners.of_address_max,
                of_pool: miners.subscriptions_max,
                an_hour: miners.changes_per_hour_max,
            },
            reach,
            page: page.map(|page| page.trim_end_matches('/').to_owned()),
            settings: settings.clone(),
        })
    }
}

/// Starts to watch the pools of a process and to send what there is to tell. `room` has the connections
/// that each pool may have.
pub async fn start(
    terms: &Terms,
    pools: &[Pool],
    room: &[usize],
    data: &Path,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let Some(first) = pools.first() else {
        return Ok(());
    };
    let store = &first.store;
    let settings = &terms.settings;
    let operator = |sink| NewSubscription {
        sink,
        target: String::new(),
        target_digest: place::digest(sink, ""),
        kinds: terms.operator_kinds,
        secret: SubscriptionSecret(new_secret()),
    };
    let mut operators: Vec<NewSubscription> = Vec::new();
    if settings.enabled {
        operators.extend(terms.sender.operator_sinks().into_iter().map(operator));
    }
    store
        .set_operator_subscriptions(&operators, clock::now_ms())
        .await
        .context("the operator's alerts")?;
    if !settings.enabled {
        skip_news(pools, tasks);
        return Ok(());
    }
    for (place, pool) in pools.iter().enumerate() {
        // The disk is that of all pools.
        let disk = (place == 0).then(|| data.to_owned());
        let room = room.get(place).copied().unwrap_or(usize::MAX);
        watch::start(pool.clone(), settings.clone(), room, disk, tasks).await?;
    }
    if let Some(broker) = terms.sender.broker() {
        mqtt::start(broker, &settings.mqtt, pools, tasks).map_err(BadConfig::Value)?;
    }
    outbox::start(store, &terms.sender, tasks);
    prune(store.clone(), settings.keep_days, tasks);
    Ok(())
}

/// What happens while nobody is told is no news later.
fn skip_news(pools: &[Pool], tasks: &Tasks) {
    let pools = pools.to_vec();
    let ending = tasks.ending(Stage::Books);
    tasks.spawn(Stage::Books, "no alerts", async move {
        loop {
            for pool in &pools {
                if let Err(error) = pool.store.skip_news(pool.id).await {
                    warn!(%error, "what is no news cannot be noted");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PRUNE_EVERY) => {}
                () = ending.cancelled() => return Ok(()),
            }
        }
    });
}

fn prune(store: Store, keep_days: u32, tasks: &Tasks) {
    let keep_ms = i64::from(keep_days) * 24 * 60 * 60 * 1000;
    let ending = tasks.ending(Stage::Books);
    tasks.spawn(Stage::Books, "prune alerts", async move {
        loop {
            let wait = match store.prune_alerts(clock::now_ms() - keep_ms).await {
                Ok(true) => PRUNE_EVERY,
                Ok(false) => Duration::from_secs(1),
                Err(error) => {
                    warn!(%error, "old alerts cannot be forgotten");
                    PRUNE_EVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = ending.cancelled() => return Ok(()),
            }
        }
    });
}
