//! `/api/v1/pools/{pool}/hashrate` and `/api/v1/miners/{address}/hashrate`: work per second over time,
//! with the blocks that were found, as charts need it.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use mining::Work;
use serde::{Deserialize, Serialize};
use store::{Minute, Of};
use utoipa::{IntoParams, ToSchema};

use super::{
    miner::Miner,
    pools::OnePool,
    problem::{MinerProblems, PoolProblems, Problem},
};
use crate::{clock, display, pool::Pool};

/// The most blocks that are marked.
const MARKED: u32 = 500;

/// How far back, and in which steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
pub(crate) enum Span {
    /// An hour, by the minute.
    #[serde(rename = "1h")]
    Hour,
    /// A day, by ten minutes.
    #[default]
    #[serde(rename = "24h")]
    Day,
    /// Seven days, by the hour.
    #[serde(rename = "7d")]
    Week,
    /// Thirty days, by four hours.
    #[serde(rename = "30d")]
    Month,
    /// A year, by the day.
    #[serde(rename = "1y")]
    Year,
}

/// Which chart.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SpanQuery {
    /// How far back: `1h`, `24h`, `7d`, `30d` or `1y`; `24h` if nothing is said.
    #[serde(default)]
    #[param(inline, required = false)]
    pub(crate) span: Span,
}

/// Which chart of a miner.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MinerSpanQuery {
    /// How far back: `1h`, `24h`, `7d` or `30d`; `24h` if nothing is said. Older than the pool keeps its
    /// hours of workers there is nothing.
    #[serde(default)]
    #[param(inline, required = false)]
    pub(crate) span: Span,
    /// The pool; the first that knows the miner if none is named.
    pub(crate) pool: Option<String>,
    /// One worker, by its name.
    pub(crate) worker: Option<String>,
}

/// Work per second over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Chart {
    /// The pool's name.
    pub(crate) pool: String,
    /// The seconds between two points.
    pub(crate) step_s: u32,
    /// One for each step, the oldest first. There is none from before the pool began.
    pub(crate) points: Vec<Point>,
    /// The blocks that the pool found in that time, the oldest first; at most 500.
    pub(crate) blocks: Vec<Mark>,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Point {
    /// When it began, in seconds since 1970.
    pub(crate) time: i64,
    /// The work per second in it, in H/s.
    pub(crate) hashrate: f64,
    /// The shares in it.
    pub(crate) shares: u64,
}

/// A block on a chart.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Mark {
    /// When it was found, in seconds since 1970.
    pub(crate) time: i64,
    /// Its height.
    pub(crate) height: u32,
    /// Its id.
    pub(crate) hash: String,
    /// `submitted`, `immature`, `mature` or `orphaned`.
    pub(crate) state: &'static str,
}

impl Span {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The one to begin with: an hour while the pools are young.
    pub(crate) fn of_age<'p>(pools: impl IntoIterator<Item = &'p Pool>) -> Self {
        const YOUNG_MS: i64 = 3 * 60 * 60 * 1000;
        let began = pools.into_iter().map(|pool| pool.began_ms).min();
        let age = began.map_or(0, |began| clock::now_ms() - began);
        if age < YOUNG_MS {
            Self::Hour
        } else {
            Self::Day
        }
    }

    /// Its name in a query.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Year => "1y",
        }
    }

    /// How long it is and how long its steps are, in minutes.
    fn minutes(self) -> (u32, u32) {
        const HOUR: u32 = 60;
        const DAY: u32 = 24 * HOUR;
        match self {
            Self::Hour => (HOUR, 1),
            Self::Day => (DAY, 10),
            Self::Week => (7 * DAY, HOUR),
            Self::Month => (30 * DAY, 4 * HOUR),
            Self::Year => (365 * DAY, DAY),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SpanQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(query) =
            query.map_err(|rejection| Problem::bad("bad_query", rejection.body_text()))?;
        Ok(query)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MinerSpanQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(query) =
            query.map_err(|rejection| Problem::bad("bad_query", rejection.body_text()))?;
        Ok(query)
    }
}

/// The hashrate of a pool over time
#[utoipa::path(
    get, path = "/api/v1/pools/{pool}/hashrate", operation_id = "pool_hashrate", tag = "pool",
    params(("pool" = String, Path, description = "The pool's name"), SpanQuery),
    responses((status = 200, description = "The answer.", body = Chart), PoolProblems)
)]
pub(crate) async fn of_pool(
    OnePool(pool): OnePool,
    query: SpanQuery,
) -> Result<Json<Chart>, Problem> {
    Ok(Json(Chart::new(&pool, Of::Pool, query.span).await?))
}

/// The hashrate of a miner or of one of its workers over time
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/hashrate", operation_id = "miner_hashrate", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin"), MinerSpanQuery),
    responses((status = 200, description = "The answer.", body = Chart), MinerProblems)
)]
pub(crate) async fn of_miner(miner: Miner, query: MinerSpanQuery) -> Result<Json<Chart>, Problem> {
    let place = match &query.pool {
        None => miner.places.first(),
        Some(name) => miner.places.iter().find(|place| place.pool.name == *name),
    };
    let place = place.ok_or_else(Problem::no_pool)?;
    let address = place.address.as_str();
    let of = match &query.worker {
        None => Of::Miner(address),
        Some(name) => {
            let unknown = || Problem::unknown("unknown_worker", "this miner has no such worker");
            let pool = &place.pool;
            let worker = pool.store.worker(pool.id, address, name, &[]).await?;
            Of::Worker(worker.ok_or_else(unknown)?.id)
        }
    };
    Ok(Json(Chart::new(&place.pool, of, query.span).await?))
}

impl Chart {
    async fn new(pool: &Pool, of: Of<'_>, span: Span) -> Result<Self, Problem> {
        let (length, step) = span.minutes();
        let now_ms = clock::now_ms();
        let now = Minute::of_ms(now_ms);
        let began = Minute::of_ms(pool.began_ms);
        let first = now.back(length).max(began);
        // Steps begin at multiples of their length.
        let first = Minute::from_number(first.number() - first.number() % i64::from(step));
        let end = Minute::from_number(now.number() + 1);
        let done = pool.store.history(pool.id, of, first, end, step).await?;
        let done: BTreeMap<Minute, _> = done.into_iter().collect();
        let mut points = Vec::new();
        let mut minute = first;
        while minute < end {
            let next = Minute::from_number(minute.number() + i64::from(step));
            let from = minute.start_ms().max(pool.began_ms);
            let to = next.start_ms().min(now_ms);
            let millis = u64::try_from(to - from).unwrap_or(0).max(1);
            let sums = done.get(&minute).copied().unwrap_or_default();
            points.push(Point {
                time: minute.start_ms() / 1000,
                hashrate: rate(sums.work, millis),
                shares: sums.shares,
            });
            minute = next;
        }
        let blocks = pool.store.blocks(pool.id, None, MARKED).await?;
        let blocks = blocks
            .into_iter()
            .take_while(|block| block.found.found_ms >= first.start_ms())
            .map(|block| Mark {
                time: block.found.found_ms.div_euclid(1000),
                height: block.found.height,
                hash: block.found.hash.to_string(),
                state: block.state.name(),
            });
        let mut blocks: Vec<Mark> = blocks.collect();
        blocks.reverse();
        Ok(Self {
            pool: pool.name.clone(),
            step_s: step * 60,
            points,
            blocks,
        })
    }
}

fn rate(work: Work, millis: u64) -> f64 {
    display::to_f64(work.per_second(millis))
}
