//! The vectors of the reference, by both ways to hash, and what both say of anything else.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;
use crate::Hash;

static NEVER: AtomicBool = AtomicBool::new(false);

fn params(dataset_mib: u32, scratch_mib: u32, iters: u32, reads: u32, every: u32) -> Params {
    Params::new(Figures {
        dataset_mib,
        scratch_mib,
        mix_iters: iters,
        reads_per_iter: reads,
        write_every: every,
        epoch_blocks: 32,
    })
    .unwrap()
}

/// A header of whose parts each can be told from the others.
fn header() -> Header {
    Header {
        parent: Hash([0x11; 32]),
        height: 12_345,
        timestamp: 1_700_000_000,
        difficulty: 1_000,
        nonce: 0,
        tx_root: [0x33; 32],
        miner: "pow_miner".parse().unwrap(),
    }
}

/// Both ways of hashing give this digest.
#[track_caller]
fn both_give(params: Params, seed: [u8; 32], epoch: u64, message: &[u8], nonce: u64, digest: &str) {
    let seed = EpochSeed(seed);
    let filled = Dataset::filled(params, &seed, epoch, &NEVER).unwrap();
    let computed = Dataset::computed(params, &seed, epoch);
    let mut machine = Machine::new();
    for dataset in [&filled, &computed] {
        let hash = machine.hash(dataset, message, nonce);
        assert_eq!(hash.to_string(), digest, "{dataset:?}");
    }
}

fn mainnet_seed(epoch: u64) -> EpochSeed {
    EpochSeed::of("mainnet", &[0; 32], epoch)
}

#[test]
fn a_digest_is_what_the_reference_gives() {
    let lite = params(1, 1, 1_000, 4, 4);
    for (nonce, digest) in [
        (
            12_345,
            "d5a19a435d5ab1c3f7bb119e39c358dff41f49caf7f799bcf82855693dd4eda2",
        ),
        (
            0,
            "f165a07f31bcecc5bcede79063fd31ab8266c54f08159e2bab8823843f1a8de3",
        ),
        (
            u64::MAX,
            "f047b2befea9938fe338fcedc0e8572b3a71888d0c05a965752e8268e8a57267",
        ),
    ] {
        both_give(lite, [0; 32], 0, b"test_block_header", nonce, digest);
    }
    let seldom = params(1, 1, 100, 4, 10);
    for (nonce, digest) in [
        (
            0,
            "721e6fb40c428dba0a2c47724e945cdf0aa6af7c4ce0ed115743557793e91ca4",
        ),
        (
            1,
            "8535da0729e07a0f572d32629c643bc90308c3fcb8bcbbf4e06f2034e1001800",
        ),
    ] {
        both_give(seldom, [0; 32], 0, &[1, 2, 3, 4], nonce, digest);
    }
    let larger = params(2, 2, 500, 4, 4);
    for (nonce, digest) in [
        (
            123_456_789,
            "78a776f33414b1fadbdefda57c2d7ebf720467476abeade83d7ebef51c2765b8",
        ),
        (
            123_456_790,
            "cbeb33796ea97d153b772be68c826aa7ff36090eeeb9cf11c17e0663ac18767d",
        ),
    ] {
        both_give(
            larger,
            [0xab; 32],
            1,
            &[0xff, 0xee, 0xdd, 0xcc],
            nonce,
            digest,
        );
    }
    both_give(
        params(1, 1, 100, 3, 0),
        [0; 32],
        0,
        b"",
        7,
        "321203e4565c0a7c52e5f330b3e0a5b860dd2f4504381ea9a7a1fa2c94129a72",
    );
    for (nonce, digest) in [
        (
            0,
            "b9d852f84cd77378c109365bed45593ff1f683cb5cea4174e7e871a8ee02832d",
        ),
        (
            42,
            "5c6aab4f5db3f3ed80af0aafb25baa90cd2f82aea3fe045b49f792101fd4dc24",
        ),
    ] {
        both_give(
            lite,
            mainnet_seed(385).0,
            385,
            &header().message(),
            nonce,
            digest,
        );
    }
}

