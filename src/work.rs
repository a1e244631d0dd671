//! The HTTP work protocol: workers that register, fetch jobs and send shares by plain HTTP, at the same ports
//! as Stratum and by the same rules.
//!
//! ```text
//! POST /pool/register -> token, extra nonces | GET /pool/job -> job | POST /pool/share -> accepted
//! ```
//!
//! Everything also answers below `/api/pool`. [`Work`] is what the workers of one port have in common; what
//! one of them does is in [`worker`]. A worker is who shows the token that it was given; who does not register
//! anew or ask for five minutes is forgotten.

mod answer;
mod bans;
mod estimate;
mod figures;
mod job;
mod kept;
mod refused;
mod solo;
mod stats;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, State},
    http::{HeaderMap, HeaderName, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use mining::{
    Address,
    accounting::{Fee, Fees},
    api_key::{ApiKey, KEY_BYTES},
    nonce_range::Ranges,
    username::{Username, worker_name},
};
use serde::Serialize;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use wire::work::{AskJob, BODY_MAX, Call, Register, Spoken, SubmitShare};

pub(crate) use self::bans::WorkerBan;
pub use self::stats::PortWorkers;
use self::{
    answer::{Accepted, Registered},
    estimate::{Estimates, Listed},
    figures::Figures,
    job::Sent,
    kept::Kept,
    refused::Refused,
    stats::Listing,
    worker::{Parts, Worker},
};
use crate::{
    accounting::Accounting,
    bans::{Banned, WorkerBans},
    connection::Context,
    listener::{Addresses, Limits},
    pool::Terms,
    tasks::{Stage, Tasks},
    template_feed::Newest,
};

/// Workers of a port; there are not many more ranges.
const WORKERS_MAX: usize = 16_000;
/// A worker that has asked for nothing for so long is forgotten.
const STALE: Duration = Duration::from_secs(300);
/// How often stale ones are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// The longest that a worker can have its answer held back for new work.
const WAIT_MAX_S: u64 = 60;
/// The fee of the coin's makers, by which a worker is told it.
const FOUNDATION: &str = "foundation";
/// What older programs are told where a job or a figure changes with each question.
const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// What the workers of a port have in common.
pub(crate) struct Work {
    context: Arc<Context>,
    terms: Arc<Terms>,
    /// The pool's name.
    name: String,
    address: SocketAddr,
    /// Whether a worker may come without its token, as older programs do.
    without_token: bool,
    ranges: Ranges,
    /// Workers from one address, and from one network: as many as connections may be.
    addresses: Addresses,
    figures: Arc<Figures>,
    estimates: Estimates,
    listing: Kept<Arc<Listing>>,
    /// Each worker that is here, by its name.
    workers: Mutex<HashMap<String, Arc<Worker>>>,
    /// Who is banned that is not. Locked after `workers`.
    banned: Banned,
    tasks: Tasks,
    /// Numbers for the verifier's queue, which no connection has.
    numbers: AtomicU64,
}

/// What is asked for by its name.
type Shared = State<Arc<Work>>;

/// The routes of a port, and what looks after its workers.
pub(crate) fn routes(
    context: &Arc<Context>,
    terms: &Arc<Terms>,
    name: &str,
    (address, limits): (SocketAddr, Limits),
    without_token: bool,
    bans: &WorkerBans,
    tasks: &Tasks,
) -> (Router, PortWorkers) {
    let accounting = Accounting::new(
        context.store.clone(),
        context.pool,
        terms.accounting.clone(),
    );
    let (scheme, newest) = (context.rules.scheme, context.newest.clone());
    let work = Arc::new(Work {
        estimates: Estimates::new(accounting, scheme, newest, tasks, &context.metrics),
        listing: Kept::new(tasks, &context.metrics),
        context: Arc::clone(context),
        terms: Arc::clone(terms),
        name: name.to_owned(),
        address,
        without_token,
        ranges: Ranges::default(),
        addresses: Addresses::new(limits.per_address, limits.per_network),
        figures: Arc::default(),
        workers: Mutex::default(),
        banned: bans.of(context.pool),
        tasks: tasks.clone(),
        // Beyond those of connections, which count from 0.
        numbers: AtomicU64::new(1 << 63),
    });
    let sweeping = Arc::clone(&work);
    let stopping = tasks.ending(Stage::Doors);
    tasks.spawn(Stage::Doors, "workers of HTTP", async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => sweeping.sweep(Instant::now()),
                () = stopping.cancelled() => {
                    sweeping.keep_bans(Instant::now());
                    return Ok(());
                }
            }
        }
    });
    let routes = Router::new()
        .route("/register", post(register))
        .route("/job", get(job))
        .route("/share", post(share))
        .route("/stats", get(stats::show))
        .route("/metrics", get(metrics).post(call))
        .route("/mode", get(mode));
    let listed = PortWorkers::new(&work);
    let routes = Router::new()
        .nest("/pool", routes.clone())
        .nest("/api/pool", routes)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(work);
    (routes, listed)
}

