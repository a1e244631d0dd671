//! All that a daemon says of the block that it wants mined: the block itself, how hard it is, and with
//! which key RandomX hashes it.
//!
//! Made from each answer to `get_block_template`, by whoever asked. A [`Refused`] means that this daemon
//! must not be mined with: miners would work for nothing, or with the wrong key.

use std::num::{NonZeroU64, NonZeroU128};

use pow::{
    Hash,
    randomx::{Seed, Variant},
};

use super::{
    id,
    template::{Announced, BadTemplate, BlockTemplate},
};
use crate::{Amount, NetworkDifficulty, Target, coin::CryptoNoteRules};

/// The answer of a daemon.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The block and what is said of it.
    pub block: Announced<'a>,
    /// How many hashes it takes: `wide_difficulty`.
    pub difficulty: u128,
    /// `seed_height`.
    pub seed_height: u64,
    /// `seed_hash`.
    pub seed: [u8; 32],
    /// `next_seed_hash`, if there is one.
    pub next_seed: Option<[u8; 32]>,
}

/// A block to be mined, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    block: BlockTemplate,
    height: u32,
    time: u32,
    difficulty: NonZeroU64,
    variant: Variant,
    seed: Seed,
    next_seed: Option<Seed>,
}

/// Why a daemon is not mined with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The block, or what is said of it.
    #[error(transparent)]
    Block(#[from] BadTemplate),
    /// No block of a living chain has it.
    #[error("the template is of height {0}")]
    Height(u64),
    /// It does not fit 32 bits.
    #[error("the template's time is {0}")]
    Time(u64),
    /// Every hash would be one too many, or none enough.
    #[error("the template's difficulty is {0}, which is not from 1 to 2^64-1")]
    Difficulty(u128),
    /// A version of the rules that nobody here knows.
    #[error("how blocks of version {0} are hashed is not known")]
    Version(u8),
    /// The key would be another block's than the rule has it.
    #[error(
        "the key is said to come from block {told}, but at height {height} it is that of {rule}"
    )]
    SeedHeight {
        /// Of the template.
        height: u64,
        /// By the daemon.
        told: u64,
        /// By the rule.
        rule: u64,
    },
    /// The next key is told when there is none yet, or not when there is one.
    #[error("the next key is {} at height {height}", if *told { "told" } else { "not told" })]
    NextSeed {
        /// Of the template.
        height: u64,
        /// Whether it is told.
        told: bool,
    },
}

impl Template {
    /// Holds all parts of an answer against each other and against the rules of the coin.
    pub fn new(answer: &Answer<'_>, rules: &CryptoNoteRules) -> Result<Self, Refused> {
        let block = BlockTemplate::new(&answer.block)?;
        let height = block.height();
        let height_u32 = u32::try_from(height)
            .ok()
            .filter(|height| *height > 0 && i32::try_from(*height).is_ok())
            .ok_or(Refused::Height(height))?;
        let timestamp = block.timestamp();
        let time = u32::try_from(timestamp).map_err(|_| Refused::Time(timestamp))?;
        let difficulty = u64::try_from(answer.difficulty)
            .ok()
            .and_then(NonZeroU64::new)
            .ok_or(Refused::Difficulty(answer.difficulty))?;
        let version = block.major_version();
        let variant = rules.variant(version).ok_or(Refused::Version(version))?;
        let rule = rules.epochs.seed_height(height);
        if answer.seed_height != rule {
            return Err(Refused::SeedHeight {
                height,
                told: answer.seed_height,
                rule,
            });
        }
        let told = answer.next_seed.is_some();
        if told != rules.epochs.next_seed_height(height).is_some() {
            return Err(Refused::NextSeed { height, told });
        }
        Ok(Self {
            height: height_u32,
            time,
            difficulty,
            variant,
            seed: Seed(answer.seed),
            next_seed: answer.next_seed.map(Seed),
            block,
        })
    }

    /// The block itself, of which jobs are made.
    pub fn block(&self) -> &BlockTemplate {
        &self.block
    }

    /// The height of the block.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The id of the block before; see [`id`].
    pub fn previous(&self) -> Hash {
        id::of_bytes(self.block.previous())
    }

    /// The daemon's clock, in seconds since 1970.
    pub fn time(&self) -> u32 {
        self.time
    }

    /// What the block pays: new coins and fees.
    pub fn reward(&self) -> Amount {
        self.block.reward()
    }

    /// How many hashes the block takes on average.
    pub fn difficulty(&self) -> NonZeroU64 {
        self.difficulty
    }

    /// The same, as it is kept.
    pub fn network(&self) -> NetworkDifficulty {
        NetworkDifficulty::Hashes(self.difficulty)
    }

    /// Whether `other` lets a miner do other work than this one: anything but the time differs.
    pub fn is_other_work(&self, other: &Self) -> bool {
        self.previous() != other.previous()
            || self.height != other.height
            || self.difficulty != other.difficulty
            || self.seed != other.seed
            || self.reward() != other.reward()
            || self.block.transactions() != other.block.transactions()
    }

    /// What the block's hash must meet.
    pub fn target(&self) -> Target {
        Target::of_hashes(NonZeroU128::from(self.difficulty))
    }

    /// What hashes it.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// With which key.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The key that comes next, told some 64 blocks before it is needed.
    pub fn next_seed(&self) -> Option<Seed> {
        self.next_seed
    }
}

#[cfg(test)]
pub(crate) mod tests;
