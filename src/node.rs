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
    config::{self, BadConfig, Config},
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
    /// What was changed of the configuration, and the configuration.
    changes: Changes,
    config: Arc<Config>,
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

/// What holds with these changes on top of older ones, in this mode unless they say another one.
fn made(
    changes: Changes,
    older: &Changes,
    mode: Mode,
    config: &Config,
) -> Result<(Changes, Settings, Config), BadSetting> {
    changes.check(changes.mode.unwrap_or(mode), config)?;
    let url = Settings::of(config, older).url;
    let changes = changes.over(older.clone(), &url);
    let settings = Settings::of(config, &changes);
    let of_mode = settings.config(config)?;
    Ok((changes, settings, of_mode))
}

/// What a node of this configuration that has kept these settings would keep with what an operator sends, or why that
/// is refused. Only the fuzz target of such bodies sees it; the program itself goes through `api::node`.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn read_wish(body: &[u8], kept: &str, config: &Config) -> Result<String, String> {
    let read = axum::Json::<api::node::NodeWish>::from_bytes(body);
    let axum::Json(wish) = read.map_err(|refused| refused.body_text())?;
    let older = serde_json::from_str(kept).map_err(|error| error.to_string())?;
    let mode = Settings::of(config, &older).mode;
    let changes = wish.changes().map_err(|error| error.to_string())?;
    let made = made(changes, &older, mode, config);
    let (changes, ..) = made.map_err(|error| error.to_string())?;
    serde_json::to_string(&changes).map_err(|error| error.to_string())
}

/// The configuration without a pool of which nothing was said: who only joins others needs none.
pub(crate) fn configuration(mut config: Config) -> Config {
    config.pool.retain(|pool| *pool != config::Pool::default());
    config
}

/// What is wrong with the mode that a node would start in, and with what was kept of it; nothing if all is well.
pub(crate) fn check(config: &Config) -> Option<String> {
    let config = &configuration(config.clone());
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

    /// An error for changes that make no sense.
    pub(crate) fn check(&self, changes: &Changes) -> Result<(), NotDone> {
        let State {
            settings,
            changes: older,
            config,
            ..
        } = self.state();
        made(changes.clone(), &older, settings.mode, &config)?;
        Ok(())
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
    /// Why it mines alone without having been told to.
    pub(crate) fn fell_back(&self) -> Option<&str> {
        self.changes.fell_back.as_deref()
    }

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
            changes,
            config: Arc::new(config.clone()),
        });
        let node = Node {
            state: state.subscribe(),
            wishes,
            told,
        };
        let front = Front::new(&base.door(), &config.compat);
        let turns = Self {
            base,
            config: of_mode,
            running,
            state,
            node,
            wishes: wished,
            front,
            run: Some(run),
        };
        turns.show()?;
        turns.front.open(&turns.base.door(), tasks)?;
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
                let switched = self.change(changes, config).await?;
                let told = switched.map(|()| self.node.state());
                // Whoever has hung up need not be told.
                let _ = done.send(told);
                Ok(())
            }
            Wanted::Lost => {
                let reason = format!("{} did not answer", self.state.borrow().settings.url);
                let alone = Changes {
                    mode: Some(Mode::Solo),
                    fell_back: Some(reason.clone()),
                    ..Changes::default()
                };
                match self.change(alone, config).await? {
                    Ok(()) => {
                        warn!(reason, "mining alone instead");
                        self.node.told.say(format!("{reason}: mining alone"));
                    }
                    Err(error) => {
                        warn!(%error, "still waiting for the pool");
                        self.node.told.say(format!("still waiting: {error}"));
                        let settings = self.state.borrow().settings.clone();
                        // Where the mode was started again, it is looked after already.
                        if let Some(run) = &mut self.run
                            && run.lost.is_cancelled()
                        {
                            run.look_again(&settings);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    async fn change(
        &mut self,
        changes: Changes,
        config: &Config,
    ) -> anyhow::Result<Result<(), NotDone>> {
        let before = self.state.borrow().clone();
        let mode = before.settings.mode;
        let (changes, settings, of_mode) = match made(changes, &before.changes, mode, config) {
            Ok(made) => made,
            Err(error) => return Ok(Err(error.into())),
        };
        // What was read again since holds already, where it could be taken over.
        if let Ok(now) = before.settings.config(config) {
            self.config = now;
        }
        let failed = |error: &anyhow::Error| NotDone::Failed {
            mode: settings.mode,
            reason: format!("{error:#}"),
        };
        // Before anything ends: on a full disk all stays as it is.
        let prepared = match changes.prepare(self.base.data()) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(failed(&error))),
        };
        let has_worker = |worker: &OwnWorker| worker.ended.borrow().is_none();
        let is_same = of_mode == self.config
            && !settings.has_other_worker(&before.settings)
            && settings.mode == before.settings.mode
            && before.worker.as_ref().is_none_or(has_worker);
        if is_same {
            if let Err(error) = prepared.keep() {
                return Ok(Err(failed(&error)));
            }
            self.state
                .send_modify(|state| (state.settings, state.changes) = (settings, changes));
            return Ok(Ok(()));
        }
        self.state.send_modify(|state| state.is_switching = true);
        self.front.is_switching(true);
        let started = match self.start(&of_mode, &settings).await? {
            Ok(run) => {
                (self.config, self.run) = (of_mode, Some(run));
                self.state
                    .send_modify(|state| (state.settings, state.changes) = (settings, changes));
                // It goes on in any case; after the next start of the process it may be the one before.
                if let Err(error) = prepared.keep() {
                    warn!(error = format!("{error:#}"), "the mode is not kept");
                    self.node.told.say(format!("not kept: {error:#}"));
                }
                Ok(())
            }
            Err(error) => {
                let error = failed(&error);
                warn!(%error, "the mode stays as it was");
                self.node.told.say(error.to_string());
                let again = self.config.clone();
                let run = self.start(&again, &before.settings).await?;
                self.run = Some(run.with_context(|| format!("after {error}"))?);
                Err(error)
            }
        };
        self.show()?;
        if started.is_ok() {
            self.say_mode();
        }
        Ok(started)
    }

    /// Ends what goes on, and starts what is wanted. The outer error ends the process: two must never write the
    /// books of one pool.
    async fn start(
        &mut self,
        config: &Config,
        settings: &Settings,
    ) -> anyhow::Result<anyhow::Result<Run>> {
        if let Some(run) = self.run.take() {
            let in_time = run.end().await;
            anyhow::ensure!(in_time, "not everything of the mode before ended in time");
        }
        let told = &self.node.told;
        Ok(Run::start(&self.base, config, settings, told, &self.running).await)
    }

    /// What goes on is what is seen and asked from now on.
    fn show(&self) -> anyhow::Result<()> {
        let run = self.run.as_ref().context("nothing goes on")?;
        let pools = run.pools.clone();
        self.state.send_modify(|state| {
            state.pools = pools.clone().into();
            state.worker.clone_from(&run.worker);
            state.since_ms = clock::now_ms();
            state.is_switching = false;
        });
        self.front
            .show(pools, Some(self.node.clone()), &run.tasks)?;
        self.front.is_switching(false);
        Ok(())
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
