//! `GET /pool/stats`: the workers of a port, and what they have done. All of them are listed once a second at
//! most, whoever asks how often.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
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

pub(super) async fn show(
    State(work): Shared,
    Extension(peer): Extension<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    work.may_come(peer)?;
    let listing = work.listing.get(|_| true, || list(Arc::clone(&work))).await;
    let listing = listing.ok_or(Refused::NotListed)?;
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
        workers: &listing.workers,
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
    let workers = work.workers().by_id.values().cloned().collect::<Vec<_>>();
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
