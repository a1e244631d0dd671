//! The trees of days that are signed, kept for whoever asks next: they do not change any more, and to make
//! one anew reads a row for each miner, or for each 1,024 shares, of the day.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use mining::{
    date::Date,
    receipt::{Digest, Sum, Tree},
};
use store::AccountSum;

/// Of so many days. With 100 million shares and 100,000 miners a day has some 30 MB.
const DAYS: usize = 2;

/// What is kept of each kind.
#[derive(Default)]
pub(super) struct Trees {
    /// Above the chunks of a log.
    pub(super) chunks: Newest<Tree<Digest>>,
    /// Of the sums of miners.
    pub(super) sums: Newest<DaySums>,
}

/// What the miners of a day did, in the order of their accounts.
pub(super) struct DaySums {
    pub(super) list: Vec<AccountSum>,
    pub(super) tree: Tree<Sum>,
}

/// Those that were asked for last.
pub(super) struct Newest<T>(Mutex<VecDeque<(Date, Arc<T>)>>);

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Newest<T> {
    /// That of a day.
    pub(super) fn get(&self, date: Date) -> Option<Arc<T>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(of, _)| *of == date);
        found.map(|(_, tree)| Arc::clone(tree))
    }

    /// Keeps that of a day, instead of the one that was kept first.
    pub(super) fn keep(&self, date: Date, tree: T) -> Arc<T> {
        let tree = Arc::new(tree);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, _)| *of != date);
        kept.truncate(DAYS - 1);
        kept.push_front((date, Arc::clone(&tree)));
        tree
    }
}
