//! Who searches where: every connection gets four bytes of the coinbase for itself.
//!
//! Values come from ranges that the store leases out and never leases twice, so that none is used
//! again in a run, by another process, or after a restart. Only after all 2^32 are spent the lease
//! starts anew, and then a value that is still held is passed over. A [`Prefix`] frees itself on
//! drop.

use std::{
    collections::HashSet,
    ops::Range,
    sync::{Arc, Mutex},
};

/// Hands out prefixes. Clones share the same ranges.
#[derive(Clone, Debug, Default)]
pub struct Allocator(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What is left of the newest lease.
    left: Range<u64>,
    /// What connections hold.
    held: HashSet<u32>,
}

/// Four bytes that no other connection has, for as long as this is not dropped.
#[derive(Debug)]
pub struct Prefix {
    value: u32,
    allocator: Allocator,
}

/// The lease is used up; another is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no extranonce left in the lease")]
pub struct UsedUp;

impl Allocator {
    /// Takes another leased range of numbers into use, in place of what is left of the last.
    pub fn lease(&self, range: Range<u64>) {
        self.state().left = range;
    }

    /// How many numbers are left; below some mark it is time for another lease.
    pub fn left(&self) -> u64 {
        let left = &self.state().left;
        left.end.saturating_sub(left.start)
    }

    /// A prefix of one's own.
    pub fn allocate(&self) -> Result<Prefix, UsedUp> {
        let mut state = self.state();
        loop {
            let number = state.left.next().ok_or(UsedUp)?;
            let value = u32::try_from(number & u64::from(u32::MAX)).expect("masked to 32 bits");
            if state.held.insert(value) {
                return Ok(Prefix {
                    value,
                    allocator: self.clone(),
                });
            }
        }
    }

    /// A prefix that an earlier run has handed out, unless somebody holds it: leases do not come to
    /// it again before all others.
    pub fn claim(&self, bytes: [u8; 4]) -> Option<Prefix> {
        let value = u32::from_be_bytes(bytes);
        self.state().held.insert(value).then(|| Prefix {
            value,
            allocator: self.clone(),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("nothing panics while holding this lock")
    }
}

impl Prefix {
    /// The bytes of extranonce1.
    pub fn bytes(&self) -> [u8; 4] {
        self.value.to_be_bytes()
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        self.allocator.state().held.remove(&self.value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a10_seventy_thousand_sessions_have_seventy_thousand_prefixes() {
        let allocator = Allocator::default();
        allocator.lease(7..80_000);
        let prefixes: Vec<Prefix> = (0..70_000).map(|_| allocator.allocate().unwrap()).collect();
        let distinct: HashSet<[u8; 4]> = prefixes.iter().map(Prefix::bytes).collect();
        assert_eq!(distinct.len(), 70_000);
    }

    #[test]
    fn a_used_up_lease_is_an_error_and_a_new_one_mends_it() {
        let allocator = Allocator::default();
        assert_eq!(allocator.allocate().map(|_| ()), Err(UsedUp));
        allocator.lease(0..1);
        let first = allocator.allocate().unwrap();
        assert_eq!(allocator.allocate().map(|_| ()), Err(UsedUp));
        // 2^32 later the same value comes up again; it is held, so the next one is given.
        allocator.lease(1 << 32..(1 << 32) + 2);
        assert_eq!(allocator.allocate().unwrap().bytes(), [0, 0, 0, 1]);
        assert_eq!(first.bytes(), [0; 4]);
    }

    #[test]
    fn a_prefix_of_an_earlier_run_is_claimed_once() {
        let allocator = Allocator::default();
        let claimed = allocator.claim([0, 0, 0, 9]).unwrap();
        assert_eq!(claimed.bytes(), [0, 0, 0, 9]);
        assert!(allocator.claim([0, 0, 0, 9]).is_none());
        allocator.lease(9..11);
        assert_eq!(allocator.allocate().unwrap().bytes(), [0, 0, 0, 10]);
        drop(claimed);
        assert!(allocator.claim([0, 0, 0, 9]).is_some());
    }

    proptest! {
        #[test]
        fn a05_no_two_live_prefixes_are_ever_equal(
            drops in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
            start in 0u64..1 << 33,
        ) {
            let allocator = Allocator::default();
            let mut live: Vec<Prefix> = Vec::new();
            for (i, index) in drops.iter().enumerate() {
                if allocator.left() == 0 {
                    // The worst case: the very same range again.
                    allocator.lease(start..start + 300);
                }
                live.push(allocator.allocate().unwrap());
                if i % 3 == 0 {
                    live.swap_remove(index.index(live.len()));
                }
                let distinct: HashSet<[u8; 4]> = live.iter().map(Prefix::bytes).collect();
                prop_assert_eq!(distinct.len(), live.len());
            }
        }
    }
}
