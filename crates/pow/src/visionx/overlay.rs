//! A scratch of which only what was written is kept: all else is computed when it is read.
//!
//! A hash of the network reads 262,144 of the 4,194,304 words and writes 16,384. A filter of bits tells that a
//! word was never written, nearly always, without a look at the table of those that were.

use super::{Dataset, Params, SplitMix64, dataset::scratch_word, index};

/// Bits of the filter for each word that may be written: at most one in thirty-two of them is set.
const BITS_PER_WRITE: u64 = 32;

/// The scratch of one hash at a time.
#[derive(Debug)]
pub(super) struct Overlay {
    params: Params,
    /// What the dataset's words are counted from.
    words: SplitMix64,
    dataset_mask: u64,
    /// What the scratch's words are made from.
    numbers: SplitMix64,
    filter: Box<[u64]>,
    filter_mask: u64,
    /// Written words where their place says, or after it: a power of two, half of them free.
    slots: Box<[Slot]>,
    slot_mask: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The place of the word, or [`FREE`].
    place: u64,
    word: u64,
}

/// No word has this place.
const FREE: u64 = u64::MAX;

impl Overlay {
    /// A scratch for these figures. It takes some 600 kB for the network's.
    pub(super) fn new(params: Params) -> Self {
        let writes = u64::from(params.writes());
        let bits = (writes * BITS_PER_WRITE)
            .next_power_of_two()
            .clamp(64, params.scratch_mask() + 1);
        let slots = (writes * 2).next_power_of_two();
        let free = Slot {
            place: FREE,
            word: 0,
        };
        Self {
            params,
            words: SplitMix64(0),
            dataset_mask: params.dataset_mask(),
            numbers: SplitMix64(0),
            filter: vec![0; index(bits / 64, u64::MAX)].into(),
            filter_mask: bits - 1,
            slots: vec![free; index(slots, u64::MAX)].into(),
            slot_mask: slots - 1,
        }
    }

    /// What it is for.
    pub(super) fn params(&self) -> Params {
        self.params
    }

    /// A scratch that nothing was written to.
    pub(super) fn reset(&mut self, dataset: &Dataset, numbers: SplitMix64) {
        self.words = dataset.words();
        self.numbers = numbers;
        self.filter.fill(0);
        self.slots.fill(Slot {
            place: FREE,
            word: 0,
        });
    }

    /// The word at a place below the words of the scratch.
    #[inline(always)]
    pub(super) fn read(&self, place: u64) -> u64 {
        let bit = place & self.filter_mask;
        if self.filter[index(bit >> 6, u64::MAX)] >> (bit & 63) & 1 == 1
            && let Some(word) = self.written(place)
        {
            return word;
        }
        scratch_word(self.numbers.at(place), self.dataset_mask, |number| {
            self.words.at(number)
        })
    }

    #[inline(always)]
    pub(super) fn write(&mut self, place: u64, word: u64) {
        let bit = place & self.filter_mask;
        self.filter[index(bit >> 6, u64::MAX)] |= 1 << (bit & 63);
        let slot = self.slot_of(place);
        self.slots[slot] = Slot { place, word };
    }

    #[cold]
    #[inline(never)]
    fn written(&self, place: u64) -> Option<u64> {
        let slot = self.slots[self.slot_of(place)];
        (slot.place == place).then_some(slot.word)
    }

    /// Where a word is, or the first free slot where it would be. There always is one, for twice as many slots as
    /// writes there are.
    fn slot_of(&self, place: u64) -> usize {
        let mut at = place;
        loop {
            let slot = index(at, self.slot_mask);
            let found = self.slots[slot].place;
            if found == place || found == FREE {
                return slot;
            }
            at = at.wrapping_add(1);
        }
    }
}