/// A worker says who is paid, and is told by what it is known from now on.
async fn register(
    State(work): Shared,
    Extension(peer): Extension<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    work.may_come(peer)?;
    let asked = Register::parse(&body)?;
    let id = asked.worker_id.as_str();
    let context = &work.context;
    let address = Address::parse(context.coin, context.network, &asked.wallet_address);
    let address = address.map_err(|error| Refused::Address(format!("wallet_address: {error}")))?;
    let may_mine = context.rules.may_mine(&address);
    may_mine.map_err(|error| Refused::Address(format!("wallet_address: {error}")))?;
    let shown = token_of(&headers, asked.token.as_deref());
    if let Some(worker) = work.workers().get(id).cloned() {
        worker.may_come()?;
        let is_same = match &shown {
            Some(token) => token.hash() == worker.token.hash(),
            // Nothing but its name is known of an older program.
            None => work.without_token,
        };
        if !is_same {
            return Err(Refused::Registered(id.to_owned()));
        }
        if address.as_str() != worker.address {
            return Err(Refused::OtherWallet);
        }
        worker.seen();
        return Ok(work.registered(&worker));
    }
    let worker = worker_name(asked.worker_name.as_deref().unwrap_or(id));
    let username = Username { address, worker };
    let agent: String = asked.version.unwrap_or_default().chars().take(64).collect();
    let worker = work.enter(id, username, agent, peer)?;
    Ok(work.registered(&worker))
}

/// The newest job, or the next one: with `wait` it is told when there is other work.
async fn job(
    State(work): Shared,
    Extension(peer): Extension<SocketAddr>,
    headers: HeaderMap,
    Query(asked): Query<AskJob>,
) -> Result<Response, Refused> {
    work.may_come(peer)?;
    let id = asked.worker_id.as_deref().ok_or(Refused::NoWorkerId)?;
    let worker = work.worker(id, &headers, asked.token.as_deref())?;
    worker.may_come()?;
    worker.seen();
    if let Some(wait) = asked.wait.filter(|wait| *wait > 0)
        && let Some(had) = worker.made_of(asked.have.as_deref())
    {
        let mut newest = work.context.newest.clone();
        let is_other = |newest: &Newest| match newest {
            Newest::Offer(offer) => offer.job_id != had,
            Newest::Nothing(_) => false,
        };
        let wait = Duration::from_secs(wait.min(WAIT_MAX_S));
        let stopping = work.context.stopping.clone();
        tokio::select! {
            // Whether it came or not, the worker is told the newest.
            _ = timeout(wait, newest.wait_for(is_other)) => {}
            () = worker.changed() => {}
            () = stopping.cancelled() => {}
        }
    }
    let begun = std::time::Instant::now();
    let (_, told) = worker.job()?;
    work.figures.job(begun.elapsed());
    Ok((NO_STORE, Json(told)).into_response())
}

