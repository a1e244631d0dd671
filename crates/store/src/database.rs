//! The connections: one that writes, a few that read. Everything that differs between databases is
//! here, in `migrate`, and in the placeholders of `rows`.
//!
//! There is one writer at a time, on SQLite by its lock and on PostgreSQL by one that every write
//! takes. A write that does not reach its commit takes its connection with it, and the next one opens
//! a new connection: after some errors a database has rolled back by itself, after others it has not,
//! and a connection that was closed is in no doubt.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
    time::Duration,
};

use rustix::process::{Pid, setpriority_process};
use sqlx::{
    ConnectOptions, Connection as _, PgConnection, PgPool, PgTransaction, SqliteConnection,
    SqlitePool, SqliteTransaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    Durability, OpenError, Settings, WriteError,
    sql::{self, Query},
};

/// Enough for a dashboard beside the share log; each costs a thread and 2 MB of cache.
const READERS: u32 = 4;

/// What the threads of readers are called, and by how much they give way to all others: a page may come a
/// little later, the answer to a share may not.
const READER_THREAD: &str = "sqlite-reader";
const READER_NICE: i32 = 10;

/// How long a reader waits for its turn. Queries take milliseconds.
const READER_WAIT: Duration = Duration::from_secs(5);

/// How many transactions that each wait out the busy timeout a writer waits for. The share log,
/// its roll-up and the block task are all there is.
const WRITERS_AHEAD: u32 = 3;

/// The write-ahead log is cut back to this after a checkpoint, so that one long read does not
/// leave a large file behind.
const WAL_BYTES: u32 = 64 << 20;

/// The log is written back to the database whenever it has so many pages (16 MB).
const CHECKPOINT_PAGES: u32 = 4_096;

/// The memory in which the writer keeps pages. Shares pass through it and are not read again, so it
/// fills whatever its size; the pages of minutes and workers are in the cache of the system too.
const WRITER_CACHE_KIB: u32 = 4 << 10;

/// The first SQLite without the bug that loses committed writes.
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

/// The oldest PostgreSQL that is tested with.
const OLDEST_POSTGRES: i64 = 150_000;

/// What every writer of a PostgreSQL database holds until its commit; any number will do that
/// nobody else takes.
const WRITER_LOCK: i64 = 0x6164_6974;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// An open database.
pub(crate) struct Database {
    writer: Mutex<Option<Connection>>,
    options: Options,
    readers: Readers,
    /// How long a write waits for those of this process.
    wait: Duration,
}

/// How a connection that writes is made.
enum Options {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A connection, or a transaction that reads.
pub(crate) enum Connection {
    Sqlite(Box<SqliteConnection>),
    SqliteRead(SqliteTransaction<'static>),
    Postgres(Box<PgConnection>),
    PostgresRead(PgTransaction<'static>),
}

/// What statements are sent to.
pub(crate) enum Link<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// A transaction that writes. Dropped before its commit, it never was.
pub(crate) struct Writing<'d> {
    slot: MutexGuard<'d, Option<Connection>>,
    connection: Connection,
}

impl Database {
    pub(crate) async fn open(url: &str, settings: Settings) -> Result<Self, OpenError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Self::open_postgres(url, settings).await;
        }
        let path = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .filter(|path| !path.is_empty() && *path != ":memory:")
            .ok_or(OpenError::Url)?;
        let (synchronous, level) = match settings.durability {
            Durability::Full => (SqliteSynchronous::Full, 2),
            Durability::Normal => (SqliteSynchronous::Normal, 1),
        };
        let options = SqliteConnectOptions::new()
            .filename(Path::new(path))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(settings.busy_timeout)
            .pragma("journal_size_limit", WAL_BYTES.to_string())
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
            .disable_statement_logging();
        let readers_options = options
            .clone()
            .read_only(true)
            .create_if_missing(false)
            .thread_name(|_| READER_THREAD.to_owned());
        let options = options.pragma("cache_size", format!("-{WRITER_CACHE_KIB}"));
        let writer = connect_patiently(&options, settings.busy_timeout).await?;
        let mut writer = Connection::Sqlite(Box::new(writer));
        check(&mut writer, level).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(READER_WAIT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(|_, _| {
                readers_give_way();
                Box::pin(async { Ok(()) })
            })
            .connect_lazy_with(readers_options);
        Ok(Self {
            writer: Mutex::new(Some(writer)),
            options: Options::Sqlite(Box::new(options)),
            readers: Readers::Sqlite(readers),
            wait: settings.busy_timeout * WRITERS_AHEAD,
        })
    }

