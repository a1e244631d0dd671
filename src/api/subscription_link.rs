//! `/alerts/confirm/...` and `/alerts/stop/...`: the links in a message. Opening one shows what it does
//! and does nothing, because programs open links before people do; the button on it does.

use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use store::Subscription;

use super::problem::Problem;
use crate::{alerts::Token, clock, pool::Pool};

/// What it is for, the subscription's id, and its token.
pub(super) const PATH: &str = "/alerts/{what}/{id}/{token}";

/// Shows what the link does.
pub(super) async fn page(
    State(pools): State<Vec<Pool>>,
    Path((what, id, token)): Path<(String, u64, String)>,
) -> Result<Response, Problem> {
    let Some((what, _)) = find(&pools, &what, id, &token).await? else {
        return Err(Problem::nothing());
    };
    Ok(html(match what {
        Token::Confirm => {
            "<h1>Alerts</h1><p>Somebody asked for a pool's alerts to be sent to you. Do you want them?</p>\
             <form method=\"post\"><button>Yes, send them</button></form>"
        }
        Token::Stop => {
            "<h1>Alerts</h1><p>Do you want no more of these alerts?</p>\
             <form method=\"post\"><button>No more of them</button></form>"
        }
    }))
}

/// Does it.
pub(super) async fn done(
    State(pools): State<Vec<Pool>>,
    Path((what, id, token)): Path<(String, u64, String)>,
) -> Result<Response, Problem> {
    let Some((what, pool)) = find(&pools, &what, id, &token).await? else {
        return Err(Problem::nothing());
    };
    let (store, now) = (&pool.store, clock::now_ms());
    Ok(html(match what {
        Token::Confirm => {
            store.confirm_subscription(id, now).await?;
            "<h1>Alerts</h1><p>They will be sent. Each has a link that ends them.</p>"
        }
        Token::Stop => {
            store.stop_subscription(id, now).await?;
            "<h1>Alerts</h1><p>You are sent no more of them.</p>"
        }
    }))
}

/// What a link is for, if it is right. What was removed has no link any more.
async fn find<'p>(
    pools: &'p [Pool],
    what: &str,
    id: u64,
    token: &str,
) -> Result<Option<(Token, &'p Pool)>, Problem> {
    let what = [Token::Confirm, Token::Stop]
        .into_iter()
        .find(|token| token.name() == what);
    let (Some(what), Some(pool)) = (what, pools.first()) else {
        return Ok(None);
    };
    let found: Option<Subscription> = pool.store.subscription(id).await?;
    let is_right = found.is_some_and(|found| what.is(token, &found.secret));
    Ok(is_right.then_some((what, pool)))
}

fn html(body: &str) -> Response {
    let policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'";
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Alerts</title>{body}</html>"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::OK, headers, Html(page)).into_response()
}
