//! Looks at a pool every few seconds and writes down what there is to tell. It reads the store and what
//! the process knows anyway, and is called by nobody.
//!
//! What a look saw is written in one transaction with the places that were looked at. Where that fails,
//! nothing new is looked at until it is written.

mod chain;
mod miners;
mod operator;
mod troubles;

use std::{collections::HashMap, path::PathBuf, time::Duration};

use anyhow::Context as _;
use mining::alert::{Event, Kinds};
use serde_json::{Map, Value};
use store::{Audience, NewAlert, Seen};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::{miners::Miners, operator::Operator, troubles::Troubles};
use super::config::Config;
use crate::{
    clock,
    pool::Pool,
    tasks::{Stage, Tasks},
};

/// How often a pool is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the list of subscribers is read.
const SUBSCRIBERS_EVERY_MS: i64 = 10_000;
/// How often troubles that nobody ends are looked for.
const SWEEP_EVERY_MS: i64 = 60 * 60 * 1000;

/// Starts to watch a pool of so much room. Whoever has a disk to watch gets it.
pub(super) async fn start(
    pool: Pool,
    settings: Config,
    room: usize,
    disk: Option<PathBuf>,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let known = pool.store.alert_conditions(pool.id).await;
    let known = known.with_context(|| format!("the alerts of pool {}", pool.name))?;
    let watch = Watch {
        miners: Miners::new(&settings),
        operator: Operator::new(
            operator::counts(&pool.metrics),
            &settings,
            room,
            disk,
            clock::now_ms(),
        ),
        troubles: Troubles::new(known),
        subscribers: HashMap::new(),
        read_ms: None,
        swept_ms: clock::now_ms(),
        unwritten: Seen::default(),
        fails: false,
        pool,
    };
    let ending = tasks.ending(Stage::Books);
    tasks.spawn(Stage::Books, "watch", watch.run(ending));
    Ok(())
}

struct Watch {
    pool: Pool,
    miners: Miners,
    operator: Operator,
    troubles: Troubles,
    /// The addresses that have subscriptions, with what they want.
    subscribers: HashMap<String, Kinds>,
    /// When they were read.
    read_ms: Option<i64>,
    swept_ms: i64,
    unwritten: Seen,
    /// The last look failed; it is told once.
    fails: bool,
}

impl Watch {
    async fn run(mut self, ending: CancellationToken) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = ending.cancelled() => return Ok(()),
            }
            let looked = self.look(clock::now_ms()).await;
            match &looked {
                Err(error) if !self.fails => {
                    let error = format!("{error:#}");
                    warn!(pool = self.pool.name, error, "nobody is told anything new");
                }
                _ => {}
            }
            self.fails = looked.is_err();
        }
    }

    async fn look(&mut self, now_ms: i64) -> anyhow::Result<()> {
        if self.unwritten.is_empty() {
            self.see(now_ms).await?;
        }
        if !self.unwritten.is_empty() {
            let Self {
                pool, unwritten, ..
            } = self;
            let copies = pool.store.note_alerts(pool.id, unwritten, now_ms).await?;
            let alerts = unwritten.alerts.len();
            if alerts > 0 {
                debug!(pool = pool.name, alerts, copies, "alerts written");
            }
            self.unwritten = Seen::default();
        }
        Ok(())
    }

    /// What was seen before an error stays: it is in the memory of whoever saw it too.
    async fn see(&mut self, now_ms: i64) -> anyhow::Result<()> {
        let Self {
            pool,
            troubles,
            subscribers,
            unwritten: seen,
            ..
        } = self;
        let is_due = |last: i64| now_ms < last || now_ms - last >= SUBSCRIBERS_EVERY_MS;
        if self.read_ms.is_none_or(is_due) {
            *subscribers = pool.store.subscribed(pool.id).await?.into_iter().collect();
            self.read_ms = Some(now_ms);
        }
        chain::look(pool, troubles, seen, now_ms).await?;
        self.operator.look(pool, troubles, seen, now_ms).await?;
        self.miners
            .look(pool, subscribers, troubles, seen, now_ms)
            .await?;
        if now_ms < self.swept_ms || now_ms - self.swept_ms >= SWEEP_EVERY_MS {
            self.swept_ms = now_ms;
            troubles.sweep(seen, now_ms);
        }
        Ok(())
    }
}

/// An alert for somebody.
fn alert(audience: Audience, event: Event) -> NewAlert {
    NewAlert {
        facts: facts(&event),
        audience,
        event,
    }
}

/// The numbers of an event, as a JSON object.
pub(crate) fn facts(event: &Event) -> String {
    let facts = event.facts().into_iter();
    let facts: Map<String, Value> = facts
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    Value::Object(facts).to_string()
}
