//! Pools as miningcore tells of them, with their charts and their strongest miners.

use std::collections::{BTreeMap, HashMap};

use axum::{extract::State, response::Response};
use serde::Serialize;
use store::{Minute, Of, ReadError};

use super::{
    super::{
        Asked, Kept, answer,
        figures::{self, Connected, PoolNow},
        money::{Coins, Money, PageNumber, Port},
    },
    Problem,
};
use crate::{clock, display, pool::Pool};

/// Miners in the list of the strongest.
const TOP_MAX: usize = 15;
/// Workers whose rates are added up by miner.
const COUNTED_MAX: usize = 10_000;
/// A point of a chart is of so many minutes.
const STEP: u32 = 60;
const STEP_S: u32 = 3_600;
const DAY: u32 = 24 * 60;

/// One of `/api/pools`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api::compat) struct PoolInfo {
    id: String,
    coin: CoinInfo,
    ports: BTreeMap<u16, PortInfo>,
    payment_processing: PaymentProcessing,
    pool_fee_percent: f64,
    address: String,
    address_info_link: String,
    pool_stats: PoolStats,
    network_stats: NetworkStats,
    top_miners: Vec<TopMiner>,
    total_paid: Coins,
    total_blocks: u64,
    total_confirmed_blocks: u64,
    total_pending_blocks: u64,
    block_reward: Coins,
    last_pool_block_time: Option<String>,
    pool_effort: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CoinInfo {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    symbol: &'static str,
    family: &'static str,
    algorithm: &'static str,
    canonical_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PortInfo {
    listen_address: String,
    name: &'static str,
    difficulty: f64,
    tls: bool,
    var_diff: VarDiff,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VarDiff {
    min_diff: f64,
    max_diff: f64,
    target_time: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentProcessing {
    enabled: bool,
    minimum_payment: Coins,
    payout_scheme: String,
    payout_scheme_config: SchemeConfig,
}

#[derive(Serialize)]
struct SchemeConfig {
    factor: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolStats {
    last_pool_block_time: Option<String>,
    connected_miners: usize,
    connected_workers: usize,
    pool_hashrate: u128,
    shares_per_second: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NetworkStats {
    network_type: String,
    network_hashrate: u128,
    network_difficulty: f64,
    block_height: u32,
    connected_peers: usize,
    reward_type: &'static str,
}

/// A miner and what it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api::compat) struct TopMiner {
    pub(in crate::api::compat) miner: String,
    pub(in crate::api::compat) hashrate: u128,
    pub(in crate::api::compat) shares_per_second: f64,
}

#[derive(Serialize)]
struct Pools {
    pools: Vec<PoolInfo>,
}

#[derive(Serialize)]
struct OnePool {
    pool: PoolInfo,
}

#[derive(Serialize)]
struct Performance {
    stats: Vec<Point>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Point {
    pool_hashrate: u128,
    connected_miners: Option<usize>,
    connected_workers: Option<usize>,
    valid_shares_per_second: f64,
    network_hashrate: Option<u128>,
    network_difficulty: Option<f64>,
    created: String,
}

pub(super) async fn pools(State(pools): State<Vec<Pool>>) -> Result<Response, Problem> {
    let mut all = Vec::new();
    for pool in &pools {
        all.push(info(pool).await?);
    }
    Ok(answer(Kept::Medium, Pools { pools: all }))
}

pub(super) async fn pool(Asked(pool): Asked) -> Result<Response, Problem> {
    let pool = info(&pool).await?;
    Ok(answer(Kept::Medium, OnePool { pool }))
}

/// The strongest first.
pub(super) async fn miners(Asked(pool): Asked, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(Kept::Medium, page.of(strongest(&pool).await?)))
}

/// The hours of the last day.
pub(super) async fn performance(Asked(pool): Asked) -> Result<Response, Problem> {
    let now = PoolNow::of(&pool, clock::now_ms()).await?;
    let (from, to) = last_day(now.now_ms);
    let steps = pool
        .store
        .history(pool.id, Of::Pool, from, to, STEP)
        .await?;
    let mut stats: Vec<Point> = steps
        .iter()
        .map(|(start, sums)| Point {
            pool_hashrate: sums.work.per_second(u64::from(STEP_S) * 1000),
            connected_miners: None,
            connected_workers: None,
            valid_shares_per_second: per_second(sums.shares),
            network_hashrate: None,
            network_difficulty: None,
            created: display::time(start.start_ms()),
        })
        .collect();
    if let Some(last) = stats.last_mut() {
        let next = now.next.as_ref();
        last.connected_miners = Some(now.presence.users);
        last.connected_workers = Some(now.presence.workers);
        last.network_hashrate = next.map(|next| next.network_rate(now.coin));
        last.network_difficulty = next.map(|next| next.difficulty(now.coin));
    }
    Ok(answer(Kept::Long, Performance { stats }))
}

/// The day before the hour that goes on.
pub(super) fn last_day(now_ms: i64) -> (Minute, Minute) {
    let to = Minute::of_ms(now_ms).hour();
    (to.back(DAY), to)
}

/// Shares of an hour in a second, for people.
pub(super) fn per_second(shares: u64) -> f64 {
    display::to_f64(u128::from(shares)) / f64::from(STEP_S)
}

async fn info(pool: &Pool) -> Result<PoolInfo, ReadError> {
    let now = PoolNow::of(pool, clock::now_ms()).await?;
    let money = Money::of(pool).await?;
    let mut top = strongest(pool).await?;
    top.truncate(TOP_MAX);
    let nodes = pool.daemons.health();
    let nodes = nodes.iter().filter(|node| node.fit.is_ok()).count();
    Ok(PoolInfo::new(&now, &money, top, nodes))
}

/// Who had a share in the last hour, by the work in it, the most first; at a rate of ten minutes.
async fn strongest(pool: &Pool) -> Result<Vec<TopMiner>, ReadError> {
    let now_ms = clock::now_ms();
    let connected = Connected::of(pool, None);
    let since = Minute::of_ms(now_ms).back(STEP);
    let workers =
        figures::ranked(pool, None, since, &[10], COUNTED_MAX, &connected, now_ms).await?;
    let mut miners: HashMap<String, TopMiner> = HashMap::new();
    for worker in workers {
        let miner = miners.entry(worker.address.clone()).or_insert(TopMiner {
            miner: worker.address,
            hashrate: 0,
            shares_per_second: 0.0,
        });
        miner.hashrate += worker.windows.rate(10);
        miner.shares_per_second += worker.windows.shares_per_second(10);
    }
    let mut miners: Vec<_> = miners.into_values().collect();
    miners.sort_by(|a, b| (b.hashrate, &a.miner).cmp(&(a.hashrate, &b.miner)));
    Ok(miners)
}

impl PoolInfo {
    pub(in crate::api::compat) fn new(
        now: &PoolNow,
        money: &Money,
        top_miners: Vec<TopMiner>,
        nodes: usize,
    ) -> Self {
        let last = money.last_block.as_ref();
        let last = last.map(|last| display::time(last.block.found.found_ms));
        let name = capitalised(now.coin.name);
        Self {
            id: now.name.clone(),
            coin: CoinInfo {
                kind: now.coin.ticker,
                name: name.clone(),
                symbol: now.coin.ticker,
                family: "bitcoin",
                algorithm: now.coin.algorithm().name(),
                canonical_name: name,
            },
            ports: money.ports.iter().map(PortInfo::of).collect(),
            payment_processing: PaymentProcessing {
                enabled: money.pays,
                minimum_payment: Coins::new(money.threshold, now.coin),
                payout_scheme: money.scheme.to_ascii_uppercase(),
                payout_scheme_config: SchemeConfig {
                    factor: money.window,
                },
            },
            pool_fee_percent: now.fee(),
            address: money.operator.clone(),
            address_info_link: String::new(),
            pool_stats: PoolStats {
                last_pool_block_time: last.clone(),
                connected_miners: now.presence.users,
                connected_workers: now.presence.workers,
                pool_hashrate: now.windows.rate(10),
                shares_per_second: now.windows.shares_per_second(10),
            },
            network_stats: NetworkStats::of(now, nodes),
            top_miners,
            total_paid: Coins::new(money.paid, now.coin),
            total_blocks: now.blocks(),
            total_confirmed_blocks: now.counts.mature,
            total_pending_blocks: now.counts.submitted + now.counts.immature,
            block_reward: Coins::new(
                now.next
                    .as_ref()
                    .map(|next| next.reward)
                    .unwrap_or_default(),
                now.coin,
            ),
            last_pool_block_time: last,
            pool_effort: now.effort_ratio(),
        }
    }
}

impl PortInfo {
    fn of(port: &Port) -> (u16, Self) {
        let info = Self {
            listen_address: port.address.ip().to_string(),
            name: "",
            difficulty: port.start,
            tls: port.tls,
            var_diff: VarDiff {
                min_diff: port.min,
                max_diff: port.max,
                target_time: port.share_time_s,
            },
        };
        (port.address.port(), info)
    }
}

impl NetworkStats {
    fn of(now: &PoolNow, nodes: usize) -> Self {
        let next = now.next.as_ref();
        Self {
            network_type: capitalised(&now.network.to_string()),
            network_hashrate: next.map_or(0, |next| next.network_rate(now.coin)),
            network_difficulty: next.map_or(0.0, |next| next.difficulty(now.coin)),
            block_height: next.map_or(0, |next| next.height.saturating_sub(1)),
            connected_peers: nodes,
            reward_type: "POW",
        }
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
