//! The hash: a state walks through a scratch, and changes it.

use super::{Dataset, GOLDEN, Params, SplitMix64, dataset::fill, index, overlay::Overlay};
use crate::{Hash, pages};

/// Hashes that a machine computes side by side when it is asked for several: each waits for its own
/// multiplications, and the processor has room for those of others.
pub const LANES: usize = 4;

/// What hashes: it keeps the memory of the hash before for the next one. One for each thread.
#[derive(Debug, Default)]
pub struct Machine {
    overlays: Vec<Overlay>,
    /// A whole scratch, for a dataset in memory.
    scratch: Box<[u64]>,
}

/// The three words that walk.
#[derive(Clone, Copy)]
struct State {
    a: u64,
    b: u64,
    acc: u64,
}

/// Words that can be read and written by their place.
trait Scratch {
    fn read(&self, place: u64) -> u64;
    fn write(&mut self, place: u64, word: u64);
}

impl Machine {
    /// A machine without memory yet: the first hash takes what its dataset's figures ask for.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hash of a message and a nonce. The message of a block has the nonce 0 in its own field, whatever the
    /// block's is.
    pub fn hash(&mut self, dataset: &Dataset, message: &[u8], nonce: u64) -> Hash {
        match dataset.in_memory() {
            Some(words) => self.hash_in_memory(dataset.params(), words, message, nonce),
            None => {
                let [hash] = self.hash_computed(dataset, [message], [nonce]);
                hash
            }
        }
    }

    /// The hashes of a message with [`LANES`] nonces, in some half of the time that they take one after the other.
    pub fn hash_lanes(
        &mut self,
        dataset: &Dataset,
        message: &[u8],
        nonces: [u64; LANES],
    ) -> [Hash; LANES] {
        if dataset.in_memory().is_some() {
            return nonces.map(|nonce| self.hash(dataset, message, nonce));
        }
        self.hash_computed(dataset, [message; LANES], nonces)
    }

    fn hash_computed<const N: usize>(
        &mut self,
        dataset: &Dataset,
        messages: [&[u8]; N],
        nonces: [u64; N],
    ) -> [Hash; N] {
        let params = dataset.params();
        if self
            .overlays
            .first()
            .is_some_and(|overlay| overlay.params() != params)
        {
            self.overlays.clear();
        }
        while self.overlays.len() < N {
            self.overlays.push(Overlay::new(params));
        }
        let (overlays, _) = self
            .overlays
            .split_first_chunk_mut::<N>()
            .expect("there are as many");
        let mut states = [State { a: 0, b: 0, acc: 0 }; N];
        for lane in 0..N {
            overlays[lane].reset(dataset, numbers(messages[lane], nonces[lane]));
            states[lane] = State::new(messages[lane], nonces[lane]);
        }
        walk(params, overlays, states).map(State::digest)
    }

    fn hash_in_memory(
        &mut self,
        params: Params,
        words: &[u64],
        message: &[u8],
        nonce: u64,
    ) -> Hash {
        let last = params.scratch_mask();
        if self.scratch.len() != index(last, u64::MAX) + 1 {
            self.scratch = Box::default();
            self.scratch = pages::joined(last);
        }
        let numbers = numbers(message, nonce);
        fill(&mut self.scratch, numbers, words, params.dataset_mask());
        let state = State::new(message, nonce);
        let [state] = walk(params, &mut [&mut *self.scratch], [state]);
        state.digest()
    }
}

impl Scratch for Overlay {
    #[inline(always)]
    fn read(&self, place: u64) -> u64 {
        Self::read(self, place)
    }

    #[inline(always)]
    fn write(&mut self, place: u64, word: u64) {
        Self::write(self, place, word);
    }
}

impl Scratch for &mut [u64] {
    #[inline(always)]
    fn read(&self, place: u64) -> u64 {
        self[index(place, u64::MAX)]
    }

    #[inline(always)]
    fn write(&mut self, place: u64, word: u64) {
        self[index(place, u64::MAX)] = word;
    }
}

