//! Merkle trees of the shape of RFC 6962: the left part of a tree of `n` leaves has the largest power
//! of two below `n`, so leaves are added at the right and nothing else changes. A leaf is never a node,
//! by its tag; no leaf is doubled.

use super::digest::{Digest, Tag};

const NODE: Tag = Tag::new("adit/receipt/node");

/// The leaves of a chunk, as a power of two: proofs are made from the shares of one chunk and the
/// digests of the others, so that neither all shares are read for one nor all digests kept.
pub const CHUNK_LEVEL: u32 = 10;
/// The leaves of a chunk.
pub const CHUNK: u64 = 1 << CHUNK_LEVEL;

/// The longest way from a leaf to the root: a tree has fewer than 2^63 leaves.
pub const PATH_MAX: usize = 63;

/// What trees are made of: digests, or digests with sums.
pub trait Node: Copy {
    /// The node above two; nothing if they cannot be joined.
    fn join(left: &Self, right: &Self) -> Option<Self>;
}

impl Node for Digest {
    fn join(left: &Self, right: &Self) -> Option<Self> {
        Some(NODE.of(&[&left.0, &right.0]))
    }
}

/// A whole tree.
#[derive(Clone, Debug)]
pub struct Tree<N> {
    /// The leaves, then the nodes above them, level by level up to the root. The last node of a level
    /// goes up as it is where it has none beside it, which gives the shape of RFC 6962.
    levels: Vec<Vec<N>>,
}

impl<N: Node> Tree<N> {
    /// The tree of these leaves; nothing if there are none, or they cannot be joined.
    pub fn new(leaves: Vec<N>) -> Option<Self> {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last()
            && below.len() != 1
        {
            if below.is_empty() {
                return None;
            }
            let (pairs, rest) = below.as_chunks::<2>();
            let joined = pairs.iter().map(|[left, right]| N::join(left, right));
            let level: Option<Vec<N>> = joined.chain(rest.first().copied().map(Some)).collect();
            levels.push(level?);
        }
        Some(Self { levels })
    }

    /// The root.
    pub fn root(&self) -> N {
        let top = self.levels.last().and_then(|level| level.first());
        *top.expect("the last level is the root alone")
    }

    /// A leaf by its place.
    pub fn leaf(&self, index: usize) -> Option<N> {
        self.levels[0].get(index).copied()
    }

    /// The nodes beside the way from a leaf to the root, from the leaf upwards; nothing if there is no
    /// such leaf.
    pub fn path(&self, index: usize) -> Option<Vec<N>> {
        self.levels[0].get(index)?;
        let beside = self.levels.iter().scan(index, |place, level| {
            let beside = level.get(*place ^ 1).copied();
            *place >>= 1;
            Some(beside)
        });
        Some(beside.flatten().collect())
    }
}

/// The root of a tree of `size` leaves that has this leaf in this place, by the nodes beside the way.
/// Nothing if the way is not that of such a tree.
pub fn climb<N: Node>(leaf: &N, index: u64, size: u64, path: &[N]) -> Option<N> {
    if index >= size {
        return None;
    }
    // The place of the node, and that of the last one, on each level: RFC 9162, 2.1.3.2.
    let (mut place, mut last, mut node) = (index, size - 1, *leaf);
    for beside in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            node = N::join(beside, &node)?;
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            node = N::join(&node, beside)?;
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}

/// The right edge of a tree that grows: all that is needed to add leaves and to know the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    count: u64,
    /// The roots of the full trees that the leaves make, the largest first: one for each bit of
    /// `count`.
    roots: Vec<Digest>,
}

impl Edge {
    /// As it was kept; nothing if the roots are not as many as so many leaves have.
    pub fn new(count: u64, roots: Vec<Digest>) -> Option<Self> {
        let fits = usize::try_from(count.count_ones()) == Ok(roots.len());
        (fits && count >> PATH_MAX == 0).then_some(Self { count, roots })
    }

    /// The leaves so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What has to be kept.
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// Adds a leaf, and gives the digest of the chunk that it ends, if it ends one.
    pub fn push(&mut self, leaf: Digest) -> Option<Digest> {
        let (mut node, mut level, mut chunk) = (leaf, 0, None);
        while self.count >> level & 1 == 1 {
            let left = self.roots.pop().expect("a root for each bit");
            node = NODE.of(&[&left.0, &node.0]);
            level += 1;
            if level == CHUNK_LEVEL {
                chunk = Some(node);
            }
        }
        self.roots.push(node);
        self.count += 1;
        chunk
    }

    /// The root of all leaves; nothing if there are none.
    pub fn root(&self) -> Option<Digest> {
        let (last, before) = self.roots.split_last()?;
        let join = |right: Digest, left: &Digest| NODE.of(&[&left.0, &right.0]);
        Some(before.iter().rev().fold(*last, join))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u64) -> Vec<Digest> {
        let leaf = |number: u64| Tag::new("test").of(&[&number.to_be_bytes()]);
        (0..count).map(leaf).collect()
    }

