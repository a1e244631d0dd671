//! What the hashes of one epoch read: words that the epoch's seed gives.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use sha2::{Digest, Sha256};

use super::{GOLDEN, Params, SplitMix64, index};
use crate::pages;

/// What the seed of an epoch begins with.
const SEED_LABEL: &[u8] = b"VISIONX_EPOCH_SEED_V1";
/// Words that are filled before it is asked whether to stop: some milliseconds' work.
const WORDS_AT_ONCE: usize = 1 << 20;

/// What the dataset of an epoch is made from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EpochSeed(pub [u8; 32]);

/// The words of an epoch, computed whenever they are asked for, or filled once.
pub struct Dataset {
    params: Params,
    words: SplitMix64,
    filled: Option<Box<[u64]>>,
}

impl EpochSeed {
    /// The seed of an epoch of a chain. The network's `chain_id` is `mainnet`, and its
    /// `genesis_pow_hash` 32 zeros, which is not what its genesis block has.
    pub fn of(chain_id: &str, genesis_pow_hash: &[u8; 32], epoch: u64) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(SEED_LABEL);
        hasher.update(chain_id);
        hasher.update(genesis_pow_hash);
        hasher.update(epoch.to_le_bytes());
        Self(hasher.finalize().into())
    }

    /// What the words of the dataset are counted from.
    pub(super) fn fold(&self, epoch: u64) -> u64 {
        let (chunks, _) = self.0.as_chunks::<8>();
        let start = epoch ^ 0xa24b_aed4_963e_e407;
        chunks.iter().fold(start, |fold, chunk| {
            let mixed = fold ^ u64::from_be_bytes(*chunk).rotate_left(7);
            mixed.wrapping_mul(GOLDEN).rotate_left(9)
        })
    }
}

impl Dataset {
    /// Words that are computed one by one as they are asked for. Takes no time and no memory, and hashes
    /// fastest.
    pub fn computed(params: Params, seed: &EpochSeed, epoch: u64) -> Self {
        Self {
            params,
            words: SplitMix64(seed.fold(epoch)),
            filled: None,
        }
    }

    /// The same words, all in memory: the definition to the letter. Hashes with it fill their scratch.
    /// `None` if it was told to stop; it looks every few milliseconds.
    pub fn filled(params: Params, seed: &EpochSeed, epoch: u64, stop: &AtomicBool) -> Option<Self> {
        let mut dataset = Self::computed(params, seed, epoch);
        let mut words = pages::joined(params.dataset_mask());
        let mut number = 0;
        for some in words.chunks_mut(WORDS_AT_ONCE) {
            if stop.load(Relaxed) {
                return None;
            }
            for word in some {
                *word = dataset.words.at(number);
                number += 1;
            }
        }
        dataset.filled = Some(words);
        Some(dataset)
    }

    /// The figures it was made with.
    pub fn params(&self) -> Params {
        self.params
    }

    /// The counter that the words are outputs of.
    pub(super) fn words(&self) -> SplitMix64 {
        self.words
    }

    /// All words, where they are in memory.
    pub(super) fn in_memory(&self) -> Option<&[u64]> {
        self.filled.as_deref()
    }
}

/// The word of a scratch that `number` gives, before anything is written to it.
#[inline(always)]
pub(super) fn scratch_word(number: u64, dataset_mask: u64, word: impl Fn(u64) -> u64) -> u64 {
    word(number.rotate_left(17) & dataset_mask)
        ^ word(number.rotate_right(23) & dataset_mask)
        ^ number.wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
}

/// Fills a scratch as the definition says.
pub(super) fn fill(scratch: &mut [u64], numbers: SplitMix64, words: &[u64], dataset_mask: u64) {
    for (at, word) in (0..).zip(scratch) {
        *word = scratch_word(numbers.at(at), dataset_mask, |number| {
            words[index(number, dataset_mask)]
        });
    }
}

impl fmt::Display for EpochSeed {
    /// In the order of its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EpochSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochSeed({self})")
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("params", &self.params)
            .field("is_filled", &self.filled.is_some())
            .finish_non_exhaustive()
    }
}