#[test]
fn a_hash_of_the_network_is_what_the_reference_gives() {
    let seed = mainnet_seed(385);
    let filled = Dataset::filled(Params::MAINNET, &seed, 385, &NEVER).unwrap();
    let words = filled.in_memory().unwrap();
    assert_eq!(words.len(), 33_554_432);
    assert_eq!(words[0], 0x6e34_d90f_7a80_e768);
    assert_eq!(words[33_554_431], 0xac8f_1b28_032e_0eb0);
    let computed = Dataset::computed(Params::MAINNET, &seed, 385);
    let mut machine = Machine::new();
    let digests = [
        "e46a851bdc5b867a90fa5a32cc04bd3e7a46b58dd343f071497892329e7ff3df",
        "4291311b5f5dfb0137985ff73721ab124eb4cd533d6c2487fe79a9f6bc6fa47d",
    ];
    for dataset in [&filled, &computed] {
        for (nonce, digest) in [0, 42].into_iter().zip(digests) {
            let header = Header { nonce, ..header() };
            assert_eq!(header.hash(&mut machine, dataset).to_string(), digest);
        }
    }
    let lanes = machine.hash_lanes(&computed, &header().message(), [42, 1, 0, 2]);
    assert_eq!([lanes[2], lanes[0]].map(|hash| hash.to_string()), digests);
}

#[test]
fn an_epoch_has_the_seed_and_the_words_of_the_reference() {
    for (epoch, seed) in [
        (
            0,
            "b6a1b3ce0ca41ada6b752fbc8b3fd0733fc22bda13449708b635175a7eae21db",
        ),
        (
            1,
            "9862c1ad58283a410417168f7bbac84281476eeb8adf31efa0439478bea83dae",
        ),
        (
            2,
            "10857574c59a9cd0f77da9b9d0b4d1d3baf53150c54a667786d554223be3f60f",
        ),
        (
            385,
            "75077e8a86c3a190f98f19bee42ae7203a1afaf01f009a1c43d08b069c3aa6c6",
        ),
    ] {
        assert_eq!(mainnet_seed(epoch).to_string(), seed);
    }
    assert_eq!(mainnet_seed(385).fold(385), 0x2a87_f72d_a894_4dff);
    assert_eq!(EpochSeed([0xab; 32]).fold(1), 0xbe26_6521_98e5_9817);
    let zeros = EpochSeed([0; 32]);
    assert_eq!(zeros.fold(0), 0xad8c_ef2c_eb8e_6c9f);
    let dataset = Dataset::filled(Params::LITE, &zeros, 0, &NEVER).unwrap();
    let words = dataset.in_memory().unwrap();
    assert_eq!(words[..2], [0x2232_efb8_ea73_c78b, 0xd36f_4ae3_7a2b_1cc8]);
    assert_eq!(words.last(), Some(&0xf58d_2963_bcf5_a9d7));
}

#[test]
fn an_epoch_ends_with_its_last_block() {
    let of = |height| Params::MAINNET.epoch_of(height);
    assert_eq!([0, 31, 32, 12_345].map(of), [0, 0, 1, 385]);
}

#[test]
fn a_dataset_that_is_told_to_stop_is_none() {
    let stop = AtomicBool::new(true);
    assert!(Dataset::filled(Params::LITE, &EpochSeed([0; 32]), 0, &stop).is_none());
}

#[test]
fn a_target_is_compared_by_eight_bytes() {
    for (difficulty, first) in [
        (0, u64::MAX),
        (1, u64::MAX),
        (2, 0x7fff_ffff_ffff_ffff),
        (3, 0x5555_5555_5555_5555),
        (1_000, 0x0041_8937_4bc6_a7ef),
        (10_000, 0x0006_8db8_bac7_10cb),
        (u64::MAX, 1),
    ] {
        let target = target_of(difficulty);
        let text = |first: u64, rest: &str| format!("{first:016x}{}", rest.repeat(24));
        assert_eq!(target.to_string(), text(first, "ff"));
        let parsed = |text: String| text.parse::<Hash>().unwrap();
        assert!(parsed(text(first, "ff")) <= target);
        if let Some(above) = first.checked_add(1) {
            assert!(parsed(text(above, "00")) > target, "{difficulty}");
        }
    }
}

