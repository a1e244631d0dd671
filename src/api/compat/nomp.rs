//! NOMP's `/api/stats` and yiimp's `/api/status`: all pools of the process in one document.
//!
//! NOMP lists each worker; here the 500 strongest. What yiimp estimates in bitcoin is left out: it needs
//! prices, and none are known here.

use std::collections::BTreeMap;

use axum::{Router, extract::State, response::Response, routing::get};
use serde::Serialize;

use super::{
    Kept, answer,
    figures::{self, Connected, PoolNow, WORKERS_MAX, WorkerNow, in_shares},
    money::{Coins, Money},
};
use crate::{api::problem::Problem, clock, display, pool::Pool};

pub(super) fn routes() -> Router<Vec<Pool>> {
    Router::new()
        .route("/api/stats", get(stats))
        .route("/api/status", get(status))
}

async fn stats(State(pools): State<Vec<Pool>>) -> Result<Response, Problem> {
    let now_ms = clock::now_ms();
    let mut all = Vec::new();
    for pool in &pools {
        let connected = Connected::of(pool, None);
        let (limit, minutes) = (WORKERS_MAX, [10, 24 * 60]);
        let workers = figures::workers(pool, None, &minutes, limit, &connected, now_ms);
        all.push((
            PoolNow::of(pool, now_ms).await?,
            Money::of(pool).await?,
            workers.await?,
        ));
    }
    Ok(answer(Kept::Medium, Stats::new(&all, now_ms)))
}

async fn status(State(pools): State<Vec<Pool>>) -> Result<Response, Problem> {
    let now_ms = clock::now_ms();
    let mut all = Vec::new();
    for pool in &pools {
        all.push((PoolNow::of(pool, now_ms).await?, Money::of(pool).await?));
    }
    Ok(answer(Kept::Medium, algorithms(&all)))
}

/// NOMP's.
#[derive(Serialize)]
pub(super) struct Stats {
    time: i64,
    global: Global,
    algos: BTreeMap<&'static str, Algorithm>,
    pools: BTreeMap<String, PoolPart>,
}

#[derive(Default, Serialize)]
struct Global {
    workers: usize,
    hashrate: u128,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Algorithm {
    workers: usize,
    hashrate: u128,
    hashrate_string: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolPart {
    name: String,
    symbol: &'static str,
    algorithm: &'static str,
    pool_stats: PoolStats,
    blocks: Blocks,
    workers: BTreeMap<String, Worker>,
    hashrate: u128,
    worker_count: usize,
    hashrate_string: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolStats {
    valid_shares: u64,
    valid_blocks: u64,
    invalid_shares: u64,
    total_paid: Coins,
}

#[derive(Serialize)]
struct Blocks {
    pending: u64,
    confirmed: u64,
    orphaned: u64,
}

#[derive(Serialize)]
struct Worker {
    /// The work of the last day, in shares of difficulty 1.
    shares: u128,
    invalidshares: u64,
    #[serde(rename = "hashrateString")]
    hashrate_string: String,
}

/// yiimp's, of one algorithm.
#[derive(Serialize)]
pub(super) struct YiimpAlgorithm {
    name: &'static str,
    port: u16,
    coins: usize,
    fees: f64,
    hashrate: u128,
    workers: usize,
    hashrate_last24h: u128,
}

impl Stats {
    pub(super) fn new(pools: &[(PoolNow, Money, Vec<WorkerNow>)], now_ms: i64) -> Self {
        let mut stats = Self {
            time: now_ms / 1000,
            global: Global::default(),
            algos: BTreeMap::new(),
            pools: BTreeMap::new(),
        };
        for (now, money, workers) in pools {
            let (rate, count) = (now.windows.rate(10), now.presence.workers);
            stats.global.workers += count;
            stats.global.hashrate += rate;
            let algorithm = stats.algos.entry(name_of(now)).or_default();
            algorithm.workers += count;
            algorithm.hashrate += rate;
            algorithm.hashrate_string = short(algorithm.hashrate);
            let part = PoolPart::new(now, money, workers);
            stats.pools.insert(now.name.clone(), part);
        }
        stats
    }
}

impl PoolPart {
    fn new(now: &PoolNow, money: &Money, workers: &[WorkerNow]) -> Self {
        let worker = |worker: &WorkerNow| {
            let name = match worker.name.as_str() {
                "" => worker.address.clone(),
                name => format!("{}.{name}", worker.address),
            };
            let entry = Worker {
                shares: in_shares(worker.windows.work(24 * 60), now.coin),
                invalidshares: 0,
                hashrate_string: short(worker.windows.rate(10)),
            };
            (name, entry)
        };
        Self {
            name: now.name.clone(),
            symbol: now.coin.ticker,
            algorithm: name_of(now),
            pool_stats: PoolStats {
                valid_shares: now.total.shares,
                valid_blocks: now.blocks(),
                invalid_shares: now.rejected,
                total_paid: Coins::new(money.paid, now.coin),
            },
            blocks: Blocks {
                pending: now.counts.submitted + now.counts.immature,
                confirmed: now.counts.mature,
                orphaned: now.counts.orphaned,
            },
            workers: workers.iter().map(worker).collect(),
            hashrate: now.windows.rate(10),
            worker_count: now.presence.workers,
            hashrate_string: short(now.windows.rate(10)),
        }
    }
}

/// By algorithm; where several pools have the same one, the port is that of the first.
pub(super) fn algorithms(pools: &[(PoolNow, Money)]) -> BTreeMap<&'static str, YiimpAlgorithm> {
    let mut all: BTreeMap<&'static str, YiimpAlgorithm> = BTreeMap::new();
    for (now, money) in pools {
        let name = name_of(now);
        let port = money.ports.first().map_or(0, |port| port.address.port());
        let entry = all.entry(name).or_insert(YiimpAlgorithm {
            name,
            port,
            coins: 0,
            fees: now.fee(),
            hashrate: 0,
            workers: 0,
            hashrate_last24h: 0,
        });
        entry.coins += 1;
        entry.hashrate += now.windows.rate(10);
        entry.workers += now.presence.workers;
        entry.hashrate_last24h += now.windows.rate(24 * 60);
    }
    all
}

/// The name that these pools have for it.
fn name_of(now: &PoolNow) -> &'static str {
    match now.coin.algorithm().name() {
        "sha256d" => "sha256",
        name => name,
    }
}

fn short(rate: u128) -> String {
    display::with_prefix(display::to_f64(rate), "H")
}
