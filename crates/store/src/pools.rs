//! The pools of a database, each stamped with the coin and network it mines and, once the daemon
//! has told it, with the hash of its first block. Shares and money of one chain are never booked
//! into the database of another.

use mining::{Coin, Network};
use pow::Hash;

use crate::{Store, WriteError, sql};

/// A pool of this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub(crate) i64);

/// Why a pool was not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The database is that of another chain. Nothing may be written to it.
    #[error("the database has pool {name:?} on {stamped}, the configuration has it on {wanted}")]
    OtherChain {
        /// The name of the pool.
        name: String,
        /// Coin and network in the database.
        stamped: String,
        /// Coin and network asked for.
        wanted: String,
    },
    /// It was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why a first block was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The daemon follows another chain than before.
    #[error("the pool's chain begins with {stamped}, the daemon's with another block")]
    OtherChain {
        /// The first block in the database.
        stamped: Hash,
    },
    /// It was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Store {
    /// The pool of this name, made if there is none. Refused if it mines something else.
    pub async fn pool(
        &self,
        name: &str,
        coin: &Coin,
        network: Network,
    ) -> Result<PoolId, PoolError> {
        let mut writing = self.database.write().await?;
        let found: Option<(i64, String, String)> =
            sql::query("SELECT id, coin, network FROM pools WHERE name = $1")
                .bind(name)
                .fetch_optional(&mut writing)
                .await
                .map_err(WriteError::from)?;
        let network = network.to_string();
        if let Some((id, stamped_coin, stamped_network)) = found {
            writing.commit().await?;
            if stamped_coin == coin.name && stamped_network == network {
                return Ok(PoolId(id));
            }
            return Err(PoolError::OtherChain {
                name: name.to_owned(),
                stamped: format!("{stamped_coin} {stamped_network}"),
                wanted: format!("{} {network}", coin.name),
            });
        }
        let id = crate::rows::take_ids(&mut writing, "pool", 1)
            .await
            .map_err(WriteError::from)?;
        sql::query("INSERT INTO pools (id, name, coin, network) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(name)
            .bind(coin.name)
            .bind(network)
            .execute(&mut writing)
            .await
            .map_err(WriteError::from)?;
        writing.commit().await?;
        Ok(PoolId(id))
    }

    /// Stamps the pool with the first block of its chain, or compares it with the stamp. To be
    /// called before the first job of each daemon.
    pub async fn stamp_genesis(&self, pool: PoolId, genesis: Hash) -> Result<(), GenesisError> {
        let bytes = genesis.to_display_bytes();
        let mut writing = self.database.write().await?;
        let stamped: Vec<u8> = sql::query(
            "UPDATE pools SET genesis = COALESCE(genesis, $2) WHERE id = $1 RETURNING genesis",
        )
        .bind(pool.0)
        .bind(&bytes[..])
        .fetch_value(&mut writing)
        .await
        .map_err(WriteError::from)?;
        writing.commit().await?;
        if stamped == bytes {
            return Ok(());
        }
        let stamped = crate::rows::hash(&stamped).map_err(WriteError::from)?;
        Err(GenesisError::OtherChain { stamped })
    }
}
