//! `/api/v1/miners/{address}/balances`: what the pool owes and has paid.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use store::ReadError;
use utoipa::ToSchema;

use super::{
    miner::{Miner, OfPool, Place},
    problem::{MinerProblems, Problem},
};
use crate::pool::Pool;

/// The money of a miner in each pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Balances {
    /// Its address, in the form that it is kept in.
    pub(crate) address: String,
    /// One for each pool that knows it.
    pub(crate) pools: Vec<PoolBalance>,
}

/// The money of a miner in one pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolBalance {
    #[serde(flatten)]
    pub(crate) of: OfPool,
    #[serde(flatten)]
    pub(crate) balance: Balance,
}

/// The money of a miner, each a text in the smallest unit. `available`, `pending`, `in_flight` and
/// `paid` add up to `earned`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Balance {
    /// Credits of blocks that are not mature. They count when the blocks are, and not at all if
    /// those become orphans.
    pub(crate) immature: String,
    /// Credits of mature blocks that are not paid.
    pub(crate) available: String,
    /// Claimed for a payout whose transaction is not signed yet.
    pub(crate) pending: String,
    /// In a transaction that is signed, and not deep enough in the chain.
    pub(crate) in_flight: String,
    /// In confirmed transactions, and in coinbases of mature blocks that were solved solo.
    pub(crate) paid: String,
    /// All that was ever posted.
    pub(crate) earned: String,
}

impl Balance {
    pub(super) async fn of(place: &Place) -> Result<Self, Problem> {
        let pool = &place.pool;
        let balance = pool.store.miner_balance(pool.id, &place.account).await?;
        let too_much = || ReadError::Broken("more than any coin has".into());
        Ok(Self {
            immature: balance.immature.to_string(),
            available: balance.available.to_string(),
            pending: balance.pending.to_string(),
            in_flight: balance.in_flight.to_string(),
            paid: balance.paid.to_string(),
            earned: balance.earned().ok_or_else(too_much)?.to_string(),
        })
    }
}

/// The money of a miner
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/balances", operation_id = "miner_balances", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin")),
    responses((status = 200, description = "The answer.", body = Balances), MinerProblems)
)]
pub(crate) async fn list(miner: Miner) -> Result<Json<Balances>, Problem> {
    of_places(&miner, miner.places.iter()).await
}

/// The money of a miner in one coin
///
/// The same as all balances, but only those of the pools of this coin.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/balance/{coin}", operation_id = "miner_balance_of_coin", tag = "miners",
    params(
        ("address" = String, Path, description = "An address of the coin"),
        ("coin" = String, Path, description = "The coin's name or ticker", example = "bitcoin")
    ),
    responses((status = 200, description = "The answer.", body = Balances), MinerProblems)
)]
pub(crate) async fn of_coin(
    State(pools): State<Vec<Pool>>,
    miner: Miner,
    Path((_, coin)): Path<(String, String)>,
) -> Result<Json<Balances>, Problem> {
    let is_coin =
        |pool: &Pool| pool.coin.name == coin || pool.coin.ticker.eq_ignore_ascii_case(&coin);
    if !pools.iter().any(is_coin) {
        return Err(Problem::unknown(
            "unknown_coin",
            "this coin is not mined here",
        ));
    }
    let places = miner.places.iter().filter(|place| is_coin(&place.pool));
    let balances = of_places(&miner, places).await?;
    if balances.pools.is_empty() {
        let message = "nobody has mined this coin here for this address";
        return Err(Problem::unknown("unknown_miner", message));
    }
    Ok(balances)
}

async fn of_places(
    miner: &Miner,
    places: impl Iterator<Item = &Place>,
) -> Result<Json<Balances>, Problem> {
    let mut pools = Vec::new();
    for place in places {
        pools.push(PoolBalance {
            of: OfPool::new(&place.pool),
            balance: Balance::of(place).await?,
        });
    }
    Ok(Json(Balances {
        address: miner.address.clone(),
        pools,
    }))
}
