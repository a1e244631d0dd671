//! Difficulties and targets: a hash meets a difficulty if its first eight bytes are at most
//! (2^64 - 1) / difficulty.

use crate::Hash;

/// The target of a difficulty: the number in the first eight bytes that are printed, and `ff` in the
/// others, which so decide nothing. A difficulty of 0 is met by every hash.
pub fn target_of(difficulty: u64) -> Hash {
    let first = u64::MAX.checked_div(difficulty).unwrap_or(u64::MAX);
    let mut target = Hash([0xff; 32]);
    target.0[24..].copy_from_slice(&first.to_le_bytes());
    target
}

/// The largest difficulty whose target is not below this one. Of two difficulties with the same target, which large
/// ones may have, it is the larger.
pub fn difficulty_of(target: &Hash) -> u64 {
    let [.., first] = target.limbs();
    u64::MAX.checked_div(first).unwrap_or(u64::MAX)
}
