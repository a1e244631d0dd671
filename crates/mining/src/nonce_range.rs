//! Who searches which extra nonces over HTTP: each worker has a range that no other one has.
//!
//! Of what a worker of Stratum searches only it knows the coinbase; over HTTP it is told the same, and beside
//! it two numbers that older programs take for all they may try. So ranges are wide enough for half a minute
//! of such a program, and a range is given again only after all others were, if nobody holds it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Numbers of a range.
pub const WIDTH: u32 = 1 << 18;
/// Ranges in all. One more would end with a number that 32 bits do not hold.
pub const RANGES: u16 = 16_383;

/// Hands out ranges. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Ranges(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Where to look first.
    next: u16,
    held: BTreeSet<u16>,
}

/// Numbers that nobody else searches, for as long as this is not dropped.
#[derive(Debug)]
pub struct NonceRange {
    place: u16,
    ranges: Ranges,
}

/// All of them are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {RANGES} ranges of extra nonces are in use")]
pub struct NoRange;

impl Ranges {
    /// A range of one's own.
    pub fn allocate(&self) -> Result<NonceRange, NoRange> {
        let mut state = self.state();
        let from = state.next;
        let places = (from..RANGES).chain(0..from);
        let place = places.into_iter().find(|place| !state.held.contains(place));
        let place = place.ok_or(NoRange)?;
        state.held.insert(place);
        state.next = (place + 1) % RANGES;
        Ok(NonceRange {
            place,
            ranges: self.clone(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NonceRange {
    /// Its first number.
    pub fn start(&self) -> u32 {
        u32::from(self.place) * WIDTH
    }

    /// The number behind its last one.
    pub fn end(&self) -> u32 {
        self.start() + WIDTH
    }

    /// Whether a number is in it.
    pub fn has(&self, number: u32) -> bool {
        (self.start()..self.end()).contains(&number)
    }
}

impl Drop for NonceRange {
    fn drop(&mut self) {
        self.ranges.state().held.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_many_workers_as_there_are_ranges_have_one_and_no_more() {
        let ranges = Ranges::default();
        let mut held: Vec<NonceRange> = (0..RANGES).map(|_| ranges.allocate().unwrap()).collect();
        assert_eq!(ranges.allocate().map(|_| ()), Err(NoRange));
        assert_eq!(held.last().map(NonceRange::end), Some(u32::MAX - WIDTH + 1));
        let left = held.swap_remove(77);
        let start = left.start();
        drop(left);
        assert_eq!(ranges.allocate().unwrap().start(), start);
    }

    #[test]
    fn a_range_that_was_left_is_the_last_one_given_again() {
        let ranges = Ranges::default();
        let first = ranges.allocate().unwrap().start();
        assert_ne!(ranges.allocate().unwrap().start(), first);
    }

    proptest! {
        #[test]
        fn ranges_that_are_held_never_overlap(steps in prop::collection::vec((any::<bool>(), any::<u16>()), 0..400)) {
            let ranges = Ranges::default();
            let mut held: Vec<NonceRange> = Vec::new();
            for (comes, which) in steps {
                if comes || held.is_empty() {
                    held.push(ranges.allocate().unwrap());
                } else {
                    let which = usize::from(which) % held.len();
                    held.swap_remove(which);
                }
                let mut starts: Vec<u64> = held.iter().map(|range| range.start().into()).collect();
                starts.sort_unstable();
                prop_assert!(starts.windows(2).all(|two| two[0] + u64::from(WIDTH) <= two[1]));
            }
            for range in &held {
                prop_assert!(range.start() < range.end());
                prop_assert!(range.has(range.start()) && !range.has(range.end()));
            }
        }
    }
}
