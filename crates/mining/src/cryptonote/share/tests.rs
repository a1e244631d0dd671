//! Claims, on a template that monerod gave. What a hash is does not matter here: nothing is hashed.

use std::sync::Arc;

use super::*;
use crate::{
    Amount, Work,
    cryptonote::{
        ShareTarget,
        whole_template::tests::{of_difficulty, of_version},
    },
};

const TIP: u64 = 3;

struct Rig {
    job: Job,
    seen: Seen,
}

fn job(id: u32, extranonce: [u8; 4], network: u64, difficulty: u64) -> Job {
    let template = of_difficulty(network);
    let target = ShareTarget::new(difficulty.try_into().unwrap());
    Job::new(id, TIP, Arc::new(template), extranonce, target).unwrap()
}

impl Rig {
    fn new(network: u64, difficulty: u64) -> Self {
        Self {
            job: job(7, [1, 2, 3, 4], network, difficulty),
            seen: Seen::of_tip(TIP, []),
        }
    }

    fn check(&self, result: Hash) -> Result<Claim, Reject> {
        self.check_at(result, TIP)
    }

    fn check_at(&self, result: Hash, tip: u64) -> Result<Claim, Reject> {
        let submission = Submission {
            nonce: [9, 8, 7, 6],
            result,
            commitment: None,
        };
        check(&self.job, &submission, tip, &self.seen)
    }
}

/// The largest hash with these upper 64 bits.
fn hash(upper: u64) -> Hash {
    let mut bytes = [0xff; 32];
    bytes[24..].copy_from_slice(&upper.to_le_bytes());
    Hash(bytes)
}

#[test]
fn a_claim_at_its_target_is_a_share_of_that_work_and_the_next_one_is_not() {
    let rig = Rig::new(1_000_000, 1_000);
    let bound = u64::MAX / 1_000;
    assert_eq!(rig.check(hash(bound)), Err(Reject::LowDifficulty));
    let claim = rig.check(hash(bound - 1)).unwrap();
    assert!(!claim.is_block);
    let share = claim.proven(TIP).unwrap();
    assert_eq!(share.hash(), hash(bound - 1));
    assert_eq!(share.work(), Work::from_hashes(1_000));
    assert_eq!(share.height(), rig.job.template.height());
    assert_eq!(rig.check(hash(bound - 1)), Err(Reject::Duplicate));
    // A lie is forgotten, and whoever has the hash may come.
    rig.seen.remove(&hash(bound - 1));
    assert!(rig.check(hash(bound - 1)).is_ok());
}

/// Four bytes are harder than was meant, and a share is worth what it was told to be.
#[test]
fn a_miner_that_is_told_four_bytes_is_judged_and_paid_by_those() {
    let target = ShareTarget::compact(1_000_000.try_into().unwrap());
    let template = Arc::new(of_difficulty(u64::MAX));
    let rig = Rig {
        job: Job::new(7, TIP, template, [1, 2, 3, 4], target).unwrap(),
        seen: Seen::of_tip(TIP, []),
    };
    let bound = u64::MAX / 1_000_225;
    let share = rig.check(hash(bound - 1)).unwrap().proven(TIP).unwrap();
    assert_eq!(share.work(), Work::from_hashes(1_000_225));
    assert_eq!(rig.check(hash(bound)), Err(Reject::LowDifficulty));
    // What eight bytes would have told.
    let meant = u64::MAX / 1_000_000;
    assert_eq!(rig.check(hash(meant - 1)), Err(Reject::LowDifficulty));
}

#[test]
fn what_is_overtaken_by_a_block_is_stale_before_and_after_it_was_hashed() {
    let rig = Rig::new(1_000_000, 1_000);
    let hash = hash(u64::MAX / 2_000);
    assert_eq!(rig.check_at(hash, TIP + 1), Err(Reject::Stale));
    let claim = rig.check(hash).unwrap();
    assert_eq!(claim.proven(TIP + 1), Err(Reject::Stale));
    assert!(claim.proven(TIP).is_ok());
}

/// No check but that of its hash may veto a block.
#[test]
fn a_block_is_claimed_whatever_is_thought_of_its_share() {
    let rig = Rig::new(1_000, 1_000);
    let bound = u64::MAX / 1_000;
    // By its upper bits it is no share, and by all of them it is a block.
    let mut result = hash(bound);
    result.0[..24].fill(0);
    let claim = rig.check(result).unwrap();
    assert!(claim.is_block && claim.proven(TIP).is_ok());
    assert_eq!(rig.check(hash(bound)), Err(Reject::LowDifficulty));
    let late = rig.check_at(hash(5), TIP + 1).unwrap();
    assert!(late.is_block);
    assert_eq!(late.proven(TIP + 1), Err(Reject::Stale));
    // Nor may a memory of shares that is of another tip already.
    let other = Rig {
        seen: Seen::of_tip(TIP + 1, [hash(6)]),
        ..Rig::new(1_000, 1_000)
    };
    let claim = other.check(hash(5)).unwrap();
    assert_eq!(
        (claim.is_block, claim.proven(TIP)),
        (true, Err(Reject::Stale))
    );
}

#[test]
fn a_job_is_never_harder_than_the_network_and_no_two_are_the_same_work() {
    assert_eq!(Rig::new(500, 1_000).job.target.difficulty().get(), 500);
    assert_eq!(Rig::new(5_000, 1_000).job.target.difficulty().get(), 1_000);
    let jobs = [
        job(1, [0; 4], 10, 1),
        job(2, [0; 4], 10, 1),
        job(1, [0, 0, 0, 1], 10, 1),
    ];
    for (place, one) in jobs.iter().enumerate() {
        let (text, id) = one.block([4, 3, 2, 1]);
        assert!(hex::decode(&text).unwrap().len() > one.blob().len());
        assert!(one.template.reward() > Amount::ZERO);
        for other in &jobs[..place] {
            assert_ne!(other.blob(), one.blob());
            assert_ne!(other.block([4, 3, 2, 1]).1, id);
        }
    }
    let blob = jobs[0].blob_with([0xa, 0xb, 0xc, 0xd]);
    assert_eq!(blob[39..43], [0xa, 0xb, 0xc, 0xd]);
    assert_eq!(jobs[0].blob()[39..43], [0; 4]);
}

/// `rx/2`: the result is a commitment, and what is verified is the hash behind it.
#[test]
fn a_commitment_that_is_not_to_its_hash_is_refused_before_anything_is_hashed() {
    let target = ShareTarget::new(1.try_into().unwrap());
    let job = Job::new(7, TIP, Arc::new(of_version(17)), [1, 2, 3, 4], target).unwrap();
    let seen = Seen::of_tip(TIP, []);
    let (nonce, hash) = ([9, 8, 7, 6], Hash([5; 32]));
    let result = commitment(&job.blob_with(nonce), &hash);
    let submission = Submission {
        nonce,
        result,
        commitment: Some(hash),
    };
    for damaged in [
        Submission {
            commitment: None,
            ..submission
        },
        Submission {
            commitment: Some(Hash([6; 32])),
            ..submission
        },
        Submission {
            nonce: [9, 8, 7, 5],
            ..submission
        },
        Submission {
            result: hash,
            ..submission
        },
    ] {
        let refused = check(&job, &damaged, TIP, &seen);
        assert_eq!(refused, Err(Reject::WrongResult), "{damaged:?}");
    }
    let claim = check(&job, &submission, TIP, &seen).unwrap();
    assert_eq!((claim.result, claim.hash), (result, hash));
    assert_eq!(check(&job, &submission, TIP, &seen), Err(Reject::Duplicate));
}
