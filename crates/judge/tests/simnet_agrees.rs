//! The simulated node against Bitcoin Core's consensus library: the same blocks, good and bad, must
//! get the same verdict for the same reason, and leave both on the same tip.
//!
//! `#[track_caller] case` asserts what the library says, so that each block is bad in the way its
//! name tells; what the simulated node says otherwise is collected and fails the test at its end.

mod kernel;
mod purse;
mod twins;

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxOut,
    Witness,
    absolute::LockTime,
    block::Version,
    consensus,
    hashes::Hash as _,
    opcodes::all::{OP_CHECKMULTISIG, OP_CHECKSIG, OP_NOP, OP_PUSHNUM_16, OP_RETURN},
    script::Builder,
    transaction,
};

use crate::{
    purse::{Coin, Kind, coins, key, pay, push, sign, signature, unlock, unsigned},
    twins::{
        BITS, MATURITY, Spot, Twins, block_on, coinbase_script, commit, grind, root, seal, subsidy,
    },
};

const FEE: u64 = 1_000;

/// A good block on the tip, with these transactions, which pay `FEE` each.
fn good(twins: &Twins, transactions: &[Transaction]) -> Block {
    block_on(&twins.tip(), transactions, FEE * transactions.len() as u64)
}

/// A good block with something changed, and then made right again around it.
fn changed(twins: &Twins, transactions: &[Transaction], change: impl FnOnce(&mut Block)) -> Block {
    let mut block = good(twins, transactions);
    change(&mut block);
    seal(&mut block);
    block
}

/// A block of a transaction that is not signed for, or whatever else; it pays no fee.
fn with(twins: &Twins, transaction: Transaction) -> Block {
    block_on(&twins.tip(), &[transaction], 0)
}

/// An unsigned transaction of everything `coins` are worth.
fn spending(coins: &[Coin]) -> Transaction {
    let value = coins.iter().map(|coin| coin.output.value).sum();
    unsigned(coins, vec![to_anyone(value)])
}

fn to_anyone(value: Amount) -> TxOut {
    TxOut {
        value,
        script_pubkey: Kind::True.script(),
    }
}

fn script_failed(text: &str) -> Option<String> {
    Some(format!("block-script-verify-flag-failed ({text})"))
}

#[test]
fn chains_of_empty_blocks_are_accepted_past_halvings() {
    let mut twins = Twins::new();
    for _ in 0..200 {
        twins.grow();
    }
    twins.part();
}

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
fn headers_are_refused_for_the_same_reason() {
    let mut twins = Twins::new();
    #[track_caller]
    fn case(
        twins: &mut Twins,
        name: &str,
        expected: Option<&str>,
        change: impl Fn(&mut Block, &Spot),
    ) {
        let spot = twins.tip();
        let mut block = good(twins, &[]);
        change(&mut block, &spot);
        grind(&mut block.header);
        twins.case(name, &block, expected);
    }
    let bits = |bits| {
        move |block: &mut Block, _: &Spot| {
            block.header.bits = CompactTarget::from_consensus(bits);
        }
    };
    case(
        &mut twins,
        "harder than asked",
        Some("bad-diffbits"),
        bits(0x207f_fffe),
    );
    case(
        &mut twins,
        "much harder",
        Some("high-hash"),
        bits(0x1d00_ffff),
    );
    case(
        &mut twins,
        "fewer digits than there are",
        Some("bad-diffbits"),
        bits(0x2100_7fff),
    );
    case(
        &mut twins,
        "above the limit",
        Some("high-hash"),
        bits(0x2100_8000),
    );
    case(&mut twins, "no target", Some("high-hash"), bits(0));
    case(
        &mut twins,
        "a negative target",
        Some("high-hash"),
        bits(0x20ff_ffff),
    );
    case(
        &mut twins,
        "a target too large",
        Some("high-hash"),
        bits(0xff7f_ffff),
    );
    case(
        &mut twins,
        "a target that vanishes",
        Some("high-hash"),
        bits(0x0200_0001),
    );
    let time = |seconds: i64| {
        move |block: &mut Block, spot: &Spot| {
            block.header.time = u32::try_from(i64::from(spot.median_time()) + seconds).unwrap();
        }
    };
    case(&mut twins, "the median time", Some("time-too-old"), time(0));
    case(
        &mut twins,
        "before the median time",
        Some("time-too-old"),
        time(-1),
    );
    case(&mut twins, "just after the median time", None, time(1));
    case(
        &mut twins,
        "the first second of all",
        Some("time-too-old"),
        |block, _| block.header.time = 0,
    );
    case(
        &mut twins,
        "the last second of all",
        Some("time-too-new"),
        |block, _| block.header.time = u32::MAX,
    );
    let now = u32::try_from(
        std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs(),
    )
    .unwrap();
    case(
        &mut twins,
        "more than two hours ahead",
        Some("time-too-new"),
        |block, _| {
            block.header.time = now + 7_260;
        },
    );
    case(&mut twins, "two hours ahead", None, |block, _| {
        block.header.time = now + 7_200
    });
    for (number, shown) in [
        (0, "00000000"),
        (1, "00000001"),
        (2, "00000002"),
        (3, "00000003"),
        (-1, "ffffffff"),
        (i32::MIN, "80000000"),
    ] {
        let reason = format!("bad-version(0x{shown})");
        case(
            &mut twins,
            "an old version",
            Some(&reason),
            |block, spot| {
                block.header.time = spot.median_time() + 1;
                block.header.version = Version::from_consensus(number);
            },
        );
    }
    for number in [4, 5, 0x1000_0000, 0x3fff_e000, i32::MAX] {
        case(&mut twins, "any version from 4", None, |block, spot| {
            block.header.time = spot.median_time() + 1;
            block.header.version = Version::from_consensus(number);
        });
    }
    case(
        &mut twins,
        "nothing before it",
        Some("prev-blk-not-found"),
        |block, _| {
            block.header.prev_blockhash = BlockHash::from_byte_array([7; 32]);
        },
    );
    case(
        &mut twins,
        "another merkle root",
        Some("bad-txnmrklroot"),
        |block, _| {
            block.header.merkle_root = block
                .header
                .merkle_root
                .to_byte_array()
                .map(|byte| !byte)
                .into_root();
        },
    );
    let spot = twins.tip();
    let mut block = good(&twins, &[]);
    block.header.time = spot.median_time() + 1;
    let limit = bitcoin::Target::from_compact(CompactTarget::from_consensus(BITS));
    while limit.is_met_by(block.block_hash()) {
        block.header.nonce += 1;
    }
    twins.case("no work", &block, Some("high-hash"));
    twins.part();
}

