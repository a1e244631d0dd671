//! A job of any coin, as a worker of HTTP is told, and what each makes of a share.

use std::sync::Arc;

use mining::{
    Difficulty, Job, Share, Target,
    claim::Claim,
    cryptonote::{self, ShareTarget},
    device::CoinbaseClass,
    extranonce::Prefix,
    job::JobTemplate,
    jobs::Numbered,
    nonce_range::NonceRange,
    seen::Seen,
    share::{self, Reject, Solved, validate},
    vision,
};
use pow::Hash;
use serde::Serialize;
use wire::work::Written;

use super::refused::Refused;
use crate::{connection::Context, template_feed::Offer, verifier};

/// What jobs of one offer are made of.
#[derive(Clone, Debug)]
pub(super) enum AnyWork {
    Bitcoin(Arc<JobTemplate>),
    /// With the number of its tip.
    CryptoNote(Arc<cryptonote::Template>, u64),
    Vision(Arc<vision::Work>),
}

/// A job.
#[derive(Clone)]
pub(super) enum AnyJob {
    Bitcoin(Box<Job>),
    CryptoNote(Arc<cryptonote::Job>),
    Vision(Arc<vision::Job>),
}

/// What is known of a share before anything costly is hashed.
pub(super) enum Judged {
    /// All of it.
    Proven {
        block: Option<Solved>,
        share: Result<Share, Reject>,
    },
    /// What the worker says of it.
    Claimed {
        claim: AnyClaim,
        to_verify: verifier::Job,
    },
}

impl Judged {
    /// Whether it is a block that was not sent before, as far as that is known.
    pub(super) fn may_be_block(&self) -> bool {
        match self {
            Self::Proven { block, share } => {
                block.is_some() && !matches!(share, Err(Reject::Duplicate))
            }
            Self::Claimed { claim, .. } => claim.is_block(),
        }
    }

    /// It is not looked at any further, and may come again; why it is none, if that is known.
    pub(super) fn forget(&self, seen: &Seen) -> Option<Reject> {
        match self {
            Self::Proven {
                share: Ok(share), ..
            } => {
                seen.remove(&share.hash());
                None
            }
            Self::Proven {
                share: Err(reject), ..
            } => Some(*reject),
            Self::Claimed { claim, .. } => {
                claim.forget(seen);
                None
            }
        }
    }
}

/// What a worker says of a share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) nonce: u64,
    pub(super) extra_nonce: u32,
    pub(super) hash: Written,
    pub(super) ntime: Option<u32>,
    pub(super) commitment: Option<Written>,
}

impl Sent {
    /// The hash that is printed as this one is written: most are, from their last byte to the first.
    fn printed(&self) -> Hash {
        Hash(self.hash.reversed())
    }
}

/// A claim of either costly hash.
pub(super) enum AnyClaim {
    CryptoNote(cryptonote::share::Claim),
    Vision { claim: Claim, nonce: u64 },
}

/// Why nothing is judged any further.
pub(super) enum NotJudged {
    /// The share is refused, and counted.
    Reject(Reject),
    /// It is not one of this coin's.
    Malformed(Refused),
}

impl From<Reject> for NotJudged {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl From<Refused> for NotJudged {
    fn from(refused: Refused) -> Self {
        Self::Malformed(refused)
    }
}

/// What a share is judged by besides its job.
pub(super) struct Rules<'a> {
    pub(super) prefix: &'a Prefix,
    pub(super) range: &'a NonceRange,
    pub(super) extranonce2_size: usize,
    pub(super) tip: u64,
    /// Seconds since 1970.
    pub(super) now: u32,
    pub(super) seen: &'a Seen,
}

impl Numbered for AnyJob {
    fn id(&self) -> u32 {
        match self {
            Self::Bitcoin(job) => job.id,
            Self::CryptoNote(job) => job.id,
            Self::Vision(job) => job.id,
        }
    }

    fn tip(&self) -> u64 {
        match self {
            Self::Bitcoin(job) => job.shared.tip,
            Self::CryptoNote(job) => job.tip,
            Self::Vision(job) => job.work.tip,
        }
    }
}

impl AnyWork {
    /// What everybody's jobs are made of; nothing where the offer has no work of this kind.
    pub(super) fn of(offer: &Offer) -> Option<Self> {
        if let Some(work) = offer.vision() {
            return Some(Self::Vision(Arc::clone(work)));
        }
        if let Some(template) = offer.template.cryptonote() {
            return Some(Self::CryptoNote(Arc::clone(template), offer.tip));
        }
        let class = offer.for_class(CoinbaseClass::Huge)?;
        Some(Self::Bitcoin(Arc::clone(&class.shared)))
    }
}

impl AnyJob {
    /// A job of this work; nothing where no job can be made of it.
    pub(super) fn new(
        id: u32,
        work: AnyWork,
        prefix: &Prefix,
        difficulty: Difficulty,
    ) -> Option<Self> {
        Some(match work {
            AnyWork::Vision(work) => {
                let job = vision::Job::new(id, work, prefix.bytes(), difficulty);
                Self::Vision(Arc::new(job))
            }
            AnyWork::CryptoNote(template, tip) => {
                let target = ShareTarget::of(difficulty);
                let job = cryptonote::Job::new(id, tip, template, prefix.bytes(), target);
                Self::CryptoNote(Arc::new(job.ok()?))
            }
            AnyWork::Bitcoin(shared) => Self::Bitcoin(Box::new(Job::new(id, shared, difficulty))),
        })
    }

