//! `/api/v1/operator/log`: what operators did, the newest first.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    operator::Operator,
    page::NumberQuery,
    problem::{OperatorProblems, Problem},
};
use crate::display::time;

/// A page of acts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Acts {
    /// The newest first.
    pub(crate) items: Vec<ActStatus>,
    /// The `cursor` of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// What an operator did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActStatus {
    /// When.
    pub(crate) time: String,
    /// Who: `key NAME`, or `this machine`.
    pub(crate) who: String,
    /// What.
    pub(crate) what: String,
    /// On what.
    pub(crate) subject: String,
}

/// What operators did
///
/// It was written down before it was done. What nobody decides, such as `blocknotify`, is not in it.
#[utoipa::path(
    get, path = "/api/v1/operator/log", operation_id = "operator_log", tag = "operator",
    params(NumberQuery), security(("key" = []), ()),
    responses((status = 200, description = "The answer.", body = Acts), OperatorProblems)
)]
pub(crate) async fn list(operator: Operator, query: NumberQuery) -> Result<Json<Acts>, Problem> {
    let found = operator.store().acts(query.before()?, query.one_more());
    let (kept, next) = query.cut(found.await?, |kept| kept.seq);
    let items = kept.into_iter().map(|kept| ActStatus {
        time: time(kept.act.time_ms),
        who: kept.act.who,
        what: kept.act.what,
        subject: kept.act.subject,
    });
    Ok(Json(Acts {
        items: items.collect(),
        next,
    }))
}
