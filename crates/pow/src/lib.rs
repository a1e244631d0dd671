//! The hashes: a header goes in, a [`Hash`] comes out.
//!
//! Called by `mining` for every share and every template, by `simnet` for every block, and by the
//! CPU worker for every nonce. Nothing here can fail, but for [`randomx`], which has a state and needs
//! memory. Each algorithm is checked against mined blocks of the coins that use it.

#![deny(clippy::undocumented_unsafe_blocks)]

pub mod hash;
mod pages;
pub mod randomx;
pub mod scrypt;
pub mod sha256;
pub mod visionx;

pub use hash::Hash;
pub use sha256::{HeaderHasher, Midstate, sha256d};

/// The proof of work of a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProofOfWork {
    /// The hash of a header of 80 bytes.
    Header(Algorithm),
    /// The [`randomx`] hash of a blob.
    RandomX,
    /// The [`visionx`] hash of a message and a nonce.
    VisionX,
}

/// A proof-of-work function of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256 twice (Bitcoin).
    Sha256d,
    /// scrypt with N = 1024, r = 1, p = 1 (Litecoin, Dogecoin).
    Scrypt,
}

impl Algorithm {
    /// The proof-of-work hash of an 80-byte block header, to be compared with a target.
    pub fn hash(self, header: &[u8; 80]) -> Hash {
        match self {
            Self::Sha256d => sha256d(header),
            Self::Scrypt => scrypt::hash(header),
        }
    }

    /// The name used in configuration, JSON and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256d => "sha256d",
            Self::Scrypt => "scrypt",
        }
    }
}

impl ProofOfWork {
    /// The name used in configuration, JSON and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Header(algorithm) => algorithm.name(),
            Self::RandomX => "randomx",
            Self::VisionX => "visionx",
        }
    }
}

impl From<Algorithm> for ProofOfWork {
    fn from(algorithm: Algorithm) -> Self {
        Self::Header(algorithm)
    }
}
