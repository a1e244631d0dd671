//! `/api/v1/pools/{pool}/blocks`: what the pool found, and what it took.

use std::collections::BTreeMap;

use anyhow::Context as _;
use axum::Json;
use mining::{Work, block::BlockState, luck::Effort};
use serde::Serialize;
use store::Block;
use utoipa::ToSchema;

use super::{
    page::{NumberQuery, PoolPage},
    pools::OnePool,
    problem::{PoolProblems, Problem},
};
use crate::{display, pool::Pool, template_feed::Newest};

/// How many are listed where the pool is shown at a glance.
const LISTED: u32 = 50;

/// Blocks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BlocksStatus {
    /// Found in all.
    pub found: u64,
    /// Sent, not seen in the chain yet.
    pub submitted: u64,
    /// In the chain.
    pub immature: u64,
    /// Spendable.
    pub mature: u64,
    /// In no chain.
    pub orphaned: u64,
    /// What the pool's work was expected to find, as far as it is counted. With six decimals, as a text.
    pub expected: String,
    /// What that work found.
    pub expected_found: u64,
    /// The effort since the last block; absent if nobody knows when its round began, or what a block
    /// takes now.
    pub effort: Option<EffortStatus>,
    /// The last ones, newest first.
    pub last: Vec<BlockStatus>,
}

/// The work of a round against what a block takes on average.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EffortStatus {
    /// The work since the block before, in expected hashes.
    pub work: String,
    /// What a block takes at that height, likewise.
    pub network_work: String,
    /// The one of the other in percent, with two decimals, as a text: below 100 it was luck.
    pub percent: String,
}

/// A block.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BlockStatus {
    /// Its number in this pool's list.
    pub number: u64,
    /// Its height.
    pub height: u32,
    /// Its id.
    pub hash: String,
    /// The worker that solved it, `address.name`.
    pub worker: String,
    /// When.
    pub found: String,
    /// What its coinbase pays.
    pub reward: String,
    /// `submitted`, `immature`, `mature` or `orphaned`.
    pub state: &'static str,
    /// Confirmations, itself included.
    pub confirmations: u32,
    /// The confirmations after which it is mature.
    pub matures_after: u32,
    /// `pplns`, `prop`, `solo`, ...: how it is paid.
    pub scheme: &'static str,
    /// The effort that it took; absent while its share is not counted.
    pub effort: Option<EffortStatus>,
    /// What a daemon had against it.
    pub reason: Option<String>,
}

/// The blocks of a pool
///
/// The newest first.
#[utoipa::path(
    get, path = "/api/v1/pools/{pool}/blocks", operation_id = "pool_blocks", tag = "pool",
    params(("pool" = String, Path, description = "The pool's name"), NumberQuery),
    responses((status = 200, description = "The answer.", body = PoolPage<BlockStatus>), PoolProblems)
)]
pub(crate) async fn list(
    OnePool(pool): OnePool,
    query: NumberQuery,
) -> Result<Json<PoolPage<BlockStatus>>, Problem> {
    let found = pool
        .store
        .blocks(pool.id, query.before()?, query.one_more());
    let found = found.await?;
    let page = query.page(&pool, found, |block| block.seq);
    let items = told(&pool, page.items).await?;
    Ok(Json(PoolPage {
        pool: page.pool,
        items,
        next: page.next,
    }))
}

/// Blocks with their efforts.
async fn told(pool: &Pool, blocks: Vec<Block>) -> anyhow::Result<Vec<BlockStatus>> {
    let oldest = blocks.last().map_or(u64::MAX, |block| block.seq);
    let rounds = pool.store.round_works(pool.id, oldest).await;
    let rounds = rounds.context("the work of rounds cannot be read")?;
    let tell = |block| BlockStatus::new(pool, block, &rounds);
    Ok(blocks.into_iter().map(tell).collect())
}

impl EffortStatus {
    pub(super) fn new(work: Work, network: Work) -> Option<Self> {
        let effort = Effort::new(work, network)?;
        Some(Self {
            work: work.hashes().to_string(),
            network_work: network.hashes().to_string(),
            percent: effort.to_string(),
        })
    }
}

impl BlockStatus {
    fn new(pool: &Pool, block: Block, rounds: &BTreeMap<u64, Work>) -> Self {
        let effort = || {
            let network = block.found.network.work().ok()?;
            EffortStatus::new(*rounds.get(&block.seq)?, network)
        };
        Self {
            number: block.seq,
            effort: effort(),
            height: block.found.height,
            hash: block.found.hash.to_string(),
            worker: block.found.worker.to_string(),
            found: display::time(block.found.found_ms),
            reward: block.found.reward.to_string(),
            state: block.state.name(),
            confirmations: block.confirmations,
            matures_after: pool.blocks.maturity(),
            scheme: block.found.scheme.name(),
            reason: block
                .verdict
                .filter(|_| block.state == BlockState::Orphaned),
        }
    }
}

impl BlocksStatus {
    pub(super) async fn of(pool: &Pool) -> anyhow::Result<Self> {
        let store = &pool.store;
        let luck = store.pool_luck(pool.id).await;
        let luck = luck.context("what was expected cannot be read")?;
        let round = store.round_work(pool.id).await;
        let round = round.context("the work of a round cannot be read")?;
        let network = match &*pool.newest.borrow() {
            Newest::Offer(offer) => Some(offer.template.work()),
            Newest::Nothing(_) => None,
        };
        let counts = store.block_counts(pool.id).await;
        let counts = counts.context("blocks cannot be counted")?;
        let last = store.blocks(pool.id, None, LISTED).await;
        let last = told(pool, last.context("blocks cannot be read")?).await?;
        Ok(Self {
            found: counts.submitted + counts.immature + counts.mature + counts.orphaned,
            submitted: counts.submitted,
            immature: counts.immature,
            mature: counts.mature,
            orphaned: counts.orphaned,
            expected: luck.expected.to_string(),
            expected_found: luck.found,
            effort: round
                .zip(network)
                .and_then(|(work, network)| EffortStatus::new(work, network)),
            last,
        })
    }
}
