//! How the nodes are, as the pool's page and `/api/v1/pools` tell it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{daemon::Source, pool::Pool};

/// A node.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DaemonStatus {
    /// Its address, without secrets.
    pub name: String,
    /// Whether it may be mined with.
    pub fit: bool,
    /// If not, why.
    pub reason: Option<String>,
    /// Its height.
    pub height: Option<u32>,
    /// `closed` (in use), `open` (left alone after failures) or `half-open` (being tried).
    pub breaker: &'static str,
    /// How it told of its last block.
    pub notified_by: Option<&'static str>,
}

/// All of a pool, the preferred one first.
pub(crate) fn of_pool(pool: &Pool) -> Vec<DaemonStatus> {
    let healths = pool.daemons.health().into_iter();
    healths
        .map(|daemon| DaemonStatus {
            name: daemon.name,
            fit: daemon.fit.is_ok(),
            reason: daemon.fit.err(),
            height: daemon.height,
            breaker: daemon.breaker.name(),
            notified_by: daemon.notified_by.map(name_of),
        })
        .collect()
}

fn name_of(source: Source) -> &'static str {
    match source {
        Source::Zmq => "zmq",
        Source::LongPoll => "long_poll",
        Source::WaitForNewBlock => "waitfornewblock",
        Source::Poke => "blocknotify",
        Source::Poll => "poll",
    }
}
