//! The workers of one connection, whatever dialect they speak.

use std::sync::{Arc, atomic::Ordering};

use mining::{
    Difficulty, Share,
    bucket::{Ceiling, Rate},
    username::Username,
};
use store::{FoundBlock, ShareRecord, WorkerName};

use super::Context;
use crate::{kept_sessions::LeftWorker, mailbox::Mailbox, sessions, share_log::Entry};

/// Workers of one connection; a proxy with more opens another.
const WORKERS_MAX: usize = 128;

#[derive(Default)]
pub(crate) struct Workers(Vec<Worker>);

pub(crate) struct Worker {
    /// The name as the miner writes it.
    user: String,
    pub(crate) name: Arc<WorkerName>,
    pub(crate) entry: sessions::Entry,
    ceiling: Ceiling,
}

impl Workers {
    /// Nearly all connections have one.
    pub(crate) fn with_room_for_one() -> Self {
        Self(Vec::with_capacity(1))
    }

    /// Adds a worker, who was told this difficulty; false if there are too many. The same name again
    /// changes nothing.
    pub(crate) fn add(
        &mut self,
        user: &str,
        entry: sessions::Entry,
        told: Option<Difficulty>,
        context: &Context,
    ) -> bool {
        if self.place(user).is_some() {
            return true;
        }
        if self.0.len() >= WORKERS_MAX {
            return false;
        }
        if let Some(told) = told {
            entry.set_difficulty(told);
        }
        let Username { address, worker } = &entry.worker;
        let name = WorkerName::new(address.as_str(), worker)
            .expect("a parsed address and name are short and have no controls");
        self.0.push(Worker {
            user: user.to_owned(),
            name: Arc::new(name),
            entry,
            ceiling: Ceiling::new(context.rules.shares_per_second, 0),
        });
        true
    }

    /// Where the worker of this name is.
    pub(crate) fn place(&self, user: &str) -> Option<usize> {
        self.0.iter().position(|worker| worker.user == user)
    }

    pub(crate) fn first(&self) -> &Username {
        &self.0[0].entry.worker
    }

    pub(crate) fn at(&self, place: usize) -> &Worker {
        &self.0[place]
    }

    /// All of them are told a difficulty.
    pub(crate) fn set_difficulty(&self, told: Difficulty) {
        for worker in &self.0 {
            worker.entry.set_difficulty(told);
        }
    }

    /// Counts a good share; only those count: for others there are bans.
    pub(crate) fn count(&mut self, place: usize, ms: u64) -> Rate {
        self.0[place].ceiling.share(ms)
    }

    /// Who works here, for the next run.
    pub(crate) fn left(&self) -> Vec<LeftWorker> {
        let left = |worker: &Worker| LeftWorker {
            user: worker.user.clone(),
            address: worker.entry.worker.address.as_str().to_owned(),
            worker: worker.entry.worker.worker.clone(),
        };
        self.0.iter().map(left).collect()
    }
}

impl Worker {
    /// A good share of this worker, for the log.
    pub(crate) fn entry_of(
        &self,
        share: &Share,
        block: Option<Arc<FoundBlock>>,
        now_ms: i64,
        context: &Context,
        mailbox: &Arc<Mailbox>,
    ) -> Entry {
        self.entry.last_share_ms.store(now_ms, Ordering::Relaxed);
        Entry {
            share: ShareRecord::new(share.hash(), share.work(), share.height(), now_ms)
                .expect("no difficulty asks for more work than fits"),
            worker: Arc::clone(&self.name),
            scheme: context.rules.scheme,
            block,
            mailbox: Arc::clone(mailbox),
        }
    }
}
