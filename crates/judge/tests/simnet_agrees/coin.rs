//! Coins: which are there, which may be spent already, and for how much.

use bitcoin::{
    Amount, ScriptBuf, Sequence,
    absolute::LockTime,
    hashes::Hash as _,
    opcodes::all::{OP_NOP, OP_RETURN},
    transaction,
};

use crate::{
    block::{FEE, after, block_on, good, seal, spending, with},
    purse::{Coin, Kind, coins, pay},
    twins::{MATURITY, Spot, Twins},
};

#[test]
fn spends_of_every_kind_are_accepted() {
    let mut twins = Twins::new();
    for kind in Kind::ALL {
        let coin = twins.coin(kind);
        let first = pay(std::slice::from_ref(&coin), &Kind::ALL, FEE);
        let spent: Vec<Coin> = coins(&first).collect();
        let second = pay(&spent, &[kind, kind], FEE);
        let block = good(&twins, &[first, second]);
        twins.case(&format!("{kind:?}"), &block, None);
        twins.case(&format!("{kind:?} again"), &block, Some("duplicate"));
    }
    let all = Kind::ALL.map(|kind| twins.coin(kind));
    let block = good(&twins, &[pay(&all, &Kind::ALL, FEE)]);
    twins.case("all at once", &block, None);
    twins.part();
}

#[test]
fn coins_are_spent_by_the_same_rules() {
    let mut twins = Twins::new();
    let missing = Some("bad-txns-inputs-missingorspent");
    let coin = twins.coin(Kind::True);
    let mut spend = spending(std::slice::from_ref(&coin));
    spend.input[0].previous_output.txid = bitcoin::Txid::all_zeros();
    twins.case("a coin that never was", &with(&twins, spend), missing);
    let mut spend = spending(std::slice::from_ref(&coin));
    spend.input[0].previous_output.vout = 99;
    twins.case("an output that never was", &with(&twins, spend), missing);
    let last = u32::try_from(Kind::ALL.len()).unwrap();
    let mut spend = spending(std::slice::from_ref(&coin));
    spend.input[0].previous_output.vout = last;
    twins.case("a commitment", &with(&twins, spend), missing);

    // Outputs that nothing can spend are no coins, though the transaction is there.
    for script in [vec![OP_RETURN.to_u8()], vec![OP_NOP.to_u8(); 10_001]] {
        let mut make = spending(&[twins.coin(Kind::True)]);
        make.output[0].script_pubkey = ScriptBuf::from_bytes(script);
        twins.case("an output for nobody", &with(&twins, make.clone()), None);
        twins.case("spent after all", &with(&twins, after(&make)), missing);
    }

    let first = pay(std::slice::from_ref(&coin), &[Kind::True, Kind::P2pkh], FEE);
    let spent: Vec<Coin> = coins(&first).collect();
    let second = pay(&spent, &[Kind::True], FEE);
    let block = good(&twins, &[second.clone(), first.clone()]);
    twins.case("a child before its parent", &block, missing);
    let third = pay(&spent[..1], &[Kind::P2wpkh], FEE);
    let block = good(&twins, &[first.clone(), second.clone(), third]);
    twins.case("a coin twice in a block", &block, missing);
    twins.case(
        "a parent and its child",
        &good(&twins, &[first.clone(), second]),
        None,
    );
    let block = good(&twins, std::slice::from_ref(&first));
    twins.case("a coin spent before", &block, missing);

    // BIP 30: replayed while an output is still there. This is found before the missing input.
    let coin = twins.coin(Kind::P2wpkh);
    let spend = pay(&[coin], &[Kind::True, Kind::True], FEE);
    twins.case("a spend", &good(&twins, std::slice::from_ref(&spend)), None);
    let block = good(&twins, std::slice::from_ref(&spend));
    twins.case("the spend again", &block, Some("bad-txns-BIP30"));
    let outputs: Vec<Coin> = coins(&spend).collect();
    twins.case(
        "one output spent",
        &good(&twins, &[pay(&outputs[..1], &[Kind::True], FEE)]),
        None,
    );
    let block = good(&twins, std::slice::from_ref(&spend));
    twins.case(
        "the spend again, half spent",
        &block,
        Some("bad-txns-BIP30"),
    );
    twins.case(
        "the other spent",
        &good(&twins, &[pay(&outputs[1..], &[Kind::True], FEE)]),
        None,
    );
    let block = good(&twins, std::slice::from_ref(&spend));
    twins.case("the spend again, all spent", &block, missing);

    let coin = twins.young_coin(MATURITY - 1);
    let premature = Some("bad-txns-premature-spend-of-coinbase");
    twins.case(
        "a coinbase of 99 blocks",
        &good(&twins, &[pay(&[coin], &[Kind::True], FEE)]),
        premature,
    );
    let coin = twins.young_coin(1);
    twins.case(
        "the last coinbase",
        &good(&twins, &[pay(&[coin], &[Kind::True], FEE)]),
        premature,
    );
    let mut block = good(&twins, &[]);
    let own: Vec<Coin> = coins(&block.txdata[0])
        .filter(|coin| coin.kind == Kind::True)
        .collect();
    block.txdata.push(spending(&own));
    seal(&mut block);
    // The commitment is in the coinbase, so this spends an output with another id.
    twins.case(
        "the block's own coinbase before it was sealed",
        &block,
        missing,
    );
    let coin = twins.coin(Kind::True);
    let mut spend = spending(std::slice::from_ref(&coin));
    spend.output[0].value += Amount::ONE_SAT;
    twins.case(
        "more than there is",
        &with(&twins, spend.clone()),
        Some("bad-txns-in-belowout"),
    );
    spend.output[0].value -= Amount::from_sat(2);
    twins.case("less than there is", &with(&twins, spend), None);
    twins.part();
}

