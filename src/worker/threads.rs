//! The threads that hash, whatever it is. They follow the newest job on a `watch` and hand in what they
//! find on a bounded queue; without a job they sleep.
//!
//! A full queue makes them wait, so a target that is too easy costs hashes and never memory or
//! bandwidth. They end when either channel has lost its other end.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
};
use tracing::error;

use super::dialect::{Hasher, Step, Supply};

/// Proofs that wait for the session to send them.
const FOUND_MAX: usize = 32;
/// The longest sleep of a throttled thread before it looks for a new job.
const NAP: Duration = Duration::from_millis(5);

/// All threads of a worker.
pub(super) struct HashThreads<H: Hasher> {
    jobs: watch::Sender<Option<Arc<H::Job>>>,
    hashes: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl<H: Hasher> HashThreads<H> {
    /// Starts `count` threads that hash `throttle` percent of the time. Call inside a runtime.
    pub(super) fn start(
        count: usize,
        throttle: u32,
        supply: &impl Supply<Hasher = H>,
    ) -> io::Result<(Self, mpsc::Receiver<H::Found>)> {
        let (jobs, _) = watch::channel(None);
        let (found, received) = mpsc::channel(FOUND_MAX);
        let hashes = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        for index in 0..count {
            let thread = HashThread {
                jobs: jobs.subscribe(),
                found: found.clone(),
                hashes: Arc::clone(&hashes),
                hasher: supply.hasher(),
                throttle,
                runtime: Handle::current(),
            };
            let name = format!("hash-{index}");
            threads.push(thread::Builder::new().name(name).spawn(|| thread.run())?);
        }
        Ok((
            Self {
                jobs,
                hashes,
                threads,
            },
            received,
        ))
    }

    /// Drops what is being worked on for `job`, within milliseconds.
    pub(super) fn work_on(&self, job: Arc<H::Job>) {
        self.jobs.send_replace(Some(job));
    }

    /// No work until the next job.
    pub(super) fn idle(&self) {
        self.jobs.send_replace(None);
    }

    /// Hashes done since the start.
    pub(super) fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// A thread has ended, which none does by itself.
    pub(super) fn has_lost_one(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends the threads. Close or drop the queue first, or one may be waiting for room in it.
    pub(super) async fn end(self) {
        drop(self.jobs);
        let joined = tokio::task::spawn_blocking(|| {
            let ended = self.threads.into_iter().map(JoinHandle::join);
            ended.filter(Result::is_err).count()
        });
        if let Ok(panicked @ 1..) = joined.await {
            error!(panicked, "hash threads panicked");
        }
    }
}

struct HashThread<H: Hasher> {
    jobs: watch::Receiver<Option<Arc<H::Job>>>,
    found: mpsc::Sender<H::Found>,
    hashes: Arc<AtomicU64>,
    hasher: H,
    throttle: u32,
    runtime: Handle,
}

impl<H: Hasher> HashThread<H> {
    fn run(mut self) {
        loop {
            let job = self.jobs.borrow_and_update().clone();
            let going_on = match job {
                Some(job) => self.search(job),
                None => {
                    self.hasher.rest();
                    self.runtime.block_on(self.jobs.changed()).is_ok()
                }
            };
            if !going_on {
                return;
            }
        }
    }

    /// Searches until there is another job, or none. False if the worker has ended.
    fn search(&mut self, job: Arc<H::Job>) -> bool {
        self.hasher.begin(job);
        loop {
            match self.jobs.has_changed() {
                Ok(false) => {}
                Ok(true) => return true,
                Err(_) => return false,
            }
            let started = Instant::now();
            let (hashes, found) = match self.hasher.advance() {
                Step::Hashed(hashes, found) => (hashes, found),
                Step::Wait => match self.wait() {
                    Some(going_on) => return going_on,
                    None => continue,
                },
                Step::Failed(failure) => {
                    error!(failure = format!("{failure:#}"), "a thread cannot hash");
                    return false;
                }
            };
            self.hashes.fetch_add(u64::from(hashes), Ordering::Relaxed);
            let busy = started.elapsed();
            if let Some(found) = found
                && !self.hand_in(found)
            {
                return false;
            }
            if self.throttle < 100 {
                self.rest(busy * (100 - self.throttle) / self.throttle);
            }
        }
    }

    /// Waits until there is another job, or the hasher can go on with this one. False if the worker has
    /// ended, nothing if it is for the hasher to go on.
    fn wait(&mut self) -> Option<bool> {
        let (jobs, hasher) = (&mut self.jobs, &mut self.hasher);
        self.runtime.block_on(async {
            tokio::select! {
                changed = jobs.changed() => Some(changed.is_ok()),
                () = hasher.woken() => None,
            }
        })
    }

    /// False if nobody takes it any more.
    fn hand_in(&mut self, found: H::Found) -> bool {
        match self.found.try_send(found) {
            Ok(()) => true,
            Err(TrySendError::Full(found)) => {
                self.hasher.rest();
                self.found.blocking_send(found).is_ok()
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }

    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while matches!(self.jobs.has_changed(), Ok(false)) {
            match until.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::sleep(left.min(NAP)),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            dialect::{Found as _, Job as _},
            sv1::{Extranonces, Found, Job, tests::job},
        },
        *,
    };

    fn start(
        count: usize,
        throttle: u32,
    ) -> (
        HashThreads<<Extranonces as Supply>::Hasher>,
        mpsc::Receiver<Found>,
    ) {
        HashThreads::start(count, throttle, &Extranonces::default()).unwrap()
    }

    fn numbered(number: u64, steps: u128) -> Arc<Job> {
        Arc::new(job(steps, None).with_version_mask(0, number))
    }

    #[tokio::test]
    async fn threads_idle_without_a_job_and_change_to_a_new_one_at_once() {
        let (threads, mut found) = start(2, 100);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(threads.hashes(), 0);

        threads.work_on(numbered(1, 1 << 62));
        while threads.hashes() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(
            found.try_recv().is_err(),
            "that is a share in a million years"
        );

        let switched = Instant::now();
        threads.work_on(numbered(2, 1));
        let first = found.recv().await.unwrap();
        assert_eq!(first.job().number(), 2);
        // Generous, for a machine that builds beside it.
        assert!(
            switched.elapsed() < Duration::from_secs(5),
            "{:?}",
            switched.elapsed()
        );

        threads.idle();
        while found.try_recv().is_ok() || threads.found_may_come().await {}
        let hashes = threads.hashes();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(threads.hashes(), hashes);
        assert!(!threads.has_lost_one());
        drop(found);
        threads.end().await;
    }

    impl<H: Hasher> HashThreads<H> {
        /// Waits until no thread counts any more.
        async fn found_may_come(&self) -> bool {
            let before = self.hashes();
            // A busy machine may keep a thread waiting.
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.hashes() != before
        }

        /// Waits until so many are counted.
        async fn until(&self, hashes: u64) {
            let counting = async {
                while self.hashes() < hashes {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let counted = tokio::time::timeout(Duration::from_secs(60), counting).await;
            counted.expect("threads hash");
        }
    }

    #[tokio::test]
    async fn what_is_not_taken_makes_the_threads_wait() {
        let (threads, found) = start(2, 100);
        threads.work_on(numbered(1, 1));
        threads.until(32).await;
        while threads.found_may_come().await {}
        let hashes = threads.hashes();
        assert!(hashes <= 34, "each hash is a proof, and 32 wait: {hashes}");
        drop(found);
        threads.end().await;
    }

    #[tokio::test]
    async fn a_throttled_thread_rests_most_of_the_time() {
        let (threads, found) = start(1, 1);
        threads.work_on(numbered(1, 1 << 62));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let hashes = threads.hashes();
        assert!(
            hashes <= 20 << 14,
            "a batch of 2^14 is followed by a rest of 99 times its length"
        );
        threads.until(1).await;
        drop(found);
        threads.end().await;
    }

    #[tokio::test]
    async fn a_thread_that_rests_ends_soon() {
        // A busy machine may be late now and then, and a whole rest is long each time.
        for _ in 0..3 {
            let (threads, _found) = start(1, 1);
            threads.work_on(numbered(1, 1 << 62));
            threads.until(1).await;
            let ending = Instant::now();
            threads.end().await;
            if ending.elapsed() < Duration::from_millis(500) {
                return;
            }
        }
        panic!("a nap is short");
    }
}
