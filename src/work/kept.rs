//! What is costly to make: made once for all who ask within some time, and by one of them at a time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turns, OwnedMutexGuard, oneshot},
    time::Instant,
};

use crate::{
    metrics::Metrics,
    tasks::{Stage, Tasks},
};

/// The newest one, and who makes the next.
pub(super) struct Kept<T> {
    newest: Arc<Mutex<Option<Made<T>>>>,
    /// Held while one is made.
    turn: Arc<Turns<()>>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
}

#[derive(Clone, Copy)]
struct Made<T> {
    value: T,
    until: Instant,
}

impl<T: Clone + Send + 'static> Kept<T> {
    pub(super) fn new(tasks: &Tasks, metrics: &Arc<Metrics>) -> Self {
        Self {
            newest: Arc::default(),
            turn: Arc::default(),
            tasks: tasks.clone(),
            metrics: Arc::clone(metrics),
        }
    }

    /// The newest one, however old it is.
    pub(super) fn newest(&self) -> Option<T> {
        lock(&self.newest).as_ref().map(|made| made.value.clone())
    }

    /// The newest one if it still holds and `suits`, or a new one, of which `make` says how long it holds. It is
    /// made to the end even if whoever asked hangs up. Nothing if it cannot be made, or the pool stops.
    pub(super) async fn get<F>(
        &self,
        suits: impl Fn(&T) -> bool,
        make: impl FnOnce() -> F,
    ) -> Option<T>
    where
        F: Future<Output = (T, Duration)> + Send + 'static,
    {
        if let Some(value) = self.holding(&suits) {
            return Some(value);
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // Somebody else made it meanwhile.
        if let Some(value) = self.holding(&suits) {
            return Some(value);
        }
        self.start(turn, make()).await.ok()
    }

    /// Has a new one made where `get` would, and waits for nothing.
    pub(super) fn renew<F>(&self, suits: impl Fn(&T) -> bool, make: impl FnOnce() -> F)
    where
        F: Future<Output = (T, Duration)> + Send + 'static,
    {
        if self.holding(&suits).is_none()
            && let Ok(turn) = Arc::clone(&self.turn).try_lock_owned()
        {
            drop(self.start(turn, make()));
        }
    }

    fn holding(&self, suits: impl Fn(&T) -> bool) -> Option<T> {
        let newest = lock(&self.newest);
        let made = newest.as_ref()?;
        let holds = Instant::now() < made.until && suits(&made.value);
        holds.then(|| made.value.clone())
    }

    fn start(
        &self,
        turn: OwnedMutexGuard<()>,
        making: impl Future<Output = (T, Duration)> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (tell, told) = oneshot::channel();
        let newest = Arc::clone(&self.newest);
        let ending = self.tasks.ending(Stage::Doors);
        let making = async move {
            let Some((value, lasts)) = ending.run_until_cancelled(making).await else {
                return;
            };
            *lock(&newest) = Some(Made {
                value: value.clone(),
                until: Instant::now() + lasts,
            });
            drop(turn);
            // Whoever has hung up need not be told.
            let _ = tell.send(value);
        };
        let metrics = Arc::clone(&self.metrics);
        self.tasks.spawn_connection(Stage::Doors, making, move || {
            metrics.panics.inc();
        });
        told
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{advance, sleep, timeout};

    use super::*;

    const LASTS: Duration = Duration::from_secs(1);

    /// Counts how often one was made.
    #[derive(Clone, Default)]
    struct Maker(Arc<AtomicU32>);

    impl Maker {
        fn count(&self) -> u32 {
            self.0.load(Ordering::Relaxed)
        }

        fn make(&self) -> impl Future<Output = (u32, Duration)> + Send + 'static {
            let count = Arc::clone(&self.0);
            async move {
                sleep(Duration::from_millis(10)).await;
                (count.fetch_add(1, Ordering::Relaxed) + 1, LASTS)
            }
        }
    }

    fn kept() -> (Arc<Kept<u32>>, Maker, Tasks) {
        let (tasks, _failures) = Tasks::new();
        let metrics = Arc::new(Metrics::new("main", "bitcoin"));
        let kept = Arc::new(Kept::new(&tasks, &metrics));
        (kept, Maker::default(), tasks)
    }

    fn any(_: &u32) -> bool {
        true
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_questions_has_one_made_for_each_time_that_it_lasts() {
        let (kept, maker, _tasks) = kept();
        for round in 1..=3 {
            let asked: Vec<_> = (0..1_000)
                .map(|_| {
                    let (kept, maker) = (Arc::clone(&kept), maker.clone());
                    tokio::spawn(async move { kept.get(any, || maker.make()).await })
                })
                .collect();
            for asked in asked {
                assert_eq!(asked.await.unwrap(), Some(round));
            }
            assert_eq!((maker.count(), kept.newest()), (round, Some(round)));
            advance(LASTS).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_suit_is_made_anew_before_its_time() {
        let (kept, maker, _tasks) = kept();
        assert_eq!(kept.get(any, || maker.make()).await, Some(1));
        assert_eq!(kept.get(any, || maker.make()).await, Some(1));
        assert_eq!(kept.get(|made| *made == 2, || maker.make()).await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_hangs_up_neither_ends_it_nor_has_it_made_again() {
        let (kept, maker, _tasks) = kept();
        for _ in 0..5 {
            let hung_up = kept.get(any, || maker.make());
            let hung_up = timeout(Duration::from_micros(1), hung_up).await;
            assert!(hung_up.is_err());
        }
        assert_eq!(kept.get(any, || maker.make()).await, Some(1));
        assert_eq!(maker.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_renews_waits_for_nothing_and_the_old_one_is_told_meanwhile() {
        let (kept, maker, _tasks) = kept();
        assert_eq!(kept.newest(), None);
        (0..10).for_each(|_| kept.renew(any, || maker.make()));
        assert_eq!(kept.newest(), None);
        sleep(Duration::from_millis(20)).await;
        assert_eq!(kept.newest(), Some(1));
        advance(LASTS).await;
        kept.renew(any, || maker.make());
        assert_eq!(kept.newest(), Some(1));
        sleep(Duration::from_millis(20)).await;
        assert_eq!((kept.newest(), maker.count()), (Some(2), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_cannot_be_made_is_tried_again_and_the_pool_can_stop_meanwhile() {
        let (kept, maker, tasks) = kept();
        let broken = async { panic!("it cannot be made") };
        assert_eq!(kept.get(any, || broken).await, None);
        assert_eq!(kept.get(any, || maker.make()).await, Some(1));
        advance(LASTS).await;
        let waiting = Arc::clone(&kept);
        let waiting = tokio::spawn(async move { waiting.get(any, std::future::pending).await });
        tokio::task::yield_now().await;
        assert!(tasks.shut_down().await);
        assert_eq!(waiting.await.unwrap(), None);
    }
}
