//! The logs of accepted shares: each share gets its place in its day's log, a day that has ended is
//! closed, and its statement signed. One task for each pool, behind the share log: no share waits for
//! it. Called by `pool`; the API asks it for receipts.
//!
//! Each step is written in one transaction with how far it came, so a process may end at any instant.
//! A step that failed is tried again; only `prune_shares` waits for it.

pub mod export;
mod key;
mod proof;
mod trees;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use mining::{
    Work,
    date::Date,
    receipt::{
        CHUNK, Digest, Edge, Issuer, Log, LoggedShare, PublicKey, SaltKey, SecretKey, Statement,
        Sum, Tree, date_of,
    },
};
use store::{Chunk, LogChange, OpenLog, PlacedShare, PoolId, Store, Unlogged, UnsignedLog};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use self::proof::{NotKept, Page};
use self::trees::Trees;
use crate::{
    clock,
    tasks::{Stage, Tasks},
};

/// How often shares are put into logs: a receipt can be had that long after its share.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// A day is closed so long after its end: shares that came in it are in the database by then.
const CLOSE_AFTER_MS: i64 = 60_000;
/// Questions that are answered at once, whatever the number of those who ask: each is some megabytes and
/// some milliseconds of a processor.
const ANSWERED_AT_ONCE: usize = 2;

/// How long proofs can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Those of single shares: as long as shares are kept.
    pub keep_shares: Duration,
    /// Those of a miner's sums: as long as hours are kept.
    pub keep_sums: Duration,
}

/// The logs of a pool. Clones share them.
#[derive(Clone)]
pub struct Receipts {
    store: Store,
    pool: PoolId,
    issuer: Issuer,
    salt_key: SaltKey,
    key: SecretKey,
    newest: watch::Sender<Option<Digest>>,
    trees: Arc<Trees>,
    answering: Arc<Semaphore>,
}

/// The miner's part of the books that an account stands for.
type Added = BTreeMap<Digest, (u64, Work)>;

impl Receipts {
    /// Those of a pool whose key is in this directory; a new one is made if there is none.
    pub async fn open(
        store: Store,
        pool: PoolId,
        issuer: Issuer,
        data: &Path,
    ) -> anyhow::Result<Self> {
        let key = key::read_or_make(data).context("the key that signs receipts")?;
        let salt_key = store.salt_key(pool, SaltKey::random()).await?;
        let last = store.statements(pool, None, 1).await?.pop();
        let newest = last.as_ref().map(|last| last.statement.digest());
        if let Some(last) = last.filter(|last| last.key != key.public()) {
            warn!(
                pool = issuer.pool(), now = %key.public(), before = %last.key,
                "receipts are signed by another key than before: miners will not believe it"
            );
        }
        Ok(Self {
            store,
            pool,
            issuer,
            salt_key,
            key,
            newest: watch::Sender::new(newest),
            trees: Arc::default(),
            answering: Arc::new(Semaphore::new(ANSWERED_AT_ONCE)),
        })
    }

    /// The digest of the newest statement, as it changes.
    pub fn newest(&self) -> watch::Receiver<Option<Digest>> {
        self.newest.subscribe()
    }

    /// Keeps the logs until the books are closed.
    pub fn keep(self, config: Config, tasks: &Tasks) {
        let ending = tasks.ending(Stage::Books);
        tasks.spawn(Stage::Books, "receipts", async move {
            let mut tick = tokio::time::interval(LOG_EVERY);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut outage = false;
            loop {
                tokio::select! {
                    _ = tick.tick() => {}
                    () = ending.cancelled() => return Ok(()),
                }
                match self.keep_at(config, clock::now_ms(), &ending).await {
                    Ok(()) => outage = false,
                    // It is all there still, and done the next time.
                    Err(error) if !outage => {
                        outage = true;
                        error!(
                            error = format!("{error:#}"),
                            "shares are not logged for receipts"
                        );
                    }
                    Err(_) => {}
                }
            }
        });
    }

