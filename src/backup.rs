//! Backups: the database as of one commit and the files beside it, in one file with their sums.
//! Called by `adit backup` and `adit restore`.
//!
//! A backup is called good only after its copy of the database was opened, read through, and its books
//! were added up. A restore does the same before anything of it is in its place, and never goes over
//! what is there.

mod archive;
mod postgres;
mod restore;

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use store::{Integrity, Stamp, Store};

pub use self::restore::{Restored, restore};
use self::{
    archive::{Kind, Manifest},
    postgres::DUMP,
};
use crate::{config::Config, data};

/// What is no part of a backup: the database itself, which is copied otherwise, and whose the
/// directory is, which is another one's after a restore.
const NOT_COPIED: [&str; 4] = [data::FILE, "adit.db-wal", "adit.db-shm", data::LOCK];
/// How deep folders in the data directory go: `blocks/POOL/HASH.hex`, and one to spare.
const DEPTH_MAX: usize = 4;

/// A backup that was made.
#[derive(Debug)]
pub struct Made {
    /// The bytes of the file.
    pub size: u64,
    /// The files in it.
    pub files: usize,
    /// The pools whose books were added up.
    pub pools: usize,
}

/// Makes a backup of the pool of this configuration, which may run meanwhile, into a new file.
/// Whatever was answered "accepted" before the call is in it.
pub async fn make(config: &Config, file: &Path) -> anyhow::Result<Made> {
    let file = std::path::absolute(file)?;
    ensure!(
        !file.exists(),
        "{} is there already, and is not replaced",
        file.display()
    );
    let folder = file.parent().context("a backup is a file in a folder")?;
    // Beside the backup, where there must be room for twice the database. Its owner's alone.
    let staging = tempfile::Builder::new()
        .prefix(".adit-backup-")
        .tempdir_in(folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    // The files come first. A block that was solved in between is in the database by then, or its note
    // was among the files; the other way round it could be in neither.
    let mut names = copy_files(&config.data, staging.path())?;
    let (kind, name) = copy_database(config, staging.path()).await?;
    names.push(name.to_owned());
    let live = match &config.database {
        None => None,
        // A dump is checked when it is put back; what it was made of can be checked now.
        Some(url) => Some(data::open_existing(&config.data, Some(url)).await?),
    };
    let copy = staging.path().join(name);
    let stamps = match &live {
        Some(live) => live.stamps().await?,
        None => store::stamps(&copy).await.context("the copy")?,
    };
    let manifest = Manifest::new(kind, &stamps, staging.path(), &names)?;
    let mut packed = tempfile::NamedTempFile::new_in(folder)?;
    manifest.pack(staging.path(), packed.as_file_mut())?;
    // Only now: opening it may bring the copy to a newer schema than the backup's.
    let checked = match live {
        Some(live) => live,
        None => data::open_existing(staging.path(), None).await?,
    };
    let result = check(&checked).await;
    checked.close().await;
    let pools = result.context("the copy is no good")?;
    packed.as_file().sync_all()?;
    let size = packed.as_file().metadata()?.len();
    packed
        .persist_noclobber(&file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    // The name must survive a loss of power too.
    fs::File::open(folder)?.sync_all()?;
    Ok(Made {
        size,
        files: names.len(),
        pools: pools.len(),
    })
}

/// Copies the database into `staging`, and says what it is and the name of the copy.
async fn copy_database(config: &Config, staging: &Path) -> anyhow::Result<(Kind, &'static str)> {
    if let Some(url) = &config.database {
        postgres::dump(url, &staging.join(DUMP))?;
        return Ok((Kind::Postgres, DUMP));
    }
    let from = config.data.join(data::FILE);
    ensure!(from.exists(), "there is no database at {}", from.display());
    store::copy_sqlite(&from, &staging.join(data::FILE))
        .await
        .context("the database was not copied")?;
    Ok((Kind::Sqlite, data::FILE))
}

/// Reads a whole database and adds its books up. Gives its pools.
async fn check(store: &Store) -> anyhow::Result<Vec<Stamp>> {
    if let Integrity::Damaged(findings) = store.integrity_check().await? {
        bail!("the database is damaged: {}", findings.join("; "));
    }
    let stamps = store.stamps().await?;
    for stamp in &stamps {
        let books = store.check_books(stamp.id).await?;
        let name = &stamp.name;
        ensure!(books.balance(), "the books of pool {name:?} do not balance");
    }
    Ok(stamps)
}

/// Copies what lies beside the database, and gives the names. What goes away meanwhile is passed over.
fn copy_files(data: &Path, staging: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(data.join(&folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context(format!("cannot read {}", data.display())),
        };
        for entry in entries {
            let entry = entry?;
            let name = folder.join(entry.file_name());
            let Some(text) = name.to_str() else {
                bail!("{} has no name in UTF-8", data.join(&name).display());
            };
            // Links lead elsewhere, and files that begin with a point are somebody's temporary ones.
            let kind = entry.file_type()?;
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if NOT_COPIED.contains(&text) || hidden {
                continue;
            }
            if kind.is_dir() {
                ensure!(depth < DEPTH_MAX, "{text}: too many folders");
                fs::create_dir(staging.join(&name))?;
                folders.push((name, depth + 1));
            } else if kind.is_file() {
                match fs::copy(data.join(&name), staging.join(&name)) {
                    Ok(_) => names.push(text.to_owned()),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error).context(format!("{text} was not copied")),
                }
            }
        }
    }
    names.sort();
    Ok(names)
}
