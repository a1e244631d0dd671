//! ckpool's files, for programs on this machine: `pool/pool.status` and `users/ADDRESS` below a folder,
//! written anew each minute. Each is replaced as a whole, so that no reader sees half of one.
//!
//! The first pool's stand in the folder itself, those of each other one in a folder of its name. A user
//! has a file while it has had a share in the last week, and at most 10,000 do.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use mining::address::ADDRESS_LEN_MAX;
use tokio_util::sync::CancellationToken;

use super::{INACTIVE_AFTER_MS, PoolNow, User, pool_status};
use crate::{api::compat::figures, clock, pool::Pool};

/// ckpool writes its own so often.
const EVERY: Duration = Duration::from_secs(60);
/// Users that have a file.
const USERS_MAX: usize = 10_000;

/// Writes the files of all pools until the process stops. What fails is tried again with the next.
pub(in crate::api) async fn keep(
    folder: PathBuf,
    pools: Vec<Pool>,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let mut failed = false;
    loop {
        let written = tokio::select! {
            written = write_all(&folder, &pools) => written,
            () = stopping.cancelled() => return Ok(()),
        };
        match written {
            Ok(()) => failed = false,
            // Told once, not each minute.
            Err(_) if failed => {}
            Err(error) => {
                failed = true;
                tracing::warn!(
                    error = format!("{error:#}"),
                    folder = %folder.display(),
                    "ckpool's files are not written"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stopping.cancelled() => return Ok(()),
        }
    }
}

async fn write_all(folder: &Path, pools: &[Pool]) -> anyhow::Result<()> {
    for (place, pool) in pools.iter().enumerate() {
        let folder = match place {
            0 => folder.to_owned(),
            // The name of a pool is fit to be a folder's.
            _ => folder.join(&pool.name),
        };
        write(&folder, pool).await?;
    }
    Ok(())
}

async fn write(folder: &Path, pool: &Pool) -> anyhow::Result<()> {
    let now_ms = clock::now_ms();
    let status = pool_status(&PoolNow::of(pool, now_ms).await?);
    replace(&folder.join("pool"), "pool.status", &status).await?;
    let users = folder.join("users");
    let since_ms = now_ms - INACTIVE_AFTER_MS;
    let mut written = HashSet::new();
    for miner in figures::everybody(pool, since_ms, USERS_MAX, now_ms).await? {
        let name = miner.address.clone();
        if !is_file_name(&name) {
            continue;
        }
        if let Some(user) = User::new(&miner, pool.coin, now_ms) {
            let text = serde_json::to_string(&user)? + "\n";
            replace(&users, &name, &text).await?;
            written.insert(name);
        }
    }
    remove_old(&users, &written).await
}

/// Whether an address can be the name of a file, and of none but its own.
fn is_file_name(address: &str) -> bool {
    !address.is_empty()
        && address.len() <= ADDRESS_LEN_MAX
        && address.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Writes a file beside the one that is there, and puts it in its place.
async fn replace(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let told = || format!("{}", folder.join(name).display());
    tokio::fs::create_dir_all(folder).await.with_context(told)?;
    let new = folder.join(format!(".{name}.new"));
    tokio::fs::write(&new, text).await.with_context(told)?;
    tokio::fs::rename(&new, folder.join(name))
        .await
        .with_context(told)
}

/// Removes the files of users that have been away for a week.
async fn remove_old(users: &Path, written: &HashSet<String>) -> anyhow::Result<()> {
    let Ok(mut entries) = tokio::fs::read_dir(users).await else {
        // Nobody has mined yet.
        return Ok(());
    };
    let week = Duration::from_millis(INACTIVE_AFTER_MS.unsigned_abs());
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_file_name(name)) else {
            continue;
        };
        let details = entry.metadata().await?;
        let age = SystemTime::now().duration_since(details.modified()?);
        let is_old = age.is_ok_and(|age| age > week);
        if details.is_file() && is_old && !written.contains(name) {
            tokio::fs::remove_file(entry.path()).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_address_is_the_name_of_a_file() {
        assert!(is_file_name("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"));
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a.b",
            "a\0",
            "ä",
            &"a".repeat(ADDRESS_LEN_MAX + 1),
        ] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_file_is_replaced_as_a_whole_and_goes_after_a_week() {
        let folder = tempfile::tempdir().expect("a folder");
        let users = folder.path().join("users");
        replace(&users, "aaaa", "one\n").await.expect("written");
        replace(&users, "aaaa", "two\n").await.expect("written");
        replace(&users, "bbbb", "three\n").await.expect("written");
        let old = SystemTime::now() - Duration::from_secs(8 * 86_400);
        for name in ["aaaa", "bbbb", "not-ours"] {
            let file = std::fs::File::create_new(users.join(name))
                .or_else(|_| std::fs::File::options().append(true).open(users.join(name)));
            file.expect("a file").set_modified(old).expect("a time");
        }
        replace(&users, "cccc", "four\n").await.expect("written");
        let written = HashSet::from(["bbbb".to_owned()]);
        remove_old(&users, &written).await.expect("removed");
        let entries = std::fs::read_dir(&users).expect("a folder");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .collect();
        names.sort();
        // One was told of just now, one is young, and one is of somebody else.
        assert_eq!(names, ["bbbb", "cccc", "not-ours"]);
    }
}
