//! Finding a nonce on one CPU thread, for `generatetoaddress` and for tests.
//!
//! Blocks the calling thread. The caller says when to give up; it is asked every few milliseconds.

use bitcoin::Block;
use pow::{Algorithm, Hash, Midstate};
use ruint::aliases::U256;

use crate::target;

/// Hashes between two questions whether to go on: a few milliseconds with either algorithm.
const SHA256D_BATCH: u64 = 1 << 14;
const SCRYPT_BATCH: u64 = 1 << 4;

/// Changes nonce and, when those run out, time until the block has its proof. `tries` hashes at
/// most; `false` when they are used up or `go_on` says so.
pub(crate) fn grind(
    algorithm: Algorithm,
    block: &mut Block,
    tries: &mut u64,
    go_on: impl Fn() -> bool,
) -> bool {
    let Some(target) = target::from_compact(block.header.bits) else {
        return false;
    };
    let target = Hash(target.to_le_bytes());
    let batch = match algorithm {
        Algorithm::Sha256d => SHA256D_BATCH,
        Algorithm::Scrypt => SCRYPT_BATCH,
    };
    loop {
        let mut bytes = target::header_bytes(&block.header);
        let prefix = Midstate::new(&bytes[..64]);
        for _ in 0..batch {
            if *tries == 0 {
                return false;
            }
            *tries -= 1;
            bytes[76..].copy_from_slice(&block.header.nonce.to_le_bytes());
            let hash = match algorithm {
                Algorithm::Sha256d => prefix.finish(&[&bytes[64..]]),
                Algorithm::Scrypt => algorithm.hash(&bytes),
            };
            if hash <= target {
                return true;
            }
            let (nonce, wrapped) = block.header.nonce.overflowing_add(1);
            block.header.nonce = nonce;
            if wrapped {
                block.header.time = block.header.time.saturating_add(1);
                break;
            }
        }
        if !go_on() {
            return false;
        }
    }
}

/// Whether a block has its proof.
pub(crate) fn is_solved(algorithm: Algorithm, block: &Block) -> bool {
    let proof: U256 = target::proof(algorithm, &block.header);
    target::from_compact(block.header.bits).is_some_and(|target| proof <= target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;

    #[test]
    fn a_nonce_is_found_for_both_algorithms_and_tries_are_counted() {
        for algorithm in [Algorithm::Sha256d, Algorithm::Scrypt] {
            let params = Params::simnet(algorithm).with_first_work(16);
            let mut block = params.genesis().clone();
            block.header.time += 1;
            let mut tries = 1000;
            assert!(grind(algorithm, &mut block, &mut tries, || true));
            assert!(is_solved(algorithm, &block));
            block.header.time += 1;
            block.header.bits = bitcoin::CompactTarget::from_consensus(0x0300_0001);
            tries = 100;
            assert!(!grind(algorithm, &mut block, &mut tries, || true));
            assert_eq!(tries, 0);
            tries = u64::MAX;
            assert!(!grind(algorithm, &mut block, &mut tries, || false));
        }
    }
}
