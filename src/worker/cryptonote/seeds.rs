//! The thread that prepares what RandomX reads: a cache for each seed that jobs need or announce, and a
//! dataset of the current one if there is to be one.
//!
//! Nothing is hashed while the dataset is filled, which all threads' cores do: a second of a core fills a
//! fortieth of it, or makes some forty hashes with the cache, and that fortieth brings a second of all of
//! them at 350. In light mode, the next seed's cache is there before its first job. In fast mode the
//! current cache goes when the dataset is complete, and the dataset goes before the next one is filled, from
//! a cache that is there. So there are never two datasets, nor memory of three seeds: what is no longer
//! wanted goes first, when every thread has let go of it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pow::randomx::{Cache, Dataset, Memory, NoCache, NoDataset, Seed, Variant};
use tokio::{runtime::Handle, sync::watch, time::timeout};
use tracing::{error, info, warn};

use super::{CryptoNote, job::Job, search::Searcher, told};
use crate::{
    verifier::Plan,
    worker::{
        algorithm::Algorithm,
        dialect::Supply,
        endpoint::Endpoint,
        http::Told,
        session::{self, Ended, Rig},
    },
};

/// How long to wait when memory was short.
const RETRY: Duration = Duration::from_secs(10);
/// Between two looks whether the threads have let go: each does after its hash.
const LOOK: Duration = Duration::from_millis(2);

/// Tells the thread what is needed, and the hashing ones what is there. Clones share it.
#[derive(Clone)]
pub(in crate::worker) struct Seeds(Arc<Shared>);

struct Shared {
    plan: Plan,
    wishes: Wishes,
    prepared: watch::Receiver<Vec<Memory>>,
    progress: Arc<Progress>,
    thread: JoinHandle<()>,
}

/// What jobs need. When it goes, the thread ends.
struct Wishes(watch::Sender<Option<Wish>>);

#[derive(Clone)]
struct Wish {
    current: Seed,
    next: Option<Seed>,
    /// Ends the filling of a dataset that is no longer needed.
    is_over: Arc<AtomicBool>,
}

/// How far a dataset is filled.
#[derive(Default)]
struct Progress {
    is_filling: AtomicBool,
    items: AtomicU64,
}

/// The thread's own.
struct Preparer {
    plan: Plan,
    wishes: watch::Receiver<Option<Wish>>,
    prepared: watch::Sender<Vec<Memory>>,
    progress: Arc<Progress>,
    runtime: Handle,
    caches: Vec<Arc<Cache>>,
    dataset: Option<Arc<Dataset>>,
    /// A seed for whose dataset there was no memory: it is hashed with its cache.
    light: Option<Seed>,
}

impl Seeds {
    /// Starts the thread. Call inside a runtime.
    pub(in crate::worker) fn start(plan: Plan) -> io::Result<Self> {
        let (wishes, wish) = watch::channel(None);
        let (prepared, there) = watch::channel(Vec::new());
        let progress = Arc::new(Progress::default());
        let preparer = Preparer {
            plan,
            wishes: wish,
            prepared,
            progress: Arc::clone(&progress),
            runtime: Handle::current(),
            caches: Vec::new(),
            dataset: None,
            light: None,
        };
        let thread = thread::Builder::new().name("seeds".into());
        Ok(Self(Arc::new(Shared {
            plan,
            wishes: Wishes(wishes),
            prepared: there,
            progress,
            thread: thread.spawn(|| preparer.run())?,
        })))
    }

    /// Says what the newest job needs, and what the pool has announced for later.
    pub(super) fn want(&self, current: Seed, next: Option<Seed>) {
        let next = next.filter(|next| *next != current);
        self.0.wishes.0.send_if_modified(|wish| {
            let is_over = match wish {
                Some(wish) if wish.current == current && wish.next == next => return false,
                Some(wish) if wish.current == current => Arc::clone(&wish.is_over),
                Some(wish) => {
                    wish.is_over.store(true, Relaxed);
                    Arc::default()
                }
                None => Arc::default(),
            };
            *wish = Some(Wish {
                current,
                next,
                is_over,
            });
            true
        });
    }

