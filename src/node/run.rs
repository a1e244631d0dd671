//! One mode, from its start to its end: the pools that go with it, and the node's own worker.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    thread::available_parallelism,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Mode, Settings, Told, joined};
use crate::{
    base::Base,
    config::Config,
    listener::Fingerprint,
    pool::Pool,
    tasks::{Failures, Stage, Tasks},
    worker::{self, Endpoint, Snapshot},
};

/// Events that wait to be written to the log.
const EVENTS_MAX: usize = 64;

/// The tasks of the run that goes on, so that whoever ends the process can end them in order. Clones share
/// them.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<Option<Tasks>>>);

impl Running {
    /// Ends them, if there are any. False if one did not end in time.
    pub(crate) async fn shut_down(&self) -> bool {
        let tasks = self.0.lock();
        let tasks = tasks.unwrap_or_else(PoisonError::into_inner).clone();
        match tasks {
            Some(tasks) => tasks.shut_down().await,
            None => true,
        }
    }

    fn are(&self, tasks: &Tasks) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = Some(tasks.clone());
    }
}

/// A mode that goes on.
pub(super) struct Run {
    pub(super) tasks: Tasks,
    pub(super) failures: Failures,
    pub(super) pools: Vec<Pool>,
    pub(super) worker: Option<OwnWorker>,
    /// Cancelled once the pool that was joined has been away for too long.
    pub(super) lost: CancellationToken,
}

/// The node's own worker.
#[derive(Clone)]
pub(crate) struct OwnWorker {
    pub(crate) snapshot: watch::Receiver<Snapshot>,
    /// What the pool says of itself, if it is one of HTTP that was joined.
    pub(crate) joined: watch::Receiver<Option<joined::Joined>>,
    /// Why it has ended, though nobody told it to.
    pub(crate) ended: watch::Receiver<Option<String>>,
}

impl Run {
    /// Starts the mode of these settings. After an error nothing of it goes on.
    pub(super) async fn start(
        base: &Base,
        config: &Config,
        settings: &Settings,
        told: &Told,
        running: &Running,
    ) -> anyhow::Result<Self> {
        let (tasks, failures) = Tasks::new();
        running.are(&tasks);
        let started = async {
            let pools = base.pools(config, &tasks).await?;
            let lost = CancellationToken::new();
            let worker = match settings.mode {
                Mode::Host => None,
                Mode::Solo => {
                    let door = pools.first().and_then(|pool| pool.doors.first());
                    let door = door.context("no port to mine alone at")?;
                    let url = format!("http://{}", reached_at(door.address));
                    Some(work(&url, settings, told, &tasks))
                }
                Mode::Join => {
                    let worker = work(&settings.url, settings, told, &tasks);
                    let within = Duration::from_secs(settings.fall_back_s);
                    look_after(worker.snapshot.clone(), within, lost.clone(), &tasks);
                    Some(worker)
                }
            };
            anyhow::Ok((pools, worker, lost))
        };
        match started.await {
            Ok((pools, worker, lost)) => Ok(Self {
                tasks,
                failures,
                pools,
                worker,
                lost,
            }),
            Err(error) => {
                tasks.shut_down().await;
                Err(error)
            }
        }
    }

    /// Looks after the pool that was joined once more, after it was lost and stays joined.
    pub(super) fn look_again(&mut self, settings: &Settings) {
        self.lost = CancellationToken::new();
        if let Some(worker) = &self.worker {
            let within = Duration::from_secs(settings.fall_back_s);
            let snapshot = worker.snapshot.clone();
            look_after(snapshot, within, self.lost.clone(), &self.tasks);
        }
    }

    /// Ends it, in order: nothing that was accepted is lost. False if something did not end in time.
    pub(super) async fn end(self) -> bool {
        self.tasks.shut_down().await
    }
}

/// Where this machine reaches a port that listens there.
fn reached_at(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

/// Starts the node's own worker at a pool.
fn work(url: &str, settings: &Settings, told: &Told, tasks: &Tasks) -> OwnWorker {
    let (events, mut happened) = mpsc::channel(EVENTS_MAX);
    let (snapshots, snapshot) = watch::channel(Snapshot::default());
    let (tell_joined, joined) = watch::channel(None);
    let (tell_end, ended) = watch::channel(None);
    let cores = available_parallelism().map_or(1, usize::from);
    let (threads, throttle) = settings.profile.of(cores);
    let pins: Vec<Fingerprint> = match settings.mode {
        Mode::Join => settings.tls_fingerprint.parse().into_iter().collect(),
        Mode::Solo | Mode::Host => Vec::new(),
    };
    let config = worker::Config {
        tls_fingerprints: pins.clone(),
        threads,
        throttle,
        events: Some(events),
        ..worker::Config::new(url, settings.user())
    };
    let stopping = tasks.ending(Stage::Doors);
    let mining = worker::run(config, snapshots, stopping.clone());
    let say = told.clone();
    tasks.spawn(Stage::Doors, "worker", async move {
        // The node goes on without its own worker; whoever looks sees why.
        if let Err(error) = mining.await {
            let error = format!("{error:#}");
            warn!(error, "the node's own worker has ended");
            say.say(format!("the worker has ended: {error}"));
            tell_end.send_replace(Some(error));
        }
        Ok(())
    });
    let told = told.clone();
    tasks.spawn(Stage::Doors, "events of the worker", async move {
        while let Some(event) = happened.recv().await {
            told.event(&event);
        }
        Ok(())
    });
    let joined_pool = url.parse().ok().filter(Endpoint::is_http);
    if let Some(pool) = joined_pool.filter(|_| settings.mode == Mode::Join) {
        let asking = joined::follow(pool, pins, tell_joined, stopping);
        tasks.spawn(Stage::Doors, "pool that was joined", asking);
    }
    OwnWorker {
        snapshot,
        joined,
        ended,
    }
}

/// A pool without work for anybody is as good as none.
fn has_work(worker: &Snapshot) -> bool {
    worker.connected && worker.job_id.is_some()
}

/// Cancels `lost` once there was no work for so long; never with zero.
fn look_after(
    mut snapshot: watch::Receiver<Snapshot>,
    within: Duration,
    lost: CancellationToken,
    tasks: &Tasks,
) {
    if within.is_zero() {
        return;
    }
    let stopping = tasks.ending(Stage::Doors);
    let looking = async move {
        loop {
            if snapshot.wait_for(|worker| !has_work(worker)).await.is_err() {
                break;
            }
            match timeout(within, snapshot.wait_for(has_work)).await {
                Ok(Ok(_)) => {}
                // The worker has ended, which waiting does not mend.
                Ok(Err(_)) | Err(_) => break,
            }
        }
        lost.cancel();
    };
    tasks.spawn(Stage::Doors, "look after the pool", async move {
        stopping.run_until_cancelled(looking).await;
        Ok(())
    });
}
