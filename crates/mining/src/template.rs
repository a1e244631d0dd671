//! A template: what a daemon wants mined next. Made by `daemon`, read by everything after it.
//!
//! Transactions are opaque: their bytes stay in the hexadecimal form in which they came and are
//! sent back, since not every coin's can be decoded (Litecoin's HogEx) and none need be.

use std::sync::Arc;

use pow::Hash;

use crate::{Amount, NetworkDifficulty, Target, Work, cryptonote, merkle::Branch, vision};

/// A template of any family of coins.
#[derive(Clone, Debug)]
pub enum AnyTemplate {
    /// Of Bitcoin's.
    Bitcoin(Arc<Template>),
    /// Of CryptoNote's.
    CryptoNote(Arc<cryptonote::Template>),
    /// Of Vision's.
    Vision(Arc<vision::Template>),
}

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

impl AnyTemplate {
    /// Bitcoin's; nothing if it is of another family.
    pub fn bitcoin(&self) -> Option<&Arc<Template>> {
        match self {
            Self::Bitcoin(template) => Some(template),
            Self::CryptoNote(_) | Self::Vision(_) => None,
        }
    }

    /// CryptoNote's; nothing if it is of another family.
    pub fn cryptonote(&self) -> Option<&Arc<cryptonote::Template>> {
        match self {
            Self::CryptoNote(template) => Some(template),
            Self::Bitcoin(_) | Self::Vision(_) => None,
        }
    }

    /// The height of the block to be mined.
    pub fn height(&self) -> u32 {
        match self {
            Self::Bitcoin(template) => template.height,
            Self::CryptoNote(template) => template.height(),
            Self::Vision(template) => template.body().height,
        }
    }

    /// The id of the block before.
    pub fn previous(&self) -> Hash {
        match self {
            Self::Bitcoin(template) => template.previous,
            Self::CryptoNote(template) => template.previous(),
            Self::Vision(template) => template.body().previous,
        }
    }

    /// The time of the block, in seconds since 1970.
    pub fn time(&self) -> u32 {
        match self {
            Self::Bitcoin(template) => template.time,
            Self::CryptoNote(template) => template.time(),
            Self::Vision(template) => template.body().time,
        }
    }

    /// How hard a block is.
    pub fn network(&self) -> NetworkDifficulty {
        match self {
            Self::Bitcoin(template) => NetworkDifficulty::Bits(template.bits),
            Self::CryptoNote(template) => template.network(),
            Self::Vision(template) => NetworkDifficulty::Hashes(template.difficulty()),
        }
    }

    /// What a block's hash has to meet.
    pub fn target(&self) -> Target {
        match self {
            Self::Bitcoin(template) => template.target,
            Self::CryptoNote(template) => template.target(),
            Self::Vision(template) => template.body().target,
        }
    }

    /// The expected number of hashes behind a block.
    pub fn work(&self) -> Work {
        match self {
            Self::Bitcoin(template) => template.target.work(),
            // The target has dropped a remainder, and is one hash easier as a rule.
            Self::CryptoNote(template) => Work::from_hashes(template.difficulty().get().into()),
            Self::Vision(template) => Work::from_hashes(template.difficulty().get().into()),
        }
    }

    /// What the block pays: new coins and fees.
    pub fn value(&self) -> Amount {
        match self {
            Self::Bitcoin(template) => template.value,
            Self::CryptoNote(template) => template.reward(),
            Self::Vision(template) => template.body().value,
        }
    }

    /// How many transactions there are besides the miner's.
    pub fn transactions(&self) -> usize {
        match self {
            Self::Bitcoin(template) => template.transactions.count(),
            Self::CryptoNote(template) => template.block().transactions().len(),
            Self::Vision(template) => template.body().transactions.count(),
        }
    }

    /// How complete it is.
    pub fn kind(&self) -> TemplateKind {
        match self {
            Self::Bitcoin(template) => template.kind,
            Self::CryptoNote(_) | Self::Vision(_) => TemplateKind::Full,
        }
    }

    /// Whether it is the very same one.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bitcoin(one), Self::Bitcoin(other)) => Arc::ptr_eq(one, other),
            (Self::CryptoNote(one), Self::CryptoNote(other)) => Arc::ptr_eq(one, other),
            (Self::Vision(one), Self::Vision(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Whether `other` lets a miner do other work than this one.
    pub fn is_other_work(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bitcoin(one), Self::Bitcoin(other)) => one.is_other_work(other),
            (Self::CryptoNote(one), Self::CryptoNote(other)) => one.is_other_work(other),
            (Self::Vision(one), Self::Vision(other)) => one.is_other_work(other),
            _ => true,
        }
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
