//! Verifies shares whose hash is costly: RandomX and VisionX take milliseconds where others take microseconds,
//! so no connection hashes by itself, and nobody's junk may make others wait.
//!
//! A connection that has made every cheap check (job, nonce, duplicate, claimed result against the
//! target, for `rx/2` the commitment) hands in a [`Job`] and awaits its [`Verdict`]. Threads take jobs in
//! the order of `queue.rs`, fair by address and by connection, claimed blocks first. Each owns a machine; of
//! RandomX they share what `seeds.rs` prepares in the background, while VisionX needs nothing prepared. [`Verifier::capacity`] is what they
//! can do, by which difficulties are chosen so that honest miners do not exceed it.

mod capacity;
mod config;
mod machines;
mod memory;
mod queue;
mod seeds;
mod trust;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    thread,
    time::Instant,
};

use anyhow::Context as _;
use pow::{
    Hash,
    randomx::{Memory, NoCache, Seed, Variant},
    visionx::{self, Dataset},
};
use tokio::sync::{oneshot, watch};
use tracing::warn;

pub use self::{
    capacity::Capacity,
    config::{Config, Mode, NotPlanned, Plan, VisionX},
    memory::free,
    queue::Origin,
    seeds::Seeds,
    trust::{Asked, Sample, Trusted, told},
};
use self::{
    capacity::{Kind, Measured},
    machines::Machines,
    queue::{Limits, Put, Queue},
    seeds::Known,
};
use crate::tasks::{Stage, Tasks};

/// The longest blob that miners take.
pub const BLOB_MAX: usize = 407;
/// What waits of one connection, as many as wait there for a commit; a proxy sends for many miners.
const OF_CONNECTION_MAX: usize = 64;
/// What waits of one address, behind which may be a farm.
const OF_ADDRESS_MAX: usize = 256;
/// Claimed blocks of one address that go before all others: who lies is caught by the first.
const CANDIDATES_MAX: usize = 4;
/// What waits in all, in seconds of capacity: a share that waited longer would be stale, and a stage of
/// the shutdown waits 10 s.
const ALL_MAX_S: u64 = 5;
/// However slow the machine, as many may wait; and before anything has been measured.
const ALL_MIN: usize = 256;

/// Hashes by which a machine is measured, after a first one that touches its memory and is slow.
const MEASURED: u8 = 3;

/// A share to be verified.
#[derive(Debug)]
pub struct Job {
    what: What,
    claimed: Hash,
    is_candidate: bool,
}

/// What is hashed.
#[derive(Debug)]
enum What {
    RandomX {
        seed: Seed,
        blob: Box<[u8]>,
    },
    VisionX {
        dataset: Arc<Dataset>,
        message: Box<[u8]>,
        nonce: u64,
    },
}

/// The blob is longer than any miner takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a blob has at most {BLOB_MAX} bytes")]
pub struct BlobTooLong;

/// What a share is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its hash is the one that it claimed.
    True,
    /// Its hash is this one: the miner lies, or its hardware computes wrongly.
    False(Hash),
}

/// Why a share was not verified. Nothing is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// Too many wait, and most of them are its connection's or its address's: the miner is told that
    /// it is throttled, and to raise its difficulty.
    #[error("too many shares wait to be verified")]
    Throttled,
    /// Its seed is not prepared, or is no longer kept: its job is told to be expired.
    #[error("the seed of the share is not prepared")]
    UnknownSeed,
    /// The pool is stopping.
    #[error("the pool is stopping")]
    Closed,
}

/// What has been done since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Shares that were what they claimed.
    pub verified: u64,
    /// Shares that were not.
    pub forged: u64,
    /// Shares that were believed.
    pub believed: u64,
    /// Shares that were turned away because too many waited.
    pub throttled: u64,
    /// Shares that wait now.
    pub waiting: usize,
}

/// Takes jobs in. Clones share the threads.
#[derive(Clone)]
pub struct Verifier(Arc<Shared>);

/// A verdict that is to come.
#[derive(Debug)]
#[must_use = "a job whose verdict nobody awaits is not verified"]
pub struct Pending(oneshot::Receiver<Result<Verdict, Unverified>>);

