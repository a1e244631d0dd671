//! An address: two keys, a tag that says of which network and kind, and a checksum.
//!
//! Called for each name that a miner logs in with and for each address in the configuration. An error
//! means that the wallet would not pay it either, and one bad address stops a whole batch of payments;
//! so what the daemon refuses is refused here, keys that are no points of the curve included.
//!
//! The points are checked with `curve25519-dalek`, which is what the crates that know whole addresses
//! stand on. Those have Monero's tags built in, while tags here are data: a coin that keeps the format is
//! a row.

use std::fmt;

use curve25519_dalek::edwards::CompressedEdwardsY;

use super::{
    base58::{self, BadBase58},
    keccak::keccak256,
    reader::Reader,
};

/// The longest text that is looked at: an integrated address with a tag of two bytes has 108
/// characters.
pub const ADDRESS_LEN_MAX: usize = 128;
/// The bytes of the checksum.
const CHECKSUM: usize = 4;

/// The numbers that the addresses of a network begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tags {
    /// Of a wallet's first address.
    pub standard: u64,
    /// Of the same with a payment id.
    pub integrated: u64,
    /// Of its other addresses.
    pub subaddress: u64,
}

impl Tags {
    /// Monero's main network, and its private one for tests.
    pub const MONERO: Self = Self::of(18, 19, 42);
    /// Monero's network for trying out what will be on the main one.
    pub const MONERO_STAGE: Self = Self::of(24, 25, 36);
    /// Monero's test network.
    pub const MONERO_TEST: Self = Self::of(53, 54, 63);
    /// Wownero.
    pub const WOWNERO: Self = Self::of(4146, 6810, 12208);

    /// Those of any coin of this format.
    pub const fn of(standard: u64, integrated: u64, subaddress: u64) -> Self {
        Self {
            standard,
            integrated,
            subaddress,
        }
    }
}

/// What kind of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A wallet's first address.
    Standard,
    /// The same with a payment id, as exchanges tell their customers apart. A transaction can have one
    /// such destination.
    Integrated([u8; 8]),
    /// One of a wallet's other addresses.
    Subaddress,
}

/// An address of one network.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    kind: Kind,
    spend: [u8; 32],
    view: [u8; 32],
}

/// Why a text is not an address that can be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Much longer than any address.
    #[error("an address has at most {ADDRESS_LEN_MAX} characters")]
    TooLong,
    /// Characters that stand for no bytes.
    #[error("no address: {0}")]
    Base58(#[from] BadBase58),
    /// Fewer bytes than the checksum has.
    #[error("the address is cut off")]
    CutOff,
    /// Some character is wrong.
    #[error("the checksum of the address is wrong: it has a typing error")]
    Checksum,
    /// The first bytes are no number.
    #[error("the address begins with no tag")]
    NoTag,
    /// Of another coin or network.
    #[error(
        "an address with tag {found}, which is of another coin or network; here it is {expected}"
    )]
    Tag {
        /// In the address.
        found: u64,
        /// Of this network's standard addresses.
        expected: u64,
    },
    /// Not as long as addresses with this tag are.
    #[error("the address has {found} bytes, but {expected} with its tag")]
    Length {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The key that could spend is no point of the curve.
    #[error("the spend key of the address is no point of the curve")]
    SpendKey,
    /// The key that could look is no point of the curve.
    #[error("the view key of the address is no point of the curve")]
    ViewKey,
}

impl Address {
    /// Parses an address of any kind, of the network with these tags.
    pub fn parse(tags: &Tags, text: &str) -> Result<Self, BadAddress> {
        if text.len() > ADDRESS_LEN_MAX {
            return Err(BadAddress::TooLong);
        }
        let bytes = base58::decode(text)?;
        let (payload, checksum) = bytes.split_last_chunk().ok_or(BadAddress::CutOff)?;
        if self::checksum(payload) != *checksum {
            return Err(BadAddress::Checksum);
        }
        let mut reader = Reader::new(payload);
        let tag = reader.varint().map_err(|_| BadAddress::NoTag)?;
        let payment_id_len = if tag == tags.integrated { 8 } else { 0 };
        let expected = reader.position() + 64 + payment_id_len + CHECKSUM;
        let length = || BadAddress::Length {
            expected,
            found: bytes.len(),
        };
        if ![tags.standard, tags.integrated, tags.subaddress].contains(&tag) {
            return Err(BadAddress::Tag {
                found: tag,
                expected: tags.standard,
            });
        }
        let spend = reader.array().ok_or_else(length)?;
        let view = reader.array().ok_or_else(length)?;
        let kind = if tag == tags.standard {
            Kind::Standard
        } else if tag == tags.subaddress {
            Kind::Subaddress
        } else {
            Kind::Integrated(reader.array().ok_or_else(length)?)
        };
        if !reader.rest().is_empty() {
            return Err(length());
        }
        if !is_point(spend) {
            return Err(BadAddress::SpendKey);
        }
        if !is_point(view) {
            return Err(BadAddress::ViewKey);
        }
        Ok(Self {
            text: text.to_owned(),
            kind,
            spend,
            view,
        })
    }

    /// The address as it was written, which is the only way to write it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What kind of address it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The public key that spends.
    pub fn spend_key(&self) -> [u8; 32] {
        self.spend
    }

    /// The public key that finds what was paid.
    pub fn view_key(&self) -> [u8; 32] {
        self.view
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.text)
    }
}

/// The first bytes of the hash of all that is before them.
fn checksum(payload: &[u8]) -> [u8; CHECKSUM] {
    let [a, b, c, d, ..] = keccak256(&[payload]);
    [a, b, c, d]
}

/// A point of the curve in its one spelling. The crate takes some that are larger than the field's
/// modulus or have the sign of zero, and the daemon takes neither.
fn is_point(key: [u8; 32]) -> bool {
    let point = CompressedEdwardsY(key).decompress();
    point.is_some_and(|point| point.compress().0 == key)
}

#[cfg(test)]
mod tests;
