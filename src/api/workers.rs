//! `/api/v1/miners/{address}/workers`: the machines of a miner.

use std::collections::HashMap;

use axum::Json;
use mining::Address;
use serde::Serialize;
use store::WorkerId;
use utoipa::ToSchema;

use super::{
    miner::{Miner, OfPool},
    page::{Page, PageQuery},
    problem::{MinerProblems, Problem},
    rate::{Rates, Stretch},
};
use crate::{clock, display, pool::Pool};

/// A machine of a miner.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Worker {
    #[serde(flatten)]
    of: OfPool,
    /// Its name, behind the address.
    name: String,
    /// How often it is connected now.
    connected: usize,
    /// Shares accepted and stored.
    shares: u64,
    /// Their work, in expected hashes.
    work: String,
    /// The smallest hash it ever found.
    best_hash: Option<String>,
    /// Work per second.
    hashrate: Rates,
    /// When its first share came.
    first_share: String,
    /// When its last share came.
    last_share: String,
}

/// The workers of a miner
///
/// In the order in which they first came.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/workers", operation_id = "miner_workers", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin"), PageQuery),
    responses((status = 200, description = "The answer.", body = Page<Worker>), MinerProblems)
)]
pub(super) async fn list(miner: Miner, query: PageQuery) -> Result<Json<Page<Worker>>, Problem> {
    let mut walk = query.walk(&miner)?;
    let mut items = Vec::new();
    while let Some(step) = walk.step() {
        let place = step.place;
        let pool = &place.pool;
        let stretches = Stretch::of_miners(pool, clock::now_ms());
        let windows = stretches.map(|stretch| stretch.since);
        let found = pool.store.workers(
            pool.id,
            Some(place.address.as_str()),
            &windows,
            step.after.map(WorkerId::from_number),
            step.limit,
        );
        let connected = connected(pool, &place.address);
        let found = walk.take(&step, found.await?, |worker| worker.id.number());
        items.extend(found.into_iter().map(|worker| {
            let name = worker.who.name();
            Worker {
                of: OfPool::new(pool),
                name: name.to_owned(),
                connected: connected.get(name).copied().unwrap_or(0),
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

/// How often each worker of an address is connected, by its name.
fn connected(pool: &Pool, address: &Address) -> HashMap<String, usize> {
    let mut names = HashMap::new();
    for session in pool.sessions.list() {
        if session.worker.address == *address {
            *names.entry(session.worker.worker.clone()).or_insert(0) += 1;
        }
    }
    names
}
