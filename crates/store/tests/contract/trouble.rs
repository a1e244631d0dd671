//! A database that is locked, full or damaged: nothing is half-written, and all goes on after it.

use std::{process::Command, time::Duration};

use sqlx::{Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use store::{Durability, Integrity, Settings, Store, WriteError};
use tokio::task::JoinHandle;

use super::{Place, contract, pool, share, shares, worker};

contract!(
    writes_wait_for_another_writer,
    a_writer_that_never_ends_is_told,
    a_write_that_was_given_up_leaves_nothing,
    a_store_recovers_from_a_broken_table,
);

/// A connection of someone else.
enum Stranger {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Stranger {
    async fn connect(place: &Place) -> Self {
        match place {
            Place::Sqlite { dir } => {
                let options = SqliteConnectOptions::new().filename(dir.path().join("pool.db"));
                Self::Sqlite(SqliteConnection::connect_with(&options).await.unwrap())
            }
            Place::Postgres { url } => Self::Postgres(PgConnection::connect(url).await.unwrap()),
        }
    }

    async fn try_execute(&mut self, sql: &'static str) -> sqlx::Result<()> {
        let sql = sqlx::raw_sql(sql);
        match self {
            Self::Sqlite(connection) => sql.execute(connection).await.map(drop),
            Self::Postgres(connection) => sql.execute(connection).await.map(drop),
        }
    }

    async fn execute(&mut self, sql: &'static str) {
        self.try_execute(sql).await.unwrap();
    }
}

/// Whether the database refuses a statement of someone else.
pub(crate) async fn refused(place: &Place, sql: &'static str) -> bool {
    Stranger::connect(place)
        .await
        .try_execute(sql)
        .await
        .is_err()
}

pub(crate) async fn execute(place: &Place, sql: &'static str) {
    let mut stranger = Stranger::connect(place).await;
    stranger.execute(sql).await;
    match stranger {
        Stranger::Sqlite(connection) => connection.close().await.unwrap(),
        Stranger::Postgres(connection) => connection.close().await.unwrap(),
    }
}

/// Keeps all others from writing until it rolls back.
async fn lock(place: &Place) -> Stranger {
    let mut stranger = Stranger::connect(place).await;
    stranger
        .execute(match place {
            Place::Sqlite { .. } => "BEGIN IMMEDIATE",
            // What every writer of a store takes.
            Place::Postgres { .. } => "BEGIN; SELECT pg_advisory_xact_lock(1633970548)",
        })
        .await;
    stranger
}

/// A store that waits as long for other writers.
async fn waiting(place: &Place, busy_timeout: Duration) -> Store {
    let settings = Settings {
        busy_timeout,
        durability: Durability::Normal,
    };
    Store::open_with(&place.url(), settings).await.unwrap()
}

async fn writes_wait_for_another_writer(place: Place) {
    let store = waiting(&place, Duration::from_secs(60)).await;
    let pool = pool(&store).await;
    let rig = worker("rig");
    let mut held = lock(&place).await;
    let written: Vec<_> = (0..5)
        .map(|i| {
            let (store, row) = (store.clone(), share(i, &rig));
            tokio::spawn(async move { store.append_shares(pool, &[row]).await.unwrap() })
        })
        .collect();
    // Whoever reads does not wait.
    assert_eq!(store.pool_total(pool).await.unwrap().shares, 0);
    tokio::time::sleep(Duration::from_millis(1400)).await;
    assert!(!written.iter().any(JoinHandle::is_finished));
    held.execute("ROLLBACK").await;
    for task in written {
        task.await.unwrap();
    }
    assert_eq!(store.pool_total(pool).await.unwrap().shares, 5);
}

async fn a_writer_that_never_ends_is_told(place: Place) {
    let store = waiting(&place, Duration::from_millis(100)).await;
    let pool = pool(&store).await;
    let mut held = lock(&place).await;
    let batch = shares(0..700, &worker("rig"));
    assert_eq!(
        store.append_shares(pool, &batch).await,
        Err(WriteError::Busy)
    );
    assert_eq!(store.lease_extranonce(pool, 1).await, Err(WriteError::Busy));
    assert_eq!(store.pool_total(pool).await.unwrap().shares, 0);
    held.execute("ROLLBACK").await;
    store.append_shares(pool, &batch).await.unwrap();
    assert_eq!(
        store.workers(pool, None, &[], None, 9).await.unwrap().len(),
        1
    );
}

async fn a_write_that_was_given_up_leaves_nothing(place: Place) {
    let (store, pool) = place.pool().await;
    for round in 0..20_u64 {
        let batch = shares(
            round * 2000..(round + 1) * 2000,
            &worker(&round.to_string()),
        );
        let write = store.append_shares(pool, &batch);
        let given_up = tokio::time::timeout(Duration::from_micros(300 * round), write).await;
        let stored = store.pool_total(pool).await.unwrap().shares;
        assert_eq!(stored % 2000, 0);
        if given_up.is_ok() {
            assert!(stored > 0);
        }
        // All of the batch or nothing, and the next one is written as if nothing had been.
        let before = stored;
        store.append_shares(pool, &batch).await.unwrap();
        let after = store.pool_total(pool).await.unwrap().shares;
        assert!(
            after == before + 2000 || after == before + 4000,
            "{before} {after}"
        );
    }
}

async fn a_store_recovers_from_a_broken_table(place: Place) {
    let (store, pool) = place.pool().await;
    let batch = shares(0..10, &worker("rig"));
    execute(&place, "ALTER TABLE share_batches RENAME TO lost").await;
    for _ in 0..3 {
        let broken = store.append_shares(pool, &batch).await;
        assert!(matches!(broken, Err(WriteError::Broken(_))), "{broken:?}");
    }
    execute(&place, "ALTER TABLE lost RENAME TO share_batches").await;
    store.append_shares(pool, &batch).await.unwrap();
    // The worker of the batch that failed was not kept in memory with an id that is not there.
    assert_eq!(store.integrity_check().await.unwrap(), Integrity::Whole);
}

const FULL_DISK: &str = "ADIT_TEST_FULL_DISK";

/// Runs itself on a file system of 2 MB, which needs the right to mount one.
#[test]
fn a_full_disk_refuses_and_recovers() {
    if let Some(dir) = std::env::var_os(FULL_DISK) {
        let dir = tempfile::tempdir_in(dir).unwrap();
        tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(fill(Place::Sqlite { dir }));
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c"])
        .arg("mount -t tmpfs -o size=2m tmpfs \"$1\" || exit 77; exec \"$2\" --exact \"$3\" --nocapture")
        .arg("sh")
        .arg(disk.path())
        .arg(test)
        .arg("trouble::a_full_disk_refuses_and_recovers")
        .env(FULL_DISK, disk.path())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        }
        Ok(output) if output.status.code() != Some(101) => {
            eprintln!("skipped: a file system cannot be mounted here");
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("skipped: no unshare: {error}"),
    }
}

async fn fill(place: Place) {
    let Place::Sqlite { dir } = &place else {
        unreachable!("a file is what fills the disk");
    };
    let (store, pool) = place.pool().await;
    let rig = worker("rig");
    let ballast = dir.path().join("ballast");
    let mut stored = 0;
    for round in 0..3_u64 {
        let size = 900_000 - 300_000 * usize::try_from(round).unwrap();
        std::fs::write(&ballast, vec![1; size]).unwrap();
        let mut next = round * 1_000_000;
        loop {
            match store
                .append_shares(pool, &shares(next..next + 500, &rig))
                .await
            {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error, WriteError::Full);
                    break;
                }
            }
            next += 500;
            stored += 500;
        }
        // It stays refused, and what was answered stays stored.
        for _ in 0..3 {
            let again = store
                .append_shares(pool, &shares(next..next + 500, &rig))
                .await;
            assert_eq!(again, Err(WriteError::Full));
        }
        assert_eq!(store.pool_total(pool).await.unwrap().shares, stored);
        std::fs::remove_file(&ballast).unwrap();
        store
            .append_shares(pool, &shares(next..next + 100, &rig))
            .await
            .unwrap();
        stored += 100;
    }
    assert!(stored > 1000);
    assert_eq!(store.pool_total(pool).await.unwrap().shares, stored);
    assert_eq!(store.integrity_check().await.unwrap(), Integrity::Whole);
}
