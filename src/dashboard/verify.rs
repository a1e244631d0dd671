//! `/verify`: by what a pool is known, what it has signed, and how to check it without the pool.

use askama::Template;
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};

use super::{ENGLISH, Shell, blocks::Asked, page as answer};
use crate::{
    api::{
        problem::Problem,
        receipts::{self, DaysPage, DaysQuery, IssuerKey},
    },
    pool::Pool,
};

#[derive(Template)]
#[template(path = "verify.html")]
struct Page {
    shell: Shell,
    names: Vec<String>,
    issuer: IssuerKey,
    days: DaysPage,
    is_first: bool,
}

/// `/verify`
pub(super) async fn page(
    State(pools): State<Vec<Pool>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    answer(Page::new(pools, asked).await)
}

impl Page {
    async fn new(pools: Vec<Pool>, asked: Asked) -> Result<Self, Problem> {
        let pool = asked.pool(&pools)?;
        let names = pools.iter().map(|pool| pool.name.clone()).collect();
        let issuers = receipts::issuers(State(pools.clone())).await?.0;
        let mut issuers = issuers.pools.into_iter();
        let issuer = issuers.find(|issuer| issuer.pool == pool.name);
        let query = DaysQuery::of(&pool.name, asked.cursor.clone());
        let days = receipts::days(State(pools), receipts::Asked(query))
            .await?
            .0;
        Ok(Self {
            shell: Shell::new("verify", ENGLISH.verify),
            names,
            issuer: issuer.ok_or_else(Problem::no_pool)?,
            days,
            is_first: asked.cursor.is_none(),
        })
    }
}
