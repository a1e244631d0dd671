//! What a daemon wants mined, cut once so that each job is only a reserve away.
//!
//! Made from each answer to `get_block_template`. Jobs differ in the reserve, a part of the miner's
//! transaction that the daemon left to the pool, and in nothing else: what is before it, behind it and
//! in the tree beside it is kept ready. A [`BadTemplate`] means that this daemon must not be mined with.

use std::ops::Range;

use super::{
    block::{self, BadBlock, Block, Nonce},
    miner_transaction,
    tree::Branch,
    varint,
};
use crate::Amount;

/// The largest reserve to ask a daemon for. Longer ones are allowed by its documents, but it writes
/// their length in one byte, cannot read that again and makes no template at all.
pub const RESERVE_MAX: usize = 127;

/// A template, as the daemon announces it.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    /// `blocktemplate_blob`.
    pub block: &'a [u8],
    /// `blockhashing_blob`.
    pub hashing_blob: &'a [u8],
    /// `reserved_offset`.
    pub reserved_offset: usize,
    /// `reserve_size`, as we asked for it.
    pub reserve_len: usize,
    /// `height`.
    pub height: u64,
    /// `prev_hash`.
    pub previous: [u8; 32],
    /// `expected_reward`.
    pub reward: Amount,
}

/// A block without its reserve and its nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockTemplate {
    major_version: u8,
    timestamp: u64,
    height: u64,
    unlock_time: u64,
    previous: [u8; 32],
    reward: Amount,
    /// To the nonce.
    header: Vec<u8>,
    /// The miner's transaction to the reserve, and from there to the end of its prefix.
    before: Vec<u8>,
    behind: Vec<u8>,
    reserve_len: usize,
    branch: Branch,
    /// The ids of the other transactions.
    transactions: Vec<[u8; 32]>,
}

/// Why a template is not mined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// It is no block.
    #[error(transparent)]
    Block(#[from] BadBlock),
    /// A nonce that is not zero switches miners to NiceHash's mode.
    #[error("the template's nonce is not zero")]
    Nonce,
    /// What we would write over is not left to us.
    #[error("the reserve of {len} bytes at {offset} is not inside a nonce of the extra field")]
    Reserve {
        /// Where the daemon says it is.
        offset: usize,
        /// How long it should be.
        len: usize,
    },
    /// No byte that may differ between jobs.
    #[error("the template has no reserve")]
    NoReserve,
    /// The miner's transaction has another height than the daemon says.
    #[error("the template is of height {block}, but the daemon says {announced}")]
    Height {
        /// In the block.
        block: u64,
        /// In the answer.
        announced: u64,
    },
    /// The header follows another block than the daemon says.
    #[error("the template follows another block than the daemon says")]
    Previous,
    /// The outputs are not what the daemon says.
    #[error("the template pays {} units, but the daemon says {}", block.units(), announced.units())]
    Reward {
        /// In the block.
        block: Amount,
        /// In the answer.
        announced: Amount,
    },
    /// We hash it to something else: this coin has other rules.
    #[error("the daemon hashes the template in another way than we do")]
    HashingBlob,
}

/// A reserve of another length than the template's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reserve of {found} bytes where {expected} are reserved")]
pub struct WrongReserve {
    /// As in the template.
    pub expected: usize,
    /// As it was given.
    pub found: usize,
}