    /// Ends the thread, in some tenths of a second. The hashing threads end first.
    pub(in crate::worker) async fn end(self) {
        let Some(Shared { wishes, thread, .. }) = Arc::into_inner(self.0) else {
            return;
        };
        drop(wishes);
        if let Ok(Err(_)) = tokio::task::spawn_blocking(|| thread.join()).await {
            error!("the thread that prepares seeds panicked");
        }
    }
}

impl Drop for Wishes {
    fn drop(&mut self) {
        if let Some(wish) = &*self.0.borrow() {
            wish.is_over.store(true, Relaxed);
        }
    }
}

impl Supply for Seeds {
    type Hasher = Searcher;

    fn mines(&self, algorithm: Algorithm) -> bool {
        matches!(algorithm, Algorithm::RandomX(Variant::Rx0))
    }

    async fn by_lines(
        rig: &mut Rig<'_, Self>,
        endpoint: &Endpoint,
        home: Pin<&mut impl Future<Output = Endpoint>>,
    ) -> Ended {
        session::run::<CryptoNote>(rig, endpoint, home).await
    }

    fn job(&self, told: &Told, before: Option<&Job>) -> anyhow::Result<Job> {
        let (job, next) = told::job(told, before)?;
        self.want(job.seed(), next);
        Ok(job)
    }

    fn hasher(&self) -> Searcher {
        Searcher::new(self.0.prepared.clone(), self.0.plan.pages)
    }

    fn preparing(&self) -> Option<u8> {
        let progress = &self.0.progress;
        let percent = progress.items.load(Relaxed).saturating_mul(100) / Dataset::items().max(1);
        let is_filling = progress.is_filling.load(Relaxed);
        is_filling.then(|| u8::try_from(percent.min(100)).unwrap_or(100))
    }

    fn has_ended(&self) -> bool {
        self.0.thread.is_finished()
    }
}

impl Preparer {
    fn run(mut self) {
        while let Some(wish) = self.next_wish(None) {
            let mut wish = Some(wish);
            while let Some(wanted) = wish.take() {
                self.let_go(&wanted);
                match self.prepare(&wanted) {
                    Ok(()) => {}
                    Err(NoCache::NoMemory(short)) => {
                        warn!(%short, "memory is short for a seed; it is tried again");
                        wish = self.next_wish(Some(RETRY)).or(Some(wanted));
                    }
                    Err(cause @ NoCache::NotComputed(_)) => {
                        error!(%cause, "a seed cannot be prepared");
                        return;
                    }
                }
                if self.wishes.has_changed().is_err() {
                    return;
                }
            }
        }
    }

    /// Waits for another wish; nothing after this long, or when the worker has ended.
    fn next_wish(&mut self, limit: Option<Duration>) -> Option<Wish> {
        let wishes = &mut self.wishes;
        self.runtime.block_on(async {
            match limit {
                Some(limit) => timeout(limit, wishes.changed()).await.ok()?.ok()?,
                None => wishes.changed().await.ok()?,
            }
            wishes.borrow_and_update().clone()
        })
    }

    /// Frees what is not wanted, when no thread has it any more.
    fn let_go(&mut self, wanted: &Wish) {
        let is_wanted =
            |key: &[u8]| key == wanted.current.0 || wanted.next.is_some_and(|next| key == next.0);
        let old = self.caches.extract_if(.., |cache| !is_wanted(cache.key()));
        let caches: Vec<_> = old.collect();
        let dataset = self.dataset.take_if(|it| it.key() != wanted.current.0);
        if caches.is_empty() && dataset.is_none() {
            return;
        }
        self.publish();
        let is_held = || {
            let is_held = |cache: &Arc<Cache>| Arc::strong_count(cache) > 1;
            caches.iter().any(is_held)
                || dataset.as_ref().is_some_and(|it| Arc::strong_count(it) > 1)
        };
        while is_held() && self.wishes.has_changed().is_ok() {
            thread::sleep(LOOK);
        }
    }

