//! Jobs and shares, on a chain of small figures.

use std::{num::NonZeroU64, sync::Arc};

use pow::{
    Hash,
    visionx::{self, Header, Machine, Params},
};
use proptest::prelude::*;

use super::*;
use crate::{
    Amount, Difficulty, Target, Template as Body,
    coinbase::{Coinbase, Payees},
    device::CoinbaseClass,
    seen::Seen,
    share::Reject,
    template::{Room, TemplateKind, Transactions},
};

const TIP: u64 = 5;

fn number(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

fn template(height: u32, difficulty: u64, txids: &[Hash]) -> Arc<Template> {
    let body = Body {
        height,
        version: 0x2000_0000,
        previous: Hash([7; 32]),
        bits: 0,
        target: target_of(number(difficulty)),
        time: 1_800_000_000,
        min_time: 1_799_999_000,
        value: Amount::from_units(5_000_000_000),
        fees: Amount::ZERO,
        witness_commitment: None,
        coinbase_flags: vec![],
        transactions: Transactions::new("aa".repeat(txids.len()), txids),
        tail: String::new(),
        room: Room::EMPTY_BLOCK,
        kind: TemplateKind::Full,
    };
    let chain = Chain {
        id: "test".into(),
        genesis: [0; 32],
        params: Params::LITE,
    };
    Arc::new(Template::new(body, txids, number(difficulty), chain))
}

fn work(template: Arc<Template>) -> Arc<Work> {
    let payees = Payees {
        outputs: vec![],
        keeper: vec![0x51],
    };
    let class = CoinbaseClass::Huge;
    let coinbase = Coinbase::new(template.body(), b"/adit/", &payees, 8, class).unwrap();
    Arc::new(Work {
        template,
        coinbase,
        extranonce2_size: 8,
        tip: TIP,
        miner: "keeper".parse().unwrap(),
        split: None,
    })
}

fn job(id: u32, extranonce1: u32, network: u64, difficulty: u64) -> Job {
    let difficulty = Difficulty::from_steps(u128::from(difficulty) << 32);
    let work = work(template(40, network, &[Hash([1; 32]), Hash([2; 32])]));
    Job::new(id, work, extranonce1.to_be_bytes(), difficulty)
}

/// The first nonce whose digest is as wanted.
fn search(job: &Job, is_wanted: impl Fn(&Hash) -> bool) -> (u64, Hash) {
    let mut machine = Machine::new();
    let dataset = job.template().dataset();
    (0..100_000)
        .map(|nonce| (nonce, machine.hash(dataset, job.message(), nonce)))
        .find(|(_, digest)| is_wanted(digest))
        .unwrap()
}

#[test]
fn a_block_is_its_header_with_the_nonce_and_all_transactions() {
    let job = job(9, 3, 8, 1);
    let (nonce, digest) = search(&job, |digest| {
        job.template().body().target.is_met_by(digest)
    });
    let (text, coinbase) = job.block(nonce);
    let bytes = hex(&text);
    let (header, rest) = Header::parse_first(&bytes).unwrap();
    assert_eq!(header.nonce, nonce);
    assert_eq!((header.height, header.difficulty), (40, 8));
    assert_eq!(header.timestamp, 1_800_000_000);
    assert_eq!(header.parent, Hash([7; 32]));
    assert_eq!(header.miner.as_str(), "keeper");
    // The message has another nonce in its field, and so the same digest.
    assert_eq!(header.message(), job.message());
    let dataset = job.template().dataset();
    assert_eq!(header.hash(&mut Machine::new(), dataset), digest);
    let leaves = [coinbase.0, [1; 32], [2; 32]];
    assert_eq!(header.tx_root, visionx::root(&leaves));
    assert_eq!(rest[0], 3);
    assert_eq!(&rest[rest.len() - 2..], [0xaa, 0xaa]);
    let own = job.work.coinbase.transaction(9, [0, 0, 0, 3], &[0; 8]);
    assert_eq!(rest[1..=own.len()], own);
    assert_eq!(pow::sha256d(&own), coinbase);
}

#[test]
fn no_two_jobs_are_the_same_work() {
    let messages =
        [job(1, 1, 8, 1), job(2, 1, 8, 1), job(1, 2, 8, 1)].map(|job| job.message().to_vec());
    assert_ne!(messages[0], messages[1]);
    assert_ne!(messages[0], messages[2]);
    assert_ne!(messages[1], messages[2]);
}

#[test]
fn a_share_is_never_harder_than_a_block() {
    assert_eq!(job(1, 1, 100, 10).difficulty(), number(10));
    assert_eq!(job(1, 1, 100, 1_000).difficulty(), number(100));
    let easiest = Job::new(1, work(template(40, 100, &[])), [0; 4], Difficulty::MIN);
    assert_eq!(easiest.difficulty(), number(1));
    assert_eq!(easiest.target, Target::MAX);
}

#[test]
fn a_share_is_worth_its_difficulty_and_never_more_than_its_hash() {
    for difficulty in [1, 2, 3, 16, 20, 247] {
        let job = job(1, 1, 248, difficulty);
        let seen = Seen::of_tip(TIP, []);
        let worth = |result| {
            let claim = share::check(&job, result, TIP, &seen).unwrap();
            claim.proven(TIP).unwrap().work().hashes()
        };
        let (_, digest) = search(&job, |digest| job.target.is_met_by(digest));
        assert_eq!(worth(digest), u128::from(difficulty), "{difficulty}");
        // The target itself is met, too.
        let mut bytes = job.target.to_display_bytes();
        bytes.reverse();
        let on_it = Hash(bytes);
        let rounded = job.target.work().hashes();
        assert_eq!(worth(on_it), rounded, "{difficulty}");
        assert!(u128::from(difficulty) - rounded <= 1, "{difficulty}");
    }
}

#[test]
fn claims_are_judged_by_what_they_say() {
    let job = job(1, 1, 1_000_000, 4);
    let seen = Seen::of_tip(TIP, []);
    let (_, share) = search(&job, |digest| job.target.is_met_by(digest));
    let (_, miss) = search(&job, |digest| !job.target.is_met_by(digest));
    let check = |result, tip| share::check(&job, result, tip, &seen);
    assert_eq!(check(miss, TIP), Err(Reject::LowDifficulty));
    assert_eq!(check(share, TIP + 1), Err(Reject::Stale));
    let claim = check(share, TIP).unwrap();
    assert!(!claim.is_block);
    assert_eq!(check(share, TIP), Err(Reject::Duplicate));
    let proven = claim.proven(TIP).unwrap();
    assert_eq!(proven.work().hashes(), 4);
    assert_eq!(proven.height(), 40);
    assert_eq!(claim.proven(TIP + 1), Err(Reject::Stale));
    // A block goes on also when it is late.
    let block = Hash([0; 32]);
    let claim = check(block, TIP + 1).unwrap();
    assert!(claim.is_block);
    assert_eq!(claim.proven(TIP + 1), Err(Reject::Stale));
}

#[test]
fn an_epoch_has_a_dataset_of_its_own() {
    let [last, first] = [31, 32].map(|height| template(height, 8, &[]));
    assert_eq!((last.epoch(), first.epoch()), (0, 1));
    assert_ne!(last.seed().0, first.seed().0);
    assert!(last.is_other_work(&first) && !last.is_other_work(&last));
    assert!(last.is_other_work(&template(31, 9, &[])));
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

proptest! {
    /// VisionX's own rule: the first eight bytes are at most (2^64 - 1) / difficulty.
    #[test]
    fn a_target_is_that_of_visionx(difficulty in 1u64.., digest: [u8; 32]) {
        let target = target_of(number(difficulty));
        prop_assert_eq!(target.to_display_bytes(), {
            let mut bytes = visionx::target_of(difficulty).0;
            bytes.reverse();
            bytes
        });
        let first = u64::from_be_bytes(digest[..8].try_into().unwrap());
        let mut reversed = digest;
        reversed.reverse();
        prop_assert_eq!(target.is_met_by(&Hash(reversed)), first <= u64::MAX / difficulty);
    }
}
