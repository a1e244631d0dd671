//! A pool's job as the hash threads see it, the supply of its nonces, and a proof found for it.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use mining::cryptonote::{
    ShareTarget,
    block::Nonce,
    target::BadShareTarget,
    varint::{self, BadVarint},
};
use pow::{Hash, randomx::Seed};
use wire::cryptonote::{Notice, client::Share};

use crate::{
    display,
    worker::dialect::{self, Proof},
};

/// The bytes of the hash of the block before, which stand before the nonce.
const PREVIOUS: usize = 32;
/// The bytes of a nonce.
const NONCE: usize = 4;
/// Nonces that a thread takes at once: some tenths of a second, so that few are lost with a job.
const NONCES_AT_ONCE: u64 = 64;

/// What was agreed with the pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The place among the jobs of the process.
    pub(super) number: u64,
    /// The nonce's last byte is not ours.
    pub(super) is_nicehash: bool,
}

/// One job.
#[derive(Debug)]
pub(in crate::worker) struct Job {
    id: String,
    number: u64,
    blob: Vec<u8>,
    nonce_offset: usize,
    target: ShareTarget,
    seed: Seed,
    nonces: Arc<Nonces>,
}

/// The nonces of a blob that no thread has had.
#[derive(Debug)]
struct Nonces {
    next: AtomicU64,
    /// The last byte of each, in NiceHash's mode.
    last_byte: Option<u8>,
}

/// A nonce whose hash meets its job's target.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Found {
    job: Arc<Job>,
    nonce: Nonce,
    hash: Hash,
}

/// Why a job cannot be mined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadJob {
    /// What is before the nonce is no header.
    #[error("its blob cannot be read")]
    Header(#[from] BadVarint),
    /// It ends before the nonce does.
    #[error("its blob has no nonce")]
    NoNonce,
    #[error("its target cannot be read")]
    Target(#[from] BadShareTarget),
    /// RandomX needs it.
    #[error("it has no seed_hash")]
    NoSeed,
}

impl Job {
    /// A job after `before`, if there was one on this connection.
    pub(super) fn new(notice: Notice, terms: Terms, before: Option<&Self>) -> Result<Self, BadJob> {
        let mut blob = notice.blob;
        let nonce_offset = nonce_offset(&blob)?;
        let nonce = blob.get_mut(nonce_offset..nonce_offset + NONCE);
        let nonce: &mut Nonce = nonce
            .and_then(|nonce| nonce.try_into().ok())
            .ok_or(BadJob::NoNonce)?;
        // Without the extension it is the nonce in the job that says it.
        let keeps_last = terms.is_nicehash || *nonce != [0; NONCE];
        let last_byte = keeps_last.then_some(nonce[NONCE - 1]);
        *nonce = [0; NONCE];
        // The same blob under another name or target: no nonce is to be tried twice.
        let same = before.filter(|it| it.blob == blob && it.nonces.last_byte == last_byte);
        let nonces = match same {
            Some(same) => Arc::clone(&same.nonces),
            None => Arc::new(Nonces {
                next: AtomicU64::new(0),
                last_byte,
            }),
        };
        Ok(Self {
            id: notice.job_id,
            number: terms.number,
            blob,
            nonce_offset,
            target: ShareTarget::read(notice.target.as_slice())?,
            seed: Seed(notice.seed_hash.ok_or(BadJob::NoSeed)?),
            nonces,
        })
    }

    /// Whether nothing but the number differs.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
            && self.blob == other.blob
            && self.target == other.target
            && self.seed == other.seed
            && self.nonces.last_byte == other.nonces.last_byte
    }

    /// Whether both are for the block after the same one.
    pub(super) fn has_previous_of(&self, other: &Self) -> bool {
        self.previous() == other.previous()
    }

    pub(super) fn seed(&self) -> Seed {
        self.seed
    }

    fn previous(&self) -> &[u8] {
        &self.blob[self.nonce_offset - PREVIOUS..self.nonce_offset]
    }

    /// The next nonces that nobody has had; none when all are used.
    pub(super) fn take_nonces(&self) -> Range<u64> {
        let end = match self.nonces.last_byte {
            Some(_) => 1 << 24,
            None => 1 << 32,
        };
        // Past the end it only grows by those who ask, which are threads and so few.
        let from = self.nonces.next.fetch_add(NONCES_AT_ONCE, Relaxed).min(end);
        from..(from + NONCES_AT_ONCE).min(end)
    }

    /// The bytes for a number that [`take_nonces`](Self::take_nonces) gave.
    pub(super) fn nonce(&self, number: u64) -> Nonce {
        let [a, b, c, d, ..] = number.to_le_bytes();
        [a, b, c, self.nonces.last_byte.unwrap_or(d)]
    }

    /// What is hashed for a nonce.
    pub(super) fn blob(&self, nonce: Nonce) -> Vec<u8> {
        let mut blob = self.blob.clone();
        blob[self.nonce_offset..self.nonce_offset + NONCE].copy_from_slice(&nonce);
        blob
    }
}

impl Found {
    /// Nothing unless the target is met.
    pub(super) fn new(job: &Arc<Job>, nonce: Nonce, hash: Hash) -> Option<Self> {
        job.target.is_met_by(&hash).then(|| Self {
            job: Arc::clone(job),
            nonce,
            hash,
        })
    }

