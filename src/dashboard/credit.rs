//! `/miners/{address}/credits/{block}`: how a credit came about, each number of it.

use askama::Template;
use axum::{extract::Path, response::Response};

use super::{ENGLISH, Shell, page as answer};
use crate::api::{
    credits::{self, CreditExplained},
    miner::Miner,
    problem::Problem,
};

#[derive(Template)]
#[template(path = "credit.html")]
struct Page {
    shell: Shell,
    credit: CreditExplained,
    decimals: u8,
}

/// `/miners/{address}/credits/{block}`
pub(super) async fn page(miner: Result<Miner, Problem>, path: Path<(String, String)>) -> Response {
    answer(Page::new(miner, path).await)
}

impl Page {
    async fn new(
        miner: Result<Miner, Problem>,
        path: Path<(String, String)>,
    ) -> Result<Self, Problem> {
        let miner = miner?;
        let decimals = miner
            .places
            .first()
            .map_or(8, |place| place.pool.coin.decimals);
        Ok(Self {
            shell: Shell::new("check", ENGLISH.credit_title),
            credit: credits::explain(miner, path).await?.0,
            decimals,
        })
    }
}
