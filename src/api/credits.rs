//! `/api/v1/miners/{address}/credits`: which blocks paid a miner, and how each amount came about.

use std::str::FromStr;

use axum::{Json, extract::Path};
use mining::{Amount, Scheme, accounting::exact_part, ledger::BlockEntries};
use pow::Hash;
use serde::Serialize;
use store::{CreditDetail, MinerCredit};
use utoipa::ToSchema;

use super::{
    miner::{Miner, OfPool, Place},
    page::{Page, PageQuery},
    problem::{MinerProblems, Problem},
};
use crate::display;

/// A block that paid a miner.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Credit {
    #[serde(flatten)]
    pub(crate) of: OfPool,
    /// The block's id.
    pub(crate) block: String,
    /// Its height.
    pub(crate) height: u32,
    /// When it was found.
    pub(crate) found: String,
    /// `submitted`, `immature`, `mature` or `orphaned`. Only a mature one counts.
    pub(crate) state: &'static str,
    /// What the block paid in all.
    pub(crate) reward: String,
    /// What the fees took of that.
    pub(crate) fees: String,
    /// The work that the block pays for, in expected hashes; 0 where it was solved solo.
    pub(crate) window_work: String,
    /// The miner's own part of that work.
    pub(crate) work: String,
    /// The miner's part of the reward.
    pub(crate) amount: String,
}

/// How a credit came about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreditExplained {
    /// The miner's address, in the form that it is kept in.
    pub(crate) address: String,
    #[serde(flatten)]
    pub(crate) credit: Credit,
    /// Blocks that confirm it, itself included, as last seen.
    pub(crate) confirmations: u32,
    /// The confirmations after which it is mature.
    pub(crate) matures_after: u32,
    /// `pplns`, `prop`, `solo`, ...: how the block is paid.
    pub(crate) scheme: &'static str,
    /// What the window would hold if it were full, in expected hashes.
    pub(crate) window_length: String,
    /// Whether it was full. A young pool's is not: then the reward is split by the work there is.
    pub(crate) window_full: bool,
    /// Each fee that was taken before the miners.
    pub(crate) fee_list: Vec<FeeTaken>,
    /// What was left for the miners: `reward` less `fees`.
    pub(crate) miners_part: String,
    /// How many miners share it.
    pub(crate) miners: u64,
    /// The whole units of the miner's exact part, `miners_part * work / window_work`.
    pub(crate) whole_units: String,
    /// What is over of them.
    pub(crate) fraction: Fraction,
    /// The units that came to this miner, 0 or 1, because its fraction was among the largest.
    /// `whole_units` and this add up to `amount`.
    pub(crate) left_units: String,
    /// The rule, for people.
    pub(crate) rule: &'static str,
    /// The entry in the books, as `adit ledger statement` has it; null if it is not entered yet.
    pub(crate) entry: Option<String>,
}

/// A fee that was taken from a block.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeeTaken {
    /// Whose.
    pub(crate) name: String,
    /// The part of the reward, in percent.
    pub(crate) percent: String,
    /// How much it was.
    pub(crate) amount: String,
}

/// A fraction below one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Fraction {
    /// Above the line.
    pub(crate) numerator: String,
    /// Below it: `window_work`.
    pub(crate) denominator: String,
}

const SPLIT: &str = "The reward is split among the fees and the miners by the percentages, then the \
                     miners' part by their work. Each gets the whole units of its part; the units \
                     that are left go to the largest fractions, one each, and of equal fractions to \
                     the one that stands first. All parts add up to the reward.";
const SOLO: &str = "Whoever solves a block solo is paid all of it by its coinbase.";

impl Credit {
    fn of(place: &Place, credit: &MinerCredit) -> Self {
        Self {
            of: OfPool::new(&place.pool),
            block: credit.block.to_string(),
            height: credit.height,
            found: display::time(credit.found_ms),
            state: credit.state.name(),
            reward: credit.reward.to_string(),
            fees: credit.fees.to_string(),
            window_work: credit.window.hashes().to_string(),
            work: credit.work.hashes().to_string(),
            amount: credit.amount.to_string(),
        }
    }
}

