//! The books. Called by `accounting` and `payout`, by the operator's `adit ledger`, and by nobody else
//! that writes.
//!
//! An entry is written once, whoever writes it how often, as its id is unique. Balances are kept by
//! the database itself, from what is entered, in the same transaction; it refuses one below zero and
//! any change to what was entered.

use std::collections::BTreeMap;

use mining::{
    Amount,
    ledger::{Account, Entry, EntryId, Outcome, Transfer},
};

use crate::{PoolId, ReadError, Store, WriteError, database::Connection, rows, sql};

/// The most rows on one page.
const LONGEST_PAGE: u32 = 1_000;

/// What an account has. Below zero only where it may owe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What counts.
    pub posted: i64,
    /// What entries that are pending would add.
    pub pending: i64,
}

/// Why something was not entered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// An account has not got what it is to give.
    #[error("{0} has too little for it")]
    TooLittle(Account),
    /// There is no such entry.
    #[error("there is no entry {0}")]
    Unknown(EntryId),
    /// It was posted where it is to be voided, or the other way round.
    #[error("{id} is {state} already")]
    Settled {
        /// The entry.
        id: EntryId,
        /// What it is.
        state: &'static str,
    },
    /// An amount does not fit 63 bits.
    #[error("an amount of {0} units is more than any coin has")]
    Amount(Amount),
    /// It was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A line of an account's statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its place in the order of entries, which is also the cursor of the list.
    pub seq: u64,
    /// The entry.
    pub id: EntryId,
    /// `pending`, `posted` or `voided`.
    pub state: String,
    /// Why.
    pub reason: String,
    /// When it was entered, in milliseconds since 1970.
    pub made_ms: i64,
    /// When it was posted or voided.
    pub settled_ms: Option<i64>,
    /// What it adds to the account, or takes from it.
    pub amount: i64,
}

/// What a check of the books found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// How many entries there are.
    pub entries: u64,
    /// What all balances add up to: zero.
    pub sum: i128,
    /// Accounts whose balance is not that of their transfers.
    pub wrong: Vec<Account>,
    /// Accounts that owe and may not.
    pub owing: Vec<Account>,
}

impl Books {
    /// Whether nothing is wrong.
    pub fn balance(&self) -> bool {
        self.sum == 0 && self.wrong.is_empty() && self.owing.is_empty()
    }
}

impl Store {
    /// Writes an entry. False if it is there already, which changes nothing.
    pub async fn enter(
        &self,
        pool: PoolId,
        entry: &Entry,
        now_ms: i64,
    ) -> Result<bool, EntryError> {
        let mut writing = self.database.write().await?;
        let entered = enter(&mut writing, pool, entry, now_ms).await?;
        writing.commit().await?;
        Ok(entered)
    }

    /// The same, if `account` then has at least `least`, which it need not have otherwise.
    pub async fn enter_leaving(
        &self,
        pool: PoolId,
        entry: &Entry,
        account: &Account,
        least: i64,
        now_ms: i64,
    ) -> Result<bool, EntryError> {
        let mut writing = self.database.write().await?;
        let entered = enter(&mut writing, pool, entry, now_ms).await?;
        let left = posted(&mut writing, pool, account)
            .await
            .map_err(WriteError::from)?;
        if entered && left < least {
            // Not committed, it never was.
            return Err(EntryError::TooLittle(account.clone()));
        }
        writing.commit().await?;
        Ok(entered)
    }

    /// Posts or voids an entry that is pending. False if that was done before.
    pub async fn settle(
        &self,
        pool: PoolId,
        id: &EntryId,
        outcome: Outcome,
        now_ms: i64,
    ) -> Result<bool, EntryError> {
        let mut writing = self.database.write().await?;
        let settled = settle(&mut writing, pool, id, outcome, now_ms).await?;
        writing.commit().await?;
        Ok(settled)
    }

    /// The balance of an account; nothing at all if it has never had one.
    pub async fn balance(&self, pool: PoolId, account: &Account) -> Result<Balance, ReadError> {
        let mut reading = self.database.read().await?;
        let row: Option<(i64, i64)> =
            sql::query("SELECT posted, pending FROM accounts WHERE pool = $1 AND name = $2")
                .bind(pool.0)
                .bind(account.to_string())
                .fetch_optional(&mut reading)
                .await?;
        let (posted, pending) = row.unwrap_or_default();
        Ok(Balance { posted, pending })
    }

