//! A statement as it is written in this crate: once, for every database. What differs between them
//! is in `database` and in the few places that ask for the [`Kind`].
//!
//! Parameters are `$1`, `$2`, ... in both; a statement of many rows takes its list from
//! [`placeholders`].

use sqlx::{
    AssertSqlSafe, FromRow, PgConnection, Postgres, SqlSafeStr, SqlStr, Sqlite, SqliteConnection,
    postgres::{PgArguments, PgRow},
    query::Query as SqlxQuery,
    sqlite::{SqliteArguments, SqliteRow},
};

use crate::database::{Connection, Kind, Link};

/// A value of a parameter.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A statement with its values.
pub(crate) struct Query {
    text: SqlStr,
    values: Vec<Value>,
    persistent: bool,
}

/// What a row of either database is read into.
pub(crate) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// A statement.
pub(crate) fn query(text: &'static str) -> Query {
    Query {
        text: text.into_sql_str(),
        values: Vec::new(),
        persistent: true,
    }
}

/// A statement whose text was put together here, of nothing that came from outside.
pub(crate) fn built(text: String) -> Query {
    Query {
        text: AssertSqlSafe(text).into_sql_str(),
        values: Vec::new(),
        persistent: true,
    }
}

/// `($1, $2), ($3, $4)`: `rows` of `columns`, the first of them parameter `first`, for this kind of
/// database. SQLite searches names one by one, so it gets none if there is nothing before the list.
pub(crate) fn placeholders(kind: Kind, first: usize, rows: usize, columns: usize) -> String {
    let mut number = first;
    let mut next = || {
        let name = match kind {
            Kind::Sqlite if first == 1 => "?".to_owned(),
            Kind::Sqlite => format!("?{number}"),
            Kind::Postgres => format!("${number}"),
        };
        number += 1;
        name
    };
    let mut row = || {
        let columns: Vec<String> = (0..columns).map(|_| next()).collect();
        format!("({})", columns.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(|_| row()).collect();
    rows.join(", ")
}

impl Query {
    /// Adds the value of the next parameter.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Rare: it need not stay prepared.
    pub(crate) fn once(mut self) -> Self {
        self.persistent = false;
        self
    }

    /// Runs it, and gives the number of rows that it changed.
    pub(crate) async fn execute(self, connection: &mut Connection) -> sqlx::Result<u64> {
        match connection.link() {
            Link::Sqlite(link) => Ok(self.sqlite().execute(link).await?.rows_affected()),
            Link::Postgres(link) => Ok(self.postgres().execute(link).await?.rows_affected()),
        }
    }

    /// All rows.
    pub(crate) async fn fetch_all<R: Row>(
        self,
        connection: &mut Connection,
    ) -> sqlx::Result<Vec<R>> {
        match connection.link() {
            Link::Sqlite(link) => {
                let rows = self.sqlite().fetch_all(link).await?;
                rows.iter().map(R::from_row).collect()
            }
            Link::Postgres(link) => {
                let rows = self.postgres().fetch_all(link).await?;
                rows.iter().map(R::from_row).collect()
            }
        }
    }

    /// The first row, if there is one.
    pub(crate) async fn fetch_optional<R: Row>(
        self,
        connection: &mut Connection,
    ) -> sqlx::Result<Option<R>> {
        match connection.link() {
            Link::Sqlite(link) => {
                let row = self.sqlite().fetch_optional(link).await?;
                row.as_ref().map(R::from_row).transpose()
            }
            Link::Postgres(link) => {
                let row = self.postgres().fetch_optional(link).await?;
                row.as_ref().map(R::from_row).transpose()
            }
        }
    }

    /// The first row, which is there.
    pub(crate) async fn fetch_one<R: Row>(self, connection: &mut Connection) -> sqlx::Result<R> {
        let row = self.fetch_optional(connection).await?;
        row.ok_or(sqlx::Error::RowNotFound)
    }

    /// The only column of the first row, which is there.
    pub(crate) async fn fetch_value<T>(self, connection: &mut Connection) -> sqlx::Result<T>
    where
        (T,): Row,
    {
        let (value,) = self.fetch_one(connection).await?;
        Ok(value)
    }

    /// The only column of the first row, if there is one.
    pub(crate) async fn fetch_optional_value<T>(
        self,
        connection: &mut Connection,
    ) -> sqlx::Result<Option<T>>
    where
        (T,): Row,
    {
        let row: Option<(T,)> = self.fetch_optional(connection).await?;
        Ok(row.map(|(value,)| value))
    }

    fn sqlite(self) -> SqlxQuery<'static, Sqlite, SqliteArguments> {
        let mut query = sqlx::query(self.text).persistent(self.persistent);
        for value in self.values {
            query = match value {
                Value::Number(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }

    fn postgres(self) -> SqlxQuery<'static, Postgres, PgArguments> {
        let mut query = sqlx::query(self.text).persistent(self.persistent);
        for value in self.values {
            query = match value {
                Value::Number(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }
}

/// Several statements without parameters.
pub(crate) async fn script(text: String, connection: &mut Connection) -> sqlx::Result<()> {
    let script = sqlx::raw_sql(AssertSqlSafe(text));
    match connection.link() {
        Link::Sqlite(link) => run_sqlite(script, link).await,
        Link::Postgres(link) => run_postgres(script, link).await,
    }
}

async fn run_sqlite(script: sqlx::RawSql, link: &mut SqliteConnection) -> sqlx::Result<()> {
    script.execute(link).await.map(drop)
}

async fn run_postgres(script: sqlx::RawSql, link: &mut PgConnection) -> sqlx::Result<()> {
    script.execute(link).await.map(drop)
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<&i64> for Value {
    fn from(number: &i64) -> Self {
        Self::Number(Some(*number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(Some(number.into()))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Some(bytes.to_vec()))
    }
}

impl From<Option<Vec<u8>>> for Value {
    fn from(bytes: Option<Vec<u8>>) -> Self {
        Self::Bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rows_have_a_place_each() {
        assert_eq!(placeholders(Kind::Sqlite, 1, 2, 3), "(?, ?, ?), (?, ?, ?)");
        assert_eq!(placeholders(Kind::Postgres, 1, 2, 2), "($1, $2), ($3, $4)");
        assert_eq!(placeholders(Kind::Postgres, 7, 1, 2), "($7, $8)");
        assert_eq!(placeholders(Kind::Sqlite, 2, 1, 2), "(?2, ?3)");
    }
}
