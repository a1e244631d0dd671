//! Branches: most work wins, the first seen of equals, and everything is undone and redone.

use bitcoin::{Amount, OutPoint};
use simnet::{Chain, Verdict};

use crate::maker::{
    block_on, chain_of, coinbase_at, extend, next_block, reason, seal, spend, submit,
};

#[test]
fn the_longer_branch_wins_and_the_first_of_equals_stays() {
    let mut chain = chain_of(5);
    let old = chain.tip_hash();
    let fork = chain.hash_at(4).unwrap();
    let rival = block_on(fork, 5, Vec::new(), 1);
    assert_eq!(submit(&mut chain, &rival), Verdict::Inconclusive);
    assert_eq!(chain.tip_hash(), old);
    assert_eq!(submit(&mut chain, &rival), Verdict::Duplicate);
    let longer = block_on(rival.block_hash(), 6, Vec::new(), 0);
    assert_eq!(submit(&mut chain, &longer), Verdict::Accepted);
    assert_eq!(chain.tip_hash(), longer.block_hash());
    assert_eq!(chain.hash_at(5), Some(rival.block_hash()));
}

#[test]
fn coins_follow_the_branch_there_and_back() {
    let mut chain = chain_of(105);
    let coin = coinbase_at(&chain, 2);
    let (fork, before) = (chain.tip_hash(), chain.coin(&coin).cloned());
    let spending = spend(&[coin], 5);
    let paid = OutPoint {
        txid: spending.compute_txid(),
        vout: 0,
    };
    let block = next_block(&chain, vec![spending]);
    assert_eq!(submit(&mut chain, &block), Verdict::Accepted);
    assert!(chain.coin(&coin).is_none() && chain.coin(&paid).is_some());

    let first = block_on(fork, 106, Vec::new(), 1);
    let second = block_on(first.block_hash(), 107, Vec::new(), 1);
    assert_eq!(submit(&mut chain, &first), Verdict::Inconclusive);
    assert_eq!(submit(&mut chain, &second), Verdict::Accepted);
    assert_eq!(chain.coin(&coin).cloned(), before);
    assert!(chain.coin(&paid).is_none());

    let mut parent = block.block_hash();
    for height in 107..=108 {
        let block = block_on(parent, height, Vec::new(), 2);
        parent = block.block_hash();
        submit(&mut chain, &block);
    }
    assert_eq!(chain.tip_hash(), parent);
    assert!(chain.coin(&coin).is_none() && chain.coin(&paid).is_some());
}

#[test]
fn a_longer_branch_with_a_bad_block_is_left_again() {
    let mut chain = chain_of(105);
    let honest = chain.tip_hash();
    let fork = chain.hash_at(103).unwrap();
    // On a side branch amounts are not checked until the branch is the longer one.
    let good = block_on(fork, 104, Vec::new(), 1);
    let mut greedy = block_on(good.block_hash(), 105, Vec::new(), 1);
    greedy.txdata[0].output[0].value += Amount::from_sat(1);
    seal(&mut greedy);
    let last = block_on(greedy.block_hash(), 106, Vec::new(), 1);
    assert_eq!(submit(&mut chain, &good), Verdict::Inconclusive);
    assert_eq!(submit(&mut chain, &greedy), Verdict::Inconclusive);
    assert_eq!(
        submit(&mut chain, &last),
        Verdict::Inconclusive,
        "its parent failed, not itself"
    );
    assert_eq!(chain.tip_hash(), honest);
    assert_eq!(submit(&mut chain, &greedy), Verdict::DuplicateInvalid);
    assert_eq!(submit(&mut chain, &last), Verdict::DuplicateInvalid);
    let child = block_on(last.block_hash(), 107, Vec::new(), 1);
    assert_eq!(reason(&mut chain, &child).as_deref(), Some("bad-prevblk"));
    extend(&mut chain, 1);
}

#[test]
fn a_deep_reorganisation_gives_the_same_coins_as_a_fresh_chain() {
    let mut chain = chain_of(120);
    let coins: Vec<_> = (1..=20).map(|height| coinbase_at(&chain, height)).collect();
    for coin in &coins[..10] {
        let block = next_block(&chain, vec![spend(&[*coin], 7)]);
        assert_eq!(submit(&mut chain, &block), Verdict::Accepted);
    }
    let mut fresh: Chain = chain_of(100);
    let mut parent = fresh.tip_hash();
    assert_eq!(chain.hash_at(100), Some(parent));
    for height in 101..=131 {
        let block = block_on(parent, height, Vec::new(), 3);
        parent = block.block_hash();
        assert_eq!(submit(&mut fresh, &block), Verdict::Accepted);
        submit(&mut chain, &block);
    }
    assert_eq!(chain.tip_hash(), fresh.tip_hash());
    for height in 1..=131 {
        let coin = coinbase_at(&fresh, height);
        assert_eq!(chain.coin(&coin), fresh.coin(&coin), "height {height}");
        assert!(chain.coin(&coin).is_some());
    }
}
