//! The jobs of a miner whose own node makes the blocks: what it was asked for, and what it brought.

use std::{collections::VecDeque, sync::Arc};

use mining::{
    bucket::{Bucket, Limit},
    coin::CryptoNoteRules,
    cryptonote::{
        Job, ViewKey,
        self_select::{Brought, Refused, Wanted},
    },
};

/// Jobs of one connection, each with a block of its own that may have 64 KiB. A new one comes every half
/// a minute, so this is some minutes; with a new tip all of them are over.
const JOBS_MAX: usize = 8;
/// Each costs a tenth of a millisecond to look at. XMRig brings one for each job, and one for each share
/// if it sends its blocks to its own node, too.
const TEMPLATES: Limit = Limit {
    per_second: 5,
    burst: 32,
};

/// What is known of one such miner.
pub(super) struct SelfSelect {
    key: Arc<ViewKey>,
    rules: &'static CryptoNoteRules,
    /// Oldest first.
    asked: VecDeque<Asked>,
    templates: Bucket,
}

struct Asked {
    wanted: Wanted,
    /// Nothing before the miner has brought a block.
    job: Option<Arc<Job>>,
    /// The job of the block that was brought before: its shares may be on their way.
    before: Option<Arc<Job>>,
}

/// Why what was brought is of no use.
pub(super) enum Useless {
    /// More than are looked at.
    TooMany,
    /// No job that may be answered.
    UnknownJob,
    /// It is not mined.
    Refused(Refused),
}

impl SelfSelect {
    pub(super) fn new(key: Arc<ViewKey>, rules: &'static CryptoNoteRules) -> Self {
        Self {
            key,
            rules,
            asked: VecDeque::new(),
            templates: Bucket::new(TEMPLATES, 0),
        }
    }

    /// Whom the blocks have to pay.
    pub(super) fn pool_wallet(&self) -> &str {
        self.key.address().as_str()
    }

    /// The miner is asked for a block.
    pub(super) fn ask(&mut self, wanted: Wanted) {
        if self.asked.len() == JOBS_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back(Asked {
            wanted,
            job: None,
            before: None,
        });
    }

    /// The newest job that was asked for.
    pub(super) fn newest(&self) -> u32 {
        self.asked.back().map_or(0, |asked| asked.wanted.id)
    }

    /// The job with this id, once its block is there; and what it was before another block was brought.
    pub(super) fn job(&self, id: u32) -> Option<(&Arc<Job>, Option<&Arc<Job>>)> {
        let asked = self
            .asked
            .iter()
            .rev()
            .find(|asked| asked.wanted.id == id)?;
        Some((asked.job.as_ref()?, asked.before.as_ref()))
    }

    /// Takes what was brought for a job. `tip` is the newest, `now_ms` of any clock.
    pub(super) fn take(
        &mut self,
        id: u32,
        brought: &Brought<'_>,
        tip: u64,
        now_ms: u64,
    ) -> Result<(), Useless> {
        if !self.templates.take(now_ms) {
            return Err(Useless::TooMany);
        }
        let asked = self.asked.iter_mut().find(|asked| asked.wanted.id == id);
        let asked = asked.ok_or(Useless::UnknownJob)?;
        let job = asked.wanted.job(brought, tip, &self.key, self.rules);
        let job = Arc::new(job.map_err(Useless::Refused)?);
        asked.before = asked.job.replace(job);
        Ok(())
    }
}
