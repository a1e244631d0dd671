//! The status page: what `/api/v1/status` says, for people. It works without script and renews
//! itself.

use askama::Template;
use axum::{
    extract::State,
    http::header,
    response::{Html, IntoResponse, Response},
};

use crate::{
    api::{self, PoolStatus, Status},
    display,
    pool::Pool,
};

#[derive(Template)]
#[template(path = "status.html")]
struct Page {
    status: Status,
}

/// `/`
pub async fn page(State(pools): State<Vec<Pool>>) -> Response {
    let page = match Status::of(&pools).await {
        Ok(status) => Page { status },
        Err(error) => return api::unavailable(&error),
    };
    match page.render() {
        Ok(html) => {
            let policy = "default-src 'none'; style-src 'self'; img-src 'self'";
            ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
        }
        Err(error) => api::unavailable(&error.into()),
    }
}

/// `/style.css`
pub async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("../templates/style.css"),
    )
}

/// `/favicon.ico`
pub async fn icon() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "image/svg+xml")],
        include_str!("../templates/icon.svg"),
    )
}

impl Page {
    fn coins(&self, units: &str) -> String {
        // All coins of the table have the same number of places.
        display::coins(units, mining::coin::COINS[0].decimals)
    }

    fn hashrate(&self, number: &f64) -> String {
        display::hashrate(*number)
    }

    fn difficulty(&self, number: &f64) -> String {
        display::difficulty(*number)
    }

    fn clock(&self, time: &str) -> String {
        time.replace('T', " ").replace('Z', " UTC")
    }

    /// The percentage of good shares, as a text.
    fn good(&self, pool: &PoolStatus) -> String {
        let rejected = pool.rejected_total();
        let all = pool.shares.accepted + rejected;
        if all == 0 {
            return "none yet".into();
        }
        let tenths = u128::from(pool.shares.accepted) * 1000 / u128::from(all);
        format!("{}.{} % good", tenths / 10, tenths % 10)
    }
}
