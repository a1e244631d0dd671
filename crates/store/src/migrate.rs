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
const MIGRATIONS: &[Migration] = &[
    for_all(include_str!("../migrations/0001_shares_and_blocks.sql")),
    for_all(include_str!("../migrations/0002_bans.sql")),
    for_all(include_str!("../migrations/0003_share_batches.sql")),
    Migration {
        sqlite: include_str!("../migrations/0004_ledger.sqlite.sql"),
        postgres: include_str!("../migrations/0004_ledger.postgres.sql"),
        ..for_all(include_str!("../migrations/0004_ledger.sql"))
    },
    for_all(include_str!("../migrations/0005_rounds.sql")),
    for_all(include_str!("../migrations/0006_payouts.sql")),
    for_all(include_str!("../migrations/0007_settings.sql")),
    for_all(include_str!("../migrations/0008_prices.sql")),
    for_all(include_str!("../migrations/0009_drafts.sql")),
    for_all(include_str!("../migrations/0010_coinbase_payments.sql")),
    Migration {
        postgres: include_str!("../migrations/0011_transfers_at_once.postgres.sql"),
        ..for_all(include_str!("../migrations/0011_asked_payments.sql"))
    },
    for_all(include_str!("../migrations/0012_luck.sql")),
    for_all(include_str!("../migrations/0013_receipts.sql")),
    for_all(include_str!("../migrations/0014_hours.sql")),
    for_all(include_str!("../migrations/0015_alerts.sql")),
    for_all(include_str!("../migrations/0016_api_keys.sql")),
    for_all(include_str!("../migrations/0017_miner_hours.sql")),
    for_all(include_str!("../migrations/0018_hashes.sql")),
    for_all(include_str!("../migrations/0019_fee_terms.sql")),
];

struct Migration {
    /// For both databases, in the words of SQLite.
    all: &'static str,
    /// What comes behind it: triggers, which each of them writes in its own way.
    sqlite: &'static str,
    postgres: &'static str,
}

const fn for_all(all: &'static str) -> Migration {
    Migration {
        all,
        sqlite: "",
        postgres: "",
    }
}

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
        let text = migration.text(writing.kind());
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

impl Migration {
    /// PostgreSQL has other names for two types; in tables nothing else differs.
    fn text(&self, kind: Kind) -> String {
        match kind {
            Kind::Sqlite => self.all.to_owned() + self.sqlite,
            Kind::Postgres => {
                let all = self
                    .all
                    .replace("INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY");
                all.replace("BLOB", "BYTEA") + self.postgres
            }
        }
    }
}