trait IntoRoot {
    fn into_root(self) -> bitcoin::TxMerkleNode;
}

impl IntoRoot for [u8; 32] {
    fn into_root(self) -> bitcoin::TxMerkleNode {
        bitcoin::TxMerkleNode::from_byte_array(self)
    }
}

#[test]
fn with_two_faults_the_first_one_counts_for_both() {
    let mut twins = Twins::new();
    // From the fault that is found last to the one that is found first.
    type Fault = (&'static str, fn(&mut Block, &Spot));
    let faults: [Fault; 14] = [
        ("bad-cb-amount", |block, _| {
            block.txdata[0].output[0].value += Amount::ONE_SAT
        }),
        ("bad-witness-merkle-match", |block, _| {
            block.txdata[0].input[0].witness = Witness::from_slice(&[[1; 32]]);
        }),
        ("bad-cb-height", |block, _| {
            block.txdata[0].input[0].script_sig = coinbase_script(5)
        }),
        ("bad-txns-nonfinal", |block, spot| {
            block.txdata[0].lock_time = LockTime::from_consensus(spot.height + 1);
            block.txdata[0].input[0].sequence = Sequence::ZERO;
        }),
        ("bad-version(0x00000001)", |block, _| {
            block.header.version = Version::ONE
        }),
        ("time-too-old", |block, spot| {
            block.header.time = spot.median_time()
        }),
        ("bad-diffbits", |block, _| {
            block.header.bits = CompactTarget::from_consensus(0x207f_fffe)
        }),
        ("prev-blk-not-found", |block, _| {
            block.header.prev_blockhash = BlockHash::all_zeros()
        }),
        ("bad-blk-sigops", |block, _| {
            block.txdata[0].output[1].script_pubkey = repeated(OP_CHECKSIG, 20_001);
        }),
        ("bad-cb-length", |block, _| {
            block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(vec![0; 101]);
        }),
        ("bad-txns-vout-toolarge", |block, _| {
            block.txdata[0].output[0].value = Amount::MAX_MONEY + Amount::ONE_SAT;
        }),
        ("bad-txns-vout-empty", |block, _| {
            block.txdata[0].output.clear()
        }),
        ("bad-cb-missing", |block, _| {
            block.txdata[0].input[0].previous_output.vout = 0;
        }),
        ("bad-txnmrklroot", |block, _| {
            block.header.merkle_root = [5; 32].into_root()
        }),
    ];
    for (first, (reason, fault)) in faults.iter().enumerate() {
        for (other, also) in &faults[..=first] {
            let spot = twins.tip();
            let mut block = good(&twins, &[]);
            also(&mut block, &spot);
            fault(&mut block, &spot);
            if *reason != "bad-txnmrklroot" {
                root(&mut block);
            }
            grind(&mut block.header);
            twins.case(&format!("{reason} and {other}"), &block, Some(reason));
        }
    }
    twins.part();
}

fn repeated(op: bitcoin::Opcode, count: usize) -> ScriptBuf {
    ScriptBuf::from_bytes(vec![op.to_u8(); count])
}

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
fn outputs_that_cannot_be_spent_are_no_coins() {
    let mut twins = Twins::new();
    let scripts = [
        (
            Builder::new().push_opcode(OP_RETURN).into_bytes(),
            Some("bad-txns-inputs-missingorspent"),
        ),
        (
            vec![OP_NOP.to_u8(); 10_001],
            Some("bad-txns-inputs-missingorspent"),
        ),
        (
            vec![OP_NOP.to_u8(); 10_000],
            Some("block-script-verify-flag-failed (Operation limit exceeded)"),
        ),
        (
            vec![],
            Some(
                "block-script-verify-flag-failed (Script evaluated without error but finished with a false/empty top stack element)",
            ),
        ),
        (vec![0x51; 1_000], None),
        (
            vec![0x51; 1_001],
            Some("block-script-verify-flag-failed (Stack size limit exceeded)"),
        ),
        ([vec![OP_NOP.to_u8(); 201], vec![0x51]].concat(), None),
        (
            [vec![OP_NOP.to_u8(); 202], vec![0x51]].concat(),
            Some("block-script-verify-flag-failed (Operation limit exceeded)"),
        ),
        ([vec![0x4d, 0x08, 0x02], vec![1; 520]].concat(), None),
        (
            [vec![0x4d, 0x09, 0x02], vec![1; 521]].concat(),
            Some("block-script-verify-flag-failed (Push value size limit exceeded)"),
        ),
        (
            vec![0x51, 0x4c],
            Some("block-script-verify-flag-failed (Opcode missing or not understood)"),
        ),
        (
            vec![0x51, 0x02, 0x01],
            Some("block-script-verify-flag-failed (Opcode missing or not understood)"),
        ),
        (
            vec![0x51, 0x69],
            Some(
                "block-script-verify-flag-failed (Script evaluated without error but finished with a false/empty top stack element)",
            ),
        ),
        (
            vec![0x00, 0x69],
            Some("block-script-verify-flag-failed (Script failed an OP_VERIFY operation)"),
        ),
        (
            vec![0x51, 0x6a],
            Some("block-script-verify-flag-failed (OP_RETURN was encountered)"),
        ),
        (
            vec![0x01, 0x80],
            Some(
                "block-script-verify-flag-failed (Script evaluated without error but finished with a false/empty top stack element)",
            ),
        ),
        (vec![0x4f], None),
        (
            vec![0x02, 0x00, 0x80],
            Some(
                "block-script-verify-flag-failed (Script evaluated without error but finished with a false/empty top stack element)",
            ),
        ),
        (vec![0x02, 0x80, 0x00], None),
        (
            vec![0x51, 0x51, 0x88],
            Some(
                "block-script-verify-flag-failed (Script evaluated without error but finished with a false/empty top stack element)",
            ),
        ),
        (
            vec![0x51, 0x52, 0x88],
            Some("block-script-verify-flag-failed (Script failed an OP_EQUALVERIFY operation)"),
        ),
        (vec![0x51, 0x76, 0x87], None),
        (
            vec![0x87],
            Some(
                "block-script-verify-flag-failed (Operation not valid with the current stack size)",
            ),
        ),
        (
            vec![0x75],
            Some(
                "block-script-verify-flag-failed (Operation not valid with the current stack size)",
            ),
        ),
        (
            vec![0x76],
            Some(
                "block-script-verify-flag-failed (Operation not valid with the current stack size)",
            ),
        ),
        (
            vec![0xa9],
            Some(
                "block-script-verify-flag-failed (Operation not valid with the current stack size)",
            ),
        ),
        (
            vec![0xac],
            Some(
                "block-script-verify-flag-failed (Operation not valid with the current stack size)",
            ),
        ),
    ];
    for (script, expected) in scripts {
        let name = hex::encode(&script[..script.len().min(8)]);
        let coin = twins.coin(Kind::True);
        let mut make = spending(&[coin]);
        make.output[0].script_pubkey = ScriptBuf::from_bytes(script);
        twins.case(&name, &with(&twins, make.clone()), None);
        let mut spend = make.clone();
        spend.input[0].previous_output = OutPoint {
            txid: make.compute_txid(),
            vout: 0,
        };
        spend.output[0].script_pubkey = Kind::True.script();
        twins.case(&name, &with(&twins, spend), expected);
    }
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

#[test]
fn signatures_are_checked_alike() {
    let mut twins = Twins::new();
    let keyed = [
        Kind::P2pk,
        Kind::P2pkh,
        Kind::P2wpkh,
        Kind::P2shP2wpkh,
        Kind::P2wsh,
    ];
    // Each hash type there is, and some that mean nothing, for each input of more inputs than
    // outputs (the last one has none beside it).
    for kind in keyed {
        for hash_type in [
            0x00, 0x01, 0x02, 0x03, 0x04, 0x1f, 0x41, 0x42, 0x43, 0x50, 0x7f, 0x80, 0x81, 0x82,
            0x83, 0xc3, 0xff,
        ] {
            let spent = [twins.coin(kind), twins.coin(Kind::True), twins.coin(kind)];
            let mut spend = spending(&spent);
            spend.output[0].value -= Amount::from_sat(FEE + 1);
            spend.output.push(to_anyone(Amount::ONE_SAT));
            for index in [0, 2] {
                let signature = signature(&spend, index, &spent, hash_type);
                unlock(&mut spend.input[index], kind, signature, &key().to_bytes());
            }
            let block = good(&twins, &[spend]);
            twins.case(
                &format!("{kind:?} with hash type {hash_type:02x}"),
                &block,
                None,
            );
        }
    }
    for hash_type in [0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x83] {
        let spent = [twins.coin(Kind::P2tr), twins.coin(Kind::P2wpkh)];
        let mut spend = spending(&spent);
        spend.output[0].value -= Amount::from_sat(FEE);
        sign(&mut spend, &spent);
        let signature = signature(&spend, 0, &spent, hash_type);
        unlock(&mut spend.input[0], Kind::P2tr, signature, &[]);
        twins.case(
            &format!("taproot with hash type {hash_type:02x}"),
            &good(&twins, &[spend]),
            None,
        );
    }

    // What a signature was not made for.
    for kind in keyed.into_iter().chain([Kind::P2tr]) {
        for hash_type in [0x01, 0x02, 0x03, 0x81, 0x82, 0x83] {
            for change in [
                (|spend| spend.output[0].value -= Amount::ONE_SAT) as fn(&mut Transaction),
                |spend| spend.output[1].script_pubkey = Kind::P2pkh.script(),
                |spend| spend.input[0].sequence = Sequence(0xffff_fffe),
                |spend| spend.input[1].sequence = Sequence(0xffff_fffe),
                |spend| spend.lock_time = LockTime::from_consensus(1),
                |spend| spend.version = transaction::Version::ONE,
                |spend| spend.input.swap(0, 1),
            ] {
                let spent = [twins.coin(kind), twins.coin(Kind::True)];
                let mut spend = spending(&spent);
                spend.output[0].value -= Amount::from_sat(10);
                spend.output.push(to_anyone(Amount::from_sat(5)));
                let made = signature(&spend, 0, &spent, hash_type);
                unlock(&mut spend.input[0], kind, made, &key().to_bytes());
                change(&mut spend);
                let block = with(&twins, spend);
                twins.feed(&format!("{kind:?} {hash_type:02x} changed"), &block);
            }
        }
    }
    twins.part();
}

#[test]
fn scripts_fail_with_the_same_words() {
    let mut twins = Twins::new();
    #[track_caller]
    fn case(
        twins: &mut Twins,
        kind: Kind,
        name: &str,
        expected: Option<&str>,
        change: impl Fn(&mut Transaction, Vec<u8>),
    ) {
        let coin = [twins.coin(kind)];
        let mut spend = spending(&coin);
        let hash_type = if kind == Kind::P2tr { 0 } else { 1 };
        let good = signature(&spend, 0, &coin, hash_type);
        unlock(&mut spend.input[0], kind, good.clone(), &key().to_bytes());
        change(&mut spend, good);
        let block = with(twins, spend);
        let expected = expected.and_then(script_failed);
        twins.case(&format!("{kind:?}: {name}"), &block, expected.as_deref());
    }
    const FALSE: &str =
        "Script evaluated without error but finished with a false/empty top stack element";
    const DER: &str = "Non-canonical DER signature";
    const MISMATCH: &str = "Witness program hash mismatch";
    const EMPTY: &str = "Witness program was passed an empty witness";
    const STACK: &str = "Operation not valid with the current stack size";
    const UNEXPECTED: &str = "Witness provided for non-witness script";
    let t = &mut twins;
    let with_signature = |kind: Kind, bytes: &[u8]| {
        let bytes = bytes.to_vec();
        move |spend: &mut Transaction, _| {
            unlock(&mut spend.input[0], kind, bytes.clone(), &key().to_bytes())
        }
    };
    let with_key = |kind: Kind, bytes: Vec<u8>| {
        move |spend: &mut Transaction, signature| {
            unlock(&mut spend.input[0], kind, signature, &bytes)
        }
    };
    for kind in [
        Kind::P2pk,
        Kind::P2pkh,
        Kind::P2wpkh,
        Kind::P2shP2wpkh,
        Kind::P2wsh,
    ] {
        case(t, kind, "as it should be", None, |_, _| {});
        case(
            t,
            kind,
            "an empty signature",
            Some(FALSE),
            with_signature(kind, &[]),
        );
        case(t, kind, "one byte", Some(DER), with_signature(kind, &[1]));
        case(
            t,
            kind,
            "73 zeros",
            Some(DER),
            with_signature(kind, &[0; 73]),
        );
        case(t, kind, "no hash type", Some(DER), |spend, signature| {
            unlock(
                &mut spend.input[0],
                kind,
                signature[..signature.len() - 1].to_vec(),
                &key().to_bytes(),
            );
        });
        case(
            t,
            kind,
            "another hash type than signed",
            Some(FALSE),
            |spend, mut signature| {
                *signature.last_mut().unwrap() = 2;
                unlock(&mut spend.input[0], kind, signature, &key().to_bytes());
            },
        );
        case(
            t,
            kind,
            "zero for both numbers",
            Some(FALSE),
            with_signature(kind, &hex::decode("300602010002010001").unwrap()),
        );
        case(
            t,
            kind,
            "a negative number",
            Some(DER),
            with_signature(kind, &hex::decode("300602018102010101").unwrap()),
        );
        case(
            t,
            kind,
            "a padded number",
            Some(DER),
            with_signature(kind, &hex::decode("30070202000102010101").unwrap()),
        );
        case(
            t,
            kind,
            "a number of no bytes",
            Some(DER),
            with_signature(kind, &hex::decode("3006020002020101ff").unwrap()),
        );
        case(t, kind, "a number as large as the order", Some(FALSE), with_signature(
            kind,
            &hex::decode("3026022100fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd036414102010101").unwrap(),
        ));
        // Only the memory pool minds the larger of the two numbers that are as good.
        case(
            t,
            kind,
            "the larger of two numbers",
            None,
            |spend, signature| {
                let end = signature.len() - 1;
                let parsed =
                    bitcoin::secp256k1::ecdsa::Signature::from_der(&signature[..end]).unwrap();
                unlock(
                    &mut spend.input[0],
                    kind,
                    [high(&parsed), vec![1]].concat(),
                    &key().to_bytes(),
                );
            },
        );
        for place in [4, 20, 40, 60] {
            case(
                t,
                kind,
                "a bit of it flipped",
                Some(FALSE),
                |spend, mut signature| {
                    signature[place] ^= 4;
                    unlock(&mut spend.input[0], kind, signature, &key().to_bytes());
                },
            );
        }
    }
    case(
        t,
        Kind::P2pkh,
        "another key",
        Some("Script failed an OP_EQUALVERIFY operation"),
        with_key(Kind::P2pkh, vec![2; 33]),
    );
    case(
        t,
        Kind::P2wpkh,
        "another key",
        Some("Script failed an OP_EQUALVERIFY operation"),
        with_key(Kind::P2wpkh, vec![2; 33]),
    );
    case(t, Kind::P2pkh, "nothing", Some(STACK), |spend, _| {
        spend.input[0].script_sig = ScriptBuf::new()
    });
    case(t, Kind::P2pk, "nothing", Some(STACK), |spend, _| {
        spend.input[0].script_sig = ScriptBuf::new()
    });
    case(
        t,
        Kind::P2pkh,
        "the signature alone",
        Some("Script failed an OP_EQUALVERIFY operation"),
        |spend, signature| {
            spend.input[0].script_sig = Builder::new().push_slice(push(&signature)).into_script();
        },
    );
    for kind in [Kind::P2pk, Kind::P2pkh, Kind::True] {
        case(t, kind, "a witness", Some(UNEXPECTED), |spend, _| {
            spend.input[0].witness = Witness::from_slice(&[[1]]);
        });
        case(
            t,
            kind,
            "a witness of one empty item",
            Some(UNEXPECTED),
            |spend, _| {
                spend.input[0].witness = Witness::from_slice(&[[0u8; 0]]);
            },
        );
        // Only the memory pool minds what is left on the stack.
        case(t, kind, "something more below", None, |spend, _| {
            let script = [&[0x00, 0x53][..], spend.input[0].script_sig.as_bytes()].concat();
            spend.input[0].script_sig = ScriptBuf::from_bytes(script);
        });
        case(t, kind, "an operation in the input", None, |spend, _| {
            let script = [&[OP_NOP.to_u8()][..], spend.input[0].script_sig.as_bytes()].concat();
            spend.input[0].script_sig = ScriptBuf::from_bytes(script);
        });
        case(
            t,
            kind,
            "OP_RETURN in the input",
            Some("OP_RETURN was encountered"),
            |spend, _| {
                spend.input[0].script_sig = ScriptBuf::from_bytes(vec![0x6a]);
            },
        );
        case(
            t,
            kind,
            "a push that ends too early",
            Some("Opcode missing or not understood"),
            |spend, _| {
                spend.input[0].script_sig = ScriptBuf::from_bytes(vec![0x02, 0x01]);
            },
        );
        case(
            t,
            kind,
            "a script of 10,000 bytes",
            Some("Push value size limit exceeded"),
            |spend, _| {
                spend.input[0].script_sig =
                    ScriptBuf::from_bytes([vec![0x4d, 0x0d, 0x27], vec![0; 9_997]].concat());
            },
        );
        case(
            t,
            kind,
            "a script of 10,001 bytes",
            Some("Script is too big"),
            |spend, _| {
                spend.input[0].script_sig =
                    ScriptBuf::from_bytes([vec![0x4d, 0x0e, 0x27], vec![0; 9_998]].concat());
            },
        );
    }
    for kind in [Kind::P2wpkh, Kind::P2wsh, Kind::P2tr] {
        case(
            t,
            kind,
            "something in the input",
            Some("Witness requires empty scriptSig"),
            |spend, _| {
                spend.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51]);
            },
        );
    }
    let witness = |items: &[&[u8]]| {
        let witness = Witness::from_slice(items);
        move |spend: &mut Transaction, _| spend.input[0].witness = witness.clone()
    };
    for kind in [Kind::P2wpkh, Kind::P2shP2wpkh] {
        case(t, kind, "no witness", Some(MISMATCH), witness(&[]));
        case(t, kind, "one item", Some(MISMATCH), witness(&[&[1]]));
        case(
            t,
            kind,
            "three items",
            Some(MISMATCH),
            witness(&[&[1], &[1], &[1]]),
        );
        case(
            t,
            kind,
            "an item too large",
            Some("Push value size limit exceeded"),
            witness(&[&[1; 521], &[1]]),
        );
        case(
            t,
            kind,
            "the largest item",
            Some("Script failed an OP_EQUALVERIFY operation"),
            witness(&[&[1; 520], &[1]]),
        );
    }
    case(t, Kind::P2wsh, "no witness", Some(EMPTY), witness(&[]));
    case(
        t,
        Kind::P2wsh,
        "another script",
        Some(MISMATCH),
        witness(&[&[1], &[0x51]]),
    );
    case(
        t,
        Kind::P2wsh,
        "an item too many",
        Some("Stack size must be exactly one after execution"),
        |spend, signature| {
            let script = spend.input[0].witness.last().unwrap().to_vec();
            spend.input[0].witness = Witness::from_slice(&[vec![], signature, script]);
        },
    );
    case(
        t,
        Kind::P2wsh,
        "nothing but the script",
        Some(STACK),
        |spend, _| {
            let script = spend.input[0].witness.last().unwrap().to_vec();
            spend.input[0].witness = Witness::from_slice(&[script]);
        },
    );
    case(
        t,
        Kind::P2wsh,
        "more items than a stack holds",
        Some("Stack size limit exceeded"),
        |spend, signature| {
            let script = spend.input[0].witness.last().unwrap().to_vec();
            let mut items = vec![vec![]; 1_001];
            items.extend([signature, script]);
            spend.input[0].witness = Witness::from_slice(&items);
        },
    );

    case(t, Kind::P2shP2wpkh, "nothing", Some(STACK), |spend, _| {
        spend.input[0].script_sig = ScriptBuf::new()
    });
    case(
        t,
        Kind::P2shP2wpkh,
        "another script",
        Some(FALSE),
        |spend, _| {
            spend.input[0].script_sig = ScriptBuf::from_bytes(vec![0x01, 0x51]);
        },
    );
    case(
        t,
        Kind::P2shP2wpkh,
        "an operation",
        Some("Only push operators allowed in signatures"),
        |spend, _| {
            let script = [&[OP_NOP.to_u8()][..], spend.input[0].script_sig.as_bytes()].concat();
            spend.input[0].script_sig = ScriptBuf::from_bytes(script);
        },
    );
    let malleated = Some("Witness requires only-redeemscript scriptSig");
    case(t, Kind::P2shP2wpkh, "a push more", malleated, |spend, _| {
        let script = [&[0x51][..], spend.input[0].script_sig.as_bytes()].concat();
        spend.input[0].script_sig = ScriptBuf::from_bytes(script);
    });
    case(
        t,
        Kind::P2shP2wpkh,
        "the long push",
        malleated,
        |spend, _| {
            let script = [&[0x4c][..], spend.input[0].script_sig.as_bytes()].concat();
            spend.input[0].script_sig = ScriptBuf::from_bytes(script);
        },
    );

    let kind = Kind::P2tr;
    case(t, kind, "as it should be", None, |_, _| {});
    case(t, kind, "no witness", Some(EMPTY), witness(&[]));
    case(
        t,
        kind,
        "an empty signature",
        Some("Invalid Schnorr signature size"),
        witness(&[&[]]),
    );
    case(
        t,
        kind,
        "63 bytes",
        Some("Invalid Schnorr signature size"),
        witness(&[&[1; 63]]),
    );
    case(
        t,
        kind,
        "66 bytes",
        Some("Invalid Schnorr signature size"),
        witness(&[&[1; 66]]),
    );
    case(
        t,
        kind,
        "64 bytes of nothing",
        Some("Invalid Schnorr signature"),
        witness(&[&[0; 64]]),
    );
    case(
        t,
        kind,
        "64 bytes above the field",
        Some("Invalid Schnorr signature"),
        witness(&[&[0xff; 64]]),
    );
    for hash_type in [0x00, 0x04, 0x80, 0x84, 0xff] {
        case(
            t,
            kind,
            "a hash type there is not",
            Some("Invalid Schnorr signature hash type"),
            |spend, signature| {
                spend.input[0].witness =
                    Witness::from_slice(&[[signature, vec![hash_type]].concat()]);
            },
        );
    }
    case(
        t,
        kind,
        "the default hash type written",
        Some("Invalid Schnorr signature"),
        |spend, signature| {
            spend.input[0].witness = Witness::from_slice(&[[signature, vec![1]].concat()]);
        },
    );
    case(
        t,
        kind,
        "a bit of it flipped",
        Some("Invalid Schnorr signature"),
        |spend, mut signature| {
            signature[40] ^= 1;
            spend.input[0].witness = Witness::from_slice(&[signature]);
        },
    );
    case(
        t,
        kind,
        "an annex that was not signed",
        Some("Invalid Schnorr signature"),
        |spend, signature| {
            spend.input[0].witness = Witness::from_slice(&[signature, vec![0x50, 1]]);
        },
    );
    case(
        t,
        kind,
        "an annex alone is a signature",
        Some("Invalid Schnorr signature size"),
        witness(&[&[0x50, 1]]),
    );
    case(
        t,
        kind,
        "two annexes",
        Some("Invalid Taproot control block size"),
        |spend, signature| {
            spend.input[0].witness = Witness::from_slice(&[signature, vec![0x50], vec![0x50]]);
        },
    );
    case(
        t,
        kind,
        "a script path that is none",
        Some("Invalid Taproot control block size"),
        witness(&[&[0x51], &[0xc0]]),
    );
    // SIGHASH_SINGLE without an output beside the input.
    let spent = [twins.coin(Kind::True), twins.coin(Kind::P2tr)];
    let mut spend = spending(&spent);
    unlock(
        &mut spend.input[1],
        Kind::P2tr,
        [vec![1; 64], vec![3]].concat(),
        &[],
    );
    let expected = script_failed("Invalid Schnorr signature hash type");
    twins.case(
        "nothing to sign for",
        &with(&twins, spend),
        expected.as_deref(),
    );
    twins.part();
}

