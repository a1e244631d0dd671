//! Judging a share. [`validate`] is pure and alone makes a [`Share`].
//!
//! The order is that of cost and of worth: what cannot be hashed is refused first; then the hash is
//! made, and whether it solves a block is decided before anything else, since no check of ours may
//! veto a block. Only then the share itself is judged.

use pow::Hash;

use crate::{
    Job, Work,
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

/// A proof of work at or below its job's target. Only [`validate`] makes one.
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
    /// The time is before the template's earliest or more than two hours ahead.
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
}

impl Reject {
    /// All of them, for counters.
    pub const ALL: [Self; 8] = [
        Self::UnknownJob,
        Self::Stale,
        Self::Duplicate,
        Self::LowDifficulty,
        Self::Ntime,
        Self::VersionMask,
        Self::Extranonce2Size,
        Self::TooMany,
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
            | Self::Extranonce2Size => true,
        }
    }

    /// Stratum V1's error code.
    pub fn code(self) -> i32 {
        match self {
            Self::UnknownJob | Self::Stale => 21,
            Self::Duplicate => 22,
            Self::LowDifficulty => 23,
            Self::Ntime | Self::VersionMask | Self::Extranonce2Size | Self::TooMany => 20,
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
        }
    }
}

impl Share {
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
        .then(|| solved(job, &header, extranonce1, submission.extranonce2));