    /// A page of accounts that have something, by name. The next page begins after the last one; a
    /// page has at most 1000.
    pub async fn balances(
        &self,
        pool: PoolId,
        after: Option<&Account>,
        limit: u32,
    ) -> Result<Vec<(Account, Balance)>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<(String, i64, i64)> = sql::query(
            "SELECT name, posted, pending FROM accounts
             WHERE pool = $1 AND name > $2 AND (posted <> 0 OR pending <> 0)
             ORDER BY name LIMIT $3",
        )
        .bind(pool.0)
        .bind(after.map(Account::to_string).unwrap_or_default())
        .bind(limit.min(LONGEST_PAGE))
        .fetch_all(&mut reading)
        .await?;
        let account = |(name, posted, pending): (String, _, _)| {
            Ok((account(&name)?, Balance { posted, pending }))
        };
        Ok(rows.into_iter().map(account).collect::<sqlx::Result<_>>()?)
    }

    /// A page of what happened to an account, newest first. The next page begins before the last
    /// `seq`; a page has at most 1000.
    pub async fn statement(
        &self,
        pool: PoolId,
        account: &Account,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Line>, ReadError> {
        let before = rows::cursor(before);
        let mut reading = self.database.read().await?;
        type Row = (i64, String, String, String, i64, Option<i64>, i64);
        let rows: Vec<Row> = sql::query(
            "SELECT entries.seq, entries.id, entries.state, entries.reason, entries.made_ms,
                    entries.settled_ms, CAST(SUM(sides.amount) AS BIGINT)
             FROM (
                 SELECT entry, amount FROM transfers
                 WHERE credit = (SELECT id FROM accounts WHERE pool = $1 AND name = $2)
                 UNION ALL
                 SELECT entry, -amount FROM transfers
                 WHERE debit = (SELECT id FROM accounts WHERE pool = $1 AND name = $2)
             ) AS sides JOIN entries ON entries.seq = sides.entry
             WHERE entries.seq < $3
             GROUP BY entries.seq, entries.id, entries.state, entries.reason, entries.made_ms,
                      entries.settled_ms
             ORDER BY entries.seq DESC LIMIT $4",
        )
        .bind(pool.0)
        .bind(account.to_string())
        .bind(before)
        .bind(limit.min(LONGEST_PAGE))
        .fetch_all(&mut reading)
        .await?;
        let line = |(seq, id, state, reason, made_ms, settled_ms, amount): Row| {
            Ok(Line {
                seq: rows::unsigned(seq, "entries.seq")?,
                id: EntryId::of_row(id),
                state,
                reason,
                made_ms,
                settled_ms,
                amount,
            })
        };
        Ok(rows.into_iter().map(line).collect::<sqlx::Result<_>>()?)
    }

    /// Adds everything up again and compares: all of one commit.
    pub async fn check_books(&self, pool: PoolId) -> Result<Books, ReadError> {
        let mut reading = self.database.read().await?;
        let accounts: Vec<(i64, String, i64, i64)> =
            sql::query("SELECT id, name, posted, pending FROM accounts WHERE pool = $1")
                .bind(pool.0)
                .fetch_all(&mut reading)
                .await?;
        let transfers: Vec<(String, i64, i64, i64)> = sql::query(
            "SELECT entries.state, transfers.debit, transfers.credit, transfers.amount
             FROM transfers JOIN entries ON entries.seq = transfers.entry WHERE entries.pool = $1",
        )
        .bind(pool.0)
        .fetch_all(&mut reading)
        .await?;
        let entries: i64 = sql::query("SELECT COUNT(*) FROM entries WHERE pool = $1")
            .bind(pool.0)
            .fetch_value(&mut reading)
            .await?;
        let mut due: BTreeMap<i64, (i128, i128)> = BTreeMap::new();
        for (state, debit, credit, amount) in transfers {
            for (id, amount) in [(debit, -i128::from(amount)), (credit, i128::from(amount))] {
                let (posted, pending) = due.entry(id).or_default();
                match state.as_str() {
                    "posted" => *posted += amount,
                    "pending" => *pending += amount,
                    _ => {}
                }
            }
        }
        let mut books = Books {
            entries: rows::unsigned(entries, "the number of entries")?,
            sum: 0,
            wrong: Vec::new(),
            owing: Vec::new(),
        };
        for (id, name, posted, pending) in accounts {
            let account = account(&name)?;
            books.sum += i128::from(posted);
            if due.remove(&id).unwrap_or_default() != (posted.into(), pending.into()) {
                books.wrong.push(account.clone());
            }
            if posted < 0 && !account.may_owe() {
                books.owing.push(account);
            }
        }
        Ok(books)
    }
}

