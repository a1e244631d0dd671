//! The thread that prepares seeds: fills a cache for each that is wanted, and a dataset for the current
//! one if there is to be one, while shares are verified with what is there.
//!
//! Memory is bounded: before a third cache or a second dataset is filled, an old one goes, and it is gone
//! only when every verifying thread has let go of it. If memory is short all the same, what is there goes
//! on, and it is tried again.

use std::{
    num::NonZeroUsize,
    sync::{Arc, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use pow::randomx::{Cache, Dataset, Memory, NoCache, NoDataset, NoMemory, Seed, Variant, Vm};
use tracing::{info, warn};

use super::{
    MEASURED, Shared, State,
    capacity::Kind,
    config::{CACHE_BYTES, DATASET_BYTES, SEEDS},
};

/// How long to wait when memory was short.
const RETRY: Duration = Duration::from_secs(10);

/// The seeds that are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// That of the newest template.
    pub current: Seed,
    /// The one that follows, if the daemon knows it already.
    pub next: Option<Seed>,
}

/// A seed that is prepared.
pub(super) struct Known {
    pub(super) seed: Seed,
    pub(super) cache: Arc<Cache>,
    pub(super) dataset: Option<Arc<Dataset>>,
}

impl Seeds {
    fn has(self, seed: Seed) -> bool {
        self.current == seed || self.next == Some(seed)
    }
}

impl Known {
    /// The fastest there is.
    pub(super) fn memory(&self) -> Memory {
        match &self.dataset {
            Some(dataset) => Memory::Fast(Arc::clone(dataset)),
            None => Memory::Light(Arc::clone(&self.cache)),
        }
    }
}

/// What to do next.
enum Step {
    Cache(Seed),
    Dataset(Seed, Arc<Cache>),
    /// Nobody else holds these: their memory is to be freed, without the lock.
    Free(Option<Arc<Cache>>, Option<Arc<Dataset>>),
    End,
}

/// What the thread does until the end.
pub(super) fn prepare(shared: &Shared) -> anyhow::Result<()> {
    loop {
        match shared.next_step() {
            Step::Cache(seed) => match shared.cache(seed) {
                Ok(cache) => {
                    let cache = Arc::new(cache);
                    // Without a measurement the first shares tell.
                    if let Err(short) = shared.measure(&Memory::Light(Arc::clone(&cache))) {
                        warn!(needed = short.needed, "memory is short");
                    }
                    info!(%seed, pages = ?cache.pages(), jit = ?cache.ability().jit(), "seed prepared");
                    let mut state = shared.state();
                    state.known.push(Known {
                        seed,
                        cache,
                        dataset: None,
                    });
                    shared.publish(&state);
                }
                Err(NoCache::NoMemory(short)) => shared.rest("a new seed", short),
                Err(cause @ NoCache::NotComputed(_)) => return Err(cause.into()),
            },
            Step::Dataset(seed, cache) => match shared.dataset(&cache) {
                Ok(dataset) => {
                    let dataset = Arc::new(dataset);
                    if let Err(short) = shared.measure(&Memory::Fast(Arc::clone(&dataset))) {
                        warn!(needed = short.needed, "memory is short");
                    }
                    info!(%seed, pages = ?dataset.pages(), "dataset prepared");
                    let mut state = shared.state();
                    let known = state.known.iter_mut().find(|known| known.seed == seed);
                    if let Some(known) = known {
                        known.dataset = Some(dataset);
                    }
                }
                Err(NoDataset::NoMemory(short)) => shared.rest("a dataset", short),
                Err(NoDataset::Stopped) => {}
            },
            Step::Free(cache, dataset) => drop((cache, dataset)),
            Step::End => return Ok(()),
        }
    }
}

impl Shared {
    /// Waits for something to prepare.
    fn next_step(&self) -> Step {
        let mut state = self.state();
        loop {
            if state.closed {
                return Step::End;
            }
            if let Some(wanted) = state.wanted {
                let is_missing = |seed: &Seed| !state.known.iter().any(|known| known.seed == *seed);
                let missing = [Some(wanted.current), wanted.next]
                    .into_iter()
                    .flatten()
                    .find(is_missing);
                if let Some(seed) = missing {
                    let old = state.known.iter().position(|it| !wanted.has(it.seed));
                    if state.known.len() < SEEDS {
                        return Step::Cache(seed);
                    }
                    let old =
                        old.expect("of two wanted one is missing, so one of two is not wanted");
                    let Known { cache, dataset, .. } = state.known.remove(old);
                    self.publish(&state);
                    return self.let_go(state, Some(cache), dataset);
                }
                if self.plan.is_fast
                    && let Some(step) = dataset_of(&mut state, wanted.current)
                {
                    return match step {
                        Step::Free(cache, dataset) => self.let_go(state, cache, dataset),
                        step => step,
                    };
                }
            }
            state = self
                .wishes
                .wait(state)
                .expect("nothing panics while holding this lock");
        }
    }

    /// Waits until no verifying thread holds what is to be freed.
    fn let_go(
        &self,
        mut state: MutexGuard<'_, State>,
        cache: Option<Arc<Cache>>,
        dataset: Option<Arc<Dataset>>,
    ) -> Step {
        state.letting_go += 1;
        self.work.notify_all();
        let is_held = || {
            cache.as_ref().is_some_and(|it| Arc::strong_count(it) > 1)
                || dataset.as_ref().is_some_and(|it| Arc::strong_count(it) > 1)
        };
        while is_held() && !state.closed {
            state = self
                .wishes
                .wait(state)
                .expect("nothing panics while holding this lock");
        }
        Step::Free(cache, dataset)
    }

    /// Fills a dataset with half of the cores: shares are verified meanwhile.
    fn fill(&self, cache: &Cache) -> Result<Dataset, NoDataset> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let half = NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN);
        Dataset::new(cache, half, self.plan.pages, &self.stop)
    }

    /// How long a hash takes with it.
    fn measure(&self, memory: &Memory) -> Result<(), NoMemory> {
        let mut machine = Vm::new(memory.clone(), self.plan.pages)?;
        machine.hash(&[]);
        for number in 0..MEASURED {
            let begun = Instant::now();
            machine.hash(&[number]);
            self.state().took(Kind::of(memory), begun, self.plan);
        }
        Ok(())
    }

    pub(super) fn cache(&self, seed: Seed) -> Result<Cache, NoCache> {
        self.are_free(CACHE_BYTES).map_err(NoCache::NoMemory)?;
        Cache::new(Variant::Rx0, &seed.0, self.plan.pages)
    }

    pub(super) fn dataset(&self, cache: &Arc<Cache>) -> Result<Dataset, NoDataset> {
        self.are_free(DATASET_BYTES).map_err(NoDataset::NoMemory)?;
        self.fill(cache)
    }

    /// Where memory was short at the start nothing is asked for that is not free: the system would promise it, and
    /// end the process once it is used.
    fn are_free(&self, needed: u64) -> Result<(), NoMemory> {
        let free = match self.plan.waits_for_memory {
            true => (self.free)(),
            false => None,
        };
        match free {
            Some(free) if free < needed => Err(NoMemory { needed }),
            _ => Ok(()),
        }
    }

    /// Tells the seeds whose shares can be verified.
    fn publish(&self, state: &State) {
        let seeds = state.known.iter().map(|known| known.seed).collect();
        self.prepared.send_replace(seeds);
    }

    /// Waits before memory is asked for again.
    fn rest(&self, what: &'static str, short: NoMemory) {
        warn!(
            what,
            needed = short.needed,
            "memory is short; it is tried again"
        );
        let rest = self
            .wishes
            .wait_timeout_while(self.state(), RETRY, |state| !state.closed);
        drop(rest.expect("nothing panics while holding this lock"));
    }
}

/// The dataset of the current seed is missing: what comes before it can be filled.
fn dataset_of(state: &mut State, current: Seed) -> Option<Step> {
    let known = state.known.iter().find(|known| known.seed == current)?;
    if known.dataset.is_some() {
        return None;
    }
    let cache = Arc::clone(&known.cache);
    let old = state
        .known
        .iter_mut()
        .find_map(|known| known.dataset.take());
    Some(match old {
        Some(old) => Step::Free(None, Some(old)),
        None => Step::Dataset(current, cache),
    })
}
