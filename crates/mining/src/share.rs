//! Judging a share. [`validate`] is pure and alone makes a [`Share`].
//!
//! The order is that of cost and of worth: what cannot be hashed is refused first; then the hash is
//! made, and whether it solves a block is decided before anything else, since no check of ours may
//! veto a block. Only then the share itself is judged.

use pow::Hash;

use crate::{
    Job, Template, Work,
    extranonce::Prefix,
    job::Header,
    seen::{Seen, Sighting},
};

/// How far headers may run ahead of the clock, in seconds: consensus allows two hours.
pub const NTIME_AHEAD_MAX_S: u32 = 7_200;

/// What a miner sends, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission<'a> {
    /// The miner's own part of the extranonce.
    pub extranonce2: &'a [u8],
    /// The header's time, in seconds since 1970.
    pub ntime: u32,
    /// The header's nonce.
    pub nonce: u32,
    /// The version bits that the miner rolled, if any (BIP310).
    pub version_bits: Option<u32>,
}

/// What a share is judged by besides its job.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The connection's extranonce1.
    pub prefix: &'a Prefix,
    /// The bytes that extranonce2 must have.
    pub extranonce2_size: usize,
    /// The version bits the miner may roll; zero if rolling was not agreed.
    pub version_mask: u32,
    /// The number of the newest tip.
    pub tip: u64,
    /// Seconds since 1970.
    pub now: u32,
    /// The shares seen before.
    pub seen: &'a Seen,
}

/// A proof of work at or below its job's target. Only [`validate`] makes one, and
/// [`cryptonote::share`](crate::cryptonote::share) where hashing is somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    hash: Hash,
    work: Work,
    height: u32,
}

/// A solved block, ready for the daemons.
#[derive(Clone, Debug)]
pub struct Solved {
    /// The block's id.
    pub id: Hash,
    /// The hash that is its proof of work, by which its share is known.
    pub proof: Hash,
    /// The header.
    pub header: Header,
    /// The whole block in hexadecimal.
    pub hex: String,
    /// The id of its coinbase transaction.
    pub coinbase_id: Hash,
}

/// What became of a submission.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// A block, whatever is thought of the share.
    pub block: Option<Solved>,
    /// The share, or why there is none.
    pub share: Result<Share, Reject>,
}

/// Why a share is refused. Each has the code and text that firmware and its dashboards know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reject {
    /// The job is not one of this connection's, or long gone.
    #[error("Job not found")]
    UnknownJob,
    /// The job's block was found by somebody.
    #[error("Stale")]
    Stale,
    /// This proof was sent before.
    #[error("Duplicate share")]
    Duplicate,
    /// The hash is above the job's target.
    #[error("Difficulty too low")]
    LowDifficulty,
    /// The time is before the template's earliest, or more than two hours ahead of both the clock
    /// and the template.
    #[error("Ntime out of range")]
    Ntime,
    /// Bits outside the agreed mask were rolled.
    #[error("Invalid version mask")]
    VersionMask,
    /// More shares came on this tip than can be told apart.
    #[error("Too many shares")]
    TooMany,
    /// extranonce2 has not the size that was told.
    #[error("Invalid nonce2 length")]
    Extranonce2Size,
    /// The hash is not the one that the miner says.
    #[error("Rejected share: invalid result")]
    WrongResult,
}

impl Reject {
    /// All of them, for counters.
    pub const ALL: [Self; 9] = [
        Self::UnknownJob,
        Self::Stale,
        Self::Duplicate,
        Self::LowDifficulty,
        Self::Ntime,
        Self::VersionMask,
        Self::Extranonce2Size,
        Self::TooMany,
        Self::WrongResult,
    ];

    /// Whether the share was wrong from the start, as honest devices seldom send: this counts
    /// towards a ban. One that came too late does not.
    pub fn is_invalid(self) -> bool {
        match self {
            Self::UnknownJob | Self::Stale | Self::TooMany => false,
            Self::Duplicate
            | Self::LowDifficulty
            | Self::Ntime
            | Self::VersionMask
            | Self::Extranonce2Size
            | Self::WrongResult => true,
        }
    }

