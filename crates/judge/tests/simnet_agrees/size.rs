//! Sizes, weights, and bytes that are no block.

use bitcoin::{ScriptBuf, Witness, consensus};

use crate::{
    block::{FEE, changed, good, padded, script_failed, without_commitment},
    purse::{Kind, pay, unsigned},
    twins::Twins,
};

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
    heavy.input[0].witness = Witness::from_slice(&[[0u8; 0]; 4_100_000]);
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