    /// The height of its block.
    pub(super) fn height(&self) -> u32 {
        match self {
            Self::Bitcoin(job) => job.shared.template.height,
            Self::CryptoNote(job) => job.template.height(),
            Self::Vision(job) => job.template().body().height,
        }
    }

    /// How hard its shares are, in the terms of the coin.
    pub(super) fn difficulty(&self) -> Difficulty {
        match self {
            Self::Bitcoin(job) => job.difficulty,
            Self::CryptoNote(job) => whole(job.target.difficulty().get()),
            Self::Vision(job) => whole(job.difficulty().get()),
        }
    }

    /// Checks all that costs nothing, or no more than a header does. An error is a share that cannot even be judged.
    pub(super) fn check(&self, sent: &Sent, rules: &Rules<'_>) -> Result<Judged, NotJudged> {
        match self {
            Self::Bitcoin(job) => bitcoin(job, sent, rules),
            Self::CryptoNote(job) => {
                let nonce = u32::try_from(sent.nonce).map_err(|_| Refused::NonceTooLong)?;
                let submission = cryptonote::share::Submission {
                    nonce: nonce.to_le_bytes(),
                    result: Hash(sent.hash.0),
                    commitment: sent.commitment.map(|written| Hash(written.0)),
                };
                let claim = cryptonote::share::check(job, &submission, rules.tip, rules.seen)?;
                let (seed, is_block) = (job.seed(), claim.is_block);
                let to_verify = verifier::Job::new(seed, &claim.blob, claim.hash, is_block);
                Ok(Judged::Claimed {
                    to_verify: to_verify.map_err(|_| Refused::NoJob)?,
                    claim: AnyClaim::CryptoNote(claim),
                })
            }
            Self::Vision(job) => {
                let digest = sent.printed();
                let claim = vision::share::check(job, digest, rules.tip, rules.seen)?;
                let dataset = Arc::clone(job.template().dataset());
                let (message, nonce) = (job.message(), sent.nonce);
                Ok(Judged::Claimed {
                    to_verify: verifier::Job::visionx(
                        dataset,
                        message,
                        nonce,
                        digest,
                        claim.is_block,
                    ),
                    claim: AnyClaim::Vision { claim, nonce },
                })
            }
        }
    }
}

impl AnyClaim {
    /// It was found false, or could not be looked at: what was remembered of it is forgotten.
    pub(super) fn forget(&self, seen: &Seen) {
        match self {
            Self::CryptoNote(claim) => claim.forget(seen),
            Self::Vision { claim, .. } => claim.forget(seen),
        }
    }

    pub(super) fn is_block(&self) -> bool {
        match self {
            Self::CryptoNote(claim) => claim.is_block,
            Self::Vision { claim, .. } => claim.is_block,
        }
    }

    /// The share, once its hash is what was claimed.
    pub(super) fn proven(&self, tip: u64) -> Result<Share, Reject> {
        match self {
            Self::CryptoNote(claim) => claim.proven(tip),
            Self::Vision { claim, .. } => claim.proven(tip),
        }
    }
}

/// A header is hashed here and now; what the worker says of its hash must be true, too.
fn bitcoin(job: &Job, sent: &Sent, rules: &Rules<'_>) -> Result<Judged, NotJudged> {
    let nonce = u32::try_from(sent.nonce).map_err(|_| Refused::NonceTooLong)?;
    let template = &job.shared.template;
    let extranonce2 = extranonce2(sent.extra_nonce, rules);
    let submission = share::Submission {
        extranonce2: &extranonce2,
        ntime: sent.ntime.unwrap_or(template.time),
        nonce,
        version_bits: None,
    };
    let verdict = validate(
        job,
        &submission,
        &share::Rules {
            prefix: rules.prefix,
            extranonce2_size: rules.extranonce2_size,
            version_mask: 0,
            tip: rules.tip,
            now: rules.now,
            seen: rules.seen,
        },
    );
    if !rules.range.has(sent.extra_nonce) && verdict.block.is_none() {
        // Forgotten, as it was never asked for.
        if let Ok(share) = verdict.share {
            rules.seen.remove(&share.hash());
        }
        return Err(Refused::OutOfRange(rules.range.start(), rules.range.end()).into());
    }
    let is_forged = |share: Share| share.hash() != sent.printed();
    let share = match verdict.share {
        Ok(share) if is_forged(share) => {
            rules.seen.remove(&share.hash());
            Err(Reject::WrongResult)
        }
        share => share,
    };
    Ok(Judged::Proven {
        block: verdict.block,
        share,
    })
}

