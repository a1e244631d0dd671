//! What each worker of a port would be credited, were the block that is mined found now. Made for all of them at
//! once, and kept: it reads the work that counts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use mining::{Amount, Scheme, Work, accounting::apportion};
use store::WorkerName;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tracing::debug;

use super::kept::Kept;
use crate::{
    accounting::{Accounting, WorkerCredits},
    metrics::Metrics,
    tasks::Tasks,
    template_feed::Newest,
};

/// So long it is kept at least.
const LASTS: Duration = Duration::from_secs(5);
/// So long at most, also where a clock has jumped meanwhile.
const LASTS_MAX: Duration = Duration::from_secs(60);
/// It takes no more than one part of time in so many.
const TIMES: u32 = 20;
/// What could not be told is tried again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Nobody waits longer for it; it is made to its end all the same.
const WITHIN: Duration = Duration::from_secs(2);

/// What workers would be credited now.
pub(super) struct Estimates {
    accounting: Accounting,
    scheme: Scheme,
    newest: watch::Receiver<Newest>,
    /// Nothing in it where nobody can tell.
    kept: Kept<Option<Arc<Estimate>>>,
}

/// What they would be credited by one block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Estimate {
    tip: u64,
    credits: Credited,
}

#[derive(Debug, PartialEq, Eq)]
enum Credited {
    /// All of it to whoever finds it.
    Whole(Amount),
    /// To each worker its own, by `worker_id`.
    Parts(HashMap<String, Amount>),
}

/// A worker that is told.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) id: String,
    /// Who it is in the books, perhaps with others.
    pub(super) name: Arc<WorkerName>,
    /// What it has done since it registered.
    pub(super) work: Work,
}

impl Estimates {
    pub(super) fn new(
        accounting: Accounting,
        scheme: Scheme,
        newest: watch::Receiver<Newest>,
        tasks: &Tasks,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            accounting,
            scheme,
            newest,
            kept: Kept::new(tasks, metrics),
        }
    }

    /// One that is some seconds old at most; nothing if nobody can tell.
    pub(super) async fn get(&self, listed: impl FnOnce() -> Vec<Listed>) -> Option<Arc<Estimate>> {
        let tip = self.tip()?;
        let suits = |made: &Option<Arc<Estimate>>| is_of(made.as_ref(), tip);
        let made = self.kept.get(suits, || self.make(listed()));
        timeout(WITHIN, made).await.ok()??
    }

    /// The one that is kept, if it is of the block that is mined; and has it made anew where it is too old.
    pub(super) fn kept(&self, listed: impl FnOnce() -> Vec<Listed>) -> Option<Arc<Estimate>> {
        let tip = self.tip()?;
        let suits = |made: &Option<Arc<Estimate>>| is_of(made.as_ref(), tip);
        self.kept.renew(suits, || self.make(listed()));
        let made = self.kept.newest()?;
        made.filter(|made| made.tip == tip)
    }

    /// The block that is mined; nothing where no work waits for one, as shares are paid as they come.
    fn tip(&self) -> Option<u64> {
        match &*self.newest.borrow() {
            Newest::Offer(offer) if !self.scheme.pays_for_shares() => Some(offer.tip),
            _ => None,
        }
    }

    fn make(
        &self,
        listed: Vec<Listed>,
    ) -> impl Future<Output = (Option<Arc<Estimate>>, Duration)> + Send + 'static {
        let (accounting, scheme) = (self.accounting.clone(), self.scheme);
        let newest = self.newest.borrow().clone();
        async move {
            let Newest::Offer(offer) = newest else {
                return (None, AGAIN_AFTER);
            };
            let begun = Instant::now();
            let (reward, network) = (offer.template.value(), offer.template.network());
            let credits = match scheme {
                Scheme::Solo => Ok(Some(Credited::Whole(reward))),
                _ => accounting
                    .credits_now(scheme, reward, network)
                    .await
                    .map(|credits| Some(Credited::Parts(of_listed(&credits?, listed)))),
            };
            let credits = credits.unwrap_or_else(|cause| {
                // Whoever books blocks says so louder.
                debug!(
                    cause = format!("{cause:#}"),
                    "what work is worth is not known"
                );
                None
            });
            let least = if credits.is_some() {
                LASTS
            } else {
                AGAIN_AFTER
            };
            let tip = offer.tip;
            let made = credits.map(|credits| Arc::new(Estimate { tip, credits }));
            let takes = begun.elapsed().saturating_mul(TIMES);
            (made, takes.clamp(least, LASTS_MAX))
        }
    }
}

