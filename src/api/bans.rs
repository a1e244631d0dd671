//! `/api/v1/bans`: who may not connect, and the end of a ban by an operator's hand.

use std::{collections::HashSet, net::IpAddr, time::Duration};

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
use crate::{clock, display::time, pool::Pool, work::PortWorkers};

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
    /// All that are banned by their address, also those that are not shown.
    pub(crate) count: usize,
    /// The newest first.
    pub(crate) bans: Vec<Ban>,
    /// Workers of HTTP that are banned by their `worker_id`, wherever they come from; the newest first.
    pub(crate) workers: Vec<WorkerBan>,
}

/// A worker of HTTP that is banned.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkerBan {
    /// Its `worker_id`.
    pub(crate) worker: String,
    /// When that ends.
    pub(crate) until: String,
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
            workers: workers(pool),
        }
    });
    Json(Bans {
        pools: pools.collect(),
    })
}

fn workers(pool: &Pool) -> Vec<WorkerBan> {
    let now_ms = clock::now_ms();
    let ports = pool.doors.iter().filter_map(|door| door.workers.as_ref());
    let mut bans: Vec<_> = ports.flat_map(PortWorkers::bans).collect();
    bans.sort_by_key(|ban| std::cmp::Reverse(ban.left));
    // One that is not here is banned at each port.
    let mut told = HashSet::new();
    bans.retain(|ban| told.insert(ban.id.clone()));
    bans.truncate(SHOWN);
    let until = |left: Duration| {
        let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        time(now_ms.saturating_add(left_ms))
    };
    let ban = |ban: crate::work::WorkerBan| WorkerBan {
        until: until(ban.left),
        worker: ban.id,
    };
    bans.into_iter().map(ban).collect()
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

/// Lift the ban of a worker of HTTP
///
/// At every port of every pool. What it was banned for is forgotten.
#[utoipa::path(
    delete, path = "/api/v1/bans/workers/{worker}", operation_id = "lift_worker_ban", tag = "operator",
    params(("worker" = String, Path, description = "Its `worker_id`")),
    security(("key" = []), ()),
    responses((status = 204, description = "Done."), OperatorProblems)
)]
pub(crate) async fn lift_worker(
    operator: Operator,
    State(pools): State<Vec<Pool>>,
    Path(worker): Path<String>,
) -> Result<StatusCode, Problem> {
    let doors = || pools.iter().flat_map(|pool| &pool.doors);
    let ports = || doors().filter_map(|door| door.workers.as_ref());
    if !ports()
        .flat_map(PortWorkers::bans)
        .any(|ban| ban.id == worker)
    {
        return Err(Problem::nothing());
    }
    operator.does("ban of a worker lifted", &worker).await?;
    // At all of them, not only the first where it is banned.
    for port in ports() {
        port.lift(&worker);
    }
    Ok(StatusCode::NO_CONTENT)
}
