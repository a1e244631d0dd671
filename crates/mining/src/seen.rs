//! The shares already seen on the current tip, pool-wide.
//!
//! It makes a duplicate cheap to refuse; what makes it impossible to credit is the store's unique
//! key. So this memory may be bounded: a share it has no room for passes on to the store.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard},
};

use pow::Hash;

/// Enough that connections on many cores seldom meet at one lock.
const SHARDS: usize = 64;

/// Entries a shard keeps: in all 4 million shares a tip, about 150 MB when full.
const SHARD_MAX: usize = 1 << 16;

/// The hashes of shares accepted on the newest tip.
#[derive(Debug)]
pub struct Seen([Mutex<Shard>; SHARDS]);

#[derive(Debug, Default)]
struct Shard {
    tip: u64,
    hashes: HashSet<Hash>,
}

/// What a set knows of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Not seen before; it is remembered now, if there was room.
    New,
    /// Seen before.
    Duplicate,
    /// It belongs to an older tip than the newest that was seen.
    Stale,
}

impl Default for Seen {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Seen {
    /// Remembers a share of the tip with this number. Shares of older tips are forgotten as soon as
    /// one of a newer tip comes: they cannot be credited any more.
    pub fn insert(&self, tip: u64, hash: Hash) -> Sighting {
        let mut shard = self.shard(&hash);
        if tip < shard.tip {
            return Sighting::Stale;
        }
        if tip > shard.tip {
            *shard = Shard {
                tip,
                hashes: HashSet::new(),
            };
        }
        if shard.hashes.contains(&hash) {
            return Sighting::Duplicate;
        }
        if shard.hashes.len() < SHARD_MAX {
            shard.hashes.insert(hash);
        }
        Sighting::New
    }

    /// Forgets a share that could not be written down after all, so that it may come again.
    pub fn remove(&self, hash: &Hash) {
        self.shard(hash).hashes.remove(hash);
    }

    fn shard(&self, hash: &Hash) -> MutexGuard<'_, Shard> {
        // The low bytes are random even in the best proof.
        self.0[usize::from(hash.0[0]) % SHARDS]
            .lock()
            .expect("nothing panics while holding this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_new_once_a_tip_and_old_tips_are_stale() {
        let seen = Seen::default();
        let hash = Hash([5; 32]);
        assert_eq!(seen.insert(1, hash), Sighting::New);
        assert_eq!(seen.insert(1, hash), Sighting::Duplicate);
        assert_eq!(seen.insert(2, hash), Sighting::New);
        assert_eq!(seen.insert(1, hash), Sighting::Stale);
        seen.remove(&hash);
        assert_eq!(seen.insert(2, hash), Sighting::New);
    }

    #[test]
    fn a_full_shard_stays_bounded_and_keeps_what_it_has() {
        let seen = Seen::default();
        let hash = |i: usize| {
            let mut hash = Hash::default();
            hash.0[8..16].copy_from_slice(&i.to_le_bytes());
            hash
        };
        for i in 0..=SHARD_MAX {
            assert_eq!(seen.insert(1, hash(i)), Sighting::New);
        }
        assert_eq!(seen.insert(1, hash(0)), Sighting::Duplicate);
        assert_eq!(seen.shard(&hash(0)).hashes.len(), SHARD_MAX);
    }
}
