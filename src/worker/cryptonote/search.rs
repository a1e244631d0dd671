//! What a thread hashes blobs with: a virtual machine of its own, and the nonces that it has taken.

use std::{ops::Range, sync::Arc};

use pow::randomx::{Memory, Pages, Vm};
use tokio::sync::watch;

use super::job::{Found, Job};
use crate::worker::dialect::{Hasher, Step};

/// One thread's.
pub(in crate::worker) struct Searcher {
    /// What can be hashed with, and nothing that is to go.
    prepared: watch::Receiver<Vec<Memory>>,
    pages: Pages,
    machine: Option<Vm>,
    search: Option<(Arc<Job>, Range<u64>)>,
}

impl Searcher {
    pub(super) fn new(prepared: watch::Receiver<Vec<Memory>>, pages: Pages) -> Self {
        Self {
            prepared,
            pages,
            machine: None,
            search: None,
        }
    }
}

impl Hasher for Searcher {
    type Job = Job;
    type Found = Found;

    fn begin(&mut self, job: Arc<Job>) {
        self.search = Some((job, 0..0));
    }

    fn advance(&mut self) -> Step<Found> {
        // Whatever has changed: what the machine reads may have to go, or there is something faster.
        if self.prepared.has_changed().unwrap_or(true) {
            self.machine = None;
        }
        let Some((job, nonces)) = &mut self.search else {
            return Step::Wait;
        };
        if nonces.is_empty() {
            *nonces = job.take_nonces();
        }
        let key = job.seed().0;
        let is_ready = |machine: &Vm| machine.memory().key() == key;
        if !self.machine.as_ref().is_some_and(is_ready) {
            let prepared = self.prepared.borrow_and_update();
            let memory = prepared.iter().find(|memory| memory.key() == key).cloned();
            drop(prepared);
            self.machine = None;
            let Some(memory) = memory else {
                return Step::Wait;
            };
            match Vm::new(memory, self.pages) {
                Ok(machine) => self.machine = Some(machine),
                Err(short) => return Step::Failed(short.into()),
            }
        }
        // Without a nonce left there is nothing to do before the next job.
        let (Some(machine), Some(number)) = (&mut self.machine, nonces.next()) else {
            return Step::Wait;
        };
        let nonce = job.nonce(number);
        let hash = machine.hash(&job.blob(nonce));
        Step::Hashed(1, Found::new(job, nonce, hash))
    }

    async fn woken(&mut self) {
        if self.prepared.changed().await.is_err() {
            // The worker is ending, and says so elsewhere.
            std::future::pending().await
        }
        // For the next look.
        self.prepared.mark_changed();
    }

    fn rest(&mut self) {
        self.machine = None;
    }
}
