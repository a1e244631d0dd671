//! Finding a nonce on one CPU thread, for `generatetoaddress` and for tests.
//!
//! Blocks the calling thread. The caller says when to give up; it is asked every few milliseconds.

use bitcoin::Block;
use pow::{
    Algorithm, Hash, Midstate,
    visionx::{Header, LANES, Machine, target_of},
};

use crate::{
    params::{Params, Proof},
    sealed::Draft,
    target,
    vision::Vision,
};

/// Hashes between two questions whether to go on: a few milliseconds with either algorithm.
const SHA256D_BATCH: u64 = 1 << 14;
const SCRYPT_BATCH: u64 = 1 << 4;
/// The same of VisionX, by the network's figures: [`LANES`] hashes each.
const VISIONX_BATCH: u64 = 2;

/// Changes nonce and, when those run out, time until the block has its proof. `tries` hashes at
/// most; `false` when they are used up or `go_on` says so.
pub(crate) fn grind(
    params: &Params,
    draft: &mut Draft,
    tries: &mut u64,
    go_on: impl Fn() -> bool,
) -> bool {
    match (&params.proof, &mut draft.vision) {
        (Proof::Header(algorithm), _) => grind_bitcoin(*algorithm, &mut draft.block, tries, go_on),
        (Proof::VisionX(vision), Some(header)) => grind_vision(vision, header, tries, go_on),
        (Proof::VisionX(_), None) => false,
    }
}

fn grind_vision(
    vision: &Vision,
    header: &mut Header,
    tries: &mut u64,
    go_on: impl Fn() -> bool,
) -> bool {
    let (message, dataset) = (header.message(), vision.dataset(header.height));
    let target = target_of(header.difficulty);
    let mut machine = Machine::new();
    loop {
        for _ in 0..VISIONX_BATCH {
            let mut next = header.nonce;
            let nonces = [(); LANES].map(|()| {
                next = next.wrapping_add(1);
                next
            });
            let hashes = machine.hash_lanes(&dataset, &message, nonces);
            for (nonce, hash) in nonces.into_iter().zip(hashes) {
                if *tries == 0 {
                    return false;
                }
                *tries -= 1;
                header.nonce = nonce;
                if hash <= target {
                    return true;
                }
            }
        }
        if !go_on() {
            return false;
        }
    }
}

fn grind_bitcoin(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_proof;

    #[test]
    fn a_nonce_is_found_for_each_proof_and_tries_are_counted() {
        let header = |algorithm| Params::simnet(algorithm).with_first_work(16);
        let vision = Params::visionx(pow::visionx::Params::LITE).with_difficulty(16);
        for params in [
            header(Algorithm::Sha256d),
            header(Algorithm::Scrypt),
            vision,
        ] {
            let genesis = params.genesis.clone();
            let mut draft = Draft {
                block: genesis.block,
                vision: genesis.head.vision,
            };
            // Another block than the genesis block, which has its proof.
            let change = |draft: &mut Draft, difficulty| {
                draft.block.header.time += 1;
                if let Some(header) = &mut draft.vision {
                    header.timestamp += 1;
                    header.difficulty = difficulty;
                }
            };
            change(&mut draft, 16);
            let mut tries = 1000;
            assert!(grind(&params, &mut draft, &mut tries, || true));
            assert!(tries < 1000);
            let sealed = draft.clone().seal(&params);
            assert_eq!(check_proof(&params, &sealed.head), Ok(()));
            change(&mut draft, u64::MAX);
            draft.block.header.bits = bitcoin::CompactTarget::from_consensus(0x0300_0001);
            tries = 101;
            assert!(!grind(&params, &mut draft, &mut tries, || true));
            assert_eq!(tries, 0);
            tries = u64::MAX;
            assert!(!grind(&params, &mut draft, &mut tries, || false));
        }
    }
}
