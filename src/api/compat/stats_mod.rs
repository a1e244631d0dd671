//! `/stats` and `/api/stats_mod`: one document that lists of pools read, as P2Pool writes it in the form
//! of cryptonote-nodejs-pool.

use axum::{Router, response::Response, routing::get};
use serde::Serialize;

use super::{
    Asked, Kept, answer,
    figures::PoolNow,
    money::{self, BlockNow, Money},
};
use crate::{api::problem::Problem, clock, pool::Pool};

/// Blocks that are told, the newest.
const BLOCKS_MAX: u32 = 50;

pub(super) fn routes() -> Router<Vec<Pool>> {
    Router::new()
        .route("/stats", get(stats))
        .route("/api/stats_mod", get(stats))
}

async fn stats(Asked(pool): Asked) -> Result<Response, Problem> {
    let now = PoolNow::of(&pool, clock::now_ms()).await?;
    let money = Money::of(&pool).await?;
    let blocks = money::blocks(&pool, BLOCKS_MAX).await?;
    Ok(answer(Kept::Medium, StatsMod::new(&now, &money, &blocks)))
}

#[derive(Serialize)]
pub(super) struct StatsMod {
    config: Config,
    network: Network,
    pool: PoolPart,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    ports: Vec<Port>,
    fee: f64,
    min_payment_threshold: u64,
}

#[derive(Serialize)]
struct Port {
    port: u16,
    tls: bool,
}

#[derive(Serialize)]
struct Network {
    height: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolPart {
    stats: LastBlock,
    /// `hash:seconds` and the height, in turn.
    blocks: Vec<String>,
    miners: usize,
    hashrate: u128,
    round_hashes: u128,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LastBlock {
    /// In milliseconds since 1970, as a text.
    last_block_found: String,
}

impl StatsMod {
    pub(super) fn new(now: &PoolNow, money: &Money, blocks: &[BlockNow]) -> Self {
        let last = money
            .last_block
            .as_ref()
            .map(|last| last.block.found.found_ms);
        let port = |port: &money::Port| Port {
            port: port.address.port(),
            tls: port.tls,
        };
        let block = |now: &BlockNow| {
            let found = &now.block.found;
            let seconds = found.found_ms / 1000;
            [
                format!("{}:{seconds}", found.hash),
                found.height.to_string(),
            ]
        };
        let in_chain = blocks.iter().filter(|now| now.is_in_chain());
        Self {
            config: Config {
                ports: money.ports.iter().map(port).collect(),
                fee: now.fee(),
                min_payment_threshold: money.threshold.units(),
            },
            network: Network {
                height: now
                    .next
                    .as_ref()
                    .map_or(0, |next| next.height.saturating_sub(1)),
            },
            pool: PoolPart {
                stats: LastBlock {
                    last_block_found: last.unwrap_or(0).to_string(),
                },
                blocks: in_chain.flat_map(block).collect(),
                miners: now.presence.users,
                hashrate: now.windows.rate(10),
                round_hashes: now.round.map_or(0, mining::Work::hashes),
            },
        }
    }
}