    /// The share in the words of the pool that gave the job.
    pub(super) fn share<'a>(&'a self, session: &'a str, algorithm: Option<&'a str>) -> Share<'a> {
        Share {
            session,
            job_id: &self.job.id,
            nonce: self.nonce,
            result: self.hash.0,
            algorithm,
            commitment: None,
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
        display::to_f64(self.target.difficulty().get().into())
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
        let [.., upper] = self.hash.limbs();
        display::to_f64((u64::MAX / upper.max(1)).into())
    }

    fn proof(&self) -> Proof {
        Proof {
            nonce: u32::from_le_bytes(self.nonce).into(),
            extra_nonce: 0,
            hash: hex::encode(self.hash.0),
            ntime: None,
        }
    }
}

/// Two versions and a time, of as many bytes as they have, and the hash of the block before.
fn nonce_offset(blob: &[u8]) -> Result<usize, BadVarint> {
    let mut offset = 0;
    for _ in 0..3 {
        let (_, length) = varint::read(&blob[offset..])?;
        offset += length;
    }
    Ok(offset + PREVIOUS)
}

#[cfg(test)]
mod tests {
    use wire::cryptonote::TargetBytes;

    use super::*;

    fn notice(blob: Vec<u8>) -> Notice {
        Notice {
            job_id: "1".into(),
            blob,
            target: TargetBytes::Four([0xff; 4]),
            algorithm: None,
            height: None,
            seed_hash: Some([7; 32]),
            next_seed_hash: None,
        }
    }

    /// Versions 16, a time of five bytes, the block before, a nonce, a root and a count.
    fn blob(nonce: Nonce) -> Vec<u8> {
        let mut blob = vec![16, 16, 0x80, 0x80, 0x80, 0x80, 6];
        blob.extend([0x11; 32]);
        blob.extend(nonce);
        blob.extend([0x22; 32]);
        blob.push(1);
        blob
    }

    fn job(nonce: Nonce, is_nicehash: bool, before: Option<&Job>) -> Job {
        let terms = Terms {
            number: 1,
            is_nicehash,
        };
        Job::new(notice(blob(nonce)), terms, before).unwrap()
    }

    #[test]
    fn the_nonce_stands_after_versions_time_and_previous_block_however_long_they_are() {
        let usual = job([0; 4], false, None);
        assert_eq!(usual.nonce_offset, 39);
        let hashed = usual.blob([1, 2, 3, 4]);
        assert_eq!(hashed, blob([1, 2, 3, 4]));
        let mut longer = blob([0; 4]);
        longer.splice(0..1, [0x90, 1]);
        let terms = Terms {
            number: 1,
            is_nicehash: false,
        };
        let job = Job::new(notice(longer), terms, None).unwrap();
        assert_eq!((job.nonce_offset, job.previous()), (40, &[0x11; 32][..]));
    }

    #[test]
    fn what_has_no_header_no_nonce_or_no_seed_is_refused() {
        let terms = Terms {
            number: 1,
            is_nicehash: false,
        };
        let case = |notice, fault| {
            assert_eq!(Job::new(notice, terms, None).unwrap_err(), fault);
        };
        case(notice(vec![0xff; 76]), BadJob::Header(BadVarint::Overflow));
        case(notice(vec![0x80; 2]), BadJob::Header(BadVarint::CutOff));
        case(notice(blob([0; 4])[..42].to_vec()), BadJob::NoNonce);
        case(notice(vec![1]), BadJob::Header(BadVarint::CutOff));
        let mut unseeded = notice(blob([0; 4]));
        unseeded.seed_hash = None;
        case(unseeded, BadJob::NoSeed);
    }

    #[test]
    fn each_nonce_is_given_once_also_when_the_same_blob_comes_again() {
        let first = job([0; 4], false, None);
        assert_eq!((first.take_nonces(), first.take_nonces()), (0..64, 64..128));
        let again = job([0; 4], false, Some(&first));
        assert!(again.is_same(&first));
        assert_eq!(again.take_nonces(), 128..192);
        assert_eq!(first.take_nonces(), 192..256);
        assert_eq!(again.nonce(0x0102_0304), [4, 3, 2, 1]);
        let mut other = blob([0; 4]);
        other[50] = 0;
        let terms = Terms {
            number: 2,
            is_nicehash: false,
        };
        let other = Job::new(notice(other), terms, Some(&again)).unwrap();
        assert_eq!(other.take_nonces(), 0..64);
        assert!(!other.is_same(&first) && other.has_previous_of(&first));
    }

    #[test]
    fn nicehash_keeps_the_last_byte_and_leaves_three_bytes_of_nonces() {
        for (job, last) in [
            (job([0, 0, 0, 5], false, None), 5),
            (job([9, 0, 0, 0], false, None), 0),
            (job([0; 4], true, None), 0),
            (job([0, 0, 0, 0xab], true, None), 0xab),
        ] {
            assert_eq!(job.nonce(0x00ff_fefd), [0xfd, 0xfe, 0xff, last]);
            job.nonces.next.store((1 << 24) - 10, Relaxed);
            assert_eq!(job.take_nonces(), (1 << 24) - 10..1 << 24);
            assert!(job.take_nonces().is_empty() && job.take_nonces().is_empty());
        }
        let whole = job([0; 4], false, None);
        whole.nonces.next.store((1 << 32) - 1, Relaxed);
        assert_eq!(whole.take_nonces(), (1 << 32) - 1..1 << 32);
        assert!(whole.take_nonces().is_empty());
        assert_eq!(whole.nonce((1 << 32) - 1), [0xff; 4]);
    }
}