#[test]
fn a_message_is_what_the_reference_makes() {
    let message = header().message();
    let expected = format!(
        "56504f5701000000{}393000000000000000f1536500000000e8030000000000000000000000000000{}\
         09000000706f775f6d696e6572",
        "11".repeat(32),
        "33".repeat(32)
    );
    assert_eq!(hex::encode(&message), expected);
    assert_eq!(message.len(), 117);
}

#[test]
fn a_header_has_its_nonce_where_the_message_has_zeros() {
    let header = Header {
        nonce: 0x0102_0304_0506_0708,
        parent: "0102030000000000000000000000000000000000000000000000000000000000"
            .parse()
            .unwrap(),
        ..header()
    };
    let bytes = header.encode();
    assert_eq!(bytes[64..72], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(bytes[8..11], [1, 2, 3]);
    assert_eq!(header.message()[64..72], [0; 8]);
    assert_eq!(Header::parse(&bytes), Ok(header.clone()));
    let longer = [&bytes[..], b"and a block"].concat();
    assert_eq!(
        Header::parse_first(&longer),
        Ok((header, &b"and a block"[..]))
    );
    assert_eq!(Header::parse(&longer), Err(NotAHeader::Rest));
}

#[test]
fn what_is_no_header_is_refused() {
    let bytes = header().encode();
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        Header::parse(&bytes)
    };
    assert_eq!(with(0, b"vpow"), Err(NotAHeader::Magic));
    assert_eq!(with(4, &[2, 0, 0, 0]), Err(NotAHeader::Version(2)));
    assert_eq!(with(108, &[0xff]), Err(NotAHeader::Text));
    let short = Err(NotAHeader::Short);
    assert_eq!(with(104, &[10, 0, 0, 0]), short);
    assert_eq!(with(104, &[8, 0, 0, 0]), Err(NotAHeader::Rest));
    let empty = Err(NotAHeader::Miner(NotAMiner::Empty));
    assert_eq!(with(104, &[0, 0, 0, 0]), empty);
    let long = Err(NotAHeader::Miner(NotAMiner::TooLong));
    assert_eq!(with(104, &[129, 0, 0, 0]), long);
    assert_eq!(with(104, &[0xff; 4]), long);
    for length in 0..bytes.len() {
        assert_eq!(Header::parse(&bytes[..length]), short, "{length}");
    }
    assert_eq!("m".repeat(129).parse::<Miner>(), Err(NotAMiner::TooLong));
    assert!("m".repeat(128).parse::<Miner>().is_ok());
}

#[test]
fn figures_beyond_the_limits_are_refused() {
    let with = |change: fn(&mut Figures)| {
        let mut figures = Params::MAINNET.figures();
        change(&mut figures);
        Params::new(figures)
    };
    for change in [
        |figures: &mut Figures| figures.dataset_mib = 513,
        |figures: &mut Figures| figures.dataset_mib = 0,
        |figures: &mut Figures| figures.scratch_mib = 129,
        |figures: &mut Figures| figures.scratch_mib = 0,
        |figures: &mut Figures| figures.mix_iters = 1_000_001,
        |figures: &mut Figures| figures.mix_iters = 0,
        |figures: &mut Figures| figures.reads_per_iter = 9,
        |figures: &mut Figures| figures.reads_per_iter = 0,
        |figures: &mut Figures| figures.epoch_blocks = 0,
    ] {
        assert!(with(change).is_err());
    }
    let most = with(|figures| {
        figures.dataset_mib = 512;
        figures.scratch_mib = 128;
        figures.mix_iters = 1_000_000;
        figures.reads_per_iter = 8;
        figures.write_every = 1;
    });
    assert!(most.is_ok());
    assert_eq!(
        Params::new(Params::LITE.figures()),
        Ok(params(1, 1, 1_000, 4, 4))
    );
    let text = serde_json::to_string(&Params::MAINNET).unwrap();
    assert_eq!(
        serde_json::from_str::<Params>(&text).unwrap(),
        Params::MAINNET
    );
    assert!(serde_json::from_str::<Params>(&text.replace("65536", "1000001")).is_err());
}

