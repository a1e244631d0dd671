//! `/api/v1/events`: what changes, as server-sent events. One task puts it together for everybody, and
//! only while somebody listens; who reads too slowly misses a turn and holds up nobody.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    convert::Infallible,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};

use axum::{
    Extension,
    extract::{FromRequestParts, Query},
    http::{StatusCode, request::Parts},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream;
use mining::address::ADDRESS_LEN_MAX;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use super::{
    blocks::BlockStatus,
    pools::PoolSummary,
    problem::{Error, Problem},
};
use crate::{
    display,
    http::Peer,
    listener::{Addresses, Counted},
    pool::Pool,
    tasks::{Stage, Tasks},
};

/// Between two turns.
const EVERY: Duration = Duration::from_secs(2);
/// Listeners are told of a turn one group after the other, all through the time until the next one: a
/// thousand of them at once would be in the way of every share that comes meanwhile.
const GROUPS: usize = 40;
/// Listeners at a time, so that they leave descriptors and memory to miners.
const LISTENERS_MAX: usize = 2_000;
/// Listeners from one address, or one /64 of IPv6, and from one /24, or one /48: beside all pages that a
/// household has open. This machine has no such limit, as a proxy may stand on it.
const PER_ADDRESS: usize = 20;
const PER_NETWORK: usize = 200;
/// A client whose connection is lost comes back after that.
const RETRY: Duration = Duration::from_secs(3);

/// Where events come from. Clones share it.
#[derive(Clone)]
pub(crate) struct Live {
    groups: Arc<[watch::Sender<Option<Arc<Turn>>>; GROUPS]>,
    places: Arc<Semaphore>,
    addresses: Addresses,
    stopping: CancellationToken,
}

/// What was so at one time.
pub(crate) struct Turn {
    /// Its number, from 1 on since the process started.
    pub(crate) number: u64,
    /// The pools.
    pub(crate) pools: Vec<PoolSummary>,
    /// Who is connected, by address.
    pub(crate) miners: HashMap<String, MinerNow>,
    /// The text of the pages' own event, made when the first of them asks.
    pub(crate) page: OnceLock<Arc<str>>,
    /// What is told of each pool, likewise.
    told: OnceLock<Vec<PoolTold>>,
}

/// A miner's connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct MinerNow {
    /// How many there are.
    pub(crate) connected: u64,
    /// Shares accepted on them.
    pub(crate) accepted: u64,
    /// Shares refused on them.
    pub(crate) rejected: u64,
    /// The last accepted share.
    pub(crate) last_share: Option<String>,
}

/// A pool's events.
struct PoolTold {
    name: String,
    pool: Arc<str>,
    /// The newest blocks, the oldest of them first.
    blocks: Vec<BlockTold>,
}

/// A block's event, if it is new or has changed.
struct BlockTold {
    hash: String,
    state: (&'static str, u32),
    text: String,
}

/// A block that is new or has changed.
#[derive(Serialize)]
struct PoolBlock<'a> {
    pool: &'a str,
    #[serde(flatten)]
    block: &'a BlockStatus,
}

/// What to listen for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Also tell of this miner's connections.
    pub(crate) address: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for EventsQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(query): Query<Self> =
            query.map_err(|rejection| Problem::bad("bad_query", rejection.body_text()))?;
        if query
            .address
            .as_ref()
            .is_some_and(|text| text.len() > ADDRESS_LEN_MAX)
        {
            return Err(Problem::long_address());
        }
        Ok(query)
    }
}

