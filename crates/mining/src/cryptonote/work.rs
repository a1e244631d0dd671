//! What a daemon of this family wants mined next: its block, how hard it is, and with which key
//! RandomX hashes it. Made by `daemon`, read by everything after it.

use std::num::NonZeroU64;

use pow::{
    Hash,
    randomx::{Seed, Variant},
};

use super::BlockTemplate;
use crate::{Amount, NetworkDifficulty, Target};

/// What is to be mined at one height, immutable once made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The block, but for each job's reserve and nonce.
    pub block: BlockTemplate,
    /// The height of the block to be mined.
    pub height: u32,
    /// The id of the block before. Ids of this family are printed in the order of their bytes, and a
    /// [`Hash`] in the other one: this is the one that prints as the daemon does.
    pub previous: Hash,
    /// The time in the block, in seconds since 1970.
    pub time: u32,
    /// The hashes behind a block.
    pub difficulty: NonZeroU64,
    /// What a miner hashes it with.
    pub variant: Variant,
    /// The key of RandomX.
    pub seed: Seed,
    /// The next one, once it is known.
    pub next_seed: Option<Seed>,
}

impl Template {
    /// What a block's hash has to meet.
    pub fn target(&self) -> Target {
        Target::of_hashes(self.difficulty.into())
    }

    /// How hard a block is.
    pub fn network(&self) -> NetworkDifficulty {
        NetworkDifficulty::Hashes(self.difficulty)
    }

    /// What the block pays: new coins and fees.
    pub fn value(&self) -> Amount {
        self.block.reward()
    }

    /// Whether `other` lets a miner do other work than this one: anything but the time differs.
    pub fn is_other_work(&self, other: &Self) -> bool {
        self.previous != other.previous
            || self.height != other.height
            || self.difficulty != other.difficulty
            || self.seed != other.seed
            || self.block.reward() != other.block.reward()
            || self.block.transactions() != other.block.transactions()
    }
}
