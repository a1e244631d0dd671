//! A backup put back: unpacked and compared with its sums, checked like a database that runs, and only
//! then moved to where a pool looks for it.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use mining::Coin;

use super::{
    archive::{Kind, Manifest},
    check,
    postgres::{self, DUMP},
};
use crate::{config::Config, data};

/// A backup that was put back, or could be.
#[derive(Debug)]
pub struct Restored {
    /// When the backup was made, in UTC.
    pub made: String,
    /// Its files.
    pub files: usize,
    /// Pools of the configuration that it does not have: they begin from nothing.
    pub missing: Vec<String>,
}

/// Puts a backup into the empty data directory of this configuration, and its empty PostgreSQL database
/// if it has one. With `only_check` nothing is left behind.
pub async fn restore(config: &Config, file: &Path, only_check: bool) -> anyhow::Result<Restored> {
    if only_check {
        let folder = tempfile::tempdir()?;
        return unpack(config, file, folder.path()).await;
    }
    // No pool runs here, and none begins.
    let _lock = data::lock(&config.data)?;
    let there = |entry: &fs::DirEntry| entry.file_name() != data::LOCK;
    for entry in fs::read_dir(&config.data)? {
        let entry = entry?;
        ensure!(
            !there(&entry),
            "{} is not empty: there is {}. A restore replaces nothing; move it away first",
            config.data.display(),
            entry.file_name().display()
        );
    }
    if let Some(url) = &config.database {
        ensure!(
            store::is_empty(url).await?,
            "the database that `database` names is not empty. A restore replaces nothing"
        );
    }
    // On the same disk, so that all of it is moved at once.
    let staging = tempfile::Builder::new()
        .prefix(".restore-")
        .tempdir_in(&config.data)?;
    let restored = unpack(config, file, staging.path()).await?;
    if let Some(url) = &config.database {
        let dump = staging.path().join(DUMP);
        postgres::restore(url, &dump)?;
        fs::remove_file(dump)?;
        let store = data::open_existing(&config.data, Some(url)).await?;
        let checked = match matches(config, &store).await {
            Ok(()) => check(&store).await.map(drop),
            Err(error) => Err(error),
        };
        store.close().await;
        checked.context("what was put back is no good: drop that database, and do not use it")?;
    }
    let mut entries: Vec<_> = fs::read_dir(staging.path())?.collect::<Result<_, _>>()?;
    // The database comes last: as long as it is missing, nothing takes this for a pool's directory.
    entries.sort_by_key(|entry| entry.file_name() == data::FILE);
    for entry in entries {
        fs::rename(entry.path(), config.data.join(entry.file_name()))?;
    }
    File::open(&config.data)?.sync_all()?;
    Ok(restored)
}

/// Reads a backup into a folder, and checks all that can be checked there.
async fn unpack(config: &Config, file: &Path, folder: &Path) -> anyhow::Result<Restored> {
    let manifest = Manifest::unpack(file, folder)
        .with_context(|| format!("{} is not put back", file.display()))?;
    let missing = compare(config, &manifest)?;
    if manifest.database == Kind::Sqlite {
        // It is brought to the schema of this program here too.
        let store = data::open_existing(folder, None).await?;
        let checked = match matches(config, &store).await {
            Ok(()) => check(&store).await,
            Err(error) => Err(error),
        };
        store.close().await;
        checked.context("the backup is no good")?;
    }
    Ok(Restored {
        made: manifest.made,
        files: manifest.files.len(),
        missing,
    })
}

/// Whether a backup is of the pools of this configuration. Gives those that it does not have.
fn compare(config: &Config, manifest: &Manifest) -> anyhow::Result<Vec<String>> {
    match (manifest.database, &config.database) {
        (Kind::Sqlite, None) | (Kind::Postgres, Some(_)) => {}
        (Kind::Sqlite, Some(_)) => bail!(
            "it is of a database in a file, and the configuration names a PostgreSQL database"
        ),
        (Kind::Postgres, None) => {
            bail!("it is of a PostgreSQL database, and the configuration has none under `database`")
        }
    }
    let mut missing = Vec::new();
    for pool in &config.pool {
        let found = manifest.pools.iter().find(|found| found.name == pool.name);
        let Some(found) = found else {
            missing.push(pool.name.clone());
            continue;
        };
        let (name, network) = (&pool.name, pool.network.to_string());
        ensure!(
            found.coin == pool.coin && found.network == network,
            "its pool {name:?} is on {} {}, the configuration has it on {} {network}",
            found.coin,
            found.network,
            pool.coin
        );
    }
    let names: Vec<&str> = manifest
        .pools
        .iter()
        .map(|pool| pool.name.as_str())
        .collect();
    ensure!(
        missing.len() < config.pool.len(),
        "it has no pool of the configuration; it has: {}",
        names.join(", ")
    );
    Ok(missing)
}

/// The same of the database itself, which the manifest may only seem to be of.
async fn matches(config: &Config, store: &store::Store) -> anyhow::Result<()> {
    let stamps = store.stamps().await?;
    for pool in &config.pool {
        let coin: &'static Coin = pool.coin.parse()?;
        if stamps.iter().any(|stamp| stamp.name == pool.name) {
            store.pool(&pool.name, coin, pool.network).await?;
        }
    }
    Ok(())
}
