//! Solved blocks on disk, from the moment they are sent until their fate is known, so that neither
//! a crash nor daemons that are all down can lose one.
//!
//! Files are `<id of the block>.hex`. Writing goes on beside the sending: a full disk is an error
//! in the log and nothing more.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use pow::Hash;
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncWriteExt},
};
use tracing::{error, warn};

/// The folder of solved blocks.
#[derive(Clone, Debug)]
pub(super) struct KeptBlocks(Arc<Path>);

/// The largest file read back: no coin here has blocks above 4 MB, which is twice that in hex.
const SIZE_LIMIT: u64 = 16 << 20;

impl KeptBlocks {
    /// The blocks in `folder`, which need not be there yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder.into())
    }

    /// Writes a block down for good.
    pub(super) async fn keep(&self, hash: Hash, block: &str) {
        if let Err(failure) = self.write(hash, block).await {
            error!(%hash, folder = %self.0.display(), %failure, "solved block was not written down");
        }
    }

    /// Removes a block whose fate is known.
    pub(super) async fn forget(&self, hash: Hash) {
        match fs::remove_file(self.path(hash)).await {
            Err(failure) if failure.kind() != ErrorKind::NotFound => {
                warn!(%hash, %failure, "solved block was not removed");
            }
            _ => {}
        }
    }

    /// The ids of all that are kept.
    pub(super) async fn all(&self) -> io::Result<Vec<Hash>> {
        let mut entries = match fs::read_dir(&self.0).await {
            Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut all = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            let hash: Option<Hash> = name
                .to_str()
                .and_then(|name| name.strip_suffix(".hex")?.parse().ok());
            all.extend(hash);
        }
        Ok(all)
    }

    /// Reads one back. It is sent as it is: what a daemon makes of it is the daemon's to say.
    pub(super) async fn read(&self, hash: Hash) -> io::Result<String> {
        let mut block = String::new();
        File::open(self.path(hash))
            .await?
            .take(SIZE_LIMIT)
            .read_to_string(&mut block)
            .await?;
        Ok(block.trim_end().to_owned())
    }

    async fn write(&self, hash: Hash, block: &str) -> io::Result<()> {
        fs::create_dir_all(&self.0).await?;
        let (path, part) = (self.path(hash), self.0.join(format!("{hash}.part")));
        let mut file = File::create(&part).await?;
        file.write_all(block.as_bytes()).await?;
        file.sync_all().await?;
        fs::rename(&part, &path).await?;
        // The name is as durable as the folder.
        File::open(&self.0).await?.sync_all().await
    }

    fn path(&self, hash: Hash) -> PathBuf {
        self.0.join(format!("{hash}.hex"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_block_is_kept_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptBlocks::new(folder.path().join("blocks"));
        let hash = Hash([7; 32]);
        assert_eq!(kept.all().await.unwrap(), []);
        kept.keep(hash, "0011").await;
        std::fs::write(folder.path().join("blocks/notes.txt"), "x").unwrap();
        assert_eq!(kept.all().await.unwrap(), [hash]);
        assert_eq!(kept.read(hash).await.unwrap(), "0011");
        kept.forget(hash).await;
        kept.forget(hash).await;
        assert_eq!(kept.all().await.unwrap(), []);
    }
}