/// A job that waits, and whom to tell.
struct Entry {
    job: Job,
    answer: oneshot::Sender<Result<Verdict, Unverified>>,
}

struct Shared {
    plan: Plan,
    /// How much memory is free.
    free: fn() -> Option<u64>,
    trusted: Trusted,
    state: Mutex<State>,
    /// There is a job, or something to let go.
    work: Condvar,
    /// There is a seed to be prepared, or something was let go.
    wishes: Condvar,
    prepared: watch::Sender<Vec<Seed>>,
    /// Ends what takes long.
    stop: AtomicBool,
}

struct State {
    queue: Queue<Entry>,
    /// What is prepared, at most [`config::SEEDS`].
    known: Vec<Known>,
    wanted: Option<Seeds>,
    /// Raised when threads have to let go what they hold.
    letting_go: u64,
    measured: Measured,
    figures: Figures,
    closed: bool,
}

/// Starts the threads. Nothing is verified until a seed is [wanted](Verifier::want) and prepared. They end
/// with [`Stage::Books`]: connections, which end before, have their answers.
pub fn start(plan: Plan, tasks: &Tasks) -> io::Result<Verifier> {
    start_with(plan, Vec::new(), tasks)
}

fn start_with(plan: Plan, known: Vec<Known>, tasks: &Tasks) -> io::Result<Verifier> {
    let shared = Arc::new(Shared::new(plan, known));
    let ending = tasks.ending(Stage::Books);
    let closing = Arc::clone(&shared);
    tasks.spawn(Stage::Books, "verifier", async move {
        ending.cancelled().await;
        closing.close();
        Ok(())
    });
    let preparing = Arc::clone(&shared);
    run_thread(tasks, "seeds", move || seeds::prepare(&preparing))?;
    for _ in 0..plan.threads.get() {
        let shared = Arc::clone(&shared);
        run_thread(tasks, "verify", move || verify(&shared))?;
    }
    Ok(Verifier(shared))
}