/// The DER form with the other S, which is larger than half of the order.
fn high(signature: &bitcoin::secp256k1::ecdsa::Signature) -> Vec<u8> {
    let compact = signature.serialize_compact();
    let s = bitcoin::secp256k1::SecretKey::from_slice(&compact[32..])
        .unwrap()
        .negate();
    let number = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap();
        let mut number = bytes[start..].to_vec();
        if number[0] & 0x80 != 0 {
            number.insert(0, 0);
        }
        [vec![2, u8::try_from(number.len()).unwrap()], number].concat()
    };
    let body = [number(&compact[..32]), number(&s.secret_bytes())].concat();
    [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
}

#[test]
fn witness_programs_of_other_versions_and_lengths_are_treated_alike() {
    let mut twins = Twins::new();
    let wrong = script_failed("Witness program has incorrect length");
    for version in 0u8..=16 {
        for length in [2usize, 4, 20, 31, 32, 33, 40] {
            let op = if version == 0 { 0 } else { 0x50 + version };
            let script = [vec![op, u8::try_from(length).unwrap()], vec![0x11; length]].concat();
            for nested in [false, true] {
                let paid = ScriptBuf::from_bytes(script.clone());
                let coin = twins.coin(Kind::True);
                let mut make = spending(&[coin]);
                make.output[0].script_pubkey = if nested { paid.to_p2sh() } else { paid };
                twins.case("to a witness program", &with(&twins, make.clone()), None);
                for items in [&[][..], &[&[1u8; 600][..]][..]] {
                    let mut spend = make.clone();
                    spend.input[0].previous_output = OutPoint {
                        txid: make.compute_txid(),
                        vout: 0,
                    };
                    spend.output[0].script_pubkey = Kind::True.script();
                    if nested {
                        spend.input[0].script_sig =
                            Builder::new().push_slice(push(&script)).into_script();
                    }
                    spend.input[0].witness = Witness::from_slice(items);
                    let name = format!(
                        "version {version}, {length} bytes, nested {nested}, {} items",
                        items.len()
                    );
                    let reason = twins.feed(&name, &with(&twins, spend));
                    if version == 0 && length != 20 && length != 32 {
                        assert_eq!(reason, wrong, "{name}");
                    }
                    if reason.is_none() {
                        break;
                    }
                }
            }
        }
    }
    twins.part();
}

