//! The data directory: one database, one process.
//!
//! Opened first by `adit pool` and `adit demo`. The shares that are known lie in the memory of the
//! process that accepted them, so a second one on the same directory is refused.

use std::{
    fs::{File, TryLockError},
    hash::BuildHasher as _,
    io::{Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use store::Store;

/// The file that the process holds. In it is the directory's name, which no other has.
pub(crate) const LOCK: &str = "adit.lock";
/// The database, unless it is elsewhere.
pub(crate) const FILE: &str = "adit.db";
/// The digits of that name.
const NAME_SIZE: usize = 16;

/// A data directory that is this process's until the value is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    name: String,
}

impl Lock {
    /// The directory's name: the same in each run, and another one in each directory. So whoever bears
    /// it knows that nobody else does.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Takes the directory, made if there is none.
pub fn lock(data: &Path) -> anyhow::Result<Lock> {
    make(data)?;
    let path = data.join(LOCK);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let file = options
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => named(file).with_context(|| format!("cannot write {}", path.display())),
        Err(TryLockError::WouldBlock) => {
            bail!("another adit runs on the data directory {}", data.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Reads the directory's name, or gives it one.
fn named(mut file: File) -> std::io::Result<Lock> {
    let mut name = String::new();
    let read = (&mut file).take(64).read_to_string(&mut name);
    let is_name =
        |name: &str| name.len() == NAME_SIZE && name.bytes().all(|b| b.is_ascii_hexdigit());
    if read.is_err() || !is_name(&name) {
        // Random for each process, and the time beside it.
        let random = std::hash::RandomState::new().hash_one(std::time::SystemTime::now());
        name = format!("{random:016x}");
        file.set_len(0)?;
        std::io::Seek::rewind(&mut file)?;
        file.write_all(name.as_bytes())?;
        file.sync_all()?;
    }
    Ok(Lock { _file: file, name })
}

/// Opens the database of the process: the one of this URL, or the file in its directory.
pub async fn open_store(data: &Path, database: Option<&str>) -> anyhow::Result<Store> {
    // The URL itself may hold a password.
    if let Some(url) = database {
        return Store::open(url)
            .await
            .context("cannot open the database that `database` names");
    }
    make(data)?;
    let path = data.join(FILE);
    Store::open(&format!("sqlite:{}", path.display()))
        .await
        .with_context(|| format!("cannot open the database {}", path.display()))
}

/// Opens the database of a process that runs already, or ran.
pub async fn open_existing(data: &Path, database: Option<&str>) -> anyhow::Result<Store> {
    let path = data.join(FILE);
    if database.is_none() && !path.exists() {
        bail!("there is no database at {}", path.display());
    }
    open_store(data, database).await
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
        let name = first.name().to_owned();
        drop(first);
        assert_eq!(lock(&data).unwrap().name(), name, "the same in each run");
        let other = lock(&dir.path().join("other")).unwrap();
        assert_ne!(other.name(), name);
        // What is no name is replaced.
        std::fs::write(data.join(LOCK), "nonsense").unwrap();
        let renamed = lock(&data).unwrap();
        assert_eq!(renamed.name().len(), NAME_SIZE);
    }
}
