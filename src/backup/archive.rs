//! The file of a backup: a tar archive of a manifest, the manifest's sum, and the files that it lists,
//! in its order. Whatever differs from the manifest makes it no backup.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Seek as _, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Component, Path},
};

use anyhow::{Context as _, bail, ensure};
use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use store::Stamp;

use crate::{clock, data, display};

const MANIFEST: &str = "manifest.json";
const MANIFEST_SUM: &str = "manifest.sha256";
/// What stands last, with the same sum: behind it nothing of a backup can be missing, whatever zeros the
/// database ends with.
const LAST: &str = "adit-backup.end";
/// Another form of the archive has another number.
const FORM: u32 = 1;
/// A file has 200 bytes in it; so many files lie beside no database.
const MANIFEST_MAX: u64 = 4 << 20;
/// A tar archive ends with two blocks of nothing.
const END: i64 = 1024;
/// A file is copied and summed up by so many bytes.
const CHUNK: usize = 1 << 16;

/// What database it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Sqlite,
    Postgres,
}

/// What stands first in the archive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    form: u32,
    /// The version of the program that made it.
    adit: String,
    /// When, in UTC.
    pub(super) made: String,
    pub(super) database: Kind,
    pub(super) pools: Vec<Pool>,
    pub(super) files: Vec<Listed>,
}

/// A pool in a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) coin: String,
    pub(super) network: String,
}

/// A file in a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub(super) name: String,
    size: u64,
    sha256: String,
}

impl Manifest {
    /// Of these files in a folder.
    pub(super) fn new(
        database: Kind,
        stamps: &[Stamp],
        folder: &Path,
        names: &[String],
    ) -> anyhow::Result<Self> {
        let pool = |stamp: &Stamp| Pool {
            name: stamp.name.clone(),
            coin: stamp.coin.clone(),
            network: stamp.network.clone(),
        };
        let listed = |name: &String| {
            let mut file = File::open(folder.join(name))?;
            let size = file.metadata()?.len();
            let sha256 = copy(&mut file, &mut std::io::sink(), &ProgressBar::hidden())?;
            anyhow::Ok(Listed {
                name: name.clone(),
                size,
                sha256,
            })
        };
        Ok(Self {
            form: FORM,
            adit: env!("CARGO_PKG_VERSION").to_owned(),
            made: display::time(clock::now_ms()),
            database,
            pools: stamps.iter().map(pool).collect(),
            files: names.iter().map(listed).collect::<Result<_, _>>()?,
        })
    }

