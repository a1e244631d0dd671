//! A copy of a database that is in use, and what a backup must know of it. A copy is made as of one
//! commit and beside all else; it is checked by opening it as a [`Store`].

use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::{OpenError, ReadError, Settings, Store, database::Connection, database::Database, sql};

/// A pool as it stands in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its name.
    pub name: String,
    /// The name of its coin.
    pub coin: String,
    /// The name of the coin's network.
    pub network: String,
    /// Its key.
    pub id: crate::PoolId,
}

/// Copies the SQLite database at `from`, which others may write to meanwhile, into the file `to`,
/// which must not be there. The write-ahead log of the first grows while it lasts.
pub async fn copy_sqlite(from: &Path, to: &Path) -> Result<(), ReadError> {
    let options = SqliteConnectOptions::new()
        .filename(from)
        .create_if_missing(false)
        .busy_timeout(Settings::default().busy_timeout)
        .disable_statement_logging();
    let connection = options.connect().await?;
    let mut connection = Connection::Sqlite(Box::new(connection));
    sql::query("VACUUM INTO $1")
        .bind(to.to_string_lossy().into_owned())
        .once()
        .execute(&mut connection)
        .await?;
    if let Connection::Sqlite(connection) = connection {
        connection.close().await?;
    }
    Ok(())
}

/// Whether nothing is in the PostgreSQL database at this URL.
pub async fn is_empty(url: &str) -> Result<bool, OpenError> {
    let database = Database::open(url, Settings::default()).await?;
    let mut reading = database.read().await?;
    let tables: i64 =
        sql::query("SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema()")
            .fetch_value(&mut reading)
            .await?;
    drop(reading);
    database.close().await;
    Ok(tables == 0)
}

/// The pools of a SQLite database that is not opened as a store, so that it stays as it is.
pub async fn stamps(path: &Path) -> Result<Vec<Stamp>, ReadError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .disable_statement_logging();
    let connection = options.connect().await?;
    let mut connection = Connection::Sqlite(Box::new(connection));
    let stamps = read(&mut connection).await?;
    if let Connection::Sqlite(connection) = connection {
        connection.close().await?;
    }
    Ok(stamps)
}

impl Store {
    /// The pools of the database.
    pub async fn stamps(&self) -> Result<Vec<Stamp>, ReadError> {
        let mut reading = self.database.read().await?;
        Ok(read(&mut reading).await?)
    }
}

async fn read(connection: &mut Connection) -> sqlx::Result<Vec<Stamp>> {
    let rows: Vec<(i64, String, String, String)> =
        sql::query("SELECT id, name, coin, network FROM pools ORDER BY id")
            .fetch_all(connection)
            .await?;
    let stamp = |(id, name, coin, network)| Stamp {
        name,
        coin,
        network,
        id: crate::PoolId(id),
    };
    Ok(rows.into_iter().map(stamp).collect())
}