#[test]
fn keys_in_any_form_are_read_alike() {
    let mut twins = Twins::new();
    let whole = key().inner.serialize_uncompressed();
    let hybrid = |first: u8| [&[first][..], &whole[1..]].concat();
    let parity = 6 | (whole[64] & 1);
    let keys = [
        whole.to_vec(),
        hybrid(parity),
        hybrid(parity ^ 1),
        hybrid(5),
        vec![2; 33],
        vec![4; 33],
        vec![],
        key().to_bytes()[..32].to_vec(),
    ];
    for bytes in keys {
        for witness in [false, true] {
            let code = Builder::new()
                .push_slice(push(&bytes))
                .push_opcode(OP_CHECKSIG)
                .into_script();
            let coin = twins.coin(Kind::True);
            let mut make = spending(&[coin]);
            make.output[0].script_pubkey = if witness {
                code.to_p2wsh()
            } else {
                code.clone()
            };
            twins.case("to a key", &with(&twins, make.clone()), None);
            let kind = if witness { Kind::P2wsh } else { Kind::P2pk };
            let coin = Coin {
                outpoint: OutPoint {
                    txid: make.compute_txid(),
                    vout: 0,
                },
                output: make.output[0].clone(),
                kind,
            };
            let mut spend = spending(std::slice::from_ref(&coin));
            // For P2WSH the purse signs its own script: wrong for any other, and so for all here.
            let made = signature(&spend, 0, &[coin], 1);
            unlock(&mut spend.input[0], kind, made.clone(), &[]);
            if witness {
                spend.input[0].witness = Witness::from_slice(&[made, code.into_bytes()]);
            }
            let name = format!("{} with witness {witness}", hex::encode(&bytes));
            let reason = twins.feed(&name, &with(&twins, spend));
            assert_eq!(
                reason.is_none(),
                !witness
                    && matches!(bytes.first(), Some(4 | 6 | 7))
                    && bytes.len() == 65
                    && bytes != hybrid(parity ^ 1),
                "{name}: {reason:?}"
            );
        }
    }
    twins.part();
}

