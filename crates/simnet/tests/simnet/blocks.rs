//! One good block and what is wrong with it: every reject reason, and their order.

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxOut,
    Witness, absolute::LockTime, block::Version, consensus, hashes::Hash as _, transaction,
};
use simnet::{Chain, Params, Verdict};

use crate::maker::{
    NOW, anyone, block_on, chain_of, coinbase_at, commit, extend, next_block, prove, reason, seal,
    spend, spend_to, submit,
};

const COIN: u64 = 100_000_000;

/// Blocks below the one that is made wrong: coinbases up to height 10 are mature.
const HEIGHT: u32 = 110;

/// Changes a good block, repairs its merkle root and proof, and compares the reason.
#[track_caller]
fn case(chain: &mut Chain, expected: &str, change: impl FnOnce(&mut Block)) {
    let mut block = next_block(chain, Vec::new());
    change(&mut block);
    seal(&mut block);
    assert_eq!(reason(chain, &block).as_deref(), Some(expected));
}

/// A block with these transactions and a right commitment to them.
#[track_caller]
fn transactions(chain: &mut Chain, expected: &str, transactions: Vec<Transaction>) {
    let block = next_block(chain, transactions);
    assert_eq!(reason(chain, &block).as_deref(), Some(expected));
    assert_eq!(chain.height(), HEIGHT);
}

#[test]
fn headers_are_refused_for_proof_bits_time_version_and_parent() {
    let mut chain = chain_of(HEIGHT);
    let chain = &mut chain;

    let mut block = next_block(chain, Vec::new());
    while block.header.block_hash().to_byte_array()[31] < 0x80 {
        block.header.nonce += 1;
    }
    assert_eq!(reason(chain, &block).as_deref(), Some("high-hash"));
    for bits in [0x1d00_ffff, 0x2100_ffff, 0, 0x20ff_ffff, 0x2180_0001] {
        case(chain, "high-hash", |block| {
            block.header.bits = CompactTarget::from_consensus(bits)
        });
    }
    case(chain, "bad-diffbits", |block| {
        block.header.bits = CompactTarget::from_consensus(0x207f_fffe);
    });
    let tip = chain.block(&chain.tip_hash()).unwrap();
    // Eleven blocks ten minutes apart: the median is five blocks back.
    let median = tip.header.time - 5 * 600;
    case(chain, "time-too-old", |block| block.header.time = median);
    case(chain, "time-too-new", |block| {
        block.header.time = NOW + 7201
    });
    case(chain, "bad-version(0x00000003)", |block| {
        block.header.version = Version::from_consensus(3);
    });
    case(chain, "bad-version(0xffffffff)", |block| {
        block.header.version = Version::from_consensus(-1);
    });
    case(chain, "prev-blk-not-found", |block| {
        block.header.prev_blockhash = BlockHash::all_zeros()
    });

    let mut latest = next_block(chain, Vec::new());
    latest.header.time = NOW + 7200;
    seal(&mut latest);
    assert_eq!(submit(chain, &latest), Verdict::Accepted);
    let mut earliest = next_block(chain, Vec::new());
    earliest.header.time = median + 601;
    seal(&mut earliest);
    assert_eq!(submit(chain, &earliest), Verdict::Accepted);
}

#[test]
fn coinbases_are_refused_for_their_place_length_height_and_amount() {
    let mut chain = chain_of(HEIGHT);
    let chain = &mut chain;
    let mature = coinbase_at(chain, 1);

    case(chain, "bad-cb-missing", |block| {
        block.txdata = vec![spend(&[mature], 1)]
    });
    case(chain, "bad-cb-multiple", |block| {
        let mut second = block.txdata[0].clone();
        second.lock_time = LockTime::from_consensus(1);
        block.txdata.push(second);
    });
    case(chain, "bad-cb-length", |block| {
        block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(vec![0x01]);
    });
    case(chain, "bad-cb-length", |block| {
        let script = &mut block.txdata[0].input[0].script_sig;
        *script = ScriptBuf::from_bytes([script.as_bytes(), &[0; 99]].concat());
    });
    for wrong in [vec![0x01, 0x6e], vec![0x02, 0x6f, 0x00], vec![0x51, 0x51]] {
        case(chain, "bad-cb-height", |block| {
            block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(wrong);
        });
    }
    case(chain, "bad-cb-amount", |block| {
        block.txdata[0].output[0].value += Amount::from_sat(1);
    });
    // Fees may be claimed, to the last unit.
    let paying = spend(&[mature], 49 * COIN);
    let mut block = next_block(chain, vec![paying]);
    block.txdata[0].output[0].value = Amount::from_sat(51 * COIN + 1);
    seal(&mut block);
    assert_eq!(reason(chain, &block).as_deref(), Some("bad-cb-amount"));
    block.txdata[0].output[0].value = Amount::from_sat(51 * COIN);
    seal(&mut block);
    assert_eq!(submit(chain, &block), Verdict::Accepted);
}

