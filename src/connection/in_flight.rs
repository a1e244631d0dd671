//! The shares of one connection that wait for their commit, and what came of each.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use pow::Hash;
use wire::sv1::{Id, OwnedId};

use super::{Context, workers::Workers};
use crate::{
    bans::Tally,
    mailbox::{Mailbox, Outcome},
};

/// An idle miner keeps no more room than for this many shares in flight.
const PENDING_KEPT: usize = 4;

#[derive(Default)]
pub(super) struct InFlight {
    pending: VecDeque<Pending>,
    /// How many shares have been answered after their commit.
    answered: u64,
}

/// A share that waits for its commit.
struct Pending {
    id: OwnedId,
    hash: Hash,
    worker: usize,
}

impl InFlight {
    pub(super) fn count(&self) -> usize {
        self.pending.len()
    }

    /// A share goes to the log.
    pub(super) fn push(&mut self, id: Id<'_>, hash: Hash, worker: usize) {
        self.pending.push_back(Pending {
            id: id.to_owned(),
            hash,
            worker,
        });
    }

    /// Takes what was committed and has it answered: whether the share was stored.
    pub(super) fn take(
        &mut self,
        mailbox: &Mailbox,
        workers: &Workers,
        context: &Context,
        tally: &Arc<Tally>,
        mut answer: impl FnMut(Id<'_>, bool),
    ) {
        for outcome in mailbox.answers(self.answered) {
            self.answered += 1;
            let Some(pending) = self.pending.pop_front() else {
                return;
            };
            match outcome {
                Outcome::Accepted => {
                    let session = &workers.at(pending.worker).entry;
                    session.accepted.fetch_add(1, Ordering::Relaxed);
                    context.metrics.accepted.inc();
                    tally.valid();
                    answer(pending.id.as_id(), true);
                }
                Outcome::Failed | Outcome::Unknown => {
                    if outcome == Outcome::Failed {
                        // Forgotten, so that the same share is welcome again.
                        context.seen.remove(&pending.hash);
                    }
                    context.metrics.not_stored.inc();
                    answer(pending.id.as_id(), false);
                }
            }
        }
        if self.pending.is_empty() && self.pending.capacity() > PENDING_KEPT {
            self.pending = VecDeque::new();
        }
    }
}
