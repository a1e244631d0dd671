//! What other pools answer, in their shapes, for the dashboards, devices and apps that know them. One
//! shape a file; [`figures`] is what all of them are made of.
//!
//! All of it is read-only, open to pages of other origins, and may be kept for some seconds. Where one
//! process has several pools, `?pool=NAME` chooses; without it the first one answers, and of a miner
//! the first one that knows it. What a miner typed reaches an answer through serde alone.

mod ckpool;
mod figures;
#[cfg(test)]
mod kept;
mod metrics_alias;
mod miningcore;
mod money;
mod nodejs_pool;
mod nomp;
mod public_pool;
#[cfg(test)]
mod samples;
mod stats_mod;
mod umbrel;

use axum::{
    Json, Router,
    extract::{FromRequestParts, Query, RawPathParams},
    http::{HeaderValue, StatusCode, header, request::Parts},
    middleware,
    response::{IntoResponse, Redirect, Response},
};
use mining::{Address, address::ADDRESS_LEN_MAX};
use serde::{Deserialize, Serialize};

pub(super) use self::{ckpool::keep as keep_ckpool_files, metrics_alias::metrics_of};

use super::problem::Problem;
use crate::{config, pool::Pool};

/// The routes of all shapes that are on.
pub(super) fn routes(shapes: &config::Compat) -> Router<Vec<Pool>> {
    let mut routes = Router::new();
    for (is_on, shape) in [
        (shapes.ckpool, ckpool::routes as fn() -> Router<Vec<Pool>>),
        (shapes.public_pool, public_pool::routes),
        (shapes.public_pool, public_pool::links),
        (shapes.umbrel, umbrel::routes),
        (shapes.miningcore, miningcore::routes),
        (shapes.nodejs_pool, nodejs_pool::routes),
        (shapes.stats_mod, stats_mod::routes),
        (shapes.nomp, nomp::routes),
    ] {
        if is_on {
            routes = routes.merge(shape());
        }
    }
    open_to_pages(routes)
}

/// The routes of the port that NerdMiners ask.
pub(super) fn public_pool_alone() -> Router<Vec<Pool>> {
    open_to_pages(public_pool::routes())
}

fn open_to_pages(routes: Router<Vec<Pool>>) -> Router<Vec<Pool>> {
    routes.layer(middleware::map_response(async |mut response: Response| {
        let any = HeaderValue::from_static("*");
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        response
    }))
}

/// How long an answer may be kept, in seconds.
#[derive(Clone, Copy)]
enum Kept {
    /// What is on a screen that is looked at.
    Short,
    /// Figures.
    Medium,
    /// Charts and lists.
    Long,
}

impl Kept {
    fn header(self) -> (header::HeaderName, &'static str) {
        let text = match self {
            Self::Short => "public, max-age=5",
            Self::Medium => "public, max-age=15",
            Self::Long => "public, max-age=60",
        };
        (header::CACHE_CONTROL, text)
    }
}

/// An answer that may be kept for so long.
fn answer(kept: Kept, body: impl Serialize) -> Response {
    ([kept.header()], Json(body)).into_response()
}

/// The page of a miner. Whatever stands there must be able to be an address.
fn page_of(address: &str) -> Result<Response, Problem> {
    let is_plain = !address.is_empty()
        && address.len() <= ADDRESS_LEN_MAX
        && address.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_plain {
        return Err(bad_address(
            "letters and digits, and no more than an address has",
        ));
    }
    Ok(Redirect::temporary(&format!("/miners/{address}")).into_response())
}

fn bad_address(why: &str) -> Problem {
    Problem::bad("bad_address", why)
}

/// `?pool=NAME`, or the pool of the path. Whatever else is asked for is not ours to refuse: pages add
/// numbers against caches.
#[derive(Debug, Default, Deserialize)]
struct Choice {
    pool: Option<String>,
}

impl Choice {
    async fn of(parts: &mut Parts) -> Result<Self, Problem> {
        let query = Query::<Self>::from_request_parts(parts, &()).await;
        let query = query.map_err(|rejection| Problem::bad("bad_query", rejection.body_text()))?;
        Ok(Self {
            pool: of_path(parts, "pool").await?.or(query.0.pool),
        })
    }

    /// The pools that are meant: at least one.
    fn among(self, pools: &[Pool]) -> Result<Vec<&Pool>, Problem> {
        let is_meant = |pool: &&Pool| self.pool.as_ref().is_none_or(|name| *name == pool.name);
        let meant: Vec<_> = pools.iter().filter(is_meant).collect();
        if meant.is_empty() {
            return Err(Problem::unknown("unknown_pool", "there is no such pool"));
        }
        Ok(meant)
    }
}

/// The pool that is asked.
struct Asked(Pool);

impl FromRequestParts<Vec<Pool>> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, pools: &Vec<Pool>) -> Result<Self, Problem> {
        let meant = Choice::of(parts).await?.among(pools)?;
        Ok(Self(meant[0].clone()))
    }
}

/// The miner that is asked about, and the pool: the first that knows it, or else the first of whose
/// coin the address is.
struct Owner {
    pool: Pool,
    address: Address,
    is_known: bool,
}

impl FromRequestParts<Vec<Pool>> for Owner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, pools: &Vec<Pool>) -> Result<Self, Problem> {
        let text = of_path(parts, "address").await?.unwrap_or_default();
        if text.len() > ADDRESS_LEN_MAX {
            return Err(Problem::long_address());
        }
        let meant = Choice::of(parts).await?.among(pools)?;
        let (mut unknown, mut why_not) = (None, String::new());
        for pool in meant {
            match Address::parse(pool.coin, pool.network, &text) {
                Err(error) => why_not = error.to_string(),
                Ok(address) => {
                    let is_known = pool.store.knows(pool.id, address.as_str()).await?;
                    let owner = Self {
                        pool: pool.clone(),
                        address,
                        is_known,
                    };
                    if is_known {
                        return Ok(owner);
                    }
                    unknown = unknown.or(Some(owner));
                }
            }
        }
        unknown.ok_or_else(|| bad_address(&why_not))
    }
}

/// A part of the path.
async fn of_path(parts: &mut Parts, wanted: &str) -> Result<Option<String>, Problem> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| Problem::bad("bad_path", "the path is no UTF-8"))?;
    let found = params.iter().find(|(name, _)| *name == wanted);
    Ok(found.map(|(_, text)| text.to_owned()))
}

/// What other pools let everyone change who knows an address.
async fn refuse_settings() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "not_signed",
        "settings change only with a message signed by the address: \
         PUT /api/v1/miners/ADDRESS/payout-settings",
    )
}

/// Nobody has mined for this address.
fn unknown_miner() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown_miner",
        "nobody has mined here for this address of late",
    )
}