#[test]
fn the_subsidy_halves_at_150() {
    let mut chain = chain_of(149);
    let mut greedy = next_block(&chain, Vec::new());
    assert_eq!(greedy.txdata[0].output[0].value.to_sat(), 25 * COIN);
    greedy.txdata[0].output[0].value = Amount::from_sat(25 * COIN + 1);
    seal(&mut greedy);
    assert_eq!(
        reason(&mut chain, &greedy).as_deref(),
        Some("bad-cb-amount")
    );
    extend(&mut chain, 1);
}

#[test]
fn the_block_as_a_whole_is_refused_for_root_size_sigops_and_weight() {
    let mut chain = chain_of(HEIGHT);
    let chain = &mut chain;

    let mut block = next_block(chain, Vec::new());
    block.txdata[0].output[0].value = Amount::ZERO;
    prove(&mut block);
    assert_eq!(reason(chain, &block).as_deref(), Some("bad-txnmrklroot"));

    // Three transactions of which the last pair is repeated: the same root (CVE-2012-2459).
    let (first, second) = (coinbase_at(chain, 1), coinbase_at(chain, 2));
    let pair = vec![spend(&[first], 1), spend(&[second], 1)];
    let mut block = next_block(chain, pair.clone());
    block.txdata.push(pair[1].clone());
    assert_eq!(reason(chain, &block).as_deref(), Some("bad-txns-duplicate"));
    block.txdata.pop();
    assert_eq!(
        submit(chain, &block),
        Verdict::Accepted,
        "the mutation did not mark the block"
    );

    case(chain, "bad-blk-length", |block| {
        let script = ScriptBuf::from_bytes(vec![0; 1_000_000]);
        block.txdata[0].output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: script,
        });
    });
    let mut empty = next_block(chain, Vec::new());
    empty.txdata.clear();
    empty.header.merkle_root = bitcoin::TxMerkleNode::all_zeros();
    prove(&mut empty);
    assert_eq!(reason(chain, &empty).as_deref(), Some("bad-blk-length"));

    let checks = |count| TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::from_bytes(vec![0xac; count]),
    };
    case(chain, "bad-blk-sigops", |block| {
        block.txdata[0].output.push(checks(20_001))
    });
    let mut full = next_block(chain, Vec::new());
    full.txdata[0].output.push(checks(20_000));
    commit(&mut full);
    seal(&mut full);
    assert_eq!(submit(chain, &full), Verdict::Accepted);

    let mut heavy = spend(&[coinbase_at(chain, 3)], 1);
    heavy.input[0].witness = Witness::from_slice(&[vec![0; 3_999_900]]);
    let block = next_block(chain, vec![heavy]);
    assert_eq!(reason(chain, &block).as_deref(), Some("bad-blk-weight"));
}

#[test]
fn witnesses_are_refused_without_a_right_commitment() {
    let mut chain = chain_of(HEIGHT);
    let chain = &mut chain;

    for witness in [vec![], vec![vec![0; 31]], vec![vec![0; 32], vec![0; 32]]] {
        case(chain, "bad-witness-nonce-size", |block| {
            block.txdata[0].input[0].witness = Witness::from_slice(&witness);
        });
    }
    case(chain, "bad-witness-merkle-match", |block| {
        block.txdata[0].input[0].witness = Witness::from_slice(&[[1; 32]]);
    });
    case(chain, "unexpected-witness", |block| {
        block.txdata[0].output.truncate(1);
    });

    // The last commitment counts; no commitment and no witness is right too.
    let mut block = next_block(chain, Vec::new());
    let mut wrong = block.txdata[0].output[1].clone();
    let mut bytes = wrong.script_pubkey.to_bytes();
    bytes[10] ^= 1;
    wrong.script_pubkey = ScriptBuf::from_bytes(bytes);
    block.txdata[0].output.insert(1, wrong.clone());
    seal(&mut block);
    assert_eq!(submit(chain, &block), Verdict::Accepted);
    let mut block = next_block(chain, Vec::new());
    block.txdata[0].output.push(wrong);
    seal(&mut block);
    assert_eq!(
        reason(chain, &block).as_deref(),
        Some("bad-witness-merkle-match")
    );
    let mut bare = next_block(chain, Vec::new());
    bare.txdata[0].output.truncate(1);
    bare.txdata[0].input[0].witness = Witness::new();
    seal(&mut bare);
    assert_eq!(submit(chain, &bare), Verdict::Accepted);
}

