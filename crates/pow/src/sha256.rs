//! SHA-256 twice, in one go or in pieces with a resumable prefix.
//!
//! A share is hashed as `sha256d(prefix || extranonces || suffix)` where the prefix is the same for
//! everybody, so its full blocks are compressed once a job and kept as a [`Midstate`].

use std::ops::RangeInclusive;

use sha2::block_api::compress256;

use crate::Hash;

/// FIPS 180-4 section 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// SHA-256 of SHA-256.
pub fn sha256d(bytes: &[u8]) -> Hash {
    Midstate::new(&[]).finish(&[bytes])
}

/// SHA-256d of two hashes side by side: one step of a merkle tree.
pub fn sha256d_pair(left: &[u8; 32], right: &[u8; 32]) -> Hash {
    let mut block = [0; 64];
    block[..32].copy_from_slice(left);
    block[32..].copy_from_slice(right);
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    finish_second(compress_last(state, &[], 64))
}

/// The state of SHA-256 after the full 64-byte blocks of a prefix, and the rest of that prefix.
#[derive(Clone, Debug)]
pub struct Midstate {
    state: [u32; 8],
    rest: [u8; 64],
    rest_len: usize,
    len: u64,
}

impl Midstate {
    /// Compresses the full blocks of `prefix` now, once.
    pub fn new(prefix: &[u8]) -> Self {
        let mut midstate = Self {
            state: INITIAL,
            rest: [0; 64],
            rest_len: 0,
            len: 0,
        };
        midstate.update(prefix);
        midstate
    }

    /// The double hash of the prefix followed by `parts`. Allocates nothing.
    pub fn finish(&self, parts: &[&[u8]]) -> Hash {
        let mut hasher = self.clone();
        for part in parts {
            hasher.update(part);
        }
        finish_second(compress_last(
            hasher.state,
            &hasher.rest[..hasher.rest_len],
            hasher.len,
        ))
    }

    fn update(&mut self, mut bytes: &[u8]) {
        self.len += u64::try_from(bytes.len()).expect("a length fits 64 bits");
        if self.rest_len > 0 {
            let taken = bytes.len().min(64 - self.rest_len);
            self.rest[self.rest_len..self.rest_len + taken].copy_from_slice(&bytes[..taken]);
            self.rest_len += taken;
            bytes = &bytes[taken..];
            if self.rest_len < 64 {
                return;
            }
            compress256(&mut self.state, &[self.rest]);
            self.rest_len = 0;
        }
        let (blocks, rest) = bytes.as_chunks::<64>();
        compress256(&mut self.state, blocks);
        self.rest[..rest.len()].copy_from_slice(rest);
        self.rest_len = rest.len();
    }
}

/// SHA-256d of headers that differ in their last 16 bytes at most: the first 64 are compressed once,
/// so that a nonce costs two compressions instead of three.
#[derive(Clone, Debug)]
pub struct HeaderHasher {
    /// The state after the header's first 64 bytes.
    first: [u32; 8],
    /// The header's last 16 bytes, padded.
    tail: [u8; 64],
    /// The first hash, padded.
    digest: [u8; 64],
}

impl HeaderHasher {
    /// Compresses the first 64 bytes of `header`.
    pub fn new(header: &[u8; 80]) -> Self {
        let (blocks, rest) = header.as_chunks::<64>();
        let mut first = INITIAL;
        compress256(&mut first, blocks);
        let mut tail = [0; 64];
        tail[..16].copy_from_slice(rest);
        tail[16] = 0x80;
        tail[56..].copy_from_slice(&(80u64 * 8).to_be_bytes());
        let mut digest = [0; 64];
        digest[32] = 0x80;
        digest[56..].copy_from_slice(&(32u64 * 8).to_be_bytes());
        Self {
            first,
            tail,
            digest,
        }
    }

    /// Another time in the header; the nonces begin anew.
    pub fn set_time(&mut self, time: u32) {
        self.tail[4..8].copy_from_slice(&time.to_le_bytes());
    }

    /// The hash with this nonce.
    pub fn hash(&mut self, nonce: u32) -> Hash {
        let mut hash = Hash::default();
        write(self.state(nonce), &mut hash.0);
        hash
    }

    /// The first of `nonces` whose hash has its most significant 32 bits at or below `ceiling`. Most
    /// hashes are done with after that look; the caller compares the rest.
    pub fn scan(&mut self, nonces: RangeInclusive<u32>, ceiling: u32) -> Option<u32> {
        nonces
            .into_iter()
            .find(|&nonce| self.state(nonce)[7].swap_bytes() <= ceiling)
    }

    #[inline]
    fn state(&mut self, nonce: u32) -> [u32; 8] {
        self.tail[12..16].copy_from_slice(&nonce.to_le_bytes());
        let mut state = self.first;
        compress256(&mut state, &[self.tail]);
        for (bytes, word) in self.digest[..32].chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        let mut second = INITIAL;
        compress256(&mut second, &[self.digest]);
        second
    }
}

/// Pads `rest` (under 64 bytes) of a message of `len` bytes and compresses it.
fn compress_last(mut state: [u32; 8], rest: &[u8], len: u64) -> [u32; 8] {
    let mut blocks = [[0; 64]; 2];
    blocks[0][..rest.len()].copy_from_slice(rest);
    blocks[0][rest.len()] = 0x80;
    let count = if rest.len() < 56 { 1 } else { 2 };
    blocks[count - 1][56..].copy_from_slice(&(len * 8).to_be_bytes());
    compress256(&mut state, &blocks[..count]);
    state
}

