//! Vision's kin: transactions of Bitcoin's kind, under a header that VisionX hashes.
//!
//! ```text
//! "VPOW" | 1 | parent 32 | height 8 | time 8 | difficulty 8 | nonce 8 | root 32 | length 4 | miner
//! ```
//!
//! Coinbase and money are Bitcoin's, so [`Template`] holds one of those. What differs: the difficulty is a whole
//! number of hashes, transactions are bound by a tree of BLAKE3, and the nonce has 64 bits, so that a job's
//! coinbase does not change while it is mined. A hash takes a millisecond or more; so the miner says what it
//! is, and [`share`] judges what it says.

mod job;
pub mod share;
mod template;

pub use self::{
    job::{Job, Work},
    template::{Chain, Template, target_of},
};

#[cfg(test)]
mod tests;
