//! The message that is hashed, which is also a block's header: 108 bytes and the miner's name.

use std::{fmt, str::FromStr};

use super::{Dataset, Machine};
use crate::Hash;

/// What a header begins with, and the version after it.
const MAGIC: [u8; 4] = *b"VPOW";
const VERSION: u32 = 1;
/// The bytes before the miner's name.
const FIXED: usize = 108;
/// Where the nonce stands.
const NONCE_AT: usize = 64;

/// The name of a miner, or its address: 1 to 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Miner(String);

/// Why a text is no [`Miner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAMiner {
    /// It is empty.
    Empty,
    /// It has more than 128 bytes.
    TooLong,
}

/// A block's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The hash of the block before.
    pub parent: Hash,
    /// Blocks before this one.
    pub height: u64,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// What [`super::target_of`] makes the target of.
    pub difficulty: u64,
    /// What the miner searches.
    pub nonce: u64,
    /// The [`super::root`] of the transactions.
    pub tx_root: [u8; 32],
    /// Who mines.
    pub miner: Miner,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAHeader {
    /// They end before it does.
    Short,
    /// They begin with something else.
    Magic,
    /// Its version is not 1.
    Version(u32),
    /// Its miner's name is not UTF-8.
    Text,
    /// Its miner's name is none.
    Miner(NotAMiner),
    /// There are bytes after it.
    Rest,
}

impl Miner {
    /// The most bytes of a name.
    pub const MAX: usize = 128;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Miner {
    type Err = NotAMiner;

    fn from_str(text: &str) -> Result<Self, NotAMiner> {
        match text.len() {
            0 => Err(NotAMiner::Empty),
            length if length > Self::MAX => Err(NotAMiner::TooLong),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl Header {
    /// The header's bytes as a block has them: with its nonce.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.message();
        bytes[NONCE_AT..NONCE_AT + 8].copy_from_slice(&self.nonce.to_be_bytes());
        bytes
    }

    /// What is hashed with a nonce: the header with the nonce 0.
    pub fn message(&self) -> Vec<u8> {
        let miner = self.miner.0.as_bytes();
        let length = u32::try_from(miner.len()).expect("a name has at most 128 bytes");
        let mut bytes = Vec::with_capacity(FIXED + miner.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.parent.to_display_bytes());
        bytes.extend(self.height.to_le_bytes());
        bytes.extend(self.timestamp.to_le_bytes());
        bytes.extend(self.difficulty.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(self.tx_root);
        bytes.extend(length.to_le_bytes());
        bytes.extend(miner);
        bytes
    }

    /// The hash of the header: what meets the target, and the name of the block.
    pub fn hash(&self, machine: &mut Machine, dataset: &Dataset) -> Hash {
        machine.hash(dataset, &self.message(), self.nonce)
    }

    /// The header that these bytes are, no more and no less.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAHeader> {
        match Self::parse_first(bytes)? {
            (header, []) => Ok(header),
            _ => Err(NotAHeader::Rest),
        }
    }

    /// The header that these bytes begin with, and the rest of them.
    pub fn parse_first(bytes: &[u8]) -> Result<(Self, &[u8]), NotAHeader> {
        let mut rest = bytes;
        if take(&mut rest)? != MAGIC {
            return Err(NotAHeader::Magic);
        }
        let version = u32::from_le_bytes(take(&mut rest)?);
        if version != VERSION {
            return Err(NotAHeader::Version(version));
        }
        let mut parent = Hash(take(&mut rest)?);
        parent.0.reverse();
        let height = u64::from_le_bytes(take(&mut rest)?);
        let timestamp = u64::from_le_bytes(take(&mut rest)?);
        let difficulty = u64::from_le_bytes(take(&mut rest)?);
        let nonce = u64::from_be_bytes(take(&mut rest)?);
        let tx_root = take(&mut rest)?;
        let length = u32::from_le_bytes(take(&mut rest)?);
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= Miner::MAX)
            .ok_or(NotAHeader::Miner(NotAMiner::TooLong))?;
        let (miner, rest) = rest.split_at_checked(length).ok_or(NotAHeader::Short)?;
        let miner = std::str::from_utf8(miner).map_err(|_| NotAHeader::Text)?;
        let header = Self {
            parent,
            height,
            timestamp,
            difficulty,
            nonce,
            tx_root,
            miner: miner.parse().map_err(NotAHeader::Miner)?,
        };
        Ok((header, rest))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], NotAHeader> {
    let (taken, after) = rest.split_first_chunk().ok_or(NotAHeader::Short)?;
    *rest = after;
    Ok(*taken)
}

impl fmt::Display for Miner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NotAMiner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the miner's name is empty",
            Self::TooLong => "the miner's name has more than 128 bytes",
        })
    }
}

impl std::error::Error for NotAMiner {}

impl fmt::Display for NotAHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("it ends before the header does"),
            Self::Magic => f.write_str("it does not begin with VPOW"),
            Self::Version(version) => write!(f, "version {version} is not known"),
            Self::Text => f.write_str("the miner's name is not UTF-8"),
            Self::Miner(reason) => reason.fmt(f),
            Self::Rest => f.write_str("there are bytes after the header"),
        }
    }
}

impl std::error::Error for NotAHeader {}