    /// By which others know the pool.
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// Who gives these receipts.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    async fn keep_at(
        &self,
        config: Config,
        now_ms: i64,
        ending: &CancellationToken,
    ) -> anyhow::Result<()> {
        while !ending.is_cancelled() && self.log_some().await? {}
        if let Some(open) = self.store.open_log(self.pool).await?
            && open.date.end_ms().saturating_add(CLOSE_AFTER_MS) <= now_ms
        {
            self.store.close_log(self.pool, open.date).await?;
        }
        while !ending.is_cancelled() && self.sign_one().await? {}
        // Another process may have signed: `adit receipts close`.
        let last = self.store.statements(self.pool, None, 1).await?.pop();
        let last = last.map(|signed| signed.statement.digest());
        self.newest.send_if_modified(|newest| {
            let changes = *newest != last;
            *newest = last;
            changes
        });
        let before = |age: Duration| {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            Date::of_ms(now_ms.saturating_sub(age))
        };
        let (chunks, sums) = (before(config.keep_shares), before(config.keep_sums));
        while !ending.is_cancelled() && self.prune(chunks, sums).await? > 0 {}
        Ok(())
    }

    async fn prune(&self, chunks: Date, sums: Date) -> Result<u64, store::WriteError> {
        self.store.prune_receipts(self.pool, chunks, sums).await
    }

    /// Logs all shares that are written, and closes and signs the open log, whatever the time. What
    /// is accepted later on that day stands in the next day's log. Gives its day, if there was one.
    pub async fn close_now(&self) -> anyhow::Result<Option<Date>> {
        while self.log_some().await? {}
        let open = self.store.open_log(self.pool).await?;
        if let Some(open) = &open {
            let closed = self.store.close_log(self.pool, open.date).await?;
            anyhow::ensure!(closed, "shares came in between; try again");
        }
        while self.sign_one().await? {}
        Ok(open.map(|open| open.date))
    }

    /// Puts the next shares into their logs. False if there are no more.
    async fn log_some(&self) -> anyhow::Result<bool> {
        let unlogged = self.store.unlogged_shares(self.pool).await?;
        if unlogged.shares.is_empty() {
            return Ok(false);
        }
        let addresses = self.addresses(&unlogged.shares).await?;
        let receipts = self.clone();
        let (unlogged, changes) = hashed(move || {
            let changes = receipts.changes(&unlogged, &addresses)?;
            Ok((unlogged, changes))
        })
        .await?;
        // If somebody else was faster, the next look shows what is left.
        self.store
            .log_shares(self.pool, &unlogged, &changes)
            .await?;
        Ok(!unlogged.done)
    }

    /// What shares make of the logs.
    fn changes(
        &self,
        unlogged: &Unlogged,
        addresses: &Addresses,
    ) -> anyhow::Result<Vec<LogChange>> {
        let open = unlogged.open.clone().map(unchanged);
        let mut changes: Vec<LogChange> = open.into_iter().collect();
        let mut accounts = Accounts::new(self, addresses);
        for placed in &unlogged.shares {
            let open = changes.last().map(|change| change.log.date);
            let date = date_of(placed.share.time_ms(), open, unlogged.closed);
            if open != Some(date) {
                if let Some(last) = changes.last_mut() {
                    last.closed = true;
                }
                changes.push(unchanged(OpenLog {
                    date,
                    edge: Edge::default(),
                    work: Work::ZERO,
                }));
            }
            let change = changes.last_mut().context("a log")?;
            let (leaf, share) = accounts.leaf(date, placed)?;
            let count = change.log.edge.count();
            if count.is_multiple_of(CHUNK) {
                change.chunks.push(Chunk {
                    number: count / CHUNK,
                    first: Some(placed.at),
                    digest: None,
                });
            }
            if let Some(digest) = change.log.edge.push(leaf) {
                end_chunk(&mut change.chunks, count / CHUNK, digest);
            }
            let work = change.log.work.checked_add(share.work);
            change.log.work = work.context("a sum of work")?;
            add(&mut change.added, &share)?;
        }
        Ok(changes)
    }

    /// Signs the oldest log that is closed and not signed. False if there is none.
    async fn sign_one(&self) -> anyhow::Result<bool> {
        let Some(unsigned) = self.store.unsigned_log(self.pool).await? else {
            return Ok(false);
        };
        let receipts = self.clone();
        let signed = hashed(move || Ok(receipts.key.sign(receipts.statement(&unsigned)?))).await?;
        let (date, shares) = (signed.statement.date, signed.statement.shares);
        let root = signed.statement.root;
        if self.store.sign_log(self.pool, &signed).await? {
            info!(pool = self.issuer.pool(), %date, shares, %root, "the log of a day is signed");
        }
        Ok(true)
    }

    fn statement(&self, unsigned: &UnsignedLog) -> anyhow::Result<Statement> {
        let UnsignedLog {
            log,
            sums,
            previous,
        } = unsigned;
        let tree = Tree::new(leaves(sums)).context("a day without miners")?;
        let whole = tree.root();
        anyhow::ensure!(
            (whole.shares, whole.work) == (log.edge.count(), log.work),
            "the sums of {} are not those of its log",
            log.date
        );
        Ok(Statement {
            issuer: self.issuer.clone(),
            date: log.date,
            shares: log.edge.count(),
            work: log.work,
            root: log.edge.root().context("a day without shares")?,
            accounts: u64::try_from(sums.len())?,
            accounts_root: whole.digest,
            previous: previous.as_ref().map(|signed| signed.statement.digest()),
        })
    }

    async fn addresses(
        &self,
        shares: impl IntoIterator<Item = &PlacedShare>,
    ) -> anyhow::Result<Addresses> {
        let mut workers: Vec<_> = shares.into_iter().map(|placed| placed.worker).collect();
        workers.sort_unstable();
        workers.dedup();
        Ok(self.store.addresses(&workers).await?)
    }
}

