//! Workers: an address and a name below it. Made with the first share, in its transaction.
//!
//! Their ids are kept in memory, as every share needs one. Ids never change, so what is kept stays
//! true, also when another process writes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{PoolId, ReadError, ShareRow, Store, database::Connection, rows, sql};

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

impl WorkerId {
    /// From its number, which may be nobody's.
    pub fn from_number(number: u64) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.0.unsigned_abs()
    }
}

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerName {
    address: String,
    name: String,
    /// A hash of both, made once: the share log looks a name up for each share.
    digest: u64,
}

impl std::hash::Hash for WorkerName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
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
        Ok(Self::of_row(address.to_owned(), name.to_owned()))
    }

    /// As it was stored; it was checked then.
    pub(crate) fn of_row(address: String, name: String) -> Self {
        use std::hash::BuildHasher;
        // Random for each process, so that nobody can choose names that collide.
        static RANDOM: std::sync::OnceLock<std::hash::RandomState> = std::sync::OnceLock::new();
        let digest = RANDOM.get_or_init(Default::default);
        let digest = digest.hash_one((&address, &name));
        Self {
            address,
            name,
            digest,
        }
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

impl Store {
    /// The address of the worker with this number: an alias for it. Numbers are not guessed at
    /// for secrets, an address is none.
    pub async fn address_of(&self, pool: PoolId, number: u64) -> Result<Option<String>, ReadError> {
        let Ok(id) = i64::try_from(number) else {
            return Ok(None);
        };
        let mut reading = self.database.read().await?;
        let address = sql::query("SELECT address FROM workers WHERE pool = $1 AND id = $2")
            .bind(pool.0)
            .bind(id)
            .fetch_optional_value(&mut reading)
            .await?;
        Ok(address)
    }

    /// All workers of an address.
    pub async fn workers_of(
        &self,
        pool: PoolId,
        address: &str,
    ) -> Result<Vec<WorkerId>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Vec<(i64,)> =
            sql::query("SELECT id FROM workers WHERE pool = $1 AND address = $2")
                .bind(pool.0)
                .bind(address)
                .fetch_all(&mut reading)
                .await?;
        Ok(found.into_iter().map(|(id,)| WorkerId(id)).collect())
    }

    /// Who workers are.
    pub async fn worker_names(
        &self,
        workers: &[WorkerId],
    ) -> Result<HashMap<WorkerId, WorkerName>, ReadError> {
        let mut reading = self.database.read().await?;
        let mut names = HashMap::with_capacity(workers.len());
        for chunk in rows::chunks(workers) {
            let text = format!(
                "SELECT id, address, name FROM workers WHERE id IN (VALUES {})",
                sql::placeholders(reading.kind(), 1, chunk.len(), 1)
            );
            let mut query = sql::built(text).once();
            for worker in chunk {
                query = query.bind(worker.0);
            }
            let found: Vec<(i64, String, String)> = query.fetch_all(&mut reading).await?;
            let found = found.into_iter();
            names.extend(
                found.map(|(id, address, name)| (WorkerId(id), WorkerName::of_row(address, name))),
            );
        }
        Ok(names)
    }

    /// The number that is an alias for an address: that of its first worker.
    pub async fn alias_of(&self, pool: PoolId, address: &str) -> Result<Option<u64>, ReadError> {
        let mut reading = self.database.read().await?;
        let id: Option<i64> =
            sql::query("SELECT miner FROM workers WHERE pool = $1 AND address = $2 LIMIT 1")
                .bind(pool.0)
                .bind(address)
                .fetch_optional_value(&mut reading)
                .await?;
        Ok(id.map(|id| rows::unsigned(id, "workers.id")).transpose()?)
    }

    /// The same of many addresses; those that have none are left out.
    pub async fn aliases_of(
        &self,
        pool: PoolId,
        addresses: &[&str],
    ) -> Result<HashMap<String, u64>, ReadError> {
        let mut reading = self.database.read().await?;
        let mut aliases = HashMap::new();
        for chunk in rows::chunks(addresses) {
            let text = format!(
                "SELECT address, MIN(id) FROM workers WHERE pool = $1 AND address IN (VALUES {})
                 GROUP BY address",
                sql::placeholders(reading.kind(), 2, chunk.len(), 1)
            );
            let mut query = sql::built(text).bind(pool.0);
            for address in chunk {
                query = query.bind(*address);
            }
            let found: Vec<(String, i64)> = query.fetch_all(&mut reading).await?;
            for (address, id) in found {
                aliases.insert(address, rows::unsigned(id, "workers.id")?);
            }
        }
        Ok(aliases)
    }
}

/// The workers kept in memory.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<i64, HashMap<Arc<WorkerName>, i64>>>);

impl Known {
    fn get<'n>(
        &self,
        pool: PoolId,
        names: impl Iterator<Item = &'n Arc<WorkerName>>,
    ) -> Vec<Option<i64>> {
        let pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pools.get(&pool.0);
        names.map(|name| known?.get(name).copied()).collect()
    }

    /// To be called after the commit only: what was rolled back has no id.
    pub(crate) fn keep(
        &self,
        pool: PoolId,
        found: impl IntoIterator<Item = (Arc<WorkerName>, i64)>,
    ) {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.values().map(HashMap::len).sum::<usize>() > WORKERS_KEPT {
            pools.clear();
        }
        pools.entry(pool.0).or_default().extend(found);
    }
}

