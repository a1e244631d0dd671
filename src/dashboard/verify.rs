//! `/verify`: by what a pool is known, what it has signed, and how to check it without the pool.

use askama::Template;
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::Response,
};
use mining::Address;
use serde::Deserialize;

use super::{
    ENGLISH, Shell, blocks,
    connect::{TYPED_MAX, YOUR_ADDRESS, came_to},
    page as answer,
};
use crate::{
    api::{
        problem::Problem,
        receipts::{self, DaysPage, DaysQuery, IssuerKey},
    },
    pool::Pool,
};

/// What stands in the place of a day until one is signed.
const DAY: &str = "DAY";

/// Which page of which pool, and whose receipts are to be fetched.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(flatten)]
    page: blocks::Asked,
    #[serde(default)]
    address: String,
}

#[derive(Template)]
#[template(path = "verify.html")]
struct Page {
    shell: Shell,
    names: Vec<String>,
    issuer: IssuerKey,
    days: DaysPage,
    is_first: bool,
    /// What was filled in, as it was.
    address: String,
    /// What is wrong with it.
    wrong: Option<String>,
    /// What to type to check the newest day.
    commands: Vec<String>,
}

/// `/verify`
pub(super) async fn page(
    State(pools): State<Vec<Pool>>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    answer(Page::new(pools, &headers, asked).await)
}

impl Page {
    async fn new(pools: Vec<Pool>, headers: &HeaderMap, asked: Asked) -> Result<Self, Problem> {
        let Asked { page, address } = asked;
        let pool = page.pool(&pools)?;
        let names: Vec<String> = pools.iter().map(|pool| pool.name.clone()).collect();
        let issuers = receipts::issuers(State(pools.clone())).await?.0;
        let mut issuers = issuers.pools.into_iter();
        let issuer = issuers.find(|issuer| issuer.pool == pool.name);
        let issuer = issuer.ok_or_else(Problem::no_pool)?;
        let query = DaysQuery::of(&pool.name, page.cursor.clone());
        let days = receipts::days(State(pools), receipts::Asked(query))
            .await?
            .0;
        let address: String = address.trim().chars().take(TYPED_MAX).collect();
        let parsed = Address::parse(pool.coin, pool.network, &address);
        let of = parsed.as_ref().map_or(YOUR_ADDRESS, Address::as_str);
        Ok(Self {
            shell: Shell::new("verify", ENGLISH.verify),
            commands: commands(&issuer, headers, of, names.len() > 1),
            wrong: parsed
                .err()
                .filter(|_| !address.is_empty())
                .map(|error| error.to_string()),
            names,
            issuer,
            days,
            is_first: page.cursor.is_none(),
            address,
        })
    }
}

/// Fetches what was signed of the newest day, what an address has of it, and checks it.
fn commands(
    issuer: &IssuerKey,
    headers: &HeaderMap,
    address: &str,
    is_one_of_many: bool,
) -> Vec<String> {
    let host = came_to(headers).unwrap_or(ENGLISH.verify_host);
    let api = format!("http://{host}/api/v1");
    let day = issuer.last.as_ref().map_or(DAY, |last| last.date.as_str());
    let pool = if is_one_of_many {
        format!("?pool={}", issuer.pool)
    } else {
        String::new()
    };
    let and_pool = pool.replace('?', "&");
    let own = format!("{api}/miners/{address}/receipts");
    vec![
        format!("curl -o day.json '{api}/receipts/days/{day}{pool}'"),
        format!("curl -o log.json '{api}/receipts/days/{day}/log{pool}'"),
        format!("curl -o receipts.json '{own}?date={day}{and_pool}'"),
        format!("curl -o sum.json '{own}/{day}{pool}'"),
        format!(
            "adit verify --key {} day.json log.json receipts.json sum.json",
            issuer.key
        ),
    ]
}
