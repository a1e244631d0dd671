//! The data directory: one database, one process.
//!
//! Opened first by `adit pool` and `adit demo`. The shares that are known lie in the memory of the
//! process that accepted them, so a second one on the same directory is refused.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use anyhow::{Context as _, bail};
use store::Store;

/// The file that the process holds.
const LOCK: &str = "adit.lock";

/// A data directory that is this process's until the value is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

/// Takes the directory, made if there is none.
pub fn lock(data: &Path) -> anyhow::Result<Lock> {
    make(data)?;
    let path = data.join(LOCK);
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => {
            bail!("another adit runs on the data directory {}", data.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Opens the database of the process.
pub async fn open_store(data: &Path) -> anyhow::Result<Store> {
    make(data)?;
    let path = data.join("adit.db");
    Store::open(&format!("sqlite:{}", path.display()))
        .await
        .with_context(|| format!("cannot open the database {}", path.display()))
}

fn make(data: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(data)
        .with_context(|| format!("cannot make the directory {}", data.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let first = lock(&data).unwrap();
        let second = lock(&data).unwrap_err().to_string();
        assert!(second.contains("another adit runs"), "{second}");
        drop(first);
        lock(&data).unwrap();
    }
}
