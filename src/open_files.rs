//! How many files the process may have open, and how many of them are for miners. Each connection
//! is one; without a reserve a flood of them would leave none for the store, the daemons and HTTP.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::Semaphore;
use tracing::{info, warn};

/// Files for everything that is not a miner: the database, daemons, HTTP, logs.
const RESERVE: u64 = 256;

/// Who may have how many files open.
#[derive(Clone, Debug)]
pub struct Files {
    /// A permit for each that a miner may take.
    pub miners: Arc<Semaphore>,
    /// A permit for each that a connection of HTTP may take.
    pub http: Arc<Semaphore>,
}

/// Raises the soft limit to the hard one, and gives permits: a reserve is kept, which is never more than
/// half, and HTTP has of the rest what miners do not want, beside half of the reserve. Warns if not all
/// that is wanted fits.
pub fn share(miners_wanted: usize, http_wanted: usize) -> Files {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let before = limit.current;
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            warn!(%error, "the limit of open files could not be raised");
            limit.current = before;
        }
    }
    let (miners, http) = permits(limit.current, miners_wanted, http_wanted);
    if miners < miners_wanted || http < http_wanted {
        warn!(
            open_files = limit.current,
            connections_max = miners_wanted,
            connections_possible = miners,
            http_connections_max = http_wanted,
            http_connections_possible = http,
            "too few open files for all connections that the settings allow: raise the limit"
        );
    } else {
        info!(open_files = limit.current, "files that may be open");
    }
    Files {
        miners: Arc::new(Semaphore::new(miners)),
        http: Arc::new(Semaphore::new(http)),
    }
}

/// How many miners there can be, and how many connections of HTTP: together never more than there are
/// files, and never one for HTTP that miners want.
fn permits(limit: Option<u64>, miners_wanted: usize, http_wanted: usize) -> (usize, usize) {
    // None is no limit.
    let limit = limit.unwrap_or(u64::MAX);
    let reserve = RESERVE.min(limit / 2);
    let all = usize::try_from(limit - reserve).unwrap_or(usize::MAX);
    let of_reserve = usize::try_from(reserve / 2).unwrap_or(0);
    let http = http_wanted.min(all.saturating_sub(miners_wanted).saturating_add(of_reserve));
    let miners = all - http.saturating_sub(of_reserve);
    (
        miners.min(Semaphore::MAX_PERMITS),
        http.min(Semaphore::MAX_PERMITS),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_reserve_and_always_a_place() {
        assert_eq!(permits(Some(12_628), 10_000, 2_500), (10_000, 2_500));
        assert_eq!(permits(Some(10_256), 10_000, 2_500), (10_000, 128));
        assert_eq!(permits(Some(10_256), 20_000, 2_500), (10_000, 128));
        assert_eq!(permits(Some(512), 10, 2_500), (10, 374));
        assert_eq!(permits(Some(200), 10_000, 2_500), (100, 50));
        assert_eq!(permits(Some(2), 10_000, 2_500).0, 1);
        assert_eq!(permits(None, 10, 20), (Semaphore::MAX_PERMITS, 20));
    }

    #[test]
    fn http_takes_no_file_that_miners_want() {
        for limit in (64..40_000).step_by(97) {
            for wanted in [0, 1, 100, 10_000, 1 << 20] {
                let (miners, http) = permits(Some(limit), wanted, 2_500);
                let (alone, _) = permits(Some(limit), wanted, 0);
                assert!(miners >= wanted.min(alone), "{limit} {wanted}");
                let files = usize::try_from(limit).unwrap();
                assert!(miners + http <= files, "{limit} {wanted}");
            }
        }
    }
}
