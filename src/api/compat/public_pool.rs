//! public-pool's API: `/api/pool`, `/api/info`, `/api/network`, `/api/client/ADDRESS` and what is
//! below them. Read by its own pages, Umbrel's widget, Home Assistant and the screens of NerdMiners.
//!
//! A NerdMiner has 2,048 bytes for `/api/client/ADDRESS`. So the strongest workers are listed as far as
//! they fit, and all others are one entry, `others`, with the sum of their rates: what is added up is
//! right. `?workers=all` lists up to 500. Where public-pool has sessions we have workers, each with an id
//! made of its name.

mod chart;
mod client;

#[cfg(test)]
pub(super) use client::{Client, DOCUMENT_MAX};

use std::collections::HashMap;

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use mining::{Coin, block::BlockState};
use serde::Serialize;
use store::{BestShare, Block, Minute};

use super::{
    Asked, Kept, answer,
    figures::{
        self, BLOCKS_MAX, Connected, Next, PoolNow, WorkerNow, difficulty, session_id, work_of,
    },
    page_of,
};
use crate::{api::problem::Problem, clock, display, pool::Pool};

/// Addresses in a list of the best shares.
const BEST_MAX: u32 = 10;
/// What devices call themselves: so many are told, the most frequent first.
const AGENTS_MAX: usize = 100;
/// Workers whose rates are added up by what they call themselves.
const COUNTED_MAX: usize = 10_000;
/// public-pool lists who had a share in so many minutes.
const ACTIVE_MINUTES: u32 = 30;

pub(super) fn routes() -> Router<Vec<Pool>> {
    Router::new()
        .route("/api/pool", get(pool))
        .route("/api/info", get(info))
        .route("/api/info/chart", get(chart::of_pool))
        .route("/api/info/chart/payout-modes", get(chart::of_pool_by_mode))
        .route("/api/network", get(network))
        .route("/api/client/{address}", get(client::client))
        .route("/api/client/{address}/chart", get(chart::of_client))
        .route(
            "/api/client/{address}/chart/payout-modes",
            get(chart::of_client_by_mode),
        )
        .route("/api/client/{address}/{worker}", get(client::worker))
        .route(
            "/api/client/{address}/{worker}/{session}",
            get(client::session),
        )
        .route("/api/share/top-difficulties", get(top_difficulties))
}

/// Where links of devices lead; `/users/ADDRESS` is ckpool's too, and answered there.
pub(super) fn links() -> Router<Vec<Pool>> {
    Router::new()
        .route("/app/{address}", get(link))
        .route("/user/{address}", get(link))
        .route("/stats/{address}", get(link))
}

async fn link(Path(address): Path<String>) -> Result<Response, Problem> {
    page_of(&address)
}

async fn pool(Asked(pool): Asked) -> Result<Response, Problem> {
    let now = PoolNow::of(&pool, clock::now_ms()).await?;
    let blocks = pool.store.blocks(pool.id, None, BLOCKS_MAX).await?;
    Ok(answer(Kept::Medium, PoolInfo::new(&now, &blocks)))
}

async fn info(Asked(pool): Asked) -> Result<Response, Problem> {
    let now_ms = clock::now_ms();
    let blocks = pool.store.blocks(pool.id, None, BLOCKS_MAX).await?;
    let connected = Connected::of(&pool, None);
    let since = Minute::of_ms(now_ms).back(ACTIVE_MINUTES);
    let workers = figures::ranked(&pool, None, since, &[10], COUNTED_MAX, &connected, now_ms);
    let best = pool.store.best_shares(pool.id, BEST_MAX).await?;
    let info = Info::new(&pool, &blocks, &workers.await?, &best, &connected);
    Ok(answer(Kept::Medium, info))
}

async fn network(Asked(pool): Asked) -> Result<Response, Problem> {
    let now = PoolNow::of(&pool, clock::now_ms()).await?;
    Ok(match &now.next {
        Some(next) => answer(Kept::Medium, MiningInfo::new(&now, next)),
        None => Problem::unavailable(&anyhow::anyhow!("nothing is mined")).into_response(),
    })
}

async fn top_difficulties(Asked(pool): Asked) -> Result<Response, Problem> {
    let best = pool.store.best_shares(pool.id, BEST_MAX).await?;
    let connected = Connected::of(&pool, None);
    let shares = best.iter().map(|best| TopShare {
        user_agent: connected.agent(&best.who),
        time: best.last_share_ms,
        external_pool_name: pool.name.clone(),
        difficulty: difficulty(work_of(&best.hash), pool.coin),
    });
    let shares: Vec<_> = shares.collect();
    Ok(answer(Kept::Long, shares))
}

