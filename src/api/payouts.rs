//! `/api/v1/pools/{pool}/payouts`: what the pool paid, transaction by transaction. Who was paid how much
//! is for each miner to ask.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    page::{NumberQuery, PoolPage},
    pools::OnePool,
    problem::{PoolProblems, Problem},
};
use crate::display;

/// A payout: many payments in one transaction.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PayoutStatus {
    /// Its number in this pool's list.
    pub(crate) number: u64,
    /// `reserved`, `signed`, `broadcast`, `confirmed`, `released` (the balances are back) or `manual`
    /// (a person looks at it).
    pub(crate) state: &'static str,
    /// When it was made.
    pub(crate) made: String,
    /// When its state last changed.
    pub(crate) changed: String,
    /// What it pays together.
    pub(crate) total: String,
    /// To how many.
    pub(crate) payments: u64,
    /// What the chain got for it, once it is signed. The pool bears it.
    pub(crate) network_fee: Option<String>,
    /// Its transaction, once it is signed.
    pub(crate) txid: Option<String>,
    /// Blocks that confirm it, as last seen.
    pub(crate) confirmations: u32,
}

/// The payouts of a pool
///
/// The newest first.
#[utoipa::path(
    get, path = "/api/v1/pools/{pool}/payouts", operation_id = "pool_payouts", tag = "pool",
    params(("pool" = String, Path, description = "The pool's name"), NumberQuery),
    responses((status = 200, description = "The answer.", body = PoolPage<PayoutStatus>), PoolProblems)
)]
pub(crate) async fn list(
    OnePool(pool): OnePool,
    query: NumberQuery,
) -> Result<Json<PoolPage<PayoutStatus>>, Problem> {
    let found = pool
        .store
        .payouts(pool.id, query.before()?, query.one_more());
    let found = found.await?;
    let page = query.page(&pool, found, |payout| payout.number);
    let newest = page.items.first().map_or(0, |payout| payout.number);
    let oldest = page.items.last().map_or(0, |payout| payout.number);
    let counts = pool.store.payment_counts(pool.id, oldest, newest).await?;
    let items = page.items.into_iter().map(|payout| {
        let signed = payout.signed.as_ref();
        PayoutStatus {
            number: payout.number,
            state: payout.state.name(),
            made: display::time(payout.made_ms),
            changed: display::time(payout.changed_ms),
            total: payout.total.to_string(),
            payments: counts.get(&payout.number).copied().unwrap_or(0),
            network_fee: signed.map(|signed| signed.network_fee.to_string()),
            txid: signed.map(|signed| signed.txid.to_string()),
            confirmations: payout.confirmations,
        }
    });
    Ok(Json(PoolPage {
        pool: page.pool,
        items: items.collect(),
        next: page.next,
    }))
}