#[test]
fn lock_times_are_checked_alike() {
    let mut twins = Twins::new();
    let nonfinal = Some("bad-txns-nonfinal");
    #[track_caller]
    fn absolute(
        twins: &mut Twins,
        lock: impl Fn(&Spot) -> u32,
        sequence: u32,
        expected: Option<&str>,
    ) {
        let coin = twins.coin(Kind::True);
        let mut spend = spending(&[coin]);
        spend.lock_time = LockTime::from_consensus(lock(&twins.tip()));
        spend.input[0].sequence = Sequence(sequence);
        let block = with(twins, spend);
        twins.case("a locktime", &block, expected);
    }
    let t = &mut twins;
    absolute(t, |tip| tip.height, 0xffff_fffe, None);
    absolute(t, |tip| tip.height + 1, 0xffff_fffe, nonfinal);
    absolute(t, |tip| tip.height + 1, 0xffff_ffff, None);
    absolute(t, |tip| tip.median_time() - 1, 0xffff_fffe, None);
    absolute(t, Spot::median_time, 0xffff_fffe, nonfinal);
    absolute(t, Spot::median_time, 0xffff_ffff, None);
    absolute(t, |_| 499_999_999, 0xffff_fffe, nonfinal);
    absolute(t, |_| 500_000_000, 0xffff_fffe, None);
    absolute(t, |_| u32::MAX, 0xffff_fffe, nonfinal);

    // BIP 68. The coin is of the block before, so it has one confirmation in the next.
    #[track_caller]
    fn relative(twins: &mut Twins, age: u32, version: i32, sequence: u32, expected: Option<&str>) {
        let coin = twins.coin(Kind::True);
        let make = spending(&[coin]);
        let block = with(twins, make.clone());
        twins.case("a fresh coin", &block, None);
        for _ in 1..age {
            twins.grow();
        }
        let coin: Vec<Coin> = coins(&make).collect();
        let mut spend = spending(&coin);
        spend.version = transaction::Version(version);
        spend.input[0].sequence = Sequence(sequence);
        let block = with(twins, spend);
        twins.case(
            &format!("version {version}, sequence {sequence:08x}, age {age}"),
            &block,
            expected,
        );
    }
    for version in [2, 3, -1, i32::MIN, i32::MAX] {
        relative(t, 1, version, 0, None);
        relative(t, 1, version, 1, None);
        relative(t, 1, version, 2, nonfinal);
        relative(t, 3, version, 3, None);
        relative(t, 3, version, 4, nonfinal);
        relative(t, 1, version, 0x0000_ffff, nonfinal);
        relative(t, 1, version, 0x8000_ffff, None);
        // Bits without a meaning.
        relative(t, 1, version, 0x7fbf_0001, None);
        relative(t, 1, version, 0x0040_ffff, nonfinal);
    }
    for version in [0, 1] {
        relative(t, 1, version, 0xffff, None);
        relative(t, 1, version, 0x0040_ffff, None);
    }
    // Blocks are a minute apart, units 512 seconds; around the edge every age is looked at.
    for age in 1..14 {
        for units in 0..3 {
            let coin = twins.coin(Kind::True);
            let make = spending(&[coin]);
            let before = twins.tip().median_time();
            twins.case("a fresh coin", &with(&twins, make.clone()), None);
            for _ in 1..age {
                twins.grow();
            }
            let passed = twins.tip().median_time() - before;
            let mut spend = spending(&coins(&make).collect::<Vec<Coin>>());
            spend.input[0].sequence = Sequence(0x0040_0000 | units);
            let expected = if passed >= units * 512 {
                None
            } else {
                nonfinal
            };
            let name = format!("{units} units after {passed} seconds");
            twins.case(&name, &with(&twins, spend), expected);
        }
    }
    // A coin of the same block has no age at all.
    for (sequence, expected) in [
        (0, None),
        (1, nonfinal),
        (0x0040_0000, None),
        (0x0040_0001, nonfinal),
    ] {
        let coin = twins.coin(Kind::True);
        let make = spending(&[coin]);
        let mut spend = spending(&coins(&make).collect::<Vec<Coin>>());
        spend.input[0].sequence = Sequence(sequence);
        let block = block_on(&twins.tip(), &[make, spend], 0);
        twins.case("a coin of the same block", &block, expected);
    }
    twins.part();
}