/// What an account has within a transaction.
pub(crate) async fn posted(
    connection: &mut Connection,
    pool: PoolId,
    account: &Account,
) -> sqlx::Result<i64> {
    let posted: Option<i64> =
        sql::query("SELECT posted FROM accounts WHERE pool = $1 AND name = $2")
            .bind(pool.0)
            .bind(account.to_string())
            .fetch_optional_value(connection)
            .await?;
    Ok(posted.unwrap_or_default())
}

/// Writes an entry within a transaction.
pub(crate) async fn enter(
    connection: &mut Connection,
    pool: PoolId,
    entry: &Entry,
    now_ms: i64,
) -> Result<bool, EntryError> {
    let seq = rows::take_ids(connection, "entry", 1)
        .await
        .map_err(WriteError::from)?;
    let written = sql::query(
        "INSERT INTO entries (seq, pool, id, state, reason, made_ms)
         VALUES ($1, $2, $3, 'pending', $4, $5) ON CONFLICT (pool, id) DO NOTHING",
    )
    .bind(seq)
    .bind(pool.0)
    .bind(entry.id().as_str())
    .bind(entry.reason())
    .bind(now_ms)
    .execute(connection)
    .await
    .map_err(WriteError::from)?;
    if written == 0 {
        return Ok(false);
    }
    transfer(connection, pool, seq, entry.transfers()).await?;
    if !entry.is_pending() {
        settle(connection, pool, entry.id(), Outcome::Posted, now_ms).await?;
    }
    Ok(true)
}

async fn transfer(
    connection: &mut Connection,
    pool: PoolId,
    entry: i64,
    transfers: &[Transfer],
) -> Result<(), EntryError> {
    let sides = transfers
        .iter()
        .flat_map(|transfer| [transfer.from(), transfer.to()]);
    let ids = accounts(connection, pool, sides)
        .await
        .map_err(WriteError::from)?;
    let mut rows_of = Vec::with_capacity(transfers.len());
    for (place, transfer) in (0_i64..).zip(transfers) {
        let amount = i64::try_from(transfer.amount().units())
            .map_err(|_| EntryError::Amount(transfer.amount()))?;
        rows_of.push((place, ids[transfer.from()], ids[transfer.to()], amount));
    }
    for chunk in rows::chunks(&rows_of) {
        let text = format!(
            "INSERT INTO transfers (entry, place, debit, credit, amount) VALUES {}",
            sql::placeholders(connection.kind(), 1, chunk.len(), 5)
        );
        let mut query = sql::built(text);
        for (place, debit, credit, amount) in chunk {
            query = query
                .bind(entry)
                .bind(place)
                .bind(debit)
                .bind(credit)
                .bind(amount);
        }
        query.execute(connection).await.map_err(WriteError::from)?;
    }
    Ok(())
}

