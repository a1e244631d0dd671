//! `/api/v1/luck`: who was expected to find blocks and how many it found, and an operator's word that
//! somebody is counted anew. For operators alone: it is a suspicion, and no proof.

use std::cmp::Reverse;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use mining::Address;
use serde::Serialize;
use store::AccountLuck;
use utoipa::ToSchema;

use super::{
    operator::Operator,
    problem::{OperatorProblems, Problem},
};
use crate::{display::time, pool::Pool};

/// Accounts of a pool in one answer.
const SHOWN: usize = 1_000;

/// Who was expected to find blocks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Lucks {
    pub(crate) pools: Vec<PoolLucks>,
}

/// Who was expected to find blocks in a pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolLucks {
    /// The pool's name.
    pub(crate) pool: String,
    /// How many accounts are suspicious.
    pub(crate) suspicious: usize,
    /// The unluckiest first, of those with at least nine expected blocks.
    pub(crate) accounts: Vec<Account>,
}

/// How many blocks an account was expected to find, and how many it found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Account {
    /// The address that is mined for.
    pub(crate) address: String,
    /// Whether chance hardly explains it.
    pub(crate) suspicious: bool,
    /// The blocks that were expected, since it was counted anew. With six decimals, as a text.
    pub(crate) expected_blocks: String,
    /// Those that were found since then.
    pub(crate) found_blocks: u64,
    /// That so few are found or fewer happens once in so many times, as a text.
    pub(crate) once_in: String,
    /// When it was counted anew; absent if it never was.
    pub(crate) counted_anew: Option<String>,
    /// The blocks that were ever expected of it, likewise.
    pub(crate) expected_blocks_ever: String,
    /// Those that it ever found.
    pub(crate) found_blocks_ever: u64,
    /// When its last share came.
    pub(crate) last_share: String,
}

impl Account {
    fn of(account: AccountLuck) -> (u128, Self) {
        let AccountLuck { since, ever, .. } = account;
        let odds = since.odds();
        let told = Self {
            address: account.address,
            suspicious: since.is_suspicious(),
            expected_blocks: since.expected.to_string(),
            found_blocks: since.found,
            once_in: odds.to_string(),
            counted_anew: account.counted_anew_ms.map(time),
            expected_blocks_ever: ever.expected.to_string(),
            found_blocks_ever: ever.found,
            last_share: time(account.last_share_ms),
        };
        (odds, told)
    }
}

/// Who finds fewer blocks than its work should
#[utoipa::path(
    get, path = "/api/v1/luck", operation_id = "luck", tag = "operator",
    security(("key" = []), ()),
    responses((status = 200, description = "The answer.", body = Lucks), OperatorProblems)
)]
pub(crate) async fn list(
    _: Operator,
    State(pools): State<Vec<Pool>>,
) -> Result<Json<Lucks>, Problem> {
    let mut told = Vec::with_capacity(pools.len());
    for pool in &pools {
        let accounts = pool.suspects.looked_at().await?;
        let mut accounts: Vec<_> = accounts.into_iter().map(Account::of).collect();
        accounts.sort_by_key(|(odds, _)| Reverse(*odds));
        let accounts: Vec<Account> = accounts.into_iter().map(|(_, account)| account).collect();
        told.push(PoolLucks {
            pool: pool.name.clone(),
            suspicious: accounts.iter().filter(|account| account.suspicious).count(),
            accounts: accounts.into_iter().take(SHOWN).collect(),
        });
    }
    Ok(Json(Lucks { pools: told }))
}

/// Count an account anew
///
/// In every pool that knows it: an operator has looked into it.
#[utoipa::path(
    delete, path = "/api/v1/luck/{address}", operation_id = "count_anew", tag = "operator",
    params(("address" = String, Path, description = "An address of a pool's coin")),
    security(("key" = []), ()),
    responses((status = 204, description = "Done."), OperatorProblems)
)]
pub(crate) async fn count_anew(
    operator: Operator,
    State(pools): State<Vec<Pool>>,
    Path(address): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut known = Vec::new();
    for pool in &pools {
        let Ok(address) = Address::parse(pool.coin, pool.network, &address) else {
            continue;
        };
        if pool.store.knows(pool.id, address.as_str()).await? {
            known.push((pool, address));
        }
    }
    let Some((_, address)) = known.first() else {
        return Err(Problem::nothing());
    };
    operator.does("counted anew", address.as_str()).await?;
    for (pool, address) in &known {
        pool.suspects.count_anew(address.as_str()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
