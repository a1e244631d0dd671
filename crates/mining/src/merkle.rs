//! The merkle tree of a block, seen from its first leaf: the branch is made once a template, and a
//! coinbase is folded through it once a share.

use pow::{Hash, sha256::sha256d_pair};

/// The hashes beside the coinbase's way up the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch(Vec<[u8; 32]>);

impl Branch {
    /// The branch for a coinbase before the transactions with these ids, in the block's order.
    pub fn new(txids: &[Hash]) -> Self {
        let mut branch = Vec::new();
        // The level without its first node, which is the coinbase's and not known yet.
        let mut level: Vec<[u8; 32]> = txids.iter().map(|txid| txid.to_bytes()).collect();
        while let Some((&sibling, rest)) = level.split_first() {
            branch.push(sibling);
            level = rest
                .chunks(2)
                .map(|pair| sha256d_pair(&pair[0], pair.last().expect("chunks are not empty")).0)
                .collect();
        }
        Self(branch)
    }

    /// The branch with these hashes, from the leaf up, beside `count` transactions; nothing if that
    /// many do not have it.
    pub fn of_hashes(hashes: Vec<[u8; 32]>, count: usize) -> Option<Self> {
        let levels = usize::try_from(usize::BITS - count.leading_zeros()).ok()?;
        (hashes.len() == levels).then_some(Self(hashes))
    }

    /// The merkle root with a coinbase of this id.
    pub fn root(&self, coinbase: Hash) -> [u8; 32] {
        self.0
            .iter()
            .fold(coinbase.0, |node, sibling| sha256d_pair(&node, sibling).0)
    }

    /// The hashes, from the leaf up.
    pub fn hashes(&self) -> &[[u8; 32]] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;

    use super::*;

    #[test]
    fn the_root_is_that_of_the_whole_tree() {
        for count in 0u8..40 {
            let txids: Vec<Hash> = (0..count).map(|i| Hash([i; 32])).collect();
            let coinbase = Hash([0xcb; 32]);
            let all = std::iter::once(coinbase)
                .chain(txids.iter().copied())
                .map(|hash| bitcoin::Txid::from_byte_array(hash.0));
            let expected = bitcoin::merkle_tree::calculate_root(all).unwrap();
            assert_eq!(
                Branch::new(&txids).root(coinbase),
                expected.to_byte_array(),
                "{count}"
            );
            let branch = Branch::new(&txids);
            let again = Branch::of_hashes(branch.hashes().to_vec(), count.into());
            assert_eq!(again.as_ref(), Some(&branch), "{count}");
            let other = usize::from(count) * 2 + 1;
            assert_eq!(Branch::of_hashes(branch.hashes().to_vec(), other), None);
        }
    }
}
