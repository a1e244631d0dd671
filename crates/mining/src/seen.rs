//! The shares already seen on the current tip, pool-wide: what makes it impossible to credit one
//! twice. Only shares on the newest tip are accepted, so no more has to be known; after a restart
//! the store gives back those of the tip at hand.
//!
//! Of a hash its 16 low bytes are kept. They are random even in the best proof; that two shares
//! have the same is as likely as guessing a key of 128 bits.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
    sync::{Mutex, MutexGuard},
};

use pow::Hash;

/// Enough that connections on many cores seldom meet at one lock.
const SHARDS: usize = 64;

/// Entries a shard keeps: in all 16 million shares a tip, about 500 MB when full. That is a
/// thousand a second for hours; what comes then is refused, not credited unseen.
const SHARD_MAX: usize = 1 << 18;

/// The room a shard begins a tip with: 32 thousand shares before any shard has to grow, and then
/// each grows by itself, so that none makes others wait.
const SHARD_START: usize = 512;

/// The hashes of shares accepted on the newest tip.
#[derive(Debug)]
pub struct Seen([Mutex<Shard>; SHARDS]);

#[derive(Debug, Default)]
struct Shard {
    tip: u64,
    hashes: HashSet<[u8; 16], Plain>,
}

/// What a set knows of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Not seen before; it is remembered now.
    New,
    /// Seen before.
    Duplicate,
    /// There is no room to remember it.
    Full,
    /// It belongs to an older tip than the newest that was seen.
    Stale,
}

impl Default for Seen {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Seen {
    /// Knows these shares to have been seen on the tip with this number.
    pub fn of_tip(tip: u64, hashes: impl IntoIterator<Item = Hash>) -> Self {
        let seen = Self::default();
        for hash in hashes {
            seen.insert(tip, hash);
        }
        seen
    }

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
                hashes: HashSet::with_capacity_and_hasher(SHARD_START, Plain::default()),
            };
        }
        let key = key(&hash);
        if shard.hashes.len() >= SHARD_MAX {
            return match shard.hashes.contains(&key) {
                true => Sighting::Duplicate,
                false => Sighting::Full,
            };
        }
        match shard.hashes.insert(key) {
            true => Sighting::New,
            false => Sighting::Duplicate,
        }
    }

    /// Forgets a share that could not be written down after all, so that it may come again.
    pub fn remove(&self, hash: &Hash) {
        self.shard(hash).hashes.remove(&key(hash));
    }

    /// Forgets what was claimed on the tip with this number and is not true. What was remembered of another tip
    /// meanwhile is somebody's share.
    pub(crate) fn forget(&self, tip: u64, hash: &Hash) {
        let mut shard = self.shard(hash);
        if shard.tip == tip {
            shard.hashes.remove(&key(hash));
        }
    }

    fn shard(&self, hash: &Hash) -> MutexGuard<'_, Shard> {
        self.0[usize::from(hash.0[0]) % SHARDS]
            .lock()
            .expect("nothing panics while holding this lock")
    }
}

/// The bytes by which a share is known.
fn key(hash: &Hash) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&hash.0[..16]);
    key
}

/// Hashes are random already. The byte that chose the shard is left out.
#[derive(Clone, Copy, Debug, Default)]
struct Random(u64);

type Plain = BuildHasherDefault<Random>;

impl Hasher for Random {
    fn write(&mut self, bytes: &[u8]) {
        let mut low = [0; 8];
        if let Some(part) = bytes.get(1..9) {
            low.copy_from_slice(part);
        }
        self.0 = u64::from_le_bytes(low);
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
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
            hash.0[1..9].copy_from_slice(&i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            hash
        };
        for i in 0..SHARD_MAX {
            assert_eq!(seen.insert(1, hash(i)), Sighting::New);
        }
        assert_eq!(seen.insert(1, hash(SHARD_MAX)), Sighting::Full);
        assert_eq!(seen.insert(1, hash(0)), Sighting::Duplicate);
        assert_eq!(seen.insert(2, hash(SHARD_MAX)), Sighting::New);
        assert_eq!(seen.insert(2, hash(SHARD_MAX)), Sighting::Duplicate);
        assert_eq!(seen.shard(&hash(0)).hashes.len(), 1);
    }
}