/// Hashes where no connection waits for it.
async fn hashed<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

type Addresses = std::collections::HashMap<store::WorkerId, String>;

/// The accounts of workers in one log after the other: a salt costs as much as a share.
struct Accounts<'a> {
    receipts: &'a Receipts,
    addresses: &'a Addresses,
    known: std::collections::HashMap<(Date, store::WorkerId), Digest>,
    log: Option<(Date, Log)>,
}

impl<'a> Accounts<'a> {
    fn new(receipts: &'a Receipts, addresses: &'a Addresses) -> Self {
        Self {
            receipts,
            addresses,
            known: std::collections::HashMap::new(),
            log: None,
        }
    }

    /// A share as it stands in the log of a day, and its leaf.
    fn leaf(&mut self, date: Date, placed: &PlacedShare) -> anyhow::Result<(Digest, LoggedShare)> {
        let log = match self.log {
            Some((of, log)) if of == date => log,
            _ => Log::new(&self.receipts.issuer, date),
        };
        self.log = Some((date, log));
        let account = match self.known.get(&(date, placed.worker)) {
            Some(account) => *account,
            None => {
                let address = self.addresses.get(&placed.worker);
                let address = address.context("a worker without an address")?;
                let account = log.account(self.receipts.salt_key.salt(address), address);
                self.known.insert((date, placed.worker), account);
                account
            }
        };
        let PlacedShare { share, scheme, .. } = placed;
        let share = LoggedShare {
            hash: share.hash(),
            work: share.work(),
            height: share.height(),
            time_ms: share.time_ms(),
            scheme: *scheme,
            account,
        };
        Ok((share.leaf(log), share))
    }
}

fn leaves(sums: &[store::AccountSum]) -> Vec<Sum> {
    let leaf = |sum: &store::AccountSum| Sum::leaf(sum.account, sum.shares, sum.work);
    sums.iter().map(leaf).collect()
}

fn unchanged(log: OpenLog) -> LogChange {
    LogChange {
        log,
        chunks: Vec::new(),
        added: Added::new(),
        closed: false,
    }
}

fn end_chunk(chunks: &mut Vec<Chunk>, number: u64, digest: Digest) {
    match chunks.last_mut().filter(|chunk| chunk.number == number) {
        Some(chunk) => chunk.digest = Some(digest),
        None => chunks.push(Chunk {
            number,
            first: None,
            digest: Some(digest),
        }),
    }
}

fn add(added: &mut Added, share: &LoggedShare) -> anyhow::Result<()> {
    let (shares, work) = added.entry(share.account).or_default();
    *shares += 1;
    *work = work.checked_add(share.work).context("a sum of work")?;
    Ok(())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