/// A share is answered when it is on the disk. Whoever hangs up meanwhile loses nothing.
async fn share(
    State(work): Shared,
    Extension(peer): Extension<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    work.may_come(peer)?;
    let begun = std::time::Instant::now();
    if let Spoken::JsonRpc(call) = Spoken::of(&body)? {
        return Ok(refused_call(&call));
    }
    let asked = SubmitShare::parse(&body)?;
    let worker = work.worker(&asked.worker_id, &headers, asked.token.as_deref())?;
    worker.may_come()?;
    let is_other = |wallet: &String| *wallet != worker.address;
    if asked.wallet_address.as_ref().is_some_and(is_other) {
        return Err(Refused::OtherWallet);
    }
    let sent = Sent {
        nonce: asked.nonce,
        extra_nonce: asked.extra_nonce,
        hash: asked.hash()?,
        ntime: asked.ntime,
        commitment: asked.commitment()?,
    };
    let (tell, told) = oneshot::channel();
    let (figures, metrics) = (Arc::clone(&work.figures), Arc::clone(&work.context.metrics));
    let judged = async move {
        let done = worker.share(&asked.job_id, sent, asked.hashrate).await;
        figures.share(begun.elapsed());
        // Whoever has hung up need not be told.
        let _ = tell.send(done);
    };
    work.tasks.spawn_connection(Stage::Doors, judged, move || {
        metrics.panics.inc();
    });
    let done = told.await.map_err(|_| Refused::NotStored)??;
    let message = match done.is_block {
        true => "Block found!",
        false => "Share accepted",
    };
    let estimate = work.estimates.kept(|| work.listed());
    let answer = Accepted {
        ok: true,
        message,
        is_block: done.is_block,
        total_shares: done.accepted,
        estimated_payout: estimate.and_then(|estimate| estimate.of(&asked.worker_id)),
    };
    Ok((NO_STORE, Json(answer)).into_response())
}

/// A partner's calls may come where figures are asked for, too.
async fn call(
    State(work): Shared,
    Extension(peer): Extension<SocketAddr>,
    body: Bytes,
) -> Result<Response, Refused> {
    work.may_come(peer)?;
    match Spoken::of(&body)? {
        Spoken::JsonRpc(call) => Ok(refused_call(&call)),
        Spoken::Work => Err(Refused::NoCall),
    }
}

/// No method is known yet. It is none of a worker's shares.
fn refused_call(call: &Call) -> Response {
    let json = (header::CONTENT_TYPE, "application/json");
    ([json], call.refused()).into_response()
}

/// `GET /pool/metrics`
#[derive(Serialize)]
struct Metrics {
    total_shares_received: u64,
    invalid_shares_received: u64,
    invalid_share_rate: String,
    blocks_found: u64,
    total_payouts: u64,
    total_payouts_land: u64,
    avg_job_response_time_ms: String,
    avg_share_response_time_ms: String,
    current_hashrate: u64,
}

async fn metrics(
    State(work): Shared,
    Extension(peer): Extension<SocketAddr>,
) -> Result<Response, Refused> {
    work.may_come(peer)?;
    let sums = work.figures.now();
    let context = &work.context;
    let paid = context.store.paid(context.pool).await;
    let paid = paid.unwrap_or_default();
    let metrics = Metrics {
        total_shares_received: sums.received,
        invalid_shares_received: sums.invalid,
        invalid_share_rate: sums.invalid_rate(),
        blocks_found: sums.blocks,
        total_payouts: paid.payouts,
        total_payouts_land: paid.amount.units(),
        avg_job_response_time_ms: sums.job_ms(),
        avg_share_response_time_ms: sums.share_ms(),
        current_hashrate: sums.hashrate(worker::seconds()),
    };
    Ok((NO_STORE, Json(metrics)).into_response())
}

/// `GET /pool/mode`: where this answers, a pool is hosted, unless each miner is alone.
#[derive(Serialize)]
struct Mode {
    mode: &'static str,
    is_hosting: bool,
    is_worker: bool,
}

async fn mode(State(work): Shared) -> Json<Mode> {
    let is_solo = work.context.rules.is_solo();
    Json(Mode {
        mode: if is_solo { "solo" } else { "host_pool" },
        is_hosting: !is_solo,
        is_worker: false,
    })
}

impl Work {
    /// An error for whoever is banned by its address.
    fn may_come(&self, peer: SocketAddr) -> Result<(), Refused> {
        match self.context.bans.is_banned(peer.ip()) {
            true => Err(Refused::Banned(peer.ip().to_string())),
            false => Ok(()),
        }
    }

    /// The worker of this name, if it shows its token.
    fn worker(
        &self,
        id: &str,
        headers: &HeaderMap,
        token: Option<&str>,
    ) -> Result<Arc<Worker>, Refused> {
        let workers = self.workers();
        let Some(worker) = workers.get(id).cloned() else {
            return Err(match self.banned.lock().is_banned(id, Instant::now()) {
                true => Refused::Banned(id.to_owned()),
                false => Refused::Unknown(id.chars().take(64).collect()),
            });
        };
        drop(workers);
        let is_its = match token_of(headers, token) {
            Some(token) => token.hash() == worker.token.hash(),
            None => self.without_token,
        };
        is_its
            .then_some(worker)
            .ok_or_else(|| Refused::Token(id.to_owned()))
    }

