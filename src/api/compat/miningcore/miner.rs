//! A miner as miningcore tells of it.

use std::collections::BTreeMap;

use axum::response::Response;
use mining::{Amount, Coin, payout::BatchState};
use serde::Serialize;
use store::{MinerBalance, Of, OwnPayment};

use super::{
    super::{
        Kept, Owner, answer,
        figures::{MinerNow, in_shares},
        money::Coins,
        unknown_miner,
    },
    Problem,
    pool::{last_day, per_second},
};
use crate::{clock, display};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// `/api/pools/POOL/miners/ADDRESS`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api::compat) struct MinerStats {
    pending_shares: u128,
    pending_balance: Coins,
    total_paid: Coins,
    today_paid: Coins,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_payment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_payment_link: Option<String>,
    performance: Sample,
    performance_samples: Vec<Sample>,
}

#[derive(Serialize)]
struct Sample {
    created: String,
    workers: BTreeMap<String, WorkerSample>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkerSample {
    hashrate: u128,
    shares_per_second: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    payment_threshold: Coins,
}

pub(super) async fn stats(owner: Owner) -> Result<Response, Problem> {
    let (pool, account) = (&owner.pool, owner.known_account()?);
    let now_ms = clock::now_ms();
    let miner = MinerNow::of(pool, &owner.address, now_ms).await?;
    let balance = pool.store.miner_balance(pool.id, &account).await?;
    let payments = owner.payments().await?;
    let mut stats = MinerStats::new(&miner, &balance, &payments, pool.coin, now_ms);
    stats.performance_samples = samples(&owner, now_ms).await?;
    Ok(answer(Kept::Medium, stats))
}

/// The hours of the last day, of all workers together: those of each are in the API.
pub(super) async fn performance(owner: Owner) -> Result<Response, Problem> {
    if !owner.is_known {
        return Err(unknown_miner());
    }
    Ok(answer(Kept::Long, samples(&owner, clock::now_ms()).await?))
}

pub(super) async fn settings(owner: Owner) -> Result<Response, Problem> {
    let (pool, account) = (&owner.pool, owner.known_account()?);
    let settings = pool.store.payout_settings(pool.id, &account).await?;
    let threshold = settings.threshold.unwrap_or(pool.terms.policy.threshold);
    let settings = Settings {
        payment_threshold: Coins::new(threshold, pool.coin),
    };
    Ok(answer(Kept::Medium, settings))
}

async fn samples(owner: &Owner, now_ms: i64) -> Result<Vec<Sample>, Problem> {
    let pool = &owner.pool;
    let (from, to) = last_day(now_ms);
    let of = Of::Miner(owner.address.as_str());
    let steps = pool.store.history(pool.id, of, from, to, 60).await?;
    let sample = |(start, sums): &(store::Minute, store::Sums)| Sample {
        created: display::time(start.start_ms()),
        workers: BTreeMap::from([(
            String::new(),
            WorkerSample {
                hashrate: sums.work.per_second(3_600_000),
                shares_per_second: per_second(sums.shares),
            },
        )]),
    };
    Ok(steps.iter().map(sample).collect())
}

impl MinerStats {
    pub(in crate::api::compat) fn new(
        now: &MinerNow,
        balance: &MinerBalance,
        payments: &[OwnPayment],
        coin: &Coin,
        now_ms: i64,
    ) -> Self {
        let counts = |payment: &&OwnPayment| payment.state != BatchState::Released;
        let today = now_ms - now_ms.rem_euclid(DAY_MS);
        let of_today = payments.iter().filter(counts);
        let of_today = of_today.filter(|payment| payment.made_ms >= today);
        let today_paid = Amount::checked_sum(of_today.map(|payment| payment.amount));
        // Claimed for a payout is not paid yet.
        let pending = Amount::checked_sum([balance.available, balance.pending, balance.immature]);
        let paid = Amount::checked_sum([balance.paid, balance.in_flight]);
        let coins = |amount: Option<Amount>| Coins::new(amount.unwrap_or_default(), coin);
        let workers = now.workers.iter().map(|worker| {
            let sample = WorkerSample {
                hashrate: worker.windows.rate(10),
                shares_per_second: worker.windows.shares_per_second(10),
            };
            (worker.name.clone(), sample)
        });
        Self {
            pending_shares: in_shares(now.windows.work(24 * 60), coin),
            pending_balance: coins(pending),
            total_paid: coins(paid),
            today_paid: coins(today_paid),
            last_payment: payments
                .first()
                .map(|payment| display::time(payment.made_ms)),
            last_payment_link: payments.first().map(|_| String::new()),
            performance: Sample {
                created: display::time(now_ms),
                workers: workers.collect(),
            },
            performance_samples: Vec::new(),
        }
    }
}
