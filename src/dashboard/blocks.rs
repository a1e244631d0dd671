//! `/blocks`: all that a pool found, page by page.

use askama::Template;
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use serde::Deserialize;

use super::{ENGLISH, Shell, page as answer};
use crate::{
    api::{
        blocks::{self, BlockStatus},
        page::{NumberQuery, PoolPage},
        pools::OnePool,
        problem::Problem,
    },
    pool::Pool,
};

/// Which page of which pool.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    pub(super) pool: Option<String>,
    pub(super) cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "blocks.html")]
struct Page {
    shell: Shell,
    names: Vec<String>,
    pool: Pool,
    page: PoolPage<BlockStatus>,
    is_first: bool,
}

impl Asked {
    /// The pool that was asked for; the first if none was.
    pub(super) fn pool(&self, pools: &[Pool]) -> Result<Pool, Problem> {
        let pool = match &self.pool {
            None => pools.first(),
            Some(name) => pools.iter().find(|pool| pool.name == *name),
        };
        pool.cloned().ok_or_else(Problem::no_pool)
    }

    /// Which page.
    pub(super) fn query(&self) -> NumberQuery {
        NumberQuery::after(self.cursor.clone())
    }
}

/// `/blocks`
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
        let page = blocks::list(OnePool(pool.clone()), asked.query()).await?.0;
        Ok(Self {
            shell: Shell::new("blocks", ENGLISH.blocks),
            names: pools.iter().map(|pool| pool.name.clone()).collect(),
            pool,
            page,
            is_first: asked.cursor.is_none(),
        })
    }
}
