//! `/api/v1/bans`: who may not connect, and the end of a ban by an operator's hand.

use std::net::IpAddr;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    operator::Operator,
    problem::{OperatorProblems, Problem},
};
use crate::{display::time, pool::Pool};

/// Bans of a pool in one answer. There can be many thousands.
const SHOWN: usize = 1_000;

/// Who may not connect.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Bans {
    pub(crate) pools: Vec<PoolBans>,
}

/// Who may not connect to a pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolBans {
    /// The pool's name.
    pub(crate) pool: String,
    /// All of them, also those that are not shown.
    pub(crate) count: usize,
    /// The newest first.
    pub(crate) bans: Vec<Ban>,
}

/// An address that may not connect.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ban {
    /// An address of IPv4, or the first of a /64 of IPv6.
    #[schema(value_type = String)]
    pub(crate) address: IpAddr,
    /// When it was banned.
    pub(crate) since: String,
    /// When that ends.
    pub(crate) until: String,
    /// Shares in the time that was looked at.
    pub(crate) shares: u64,
    /// Those of them that were invalid.
    pub(crate) invalid: u64,
}

/// Who may not connect
#[utoipa::path(
    get, path = "/api/v1/bans", operation_id = "bans", tag = "pool",
    responses((status = 200, description = "The answer.", body = Bans))
)]
pub(crate) async fn list(State(pools): State<Vec<Pool>>) -> Json<Bans> {
    let pools = pools.iter().map(|pool| {
        let (bans, count) = pool.bans.list(SHOWN);
        let bans = bans.into_iter().map(|ban| Ban {
            address: ban.address,
            since: time(ban.since_ms),
            until: time(ban.until_ms),
            shares: ban.shares,
            invalid: ban.invalid,
        });
        PoolBans {
            pool: pool.name.clone(),
            count,
            bans: bans.collect(),
        }
    });
    Json(Bans {
        pools: pools.collect(),
    })
}

/// Lift a ban
///
/// In every pool; of IPv6, any address of the /64 will do.
#[utoipa::path(
    delete, path = "/api/v1/bans/{address}", operation_id = "lift_ban", tag = "operator",
    params(("address" = String, Path, description = "An address of IPv4 or IPv6")),
    security(("key" = []), ()),
    responses((status = 204, description = "Done."), OperatorProblems)
)]
pub(crate) async fn lift(
    operator: Operator,
    State(pools): State<Vec<Pool>>,
    Path(address): Path<String>,
) -> Result<StatusCode, Problem> {
    let address: IpAddr = address
        .parse()
        .map_err(|_| Problem::bad("no_address", "no address of IPv4 or IPv6"))?;
    if !pools.iter().any(|pool| pool.bans.is_banned(address)) {
        return Err(Problem::nothing());
    }
    operator.does("ban lifted", &address.to_string()).await?;
    // All of them, not only the first that has one.
    for pool in &pools {
        pool.bans.lift(address);
    }
    Ok(StatusCode::NO_CONTENT)
}
