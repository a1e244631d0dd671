//! Extranonces that are handed out once: the counter is in the database, so neither a restart nor
//! a second process on the same database gives a miner the search space of another.

use std::ops::Range;

use crate::{PoolId, Store, WriteError, sql};

impl Store {
    /// Leases the next `count` values of extranonce1. The low 32 bits of each number are the
    /// value; the bits above count how often the values began anew from 0, by which time the jobs
    /// of their last use are long gone.
    pub async fn lease_extranonce(
        &self,
        pool: PoolId,
        count: u32,
    ) -> Result<Range<u64>, WriteError> {
        let mut writing = self.database.write().await?;
        let end: i64 = sql::query(
            "UPDATE pools SET next_extranonce = next_extranonce + $2 WHERE id = $1
             RETURNING next_extranonce",
        )
        .bind(pool.0)
        .bind(i64::from(count))
        .fetch_value(&mut writing)
        .await?;
        writing.commit().await?;
        let end = u64::try_from(end).map_err(|_| crate::rows::corrupt("pools.next_extranonce"))?;
        let start = end
            .checked_sub(count.into())
            .ok_or_else(|| crate::rows::corrupt("pools.next_extranonce"))?;
        Ok(start..end)
    }
}