#[test]
fn transactions_are_refused_for_what_they_are() {
    let mut chain = chain_of(HEIGHT);
    let chain = &mut chain;
    let coin = coinbase_at(chain, 1);
    let good = spend(&[coin], 1);

    let mut nothing = good.clone();
    nothing.output.clear();
    transactions(chain, "bad-txns-vout-empty", vec![nothing]);

    let with_value = |value: u64| {
        let mut changed = good.clone();
        // The bitcoin crate refuses no amount here; a consensus decoder has to.
        changed.output[0].value = Amount::from_sat(value);
        changed
    };
    transactions(chain, "bad-txns-vout-negative", vec![with_value(u64::MAX)]);
    transactions(
        chain,
        "bad-txns-vout-toolarge",
        vec![with_value(21_000_000 * COIN + 1)],
    );
    let mut both = with_value(21_000_000 * COIN);
    both.output.push(both.output[0].clone());
    transactions(chain, "bad-txns-txouttotal-toolarge", vec![both]);

    transactions(
        chain,
        "bad-txns-inputs-duplicate",
        vec![spend(&[coin, coin], 1)],
    );
    transactions(
        chain,
        "bad-txns-prevout-null",
        vec![spend(&[coin, OutPoint::null()], 1)],
    );
}

#[test]
fn a_transaction_of_nothing_has_no_inputs() {
    let mut chain = chain_of(HEIGHT);
    // Version, no inputs, flags 0, lock time: what only this decoder and Bitcoin Core's read.
    let nothing = hex("02000000000000000000");
    let block = next_block(&chain, Vec::new());
    let coinbase = consensus::serialize(&block.txdata[0]);
    let id = bitcoin::hashes::sha256d::Hash::hash(&hex("02000000000000000000"));
    let txid = block.txdata[0].compute_txid().to_byte_array();
    let root = [txid, id.to_byte_array()].concat();
    let mut sealed = block.clone();
    sealed.header.merkle_root = bitcoin::TxMerkleNode::from_byte_array(
        bitcoin::hashes::sha256d::Hash::hash(&root).to_byte_array(),
    );
    prove(&mut sealed);
    let mut bytes = consensus::serialize(&sealed.header);
    bytes.push(2);
    bytes.extend_from_slice(&coinbase);
    bytes.extend_from_slice(&nothing);
    assert_eq!(
        chain.submit(&bytes, NOW).reason(),
        Some("bad-txns-vin-empty")
    );
}

#[test]
fn transactions_are_refused_for_what_they_spend() {
    let mut chain = chain_of(HEIGHT);
    let chain = &mut chain;
    let coin = coinbase_at(chain, 10);

    let reason = "bad-txns-inputs-missingorspent";
    transactions(
        chain,
        reason,
        vec![spend(&[OutPoint { vout: 7, ..coin }], 1)],
    );
    transactions(chain, reason, vec![spend(&[coin], 1), spend(&[coin], 2)]);
    // A child before its parent.
    let parent = spend(&[coin], 2);
    let child = spend(
        &[OutPoint {
            txid: parent.compute_txid(),
            vout: 0,
        }],
        1,
    );
    transactions(chain, reason, vec![child.clone(), parent.clone()]);
    // Outputs that cannot be spent are no coins.
    let mut burning = parent.clone();
    burning.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x6a]);
    let burnt = OutPoint {
        txid: burning.compute_txid(),
        vout: 0,
    };
    transactions(chain, reason, vec![burning, spend(&[burnt], 1)]);
    let genesis = coinbase_at(chain, 0);
    transactions(chain, reason, vec![spend(&[genesis], 1)]);

    let young = coinbase_at(chain, 12);
    transactions(
        chain,
        "bad-txns-premature-spend-of-coinbase",
        vec![spend(&[young], 1)],
    );
    transactions(
        chain,
        "bad-txns-in-belowout",
        vec![spend(&[coin], 50 * COIN + 1)],
    );

    let block = next_block(chain, vec![parent, child]);
    assert_eq!(submit(chain, &block), Verdict::Accepted);
    // What was mature at 110 for the next block: 111 - 100 = 11.
    let block = next_block(chain, vec![spend(&[coinbase_at(chain, 12)], 1)]);
    assert_eq!(submit(chain, &block), Verdict::Accepted);
}