#[test]
fn signature_operations_are_counted_alike() {
    let mut twins = Twins::new();
    let (early, late) = ("legacy operations alone", "with those of what is spent");
    let sigops = Some("bad-blk-sigops");
    // The coinbase of these tests has two already: a bare key and a key's hash.
    for (count, expected) in [(19_998, None), (19_999, sigops)] {
        let mut block = good(&twins, &[]);
        filled(&mut block, repeated(OP_CHECKSIG, count));
        twins.case(early, &block, expected);
    }
    // Without a known number before it, a multisig counts 20, and so it does with one here.
    for (script, count) in [
        (repeated(OP_CHECKMULTISIG, 1), 20),
        (
            Builder::new()
                .push_opcode(OP_PUSHNUM_16)
                .push_opcode(OP_CHECKMULTISIG)
                .into_script(),
            20,
        ),
        (ScriptBuf::from_bytes(vec![0xad]), 1),
        (ScriptBuf::from_bytes(vec![0xaf]), 20),
        (ScriptBuf::from_bytes(vec![0xba]), 0),
        (ScriptBuf::from_bytes(vec![0x02, 0xac]), 0),
        (ScriptBuf::from_bytes(vec![0x4c, 0x02, 0xac, 0xac, 0xac]), 1),
        (ScriptBuf::from_bytes(vec![0x6a, 0xac]), 1),
        (
            ScriptBuf::from_bytes(vec![0x4e, 0xff, 0xff, 0xff, 0xff, 0xac]),
            0,
        ),
    ] {
        for over in [0, 1] {
            let mut block = good(&twins, &[]);
            let output = TxOut {
                value: Amount::ZERO,
                script_pubkey: script.clone(),
            };
            block.txdata[0].output.insert(0, output);
            filled(&mut block, repeated(OP_CHECKSIG, 19_998 - count + over));
            let expected = (over == 1).then_some("bad-blk-sigops");
            twins.case(&format!("{early}: {script:?}"), &block, expected);
        }
    }
    // Each in the input of a spend, with its cost; the scripts behind the hashes are not run before.
    let code = |bytes: &[u8]| ScriptBuf::from_bytes(bytes.to_vec());
    let multisig = code(&[0x53, 0xae]);
    let bare = code(&[0xae, 0xac, 0xad]);
    let spends: [(&str, ScriptBuf, ScriptBuf, Witness, usize); 12] = [
        (
            "P2WPKH",
            Kind::P2wpkh.script(),
            code(&[]),
            Witness::new(),
            1,
        ),
        (
            "P2SH-P2WPKH",
            Kind::P2shP2wpkh.script(),
            pushed(&Kind::P2wpkh.script()),
            Witness::new(),
            1,
        ),
        (
            "P2TR",
            Kind::P2tr.script(),
            code(&[]),
            Witness::from_slice(&[[0xac; 64]]),
            0,
        ),
        (
            "P2WSH",
            Kind::P2wsh.script(),
            code(&[]),
            Witness::from_slice(&[bare.as_bytes()]),
            22,
        ),
        (
            "P2WSH 3-of",
            Kind::P2wsh.script(),
            code(&[]),
            Witness::from_slice(&[multisig.as_bytes()]),
            3,
        ),
        (
            "P2WSH without witness",
            Kind::P2wsh.script(),
            code(&[]),
            Witness::new(),
            0,
        ),
        (
            "P2SH",
            bare.to_p2sh(),
            pushed(&bare),
            Witness::new(),
            4 * 22,
        ),
        (
            "P2SH 3-of",
            multisig.to_p2sh(),
            pushed(&multisig),
            Witness::new(),
            4 * 3,
        ),
        (
            "P2SH with an operation",
            bare.to_p2sh(),
            code(&[0x61, 0x03, 0xae, 0xac, 0xad]),
            Witness::new(),
            0,
        ),
        (
            "P2SH with a number last",
            bare.to_p2sh(),
            code(&[0x03, 0xae, 0xac, 0xad, 0x51]),
            Witness::new(),
            0,
        ),
        (
            "P2SH-P2WSH",
            Kind::P2wsh.script().to_p2sh(),
            pushed(&Kind::P2wsh.script()),
            Witness::from_slice(&[bare.as_bytes()]),
            22,
        ),
        (
            "a bare script",
            code(&[0x51, 0xac]),
            code(&[0xac, 0xae]),
            Witness::new(),
            4 * 21,
        ),
    ];
    for (name, paid, script_sig, witness, cost) in spends {
        let coin = twins.coin(Kind::True);
        let mut make = spending(&[coin]);
        make.output[0].script_pubkey = paid;
        twins.case(name, &with(&twins, make.clone()), None);
        let mut spend = make.clone();
        spend.input[0].previous_output = OutPoint {
            txid: make.compute_txid(),
            vout: 0,
        };
        spend.input[0].script_sig = script_sig;
        spend.input[0].witness = witness;
        spend.output[0].script_pubkey = Kind::True.script();
        // The rest in operations of the coinbase, four each, and P2WPKH inputs, one each.
        let operations = (80_000 - cost) / 4 - 2;
        let fill: Vec<Coin> = (0..=(80_000 - cost) % 4)
            .map(|_| twins.coin(Kind::P2wpkh))
            .collect();
        for (inputs, too_many) in [(&fill[1..], false), (&fill[..], true)] {
            let mut transactions = vec![spend.clone()];
            transactions.extend(
                inputs
                    .iter()
                    .map(|coin| pay(std::slice::from_ref(coin), &[Kind::True], 0)),
            );
            let mut block = block_on(&twins.tip(), &transactions, 0);
            filled(&mut block, repeated(OP_CHECKSIG, operations));
            let name = format!("{late}: {name}, too many: {too_many}");
            let reason = twins.feed(&name, &block);
            assert_eq!(reason.as_deref() == sigops, too_many, "{name}: {reason:?}");
            if reason.is_none() {
                // Taken, so that it would be missing next time.
                break;
            }
        }
    }
    twins.part();
}

