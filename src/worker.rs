//! A CPU worker: joins a pool over Stratum V1, that of Monero's miners or HTTP, and mines for it until it is
//! told to stop.
//!
//! Called by `adit mine`, by the demo and by tests. [`run`] owns the hash threads and one
//! connection after another; what goes on is seen in a [`Snapshot`] and told as [`Event`]s. An
//! error of [`run`] is one that another attempt would not mend: a bad URL, threads that cannot
//! start, too little memory, or, with `fail_fast`, the first failure of the pool.

mod algorithm;
mod backoff;
mod cryptonote;
mod dialect;
mod endpoint;
mod http;
mod profile;
mod rate;
mod session;
mod status;
mod stream;
mod sv1;
mod threads;
mod vision;
mod waits;

use std::{pin::pin, thread::available_parallelism, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use algorithm::{Algorithm, NotMined};
pub use endpoint::{Endpoint, NoEndpoint};
pub(crate) use http::{Connection, Question};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use http::{read_job, read_registration, read_share};
pub use profile::Profile;
pub use status::{Event, Snapshot};
pub(crate) use waits::Waits;

use crate::{
    listener::Fingerprint,
    verifier::{self, Mode},
};
use backoff::Backoff;
use cryptonote::Seeds;
use dialect::{FoundOf, Hasher, Supply, Wants};
use http::{Banned, Kept, Members};
use rate::Rate;
use session::{Ended, Left, Rig};
use status::Status;
use sv1::Extranonces;
use threads::HashThreads;
use vision::Nonces;

/// More threads than any machine has cores.
const THREADS_MAX: usize = 1024;

/// Our own agent.
pub(crate) const AGENT: &str = concat!("adit/", env!("CARGO_PKG_VERSION"));

/// What to mine, where, as whom.
#[derive(Clone)]
pub struct Config {
    /// Each `stratum+tcp://host:port`, `stratum+ssl://host:port`, `http://host:port`, `https://host:port` or
    /// `host:port`. The first one is mined for; the others, in their order, while it is away.
    pub urls: Vec<String>,
    /// The certificates that are trusted over TLS; if there are none, those that an authority has signed.
    pub tls_fingerprints: Vec<Fingerprint>,
    /// `address.worker`, or what the pool calls a user.
    pub user: String,
    /// Most pools read none.
    pub password: String,
    /// Threads that hash.
    pub threads: usize,
    /// The pool's proof of work. Nothing is [`Algorithm::of_user`], and SHA-256d gives way to `rx/0` where
    /// the pool answers in the words of Monero's; Stratum V1 does not tell which one it wants. A pool of HTTP
    /// tells it with each job.
    pub algorithm: Option<Algorithm>,
    /// How much memory RandomX may take.
    pub randomx: Mode,
    /// The name given at `mining.subscribe`, and as `User-Agent`.
    pub agent: String,
    /// Asked for after authorization; over HTTP there is no way to ask.
    pub suggest_difficulty: Option<f64>,
    /// The percentage of the time that threads hash; 100 is all of it.
    pub throttle: u8,
    /// End with the first failure instead of connecting again.
    pub fail_fast: bool,
    /// Gets each event. When it is full the worker waits; take them or give none.
    pub events: Option<mpsc::Sender<Event>>,
}

impl Config {
    /// One thread at full speed, and our own agent.
    pub fn new(url: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            tls_fingerprints: Vec::new(),
            user: user.into(),
            password: "x".to_owned(),
            threads: 1,
            algorithm: None,
            randomx: Mode::Auto,
            agent: AGENT.to_owned(),
            suggest_difficulty: None,
            throttle: 100,
            fail_fast: false,
            events: None,
        }
    }

    fn check(&self) -> anyhow::Result<Vec<Endpoint>> {
        ensure!(!self.urls.is_empty(), "no pool");
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
        let endpoints = self.urls.iter().map(|url| url.parse());
        let endpoints = endpoints.collect::<Result<Vec<Endpoint>, _>>()?;
        ensure!(
            self.tls_fingerprints.is_empty() || endpoints.iter().any(Endpoint::is_tls),
            "a certificate was named, and no pool of these is https:// or stratum+ssl://"
        );
        Ok(endpoints)
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
    let pools = config.check()?;
    snapshot.send_modify(|snapshot| snapshot.pool = pools[0].to_string());
    let status = Status::new(snapshot, config.events.clone());
    let worker = Worker {
        config: &config,
        waits,
        status: &status,
        pools: &pools,
        cancel: &cancel,
    };
    let mut way = Way::new(&pools, waits);
    let mut algorithm = config.algorithm;
    loop {
        let mined = match algorithm.unwrap_or_else(|| Algorithm::of_user(&config.user)) {
            Algorithm::Header(_) => worker.mine(&Extranonces::default(), &mut way).await,
            Algorithm::RandomX(_) => worker.mine_randomx(&mut way).await,
            Algorithm::VisionX => worker.mine(&Nonces::default(), &mut way).await,
        };
        let wanted = match &mined {
            Err(failure) => failure.downcast_ref(),
            Ok(()) => None,
        };
        let Some(Wants(wanted)) = wanted else {
            return mined;
        };
        info!(%wanted, "the pool wants another algorithm");
        algorithm = Some(*wanted);
    }
}

/// Where among the pools the worker is, whatever it mines.
struct Way {
    at: usize,
    endpoint: Endpoint,
    backoff: Backoff,
    way_home: Backoff,
    /// Jobs so far, over all connections.
    jobs: u64,
    /// As whom pools of HTTP know us.
    members: Members,
    /// The algorithm has changed, and no pool has proved to work since.
    has_turned: bool,
    /// It was a pool of HTTP that wanted it so; those of lines do not say what they want.
    by_http: bool,
}

impl Way {
    fn new(pools: &[Endpoint], waits: &Waits) -> Self {
        Self {
            at: 0,
            endpoint: pools[0].clone(),
            backoff: Backoff::new(waits.first, waits.longest),
            way_home: Backoff::new(waits.home, waits.home_longest),
            jobs: 0,
            members: Members::default(),
            has_turned: false,
            by_http: false,
        }
    }
}

/// A worker, whatever it mines.
struct Worker<'a> {
    config: &'a Config,
    waits: &'a Waits,
    status: &'a Status,
    /// At least one.
    pools: &'a [Endpoint],
    cancel: &'a CancellationToken,
}

