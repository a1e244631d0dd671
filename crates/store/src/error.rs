//! Why the store could not do what it was asked to. Each variant asks the caller for something
//! else: `Busy` can be tried again, `Full` waits for an operator, `Broken` is for the log, and what
//! was to be written with `Unknown` must not be written again.

use sqlx::{Error as SqlError, error::DatabaseError as _, sqlite::SqliteError};

/// Why something was not written. A transaction is all or nothing, and unless it says otherwise,
/// it was nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Another writer held the database for longer than the busy timeout. Try again.
    #[error("the database is locked by another writer")]
    Busy,
    /// No space is left. It works again once there is some.
    #[error("no space is left for the database")]
    Full,
    /// The commit failed in a way that does not tell whether it was one: it may have been written.
    #[error("the database failed in a commit: {0}")]
    Unknown(String),
    /// Anything else.
    #[error("the database failed: {0}")]
    Broken(String),
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// All readers were taken for too long, or the database was locked. Try again.
    #[error("the database is busy")]
    Busy,
    /// Anything else.
    #[error("the database failed: {0}")]
    Broken(String),
}

/// Why a database was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The URL names no kind of database that we know.
    /// It is not shown, as a password may be in it.
    #[error("that is no database URL; write sqlite:PATH or postgres://USER@HOST/NAME")]
    Url,
    /// SQLite before 3.51.3 can lose committed writes (<https://sqlite.org/wal.html#the_wal_reset_bug>).
    #[error("SQLite {0} can lose committed writes; 3.51.3 is the first that does not")]
    OldSqlite(String),
    /// A newer program wrote this database.
    #[error("the database has schema {found}, this program knows {known}; use the newer program")]
    NewerSchema {
        /// The version of the database.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// Another process holds it. Try again.
    #[error("the database is locked by another process")]
    Busy,
    /// Anything else.
    #[error("the database cannot be opened: {0}")]
    Broken(String),
}

/// What SQL errors come down to.
enum Fault {
    Busy,
    Full,
    Broken(String),
}

impl From<SqlError> for Fault {
    fn from(error: SqlError) -> Self {
        match &error {
            SqlError::PoolTimedOut => Self::Busy,
            SqlError::Database(of_database) => {
                if let Some(error) = of_database.try_downcast_ref::<SqliteError>() {
                    let code = error.code().and_then(|code| code.parse::<i32>().ok());
                    // https://sqlite.org/rescode.html: the low byte is the primary code.
                    return match code.map(|code| (code & 0xff, code)) {
                        // BUSY and LOCKED.
                        Some((5 | 6, _)) => Self::Busy,
                        // FULL, and IOERR_SHMSIZE: no space for the WAL's index.
                        Some((13, _) | (_, 4874)) => Self::Full,
                        _ => Self::Broken(error.to_string()),
                    };
                }
                // https://www.postgresql.org/docs/15/errcodes-appendix.html
                match of_database.code().as_deref() {
                    // Serialization, deadlock, a lock waited for too long, too many connections,
                    // and a server that starts or stops.
                    Some("40001" | "40P01" | "55P03" | "53300" | "57P01" | "57P02" | "57P03") => {
                        Self::Busy
                    }
                    Some("53100") => Self::Full,
                    _ => Self::Broken(error.to_string()),
                }
            }
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl From<SqlError> for WriteError {
    fn from(error: SqlError) -> Self {
        match Fault::from(error) {
            Fault::Busy => Self::Busy,
            Fault::Full => Self::Full,
            Fault::Broken(cause) => Self::Broken(cause),
        }
    }
}

impl WriteError {
    /// What a failed commit comes down to: if it was the disk that failed, a whole commit may be
    /// in the log, and only its flush be missing.
    pub(crate) fn of_commit(error: SqlError) -> Self {
        let disk = match &error {
            SqlError::Database(error) => match error.try_downcast_ref::<SqliteError>() {
                // IOERR and CORRUPT.
                Some(error) => error
                    .code()
                    .and_then(|code| code.parse::<i32>().ok())
                    .is_some_and(|code| matches!(code & 0xff, 10 | 11)),
                // What PostgreSQL answers to a commit is that there was none; if it does not
                // answer, nobody knows.
                None => error
                    .code()
                    .as_deref()
                    .is_some_and(|code| code.starts_with("57P")),
            },
            _ => true,
        };
        match Self::from(error) {
            Self::Broken(cause) if disk => Self::Unknown(cause),
            definite => definite,
        }
    }
}

impl From<SqlError> for ReadError {
    fn from(error: SqlError) -> Self {
        match Fault::from(error) {
            Fault::Busy => Self::Busy,
            Fault::Full => Self::Broken("no space is left for the database".into()),
            Fault::Broken(cause) => Self::Broken(cause),
        }
    }
}

impl From<SqlError> for OpenError {
    fn from(error: SqlError) -> Self {
        match WriteError::from(error) {
            WriteError::Busy => Self::Busy,
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<WriteError> for OpenError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Busy => Self::Busy,
            other => Self::Broken(other.to_string()),
        }
    }
}
