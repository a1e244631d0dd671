//! Who is connected now: the sessions of a pool and of a worker.

use std::sync::{Arc, atomic::Ordering};

use mining::username::Alias;
use serde::Serialize;
use utoipa::ToSchema;

use super::shares::Rejected;
use crate::{display, pool::Pool, sessions::Session};

/// How many are listed where a pool is shown at a glance.
const LISTED_MAX: usize = 50;

/// A worker on a connection.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionStatus {
    /// The worker, `address.name`.
    pub worker: String,
    /// A short name for the address (`u/1f3`), once it has mined here.
    pub alias: Option<String>,
    /// What the device calls itself.
    pub agent: String,
    /// The difficulty it was told.
    pub difficulty: f64,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares refused.
    pub rejected: u64,
    /// Why they were: each reason for which one was.
    pub rejects: Vec<Rejected>,
    /// Since when it is there.
    pub since: String,
    /// Its last accepted share.
    pub last_share: Option<String>,
}

impl SessionStatus {
    /// A session, with the short name of its address.
    pub(super) fn new(session: &Session, alias: Option<u64>) -> Self {
        Self {
            worker: session.worker.to_string(),
            alias: alias.and_then(Alias::new).map(|alias| format!("u/{alias}")),
            agent: session.agent.clone(),
            difficulty: session.difficulty().to_f64(),
            accepted: session.accepted.load(Ordering::Relaxed),
            rejected: session.rejected(),
            rejects: Rejected::of(session.rejects()),
            since: display::time(session.since_ms),
            last_share: match session.last_share_ms.load(Ordering::Relaxed) {
                0 => None,
                time_ms => Some(display::time(time_ms)),
            },
        }
    }
}

/// The sessions of a pool, the oldest first.
pub(super) async fn of_pool(pool: &Pool) -> anyhow::Result<Vec<SessionStatus>> {
    let mut sessions = pool.sessions.list();
    sessions.truncate(LISTED_MAX);
    let addresses = sessions
        .iter()
        .map(|session| session.worker.address.as_str());
    let mut addresses: Vec<&str> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    let aliases = pool.store.aliases_of(pool.id, &addresses).await?;
    let listed = sessions.iter().map(|session| {
        let alias = aliases.get(session.worker.address.as_str());
        SessionStatus::new(session, alias.copied())
    });
    Ok(listed.collect())
}

/// The sessions of an address, the oldest first.
pub(super) fn of_address(pool: &Pool, address: &mining::Address) -> Vec<Arc<Session>> {
    let mut sessions = pool.sessions.list();
    sessions.retain(|session| session.worker.address == *address);
    sessions
}
