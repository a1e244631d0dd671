//! `/api/v1/miners/{address}/workers`: the machines of a miner.

use std::{collections::HashMap, sync::Arc};

use axum::Json;
use mining::{Address, share::Reject};
use serde::Serialize;
use store::WorkerId;
use utoipa::ToSchema;

use super::{
    miner::{Miner, OfPool},
    page::{Page, PageQuery},
    pools::difficulty_of,
    problem::{MinerProblems, Problem},
    rate::{Rates, Stretch},
    sessions::{self, SessionStatus},
    shares::Rejected,
};
use crate::{clock, display, pool::Pool, sessions::Session};

/// Connections of a worker that are listed.
const SESSIONS_MAX: usize = 8;

/// A machine of a miner.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Worker {
    #[serde(flatten)]
    pub(crate) of: OfPool,
    /// Its name, behind the address.
    pub(crate) name: String,
    /// How often it is connected now.
    pub(crate) connected: usize,
    /// Shares accepted and stored.
    pub(crate) shares: u64,
    /// Their work, in expected hashes.
    pub(crate) work: String,
    /// The smallest hash it ever found.
    pub(crate) best_hash: Option<String>,
    /// How hard it is to find one like it.
    pub(crate) best_difficulty: Option<f64>,
    /// Its connections, the oldest first; at most eight.
    pub(crate) sessions: Vec<SessionStatus>,
    /// Shares refused on the connections it has now, by reason.
    pub(crate) rejects: Vec<Rejected>,
    /// Work per second.
    pub(crate) hashrate: Rates,
    /// When its first share came.
    pub(crate) first_share: String,
    /// When its last share came.
    pub(crate) last_share: String,
}

/// The workers of a miner
///
/// In the order in which they first came.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/workers", operation_id = "miner_workers", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin"), PageQuery),
    responses((status = 200, description = "The answer.", body = Page<Worker>), MinerProblems)
)]
pub(crate) async fn list(miner: Miner, query: PageQuery) -> Result<Json<Page<Worker>>, Problem> {
    let mut walk = query.walk(&miner)?;
    let mut items = Vec::new();
    while let Some(step) = walk.step() {
        let place = step.place;
        let pool = &place.pool;
        let stretches = Stretch::all(pool, clock::now_ms());
        let windows = stretches.map(|stretch| stretch.since);
        let found = pool.store.workers(
            pool.id,
            Some(place.address.as_str()),
            &windows,
            step.after.map(WorkerId::from_number),
            step.limit,
        );
        let mut sessions = by_worker(pool, &place.address);
        let found = walk.take(&step, found.await?, |worker| worker.id.number());
        items.extend(found.into_iter().map(|worker| {
            let name = worker.who.name();
            let sessions = sessions.remove(name).unwrap_or_default();
            let own = sessions.iter().take(SESSIONS_MAX);
            Worker {
                of: OfPool::new(pool),
                name: name.to_owned(),
                connected: sessions.len(),
                sessions: own
                    .map(|session| SessionStatus::new(session, None))
                    .collect(),
                rejects: rejects(&sessions),
                best_difficulty: worker
                    .best
                    .map(|hash| difficulty_of(hash, pool.coin.algorithm())),
                shares: worker.total.shares,
                work: worker.total.work.hashes().to_string(),
                best_hash: worker.best.map(|hash| hash.to_string()),
                hashrate: Rates::of(stretches, &worker.windows),
                first_share: display::time(worker.first_share_ms),
                last_share: display::time(worker.last_share_ms),
            }
        }));
    }
    Ok(Json(walk.end(&miner, items)))
}

/// The sessions of an address, by the worker's name.
fn by_worker(pool: &Pool, address: &Address) -> HashMap<String, Vec<Arc<Session>>> {
    let mut names: HashMap<String, Vec<_>> = HashMap::new();
    for session in sessions::of_address(pool, address) {
        let name = session.worker.worker.clone();
        names.entry(name).or_default().push(session);
    }
    names
}

/// What was refused on all of them together.
fn rejects(sessions: &[Arc<Session>]) -> Vec<Rejected> {
    let count = |reject| {
        let of_session = |session: &Arc<Session>| {
            let mut rejects = session.rejects();
            rejects.find_map(|(known, count)| (known == reject).then_some(count))
        };
        sessions.iter().filter_map(of_session).sum()
    };
    Rejected::of(
        Reject::ALL
            .map(|reject| (reject, count(reject)))
            .into_iter(),
    )
}