    /// Stratum V1's error code.
    pub fn code(self) -> i32 {
        match self {
            Self::UnknownJob | Self::Stale => 21,
            Self::Duplicate => 22,
            Self::LowDifficulty => 23,
            Self::Ntime
            | Self::VersionMask
            | Self::Extranonce2Size
            | Self::TooMany
            | Self::WrongResult => 20,
        }
    }

    /// The name in metrics and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownJob => "unknown_job",
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::LowDifficulty => "low_difficulty",
            Self::Ntime => "ntime",
            Self::VersionMask => "version_mask",
            Self::Extranonce2Size => "extranonce2_size",
            Self::TooMany => "too_many",
            Self::WrongResult => "wrong_result",
        }
    }
}

impl Share {
    /// Of a hash that is not above its target.
    pub(crate) fn proven(hash: Hash, work: Work, height: u32) -> Self {
        Self { hash, work, height }
    }

    /// The proof's hash: its identity, whatever it was sent as.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The work of the job's target.
    pub fn work(&self) -> Work {
        self.work
    }

    /// The height of the block that was worked on.
    pub fn height(&self) -> u32 {
        self.height
    }
}

/// Judges a submission for `job`, which is one of the connection's. Allocates only for a block.
pub fn validate(job: &Job, submission: &Submission<'_>, rules: &Rules<'_>) -> Verdict {
    if submission.extranonce2.len() != rules.extranonce2_size {
        return Verdict {
            block: None,
            share: Err(Reject::Extranonce2Size),
        };
    }
    let shared = &job.shared;
    let template = &shared.template;
    let rolled = submission.version_bits.unwrap_or(0);
    let version = match submission.version_bits {
        // BIP310: the miner's bits take the place of the masked ones.
        Some(bits) => template.version & !rules.version_mask | bits,
        None => template.version,
    };
    let extranonce1 = rules.prefix.bytes();
    let header = shared.header(
        job.id,
        extranonce1,
        submission.extranonce2,
        version,
        submission.ntime,
        submission.nonce,
    );
    let hash = shared.algorithm.hash(&header);

    let block = template
        .target
        .is_met_by(&hash)
        .then(|| solved(job, &header, hash, extranonce1, submission.extranonce2));

    let share = if rolled & !rules.version_mask != 0 {
        Err(Reject::VersionMask)
    } else if !is_time_good(template, submission.ntime, rules.now) {
        Err(Reject::Ntime)
    } else if shared.tip != rules.tip {
        Err(Reject::Stale)
    } else if !job.target.is_met_by(&hash) {
        // Only what meets the target is remembered, so nothing that does not can be a duplicate.
        Err(Reject::LowDifficulty)
    } else {
        match rules.seen.insert(shared.tip, hash) {
            Sighting::New => Ok(Share {
                hash,
                work: job.target.work(),
                height: template.height,
            }),
            Sighting::Duplicate => Err(Reject::Duplicate),
            Sighting::Stale => Err(Reject::Stale),
            Sighting::Full => Err(Reject::TooMany),
        }
    };
    Verdict { block, share }
}

/// The daemon's clock has a say too: a pool whose own clock is slow must not refuse the very time
/// that its jobs bear.
fn is_time_good(template: &Template, ntime: u32, now: u32) -> bool {
    let latest = now.max(template.time).saturating_add(NTIME_AHEAD_MAX_S);
    (template.min_time..=latest).contains(&ntime)
}

fn solved(
    job: &Job,
    header: &Header,
    proof: Hash,
    extranonce1: [u8; 4],
    extranonce2: &[u8],
) -> Solved {
    let coinbase = &job.shared.coinbase;
    let transaction = coinbase.transaction(job.id, extranonce1, extranonce2);
    Solved {
        id: pow::sha256d(header),
        proof,
        header: *header,
        hex: job.shared.block_hex(header, &transaction),
        coinbase_id: coinbase.id(job.id, extranonce1, extranonce2),
    }
}

#[cfg(test)]
mod tests;