/// The worker of each row, if all of them are in memory.
pub(crate) fn known(known: &Known, pool: PoolId, shares: &[ShareRow]) -> Option<Vec<i64>> {
    let ids = known.get(pool, shares.iter().map(|row| &row.worker));
    ids.into_iter().collect()
}

/// The worker of each row.
pub(crate) struct OfRows {
    pub(crate) ids: Vec<i64>,
    /// Those that were not in memory; to be kept after the commit.
    pub(crate) made: Vec<(Arc<WorkerName>, i64)>,
}

/// The worker of each row, made where there is none.
pub(crate) async fn of_rows(
    known: &Known,
    connection: &mut Connection,
    pool: PoolId,
    shares: &[ShareRow],
) -> sqlx::Result<OfRows> {
    let mut ids = known.get(pool, shares.iter().map(|row| &row.worker));
    // In the order in which they came, which is that of their ids.
    let mut missing: Vec<(&WorkerName, i64)> = Vec::new();
    let mut places: HashMap<&WorkerName, usize> = HashMap::new();
    for (row, _) in shares.iter().zip(&ids).filter(|(_, id)| id.is_none()) {
        let time_ms = row.share.time_ms();
        let place = *places.entry(&row.worker).or_insert(missing.len());
        match missing.get_mut(place) {
            Some((_, first_ms)) => *first_ms = time_ms.min(*first_ms),
            None => missing.push((&row.worker, time_ms)),
        }
    }
    let mut made = Vec::new();
    if !missing.is_empty() {
        let found = find_or_make(connection, pool, &missing).await?;
        for (row, id) in shares.iter().zip(&mut ids).filter(|(_, id)| id.is_none()) {
            let (who, found) = found
                .get_key_value(&*row.worker)
                .ok_or_else(|| rows::corrupt("a new worker"))?;
            *id = Some(*found);
            if places.remove(who).is_some() {
                made.push((Arc::clone(&row.worker), *found));
            }
        }
    }
    Ok(OfRows {
        ids: ids.into_iter().flatten().collect(),
        made,
    })
}

/// The ids of workers with the time at which each is first seen.
pub(crate) async fn find_or_make(
    connection: &mut Connection,
    pool: PoolId,
    missing: &[(&WorkerName, i64)],
) -> sqlx::Result<HashMap<WorkerName, i64>> {
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
    // Looked up once ids are taken, for which one process waits for another.
    let addresses = new.iter().map(|(_, (who, _))| who.address.as_str());
    let mut miners = miners(connection, pool, addresses).await?;
    for chunk in rows::chunks(&new) {
        let sql = format!(
            "INSERT INTO workers (id, pool, address, name, first_seen_ms, last_seen_ms, miner)
             VALUES {}",
            sql::placeholders(connection.kind(), 1, chunk.len(), 7)
        );
        // Rare, so that it need not stay prepared.
        let mut query = sql::built(sql).once();
        for (id, (who, seen_ms)) in chunk {
            query = query
                .bind(id)
                .bind(pool.0)
                .bind(&who.address)
                .bind(&who.name);
            query = query.bind(seen_ms).bind(seen_ms);
            query = query.bind(*miners.entry(who.address.as_str()).or_insert(*id));
        }
        query.execute(connection).await?;
    }
    found.extend(new.into_iter().map(|(id, (who, _))| ((*who).clone(), id)));
    Ok(found)
}

/// The number of each of these addresses that has a worker already.
async fn miners<'a>(
    connection: &mut Connection,
    pool: PoolId,
    addresses: impl Iterator<Item = &'a str>,
) -> sqlx::Result<HashMap<&'a str, i64>> {
    let mut addresses: Vec<&str> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    let mut miners = HashMap::new();
    for chunk in rows::chunks(&addresses) {
        let sql = format!(
            "WITH wanted (address) AS (VALUES {})
             SELECT wanted.address, (SELECT workers.miner FROM workers
                 WHERE workers.pool = $1 AND workers.address = wanted.address LIMIT 1)
             FROM wanted",
            sql::placeholders(connection.kind(), 2, chunk.len(), 1)
        );
        let mut query = sql::built(sql).once().bind(pool.0);
        for address in chunk {
            query = query.bind(*address);
        }
        let rows: Vec<(String, Option<i64>)> = query.fetch_all(connection).await?;
        for (address, miner) in rows {
            let place = addresses.binary_search(&address.as_str());
            if let (Ok(place), Some(miner)) = (place, miner) {
                miners.insert(addresses[place], miner);
            }
        }
    }
    Ok(miners)
}

async fn find(
    connection: &mut Connection,
    pool: PoolId,
    wanted: &[(&WorkerName, i64)],
) -> sqlx::Result<HashMap<WorkerName, i64>> {
    let mut found = HashMap::with_capacity(wanted.len());
    for chunk in rows::chunks(wanted) {
        let sql = format!(
            "SELECT id, address, name FROM workers
             WHERE pool = $1 AND (address, name) IN (VALUES {})",
            sql::placeholders(connection.kind(), 2, chunk.len(), 2)
        );
        let mut query = sql::built(sql).once().bind(pool.0);
        for (who, _) in chunk {
            query = query.bind(&who.address).bind(&who.name);
        }
        let rows: Vec<(i64, String, String)> = query.fetch_all(connection).await?;
        found.extend(
            rows.into_iter()
                .map(|(id, address, name)| (WorkerName::of_row(address, name), id)),
        );
    }
    Ok(found)
}
