//! The connections: one that writes, a few that read. Everything that differs between databases is
//! here, in `migrate`, and in the placeholders of `rows`.
//!
//! There is one writer at a time. A write that does not reach its commit takes its connection with
//! it, and the next one opens a new connection: after some errors SQLite has rolled back by itself,
//! after others it has not, and a connection that was closed is in no doubt.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, SqliteTransaction,
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{Durability, OpenError, Settings, WriteError};

/// Enough for a dashboard beside the share log; each costs a thread and 2 MB of cache.
const READERS: u32 = 4;

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

/// The memory in which the writer keeps pages: the minutes and workers of a large pool fit in.
const WRITER_CACHE_KIB: u32 = 16 << 10;

/// The first SQLite without the bug that loses committed writes.
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

/// An open database.
pub(crate) enum Database {
    Sqlite {
        writer: Mutex<Option<SqliteConnection>>,
        options: Box<SqliteConnectOptions>,
        readers: SqlitePool,
        wait: Duration,
    },
}

/// A transaction that writes. Dropped before its commit, it never was.
pub(crate) struct Writing<'d> {
    slot: MutexGuard<'d, Option<SqliteConnection>>,
    connection: SqliteConnection,
}

impl Database {
    pub(crate) async fn open(url: &str, settings: Settings) -> Result<Self, OpenError> {
        let path = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .filter(|path| !path.is_empty() && *path != ":memory:")
            .ok_or_else(|| OpenError::Url(url.to_owned()))?;
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
        let readers_options = options.clone().read_only(true).create_if_missing(false);
        let options = options.pragma("cache_size", format!("-{WRITER_CACHE_KIB}"));
        let mut writer = connect_patiently(&options, settings.busy_timeout).await?;
        check(&mut writer, level).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(READER_WAIT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(readers_options);
        Ok(Self::Sqlite {
            writer: Mutex::new(Some(writer)),
            options: Box::new(options),
            readers,
            wait: settings.busy_timeout * WRITERS_AHEAD,
        })
    }

    /// Begins to write, once all before have ended.
    pub(crate) async fn write(&self) -> Result<Writing<'_>, WriteError> {
        let mut writing = self.turn().await?;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *writing)
            .await?;
        Ok(writing)
    }

    /// One statement, which is its own transaction.
    pub(crate) async fn write_one(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<(), WriteError> {
        let mut writing = self.turn().await?;
        query
            .execute(&mut *writing)
            .await
            .map_err(WriteError::of_commit)?;
        writing.release();
        Ok(())
    }

    /// Waits for the connection that writes.
    async fn turn(&self) -> Result<Writing<'_>, WriteError> {
        let Self::Sqlite {
            writer,
            options,
            wait,
            ..
        } = self;
        let mut slot = tokio::time::timeout(*wait, writer.lock())
            .await
            .map_err(|_| WriteError::Busy)?;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => options.connect().await?,
        };
        Ok(Writing { slot, connection })
    }

    /// Begins to read: all queries of it see the same commit.
    pub(crate) async fn read(&self) -> sqlx::Result<SqliteTransaction<'static>> {
        let Self::Sqlite { readers, .. } = self;
        readers.begin().await
    }

    pub(crate) async fn close(&self) {
        let Self::Sqlite {
            writer, readers, ..
        } = self;
        readers.close().await;
        if let Some(connection) = writer.lock().await.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database did not close; its log is replayed at the next start");
        }
    }
}

impl Writing<'_> {
    /// Once this returns, what was written survives the process and, with [`Durability::Full`],
    /// the machine.
    pub(crate) async fn commit(mut self) -> Result<(), WriteError> {
        sqlx::query("COMMIT")
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
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
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

/// Checks that SQLite is what it has to be.
async fn check(connection: &mut SqliteConnection, level: i64) -> Result<(), OpenError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut *connection)
        .await?;
    if !is_safe(&version) {
        return Err(OpenError::OldSqlite(version));
    }
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut *connection)
        .await?;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&mut *connection)
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
    use super::is_safe;

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