impl State {
    fn new(message: &[u8], nonce: u64) -> Self {
        let mut a = 0x243f_6a88_85a3_08d3 ^ nonce.rotate_left(17);
        let mut b = 0x1319_8a2e_0370_7344 ^ nonce.rotate_right(11);
        for chunk in message.chunks(16) {
            let (first, second) = chunk.split_at(chunk.len().min(8));
            a ^= big_endian(first).wrapping_mul(0x9e37_79b1_85eb_ca87);
            b ^= big_endian(second).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
            a = a.rotate_left(13) ^ b.rotate_right(7);
            b = b.rotate_left(29) ^ a.rotate_right(19);
        }
        let acc = a ^ b ^ 0xdead_beef_f00d_face;
        Self { a, b, acc }
    }

    /// The digest's bytes in reverse, as a [`Hash`] has them.
    fn digest(self) -> Hash {
        let mut a = self.a ^ self.acc;
        let mut b = self.b ^ self.acc.rotate_left(3);
        for _ in 0..4 {
            a = a.rotate_left(13) ^ b.wrapping_mul(0x9e37_79b1_85eb_ca87);
            b = b.rotate_left(17) ^ a.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        }
        let last = SplitMix64(a ^ b ^ 0xd6e8_feb8_6659_fd93);
        let mut hash = Hash::default();
        let words = [last.at(1), last.at(0), b, a];
        for (bytes, word) in hash.0.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        hash
    }
}

/// The iterations, for each scratch with its own state. Reads of all lanes stand together, for each waits for the
/// one before it in its lane.
#[inline(always)]
fn walk<S: Scratch, const N: usize>(
    params: Params,
    scratches: &mut [S; N],
    mut states: [State; N],
) -> [State; N] {
    let figures = params.figures();
    let mask = params.scratch_mask();
    let has_fourth = figures.reads_per_iter >= 4;
    let every = u64::from(figures.write_every);
    let mut until_write = 0;
    for i in 0..u64::from(figures.mix_iters) {
        let (mut v1, mut v2, mut v3, mut v4) = ([0; N], [0; N], [0; N], [0; N]);
        for lane in 0..N {
            let State { a, b, acc } = states[lane];
            let place = (a ^ b ^ acc ^ i.wrapping_mul(0x9e37_79b9)).rotate_left(17);
            v1[lane] = scratches[lane].read(place & mask);
        }
        for lane in 0..N {
            let State { a, acc, .. } = states[lane];
            v2[lane] = scratches[lane].read((v1[lane] ^ a ^ acc).rotate_left(23) & mask);
        }
        for lane in 0..N {
            let State { b, acc, .. } = states[lane];
            v3[lane] = scratches[lane].read((v2[lane] ^ b ^ acc).rotate_left(19) & mask);
        }
        for lane in 0..N {
            let place = (v3[lane] ^ v1[lane] ^ states[lane].acc).rotate_left(29);
            v4[lane] = if has_fourth {
                scratches[lane].read(place & mask)
            } else {
                v3[lane]
            };
        }
        let writes = every > 0 && until_write == 0;
        for lane in 0..N {
            let State { a, b, acc } = &mut states[lane];
            let mix = v1[lane]
                ^ v2[lane].rotate_left(13)
                ^ v3[lane].wrapping_mul(0x94d0_49bb_1331_11eb)
                ^ v4[lane].rotate_right(7);
            *a = a.rotate_left(13) ^ mix.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
            *b = b.rotate_left(17) ^ (mix ^ *acc).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *acc = acc.rotate_left(7) ^ (*a ^ *b).wrapping_mul(0xd6e8_feb8_6659_fd93);
            if writes {
                let place = mix ^ *a ^ b.rotate_left(11) ^ i.wrapping_mul(0xa24b_aed4_963e_e407);
                let place = place.rotate_left(31) & mask;
                let word = scratches[lane].read(place).wrapping_add(mix ^ GOLDEN);
                scratches[lane].write(place, word.rotate_left(41));
            }
        }
        until_write = if writes { every } else { until_write };
        until_write = until_write.saturating_sub(1);
    }
    states
}

/// What the words of a scratch are made from.
fn numbers(message: &[u8], nonce: u64) -> SplitMix64 {
    let start = nonce ^ 0xdead_beef_f00d_face;
    SplitMix64(message.chunks(8).fold(start, |seed, chunk| {
        let mixed = seed ^ big_endian(chunk).rotate_left(13);
        mixed.wrapping_mul(GOLDEN).rotate_left(7)
    }))
}

/// Up to eight bytes as a number, as if zeros followed.
fn big_endian(bytes: &[u8]) -> u64 {
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(padded)
}