/// `/api/pool`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolInfo {
    total_hash_rate: u128,
    block_height: u32,
    total_miners: usize,
    blocks_found: Vec<FoundBlock>,
    fee: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundBlock {
    height: u32,
    miner_address: String,
    worker: String,
    session_id: String,
}

/// `/api/info`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    block_data: Vec<FoundBlock>,
    user_agents: Vec<Agent>,
    high_scores: Vec<HighScore>,
    uptime: String,
}

#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Agent {
    user_agent: String,
    count: usize,
    best_difficulty: f64,
    total_hash_rate: u128,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HighScore {
    updated_at: String,
    best_difficulty: f64,
    best_difficulty_user_agent: String,
}

/// `/api/network`: bitcoind's `getmininginfo`.
#[derive(Serialize)]
pub(super) struct MiningInfo {
    blocks: u32,
    currentblockweight: u64,
    currentblocktx: usize,
    difficulty: f64,
    networkhashps: u128,
    pooledtx: usize,
    chain: &'static str,
    warnings: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopShare {
    user_agent: String,
    time: i64,
    external_pool_name: String,
    difficulty: f64,
}

impl PoolInfo {
    pub(super) fn new(now: &PoolNow, blocks: &[Block]) -> Self {
        Self {
            total_hash_rate: now.windows.rate(10),
            block_height: now
                .next
                .as_ref()
                .map_or(0, |next| next.height.saturating_sub(1)),
            total_miners: now.presence.workers,
            blocks_found: found(blocks),
            fee: now.fee(),
        }
    }
}

impl Info {
    fn new(
        pool: &Pool,
        blocks: &[Block],
        workers: &[WorkerNow],
        best: &[BestShare],
        connected: &Connected,
    ) -> Self {
        Self {
            block_data: found(blocks),
            user_agents: agents(workers, connected, pool.coin),
            high_scores: best
                .iter()
                .map(|best| HighScore {
                    updated_at: display::time(best.last_share_ms),
                    best_difficulty: difficulty(work_of(&best.hash), pool.coin),
                    best_difficulty_user_agent: connected.agent(&best.who),
                })
                .collect(),
            uptime: display::time(pool.started_ms),
        }
    }
}

/// Workers by what they call themselves.
fn agents(workers: &[WorkerNow], connected: &Connected, coin: &Coin) -> Vec<Agent> {
    let mut by_name: HashMap<&str, Agent> = HashMap::new();
    for session in connected.sessions() {
        by_name.entry(&session.agent).or_default().count += 1;
    }
    for worker in workers {
        let Some(agent) = worker
            .agent
            .as_deref()
            .and_then(|name| by_name.get_mut(name))
        else {
            continue;
        };
        agent.total_hash_rate += worker.windows.rate(10);
        let best = worker.best.map_or(0.0, |best| difficulty(best, coin));
        agent.best_difficulty = agent.best_difficulty.max(best);
    }
    let mut agents: Vec<Agent> = by_name
        .into_iter()
        .map(|(name, agent)| Agent {
            user_agent: name.to_owned(),
            ..agent
        })
        .collect();
    agents.sort_by(|a, b| (b.count, &a.user_agent).cmp(&(a.count, &b.user_agent)));
    agents.truncate(AGENTS_MAX);
    agents
}

impl MiningInfo {
    pub(super) fn new(now: &PoolNow, next: &Next) -> Self {
        let rules = now.coin.on(now.network);
        Self {
            blocks: next.height.saturating_sub(1),
            currentblockweight: next.weight,
            currentblocktx: next.transactions,
            difficulty: next.difficulty(now.coin),
            networkhashps: next.network_rate(now.coin),
            pooledtx: next.transactions,
            chain: rules.map_or("", |rules| rules.chain),
            warnings: "",
        }
    }
}

/// The blocks that are not orphaned.
fn found(blocks: &[Block]) -> Vec<FoundBlock> {
    let block = |block: &Block| {
        let worker = &block.found.worker;
        FoundBlock {
            height: block.found.height,
            miner_address: worker.address().to_owned(),
            worker: name_of(worker.name()),
            session_id: session_id(worker.address(), worker.name()),
        }
    };
    let mut blocks: Vec<_> = blocks.iter().collect();
    blocks.retain(|block| block.state != BlockState::Orphaned);
    blocks.into_iter().map(block).collect()
}

/// A worker without a name is called `worker` there, as a path needs one.
fn name_of(name: &str) -> String {
    let name = if name.is_empty() { "worker" } else { name };
    name.to_owned()
}
