//! What VisionX costs with the network's figures: as defined, in memory, and with words that are computed when
//! they are read; what the machine's memory allows a hash that fills its scratch; and how many shares of 500
//! connections a verifier of one thread judges, beside as many bare hashes.

use std::{
    hint::black_box,
    net::Ipv4Addr,
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::Duration,
};

use adit::{
    tasks::Tasks,
    verifier::{self, Job, Origin, Plan, Verdict, Verifier},
};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use pow::{
    Hash,
    visionx::{Dataset, EpochSeed, LANES, Machine, Params},
};
use tokio::runtime::Runtime;

const MESSAGE: [u8; 117] = [7; 117];
/// Words of a dataset of 256 MiB.
const WORDS: usize = 1 << 25;
/// Reads of a filled scratch's words: two for each.
const FILL_READS: u32 = 1 << 23;
/// Reads of a walk, each of which waits for the one before.
const WALK_READS: u32 = 1 << 18;
const CONNECTIONS: u64 = 500;
/// Shares that wait at a time: enough that the thread never waits for one.
const SHARES: u64 = 100;

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

/// What is between the two is what queue, fairness and checks cost.
fn verified(c: &mut Criterion) {
    let mut group = c.benchmark_group("VisionX, verified");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(10))
        .throughput(Throughput::Elements(SHARES));
    let dataset = Arc::new(Dataset::computed(Params::MAINNET, &seed(), 385));
    let mut nonce = 0;
    let mut machine = Machine::new();
    group.bench_function("bare hashes", |b| {
        b.iter(|| {
            for _ in 0..SHARES {
                nonce += 1;
                black_box(machine.hash(&dataset, black_box(&MESSAGE), nonce));
            }
        });
    });
    let runtime = Runtime::new().expect("a runtime");
    let (tasks, _) = Tasks::new();
    let plan = Plan::without_seeds(1, 1).expect("one is not too many");
    let verifier = runtime.block_on(async { verifier::start(plan, &tasks).expect("threads") });
    assert_eq!(plan.threads, NonZeroUsize::MIN);
    group.bench_function("a verifier of one thread, 500 connections", |b| {
        b.iter(|| runtime.block_on(verify(&verifier, &dataset, &mut nonce)));
    });
    group.finish();
    runtime.block_on(tasks.shut_down());
}

/// Hands in shares of as many connections and awaits all.
async fn verify(verifier: &Verifier, dataset: &Arc<Dataset>, nonce: &mut u64) {
    let mut pending = Vec::new();
    for _ in 0..SHARES {
        *nonce += 1;
        let connection = *nonce % CONNECTIONS;
        let host = u32::try_from(connection / 4).expect("it is small");
        let origin = Origin {
            address: Ipv4Addr::from_bits(0x0a00_0000 | host).into(),
            connection,
        };
        let claimed = Hash::default();
        let job = Job::visionx(Arc::clone(dataset), &MESSAGE, *nonce, claimed, false);
        pending.push(verifier.submit(origin, job).expect("there is room"));
    }
    for pending in pending {
        let verdict = pending.await.expect("it is verified");
        assert!(matches!(verdict, Verdict::False(_)));
    }
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

criterion_group!(benches, hashes, verified, memory);
criterion_main!(benches);
