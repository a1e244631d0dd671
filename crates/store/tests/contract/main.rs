//! What every database has to do, as functions over a place where one can be opened. `contract!`
//! makes a test of each for SQLite and one for PostgreSQL, for which `scripts/postgres` starts a server.

// A test may spawn what it waits for itself.
#![allow(clippy::disallowed_methods)]

mod alerts;
mod api_keys;
mod bans;
mod blocks;
mod by_hand;
mod extranonce;
mod fee_terms;
mod figures;
mod identity;
mod killed;
mod ledger;
mod luck;
mod miners;
mod open_round;
mod payouts;
mod ranking;
mod receipts;
mod rounds;
mod settings;
mod share_credits;
mod shares;
mod trouble;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use mining::{Coin, Network, Scheme, Work};
use pow::Hash;
use sqlx::Connection as _;
use store::{PoolId, ShareRecord, ShareRow, Store, WorkerName};

/// A place for one database.
enum Place {
    /// A file, removed with this.
    Sqlite { dir: tempfile::TempDir },
    /// A database of a server that goes when the tests do.
    Postgres { url: String },
}

impl Place {
    fn sqlite() -> Self {
        Self::Sqlite {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Makes a database on the server that `scripts/postgres` has started.
    async fn postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("ADIT_TEST_POSTGRES")
            .expect("a PostgreSQL server: scripts/postgres starts one around a command");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
        let text = format!("CREATE DATABASE {name}");
        let made = sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut connection);
        made.await.unwrap();
        connection.close().await.unwrap();
        Self::Postgres {
            url: server.replace("/postgres?", &format!("/{name}?")),
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Sqlite { dir } => format!("sqlite:{}", dir.path().join("pool.db").display()),
            Self::Postgres { url } => url.clone(),
        }
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
        scheme: Scheme::Pplns,
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

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::Place::postgres().await).await;
                }
            )*
        }
    };
}
use contract;
