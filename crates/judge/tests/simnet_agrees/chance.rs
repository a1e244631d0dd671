//! Blocks and trees that nobody would think of, by chance, but the same in every run.

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, ScriptBuf, Sequence, Transaction, Witness,
    absolute::LockTime, block::Version, consensus, hashes::Hash as _, transaction,
};

use crate::{
    block::{
        BITS, FEE, block_on, coinbase_script, commit, good, grind, root, seal, subsidy,
        without_commitment,
    },
    dice::Dice,
    purse::{Coin, Kind, coins, pay},
    twins::{Spot, Twins},
};

#[test]
fn trees_of_good_and_bad_blocks_grow_alike_in_any_order() {
    let mut reasons = std::collections::BTreeMap::new();
    let mut moved_aside = 0;
    for seed in 0..15 {
        let mut dice = Dice(seed);
        let mut twins = Twins::new();
        let purse: Vec<Coin> = (0..25).map(|_| twins.coin(Kind::True)).collect();
        let mut spots = vec![twins.tip()];
        let mut waiting: Vec<(usize, Block)> = Vec::new();
        for i in 0..70 {
            // At the end of some branch, so that branches overtake each other.
            let recent = spots.len().min(4);
            let spot = match dice.below(4) {
                _ if spots.is_empty() => twins.tip(),
                0 => twins.tip(),
                _ => spots[spots.len() - 1 - dice.below(recent)].clone(),
            };
            let spends: Vec<Transaction> = (0..dice.below(3))
                .map(|_| {
                    let from = dice.below(purse.len());
                    pay(&purse[from..=from], &[dice.of(&Kind::ALL)], FEE)
                })
                .collect();
            let mut block = block_on(&spot, &spends, FEE * spends.len() as u64);
            match dice.below(40) {
                0 => block.txdata[0].output[0].value += Amount::ONE_SAT,
                1 => block.txdata[0].input[0].script_sig = coinbase_script(spot.height),
                2 => block.header.time = spot.median_time(),
                3 => block.header.time = spot.median_time() + 1,
                _ => {}
            }
            seal(&mut block);
            spots.push(spot.after(&block.header));
            waiting.push((i, block));
            // Some are kept back and come later, in another order.
            while waiting.len() > dice.below(4) {
                let (i, block) = waiting.swap_remove(dice.below(waiting.len()));
                let before = twins.tip();
                let reason = twins.feed(&format!("block {i} of seed {seed}"), &block);
                let tip = twins.tip();
                moved_aside += usize::from(
                    tip.hash != before.hash && block.header.prev_blockhash != before.hash,
                );
                let stays = matches!(reason.as_deref(), None | Some("inconclusive"));
                let parent = block.header.prev_blockhash;
                if waiting
                    .iter()
                    .any(|(_, other)| other.block_hash() == parent)
                {
                    waiting.push((i, block));
                } else if !stays && !dice.one_in(3) {
                    // Few blocks are built on what was refused.
                    spots.retain(|spot| spot.hash != block.block_hash());
                }
                *reasons.entry(reason.unwrap_or_default()).or_insert(0) += 1;
            }
        }
        twins.part();
    }
    // Trees without branches, or of nothing but bad blocks, would not tell much.
    assert!(
        moved_aside > 30,
        "{moved_aside} reorganisations, {reasons:?}"
    );
    for reason in [
        "",
        "inconclusive",
        "bad-prevblk",
        "bad-txns-inputs-missingorspent",
    ] {
        assert!(
            reasons.get(reason).is_some_and(|count| *count > 10),
            "{reasons:?}"
        );
    }
}

#[test]
fn blocks_with_anything_changed_get_the_same_verdict() {
    // Subsidies halve on the way, so no chain is made too long.
    for seed in 0..5 {
        changed_blocks(seed, 500);
    }
}

fn changed_blocks(seed: u64, rounds: usize) {
    let mut twins = Twins::new();
    let mut dice = Dice(seed);
    let mut accepted = 0;
    for round in 0..rounds {
        let (block, mut spent) = mixed(&mut twins, &mut dice);
        let mut block = block;
        let mut tail = Vec::new();
        for _ in 0..=dice.below(2) {
            change(&mut block, &mut tail, &twins.tip(), &mut dice);
        }
        if !spent.iter().any(|coin| coin.kind.has_witness()) && dice.one_in(2) {
            without_commitment(&mut block);
        }
        if !dice.one_in(5) {
            commit(&mut block);
        }
        if !dice.one_in(8) {
            root(&mut block);
        }
        if !dice.one_in(12) {
            grind(&mut block.header);
        }
        let mut bytes = consensus::serialize(&block);
        bytes.extend(tail);
        if dice.one_in(10) {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        }
        let reason = twins.feed_bytes(&format!("round {round} of seed {seed}"), &bytes);
        accepted += usize::from(reason.is_none());
        spent.retain(|coin| twins.has(coin));
        twins.give_back(spent);
    }
    // Enough of both kinds, or nothing is compared.
    assert!(
        (rounds / 10..rounds * 9 / 10).contains(&accepted),
        "{accepted}"
    );
    twins.part();
}

