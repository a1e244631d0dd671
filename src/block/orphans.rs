//! Whether too many of the pool's last blocks are orphans, and how deep a block must be meanwhile before
//! it is paid for. Kept by `block`, which looks before it lets anything mature.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mining::{
    accounting::Percent,
    orphans::{LastBlocks, raised},
};
use tracing::{error, info};

use crate::metrics::Metrics;

/// When a block is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maturity {
    /// After so many confirmations, as a rule.
    pub confirmations: u32,
    /// The part of blocks that the network makes orphans of.
    pub orphan_rate: Percent,
}

/// What is known of orphans. Clones share it.
#[derive(Clone)]
pub(super) struct Orphans {
    usual: Maturity,
    metrics: Arc<Metrics>,
    /// The last blocks, while there are too many orphans among them.
    alarm: Arc<Mutex<Option<LastBlocks>>>,
}

impl Orphans {
    pub(super) fn new(usual: Maturity, metrics: Arc<Metrics>) -> Self {
        Self {
            usual,
            metrics,
            alarm: Arc::default(),
        }
    }

    /// Notes how the last blocks have fared, and tells it if that is new.
    pub(super) fn note(&self, last: LastBlocks) {
        let is_on = last.are_too_often_orphans(self.usual.orphan_rate);
        let before = std::mem::replace(&mut *self.lock(), is_on.then_some(last));
        self.metrics.orphan_alarm.set(is_on.into());
        let LastBlocks { blocks, orphans } = last;
        let confirmations = self.confirmations();
        match before {
            None if is_on => error!(
                orphans,
                blocks, confirmations, "too many blocks are orphans: they are paid for later"
            ),
            Some(_) if !is_on => info!(
                orphans,
                blocks, confirmations, "no more blocks are orphans than usual"
            ),
            _ => {}
        }
    }

    /// The confirmations after which a block is paid for now.
    pub(super) fn confirmations(&self) -> u32 {
        let usual = self.usual.confirmations;
        match *self.lock() {
            Some(_) => raised(usual),
            None => usual,
        }
    }

    /// The last blocks, while there are too many orphans among them.
    pub(super) fn alarm(&self) -> Option<LastBlocks> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<LastBlocks>> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a89_blocks_wait_for_as_long_as_too_many_are_orphans() {
        let usual = Maturity {
            confirmations: 100,
            orphan_rate: "1".parse().unwrap(),
        };
        let metrics = Arc::new(Metrics::new("main", "bitcoin"));
        let orphans = Orphans::new(usual, Arc::clone(&metrics));
        let note = |blocks, number| {
            let last = LastBlocks {
                blocks,
                orphans: number,
            };
            orphans.note(last);
            let alarm = orphans.alarm();
            assert!(alarm.is_none_or(|alarm| alarm == last));
            assert_eq!(metrics.orphan_alarm.get(), i64::from(alarm.is_some()));
            orphans.confirmations()
        };
        assert_eq!(note(2, 2), 100);
        assert_eq!(note(3, 3), 200);
        assert_eq!(note(21, 3), 200);
        assert_eq!(note(22, 3), 100);
    }
}