/// What changes
///
/// Server-sent events, every two seconds if there is something to tell: `pool` is a pool as
/// `/api/v1/pools/{pool}` has it without its list of blocks, `block` a block that is new or has
/// changed, `miner` the connections of `address`. Each has a number; after a lost connection all is
/// told anew.
#[utoipa::path(
    get, path = "/api/v1/events", operation_id = "events", tag = "pool",
    params(EventsQuery),
    responses(
        (status = 200, description = "Events.", body = String, content_type = "text/event-stream"),
        (status = 400, description = "The address makes no sense.", body = Error),
        (status = 429, description = "Too many listen from there already.", body = Error),
        (status = 503, description = "Too many listen already.", body = Error)
    )
)]
pub(crate) async fn listen(
    Extension(live): Extension<Live>,
    peer: Peer,
    query: EventsQuery,
) -> Result<Response, Problem> {
    let address = query.address;
    let mut told: BTreeMap<String, Arc<str>> = BTreeMap::new();
    let mut told_of_miner = String::new();
    let mut blocks: BTreeMap<(String, String), (&'static str, u32)> = BTreeMap::new();
    let mut is_first = true;
    live.answer(peer, move |turn| {
        let mut events = Vec::new();
        for pool in turn.told() {
            if told.get(&pool.name) != Some(&pool.pool) {
                told.insert(pool.name.clone(), Arc::clone(&pool.pool));
                events.push(Event::default().event("pool").data(&pool.pool));
            }
            for block in &pool.blocks {
                let key = (pool.name.clone(), block.hash.clone());
                if blocks.insert(key, block.state) != Some(block.state) && !is_first {
                    events.push(Event::default().event("block").data(&block.text));
                }
            }
        }
        is_first = false;
        if let Some(address) = &address {
            let now = turn.miners.get(address).cloned().unwrap_or_default();
            let json = serde_json::to_string(&now).unwrap_or_default();
            if told_of_miner != json {
                told_of_miner.clone_from(&json);
                events.push(Event::default().event("miner").data(json));
            }
        }
        events
    })
}

impl PoolTold {
    fn new(pool: &PoolSummary) -> Self {
        let blocks = pool.blocks.last.iter().rev().map(|block| {
            let told = PoolBlock {
                pool: &pool.name,
                block,
            };
            BlockTold {
                hash: block.hash.clone(),
                state: (block.state, block.confirmations),
                text: serde_json::to_string(&told).unwrap_or_default(),
            }
        });
        Self {
            name: pool.name.clone(),
            pool: pool_alone(pool).into(),
            blocks: blocks.collect(),
        }
    }
}

/// A pool without its list of blocks, which come one by one.
fn pool_alone(pool: &PoolSummary) -> String {
    let mut json = serde_json::to_value(pool).unwrap_or_default();
    if let Some(blocks) = json
        .get_mut("blocks")
        .and_then(|blocks| blocks.as_object_mut())
    {
        blocks.remove("last");
    }
    json.to_string()
}

impl Live {
    /// Starts to put events together.
    pub(crate) fn start(pools: Vec<Pool>, tasks: &Tasks) -> Self {
        let live = Self {
            groups: Arc::new(std::array::from_fn(|_| watch::Sender::new(None))),
            places: Arc::new(Semaphore::new(LISTENERS_MAX)),
            addresses: Addresses::new(PER_ADDRESS, PER_NETWORK),
            stopping: tasks.ending(Stage::Doors),
        };
        let (groups, stopping) = (Arc::clone(&live.groups), live.stopping.clone());
        tasks.spawn(Stage::Doors, "events", async move {
            let mut number = 0;
            let mut ticks = tokio::time::interval(EVERY / u32::try_from(GROUPS)?);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                // What is old is not told to whoever comes later.
                let mut turn = None;
                if groups.iter().any(|group| group.receiver_count() > 0) {
                    number += 1;
                    // Why the store cannot be read is told by whoever asks it; listeners wait.
                    turn = Turn::new(number, &pools).await.ok().map(Arc::new);
                }
                for group in groups.iter() {
                    if turn.is_some() || group.borrow().is_some() {
                        group.send_replace(turn.clone());
                    }
                    tokio::select! {
                        _ = ticks.tick() => {}
                        () = stopping.cancelled() => return Ok(()),
                    }
                }
            }
        });
        live
    }

    /// Answers with a stream of what `tell` makes of each turn.
    pub(crate) fn answer(
        &self,
        peer: Peer,
        tell: impl FnMut(&Turn) -> Vec<Event> + Send + 'static,
    ) -> Result<Response, Problem> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = "too many listen already; ask /api/v1/pools instead";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many", message)
        })?;
        let counted = match peer.is_local() {
            true => None,
            false => Some(self.addresses.enter(peer.party()).ok_or_else(|| {
                let message = "too many listen from there already";
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", message)
            })?),
        };
        // The group with the fewest.
        let group = self
            .groups
            .iter()
            .min_by_key(|group| group.receiver_count());
        let group = group.unwrap_or(&self.groups[0]);
        let mut turns = group.subscribe();
        // What is there already is told at once.
        turns.mark_changed();
        let listener = Listener {
            turns,
            stopping: self.stopping.clone(),
            tell: Box::new(tell),
            waiting: VecDeque::new(),
            is_new: true,
            _place: (place, counted),
        };
        let events = stream::unfold(listener, |mut listener| async move {
            let event = listener.next().await?;
            Some((Ok::<_, Infallible>(event), listener))
        });
        Ok(Sse::new(events)
            .keep_alive(KeepAlive::default())
            .into_response())
    }
}

/// What somebody is told of a turn.
type Tell = Box<dyn FnMut(&Turn) -> Vec<Event> + Send>;

/// Somebody who listens.
struct Listener {
    turns: watch::Receiver<Option<Arc<Turn>>>,
    stopping: CancellationToken,
    tell: Tell,
    waiting: VecDeque<Event>,
    is_new: bool,
    _place: (OwnedSemaphorePermit, Option<Counted>),
}

impl Listener {
    /// The next event; nothing once the process ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            tokio::select! {
                changed = self.turns.changed() => changed.ok()?,
                () = self.stopping.cancelled() => return None,
            }
            let turn = self.turns.borrow_and_update().clone();
            let Some(turn) = turn else { continue };
            for event in (self.tell)(&turn) {
                let mut event = event.id(turn.number.to_string());
                if std::mem::take(&mut self.is_new) {
                    event = event.retry(RETRY);
                }
                self.waiting.push_back(event);
            }
        }
    }
}

impl Turn {
    /// What is told of each pool, made once for everybody.
    fn told(&self) -> &[PoolTold] {
        let make = || self.pools.iter().map(PoolTold::new).collect();
        self.told.get_or_init(make)
    }

    async fn new(number: u64, pools: &[Pool]) -> anyhow::Result<Self> {
        let mut turn = Self {
            number,
            pools: Vec::with_capacity(pools.len()),
            miners: HashMap::new(),
            page: OnceLock::new(),
            told: OnceLock::new(),
        };
        let mut last: HashMap<String, i64> = HashMap::new();
        for pool in pools {
            turn.pools.push(PoolSummary::of(pool).await?);
            for session in pool.sessions.list() {
                let address = session.worker.address.as_str();
                let now = turn.miners.entry(address.to_owned()).or_default();
                now.connected += 1;
                now.accepted += session.accepted.load(Ordering::Relaxed);
                now.rejected += session.rejected();
                let share_ms = session.last_share_ms.load(Ordering::Relaxed);
                let newest = last.entry(address.to_owned()).or_default();
                *newest = share_ms.max(*newest);
            }
        }
        for (address, share_ms) in last {
            if let Some(now) = turn.miners.get_mut(&address).filter(|_| share_ms > 0) {
                now.last_share = Some(display::time(share_ms));
            }
        }
        Ok(turn)
    }
}
