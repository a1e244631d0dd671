//! The table of devices: `devices.toml`, as it is built in or as the operator has written it.
//!
//! Started once for the process. A file of the operator's is looked at every two seconds and read
//! again when it has changed; one that makes no sense is told in the log, and the table before it
//! stays in force. What the table means is said in `crates/mining/src/device.rs`.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use mining::{
    Difficulty,
    device::{BadProfile, BadProfiles, CoinbaseClass, Profile, Profiles},
};
use serde::Deserialize;
use serde_path_to_error::Segment;
use tokio::sync::watch;
use toml::{Spanned, Value};
use tracing::{info, warn};

use crate::{
    config::BadConfig,
    tasks::{Stage, Tasks},
};

/// The table that is in force where the operator has none.
const BUILT_IN: &str = include_str!("../devices.toml");
/// How often the operator's file is looked at: soon enough for someone who edits it and waits.
const LOOK: Duration = Duration::from_secs(2);
/// The longest file that is read: the most devices there may be, with room for comments.
const FILE_LEN_MAX: u64 = 1 << 20;

/// The table of devices in force. Clones share it.
#[derive(Clone, Debug)]
pub struct Devices {
    current: watch::Receiver<Arc<Profiles>>,
}

/// Why a file is no table of devices.
#[derive(Debug, thiserror::Error)]
pub enum BadDevices {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is a directory, or something else without a length.
    #[error("is no file")]
    NotAFile,
    /// It is longer than any table.
    #[error("is longer than {FILE_LEN_MAX} bytes")]
    TooLong,
    /// It is no TOML, or not of the table's form.
    #[error("line {line}: {place}{message}")]
    Form {
        /// From 1.
        line: usize,
        /// The device and the field with a colon, as far as known.
        place: String,
        /// What is wrong there.
        message: String,
    },
    /// A value makes no sense.
    #[error(transparent)]
    Profiles(#[from] BadProfiles),
}

impl Devices {
    /// Takes the file's table, or the built-in one without a file, and follows the file until
    /// shutdown. A file that makes no sense is an error now, and only logged later.
    pub fn start(path: Option<PathBuf>, tasks: &Tasks) -> anyhow::Result<Self> {
        Self::follow(path, LOOK, tasks)
    }

    /// The table in force: for a device that has just subscribed.
    pub fn current(&self) -> Arc<Profiles> {
        self.current.borrow().clone()
    }

    fn follow(path: Option<PathBuf>, look: Duration, tasks: &Tasks) -> anyhow::Result<Self> {
        let Some(path) = path else {
            let profiles = parse(BUILT_IN).context("the built-in table of devices")?;
            let (_, current) = watch::channel(Arc::new(profiles));
            return Ok(Self { current });
        };
        // The stamp comes first: what is written while the file is read shows at the next look.
        let mut seen = Stamp::of(&path);
        let profiles = read(&path)
            .map_err(|error| BadConfig::Value(format!("devices: {} {error}", path.display())))?;
        let (publish, current) = watch::channel(Arc::new(profiles));
        let stopping = tasks.ending(Stage::Daemons);
        tasks.spawn(Stage::Daemons, "devices", async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(look) => {}
                    () = stopping.cancelled() => return Ok(()),
                }
                let looked_at = path.clone();
                let looking = tokio::task::spawn_blocking(move || {
                    let stamp = Stamp::of(&looked_at);
                    (stamp != seen).then(|| (stamp, read(&looked_at)))
                });
                let Some((stamp, result)) = looking.await? else {
                    continue;
                };
                seen = stamp;
                match result {
                    Ok(profiles) => {
                        let devices = profiles.list().len();
                        info!(file = %path.display(), devices, "devices read again");
                        publish.send_replace(Arc::new(profiles));
                    }
                    Err(error) => {
                        let file = path.display();
                        warn!(%file, %error, "the old table of devices stays in force");
                    }
                }
            }
        });
        Ok(Self { current })
    }
}