impl BlockTemplate {
    /// Reads the block and holds it against what the daemon says of it.
    pub fn new(announced: &Announced<'_>) -> Result<Self, BadTemplate> {
        let bytes = announced.block;
        let block = Block::parse(bytes)?;
        let transaction = &block.miner_transaction;
        if block.nonce != [0; 4] {
            return Err(BadTemplate::Nonce);
        }
        if transaction.height != announced.height {
            return Err(BadTemplate::Height {
                block: transaction.height,
                announced: announced.height,
            });
        }
        if block.previous != announced.previous {
            return Err(BadTemplate::Previous);
        }
        if transaction.reward != announced.reward {
            return Err(BadTemplate::Reward {
                block: transaction.reward,
                announced: announced.reward,
            });
        }
        let reserve = reserve(announced, &transaction.nonces)?;
        let prefix = transaction.prefix.clone();
        let template = Self {
            major_version: block.major_version,
            timestamp: block.timestamp,
            height: transaction.height,
            unlock_time: transaction.unlock_time,
            previous: block.previous,
            reward: transaction.reward,
            header: bytes[..block.nonce_offset].to_vec(),
            before: bytes[prefix.start..reserve.start].to_vec(),
            behind: bytes[reserve.end..prefix.end].to_vec(),
            reserve_len: reserve.len(),
            branch: Branch::of_first(&block.transactions),
            transactions: block.transactions,
        };
        if template.hashed(&bytes[reserve], block.nonce) != announced.hashing_blob {
            return Err(BadTemplate::HashingBlob);
        }
        Ok(template)
    }

    /// What a job's miner hashes: with this reserve, and zeros for the nonce.
    pub fn hashing_blob(&self, reserve: &[u8]) -> Result<Vec<u8>, WrongReserve> {
        self.check(reserve)?;
        Ok(self.hashed(reserve, [0; 4]))
    }

    /// The whole block, for the daemon.
    pub fn block(&self, reserve: &[u8], nonce: Nonce) -> Result<Vec<u8>, WrongReserve> {
        self.check(reserve)?;
        Ok([
            &self.header[..],
            &nonce,
            &self.before,
            reserve,
            &self.behind,
            &miner_transaction::SUFFIX,
            &varint::of_len(self.transactions.len()),
            self.transactions.as_flattened(),
        ]
        .concat())
    }

    /// The block's id, by which the daemon knows it.
    pub fn id(&self, reserve: &[u8], nonce: Nonce) -> Result<[u8; 32], WrongReserve> {
        self.check(reserve)?;
        Ok(block::id(&self.hashed(reserve, nonce)))
    }

    /// Where the nonce is in the hashing blob and in the block.
    pub fn nonce_offset(&self) -> usize {
        self.header.len()
    }

    /// How many bytes differ between jobs.
    pub fn reserve_len(&self) -> usize {
        self.reserve_len
    }

    /// The version of the rules, by which RandomX is chosen.
    pub fn major_version(&self) -> u8 {
        self.major_version
    }

    /// In seconds since 1970.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// The height of the block.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The height before which the reward cannot be spent.
    pub fn unlock_time(&self) -> u64 {
        self.unlock_time
    }

    /// The id of the block before.
    pub fn previous(&self) -> [u8; 32] {
        self.previous
    }

    /// What the block pays: new coins and fees.
    pub fn reward(&self) -> Amount {
        self.reward
    }

    /// The ids of the transactions besides the miner's.
    pub fn transactions(&self) -> &[[u8; 32]] {
        &self.transactions
    }

    fn check(&self, reserve: &[u8]) -> Result<(), WrongReserve> {
        if reserve.len() == self.reserve_len {
            Ok(())
        } else {
            Err(WrongReserve {
                expected: self.reserve_len,
                found: reserve.len(),
            })
        }
    }

    fn hashed(&self, reserve: &[u8], nonce: Nonce) -> Vec<u8> {
        let first = miner_transaction::hash(&[&self.before, reserve, &self.behind]);
        let root = self.branch.root(first);
        block::hashing_blob(&self.header, nonce, root, self.transactions.len())
    }
}

/// The reserve, where it is all inside one nonce.
fn reserve(
    announced: &Announced<'_>,
    nonces: &[Range<usize>],
) -> Result<Range<usize>, BadTemplate> {
    let (offset, len) = (announced.reserved_offset, announced.reserve_len);
    if len == 0 {
        return Err(BadTemplate::NoReserve);
    }
    let is_around = |nonce: &Range<usize>, end| nonce.start <= offset && end <= nonce.end;
    offset
        .checked_add(len)
        .filter(|end| nonces.iter().any(|nonce| is_around(nonce, *end)))
        .map(|end| offset..end)
        .ok_or(BadTemplate::Reserve { offset, len })
}

#[cfg(test)]
mod tests;
