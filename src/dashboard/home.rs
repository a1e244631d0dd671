//! `/`: each pool at a glance.

use askama::Template;
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::Response,
};
use serde::Deserialize;

use super::{ENGLISH, Shell, chart::Chart, connect::Where, figures::Figures, page as answer};
use crate::{
    api::{
        hashrate::{self, Span, SpanQuery},
        pools::{OnePool, PoolSummary},
        problem::Problem,
    },
    pool::Pool,
};

/// How many blocks are listed here.
const BLOCKS: usize = 10;

/// What is looked at.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    span: Option<Span>,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Page {
    shell: Shell,
    pools: Vec<Shown>,
    span: Span,
}

/// A pool with what is made of it.
struct Shown {
    pool: PoolSummary,
    figures: Figures,
    chart: Chart,
    connect: Option<Where>,
}

/// `/`
pub(super) async fn page(
    State(pools): State<Vec<Pool>>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    // What makes no sense in a link of somebody's is left out.
    let span = asked.ok().and_then(|Query(asked)| asked.span);
    let span = span.unwrap_or_else(|| Span::of_age(&pools));
    answer(Page::new(&pools, &headers, span).await)
}

impl Page {
    async fn new(pools: &[Pool], headers: &HeaderMap, span: Span) -> Result<Self, Problem> {
        let mut shown = Vec::new();
        for pool in pools {
            let summary = PoolSummary::of(pool).await?;
            let chart = hashrate::of_pool(OnePool(pool.clone()), SpanQuery { span }).await?;
            shown.push(Shown {
                figures: Figures::of(&summary),
                chart: Chart::new(&chart),
                connect: Where::all(&summary, headers).into_iter().next(),
                pool: summary,
            });
        }
        Ok(Self {
            shell: Shell::new("home", ENGLISH.home),
            pools: shown,
            span,
        })
    }

    fn scheme(name: &str) -> &'static str {
        match name {
            "pplns" => ENGLISH.pay_pplns,
            "prop" => ENGLISH.pay_prop,
            "pps" => ENGLISH.pay_pps,
            "fpps" => ENGLISH.pay_fpps,
            _ => ENGLISH.pay_solo,
        }
    }
}