impl Estimate {
    /// What a worker would be credited; nothing if it has come since this was made.
    pub(super) fn of(&self, id: &str) -> Option<u64> {
        let amount = match &self.credits {
            Credited::Whole(reward) => Some(*reward),
            Credited::Parts(parts) => parts.get(id).copied(),
        };
        amount.map(Amount::units)
    }
}

/// What nobody can tell is not asked again because of another block.
fn is_of(made: Option<&Arc<Estimate>>, tip: u64) -> bool {
    made.is_none_or(|made| made.tip == tip)
}

/// What each of these workers is told. Where several are one in the books, what that one would be credited is split
/// by what they have done since they registered, to the unit; equally, if that is nothing.
fn of_listed(credits: &WorkerCredits, listed: Vec<Listed>) -> HashMap<String, Amount> {
    let mut by_name: BTreeMap<Arc<WorkerName>, Vec<Listed>> = BTreeMap::new();
    for worker in listed {
        by_name
            .entry(Arc::clone(&worker.name))
            .or_default()
            .push(worker);
    }
    let mut parts = HashMap::new();
    for (name, mut workers) in by_name {
        workers.sort_by(|one, other| one.id.cmp(&other.id));
        let credit = credits.get(&*name).copied().unwrap_or_default();
        let mut weights: Vec<u128> = workers.iter().map(|worker| worker.work.hashes()).collect();
        if weights.iter().all(|weight| *weight == 0) {
            weights.fill(1);
        }
        let Some(units) = apportion(credit.units().into(), &weights) else {
            continue;
        };
        for (worker, units) in workers.into_iter().zip(units) {
            let units = u64::try_from(units).expect("a part is not above the whole");
            parts.insert(worker.id, Amount::from_units(units));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str, name: &str, work: u128) -> Listed {
        Listed {
            id: id.to_owned(),
            name: Arc::new(WorkerName::new("address", name).unwrap()),
            work: Work::from_hashes(work),
        }
    }

    fn told(credit: u64, workers: &[(&str, &str, u128)]) -> Vec<(String, u64)> {
        let name = WorkerName::new("address", "rig").unwrap();
        let credits = WorkerCredits::from([(name, Amount::from_units(credit))]);
        let workers = workers
            .iter()
            .map(|(id, name, work)| listed(id, name, *work));
        let parts = of_listed(&credits, workers.collect());
        let mut parts: Vec<_> = parts
            .into_iter()
            .map(|(id, amount)| (id, amount.units()))
            .collect();
        parts.sort();
        parts
    }

    #[test]
    fn whoever_finds_a_block_of_its_own_is_told_all_of_it() {
        let estimate = |credits| Estimate { tip: 1, credits };
        let whole = estimate(Credited::Whole(Amount::from_units(50)));
        assert_eq!((whole.of("a"), whole.of("b")), (Some(50), Some(50)));
        let parts = HashMap::from([("a".to_owned(), Amount::from_units(50))]);
        let parts = estimate(Credited::Parts(parts));
        assert_eq!((parts.of("a"), parts.of("b")), (Some(50), None));
    }

    #[test]
    fn several_that_are_one_in_the_books_share_its_credit_to_the_unit() {
        let of = |id: &str, units| (id.to_owned(), units);
        assert_eq!(told(100, &[("a", "rig", 5)]), [of("a", 100)]);
        // By their work, and the unit that is left has one owner.
        let by_work = told(101, &[("b", "rig", 1), ("a", "rig", 1), ("c", "rig", 2)]);
        assert_eq!(by_work, [of("a", 25), of("b", 25), of("c", 51)]);
        // Of nobody anything is known: equally.
        let equally = told(101, &[("b", "rig", 0), ("a", "rig", 0)]);
        assert_eq!(equally, [of("a", 51), of("b", 50)]);
        // Somebody else has done nothing that counts.
        let other = told(100, &[("a", "rig", 0), ("b", "other", 9)]);
        assert_eq!(other, [of("a", 100), of("b", 0)]);
        assert_eq!(told(100, &[]), []);
        // A sum that 128 bits do not hold is not told.
        let much = told(100, &[("a", "rig", u128::MAX), ("b", "rig", 1)]);
        assert_eq!(much, []);
    }
}
