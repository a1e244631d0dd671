//! VisionX as it is mined: messages that a pool of HTTP tells, nonces of 64 bits, and some hashes side by side in
//! each thread. The words of an epoch are computed as they are needed, so another epoch costs nothing.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use pow::{
    Hash,
    visionx::{Dataset, EpochSeed, Figures, LANES, Machine, Params, difficulty_of},
};
use serde::Deserialize;
use wire::hex;

use super::{
    algorithm::Algorithm,
    dialect::{self, Hasher, Proof, Step, Supply},
    endpoint::Endpoint,
    http::Told,
    session::{Ended, Rig},
};
use crate::display;

/// The most bytes of a message: 108 and the name of who is paid.
const MESSAGE_MAX: usize = 1024;
/// Between two looks at what else there is to do. Some hashes take longer, with the network's figures.
const BATCH: Duration = Duration::from_millis(2);

/// The supply of nonces, which all threads share. It never starts anew while the process lives, so a message that
/// comes twice gets no share twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Nonces(Arc<AtomicU64>);

/// One job.
pub(super) struct Job {
    id: String,
    number: u64,
    message: Vec<u8>,
    dataset: Dataset,
    target: Hash,
}

/// A nonce whose hash meets its job's target.
#[derive(Clone)]
pub(super) struct Found {
    job: Arc<Job>,
    nonce: u64,
    hash: Hash,
}

/// What a thread hashes messages with.
pub(super) struct Searcher {
    nonces: Nonces,
    machine: Machine,
    job: Option<Arc<Job>>,
    /// What was found beside the one that was handed in.
    also: Vec<Found>,
}

/// What is told of a job, besides what is told of any.
#[derive(Deserialize)]
struct Fields {
    message: String,
    epoch: u64,
    epoch_seed: String,
    visionx: Figures,
}

impl Nonces {
    fn take(&self) -> [u64; LANES] {
        let lanes = u64::try_from(LANES).expect("a few");
        let mut next = self.0.fetch_add(lanes, Relaxed);
        [(); LANES].map(|()| {
            let nonce = next;
            next = next.wrapping_add(1);
            nonce
        })
    }
}

impl Supply for Nonces {
    type Hasher = Searcher;

    fn mines(&self, algorithm: Algorithm) -> bool {
        algorithm == Algorithm::VisionX
    }

    async fn by_lines(
        _: &mut Rig<'_, Self>,
        endpoint: &Endpoint,
        _: Pin<&mut impl Future<Output = Endpoint>>,
    ) -> Ended {
        let told = "there is no Stratum of visionx: its pools are joined over http://";
        Ended::without_a_word(anyhow::anyhow!("{endpoint}: {told}"))
    }

    fn job(&self, told: &Told, _: Option<&Job>) -> anyhow::Result<Job> {
        let fields: Fields = told.read()?;
        let seed = hex::array(&fields.epoch_seed).context("epoch_seed")?;
        let message = hex::vec(&fields.message, MESSAGE_MAX).context("message")?;
        ensure!(!message.is_empty(), "an empty message");
        let params = Params::new(fields.visionx)?;
        Ok(Job {
            id: told.id().to_owned(),
            number: told.number(),
            message,
            dataset: Dataset::computed(params, &EpochSeed(seed), fields.epoch),
            target: told.share_target().parse().context("share_target")?,
        })
    }

    fn hasher(&self) -> Searcher {
        Searcher {
            nonces: self.clone(),
            machine: Machine::new(),
            job: None,
            also: Vec::new(),
        }
    }
}

impl Hasher for Searcher {
    type Job = Job;
    type Found = Found;

    fn begin(&mut self, job: Arc<Job>) {
        self.job = Some(job);
        self.also.clear();
    }

    fn advance(&mut self) -> Step<Found> {
        let Some(job) = &self.job else {
            return Step::Wait;
        };
        let begun = Instant::now();
        let mut hashes = 0;
        while self.also.is_empty() && (hashes == 0 || begun.elapsed() < BATCH) {
            let nonces = self.nonces.take();
            let hashed = self.machine.hash_lanes(&job.dataset, &job.message, nonces);
            hashes += u32::try_from(LANES).expect("a few");
            let met = nonces.into_iter().zip(hashed);
            self.also.extend(
                met.filter(|(_, hash)| *hash <= job.target)
                    .map(|(nonce, hash)| Found {
                        job: Arc::clone(job),
                        nonce,
                        hash,
                    }),
            );
        }
        Step::Hashed(hashes, self.also.pop())
    }

    fn rest(&mut self) {
        self.machine = Machine::new();
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
        display::to_f64(difficulty_of(&self.target).into())
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
        display::to_f64(difficulty_of(&self.hash).into())
    }

    fn proof(&self) -> Proof {
        Proof {
            nonce: self.nonce,
            extra_nonce: 0,
            hash: self.hash.to_string(),
            ntime: None,
        }
    }
}
