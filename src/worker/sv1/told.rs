//! A header's job as a pool of HTTP tells it.

use anyhow::{Context as _, ensure};
use mining::{Difficulty, Target};
use pow::Hash;
use serde::Deserialize;
use wire::{
    hex,
    sv1::{Notify, Subscribed, Work},
};

use super::job::{Job, Terms};
use crate::worker::{algorithm::Algorithm, http::Told};

/// The most bytes of either half of a coinbase.
const COINBASE_MAX: usize = 32 * 1024;
/// The most siblings above a coinbase: a block has fewer than 2^24 transactions.
const BRANCH_MAX: usize = 24;
/// The most bytes of an extranonce2 that stands for a number.
const EXTRANONCE2_MAX: usize = 8;

#[derive(Deserialize)]
struct Fields {
    version: u32,
    prev_hash: Hash,
    bits: String,
    ntime: u32,
    coinbase1: String,
    coinbase2: String,
    extranonce2_size: usize,
    merkle_branch: Vec<String>,
    extra_nonce_start: u32,
    extra_nonce_end: u32,
}

/// The job. An error is one that cannot be mined.
pub(super) fn job(told: &Told) -> anyhow::Result<Job> {
    let fields: Fields = told.read()?;
    let Algorithm::Header(algorithm) = told.algorithm()? else {
        anyhow::bail!("it is not of a header");
    };
    let target = Target::from_hex(told.share_target()).context("share_target")?;
    let size = fields.extranonce2_size;
    ensure!(
        (1..=EXTRANONCE2_MAX).contains(&size),
        "an extranonce2 of {size} bytes"
    );
    let range = fields.extra_nonce_start..fields.extra_nonce_end;
    ensure!(!range.is_empty(), "no extra nonces");
    ensure!(
        fields.merkle_branch.len() <= BRANCH_MAX,
        "a branch of {} hashes",
        fields.merkle_branch.len()
    );
    let half = |digits: &str| hex::vec(digits, COINBASE_MAX).context("a coinbase");
    let branch = fields.merkle_branch.iter().map(|hash| hex::array(hash));
    let notify = Notify {
        job_id: told.id().to_owned(),
        work: Work {
            previous_block: fields.prev_hash.0,
            coinbase1: half(&fields.coinbase1)?,
            coinbase2: half(&fields.coinbase2)?,
            branch: branch.collect::<Option<_>>().context("merkle_branch")?,
            version: fields.version,
            bits: hex::u32_padded(&fields.bits).context("bits")?,
            ntime: fields.ntime,
        },
        clean: false,
    };
    let terms = Terms {
        subscribed: Subscribed {
            extranonce1: Vec::new(),
            extranonce2_size: size,
        },
        version_mask: None,
        difficulty: Difficulty::ONE,
    };
    Ok(Job::new(notify, told.number(), algorithm, terms).over_http(target, range))
}
