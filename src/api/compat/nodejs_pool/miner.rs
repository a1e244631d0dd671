//! A miner and its workers as nodejs-pool tells of them. A worker without a name is called `x` there.

use std::collections::BTreeMap;

use axum::{extract::Path, response::Response};
use mining::Amount;
use serde::Serialize;
use store::{MinerBalance, MinerCredit, Of};

use super::{
    super::{
        Kept, Owner, answer,
        figures::{MinerNow, WorkerNow},
        money::{LISTED_MAX, PageNumber},
        unknown_miner,
    },
    pool::{Point, points},
};
use crate::{api::problem::Problem, clock, display};

/// Workers whose charts are in one answer.
const CHARTS_MAX: usize = 20;

/// `/miner/ADDRESS/stats`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api::compat) struct AddressStats {
    hash: u128,
    hash2: u128,
    identifier: &'static str,
    last_hash: i64,
    total_hashes: u128,
    valid_shares: u64,
    invalid_shares: u64,
    amt_paid: u64,
    amt_due: u64,
    txn_count: usize,
}

/// A worker; the missing letter is theirs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api::compat) struct WorkerStats {
    lts: i64,
    identifer: String,
    hash: u128,
    hash2: u128,
    total_hash: u128,
    valid_shares: u64,
    invalid_shares: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payment {
    pt: &'static str,
    ts: i64,
    amount: u64,
    txn_hash: String,
    mixin: u32,
}

#[derive(Serialize)]
struct BlockPayment {
    id: u64,
    ts: i64,
    ts_found: i64,
    port: u32,
    hash: String,
    value_percent: f64,
    value: f64,
}

pub(super) async fn stats(owner: Owner) -> Result<Response, Problem> {
    let (pool, account) = (&owner.pool, owner.known_account()?);
    let miner = MinerNow::of(pool, &owner.address, clock::now_ms()).await?;
    let balance = pool.store.miner_balance(pool.id, &account).await?;
    let payments = owner.payments().await?.len();
    let stats = AddressStats::new(&miner, &balance, payments);
    Ok(answer(Kept::Medium, stats))
}

pub(super) async fn all_workers(owner: Owner) -> Result<Response, Problem> {
    let miner = known(&owner).await?;
    Ok(answer(Kept::Medium, WorkerStats::all(&miner)))
}