    /// Writes the archive with the files in `folder`.
    pub(super) fn pack(&self, folder: &Path, archive: &mut File) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        let sum = sha256::Hash::hash(&text).to_string();
        let mut tar = tar::Builder::new(archive);
        append(&mut tar, MANIFEST, size_of(&text), &text[..])?;
        append(
            &mut tar,
            MANIFEST_SUM,
            size_of(sum.as_bytes()),
            sum.as_bytes(),
        )?;
        let bar = self.bar();
        for file in &self.files {
            let content = File::open(folder.join(&file.name))?;
            append(&mut tar, &file.name, file.size, bar.wrap_read(content))?;
        }
        bar.finish_and_clear();
        append(&mut tar, LAST, size_of(sum.as_bytes()), sum.as_bytes())?;
        tar.into_inner()?.flush()?;
        Ok(())
    }

    /// Reads the archive into `folder`, and compares all of it with its manifest.
    pub(super) fn unpack(archive: &Path, folder: &Path) -> anyhow::Result<Self> {
        let mut file =
            File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
        ensure!(
            is_whole(&mut file)?,
            "it is no whole backup: its end is missing"
        );
        let mut tar = tar::Archive::new(file);
        let mut entries = tar.entries()?;
        let mut small = |name: &str, most: u64| -> anyhow::Result<Vec<u8>> {
            let entry = entries.next().context("it is empty")??;
            ensure!(
                entry.path_bytes() == name.as_bytes() && entry.size() <= most,
                "it is no backup of adit's: {name} is not where it has to be"
            );
            let mut text = Vec::new();
            entry.take(most).read_to_end(&mut text)?;
            Ok(text)
        };
        let text = small(MANIFEST, MANIFEST_MAX)?;
        let sum = small(MANIFEST_SUM, 64)?;
        ensure!(
            sha256::Hash::hash(&text).to_string().as_bytes() == sum,
            "its manifest is damaged"
        );
        let form: Form = serde_json::from_slice(&text).context("its manifest is damaged")?;
        let known = format!("it has form {}, this program knows {FORM}", form.form);
        ensure!(form.form == FORM, "{known}; use the program that made it");
        let manifest: Self = serde_json::from_slice(&text).context("its manifest is damaged")?;
        manifest.check_names()?;
        let bar = manifest.bar();
        for listed in &manifest.files {
            let name = &listed.name;
            let entry = entries.next();
            let mut entry = entry.with_context(|| format!("{name} is missing"))??;
            ensure!(
                entry.path_bytes() == name.as_bytes() && entry.size() == listed.size,
                "it has something else where {name} should be"
            );
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            // Keys are among them.
            let mut options = File::options();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            let sum = copy(&mut entry, &mut file, &bar)?;
            ensure!(
                sum == listed.sha256,
                "{name} is damaged: its sum is another one"
            );
            file.sync_all()?;
        }
        bar.finish_and_clear();
        let last = entries.next().context("its end is missing")??;
        ensure!(
            last.path_bytes() == LAST.as_bytes() && last.size() == size_of(&sum),
            "it has files that its manifest does not list"
        );
        let mut text = Vec::new();
        last.take(64).read_to_end(&mut text)?;
        ensure!(text == sum, "its end is damaged");
        ensure!(
            entries.next().is_none(),
            "it has files that its manifest does not list"
        );
        Ok(manifest)
    }

    /// No name leads out of the folder, or to what is another one's.
    fn check_names(&self) -> anyhow::Result<()> {
        let mut names = BTreeSet::new();
        for Listed { name, .. } in &self.files {
            let mut parts = Path::new(name).components();
            let inside = parts.all(|part| matches!(part, Component::Normal(_)));
            if !inside || name.is_empty() || name == data::LOCK || !names.insert(name) {
                bail!("it has a file that cannot be one of a pool's: {name:?}");
            }
        }
        Ok(())
    }

    fn bar(&self) -> ProgressBar {
        ProgressBar::new(self.files.iter().fold(0, |sum, file| sum + file.size))
    }
}

/// What every form of a manifest has.
#[derive(Deserialize)]
struct Form {
    form: u32,
}

fn append(
    tar: &mut tar::Builder<&mut File>,
    name: &str,
    size: u64,
    content: impl Read,
) -> anyhow::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    tar.append_data(&mut header, name, content)
        .with_context(|| format!("{name} was not written"))
}

fn size_of(text: &[u8]) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// Whether the end of an archive is there, which has blocks of 512 bytes. Leaves the file at its beginning.
fn is_whole(file: &mut File) -> anyhow::Result<bool> {
    if !file.metadata()?.len().is_multiple_of(512) {
        return Ok(false);
    }
    let mut end = [1; 1024];
    let found = match file.seek(SeekFrom::End(-END)) {
        Ok(_) => file.read_exact(&mut end).is_ok() && end == [0; 1024],
        // It is shorter.
        Err(_) => false,
    };
    file.rewind()?;
    Ok(found)
}

/// Copies all of it and gives its sum.
fn copy(from: &mut impl Read, to: &mut impl Write, bar: &ProgressBar) -> anyhow::Result<String> {
    let mut engine = sha256::Hash::engine();
    let mut chunk = vec![0; CHUNK];
    loop {
        let size = from.read(&mut chunk)?;
        if size == 0 {
            return Ok(sha256::Hash::from_engine(engine).to_string());
        }
        engine.input(&chunk[..size]);
        to.write_all(&chunk[..size])?;
        bar.inc(size_of(&chunk[..size]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let manifest = |names: &[&str]| Manifest {
            form: FORM,
            adit: String::new(),
            made: String::new(),
            database: Kind::Sqlite,
            pools: Vec::new(),
            files: names
                .iter()
                .map(|name| Listed {
                    name: (*name).to_owned(),
                    size: 0,
                    sha256: String::new(),
                })
                .collect(),
        };
        assert!(
            manifest(&["adit.db", "blocks/main/0.hex"])
                .check_names()
                .is_ok()
        );
        for bad in ["", "/etc/x", "../x", "blocks/../../x", "./x", data::LOCK] {
            assert!(manifest(&[bad]).check_names().is_err(), "{bad}");
        }
        assert!(manifest(&["x", "x"]).check_names().is_err());
    }
}
