//! The schema, and how a database comes to it: one migration, one transaction, which also notes
//! its number. Killed at any instant, a database has a migration or has not.
//!
//! A migration that was published is never changed; what is to change is a new one.

use crate::{
    OpenError,
    database::{Connection, Database, Kind},
    sql,
};

/// All migrations; the first has number 1.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_shares_and_blocks.sql"),
    include_str!("../migrations/0002_bans.sql"),
    include_str!("../migrations/0003_share_batches.sql"),
];

/// Brings the database to the newest schema, or refuses one from the future.
pub(crate) async fn migrate(database: &Database) -> Result<(), OpenError> {
    let known = i64::try_from(MIGRATIONS.len()).expect("migrations are few");
    loop {
        let mut writing = database.write().await?;
        // Read inside the transaction: another process may be at it too.
        let found = version(&mut writing).await?;
        if found > known {
            return Err(OpenError::NewerSchema { found, known });
        }
        let next = usize::try_from(found)
            .ok()
            .and_then(|done| MIGRATIONS.get(done));
        let Some(migration) = next else {
            return Ok(writing.commit().await?);
        };
        let text = for_kind(migration, writing.kind());
        sql::script(text, &mut writing).await?;
        sql::query("INSERT INTO schema_version (version) VALUES ($1)")
            .bind(found + 1)
            .execute(&mut writing)
            .await?;
        writing.commit().await?;
        tracing::info!(version = found + 1, "schema migrated");
    }
}

async fn version(connection: &mut Connection) -> sqlx::Result<i64> {
    sql::query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)")
        .execute(connection)
        .await?;
    sql::query("SELECT COALESCE(MAX(version), 0) FROM schema_version")
        .fetch_value(connection)
        .await
}

/// PostgreSQL has other names for two types; nothing else differs.
fn for_kind(migration: &str, kind: Kind) -> String {
    match kind {
        Kind::Sqlite => migration.to_owned(),
        Kind::Postgres => migration
            .replace("INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY")
            .replace("BLOB", "BYTEA"),
    }
}
