//! Keys of the operator: what is kept of them, and when they were used. Called by `adit key` and by the
//! API, which knows the rule.

use mining::api_key::{KeyHash, KeyName};

use crate::{ReadError, Store, WriteError, operator_log, rows, sql};

/// How often at most the use of a key is written down, in milliseconds: a program that asks ten times a
/// second shall not write ten times.
const USE_EVERY_MS: i64 = 60_000;
/// The most keys. Each is a person or a program; a list without end is nobody's.
const KEYS_MAX: i64 = 100;

/// What is kept of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptKey {
    /// Its name.
    pub name: KeyName,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// When it was last used, likewise, to the minute; nothing if it never was.
    pub used_ms: Option<i64>,
}

/// Why a key was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another one has its name.
    #[error("there is a key of this name")]
    Taken,
    /// There are as many as there may be.
    #[error("there are {KEYS_MAX} keys; revoke one")]
    TooMany,
    /// It was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The columns of a key.
type Row = (String, i64, Option<i64>);

impl Store {
    /// Keeps a new key, and writes the act into the operator's log with it.
    pub async fn keep_key(
        &self,
        name: &KeyName,
        hash: KeyHash,
        act: &crate::Act,
    ) -> Result<(), KeyError> {
        let mut writing = self.database.write().await?;
        let count: i64 = sql::query("SELECT COUNT(*) FROM api_keys")
            .fetch_value(&mut writing)
            .await
            .map_err(WriteError::from)?;
        if count >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let made = sql::query(
            "INSERT INTO api_keys (name, hash, made_ms) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(name.as_str())
        .bind(hash.as_bytes().to_vec())
        .bind(act.time_ms)
        .execute(&mut writing)
        .await
        .map_err(WriteError::from)?;
        if made == 0 {
            return Err(KeyError::Taken);
        }
        operator_log::write(&mut writing, act)
            .await
            .map_err(WriteError::from)?;
        Ok(writing.commit().await?)
    }

    /// All keys by name.
    pub async fn keys(&self) -> Result<Vec<KeptKey>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Vec<Row> =
            sql::query("SELECT name, made_ms, used_ms FROM api_keys ORDER BY name")
                .fetch_all(&mut reading)
                .await?;
        Ok(found.into_iter().map(kept).collect::<sqlx::Result<_>>()?)
    }

    /// The key with this hash; nothing if there is none.
    pub async fn key_of(&self, hash: KeyHash) -> Result<Option<KeptKey>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Option<Row> =
            sql::query("SELECT name, made_ms, used_ms FROM api_keys WHERE hash = $1")
                .bind(hash.as_bytes().to_vec())
                .fetch_optional(&mut reading)
                .await?;
        Ok(found.map(kept).transpose()?)
    }

    /// Notes that a key was used, once a minute.
    pub async fn note_key_used(&self, key: &KeptKey, now_ms: i64) -> Result<(), WriteError> {
        let is_noted = |used_ms: i64| now_ms.saturating_sub(used_ms) < USE_EVERY_MS;
        if key.used_ms.is_some_and(is_noted) {
            return Ok(());
        }
        let query = sql::query("UPDATE api_keys SET used_ms = $2 WHERE name = $1");
        let query = query.bind(key.name.as_str()).bind(now_ms);
        self.database.write_one(query).await
    }

    /// Forgets a key, with the act in the operator's log. False if there is none of this name.
    pub async fn revoke_key(&self, name: &KeyName, act: &crate::Act) -> Result<bool, WriteError> {
        let mut writing = self.database.write().await?;
        let gone = sql::query("DELETE FROM api_keys WHERE name = $1")
            .bind(name.as_str())
            .execute(&mut writing)
            .await?;
        if gone > 0 {
            operator_log::write(&mut writing, act).await?;
        }
        writing.commit().await?;
        Ok(gone > 0)
    }
}

fn kept((name, made_ms, used_ms): Row) -> sqlx::Result<KeptKey> {
    Ok(KeptKey {
        name: name.parse().map_err(|_| rows::corrupt("api_keys.name"))?,
        made_ms,
        used_ms,
    })
}
