//! From blocks to credits: what each block of the pool pays, to whom, and how its entries in the
//! books follow what the chain makes of it.
//!
//! One task a pool. It looks for blocks that the books do not agree with and takes one step after
//! the other; each is one transaction of the store and happens once, so that it goes on wherever it
//! was when a process ends. Nothing waits for it: a database that cannot be written is tried again.
//!
//! Beside it [`reserve`] pays for shares where they are paid for as they come, by the [`prices`] of
//! their heights.

mod estimate;
mod fees;
mod prices;
mod reserve;
mod split;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use mining::{
    Amount, Coin, NetworkDifficulty, Scheme, Work,
    accounting::{Credits, Fee, Fees, Multiple, Position, Window},
    block::BlockState,
    ledger::{Account, BlockBooks, BlockEntries, BlockStep},
};
use store::{
    Block, BlockCredit, BlockCredits, BlockFee, Located, OpenBooks, PoolId, StepEntry, Store,
    WorkerId,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

pub(crate) use self::estimate::WorkerCredits;
pub use self::{
    fees::FeesNow,
    reserve::{Config as ReserveConfig, Reserve},
    split::Config as SplitConfig,
};
use crate::{
    clock,
    metrics::Metrics,
    tasks::{Stage, Tasks},
    template_feed::Newest,
};

/// How often blocks are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often old buckets are joined, in looks.
const JOIN_EVERY: u64 = 60;
/// A joined bucket is at most this part of a window, so that the one at the edge, which counts in
/// part, says nothing of who hops.
const GRAINS: u32 = 500;
/// So many windows are kept: the next one is longer where the difficulty has gone up.
const WINDOWS_KEPT: u32 = 5;
/// Buckets younger than that are left alone: a block may yet have to cut one, or be solved with a job
/// whose coinbase was split by the work up to its end.
const SETTLED_AFTER_MS: i64 = 30 * 60 * 1000;

/// How a pool is paid.
#[derive(Clone, Debug)]
pub struct Config {
    /// The coin.
    pub coin: &'static Coin,
    /// How its listeners are paid, each scheme once.
    pub schemes: Vec<Scheme>,
    /// What is taken before the miners, from the next round on.
    pub fees: Fees,
    /// The length of the PPLNS window, in blocks.
    pub window: Multiple,
    /// How shares are paid for as they come.
    pub reserve: ReserveConfig,
    /// How coinbases pay miners by themselves; nothing if they do not.
    pub split: Option<SplitConfig>,
}

/// Starts to book the blocks of a pool, and to pay for its shares. To be called before the first share of a run:
/// from here on it is known by which fees it was mined.
pub async fn start(
    store: Store,
    pool: PoolId,
    config: Config,
    newest: watch::Receiver<Newest>,
    metrics: Arc<Metrics>,
    tasks: &Tasks,
) -> anyhow::Result<(Reserve, FeesNow)> {
    store.agree_fees(pool, &config.fees).await?;
    let ending = tasks.ending(Stage::Books);
    let keeping = prices::keep(newest.clone(), store.clone(), pool, ending.clone());
    tasks.spawn(Stage::Books, "prices", keeping);
    let reserve = Reserve::default();
    let payer = reserve::Payer {
        store: store.clone(),
        pool,
        coin: config.coin.name,
        decimals: config.coin.decimals,
        config: config.reserve.clone(),
        reserve: reserve.clone(),
        metrics,
    };
    tasks.spawn(Stage::Books, "shares", payer.run(ending.clone()));
    let accounting = Accounting::new(store, pool, config);
    let fees = FeesNow::default();
    accounting.tell_fees(&fees).await?;
    if let Some(split) = accounting.config.split.clone() {
        let splitting = accounting.clone().keep_split(split, newest, ending.clone());
        tasks.spawn(Stage::Books, "splits", splitting);
    }
    let booking = accounting.run(fees.clone(), ending);
    tasks.spawn(Stage::Books, "accounting", booking);
    Ok((reserve, fees))
}

/// The task that books blocks.
#[derive(Clone)]
pub(crate) struct Accounting {
    store: Store,
    pool: PoolId,
    config: Config,
}

impl Accounting {
    pub(crate) fn new(store: Store, pool: PoolId, config: Config) -> Self {
        Self {
            store,
            pool,
            config,
        }
    }

    async fn run(self, fees: FeesNow, ending: CancellationToken) -> anyhow::Result<()> {
        let mut outage = false;
        let mut is_new_round = false;
        for round in 0u64.. {
            // A step is never cut off: it is short, and the next run would only take it again.
            let joins = round.is_multiple_of(JOIN_EVERY);
            let looked = async {
                let looked = self.look(joins).await;
                // Now and then in any case: another process may have booked a block.
                is_new_round |= joins || !matches!(looked, Ok(false));
                if is_new_round {
                    self.tell_fees(&fees).await?;
                    is_new_round = false;
                }
                looked.map(drop)
            };
            match looked.await {
                Ok(()) => outage = false,
                Err(cause) if !outage => {
                    outage = true;
                    error!(cause = format!("{cause:#}"), "blocks are not booked");
                }
                Err(_) => {}
            }
            let pause = tokio::time::sleep(LOOK_EVERY);
            if ending.run_until_cancelled(pause).await.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Brings the books to where the blocks are, and joins old work if wanted; whether there was a block to book.
    pub(crate) async fn look(&self, join: bool) -> anyhow::Result<bool> {
        let open_books = self.store.open_books(self.pool).await?;
        let of = |open: &OpenBooks| format!("block {}", open.block.found.hash);
        // Where all end is known before any is split: the share of a later one may stand in the log
        // before that of an earlier one, and begins its round.
        for open in &open_books {
            self.end(&open.block).await.with_context(|| of(open))?;
        }
        for open in &open_books {
            self.follow(open).await.with_context(|| of(open))?;
        }
        if join {
            self.join().await?;
        }
        Ok(!open_books.is_empty())
    }

    /// Brings the books to where a block is.
    async fn follow(&self, open: &OpenBooks) -> anyhow::Result<()> {
        let block = &open.block;
        let (hash, state) = (block.found.hash, block.state);
        let mut books: BlockBooks = open.books;
        // An orphan ends a round too, whether that is known early or late.
        let Some(end) = self.end(block).await? else {
            return Ok(());
        };
        if state == BlockState::Orphaned && !open.has_credits && block.verdict.is_none() {
            // Its chain may come back when the work before it is not kept any more.
            self.credits(open, end).await?;
        }
        while let Some(step) = books.next(state) {
            if !self.step(open, end, books, step).await? {
                // Somebody else is at it.
                return Ok(());
            }
            info!(%hash, height = block.found.height, ?step, "block booked");
            books = books.after(step);
        }
        self.store.books_agree(self.pool, hash, state).await?;
        Ok(())
    }

    /// Where what a block pays for ends; nothing while its share may yet come. Where shares are paid
    /// for as they come, a block pays for none.
    async fn end(&self, block: &Block) -> anyhow::Result<Option<Position>> {
        let found = &block.found;
        if found.scheme.pays_for_shares() {
            return Ok(Some(Position::START));
        }
        let located = self
            .store
            .locate_block(self.pool, found.hash, clock::now_ms());
        Ok(match located.await? {
            Located::At(end) => Some(end),
            Located::NotYet => None,
        })
    }

    /// Takes one step; false if somebody else was faster.
    async fn step(
        &self,
        open: &OpenBooks,
        end: Position,
        before: BlockBooks,
        step: BlockStep,
    ) -> anyhow::Result<bool> {
        let found = &open.block.found;
        let by_itself = paid_by_itself(open).context("more than any coin has")?;
        let entries = BlockEntries {
            coin: self.config.coin.name,
            block: found.hash,
        };
        let (new, settled);
        let entry = match step {
            BlockStep::Credit(nth) => {
                let credits = self.credits(open, end).await?;
                new = match found.scheme {
                    Scheme::Pps | Scheme::Fpps => entries.to_reserve(nth, found.reward),
                    Scheme::Solo => entries.paid_by_itself(nth, parts(&credits)),
                    Scheme::Pplns | Scheme::Prop => match &open.by_coinbase {
                        None => entries.credit(nth, parts(&credits)),
                        Some(by) => entries.paid_in_part(nth, parts(&credits), &by.payments),
                    },
                };
                StepEntry::New(&new)
            }
            BlockStep::Settle(nth, outcome) => {
                settled = entries.credit_id(nth);
                StepEntry::Settle(&settled, outcome)
            }
            BlockStep::Charge(nth) => {
                new = entries.charge(nth, found.reward, by_itself);
                let (hash, reward) = (found.hash, found.reward);
                error!(%hash, %reward, "a block that was paid for left the chain: the reserve bears it");
                StepEntry::New(&new)
            }
            BlockStep::Restore(nth) => {
                new = entries.restore(nth, found.reward, by_itself);
                StepEntry::New(&new)
            }
        };
        let now = clock::now_ms();
        let stepped = self
            .store
            .step_block(self.pool, found.hash, before, step, entry, now);
        Ok(stepped.await?)
    }

    /// What a block is split into: what is written, or made now and written.
    async fn credits(&self, open: &OpenBooks, end: Position) -> anyhow::Result<BlockCredits> {
        let block = &open.block;
        let (store, pool, hash) = (&self.store, self.pool, block.found.hash);
        if let Some(written) = store.block_credits(pool, hash).await? {
            return Ok(written);
        }
        let credits = match block.found.scheme {
            Scheme::Pplns | Scheme::Prop => {
                let (start, end) = self.stretch(open, end).await?;
                self.split(block, start, end).await?
            }
            Scheme::Solo => whole(block),
            Scheme::Pps | Scheme::Fpps => BlockCredits {
                miners: Vec::new(),
                ..whole(block)
            },
        };
        store.credit_block(pool, hash, &credits).await?;
        let written = store.block_credits(pool, hash).await?;
        written.context("what was written is not there")
    }

    /// The window with the work of a scheme up to `end` in it.
    async fn filled(
        &self,
        mut window: Window<WorkerId>,
        scheme: &str,
        end: Position,
        after: Option<Position>,
    ) -> anyhow::Result<Window<WorkerId>> {
        let filling = self
            .store
            .fill_window(self.pool, scheme, end, after, &mut window);
        filling.await?;
        Ok(window)
    }

    /// Where the round of a block begins, and where what it pays for ends.
    async fn stretch(
        &self,
        open: &OpenBooks,
        end: Position,
    ) -> anyhow::Result<(Position, Position)> {
        let (store, pool, found) = (&self.store, self.pool, &open.block.found);
        Ok(match &open.by_coinbase {
            // What its coinbase paid was split by the work up to there, in the round of that time.
            Some(by) => {
                let start = store.round_of_share(pool, found.scheme.name(), by.end);
                (start.await?, by.end)
            }
            None => {
                let start = store.round_start(pool, found.hash).await?;
                (start.unwrap_or(Position::START), end)
            }
        })
    }

    /// Splits a block by the work before it, and by the fees of its round.
    async fn split(
        &self,
        block: &Block,
        start: Position,
        end: Position,
    ) -> anyhow::Result<BlockCredits> {
        let found = &block.found;
        let scheme = found.scheme.name();
        let window = match found.scheme {
            Scheme::Prop => {
                let all = Window::empty(Work::from_hashes(u128::MAX));
                let all = self.filled(all, scheme, end, Some(start)).await?;
                all.into_round()
            }
            _ => {
                let window = Window::empty(self.window_at(found.network)?);
                self.filled(window, scheme, end, None).await?
            }
        };
        let by_miner = by_miner(&self.store, window.work()).await?;
        let fees = self.fees(found.scheme, start).await?;
        let credits = Credits::new(found.reward, &fees, by_miner)
            .context("the work of a window does not fit 128 bits")?;
        let fee = |(fee, amount): (&Fee, &Amount)| BlockFee {
            name: fee.name.clone(),
            percent: fee.percent,
            amount: *amount,
        };
        Ok(BlockCredits {
            window: window.total(),
            length: window.length(),
            fees: fees.list().iter().zip(credits.fees()).map(fee).collect(),
            miners: credits
                .miners()
                .iter()
                .map(|credit| BlockCredit {
                    account: credit.miner.clone(),
                    work: credit.work,
                    amount: credit.amount,
                })
                .collect(),
        })
    }

    /// The window at a block of this difficulty.
    fn window_at(&self, network: NetworkDifficulty) -> anyhow::Result<Work> {
        let work = network.work().context("the bits of a block")?;
        Ok(self.config.window.times(work))
    }

    /// Joins old buckets, so that a window is some hundreds of them however long it is.
    async fn join(&self) -> anyhow::Result<()> {
        // Before the first block of a pool its window is not known.
        let Some(last) = self.store.blocks(self.pool, None, 1).await?.pop() else {
            return Ok(());
        };
        let window = self.window_at(last.found.network)?;
        let part = |divisor: u32| Work::from_hashes(window.hashes() / u128::from(divisor));
        let keep = Work::from_hashes(window.hashes().saturating_mul(WINDOWS_KEPT.into()));
        let before = clock::now_ms() - SETTLED_AFTER_MS;
        let schemes = self.config.schemes.iter();
        for scheme in schemes.filter(|scheme| !scheme.pays_for_shares()) {
            // A round is read whole, however long it is.
            let keep = match scheme {
                Scheme::Pplns => keep,
                _ => Work::from_hashes(u128::MAX),
            };
            let name = scheme.name();
            while self
                .store
                .join_buckets(self.pool, name, part(GRAINS), keep, before)
                .await?
            {}
        }
        Ok(())
    }
}

/// Work by miner: a miner's workers are one.
async fn by_miner(
    store: &Store,
    work: &BTreeMap<WorkerId, Work>,
) -> anyhow::Result<BTreeMap<Account, Work>> {
    let workers: Vec<WorkerId> = work.keys().copied().collect();
    let addresses = store.addresses(&workers).await?;
    let mut sums: BTreeMap<Account, Work> = BTreeMap::new();
    for (worker, work) in work {
        let address = addresses
            .get(worker)
            .context("a worker without an address")?;
        let sum = sums.entry(Account::Miner(address.clone())).or_default();
        *sum = sum.checked_add(*work).context("a sum of work")?;
    }
    Ok(sums)
}

/// Who gets what of a block.
fn parts(credits: &BlockCredits) -> impl Iterator<Item = (Account, Amount)> {
    let fees = credits.fees.iter();
    let fees = fees.map(|fee| (Account::Fee(fee.name.clone()), fee.amount));
    let miners = credits.miners.iter();
    fees.chain(miners.map(|credit| (credit.account.clone(), credit.amount)))
}

/// What a block's coinbase has paid to miners.
fn paid_by_itself(open: &OpenBooks) -> Option<Amount> {
    match (&open.by_coinbase, open.block.found.scheme) {
        (_, Scheme::Solo) => Some(open.block.found.reward),
        (Some(by), _) => Amount::checked_sum(by.payments.values().copied()),
        (None, _) => Some(Amount::ZERO),
    }
}

/// All of a block for whoever found it.
fn whole(block: &Block) -> BlockCredits {
    let found = &block.found;
    BlockCredits {
        window: Work::ZERO,
        length: Work::ZERO,
        fees: Vec::new(),
        miners: vec![BlockCredit {
            account: Account::Miner(found.worker.address().to_owned()),
            work: Work::ZERO,
            amount: found.reward,
        }],
    }
}
