//! What each miner did on a day, as a tree whose nodes carry sums: the root has the day's, and a miner
//! proves that its own are in them.
//!
//! A node commits to the sums of both its children and not just to their total: otherwise one of them
//! could be made smaller than what lies below it.

use super::{
    digest::{Digest, Tag},
    tree::Node,
};
use crate::Work;

const LEAF: Tag = Tag::new("adit/receipt/sum");
const NODE: Tag = Tag::new("adit/receipt/sums");

/// A node of the tree, or a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The digest of what is below.
    pub digest: Digest,
    /// The shares below.
    pub shares: u64,
    /// Their work.
    pub work: Work,
}

impl Sum {
    /// A miner's leaf.
    pub fn leaf(account: Digest, shares: u64, work: Work) -> Self {
        let digest = LEAF.of(&[
            &account.0,
            &shares.to_be_bytes(),
            &work.hashes().to_be_bytes(),
        ]);
        Self {
            digest,
            shares,
            work,
        }
    }
}

impl Node for Sum {
    fn join(left: &Self, right: &Self) -> Option<Self> {
        let shares = left.shares.checked_add(right.shares)?;
        let work = left.work.checked_add(right.work)?;
        let digest = NODE.of(&[
            &left.digest.0,
            &left.shares.to_be_bytes(),
            &left.work.hashes().to_be_bytes(),
            &right.digest.0,
            &right.shares.to_be_bytes(),
            &right.work.hashes().to_be_bytes(),
        ]);
        Some(Self {
            digest,
            shares,
            work,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::receipt::{Tree, climb};

    fn sums(list: &[(u64, u64)]) -> Vec<Sum> {
        let leaf = |(number, (shares, work)): (usize, &(u64, u64))| {
            let account = Tag::new("test").of(&[&number.to_be_bytes()]);
            Sum::leaf(account, *shares, Work::from_hashes(u128::from(*work)))
        };
        list.iter().enumerate().map(leaf).collect()
    }

    proptest! {
        #[test]
        fn the_root_has_the_sums_and_each_part_is_proven(
            list in prop::collection::vec((0..1_000_000_u64, any::<u32>().prop_map(u64::from)), 1..40),
            at in any::<prop::sample::Index>(), more in 1..1_000_u64,
        ) {
            let leaves = sums(&list);
            let tree = Tree::new(leaves.clone()).unwrap();
            let whole = tree.root();
            prop_assert_eq!(whole.shares, list.iter().map(|(shares, _)| shares).sum::<u64>());
            let work: u128 = list.iter().map(|(_, work)| u128::from(*work)).sum();
            prop_assert_eq!(whole.work.hashes(), work);
            let index = at.index(leaves.len());
            let (place, size) = (u64::try_from(index).unwrap(), u64::try_from(leaves.len()).unwrap());
            let path = tree.path(index).unwrap();
            prop_assert_eq!(climb(&leaves[index], place, size, &path), Some(whole));
            // More for oneself, taken from a neighbour, so that the total stays.
            for beside in 0..path.len() {
                let mut bent = path.clone();
                if bent[beside].shares < more {
                    continue;
                }
                bent[beside].shares -= more;
                let mut own = leaves[index];
                own.shares += more;
                prop_assert_ne!(climb(&own, place, size, &bent), Some(whole));
                prop_assert_ne!(climb(&leaves[index], place, size, &bent), Some(whole));
            }
        }
    }

    #[test]
    fn sums_that_do_not_fit_are_not_joined() {
        let most = Sum::leaf(Digest([1; 32]), 1, Work::from_hashes(u128::MAX));
        let one = Sum::leaf(Digest([2; 32]), 1, Work::from_hashes(1));
        assert!(Tree::new(vec![most, one]).is_none());
        let most = Sum::leaf(Digest([1; 32]), u64::MAX, Work::ZERO);
        assert!(Tree::new(vec![most, one]).is_none());
    }
}