/// A good block of a few spends, some of them of one another, and the coins they take.
fn mixed(twins: &mut Twins, dice: &mut Dice) -> (Block, Vec<Coin>) {
    let mut taken = Vec::new();
    let mut transactions: Vec<Transaction> = Vec::new();
    for _ in 0..dice.below(5) {
        let mut from: Vec<Coin> = (0..=dice.below(2))
            .map(|_| twins.coin(dice.of(&Kind::ALL)))
            .collect();
        taken.extend(from.iter().cloned());
        if let Some(last) = transactions.last()
            && dice.one_in(3)
        {
            // The last coin of a transaction is spent only by the one after it.
            from.extend(coins(last).last());
        }
        let to: Vec<Kind> = (0..=dice.below(3)).map(|_| dice.of(&Kind::ALL)).collect();
        transactions.push(pay(&from, &to, FEE));
    }
    (good(twins, &transactions), taken)
}

/// One change of any kind.
fn change(block: &mut Block, tail: &mut Vec<u8>, spot: &Spot, dice: &mut Dice) {
    const NUMBERS: [u32; 14] = [
        0,
        1,
        2,
        3,
        16,
        0xffff,
        0x0040_0000,
        0x0040_0001,
        0x7fff_ffff,
        0x8000_0000,
        499_999_999,
        500_000_000,
        0xffff_fffe,
        0xffff_ffff,
    ];
    let which = dice.below(block.txdata.len().max(1));
    match dice.below(20) {
        0 => {
            block.header.version =
                Version::from_consensus(dice.of(&[0, 1, 3, 4, -1, 0x2000_e000, i32::MAX]))
        }
        1 => {
            block.header.time = spot
                .median_time()
                .wrapping_add(dice.of(&[0, 1, 2, 600, u32::MAX]))
        }
        2 => block.header.bits = CompactTarget::from_consensus(BITS ^ (1 << dice.below(32))),
        3 => {
            let mut bytes = block.header.prev_blockhash.to_byte_array();
            bytes[dice.below(32)] ^= 1 << dice.below(8);
            block.header.prev_blockhash = BlockHash::from_byte_array(bytes);
        }
        4 => block.header.nonce ^= 1 << dice.below(32),
        5 if !block.txdata.is_empty() => drop(block.txdata.remove(which)),
        6 if !block.txdata.is_empty() => block.txdata.push(block.txdata[which].clone()),
        7 if !block.txdata.is_empty() => {
            let other = dice.below(block.txdata.len());
            block.txdata.swap(which, other);
        }
        8 => {
            // The end of the list again, as CVE-2012-2459 does.
            let end = block.txdata.len().saturating_sub(1 + dice.below(2));
            block.txdata.extend_from_within(end..);
        }
        9 => tail.extend((0..dice.below(5)).map(|_| 7)),
        choice => {
            let Some(transaction) = block.txdata.get_mut(which) else {
                return;
            };
            change_transaction(transaction, spot, choice, dice, &NUMBERS);
        }
    }
}

fn change_transaction(
    transaction: &mut Transaction,
    spot: &Spot,
    choice: usize,
    dice: &mut Dice,
    numbers: &[u32],
) {
    let input = dice.below(transaction.input.len().max(1));
    let output = dice.below(transaction.output.len().max(1));
    match choice {
        10 => transaction.version = transaction::Version(dice.of(&[-1, 0, 1, 2, 3, i32::MIN])),
        11 => {
            let near = [
                spot.height,
                spot.height + 1,
                spot.height + 2,
                spot.median_time() - 1,
                spot.median_time(),
            ];
            let number = if dice.one_in(2) {
                dice.of(&near)
            } else {
                dice.of(numbers)
            };
            transaction.lock_time = LockTime::from_consensus(number);
            transaction.input[input].sequence = Sequence(dice.of(numbers));
        }
        12 => transaction.input[input].sequence = Sequence(dice.of(numbers)),
        13 if !transaction.output.is_empty() => {
            let value = transaction.output[output].value.to_sat();
            let other = dice.of(&[
                0,
                value.wrapping_sub(1),
                value.wrapping_add(1),
                value / 2,
                1 << 63,
                2_100_000_000_000_000,
                2_100_000_000_000_001,
                subsidy(1),
            ]);
            transaction.output[output].value = Amount::from_sat(other);
        }
        14 if !transaction.output.is_empty() => drop(transaction.output.remove(output)),
        15 if !transaction.output.is_empty() => {
            transaction.output.push(transaction.output[output].clone())
        }
        16 => {
            let mut items = transaction.input[input].witness.to_vec();
            match dice.below(4) {
                0 => items.push(vec![dice.of(&[0u8, 1, 0x50, 0xff]); dice.below(40)]),
                1 => drop(items.pop()),
                2 => items.reverse(),
                _ => items.clear(),
            }
            transaction.input[input].witness = Witness::from_slice(&items);
        }
        17 => {
            let mut script = transaction.input[input].script_sig.to_bytes();
            match dice.below(4) {
                0 => script
                    .push(dice.of(&[0x00, 0x51, 0x60, 0x61, 0x69, 0x6a, 0x75, 0x76, 0x87, 0xac])),
                1 => drop(script.pop()),
                2 => script.insert(0, dice.of(&[0x00, 0x51, 0x61, 0x01, 0x4c])),
                _ => script.clear(),
            }
            transaction.input[input].script_sig = ScriptBuf::from_bytes(script);
        }
        _ => {
            // Any bit, if what comes out is a transaction still.
            let mut bytes = consensus::serialize(transaction);
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            if let Ok(other) = consensus::deserialize(&bytes) {
                *transaction = other;
            }
        }
    }
}
