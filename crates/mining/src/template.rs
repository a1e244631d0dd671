//! A template: what a daemon wants mined next. Made by `daemon`, read by everything after it.
//!
//! Transactions are opaque: their bytes stay in the hexadecimal form in which they came and are
//! sent back, since not every coin's can be decoded (Litecoin's HogEx) and none need be.

use pow::Hash;

use crate::{Amount, Target, merkle::Branch};

/// What is to be mined at one height, immutable once made.
#[derive(Clone, Debug)]
pub struct Template {
    /// The height of the block to be mined.
    pub height: u32,
    /// The version field, without any rolled bits.
    pub version: u32,
    /// The id of the block before.
    pub previous: Hash,
    /// The target in compact form, as the header carries it.
    pub bits: u32,
    /// The harder of `bits` and the daemon's own `target`.
    pub target: Target,
    /// The time to put into headers, in seconds since 1970.
    pub time: u32,
    /// The earliest time a header may bear.
    pub min_time: u32,
    /// What the coinbase may pay out: subsidy and fees.
    pub value: Amount,
    /// The fees in `value`.
    pub fees: Amount,
    /// The script of the witness commitment, where the block needs one.
    pub witness_commitment: Option<Vec<u8>>,
    /// What the daemon wants in the coinbase's script (`coinbaseaux.flags`).
    pub coinbase_flags: Vec<u8>,
    /// All transactions but the coinbase.
    pub transactions: Transactions,
    /// What stands behind the transactions, in hexadecimal: `01` and Litecoin's extension block.
    pub tail: String,
    /// What the coinbase may take of the block's limits.
    pub room: Room,
    /// How complete it is.
    pub kind: TemplateKind,
}

/// What a block's limits leave to its coinbase. One that takes more makes the block invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Weight units (BIP141).
    pub weight: u64,
    /// The cost of signature operations.
    pub sigops: u64,
}

/// Where a template came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateKind {
    /// The daemon's own.
    Full,
    /// Made from the new tip alone, to be mined until the full one is there. Pays no fees.
    SubsidyOnly,
}

/// The transactions of a template in the block's order.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    hex: String,
    count: usize,
    branch: Branch,
}

impl Room {
    /// That of a block without other transactions, in every coin of the table.
    pub const EMPTY_BLOCK: Self = Self {
        weight: 4_000_000 - HEADER_WEIGHT,
        sigops: 80_000,
    };

    /// Beside transactions of this weight and cost, under these limits.
    pub fn beside(weight: u64, sigops: u64, weight_limit: u64, sigops_limit: u64) -> Self {
        Self {
            weight: weight_limit
                .saturating_sub(weight)
                .saturating_sub(HEADER_WEIGHT),
            sigops: sigops_limit.saturating_sub(sigops),
        }
    }
}

/// The header and the longest number of transactions.
const HEADER_WEIGHT: u64 = 4 * (80 + 9);

impl Transactions {
    /// From their concatenated bytes in hexadecimal and their ids.
    pub fn new(hex: String, txids: &[Hash]) -> Self {
        Self {
            hex,
            count: txids.len(),
            branch: Branch::new(txids),
        }
    }

    /// From what an earlier run has made of them.
    pub fn with_branch(hex: String, count: usize, branch: Branch) -> Self {
        Self { hex, count, branch }
    }

    /// All of them, in hexadecimal, one behind the other.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The merkle branch beside the coinbase.
    pub fn branch(&self) -> &Branch {
        &self.branch
    }
}

impl Template {
    /// Whether `other` lets a miner do other work than this one: anything that goes into the header
    /// or the coinbase differs, time excepted.
    pub fn is_other_work(&self, other: &Self) -> bool {
        self.previous != other.previous
            || self.height != other.height
            || self.version != other.version
            || self.bits != other.bits
            || self.value != other.value
            || self.witness_commitment != other.witness_commitment
            || self.transactions.branch != other.transactions.branch
    }
}