#[test]
fn lock_times_are_kept_absolute_and_relative() {
    let mut chain = chain_of(HEIGHT);
    let chain = &mut chain;
    let coin = coinbase_at(chain, 1);
    let tip = chain.block(&chain.tip_hash()).unwrap();
    let median = tip.header.time - 5 * 600;

    let locked = |lock: u32, sequence: Sequence| {
        let mut tx = spend(&[coin], 1);
        tx.lock_time = LockTime::from_consensus(lock);
        tx.input[0].sequence = sequence;
        tx
    };
    let open = Sequence::ENABLE_LOCKTIME_NO_RBF;
    transactions(chain, "bad-txns-nonfinal", vec![locked(HEIGHT + 1, open)]);
    transactions(chain, "bad-txns-nonfinal", vec![locked(median, open)]);
    // BIP 68: the coin of height 1 is 110 blocks, 110 * 600 s deep.
    let relative = |sequence: u32| {
        let mut tx = spend(&[coin], 1);
        tx.input[0].sequence = Sequence(sequence);
        tx
    };
    transactions(chain, "bad-txns-nonfinal", vec![relative(111)]);
    // The median five blocks before the tip, less that of the coin's parent, the genesis block.
    let seconds = (HEIGHT - 5) * 600 / 512;
    transactions(
        chain,
        "bad-txns-nonfinal",
        vec![relative(1 << 22 | (seconds + 1))],
    );

    for good in [
        locked(HEIGHT, open),
        locked(median - 1, open),
        locked(HEIGHT + 1, Sequence::MAX),
        relative(110),
        relative(1 << 22 | seconds),
        relative(1 << 31 | 60_000),
        Transaction {
            version: transaction::Version::ONE,
            ..relative(60_000)
        },
    ] {
        let mut chain = chain_of(HEIGHT);
        let block = next_block(&chain, vec![good.clone()]);
        assert_eq!(submit(&mut chain, &block), Verdict::Accepted, "{good:?}");
    }
}

#[test]
fn scripts_are_refused_with_bitcoin_cores_text() {
    let mut chain = chain_of(HEIGHT);
    let chain = &mut chain;
    let coin = coinbase_at(chain, 1);
    let script = |hex: &str| ScriptBuf::from_hex(hex).unwrap();
    let failed = |text: &str| format!("block-script-verify-flag-failed ({text})");

    // An unexpected witness, and a script sig that leaves false on the stack's top.
    let mut witness = spend(&[coin], 1);
    witness.input[0].witness = Witness::from_slice(&[[1; 3]]);
    let text = failed("Witness provided for non-witness script");
    transactions(chain, &text, vec![witness]);

    let program = script("0014000102030405060708090a0b0c0d0e0f10111213");
    let paying = spend_to(&[coin], 10, program);
    let paid = OutPoint {
        txid: paying.compute_txid(),
        vout: 0,
    };
    let mut unsigned = spend(&[paid], 1);
    let text = failed("Witness program hash mismatch");
    transactions(chain, &text, vec![paying.clone(), unsigned.clone()]);
    unsigned.input[0].script_sig = script("51");
    let text = failed("Witness requires empty scriptSig");
    transactions(chain, &text, vec![paying.clone(), unsigned.clone()]);
    unsigned.input[0].script_sig = ScriptBuf::new();
    unsigned.input[0].witness = Witness::from_slice(&[vec![], vec![2; 33]]);
    let text = failed("Script failed an OP_EQUALVERIFY operation");
    transactions(chain, &text, vec![paying, unsigned]);

    // Pay to an opcode this node does not run.
    let odd = spend_to(&[coin], 10, script("6351675168"));
    let spends = spend(
        &[OutPoint {
            txid: odd.compute_txid(),
            vout: 0,
        }],
        1,
    );
    let text = failed("this node does not run such a script");
    transactions(chain, &text, vec![odd, spends]);

    // A script comes after the amounts, whatever the order in the block.
    let mut witness = spend(&[coin], 1);
    witness.input[0].witness = Witness::from_slice(&[[1; 3]]);
    let poor = spend(&[coinbase_at(chain, 2)], 51 * COIN);
    transactions(chain, "bad-txns-in-belowout", vec![witness, poor]);
}

