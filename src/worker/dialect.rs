//! What differs between the protocols that a worker speaks, and between what it hashes for them. All
//! else (connections, threads, waits, figures) is written once, over these.

use std::{pin::Pin, sync::Arc};

use pow::Hash;
use tokio::time::Instant;

use super::{
    algorithm::Algorithm,
    endpoint::Endpoint,
    http::Told,
    session::{Ended, Left, Rig, Session},
};

/// Nobody has named an algorithm, and the pool wants another one than was begun with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool's work is for {0}")]
pub(super) struct Wants(pub(super) Algorithm);

/// A protocol of lines, as far as one connection has come with it.
pub(super) trait Dialect: Sized {
    /// What outlives the connection.
    type Supply: Supply;

    /// Before anything was said.
    fn new(supply: &Self::Supply) -> Self;

    /// The first words, which are ours.
    fn begin(&mut self, session: &mut Session<'_, Self>);

    /// A line of the pool's. An error ends the connection.
    async fn read_line(
        &mut self,
        session: &mut Session<'_, Self>,
        line: &[u8],
    ) -> anyhow::Result<Option<Left>>;

    /// Appends a share to what is sent.
    fn share(&self, session: &mut Session<'_, Self>, id: u64, found: &FoundOf<Self::Supply>);

    /// When there is something to do although no line has come.
    fn due(&self, session: &Session<'_, Self>) -> Option<Instant>;

    /// That moment has come.
    fn overdue(&mut self, session: &mut Session<'_, Self>) -> anyhow::Result<()>;
}

pub(super) type HasherOf<S> = <S as Supply>::Hasher;
pub(super) type JobOf<S> = <HasherOf<S> as Hasher>::Job;
pub(super) type FoundOf<S> = <HasherOf<S> as Hasher>::Found;

/// What the threads and connections share that mine by one family of algorithms.
pub(super) trait Supply: Sized {
    /// Of one thread.
    type Hasher: Hasher<Job: Job, Found: Found<Job = JobOf<Self>>>;

    /// Whether it is of this family.
    fn mines(&self, algorithm: Algorithm) -> bool;

    /// One connection to a pool that speaks in lines.
    async fn by_lines(
        rig: &mut Rig<'_, Self>,
        endpoint: &Endpoint,
        home: Pin<&mut impl Future<Output = Endpoint>>,
    ) -> Ended;

    /// The job of a pool that was asked over HTTP. `before` is the one before it, of the same worker.
    fn job(&self, told: &Told, before: Option<&JobOf<Self>>) -> anyhow::Result<JobOf<Self>>;

    /// For one more thread.
    fn hasher(&self) -> Self::Hasher;

    /// How much of what hashing needs is there, in percent, while something is missing.
    fn preparing(&self) -> Option<u8> {
        None
    }

    /// It cannot supply any more, which does not happen by itself.
    fn has_ended(&self) -> bool {
        false
    }
}

/// What a thread hashes with, for as long as it lives.
pub(super) trait Hasher: Send + 'static {
    /// What the pool wants hashed.
    type Job: Send + Sync + 'static;
    /// A proof that the pool may have.
    type Found: Send + 'static;

    /// Leaves what it did for another job.
    fn begin(&mut self, job: Arc<Self::Job>);

    /// Hashes for a few milliseconds.
    fn advance(&mut self) -> Step<Self::Found>;

    /// Resolves when it is worth while to go on after [`Step::Wait`], though the job is the same.
    fn woken(&mut self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    /// Lets go of memory, before a wait that may be long.
    fn rest(&mut self) {}
}

/// What came of some milliseconds.
pub(super) enum Step<F> {
    /// So many hashes, and a proof if there was one.
    Hashed(u32, Option<F>),
    /// Nothing can be hashed now.
    Wait,
    /// Nor ever.
    Failed(anyhow::Error),
}

/// What is told of a job.
pub(super) trait Job {
    /// As the pool calls it.
    fn id(&self) -> &str;

    /// Its place among the jobs of the process, in the order of their arrival.
    fn number(&self) -> u64;

    /// In the terms of the algorithm.
    fn difficulty(&self) -> f64;

    /// The version bits that may be rolled, where there is such a thing.
    fn version_mask(&self) -> Option<u32> {
        None
    }
}

/// What is told of a proof.
pub(super) trait Found {
    type Job: Job;

    fn job(&self) -> &Self::Job;

    fn hash(&self) -> Hash;

    /// The difficulty that this hash would still have met.
    fn difficulty(&self) -> f64;

    /// What a pool is sent over HTTP.
    fn proof(&self) -> Proof;
}

/// What proves a share over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) nonce: u64,
    /// Of the range that the pool has given; 0 where there is no place for one.
    pub(super) extra_nonce: u32,
    /// 32 bytes in hexadecimal, in the order in which the coin has them.
    pub(super) hash: String,
    /// The time in the header, where it was ours to choose.
    pub(super) ntime: Option<u32>,
}
