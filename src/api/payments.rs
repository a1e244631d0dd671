//! `/api/v1/miners/{address}/payouts`: what was paid, and what is on its way.

use axum::Json;
use serde::Serialize;
use store::OwnPayment;
use utoipa::ToSchema;

use super::{
    miner::{Miner, OfPool, Place},
    page::{Page, PageQuery},
    problem::{MinerProblems, Problem},
};
use crate::display;

/// A payment to a miner.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Payment {
    #[serde(flatten)]
    pub(crate) of: OfPool,
    /// The number of the payout that it is part of.
    pub(crate) payout: u64,
    /// `reserved`, `signed`, `broadcast`, `confirmed`, `released` (the balance is back) or `manual`
    /// (a person looks at it).
    pub(crate) state: &'static str,
    /// When the payout was made.
    pub(crate) made: String,
    /// How much.
    pub(crate) amount: String,
    /// To where.
    pub(crate) pay_to: String,
    /// The transaction, once it is signed.
    pub(crate) txid: Option<String>,
}

/// The payments to a miner
///
/// The newest first.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/payouts", operation_id = "miner_payouts", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin"), PageQuery),
    responses((status = 200, description = "The answer.", body = Page<Payment>), MinerProblems)
)]
pub(crate) async fn list(miner: Miner, query: PageQuery) -> Result<Json<Page<Payment>>, Problem> {
    let mut walk = query.walk(&miner)?;
    let mut items = Vec::new();
    while let Some(step) = walk.step() {
        let Place { pool, account, .. } = step.place;
        let found = pool
            .store
            .payments_of(pool.id, account, step.after, step.limit);
        let found = walk.take(&step, found.await?, |payment| payment.payout);
        let payment = |payment: OwnPayment| Payment {
            of: OfPool::new(pool),
            payout: payment.payout,
            state: payment.state.name(),
            made: display::time(payment.made_ms),
            amount: payment.amount.to_string(),
            pay_to: payment.address,
            txid: payment.txid.map(|txid| txid.to_string()),
        };
        items.extend(found.into_iter().map(payment));
    }
    Ok(Json(walk.end(&miner, items)))
}
