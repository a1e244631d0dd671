//! Headers and blocks with their names, as the chain's proof of work writes and hashes them.
//!
//! A VisionX block has a header of its own. What is common to both kinds, all else in here reads from a Bitcoin
//! header beside it: the block before, the time and the root by SHA-256d. Sizes and weights count its 80 bytes.

use bitcoin::{
    Block, BlockHash, CompactTarget, Transaction, TxMerkleNode, VarInt,
    block::{Header, Version},
    consensus::{self, Decodable},
    hashes::Hash as _,
};
use pow::visionx;

use crate::{
    check::merkle_root,
    decode,
    demand::Demand,
    params::{Params, Proof},
    template::VERSION,
    vision::{self, Vision},
};

/// A header and its hash.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) hash: BlockHash,
    /// Bitcoin's own, or what it would be.
    pub(crate) header: Header,
    /// VisionX's own, on a chain of it.
    pub(crate) vision: Option<visionx::Header>,
}

/// A block under its header's name.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) head: Head,
    pub(crate) block: Block,
}

/// A block whose nonce is not found yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) block: Block,
    pub(crate) vision: Option<visionx::Header>,
}

impl Head {
    /// A header that is all of `bytes`.
    pub(crate) fn decode(params: &Params, bytes: &[u8]) -> Option<Self> {
        match &params.proof {
            Proof::Header(_) => Some(Self::bitcoin(consensus::deserialize(bytes).ok()?)),
            Proof::VisionX(vision) => {
                let header = visionx::Header::parse(bytes).ok()?;
                Some(Self::vision(vision, header, TxMerkleNode::all_zeros()))
            }
        }
    }

    /// The bytes that are hashed, with the nonce.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match &self.vision {
            Some(header) => header.encode(),
            None => consensus::serialize(&self.header),
        }
    }

    pub(crate) fn demand(&self) -> Demand {
        match &self.vision {
            Some(header) => Demand::Difficulty(header.difficulty),
            None => Demand::Bits(self.header.bits),
        }
    }

    fn bitcoin(header: Header) -> Self {
        Self {
            hash: header.block_hash(),
            header,
            vision: None,
        }
    }

    fn vision(vision: &Vision, header: visionx::Header, merkle_root: TxMerkleNode) -> Self {
        Self {
            hash: vision.hash(&header),
            header: beside(&header, merkle_root),
            vision: Some(header),
        }
    }
}

impl Sealed {
    /// A block at the start of `bytes`. What follows it is ignored, as `submitblock` does.
    pub(crate) fn decode(params: &Params, mut bytes: &[u8]) -> Option<Self> {
        let vision = match &params.proof {
            Proof::Header(_) => {
                let header = Header::consensus_decode(&mut bytes).ok()?;
                let txdata = decode::transactions(bytes)?;
                return Some(Self::bitcoin(Block { header, txdata }));
            }
            Proof::VisionX(vision) => vision,
        };
        let (header, rest) = visionx::Header::parse_first(bytes).ok()?;
        Some(Self::vision(vision, header, decode::transactions(rest)?))
    }

    /// The block's bytes: header, count, transactions.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(&self.head, &self.block)
    }

    pub(crate) fn bitcoin(block: Block) -> Self {
        Self {
            head: Head::bitcoin(block.header),
            block,
        }
    }

    pub(crate) fn vision(
        vision: &Vision,
        header: visionx::Header,
        txdata: Vec<Transaction>,
    ) -> Self {
        let head = Head::vision(vision, header, bitcoin_root(&txdata));
        let header = head.header;
        Self {
            head,
            block: Block { header, txdata },
        }
    }
}

impl Draft {
    /// The block as it is now, under the name that it has by that.
    pub(crate) fn seal(self, params: &Params) -> Sealed {
        match (&params.proof, self.vision) {
            (Proof::VisionX(vision), Some(header)) => {
                Sealed::vision(vision, header, self.block.txdata)
            }
            _ => Sealed::bitcoin(self.block),
        }
    }
}

/// A block's bytes.
pub(crate) fn encode(head: &Head, block: &Block) -> Vec<u8> {
    let mut bytes = head.encode();
    bytes.extend(consensus::serialize(&VarInt::from(block.txdata.len())));
    for transaction in &block.txdata {
        bytes.extend(consensus::serialize(transaction));
    }
    bytes
}

/// The root that a Bitcoin header has.
pub(crate) fn bitcoin_root(transactions: &[Transaction]) -> TxMerkleNode {
    let leaves = transactions
        .iter()
        .map(|tx| tx.compute_txid().to_byte_array())
        .collect();
    TxMerkleNode::from_byte_array(merkle_root(leaves).0)
}

/// What is common to both kinds of header. A time beyond 32 bits is in the future for longer than anybody checks.
fn beside(header: &visionx::Header, merkle_root: TxMerkleNode) -> Header {
    Header {
        version: Version::from_consensus(VERSION),
        prev_blockhash: BlockHash::from_byte_array(header.parent.to_bytes()),
        merkle_root,
        time: u32::try_from(header.timestamp).unwrap_or(u32::MAX),
        bits: CompactTarget::from_consensus(0),
        nonce: 0,
    }
}

/// Whether the header's root is that of the transactions, by the tree of its kind.
pub(crate) fn has_its_root(sealed: &Sealed) -> bool {
    let transactions = &sealed.block.txdata;
    match &sealed.head.vision {
        Some(header) => header.tx_root == vision::root(transactions),
        None => sealed.head.header.merkle_root == bitcoin_root(transactions),
    }
}
