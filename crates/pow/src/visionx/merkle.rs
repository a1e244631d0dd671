//! The tree of transactions: BLAKE3 of two nodes side by side, and the last of an odd level with itself.

use std::borrow::Cow;

/// The root of these leaves: a single one is its own. Without any leaf it is 32 zeros.
pub fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    let mut level = Cow::Borrowed(leaves);
    while level.len() > 1 {
        level = Cow::Owned(level.chunks(2).map(parent).collect());
    }
    level.first().copied().unwrap_or_default()
}

/// What the first leaf is hashed with, from the bottom up: the same for whatever leaf stands first. `others` are the
/// leaves after the first.
pub fn branch(others: &[[u8; 32]]) -> Vec<[u8; 32]> {
    // The first of each level is unknown, and never needed.
    let mut level: Vec<Option<[u8; 32]>> = vec![None];
    level.extend(others.iter().copied().map(Some));
    let mut branch = Vec::new();
    while let [None, Some(second), ..] = level[..] {
        branch.push(second);
        level = level
            .chunks(2)
            .map(|pair| {
                let left = pair[0]?;
                let right = pair.get(1).copied().flatten().unwrap_or(left);
                Some(hash(&left, &right))
            })
            .collect();
    }
    branch
}

/// The root of a tree whose first leaf has this [`branch`].
pub fn root_of_first(first: [u8; 32], branch: &[[u8; 32]]) -> [u8; 32] {
    branch.iter().fold(first, |left, right| hash(&left, right))
}

fn parent(pair: &[[u8; 32]]) -> [u8; 32] {
    let left = pair[0];
    hash(&left, pair.get(1).unwrap_or(&left))
}

fn hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(left).update(right);
    hasher.finalize().into()
}
