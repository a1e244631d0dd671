//! What the shapes of pools that pay say of blocks and money: the newest blocks and payments, what was
//! paid in all, and on what terms. Amounts in coins are exact decimal numbers, made of integers.
//!
//! Lists of pages go back a thousand entries: the API has all of them.

use std::net::SocketAddr;

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use mining::{Amount, Coin, Work, block::BlockState, ledger::Account};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{Block, OwnPayment, ReadError};

use crate::{api::problem::Problem, display, pool::Pool};

/// So far back go lists of pages.
pub(super) const LISTED_MAX: u32 = 1_000;
/// Entries on a page.
const SIZE_MAX: usize = 500;

/// A pool's money and terms.
#[derive(Clone, Debug)]
pub(super) struct Money {
    /// All that was ever paid.
    pub(super) paid: Amount,
    /// Payouts that are confirmed.
    pub(super) payouts: u64,
    /// Accounts that were paid by them.
    pub(super) miners_paid: u64,
    /// What a balance must reach.
    pub(super) threshold: Amount,
    /// Whether the pool pays at all.
    pub(super) pays: bool,
    /// `pplns`, ...: that of the first listener.
    pub(super) scheme: &'static str,
    /// The length of the PPLNS window, in blocks.
    pub(super) window: f64,
    /// Where blocks pay.
    pub(super) operator: String,
    pub(super) maturity: u32,
    pub(super) ports: Vec<Port>,
    /// The newest block that is not orphaned.
    pub(super) last_block: Option<BlockNow>,
}

/// A port for miners.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) address: SocketAddr,
    pub(super) start: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) share_time_s: u64,
    pub(super) tls: bool,
}

/// A block.
#[derive(Clone, Debug)]
pub(super) struct BlockNow {
    pub(super) block: Block,
    /// The work of its round; nothing where it is not counted.
    pub(super) round: Option<Work>,
}

/// A page, by its number from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageNumber {
    pub(super) page: usize,
    pub(super) size: usize,
}

/// The names that it has there.
#[derive(Debug, Default, Deserialize)]
struct PageQuery {
    page: Option<usize>,
    #[serde(rename = "pageSize", alias = "pagesize", alias = "limit")]
    size: Option<usize>,
}

impl<S: Send + Sync> FromRequestParts<S> for PageNumber {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<PageQuery>::from_request_parts(parts, state).await;
        let Query(query) =
            query.map_err(|rejection| Problem::bad("bad_query", rejection.body_text()))?;
        let size = query.size.unwrap_or(15);
        if !(1..=SIZE_MAX).contains(&size) {
            return Err(Problem::bad("bad_limit", "a page has 1 to 500 entries"));
        }
        Ok(Self {
            page: query.page.unwrap_or(0),
            size,
        })
    }
}

impl PageNumber {
    /// Its part of a list.
    pub(super) fn of<T>(self, list: Vec<T>) -> Vec<T> {
        let before = self.page.saturating_mul(self.size);
        list.into_iter().skip(before).take(self.size).collect()
    }
}

/// An amount in coins: a number with all its decimals.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Coins(Box<RawValue>);

impl Coins {
    pub(super) fn new(amount: Amount, coin: &Coin) -> Self {
        Self::of_text(amount.in_coins(coin.decimals).to_string())
    }

    /// Of what may be below zero.
    pub(super) fn signed(units: i64, coin: &Coin) -> Self {
        let amount = Amount::from_units(units.unsigned_abs()).in_coins(coin.decimals);
        let sign = if units < 0 { "-" } else { "" };
        Self::of_text(format!("{sign}{amount}"))
    }

    fn of_text(text: String) -> Self {
        Self(RawValue::from_string(text).expect("a decimal number is JSON"))
    }
}

impl Money {
    pub(super) async fn of(pool: &Pool) -> Result<Self, ReadError> {
        let store = &pool.store;
        let paid = store.balance(pool.id, &Account::Paid).await?.posted;
        let confirmed = store.paid(pool.id).await?;
        let newest = blocks(pool, 20).await?;
        let mut in_chain = newest.into_iter().filter(BlockNow::is_in_chain);
        let accounting = &pool.terms.accounting;
        Ok(Self {
            paid: Amount::from_units(u64::try_from(paid).unwrap_or(0)),
            payouts: confirmed.payouts,
            miners_paid: confirmed.accounts,
            threshold: pool.terms.policy.threshold,
            pays: pool.terms.pays,
            scheme: accounting
                .schemes
                .first()
                .map_or("pplns", |scheme| scheme.name()),
            window: serde_json::to_value(accounting.window)
                .ok()
                .and_then(|window| window.as_f64())
                .unwrap_or_default(),
            operator: pool.terms.operator.as_str().to_owned(),
            maturity: pool.blocks.maturity(),
            ports: pool
                .doors
                .iter()
                .map(|door| Port {
                    address: door.address,
                    start: door.start_difficulty.to_f64(),
                    min: door.difficulties.start().to_f64(),
                    max: door.difficulties.end().to_f64(),
                    share_time_s: door.share_time.as_secs(),
                    tls: door.tls.is_some(),
                })
                .collect(),
            last_block: in_chain.next(),
        })
    }
}

/// The newest blocks, newest first.
pub(super) async fn blocks(pool: &Pool, limit: u32) -> Result<Vec<BlockNow>, ReadError> {
    let limit = limit.min(LISTED_MAX);
    let blocks = pool.store.blocks(pool.id, None, limit).await?;
    let oldest = blocks.last().map_or(0, |block| block.seq);
    let mut rounds = pool.store.round_works(pool.id, oldest).await?;
    let block = |block: Block| BlockNow {
        round: rounds.remove(&block.seq),
        block,
    };
    Ok(blocks.into_iter().map(block).collect())
}

/// The newest payments of a pool, newest first.
pub(super) async fn payments(pool: &Pool) -> Result<Vec<OwnPayment>, ReadError> {
    pool.store.recent_payments(pool.id, LISTED_MAX).await
}

impl BlockNow {
    pub(super) fn is_in_chain(&self) -> bool {
        self.block.state != BlockState::Orphaned
    }

    /// What a block took at its height.
    pub(super) fn network(&self) -> Work {
        self.block.found.network.work().unwrap_or(Work::ZERO)
    }

    /// The work of its round against that: 1 is average luck.
    pub(super) fn effort(&self) -> Option<f64> {
        let network = self.network().hashes();
        let round = self.round.filter(|_| network > 0)?;
        Some(display::to_f64(round.hashes()) / display::to_f64(network))
    }

    /// How far it is on its way to maturity, 0 to 1.
    pub(super) fn progress(&self, maturity: u32) -> f64 {
        match self.block.state {
            BlockState::Mature => 1.0,
            BlockState::Orphaned => 0.0,
            _ => (f64::from(self.block.confirmations) / f64::from(maturity.max(1))).min(1.0),
        }
    }
}
