//! The node: chain, pool, wallet and faults behind one lock, and the news others wait for.
//!
//! Everything that changes the chain goes through [`Node::submit`] and its neighbours, which keep
//! pool and wallet in step, write the block down and tell the world. Methods block for as long as
//! their work takes: async code calls them on a blocking thread.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bitcoin::{BlockHash, ScriptBuf, Transaction, Txid};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    chain::{Chain, Change, Id, Verdict},
    check::Reject,
    disk::{self, BlockFile},
    fault::Faults,
    grind::grind,
    mempool::Mempool,
    sealed::Sealed,
    template::Template,
    wallet::{Wallet, keys::Kind},
};

/// Blocks one call may generate; a thousand regtest blocks take a second.
pub(crate) const MAX_GENERATE: u32 = 10_000;

/// The active chain's newest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
}

/// What is behind the lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) chain: Chain,
    pub(crate) mempool: Mempool,
    pub(crate) wallet: Wallet,
    pub(crate) faults: Faults,
    blocks: Option<BlockFile>,
}

#[derive(Debug)]
pub(crate) struct Node {
    state: Mutex<State>,
    folder: Option<PathBuf>,
    pub(crate) tip: watch::Sender<Tip>,
    /// Counts changes of the pool, the second half of a long poll id.
    pub(crate) pool_changes: watch::Sender<u64>,
    /// Hashes for ZMQ; a subscriber that does not keep up loses some, as with Bitcoin Core.
    announce: Option<mpsc::Sender<BlockHash>>,
    pub(crate) zmq_endpoint: Option<String>,
    pub(crate) long_poll_refresh: Duration,
    pub(crate) started: Instant,
    pub(crate) cancel: CancellationToken,
    marks: AtomicU64,
}

/// Why blocks were not generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotGenerated {
    /// More blocks at once than the limit of 10,000.
    TooMany,
    /// The node is shutting down.
    Stopped,
    /// The block that was made is refused: the reason.
    Refused(String),
}

impl std::fmt::Display for NotGenerated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooMany => write!(f, "at most {MAX_GENERATE} blocks can be generated at once"),
            Self::Stopped => f.write_str("the node is shutting down"),
            Self::Refused(reason) => write!(f, "the generated block is refused: {reason}"),
        }
    }
}

impl std::error::Error for NotGenerated {}

impl State {
    /// The tip the node admits to: an older one while it is made to lag.
    pub(crate) fn tip(&self) -> Id {
        let height = self.height();
        self.chain.at(height).unwrap_or_else(|| self.chain.tip())
    }

    /// The height of that tip.
    pub(crate) fn height(&self) -> u32 {
        self.chain.height().saturating_sub(self.faults.lagging)
    }

    pub(crate) fn template(&self) -> Template {
        Template::new(&self.chain, self.tip(), &self.mempool, now())
    }

    /// Keeps pool and wallet in step with the chain.
    fn follow(&mut self, changes: &[Change]) {
        let mut left: Vec<Transaction> = Vec::new();
        for change in changes.iter().rev() {
            if let Change::Disconnected(id) = change
                && let Some(block) = self.chain.block_of(*id)
            {
                left.extend(block.txdata.iter().skip(1).cloned());
            }
        }
        for change in changes {
            if let Change::Connected(id) = change
                && let Some(block) = self.chain.block_of(*id)
            {
                self.mempool.block_connected(block);
                self.wallet.block_connected(block);
            }
        }
        if changes
            .iter()
            .any(|change| matches!(change, Change::Disconnected(_)))
        {
            self.mempool.branch_changed(&self.chain, left, now());
        }
    }
}

