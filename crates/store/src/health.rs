//! Whether the database is well, and how large it is.

use crate::{ReadError, Store, database::Kind, rows, sql};

/// What a check of the whole database found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Nothing is wrong.
    Whole,
    /// What is wrong, the first hundred findings at most.
    Damaged(Vec<String>),
}

impl Store {
    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), ReadError> {
        let mut reading = self.database.read().await?;
        let _: i64 = sql::query("SELECT MAX(version) FROM schema_version")
            .fetch_value(&mut reading)
            .await?;
        Ok(())
    }

    /// Reads the whole database and checks it. Takes seconds per gigabyte, beside all else.
    pub async fn integrity_check(&self) -> Result<Integrity, ReadError> {
        let mut reading = self.database.read().await?;
        if reading.kind() == Kind::Postgres {
            // It checks pages as it reads them, and references as they are written.
            return Ok(Integrity::Whole);
        }
        let findings: Vec<(String,)> = sql::query("PRAGMA integrity_check(100)")
            .fetch_all(&mut reading)
            .await?;
        let mut findings: Vec<String> = findings.into_iter().map(|(finding,)| finding).collect();
        findings.retain(|finding| finding != "ok");
        let orphans: Vec<(String, Option<i64>)> =
            sql::query("SELECT \"table\", rowid FROM pragma_foreign_key_check LIMIT 100")
                .fetch_all(&mut reading)
                .await?;
        findings.extend(orphans.into_iter().map(|(table, row)| match row {
            Some(row) => format!("row {row} of {table} refers to a row that is not there"),
            None => format!("a row of {table} refers to a row that is not there"),
        }));
        Ok(if findings.is_empty() {
            Integrity::Whole
        } else {
            Integrity::Damaged(findings)
        })
    }

    /// The bytes of the database, without its write-ahead log.
    pub async fn size(&self) -> Result<u64, ReadError> {
        let mut reading = self.database.read().await?;
        let text = match reading.kind() {
            Kind::Sqlite => {
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            }
            Kind::Postgres => "SELECT pg_database_size(current_database())",
        };
        let bytes: i64 = sql::query(text).fetch_value(&mut reading).await?;
        Ok(rows::unsigned(bytes, "the size of the database")?)
    }
}
