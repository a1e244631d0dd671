//! What is known of a solved block, in a file until the store has it: a process may end in the instant
//! between. Written beside the sending, like the block itself (`daemon/kept_blocks`).

use std::{
    io::ErrorKind,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use mining::{Amount, NetworkDifficulty, Scheme, accounting::Position, ledger::BadAccount};
use pow::Hash;
use serde::{Deserialize, Serialize};
use store::{ByCoinbase, FoundBlock, NewBlock, WorkerName};
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt as _,
};
use tracing::{error, warn};

/// A note has some hundred bytes, and as many for each payment of a coinbase, of which 4 million weight
/// units hold some ten thousand.
const SIZE_MAX: u64 = 4 << 20;

/// The folder of notes.
#[derive(Clone, Debug)]
pub(super) struct Notes(PathBuf);

#[derive(Serialize, Deserialize)]
struct Note {
    hash: Hash,
    proof: Hash,
    height: u32,
    address: String,
    worker: String,
    /// In hashes, where the chain counts so; in `bits` elsewhere.
    #[serde(default)]
    hashes: Option<NonZeroU64>,
    bits: u32,
    time: u32,
    found_ms: i64,
    reward: u64,
    coinbase: Option<Hash>,
    scheme: Scheme,
    by_coinbase: Option<ByCoinbaseNote>,
}

/// What its coinbase has paid to miners.
#[derive(Serialize, Deserialize)]
struct ByCoinbaseNote {
    seq: i64,
    place: i64,
    /// By account.
    payments: Vec<(String, u64)>,
}

impl Notes {
    /// The notes in `folder`, which need not be there yet.
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Writes one down. A disk that does not take it is an error in the log.
    pub(super) async fn keep(&self, found: &FoundBlock) {
        if let Err(failure) = self.write(found).await {
            let hash = found.block.hash;
            error!(%hash, %failure, "what is known of a solved block was not written down");
        }
    }

    /// Removes one: the store has it.
    pub(super) async fn forget(&self, hash: Hash) {
        match fs::remove_file(self.path(hash)).await {
            Err(failure) if failure.kind() != ErrorKind::NotFound => {
                warn!(%hash, %failure, "a note was not removed");
            }
            _ => {}
        }
    }

    /// All that are there. One that cannot be read is left, and said.
    pub(super) async fn all(&self) -> Vec<FoundBlock> {
        let mut all = Vec::new();
        let Ok(mut entries) = fs::read_dir(&self.0).await else {
            return all;
        };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let path = entry.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                match read(&path).await {
                    Ok(block) => all.push(block),
                    Err(failure) => {
                        let (path, failure) = (path.display(), format!("{failure:#}"));
                        error!(%path, failure, "what is known of a solved block cannot be read");
                    }
                }
            }
        }
        all
    }

    async fn write(&self, found: &FoundBlock) -> anyhow::Result<()> {
        let FoundBlock { block, by_coinbase } = found;
        let payments = |by: &ByCoinbase| {
            let payments = by.payments.iter();
            payments
                .map(|(account, amount)| (account.to_string(), amount.units()))
                .collect()
        };
        let (bits, hashes) = match block.network {
            NetworkDifficulty::Bits(bits) => (bits, None),
            NetworkDifficulty::Hashes(hashes) => (0, Some(hashes)),
        };
        let note = Note {
            hash: block.hash,
            proof: block.proof,
            height: block.height,
            address: block.worker.address().to_owned(),
            worker: block.worker.name().to_owned(),
            hashes,
            bits,
            time: block.time,
            found_ms: block.found_ms,
            reward: block.reward.units(),
            coinbase: block.coinbase,
            scheme: block.scheme,
            by_coinbase: by_coinbase.as_ref().map(|by| ByCoinbaseNote {
                seq: by.end.seq,
                place: by.end.place,
                payments: payments(by),
            }),
        };
        let text = serde_json::to_vec(&note)?;
        fs::create_dir_all(&self.0).await?;
        let part = self.0.join(format!("{}.note", block.hash));
        let mut file = File::create(&part).await?;
        file.write_all(&text).await?;
        file.flush().await?;
        // Named first: a process may end sooner than the disk is done.
        fs::rename(&part, self.path(block.hash)).await?;
        file.sync_all().await?;
        Ok(File::open(&self.0).await?.sync_all().await?)
    }

    fn path(&self, hash: Hash) -> PathBuf {
        self.0.join(format!("{hash}.json"))
    }
}

async fn read(path: &Path) -> anyhow::Result<FoundBlock> {
    let size = fs::metadata(path).await?.len();
    anyhow::ensure!(size <= SIZE_MAX, "it has {size} bytes");
    let note: Note = serde_json::from_slice(&fs::read(path).await?)?;
    let by_coinbase = note.by_coinbase.map(|by| {
        let payment =
            |(account, units): (String, u64)| Ok((account.parse()?, Amount::from_units(units)));
        let payments = by.payments.into_iter().map(payment);
        let payments = payments.collect::<Result<_, BadAccount>>()?;
        let (seq, place) = (by.seq, by.place);
        let end = Position { seq, place };
        Ok::<_, BadAccount>(ByCoinbase { end, payments })
    });
    let block = NewBlock {
        hash: note.hash,
        proof: note.proof,
        height: note.height,
        worker: WorkerName::new(&note.address, &note.worker).context("its worker")?,
        network: note.hashes.map_or(
            NetworkDifficulty::Bits(note.bits),
            NetworkDifficulty::Hashes,
        ),
        time: note.time,
        found_ms: note.found_ms,
        reward: Amount::from_units(note.reward),
        coinbase: note.coinbase,
        scheme: note.scheme,
    };
    Ok(FoundBlock {
        block,
        by_coinbase: by_coinbase.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use mining::ledger::Account;

    use super::*;

    #[tokio::test]
    async fn a_note_is_there_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::new(&folder.path().join("blocks"));
        assert_eq!(notes.all().await, []);
        let block = NewBlock {
            hash: Hash([7; 32]),
            proof: Hash([8; 32]),
            height: 9,
            worker: WorkerName::new("bcrt1qminer", "rig").unwrap(),
            network: NetworkDifficulty::Bits(0x207f_ffff),
            time: 10,
            found_ms: 11,
            reward: Amount::from_units(u64::MAX),
            coinbase: Some(Hash([9; 32])),
            scheme: Scheme::Prop,
        };
        let account = Account::Miner("bcrt1qminer".into());
        let block = FoundBlock {
            block,
            by_coinbase: Some(ByCoinbase {
                end: Position { seq: 3, place: -1 },
                payments: [(account, Amount::from_units(5))].into(),
            }),
        };
        notes.keep(&block).await;
        notes.keep(&block).await;
        // What is no note, or half of one, is left alone.
        for name in ["0.json", "1.hex", "2.note"] {
            std::fs::write(folder.path().join("blocks").join(name), "{").unwrap();
        }
        assert_eq!(notes.all().await, [block]);
        notes.forget(Hash([7; 32])).await;
        notes.forget(Hash([7; 32])).await;
        assert_eq!(notes.all().await, []);
    }
}
