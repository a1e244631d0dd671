//! Payouts as an operator sees them: what stands in their way, those that are open, their pause and its
//! end.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    operator::Operator,
    pools::OnePool,
    problem::{Body, OperatorProblems, Problem},
};
use crate::{display, pool::Pool};

/// The longest reason.
const REASON_MAX: usize = 500;

/// What is paid, and what is not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenPayouts {
    /// In the order of the configuration.
    pub(crate) pools: Vec<PoolOpenPayouts>,
}

/// What a pool pays, and what it does not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolOpenPayouts {
    /// The pool's name.
    pub(crate) pool: String,
    /// The unit of its amounts.
    pub(crate) unit: &'static str,
    /// Whether it pays at all.
    pub(crate) enabled: bool,
    /// Why no new payouts begin; absent if they do.
    pub(crate) paused: Option<String>,
    /// What stands in the way.
    pub(crate) trouble: Vec<String>,
    /// Those that are neither confirmed nor released, the oldest first.
    pub(crate) open: Vec<OpenPayout>,
}

/// A payout that is under way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenPayout {
    /// Its number in this pool's list.
    pub(crate) number: u64,
    /// `reserved`, `signed`, `broadcast` or `manual` (it waits for you).
    pub(crate) state: &'static str,
    /// When it was made.
    pub(crate) made: String,
    /// When its state last changed.
    pub(crate) changed: String,
    /// What it pays together.
    pub(crate) total: String,
    /// Its transaction, once it is signed.
    pub(crate) txid: Option<String>,
    /// Blocks that confirm it, as last seen.
    pub(crate) confirmations: u32,
    /// Why it is in this state.
    pub(crate) reason: String,
}

/// Why payouts are paused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pause {
    /// For others, 1 to 500 bytes.
    pub(crate) reason: String,
}

/// Payouts under way, and what stands in their way
#[utoipa::path(
    get, path = "/api/v1/operator/payouts", operation_id = "open_payouts", tag = "operator",
    security(("key" = []), ()),
    responses((status = 200, description = "The answer.", body = OpenPayouts), OperatorProblems)
)]
pub(crate) async fn list(
    _: Operator,
    State(pools): State<Vec<Pool>>,
) -> Result<Json<OpenPayouts>, Problem> {
    let mut told = Vec::with_capacity(pools.len());
    for pool in &pools {
        let open = pool.store.open_payouts(pool.id).await?;
        let trouble = pool.payouts.as_ref().map(|payouts| payouts.trouble().lines);
        told.push(PoolOpenPayouts {
            pool: pool.name.clone(),
            unit: pool.coin.unit,
            enabled: pool.payouts.is_some(),
            paused: pool.store.payments_paused(pool.id).await?,
            trouble: trouble.unwrap_or_default(),
            open: open.into_iter().map(OpenPayout::of).collect(),
        });
    }
    Ok(Json(OpenPayouts { pools: told }))
}

/// Begin no new payouts
///
/// Until they are resumed. Those under way go on.
#[utoipa::path(
    post, path = "/api/v1/pools/{pool}/payouts/pause", operation_id = "pause_payouts", tag = "operator",
    params(("pool" = String, Path, description = "The pool's name")), request_body = Pause,
    security(("key" = []), ()),
    responses((status = 204, description = "Done."), OperatorProblems)
)]
pub(crate) async fn pause(
    operator: Operator,
    OnePool(pool): OnePool,
    Body(body): Body<Pause>,
) -> Result<StatusCode, Problem> {
    let reason = body.reason.trim();
    if reason.is_empty() || reason.len() > REASON_MAX || reason.chars().any(char::is_control) {
        let message = "reason: 1 to 500 bytes on one line";
        return Err(Problem::field("bad_reason", message));
    }
    let act = operator.act("payouts paused", &format!("{}: {reason}", pool.name));
    let done = pool.store.pause_payments_by(pool.id, reason, &act);
    done.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pay again
#[utoipa::path(
    post, path = "/api/v1/pools/{pool}/payouts/resume", operation_id = "resume_payouts", tag = "operator",
    params(("pool" = String, Path, description = "The pool's name")),
    security(("key" = []), ()),
    responses((status = 204, description = "Done."), OperatorProblems)
)]
pub(crate) async fn resume(
    operator: Operator,
    OnePool(pool): OnePool,
) -> Result<StatusCode, Problem> {
    let act = operator.act("payouts resumed", &pool.name);
    pool.store.pause_payments_by(pool.id, "", &act).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl OpenPayout {
    fn of(payout: store::Payout) -> Self {
        Self {
            number: payout.number,
            state: payout.state.name(),
            made: display::time(payout.made_ms),
            changed: display::time(payout.changed_ms),
            total: payout.total.to_string(),
            txid: payout.signed.map(|signed| signed.txid.to_string()),
            confirmations: payout.confirmations,
            reason: payout.reason,
        }
    }
}
