//! Blocks read as the `monero` crate reads them, and bytes that are none.

use monero::consensus::encode;
use proptest::prelude::*;

use super::*;

/// The template of seven transactions that a daemon gave, as the first block here.
pub(super) fn blocks() -> Vec<Vec<u8>> {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/templates.json")).unwrap();
    let templates = vectors.as_array().unwrap();
    let mut blocks: Vec<_> = templates
        .iter()
        .map(|template| hex::decode(template["blocktemplate_blob"].as_str().unwrap()).unwrap())
        .collect();
    blocks.reverse();
    blocks
}

/// The same block by a reader that others wrote.
fn agree(bytes: &[u8]) {
    let ours = Block::parse(bytes);
    let theirs = encode::deserialize::<monero::Block>(bytes);
    match (ours, theirs) {
        (Ok(block), Ok(theirs)) => {
            assert_eq!(
                u64::from(block.major_version),
                theirs.header.major_version.0
            );
            assert_eq!(
                u64::from(block.minor_version),
                theirs.header.minor_version.0
            );
            assert_eq!(block.timestamp, theirs.header.timestamp.0);
            assert_eq!(block.previous, theirs.header.prev_id.0);
            assert_eq!(block.nonce, theirs.header.nonce.to_le_bytes());
            let prefix = &theirs.miner_tx.prefix;
            assert_eq!(block.miner_transaction.unlock_time, prefix.unlock_time.0);
            let sum: u64 = prefix.outputs.iter().map(|output| output.amount.0).sum();
            assert_eq!(block.miner_transaction.reward.units(), sum);
            assert_eq!(hashing_blob_of(bytes).unwrap(), theirs.serialize_hashable());
            assert_eq!(id_of(bytes).unwrap(), theirs.id().0);
        }
        // We also refuse what no miner's transaction has; what we take, all take.
        (Ok(_), Err(error)) => panic!("{error}: {}", hex::encode(bytes)),
        (Err(_), _) => {}
    }
}

#[test]
fn a_block_is_what_others_read() {
    for bytes in blocks() {
        let block = Block::parse(&bytes).unwrap();
        assert_eq!((block.major_version, block.minor_version), (16, 16));
        assert_eq!(
            block.miner_transaction.unlock_time,
            block.miner_transaction.height + 60
        );
        assert!(block.miner_transaction.outputs[0].view_tag.is_some());
        agree(&bytes);
    }
}

#[test]
fn a_block_of_monero_s_chain_has_its_id() {
    for (block, height, reward, id) in REAL {
        let bytes = hex::decode(block).unwrap();
        let block = Block::parse(&bytes).unwrap();
        assert_eq!(block.miner_transaction.height, height);
        assert_eq!(block.miner_transaction.reward.units(), reward);
        assert_eq!(hex::encode(id_of(&bytes).unwrap()), id);
        agree(&bytes);
    }
}

#[test]
fn a_block_cut_anywhere_or_with_a_byte_more_is_none() {
    for mut bytes in blocks() {
        for len in 0..bytes.len() {
            assert!(Block::parse(&bytes[..len]).is_err(), "{len}");
        }
        bytes.push(0);
        assert!(Block::parse(&bytes).is_err());
        bytes.extend([0; 31]);
        assert!(Block::parse(&bytes).is_err());
    }
}

