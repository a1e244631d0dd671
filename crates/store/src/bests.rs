//! The best shares, and when a pool began: what stands for years and is asked for by pages.

use pow::Hash;

use crate::{
    PoolId, ReadError, Store, WorkerId, WorkerName, miners::own_workers, packed::Packed, rows, sql,
};

/// The most that one call gives.
const LONGEST_LIST: u32 = 100;

/// The smallest hash that a worker ever found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Best {
    /// The worker.
    pub worker: WorkerName,
    /// Its hash.
    pub hash: Hash,
}

impl Store {
    /// When the pool's first share came, in milliseconds since 1970; nothing while there is none.
    pub async fn first_share_ms(&self, pool: PoolId) -> Result<Option<i64>, ReadError> {
        let mut reading = self.database.read().await?;
        let first = sql::query("SELECT MIN(first_seen_ms) FROM workers WHERE pool = $1")
            .bind(pool.0)
            .fetch_value(&mut reading)
            .await?;
        Ok(first)
    }

    /// The workers with the smallest hashes, the smallest first, at most 100; of a pool, or of one
    /// address.
    pub async fn bests(
        &self,
        pool: PoolId,
        address: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Best>, ReadError> {
        let limit = limit.min(LONGEST_LIST);
        let mut reading = self.database.read().await?;
        let mut late = self.tails.read(&mut reading, pool).await?;
        if let Some(address) = address {
            let own = own_workers(&mut reading, pool, address, &late).await?;
            late.retain(|packed| own.contains(&packed.worker));
        }
        // Nobody else can be among the first by a share that is not rolled up.
        late.sort_by_key(|packed| packed.share.hash().to_display_bytes());
        let mut ids: Vec<i64> = Vec::new();
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        for packed in &late {
            if ids.len() == most {
                break;
            }
            if !ids.contains(&packed.worker) {
                ids.push(packed.worker);
            }
        }
        type Row = (i64, String, String, Option<Vec<u8>>);
        let mut known: Vec<Row> = sql::query(
            "SELECT id, address, name, best FROM workers
             WHERE pool = $1 AND ($2 = '' OR address = $2) AND best IS NOT NULL
             ORDER BY best LIMIT $3",
        )
        .bind(pool.0)
        .bind(address.unwrap_or(""))
        .bind(limit)
        .fetch_all(&mut reading)
        .await?;
        for chunk in rows::chunks(&ids) {
            let text = format!(
                "SELECT id, address, name, best FROM workers
                 WHERE pool = $1 AND ($2 = '' OR address = $2) AND id IN (VALUES {})",
                sql::placeholders(reading.kind(), 3, chunk.len(), 1)
            );
            let mut query = sql::built(text).bind(pool.0).bind(address.unwrap_or(""));
            for id in chunk {
                query = query.bind(id);
            }
            let found: Vec<Row> = query.fetch_all(&mut reading).await?;
            known.extend(found);
        }
        known.sort_by_key(|(id, ..)| *id);
        known.dedup_by_key(|(id, ..)| *id);
        let mut bests: Vec<(WorkerId, WorkerName, Option<Hash>)> = Vec::with_capacity(known.len());
        for (id, address, name, best) in known {
            let best = best.map(|best| rows::hash(&best)).transpose()?;
            bests.push((WorkerId(id), WorkerName::of_row(address, name), best));
        }
        for Packed { share, worker } in late {
            let place = bests.binary_search_by_key(&worker, |(id, ..)| id.0);
            if let Ok(place) = place {
                let best = bests[place].2.get_or_insert(share.hash());
                if share.hash().to_display_bytes() < best.to_display_bytes() {
                    *best = share.hash();
                }
            }
        }
        let mut bests: Vec<Best> = bests
            .into_iter()
            .filter_map(|(_, worker, hash)| hash.map(|hash| Best { worker, hash }))
            .collect();
        bests.sort_by_key(|best| best.hash.to_display_bytes());
        bests.truncate(most);
        Ok(bests)
    }
}