    let share = if rolled & !rules.version_mask != 0 {
        Err(Reject::VersionMask)
    } else if submission.ntime < template.min_time
        || submission.ntime > rules.now.saturating_add(NTIME_AHEAD_MAX_S)
    {
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

fn solved(job: &Job, header: &Header, extranonce1: [u8; 4], extranonce2: &[u8]) -> Solved {
    let coinbase = &job.shared.coinbase;
    let transaction = coinbase.transaction(job.id, extranonce1, extranonce2);
    Solved {
        id: pow::sha256d(header),
        header: *header,
        hex: job.shared.block_hex(header, &transaction),
        coinbase_id: coinbase.id(job.id, extranonce1, extranonce2),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bitcoin::consensus;
    use pow::Algorithm;

    use super::*;
    use crate::{
        Amount, Difficulty, Target, Template,
        coinbase::Payees,
        extranonce::Allocator,
        job::JobTemplate,
        template::{Room, TemplateKind, Transactions},
    };

    const MASK: u32 = 0x1fff_e000;
    const TIME: u32 = 1_700_000_000;

    struct Rig {
        job: Job,
        prefix: Prefix,
        seen: Seen,
    }

    impl Rig {
        /// A job whose blocks have these bits and whose shares have this difficulty.
        fn new(bits: u32, difficulty: Difficulty, algorithm: Algorithm) -> Self {
            let template = Arc::new(Template {
                height: 101,
                version: 0x2000_0000,
                previous: Hash([1; 32]),
                bits,
                target: Target::from_compact(bits).unwrap(),
                time: TIME,
                min_time: TIME - 600,
                value: Amount::from_units(2_500_000_000),
                fees: Amount::ZERO,
                witness_commitment: None,
                coinbase_flags: vec![],
                transactions: Transactions::default(),
                tail: String::new(),
                room: Room::EMPTY_BLOCK,
                kind: TemplateKind::Full,
            });
            let payees = Payees {
                outputs: vec![],
                keeper: vec![0x51],
            };
            let classes =
                JobTemplate::for_all_classes(&template, b"/t/", &payees, 8, 7, algorithm).unwrap();
            let allocator = Allocator::default();
            allocator.lease(0x0102_0304..0x0102_0305);
            let job = Job::new(9, Arc::clone(&classes[0]), difficulty);
            Self {
                job,
                prefix: allocator.allocate().unwrap(),
                seen: Seen::default(),
            }
        }

        /// Blocks are out of reach; one hash in 16 is a share.
        fn shares() -> Self {
            Self::new(0x1700_ffff, Difficulty::from_steps(16), Algorithm::Sha256d)
        }

        fn rules(&self) -> Rules<'_> {
            Rules {
                prefix: &self.prefix,
                extranonce2_size: 8,
                version_mask: MASK,
                tip: 7,
                now: TIME,
                seen: &self.seen,
            }
        }

        fn judge(&self, submission: Submission<'_>) -> Verdict {
            validate(&self.job, &submission, &self.rules())
        }

        /// The first nonce whose verdict is `wanted`, judged on a memory of its own.
        fn find(&self, submission: Submission<'static>, accepted: bool) -> Submission<'static> {
            (0..10_000)
                .map(|nonce| Submission {
                    nonce,
                    ..submission
                })
                .find(|submission| {
                    let seen = Seen::default();
                    let rules = Rules {
                        seen: &seen,
                        ..self.rules()
                    };
                    validate(&self.job, submission, &rules).share.is_ok() == accepted
                })
                .expect("one hash in 16 is a share")
        }
    }

    fn submission() -> Submission<'static> {
        Submission {
            extranonce2: &[0; 8],
            ntime: TIME,
            nonce: 0,
            version_bits: None,
        }
    }

    #[test]
    fn a01_a_share_is_credited_the_work_of_its_jobs_target_once() {
        let rig = Rig::shares();
        let good = rig.find(submission(), true);
        let share = rig.judge(good).share.unwrap();
        assert_eq!(share.work(), rig.job.target.work());
        assert_eq!(share.height(), 101);
        assert_eq!(rig.judge(good).share, Err(Reject::Duplicate));
        assert_eq!(rig.judge(good).share, Err(Reject::Duplicate));
    }

    #[test]
    fn a09_rolled_time_and_version_are_new_work() {
        let rig = Rig::shares();
        for submission in [
            submission(),
            Submission {
                ntime: TIME + 1,
                ..submission()
            },
            Submission {
                version_bits: Some(0x2000),
                ..submission()
            },
            Submission {
                version_bits: Some(MASK),
                ..submission()
            },
        ] {
            let good = rig.find(submission, true);
            rig.judge(good).share.unwrap();
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused_with_its_own_reason() {
        let rig = Rig::shares();
        #[track_caller]
        fn case(rig: &Rig, submission: Submission<'_>, expected: Reject) {
            assert_eq!(rig.judge(submission).share, Err(expected));
        }
        case(&rig, rig.find(submission(), false), Reject::LowDifficulty);
        for size in [0, 7, 9] {
            let extranonce2 = &[0; 9][..size];
            case(
                &rig,
                Submission {
                    extranonce2,
                    ..submission()
                },
                Reject::Extranonce2Size,
            );
        }
        let good = rig.find(submission(), true);
        let stale = validate(
            &rig.job,
            &good,
            &Rules {
                tip: 8,
                ..rig.rules()
            },
        );
        assert_eq!(stale.share, Err(Reject::Stale));
    }

    #[test]
    fn a23_version_bits_roll_within_the_mask_alone() {
        let rig = Rig::shares();
        let judged = |bits: u32, version_mask: u32| {
            let rolled = Submission {
                version_bits: Some(bits),
                ..submission()
            };
            let rules = Rules {
                version_mask,
                ..rig.rules()
            };
            validate(&rig.job, &rolled, &rules).share
        };
        for bit in (0..32).map(|shift| 1u32 << shift) {
            let refused = judged(bit, MASK) == Err(Reject::VersionMask);
            assert_eq!(refused, bit & MASK == 0, "{bit:08x}");
            assert_eq!(
                judged(bit, 0),
                Err(Reject::VersionMask),
                "{bit:08x} not agreed"
            );
        }
        for bits in [0x2000_0000, 0x1000, 0x8000_0000, 0x3fff_e000, u32::MAX] {
            assert_eq!(judged(bits, MASK), Err(Reject::VersionMask), "{bits:08x}");
        }
        for (bits, mask) in [(0, 0), (0, MASK), (MASK, MASK), (0x2000, 0x2000)] {
            assert_ne!(
                judged(bits, mask),
                Err(Reject::VersionMask),
                "{bits:08x} {mask:08x}"
            );
        }
    }

    #[test]
    fn a24_times_from_the_templates_earliest_to_two_hours_ahead() {
        let rig = Rig::shares();
        for (ntime, good) in [
            (0, false),
            (TIME - 601, false),
            (TIME - 600, true),
            (TIME + 7_200, true),
            (TIME + 7_201, false),
            (u32::MAX, false),
        ] {
            let timed = |nonce| Submission {
                ntime,
                nonce,
                ..submission()
            };
            // A proof with this time, so that nothing else is wrong with it.
            let shared = &rig.job.shared;
            let proof = (0..10_000)
                .find(|nonce| {
                    let extranonce1 = rig.prefix.bytes();
                    let version = shared.template.version;
                    let header = shared.header(9, extranonce1, &[0; 8], version, ntime, *nonce);
                    rig.job.target.is_met_by(&shared.algorithm.hash(&header))
                })
                .expect("one hash in 16 is a share");
            let share = rig.judge(timed(proof)).share;
            if good {
                assert!(share.is_ok(), "{ntime}: {share:?}");
            } else {
                assert_eq!(share, Err(Reject::Ntime), "{ntime}");
            }
        }
    }

    #[test]
    fn a24_the_pools_clock_does_not_lower_the_earliest_time() {
        let rig = Rig::shares();
        for now in [0, TIME - 100_000, TIME, u32::MAX] {
            let early = Submission {
                ntime: TIME - 601,
                ..submission()
            };
            let rules = Rules { now, ..rig.rules() };
            assert_eq!(validate(&rig.job, &early, &rules).share, Err(Reject::Ntime));
        }
    }

    #[test]
    fn a25_a_wrong_clock_keeps_no_block_back() {
        let rig = Rig::new(0x207f_ffff, Difficulty::ONE, Algorithm::Sha256d);
        for now in [0, TIME - 3 * 3_600, TIME + 3 * 3_600, u32::MAX] {
            let blocks = (0..64).filter(|nonce| {
                let rules = Rules { now, ..rig.rules() };
                let submission = Submission {
                    nonce: *nonce,
                    ..submission()
                };
                validate(&rig.job, &submission, &rules).block.is_some()
            });
            assert!(blocks.count() > 10, "{now}");
        }
    }

    #[test]
    #[ignore = "not built: the time a job was sent with counts as too far ahead of a slow clock"]
    fn a25_a_slow_clock_refuses_no_share_with_the_jobs_own_time() {
        let rig = Rig::shares();
        let good = rig.find(submission(), true);
        let rules = Rules {
            now: TIME - 3 * 3_600,
            ..rig.rules()
        };
        assert!(validate(&rig.job, &good, &rules).share.is_ok());
    }

    #[test]
    fn a35_a_block_is_found_in_whatever_is_wrong_with_its_share() {
        let rig = Rig::new(0x207f_ffff, Difficulty::ONE, Algorithm::Sha256d);
        let good = rig.find(submission(), true);
        let stale = validate(
            &rig.job,
            &good,
            &Rules {
                tip: 8,
                ..rig.rules()
            },
        );
        assert!(stale.block.is_some() && stale.share == Err(Reject::Stale));
        assert!(rig.judge(good).block.is_some());
        let again = rig.judge(good);
        assert!(again.block.is_some() && again.share == Err(Reject::Duplicate));
        let late = (0..100)
            .map(|nonce| {
                rig.judge(Submission {
                    ntime: TIME + 7_201,
                    nonce,
                    ..submission()
                })
            })
            .find(|verdict| verdict.block.is_some())
            .unwrap();
        assert_eq!(late.share, Err(Reject::Ntime));
    }

    #[test]
    fn a16_every_block_is_a_share_and_earns_no_more_than_its_proof() {
        for algorithm in [Algorithm::Sha256d, Algorithm::Scrypt] {
            // Difficulty 1 is far harder than this network: the job is eased to the network's.
            let rig = Rig::new(0x207f_ffff, Difficulty::ONE, algorithm);
            let network = rig.job.shared.template.target;
            assert!(rig.job.target >= network && rig.job.difficulty < Difficulty::ONE);
            for nonce in 0..64 {
                let verdict = rig.judge(Submission {
                    nonce,
                    ..submission()
                });
                assert!(verdict.block.is_none() || verdict.share.is_ok());
                if let Ok(share) = verdict.share {
                    assert!(share.work() <= network.work());
                }
            }
        }
    }

    #[test]
    fn a_solved_block_decodes_to_what_was_hashed() {
        for algorithm in [Algorithm::Sha256d, Algorithm::Scrypt] {
            let rig = Rig::new(0x207f_ffff, Difficulty::ONE, algorithm);
            let solved = (0..)
                .map(|nonce| {
                    rig.judge(Submission {
                        version_bits: Some(0x4000),
                        nonce,
                        ..submission()
                    })
                })
                .find_map(|verdict| verdict.block)
                .unwrap();
            let block: bitcoin::Block =
                consensus::deserialize(&hex::decode(&solved.hex).unwrap()).unwrap();
            assert_eq!(block.block_hash().to_string(), solved.id.to_string());
            assert_eq!(consensus::serialize(&block.header), solved.header);
            assert_eq!(block.header.version.to_consensus(), 0x2000_4000);
            assert_eq!(
                block.txdata[0].compute_txid().to_string(),
                solved.coinbase_id.to_string()
            );
            assert!(block.check_merkle_root());
            assert_eq!(block.bip34_block_height(), Ok(101));
        }
    }
}
