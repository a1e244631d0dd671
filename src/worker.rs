//! A CPU worker: joins a pool over Stratum V1 and mines for it until it is told to stop.
//!
//! Called by `adit mine`, by the demo and by tests. [`run`] owns the hash threads and one
//! connection after another; what goes on is seen in a [`Snapshot`] and told as [`Event`]s. An
//! error of [`run`] is one that another attempt would not mend: a bad URL, threads that cannot
//! start, or, with `fail_fast`, the first failure of the pool.

mod backoff;
mod endpoint;
mod job;
mod rate;
mod search;
mod session;
mod status;
mod threads;
mod waits;

use anyhow::{Context as _, ensure};
use pow::Algorithm;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use endpoint::{Endpoint, NoEndpoint};
pub use status::{Event, Snapshot};

use backoff::Backoff;
use job::Found;
use rate::Rate;
use session::{Ended, Left, Rig};
use status::Status;
use threads::HashThreads;
use waits::Waits;

/// More threads than any machine has cores.
const THREADS_MAX: usize = 1024;

/// What to mine, where, as whom.
#[derive(Clone)]
pub struct Config {
    /// `stratum+tcp://host:port`, `tcp://host:port` or `host:port`.
    pub url: String,
    /// `address.worker`, or what the pool calls a user.
    pub user: String,
    /// Most pools read none.
    pub password: String,
    /// Threads that hash.
    pub threads: usize,
    /// The pool's proof of work; Stratum V1 does not tell it.
    pub algorithm: Algorithm,
    /// The name given at `mining.subscribe`.
    pub agent: String,
    /// Asked for after authorization.
    pub suggest_difficulty: Option<f64>,
    /// The percentage of the time that threads hash; 100 is all of it.
    pub throttle: u8,
    /// End with the first failure instead of connecting again.
    pub fail_fast: bool,
    /// Gets each event. When it is full the worker waits; take them or give none.
    pub events: Option<mpsc::Sender<Event>>,
}

impl Config {
    /// One thread at full speed, SHA-256d, and our own agent.
    pub fn new(url: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: user.into(),
            password: "x".to_owned(),
            threads: 1,
            algorithm: Algorithm::Sha256d,
            agent: concat!("adit/", env!("CARGO_PKG_VERSION")).to_owned(),
            suggest_difficulty: None,
            throttle: 100,
            fail_fast: false,
            events: None,
        }
    }

    fn check(&self) -> anyhow::Result<Endpoint> {
        ensure!(!self.user.is_empty(), "no user; pools want ADDRESS.WORKER");
        ensure!(
            (1..=THREADS_MAX).contains(&self.threads),
            "{} threads are not between 1 and {THREADS_MAX}",
            self.threads
        );
        ensure!(
            (1..=100).contains(&self.throttle),
            "a throttle of {} is no percentage from 1 to 100",
            self.throttle
        );
        let suggested = self.suggest_difficulty;
        ensure!(
            suggested.is_none_or(|difficulty| difficulty.is_finite() && difficulty > 0.0),
            "a suggested difficulty is above zero"
        );
        Ok(self.url.parse()?)
    }
}

/// Mines until `cancel` or an error that is final.
pub async fn run(
    config: Config,
    snapshot: watch::Sender<Snapshot>,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    run_within(&Waits::default(), config, snapshot, cancel).await
}

async fn run_within(
    waits: &Waits,
    config: Config,
    snapshot: watch::Sender<Snapshot>,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let endpoint = config.check()?;
    snapshot.send_modify(|snapshot| snapshot.pool = endpoint.to_string());
    let status = Status::new(snapshot, config.events.clone());
    let (threads, found) = HashThreads::start(config.threads, config.throttle.into())
        .context("cannot start the hash threads")?;
    let ended = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        failed = sessions(&config, waits, &status, &threads, found, &endpoint) => Err(failed),
        failed = watch_threads(&threads, &status, waits) => Err(failed),
    };
    status.hashes(threads.hashes(), 0);
    status.idle();
    threads.end().await;
    ended
}

/// One connection after another; ends with the first failure if failures are final.
async fn sessions(
    config: &Config,
    waits: &Waits,
    status: &Status,
    threads: &HashThreads,
    mut found: mpsc::Receiver<Found>,
    home: &Endpoint,
) -> anyhow::Error {
    let mut backoff = Backoff::new(waits.first, waits.longest);
    let mut jobs = 0;
    let mut endpoint = home.clone();
    loop {
        let mut rig = Rig {
            config,
            waits,
            status,
            threads,
            found: &mut found,
            jobs: &mut jobs,
        };
        let Ended {
            how,
            proved,
            unanswered,
        } = session::run(&mut rig, &endpoint).await;
        if proved {
            backoff.reset();
        }
        // Waited in any case, or a pool that only ever sends us away would be a busy loop.
        let mut wait = backoff.wait();
        match how {
            Ok(Left { to, wait: asked }) => {
                status
                    .disconnected("the pool asked us to connect again".into(), unanswered)
                    .await;
                endpoint = to;
                wait = wait.max(asked);
            }
            Err(failure) => {
                status
                    .disconnected(format!("{failure:#}"), unanswered)
                    .await;
                if config.fail_fast {
                    return failure;
                }
                warn!(pool = %endpoint, failure = format!("{failure:#}"), ?wait, "no connection");
                endpoint = home.clone();
            }
        }
        tokio::time::sleep(wait).await;
        info!(pool = %endpoint, "connecting again");
    }
}

/// Counts hashes once a second, and ends if a thread did.
async fn watch_threads(threads: &HashThreads, status: &Status, waits: &Waits) -> anyhow::Error {
    let mut rate = Rate::new(Instant::now(), threads.hashes());
    let mut tick = tokio::time::interval(waits.sample);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let hashes = threads.hashes();
        status.hashes(hashes, rate.sample(Instant::now(), hashes));
        if threads.has_lost_one() {
            return anyhow::anyhow!("a hash thread has ended");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
