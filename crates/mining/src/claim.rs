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

    /// It was found false, or could not be looked at: whoever really finds it is not to be taken for a second
    /// one. Where it was not remembered there is nothing to forget, and another's share may be known by it.
    pub fn forget(&self, seen: &Seen) {
        if self.share.is_ok() {
            seen.forget(self.tip, &self.result);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(tip: u64, is_block: bool) -> Judged {
        Judged {
            tip,
            height: 7,
            is_block,
            is_share: true,
            work: Work::from_hashes(1),
        }
    }

    #[test]
    fn a_false_claim_that_was_not_remembered_forgets_nobody_s_share() {
        let (seen, result) = (Seen::default(), Hash([5; 32]));
        let check = |tip, is_block, now| Claim::check(result, judged(tip, is_block), now, &seen);
        let good = check(2, false, 2).unwrap();
        assert!(good.proven(2).is_ok());
        // As a block of the tip before, which is late and would be sent all the same.
        let late = check(1, true, 2).unwrap();
        assert_eq!(late.proven(2), Err(Reject::Stale));
        late.forget(&seen);
        assert_eq!(check(2, false, 2), Err(Reject::Duplicate));
        // One that is found false by itself may come again.
        good.forget(&seen);
        assert!(check(2, false, 2).is_ok());
    }

    #[test]
    fn a_claim_that_is_found_false_after_the_tip_has_moved_forgets_nothing_of_the_new_one() {
        let (seen, result) = (Seen::default(), Hash([5; 32]));
        let waits = Claim::check(result, judged(1, false), 1, &seen).unwrap();
        let good = Claim::check(result, judged(2, false), 2, &seen).unwrap();
        waits.forget(&seen);
        assert!(good.proven(2).is_ok());
        let again = Claim::check(result, judged(2, false), 2, &seen);
        assert_eq!(again, Err(Reject::Duplicate));
    }
}
