//! What operators did: when, who, what, and on what. Nothing is changed or taken away. Called by the API
//! and by an operator's commands before they do it, so that what is done can be read.

use crate::{PoolId, ReadError, Store, WriteError, database::Connection, payers::pause, rows, sql};

/// The most acts on one page.
const LONGEST_PAGE: u32 = 1_000;
/// How much of each text is kept.
const LONGEST_TEXT: usize = 512;

/// What an operator did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When, in milliseconds since 1970.
    pub time_ms: i64,
    /// Who: the name of a key with `key ` before it, or `this machine`.
    pub who: String,
    /// What.
    pub what: String,
    /// On what; empty if there is nothing to name.
    pub subject: String,
}

/// An act as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAct {
    /// Its number, which only grows.
    pub seq: u64,
    /// What was done. Texts are cut at 512 bytes.
    pub act: Act,
}

impl Store {
    /// Writes an act down.
    pub async fn keep_act(&self, act: &Act) -> Result<(), WriteError> {
        let mut writing = self.database.write().await?;
        write(&mut writing, act).await?;
        writing.commit().await
    }

    /// Pauses payments for a reason, or resumes them with none, and writes the act down with it.
    pub async fn pause_payments_by(
        &self,
        pool: PoolId,
        reason: &str,
        act: &Act,
    ) -> Result<(), WriteError> {
        let mut writing = self.database.write().await?;
        pause(pool, reason).execute(&mut writing).await?;
        write(&mut writing, act).await?;
        writing.commit().await
    }

    /// A page of acts, newest first. The next page begins before the last number; a page has at most
    /// 1000.
    pub async fn acts(&self, before: Option<u64>, limit: u32) -> Result<Vec<KeptAct>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Vec<(i64, i64, String, String, String)> = sql::query(
            "SELECT seq, time_ms, who, what, subject FROM operator_log
             WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
        )
        .bind(rows::cursor(before))
        .bind(limit.min(LONGEST_PAGE))
        .fetch_all(&mut reading)
        .await?;
        let act = |(seq, time_ms, who, what, subject)| {
            Ok(KeptAct {
                seq: rows::unsigned(seq, "operator_log.seq")?,
                act: Act {
                    time_ms,
                    who,
                    what,
                    subject,
                },
            })
        };
        Ok(found.into_iter().map(act).collect::<sqlx::Result<_>>()?)
    }
}

pub(crate) async fn write(connection: &mut Connection, act: &Act) -> sqlx::Result<()> {
    let seq = rows::take_ids(connection, "act", 1).await?;
    sql::query(
        "INSERT INTO operator_log (seq, time_ms, who, what, subject) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(seq)
    .bind(act.time_ms)
    .bind(cut(&act.who))
    .bind(cut(&act.what))
    .bind(cut(&act.subject))
    .execute(connection)
    .await?;
    Ok(())
}

/// A text as it is kept: PostgreSQL takes no NUL.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_TEXT)].replace('\0', "")
}
