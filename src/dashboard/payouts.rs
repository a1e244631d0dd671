//! `/payouts`: what a pool paid, transaction by transaction.

use askama::Template;
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};

use super::{ENGLISH, Shell, blocks::Asked, page as answer};
use crate::{
    api::{
        page::PoolPage,
        payouts::{self, PayoutStatus},
        pools::OnePool,
        problem::Problem,
    },
    pool::Pool,
};

#[derive(Template)]
#[template(path = "payouts.html")]
struct Page {
    shell: Shell,
    names: Vec<String>,
    pool: Pool,
    page: PoolPage<PayoutStatus>,
    is_first: bool,
}

/// `/payouts`
pub(super) async fn page(
    State(pools): State<Vec<Pool>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    answer(Page::new(&pools, &asked).await)
}

impl Page {
    async fn new(pools: &[Pool], asked: &Asked) -> Result<Self, Problem> {
        let pool = asked.pool(pools)?;
        let page = payouts::list(OnePool(pool.clone()), asked.query()).await?.0;
        Ok(Self {
            shell: Shell::new("payouts", ENGLISH.payouts),
            names: pools.iter().map(|pool| pool.name.clone()).collect(),
            pool,
            page,
            is_first: asked.cursor.is_none(),
        })
    }
}
