//! A blob's job as a pool of HTTP tells it.

use anyhow::Context as _;
use pow::{Hash, randomx::Seed};
use serde::Deserialize;
use wire::{
    cryptonote::{Notice, TargetBytes},
    hex,
};

use super::job::{Job, Terms};
use crate::worker::http::Told;

/// The most bytes of a blob: two versions, a time, a hash, a nonce, a root and a count have fewer.
const BLOB_MAX: usize = 512;

#[derive(Deserialize)]
struct Fields {
    blob: String,
    seed_hash: String,
    #[serde(default)]
    next_seed_hash: Option<String>,
}

/// The job, and the seed that will be needed after its own. An error is one that cannot be mined.
pub(super) fn job(told: &Told, before: Option<&Job>) -> anyhow::Result<(Job, Option<Seed>)> {
    let fields: Fields = told.read()?;
    let target: Hash = told.share_target().parse().context("share_target")?;
    let seed = |digits: &str| hex::array(digits).context("a seed");
    let next = fields.next_seed_hash.as_deref().map(seed).transpose()?;
    let notice = Notice {
        job_id: told.id().to_owned(),
        blob: hex::vec(&fields.blob, BLOB_MAX).context("blob")?,
        target: TargetBytes::Eight(bound(&target).to_le_bytes()),
        algorithm: None,
        height: None,
        seed_hash: Some(seed(&fields.seed_hash)?),
        next_seed_hash: next,
    };
    let terms = Terms {
        number: told.number(),
        is_nicehash: false,
    };
    Ok((Job::new(notice, terms, before)?, next.map(Seed)))
}

/// What the upper 64 bits of a hash are below that meets this target. Zero is no target.
fn bound(target: &Hash) -> u64 {
    let [a, b, c, upper] = target.limbs();
    match [a, b, c] {
        [u64::MAX, u64::MAX, u64::MAX] => upper.saturating_add(1),
        // The rest decides nothing but for one number in 2^64, which is left out.
        _ => upper,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use mining::{Target, cryptonote::ShareTarget};

    use super::*;

    #[test]
    fn a_target_of_256_bits_is_that_of_the_upper_64() {
        for difficulty in [1, 2, 3, 20, 1_000_003, u64::MAX] {
            let target = ShareTarget::new(NonZeroU64::new(difficulty).unwrap());
            let told = Target::below_upper_bits(target.bound()).to_string();
            assert_eq!(bound(&told.parse().unwrap()), target.bound().get());
        }
        let mut odd = Hash([0; 32]);
        odd.0[31] = 1;
        assert_eq!(bound(&odd), 1 << 56);
        assert_eq!(bound(&Hash([0; 32])), 0);
    }
}