fn finish_second(first: [u32; 8]) -> Hash {
    let mut digest = [0; 32];
    write(first, &mut digest);
    let second = compress_last(INITIAL, &digest, 32);
    let mut hash = Hash([0; 32]);
    write(second, &mut hash.0);
    hash
}

fn write(state: [u32; 8], bytes: &mut [u8; 32]) {
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn oracle(bytes: &[u8]) -> Hash {
        Hash(Sha256::digest(Sha256::digest(bytes)).into())
    }

    #[test]
    fn the_headers_of_mined_bitcoin_blocks_hash_to_their_ids() {
        #[track_caller]
        fn case(header: &str, id: &str) {
            assert_eq!(sha256d(&hex::decode(header).unwrap()).to_string(), id);
        }
        // Block 0, and block 125552 (the example of https://en.bitcoin.it/wiki/Block_hashing_algorithm).
        case(
            "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b2\
             7ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
            "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
        );
        case(
            "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2fffc8d75\
             0423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695",
            "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d",
        );
    }

    #[test]
    fn every_length_and_every_cut_gives_the_library_hash() {
        let bytes: Vec<u8> = (0..400u32)
            .map(|i| (i * 7 % 251).to_le_bytes()[0])
            .collect();
        for len in 0..300 {
            assert_eq!(sha256d(&bytes[..len]), oracle(&bytes[..len]), "{len} bytes");
        }
        for cut in 0..300 {
            let midstate = Midstate::new(&bytes[..cut]);
            for middle in [0, 1, 12, 63, 64, 65] {
                let (a, b) = bytes[cut..].split_at(middle.min(400 - cut));
                assert_eq!(
                    midstate.finish(&[a, b]),
                    oracle(&bytes),
                    "cut at {cut} and {middle}"
                );
            }
        }
    }

    #[test]
    fn a_merkle_step_is_the_hash_of_64_bytes() {
        let (left, right) = ([3; 32], [9; 32]);
        assert_eq!(sha256d_pair(&left, &right), oracle(&[left, right].concat()));
    }

    #[test]
    fn a_header_hashes_alike_whichever_way_its_nonce_and_time_are_set() {
        let mut header: [u8; 80] = std::array::from_fn(|i| (i * 37 % 256).to_le_bytes()[0]);
        let mut hasher = HeaderHasher::new(&header);
        for (time, nonce) in [(0, 0), (1, 1), (u32::MAX, u32::MAX), (77, 0x1234_5678)] {
            header[68..72].copy_from_slice(&u32::to_le_bytes(time));
            header[76..].copy_from_slice(&u32::to_le_bytes(nonce));
            hasher.set_time(time);
            assert_eq!(hasher.hash(nonce), oracle(&header));
        }
    }

    #[test]
    fn a_scan_finds_the_nonce_of_block_125552_and_stops_at_each_candidate() {
        let header = "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2\
                      fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a00000000";
        let header: [u8; 80] = hex::decode(header).unwrap().try_into().unwrap();
        let mut hasher = HeaderHasher::new(&header);
        let nonce = 0x9546_a142_u32;
        assert_eq!(hasher.scan(nonce - 20_000..=nonce + 10, 0), Some(nonce));
        assert_eq!(hasher.scan(nonce + 1..=nonce + 10_000, 0), None);
        assert_eq!(
            hasher.scan(u32::MAX - 1..=u32::MAX, u32::MAX),
            Some(u32::MAX - 1)
        );
        let mut candidates = (0..4096).filter(|&nonce| {
            let top = hasher.hash(nonce).to_display_bytes();
            u32::from_be_bytes([top[0], top[1], top[2], top[3]]) <= 0x0200_0000
        });
        let expected: Vec<u32> = candidates.by_ref().collect();
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(nonce) = hasher.scan(from..=4095, 0x0200_0000) {
            found.push(nonce);
            from = nonce + 1;
        }
        assert!(found.len() > 10);
        assert_eq!(found, expected);
    }

    #[test]
    fn a18_ten_thousand_headers_and_as_many_with_one_bit_changed_hash_as_rust_bitcoin_has_it() {
        use bitcoin::hashes::{Hash as _, sha256d};

        let mut header = [0; 80];
        for round in 0..10_000u32 {
            // The last hash is as random as anything.
            let next = Hash(sha256d::Hash::hash(&header).to_byte_array());
            header[..32].copy_from_slice(&next.0);
            header[36..68].copy_from_slice(&sha256d(&next.0).0);
            header[76..].copy_from_slice(&round.to_le_bytes());
            let mut changed = header;
            let bit = usize::try_from(round).unwrap() % 640;
            changed[bit / 8] ^= 1 << (bit % 8);
            for header in [&header, &changed] {
                let expected = sha256d::Hash::hash(header).to_byte_array();
                assert_eq!(sha256d(header).0, expected);
                assert_eq!(
                    HeaderHasher::new(header)
                        .hash(u32::from_le_bytes(*header.last_chunk().unwrap()))
                        .0,
                    expected
                );
            }
            assert_ne!(sha256d(&header), sha256d(&changed));
        }
    }
}
