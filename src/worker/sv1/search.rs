//! The search of one thread through one job, a batch at a time.
//!
//! Nonces first, then the version bits of the mask, then another extranonce2. The bytes of
//! extranonce2 come from a counter that all threads share and that never starts anew while the
//! process lives: no two threads, jobs or connections get the same ones, so a pool that sends the
//! same job twice gets no share twice.

use std::{
    ops::Range,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use pow::{HeaderHasher, scrypt};

use super::{
    Sv1,
    job::{Found, Header, Job, Roll},
    told,
};
use crate::worker::{
    algorithm::Algorithm,
    dialect::{self, Step, Supply},
    endpoint::Endpoint,
    http::Told,
    session::{self, Ended, Rig},
};

/// Hashes between two looks at what else there is to do: about two milliseconds of a core.
const BATCH_SHA256D: u32 = 1 << 14;
/// The same for scrypt.
const BATCH_SCRYPT: u32 = 4;

/// The supply of extranonce2, which all threads share.
#[derive(Clone, Debug, Default)]
pub(in crate::worker) struct Extranonces(Arc<AtomicU64>);

/// What a thread hashes headers with.
pub(in crate::worker) struct Searcher {
    extranonces: Extranonces,
    search: Option<Search>,
}

impl Extranonces {
    /// The next one that a job may have, and the number that it stands for where the pool has given a range.
    fn take_for(&self, job: &Job) -> (u32, Vec<u8>) {
        let size = job.terms().subscribed.extranonce2_size;
        match job.range() {
            None => (0, self.take(size)),
            Some(range) => {
                let number = self.take_within(range);
                (number, bytes(number.into(), size))
            }
        }
    }

    /// The next `size` bytes, which are at most 16.
    fn take(&self, size: usize) -> Vec<u8> {
        bytes(self.0.fetch_add(1, Ordering::Relaxed), size)
    }

    /// The next number of a range. After its last one comes the first again, some millions of seconds of a
    /// processor later.
    fn take_within(&self, range: &Range<u32>) -> u32 {
        let width = u64::from(range.end.saturating_sub(range.start).max(1));
        let place = self.0.fetch_add(1, Ordering::Relaxed) % width;
        let place = u32::try_from(place).expect("a remainder of 32 bits has 32 bits");
        range.start + place
    }
}

impl Supply for Extranonces {
    type Hasher = Searcher;

    fn mines(&self, algorithm: Algorithm) -> bool {
        matches!(algorithm, Algorithm::Header(_))
    }

    async fn by_lines(
        rig: &mut Rig<'_, Self>,
        endpoint: &Endpoint,
        home: Pin<&mut impl Future<Output = Endpoint>>,
    ) -> Ended {
        session::run::<Sv1>(rig, endpoint, home).await
    }

    fn job(&self, told: &Told, _: Option<&Job>) -> anyhow::Result<Job> {
        told::job(told)
    }

    fn hasher(&self) -> Searcher {
        Searcher {
            extranonces: self.clone(),
            search: None,
        }
    }
}

impl dialect::Hasher for Searcher {
    type Job = Job;
    type Found = Found;

    fn begin(&mut self, job: Arc<Job>) {
        self.search = Some(Search::new(job, self.extranonces.clone()));
    }

    fn advance(&mut self) -> Step<Found> {
        let Some(search) = &mut self.search else {
            return Step::Wait;
        };
        let (hashes, found) = search.advance();
        Step::Hashed(hashes, found)
    }
}

/// Where a thread is in its job.
struct Search {
    job: Arc<Job>,
    extranonces: Extranonces,
    roll: Roll,
    ntime: u32,
    /// The next nonce; `None` once all are used.
    nonce: Option<u32>,
    last_nonce: u32,
    /// Most significant 32 bits of the target.
    ceiling: u32,
    hasher: Hasher,
}

enum Hasher {
    Sha256d(HeaderHasher),
    Scrypt(Header),
}

impl Search {
    /// Begins with an extranonce2 nobody has had.
    fn new(job: Arc<Job>, extranonces: Extranonces) -> Self {
        Self::until(job, extranonces, u32::MAX)
    }

    fn until(job: Arc<Job>, extranonces: Extranonces, last_nonce: u32) -> Self {
        let (extra_nonce, extranonce2) = extranonces.take_for(&job);
        let roll = Roll {
            extranonce2,
            extra_nonce,
            version_bits: job.first_version_bits(),
        };
        let ntime = job.ntime();
        let [a, b, c, d, ..] = job.target().to_display_bytes();
        Self {
            hasher: Hasher::new(job.algorithm(), &job.header(&roll, ntime, 0)),
            ceiling: u32::from_be_bytes([a, b, c, d]),
            job,
            extranonces,
            roll,
            ntime,
            nonce: Some(0),
            last_nonce,
        }
    }

    /// Searches one batch: the number of hashes done, and a proof if there was one.
    fn advance(&mut self) -> (u32, Option<Found>) {
        let from = match self.nonce {
            Some(nonce) => nonce,
            None => self.roll_on(),
        };
        let ntime = self.job.ntime();
        if ntime != self.ntime {
            self.ntime = ntime;
            self.hasher.set_time(ntime);
        }
        let batch = match self.hasher {
            Hasher::Sha256d(_) => BATCH_SHA256D,
            Hasher::Scrypt(_) => BATCH_SCRYPT,
        };
        let to = from.saturating_add(batch - 1).min(self.last_nonce);
        let candidate = self.hasher.scan(from, to, self.ceiling);
        let reached = candidate.unwrap_or(to);
        self.nonce = (reached < self.last_nonce).then(|| reached + 1);
        let found =
            candidate.and_then(|nonce| Found::new(&self.job, &self.roll, self.ntime, nonce));
        (reached - from + 1, found)
    }

    /// Another header, and its first nonce.
    fn roll_on(&mut self) -> u32 {
        // The next larger subset of the mask; after the largest comes zero.
        let mask = self.job.terms().version_mask.unwrap_or(0);
        self.roll.version_bits = self.roll.version_bits.wrapping_sub(mask) & mask;
        if self.roll.version_bits == self.job.first_version_bits() {
            let next = self.extranonces.take_for(&self.job);
            (self.roll.extra_nonce, self.roll.extranonce2) = next;
        }
        let header = self.job.header(&self.roll, self.ntime, 0);
        self.hasher = Hasher::new(self.job.algorithm(), &header);
        0
    }
}

impl Hasher {
    fn new(algorithm: pow::Algorithm, header: &Header) -> Self {
        match algorithm {
            pow::Algorithm::Sha256d => Self::Sha256d(HeaderHasher::new(header)),
            pow::Algorithm::Scrypt => Self::Scrypt(*header),
        }
    }

    fn set_time(&mut self, ntime: u32) {
        match self {
            Self::Sha256d(hasher) => hasher.set_time(ntime),
            Self::Scrypt(header) => header[68..72].copy_from_slice(&ntime.to_le_bytes()),
        }
    }

    /// The first nonce whose hash may meet the target.
    fn scan(&mut self, from: u32, to: u32, ceiling: u32) -> Option<u32> {
        match self {
            Self::Sha256d(hasher) => hasher.scan(from..=to, ceiling),
            Self::Scrypt(header) => (from..=to).find(|nonce| {
                header[76..].copy_from_slice(&nonce.to_le_bytes());
                let [.., a, b, c, d] = scrypt::hash(header).to_bytes();
                u32::from_le_bytes([a, b, c, d]) <= ceiling
            }),
        }
    }
}

/// The last `size` bytes of a number, which are at most 16, behind as many zeros as there is room for.
fn bytes(number: u64, size: usize) -> Vec<u8> {
    let bytes = u128::from(number).to_be_bytes();
    bytes[bytes.len() - size.min(bytes.len())..].to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::job::tests::job, *};
    use crate::worker::dialect::Found as _;

    fn proofs(search: &mut Search, headers: u32) -> (u32, Vec<Found>) {
        let (mut hashes, mut found) = (0, Vec::new());
        while hashes < headers * (search.last_nonce + 1) {
            let (done, proof) = search.advance();
            hashes += done;
            found.extend(proof);
        }
        (hashes, found)
    }

    #[test]
    fn every_nonce_is_tried_then_every_version_then_another_extranonce2() {
        // Two bits may be rolled, and every hash is a proof.
        let job = Arc::new(job(1, Some(0x6000)));
        let extranonces = Extranonces::default();
        let mut search = Search::until(job, extranonces, 2);
        let (hashes, found) = proofs(&mut search, 9);
        assert_eq!((hashes, found.len()), (27, 27));
        let tried: Vec<_> = found
            .iter()
            .map(|found| {
                let share = found.share("w");
                (
                    share.extranonce2[3],
                    share.version_bits.unwrap(),
                    share.nonce,
                )
            })
            .collect();
        let mut expected = Vec::new();
        for extranonce2 in 0..3 {
            for bits in [0x4000, 0x6000, 0, 0x2000] {
                expected.extend((0..3).map(|nonce| (extranonce2, bits, nonce)));
            }
        }
        assert_eq!(tried, expected[..27]);
        let hashes: HashSet<_> = found.iter().map(Found::hash).collect();
        assert_eq!(hashes.len(), 27, "no proof came twice");
    }

    #[test]
    fn without_a_mask_only_extranonce2_is_rolled() {
        let mut search = Search::until(Arc::new(job(1, None)), Extranonces::default(), 0);
        let (_, found) = proofs(&mut search, 3);
        let rolls: Vec<_> = found
            .iter()
            .map(|found| found.share("w").extranonce2[3])
            .collect();
        assert_eq!(rolls, [0, 1, 2]);
    }

    #[test]
    fn a_search_finds_what_hashing_one_by_one_finds() {
        let job = Arc::new(job(1 << 10, None));
        let mut search = Search::until(Arc::clone(&job), Extranonces::default(), 49_999);
        let (_, found) = proofs(&mut search, 1);
        let roll = Roll {
            extranonce2: vec![0; 4],
            extra_nonce: 0,
            version_bits: 0,
        };
        let expected: Vec<u32> = (0..50_000)
            .filter(|&nonce| Found::new(&job, &roll, search.ntime, nonce).is_some())
            .collect();
        let nonces: Vec<u32> = found.iter().map(|found| found.share("w").nonce).collect();
        assert!(nonces.len() > 10);
        assert_eq!(nonces, expected);
    }

    #[test]
    fn extra_nonces_of_a_range_are_rolled_within_it() {
        let easy = mining::Target::MAX;
        let job = Arc::new(job(1, None).over_http(easy, 7..10));
        let mut search = Search::until(job, Extranonces::default(), 0);
        let (_, found) = proofs(&mut search, 5);
        let rolls: Vec<_> = found
            .iter()
            .map(|found| {
                (
                    found.proof().extra_nonce,
                    found.share("w").extranonce2.to_vec(),
                )
            })
            .collect();
        let expected = [7, 8, 9, 7, 8].map(|number: u32| (number, number.to_be_bytes().to_vec()));
        assert_eq!(rolls, expected);
    }

    #[test]
    fn extranonce2_has_the_size_that_was_told_and_comes_once() {
        let extranonces = Extranonces::default();
        for size in 2..=16 {
            assert_eq!(extranonces.take(size).len(), size);
        }
        assert_eq!(extranonces.take(2), [0, 15]);
        let two_bytes: HashSet<_> = (0..1 << 16).map(|_| extranonces.take(2)).collect();
        assert_eq!(two_bytes.len(), 1 << 16);
    }
}
