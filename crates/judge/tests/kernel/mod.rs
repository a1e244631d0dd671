//! The judge: a chain in Bitcoin Core's consensus library, asked about one block at a time.
//!
//! Its answer to a block is coarse, and "new block" even for one that fails when it is connected. The
//! verdict is what `submitblock` makes of the `BlockChecked` signal, and the reason stands nowhere but
//! in the log, which all chains of a process share. So one block is judged at a time, whoever asks.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, Once},
};

use bitcoin::{BlockHash, hashes::Hash as _};
use bitcoinkernel::{
    Block, ChainstateManager, Context, ContextBuilder, Log, LogCategory, LogLevel, Logger,
    ProcessBlockResult, prelude::*,
};
use tempfile::TempDir;

/// The time of a block must be above the median of this many before it.
const MEDIAN_SPAN: usize = 11;

/// One block is judged at a time.
static COURT: Mutex<()> = Mutex::new(());
/// What was said of the block being judged and of those that its coming connected, by hash.
static LOGGED: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

/// A chain that starts with its genesis block.
pub(crate) struct Judge {
    chain: ChainstateManager,
    _context: Context,
    _folder: TempDir,
}

/// What the library says of a block, in the words of `submitblock` (BIP 22).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opinion {
    /// Valid, and part of the active chain now.
    pub(crate) accepted: bool,
    /// The tip is another one than before.
    pub(crate) tip_moved: bool,
    /// `None` for an accepted block; else a reject reason, `duplicate`, `duplicate-invalid`,
    /// `inconclusive` (kept aside), or `undecodable`.
    pub(crate) reason: Option<String>,
    /// What else the library says; empty when it says no more.
    pub(crate) detail: String,
}

/// The newest block of the active chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) hash: BlockHash,
    pub(crate) height: u32,
    /// The median of the last eleven times: a block after this one must be later.
    pub(crate) median_time: u32,
}

impl Judge {
    /// A new chain with the parameters that `chain` chooses, in a folder that goes with it.
    pub(crate) fn open(chain: impl FnOnce(ContextBuilder) -> ContextBuilder) -> Self {
        listen();
        let context = chain(ContextBuilder::new())
            // Without a listener there are no signals, and without signals no reasons in the log.
            .with_block_checked_validation(|_, _: bitcoinkernel::BlockValidationStateRef<'_>| {})
            .build()
            .unwrap();
        let folder = TempDir::new().unwrap();
        let path = |name| folder.path().join(name).to_str().unwrap().to_owned();
        let chain = ChainstateManager::builder(&context, &path("data"), &path("blocks"))
            .unwrap()
            .chainstate_db_in_memory(true)
            .block_tree_db_in_memory(true)
            // With a worker scripts are run after everything else, as in a node.
            .worker_threads(1)
            .build()
            .unwrap();
        chain.import_blocks().unwrap();
        Self {
            chain,
            _context: context,
            _folder: folder,
        }
    }

    /// Hands a serialised block in and gives the verdict on it.
    pub(crate) fn judge(&mut self, block: &[u8]) -> Opinion {
        let before = self.tip().hash;
        let Ok(parsed) = Block::new(block) else {
            return Opinion::aside("undecodable");
        };
        let hash = BlockHash::from_byte_array(parsed.hash().to_bytes());
        let (result, state) = {
            let _alone = lock(&COURT);
            *lock(&LOGGED) = Some(HashMap::new());
            let result = self.chain.process_block(&parsed);
            let state = lock(&LOGGED).take().unwrap().remove(&hash.to_string());
            (result, state)
        };
        let tip_moved = self.tip().hash != before;
        match (result, state) {
            (ProcessBlockResult::Duplicate, _) => Opinion::aside("duplicate"),
            (_, Some(state)) if state == "Valid" => Opinion {
                accepted: true,
                tip_moved,
                reason: None,
                detail: String::new(),
            },
            (_, Some(state)) => {
                let (reason, detail) = state.split_once(", ").unwrap_or((&state, ""));
                Opinion {
                    tip_moved,
                    detail: detail.to_owned(),
                    ..Opinion::aside(reason)
                }
            }
            (_, None) => Opinion {
                tip_moved,
                ..Opinion::aside("inconclusive")
            },
        }
    }

    /// The newest block of the active chain.
    pub(crate) fn tip(&self) -> Tip {
        let tip = self.chain.active_chain().tip();
        let before = std::iter::successors(Some(tip), |entry| entry.prev());
        let mut times: Vec<u32> = before
            .take(MEDIAN_SPAN)
            .map(|entry| entry.header().timestamp())
            .collect();
        times.sort_unstable();
        Tip {
            hash: BlockHash::from_byte_array(tip.block_hash().to_bytes()),
            height: u32::try_from(tip.height()).unwrap(),
            median_time: times[times.len() / 2],
        }
    }
}

impl Opinion {
    fn aside(reason: &str) -> Self {
        Self {
            accepted: false,
            tip_moved: false,
            reason: Some(reason.to_owned()),
            detail: String::new(),
        }
    }
}

/// Reads the library's log from the first call on.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let logger = Logger::new(Clerk).unwrap();
        logger.set_level_category(LogCategory::Validation, LogLevel::Debug);
        logger.enable_category(LogCategory::Validation);
        // The library forgets the listener when this is dropped.
        std::mem::forget(logger);
    });
}

struct Clerk;

impl Log for Clerk {
    /// Takes down `... BlockChecked: block hash=<hash> state=<reason>, <detail>`.
    fn log(&self, message: &str) {
        let Some((_, said)) = message.split_once("BlockChecked: block hash=") else {
            return;
        };
        let (hash, state) = said.split_once(" state=").unwrap();
        if let Some(logged) = lock(&LOGGED).as_mut() {
            logged.insert(hash.to_owned(), state.trim_end_matches('\n').to_owned());
        }
    }
}

/// A test that failed while it held a lock is no reason for the others to fail.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
