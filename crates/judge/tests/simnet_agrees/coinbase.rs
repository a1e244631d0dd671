//! Coinbases: their script, what they take, and the commitment to the witnesses.

use bitcoin::{
    Amount, Block, ScriptBuf, Sequence, Transaction, Witness, absolute::LockTime, script::Builder,
};

use crate::{
    block::{FEE, block_on, changed, commit, good, grind, root},
    purse::{Kind, pay},
    twins::Twins,
};

#[test]
fn coinbases_are_refused_for_the_same_reason() {
    let mut twins = Twins::new();
    #[track_caller]
    fn script(
        twins: &mut Twins,
        name: &str,
        expected: Option<&str>,
        script: impl Fn(i64) -> Vec<u8>,
    ) {
        let height = i64::from(twins.tip().height) + 1;
        let script = script(height);
        let block = changed(twins, &[], |block| {
            block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(script);
        });
        twins.case(name, &block, expected);
    }
    fn height(height: i64) -> Vec<u8> {
        Builder::new().push_int(height).into_bytes()
    }
    let t = &mut twins;
    let (wrong, length) = (Some("bad-cb-height"), Some("bad-cb-length"));
    script(t, "nothing but the height", None, height);
    script(t, "an empty script", length, |_| vec![]);
    script(t, "a script of one byte", length, |_| vec![0]);
    script(t, "100 bytes", None, |at| {
        [height(at), vec![0; 97]].concat()
    });
    script(t, "101 bytes", length, |at| {
        [height(at), vec![0; 98]].concat()
    });
    script(t, "the height before", wrong, |at| height(at - 1));
    script(t, "the height after", wrong, |at| height(at + 1));
    script(t, "a negative height", wrong, |at| height(-at));
    script(t, "a height not minimal", wrong, |at| {
        let mut bytes = height(at);
        bytes[0] += 1;
        bytes.push(0);
        bytes
    });
    script(t, "a height pushed the long way", wrong, |at| {
        [vec![0x4c], height(at)].concat()
    });
    script(t, "no height", wrong, |_| vec![0x51, 0x51]);

    let block = changed(&twins, &[], |block| {
        block.txdata[0].output[0].value += Amount::ONE_SAT
    });
    twins.case("one too many", &block, Some("bad-cb-amount"));
    let block = changed(&twins, &[], |block| {
        block.txdata[0].output[0].value = Amount::ZERO
    });
    twins.case("less than it may take", &block, None);
    let coin = twins.coin(Kind::P2tr);
    let spend = pay(&[coin], &[Kind::True], FEE);
    let block = block_on(&twins.tip(), std::slice::from_ref(&spend), FEE + 1);
    twins.case("one more than the fee", &block, Some("bad-cb-amount"));
    twins.case("the fee", &good(&twins, &[spend]), None);

    let next = twins.tip().height + 1;
    for (lock, sequence, expected) in [
        (next, 0, Some("bad-txns-nonfinal")),
        (next - 1, 0, None),
        (next + 1, 0xffff_ffff, None),
        (0, 0, None),
    ] {
        let block = changed(&twins, &[], |block| {
            block.txdata[0].lock_time = LockTime::from_consensus(lock);
            block.txdata[0].input[0].sequence = Sequence(sequence);
        });
        twins.case("a coinbase with a locktime", &block, expected);
        if expected.is_some() {
            twins.grow();
        }
    }
    twins.part();
}

#[test]
fn witness_commitments_are_checked_alike() {
    let mut twins = Twins::new();
    let nonce = Some("bad-witness-nonce-size");
    let mismatch = Some("bad-witness-merkle-match");
    let unexpected = Some("unexpected-witness");
    let coin = twins.coin(Kind::P2wpkh);
    let spend = [pay(&[coin], &[Kind::True], FEE)];
    #[track_caller]
    fn case(
        twins: &mut Twins,
        spend: &[Transaction],
        name: &str,
        expected: Option<&str>,
        change: impl Fn(&mut Block),
    ) {
        let mut block = good(twins, spend);
        change(&mut block);
        root(&mut block);
        grind(&mut block.header);
        twins.case(name, &block, expected);
    }
    fn witness(items: &'static [&'static [u8]]) -> impl Fn(&mut Block) {
        move |block| block.txdata[0].input[0].witness = Witness::from_slice(items)
    }
    let (empty, spend) = (&[][..], &spend[..]);
    let t = &mut twins;
    for transactions in [empty, spend] {
        case(t, transactions, "no witness", nonce, witness(&[]));
        case(
            t,
            transactions,
            "two items",
            nonce,
            witness(&[&[0; 32], &[0; 32]]),
        );
        case(t, transactions, "an empty item", nonce, witness(&[&[]]));
        case(t, transactions, "31 bytes", nonce, witness(&[&[0; 31]]));
        case(t, transactions, "33 bytes", nonce, witness(&[&[0; 33]]));
        case(
            t,
            transactions,
            "another reserved value",
            mismatch,
            witness(&[&[1; 32]]),
        );
        case(t, transactions, "no commitment", unexpected, |block| {
            block.txdata[0].output.pop();
        });
        case(
            t,
            transactions,
            "a commitment cut short",
            unexpected,
            |block| {
                let output = block.txdata[0].output.last_mut().unwrap();
                output.script_pubkey =
                    ScriptBuf::from_bytes(output.script_pubkey.as_bytes()[..37].to_vec());
            },
        );
        case(
            t,
            transactions,
            "a wrong commitment after the right one",
            mismatch,
            |block| {
                let mut last = block.txdata[0].output.last().unwrap().clone();
                let mut bytes = last.script_pubkey.into_bytes();
                bytes[37] ^= 1;
                last.script_pubkey = ScriptBuf::from_bytes(bytes);
                block.txdata[0].output.push(last);
            },
        );
    }
    case(
        t,
        spend,
        "no commitment and no coinbase witness",
        unexpected,
        |block| {
            block.txdata[0].output.pop();
            block.txdata[0].input[0].witness = Witness::new();
        },
    );
    case(
        t,
        empty,
        "no commitment and no witness at all",
        None,
        |block| {
            block.txdata[0].output.pop();
            block.txdata[0].input[0].witness = Witness::new();
        },
    );
    case(
        t,
        empty,
        "a wrong commitment before the right one",
        None,
        |block| {
            let mut first = block.txdata[0].output.last().unwrap().clone();
            let mut bytes = first.script_pubkey.into_bytes();
            bytes[37] ^= 1;
            first.script_pubkey = ScriptBuf::from_bytes(bytes);
            block.txdata[0].output.insert(0, first);
        },
    );
    case(
        t,
        empty,
        "a commitment with something behind it",
        None,
        |block| {
            let output = block.txdata[0].output.last_mut().unwrap();
            let longer = [output.script_pubkey.as_bytes(), &[1, 2, 3]].concat();
            output.script_pubkey = ScriptBuf::from_bytes(longer);
        },
    );
    case(
        t,
        empty,
        "another reserved value that is committed to",
        None,
        |block| {
            block.txdata[0].input[0].witness = Witness::from_slice(&[[9; 32]]);
            commit(block);
        },
    );

    // What is wrong beside the header does not stain the block's id.
    let whole = good(&twins, spend);
    let mut cut = whole.clone();
    cut.txdata[1].input[0].witness = Witness::new();
    twins.case("a witness cut off", &cut, mismatch);
    cut = whole.clone();
    cut.txdata[0].input[0].witness = Witness::new();
    twins.case("the coinbase's witness cut off", &cut, nonce);
    twins.case("the whole block", &whole, None);
    twins.part();
}