/// Reads a file's table.
pub(crate) fn read(path: &Path) -> Result<Profiles, BadDevices> {
    // A pipe would be waited for.
    if !std::fs::metadata(path)?.is_file() {
        return Err(BadDevices::NotAFile);
    }
    let mut text = String::new();
    File::open(path)?
        .take(FILE_LEN_MAX + 1)
        .read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|len| len > FILE_LEN_MAX) {
        return Err(BadDevices::TooLong);
    }
    parse(&text)
}

/// What tells one state of a file from another: any write, rename or change of rights.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp(Option<(u64, u64, i64, i64)>);

impl Stamp {
    /// Nothing where there is no file.
    fn of(path: &Path) -> Self {
        let stamp = |file: Metadata| (file.ino(), file.len(), file.ctime(), file.ctime_nsec());
        Self(std::fs::metadata(path).ok().map(stamp))
    }
}

/// `devices.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Required, as an empty file is one that somebody is writing.
    device: Vec<Entry>,
}

/// `[[device]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    agents: Vec<String>,
    class: CoinbaseClass,
    start: Option<Spanned<Value>>,
    min: Option<Spanned<Value>>,
    randomx_start: Option<Spanned<Value>>,
    randomx_min: Option<Spanned<Value>>,
    #[serde(default)]
    harder_only: bool,
    user_max: Option<usize>,
    extranonce2_max: Option<usize>,
    #[serde(default)]
    short_target: bool,
}

fn parse(text: &str) -> Result<Profiles, BadDevices> {
    let form = |error: &toml::de::Error, place: String| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        BadDevices::Form {
            line: text.as_bytes()[..at]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
                + 1,
            place,
            message: error.message().to_owned(),
        }
    };
    let reader = toml::Deserializer::parse(text).map_err(|error| form(&error, String::new()))?;
    let table: Table = serde_path_to_error::deserialize(reader)
        .map_err(|error| form(error.inner(), place(error.path())))?;
    let mut profiles = Vec::new();
    for (number, entry) in (1..).zip(table.device) {
        let read = |field: &'static str, value: Option<Spanned<Value>>| {
            let Some(value) = value else {
                return Ok(None);
            };
            difficulty(text, &value)
                .map(Some)
                .map_err(|fault| BadProfile {
                    number,
                    name: entry.name.clone(),
                    field,
                    fault,
                })
        };
        let start = read("start", entry.start).map_err(BadProfiles::Profile)?;
        let min = read("min", entry.min).map_err(BadProfiles::Profile)?;
        let randomx_start = read("randomx_start", entry.randomx_start);
        let randomx_min = read("randomx_min", entry.randomx_min);
        profiles.push(Profile {
            start,
            min,
            randomx_start: randomx_start.map_err(BadProfiles::Profile)?,
            randomx_min: randomx_min.map_err(BadProfiles::Profile)?,
            name: entry.name,
            agents: entry.agents,
            class: entry.class,
            harder_only: entry.harder_only,
            user_max: entry.user_max,
            extranonce2_max: entry.extranonce2_max,
            short_target: entry.short_target,
        });
    }
    Ok(Profiles::new(profiles)?)
}

/// A difficulty as it was written. TOML's own numbers are floats, so the digits of the file are
/// read instead.
fn difficulty(text: &str, value: &Spanned<Value>) -> Result<Difficulty, String> {
    let written = match value.get_ref() {
        Value::String(written) => written.clone(),
        Value::Integer(_) | Value::Float(_) => {
            text.get(value.span()).unwrap_or_default().replace('_', "")
        }
        other => return Err(format!("{} is no number", other.type_str())),
    };
    written.parse().map_err(|fault| format!("{fault}"))
}

/// `device 3, class: ` where the error is there.
fn place(path: &serde_path_to_error::Path) -> String {
    let mut parts = Vec::new();
    for segment in path {
        match segment {
            Segment::Seq { index } if parts.is_empty() => {
                parts.push(format!("device {}", index + 1));
            }
            Segment::Map { key } if key != "device" => parts.push(key.clone()),
            _ => {}
        }
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!("{}: ", parts.join(", "))
    }
}

#[cfg(test)]
mod tests;
