//! A block the pool solved: submitted first, then recorded, then followed until its coinbase can be
//! spent or it is orphaned.
//!
//! Nothing stands between [`Blocks::submit`] and the daemons: the block is complete when it comes
//! here, and the store is told afterwards, as often as it takes. Until it has been told a file says
//! the same, so that the end of the process loses nothing; and the commit that makes the block's own
//! share accepted writes the block too.

mod note;
mod orphans;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mining::{
    NetworkDifficulty, Scheme,
    accounting::Split,
    block::BlockState,
    coinbase::Coinbase,
    cryptonote::{self, block::Nonce},
    job::JobTemplate,
    orphans::{LOOKED_AT, LastBlocks},
    share::Solved,
    vision,
};
use pow::Hash;
use store::{
    Block, BlockChange, BlockError, ByCoinbase, FoundBlock, NewBlock, PoolId, Store, WorkerName,
};
use tracing::{error, info, warn};

pub use self::orphans::Maturity;
use self::{note::Notes, orphans::Orphans};
use crate::{
    daemon::{Daemons, Verdict},
    metrics::Metrics,
    tasks::{Stage, Tasks},
};

/// How often the chain is asked what became of blocks.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);
/// Each so many times, orphans are looked at too.
const ORPHANS_EVERY: u64 = 5;
/// How many of the last blocks may be orphans that come back.
const ORPHANS: u32 = 50;
/// Mature blocks are looked at until they have so many times the confirmations that made them
/// mature: no coin has ever seen a reorganisation of a tenth of that.
const MATURE_LOOKED_AT_TIMES: u32 = 3;
/// How many of the last mature blocks are looked at in a round; each costs a call.
const MATURE: u32 = 100;
/// How often a store that is down is tried again.
const RECORD_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A solved block and who solved it.
#[derive(Debug)]
pub struct Found {
    /// The whole block in hexadecimal, as the daemons take it.
    pub hex: String,
    /// What the store is to know of it.
    pub found: FoundBlock,
}

impl Found {
    /// A block of Bitcoin's family, found with this work by `worker`, at `time_ms`: milliseconds since
    /// 1970.
    pub fn of_solved(
        solved: Solved,
        shared: &JobTemplate,
        worker: WorkerName,
        scheme: Scheme,
        time_ms: i64,
    ) -> Self {
        let number = |at: usize| {
            u32::from_le_bytes(
                solved.header[at..at + 4]
                    .try_into()
                    .expect("four bytes were taken"),
            )
        };
        let block = NewBlock {
            hash: solved.id,
            proof: solved.proof,
            height: shared.template.height,
            network: NetworkDifficulty::Bits(number(72)),
            time: number(68),
            found_ms: time_ms,
            reward: shared.template.value,
            coinbase: Some(solved.coinbase_id),
            scheme,
            worker,
        };
        let by_coinbase = by_coinbase(shared.split.as_deref(), &shared.coinbase);
        Self {
            hex: solved.hex,
            found: FoundBlock { block, by_coinbase },
        }
    }

    /// A block of Vision's family, likewise, by this nonce with this digest.
    pub fn of_digest(
        job: &vision::Job,
        nonce: u64,
        digest: Hash,
        worker: WorkerName,
        scheme: Scheme,
        time_ms: i64,
    ) -> Self {
        let (hex, coinbase) = job.block(nonce);
        let template = job.template();
        let block = NewBlock {
            hash: digest,
            proof: digest,
            height: template.body().height,
            network: NetworkDifficulty::Hashes(template.difficulty()),
            time: template.body().time,
            found_ms: time_ms,
            reward: template.body().value,
            coinbase: Some(coinbase),
            scheme,
            worker,
        };
        let by_coinbase = by_coinbase(job.work.split.as_deref(), &job.work.coinbase);
        Self {
            hex,
            found: FoundBlock { block, by_coinbase },
        }
    }

    /// A block of CryptoNote's family, likewise, by this nonce with this hash.
    pub fn of_nonce(
        job: &cryptonote::Job,
        nonce: Nonce,
        proof: Hash,
        worker: WorkerName,
        scheme: Scheme,
        time_ms: i64,
    ) -> Self {
        let (hex, hash) = job.block(nonce);
        let template = &job.template;
        let block = NewBlock {
            hash,
            proof,
            height: template.height(),
            network: template.network(),
            time: template.time(),
            found_ms: time_ms,
            reward: template.reward(),
            coinbase: None,
            scheme,
            worker,
        };
        Self {
            hex,
            found: FoundBlock {
                block,
                by_coinbase: None,
            },
        }
    }
}

