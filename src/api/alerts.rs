//! `/api/v1/miners/{address}/alerts` and `/api/v1/alerts`: what was told, for pages. Where it was sent is
//! nobody's business here but the operator's, who also sees what was given up.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    miner::Miner,
    operator::Operator,
    page::{NumberQuery, Page, PageQuery},
    problem::{MinerProblems, OperatorProblems, Problem},
};
use crate::{clock, display, pool::Pool};

/// Something that people were told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alert {
    /// Its id: higher ones are newer. A webhook is sent the same.
    pub(crate) id: String,
    /// The pool's name.
    pub(crate) pool: String,
    /// What it is about: `worker_offline`, `block_found` and so on; the list is in docs/alerts.md.
    pub(crate) kind: &'static str,
    /// `once`, or of a trouble `begun` and `over`.
    pub(crate) phase: &'static str,
    /// `info`, `warning` or `critical`.
    pub(crate) severity: &'static str,
    /// A few words.
    pub(crate) title: &'static str,
    /// One sentence.
    pub(crate) text: String,
    /// Which worker, daemon, block or payout; may be empty.
    pub(crate) subject: String,
    /// Its numbers by name, as texts.
    #[schema(value_type = Object)]
    pub(crate) facts: Box<RawValue>,
    /// When it was seen.
    pub(crate) time: String,
    /// Of an end, the id of the alert that began it.
    pub(crate) begun: Option<String>,
}

/// What the operator was told.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OperatorAlerts {
    /// The newest first.
    items: Vec<Alert>,
    /// The `cursor` of the next page; null on the last one.
    next: Option<String>,
    /// Copies that wait to be sent.
    pending: u64,
    /// Copies that were given up.
    dead: u64,
}

/// Copies that were given up.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeadLetters {
    /// The newest first.
    items: Vec<DeadLetter>,
    /// The `cursor` of the next page; null on the last one.
    next: Option<String>,
}

/// A copy of an alert that was given up.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeadLetter {
    /// Its id.
    id: u64,
    /// The alert.
    alert: String,
    /// The subscription.
    subscription: u64,
    /// What kind of place it was for.
    sink: String,
    /// How often it was tried.
    attempts: u32,
    /// When it was given up.
    time: String,
    /// What went wrong at last.
    error: String,
}

impl Alert {
    fn new(alert: store::Alert) -> Result<Self, Problem> {
        let facts = serde_json::from_str(&alert.facts);
        let facts = facts.map_err(|error| Problem::unavailable(&anyhow::Error::new(error)))?;
        Ok(Self {
            id: alert.id.to_string(),
            pool: alert.pool,
            kind: alert.kind.name(),
            phase: alert.phase.name(),
            severity: alert.kind.severity(alert.phase).name(),
            title: alert.kind.title(alert.phase),
            text: alert.text,
            subject: alert.subject,
            facts,
            time: display::time(alert.made_ms),
            begun: alert.begun.map(|id| id.to_string()),
        })
    }
}

/// What a miner was told
///
/// Of its own work, as far as it asked to be told, and of the pool's blocks. The newest first.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/alerts", operation_id = "miner_alerts", tag = "alerts",
    params(("address" = String, Path, description = "An address of a pool's coin"), PageQuery),
    responses((status = 200, description = "The answer.", body = Page<Alert>), MinerProblems)
)]
pub(crate) async fn of_miner(miner: Miner, query: PageQuery) -> Result<Json<Page<Alert>>, Problem> {
    let mut walk = query.walk(&miner)?;
    let mut items = Vec::new();
    while let Some(step) = walk.step() {
        let place = step.place;
        let address = place.address.as_str();
        let store = &place.pool.store;
        let found = store.alerts_of(place.pool.id, address, step.after, step.limit);
        for alert in walk.take(&step, found.await?, |alert| alert.id) {
            items.push(Alert::new(alert)?);
        }
    }
    Ok(Json(walk.end(&miner, items)))
}

/// What the operator was told
///
/// Of all pools, the newest first.
#[utoipa::path(
    get, path = "/api/v1/alerts", operation_id = "alerts", tag = "operator", params(NumberQuery),
    security(("key" = []), ()),
    responses(
        (status = 200, description = "The answer.", body = OperatorAlerts),
        OperatorProblems
    )
)]
pub(super) async fn of_operator(
    _: Operator,
    State(pools): State<Vec<Pool>>,
    cursor: NumberQuery,
) -> Result<Response, Problem> {
    let Some(pool) = pools.first() else {
        return Err(Problem::nothing());
    };
    let found = pool
        .store
        .operator_alerts(cursor.before()?, cursor.one_more())
        .await?;
    let (found, next) = cursor.cut(found, |alert| alert.id);
    let counts = pool.store.outbox_counts().await?;
    let items = found.into_iter().map(Alert::new);
    Ok(Json(OperatorAlerts {
        items: items.collect::<Result<_, _>>()?,
        next,
        pending: counts.pending,
        dead: counts.dead,
    })
    .into_response())
}

/// Copies that were given up
///
/// The newest first.
#[utoipa::path(
    get, path = "/api/v1/alerts/dead", operation_id = "dead_alerts", tag = "operator", params(NumberQuery),
    security(("key" = []), ()),
    responses(
        (status = 200, description = "The answer.", body = DeadLetters),
        OperatorProblems
    )
)]
pub(super) async fn dead_letters(
    _: Operator,
    State(pools): State<Vec<Pool>>,
    cursor: NumberQuery,
) -> Result<Response, Problem> {
    let Some(pool) = pools.first() else {
        return Err(Problem::nothing());
    };
    let found = pool
        .store
        .dead_letters(cursor.before()?, cursor.one_more())
        .await?;
    let (found, next) = cursor.cut(found, |letter| letter.id);
    let letter = |letter: store::DeadLetter| DeadLetter {
        id: letter.id,
        alert: letter.alert.to_string(),
        subscription: letter.subscription,
        sink: letter.sink,
        attempts: letter.attempts,
        time: display::time(letter.changed_ms),
        error: letter.error,
    };
    Ok(Json(DeadLetters {
        items: found.into_iter().map(letter).collect(),
        next,
    })
    .into_response())
}

/// Send a copy again that was given up
///
///
#[utoipa::path(
    post, path = "/api/v1/alerts/dead/{id}/retry", operation_id = "retry_dead_alert", tag = "operator",
    params(("id" = u64, Path, description = "The copy's id")),
    security(("key" = []), ()),
    responses(
        (status = 204, description = "It is in the outbox."),
        OperatorProblems
    )
)]
pub(super) async fn send_again(
    operator: Operator,
    State(pools): State<Vec<Pool>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (Some(pool), Ok(id)) = (pools.first(), id.parse()) else {
        return Err(Problem::nothing());
    };
    operator
        .does("alert sent again", &format!("copy {id}"))
        .await?;
    if pool.store.revive_delivery(id, clock::now_ms()).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::nothing())
    }
}
