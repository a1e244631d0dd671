//! The pool and its network as nodejs-pool tells of them.

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use mining::{Amount, Work, block::BlockState};
use serde::Serialize;
use store::{Minute, Of, OwnPayment, ReadError, Sums};

use super::super::{
    Asked, Kept, answer,
    figures::{Next, PoolNow},
    money::{self, BlockNow, LISTED_MAX, Money, PageNumber},
};
use crate::{api::problem::Problem, clock, pool::Pool};

/// Points of a chart are of so many minutes, those of the last day.
const STEP: u32 = 10;
const STEP_MS: u64 = 10 * 60 * 1000;

/// `/pool/stats`
#[derive(Serialize)]
pub(in crate::api::compat) struct PoolStats {
    pool_list: [&'static str; 1],
    pool_statistics: Statistics,
    last_payment: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    hash_rate: u128,
    miners: usize,
    total_hashes: u128,
    last_block_found_time: i64,
    last_block_found: u32,
    total_blocks_found: u64,
    total_miners_paid: u64,
    total_payments: u64,
    round_hashes: u128,
    pending: u64,
    updated_at: i64,
}

#[derive(Serialize)]
pub(in crate::api::compat) struct PoolPort {
    host: Host,
    port: u16,
    pool_type: &'static str,
    difficulty: f64,
    miners: usize,
    description: &'static str,
    tls: bool,
}

#[derive(Serialize)]
struct Host {
    #[serde(rename = "blockID")]
    block_id: u32,
    #[serde(rename = "blockIDTime")]
    block_id_time: i64,
    hostname: String,
}

#[derive(Serialize)]
struct Ports {
    global: Vec<PoolPort>,
}

#[derive(Serialize)]
pub(in crate::api::compat) struct Block {
    ts: i64,
    hash: String,
    /// The hashes that it takes on average.
    diff: u128,
    /// Those that were done for it.
    shares: u128,
    height: u32,
    valid: bool,
    unlocked: bool,
    pool_type: &'static str,
    value: u64,
    finder: String,
}

#[derive(Serialize)]
pub(in crate::api::compat) struct Transaction {
    id: u64,
    hash: String,
    mixins: u32,
    payees: usize,
    fee: u64,
    value: u64,
    ts: i64,
    pool_type: &'static str,
}

#[derive(Serialize)]
pub(super) struct Point {
    pub(super) ts: i64,
    pub(super) hs: u128,
}

/// `/network/stats`
#[derive(Serialize)]
pub(in crate::api::compat) struct NetworkStats {
    /// The hashes that a block takes on average.
    difficulty: u128,
    hash: String,
    height: u32,
    value: u64,
    ts: i64,
}

/// `/config`
#[derive(Serialize)]
pub(in crate::api::compat) struct Config {
    pplns_fee: f64,
    pps_fee: f64,
    solo_fee: f64,
    min_wallet_payout: u64,
    min_exchange_payout: u64,
    min_denom: u64,
    maturity_depth: u32,
    dev_donation: u32,
    pool_dev_donation: u32,
}

pub(super) async fn stats(Asked(pool): Asked) -> Result<Response, Problem> {
    let now = PoolNow::of(&pool, clock::now_ms()).await?;
    let money = Money::of(&pool).await?;
    let payments = money::payments(&pool).await?;
    let last = payments.first();
    Ok(answer(Kept::Medium, PoolStats::new(&now, &money, last)))
}

/// Those of the pool, as it has one way of paying.
pub(super) async fn stats_of_scheme(
    asked: Asked,
    Path(scheme): Path<String>,
) -> Result<Response, Problem> {
    let schemes = &asked.0.terms.accounting.schemes;
    if !schemes.iter().any(|one| one.name() == scheme) {
        return Err(Problem::unknown(
            "unknown_pool_type",
            "nobody is paid so here",
        ));
    }
    stats(asked).await
}

pub(super) async fn ports(Asked(pool): Asked) -> Result<Response, Problem> {
    let money = Money::of(&pool).await?;
    let now = PoolNow::of(&pool, clock::now_ms()).await?;
    let global = PoolPort::all(&now, &money);
    Ok(answer(Kept::Medium, Ports { global }))
}

pub(super) async fn blocks(Asked(pool): Asked, page: PageNumber) -> Result<Response, Problem> {
    let blocks = money::blocks(&pool, LISTED_MAX).await?;
    let blocks = page.of(blocks);
    let blocks: Vec<_> = blocks.iter().map(Block::of).collect();
    Ok(answer(Kept::Medium, blocks))
}

/// One entry for each transaction.
pub(super) async fn payments(Asked(pool): Asked, page: PageNumber) -> Result<Response, Problem> {
    let payments = money::payments(&pool).await?;
    let scheme = Money::of(&pool).await?.scheme;
    let transactions = Transaction::all(&payments, scheme);
    Ok(answer(Kept::Long, page.of(transactions)))
}

pub(super) async fn chart(Asked(pool): Asked) -> Result<Response, Problem> {
    Ok(answer(Kept::Long, points(&pool, Of::Pool).await?))
}

pub(super) async fn network(Asked(pool): Asked) -> Result<Response, Problem> {
    let now = PoolNow::of(&pool, clock::now_ms()).await?;
    Ok(match &now.next {
        Some(next) => answer(Kept::Medium, NetworkStats::new(next, now.now_ms)),
        None => Problem::unavailable(&anyhow::anyhow!("nothing is mined")).into_response(),
    })
}

pub(super) async fn config(Asked(pool): Asked) -> Result<Response, Problem> {
    let now = PoolNow::of(&pool, clock::now_ms()).await?;
    let money = Money::of(&pool).await?;
    let least = pool.terms.policy.least;
    Ok(answer(Kept::Long, Config::new(&now, &money, least)))
}

/// The last day, the newest first, as nodejs-pool has them.
pub(super) async fn points(pool: &Pool, of: Of<'_>) -> Result<Vec<Point>, ReadError> {
    let now = Minute::of_ms(clock::now_ms()).number();
    let to = Minute::from_number(now - now % i64::from(STEP));
    let from = to.back(24 * 60);
    let steps = pool.store.history(pool.id, of, from, to, STEP).await?;
    let point = |(start, sums): &(Minute, Sums)| Point {
        ts: start.start_ms(),
        hs: sums.work.per_second(STEP_MS),
    };
    Ok(steps.iter().rev().map(point).collect())
}

impl PoolStats {
    pub(in crate::api::compat) fn new(
        now: &PoolNow,
        money: &Money,
        last: Option<&OwnPayment>,
    ) -> Self {
        let block = money.last_block.as_ref().map(|last| &last.block.found);
        Self {
            pool_list: [money.scheme],
            pool_statistics: Statistics {
                hash_rate: now.windows.rate(10),
                miners: now.presence.users,
                total_hashes: now.total.work.hashes(),
                last_block_found_time: block.map_or(0, |block| block.found_ms / 1000),
                last_block_found: block.map_or(0, |block| block.height),
                total_blocks_found: now.blocks(),
                total_miners_paid: money.miners_paid,
                total_payments: money.payouts,
                round_hashes: now.round.map_or(0, Work::hashes),
                pending: now.counts.submitted + now.counts.immature,
                updated_at: now.now_ms / 1000,
            },
            last_payment: last.map_or(0, |payment| payment.made_ms / 1000),
        }
    }
}

impl PoolPort {
    pub(in crate::api::compat) fn all(now: &PoolNow, money: &Money) -> Vec<Self> {
        let port = |port: &money::Port| Self {
            host: Host {
                block_id: now
                    .next
                    .as_ref()
                    .map_or(0, |next| next.height.saturating_sub(1)),
                block_id_time: now.now_ms / 1000,
                hostname: port.address.ip().to_string(),
            },
            port: port.address.port(),
            pool_type: money.scheme,
            difficulty: port.start,
            miners: now.presence.workers,
            description: "",
            tls: port.tls,
        };
        money.ports.iter().map(port).collect()
    }
}

impl Block {
    pub(in crate::api::compat) fn of(now: &BlockNow) -> Self {
        let (found, state) = (&now.block.found, now.block.state);
        Self {
            ts: found.found_ms,
            hash: found.hash.to_string(),
            diff: now.network().hashes(),
            shares: now.round.map_or(0, Work::hashes),
            height: found.height,
            valid: state != BlockState::Orphaned,
            unlocked: state == BlockState::Mature,
            pool_type: found.scheme.name(),
            value: found.reward.units(),
            finder: found.worker.address().to_owned(),
        }
    }
}

impl Transaction {
    /// Of payments that stand together by their payouts.
    pub(in crate::api::compat) fn all(payments: &[OwnPayment], scheme: &'static str) -> Vec<Self> {
        let mut transactions: Vec<Self> = Vec::new();
        for payment in payments {
            match transactions.last_mut() {
                Some(last) if last.id == payment.payout => {
                    last.payees += 1;
                    last.value = last.value.saturating_add(payment.amount.units());
                }
                _ => transactions.push(Self {
                    id: payment.payout,
                    hash: payment.txid.map(|id| id.to_string()).unwrap_or_default(),
                    mixins: 0,
                    payees: 1,
                    // The pool bears it.
                    fee: 0,
                    value: payment.amount.units(),
                    ts: payment.made_ms,
                    pool_type: scheme,
                }),
            }
        }
        transactions
    }
}

impl NetworkStats {
    pub(in crate::api::compat) fn new(next: &Next, now_ms: i64) -> Self {
        Self {
            difficulty: next.work.hashes(),
            hash: next.previous.to_string(),
            height: next.height.saturating_sub(1),
            value: next.reward.units(),
            ts: now_ms / 1000,
        }
    }
}

impl Config {
    pub(in crate::api::compat) fn new(now: &PoolNow, money: &Money, least: Amount) -> Self {
        Self {
            pplns_fee: now.fee(),
            pps_fee: now.fee(),
            // Whoever solves a block solo is paid all of it.
            solo_fee: 0.0,
            min_wallet_payout: money.threshold.units(),
            min_exchange_payout: money.threshold.units(),
            min_denom: least.units(),
            maturity_depth: money.maturity,
            dev_donation: 0,
            pool_dev_donation: 0,
        }
    }
}
