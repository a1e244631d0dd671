//! The tree hash over a block's transactions, and the branch that leads to it from the first.
//!
//! Called once for each template. Of a block only the miner's transaction changes between jobs, and it
//! stands first, so a job needs one hash for each step of the [`Branch`] and no more.
//!
//! The tree is full but for its widest row: as many leaves as are too many for the row above it stand
//! in pairs at its end, and the others move up alone.

use super::keccak::keccak256;

/// What the first leaf is hashed with on its way to the root, from its sibling upwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch(Vec<[u8; 32]>);

impl Branch {
    /// The branch of the leaf before `others`.
    pub fn of_first(others: &[[u8; 32]]) -> Self {
        let leaves = others.len() + 1;
        if leaves == 1 {
            return Self(Vec::new());
        }
        let mut siblings = Vec::new();
        // The widest full row, and how many leaves move up to it alone.
        let width = leaves.next_power_of_two() / 2;
        let alone = 2 * width - leaves;
        // A row without its first hash, which is on the way from the first leaf.
        let mut row = if alone == 0 {
            siblings.push(others[0]);
            pairs(&others[1..])
        } else {
            let (kept, paired) = others.split_at(alone - 1);
            [kept, &pairs(paired)].concat()
        };
        while let Some((sibling, rest)) = row.split_first() {
            siblings.push(*sibling);
            row = pairs(rest);
        }
        Self(siblings)
    }

    /// The root, with this hash as the first leaf.
    pub fn root(&self, first: [u8; 32]) -> [u8; 32] {
        self.0
            .iter()
            .fold(first, |left, right| keccak256(&[&left, right]))
    }

    /// From the first leaf's sibling upwards.
    pub fn siblings(&self) -> &[[u8; 32]] {
        &self.0
    }
}

/// The root of a tree, which has a first leaf at least.
pub fn root(first: [u8; 32], others: &[[u8; 32]]) -> [u8; 32] {
    Branch::of_first(others).root(first)
}

fn pairs(row: &[[u8; 32]]) -> Vec<[u8; 32]> {
    row.as_chunks::<2>()
        .0
        .iter()
        .map(|[left, right]| keccak256(&[left, right]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monero's `tests-tree.txt`, up to seven leaves: the root, and the leaves.
    const VECTORS: &str = include_str!("vectors/tree.txt");

    /// The rows of the whole tree, without a thought of branches.
    fn whole_tree(leaves: &[[u8; 32]]) -> [u8; 32] {
        let mut row = leaves.to_vec();
        let mut width = 1;
        while width * 2 < row.len() {
            width *= 2;
        }
        if row.len() > 1 {
            let alone = 2 * width - row.len();
            let paired = pairs(&row[alone..]);
            row.truncate(alone);
            row.extend(paired);
        }
        while row.len() > 1 {
            row = pairs(&row);
        }
        row[0]
    }

    #[test]
    fn the_root_is_that_of_monero_s_vectors() {
        let mut count = 0;
        for line in VECTORS.lines() {
            let (expected, leaves) = line.split_once(' ').unwrap();
            let leaves = hex::decode(leaves).unwrap();
            let (leaves, rest) = leaves.as_chunks::<32>();
            assert!(rest.is_empty());
            count += 1;
            assert_eq!(leaves.len(), count);
            assert_eq!(hex::encode(root(leaves[0], &leaves[1..])), expected);
            assert_eq!(hex::encode(whole_tree(leaves)), expected);
        }
        assert_eq!(count, 7);
    }

    #[test]
    fn the_branch_leads_to_the_root_of_a_tree_of_any_size() {
        let leaves: Vec<[u8; 32]> = (0u32..1100)
            .map(|number| keccak256(&[&number.to_le_bytes()]))
            .collect();
        for count in (1..70).chain([127, 128, 129, 255, 256, 257, 1023, 1024, 1025, 1100]) {
            let branch = Branch::of_first(&leaves[1..count]);
            let root = branch.root(leaves[0]);
            assert_eq!(root, whole_tree(&leaves[..count]), "{count}");
            let depth = usize::try_from(count.next_power_of_two().ilog2()).unwrap();
            assert!(branch.siblings().len() <= depth, "{count}");
            // Each leaf counts.
            for changed in [0, count / 2, count - 1] {
                let mut other = leaves[..count].to_vec();
                other[changed][31] ^= 1;
                assert_ne!(super::root(other[0], &other[1..]), root, "{count}");
            }
        }
    }
}
