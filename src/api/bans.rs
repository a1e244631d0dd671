//! `/api/v1/bans`: who may not connect, and the end of a ban by an operator's hand.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{not_found, problem, refuse_strangers};
use crate::{display::time, pool::Pool};

/// Bans of a pool in one answer. There can be many thousands.
const SHOWN: usize = 1_000;

#[derive(Debug, Serialize)]
struct Bans {
    pools: Vec<PoolBans>,
}

#[derive(Debug, Serialize)]
struct PoolBans {
    pool: String,
    /// All of them, also those that are not shown.
    count: usize,
    /// The newest first.
    bans: Vec<Ban>,
}

#[derive(Debug, Serialize)]
struct Ban {
    /// An address of IPv4, or the first of a /64 of IPv6.
    address: IpAddr,
    since: String,
    until: String,
    shares: u64,
    invalid: u64,
}

/// `GET /api/v1/bans`
pub(super) async fn list(State(pools): State<Vec<Pool>>) -> Response {
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

/// `DELETE /api/v1/bans/{address}`: in every pool; of IPv6, any address of the /64 will do.
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
