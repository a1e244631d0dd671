//! What every database has to do, as functions over a place where one can be opened. A second kind
//! of database is a second `contract!` with its own place.

// A test may spawn what it waits for itself.
#![allow(clippy::disallowed_methods)]

mod bans;
mod blocks;
mod extranonce;
mod figures;
mod identity;
mod killed;
mod shares;
mod trouble;

use std::sync::Arc;

use mining::{Coin, Network, Work};
use pow::Hash;
use store::{PoolId, ShareRecord, ShareRow, Store, WorkerName};

/// A place for one database, removed with it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn sqlite() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.dir.path().join("pool.db").display())
    }

    /// Opens the database: another one each time, as a restart or a second process would.
    async fn open(&self) -> Store {
        Store::open(&self.url()).await.unwrap()
    }

    async fn pool(&self) -> (Store, PoolId) {
        let store = self.open().await;
        let pool = pool(&store).await;
        (store, pool)
    }
}

async fn pool(store: &Store) -> PoolId {
    store
        .pool("main", bitcoin(), Network::Regtest)
        .await
        .unwrap()
}

fn bitcoin() -> &'static Coin {
    "bitcoin".parse().unwrap()
}

/// A hash with this number in its most significant bytes.
fn hash(number: u64) -> Hash {
    let mut bytes = [0x5a; 32];
    bytes[24..].copy_from_slice(&number.to_le_bytes());
    Hash(bytes)
}

fn worker(name: &str) -> Arc<WorkerName> {
    Arc::new(WorkerName::new("bcrt1qminer", name).unwrap())
}

/// Share `number`, of work 1000 and one millisecond after the one before.
fn share(number: u64, worker: &Arc<WorkerName>) -> ShareRow {
    let time_ms = 1_800_000_000_000 + i64::try_from(number).unwrap();
    share_at(number, worker, 1000, time_ms)
}

fn share_at(number: u64, worker: &Arc<WorkerName>, work: u64, time_ms: i64) -> ShareRow {
    let share = ShareRecord::new(hash(number), Work::from_hashes(work.into()), 100, time_ms);
    ShareRow {
        share: share.unwrap(),
        worker: Arc::clone(worker),
    }
}

fn shares(numbers: std::ops::Range<u64>, worker: &Arc<WorkerName>) -> Vec<ShareRow> {
    numbers.map(|number| share(number, worker)).collect()
}

/// Runs each of these functions on a new database of each kind.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::Place::sqlite()).await;
                }
            )*
        }
    };
}
use contract;
