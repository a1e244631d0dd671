//! Keccak-256 with the padding of before SHA-3, which hashes everything here but the work itself.
//!
//! Called for addresses, transactions and blocks. Nothing here can fail.

use sha3::{Digest, Keccak256};

/// The hash of the parts, one after another.
pub fn keccak256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_keccak_and_not_sha_3() {
        // The first lines of Monero's `tests-fast.txt`, and of Keccak's own vectors.
        let case = |text: &[u8], expected: &str| {
            assert_eq!(hex::encode(keccak256(&[text])), expected);
        };
        case(
            b"",
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
        );
        case(
            b"abc",
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
        );
    }

    #[test]
    fn parts_are_hashed_as_one() {
        let whole = [7; 300];
        for cut in [0, 1, 135, 136, 137, 299, 300] {
            let (front, back) = whole.split_at(cut);
            assert_eq!(keccak256(&[front, back]), keccak256(&[&whole]), "{cut}");
        }
    }
}
