//! `adit node`: one process that mines alone, hosts a pool or has joined one, and is switched while it runs.
//!
//! ```text
//! wish (API, page, command) -> settings checked -> run ends in order -> kept -> next run starts
//! ```
//!
//! A mode is a set of settings, and a switch is a restart of the pools inside the process: doors first, then
//! books, then daemons, as at every end of `adit pool`. The pool's books go on in each mode, so what is owed is
//! paid whatever the node does. The HTTP port and the database outlive all of it. A mode that cannot be
//! started leaves the one before, started again.

mod joined;
mod mode;
mod run;
mod settings;
mod told;

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

pub use self::mode::Mode;
use self::{run::Run, told::SAMPLE_EVERY};
pub(crate) use self::{
    run::{OwnWorker, Running},
    settings::{BadSetting, Changes, POOL_NAME_MAX, PORTS, Settings, WORKER_NAME_MAX},
    told::Told,
};
use crate::{
    api::{self, Front},
    bans::Bans,
    base::Base,
    clock,
    config::{BadConfig, Config},
    display,
    pool::Pool,
    tasks::{Stage, Tasks},
};

/// Wishes that wait for the one before.
const WISHES_MAX: usize = 8;

/// A node, as pages and the API see it. Clones share it.
#[derive(Clone)]
pub(crate) struct Node {
    state: watch::Receiver<State>,
    wishes: mpsc::Sender<Wish>,
    pub(crate) told: Told,
}

/// What it does now.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    /// Since when, in milliseconds since 1970.
    pub(crate) since_ms: i64,
    /// Another mode is being started.
    pub(crate) is_switching: bool,
    /// The pools whose books it keeps.
    pub(crate) pools: Arc<[Pool]>,
    /// Its own worker, unless it hosts.
    pub(crate) worker: Option<OwnWorker>,
    /// Why it mines alone without having been told to.
    pub(crate) fell_back: Option<String>,
}

/// Somebody wants it to be otherwise.
struct Wish {
    changes: Changes,
    done: oneshot::Sender<Result<State, NotDone>>,
}

/// Why a wish is not fulfilled.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotDone {
    #[error("{0}")]
    Bad(#[from] BadSetting),
    #[error("{mode} could not be started: {reason}")]
    Failed { mode: Mode, reason: String },
    #[error("too many wishes wait already")]
    Busy,
    #[error("the process is stopping")]
    Stopping,
}

/// What is wrong with the mode that a node would start in, and with what was kept of it; nothing if all is well.
pub(crate) fn check(config: &Config) -> Option<String> {
    let changes = match Changes::read(&config.data) {
        Ok(changes) => changes,
        Err(error) => return Some(format!("{error:#}")),
    };
    let made = Settings::of(config, &changes).config(config);
    made.err().map(|error| error.to_string())
}

impl Node {
    /// What it does now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Hashes per second: of its own worker, or of those it hosts.
    pub(crate) fn hashrate(&self) -> f64 {
        let state = self.state.borrow();
        match &state.worker {
            Some(worker) => display::to_f64(worker.snapshot.borrow().hashrate.into()),
            None => self.told.newest_since(state.since_ms).unwrap_or(0.0),
        }
    }

    /// The same of the pools, which is asked of the database.
    async fn hashrate_of_pools(&self) -> f64 {
        let pools = Arc::clone(&self.state.borrow().pools);
        let mut sum = 0.0;
        for pool in pools.iter() {
            let summary = api::PoolSummary::of(pool).await;
            sum += summary.map_or(0.0, |summary| summary.hashrate.minute);
        }
        sum
    }

