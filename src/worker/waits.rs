//! How long a worker waits, for what. Nothing is waited for without a limit.

use std::time::Duration;

/// The limits; tests have shorter ones.
#[derive(Clone, Debug)]
pub(crate) struct Waits {
    /// For a name to be resolved and a connection to stand.
    pub(super) connect: Duration,
    /// For the answer to `mining.configure`, which old pools do not give.
    pub(super) configure: Duration,
    /// For any other answer; a pool that commits shares to disk first takes a second at worst.
    pub(super) answer: Duration,
    /// For the pool to take what we send.
    pub(super) write: Duration,
    /// Without a line; pools send a job each minute, NerdMiner waits as long.
    pub(super) silence: Duration,
    /// After this long an authorized connection counts as one that worked.
    pub(super) proved: Duration,
    /// Before the second attempt.
    pub(super) first: Duration,
    /// Before the first look whether the first pool is there again, and at most between two.
    pub(super) home: Duration,
    pub(super) home_longest: Duration,
    /// Between two signs of life, where the pool heeds them.
    pub(super) keep_alive: Duration,
    /// Between any two attempts, also where the pool asks for more.
    pub(super) longest: Duration,
    /// How long a pool of HTTP is asked to hold its answer back for a new job.
    pub(super) poll: Duration,
    /// Between two questions where the pool did not hold it back.
    pub(super) ask_again: Duration,
    /// After so long without news from a pool of HTTP its job is worth nothing.
    pub(super) stale: Duration,
    /// Between two samples of the hashrate.
    pub(super) sample: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            configure: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            write: Duration::from_secs(10),
            silence: Duration::from_secs(600),
            proved: Duration::from_secs(60),
            first: Duration::from_secs(1),
            home: Duration::from_secs(60),
            home_longest: Duration::from_secs(3600),
            keep_alive: Duration::from_secs(60),
            longest: Duration::from_secs(60),
            poll: Duration::from_secs(50),
            ask_again: Duration::from_secs(5),
            stale: Duration::from_secs(60),
            sample: Duration::from_secs(1),
        }
    }
}
