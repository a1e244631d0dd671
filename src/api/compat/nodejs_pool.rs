//! nodejs-pool's API, as MoneroOcean runs it: `/pool/...`, `/network/stats`, `/miner/ADDRESS/...` and
//! `/config`. Amounts are in the smallest unit, times of lists in milliseconds and of workers in seconds.
//! What it lets a miner change by POST is refused: here that needs a signature.

mod miner;
mod pool;

use axum::{
    Router,
    routing::{get, post},
};

use super::refuse_settings;
use crate::pool::Pool;

#[cfg(test)]
pub(super) use self::{
    miner::{AddressStats, WorkerStats},
    pool::{Block, Config, NetworkStats, PoolPort, PoolStats, Transaction},
};

pub(super) fn routes() -> Router<Vec<Pool>> {
    Router::new()
        .route("/config", get(pool::config))
        .route("/pool/stats", get(pool::stats))
        .route("/pool/stats/{scheme}", get(pool::stats_of_scheme))
        .route("/pool/ports", get(pool::ports))
        .route("/pool/blocks", get(pool::blocks))
        .route("/pool/blocks/{scheme}", get(pool::blocks))
        .route("/pool/payments", get(pool::payments))
        .route("/pool/payments/{scheme}", get(pool::payments))
        .route("/pool/chart/hashrate", get(pool::chart))
        .route("/network/stats", get(pool::network))
        .route("/miner/{address}/stats", get(miner::stats))
        .route("/miner/{address}/stats/allWorkers", get(miner::all_workers))
        .route("/miner/{address}/stats/{worker}", get(miner::worker))
        .route("/miner/{address}/identifiers", get(miner::identifiers))
        .route("/miner/{address}/chart/hashrate", get(miner::chart))
        .route(
            "/miner/{address}/chart/hashrate/allWorkers",
            get(miner::chart_of_all),
        )
        .route(
            "/miner/{address}/chart/hashrate/{worker}",
            get(miner::chart_of_worker),
        )
        .route("/miner/{address}/payments", get(miner::payments))
        .route(
            "/miner/{address}/block_payments",
            get(miner::block_payments),
        )
        .route("/user/updateThreshold", post(refuse_settings))
        .route("/user/subscribeEmail", post(refuse_settings))
}