    /// Changes settings or the mode, and waits until that holds.
    pub(crate) async fn change(&self, changes: Changes) -> Result<State, NotDone> {
        let (done, told) = oneshot::channel();
        let wish = Wish { changes, done };
        match self.wishes.try_send(wish) {
            Ok(()) => told.await.unwrap_or(Err(NotDone::Stopping)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(NotDone::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(NotDone::Stopping),
        }
    }
}

impl State {
    /// Blocks that its first pool has found since the mode began.
    pub(crate) fn blocks_found(&self) -> u64 {
        let pool = self.pools.first();
        pool.map_or(0, |pool| pool.metrics.blocks.get())
    }
}

/// What has to be done next.
pub(crate) struct Turn(Wanted);

enum Wanted {
    Wish(Wish),
    /// The pool that was joined is away.
    Lost,
    /// A task of the run has failed.
    Failed(String),
}

/// Turns one mode into the next.
pub(crate) struct Turns {
    base: Base,
    changes: Changes,
    /// What goes on, and the configuration that it was started with.
    run: Option<Run>,
    config: Config,
    running: Running,
    state: watch::Sender<State>,
    node: Node,
    wishes: mpsc::Receiver<Wish>,
    front: Front,
}

impl Turns {
    /// Starts the mode that was kept, and opens the HTTP port. `running` has the tasks of what goes on.
    pub(crate) async fn open(
        base: Base,
        config: &Config,
        running: Running,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let changes = Changes::read(base.data())?;
        let settings = Settings::of(config, &changes);
        let of_mode = settings.config(config);
        let of_mode = of_mode.map_err(|error| BadConfig::Value(error.to_string()))?;
        let told = Told::default();
        let run = Run::start(&base, &of_mode, &settings, &told, &running).await?;
        let (wishes, wished) = mpsc::channel(WISHES_MAX);
        let state = watch::Sender::new(State {
            settings,
            since_ms: clock::now_ms(),
            is_switching: false,
            pools: run.pools.clone().into(),
            worker: run.worker.clone(),
            fell_back: None,
        });
        let node = Node {
            state: state.subscribe(),
            wishes,
            told,
        };
        let front = Front::new(&base.door(), &config.compat);
        let turns = Self {
            base,
            changes,
            config: of_mode,
            running,
            state,
            node,
            wishes: wished,
            front,
            run: None,
        };
        turns.front.open(&turns.base.door(), tasks)?;
        let turns = turns.with(run)?;
        turns.keep_history(tasks);
        turns.base.is_open();
        turns.say_mode();
        Ok(turns)
    }

    /// The bans of the pools that run now, in their order.
    pub(crate) fn bans(&self) -> Vec<Bans> {
        let pools = self.run.iter().flat_map(|run| &run.pools);
        pools.map(|pool| pool.bans.clone()).collect()
    }

    /// Waits for what has to be done next. Nothing is lost if it is not waited for to the end.
    pub(crate) async fn next(&mut self) -> Turn {
        let Some(run) = &mut self.run else {
            return Turn(Wanted::Failed("nothing goes on".into()));
        };
        Turn(tokio::select! {
            failure = run.failures.first() => Wanted::Failed(failure),
            () = run.lost.cancelled() => Wanted::Lost,
            Some(wish) = self.wishes.recv() => Wanted::Wish(wish),
        })
    }

    /// Does it, with what the configuration says now. An error is one that ends the process.
    pub(crate) async fn take(&mut self, turn: Turn, config: &Config) -> anyhow::Result<()> {
        match turn.0 {
            Wanted::Failed(failure) => Err(anyhow::anyhow!(failure)),
            Wanted::Wish(Wish { changes, done }) => {
                let switched = self.change(changes, None, config).await?;
                let told = switched.map(|()| self.node.state());
                // Whoever has hung up need not be told.
                let _ = done.send(told);
                Ok(())
            }
            Wanted::Lost => {
                let reason = format!("{} did not answer", self.state.borrow().settings.url);
                warn!(reason, "mining alone instead");
                self.node.told.say(format!("{reason}: mining alone"));
                let alone = Changes {
                    mode: Some(Mode::Solo),
                    ..Changes::default()
                };
                if let Err(error) = self.change(alone, Some(reason), config).await? {
                    // It is not tried again and again: the pool may come back, too.
                    self.node.told.say(error.to_string());
                    warn!(%error, "still waiting for the pool");
                    if let Some(run) = &mut self.run {
                        run.lost = tokio_util::sync::CancellationToken::new();
                    }
                }
                Ok(())
            }
        }
    }

    async fn change(
        &mut self,
        changes: Changes,
        fell_back: Option<String>,
        config: &Config,
    ) -> anyhow::Result<Result<(), NotDone>> {
        let before = self.state.borrow().clone();
        let changes = changes.over(self.changes.clone());
        let settings = Settings::of(config, &changes);
        let of_mode = match settings.config(config) {
            Ok(of_mode) => of_mode,
            Err(error) => return Ok(Err(error.into())),
        };
        let failed = |error: &anyhow::Error| NotDone::Failed {
            mode: settings.mode,
            reason: format!("{error:#}"),
        };
        // Before anything ends: on a full disk all stays as it is.
        if let Err(error) = changes.write(self.base.data()) {
            return Ok(Err(failed(&error)));
        }
        let is_same = of_mode == self.config
            && !settings.has_other_worker(&before.settings)
            && settings.mode == before.settings.mode;
        if is_same {
            self.changes = changes;
            self.state.send_modify(|state| state.settings = settings);
            return Ok(Ok(()));
        }
        self.state.send_modify(|state| state.is_switching = true);
        let run = match self.start(&of_mode, &settings).await {
            Ok(run) => run,
            Err(error) => {
                let error = failed(&error);
                warn!(%error, "the mode stays as it was");
                self.node.told.say(error.to_string());
                self.changes.write(self.base.data())?;
                let again = self.config.clone();
                let run = self.start(&again, &before.settings).await;
                let run = run.with_context(|| format!("after {error}"))?;
                self.goes_on(run)?;
                let (pools, worker) = self.now();
                self.state.send_replace(State {
                    pools,
                    worker,
                    ..before
                });
                return Ok(Err(error));
            }
        };
        (self.changes, self.config) = (changes, of_mode);
        self.goes_on(run)?;
        let (pools, worker) = self.now();
        self.state.send_replace(State {
            settings,
            since_ms: clock::now_ms(),
            is_switching: false,
            pools,
            worker,
            fell_back,
        });
        self.say_mode();
        Ok(Ok(()))
    }

    /// Ends what goes on, and starts what is wanted.
    async fn start(&mut self, config: &Config, settings: &Settings) -> anyhow::Result<Run> {
        if let Some(run) = self.run.take()
            && !run.end().await
        {
            warn!("not everything of the mode before ended in time");
        }
        Run::start(&self.base, config, settings, &self.node.told, &self.running).await
    }

    fn with(mut self, run: Run) -> anyhow::Result<Self> {
        self.goes_on(run)?;
        Ok(self)
    }

    /// What is asked over HTTP is asked of this run from now on.
    fn goes_on(&mut self, run: Run) -> anyhow::Result<()> {
        let pools = run.pools.clone();
        self.front
            .show(pools, Some(self.node.clone()), &run.tasks)?;
        self.run = Some(run);
        Ok(())
    }

    fn now(&self) -> (Arc<[Pool]>, Option<OwnWorker>) {
        match &self.run {
            Some(run) => (run.pools.clone().into(), run.worker.clone()),
            None => (Arc::default(), None),
        }
    }

    fn say_mode(&self) {
        let settings = &self.state.borrow().settings;
        let mode = settings.mode;
        info!(%mode, "the node is in its mode");
        self.node.told.say(match mode {
            Mode::Solo => format!("mining alone for {}", settings.wallet_address),
            Mode::Host => format!("hosting {}", settings.pool_name),
            Mode::Join => format!("joining {}", settings.url),
        });
    }

    fn keep_history(&self, tasks: &Tasks) {
        let (node, stopping) = (self.node.clone(), tasks.ending(Stage::Doors));
        let sampling = async move {
            loop {
                let is_hosting = node.state().worker.is_none();
                node.told.sample(match is_hosting {
                    true => node.hashrate_of_pools().await,
                    false => node.hashrate(),
                });
                tokio::time::sleep(SAMPLE_EVERY).await;
            }
        };
        tasks.spawn(Stage::Doors, "hashrate of the node", async move {
            stopping.run_until_cancelled(sampling).await;
            Ok(())
        });
    }
}