/// Posts or voids an entry within a transaction.
pub(crate) async fn settle(
    connection: &mut Connection,
    pool: PoolId,
    id: &EntryId,
    outcome: Outcome,
    now_ms: i64,
) -> Result<bool, EntryError> {
    let found: Option<(i64, String)> =
        sql::query("SELECT seq, state FROM entries WHERE pool = $1 AND id = $2")
            .bind(pool.0)
            .bind(id.as_str())
            .fetch_optional(connection)
            .await
            .map_err(WriteError::from)?;
    let Some((seq, state)) = found else {
        return Err(EntryError::Unknown(id.clone()));
    };
    let wanted = outcome.name();
    match state.as_str() {
        "pending" => {}
        state if state == wanted => return Ok(false),
        _ => {
            let state = match outcome {
                Outcome::Posted => "voided",
                Outcome::Voided => "posted",
            };
            return Err(EntryError::Settled {
                id: id.clone(),
                state,
            });
        }
    }
    if outcome == Outcome::Posted {
        affords(connection, seq).await?;
    }
    sql::query("UPDATE entries SET state = $2, settled_ms = $3 WHERE seq = $1")
        .bind(seq)
        .bind(wanted)
        .bind(now_ms)
        .execute(connection)
        .await
        .map_err(WriteError::from)?;
    Ok(true)
}

/// Whether every account has what the entry takes from it. The database would refuse it too; this
/// says whose balance it is.
async fn affords(connection: &mut Connection, entry: i64) -> Result<(), EntryError> {
    let short: Option<String> = sql::query(
        "SELECT accounts.name FROM accounts JOIN (
             SELECT account, CAST(SUM(amount) AS BIGINT) AS amount FROM (
                 SELECT credit AS account, amount FROM transfers WHERE entry = $1
                 UNION ALL
                 SELECT debit AS account, -amount FROM transfers WHERE entry = $1
             ) AS sides GROUP BY account
         ) AS moved ON moved.account = accounts.id
         WHERE accounts.may_owe = 0 AND accounts.posted + moved.amount < 0
         ORDER BY accounts.name LIMIT 1",
    )
    .bind(entry)
    .fetch_optional_value(connection)
    .await
    .map_err(WriteError::from)?;
    match short {
        None => Ok(()),
        Some(name) => Err(EntryError::TooLittle(
            account(&name).map_err(WriteError::from)?,
        )),
    }
}

/// The ids of accounts, made where there are none.
pub(crate) async fn accounts<'a>(
    connection: &mut Connection,
    pool: PoolId,
    wanted: impl Iterator<Item = &'a Account>,
) -> sqlx::Result<BTreeMap<&'a Account, i64>> {
    let mut ids: BTreeMap<&Account, i64> = wanted.map(|account| (account, 0)).collect();
    let names: BTreeMap<String, &Account> = ids
        .keys()
        .map(|account| (account.to_string(), *account))
        .collect();
    let list: Vec<&String> = names.keys().collect();
    for chunk in rows::chunks(&list) {
        let text = format!(
            "SELECT id, name FROM accounts WHERE pool = $1 AND name IN (VALUES {})",
            sql::placeholders(connection.kind(), 2, chunk.len(), 1)
        );
        let mut query = sql::built(text).once().bind(pool.0);
        for name in chunk {
            query = query.bind(*name);
        }
        let found: Vec<(i64, String)> = query.fetch_all(connection).await?;
        for (id, name) in found {
            ids.insert(names[&name], id);
        }
    }
    let missing: Vec<&Account> = ids
        .iter()
        .filter(|(_, id)| **id == 0)
        .map(|(account, _)| *account)
        .collect();
    let count =
        i64::try_from(missing.len()).map_err(|_| rows::corrupt("the number of accounts"))?;
    if count == 0 {
        return Ok(ids);
    }
    let first = rows::take_ids(connection, "account", count).await?;
    let new: Vec<(i64, &Account)> = (first..).zip(missing).collect();
    for chunk in rows::chunks(&new) {
        let text = format!(
            "INSERT INTO accounts (id, pool, name, may_owe) VALUES {}",
            sql::placeholders(connection.kind(), 1, chunk.len(), 4)
        );
        let mut query = sql::built(text).once();
        for (id, account) in chunk {
            query = query.bind(id).bind(pool.0).bind(account.to_string());
            query = query.bind(i64::from(account.may_owe()));
        }
        query.execute(connection).await?;
    }
    ids.extend(new.into_iter().map(|(id, account)| (account, id)));
    Ok(ids)
}

pub(crate) fn account(name: &str) -> sqlx::Result<Account> {
    name.parse().map_err(|_| rows::corrupt("accounts.name"))
}
