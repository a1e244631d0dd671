//! Headers: proof, difficulty, time, version, parent.

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, ScriptBuf, Sequence, TxMerkleNode, Witness,
    absolute::LockTime, block::Version, hashes::Hash as _, opcodes::all::OP_CHECKSIG,
};

use crate::{
    block::{BITS, coinbase_script, good, grind, repeated, root},
    twins::{Spot, Twins},
};

#[test]
fn chains_of_empty_blocks_are_accepted_past_halvings() {
    let mut twins = Twins::new();
    for _ in 0..200 {
        twins.grow();
    }
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
            block.header.merkle_root = TxMerkleNode::from_byte_array([7; 32]);
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
            block.header.merkle_root = TxMerkleNode::from_byte_array([5; 32])
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