/// A block whose coinbase has this script in an output.
fn filled(block: &mut Block, script: ScriptBuf) {
    block.txdata[0].output.insert(
        0,
        TxOut {
            value: Amount::ZERO,
            script_pubkey: script,
        },
    );
    seal(block);
}

#[test]
fn signature_operations_of_any_script_are_counted_alike() {
    const BYTES: [u8; 20] = [
        0x00, 0x01, 0x02, 0x03, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0x60, 0x61, 0x6a, 0xac,
        0xad, 0xae, 0xae, 0xaf, 0xba,
    ];
    let mut twins = Twins::new();
    let mut dice = Dice(3);
    for round in 0..120 {
        let any = |dice: &mut Dice| {
            let bytes = (0..dice.below(8)).map(|_| dice.of(&BYTES)).collect();
            ScriptBuf::from_bytes(bytes)
        };
        let code = any(&mut dice);
        let (paid, script_sig, witness) = match dice.below(6) {
            0 => (any(&mut dice), any(&mut dice), Witness::new()),
            1 => (code.to_p2sh(), pushed(&code), Witness::new()),
            2 => (code.to_p2sh(), any(&mut dice), Witness::new()),
            3 => (
                code.to_p2wsh(),
                any(&mut dice),
                Witness::from_slice(&[code.as_bytes()]),
            ),
            4 => {
                let program = code.to_p2wsh();
                let witness = Witness::from_slice(&[code.as_bytes()]);
                (program.to_p2sh(), pushed(&program), witness)
            }
            _ => {
                // Something before the push of the program.
                let program = code.to_p2wsh();
                let script = [any(&mut dice).into_bytes(), pushed(&program).into_bytes()].concat();
                let witness = Witness::from_slice(&[code.as_bytes()]);
                (program.to_p2sh(), ScriptBuf::from_bytes(script), witness)
            }
        };
        let coin = twins.coin(Kind::True);
        let mut make = spending(&[coin]);
        make.output[0].script_pubkey = paid;
        if twins.feed("a coin", &with(&twins, make.clone())).is_some() {
            continue;
        }
        let mut spend = make.clone();
        spend.input[0].previous_output = OutPoint {
            txid: make.compute_txid(),
            vout: 0,
        };
        spend.input[0].script_sig = script_sig;
        spend.input[0].witness = witness;
        spend.output[0].script_pubkey = Kind::True.script();
        // If this count is not the judge's, then one of the two blocks shows it.
        let cost = spend.total_sigop_cost(|_| Some(make.output[0].clone()));
        let operations = (80_000 - cost) / 4 - 2;
        for operations in [operations, operations + 1] {
            let mut block = block_on(&twins.tip(), std::slice::from_ref(&spend), 0);
            filled(&mut block, repeated(OP_CHECKSIG, operations));
            twins.feed(
                &format!("round {round}, {operations} operations beside {spend:?}"),
                &block,
            );
        }
    }
    twins.part();
}

