//! A template of this family.

use std::{num::NonZeroU64, sync::Arc};

use pow::visionx::{self, Dataset, EpochSeed, Params};

use crate::Target;

/// What a chain of this family hashes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name in the seeds of its epochs.
    pub id: String,
    /// The hash in the seeds of its epochs: 32 zeros on the network.
    pub genesis: [u8; 32],
    /// The figures of its hash.
    pub params: Params,
}

/// What is to be mined at one height, immutable once made.
#[derive(Clone, Debug)]
pub struct Template {
    body: Arc<crate::Template>,
    difficulty: NonZeroU64,
    chain: Chain,
    seed: EpochSeed,
    dataset: Arc<Dataset>,
    branch: Vec<[u8; 32]>,
}

impl Template {
    /// Of what the daemon wants in the block, whose `target` is the one of this difficulty. `txids` are those of
    /// all transactions but the coinbase.
    pub fn new(
        body: crate::Template,
        txids: &[pow::Hash],
        difficulty: NonZeroU64,
        chain: Chain,
    ) -> Self {
        let epoch = chain.params.epoch_of(body.height.into());
        let seed = EpochSeed::of(&chain.id, &chain.genesis, epoch);
        let leaves: Vec<[u8; 32]> = txids.iter().map(|id| id.0).collect();
        Self {
            dataset: Arc::new(Dataset::computed(chain.params, &seed, epoch)),
            branch: visionx::branch(&leaves),
            body: Arc::new(body),
            difficulty,
            chain,
            seed,
        }
    }

    /// Transactions, coinbase and what stands in Bitcoin's header, too.
    pub fn body(&self) -> &Arc<crate::Template> {
        &self.body
    }

    /// The expected number of hashes behind a block.
    pub fn difficulty(&self) -> NonZeroU64 {
        self.difficulty
    }

    /// What the chain hashes with.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The epoch of the block.
    pub fn epoch(&self) -> u64 {
        self.chain.params.epoch_of(self.body.height.into())
    }

    /// Its seed.
    pub fn seed(&self) -> EpochSeed {
        self.seed
    }

    /// What the epoch's hashes are made from.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// The root of the transactions below a coinbase of this id.
    pub fn root(&self, coinbase: pow::Hash) -> [u8; 32] {
        visionx::root_of_first(coinbase.0, &self.branch)
    }

    /// Whether `other` lets a miner do other work than this one.
    pub fn is_other_work(&self, other: &Self) -> bool {
        self.body.is_other_work(&other.body)
            || self.difficulty != other.difficulty
            || self.chain != other.chain
    }
}

/// The target of a whole number of hashes: the first eight bytes of a digest are at most
/// `(2^64 - 1) / difficulty`.
pub fn target_of(difficulty: NonZeroU64) -> Target {
    let bound = (u64::MAX / difficulty.get()).checked_add(1);
    let bound = bound.and_then(NonZeroU64::new);
    bound.map_or(Target::MAX, Target::below_upper_bits)
}
