//! ckpool's files over HTTP: `/pool/pool.status` and `/users/ADDRESS`. Read by ckstats and others.
//!
//! A pool's status is three JSON objects, one a line. Rates are texts of three digits and a prefix,
//! `1.23T`, and a whole number below a thousand. `bestever` is a whole number, as ckstats makes a
//! BigInt of it; `shares` are of difficulty 1.

mod files;

use axum::{
    Router,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use mining::Work;
use serde::Serialize;

pub(in crate::api) use self::files::keep;
use super::{
    Asked, Kept, Owner, answer,
    figures::{MinerNow, PoolNow, Windows, WorkerNow, difficulty, in_shares},
    page_of, unknown_miner,
};
use crate::{api::problem::Problem, clock, display, pool::Pool};

/// Who has not had a share for so long is no user any more.
const INACTIVE_AFTER_MS: i64 = 7 * 24 * 60 * 60 * 1000;

pub(super) fn routes() -> Router<Vec<Pool>> {
    Router::new()
        .route("/pool/pool.status", get(status))
        .route("/users/{address}", get(user))
}

async fn status(Asked(pool): Asked) -> Result<Response, Problem> {
    let now = PoolNow::of(&pool, clock::now_ms()).await?;
    let kind = (header::CONTENT_TYPE, "application/json");
    Ok(([kind, Kept::Medium.header()], pool_status(&now)).into_response())
}

/// A browser gets the miner's page here, as others have theirs at this path.
async fn user(headers: HeaderMap, owner: Owner) -> Result<Response, Problem> {
    let mut response = if wants_page(&headers) {
        page_of(owner.address.as_str())?
    } else {
        let now_ms = clock::now_ms();
        let miner = MinerNow::of(&owner.pool, &owner.address, now_ms).await?;
        let user = User::new(&miner, owner.pool.coin, now_ms).ok_or_else(unknown_miner)?;
        answer(Kept::Medium, user)
    };
    let accept = header::HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, accept);
    Ok(response)
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.contains("text/html"))
}

#[derive(Serialize)]
struct Presence {
    runtime: i64,
    lastupdate: i64,
    #[serde(rename = "Users")]
    users: usize,
    #[serde(rename = "Workers")]
    workers: usize,
    #[serde(rename = "Idle")]
    idle: usize,
    #[serde(rename = "Disconnected")]
    disconnected: usize,
}

#[derive(Serialize)]
struct PoolRates {
    hashrate1m: String,
    hashrate5m: String,
    hashrate15m: String,
    hashrate1hr: String,
    hashrate6hr: String,
    hashrate1d: String,
    hashrate7d: String,
}

#[derive(Serialize)]
struct PoolShares {
    /// The work since the last block in percent of what a block takes.
    diff: f64,
    accepted: u128,
    rejected: u64,
    bestshare: u128,
    #[serde(rename = "SPS1m")]
    sps1m: f64,
    #[serde(rename = "SPS5m")]
    sps5m: f64,
    #[serde(rename = "SPS15m")]
    sps15m: f64,
    #[serde(rename = "SPS1h")]
    sps1h: f64,
}

/// The three lines.
pub(super) fn pool_status(now: &PoolNow) -> String {
    let presence = Presence {
        runtime: (now.now_ms - now.started_ms) / 1000,
        lastupdate: now.now_ms / 1000,
        users: now.presence.users,
        workers: now.presence.workers,
        idle: now.presence.idle,
        disconnected: now.presence.gone,
    };
    let rate = |minutes| rate(&now.windows, minutes);
    let rates = PoolRates {
        hashrate1m: rate(1),
        hashrate5m: rate(5),
        hashrate15m: rate(15),
        hashrate1hr: rate(60),
        hashrate6hr: rate(6 * 60),
        hashrate1d: rate(24 * 60),
        hashrate7d: rate(7 * 24 * 60),
    };
    let shares = PoolShares {
        diff: hundredths(now.effort_ratio() * 100.0),
        accepted: now.in_shares(now.total.work),
        rejected: now.rejected,
        bestshare: now.best.map_or(0, |best| now.in_shares(best)),
        sps1m: now.windows.shares_per_second(1),
        sps5m: now.windows.shares_per_second(5),
        sps15m: now.windows.shares_per_second(15),
        sps1h: now.windows.shares_per_second(60),
    };
    let line = |text: Result<String, serde_json::Error>| text.expect("numbers and texts are JSON");
    let lines = [
        line(serde_json::to_string(&presence)),
        line(serde_json::to_string(&rates)),
        line(serde_json::to_string(&shares)),
    ];
    lines.join("\n") + "\n"
}

/// A user's file.
#[derive(Serialize)]
pub(super) struct User {
    #[serde(flatten)]
    rates: Rates,
    lastshare: i64,
    workers: usize,
    shares: u128,
    bestshare: f64,
    bestever: u128,
    authorised: i64,
    worker: Vec<UserWorker>,
}

#[derive(Serialize)]
struct UserWorker {
    workername: String,
    #[serde(flatten)]
    rates: Rates,
    lastshare: i64,
    shares: u128,
    bestshare: f64,
    bestever: u128,
    started: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    useragent: Option<String>,
}

#[derive(Serialize)]
struct Rates {
    hashrate1m: String,
    hashrate5m: String,
    hashrate1hr: String,
    hashrate1d: String,
    hashrate7d: String,
}

impl User {
    /// Nothing of a miner without a share in the last week.
    pub(super) fn new(now: &MinerNow, coin: &mining::Coin, now_ms: i64) -> Option<Self> {
        let last_ms = now.last_share_ms?;
        if last_ms < now_ms - INACTIVE_AFTER_MS {
            return None;
        }
        let best = now.best.unwrap_or(Work::ZERO);
        Some(Self {
            rates: Rates::of(&now.windows),
            lastshare: last_ms / 1000,
            workers: now.connected,
            shares: in_shares(now.total.work, coin),
            bestshare: difficulty(best, coin),
            bestever: in_shares(best, coin),
            authorised: now.first_share_ms.unwrap_or(last_ms) / 1000,
            worker: now
                .workers
                .iter()
                .map(|one| UserWorker::new(one, coin))
                .collect(),
        })
    }
}

impl UserWorker {
    fn new(now: &WorkerNow, coin: &mining::Coin) -> Self {
        let best = now.best.unwrap_or(Work::ZERO);
        let workername = match now.name.as_str() {
            "" => now.address.clone(),
            name => format!("{}.{name}", now.address),
        };
        Self {
            workername,
            rates: Rates::of(&now.windows),
            lastshare: now.last_share_ms / 1000,
            shares: in_shares(now.total.work, coin),
            bestshare: difficulty(best, coin),
            bestever: in_shares(best, coin),
            started: now.since_ms / 1000,
            useragent: now.agent.clone(),
        }
    }
}

impl Rates {
    fn of(windows: &Windows) -> Self {
        Self {
            hashrate1m: rate(windows, 1),
            hashrate5m: rate(windows, 5),
            hashrate1hr: rate(windows, 60),
            hashrate1d: rate(windows, 24 * 60),
            hashrate7d: rate(windows, 7 * 24 * 60),
        }
    }
}

fn rate(windows: &Windows, minutes: u32) -> String {
    short(windows.rate(minutes))
}

/// Three digits and a prefix; what is below a thousand must be a whole number.
fn short(rate: u128) -> String {
    if rate < 1000 {
        return rate.to_string();
    }
    let text = display::with_prefix(display::to_f64(rate), "");
    text.replace(' ', "").replace('k', "K")
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