    fn prepare(&mut self, wanted: &Wish) -> Result<(), NoCache> {
        let current = wanted.current;
        let has_dataset = |it: &Self| it.dataset.as_ref().is_some_and(|it| it.key() == current.0);
        if !has_dataset(self) {
            let cache = self.cache(current)?;
            if self.plan.is_fast && self.light != Some(current) {
                self.fill(wanted, &cache);
            }
        }
        // What jobs will need waits until what they need is complete.
        match wanted.next {
            Some(next) if !wanted.is_over.load(Relaxed) => self.cache(next).map(drop),
            _ => Ok(()),
        }
    }

    /// The cache of a seed, made if it is not there.
    fn cache(&mut self, seed: Seed) -> Result<Arc<Cache>, NoCache> {
        if let Some(cache) = self.caches.iter().find(|cache| cache.key() == seed.0) {
            return Ok(Arc::clone(cache));
        }
        let cache = Arc::new(Cache::new(Variant::Rx0, &seed.0, self.plan.pages)?);
        let (pages, jit) = (cache.pages(), cache.ability().jit());
        info!(%seed, ?pages, ?jit, "RandomX's cache is prepared");
        self.caches.push(Arc::clone(&cache));
        self.publish();
        Ok(cache)
    }

    /// Fills the dataset with as many threads as hash.
    fn fill(&mut self, wanted: &Wish, cache: &Arc<Cache>) {
        let Plan { threads, pages, .. } = self.plan;
        let progress = &self.progress;
        let begun = Instant::now();
        info!(seed = %wanted.current, threads, "filling RandomX's dataset; mining goes on after it");
        progress.items.store(0, Relaxed);
        progress.is_filling.store(true, Relaxed);
        let filled =
            Dataset::with_progress(cache, threads, pages, &wanted.is_over, &progress.items);
        progress.is_filling.store(false, Relaxed);
        match filled {
            Ok(dataset) => {
                let seconds = begun.elapsed().as_secs();
                info!(seed = %wanted.current, pages = ?dataset.pages(), seconds, "dataset filled");
                self.dataset = Some(Arc::new(dataset));
                self.caches.retain(|cache| cache.key() != wanted.current.0);
            }
            Err(NoDataset::Stopped) => return,
            Err(NoDataset::NoMemory(short)) => {
                warn!(%short, "memory is short for the dataset; mining without it");
                self.light = Some(wanted.current);
            }
        }
        self.publish();
    }