    async fn open_postgres(url: &str, settings: Settings) -> Result<Self, OpenError> {
        let options: PgConnectOptions = url.parse().map_err(|_| OpenError::Url)?;
        let synchronous = match settings.durability {
            Durability::Full => "on",
            Durability::Normal => "off",
        };
        let wait_ms = settings.busy_timeout.as_millis().to_string();
        let options = options
            .application_name("adit")
            .options([
                ("lock_timeout", wait_ms.as_str()),
                ("synchronous_commit", synchronous),
            ])
            .disable_statement_logging();
        let writer = options.connect().await?;
        let mut writer = Connection::Postgres(Box::new(writer));
        let version: i64 = sql::query("SELECT current_setting('server_version_num')::bigint")
            .fetch_value(&mut writer)
            .await?;
        if version < OLDEST_POSTGRES {
            return Err(OpenError::Broken(format!(
                "PostgreSQL {} is too old; 15 is the first that is tested with",
                version / 10_000
            )));
        }
        let readers = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(READER_WAIT)
            .connect_lazy_with(options.clone());
        Ok(Self {
            writer: Mutex::new(Some(writer)),
            options: Options::Postgres(Box::new(options)),
            readers: Readers::Postgres(readers),
            wait: settings.busy_timeout * WRITERS_AHEAD,
        })
    }

    /// Which database it is.
    pub(crate) fn kind(&self) -> Kind {
        match self.options {
            Options::Sqlite(_) => Kind::Sqlite,
            Options::Postgres(_) => Kind::Postgres,
        }
    }

    /// Begins to write, once all before have ended.
    pub(crate) async fn write(&self) -> Result<Writing<'_>, WriteError> {
        let mut writing = self.turn().await?;
        match self.kind() {
            Kind::Sqlite => sql::query("BEGIN IMMEDIATE").execute(&mut writing).await?,
            Kind::Postgres => {
                sql::query("BEGIN").execute(&mut writing).await?;
                sql::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(WRITER_LOCK)
                    .execute(&mut writing)
                    .await?
            }
        };
        Ok(writing)
    }

    /// One statement, which is its own transaction.
    pub(crate) async fn write_one(&self, query: Query) -> Result<(), WriteError> {
        let mut writing = match self.kind() {
            Kind::Sqlite => self.turn().await?,
            Kind::Postgres => {
                let mut writing = self.write().await?;
                query.execute(&mut writing).await?;
                return writing.commit().await;
            }
        };
        query
            .execute(&mut writing)
            .await
            .map_err(WriteError::of_commit)?;
        writing.release();
        Ok(())
    }

    /// Waits for the connection that writes.
    async fn turn(&self) -> Result<Writing<'_>, WriteError> {
        let mut slot = tokio::time::timeout(self.wait, self.writer.lock())
            .await
            .map_err(|_| WriteError::Busy)?;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => match &self.options {
                Options::Sqlite(options) => Connection::Sqlite(Box::new(options.connect().await?)),
                Options::Postgres(options) => {
                    Connection::Postgres(Box::new(options.connect().await?))
                }
            },
        };
        Ok(Writing { slot, connection })
    }

    /// Begins to read: all queries of it see the same commit.
    pub(crate) async fn read(&self) -> sqlx::Result<Connection> {
        match &self.readers {
            Readers::Sqlite(readers) => Ok(Connection::SqliteRead(readers.begin().await?)),
            Readers::Postgres(readers) => {
                let one_commit = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Ok(Connection::PostgresRead(
                    readers.begin_with(one_commit).await?,
                ))
            }
        }
    }

    pub(crate) async fn close(&self) {
        match &self.readers {
            Readers::Sqlite(readers) => readers.close().await,
            Readers::Postgres(readers) => readers.close().await,
        }
        let closed = match self.writer.lock().await.take() {
            Some(Connection::Sqlite(connection)) => connection.close().await,
            Some(Connection::Postgres(connection)) => connection.close().await,
            _ => Ok(()),
        };
        if let Err(error) = closed {
            tracing::warn!(%error, "the database did not close; its log is replayed at the next start");
        }
    }
}

impl Connection {
    pub(crate) fn link(&mut self) -> Link<'_> {
        match self {
            Self::Sqlite(connection) => Link::Sqlite(connection),
            Self::SqliteRead(reading) => Link::Sqlite(reading),
            Self::Postgres(connection) => Link::Postgres(connection),
            Self::PostgresRead(reading) => Link::Postgres(reading),
        }
    }

    /// Which database it is of.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) | Self::SqliteRead(_) => Kind::Sqlite,
            Self::Postgres(_) | Self::PostgresRead(_) => Kind::Postgres,
        }
    }
}

