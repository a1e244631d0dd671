//! The shares in a pool's database, read past the program: what it holds is the truth, whatever the
//! program says of it.

use std::{collections::HashMap, path::Path};

use pow::Hash;
use sqlx::Connection as _;

use super::runtime;

/// The bytes of a share in a batch, of which the first 32 are its hash: `crates/store/src/packed.rs`.
const RECORD: usize = 60;

/// Every hash in the database and how often it is there.
pub(crate) fn hashes(database: &Path) -> HashMap<Hash, u32> {
    let batches: Vec<(i64, Vec<u8>)> = runtime().block_on(async {
        let url = format!("sqlite:{}?mode=ro", database.display());
        let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::query_as("SELECT count, shares FROM share_batches")
            .fetch_all(&mut database)
            .await
            .unwrap()
    });
    let mut hashes = HashMap::new();
    for (count, bytes) in batches {
        let (records, rest) = bytes.as_chunks::<RECORD>();
        assert!(rest.is_empty(), "a batch of {} bytes", bytes.len());
        assert_eq!(i64::try_from(records.len()), Ok(count));
        for record in records {
            let hash = Hash(record[..32].try_into().unwrap());
            *hashes.entry(hash).or_default() += 1;
        }
    }
    hashes
}

/// The fees that a pool keeps with the price of a height, if it has one.
pub(crate) fn fees_at(database: &Path, height: u64) -> Option<u64> {
    let fees: Option<Option<i64>> = runtime().block_on(async {
        let url = format!("sqlite:{}?mode=ro", database.display());
        let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::query_scalar("SELECT fees FROM prices WHERE height = $1")
            .bind(i64::try_from(height).unwrap())
            .fetch_optional(&mut database)
            .await
            .unwrap()
    });
    fees.flatten().map(|fees| fees.try_into().unwrap())
}
