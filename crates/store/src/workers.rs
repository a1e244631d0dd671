//! Workers: an address and a name below it. Made with the first share, in its transaction.
//!
//! Their ids are kept in memory, as every share needs one. Ids never change, so what is kept stays
//! true, also when another process writes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::{PoolId, ShareRow, rows};

/// How many workers are kept in memory, at some 200 bytes each. Past it all are forgotten, which
/// costs one query with the next batch.
const WORKERS_KEPT: usize = 65_536;

/// The longest address: none of the supported coins has one above 100 characters.
const LONGEST_ADDRESS: usize = 128;

/// The longest name of a worker: enough for a host name.
const LONGEST_NAME: usize = 64;

/// A worker of this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub(crate) i64);

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerName {
    address: String,
    name: String,
}

/// Why something is no worker's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address has 1 to 128 characters, a worker's name at most 64, and none is a control")]
pub struct NotAWorkerName;

impl WorkerName {
    /// From an address and the name behind it, which may be empty.
    pub fn new(address: &str, name: &str) -> Result<Self, NotAWorkerName> {
        let fits = |text: &str, most| text.len() <= most && !text.chars().any(char::is_control);
        if address.is_empty() || !fits(address, LONGEST_ADDRESS) || !fits(name, LONGEST_NAME) {
            return Err(NotAWorkerName);
        }
        Ok(Self {
            address: address.to_owned(),
            name: name.to_owned(),
        })
    }

    /// As it was stored; it was checked then.
    pub(crate) fn of_row(address: String, name: String) -> Self {
        Self { address, name }
    }

    /// The address that is paid.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The name of the machine.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl std::fmt::Display for WorkerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address)?;
        if self.name.is_empty() {
            Ok(())
        } else {
            write!(f, ".{}", self.name)
        }
    }
}

/// What is kept of a worker.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) id: i64,
    /// Its smallest hash, most significant byte first; another process may have a better one.
    pub(crate) best: Option<[u8; 32]>,
}

/// The workers kept in memory.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<i64, HashMap<Arc<WorkerName>, Kept>>>);

impl Known {
    fn get<'n>(
        &self,
        pool: PoolId,
        names: impl Iterator<Item = &'n Arc<WorkerName>>,
    ) -> Vec<Option<Kept>> {
        let pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pools.get(&pool.0);
        names.map(|name| known?.get(name).copied()).collect()
    }

    /// To be called after the commit only: what was rolled back has no id.
    pub(crate) fn keep(
        &self,
        pool: PoolId,
        found: impl IntoIterator<Item = (Arc<WorkerName>, Kept)>,
    ) {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.values().map(HashMap::len).sum::<usize>() > WORKERS_KEPT {
            pools.clear();
        }
        pools.entry(pool.0).or_default().extend(found);
    }
}

/// The worker of each row, made where there is none, and whether all were in memory.
pub(crate) async fn of_rows(
    known: &Known,
    connection: &mut SqliteConnection,
    pool: PoolId,
    shares: &[ShareRow],
) -> sqlx::Result<(Vec<Kept>, bool)> {
    let mut kept = known.get(pool, shares.iter().map(|row| &row.worker));
    // In the order in which they came, which is that of their ids.
    let mut missing: Vec<(&WorkerName, i64)> = Vec::new();
    let mut places: HashMap<&WorkerName, usize> = HashMap::new();
    for (row, kept) in shares.iter().zip(&kept) {
        if kept.is_none() {
            let time_ms = row.share.time_ms();
            let place = *places.entry(&row.worker).or_insert(missing.len());
            match missing.get_mut(place) {
                Some((_, first_ms)) => *first_ms = time_ms.min(*first_ms),
                None => missing.push((&row.worker, time_ms)),
            }
        }
    }
    let all_known = missing.is_empty();
    if !all_known {
        let found = find_or_make(connection, pool, &missing).await?;
        for (row, kept) in shares.iter().zip(&mut kept) {
            if kept.is_none() {
                *kept = found.get(&*row.worker).copied();
            }
        }
    }
    let kept: sqlx::Result<_> = kept
        .into_iter()
        .map(|kept| kept.ok_or_else(|| rows::corrupt("a new worker")))
        .collect();
    Ok((kept?, all_known))
}

/// The ids of workers with the time at which each is first seen.
pub(crate) async fn find_or_make(
    connection: &mut SqliteConnection,
    pool: PoolId,
    missing: &[(&WorkerName, i64)],
) -> sqlx::Result<HashMap<WorkerName, Kept>> {
    let mut found = find(connection, pool, missing).await?;
    let new: Vec<_> = missing
        .iter()
        .filter(|(who, _)| !found.contains_key(*who))
        .collect();
    let count = i64::try_from(new.len()).map_err(|_| rows::corrupt("the number of workers"))?;
    if count == 0 {
        return Ok(found);
    }
    let first = rows::take_ids(connection, "worker", count).await?;
    let new: Vec<_> = (first..).zip(new).collect();
    for chunk in rows::chunks(&new) {
        let sql = format!(
            "INSERT INTO workers (id, pool, address, name, first_seen_ms, last_seen_ms) VALUES {}",
            rows::placeholders(chunk.len(), 6)
        );
        // Rare, so that it need not stay prepared.
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for (id, (who, seen_ms)) in chunk {
            query = query
                .bind(id)
                .bind(pool.0)
                .bind(&who.address)
                .bind(&who.name);
            query = query.bind(seen_ms).bind(seen_ms);
        }
        query.execute(&mut *connection).await?;
    }
    found.extend(
        new.into_iter()
            .map(|(id, (who, _))| ((*who).clone(), Kept { id, best: None })),
    );
    Ok(found)
}

async fn find(
    connection: &mut SqliteConnection,
    pool: PoolId,
    wanted: &[(&WorkerName, i64)],
) -> sqlx::Result<HashMap<WorkerName, Kept>> {
    let mut found = HashMap::with_capacity(wanted.len());
    for chunk in rows::chunks(wanted) {
        let sql = format!(
            "SELECT id, address, name, best FROM workers
             WHERE pool = ? AND (address, name) IN (VALUES {})",
            rows::placeholders(chunk.len(), 2)
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .persistent(false)
            .bind(pool.0);
        for (who, _) in chunk {
            query = query.bind(&who.address).bind(&who.name);
        }
        let rows: Vec<(i64, String, String, Option<Vec<u8>>)> =
            query.fetch_all(&mut *connection).await?;
        for (id, address, name, best) in rows {
            let best = best.map(|best| rows::hash(&best)).transpose()?;
            let best = best.map(pow::Hash::to_display_bytes);
            found.insert(WorkerName { address, name }, Kept { id, best });
        }
    }
    Ok(found)
}