fn pushed(script: &ScriptBuf) -> ScriptBuf {
    Builder::new()
        .push_slice(push(script.as_bytes()))
        .into_script()
}

#[test]
fn sizes_and_weights_are_limited_alike() {
    let mut twins = Twins::new();
    let bare = |twins: &Twins| {
        let mut block = good(twins, &[]);
        without_commitment(&mut block);
        block
    };
    let (weight, length) = (Some("bad-blk-weight"), Some("bad-blk-length"));
    // The coinbase's witness weighs 36.
    for (size, expected) in [
        (999_991, None),
        (999_992, weight),
        (1_000_000, weight),
        (1_000_001, length),
        (2_000_000, length),
    ] {
        let block = padded(good(&twins, &[]), size);
        twins.case(&format!("{size} bytes and a witness"), &block, expected);
    }
    for (size, expected) in [(1_000_000, None), (1_000_001, length)] {
        let block = padded(bare(&twins), size);
        twins.case(&format!("{size} bytes without witness"), &block, expected);
    }
    // A witness of a size that makes the block as heavy as it may be, and heavier.
    let coin = twins.coin(Kind::P2wpkh);
    let spend = pay(&[coin], &[Kind::True], FEE);
    let heavy = |twins: &Twins, bytes: usize| {
        let mut spend = spend.clone();
        spend.input[0].witness = Witness::from_slice(&[vec![0; bytes]]);
        good(twins, &[spend])
    };
    let more = usize::try_from(4_000_000 - heavy(&twins, 100_000).weight().to_wu()).unwrap();
    for (over, expected) in [
        (0, script_failed("Witness program hash mismatch")),
        (1, Some("bad-blk-weight".to_owned())),
    ] {
        let block = heavy(&twins, 100_000 + more + over);
        twins.case(&format!("{over} too heavy"), &block, expected.as_deref());
    }
    twins.part();
}