#[test]
fn what_is_odd_is_told_by_its_name() {
    use BadMinerTransaction as Bad;
    let bytes = blocks().pop().unwrap();
    let transaction = Block::parse(&bytes).unwrap().miner_transaction.prefix;
    let case = |position: usize, byte: u8, fault: BadBlock| {
        let mut bytes = bytes.clone();
        bytes[position] = byte;
        assert_eq!(Block::parse(&bytes), Err(fault), "{position}");
    };
    case(0, 0, BadBlock::Version(0));
    let start = transaction.start;
    // 02 3d 01 ff 01 01, then the amount.
    case(start, 1, Bad::Version(1).into());
    case(start, 3, Bad::Version(3).into());
    case(start + 2, 0, Bad::Input.into());
    case(start + 2, 2, Bad::Input.into());
    case(start + 3, 2, Bad::Input.into());
    case(start + 5, 0, Bad::NoOutput.into());
    // The output's tag stands behind the amount of seven bytes.
    case(start + 13, 1, Bad::OutputTag(1).into());
    case(start + 13, 4, Bad::OutputTag(4).into());
    case(transaction.end, 1, Bad::Rct(1).into());
    let transactions = BadBlock::Transactions {
        announced: 1,
        len: 0,
    };
    case(bytes.len() - 1, 1, transactions);
    let mut zeros = bytes.clone();
    zeros[0] = 0x90;
    zeros.insert(1, 0);
    assert_eq!(
        Block::parse(&zeros),
        Err(BadBlock::Number("major version", BadVarint::Overlong))
    );
    let mut large = bytes.clone();
    large[0] = 0x80;
    large.insert(1, 2);
    assert_eq!(Block::parse(&large), Err(BadBlock::Version(256)));
}

#[test]
fn outputs_that_overflow_and_counts_that_lie_are_refused() {
    use BadMinerTransaction as Bad;
    let header = [&[16, 16, 1][..], &[0; 32], &[0; 4]].concat();
    let output = |amount: u64| {
        let mut output = Vec::new();
        varint::push(&mut output, amount);
        output.push(2);
        output.extend([7; 32]);
        output
    };
    let block = |count: &[u8], outputs: &[Vec<u8>]| {
        let miner = [
            &[2, 61, 1, 0xff, 1][..],
            count,
            &outputs.concat(),
            &[0, 0, 0],
        ]
        .concat();
        Block::parse(&[&header[..], &miner].concat())
    };
    let two = block(&[2], &[output(u64::MAX - 1), output(1)]).unwrap();
    assert_eq!(two.miner_transaction.reward.units(), u64::MAX);
    assert_eq!(two.miner_transaction.outputs[1].view_tag, None);
    assert_eq!(
        block(&[2], &[output(u64::MAX), output(1)]),
        Err(Bad::Sum.into())
    );
    // 2^64 - 1 outputs.
    let count = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert!(block(&count, &[output(1)]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_give_a_block_that_others_read_too_or_an_error(bytes: Vec<u8>) {
        agree(&bytes);
    }

    #[test]
    fn a_block_with_some_bytes_changed_is_read_alike(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let blocks = blocks();
        let mut bytes = which.get(&blocks).clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        agree(&bytes);
    }
}

/// Blocks of Monero's main network, as its documents show them: block, height, reward, id.
const REAL: [(&str, u64, u64, &str); 2] = [
    (
        "1010c58bab9b06b27bdecfc6cd0a46172d136c08831cf67660377ba992332363228b1b722781e7807e07f502cef8a70101ff92f8a7010180e0a596bb1103d7cbf826b665d7a532c316982dc8dbc24f285cbc18bbcc27c7164cd9b3277a85d034019f629d8b36bd16a2bfce3ea80c31dc4d8762c67165aec21845494e32b7582fe00211000000297a787a000000000000000000000000",
        2_751_506,
        600_000_000_000,
        "43bd1f2b6556dcafa413d8372974af59e4e8f37dbf74dc6b2a9b7212d0577428",
    ),
    (
        "1010d8faa89b06f8a36d0dbe4d27d2f52160000563896048d71067c31e99a3869bf9b7142227bb5328010b02a6f6a70101ffeaf5a70101a08bc8b3bb11036d6713f5aa552a1aaf33baed7591f795b86daf339e51029a9062dfe09f0f909b312b0124d6023d591c4d434000e5e31c6db718a1e96e865939930e90a7042a1cd4cbd202083786a78452fdfc000002a89e380a44d8dfc64b551baa171447a0f9c9262255be6e8f8ef10896e36e2bf90c4d343e416e394ad9cc10b7d2df7b2f39370a554730f75dfcb04944bd62c299",
        2_751_210,
        600_061_380_000,
        "86d421322b700166dde2d7eba1cc8600925ef640abf6c0a2cc8ce0d6dd90abfd",
    ),
];
