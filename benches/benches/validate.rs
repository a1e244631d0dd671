//! What it costs to judge a share: coinbase, merkle branch, header, hash, target, memory of what was
//! seen. A large coinbase costs what its outputs cost to hash. `make bench`

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use mining::{
    Amount, Difficulty, Job, Target, Template,
    coinbase::{Output, Payees},
    device::CoinbaseClass,
    extranonce::{Allocator, Prefix},
    job::JobTemplate,
    seen::Seen,
    share::{Reject, Rules, Submission, validate},
    template::{Room, TemplateKind, Transactions},
};
use pow::{Algorithm, Hash};

/// A branch of eleven hashes: 1,024 to 2,047 transactions.
const TRANSACTIONS: u32 = 2_000;
/// No block can be found at it.
const BITS: u32 = 0x1700_ffff;
const TIME: u32 = 1_700_000_000;

struct Bench {
    job: Job,
    prefix: Prefix,
    seen: Seen,
}

impl Bench {
    fn new(outputs: usize, algorithm: Algorithm, difficulty: Difficulty) -> Self {
        let txids: Vec<Hash> = (0..TRANSACTIONS)
            .map(|number| pow::sha256d(&number.to_le_bytes()))
            .collect();
        let template = Arc::new(Template {
            height: 900_000,
            version: 0x2000_0000,
            previous: Hash([1; 32]),
            bits: BITS,
            target: Target::from_compact(BITS).expect("a target"),
            time: TIME,
            min_time: TIME - 600,
            value: Amount::from_units(312_500_000),
            fees: Amount::ZERO,
            witness_commitment: Some(vec![0x6a; 38]),
            coinbase_flags: vec![],
            transactions: Transactions::new(String::new(), &txids),
            tail: String::new(),
            room: Room::EMPTY_BLOCK,
            kind: TemplateKind::Full,
        });
        assert_eq!(template.transactions.branch().hashes().len(), 11);
        let output = |_| Output {
            amount: Amount::from_units(1_000),
            script: vec![0x51; 22],
        };
        let payees = Payees {
            // The keeper's is the last one.
            outputs: (1..outputs).map(output).collect(),
            keeper: vec![0x51; 22],
        };
        let classes = JobTemplate::for_all_classes(&template, b"/adit/", &payees, 8, 1, algorithm)
            .expect("a coinbase for each class");
        let shared = Arc::clone(&classes[CoinbaseClass::Huge.index()]);
        assert_eq!(shared.coinbase.paid().len(), outputs);
        let allocator = Allocator::default();
        allocator.lease(0..1);
        Self {
            job: Job::new(1, shared, difficulty),
            prefix: allocator.allocate().expect("one is left"),
            seen: Seen::default(),
        }
    }

    /// Judges the share with this nonce.
    fn judge(&self, nonce: u32) -> Option<Reject> {
        let rules = Rules {
            prefix: &self.prefix,
            extranonce2_size: 8,
            version_mask: 0x1fff_e000,
            tip: 1,
            now: TIME,
            seen: &self.seen,
        };
        let submission = Submission {
            extranonce2: &[7; 8],
            ntime: TIME,
            nonce,
            version_bits: Some(0x2000),
        };
        validate(&self.job, black_box(&submission), &rules)
            .share
            .err()
    }
}

fn shares(c: &mut Criterion) {
    let mut group = c.benchmark_group("validate a share");
    for (name, outputs, algorithm) in [
        ("sha256d, 1 output", 1, Algorithm::Sha256d),
        ("sha256d, 300 outputs", 300, Algorithm::Sha256d),
        ("scrypt, 1 output", 1, Algorithm::Scrypt),
        ("scrypt, 300 outputs", 300, Algorithm::Scrypt),
    ] {
        let bench = Bench::new(outputs, algorithm, Difficulty::MAX);
        assert_eq!(bench.judge(0), Some(Reject::LowDifficulty));
        let mut nonce = 0_u32;
        group.bench_function(name, |b| {
            b.iter(|| {
                nonce = nonce.wrapping_add(1);
                bench.judge(nonce)
            });
        });
    }
    // The memory of what was seen is part of it; it is bounded, and full after some seconds.
    let bench = Bench::new(1, Algorithm::Sha256d, Difficulty::MIN);
    assert_eq!(bench.judge(0), None);
    assert_eq!(bench.judge(0), Some(Reject::Duplicate));
    let mut nonce = 0_u32;
    group.bench_function("sha256d, 1 output, accepted", |b| {
        b.iter(|| {
            nonce = nonce.wrapping_add(1);
            bench.judge(nonce)
        });
    });
}

criterion_group!(benches, shares);
criterion_main!(benches);