/// Runs a thread as a task: if it fails or panics, the process stops.
fn run_thread(
    tasks: &Tasks,
    name: &'static str,
    body: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> io::Result<()> {
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name(name.into()).spawn(move || {
        // Nobody is there to be told when the process ends without waiting.
        let _ = ended.send(body());
    })?;
    tasks.spawn(Stage::Books, name, async move {
        end.await.context("the thread panicked")?
    });
    Ok(())
}

impl Job {
    /// A share of a job with this seed. `claimed` is the RandomX hash that the miner says the blob has:
    /// its `result`, and for `rx/2` its `commitment`. A candidate is one whose claim would solve a block.
    pub fn new(
        seed: Seed,
        blob: &[u8],
        claimed: Hash,
        is_candidate: bool,
    ) -> Result<Self, BlobTooLong> {
        if blob.len() > BLOB_MAX {
            return Err(BlobTooLong);
        }
        let blob = blob.into();
        Ok(Self {
            what: What::RandomX { seed, blob },
            claimed,
            is_candidate,
        })
    }

    /// A share of a job that is hashed by VisionX with this dataset. `claimed` is the digest that the miner
    /// says the job's message and its nonce have.
    pub fn visionx(
        dataset: Arc<Dataset>,
        message: &[u8],
        nonce: u64,
        claimed: Hash,
        is_candidate: bool,
    ) -> Self {
        Self {
            what: What::VisionX {
                dataset,
                message: message.into(),
                nonce,
            },
            claimed,
            is_candidate,
        }
    }

    /// What has to be prepared.
    fn seed(&self) -> Option<Seed> {
        match self.what {
            What::RandomX { seed, .. } => Some(seed),
            What::VisionX { .. } => None,
        }
    }
}

impl Verifier {
    /// Says which seeds are needed: now, and next, as soon as that is known. They are prepared in the
    /// background; a seed that is no longer wanted is kept until its room is needed. Refused if this
    /// variant cannot be computed.
    pub fn want(&self, variant: Variant, seeds: Seeds) -> Result<(), NoCache> {
        if !variant.is_computed() {
            return Err(NoCache::NotComputed(variant));
        }
        self.0.state().wanted = Some(seeds);
        self.0.wishes.notify_all();
        Ok(())
    }

    /// The seeds whose shares can be verified. No job is to go out before its seed is among them.
    pub fn prepared(&self) -> watch::Receiver<Vec<Seed>> {
        self.0.prepared.subscribe()
    }

    /// Hands in a share. It has its place in the queue when this returns.
    pub fn submit(&self, origin: Origin, job: Job) -> Result<Pending, Unverified> {
        let (answer, pending) = oneshot::channel();
        let mut state = self.0.state();
        if state.closed {
            return Err(Unverified::Closed);
        }
        if let Some(seed) = job.seed()
            && !state.known.iter().any(|known| known.seed == seed)
        {
            return Err(Unverified::UnknownSeed);
        }
        let is_candidate = job.is_candidate;
        let put = state.queue.put(origin, is_candidate, Entry { job, answer });
        match put {
            Put::In => {}
            Put::InPlaceOf(other) => {
                state.figures.throttled += 1;
                other.answer(Err(Unverified::Throttled));
            }
            Put::Full(_) => {
                state.figures.throttled += 1;
                return Err(Unverified::Throttled);
            }
        }
        drop(state);
        self.0.work.notify_one();
        Ok(Pending(pending))
    }

    /// Measures how long VisionX takes with a dataset like this one, unless that is known. Takes a few hashes'
    /// time: not for a thread that serves others.
    pub fn measure(&self, dataset: &Dataset) {
        if self.0.state().measured.has(Kind::VisionX) {
            return;
        }
        let mut machine = visionx::Machine::new();
        machine.hash(dataset, &[], 0);
        for number in 0..MEASURED {
            let begun = Instant::now();
            machine.hash(dataset, &[number], number.into());
            self.0.state().took(Kind::VisionX, begun, self.0.plan);
        }
    }

    /// How many shares can be verified, as long as the current seed's can; nothing before the first
    /// seed is prepared, or VisionX is [measured](Self::measure). It falls when a new seed has no dataset yet.
    pub fn capacity(&self) -> Option<Capacity> {
        self.0.state().capacity(self.0.plan)
    }

    /// What was planned.
    pub fn plan(&self) -> Plan {
        self.0.plan
    }

    /// Whose shares need not be handed in.
    pub fn trusted(&self) -> &Trusted {
        &self.0.trusted
    }

    /// The time between two shares of each miner to aim at, in milliseconds: `wanted_ms`, or more where so many
    /// miners would send more than can be verified.
    pub fn share_time_ms(&self, wanted_ms: u64, miners: usize) -> u64 {
        let capacity = self.0.state().capacity_ahead(self.0.plan);
        let least = capacity.map(|it| it.share_time_ms(miners));
        least.map_or(wanted_ms, |least| wanted_ms.max(least))
    }

    /// What has been done.
    pub fn figures(&self) -> Figures {
        let state = self.0.state();
        Figures {
            believed: self.0.trusted.believed(),
            waiting: state.queue.len(),
            ..state.figures
        }
    }
}

impl Future for Pending {
    type Output = Result<Verdict, Unverified>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A job that a panicking thread has dropped: the process is stopping.
        let dropped = |answer: Result<_, _>| answer.unwrap_or(Err(Unverified::Closed));
        Pin::new(&mut self.0).poll(context).map(dropped)
    }
}

impl Entry {
    fn answer(self, answer: Result<Verdict, Unverified>) {
        // Whoever has left need not be told.
        let _ = self.answer.send(answer);
    }
}

impl State {
    fn capacity(&self, plan: Plan) -> Option<Capacity> {
        let is_current = |known: &&Known| self.wanted.is_some_and(|it| it.current == known.seed);
        let current = self.known.iter().find(is_current);
        let kind = match current {
            Some(known) if known.dataset.is_some() => Kind::Fast,
            // It has no seeds.
            None if self.measured.has(Kind::VisionX) => Kind::VisionX,
            _ => Kind::Light,
        };
        let threads = u64::try_from(plan.threads.get()).unwrap_or(u64::MAX);
        self.measured.capacity(kind, threads)
    }

