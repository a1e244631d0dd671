//! Who is banned, so that a restart lifts no ban. Called by `bans`, which knows the rule.

use std::net::IpAddr;

use crate::{PoolId, ReadError, Store, WriteError, rows, sql};

/// A ban as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// An address of IPv4, or the first of a /64 of IPv6.
    pub address: IpAddr,
    /// When it began, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it ends, likewise.
    pub until_ms: i64,
    /// The shares that were looked at. Above 2^63 it is kept as 2^63 - 1.
    pub shares: u64,
    /// Those of them that were invalid, likewise.
    pub invalid: u64,
}

impl Store {
    /// Keeps bans, all or none of them; those of the same addresses are replaced.
    pub async fn keep_bans(&self, pool: PoolId, bans: &[Ban]) -> Result<(), WriteError> {
        let mut writing = self.database.write().await?;
        for ban in bans {
            sql::query(
                "INSERT INTO bans (pool, address, since_ms, until_ms, shares, invalid)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (pool, address) DO UPDATE SET since_ms = excluded.since_ms,
             until_ms = excluded.until_ms, shares = excluded.shares, invalid = excluded.invalid",
            )
            .bind(pool.0)
            .bind(ban.address.to_string())
            .bind(ban.since_ms)
            .bind(ban.until_ms)
            .bind(i64::try_from(ban.shares).unwrap_or(i64::MAX))
            .bind(i64::try_from(ban.invalid).unwrap_or(i64::MAX))
            .execute(&mut writing)
            .await?;
        }
        writing.commit().await
    }

    /// Forgets the bans of these addresses, all or none. One that has none is no error.
    pub async fn lift_bans(&self, pool: PoolId, addresses: &[IpAddr]) -> Result<(), WriteError> {
        let mut writing = self.database.write().await?;
        for address in addresses {
            sql::query("DELETE FROM bans WHERE pool = $1 AND address = $2")
                .bind(pool.0)
                .bind(address.to_string())
                .execute(&mut writing)
                .await?;
        }
        writing.commit().await
    }

    /// Forgets the bans of a pool that ended by `now_ms`, and gives their number.
    pub async fn forget_bans(&self, pool: PoolId, now_ms: i64) -> Result<u64, WriteError> {
        let mut writing = self.database.write().await?;
        let ended = sql::query("DELETE FROM bans WHERE pool = $1 AND until_ms <= $2")
            .bind(pool.0)
            .bind(now_ms)
            .execute(&mut writing)
            .await?;
        writing.commit().await?;
        Ok(ended)
    }

    /// The bans of a pool, those that end last first, at most `limit`.
    pub async fn bans(&self, pool: PoolId, limit: u32) -> Result<Vec<Ban>, ReadError> {
        let mut reading = self.database.read().await?;
        let found: Vec<(String, i64, i64, i64, i64)> = sql::query(
            "SELECT address, since_ms, until_ms, shares, invalid FROM bans WHERE pool = $1
             ORDER BY until_ms DESC, address LIMIT $2",
        )
        .bind(pool.0)
        .bind(i64::from(limit))
        .fetch_all(&mut reading)
        .await?;
        let ban = |(address, since_ms, until_ms, shares, invalid): (String, _, _, _, _)| {
            Ok(Ban {
                address: address.parse().map_err(|_| rows::corrupt("bans.address"))?,
                since_ms,
                until_ms,
                shares: rows::unsigned(shares, "bans.shares")?,
                invalid: rows::unsigned(invalid, "bans.invalid")?,
            })
        };
        let bans: sqlx::Result<Vec<Ban>> = found.into_iter().map(ban).collect();
        Ok(bans?)
    }
}
