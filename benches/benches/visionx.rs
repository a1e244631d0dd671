//! What VisionX costs with the network's figures: as defined, in memory, and with words that are computed when
//! they are read; and what the machine's memory allows a hash that fills its scratch.

use std::{
    hint::black_box,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pow::visionx::{Dataset, EpochSeed, LANES, Machine, Params};

const MESSAGE: [u8; 117] = [7; 117];
/// Words of a dataset of 256 MiB.
const WORDS: usize = 1 << 25;
/// Reads of a filled scratch's words: two for each.
const FILL_READS: u32 = 1 << 23;
/// Reads of a walk, each of which waits for the one before.
const WALK_READS: u32 = 1 << 18;

fn seed() -> EpochSeed {
    EpochSeed::of("mainnet", &[0; 32], 385)
}

fn filled() -> Dataset {
    let never = AtomicBool::new(false);
    Dataset::filled(Params::MAINNET, &seed(), 385, &never).expect("nobody stops it")
}

fn hashes(c: &mut Criterion) {
    let mut group = c.benchmark_group("VisionX");
    group.sample_size(10);
    group.bench_function("a dataset in memory", |b| b.iter(filled));
    let mut machine = Machine::new();
    let mut nonce = 0;
    {
        let dataset = filled();
        group.throughput(Throughput::Elements(1));
        group.bench_function("a hash, in memory", |b| {
            b.iter(|| {
                nonce += 1;
                machine.hash(&dataset, black_box(&MESSAGE), nonce)
            });
        });
    }
    for (name, params) in [("", Params::MAINNET), (", lite", Params::LITE)] {
        let dataset = Arc::new(Dataset::computed(params, &seed(), 385));
        let mut machine = Machine::new();
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("a hash, computed{name}"), |b| {
            b.iter(|| {
                nonce += 1;
                machine.hash(&dataset, black_box(&MESSAGE), nonce)
            });
        });
        let lanes = u64::try_from(LANES).expect("it is small");
        group.throughput(Throughput::Elements(lanes));
        group.bench_function(
            format!("{LANES} hashes side by side, computed{name}"),
            |b| {
                b.iter(|| {
                    nonce += lanes;
                    machine.hash_lanes(&dataset, black_box(&MESSAGE), nonces(nonce))
                });
            },
        );
        group.throughput(Throughput::Elements(2 * 5 * lanes));
        group.bench_function(format!("two threads of them, computed{name}"), |b| {
            b.iter(|| {
                nonce += 10 * lanes;
                thread::scope(|scope| {
                    for thread in 0..2 {
                        let dataset = dataset.clone();
                        scope.spawn(move || {
                            let mut machine = Machine::new();
                            for round in 0..5 {
                                let first = nonce + (thread * 5 + round) * lanes;
                                black_box(machine.hash_lanes(&dataset, &MESSAGE, nonces(first)));
                            }
                        });
                    }
                });
            });
        });
    }
    group.finish();
}

/// As many random reads as a hash in memory makes, and nothing else.
fn memory(c: &mut Criterion) {
    let mut group = c.benchmark_group("random reads of 8 bytes from 256 MiB, usual pages");
    group.sample_size(10);
    let words: Vec<u64> = (0..).take(WORDS).collect();
    let mask = WORDS - 1;
    group.throughput(Throughput::Elements(u64::from(FILL_READS)));
    group.bench_function("that wait for nothing: what fills a scratch", |b| {
        b.iter(|| {
            let mut at = 1_usize;
            let mut sum = 0_u64;
            for _ in 0..FILL_READS {
                at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                sum ^= words[(at >> 33) & mask];
            }
            sum
        });
    });
    // Each says where the next one is, and none of them where the one before did.
    let words: Vec<usize> = (0..WORDS >> 3)
        .map(|number: usize| number.wrapping_mul(6_364_136_223_846_793_005) >> 20)
        .collect();
    let mask = words.len() - 1;
    group.throughput(Throughput::Elements(u64::from(WALK_READS)));
    group.bench_function("from 32 MiB, each after the one before: a walk", |b| {
        b.iter(|| {
            let mut at = 1_usize;
            for read in 0..WALK_READS {
                at = words[at & mask] ^ read as usize;
            }
            at
        });
    });
    group.finish();
}

fn nonces(first: u64) -> [u64; LANES] {
    let mut next = first;
    [(); LANES].map(|()| {
        next += 1;
        next
    })
}

criterion_group!(benches, hashes, memory);
criterion_main!(benches);
