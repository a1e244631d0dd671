//! miningcore's lists: blocks, payments, changes of a balance, earnings of days. A page has 15 entries
//! unless more are asked for. They go back a thousand entries.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use mining::{Amount, Coin, block::BlockState, ledger::Account};
use serde::Serialize;
use store::{Line, OwnPayment, ReadError};

use super::{
    super::{
        Asked, Kept, Owner, answer,
        figures::difficulty,
        money::{self, BlockNow, Coins, LISTED_MAX, PageNumber},
        unknown_miner,
    },
    Problem,
};
use crate::{display, pool::Pool};

/// A page with counts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api::compat) struct Paged<T> {
    result: Vec<T>,
    success: bool,
    item_count: usize,
    page_count: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api::compat) struct BlockRow {
    pool_id: String,
    block_height: u32,
    network_difficulty: f64,
    /// `pending`, `confirmed` or `orphaned`.
    status: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    confirmation_progress: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<f64>,
    transaction_confirmation_data: String,
    reward: Coins,
    info_link: String,
    hash: String,
    miner: String,
    source: String,
    created: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api::compat) struct PaymentRow {
    coin: &'static str,
    address: String,
    address_info_link: String,
    amount: Coins,
    transaction_confirmation_data: String,
    transaction_info_link: String,
    created: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    pool_id: String,
    address: String,
    amount: Coins,
    usage: String,
    created: String,
}

#[derive(Serialize)]
struct Earned {
    amount: Coins,
    date: String,
}

impl<T> Paged<T> {
    pub(in crate::api::compat) fn of(page: PageNumber, list: Vec<T>) -> Self {
        let count = list.len();
        Self {
            success: true,
            item_count: count,
            page_count: count.div_ceil(page.size),
            result: page.of(list),
        }
    }
}

impl BlockRow {
    pub(in crate::api::compat) fn new(
        pool: &str,
        coin: &Coin,
        maturity: u32,
        now: &BlockNow,
    ) -> Self {
        let found = &now.block.found;
        Self {
            pool_id: pool.to_owned(),
            block_height: found.height,
            network_difficulty: difficulty(now.network(), coin),
            status: match now.block.state {
                BlockState::Mature => "confirmed",
                BlockState::Orphaned => "orphaned",
                _ => "pending",
            },
            kind: "block",
            confirmation_progress: now.progress(maturity),
            effort: now.effort(),
            transaction_confirmation_data: found
                .coinbase
                .map(|id| id.to_string())
                .unwrap_or_default(),
            reward: Coins::new(found.reward, coin),
            info_link: String::new(),
            hash: found.hash.to_string(),
            miner: found.worker.address().to_owned(),
            source: String::new(),
            created: display::time(found.found_ms),
        }
    }
}

impl PaymentRow {
    pub(in crate::api::compat) fn new(coin: &'static Coin, payment: &OwnPayment) -> Self {
        Self {
            coin: coin.ticker,
            address: payment.address.clone(),
            address_info_link: String::new(),
            amount: Coins::new(payment.amount, coin),
            transaction_confirmation_data: payment
                .txid
                .map(|id| id.to_string())
                .unwrap_or_default(),
            transaction_info_link: String::new(),
            created: display::time(payment.made_ms),
        }
    }
}

async fn block_rows(pool: &Pool, finder: Option<&str>) -> Result<Vec<BlockRow>, ReadError> {
    let mut blocks = money::blocks(pool, LISTED_MAX).await?;
    blocks.retain(|now| finder.is_none_or(|finder| now.block.found.worker.address() == finder));
    let maturity = pool.blocks.maturity();
    let row = |now: &BlockNow| BlockRow::new(&pool.name, pool.coin, maturity, now);
    Ok(blocks.iter().map(row).collect())
}

async fn payment_rows(pool: &Pool) -> Result<Vec<PaymentRow>, ReadError> {
    let payments = money::payments(pool).await?;
    let row = |payment| PaymentRow::new(pool.coin, payment);
    Ok(payments.iter().map(row).collect())
}

async fn miner_payment_rows(owner: &Owner) -> Result<Vec<PaymentRow>, Problem> {
    let pool = &owner.pool;
    let payments = owner.payments().await?;
    let row = |payment| PaymentRow::new(pool.coin, payment);
    Ok(payments.iter().map(row).collect())
}

async fn lines(owner: &Owner) -> Result<Vec<Line>, Problem> {
    let (pool, account) = (&owner.pool, owner.known_account()?);
    let lines = pool.store.statement(pool.id, &account, None, LISTED_MAX);
    let mut lines = lines.await?;
    lines.retain(|line| line.state == "posted");
    Ok(lines)
}