    /// Tells the hashing threads what to hash with. A cache is not for them where a dataset will be.
    fn publish(&self) {
        let (is_fast, light) = (self.plan.is_fast, self.light);
        let is_used = |cache: &&Arc<Cache>| !is_fast || light.is_some_and(|it| cache.key() == it.0);
        let caches = self.caches.iter().filter(is_used);
        let caches = caches.map(|cache| Memory::Light(Arc::clone(cache)));
        let dataset = self.dataset.iter();
        let dataset = dataset.map(|dataset| Memory::Fast(Arc::clone(dataset)));
        self.prepared.send_replace(caches.chain(dataset).collect());
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use mining::cryptonote::ShareTarget;
    use pow::randomx::Pages;
    use wire::cryptonote::{Notice, TargetBytes};

    use super::{
        super::job::{Job, Terms},
        *,
    };
    use crate::worker::dialect::{self, Hasher as _};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn seed(number: u8) -> Seed {
        Seed([number; 32])
    }

    fn plan(is_fast: bool) -> Plan {
        Plan {
            is_fast,
            threads: NonZeroUsize::new(2).unwrap(),
            pages: Pages::Usual,
            sampling: None,
            waits_for_memory: false,
        }
    }

    /// A job of this seed that one hash in `difficulty` meets.
    fn job(seed: Seed, difficulty: u64) -> Arc<Job> {
        let target = ShareTarget::new(difficulty.try_into().unwrap());
        let notice = Notice {
            job_id: "1".into(),
            blob: vec![1; 76],
            target: TargetBytes::Eight(target.as_bytes().try_into().unwrap()),
            algorithm: None,
            height: None,
            seed_hash: Some(seed.0),
            next_seed_hash: None,
        };
        let terms = Terms {
            number: 1,
            is_nicehash: false,
        };
        Arc::new(Job::new(notice, terms, None).unwrap())
    }

    async fn until(seeds: &Seeds, wanted: impl Fn(&[Memory]) -> bool) {
        let mut prepared = seeds.0.prepared.clone();
        let there = prepared.wait_for(|prepared| wanted(prepared));
        timeout(PATIENCE, there).await.expect("in time").unwrap();
    }

    fn keys(prepared: &[Memory]) -> Vec<Seed> {
        let mut keys: Vec<_> = prepared
            .iter()
            .map(|memory| Seed(memory.key().try_into().unwrap()))
            .collect();
        keys.sort_by_key(|seed| seed.0);
        keys
    }

    #[tokio::test]
    async fn a_seed_that_is_announced_is_there_before_its_first_job_and_old_ones_go_first() {
        let seeds = Seeds::start(plan(false)).unwrap();
        let mut hasher = seeds.hasher();
        hasher.begin(job(seed(1), 1));
        assert!(
            matches!(hasher.advance(), dialect::Step::Wait),
            "nothing is prepared"
        );
        seeds.want(seed(1), Some(seed(2)));
        timeout(PATIENCE, hasher.woken()).await.expect("in time");
        let dialect::Step::Hashed(1, Some(_)) = hasher.advance() else {
            panic!("every hash is a proof");
        };
        until(&seeds, |it| keys(it) == [seed(1), seed(2)]).await;

        // A thread still has the old one: it is offered no more, and no third one is made.
        hasher.advance();
        seeds.want(seed(2), Some(seed(3)));
        until(&seeds, |it| keys(it) == [seed(2)]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(keys(&seeds.0.prepared.borrow()), [seed(2)]);
        hasher.begin(job(seed(2), 1));
        assert!(matches!(
            hasher.advance(),
            dialect::Step::Hashed(1, Some(_))
        ));
        until(&seeds, |it| keys(it) == [seed(2), seed(3)]).await;

        // Of another chain: nothing of the one before is kept.
        seeds.want(seed(9), None);
        hasher.rest();
        until(&seeds, |it| keys(it) == [seed(9)]).await;
        assert!(!seeds.has_ended() && seeds.preparing().is_none());
        seeds.end().await;
    }

    #[tokio::test]
    async fn a_dataset_that_is_being_filled_is_shown_and_stopped_by_another_seed_and_by_the_end() {
        let seeds = Seeds::start(plan(true)).unwrap();
        let filling = async || {
            while seeds.preparing().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        seeds.want(seed(1), None);
        timeout(PATIENCE, filling()).await.expect("in time");
        let first = Arc::clone(&seeds.0.wishes.0.borrow().as_ref().unwrap().is_over);
        // That the next one is known does not stop it.
        seeds.want(seed(1), Some(seed(2)));
        assert!(!first.load(Relaxed));
        seeds.want(seed(2), None);
        assert!(first.load(Relaxed));
        let stopped = async {
            while seeds.preparing().is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, stopped).await.expect("in time");
        timeout(PATIENCE, filling()).await.expect("in time");
        assert!(
            seeds.0.prepared.borrow().is_empty(),
            "nothing is hashed meanwhile"
        );
        let ending = Instant::now();
        seeds.end().await;
        assert!(ending.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    #[ignore = "takes 2 GiB of memory and two minutes of the processor"]
    async fn a_dataset_takes_the_place_of_its_cache_and_another_takes_its_place() {
        let seeds = Seeds::start(plan(true)).unwrap();
        let mut hasher = seeds.hasher();
        for number in 1..=2 {
            seeds.want(seed(number), Some(seed(number + 1)));
            hasher.begin(job(seed(number), 1));
            let begun = Instant::now();
            while matches!(hasher.advance(), dialect::Step::Wait) {
                hasher.woken().await;
            }
            println!("dataset {number} after {:?}", begun.elapsed());
            let prepared = seeds.0.prepared.borrow().clone();
            let [Memory::Fast(dataset)] = &prepared[..] else {
                panic!("there is the dataset alone");
            };
            assert_eq!(dataset.key(), seed(number).0);
        }
        seeds.end().await;
    }
}
