//! What each worker of a pool has shown to those who verify, and what is believed for it: the state of
//! `mining::trust`, shared by all connections and kept as long as the process runs.
//!
//! A connection asks before it hands in a share, and tells what came of it. Of an account, all workers of
//! an address, one share at a time is a sample, and none is believed before that is verified: whoever
//! sends a hundred lies at once is caught by the same one as whoever sends them one by one. A [`Sample`]
//! that is lost, be it that its connection has gone or too many wait, costs its worker what it had shown.
//! Without a rule nothing is kept.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bitcoin::secp256k1::rand;
use mining::{
    Work,
    trust::{Check, Claim, Sampling, Trust},
};
use store::WorkerName;
use tracing::warn;

/// Accounts and workers that are kept, in all: some 20 MB. The account that was heard longest ago makes
/// room, and is as new when it comes again.
const RECORDS_MAX: usize = 65_536;
/// Workers of one account; further ones are always verified.
const OF_ACCOUNT_MAX: usize = 4_096;

/// What is known of the workers of a pool. Clones share it.
#[derive(Clone)]
pub struct Trusted(Arc<Shared>);

struct Shared {
    rule: Option<Sampling>,
    records_max: usize,
    believed: AtomicU64,
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    by_address: HashMap<Box<str>, Account>,
    /// Accounts and their workers.
    records: usize,
    /// Raised with each question.
    clock: u64,
}

#[derive(Default)]
struct Account {
    workers: HashMap<Box<str>, Trust>,
    /// What holds for workers that are not among those.
    others: Trust,
    /// A sample of it is being verified.
    is_sampled: bool,
    /// By the clock, when it was heard last.
    heard: u64,
}

/// What to do with a share.
#[derive(Debug)]
pub enum Asked {
    /// Verify it.
    Verify,
    /// Verify it, and keep this with it.
    Sample(Sample),
    /// Credit it as it is.
    Believe,
}

/// A share that the draw fell on. Dropped before it is [settled](Self::settle), it was lost.
#[must_use]
pub struct Sample {
    trusted: Trusted,
    who: Arc<WorkerName>,
    is_settled: bool,
}

/// What a rule means, for the operator.
pub fn told(rule: Sampling) -> String {
    let (after, least) = (rule.after(), rule.least());
    format!(
        "shares of a worker that has shown more than {after} good ones may be believed, and at least {least} of \
         1000 are verified: a liar can expect to win less than two parts in {after} of what it has shown"
    )
}

impl Trusted {
    pub(super) fn new(rule: Option<Sampling>) -> Self {
        Self::with_room(rule, RECORDS_MAX)
    }

    fn with_room(rule: Option<Sampling>, records_max: usize) -> Self {
        Self(Arc::new(Shared {
            rule,
            records_max,
            believed: AtomicU64::new(0),
            accounts: Mutex::default(),
        }))
    }

    /// What to do with a share that has passed all cheap checks.
    pub fn ask(&self, who: &Arc<WorkerName>, claim: Claim) -> Asked {
        if self.0.rule.is_none() {
            return Asked::Verify;
        }
        // Of a generator that nobody can foresee.
        let draw = rand::random();
        let mut accounts = self.accounts();
        let Some(account) = accounts.heard(who.address()) else {
            return Asked::Verify;
        };
        if account.is_sampled {
            return Asked::Verify;
        }
        match account.of(who.name()).check(self.0.rule, claim, draw) {
            Check::Verify => Asked::Verify,
            Check::Believe => {
                self.0.believed.fetch_add(1, Relaxed);
                Asked::Believe
            }
            Check::Sample => {
                account.is_sampled = true;
                Asked::Sample(Sample {
                    trusted: self.clone(),
                    who: Arc::clone(who),
                    is_settled: false,
                })
            }
        }
    }

