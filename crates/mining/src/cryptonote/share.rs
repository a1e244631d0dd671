//! Judging a share of this family, in two steps: what costs nothing first ([`check`]), then, when
//! somebody has hashed the blob, what is left ([`Claim::proven`]).
//!
//! A miner says what the hash is, and a hash takes milliseconds; so what it says is held against the job
//! before anything is hashed, and what turns out to be another hash was a lie.

use pow::{
    Hash,
    randomx::{Variant, commitment},
};

use super::{Job, block::Nonce};
use crate::{
    Share,
    claim::{self, Judged},
    seen::Seen,
    share::Reject,
};

/// What a miner sends, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission {
    /// In the order of the blob.
    pub nonce: Nonce,
    /// What meets the target, says the miner.
    pub result: Hash,
    /// Where that is a commitment, what the hash is, says the miner.
    pub commitment: Option<Hash>,
}

/// A share that is good if its hash is what the miner says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What is hashed.
    pub blob: Vec<u8>,
    /// What meets the target.
    pub result: Hash,
    /// What the hash should be: the same, unless the variant has commitments.
    pub hash: Hash,
    /// The nonce, for the block.
    pub nonce: Nonce,
    /// Whether it would be a block. Nothing but its hash can keep one from the daemons.
    pub is_block: bool,
    claim: claim::Claim,
}

/// Checks what costs nothing. A claim is remembered as seen from here on; whoever finds it false
/// forgets it again.
///
/// A block is a share, too: a share's target is never harder than the network's.
pub fn check(job: &Job, submission: &Submission, tip: u64, seen: &Seen) -> Result<Claim, Reject> {
    let Submission { nonce, result, .. } = *submission;
    let blob = job.blob_with(nonce);
    let variant = job.template.variant();
    let hash = hash_of(variant, &blob, submission).ok_or(Reject::WrongResult)?;
    let judged = Judged {
        tip: job.tip,
        height: job.template.height(),
        is_block: job.template.target().is_met_by(&result),
        is_share: job.target.is_met_by(&result),
        work: job.target.work(),
    };
    let claim = claim::Claim::check(result, judged, tip, seen)?;
    Ok(Claim {
        blob,
        result,
        hash,
        nonce,
        is_block: claim.is_block,
        claim,
    })
}

/// The hash that a submission stands for; nothing if its commitment is to another one, or is not there. That costs
/// a hundred thousandth of what the hash does.
fn hash_of(variant: Variant, blob: &[u8], submission: &Submission) -> Option<Hash> {
    if !variant.has_commitment() {
        return Some(submission.result);
    }
    let hash = submission.commitment?;
    (commitment(blob, &hash) == submission.result).then_some(hash)
}

impl Claim {
    /// It was found false, or could not be looked at: what was remembered of it is forgotten.
    pub fn forget(&self, seen: &Seen) {
        self.claim.forget(seen);
    }

    /// The share, once its hash was found to be what was claimed. `tip` is that of the moment: what was
    /// overtaken by another block while it waited is refused, as it would have been before.
    pub fn proven(&self, tip: u64) -> Result<Share, Reject> {
        self.claim.proven(tip)
    }
}

#[cfg(test)]
mod tests;