/// The extra nonce as it stands in the coinbase: big-endian, behind as many zeros as there is room for.
fn extranonce2(extra_nonce: u32, rules: &Rules<'_>) -> Vec<u8> {
    let bytes = u64::from(extra_nonce).to_be_bytes();
    let skipped = bytes.len().saturating_sub(rules.extranonce2_size);
    bytes[skipped..].to_vec()
}

/// What a worker is told: what older programs read, and behind it what they lack to hash for real.
#[derive(Serialize)]
pub(super) struct Told {
    job_id: String,
    height: u32,
    prev_hash: String,
    merkle_root: String,
    target: String,
    share_target: String,
    extra_nonce_start: u32,
    extra_nonce_end: u32,
    difficulty: u64,
    algorithm: &'static str,
    #[serde(flatten)]
    hashed: Hashed,
}

/// What is hashed, by algorithm.
#[derive(Serialize)]
#[serde(untagged)]
enum Hashed {
    Bitcoin {
        version: u32,
        bits: String,
        ntime: u32,
        coinbase1: String,
        coinbase2: String,
        extranonce2_size: usize,
        merkle_branch: Vec<String>,
    },
    CryptoNote {
        variant: &'static str,
        blob: String,
        seed_hash: String,
        next_seed_hash: Option<String>,
    },
    Vision {
        message: String,
        timestamp: u64,
        miner: String,
        epoch: u64,
        epoch_seed: String,
        #[serde(rename = "visionx")]
        figures: pow::visionx::Figures,
    },
}

impl Told {
    pub(super) fn new(
        job: &AnyJob,
        id: String,
        context: &Context,
        prefix: &Prefix,
        range: &NonceRange,
    ) -> Self {
        let (extra_nonce_start, extra_nonce_end) = (range.start(), range.end());
        let algorithm = context.coin.algorithm().name();
        match job {
            AnyJob::Bitcoin(job) => {
                let template = &job.shared.template;
                let coinbase = &job.shared.coinbase;
                let size = context.rules.extranonce2_size;
                let bytes = u64::from(extra_nonce_start).to_be_bytes();
                let first = &bytes[bytes.len().saturating_sub(size)..];
                let header = job.shared.header(job.id, prefix.bytes(), first, 0, 0, 0);
                let own = [&job.id.to_be_bytes()[..], &prefix.bytes()].concat();
                let branch = template.transactions.branch().hashes();
                Self {
                    job_id: id,
                    height: template.height,
                    prev_hash: template.previous.to_string(),
                    merkle_root: hex::encode(&header[36..68]),
                    target: template.target.to_string(),
                    share_target: job.target.to_string(),
                    extra_nonce_start,
                    extra_nonce_end,
                    difficulty: whole_difficulty(template.target, context),
                    algorithm,
                    hashed: Hashed::Bitcoin {
                        version: template.version,
                        bits: format!("{:08x}", template.bits),
                        ntime: template.time,
                        coinbase1: hex::encode([coinbase.prefix(), &own].concat()),
                        coinbase2: hex::encode(coinbase.suffix()),
                        extranonce2_size: size,
                        merkle_branch: branch.iter().map(hex::encode).collect(),
                    },
                }
            }
            AnyJob::CryptoNote(job) => {
                let template = &job.template;
                Self {
                    job_id: id,
                    height: template.height(),
                    prev_hash: template.previous().to_string(),
                    merkle_root: String::new(),
                    target: template.target().to_string(),
                    share_target: Target::below_upper_bits(job.target.bound()).to_string(),
                    extra_nonce_start,
                    extra_nonce_end,
                    difficulty: template.difficulty().get(),
                    algorithm,
                    hashed: Hashed::CryptoNote {
                        variant: template.variant().name(),
                        blob: hex::encode(job.blob()),
                        seed_hash: hex::encode(template.seed().0),
                        next_seed_hash: template.next_seed().map(|seed| hex::encode(seed.0)),
                    },
                }
            }
            AnyJob::Vision(job) => {
                let template = job.template();
                let header = job.header();
                Self {
                    job_id: id,
                    height: template.body().height,
                    prev_hash: header.parent.to_string(),
                    merkle_root: hex::encode(header.tx_root),
                    target: template.body().target.to_string(),
                    share_target: job.target.to_string(),
                    extra_nonce_start,
                    extra_nonce_end,
                    difficulty: template.difficulty().get(),
                    algorithm,
                    hashed: Hashed::Vision {
                        message: hex::encode(job.message()),
                        timestamp: header.timestamp,
                        miner: header.miner.as_str().to_owned(),
                        epoch: template.epoch(),
                        epoch_seed: hex::encode(template.seed().0),
                        figures: template.chain().params.figures(),
                    },
                }
            }
        }
    }
}

/// The network's difficulty without its fraction, and at least 1, as the field has no place for one.
fn whole_difficulty(target: Target, context: &Context) -> u64 {
    let one = Difficulty::ONE.target(context.coin.algorithm()).work();
    let times = target.work().hashes() / one.hashes().max(1);
    u64::try_from(times).unwrap_or(u64::MAX).max(1)
}

fn whole(hashes: u64) -> Difficulty {
    Difficulty::from_steps(u128::from(hashes) << 32)
}
