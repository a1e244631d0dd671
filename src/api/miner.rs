//! `/api/v1/miners/{address}`: who is asked about, and what it does and has at a glance.

use axum::{
    Json,
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use mining::{Address, address::ADDRESS_LEN_MAX, ledger::Account};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    balances::Balance,
    pools::{self, BestShare},
    problem::{MinerProblems, Problem},
    rate::{Rates, Stretch},
    sessions,
};
use crate::{clock, display, pool::Pool};

/// The miner of the path, and the pools that know it: at least one.
#[derive(Clone)]
pub(crate) struct Miner {
    /// In the form that it is kept in.
    pub(crate) address: String,
    pub(crate) places: Vec<Place>,
}

/// A pool that knows a miner.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) pool: Pool,
    pub(crate) address: Address,
    pub(crate) account: Account,
}

/// Which pool, and what its money is counted in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct OfPool {
    /// The pool's name.
    pub(crate) pool: String,
    /// The coin's name.
    pub(crate) coin: &'static str,
    /// The coin's ticker.
    pub(crate) ticker: &'static str,
    /// The network.
    pub(crate) network: String,
    /// The smallest unit, in which money is counted.
    pub(crate) unit: &'static str,
}

/// A miner at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MinerSummary {
    /// Its address, in the form that it is kept in.
    pub(crate) address: String,
    /// What it does and has in each pool that knows it.
    pub(crate) pools: Vec<MinerInPool>,
}

/// A miner in one pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MinerInPool {
    #[serde(flatten)]
    pub(crate) stats: MinerStats,
    /// Its money.
    pub(crate) balance: Balance,
}

/// The work of a miner in each pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AllStats {
    /// Its address, in the form that it is kept in.
    pub(crate) address: String,
    /// One for each pool that knows it.
    pub(crate) pools: Vec<MinerStats>,
}

/// The work of a miner in one pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MinerStats {
    #[serde(flatten)]
    pub(crate) of: OfPool,
    /// Workers that ever had a share.
    pub(crate) workers: u64,
    /// Workers that are connected now.
    pub(crate) connected: usize,
    /// Shares accepted and stored.
    pub(crate) shares: u64,
    /// Their work, in expected hashes.
    pub(crate) work: String,
    /// Shares refused since the workers that are connected now have come. They are not stored.
    pub(crate) rejected: u64,
    /// Work per second.
    pub(crate) hashrate: Rates,
    /// The best share ever.
    pub(crate) best: Option<BestShare>,
    /// The blocks that this work was expected to find, as far as they are counted. With six decimals,
    /// as a text.
    pub(crate) expected_blocks: String,
    /// Those that it found, counted likewise.
    pub(crate) found_blocks: u64,
    /// When the first share came.
    pub(crate) first_share: Option<String>,
    /// When the last share came.
    pub(crate) last_share: Option<String>,
}

impl OfPool {
    pub(super) fn new(pool: &Pool) -> Self {
        Self {
            pool: pool.name.clone(),
            coin: pool.coin.name,
            ticker: pool.coin.ticker,
            network: pool.network.to_string(),
            unit: pool.coin.unit,
        }
    }
}

impl FromRequestParts<Vec<Pool>> for Miner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, pools: &Vec<Pool>) -> Result<Self, Problem> {
        let bad = |message: &str| Problem::bad("bad_address", message);
        let params = RawPathParams::from_request_parts(parts, pools).await;
        let params = params.map_err(|_| Problem::bad("bad_path", "the path is no UTF-8"))?;
        let text = params.iter().find(|(name, _)| *name == "address");
        let text = text.map_or("", |(_, text)| text);
        if text.len() > ADDRESS_LEN_MAX {
            return Err(Problem::long_address());
        }
        let mut parsed = Vec::new();
        let mut why_not = "there is no pool".to_owned();
        for pool in pools {
            match Address::parse(pool.coin, pool.network, text) {
                Ok(address) => parsed.push((pool, address)),
                Err(error) => why_not = error.to_string(),
            }
        }
        if parsed.is_empty() {
            return Err(bad(&why_not));
        }
        let mut places = Vec::new();
        for (pool, address) in parsed {
            if pool.store.knows(pool.id, address.as_str()).await? {
                places.push(Place {
                    pool: pool.clone(),
                    account: Account::Miner(address.as_str().to_owned()),
                    address,
                });
            }
        }
        let Some(first) = places.first() else {
            let message = "nobody has mined here for this address";
            return Err(Problem::unknown("unknown_miner", message));
        };
        Ok(Self {
            address: first.address.as_str().to_owned(),
            places,
        })
    }
}

/// A miner at a glance
///
/// What it does and has, in each pool of this program that knows it.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}", operation_id = "miner", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin")),
    responses((status = 200, description = "The answer.", body = MinerSummary), MinerProblems)
)]
pub(crate) async fn summary(miner: Miner) -> Result<Json<MinerSummary>, Problem> {
    let mut pools = Vec::new();
    for place in &miner.places {
        pools.push(MinerInPool {
            stats: MinerStats::of(place).await?,
            balance: Balance::of(place).await?,
        });
    }
    Ok(Json(MinerSummary {
        address: miner.address,
        pools,
    }))
}

/// The work of a miner
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/stats", operation_id = "miner_stats", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin")),
    responses((status = 200, description = "The answer.", body = AllStats), MinerProblems)
)]
pub(crate) async fn stats(miner: Miner) -> Result<Json<AllStats>, Problem> {
    let mut pools = Vec::new();
    for place in &miner.places {
        pools.push(MinerStats::of(place).await?);
    }
    Ok(Json(AllStats {
        address: miner.address,
        pools,
    }))
}

impl MinerStats {
    async fn of(place: &Place) -> Result<Self, Problem> {
        let pool = &place.pool;
        let stretches = Stretch::all(pool, clock::now_ms());
        let windows = stretches.map(|stretch| stretch.since);
        let address = place.address.as_str();
        let found = pool.store.miner(pool.id, address, &windows).await?;
        let luck = pool.store.luck_of(pool.id, address).await?;
        let own = sessions::of_address(pool, &place.address);
        let rejected = own.iter().map(|session| session.rejected()).sum();
        Ok(Self {
            of: OfPool::new(pool),
            workers: found.workers,
            connected: own.len(),
            shares: found.total.shares,
            work: found.total.work.hashes().to_string(),
            rejected,
            hashrate: Rates::of(stretches, &found.windows),
            best: pools::best(pool, Some(address)).await?,
            expected_blocks: luck.expected.to_string(),
            found_blocks: luck.found,
            first_share: found.first_share_ms.map(display::time),
            last_share: found.last_share_ms.map(display::time),
        })
    }
}
