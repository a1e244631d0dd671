//! `/api/v1/miners/{address}/statement`: all that ever happened to a miner's balance, as the books have
//! it. Shares that are paid for as they come stand here alone: no block is behind them.

use axum::Json;
use serde::Serialize;
use store::Line;
use utoipa::ToSchema;

use super::{
    miner::{Miner, OfPool, Place},
    page::{Page, PageQuery},
    problem::{MinerProblems, Problem},
};
use crate::display;

/// Something that happened to a balance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatementLine {
    #[serde(flatten)]
    pub(crate) of: OfPool,
    /// The entry, as `adit ledger statement` has it.
    pub(crate) entry: String,
    /// `posted`, `pending` (it does not count yet) or `voided` (it never counted).
    pub(crate) state: String,
    /// What it adds to the balance; with a minus, what it takes from it.
    pub(crate) amount: String,
    /// Why.
    pub(crate) reason: String,
    /// When it was entered.
    pub(crate) time: String,
    /// When it was posted or voided.
    pub(crate) settled: Option<String>,
}

/// What happened to a miner's balance
///
/// The newest first. The amounts of what is posted add up to `available`, and of what is pending to
/// `immature`.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/statement", operation_id = "miner_statement",
    tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin"), PageQuery),
    responses(
        (status = 200, description = "The answer.", body = Page<StatementLine>),
        MinerProblems
    )
)]
pub(crate) async fn list(
    miner: Miner,
    query: PageQuery,
) -> Result<Json<Page<StatementLine>>, Problem> {
    let mut walk = query.walk(&miner)?;
    let mut items = Vec::new();
    while let Some(step) = walk.step() {
        let Place { pool, account, .. } = step.place;
        let found = pool
            .store
            .statement(pool.id, account, step.after, step.limit);
        let found = walk.take(&step, found.await?, |line| line.seq);
        let line = |line: Line| StatementLine {
            of: OfPool::new(pool),
            entry: line.id.to_string(),
            state: line.state,
            amount: line.amount.to_string(),
            reason: line.reason,
            time: display::time(line.made_ms),
            settled: line.settled_ms.map(display::time),
        };
        items.extend(found.into_iter().map(line));
    }
    Ok(Json(walk.end(&miner, items)))
}