impl Worker<'_> {
    async fn mine_randomx(&self, way: &mut Way) -> anyhow::Result<()> {
        let cores = available_parallelism().map_or(1, usize::from);
        let wished = verifier::Config {
            mode: self.config.randomx,
            threads: self.config.threads,
            large_pages: true,
            ..verifier::Config::default()
        };
        let plan = wished.plan(cores, verifier::free())?;
        let mode = if plan.is_fast { "fast" } else { "light" };
        info!(mode, threads = plan.threads, "mining RandomX");
        let seeds = Seeds::start(plan).context("cannot start the thread for RandomX's memory")?;
        let ended = self.mine(&seeds, way).await;
        seeds.end().await;
        ended
    }

    /// Mines by one family of algorithms.
    async fn mine<S: Supply>(&self, supply: &S, way: &mut Way) -> anyhow::Result<()> {
        let (threads, found) =
            HashThreads::start(self.config.threads, self.config.throttle.into(), supply)
                .context("cannot start the hash threads")?;
        let ended = tokio::select! {
            () = self.cancel.cancelled() => Ok(()),
            failed = self.sessions(supply, &threads, found, way) => Err(failed),
            failed = self.watch(supply, &threads) => Err(failed),
        };
        self.status.hashes(threads.hashes(), 0);
        self.status.preparing(None);
        self.status.idle();
        threads.end().await;
        ended
    }

    /// One connection after another; ends with the first failure if failures are final.
    async fn sessions<S: Supply>(
        &self,
        supply: &S,
        threads: &HashThreads<S::Hasher>,
        mut found: mpsc::Receiver<FoundOf<S>>,
        way: &mut Way,
    ) -> anyhow::Error {
        let waits = self.waits;
        let mut kept = Kept::default();
        let mut last = None;
        let Way {
            at,
            endpoint,
            backoff,
            way_home,
            jobs,
            members,
            has_turned,
            by_http,
        } = way;
        loop {
            let is_elsewhere = !endpoint.is_http() && *by_http;
            if is_elsewhere {
                *by_http = false;
                let usual = Algorithm::of_user(&self.config.user);
                if !supply.mines(usual) {
                    return Wants(usual).into();
                }
            }
            if last.replace(endpoint.clone()).as_ref() != Some(&*endpoint) {
                kept.forget(self.status, *jobs);
            }
            let mut rig = Rig {
                config: self.config,
                waits,
                status: self.status,
                threads,
                supply,
                found: &mut found,
                members,
                kept: &mut kept,
                jobs,
            };
            let Ended {
                how,
                proved,
                unanswered,
            } = {
                let home = pin!(self.home(*at, way_home));
                match endpoint.is_http() {
                    true => http::run(&mut rig, endpoint, home).await,
                    false => S::by_lines(&mut rig, endpoint, home).await,
                }
            };
            if proved {
                backoff.reset();
                *has_turned = false;
            }
            if proved && *at == 0 {
                way_home.reset();
            }
            let mut wait = Duration::ZERO;
            match how {
                Ok(left) => {
                    let Left {
                        to,
                        wait: asked,
                        why,
                    } = left;
                    self.status.disconnected(why.into(), unanswered).await;
                    if self.pools[0] == to {
                        *at = 0;
                    }
                    *endpoint = to;
                    // Waited in any case, or a pool that only ever sends us away would be a busy loop.
                    wait = backoff.wait().max(asked);
                }
                Err(failure) => {
                    let told = format!("{failure:#}");
                    self.status.disconnected(told.clone(), unanswered).await;
                    if failure.is::<Wants>() {
                        *by_http = endpoint.is_http();
                        // Twice in a row is waited for, or two pools that want different things would be a
                        // busy loop.
                        if std::mem::replace(has_turned, true) {
                            sleep(backoff.wait()).await;
                        }
                        return failure;
                    }
                    if self.config.fail_fast {
                        return failure;
                    }
                    // The first pool is the first to be tried again. Each round is waited for, not each
                    // pool of it.
                    *at = if proved {
                        0
                    } else {
                        (*at + 1) % self.pools.len()
                    };
                    if *at == 0 {
                        wait = backoff.wait();
                        if failure.is::<Banned>() {
                            wait = wait.max(waits.longest);
                        }
                    }
                    warn!(pool = %endpoint, failure = told, ?wait, "no connection");
                    *endpoint = self.pools[*at].clone();
                }
            }
            sleep(wait).await;
            info!(pool = %endpoint, "connecting again");
        }
    }

    /// Resolves once the first pool takes connections, if we are not there. Each time the wait is longer,
    /// for a pool that takes connections may be good for nothing else.
    async fn home(&self, at: usize, way_home: &mut Backoff) -> Endpoint {
        let home = &self.pools[0];
        if at == 0 {
            return std::future::pending().await;
        }
        loop {
            sleep(way_home.wait()).await;
            let connecting = TcpStream::connect((home.host(), home.port()));
            if let Ok(Ok(_)) = timeout(self.waits.connect, connecting).await {
                return home.clone();
            }
        }
    }

    /// Counts hashes once a second, and ends if a thread did.
    async fn watch<H: Hasher>(
        &self,
        supply: &impl Supply<Hasher = H>,
        threads: &HashThreads<H>,
    ) -> anyhow::Error {
        let mut rate = Rate::new(Instant::now(), threads.hashes());
        let mut tick = tokio::time::interval(self.waits.sample);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let hashes = threads.hashes();
            self.status
                .hashes(hashes, rate.sample(Instant::now(), hashes));
            self.status.preparing(supply.preparing());
            if threads.has_lost_one() || supply.has_ended() {
                return anyhow::anyhow!("a hash thread has ended");
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
