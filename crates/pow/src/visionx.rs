//! VisionX, the proof of work of Vision nodes: an epoch's seed makes a [`Dataset`], and a [`Machine`]
//! hashes messages with nonces by it.
//!
//! As it is defined, a hash fills a scratch of 32 MiB from 16 bytes of a dataset of 256 MiB for each 8, and then
//! walks through it. But each word of the dataset is the output of a counter, so that it can be computed
//! alone, and so can each word of the scratch that nothing was written to; a hash reads one word of
//! sixteen, and that once. So [`Dataset::computed`] keeps nothing and fills nothing, and
//! is many times faster than [`Dataset::filled`], which does as the definition says and is
//! what the other is held against. The hashes are the same.
//!
//! A digest is compared with a target by its first eight bytes, as a big-endian number, and is printed
//! in the order of its bytes. A [`Hash`](crate::Hash) is printed and compared from its last byte; so a digest stands
//! in it reversed, and `hash <= target` is VisionX's own rule.
//!
//! Used by the pool's verifying threads, by the CPU worker's and by `simnet`. Nothing here can fail, but for
//! what comes from outside: [`Params::new`] and [`Header::parse`].

mod dataset;
mod header;
mod machine;
mod merkle;
mod overlay;
mod params;
mod target;

pub use self::{
    dataset::{Dataset, EpochSeed},
    header::{Header, Miner, NotAHeader, NotAMiner},
    machine::{LANES, Machine},
    merkle::{branch, root, root_of_first},
    params::{Figures, NotParams, Params},
    target::{difficulty_of, target_of},
};

/// The increment of [`SplitMix64`].
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A generator whose output `n` depends on its seed and `n` alone.
#[derive(Clone, Copy, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    /// The output with this number, counted from 0.
    #[inline(always)]
    fn at(self, number: u64) -> u64 {
        let step = number.wrapping_add(1).wrapping_mul(GOLDEN);
        let mut z = self.0.wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Where a word of a power of two of them stands: the low bits of `number`.
#[inline(always)]
fn index(number: u64, mask: u64) -> usize {
    usize::try_from(number & mask).expect("what is in memory has an index")
}

#[cfg(test)]
mod tests;