    /// The same where the next seed is known: when it comes it has no dataset yet, and nobody is to be
    /// turned away for the minute that it takes to fill one.
    fn capacity_ahead(&self, plan: Plan) -> Option<Capacity> {
        let threads = u64::try_from(plan.threads.get()).unwrap_or(u64::MAX);
        let is_ahead = self.wanted.is_some_and(|seeds| seeds.next.is_some());
        let light = is_ahead.then(|| self.measured.capacity(Kind::Light, threads));
        light.flatten().or_else(|| self.capacity(plan))
    }

    fn took(&mut self, kind: Kind, since: Instant, plan: Plan) {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.measured.took(kind, nanos);
        if let Some(capacity) = self.capacity(plan) {
            let all = capacity.per_second().saturating_mul(ALL_MAX_S);
            self.queue
                .limit(usize::try_from(all).unwrap_or(usize::MAX).max(ALL_MIN));
        }
    }
}

/// What a thread does next.
enum Next {
    Verify(Entry, Option<Memory>),
    LetGo,
    End,
}

impl Shared {
    fn new(plan: Plan, known: Vec<Known>) -> Self {
        let (prepared, _) = watch::channel(known.iter().map(|known| known.seed).collect());
        let limits = Limits {
            connection: OF_CONNECTION_MAX,
            address: OF_ADDRESS_MAX,
            candidates: CANDIDATES_MAX,
            all: ALL_MIN,
        };
        Self {
            plan,
            free,
            trusted: Trusted::new(plan.sampling),
            state: Mutex::new(State {
                queue: Queue::new(limits),
                known,
                wanted: None,
                letting_go: 0,
                measured: Measured::default(),
                figures: Figures::default(),
                closed: false,
            }),
            work: Condvar::new(),
            wishes: Condvar::new(),
            prepared,
            stop: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while holding this lock")
    }

    /// Waits for something to do. `let_go` is how far the thread has let go.
    fn next(&self, let_go: &mut u64) -> Next {
        let mut state = self.state();
        loop {
            if state.closed {
                return Next::End;
            }
            if *let_go != state.letting_go {
                *let_go = state.letting_go;
                return Next::LetGo;
            }
            let Some(entry) = state.queue.take() else {
                state = self
                    .work
                    .wait(state)
                    .expect("nothing panics while holding this lock");
                continue;
            };
            if entry.answer.is_closed() {
                continue;
            }
            let Some(seed) = entry.job.seed() else {
                return Next::Verify(entry, None);
            };
            let known = state.known.iter().find(|it| it.seed == seed);
            match known.map(Known::memory) {
                Some(memory) => return Next::Verify(entry, Some(memory)),
                None => entry.answer(Err(Unverified::UnknownSeed)),
            }
        }
    }

    /// Ends all threads, and answers what waits.
    fn close(&self) {
        self.stop.store(true, Relaxed);
        let mut state = self.state();
        state.closed = true;
        while let Some(entry) = state.queue.take() {
            entry.answer(Err(Unverified::Closed));
        }
        drop(state);
        self.work.notify_all();
        self.wishes.notify_all();
    }
}

/// What a thread does until the end.
fn verify(shared: &Shared) -> anyhow::Result<()> {
    let mut machines = Machines::new(shared.plan.pages);
    let mut let_go = 0;
    loop {
        match shared.next(&mut let_go) {
            Next::Verify(entry, memory) => {
                let begun = Instant::now();
                let hashed = machines.hash(&entry.job.what, memory)?;
                let Some((hash, kind)) = hashed else {
                    warn!("memory is short; a share was not verified");
                    let mut state = shared.state();
                    state.figures.throttled += 1;
                    // Who waits for what this thread held need not wait any more.
                    shared.wishes.notify_all();
                    drop(state);
                    entry.answer(Err(Unverified::Throttled));
                    continue;
                };
                let is_true = hash == entry.job.claimed;
                let mut state = shared.state();
                state.took(kind, begun, shared.plan);
                if is_true {
                    state.figures.verified += 1;
                } else {
                    state.figures.forged += 1;
                }
                drop(state);
                entry.answer(Ok(if is_true {
                    Verdict::True
                } else {
                    Verdict::False(hash)
                }));
            }
            Next::LetGo => {
                machines.let_go();
                // Under the lock, or whoever waits for it could miss it between a look and the wait.
                let state = shared.state();
                shared.wishes.notify_all();
                drop(state);
            }
            Next::End => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
