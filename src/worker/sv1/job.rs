//! A pool's job as the hash threads see it, and a proof found for it.
//!
//! The session makes a [`Job`] of each `mining.notify` and what held when it came: extranonce1,
//! difficulty, version mask. A later difficulty does not change it. [`Found`] is made only by
//! hashing the whole way again, coinbase to header, so no fault of the fast search reaches a pool.

use std::{ops::Range, sync::Arc, time::Instant};

use mining::{Difficulty, Target};
use pow::{Algorithm, Hash, Midstate, sha256::sha256d_pair};
use wire::sv1::{Notify, Subscribed, Work};

use crate::worker::dialect::{self, Proof};

/// How far a header's time runs ahead of the one in its job, in seconds. Consensus allows two hours
/// ahead of the network's clock; a job older than this is replaced by any pool that is alive.
const NTIME_AHEAD_MAX_S: u32 = 600;

/// What is hashed: 80 bytes.
///
/// ```text
/// version 4 | previous block 32 | merkle root 32 | time 4 | bits 4 | nonce 4    little-endian
/// ```
pub(super) type Header = [u8; 80];

/// What was agreed with the pool and holds for the jobs that follow.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// Extranonce1 and the size of extranonce2.
    pub(super) subscribed: Subscribed,
    /// The version bits that may be rolled; `None` if rolling was not agreed.
    pub(super) version_mask: Option<u32>,
    /// What shares are measured by.
    pub(super) difficulty: Difficulty,
}

/// One job.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Job {
    id: String,
    number: u64,
    algorithm: Algorithm,
    terms: Terms,
    target: Target,
    work: Work,
    /// The coinbase up to extranonce2.
    coinbase: Midstate,
    /// Which extranonces2 are ours, if not all are.
    range: Option<Range<u32>>,
    received: Instant,
}

/// What a thread chooses besides time and nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Roll {
    pub(super) extranonce2: Vec<u8>,
    /// The number that it stands for, where the pool has given a range of them.
    pub(super) extra_nonce: u32,
    /// A subset of the mask; zero if rolling was not agreed.
    pub(super) version_bits: u32,
}

/// A header whose hash meets its job's target.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Found {
    job: Arc<Job>,
    roll: Roll,
    ntime: u32,
    nonce: u32,
    hash: Hash,
}

impl Job {
    /// `number` counts the jobs of the process, in the order of their arrival.
    pub(super) fn new(notify: Notify, number: u64, algorithm: Algorithm, terms: Terms) -> Self {
        let mut prefix = notify.work.coinbase1.clone();
        prefix.extend_from_slice(&terms.subscribed.extranonce1);
        Self {
            id: notify.job_id,
            number,
            algorithm,
            target: terms.difficulty.target(algorithm),
            terms,
            coinbase: Midstate::new(&prefix),
            work: notify.work,
            range: None,
            received: Instant::now(),
        }
    }

    /// The same job by the target itself, with extranonces2 of this range alone.
    pub(super) fn over_http(mut self, target: Target, range: Range<u32>) -> Self {
        self.terms.difficulty = Difficulty::at_most(target, self.algorithm);
        self.target = target;
        self.range = Some(range);
        self
    }

    /// The same job under another mask.
    pub(in crate::worker) fn with_version_mask(&self, mask: u32, number: u64) -> Self {
        let mut job = self.clone();
        job.number = number;
        job.terms.version_mask = Some(mask);
        job
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Which extranonces2 are ours, if not all are.
    pub(super) fn range(&self) -> Option<&Range<u32>> {
        self.range.as_ref()
    }

    pub(super) fn target(&self) -> Target {
        self.target
    }

    /// The version bits of the template that lie in the mask: where rolling starts.
    pub(super) fn first_version_bits(&self) -> u32 {
        self.work.version & self.terms.version_mask.unwrap_or(0)
    }

    /// The time for a header made now: the job's, moved on with the clock.
    pub(super) fn ntime(&self) -> u32 {
        let passed = u32::try_from(self.received.elapsed().as_secs()).unwrap_or(u32::MAX);
        let ahead = passed.min(NTIME_AHEAD_MAX_S);
        self.work.ntime.saturating_add(ahead)
    }

    /// The header for one roll.
    pub(super) fn header(&self, roll: &Roll, ntime: u32, nonce: u32) -> Header {
        let coinbase = self
            .coinbase
            .finish(&[&roll.extranonce2, &self.work.coinbase2]);
        let branch = self.work.branch.iter();
        let root = branch.fold(coinbase.0, |node, sibling| sha256d_pair(&node, sibling).0);
        // BIP 310: the rolled bits take the place of the masked ones.
        let mask = self.terms.version_mask.unwrap_or(0);
        let version = self.work.version & !mask | roll.version_bits & mask;

        let mut header = [0; 80];
        header[..4].copy_from_slice(&version.to_le_bytes());
        header[4..36].copy_from_slice(&self.work.previous_block);
        header[36..68].copy_from_slice(&root);
        header[68..72].copy_from_slice(&ntime.to_le_bytes());
        header[72..76].copy_from_slice(&self.work.bits.to_le_bytes());
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        header
    }
}

impl Found {
    /// Hashes anew; `None` unless the target is met.
    pub(super) fn new(job: &Arc<Job>, roll: &Roll, ntime: u32, nonce: u32) -> Option<Self> {
        let hash = job.algorithm.hash(&job.header(roll, ntime, nonce));
        job.target.is_met_by(&hash).then(|| Self {
            job: Arc::clone(job),
            roll: roll.clone(),
            ntime,
            nonce,
            hash,
        })
    }

