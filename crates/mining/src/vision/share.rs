//! Judging a share of this family before it is hashed.

use pow::Hash;

use super::Job;
use crate::{
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
        work: job.target.work(),
    };
    Claim::check(result, judged, tip, seen)
}