pub(super) async fn worker(
    owner: Owner,
    Path((_, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let worker = found(&owner, &name).await?;
    Ok(answer(Kept::Medium, WorkerStats::of(&worker)))
}

pub(super) async fn identifiers(owner: Owner) -> Result<Response, Problem> {
    let miner = known(&owner).await?;
    let mut names: Vec<_> = miner
        .workers
        .iter()
        .map(|worker| label(&worker.name))
        .collect();
    names.sort_unstable();
    Ok(answer(Kept::Medium, names))
}

pub(super) async fn chart(owner: Owner) -> Result<Response, Problem> {
    if !owner.is_known {
        return Err(unknown_miner());
    }
    let of = Of::Miner(owner.address.as_str());
    Ok(answer(Kept::Long, points(&owner.pool, of).await?))
}

pub(super) async fn chart_of_worker(
    owner: Owner,
    Path((_, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let worker = found(&owner, &name).await?;
    let points = points(&owner.pool, Of::Worker(worker.id)).await?;
    Ok(answer(Kept::Long, points))
}

/// All together, and the strongest by themselves.
pub(super) async fn chart_of_all(owner: Owner) -> Result<Response, Problem> {
    let miner = known(&owner).await?;
    let pool = &owner.pool;
    let of = Of::Miner(owner.address.as_str());
    let mut charts: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for worker in miner.workers.iter().take(CHARTS_MAX) {
        let own = points(pool, Of::Worker(worker.id)).await?;
        charts.insert(label(&worker.name), own);
    }
    charts.insert("global".into(), points(pool, of).await?);
    Ok(answer(Kept::Long, charts))
}

pub(super) async fn payments(owner: Owner, page: PageNumber) -> Result<Response, Problem> {
    let payments = page.of(owner.payments().await?);
    let scheme = scheme(&owner);
    let payment = |payment: store::OwnPayment| Payment {
        pt: scheme,
        ts: payment.made_ms / 1000,
        amount: payment.amount.units(),
        txn_hash: payment.txid.map(|id| id.to_string()).unwrap_or_default(),
        mixin: 0,
    };
    let payments: Vec<_> = payments.into_iter().map(payment).collect();
    Ok(answer(Kept::Long, payments))
}

pub(super) async fn block_payments(owner: Owner, page: PageNumber) -> Result<Response, Problem> {
    let (pool, account) = (&owner.pool, owner.known_account()?);
    let credits = pool.store.credits_of(pool.id, &account, None, LISTED_MAX);
    let credits = page.of(credits.await?);
    let in_coins = |amount: Amount| {
        let one = 10_u64.pow(pool.coin.decimals.into());
        display::to_f64(amount.units().into()) / display::to_f64(one.into())
    };
    let payment = |credit: MinerCredit| BlockPayment {
        id: credit.seq,
        ts: credit.found_ms / 1000,
        ts_found: credit.found_ms / 1000,
        port: 0,
        hash: credit.block.to_string(),
        value_percent: percent(credit.amount, credit.reward),
        value: in_coins(credit.amount),
    };
    let payments: Vec<_> = credits.into_iter().map(payment).collect();
    Ok(answer(Kept::Long, payments))
}

fn percent(part: Amount, whole: Amount) -> f64 {
    let whole = display::to_f64(u128::from(whole.units().max(1)));
    display::to_f64(u128::from(part.units()) * 100) / whole
}

fn scheme(owner: &Owner) -> &'static str {
    let schemes = &owner.pool.terms.accounting.schemes;
    schemes.first().map_or("pplns", |scheme| scheme.name())
}

async fn known(owner: &Owner) -> Result<MinerNow, Problem> {
    if !owner.is_known {
        return Err(unknown_miner());
    }
    Ok(MinerNow::of(&owner.pool, &owner.address, clock::now_ms()).await?)
}

async fn found(owner: &Owner, name: &str) -> Result<WorkerNow, Problem> {
    let (pool, address) = (&owner.pool, &owner.address);
    let now_ms = clock::now_ms();
    let mut worker = WorkerNow::of(pool, address, name, now_ms).await?;
    if worker.is_none() && name == label("") {
        worker = WorkerNow::of(pool, address, "", now_ms).await?;
    }
    worker.ok_or_else(unknown_miner)
}

fn label(name: &str) -> String {
    let name = if name.is_empty() { "x" } else { name };
    name.to_owned()
}

impl AddressStats {
    pub(in crate::api::compat) fn new(
        now: &MinerNow,
        balance: &MinerBalance,
        payments: usize,
    ) -> Self {
        let due = Amount::checked_sum([balance.available, balance.pending]);
        let paid = Amount::checked_sum([balance.paid, balance.in_flight]);
        Self {
            hash: now.windows.rate(10),
            hash2: now.windows.rate(10),
            identifier: "global",
            last_hash: now.last_share_ms.unwrap_or(0) / 1000,
            total_hashes: now.total.work.hashes(),
            valid_shares: now.total.shares,
            // Refused shares are not stored.
            invalid_shares: 0,
            amt_paid: paid.unwrap_or_default().units(),
            amt_due: due.unwrap_or_default().units(),
            txn_count: payments,
        }
    }
}

impl WorkerStats {
    fn of(now: &WorkerNow) -> Self {
        Self {
            lts: now.last_share_ms / 1000,
            identifer: label(&now.name),
            hash: now.windows.rate(10),
            hash2: now.windows.rate(10),
            total_hash: now.total.work.hashes(),
            valid_shares: now.total.shares,
            invalid_shares: 0,
        }
    }

    pub(in crate::api::compat) fn all(now: &MinerNow) -> BTreeMap<String, Self> {
        let workers = now
            .workers
            .iter()
            .map(|worker| (label(&worker.name), Self::of(worker)));
        let mut all: BTreeMap<_, _> = workers.collect();
        let global = Self {
            lts: now.last_share_ms.unwrap_or(0) / 1000,
            identifer: "global".into(),
            hash: now.windows.rate(10),
            hash2: now.windows.rate(10),
            total_hash: now.total.work.hashes(),
            valid_shares: now.total.shares,
            invalid_shares: 0,
        };
        all.insert("global".into(), global);
        all
    }
}
