//! What many ask for at once and all are told the same: put together once for all who wait. Nobody is told
//! anything older than the question, and however many ask, it takes a bounded part of the time.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

/// Between two runs is so many times what the one before took: together they take at most a fifth of the
/// time, so that the rest of it is for miners, whoever asks.
const REST: u32 = 4;
/// The longest rest. What takes longer than a quarter of it is asked of a database in trouble.
const REST_MAX: Duration = Duration::from_secs(2);

/// An answer. Clones share it.
pub(crate) struct Shared<T>(Arc<Mutex<Option<Made<T>>>>);

struct Made<T> {
    began: Instant,
    ended: Instant,
    /// What came of it, or why nothing did.
    made: Result<T, String>,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Shared<T> {
    /// What a run of `make` gave that began after this call; if there is none yet, that of this one.
    pub(super) async fn of(
        &self,
        make: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(last) = &*last {
            if last.began >= asked {
                return last.told();
            }
            let rest = (last.ended - last.began).saturating_mul(REST).min(REST_MAX);
            sleep_until(last.ended + rest).await;
        }
        let began = Instant::now();
        let made = make.await.map_err(|error| format!("{error:#}"));
        let ended = Instant::now();
        last.insert(Made { began, ended, made }).told()
    }
}

impl<T: Clone> Made<T> {
    fn told(&self) -> anyhow::Result<T> {
        self.made.clone().map_err(anyhow::Error::msg)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    const TAKES: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn all_who_wait_are_told_the_same_and_nothing_older_than_their_question() {
        let shared = Shared::default();
        let runs = Cell::new(0);
        let ask = || {
            shared.of(async {
                runs.set(runs.get() + 1);
                sleep(TAKES).await;
                Ok(runs.get())
            })
        };
        // Whoever comes while a run is under way gets the next one.
        let late = async {
            sleep(TAKES / 2).await;
            join_all((0..100).map(|_| ask())).await
        };
        let (first, late) = tokio::join!(ask(), late);
        assert_eq!(first.unwrap(), 1);
        assert!(late.into_iter().all(|told| told.unwrap() == 2));
        assert_eq!(ask().await.unwrap(), 3);
    }

    #[tokio::test]
    async fn it_takes_a_fifth_of_the_time_and_a_short_one_is_not_waited_for() {
        let shared = Shared::default();
        let began = Instant::now();
        for _ in 0..4 {
            let made = shared.of(async {
                sleep(TAKES).await;
                Ok(())
            });
            made.await.unwrap();
        }
        assert!(began.elapsed() >= TAKES * 4 + TAKES * REST * 3);
        // So many that a wait for each would be long.
        let shared = Shared::default();
        let began = Instant::now();
        for _ in 0..500 {
            shared.of(async { Ok(()) }).await.unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_who_wait_and_the_next_one_tries_again() {
        let shared: Shared<()> = Shared::default();
        let runs = Cell::new(0);
        let asked = (0..20).map(|_| {
            shared.of(async {
                runs.set(runs.get() + 1);
                sleep(TAKES).await;
                anyhow::bail!("locked")
            })
        });
        for told in join_all(asked).await {
            assert_eq!(told.unwrap_err().to_string(), "locked");
        }
        // The first one began before the others asked.
        assert_eq!(runs.get(), 2);
        shared.of(async { Ok(()) }).await.unwrap();
    }

    #[tokio::test]
    async fn who_goes_away_in_the_middle_holds_up_nobody() {
        let shared = Shared::default();
        {
            let mut gone = pin!(shared.of(async {
                sleep(TAKES).await;
                Ok(1)
            }));
            let mut context = Context::from_waker(Waker::noop());
            assert!(matches!(gone.as_mut().poll(&mut context), Poll::Pending));
        }
        assert_eq!(shared.of(async { Ok(2) }).await.unwrap(), 2);
    }
}