    /// A share of this worker was verified, and was what it claimed.
    pub fn shown(&self, who: &WorkerName, work: Work) {
        if self.0.rule.is_none() {
            return;
        }
        let mut accounts = self.accounts();
        let is_known = accounts.heard(who.address()).is_some_and(|account| {
            let worker = account.workers.get_mut(who.name());
            worker.map(|worker| worker.verified(work)).is_some()
        });
        if is_known {
            return;
        }
        let records_max = self.0.records_max;
        // Nothing is to be remembered of whoever is doubted.
        if let Some(account) = accounts.with_room_for_one(who.address(), records_max)
            && account.others == Trust::default()
            && account.workers.len() < OF_ACCOUNT_MAX
        {
            let mut worker = Trust::default();
            worker.verified(work);
            account.workers.insert(who.name().into(), worker);
            accounts.records += 1;
        }
    }

    /// A share of this worker was verified, and was not what it claimed: nothing that its account says is
    /// believed any more.
    pub fn doubt(&self, who: &WorkerName) {
        if self.0.rule.is_none() {
            return;
        }
        let mut accounts = self.accounts();
        let is_known = accounts.by_address.contains_key(who.address());
        let account = match is_known {
            true => accounts.heard(who.address()),
            false => accounts.with_room_for_one(who.address(), self.0.records_max),
        };
        let Some(account) = account else {
            return;
        };
        let gone = account.workers.len();
        let before = account.others;
        account.workers.clear();
        account.others.doubt();
        let is_news = before != account.others;
        accounts.records -= gone;
        drop(accounts);
        if is_news {
            warn!(worker = %who, "a share was not what it claimed: all of its account are verified");
        }
    }

    /// Shares that were believed.
    pub(super) fn believed(&self) -> u64 {
        self.0.believed.load(Relaxed)
    }

    /// What this worker had shown is worth nothing any more, and a sample is over.
    fn lost(&self, who: &WorkerName) {
        let mut accounts = self.accounts();
        if let Some(account) = accounts.by_address.get_mut(who.address()) {
            account.is_sampled = false;
            if account.workers.remove(who.name()).is_some() {
                accounts.records -= 1;
            }
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        let accounts = self.0.accounts.lock();
        accounts.expect("nothing panics while holding this lock")
    }
}

impl Accounts {
    fn heard(&mut self, address: &str) -> Option<&mut Account> {
        self.clock += 1;
        let account = self.by_address.get_mut(address)?;
        account.heard = self.clock;
        Some(account)
    }

    /// The account, new or not, with room for one more worker; nothing if there is none to be made.
    fn with_room_for_one(&mut self, address: &str, records_max: usize) -> Option<&mut Account> {
        // Both may be new.
        while self.records + 2 > records_max {
            let others = self.by_address.iter();
            // Whose sample is on its way stays: it would be lost without anybody's knowing.
            let others = others.filter(|(other, it)| ***other != *address && !it.is_sampled);
            let longest_ago = others.min_by_key(|(_, account)| account.heard);
            let longest_ago = longest_ago.map(|(address, _)| address.clone())?;
            let gone = self.by_address.remove(&longest_ago)?;
            self.records -= 1 + gone.workers.len();
        }
        if !self.by_address.contains_key(address) {
            self.by_address.insert(address.into(), Account::default());
            self.records += 1;
        }
        self.heard(address)
    }
}

impl Account {
    fn of(&self, worker: &str) -> &Trust {
        self.workers.get(worker).unwrap_or(&self.others)
    }
}

impl Sample {
    /// It was verified. What came of it is to be told before.
    pub fn settle(mut self) {
        self.is_settled = true;
        let mut accounts = self.trusted.accounts();
        if let Some(account) = accounts.by_address.get_mut(self.who.address()) {
            account.is_sampled = false;
        }
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        if !self.is_settled {
            self.trusted.lost(&self.who);
        }
    }
}

impl std::fmt::Debug for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sample({})", self.who)
    }
}

#[cfg(test)]
mod tests;