#[test]
fn a_transaction_cannot_be_written_over_its_own_coins() {
    let mut chain = chain_of(HEIGHT);
    let chain = &mut chain;
    let first = spend(&[coinbase_at(chain, 1)], 2);
    let block = next_block(chain, vec![first.clone()]);
    assert_eq!(submit(chain, &block), Verdict::Accepted);
    let block = next_block(chain, vec![first.clone()]);
    assert_eq!(reason(chain, &block).as_deref(), Some("bad-txns-BIP30"));
    // Once spent, the inputs are what is missing.
    let second = spend(
        &[OutPoint {
            txid: first.compute_txid(),
            vout: 0,
        }],
        1,
    );
    let block = next_block(chain, vec![second]);
    assert_eq!(submit(chain, &block), Verdict::Accepted);
    let block = next_block(chain, vec![first]);
    assert_eq!(
        reason(chain, &block).as_deref(),
        Some("bad-txns-inputs-missingorspent")
    );
}

#[test]
fn what_is_known_is_a_duplicate_and_invalid_marks_are_kept() {
    let mut chain = chain_of(3);
    let chain = &mut chain;
    let genesis = Params::regtest().genesis().clone();
    assert_eq!(submit(chain, &genesis), Verdict::Duplicate);
    let tip = chain.block(&chain.tip_hash()).unwrap();
    assert_eq!(submit(chain, &tip), Verdict::Duplicate);

    let mut bad = next_block(chain, Vec::new());
    bad.txdata[0].output[0].value += Amount::from_sat(1);
    seal(&mut bad);
    assert_eq!(reason(chain, &bad).as_deref(), Some("bad-cb-amount"));
    assert_eq!(submit(chain, &bad), Verdict::DuplicateInvalid);
    let child = block_on(bad.block_hash(), 5, Vec::new(), 0);
    assert_eq!(reason(chain, &child).as_deref(), Some("bad-prevblk"));

    // A wrong witness says nothing about the header: the right block is still welcome.
    let good = next_block(chain, Vec::new());
    let mut mutated = good.clone();
    mutated.txdata[0].input[0].witness = Witness::from_slice(&[[1; 32]]);
    assert_eq!(
        reason(chain, &mutated).as_deref(),
        Some("bad-witness-merkle-match")
    );
    assert_eq!(submit(chain, &good), Verdict::Accepted);
    assert_eq!(chain.tip_hash(), good.block_hash());
}

#[test]
fn bytes_that_are_no_block_are_told_apart_and_a_tail_is_ignored() {
    let mut chain = chain_of(1);
    let block = next_block(&chain, Vec::new());
    let mut bytes = consensus::serialize(&block);
    for cut in [0, 1, 79, 80, 81, bytes.len() - 1] {
        assert_eq!(
            chain.submit(&bytes[..cut], NOW),
            Verdict::Undecodable,
            "{cut} bytes"
        );
    }
    bytes.push(0);
    assert_eq!(chain.submit(&bytes, NOW), Verdict::Accepted);
}

#[test]
fn the_height_is_pushed_short_up_to_16() {
    let mut chain = chain_of(0);
    for height in 1..=20 {
        let block = next_block(&chain, Vec::new());
        assert_eq!(
            submit(&mut chain, &block),
            Verdict::Accepted,
            "height {height}"
        );
    }
    let mut long = block_on(chain.hash_at(2).unwrap(), 3, Vec::new(), 9);
    long.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(vec![0x01, 0x03]);
    seal(&mut long);
    assert_eq!(reason(&mut chain, &long).as_deref(), Some("bad-cb-height"));
    let _ = anyone();
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}
