//! Branches: which one is followed, what comes back when one is left, and what is remembered of bad
//! blocks.

use bitcoin::{Amount, Block, Witness};

use crate::{
    block::{FEE, block_on, changed, coinbase_script, good, seal},
    purse::{Coin, Kind, coins, pay},
    twins::{MATURITY, Spot, Twins},
};

#[test]
fn branches_are_followed_alike() {
    let mut twins = Twins::new();
    let inconclusive = Some("inconclusive");
    let spot = twins.tip();
    let a: Vec<Block> = (0..3).map(|_| twins.grow()).collect();
    // Another branch: as long, then longer.
    let b = branch(&spot, 4);
    twins.case("b1", &b[0], inconclusive);
    twins.case("b1 again", &b[0], Some("duplicate"));
    twins.case("b2", &b[1], inconclusive);
    twins.case("b3, as long", &b[2], inconclusive);
    twins.case("b4, longer", &b[3], None);
    twins.case("a3, left behind", &a[2], Some("duplicate"));
    let mut last = spot.clone();
    for block in &a {
        last = last.after(&block.header);
    }
    let a4 = block_on(&last, &[], 0);
    twins.case("a4, as long", &a4, inconclusive);
    let a5 = block_on(&last.after(&a4.header), &[], 0);
    twins.case("a5, back again", &a5, None);
    // Parents that come later are not waited for.
    let c = branch(&spot, 9);
    for (i, block) in c.iter().enumerate().rev().take(8) {
        twins.case(
            &format!("c{i} too early"),
            block,
            Some("prev-blk-not-found"),
        );
    }
    for (i, block) in c.iter().enumerate() {
        let expected = if i < 5 { inconclusive } else { None };
        twins.case(&format!("c{i}"), block, expected);
    }
    // A long way back.
    let far = branch(&spot, 40);
    for (i, block) in far.iter().enumerate() {
        let expected = if i < 9 { inconclusive } else { None };
        twins.case(&format!("far{i}"), block, expected);
    }
    twins.case(
        "the genesis block",
        &bitcoin::constants::genesis_block(bitcoin::Network::Regtest),
        Some("duplicate"),
    );
    twins.part();
}

/// Empty blocks, one after the other.
fn branch(spot: &Spot, count: usize) -> Vec<Block> {
    let mut spot = spot.clone();
    (0..count)
        .map(|_| {
            let block = block_on(&spot, &[], 0);
            spot = spot.after(&block.header);
            block
        })
        .collect()
}

#[test]
fn coins_come_back_when_a_branch_is_left() {
    let mut twins = Twins::new();
    let inconclusive = Some("inconclusive");
    let coin = twins.coin(Kind::P2wpkh);
    let spot = twins.tip();
    let ours = pay(std::slice::from_ref(&coin), &[Kind::P2pkh], FEE);
    let theirs = pay(std::slice::from_ref(&coin), &[Kind::P2tr], FEE);
    let spent: Vec<Coin> = coins(&ours).collect();
    let child = pay(&spent, &[Kind::True], FEE);
    let a1 = block_on(&spot, &[ours.clone(), child.clone()], 2 * FEE);
    twins.case("a1 spends it twice over", &a1, None);
    let b1 = block_on(&spot, std::slice::from_ref(&theirs), FEE);
    twins.case("b1 spends it otherwise", &b1, inconclusive);
    let b = spot.after(&b1.header);
    // The same spends as on the other branch, which is left for this.
    let b2 = block_on(&b, std::slice::from_ref(&ours), FEE);
    twins.case(
        "b2 spends it again",
        &b2,
        Some("bad-txns-inputs-missingorspent"),
    );
    let b2 = block_on(
        &b,
        &[pay(
            &coins(&theirs).collect::<Vec<Coin>>(),
            &[Kind::P2wsh],
            FEE,
        )],
        FEE,
    );
    twins.case("b2 goes on", &b2, None);
    let a2 = block_on(&spot.after(&a1.header), &[], 0);
    twins.case("a2, as long", &a2, inconclusive);
    let a3 = block_on(
        &spot.after(&a1.header).after(&a2.header),
        &[pay(
            &coins(&child).collect::<Vec<Coin>>(),
            &[Kind::True],
            FEE,
        )],
        FEE,
    );
    twins.case("a3 spends what a1 made", &a3, None);
    // The coin is not there on this branch, for whoever spends it.
    let block = good(&twins, &[theirs]);
    twins.case(
        "spent on this branch",
        &block,
        Some("bad-txns-inputs-missingorspent"),
    );
    // A replay on a branch where the first was not.
    let c1 = block_on(&spot, &[ours, child], 2 * FEE);
    twins.case("the same spends in another block", &c1, inconclusive);
    let mut c = spot.after(&c1.header);
    for i in 0..3 {
        let block = block_on(&c, &[], 0);
        c = c.after(&block.header);
        twins.case(
            "on that branch",
            &block,
            if i < 2 { inconclusive } else { None },
        );
    }
    twins.part();
}

