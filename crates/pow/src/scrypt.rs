//! scrypt(N = 1024, r = 1, p = 1) of a block header with itself as the salt: Litecoin's and
//! Dogecoin's proof of work. The block's id stays SHA-256d.

use std::sync::LazyLock;

use scrypt::Params;

use crate::Hash;

static PARAMS: LazyLock<Params> =
    LazyLock::new(|| Params::new(10, 1, 1).expect("N = 2^10, r = 1, p = 1 are legal parameters"));

/// The proof-of-work hash of an 80-byte header. Uses 128 KiB of scratch memory for its duration.
pub fn hash(header: &[u8; 80]) -> Hash {
    let mut hash = Hash::default();
    scrypt::scrypt(header, header, &PARAMS, &mut hash.0).expect("32 bytes is a legal output size");
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sha256d;

    #[track_caller]
    fn case(header: &str, id: &str, proof: &str) {
        let header: [u8; 80] = hex::decode(header).unwrap().try_into().unwrap();
        assert_eq!(sha256d(&header).to_string(), id, "the id is SHA-256d");
        assert_eq!(hash(&header).to_string(), proof, "the proof is scrypt");
    }

    #[test]
    fn litecoins_genesis_block_has_its_published_proof() {
        case(
            "010000000000000000000000000000000000000000000000000000000000000000000000d9ced4ed1130f7b7\
             faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97b9aa8e4ef0ff0f1ecd513f7c",
            "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2",
            "0000050c34a64b415b6b15b37f2216634b5b1669cb9a2e38d76f7213b0671e00",
        );
    }

    #[test]
    fn dogecoins_genesis_block_meets_its_target() {
        let header = "010000000000000000000000000000000000000000000000000000000000000000000000696ad20e\
                      2dd4365c7459b4a4a5af743d5e92c6da3229e6532cd605f6533f2a5b24a6a152f0ff0f1e67860100";
        let header: [u8; 80] = hex::decode(header).unwrap().try_into().unwrap();
        assert_eq!(
            sha256d(&header).to_string(),
            "1a91e3dace36e2be3bf030a65679fe821aa1d6ef92e7c9902eb318182c355691"
        );
        // bits 1e0ffff0: 0x0ffff0 * 2^(8 * (0x1e - 3))
        let target: Hash = "00000ffff0000000000000000000000000000000000000000000000000000000"
            .parse()
            .unwrap();
        assert!(hash(&header) <= target);
    }
}