    fn root(leaves: &[Digest]) -> Option<Digest> {
        Tree::new(leaves.to_vec()).map(|tree| tree.root())
    }

    fn path(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
        Tree::new(leaves.to_vec())?.path(index)
    }

    /// As RFC 6962, 2.1, writes it.
    fn plain_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [only] => *only,
            _ => {
                let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
                Digest::join(&plain_root(left), &plain_root(right)).unwrap()
            }
        }
    }

    #[test]
    fn the_shape_is_that_of_rfc_6962() {
        let all = leaves(7);
        let [a, b, c, d, e, f, g] = all[..] else {
            panic!()
        };
        let n = |left: Digest, right: Digest| Digest::join(&left, &right).unwrap();
        assert_eq!(root(&[]), None);
        for count in 1..=all.len() {
            assert_eq!(root(&all[..count]), Some(plain_root(&all[..count])));
        }
        assert_eq!(root(&all[..1]), Some(a));
        assert_eq!(root(&all[..3]), Some(n(n(a, b), c)));
        assert_eq!(
            root(&all),
            Some(n(n(n(a, b), n(c, d)), n(n(e, f), g))),
            "the example of the document"
        );
        assert_eq!(path(&all, 6), Some(vec![n(e, f), n(n(a, b), n(c, d))]));
        assert_eq!(path(&all, 3), Some(vec![c, n(a, b), n(n(e, f), g)]));
        assert_eq!(path(&all, 7), None);
    }

    #[test]
    fn a_tree_that_grows_has_the_root_of_its_leaves() {
        let all = leaves(3 * CHUNK + 5);
        let mut edge = Edge::default();
        let mut chunks = Vec::new();
        assert_eq!(edge.root(), None);
        for (place, leaf) in all.iter().enumerate() {
            chunks.extend(edge.push(*leaf));
            let so_far = &all[..=place];
            if place < 70 || place % 511 == 0 {
                assert_eq!(edge.root(), root(so_far), "{place}");
                let kept = Edge::new(edge.count(), edge.roots().to_vec());
                assert_eq!(kept.as_ref(), Some(&edge));
            }
        }
        let size = usize::try_from(CHUNK).unwrap();
        let whole: Vec<_> = all.chunks_exact(size).map(|c| root(c).unwrap()).collect();
        assert_eq!(chunks, whole);
        assert_eq!(Edge::new(3, leaves(1)), None);
        assert_eq!(Edge::new(u64::MAX, leaves(64)), None);
    }

    #[test]
    fn a_proof_is_made_from_a_chunk_and_the_digests_of_the_others() {
        let all = leaves(2 * CHUNK + 3);
        let size = usize::try_from(CHUNK).unwrap();
        let roots: Vec<_> = all.chunks(size).map(|c| root(c).unwrap()).collect();
        for index in [0, size - 1, size, 2 * size, 2 * size + 2] {
            let chunk = index / size;
            let within = &all[chunk * size..all.len().min((chunk + 1) * size)];
            let mut made = path(within, index % size).unwrap();
            made.extend(path(&roots, chunk).unwrap());
            assert_eq!(Some(made), path(&all, index), "{index}");
        }
    }

    proptest! {
        #[test]
        fn each_leaf_is_proven_and_nothing_else(
            size in 1..200_u64, at in any::<prop::sample::Index>(),
            flip in any::<prop::sample::Index>(),
        ) {
            let all = leaves(size);
            let whole = root(&all).unwrap();
            let index = at.index(all.len());
            let (leaf, place) = (all[index], u64::try_from(index).unwrap());
            let path = path(&all, index).unwrap();
            prop_assert_eq!(climb(&leaf, place, size, &path), Some(whole));
            // Another leaf, another place, another size, one more or one less, one bit.
            let other = Tag::new("other").of(&[]);
            prop_assert_ne!(climb(&other, place, size, &path), Some(whole));
            for wrong in 0..size + 2 {
                if wrong != place {
                    prop_assert_ne!(climb(&leaf, wrong, size, &path), Some(whole));
                }
            }
            prop_assert_eq!(climb(&leaf, size, size, &path), None);
            let mut longer = path.clone();
            longer.push(other);
            prop_assert_ne!(climb(&leaf, place, size, &longer), Some(whole));
            if !path.is_empty() {
                prop_assert_ne!(climb(&leaf, place, size, &path[1..]), Some(whole));
                prop_assert_ne!(climb(&leaf, place, size, &path[..path.len() - 1]), Some(whole));
                let mut bent = path.clone();
                let bit = flip.index(path.len() * 256);
                bent[bit / 256].0[bit % 256 / 8] ^= 1 << (bit % 8);
                prop_assert_ne!(climb(&leaf, place, size, &bent), Some(whole));
            }
        }
    }
}
