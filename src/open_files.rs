//! How many files the process may have open, and how many of them are for miners. Each connection
//! is one; without a reserve a flood of them would leave none for the store, the daemons and HTTP.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::Semaphore;
use tracing::{info, warn};

/// Files for everything that is not a miner: the database, daemons, HTTP, logs.
const RESERVE: u64 = 256;

/// Raises the soft limit to the hard one, and gives permits for miners: one for each file that is
/// left beside the reserve, which is never more than half. Warns if `wanted` connections do not fit.
pub fn for_miners(wanted: usize) -> Arc<Semaphore> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let before = limit.current;
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            warn!(%error, "the limit of open files could not be raised");
            limit.current = before;
        }
    }
    let permits = permits(limit.current);
    if permits < wanted {
        warn!(
            open_files = limit.current,
            connections_max = wanted,
            connections_possible = permits,
            "too few open files for all connections that the settings allow: raise the limit"
        );
    } else {
        info!(open_files = limit.current, "files that may be open");
    }
    Arc::new(Semaphore::new(permits))
}

fn permits(limit: Option<u64>) -> usize {
    // None is no limit.
    let limit = limit.unwrap_or(u64::MAX);
    let permits = limit - RESERVE.min(limit / 2);
    usize::try_from(permits)
        .unwrap_or(usize::MAX)
        .min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_reserve_and_always_a_place() {
        assert_eq!(permits(Some(10_256)), 10_000);
        assert_eq!(permits(Some(512)), 256);
        assert_eq!(permits(Some(200)), 100);
        assert_eq!(permits(Some(2)), 1);
        assert_eq!(permits(None), Semaphore::MAX_PERMITS);
        assert_eq!(permits(Some(u64::MAX)), Semaphore::MAX_PERMITS);
    }
}
