//! miningcore's API, version 1 (`/api/pools`) and 2 (`/api/v2/pools`, the same lists with counts). Read
//! by Miningcore.WebUI, lists of pools and apps. Nothing is written here: settings need a signature.
//!
//! `pendingShares` is the miner's work of the last day in shares of difficulty 1, and `connectedPeers`
//! counts the pool's own nodes that can be mined with. Of the past the number of miners and the
//! network's difficulty are not kept; they are null there.

mod list;
mod miner;
mod pool;

use axum::{Router, routing::get};

use super::{Problem, refuse_settings};
use crate::pool::Pool;

#[cfg(test)]
pub(super) use self::{
    list::{BlockRow, Paged, PaymentRow},
    miner::MinerStats,
    pool::{PoolInfo, TopMiner},
};

pub(super) fn routes() -> Router<Vec<Pool>> {
    let settings = get(miner::settings).post(refuse_settings);
    Router::new()
        .route("/api/pools", get(pool::pools))
        .route("/api/pools/{pool}", get(pool::pool))
        .route("/api/pools/{pool}/performance", get(pool::performance))
        .route("/api/pools/{pool}/miners", get(pool::miners))
        .route("/api/pools/{pool}/blocks", get(list::blocks))
        .route("/api/pools/{pool}/payments", get(list::payments))
        .route("/api/pools/{pool}/miners/{address}", get(miner::stats))
        .route(
            "/api/pools/{pool}/miners/{address}/performance",
            get(miner::performance),
        )
        .route("/api/pools/{pool}/miners/{address}/settings", settings)
        .route(
            "/api/pools/{pool}/miners/{address}/blocks",
            get(list::miner_blocks),
        )
        .route(
            "/api/pools/{pool}/miners/{address}/payments",
            get(list::miner_payments),
        )
        .route(
            "/api/pools/{pool}/miners/{address}/balancechanges",
            get(list::balance_changes),
        )
        .route(
            "/api/pools/{pool}/miners/{address}/earnings/daily",
            get(list::earnings),
        )
        .route("/api/v2/pools/{pool}/blocks", get(list::blocks_v2))
        .route("/api/v2/pools/{pool}/payments", get(list::payments_v2))
        .route(
            "/api/v2/pools/{pool}/miners/{address}/blocks",
            get(list::miner_blocks_v2),
        )
        .route(
            "/api/v2/pools/{pool}/miners/{address}/payments",
            get(list::miner_payments_v2),
        )
        .route(
            "/api/v2/pools/{pool}/miners/{address}/balancechanges",
            get(list::balance_changes_v2),
        )
        .route(
            "/api/v2/pools/{pool}/miners/{address}/earnings/daily",
            get(list::earnings_v2),
        )
        .route("/api/blocks", get(list::all_blocks))
        .route("/api/health-check", get(async || "OK"))
}
