//! `/api/v1/miners/{address}/estimate`: what a miner's work brings on average, if all stays as it is.

use axum::Json;
use mining::{
    Amount, AnyTemplate, Scheme, Work,
    accounting::{AVERAGED_BLOCKS, Credits, ExpectedBlock, Fees, average, expected},
};
use serde::Serialize;
use store::{ReadError, Sums};
use utoipa::ToSchema;

use super::{
    credits::FeeTaken,
    miner::{Miner, OfPool, Place},
    problem::{MinerProblems, Problem},
    rate::Stretch,
};
use crate::{clock, pool::Pool, template_feed::Newest};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What a miner's work brings in each pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Estimates {
    /// Its address, in the form that it is kept in.
    pub(crate) address: String,
    /// One for each pool that knows it.
    pub(crate) pools: Vec<Estimate>,
}

/// What a miner's work brings in one pool. An average and no promise.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Estimate {
    #[serde(flatten)]
    pub(crate) of: OfPool,
    /// What it is calculated from; null while there is no template.
    pub(crate) block: Option<NextBlock>,
    /// One for each way in which this pool pays.
    pub(crate) schemes: Vec<SchemeEstimate>,
    /// What is taken for granted.
    pub(crate) assumptions: Vec<&'static str>,
    /// Why there is no estimate.
    pub(crate) stopped: Option<String>,
}

/// The block that is being mined.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextBlock {
    /// Its height.
    pub(crate) height: u32,
    /// What it would pay: subsidy and fees of its transactions.
    pub(crate) reward: String,
    /// The hashes that it takes on average.
    pub(crate) network_work: String,
}

/// What a way of paying brings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchemeEstimate {
    /// `pplns`, `prop`, `pps`, `fpps` or `solo`.
    pub(crate) scheme: &'static str,
    /// What is paid for the work that a block takes: the reward; where shares are paid for as they
    /// come, the subsidy, with `fpps` and the average of the last blocks' fees.
    pub(crate) reward: String,
    /// The fees that are taken before.
    pub(crate) fees: Vec<FeeTaken>,
    /// What is left of that for miners.
    pub(crate) miners_part: String,
    /// From the work of the last hour, and of the last day.
    pub(crate) expected: Vec<Expected>,
}

/// What some time's work brings, were it done every day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Expected {
    /// `1h` or `24h`.
    pub(crate) over: &'static str,
    /// The seconds that are counted: less, if the pool was started since.
    pub(crate) seconds: u64,
    /// The miner's work in them, in expected hashes.
    pub(crate) work: String,
    /// That work per second, in H/s.
    pub(crate) hashrate: f64,
    /// `miners_part * work / network_work * 86400 / seconds`, rounded down.
    pub(crate) per_day: Option<String>,
    /// The seconds that the miner alone would take for a block on average; null without work.
    pub(crate) seconds_to_block: Option<String>,
}

const ASSUMPTIONS: [&str; 7] = [
    "The miner works on as fast as it did in the time that is counted.",
    "The network's difficulty stays what it is for the next block.",
    "Each block pays what the next one would: subsidy and the fees of the transactions now known.",
    "Fees stay what they are.",
    "With pps and fpps no luck and no orphan plays a part; the reserve can pay.",
    "With the others luck is average. With few blocks it is not, in either direction.",
    "No block becomes an orphan. What is expected is credited when blocks are found and counts when \
     they are mature.",
];

/// What a miner can expect
///
/// The average of a day from the work of the last hour and of the last day, with what is assumed.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/estimate", operation_id = "miner_estimate", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin")),
    responses((status = 200, description = "The answer.", body = Estimates), MinerProblems)
)]
pub(crate) async fn show(miner: Miner) -> Result<Json<Estimates>, Problem> {
    let mut pools = Vec::new();
    for place in &miner.places {
        pools.push(Estimate::of(place).await?);
    }
    Ok(Json(Estimates {
        address: miner.address,
        pools,
    }))
}

