//! What differs between the protocols that a worker speaks, and between what it hashes for them. All
//! else (connections, threads, waits, figures) is written once, over these.

use std::sync::Arc;

use pow::Hash;
use tokio::time::Instant;

use super::session::{Left, Session};

/// A protocol, as far as one connection has come with it.
pub(super) trait Dialect: Sized {
    /// What outlives the connection.
    type Supply: Supply<Hasher: Hasher<Job: Job, Found: Found<Job = JobOf<Self>>>>;

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
    fn share(&self, session: &mut Session<'_, Self>, id: u64, found: &FoundOf<Self>);

    /// When there is something to do although no line has come.
    fn due(&self, session: &Session<'_, Self>) -> Option<Instant>;

    /// That moment has come.
    fn overdue(&mut self, session: &mut Session<'_, Self>) -> anyhow::Result<()>;
}

pub(super) type HasherOf<D> = <<D as Dialect>::Supply as Supply>::Hasher;
pub(super) type JobOf<D> = <HasherOf<D> as Hasher>::Job;
pub(super) type FoundOf<D> = <HasherOf<D> as Hasher>::Found;

/// What the threads and connections of a dialect share.
pub(super) trait Supply {
    /// Of one thread.
    type Hasher: Hasher;

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
}