#[test]
fn coinbases_mature_by_the_branch_they_are_on() {
    let mut twins = Twins::new();
    let spot = twins.tip();
    // Spends a coinbase of 99 blocks on the first block of a branch, and it is too early; the block
    // after that may.
    let young = twins.young_coin(MATURITY - 1);
    let spend = pay(std::slice::from_ref(&young), &[Kind::True], FEE);
    let first = block_on(&spot, &[], 0);
    let on_first = block_on(
        &spot.after(&first.header),
        std::slice::from_ref(&spend),
        FEE,
    );
    twins.case(
        "too early for both to know",
        &on_first,
        Some("prev-blk-not-found"),
    );
    twins.case("first", &first, None);
    twins.case("second", &on_first, None);
    let other = block_on(&spot, &[spend], FEE);
    twins.case("the spend a block earlier", &other, Some("inconclusive"));
    let mut at = spot.after(&other.header);
    for i in 0..2 {
        let block = block_on(&at, &[], 0);
        at = at.after(&block.header);
        twins.feed(&format!("on a branch that cannot be, {i}"), &block);
    }
    let more = block_on(&at, &[], 0);
    twins.feed("after it was found out", &more);
    twins.grow();
    twins.part();
}

#[test]
fn what_follows_an_invalid_block_is_invalid() {
    let mut twins = Twins::new();
    let spot = twins.tip();
    let bad = changed(&twins, &[], |block| {
        block.txdata[0].output[0].value += Amount::ONE_SAT
    });
    twins.case("pays too much", &bad, Some("bad-cb-amount"));
    twins.case("again", &bad, Some("duplicate-invalid"));
    let after = spot.after(&bad.header);
    let child = block_on(&after, &[], 0);
    twins.case("its child", &child, Some("bad-prevblk"));
    twins.case("its child again", &child, Some("bad-prevblk"));
    let grandchild = block_on(&after.after(&child.header), &[], 0);
    twins.case("its grandchild", &grandchild, Some("prev-blk-not-found"));

    let bad = changed(&twins, &[], |block| {
        block.txdata[0].input[0].script_sig = coinbase_script(1)
    });
    twins.case("a wrong height", &bad, Some("bad-cb-height"));
    twins.case("a wrong height again", &bad, Some("duplicate-invalid"));
    let child = block_on(&spot.after(&bad.header), &[], 0);
    twins.case("its child", &child, Some("bad-prevblk"));

    // What `CheckBlock` refuses is forgotten.
    let bad = changed(&twins, &[], |block| block.txdata[0].output.clear());
    twins.case("no outputs", &bad, Some("bad-txns-vout-empty"));
    twins.case("no outputs again", &bad, Some("bad-txns-vout-empty"));
    let child = block_on(&spot.after(&bad.header), &[], 0);
    twins.case("its child", &child, Some("prev-blk-not-found"));

    // A header that is good stays known when what is beside it is not; its child waits.
    let whole = good(&twins, &[]);
    let mut cut = whole.clone();
    cut.txdata[0].input[0].witness = Witness::new();
    twins.case("without its witness", &cut, Some("bad-witness-nonce-size"));
    let at = spot.after(&whole.header);
    let children = branch(&at, 3);
    for block in &children {
        twins.case("a child that waits", block, Some("inconclusive"));
    }
    twins.case("a child that waits, again", &children[1], Some("duplicate"));
    twins.case("the witness is there", &whole, None);
    assert_eq!(twins.tip().hash, children[2].block_hash());

    // The same, but the block they wait for turns out to be bad.
    let spot = twins.tip();
    let bad = changed(&twins, &[], |block| {
        block.txdata[0].output[0].value += Amount::ONE_SAT
    });
    let mut cut = bad.clone();
    cut.txdata[0].input[0].witness = Witness::new();
    twins.case("without its witness", &cut, Some("bad-witness-nonce-size"));
    let children = branch(&spot.after(&bad.header), 2);
    for block in &children {
        twins.case("a child that waits", block, Some("inconclusive"));
    }
    twins.case("the bad one", &bad, Some("bad-cb-amount"));
    for block in &children {
        twins.case("a child of the bad one", block, Some("duplicate-invalid"));
    }
    let at = children
        .iter()
        .fold(spot.after(&bad.header), |spot, block| {
            spot.after(&block.header)
        });
    twins.case("one more", &block_on(&at, &[], 0), Some("bad-prevblk"));
    twins.part();
}

#[test]
fn a_longer_branch_that_breaks_midway_is_left_again() {
    for broken in 0..5 {
        for behind in 1..4 {
            let mut twins = Twins::new();
            let spot = twins.tip();
            for _ in 0..behind {
                twins.grow();
            }
            let mut at = spot.clone();
            for i in 0..5 {
                let mut block = block_on(&at, &[], 0);
                if i == broken {
                    block.txdata[0].output[0].value += Amount::ONE_SAT;
                    seal(&mut block);
                }
                at = at.after(&block.header);
                let name = format!("block {i} of a branch broken at {broken}, {behind} behind");
                twins.feed(&name, &block);
            }
            twins.grow();
            twins.part();
        }
    }
}