impl Writing<'_> {
    /// Once this returns, what was written survives the process and, with [`Durability::Full`],
    /// the machine.
    pub(crate) async fn commit(mut self) -> Result<(), WriteError> {
        sql::query("COMMIT")
            .execute(&mut self.connection)
            .await
            .map_err(WriteError::of_commit)?;
        self.release();
        Ok(())
    }

    /// The connection is in order, and the next writer's.
    fn release(mut self) {
        *self.slot = Some(self.connection);
    }
}

impl Deref for Writing<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Connects. The change to the WAL of a new database does not wait for a lock by itself.
async fn connect_patiently(
    options: &SqliteConnectOptions,
    patience: Duration,
) -> Result<SqliteConnection, OpenError> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match options.connect().await.map_err(OpenError::from) {
            Err(OpenError::Busy) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
}

/// Lowers the priority of the threads that read. Where threads cannot be told apart so, or it may not be, they
/// stay as all others.
fn readers_give_way() {
    let tasks = std::fs::read_dir("/proc/self/task");
    for task in tasks.into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm"));
        if !name.is_ok_and(|name| name.trim_end() == READER_THREAD) {
            continue;
        }
        let id = task.file_name().to_string_lossy().parse();
        if let Some(thread) = id.ok().and_then(Pid::from_raw) {
            // What it costs is time alone.
            let _ = setpriority_process(Some(thread), READER_NICE);
        }
    }
}

/// Checks that SQLite is what it has to be.
async fn check(connection: &mut Connection, level: i64) -> Result<(), OpenError> {
    let version: String = sql::query("SELECT sqlite_version()")
        .fetch_value(connection)
        .await?;
    if !is_safe(&version) {
        return Err(OpenError::OldSqlite(version));
    }
    let journal: String = sql::query("PRAGMA journal_mode")
        .fetch_value(connection)
        .await?;
    let synchronous: i64 = sql::query("PRAGMA synchronous")
        .fetch_value(connection)
        .await?;
    if journal != "wal" || synchronous != level {
        let found = format!("journal_mode {journal}, synchronous {synchronous}");
        return Err(OpenError::Broken(format!(
            "{found}: no write-ahead log on this file system"
        )));
    }
    Ok(())
}

fn is_safe(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    let mut next = || parts.next().and_then(Result::ok);
    match (next(), next(), next()) {
        (Some(major), Some(minor), Some(patch)) => [major, minor, patch] >= OLDEST_SQLITE,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_reads_gives_way_to_who_writes() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("pool.db").display());
        let database = Database::open(&url, Settings::default()).await.unwrap();
        let (first, second) = (database.read().await, database.read().await);
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let nices: Vec<(String, String)> = tasks
            .filter_map(|task| {
                let path = task.unwrap().path();
                // Those of other tests may be gone by now.
                let name = std::fs::read_to_string(path.join("comm")).ok()?;
                let stat = std::fs::read_to_string(path.join("stat")).ok()?;
                let (_, fields) = stat.rsplit_once(')').unwrap();
                let nice = fields.split_whitespace().nth(16).unwrap();
                Some((name.trim_end().to_owned(), nice.to_owned()))
            })
            .collect();
        let here = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let here = here.rsplit_once(')').unwrap().1;
        let usual = here.split_whitespace().nth(16).unwrap();
        let of = |wanted: &str| -> Vec<&str> {
            let found = nices.iter().filter(|(name, _)| name.starts_with(wanted));
            found.map(|(_, nice)| nice.as_str()).collect()
        };
        let readers = of(READER_THREAD);
        assert!(readers.len() >= 2, "{nices:?}");
        assert!(readers.iter().all(|nice| *nice == "10"), "{nices:?}");
        let writers = of("sqlx-sqlite");
        assert!(!writers.is_empty(), "{nices:?}");
        assert!(writers.iter().all(|nice| *nice == usual), "{nices:?}");
        drop((first, second));
        database.close().await;
    }

    #[test]
    fn sqlite_with_the_wal_reset_bug_is_refused() {
        for version in [
            "3.51.2", "3.50.9", "3.7.0", "2.99.99", "", "3.51", "3.51.x", "new",
        ] {
            assert!(!is_safe(version), "{version}");
        }
        for version in ["3.51.3", "3.51.10", "3.52.0", "4.0.0", "3.51.3.1"] {
            assert!(is_safe(version), "{version}");
        }
    }
}