/// A block padded to this many bytes beside its witnesses.
fn padded(mut block: Block, size: usize) -> Block {
    let pad = |block: &mut Block, bytes: usize| {
        let script = [vec![OP_RETURN.to_u8()], vec![0; bytes]].concat();
        block.txdata[0].output[0].script_pubkey = ScriptBuf::from_bytes(script);
    };
    // Enough that the length of the script's length does not change any more.
    pad(&mut block, 70_000);
    let weight = usize::try_from(block.weight().to_wu()).unwrap();
    let base = (weight - block.total_size()) / 3;
    pad(&mut block, 70_000 + size - base);
    seal(&mut block);
    block
}

#[test]
fn blocks_far_beyond_every_limit_are_refused_for_the_same_reason() {
    let mut twins = Twins::new();
    let coin = twins.coin(Kind::P2wpkh);
    let spend = pay(&[coin], &[Kind::True], FEE);
    for size in [3_900_000, 4_000_000, 4_100_000, 9_000_000] {
        let block = padded(good(&twins, &[]), size);
        twins.case(
            &format!("an output script, {size} bytes in all"),
            &block,
            Some("bad-blk-length"),
        );
        let block = changed(&twins, &[], |block| {
            block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(vec![0; size]);
        });
        twins.case(
            &format!("an input script of {size} bytes"),
            &block,
            Some("bad-blk-length"),
        );
    }
    for size in [4_000_000, 4_100_000, 9_000_000] {
        let mut heavy = spend.clone();
        heavy.input[0].witness = Witness::from_slice(&[vec![0; size]]);
        let block = good(&twins, &[heavy]);
        twins.case(
            &format!("a witness of {size} bytes"),
            &block,
            Some("bad-blk-weight"),
        );
    }
    let mut heavy = spend;
    heavy.input[0].witness = Witness::from_slice(&vec![[0u8; 0]; 4_100_000]);
    let block = good(&twins, &[heavy]);
    twins.case(
        "a witness of very many items",
        &block,
        Some("bad-blk-weight"),
    );
    twins.part();
}

#[test]
fn bytes_that_are_no_block_are_no_block_for_both() {
    let mut twins = Twins::new();
    let coin = twins.coin(Kind::P2wpkh);
    let block = good(&twins, &[pay(&[coin], &[Kind::True], FEE)]);
    let bytes = consensus::serialize(&block);
    let count = 80;
    for end in 0..bytes.len() {
        let reason = twins.feed_bytes(&format!("the first {end} bytes"), &bytes[..end]);
        assert_eq!(reason.as_deref(), Some("undecodable"));
    }
    assert_eq!(bytes[count], 2);
    let header = &bytes[..count];
    let transactions = &bytes[count + 1..];
    for (name, written) in [
        ("the count in three bytes", vec![0xfd, 2, 0]),
        ("the count in five bytes", vec![0xfe, 2, 0, 0, 0]),
        (
            "the count in nine bytes",
            vec![0xff, 2, 0, 0, 0, 0, 0, 0, 0],
        ),
        ("a count of one more", vec![3]),
        ("a huge count", vec![0xfe, 0xff, 0xff, 0xff, 0x01]),
        ("the hugest count", vec![0xff; 9]),
    ] {
        let reason = twins.feed_bytes(name, &[header, &written, transactions].concat());
        assert_eq!(reason.as_deref(), Some("undecodable"), "{name}");
    }
    let reason = twins.feed_bytes(
        "a count of one fewer",
        &[header, &[1], transactions].concat(),
    );
    assert_eq!(reason.as_deref(), Some("bad-txnmrklroot"));

    let coinbase = consensus::serialize(&block.txdata[0]);
    for (name, hex) in [
        (
            "no inputs and one output",
            "02000000000101000000000000000151000000000",
        ),
        ("flag 0", "0200000000000000000000"),
        (
            "flag 1 and no inputs",
            "02000000000100010100000000000000015100000000",
        ),
        ("flag 1 and nothing", "02000000000100000000000000"),
        ("flag 2", "02000000000200010100000000000000015100000000"),
        ("flag 3", "020000000003000101000000000000000151000000000000"),
    ] {
        let hex = &hex[..hex.len() / 2 * 2];
        let transaction = hex::decode(hex).unwrap();
        twins.feed_bytes(name, &[header, &[2], &coinbase[..], &transaction].concat());
    }
    // A witness that is written though all of it is empty.
    let mut superfluous = consensus::serialize(&unsigned(&[], vec![]));
    superfluous.truncate(4);
    let input = [&[1][..], &[5; 36], &[0], &[0xff; 4]].concat();
    let output = [&[1][..], &[1, 0, 0, 0, 0, 0, 0, 0], &[1, 0x51]].concat();
    let written = [&superfluous[..], &[0, 1], &input, &output, &[0], &[0; 4]].concat();
    let reason = twins.feed_bytes(
        "an empty witness",
        &[header, &[2], &coinbase[..], &written].concat(),
    );
    assert_eq!(reason.as_deref(), Some("undecodable"));

    let longer = [&bytes[..], &[0, 1, 2, 3]].concat();
    assert_eq!(twins.feed_bytes("something behind", &longer), None);
    twins.part();
}

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

/// A small generator of numbers that are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

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

fn without_commitment(block: &mut Block) {
    if let Some(coinbase) = block.txdata.first_mut() {
        coinbase.output.pop();
        if let Some(input) = coinbase.input.first_mut() {
            input.witness = Witness::new();
        }
    }
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
