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

    /// scrypt as RFC 7914 has it, for N = 1024, r = 1, p = 1, on rust-bitcoin's HMAC alone.
    fn by_the_book(header: &[u8; 80]) -> Hash {
        let stretched = pbkdf2(header, header, 4);
        let mut x: [u32; 32] = std::array::from_fn(|i| {
            u32::from_le_bytes(stretched[4 * i..4 * i + 4].try_into().unwrap())
        });
        let mut table = Vec::with_capacity(1024);
        for _ in 0..1024 {
            table.push(x);
            block_mix(&mut x);
        }
        for _ in 0..1024 {
            let row = &table[usize::try_from(x[16] % 1024).unwrap()];
            x.iter_mut()
                .zip(row)
                .for_each(|(word, other)| *word ^= other);
            block_mix(&mut x);
        }
        let mixed: Vec<u8> = x.iter().flat_map(|word| word.to_le_bytes()).collect();
        Hash(pbkdf2(header, &mixed, 1).try_into().unwrap())
    }

    /// PBKDF2-HMAC-SHA256 with one iteration: so many blocks of 32 bytes.
    fn pbkdf2(password: &[u8], salt: &[u8], blocks: u32) -> Vec<u8> {
        use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};

        let block = |number: u32| {
            let mut engine = HmacEngine::<sha256::Hash>::new(password);
            engine.input(salt);
            engine.input(&number.to_be_bytes());
            Hmac::from_engine(engine).to_byte_array()
        };
        (1..=blocks).flat_map(block).collect()
    }

    /// Both halves of 64 bytes, each after the other.
    fn block_mix(x: &mut [u32; 32]) {
        let (first, second) = x.split_at_mut(16);
        for is_first in [true, false] {
            let (to, from) = if is_first {
                (&mut *first, &*second)
            } else {
                (&mut *second, &*first)
            };
            to.iter_mut()
                .zip(from)
                .for_each(|(word, other)| *word ^= other);
            salsa_20_8(to);
        }
    }

    fn salsa_20_8(block: &mut [u32]) {
        /// Four words of a quarter round: each is changed by the two before it.
        const ROUNDS: [[usize; 4]; 8] = [
            [0, 4, 8, 12],
            [5, 9, 13, 1],
            [10, 14, 2, 6],
            [15, 3, 7, 11],
            [0, 1, 2, 3],
            [5, 6, 7, 4],
            [10, 11, 8, 9],
            [15, 12, 13, 14],
        ];
        let before: Vec<u32> = block.to_vec();
        for _ in 0..4 {
            for [a, b, c, d] in ROUNDS {
                block[b] ^= block[a].wrapping_add(block[d]).rotate_left(7);
                block[c] ^= block[b].wrapping_add(block[a]).rotate_left(9);
                block[d] ^= block[c].wrapping_add(block[b]).rotate_left(13);
                block[a] ^= block[d].wrapping_add(block[c]).rotate_left(18);
            }
        }
        for (word, before) in block.iter_mut().zip(before) {
            *word = word.wrapping_add(before);
        }
    }

    #[test]
    fn a18_ten_thousand_headers_and_as_many_with_one_bit_changed_hash_by_the_book() {
        let agree = |thread: u8| {
            let mut header = [thread; 80];
            for round in 0..2_500u32 {
                let next = sha256d(&header);
                header[..32].copy_from_slice(&next.0);
                header[36..68].copy_from_slice(&sha256d(&next.0).0);
                header[76..].copy_from_slice(&round.to_le_bytes());
                let mut changed = header;
                let bit = usize::try_from(round).unwrap() % 640;
                changed[bit / 8] ^= 1 << (bit % 8);
                let (proof, other) = (hash(&header), hash(&changed));
                assert_eq!(proof, by_the_book(&header));
                assert_eq!(other, by_the_book(&changed));
                assert_ne!(proof, other);
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || agree(thread));
            }
        });
    }
}