#[test]
fn a_root_is_of_pairs_and_the_last_of_an_odd_level_twice() {
    let pair = |left: &[u8; 32], right: &[u8; 32]| -> [u8; 32] {
        blake3::hash(&[&left[..], &right[..]].concat()).into()
    };
    let [a, b, c] = [[1; 32], [2; 32], [3; 32]];
    assert_eq!(root(&[]), [0; 32]);
    assert_eq!(root(&[a]), a);
    assert_eq!(root(&[a, b]), pair(&a, &b));
    assert_eq!(root(&[a, b, c]), pair(&pair(&a, &b), &pair(&c, &c)));
    for count in 1..40u8 {
        let leaves: Vec<_> = (0..count).map(|number| [number; 32]).collect();
        let branch = branch(&leaves[1..]);
        assert_eq!(root_of_first(leaves[0], &branch), root(&leaves), "{count}");
    }
}

#[test]
fn a_machine_hashes_for_one_chain_after_another() {
    let mut machine = Machine::new();
    let seed = EpochSeed([9; 32]);
    for figures in [
        params(1, 1, 1_000, 4, 4),
        params(2, 4, 50, 1, 1),
        params(1, 1, 1_000, 4, 4),
    ] {
        let computed = Dataset::computed(figures, &seed, 3);
        let filled = Dataset::filled(figures, &seed, 3, &NEVER).unwrap();
        let hash = machine.hash(&computed, b"message", 5);
        assert_eq!(hash, machine.hash(&filled, b"message", 5));
        assert_eq!(hash, Machine::new().hash(&computed, b"message", 5));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_computed_hashes_as_what_is_filled(
        figures in (1..4u32, 1..4u32, 1..20_000u32, 1..=8u32, 0..7u32),
        seed in any::<[u8; 32]>(),
        epoch in any::<u64>(),
        message in prop::collection::vec(any::<u8>(), 0..200),
        nonces in any::<[u64; LANES]>(),
    ) {
        let (dataset, scratch, iters, reads, every) = figures;
        let params = params(dataset, scratch, iters, reads, every);
        let filled = Dataset::filled(params, &EpochSeed(seed), epoch, &NEVER).unwrap();
        let computed = Dataset::computed(params, &EpochSeed(seed), epoch);
        let mut machine = Machine::new();
        let hashes = nonces.map(|nonce| machine.hash(&filled, &message, nonce));
        prop_assert_eq!(hashes, machine.hash_lanes(&computed, &message, nonces));
        prop_assert_eq!(hashes, nonces.map(|nonce| machine.hash(&computed, &message, nonce)));
    }

    #[test]
    fn a_difficulty_is_the_largest_of_its_target(difficulty in 1..=u64::MAX) {
        let target = target_of(difficulty);
        let largest = difficulty_of(&target);
        prop_assert!(largest >= difficulty);
        prop_assert_eq!(target_of(largest), target);
        if let Some(larger) = largest.checked_add(1) {
            prop_assert!(target_of(larger) < target);
        }
        if difficulty < 1 << 32 {
            prop_assert_eq!(largest, difficulty);
        }
    }

    #[test]
    fn any_bytes_are_a_header_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let with_magic = [b"VPOW\x01\0\0\0", &bytes[..]].concat();
        for bytes in [&bytes, &with_magic] {
            if let Ok((header, rest)) = Header::parse_first(bytes) {
                let again = [&header.encode(), rest].concat();
                prop_assert_eq!(&again, bytes);
            }
        }
    }
}