    /// Puts a worker on the list that was not there.
    fn enter(
        &self,
        id: &str,
        username: Username,
        agent: String,
        peer: SocketAddr,
    ) -> Result<Arc<Worker>, Refused> {
        let mut chance = [0; KEY_BYTES];
        getrandom::fill(&mut chance).map_err(|_| Refused::Full)?;
        let mut workers = self.workers();
        if workers.len() >= WORKERS_MAX {
            return Err(Refused::Full);
        }
        if self.banned.lock().is_banned(id, Instant::now()) {
            return Err(Refused::Banned(id.to_owned()));
        }
        let counted = self.addresses.enter(peer.ip());
        let counted = counted.ok_or(Refused::Crowded)?;
        let prefix = self
            .context
            .prefixes
            .allocate()
            .map_err(|_| Refused::Full)?;
        let range = self.ranges.allocate().map_err(|_| Refused::Full)?;
        let worker = Arc::new(Worker::new(Parts {
            id: id.to_owned(),
            token: ApiKey::of_chance(chance),
            username,
            agent,
            peer,
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            counted,
            prefix,
            range,
            context: Arc::clone(&self.context),
            figures: Arc::clone(&self.figures),
        }));
        // Two may have asked at the same time, under the same name: the first one has it.
        if workers.contains_key(id) {
            return Err(Refused::Registered(id.to_owned()));
        }
        workers.insert(id.to_owned(), Arc::clone(&worker));
        Ok(worker)
    }

    fn registered(&self, worker: &Worker) -> Response {
        let fees = match self.context.rules.is_solo() {
            // A block pays its finder whole.
            true => None,
            false => Some(self.terms.fees_now(self.context.rules.scheme)),
        };
        let fees = fees.as_ref().map_or(&[][..], Fees::list);
        let points = |fees: &mut dyn Iterator<Item = &Fee>| -> u64 {
            fees.map(|fee| u64::from(fee.percent.hundredths())).sum()
        };
        let is_foundation = |fee: &&Fee| fee.name == FOUNDATION;
        let pool_fee_bps = points(&mut fees.iter().filter(|fee| !is_foundation(fee)));
        let foundation_fee_bps = points(&mut fees.iter().filter(is_foundation));
        let percent = |bps: u64| format!("{}.{:02} %", bps / 100, bps % 100);
        let answer = Registered {
            ok: true,
            message: format!(
                "Welcome to {}. Fees: pool {}, foundation {}",
                self.name,
                percent(pool_fee_bps),
                percent(foundation_fee_bps)
            ),
            pool_fee_bps,
            foundation_fee_bps,
            token: worker.token.text(),
            algorithm: self.context.coin.algorithm().name(),
            coin: self.context.coin.name,
            extra_nonce_start: worker.range().start(),
            extra_nonce_end: worker.range().end(),
        };
        (NO_STORE, Json(answer)).into_response()
    }

    /// Forgets workers that are gone; not that they are banned.
    fn sweep(&self, now: Instant) {
        let mut workers = self.workers();
        let mut banned = self.banned.lock();
        banned.sweep(now);
        workers.retain(|id, worker| {
            let is_here = now.saturating_duration_since(worker.seen_at()) < STALE;
            if !is_here {
                banned.keep(id, &worker.standing(), now);
            }
            is_here
        });
    }

    /// The port closes, and the pool may open another one.
    fn keep_bans(&self, now: Instant) {
        let workers = self.workers();
        let mut banned = self.banned.lock();
        for (id, worker) in &*workers {
            banned.keep(id, &worker.standing(), now);
        }
    }

    /// By what each worker's part of a block is told.
    fn listed(&self) -> Vec<Listed> {
        let workers = self.workers();
        workers.values().map(|worker| worker.listed()).collect()
    }

    fn workers(&self) -> MutexGuard<'_, HashMap<String, Arc<Worker>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token that a request shows: behind `Bearer`, or in its body.
fn token_of(headers: &HeaderMap, field: Option<&str>) -> Option<ApiKey> {
    let header = headers.get(header::AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.strip_prefix("Bearer "));
    bearer.or(field).and_then(|token| token.trim().parse().ok())
}
