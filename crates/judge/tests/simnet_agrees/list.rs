//! The list of transactions, and what each must be by itself.

use bitcoin::{Amount, OutPoint, Transaction, consensus};

use crate::{
    block::{FEE, changed, coinbase_script, good, grind, root, spending, to_anyone, with},
    purse::{Kind, pay, unsigned},
    twins::Twins,
};

#[test]
fn lists_of_transactions_are_refused_for_the_same_reason() {
    let mut twins = Twins::new();
    let spends = |twins: &mut Twins, count: usize| -> Vec<Transaction> {
        (0..count)
            .map(|_| pay(&[twins.coin(Kind::P2wpkh)], &[Kind::True], FEE))
            .collect()
    };
    let block = changed(&twins, &[], |block| block.txdata.clear());
    twins.case("no transactions", &block, Some("bad-blk-length"));
    let spend = spends(&mut twins, 1);
    let block = changed(&twins, &spend, |block| drop(block.txdata.remove(0)));
    twins.case("no coinbase", &block, Some("bad-cb-missing"));
    let block = changed(&twins, &spend, |block| block.txdata.swap(0, 1));
    twins.case("the coinbase second", &block, Some("bad-cb-missing"));
    let block = changed(&twins, &spend, |block| {
        let mut second = block.txdata[0].clone();
        second.input[0].script_sig = coinbase_script(3);
        block.txdata.push(second);
    });
    twins.case("two coinbases", &block, Some("bad-cb-multiple"));
    let block = changed(&twins, &spend, |block| {
        block.txdata.push(block.txdata[0].clone())
    });
    twins.case("the same coinbase twice", &block, Some("bad-cb-multiple"));
    let mut block = good(&twins, &[]);
    block.txdata.push(block.txdata[0].clone());
    root(&mut block);
    grind(&mut block.header);
    twins.case(
        "nothing but the coinbase twice",
        &block,
        Some("bad-txns-duplicate"),
    );

    // CVE-2012-2459: other lists with the same root, and so with the same id. The good one must be
    // accepted afterwards.
    for (count, repeat) in [(2, 1), (4, 1), (5, 2), (6, 1), (9, 2)] {
        let spend = spends(&mut twins, count);
        let block = good(&twins, &spend);
        let mut same = block.clone();
        let end = same.txdata.len();
        same.txdata.extend_from_slice(&block.txdata[end - repeat..]);
        assert_eq!(same.compute_merkle_root(), block.compute_merkle_root());
        twins.case("the last ones repeated", &same, Some("bad-txns-duplicate"));
        twins.case("and without", &block, None);
    }
    let spend = spends(&mut twins, 3);
    let block = changed(&twins, &spend, |block| {
        block.txdata.push(block.txdata[2].clone())
    });
    twins.case(
        "a spend twice",
        &block,
        Some("bad-txns-inputs-missingorspent"),
    );
    let block = changed(&twins, &spend, |block| {
        block.txdata.insert(2, block.txdata[2].clone())
    });
    twins.case("a spend twice in a row", &block, Some("bad-txns-duplicate"));
    let block = changed(&twins, &spend, |block| {
        block.txdata.insert(2, block.txdata[1].clone())
    });
    twins.case(
        "a spend twice, not as a pair",
        &block,
        Some("bad-txns-inputs-missingorspent"),
    );
    let mut block = good(&twins, &spend);
    block.txdata.swap(1, 2);
    twins.case(
        "another order than the root's",
        &block,
        Some("bad-txnmrklroot"),
    );
    twins.case("the right order", &good(&twins, &spend), None);
    twins.part();
}

#[test]
fn transactions_are_refused_for_the_same_reason() {
    let mut twins = Twins::new();
    #[track_caller]
    fn case(twins: &mut Twins, name: &str, expected: &str, change: impl Fn(&mut Transaction)) {
        let coin = twins.coin(Kind::True);
        let mut spend = spending(&[coin]);
        change(&mut spend);
        let block = with(twins, spend);
        twins.case(name, &block, Some(expected));
    }
    let value = |units: &'static [u64]| {
        move |spend: &mut Transaction| {
            spend.output = units
                .iter()
                .map(|units| to_anyone(Amount::from_sat(*units)))
                .collect();
        }
    };
    const MAX: u64 = 2_100_000_000_000_000;
    let t = &mut twins;
    case(t, "no outputs", "bad-txns-vout-empty", |spend| {
        spend.output.clear()
    });
    case(
        t,
        "a negative output",
        "bad-txns-vout-negative",
        value(&[u64::MAX]),
    );
    case(
        t,
        "the most negative output",
        "bad-txns-vout-negative",
        value(&[1, 1 << 63]),
    );
    case(
        t,
        "more than all money",
        "bad-txns-vout-toolarge",
        value(&[MAX + 1]),
    );
    case(
        t,
        "the largest number",
        "bad-txns-vout-toolarge",
        value(&[9_223_372_036_854_775_807]),
    );
    case(
        t,
        "more than all money in all",
        "bad-txns-txouttotal-toolarge",
        value(&[MAX, 1]),
    );
    case(t, "all money", "bad-txns-in-belowout", value(&[MAX]));
    case(
        t,
        "a negative one after too much",
        "bad-txns-vout-toolarge",
        value(&[MAX + 1, u64::MAX]),
    );
    case(t, "one input twice", "bad-txns-inputs-duplicate", |spend| {
        spend.input.push(spend.input[0].clone());
    });
    case(
        t,
        "a null input after another",
        "bad-txns-prevout-null",
        |spend| {
            let mut null = spend.input[0].clone();
            null.previous_output = OutPoint::null();
            spend.input.push(null);
        },
    );
    case(t, "two null inputs", "bad-txns-inputs-duplicate", |spend| {
        spend.input[0].previous_output = OutPoint::null();
        spend.input.push(spend.input[0].clone());
    });
    case(
        t,
        "an index of -1 alone",
        "bad-txns-inputs-missingorspent",
        |spend| {
            spend.input[0].previous_output.vout = u32::MAX;
        },
    );
    // Without inputs it can only be written by hand: the bitcoin crate puts a witness's mark there.
    let block = with(&twins, unsigned(&[], Vec::new()));
    let bytes = [
        &consensus::serialize(&block.header)[..],
        &[2],
        &consensus::serialize(&block.txdata[0]),
        &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let reason = twins.feed_bytes("no inputs and no outputs", &bytes);
    assert_eq!(reason.as_deref(), Some("bad-txns-vin-empty"));
    twins.part();
}
