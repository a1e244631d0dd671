//! `GET /pool/stats`: the workers of a port, and what they have done. All of them are listed once a second at
//! most, whoever asks how often.

use std::{collections::HashMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::{NO_STORE, Shared, Work, estimate::Estimate, refused::Refused, worker};

/// So long a list is told again.
const LASTS: Duration = Duration::from_secs(1);

/// What is the same for all who ask.
pub(super) struct Listing {
    worker_count: usize,
    total_shares: u64,
    total_hashrate: u64,
    blocks_found: u64,
    last_block_height: Option<u32>,
    /// As it is told.
    workers: Box<RawValue>,
    /// The same for pages.
    rows: Vec<WorkerStats>,
}

/// The workers of a port, for pages. Clones share them.
#[derive(Clone)]
pub struct PortWorkers(Arc<Work>);

/// What pages show of a worker beside its session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Earning {
    /// Hashes per second, by its shares.
    pub(crate) hashrate: u64,
    /// What it would be credited if a block were found now, in base units; nothing if nobody can tell.
    pub(crate) estimated_payout: Option<u64>,
}

impl PortWorkers {
    pub(super) fn new(work: &Arc<Work>) -> Self {
        Self(Arc::clone(work))
    }

    pub(super) fn work(&self) -> &Work {
        &self.0
    }

    /// By address and name, as of a second ago; the first one who asks has another one made.
    pub(crate) fn earnings(&self) -> HashMap<(String, String), Earning> {
        let work = &self.0;
        work.listing.renew(|_| true, || list(Arc::clone(work)));
        let listing = work.listing.newest();
        let rows = listing.iter().flat_map(|listing| &listing.rows);
        let mut earnings: HashMap<(String, String), Earning> = HashMap::new();
        for row in rows {
            let name = (row.wallet_address.clone(), row.worker_name.clone());
            let earning = earnings.entry(name).or_insert(Earning {
                hashrate: 0,
                estimated_payout: None,
            });
            earning.hashrate = earning.hashrate.saturating_add(row.hashrate);
            let parts = [earning.estimated_payout, row.estimated_payout];
            let parts = parts.into_iter().flatten();
            earning.estimated_payout = parts.reduce(u64::saturating_add);
        }
        earnings
    }
}

impl fmt::Debug for PortWorkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PortWorkers").field(&self.0.address).finish()
    }
}

/// The answer.
#[derive(Serialize)]
struct Stats<'a> {
    worker_count: usize,
    total_shares: u64,
    total_hashrate: u64,
    blocks_found: u64,
    last_block_height: Option<u32>,
    workers: &'a RawValue,
    pool_name: &'a str,
    pool_url: String,
    pool_port: u16,
}

#[derive(Serialize)]
struct WorkerStats {
    worker_id: String,
    worker_name: String,
    wallet_address: String,
    total_shares: u64,
    reported_hashrate: Option<f64>,
    hashrate: u64,
    estimated_payout: Option<u64>,
}

/// How much of it somebody wants.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// With `false` no worker is listed.
    workers: Option<String>,
}

pub(super) async fn show(
    State(work): Shared,
    Extension(peer): Extension<SocketAddr>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    work.may_come(peer)?;
    let listing = work.listing.get(|_| true, || list(Arc::clone(&work))).await;
    let listing = listing.ok_or(Refused::NotListed)?;
    let nobody = to_raw_value(&[(); 0]).expect("no entry at all is JSON");
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.map_or_else(|| work.address.to_string(), str::to_owned);
    let stats = Stats {
        worker_count: listing.worker_count,
        total_shares: listing.total_shares,
        total_hashrate: listing.total_hashrate,
        blocks_found: listing.blocks_found,
        last_block_height: listing.last_block_height,
        workers: match asked.workers.as_deref() {
            Some("false") => &nobody,
            _ => &listing.workers,
        },
        pool_name: &work.name,
        pool_url: format!("http://{host}"),
        pool_port: work.address.port(),
    };
    Ok((NO_STORE, Json(stats)).into_response())
}

async fn list(work: Arc<Work>) -> (Arc<Listing>, Duration) {
    let estimate = work.estimates.get(|| work.listed()).await;
    let last = work.context.store.blocks(work.context.pool, None, 1).await;
    let last = last
        .ok()
        .and_then(|blocks| Some(blocks.first()?.found.height));
    let workers = work.workers().values().cloned().collect::<Vec<_>>();
    let shown = |worker: &Arc<worker::Worker>| shown(worker, estimate.as_deref());
    let mut workers: Vec<WorkerStats> = workers.iter().map(shown).collect();
    workers.sort_by(|one, other| one.worker_id.cmp(&other.worker_id));
    let sums = work.figures.now();
    let listing = Listing {
        worker_count: workers.len(),
        total_shares: workers.iter().map(|worker| worker.total_shares).sum(),
        total_hashrate: sums.hashrate(worker::seconds()),
        blocks_found: sums.blocks,
        last_block_height: last,
        workers: to_raw_value(&workers).expect("names and numbers are JSON"),
        rows: workers,
    };
    (Arc::new(listing), LASTS)
}

fn shown(worker: &worker::Worker, estimate: Option<&Estimate>) -> WorkerStats {
    let shown = worker.shown();
    WorkerStats {
        estimated_payout: estimate.and_then(|estimate| estimate.of(&worker.id)),
        worker_id: worker.id.clone(),
        worker_name: shown.name,
        wallet_address: shown.address,
        total_shares: shown.shares,
        reported_hashrate: shown.reported,
        hashrate: shown.hashrate,
    }
}
