//! What a share of RandomX costs in light mode and in fast mode: by the bare crate, by our own virtual
//! machine, and by a verifier of one thread that 500 connections hand shares to.
//!
//! Each takes a cache of 256 MiB, or a dataset of 2 GiB that is filled first, and one after the other. Hashes
//! are of 76 bytes, as Monero's are.

use std::{
    hint::black_box,
    net::Ipv4Addr,
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use adit::{
    tasks::Tasks,
    verifier::{self, Job, Origin, Plan, Seeds, Verdict, Verifier},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pow::{
    Hash,
    randomx::{Cache, Dataset, Memory, Pages, Seed, Variant, Vm},
};
use randomx_rs::{RandomXCache, RandomXDataset, RandomXFlag, RandomXVM};
use tokio::runtime::Runtime;

const SEED: Seed = Seed([1; 32]);
const CONNECTIONS: u64 = 500;
/// Shares that wait at a time: enough that the thread never waits for one.
const SHARES: u64 = 50;

/// Blobs that differ, for a program runs as long as its blob wants.
struct Blobs([u8; 76]);

impl Blobs {
    fn next(&mut self) -> &[u8] {
        let nonce: &mut [u8; 4] = (&mut self.0[39..43]).try_into().expect("four bytes");
        *nonce = u32::from_le_bytes(*nonce).wrapping_add(1).to_le_bytes();
        &self.0
    }
}

fn light(c: &mut Criterion) {
    randomx(c, false);
}

fn fast(c: &mut Criterion) {
    randomx(c, true);
}

fn randomx(c: &mut Criterion, is_fast: bool) {
    let mode = if is_fast { "fast" } else { "light" };
    let mut group = c.benchmark_group(format!("RandomX, {mode}"));
    group.sample_size(10);
    let mut blobs = Blobs([7; 76]);
    {
        let flags = RandomXFlag::get_recommended_flags();
        let cache = RandomXCache::new(flags, &SEED.0).expect("memory");
        let vm = if is_fast {
            let dataset = RandomXDataset::new(flags, cache.clone(), 0).expect("memory");
            let flags = flags | RandomXFlag::FLAG_FULL_MEM;
            RandomXVM::new(flags, Some(cache), Some(dataset))
        } else {
            RandomXVM::new(flags, Some(cache), None)
        };
        let vm = vm.expect("memory");
        group.throughput(Throughput::Elements(1));
        group.bench_function("the bare crate", |b| {
            b.iter(|| vm.calculate_hash(black_box(blobs.next())));
        });
    }
    {
        let cache = Cache::new(Variant::Rx0, &SEED.0, Pages::Usual).expect("memory");
        let memory = if is_fast {
            let threads = NonZeroUsize::new(2).expect("above zero");
            let never = AtomicBool::new(false);
            let dataset = Dataset::new(&cache, threads, Pages::Usual, &never).expect("memory");
            Memory::Fast(Arc::new(dataset))
        } else {
            Memory::Light(Arc::new(cache))
        };
        let mut vm = Vm::new(memory, Pages::Usual).expect("memory");
        group.bench_function("our machine", |b| {
            b.iter(|| vm.hash(black_box(blobs.next())));
        });
    }
    let runtime = Runtime::new().expect("a runtime");
    let (tasks, verifier) = runtime.block_on(start(is_fast));
    let mut connection = 0;
    if is_fast {
        // It goes on light until its dataset is filled, and then a hash takes an eighth.
        let light = verifier.capacity().expect("it was measured").per_minute();
        for _ in 0..3_000 {
            if verifier.capacity().expect("it was measured").per_minute() > 4 * light {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    group.throughput(Throughput::Elements(SHARES));
    group.bench_function("a verifier of one thread, 500 connections", |b| {
        b.iter(|| runtime.block_on(verify(&verifier, &mut blobs, &mut connection)));
    });
    group.finish();
    runtime.block_on(tasks.shut_down());
}

async fn start(is_fast: bool) -> (Tasks, Verifier) {
    let (tasks, _) = Tasks::new();
    let plan = Plan {
        is_fast,
        threads: NonZeroUsize::MIN,
        pages: Pages::Usual,
        sampling: None,
        waits_for_memory: false,
    };
    let verifier = verifier::start(plan, &tasks).expect("threads");
    let seeds = Seeds {
        current: SEED,
        next: None,
    };
    verifier.want(Variant::Rx0, seeds).expect("it is computed");
    let mut prepared = verifier.prepared();
    let ready = prepared.wait_for(|seeds| seeds.contains(&SEED)).await;
    drop(ready.expect("the verifier lives"));
    (tasks, verifier)
}

/// Hands in shares of as many connections and awaits all.
async fn verify(verifier: &Verifier, blobs: &mut Blobs, connection: &mut u64) {
    let mut pending = Vec::new();
    for _ in 0..SHARES {
        *connection = (*connection + 1) % CONNECTIONS;
        let host = u32::try_from(*connection / 4).expect("it is small");
        let origin = Origin {
            address: Ipv4Addr::from_bits(0x0a00_0000 | host).into(),
            connection: *connection,
        };
        let job = Job::new(SEED, blobs.next(), Hash::default(), false).expect("it is short");
        pending.push(verifier.submit(origin, job).expect("there is room"));
    }
    for pending in pending {
        let verdict = pending.await.expect("it is verified");
        assert!(matches!(verdict, Verdict::False(_)));
    }
}

criterion_group!(benches, light, fast);
criterion_main!(benches);