async fn change_rows(owner: &Owner) -> Result<Vec<Change>, Problem> {
    let pool = &owner.pool;
    let row = |line: Line| Change {
        pool_id: pool.name.clone(),
        address: owner.address.as_str().to_owned(),
        amount: Coins::signed(line.amount, pool.coin),
        usage: line.reason,
        created: display::time(line.settled_ms.unwrap_or(line.made_ms)),
    };
    Ok(lines(owner).await?.into_iter().map(row).collect())
}

/// What blocks and shares brought on each day, the newest first.
async fn earned_rows(owner: &Owner) -> Result<Vec<Earned>, Problem> {
    let mut days: BTreeMap<String, u64> = BTreeMap::new();
    for line in lines(owner).await? {
        let id = line.id.to_string();
        let is_earned = id.contains(":block:") || id.contains(":shares:");
        if let (true, Ok(units)) = (is_earned, u64::try_from(line.amount)) {
            let time = display::time(line.settled_ms.unwrap_or(line.made_ms));
            let day = time.split('T').next().unwrap_or_default();
            let sum = days.entry(format!("{day}T00:00:00Z")).or_default();
            *sum = sum.saturating_add(units);
        }
    }
    let coin = owner.pool.coin;
    let row = |(date, units)| Earned {
        amount: Coins::new(Amount::from_units(units), coin),
        date,
    };
    Ok(days.into_iter().rev().map(row).collect())
}

pub(super) async fn blocks(Asked(pool): Asked, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(
        Kept::Medium,
        page.of(block_rows(&pool, None).await?),
    ))
}

pub(super) async fn blocks_v2(Asked(pool): Asked, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(
        Kept::Medium,
        Paged::of(page, block_rows(&pool, None).await?),
    ))
}

/// Those of all pools, the newest first.
pub(super) async fn all_blocks(
    State(pools): State<Vec<Pool>>,
    page: PageNumber,
) -> Result<Response, Problem> {
    let mut all = Vec::new();
    for pool in &pools {
        all.extend(block_rows(pool, None).await?);
    }
    all.sort_by(|a, b| b.created.cmp(&a.created));
    Ok(answer(Kept::Medium, page.of(all)))
}

pub(super) async fn payments(Asked(pool): Asked, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(Kept::Long, page.of(payment_rows(&pool).await?)))
}

pub(super) async fn payments_v2(Asked(pool): Asked, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(
        Kept::Long,
        Paged::of(page, payment_rows(&pool).await?),
    ))
}

async fn own_blocks(owner: &Owner) -> Result<Vec<BlockRow>, Problem> {
    if !owner.is_known {
        return Err(unknown_miner());
    }
    Ok(block_rows(&owner.pool, Some(owner.address.as_str())).await?)
}

pub(super) async fn miner_blocks(owner: Owner, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(Kept::Medium, page.of(own_blocks(&owner).await?)))
}

pub(super) async fn miner_blocks_v2(owner: Owner, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(
        Kept::Medium,
        Paged::of(page, own_blocks(&owner).await?),
    ))
}

pub(super) async fn miner_payments(owner: Owner, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(
        Kept::Long,
        page.of(miner_payment_rows(&owner).await?),
    ))
}

pub(super) async fn miner_payments_v2(owner: Owner, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(
        Kept::Long,
        Paged::of(page, miner_payment_rows(&owner).await?),
    ))
}

pub(super) async fn balance_changes(owner: Owner, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(Kept::Long, page.of(change_rows(&owner).await?)))
}

pub(super) async fn balance_changes_v2(
    owner: Owner,
    page: PageNumber,
) -> Result<Response, Problem> {
    Ok(answer(
        Kept::Long,
        Paged::of(page, change_rows(&owner).await?),
    ))
}

pub(super) async fn earnings(owner: Owner, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(Kept::Long, page.of(earned_rows(&owner).await?)))
}

pub(super) async fn earnings_v2(owner: Owner, page: PageNumber) -> Result<Response, Problem> {
    Ok(answer(
        Kept::Long,
        Paged::of(page, earned_rows(&owner).await?),
    ))
}

impl Owner {
    /// Its account, where anybody has mined for it.
    pub(in crate::api::compat) fn known_account(&self) -> Result<Account, Problem> {
        if !self.is_known {
            return Err(unknown_miner());
        }
        Ok(Account::Miner(self.address.as_str().to_owned()))
    }

    /// What it was paid of late, the newest first.
    pub(in crate::api::compat) async fn payments(&self) -> Result<Vec<OwnPayment>, Problem> {
        let (pool, account) = (&self.pool, self.known_account()?);
        let payments = pool.store.payments_of(pool.id, &account, None, LISTED_MAX);
        let mut payments = payments.await?;
        payments.retain(|payment| payment.txid.is_some());
        Ok(payments)
    }
}