/// The blocks that paid a miner
///
/// The newest first. Those of other states than `mature` are not money yet, or never.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/credits", operation_id = "miner_credits", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin"), PageQuery),
    responses((status = 200, description = "The answer.", body = Page<Credit>), MinerProblems)
)]
pub(crate) async fn list(miner: Miner, query: PageQuery) -> Result<Json<Page<Credit>>, Problem> {
    let mut walk = query.walk(&miner)?;
    let mut items = Vec::new();
    while let Some(step) = walk.step() {
        let Place { pool, account, .. } = step.place;
        let found = pool
            .store
            .credits_of(pool.id, account, step.after, step.limit);
        let found = walk.take(&step, found.await?, |credit| credit.seq);
        items.extend(found.iter().map(|credit| Credit::of(step.place, credit)));
    }
    Ok(Json(walk.end(&miner, items)))
}

/// How a credit came about
///
/// Each number that went into it, so that it can be calculated again.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/credits/{block}", operation_id = "miner_credit", tag = "miners",
    params(
        ("address" = String, Path, description = "An address of a pool's coin"),
        ("block" = String, Path, description = "The block's id: 64 hexadecimal digits")
    ),
    responses((status = 200, description = "The answer.", body = CreditExplained), MinerProblems)
)]
pub(crate) async fn explain(
    miner: Miner,
    Path((_, block)): Path<(String, String)>,
) -> Result<Json<CreditExplained>, Problem> {
    let block = Hash::from_str(&block)
        .map_err(|_| Problem::bad("bad_block", "a block's id has 64 hexadecimal digits"))?;
    for place in &miner.places {
        let Place { pool, account, .. } = place;
        let found = pool.store.credit_detail(pool.id, account, block).await?;
        if let Some(detail) = found {
            return Ok(Json(explained(&miner, place, &detail)));
        }
    }
    let message = "there is no block of this id that paid this miner";
    Err(Problem::unknown("unknown_credit", message))
}

fn explained(miner: &Miner, place: &Place, detail: &CreditDetail) -> CreditExplained {
    let credit = &detail.credit;
    let miners_part = credit.reward.checked_sub(credit.fees);
    let miners_part = miners_part.unwrap_or(Amount::ZERO);
    // Solo nothing is split: the part is the whole.
    let exact = exact_part(miners_part, credit.work, credit.window);
    let (whole, rest) = exact.unwrap_or((credit.amount, 0));
    let left = credit.amount.checked_sub(whole).unwrap_or(Amount::ZERO);
    let entries = BlockEntries {
        coin: place.pool.coin.name,
        block: credit.block,
    };
    let fee = |fee: &store::BlockFee| FeeTaken {
        name: fee.name.clone(),
        percent: fee.percent.to_string(),
        amount: fee.amount.to_string(),
    };
    CreditExplained {
        address: miner.address.clone(),
        credit: Credit::of(place, credit),
        confirmations: detail.confirmations,
        matures_after: place.pool.blocks.maturity(),
        scheme: detail.scheme.name(),
        window_length: detail.length.hashes().to_string(),
        window_full: credit.window == detail.length,
        fee_list: detail.fees.iter().map(fee).collect(),
        miners_part: miners_part.to_string(),
        miners: detail.miners,
        whole_units: whole.to_string(),
        fraction: Fraction {
            numerator: rest.to_string(),
            denominator: credit.window.hashes().to_string(),
        },
        left_units: left.to_string(),
        rule: match detail.scheme {
            Scheme::Solo => SOLO,
            _ => SPLIT,
        },
        entry: (detail.entered > 0).then(|| entries.credit_id(detail.entered).to_string()),
    }
}
