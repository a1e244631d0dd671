//! What a miner claims of a share whose hash is costly: held against the job before anything is hashed, and
//! against the tip again once somebody has hashed it.
//!
//! A hash takes milliseconds, so the miner says what it is. What turns out to be another one was a lie.

use pow::Hash;

use crate::{
    Share, Work,
    seen::{Seen, Sighting},
    share::Reject,
};

/// What a job says of a result that is claimed for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    /// The job's own tip.
    pub(crate) tip: u64,
    /// The height of its block.
    pub(crate) height: u32,
    /// Whether the result meets the network's target.
    pub(crate) is_block: bool,
    /// Whether it meets the target that the miner was told.
    pub(crate) is_share: bool,
    /// What a share of the job is worth.
    pub(crate) work: Work,
}

/// A result that is good if it is what the miner says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What the hash should be.
    pub result: Hash,
    /// Whether it would be a block. Nothing but its hash can keep one from the daemons.
    pub is_block: bool,
    tip: u64,
    share: Result<Share, Reject>,
}

impl Claim {
    /// Checks what costs nothing. A claim is remembered as seen from here on; whoever finds it false
    /// forgets it again. `tip` is that of the moment.
    ///
    /// A block is a share, too: a share's target is never harder than the network's.
    pub(crate) fn check(
        result: Hash,
        judged: Judged,
        tip: u64,
        seen: &Seen,
    ) -> Result<Self, Reject> {
        let is_block = judged.is_block;
        let share = if judged.tip != tip {
            Err(Reject::Stale)
        } else if !judged.is_share && !is_block {
            // The bound of a share drops a remainder that the network's target has.
            Err(Reject::LowDifficulty)
        } else {
            match seen.insert(judged.tip, result) {
                Sighting::New => Ok(Share::proven(result, judged.work, judged.height)),
                // A block that was seen before is with the daemons.
                Sighting::Duplicate => return Err(Reject::Duplicate),
                Sighting::Stale => Err(Reject::Stale),
                Sighting::Full => Err(Reject::TooMany),
            }
        };
        match share {
            Err(reject) if !is_block => Err(reject),
            share => Ok(Self {
                result,
                is_block,
                tip: judged.tip,
                share,
            }),
        }
    }

    /// The share, once its hash was found to be what was claimed. `tip` is that of the moment: what was
    /// overtaken by another block while it waited is refused, as it would have been before.
    pub fn proven(&self, tip: u64) -> Result<Share, Reject> {
        match self.tip == tip {
            true => self.share,
            false => Err(Reject::Stale),
        }
    }
}