impl Estimate {
    async fn of(place: &Place) -> Result<Self, Problem> {
        let pool = &place.pool;
        let now = clock::now_ms();
        let [_, _, _, hour, _, day, _] = Stretch::all(pool, now);
        let address = place.address.as_str();
        let windows = [hour.since, day.since];
        let found = pool.store.miner(pool.id, address, &windows).await?;
        let newest = pool.newest.borrow().clone();
        let done = [("1h", hour), ("24h", day)];
        let done: Vec<_> = done.into_iter().zip(found.windows).collect();
        let mut estimate = Self {
            of: OfPool::new(pool),
            block: None,
            schemes: Vec::new(),
            assumptions: ASSUMPTIONS.to_vec(),
            stopped: None,
        };
        match newest {
            Newest::Nothing(reason) => estimate.stopped = Some(reason.to_string()),
            Newest::Offer(offer) => {
                let template = &offer.template;
                let network = template.work();
                estimate.block = Some(NextBlock {
                    height: template.height(),
                    reward: template.value().to_string(),
                    network_work: network.hashes().to_string(),
                });
                for scheme in &pool.terms.accounting.schemes {
                    let reward = reward(pool, *scheme, template).await?;
                    let of_scheme = SchemeEstimate::of(pool, *scheme, reward, network, &done);
                    estimate.schemes.push(of_scheme);
                }
            }
        }
        Ok(estimate)
    }
}

impl SchemeEstimate {
    fn of(
        pool: &Pool,
        scheme: Scheme,
        reward: Amount,
        network: Work,
        done: &[((&'static str, Stretch), Sums)],
    ) -> Self {
        let (fees, miners_part) = match scheme {
            Scheme::Solo => (Vec::new(), reward),
            _ => after_fees(&pool.terms.fees_now(scheme), reward),
        };
        let expected = done.iter().map(|((over, stretch), sums)| {
            let (work, millis) = (sums.work, stretch.millis);
            let per_day = expected(miners_part, work, millis, network, DAY_MS);
            let seconds_to_block = network
                .hashes()
                .checked_mul(u128::from(millis))
                .and_then(|hashes| hashes.checked_div(work.hashes()))
                .map(|millis| millis / 1000);
            Expected {
                over,
                seconds: millis / 1000,
                work: work.hashes().to_string(),
                hashrate: stretch.rate(work),
                per_day: per_day.map(|amount| amount.to_string()),
                seconds_to_block: seconds_to_block.map(|seconds| seconds.to_string()),
            }
        });
        Self {
            scheme: scheme.name(),
            reward: reward.to_string(),
            fees,
            miners_part: miners_part.to_string(),
            expected: expected.collect(),
        }
    }
}

/// What a scheme pays for the work of the block that is mined.
async fn reward(pool: &Pool, scheme: Scheme, template: &AnyTemplate) -> Result<Amount, ReadError> {
    let subsidy = ExpectedBlock::of(template).map_or(Amount::ZERO, |block| block.subsidy);
    let fees = match scheme {
        Scheme::Pps => Amount::ZERO,
        Scheme::Fpps => {
            let fees = pool
                .store
                .fees_below(pool.id, template.height(), AVERAGED_BLOCKS);
            average(&fees.await?)
        }
        Scheme::Pplns | Scheme::Prop | Scheme::Solo => return Ok(template.value()),
    };
    let sum = subsidy.checked_add(fees);
    sum.ok_or_else(|| ReadError::Broken("more than any coin has".into()))
}

/// What fees take of a reward, and what is left: split as a block would be.
fn after_fees(fees: &Fees, reward: Amount) -> (Vec<FeeTaken>, Amount) {
    let one = [((), Work::from_hashes(1))];
    let Some(credits) = Credits::new(reward, fees, one) else {
        return (Vec::new(), reward);
    };
    let taken = fees.list().iter().zip(credits.fees());
    let taken = taken.map(|(fee, amount)| FeeTaken {
        name: fee.name.clone(),
        percent: fee.percent.to_string(),
        amount: amount.to_string(),
    });
    let left = credits.miners().first();
    let left = left.map_or(Amount::ZERO, |credit| credit.amount);
    (taken.collect(), left)
}