/// What a coinbase has paid by itself, if its pool splits rewards so.
fn by_coinbase(split: Option<&Split>, coinbase: &Coinbase) -> Option<ByCoinbase> {
    split.map(|split| ByCoinbase {
        end: split.end(),
        payments: split.paid(coinbase.paid()),
    })
}

/// Where solved blocks go. Clones share it.
#[derive(Clone)]
pub struct Blocks {
    daemons: Daemons,
    store: Store,
    pool: PoolId,
    orphans: Orphans,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    /// What the store may not have yet.
    notes: Notes,
    /// Blocks that were mature and are in no chain, with their heights.
    left: Arc<Mutex<BTreeMap<Hash, u32>>>,
}

impl Blocks {
    /// Follows the blocks that are in the store already, those that a run before has noted in
    /// `folder`, and those that will come.
    pub fn start(
        daemons: Daemons,
        store: Store,
        pool: PoolId,
        maturity: Maturity,
        folder: &Path,
        metrics: Arc<Metrics>,
        tasks: &Tasks,
    ) -> Self {
        let blocks = Self::new(daemons, store, pool, maturity, folder, metrics, tasks);
        let noted = blocks.clone();
        tasks.spawn(Stage::Books, "noted blocks", async move {
            for block in noted.notes.all().await {
                noted.record(&block).await;
            }
            Ok(())
        });
        let following = blocks.clone();
        tasks.spawn(Stage::Books, "blocks", following.follow());
        blocks
    }

    pub(crate) fn new(
        daemons: Daemons,
        store: Store,
        pool: PoolId,
        maturity: Maturity,
        folder: &Path,
        metrics: Arc<Metrics>,
        tasks: &Tasks,
    ) -> Self {
        Self {
            daemons,
            store,
            pool,
            orphans: Orphans::new(maturity, Arc::clone(&metrics)),
            metrics,
            tasks: tasks.clone(),
            notes: Notes::new(folder),
            left: Arc::default(),
        }
    }

    /// The mature blocks that their chain left in this run of the pool, with their heights. One that
    /// comes back is not among them any more.
    pub fn left_when_mature(&self) -> Vec<(Hash, u32)> {
        let left = self.left();
        left.iter().map(|(hash, height)| (*hash, *height)).collect()
    }

    /// The confirmations after which a block is paid for: more than usual while too many are orphans.
    pub fn maturity(&self) -> u32 {
        self.orphans.confirmations()
    }

    /// The last blocks, while too many of them are orphans.
    pub fn orphan_alarm(&self) -> Option<LastBlocks> {
        self.orphans.alarm()
    }

    fn left(&self) -> MutexGuard<'_, BTreeMap<Hash, u32>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a block to all daemons at once and returns at once, with what the store is to know of it.
    pub fn submit(&self, found: Found) -> Arc<FoundBlock> {
        let Found { hex, found } = found;
        let id = found.block.hash;
        let mut submission = self.daemons.submit(hex.into(), id);
        let block = Arc::new(found);
        let new = Arc::clone(&block);
        self.metrics.blocks.inc();
        let blocks = self.clone();
        let stopping = self.tasks.ending(Stage::Books);
        self.tasks.spawn(Stage::Books, "block", async move {
            let (height, worker) = (new.block.height, &new.block.worker);
            info!(height, hash = %id, %worker, "block solved");
            blocks.notes.keep(&new).await;
            blocks.record(&new).await;
            // A daemon may be away for hours; the block's file outlives this process.
            let verdicts = stopping.run_until_cancelled(submission.accepted()).await;
            if let Some(Err(verdicts)) = verdicts
                && let Some(reason) = rejected_by_all(verdicts)
            {
                let state = BlockState::Orphaned;
                blocks
                    .change(
                        id,
                        BlockChange {
                            state,
                            confirmations: 0,
                            verdict: Some(reason),
                        },
                    )
                    .await;
            }
            Ok(())
        });
        block
    }

