//! `/api/v1/bans`: who may not connect, and the end of a ban by an operator's hand.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{not_found, problem, problem::Error, refuse_strangers};
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
pub(crate) async fn list(State(pools): State<Vec<Pool>>) -> Response {
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
    .into_response()
}

/// Lift a ban
///
/// In every pool; of IPv6, any address of the /64 will do. From this machine alone.
#[utoipa::path(
    delete, path = "/api/v1/bans/{address}", operation_id = "lift_ban", tag = "operator",
    params(("address" = String, Path, description = "An address of IPv4 or IPv6")),
    responses(
        (status = 204, description = "Done."),
        (status = 400, description = "It makes no sense.", body = Error),
        (status = 403, description = "Only this machine may call this.", body = Error),
        (status = 404, description = "There is nothing here.", body = Error)
    )
)]
pub(super) async fn lift(
    State(pools): State<Vec<Pool>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(address): Path<String>,
) -> Response {
    if let Some(refusal) = refuse_strangers(peer) {
        return refusal;
    }
    let Ok(address) = address.parse::<IpAddr>() else {
        let message = "no address of IPv4 or IPv6";
        return problem(StatusCode::BAD_REQUEST, "no_address", message);
    };
    // All of them, not only the first that has one.
    let lifted = pools.iter().filter(|pool| pool.bans.lift(address)).count();
    if lifted > 0 {
        StatusCode::NO_CONTENT.into_response()
    } else {
        not_found().await
    }
}