impl Node {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, where everything is made"
    )]
    pub(crate) fn new(
        chain: Chain,
        mut wallet: Wallet,
        blocks: Option<BlockFile>,
        folder: Option<PathBuf>,
        announce: Option<mpsc::Sender<BlockHash>>,
        zmq_endpoint: Option<String>,
        long_poll_refresh: Duration,
        cancel: CancellationToken,
    ) -> Self {
        for height in 0..=chain.height() {
            if let Some(block) = chain.hash_at(height).and_then(|hash| chain.block(&hash)) {
                wallet.block_connected(&block);
            }
        }
        let tip = Tip {
            height: chain.height(),
            hash: chain.tip_hash(),
        };
        let (mempool, faults) = (Mempool::default(), Faults::default());
        Self {
            state: Mutex::new(State {
                chain,
                mempool,
                wallet,
                faults,
                blocks,
            }),
            folder,
            tip: watch::Sender::new(tip),
            pool_changes: watch::Sender::new(0),
            announce,
            zmq_endpoint,
            long_poll_refresh,
            started: Instant::now(),
            cancel,
            marks: AtomicU64::new(0),
        }
    }

    /// The state, for as long as a synchronous step takes; never across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a serialised block as `submitblock` does.
    pub(crate) fn submit(&self, bytes: &[u8]) -> Verdict {
        let block = Sealed::decode(self.state().chain.params(), bytes);
        block.map_or(Verdict::Undecodable, |block| self.submit_block(block))
    }

    pub(crate) fn submit_block(&self, mut sealed: Sealed) -> Verdict {
        let mut state = self.state();
        state.chain.complete(&mut sealed.block);
        let bytes = sealed.encode();
        let hash = sealed.head.hash;
        let (verdict, changes) = state.chain.process(sealed, now());
        match &verdict {
            Verdict::Accepted | Verdict::Inconclusive => {
                if let Some(file) = &mut state.blocks
                    && let Err(error) = file.append(&bytes)
                {
                    tracing::error!(%hash, ?error, "a block is not on disk and will be gone after a restart");
                }
                tracing::info!(%hash, verdict = verdict.reason().unwrap_or("accepted"), "block");
            }
            Verdict::Rejected(reject) => {
                tracing::warn!(%hash, reason = %reject.reason, detail = %reject.detail, "block rejected");
            }
            _ => {}
        }
        self.publish(&mut state, &changes);
        verdict
    }

    /// Marks a block invalid; `false` when it is not known or the genesis block.
    pub(crate) fn invalidate(&self, hash: &BlockHash) -> bool {
        let mut state = self.state();
        let changes = state.chain.invalidate(hash);
        self.publish(&mut state, changes.as_deref().unwrap_or_default());
        changes.is_some()
    }

    /// Takes that mark off; `false` when the block is not known.
    pub(crate) fn reconsider(&self, hash: &BlockHash) -> bool {
        let mut state = self.state();
        let changes = state.chain.reconsider(hash);
        self.publish(&mut state, changes.as_deref().unwrap_or_default());
        changes.is_some()
    }

    /// Offers a transaction to the pool.
    pub(crate) fn offer(&self, transaction: &Transaction) -> Result<Txid, Reject> {
        let mut state = self.state();
        let State {
            chain,
            mempool,
            wallet,
            ..
        } = &mut *state;
        let txid = mempool.accept(chain, transaction, now())?;
        wallet.look(transaction, now());
        self.pool_changes.send_modify(|count| *count += 1);
        Ok(txid)
    }

    /// A fresh script of the wallet, written down before it is given out.
    pub(crate) fn new_script(&self, kind: Kind) -> ScriptBuf {
        let mut state = self.state();
        let script = state.wallet.new_script(kind, false);
        self.save_keys(&state.wallet);
        script
    }

    /// Writes down how many keys were handed out.
    pub(crate) fn save_keys(&self, wallet: &Wallet) {
        if let Some(folder) = &self.folder
            && let Err(error) = disk::save_keys(folder, &wallet.keys)
        {
            tracing::error!(
                ?error,
                "the wallet's new key will not be known after a restart"
            );
        }
    }

    /// Mines `count` blocks that pay to `script`, on top of each tip in turn. `tries` bounds the
    /// hashes of each; fewer blocks come back when they are used up.
    pub(crate) fn generate(
        &self,
        count: u32,
        script: &ScriptBuf,
        tries: Option<u64>,
    ) -> Result<Vec<BlockHash>, NotGenerated> {
        if count > MAX_GENERATE {
            return Err(NotGenerated::TooMany);
        }
        let mut hashes = Vec::new();
        while hashes.len() < usize::try_from(count).unwrap_or(usize::MAX) {
            let template = {
                let state = self.state();
                Template::new(&state.chain, state.chain.tip(), &state.mempool, now())
            };
            let mut tries = tries.unwrap_or(u64::MAX);
            let Some(block) = self.solve(&template, script, &mut tries, true)? else {
                if tries == 0 {
                    return Ok(hashes);
                }
                continue;
            };
            let hash = block.head.hash;
            match self.submit_block(block) {
                Verdict::Accepted => hashes.push(hash),
                // Somebody else's block came first.
                Verdict::Inconclusive => {}
                verdict => return Err(refused(&verdict)),
            }
        }
        Ok(hashes)
    }

    /// Leaves the last `depth` blocks for a branch of `depth + 1` empty ones.
    pub(crate) fn reorganise(
        &self,
        depth: u32,
        script: &ScriptBuf,
    ) -> Result<Vec<BlockHash>, NotGenerated> {
        if depth >= MAX_GENERATE {
            return Err(NotGenerated::TooMany);
        }
        let (mut parent, old) = {
            let state = self.state();
            let height = state.chain.height().saturating_sub(depth);
            let id = state.chain.at(height).unwrap_or_else(|| state.chain.tip());
            (state.chain.hash(id), state.chain.tip_hash())
        };
        let mut hashes = Vec::new();
        loop {
            let template = {
                let state = self.state();
                let Some(id) = state.chain.find(&parent) else {
                    return Err(NotGenerated::Refused("the branch is gone".to_owned()));
                };
                Template::new(&state.chain, id, &Mempool::default(), now())
            };
            let mut tries = u64::MAX;
            let Some(block) = self.solve(&template, script, &mut tries, false)? else {
                continue;
            };
            parent = block.head.hash;
            hashes.push(parent);
            match self.submit_block(block) {
                Verdict::Accepted => {}
                Verdict::Inconclusive
                    if hashes.len() < usize::try_from(MAX_GENERATE).unwrap_or(0) => {}
                verdict => return Err(refused(&verdict)),
            }
            let state = self.state();
            // With real work the old branch may be heavier block for block: go on until it is left.
            let left = state
                .chain
                .find(&old)
                .is_none_or(|id| !state.chain.is_active(id));
            let long = hashes.len() > usize::try_from(depth).unwrap_or(usize::MAX);
            if long && (left || depth == 0) {
                return Ok(hashes);
            }
        }
    }

    /// Grinds a template's block. `None` when its parent is no longer the tip and that matters.
    fn solve(
        &self,
        template: &Template,
        script: &ScriptBuf,
        tries: &mut u64,
        on_tip: bool,
    ) -> Result<Option<Sealed>, NotGenerated> {
        let params = self.state().chain.params().clone();
        let mark = self
            .marks
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut draft = template.block(script.clone(), &mark.to_le_bytes());
        let stale = || on_tip && self.tip.borrow().hash != template.parent;
        let go_on = || !self.cancel.is_cancelled() && !stale();
        if grind(&params, &mut draft, tries, go_on) {
            return Ok(Some(draft.seal(&params)));
        }
        if self.cancel.is_cancelled() {
            return Err(NotGenerated::Stopped);
        }
        Ok(None)
    }

    /// Tells everybody about a change of the chain, with the lock held so that news stay in order.
    fn publish(&self, state: &mut State, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        state.follow(changes);
        let tip = Tip {
            height: state.chain.height(),
            hash: state.chain.tip_hash(),
        };
        self.pool_changes.send_modify(|count| *count += 1);
        self.tip.send_replace(tip);
        if let Some(announce) = &self.announce
            && announce.try_send(tip.hash).is_err()
        {
            tracing::warn!(hash = %tip.hash, "a block was not announced: the queue is full");
        }
    }
}

fn refused(verdict: &Verdict) -> NotGenerated {
    NotGenerated::Refused(verdict.reason().unwrap_or("accepted").to_owned())
}

/// Seconds since 1970.
pub(crate) fn now() -> u32 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX)
}

/// A node shared by the tasks.
pub(crate) type SharedNode = Arc<Node>;
