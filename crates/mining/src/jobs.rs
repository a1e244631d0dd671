//! The jobs one connection may still answer.

use std::{collections::VecDeque, sync::Arc};

use crate::{Job, cryptonote, vision};

/// How many jobs a connection may answer. With a new job every 30 seconds this is over half an
/// hour, longer than any device sits on a job; a job that is pushed out was replaced 64 times.
pub const JOBS_MAX: usize = 64;

/// How many jobs of earlier tips are kept: a block solved on one of them is still submitted.
pub const STALE_JOBS_MAX: usize = 8;

/// A job of any family.
pub trait Numbered {
    /// Unique in a run of the pool.
    fn id(&self) -> u32;
    /// The number of the tip that it is for.
    fn tip(&self) -> u64;
}

impl Numbered for Job {
    fn id(&self) -> u32 {
        self.id
    }

    fn tip(&self) -> u64 {
        self.shared.tip
    }
}

impl Numbered for Arc<cryptonote::Job> {
    fn id(&self) -> u32 {
        self.id
    }

    fn tip(&self) -> u64 {
        self.tip
    }
}

impl Numbered for Arc<vision::Job> {
    fn id(&self) -> u32 {
        self.id
    }

    fn tip(&self) -> u64 {
        self.work.tip
    }
}

/// The newest jobs of a connection, oldest first.
#[derive(Debug)]
pub struct Jobs<J = Job>(VecDeque<J>);

impl<J> Default for Jobs<J> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<J: Numbered> Jobs<J> {
    /// Remembers a job that was sent.
    pub fn push(&mut self, job: J) {
        let tip = job.tip();
        self.0.push_back(job);
        let stale = self.0.iter().take_while(|job| job.tip() != tip).count();
        let excess = self.0.len().saturating_sub(JOBS_MAX);
        self.0
            .drain(..excess.max(stale.saturating_sub(STALE_JOBS_MAX)));
    }

    /// The job with this id, if it may still be answered.
    pub fn get(&self, id: u32) -> Option<&J> {
        // A miner answers the newest job nearly always.
        self.0.iter().rev().find(|job| job.id() == id)
    }

    /// Forgets jobs of tips before this one, and with them their templates.
    pub fn forget_before(&mut self, tip: u64) {
        self.0.retain(|job| job.tip() >= tip);
        self.0.shrink_to_fit();
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &J> {
        self.0.iter()
    }

    /// The newest job.
    pub fn newest(&self) -> Option<&J> {
        self.0.back()
    }
}

#[cfg(test)]
mod tests {
    use pow::{Algorithm, Hash};

    use super::*;
    use crate::{
        Amount, Difficulty, Target, Template,
        coinbase::Payees,
        job::JobTemplate,
        template::{Room, TemplateKind, Transactions},
    };

    fn job(id: u32, tip: u64) -> Job {
        let template = Arc::new(Template {
            height: 1,
            version: 4,
            previous: Hash::default(),
            bits: 0x207f_ffff,
            target: Target::MAX,
            time: 0,
            min_time: 0,
            value: Amount::ZERO,
            fees: Amount::ZERO,
            witness_commitment: None,
            coinbase_flags: vec![],
            transactions: Transactions::default(),
            tail: String::new(),
            room: Room::EMPTY_BLOCK,
            kind: TemplateKind::Full,
        });
        let algorithm = Algorithm::Sha256d;
        let classes =
            JobTemplate::for_all_classes(&template, b"", &Payees::default(), 8, tip, algorithm);
        Job::new(id, Arc::clone(&classes.unwrap()[0]), Difficulty::ONE)
    }

    #[test]
    fn a14_all_jobs_of_a_tip_can_be_answered_up_to_the_limit() {
        let mut jobs = Jobs::default();
        for id in 0..100 {
            jobs.push(job(id, 1));
        }
        assert!(jobs.get(35).is_none());
        assert!((36..100).all(|id| jobs.get(id).is_some_and(|job| job.id == id)));
    }

    #[test]
    fn a14_a_few_jobs_of_earlier_tips_are_kept_for_the_block_they_may_solve() {
        let mut jobs = Jobs::default();
        for id in 0..20 {
            jobs.push(job(id, 1));
        }
        jobs.push(job(20, 2));
        assert!(jobs.get(11).is_none());
        assert!((12..=20).all(|id| jobs.get(id).is_some()));
        assert_eq!(jobs.newest().unwrap().id, 20);
        jobs.forget_before(2);
        assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [20]);
        jobs.forget_before(3);
        assert!(jobs.newest().is_none());
    }
}
