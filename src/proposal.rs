//! Has the daemon check a block of each new shape before anybody solves one.
//!
//! Started by `pool`; it stands beside the way of a template, reads the offers of `template_feed`
//! like a connection does, and asks `daemon`. Nothing waits for it. A refusal means that blocks of
//! this shape would be lost: it is logged, counted, and stays in `/health` until a block of that
//! shape is found good.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mining::{
    job::JobTemplate,
    proposal::{Proposed, Shape},
};
use tokio::{sync::watch, time::Instant};
use tracing::{debug, error, info};

use crate::{
    daemon::{Daemons, Proposal, Unanswered},
    metrics::Metrics,
    tasks::{Stage, Tasks},
    template_feed::{Newest, Offer},
};

/// A new tip keeps the daemon busy with templates; proposals come after those.
const AFTER_OFFER: Duration = Duration::from_secs(1);

/// The most proposals that wait: two rounds of all classes. What finds no room comes with the next
/// offer.
const WAITING_MAX: usize = 12;

/// The most refused shapes that are told: each one says the same to the operator.
const REFUSED_MAX: usize = 64;

/// What the daemon refused. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Proposals(Arc<Mutex<BTreeMap<Shape, String>>>);

impl Proposals {
    /// The shapes whose last proposal was refused, with the daemon's reasons.
    pub fn refused(&self) -> Vec<(Shape, String)> {
        let refused = self.lock();
        refused.iter().map(|(s, r)| (*s, r.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Shape, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Proposes blocks until shutdown. `extranonce2_size` is that of the jobs.
pub fn start(
    mut newest: watch::Receiver<Newest>,
    daemons: Daemons,
    extranonce2_size: usize,
    metrics: Arc<Metrics>,
    tasks: &Tasks,
) -> Proposals {
    let proposals = Proposals::default();
    let mut proposer = Proposer {
        daemons,
        extranonce2_size,
        metrics,
        proposals: proposals.clone(),
        proposed: Proposed::default(),
        waiting: VecDeque::new(),
        tip: 0,
        started: Instant::now(),
    };
    let ending = tasks.ending(Stage::Daemons);
    tasks.spawn(Stage::Daemons, "proposals", async move {
        let run = async {
            loop {
                if let Newest::Offer(offer) = &*newest.borrow_and_update() {
                    proposer.take(offer, Instant::now());
                }
                let next = proposer.waiting.front().map(|waiting| waiting.due);
                tokio::select! {
                    changed = newest.changed() => if changed.is_err() { break },
                    () = sleep_until(next) => proposer.propose_next().await,
                }
            }
        };
        // A call under way is of no use to anybody after the end.
        ending.run_until_cancelled(run).await;
        Ok(())
    });
    proposals
}

/// Until this time; for ever without one.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A block to be proposed.
struct Waiting {
    shape: Shape,
    shared: Arc<JobTemplate>,
    job_id: u32,
    due: Instant,
}

struct Proposer {
    daemons: Daemons,
    extranonce2_size: usize,
    metrics: Arc<Metrics>,
    proposals: Proposals,
    proposed: Proposed,
    waiting: VecDeque<Waiting>,
    tip: u64,
    started: Instant,
}

impl Proposer {
    /// Lets those blocks of an offer wait whose shape is due.
    fn take(&mut self, offer: &Offer, now: Instant) {
        if offer.tip != self.tip {
            // Nothing can be said of a block that is not for the tip.
            self.tip = offer.tip;
            self.waiting.clear();
        }
        let now_ms = self.now_ms(now);
        for class in offer.classes() {
            let shape = Shape::of(&class.shared);
            let waits = self.waiting.iter().any(|waiting| waiting.shape == shape);
            if waits || self.waiting.len() >= WAITING_MAX || !self.proposed.is_due(shape, now_ms) {
                continue;
            }
            self.waiting.push_back(Waiting {
                shape,
                shared: Arc::clone(&class.shared),
                job_id: offer.job_id,
                due: now + AFTER_OFFER,
            });
        }
    }

    async fn propose_next(&mut self) {
        let Some(Waiting {
            shape,
            shared,
            job_id,
            ..
        }) = self.waiting.pop_front()
        else {
            return;
        };
        let extranonce2_size = self.extranonce2_size;
        // Megabytes of text, made where no connection waits.
        let made = tokio::task::spawn_blocking(move || {
            shared.unsolved_block_hex(job_id, &vec![0; extranonce2_size])
        });
        let Ok(block) = made.await else { return };
        let now_ms = self.now_ms(Instant::now());
        self.proposed.note(shape, now_ms);
        let answer = self.daemons.propose(&block).await;
        self.judge(shape, answer);
    }

    fn judge(&mut self, shape: Shape, answer: Result<Proposal, Unanswered>) {
        match answer {
            Ok(Proposal::Good) => {
                self.metrics.proposals.inc();
                debug!(%shape, "the daemon would take such a block");
                if self.proposals.lock().remove(&shape).is_some() {
                    info!(%shape, "the daemon would take such a block again");
                }
            }
            Ok(Proposal::Bad(reason)) => {
                self.metrics.proposals.inc();
                self.metrics.proposals_refused.inc();
                error!(%shape, reason, "the daemon would refuse such a block");
                let mut refused = self.proposals.lock();
                if refused.len() < REFUSED_MAX || refused.contains_key(&shape) {
                    refused.insert(shape, reason);
                }
            }
            // The tip moved meanwhile.
            Ok(Proposal::Stale) | Err(Unanswered::NoneFit) => self.proposed.forget(shape),
            // Old daemons do not know the question; one that is down is told of elsewhere.
            Err(Unanswered::Call(failure)) => debug!(%shape, %failure, "no block was checked"),
        }
    }

    fn now_ms(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.started).as_millis();
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use mining::{Coin, Network, device::CoinbaseClass};

    use super::*;
    use crate::daemon::{CallError, Config, FirstBlock, start as start_daemons};

    fn shape(class: CoinbaseClass) -> Shape {
        Shape {
            class,
            has_transactions: true,
            outputs: 1,
            has_commitment: true,
        }
    }

    #[tokio::test]
    async fn a39_a_refusal_is_told_until_that_shape_is_good() {
        let (tasks, _failures) = Tasks::new();
        let bitcoin: &'static Coin = "bitcoin".parse().unwrap();
        let (configs, folder) = (vec![Config::at("http://127.0.0.1:1")], "blocks".into());
        let any = FirstBlock::any();
        let (daemons, _feed) =
            start_daemons(configs, bitcoin, Network::Regtest, "", folder, any, &tasks).unwrap();
        let mut proposer = Proposer {
            daemons,
            extranonce2_size: 8,
            metrics: Arc::new(Metrics::new("main", "bitcoin")),
            proposals: Proposals::default(),
            proposed: Proposed::default(),
            waiting: VecDeque::new(),
            tip: 0,
            started: Instant::now(),
        };
        let (stock, toy) = (shape(CoinbaseClass::Stock), shape(CoinbaseClass::Toy));
        let proposals = proposer.proposals.clone();
        let refused = || proposals.refused();
        proposer.judge(stock, Ok(Proposal::Bad("bad-cb-amount".into())));
        let told = vec![(stock, "bad-cb-amount".to_owned())];
        assert_eq!(refused(), told);
        // None of these says anything of that shape.
        proposer.judge(toy, Ok(Proposal::Good));
        proposer.judge(stock, Ok(Proposal::Stale));
        proposer.judge(stock, Err(Unanswered::NoneFit));
        let failure = CallError::Rpc {
            code: -8,
            message: "Invalid mode".into(),
        };
        proposer.judge(stock, Err(failure.into()));
        assert_eq!(refused(), told);
        // Another reason takes the place of the first.
        proposer.judge(stock, Ok(Proposal::Bad("bad-blk-weight".into())));
        assert_eq!(refused(), [(stock, "bad-blk-weight".to_owned())]);
        proposer.judge(stock, Ok(Proposal::Good));
        assert_eq!(refused(), []);
        let metrics = &proposer.metrics;
        let counted = (metrics.proposals.get(), metrics.proposals_refused.get());
        assert_eq!(counted, (4, 2));
        tasks.shut_down().await;
    }
}
