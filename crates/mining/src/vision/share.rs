//! Judging a share of this family before it is hashed.

use pow::Hash;

use super::Job;
use crate::{
    Target, Work,
    claim::{Claim, Judged},
    seen::Seen,
    share::Reject,
};

/// Checks what costs nothing of a result that a miner claims for some nonce.
pub fn check(job: &Job, result: Hash, tip: u64, seen: &Seen) -> Result<Claim, Reject> {
    let template = job.template();
    let judged = Judged {
        tip: job.work.tip,
        height: template.body().height,
        is_block: template.body().target.is_met_by(&result),
        is_share: job.target.is_met_by(&result),
        work: worth(job, &result),
    };
    Claim::check(result, judged, tip, seen)
}

/// The difficulty of the job: its target is rounded, and says up to one hash less. A hash that is just on the target,
/// of which there is one in many quadrillions, is not worth more than itself.
fn worth(job: &Job, result: &Hash) -> Work {
    let whole = Work::from_hashes(job.difficulty().get().into());
    // A hash below 2^128 is worth more than any difficulty.
    let own = Target::from_bytes(result.to_display_bytes());
    own.map_or(whole, |own| whole.min(own.work()))
}