    /// Writes a block down, however long the store is away; only the end of the process ends it,
    /// and then the note is still there.
    async fn record(&self, found: &FoundBlock) {
        let FoundBlock { block, by_coinbase } = found;
        let stopping = self.tasks.ending(Stage::Books);
        while let Err(error) = self
            .store
            .record_found(self.pool, block, by_coinbase.as_ref())
            .await
        {
            error!(%error, hash = %block.hash, "block not recorded yet");
            let pause = tokio::time::sleep(RECORD_AGAIN_AFTER);
            if stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
        self.notes.forget(block.hash).await;
    }

    /// Writes down what became of a block. False if it was not written.
    async fn change(&self, hash: Hash, change: BlockChange) -> bool {
        match self.store.change_block(self.pool, hash, &change).await {
            Ok(before) => {
                if before != change.state {
                    info!(%hash, from = before.name(), to = change.state.name(), "block");
                }
                return true;
            }
            Err(error @ BlockError::Illegal { .. }) => error!(%hash, %error, "look at this block"),
            // The follower finds the block as it was and comes here again.
            Err(error) => warn!(%hash, %error, "state of the block not recorded yet"),
        }
        false
    }

    async fn follow(self) -> anyhow::Result<()> {
        let stopping = self.tasks.ending(Stage::Books);
        for round in 0u64.. {
            let pause = tokio::time::sleep(FOLLOW_EVERY);
            if stopping.run_until_cancelled(pause).await.is_none() {
                break;
            }
            let looked = self.look(round.is_multiple_of(ORPHANS_EVERY));
            match stopping.run_until_cancelled(looked).await {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => warn!(%error, "blocks cannot be read"),
            }
        }
        Ok(())
    }

    /// Asks what became of the open blocks and, if wanted, of the last orphans and mature ones: a
    /// chain may come back, and leave what nobody thought it could.
    pub(crate) async fn look(&self, at_all: bool) -> Result<(), store::ReadError> {
        // Before any of them is found to be mature.
        let last = self.store.last_blocks(self.pool, LOOKED_AT).await?;
        self.orphans.note(last);
        for block in self.store.open_blocks(self.pool).await? {
            self.look_at(&block).await;
        }
        if at_all {
            let last = self.store.blocks(self.pool, None, ORPHANS).await?;
            // What a daemon found invalid stays so. Monero's says the same of transactions that it does
            // not know, and the block of a miner's own node may have come to the chain through that.
            let is_judged = |block: &&Block| {
                let is_bitcoin = matches!(block.found.network, NetworkDifficulty::Bits(_));
                block.verdict.is_some() && is_bitcoin
            };
            let left = |block: &&Block| block.state == BlockState::Orphaned && !is_judged(block);
            for block in last.iter().filter(left) {
                self.look_at(block).await;
            }
            let depth = self.maturity().saturating_mul(MATURE_LOOKED_AT_TIMES);
            for block in self.store.mature_blocks(self.pool, depth, MATURE).await? {
                self.look_at(&block).await;
            }
        }
        Ok(())
    }

    /// What was paid from this block may be gone: nothing but a person can mend that.
    fn tell_left(&self, block: &Block) {
        let (hash, height) = (block.found.hash, block.found.height);
        let confirmations = block.confirmations;
        error!(%hash, height, confirmations, "the chain left a mature block");
        self.metrics.mature_left.inc();
        self.left().insert(hash, height);
    }

    /// Whether another block is in the place of one that no daemon knows, so deep that this one would be
    /// mature there. Not knowing it is no proof: a daemon may be behind. But monerod forgets what is beside
    /// its chain when it is started anew.
    async fn is_replaced(&self, block: &Block) -> bool {
        let other = self.daemons.block_at(block.found.height).await;
        other.is_ok_and(|(hash, status)| {
            hash != block.found.hash && status.confirmations >= i64::from(self.maturity())
        })
    }

    async fn look_at(&self, block: &Block) {
        let confirmations = match self.daemons.block_status(block.found.hash).await {
            Ok(Some(status)) => status.confirmations,
            Ok(None) if self.is_replaced(block).await => -1,
            Ok(None) | Err(_) => return,
        };
        let state = block.state.after(confirmations, self.maturity());
        let confirmations = u32::try_from(confirmations.max(0)).unwrap_or(u32::MAX);
        if (state, confirmations) == (block.state, block.confirmations) {
            return;
        }
        let change = BlockChange {
            state,
            confirmations,
            verdict: None,
        };
        if !self.change(block.found.hash, change).await {
            return;
        }
        match (block.state, state) {
            (BlockState::Mature, BlockState::Orphaned) => self.tell_left(block),
            (BlockState::Mature, _) => {}
            (_, BlockState::Mature) => self.daemons.forget(block.found.hash).await,
            (BlockState::Orphaned, BlockState::Immature) => {
                self.left().remove(&block.found.hash);
            }
            _ => {}
        }
    }
}

/// The first reason, if every daemon found the block invalid.
fn rejected_by_all(verdicts: Vec<(usize, Verdict)>) -> Option<String> {
    let mut reasons = verdicts.into_iter().map(|(_, verdict)| match verdict {
        Verdict::Rejected(reason) => Some(reason),
        _ => None,
    });
    let first = reasons.next()??;
    reasons.all(|reason| reason.is_some()).then_some(first)
}