    /// The share in the words of the pool that gave the job.
    pub(super) fn share<'a>(&'a self, worker: &'a str) -> wire::sv1::client::Share<'a> {
        wire::sv1::client::Share {
            worker,
            job_id: &self.job.id,
            extranonce2: &self.roll.extranonce2,
            ntime: self.ntime,
            nonce: self.nonce,
            version_bits: self.job.terms.version_mask.map(|_| self.roll.version_bits),
        }
    }
}

impl dialect::Job for Job {
    fn id(&self) -> &str {
        &self.id
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn difficulty(&self) -> f64 {
        self.terms.difficulty.to_f64()
    }

    fn version_mask(&self) -> Option<u32> {
        self.terms.version_mask
    }
}

impl dialect::Found for Found {
    type Job = Job;

    fn job(&self) -> &Job {
        &self.job
    }

    fn hash(&self) -> Hash {
        self.hash
    }

    fn difficulty(&self) -> f64 {
        // Below 2^128 there is no target, and no difficulty above the greatest.
        let difficulty = Target::from_hex(&self.hash.to_string())
            .map_or(Difficulty::MAX, |target| {
                Difficulty::at_most(target, self.job.algorithm)
            });
        difficulty.to_f64()
    }

    fn proof(&self) -> Proof {
        Proof {
            nonce: self.nonce.into(),
            extra_nonce: self.roll.extra_nonce,
            hash: self.hash.to_string(),
            ntime: Some(self.ntime),
        }
    }
}

#[cfg(test)]
pub(in crate::worker) mod tests {
    use bitcoin::{
        CompactTarget, Txid,
        block::{Header as BitcoinHeader, Version},
        consensus::serialize,
        hashes::{Hash as _, sha256d},
    };

    use super::*;
    use crate::worker::dialect::{Found as _, Job as _};

    /// A proof for a job that every hash solves.
    pub(in crate::worker) fn found() -> Found {
        let roll = Roll {
            extranonce2: vec![0; 4],
            extra_nonce: 0,
            version_bits: 0,
        };
        Found::new(&Arc::new(job(1, None)), &roll, 0, 0).expect("every hash is a proof")
    }

    /// A job with a coinbase in two halves and a branch, at the given difficulty.
    pub(in crate::worker) fn job(steps: u128, version_mask: Option<u32>) -> Job {
        job_of(Algorithm::Sha256d, steps, version_mask)
    }

    pub(in crate::worker) fn job_of(
        algorithm: Algorithm,
        steps: u128,
        version_mask: Option<u32>,
    ) -> Job {
        let notify = Notify {
            job_id: "1f".into(),
            work: Work {
                previous_block: [0x11; 32],
                coinbase1: vec![1; 70],
                coinbase2: vec![2; 50],
                branch: vec![[3; 32], [4; 32]],
                version: 0x2000_4000,
                bits: 0x1d00_ffff,
                ntime: 1_700_000_000,
            },
            clean: true,
        };
        let subscribed = Subscribed {
            extranonce1: vec![8, 0, 0, 2],
            extranonce2_size: 4,
        };
        let difficulty = Difficulty::from_steps(steps);
        Job::new(
            notify,
            1,
            algorithm,
            Terms {
                subscribed,
                version_mask,
                difficulty,
            },
        )
    }

    #[test]
    fn the_header_is_what_consensus_serialises() {
        let job = job(1, Some(0x1fff_e000));
        let roll = Roll {
            extranonce2: vec![9, 8, 7, 6],
            extra_nonce: 0,
            version_bits: 0x0400_2000,
        };
        let coinbase = [vec![1; 70], vec![8, 0, 0, 2, 9, 8, 7, 6], vec![2; 50]].concat();
        let mut node = sha256d::Hash::hash(&coinbase);
        for sibling in [[3; 32], [4; 32]] {
            node = sha256d::Hash::hash(&[node.to_byte_array(), sibling].concat());
        }
        let expected = BitcoinHeader {
            version: Version::from_consensus(0x2400_2000),
            prev_blockhash: bitcoin::BlockHash::from_byte_array([0x11; 32]),
            merkle_root: Txid::from_raw_hash(node).to_raw_hash().into(),
            time: 1_700_000_007,
            bits: CompactTarget::from_consensus(0x1d00_ffff),
            nonce: 0xdead_beef,
        };
        let header = job.header(&roll, 1_700_000_007, 0xdead_beef);
        assert_eq!(header.to_vec(), serialize(&expected));
    }

    #[test]
    fn only_a_proof_at_or_below_the_target_is_found() {
        let job = Arc::new(job(256, None));
        let roll = Roll {
            extranonce2: vec![0; 4],
            extra_nonce: 0,
            version_bits: 0,
        };
        let mut proofs = 0;
        for nonce in 0..5_000 {
            let hash = pow::sha256d(&job.header(&roll, 5, nonce));
            let found = Found::new(&job, &roll, 5, nonce);
            assert_eq!(found.is_some(), job.target().is_met_by(&hash));
            if let Some(found) = found {
                proofs += 1;
                assert_eq!(found.hash(), hash);
                assert!(found.difficulty() >= job.difficulty());
                assert_eq!(found.share("w").version_bits, None);
            }
        }
        assert!(proofs > 3, "one hash in 256 is a share");
    }

    #[test]
    fn bits_outside_the_mask_never_reach_the_header() {
        let job = job(1, Some(0x1fff_e000)).with_version_mask(0x6000, 2);
        assert_eq!((job.number(), job.first_version_bits()), (2, 0x4000));
        let roll = Roll {
            extranonce2: vec![0; 4],
            extra_nonce: 0,
            version_bits: u32::MAX,
        };
        assert_eq!(job.header(&roll, 0, 0)[..4], 0x2000_6000_u32.to_le_bytes());
    }
}
