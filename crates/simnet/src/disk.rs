//! The two files that survive a restart: `blocks.dat` and `wallet.json`.
//!
//! `blocks.dat` is a list of blocks in the order they were taken, behind a line that names the chain:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `adit\x00sim` |
//! | 32 | genesis hash |
//! | then, for each block: 4 | length, little-endian |
//! | length | the block |
//!
//! A block whose end is missing (the process was killed while writing) is cut off. Marks of
//! `invalidateblock` are not kept.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use bitcoin::hashes::Hash as _;

use crate::{
    chain::{Chain, Verdict},
    check::MAX_BLOCK_WEIGHT,
    wallet::keys::{Counts, Keys},
};

const MAGIC: &[u8; 8] = b"adit\0sim";
const HEAD_BYTES: u64 = 40;

/// The open block file, at its end.
#[derive(Debug)]
pub(crate) struct BlockFile {
    file: File,
}

/// Opens the block file of a folder and submits every block in it. `now` is the latest time a block
/// may bear: it was checked when the block came.
pub(crate) fn replay(folder: &Path, chain: &mut Chain) -> anyhow::Result<BlockFile> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let path = folder.join("blocks.dat");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&chain.params().genesis_hash().to_byte_array());
    let length = file.metadata()?.len();
    if length < HEAD_BYTES {
        file.set_len(0)?;
        file.write_all(&head)?;
        return Ok(BlockFile { file });
    }
    let mut reader = BufReader::new(&mut file);
    let mut found = [0; 40];
    reader.read_exact(&mut found)?;
    if found[..] != head[..] {
        bail!("{} belongs to another chain", path.display());
    }
    let mut good = HEAD_BYTES;
    while let Some(block) = read_block(&mut reader)? {
        let end = good + 4 + u64::try_from(block.len())?;
        match chain.submit(&block, u32::MAX) {
            Verdict::Accepted | Verdict::Inconclusive | Verdict::Duplicate => {}
            _ if end >= length => break,
            verdict => bail!("{} is damaged at byte {good}: {verdict:?}", path.display()),
        }
        good = end;
    }
    if good < length {
        tracing::warn!(path = %path.display(), bytes = length - good, "cut off a torn block");
        file.set_len(good)?;
    }
    file.seek(SeekFrom::Start(good))?;
    Ok(BlockFile { file })
}

/// The next block, or `None` where the file ends, within a block or after it.
fn read_block(reader: &mut impl Read) -> anyhow::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if !read_whole(reader, &mut length)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length);
    if u64::from(length) > MAX_BLOCK_WEIGHT {
        bail!("the block file is damaged: a block of {length} bytes");
    }
    let mut block = vec![0; usize::try_from(length)?];
    Ok(read_whole(reader, &mut block)?.then_some(block))
}

fn read_whole(reader: &mut impl Read, buffer: &mut [u8]) -> anyhow::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error).context("cannot read the block file"),
    }
}

impl BlockFile {
    /// Appends a block in one write, so that only the last can ever be torn.
    pub(crate) fn append(&mut self, block: &[u8]) -> anyhow::Result<()> {
        let mut record = u32::try_from(block.len())?.to_le_bytes().to_vec();
        record.extend_from_slice(block);
        self.file
            .write_all(&record)
            .context("cannot write the block file")
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct WalletFile {
    seed: String,
    #[serde(flatten)]
    counts: Counts,
}

/// The wallet's keys: those of the folder, or new ones from `text`.
pub(crate) fn load_keys(folder: Option<&Path>, text: &str) -> anyhow::Result<Keys> {
    let Some(path) = folder.map(wallet_path).filter(|path| path.exists()) else {
        return Ok(Keys::from_text(text));
    };
    let context = || format!("cannot read {}", path.display());
    let content = std::fs::read_to_string(&path).with_context(context)?;
    let file: WalletFile = serde_json::from_str(&content).with_context(context)?;
    let mut seed = [0; 32];
    hex::decode_to_slice(&file.seed, &mut seed).with_context(context)?;
    Ok(Keys::restore(seed, file.counts))
}

/// Writes the wallet's seed and how many keys were handed out, in place of the last version.
pub(crate) fn save_keys(folder: &Path, keys: &Keys) -> anyhow::Result<()> {
    let path = wallet_path(folder);
    let file = WalletFile {
        seed: hex::encode(keys.seed()),
        counts: keys.counts(),
    };
    let context = || format!("cannot write {}", path.display());
    let draft = path.with_extension("new");
    std::fs::write(&draft, serde_json::to_vec(&file)?).with_context(context)?;
    std::fs::rename(&draft, &path).with_context(context)
}

fn wallet_path(folder: &Path) -> PathBuf {
    folder.join("wallet.json")
}
