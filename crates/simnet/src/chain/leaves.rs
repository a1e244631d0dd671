//! The ends of all branches, as `getchaintips` shows them.

use std::collections::HashSet;

use super::{Chain, Id};

/// The standing of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    ValidFork,
    ValidHeaders,
    HeadersOnly,
    Invalid,
}

impl Chain {
    /// The ends of all branches, and how long each is beside the active chain.
    pub(crate) fn leaves(&self) -> Vec<(Id, u32, Standing)> {
        let parents: HashSet<Id> = self.known.iter().filter_map(|known| known.parent).collect();
        let tip = self.tip();
        let ends = (0..self.known.len())
            .map(Id)
            .filter(|id| !parents.contains(id) || *id == tip);
        ends.map(|id| {
            let known = self.get(id);
            let standing = match (&known.block, known.completed) {
                _ if id == tip => Standing::Active,
                _ if known.failed => Standing::Invalid,
                (None, _) | (_, None) => Standing::HeadersOnly,
                _ if known.verified => Standing::ValidFork,
                _ => Standing::ValidHeaders,
            };
            (id, known.height - self.get(self.fork(id)).height, standing)
        })
        .collect()
    }
}
