//! What it costs to keep a share: batches into the store, and single shares through the share log,
//! each with the flush to the disk that comes before the answer. `make bench`

use std::{future::poll_fn, hint::black_box, sync::Arc};

use adit::{
    mailbox::{Mailboxes, Outcome},
    share_log::{self, Config, Entry},
    tasks::Tasks,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mining::{Network, Work};
use store::{PoolId, ShareRecord, ShareRow, Store, WorkerName};
use tokio::runtime::Runtime;

/// The shares that a connection of the bench has under way.
const IN_FLIGHT: usize = 1_000;

struct Place {
    _dir: tempfile::TempDir,
    store: Store,
    pool: PoolId,
    workers: Vec<Arc<WorkerName>>,
    number: u64,
}

impl Place {
    fn new(runtime: &Runtime) -> Self {
        let dir = tempfile::tempdir().expect("a directory for the bench");
        let url = format!("sqlite:{}", dir.path().join("pool.db").display());
        let coin = "bitcoin".parse().expect("bitcoin is in the table");
        let (store, pool) = runtime.block_on(async {
            let store = Store::open(&url).await.expect("a new database opens");
            let pool = store
                .pool("bench", coin, Network::Regtest)
                .await
                .expect("a new pool");
            (store, pool)
        });
        let worker = |number: u32| WorkerName::new("bcrt1qbench", &number.to_string());
        let workers = (0..1_000)
            .map(|i| Arc::new(worker(i).expect("a short name")))
            .collect();
        Self {
            _dir: dir,
            store,
            pool,
            workers,
            number: 0,
        }
    }

    /// A share as it comes: of any worker, with a hash like any other.
    fn share(&mut self) -> ShareRow {
        self.number += 1;
        let hash = pow::sha256d(&self.number.to_le_bytes());
        let time_ms = i64::try_from(self.number / 100).expect("the bench ends before");
        let share = ShareRecord::new(hash, Work::from_hashes(1 << 32), 1, time_ms);
        let index = usize::from(hash.0[0]) << 2 | usize::from(hash.0[1] & 3);
        ShareRow {
            scheme: mining::Scheme::Pplns,
            share: share.expect("less than 2^63"),
            worker: Arc::clone(&self.workers[index % self.workers.len()]),
        }
    }
}

fn append(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut group = c.benchmark_group("append a batch to the store");
    for size in [1_usize, 256, 1_000, 4_096] {
        let mut place = Place::new(&runtime);
        let (store, pool) = (place.store.clone(), place.pool);
        group.throughput(Throughput::Elements(
            u64::try_from(size).expect("a small number"),
        ));
        group.bench_function(size.to_string(), |b| {
            b.iter_batched(
                || (0..size).map(|_| place.share()).collect::<Vec<_>>(),
                |rows| runtime.block_on(store.append_shares(pool, black_box(&rows))),
                BatchSize::LargeInput,
            );
        });
    }
}

fn log(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut place = Place::new(&runtime);
    let (tasks, _failures) = Tasks::new();
    let log = runtime.block_on(async {
        share_log::start(place.store.clone(), place.pool, Config::default(), &tasks)
    });
    let mailbox = Mailboxes::default().enter([127, 0, 0, 1].into());
    let mut answered = 0;
    let mut group = c.benchmark_group("answer shares");
    group.throughput(Throughput::Elements(
        u64::try_from(IN_FLIGHT).expect("a small number"),
    ));
    group.bench_function("1000 in flight", |b| {
        b.iter(|| {
            runtime.block_on(async {
                for _ in 0..IN_FLIGHT {
                    let ShareRow { share, worker, .. } = place.share();
                    log.append(Entry {
                        scheme: mining::Scheme::Pplns,
                        share,
                        worker,
                        block: None,
                        mailbox: mailbox.share(),
                    });
                }
                let all = answered + u64::try_from(IN_FLIGHT).expect("a small number");
                while answered < all {
                    poll_fn(|context| mailbox.poll_take(context)).await;
                    for outcome in mailbox.answers(answered) {
                        assert_eq!(outcome, Outcome::Accepted);
                        answered += 1;
                    }
                }
            });
        });
    });
}

criterion_group!(benches, append, log);
criterion_main!(benches);
