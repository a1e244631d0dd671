//! What is judged, and how.

use std::sync::Arc;

use bitcoin::consensus;
use pow::Algorithm;

use super::*;
use crate::{
    Amount, Difficulty, Target,
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
fn a25_a_slow_clock_refuses_no_share_with_the_jobs_own_time() {
    let rig = Rig::shares();
    let good = rig.find(submission(), true);
    let rules = Rules {
        now: TIME - 3 * 3_600,
        ..rig.rules()
    };
    assert!(validate(&rig.job, &good, &rules).share.is_ok());
}

proptest::proptest! {
    #[test]
    fn a25_a_time_is_good_from_the_earliest_to_two_hours_past_the_later_clock(
        now: u32,
        ahead in -20_000i64..20_000,
        from_now: bool,
    ) {
        let rig = Rig::shares();
        let near = i64::from(if from_now { now } else { TIME });
        let ntime = u32::try_from((near + ahead).max(0)).unwrap_or(u32::MAX);
        let timed = Submission { ntime, ..submission() };
        let rules = Rules { now, ..rig.rules() };
        let latest = i64::from(now.max(TIME)) + 7_200;
        let good = ntime >= TIME - 600 && i64::from(ntime) <= latest;
        let refused = validate(&rig.job, &timed, &rules).share == Err(Reject::Ntime);
        proptest::prop_assert_eq!(refused, !good);
    }
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
