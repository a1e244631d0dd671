//! A block as daemons exchange it: header, the miner's transaction, the hashes of the others.
//!
//! Called for each template, and for each block that a miner made of its own. A [`BadBlock`] means that
//! the bytes are no block of these rules, be they cut, changed or of a coin that writes more into its
//! header, as Wownero has since 2021.
//!
//! The id of Monero's block 202,612 is not the hash of its bytes: it was made by a fault of the time,
//! and the daemon has it as a constant. Nobody mines that block again, so it is not here.

use super::{
    keccak::keccak256,
    miner_transaction::{self, BadMinerTransaction, MinerTransaction},
    reader::Reader,
    tree::Branch,
    varint::{self, BadVarint},
};

/// The bytes of a nonce, in their order on the wire.
pub type Nonce = [u8; 4];

/// A block, read to its last byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The rules it is made by; RandomX is chosen by it.
    pub major_version: u8,
    /// What its miner votes for.
    pub minor_version: u8,
    /// In seconds since 1970.
    pub timestamp: u64,
    /// The id of the block before it.
    pub previous: [u8; 32],
    /// What makes its hash small.
    pub nonce: Nonce,
    /// What pays for it.
    pub miner_transaction: MinerTransaction,
    /// The ids of the other transactions, in order.
    pub transactions: Vec<[u8; 32]>,
    /// Where the nonce is, which is the length of the header without it.
    pub(super) nonce_offset: usize,
}

/// Why bytes are no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBlock {
    /// The bytes end too early.
    #[error("the block is cut off in its {0}")]
    CutOff(&'static str),
    /// A number that is none.
    #[error("the block's {0}: {1}")]
    Number(&'static str, BadVarint),
    /// A version that does not fit a byte, or none.
    #[error("the block has version {0}")]
    Version(u64),
    /// The transaction that pays for it.
    #[error("the miner's transaction: {0}")]
    MinerTransaction(#[from] BadMinerTransaction),
    /// More or fewer bytes than the other transactions need.
    #[error("the block announces {announced} transactions and has {len} bytes for their hashes")]
    Transactions {
        /// How many there should be.
        announced: u64,
        /// The bytes that are left.
        len: usize,
    },
}

impl Block {
    /// Reads a block; every byte must be part of it.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBlock> {
        let mut reader = Reader::new(bytes);
        let number = |reader: &mut Reader<'_>, name| {
            let number = reader.varint();
            number.map_err(|fault| BadBlock::Number(name, fault))
        };
        let major = number(&mut reader, "major version")?;
        let minor = number(&mut reader, "minor version")?;
        let version = |number| u8::try_from(number).map_err(|_| BadBlock::Version(number));
        if major == 0 {
            return Err(BadBlock::Version(major));
        }
        let timestamp = number(&mut reader, "timestamp")?;
        let previous = reader.array().ok_or(BadBlock::CutOff("previous block"))?;
        let nonce_offset = reader.position();
        let nonce = reader.array().ok_or(BadBlock::CutOff("nonce"))?;
        let miner_transaction = MinerTransaction::read(&mut reader)?;
        let announced = number(&mut reader, "number of transactions")?;
        let (transactions, odd) = reader.rest().as_chunks::<32>();
        if !odd.is_empty() || u64::try_from(transactions.len()) != Ok(announced) {
            return Err(BadBlock::Transactions {
                announced,
                len: reader.rest().len(),
            });
        }
        Ok(Self {
            major_version: version(major)?,
            minor_version: version(minor)?,
            timestamp,
            previous,
            nonce,
            miner_transaction,
            transactions: transactions.to_vec(),
            nonce_offset,
        })
    }

    /// What is hashed for the proof of work. `bytes` are those that this block was read from.
    pub(super) fn hashing_blob(&self, bytes: &[u8]) -> Vec<u8> {
        let first = miner_transaction::hash(&[&bytes[self.miner_transaction.prefix.clone()]]);
        let root = Branch::of_first(&self.transactions).root(first);
        let header = &bytes[..self.nonce_offset];
        hashing_blob(header, self.nonce, root, self.transactions.len())
    }
}

/// What is hashed for the proof of work of a block: its bytes.
pub fn hashing_blob_of(bytes: &[u8]) -> Result<Vec<u8>, BadBlock> {
    Ok(Block::parse(bytes)?.hashing_blob(bytes))
}

/// The id of a block by its bytes.
pub fn id_of(bytes: &[u8]) -> Result<[u8; 32], BadBlock> {
    Ok(id(&hashing_blob_of(bytes)?))
}

/// The header, the nonce, the root of the tree and how many transactions are in it. `others` are those
/// without the miner's.
pub(super) fn hashing_blob(header: &[u8], nonce: Nonce, root: [u8; 32], others: usize) -> Vec<u8> {
    let count = varint::of_len(others + 1);
    [header, &nonce, &root, &count].concat()
}

/// The id of a block by what its proof of work is made of.
pub fn id(hashing_blob: &[u8]) -> [u8; 32] {
    keccak256(&[&varint::of_len(hashing_blob.len()), hashing_blob])
}

#[cfg(test)]
mod tests;
