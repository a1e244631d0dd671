//! A miner as public-pool tells of it: `/api/client/ADDRESS`, its workers and their sessions.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use mining::{Coin, Work};
use serde::{Deserialize, Serialize};
use store::{Minute, Of};

use super::{
    super::{
        Kept, Owner, answer,
        figures::{self, Connected, WORKERS_MAX, WorkerNow, difficulty, in_shares, session_id},
        unknown_miner,
    },
    ACTIVE_MINUTES, COUNTED_MAX,
    chart::{ModeQuery, Point, chart},
    name_of,
};
use crate::{api::problem::Problem, clock, display};

/// The whole of what a NerdMiner can take.
pub(in crate::api::compat) const DOCUMENT_MAX: usize = 2_048;

#[derive(Debug, Default, Deserialize)]
pub(super) struct ClientQuery {
    workers: Option<String>,
    #[serde(flatten)]
    mode: ModeQuery,
}

/// `/api/client/ADDRESS`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api::compat) struct Client {
    best_difficulty: f64,
    workers_count: usize,
    workers: Vec<ClientWorker>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientWorker {
    session_id: String,
    name: String,
    /// A text with two decimals.
    best_difficulty: String,
    hash_rate: u128,
    start_time: String,
    last_seen: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    best_difficulty: u128,
    chart_data: Vec<Point>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientSession {
    session_id: String,
    name: String,
    best_difficulty: u128,
    chart_data: Vec<Point>,
    start_time: String,
}

/// A miner that nobody knows yet has nothing: a device asks before its first share.
pub(super) async fn client(
    owner: Owner,
    Query(query): Query<ClientQuery>,
) -> Result<Response, Problem> {
    let pool = &owner.pool;
    if !owner.is_known || !query.mode.means(pool) {
        return Ok(answer(Kept::Medium, Client::new(None, &[], pool.coin)));
    }
    let now_ms = clock::now_ms();
    let address = owner.address.as_str();
    let connected = Connected::of(pool, Some(&owner.address));
    let since = Minute::of_ms(now_ms).back(ACTIVE_MINUTES);
    let limit = COUNTED_MAX;
    let workers =
        figures::ranked(pool, Some(address), since, &[10], limit, &connected, now_ms).await?;
    let best = pool.store.bests(pool.id, Some(address), 1).await?;
    let best = best.first().map(|best| figures::work_of(&best.hash));
    let client = Client::new(best, &workers, pool.coin);
    let client = match query.workers.as_deref() {
        Some("all") => client.cut_to(WORKERS_MAX),
        _ => client.within(DOCUMENT_MAX),
    };
    Ok(answer(Kept::Medium, client))
}

pub(super) async fn worker(
    owner: Owner,
    Path((_, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (worker, chart_data) = found(&owner, &name).await?;
    let group = Group {
        name,
        best_difficulty: whole(worker.best, owner.pool.coin),
        chart_data,
    };
    Ok(answer(Kept::Medium, group))
}

pub(super) async fn session(
    owner: Owner,
    Path((_, name, session)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let (worker, chart_data) = found(&owner, &name).await?;
    let session_id = session_id(&worker.address, &worker.name);
    if session_id != session {
        return Err(Problem::unknown(
            "unknown_session",
            "the worker has no such session",
        ));
    }
    let session = ClientSession {
        session_id,
        name,
        best_difficulty: whole(worker.best, owner.pool.coin),
        chart_data,
        start_time: display::time(worker.since_ms),
    };
    Ok(answer(Kept::Medium, session))
}

/// The worker of this name, or the one without a name, which is called `worker`.
async fn found(owner: &Owner, name: &str) -> Result<(WorkerNow, Vec<Point>), Problem> {
    let (pool, address) = (&owner.pool, &owner.address);
    let now_ms = clock::now_ms();
    let mut worker = WorkerNow::of(pool, address, name, now_ms).await?;
    if worker.is_none() && name == name_of("") {
        worker = WorkerNow::of(pool, address, "", now_ms).await?;
    }
    let worker = worker.ok_or_else(unknown_miner)?;
    let points = chart(pool, Of::Worker(worker.id)).await?;
    Ok((worker, points))
}

fn whole(best: Option<Work>, coin: &Coin) -> u128 {
    in_shares(best.unwrap_or(Work::ZERO), coin)
}

impl Client {
    /// All workers, the strongest first.
    pub(in crate::api::compat) fn new(
        best: Option<Work>,
        workers: &[WorkerNow],
        coin: &Coin,
    ) -> Self {
        Self {
            best_difficulty: best.map_or(0.0, |best| difficulty(best, coin)),
            workers_count: workers.len(),
            workers: workers
                .iter()
                .map(|worker| ClientWorker::new(worker, coin))
                .collect(),
        }
    }

    /// Lists workers as far as the text stays within so many bytes, and the others as one.
    pub(in crate::api::compat) fn within(self, bytes: usize) -> Self {
        let all = self.workers.len();
        // Sizes grow with the number of workers, so that the most that fit are found by halving.
        let fits = |listed: usize| self.listing(listed).size() <= bytes;
        if fits(all) {
            return self;
        }
        let (mut most, mut too_many) = (0, all);
        while too_many - most > 1 {
            let half = most.midpoint(too_many);
            if fits(half) {
                most = half;
            } else {
                too_many = half;
            }
        }
        self.listing(most)
    }

    /// Lists at most so many workers, and the others as one.
    fn cut_to(self, most: usize) -> Self {
        if self.workers.len() <= most {
            return self;
        }
        self.listing(most)
    }

    fn listing(&self, listed: usize) -> Self {
        let (listed, others) = self.workers.split_at(listed.min(self.workers.len()));
        let mut workers = listed.to_vec();
        workers.extend(ClientWorker::together(others));
        Self { workers, ..*self }
    }

    fn size(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |text| text.len())
    }
}

impl ClientWorker {
    fn new(worker: &WorkerNow, coin: &Coin) -> Self {
        let best = worker.best.map_or(0.0, |best| difficulty(best, coin));
        Self {
            session_id: session_id(&worker.address, &worker.name),
            name: name_of(&worker.name),
            best_difficulty: format!("{best:.2}"),
            hash_rate: worker.windows.rate(10),
            start_time: display::time(worker.since_ms),
            last_seen: display::time(worker.last_share_ms),
        }
    }

    /// Several as one.
    fn together(workers: &[Self]) -> Option<Self> {
        let number = |worker: &&Self| worker.best_difficulty.parse().unwrap_or(0.0);
        let best = workers
            .iter()
            .max_by(|a, b| f64::total_cmp(&number(a), &number(b)))?;
        // Times in this form are in order as texts.
        Some(Self {
            session_id: "others".into(),
            name: "others".into(),
            best_difficulty: best.best_difficulty.clone(),
            hash_rate: workers.iter().map(|worker| worker.hash_rate).sum(),
            start_time: workers
                .iter()
                .map(|worker| &worker.start_time)
                .min()?
                .clone(),
            last_seen: workers
                .iter()
                .map(|worker| &worker.last_seen)
                .max()?
                .clone(),
        })
    }
}
