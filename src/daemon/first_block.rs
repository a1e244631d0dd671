//! The first block of the chain that is mined on. Networks for tests have no first block of their
//! own to compare with, and a daemon may be exchanged for one of another chain under the same
//! address; so the pool's database remembers it.
//!
//! [`feed`](super::feed) tells here what it found and mines on nothing else; `src/first_block.rs`
//! compares it with the database and confirms it.

use std::sync::{Arc, OnceLock};

use pow::Hash;
use tokio::sync::{Notify, watch};

/// The first block to mine on, once it is known. Clones share it.
#[derive(Clone, Debug)]
pub struct FirstBlock(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    confirmed: OnceLock<Hash>,
    found: watch::Sender<Option<Hash>>,
    changed: Notify,
}

impl FirstBlock {
    /// Any will do.
    pub fn any() -> Self {
        Self(None)
    }

    /// Nothing is mined before one is [confirmed](Self::confirm).
    pub fn to_be_confirmed() -> Self {
        Self(Some(Arc::new(Inner {
            confirmed: OnceLock::new(),
            found: watch::Sender::new(None),
            changed: Notify::new(),
        })))
    }

    /// The first block of the first fit daemon, once there is one; pending for ever if any will do.
    pub async fn found(&self) -> Hash {
        if let Some(inner) = &self.0
            && let Ok(found) = inner.found.subscribe().wait_for(Option::is_some).await
            && let Some(hash) = *found
        {
            return hash;
        }
        std::future::pending().await
    }

    /// Mine on this one from now on. It stays what was confirmed first.
    pub fn confirm(&self, hash: Hash) {
        if let Some(inner) = &self.0 {
            inner.confirmed.get_or_init(|| hash);
            inner.changed.notify_one();
        }
    }

    /// What was confirmed.
    pub(super) fn confirmed(&self) -> Option<Hash> {
        self.0.as_ref()?.confirmed.get().copied()
    }

    /// Whether a daemon with this first block may be mined with. Tells of it if that is not known.
    pub(super) fn may_be(&self, hash: Option<Hash>) -> bool {
        let Some(inner) = &self.0 else { return true };
        if inner.confirmed.get().is_none() {
            inner.found.send_if_modified(|found| {
                let is_new = hash.is_some() && *found != hash;
                *found = hash.or(*found);
                is_new
            });
            return false;
        }
        self.confirmed() == hash
    }

    /// Once something was confirmed.
    pub(super) async fn changed(&self) {
        match &self.0 {
            Some(inner) => inner.changed.notified().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_mined_before_the_first_block_is_confirmed_and_then_it_alone() {
        let (ours, other) = (Hash([1; 32]), Hash([2; 32]));
        let first = FirstBlock::to_be_confirmed();
        assert!(!first.may_be(None));
        assert!(!first.may_be(Some(ours)));
        assert_eq!(first.found().await, ours);
        first.confirm(ours);
        first.changed().await;
        assert!(first.may_be(Some(ours)));
        assert!(!first.may_be(Some(other)) && !first.may_be(None));
        first.confirm(other);
        assert_eq!(first.confirmed(), Some(ours), "it does not change");
        assert!(FirstBlock::any().may_be(None) && FirstBlock::any().may_be(Some(other)));
    }
}
