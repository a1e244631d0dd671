//! A chain of our own that mines by VisionX: its figures, its difficulty, and the hash of a header.
//!
//! Blocks have Bitcoin's transactions behind VisionX's header, with a compact count between them. Called by
//! `params`, by `sealed` for every header and by `rpc` for templates. Nothing here can fail.

use bitcoin::{BlockHash, Transaction, hashes::Hash as _};
use pow::{
    Hash,
    visionx::{self, Dataset, EpochSeed, Header, Machine},
};
use ruint::aliases::U256;
use serde_json::{Value, json};

/// The greatest difficulty of a chain that follows its blocks.
const DIFFICULTY_MAX: u64 = 248;
/// Blocks that the difficulty looks back at.
pub(crate) const WINDOW: usize = 20;
/// A branch's weight doubles with each difficulty up to this one.
const WEIGHT_MAX: u64 = 120;

/// Who mines blocks that are made here.
pub(crate) const MINER: &str = "adit simnet";

/// What a VisionX chain agrees on beside what all chains do.
#[derive(Clone, Debug)]
pub(crate) struct Vision {
    pub(crate) chain_id: &'static str,
    pub(crate) genesis_pow_hash: [u8; 32],
    pub(crate) params: visionx::Params,
    /// The difficulty of every block, if it does not follow them.
    pub(crate) fixed: Option<u64>,
}

impl Vision {
    pub(crate) fn new(params: visionx::Params) -> Self {
        Self {
            chain_id: "simnet",
            genesis_pow_hash: [0; 32],
            params,
            fixed: None,
        }
    }

    /// What hashes of a block at this height read.
    pub(crate) fn dataset(&self, height: u64) -> Dataset {
        let epoch = self.params.epoch_of(height);
        let seed = EpochSeed::of(self.chain_id, &self.genesis_pow_hash, epoch);
        Dataset::computed(self.params, &seed, epoch)
    }

    /// The hash of a block, which is its proof and its name.
    pub(crate) fn hash(&self, header: &Header) -> BlockHash {
        let dataset = self.dataset(header.height);
        let hash = header.hash(&mut Machine::new(), &dataset);
        BlockHash::from_byte_array(hash.to_bytes())
    }

    /// Whether a difficulty is one that this chain may have.
    pub(crate) fn may_have(&self, difficulty: u64) -> bool {
        match self.fixed {
            Some(fixed) => difficulty == fixed,
            None => (1..=DIFFICULTY_MAX).contains(&difficulty),
        }
    }

    /// The difficulty after `last`, the times and difficulties of up to [`WINDOW`] blocks, newest
    /// first: one more if they came in less than 0.90 of the `spacing`, one less if in more than 1.10.
    pub(crate) fn next_difficulty(&self, spacing: u32, last: &[(u32, u64)]) -> u64 {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        let (Some(newest), Some(oldest)) = (last.first(), last.last()) else {
            return 1;
        };
        let gaps = i64::try_from(last.len() - 1).unwrap_or(0);
        let taken = i64::from(newest.0) - i64::from(oldest.0);
        let expected = gaps * i64::from(spacing);
        let next = if taken * 10 < expected * 9 {
            newest.1.saturating_add(1)
        } else if taken * 10 > expected * 11 {
            newest.1.saturating_sub(1)
        } else {
            newest.1
        };
        next.clamp(1, DIFFICULTY_MAX)
    }

    /// What `getblocktemplate` says about the hash.
    pub(crate) fn json(&self) -> Value {
        let figures = self.params.figures();
        json!({
            "chain_id": self.chain_id,
            "genesis_pow_hash": hex::encode(self.genesis_pow_hash),
            "dataset_mib": figures.dataset_mib,
            "scratch_mib": figures.scratch_mib,
            "mix_iters": figures.mix_iters,
            "reads_per_iter": figures.reads_per_iter,
            "write_every": figures.write_every,
            "epoch_blocks": figures.epoch_blocks,
            "header_version": 1,
        })
    }
}

/// What a block adds to its branch.
pub(crate) fn weight(difficulty: u64) -> U256 {
    U256::ONE << usize::try_from(difficulty.min(WEIGHT_MAX)).unwrap_or(0)
}

/// A block's name as the header after it has it.
pub(crate) fn hash_of(hash: BlockHash) -> Hash {
    Hash(hash.to_byte_array())
}

/// The root of transactions as the header has it.
pub(crate) fn root(transactions: &[Transaction]) -> [u8; 32] {
    let leaves: Vec<[u8; 32]> = transactions
        .iter()
        .map(|transaction| transaction.compute_txid().to_byte_array())
        .collect();
    visionx::root(&leaves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difficulty_goes_by_one_where_blocks_come_too_fast_or_too_slow() {
        let vision = Vision::new(visionx::Params::LITE);
        // Blocks of difficulty 100, each so many tenths of a second after the one before.
        let after = |tenths: u32, blocks: u32| {
            let last: Vec<_> = (0..blocks)
                .rev()
                .map(|number| (1_000 + number * tenths / 10, 100))
                .collect();
            vision.next_difficulty(5, &last)
        };
        assert_eq!(vision.next_difficulty(5, &[]), 1);
        assert_eq!(vision.next_difficulty(5, &[(7, 3)]), 3);
        assert_eq!(after(50, 20), 100);
        assert_eq!(after(45, 11), 100);
        assert_eq!(after(55, 11), 100);
        assert_eq!(after(44, 11), 101);
        assert_eq!(after(56, 11), 99);
        assert_eq!(after(0, 2), 101);
        let at = |difficulty, gap: u32| {
            let last = [(1_000 + gap, difficulty), (1_000, 1)];
            vision.next_difficulty(5, &last)
        };
        assert_eq!((at(248, 0), at(1, 100)), (248, 1));
        let fixed = Vision {
            fixed: Some(1_000),
            ..vision
        };
        assert_eq!(fixed.next_difficulty(5, &[(0, 1_000)]), 1_000);
    }

    #[test]
    fn a_difficulty_beyond_the_chains_is_none() {
        let vision = Vision::new(visionx::Params::LITE);
        let may = [0, 1, 248, 249].map(|difficulty| vision.may_have(difficulty));
        assert_eq!(may, [false, true, true, false]);
        let fixed = Vision {
            fixed: Some(1_000),
            ..vision
        };
        assert!(fixed.may_have(1_000) && !fixed.may_have(248));
    }
}
