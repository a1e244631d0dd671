//! Accepted shares on their way into the store. A share is answered when the commit it is in has
//! reached the disk, not before; what cannot be written is answered as failed, never as accepted.
//!
//! One task writes. While one batch is committed the next gathers in the queue, so a commit holds
//! as many shares as came during the one before: one when the pool is idle, thousands when it is
//! not. Called by `connection`, which waits while the queue is full. A second task rolls up the
//! minutes that have passed and removes what is no longer kept.

mod bookkeeping;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use store::{PoolId, ShareRecord, ShareRow, Store, WorkerName, WriteError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::tasks::{Stage, Tasks};

/// The most shares of one commit. It takes some tens of milliseconds; a larger one would not be
/// cheaper by the share, but its miners would wait longer.
const MOST_SHARES: usize = 4_096;

/// The shares that wait for a commit: the next two batches. Behind them miners wait, and with them
/// their sockets.
const QUEUE: usize = 2 * MOST_SHARES;

/// How often a batch is tried while another process holds the database. Each try waits out the
/// store's busy timeout of 5 s; after 15 s a miner has better uses for its connection.
const TRIES: u32 = 3;

/// What an operator can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a batch waits for more shares before it is committed. Zero is best on disks that
    /// flush in milliseconds.
    pub linger: Duration,
    /// How long shares are kept one by one.
    pub keep_shares: Duration,
    /// How long the minutes that they were rolled up to are kept.
    pub keep_minutes: Duration,
}

impl Default for Config {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            linger: Duration::ZERO,
            keep_shares: Duration::from_secs(7 * DAY),
            keep_minutes: Duration::from_secs(90 * DAY),
        }
    }
}

/// A share to be written, and where to answer.
#[derive(Debug)]
pub struct Entry {
    /// The share.
    pub share: ShareRecord,
    /// Whose it is.
    pub worker: Arc<WorkerName>,
    /// What the connection knows it by.
    pub tag: u64,
    /// Belongs to the connection. It must have room for all its shares that are not answered yet:
    /// an answer for which there is no room is lost.
    pub reply: mpsc::Sender<Committed>,
}

/// The answer to an entry. Those of one connection come in the order of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The tag of the entry.
    pub tag: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the disk.
    Accepted,
    /// It was there already.
    Duplicate,
    /// It could not be written. Tell the miner so.
    Failed,
}

/// What the share log has done since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Shares that were new.
    pub accepted: u64,
    /// Shares that were there already.
    pub duplicates: u64,
    /// Shares that could not be written.
    pub failed: u64,
    /// Commits.
    pub batches: u64,
    /// Answers for which a connection had no room.
    pub lost_replies: u64,
    /// How long the last commit took, in microseconds.
    pub last_commit_us: u64,
    /// Shares that wait for a commit now.
    pub waiting: usize,
}

/// Takes shares in. Clones share the queue.
#[derive(Clone, Debug)]
pub struct ShareLog {
    queue: mpsc::Sender<Entry>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    duplicates: AtomicU64,
    failed: AtomicU64,
    batches: AtomicU64,
    lost_replies: AtomicU64,
    last_commit_us: AtomicU64,
}

/// Starts to write the shares of one pool.
pub fn start(store: Store, pool: PoolId, config: Config, tasks: &Tasks) -> ShareLog {
    let (queue, entries) = mpsc::channel(QUEUE);
    let counters = Arc::new(Counters::default());
    let writer = Writer {
        store: store.clone(),
        pool,
        linger: config.linger,
        entries,
        counters: Arc::clone(&counters),
        ending: tasks.ending(Stage::Books),
        outage: None,
    };
    tasks.spawn(Stage::Books, "share log", writer.run());
    let ending = tasks.ending(Stage::Books);
    tasks.spawn(
        Stage::Books,
        "bookkeeping",
        bookkeeping::keep_books(store, pool, config, ending),
    );
    ShareLog { queue, counters }
}

impl ShareLog {
    /// Takes a share, once there is room. Its answer comes to [`Entry::reply`].
    pub async fn append(&self, entry: Entry) {
        if let Err(mpsc::error::SendError(entry)) = self.queue.send(entry).await {
            self.counters
                .answer(&entry.reply, entry.tag, Outcome::Failed);
        }
    }

    /// Takes a share if there is room, or gives it back.
    pub fn try_append(&self, entry: Entry) -> Result<(), Entry> {
        match self.queue.try_send(entry) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(entry)) => Err(entry),
            Err(mpsc::error::TrySendError::Closed(entry)) => {
                self.counters
                    .answer(&entry.reply, entry.tag, Outcome::Failed);
                Ok(())
            }
        }
    }

    /// What it has done.
    pub fn figures(&self) -> Figures {
        let Counters {
            accepted,
            duplicates,
            failed,
            batches,
            lost_replies,
            last_commit_us,
        } = &*self.counters;
        Figures {
            accepted: accepted.load(Relaxed),
            duplicates: duplicates.load(Relaxed),
            failed: failed.load(Relaxed),
            batches: batches.load(Relaxed),
            lost_replies: lost_replies.load(Relaxed),
            last_commit_us: last_commit_us.load(Relaxed),
            waiting: self.queue.max_capacity() - self.queue.capacity(),
        }
    }
}

impl Counters {
    fn answer(&self, reply: &mpsc::Sender<Committed>, tag: u64, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Accepted => &self.accepted,
            Outcome::Duplicate => &self.duplicates,
            Outcome::Failed => &self.failed,
        };
        counter.fetch_add(1, Relaxed);
        // A connection that has ended wants no answer.
        if let Err(mpsc::error::TrySendError::Full(_)) = reply.try_send(Committed { tag, outcome })
        {
            self.lost_replies.fetch_add(1, Relaxed);
        }
    }
}

/// The task that writes.
struct Writer {
    store: Store,
    pool: PoolId,
    linger: Duration,
    entries: mpsc::Receiver<Entry>,
    counters: Arc<Counters>,
    ending: CancellationToken,
    /// The number of shares that failed since the last commit.
    outage: Option<usize>,
}

impl Writer {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(MOST_SHARES);
        let ending = self.ending.clone();
        loop {
            tokio::select! {
                received = self.entries.recv_many(&mut batch, MOST_SHARES) => {
                    if received == 0 {
                        return Ok(());
                    }
                }
                // From here on nothing comes in, and what is in the queue is still received.
                () = ending.cancelled(), if !self.entries.is_closed() => {
                    self.entries.close();
                    continue;
                }
            }
            if !self.linger.is_zero() {
                self.wait_for_more(&mut batch).await;
            }
            self.commit(&mut batch).await;
        }
    }

    async fn wait_for_more(&mut self, batch: &mut Vec<Entry>) {
        let enough = async {
            while batch.len() < MOST_SHARES {
                let room = MOST_SHARES - batch.len();
                if self.entries.recv_many(batch, room).await == 0 {
                    return;
                }
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(self.linger, enough) => {}
            () = self.ending.cancelled() => {}
        }
    }

    /// Writes a batch and answers it.
    async fn commit(&mut self, batch: &mut Vec<Entry>) {
        let (rows, replies): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(
                |Entry {
                     share,
                     worker,
                     tag,
                     reply,
                 }| (ShareRow { share, worker }, (tag, reply)),
            )
            .unzip();
        let begun = Instant::now();
        match self.write(&rows).await {
            Ok(new) => {
                let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.counters.last_commit_us.store(took, Relaxed);
                self.counters.batches.fetch_add(1, Relaxed);
                for ((tag, reply), new) in replies.iter().zip(new) {
                    let outcome = if new {
                        Outcome::Accepted
                    } else {
                        Outcome::Duplicate
                    };
                    self.counters.answer(reply, *tag, outcome);
                }
                if let Some(refused) = self.outage.take() {
                    info!(refused, "the database takes shares again");
                }
            }
            Err(cause) => {
                for (tag, reply) in &replies {
                    self.counters.answer(reply, *tag, Outcome::Failed);
                }
                if self.outage.is_none() {
                    error!(%cause, shares = rows.len(), "shares are refused: they cannot be written");
                }
                *self.outage.get_or_insert(0) += rows.len();
            }
        }
    }

    async fn write(&self, rows: &[ShareRow]) -> Result<Vec<bool>, WriteError> {
        let mut tries = 1;
        loop {
            match self.store.append_shares(self.pool, rows).await {
                // At shutdown, or when it has not helped before, one try has to do.
                Err(WriteError::Busy)
                    if tries < TRIES && !self.ending.is_cancelled() && self.outage.is_none() =>
                {
                    tries += 1;
                }
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use mining::{Network, Work};
    use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
    use store::{Durability, Minute, Settings};

    use super::*;
    use crate::clock;

    struct Log {
        dir: tempfile::TempDir,
        store: Store,
        pool: PoolId,
        tasks: Tasks,
        log: ShareLog,
    }

    impl Log {
        async fn start(config: Config, busy_timeout: Duration) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", dir.path().join("pool.db").display());
            let settings = Settings {
                durability: Durability::Full,
                busy_timeout,
            };
            let store = Store::open_with(&url, settings).await.unwrap();
            let pool = store
                .pool("main", "bitcoin".parse().unwrap(), Network::Regtest)
                .await
                .unwrap();
            let (tasks, _) = Tasks::new();
            let log = start(store.clone(), pool, config, &tasks);
            Self {
                dir,
                store,
                pool,
                tasks,
                log,
            }
        }

        async fn usual() -> Self {
            Self::start(Config::default(), Duration::from_secs(5)).await
        }

        async fn stored(&self) -> u64 {
            self.store.pool_total(self.pool).await.unwrap().shares
        }

        async fn stranger(&self) -> SqliteConnection {
            let path: PathBuf = self.dir.path().join("pool.db");
            let options = SqliteConnectOptions::new().filename(path);
            SqliteConnection::connect_with(&options).await.unwrap()
        }

        /// Keeps the log from writing until the connection is told to roll back.
        async fn lock(&self) -> SqliteConnection {
            let mut stranger = self.stranger().await;
            execute(&mut stranger, "BEGIN IMMEDIATE").await;
            stranger
        }
    }

    async fn execute(connection: &mut SqliteConnection, sql: &'static str) {
        sqlx::raw_sql(sql).execute(connection).await.unwrap();
    }

    fn entry(number: u64, reply: &mpsc::Sender<Committed>) -> Entry {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        let work = Work::from_hashes(9);
        Entry {
            share: ShareRecord::new(pow::Hash(hash), work, 1, clock::now_ms()).unwrap(),
            worker: Arc::new(WorkerName::new("bcrt1qminer", "rig").unwrap()),
            tag: number,
            reply: reply.clone(),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_means_that_the_share_is_stored() {
        let log = Log::usual().await;
        let (reply, mut replies) = mpsc::channel(1);
        let mut second = log.stranger().await;
        for number in 0..20_u64 {
            log.log.append(entry(number, &reply)).await;
            let committed = replies.recv().await.unwrap();
            assert_eq!(
                committed,
                Committed {
                    tag: number,
                    outcome: Outcome::Accepted
                }
            );
            let stored: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM shares")
                .fetch_one(&mut second)
                .await
                .unwrap();
            assert_eq!(u64::try_from(stored).unwrap(), number + 1);
        }
        log.log.append(entry(7, &reply)).await;
        let committed = replies.recv().await.unwrap();
        assert_eq!(
            committed,
            Committed {
                tag: 7,
                outcome: Outcome::Duplicate
            }
        );
        let figures = log.log.figures();
        assert_eq!(
            (figures.accepted, figures.duplicates, figures.batches),
            (20, 1, 21)
        );
        assert!(figures.last_commit_us > 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn shares_that_come_during_a_commit_share_the_next_one() {
        let log = Log::usual().await;
        let (reply, mut replies) = mpsc::channel(3000);
        let mut lock = log.lock().await;
        for number in 0..3000 {
            log.log.append(entry(number, &reply)).await;
        }
        assert_eq!(log.stored().await, 0);
        assert!(replies.try_recv().is_err());
        execute(&mut lock, "ROLLBACK").await;
        for number in 0..3000 {
            assert_eq!(replies.recv().await.unwrap().tag, number);
        }
        assert!(log.log.figures().batches <= 4, "{:?}", log.log.figures());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_batch_can_be_made_to_wait_for_more() {
        let config = Config {
            linger: Duration::from_millis(300),
            ..Config::default()
        };
        let log = Log::start(config, Duration::from_secs(5)).await;
        let (reply, mut replies) = mpsc::channel(10);
        for number in 0..10 {
            log.log.append(entry(number, &reply)).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for number in 0..10 {
            assert_eq!(replies.recv().await.unwrap().tag, number);
        }
        assert_eq!(log.log.figures().batches, 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_queue_makes_its_miner_wait() {
        let log = Log::usual().await;
        let (reply, mut replies) = mpsc::channel(4 * QUEUE);
        let mut lock = log.lock().await;
        let mut number = 0;
        let mut refused = None;
        // The first batch leaves the queue while it is being filled.
        while refused.is_none() || number <= u64::try_from(QUEUE).unwrap() {
            match log.log.try_append(entry(number, &reply)) {
                Ok(()) => number += 1,
                Err(entry) => refused = Some(entry),
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(log.log.figures().waiting, QUEUE);
        let waiting = log.log.append(refused.unwrap());
        tokio::pin!(waiting);
        let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
        assert!(early.is_err());
        execute(&mut lock, "ROLLBACK").await;
        waiting.await;
        for expected in 0..=number {
            let committed = replies.recv().await.unwrap();
            assert_eq!(
                committed,
                Committed {
                    tag: expected,
                    outcome: Outcome::Accepted
                }
            );
        }
        assert_eq!(log.stored().await, number + 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_share_that_cannot_be_written_is_never_accepted() {
        let log = Log::start(Config::default(), Duration::from_millis(30)).await;
        let (reply, mut replies) = mpsc::channel(8);
        let mut answer = async |number| {
            log.log.append(entry(number, &reply)).await;
            replies.recv().await.unwrap().outcome
        };
        assert_eq!(answer(0).await, Outcome::Accepted);
        let mut lock = log.lock().await;
        assert_eq!(answer(1).await, Outcome::Failed);
        assert_eq!(answer(2).await, Outcome::Failed);
        execute(&mut lock, "ROLLBACK").await;
        assert_eq!(answer(1).await, Outcome::Accepted);
        execute(&mut lock, "ALTER TABLE shares RENAME TO lost").await;
        assert_eq!(answer(3).await, Outcome::Failed);
        execute(&mut lock, "ALTER TABLE lost RENAME TO shares").await;
        assert_eq!(answer(3).await, Outcome::Accepted);
        assert_eq!(log.stored().await, 3);
        let figures = log.log.figures();
        assert_eq!(
            (figures.accepted, figures.failed, figures.lost_replies),
            (3, 3, 0)
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_taken_in_is_written_before_the_end() {
        let log = Log::usual().await;
        let (reply, mut replies) = mpsc::channel(5001);
        let mut lock = log.lock().await;
        for number in 0..5000 {
            log.log.append(entry(number, &reply)).await;
        }
        let tasks = log.tasks.clone();
        let ended = tokio::spawn(async move { tasks.shut_down().await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!ended.is_finished());
        execute(&mut lock, "ROLLBACK").await;
        assert!(ended.await.unwrap());
        assert_eq!(log.stored().await, 5000);
        for number in 0..5000 {
            let committed = replies.try_recv().unwrap();
            assert_eq!(
                committed,
                Committed {
                    tag: number,
                    outcome: Outcome::Accepted
                }
            );
        }
        // After the end nothing is taken, and nobody waits for an answer.
        log.log.append(entry(5000, &reply)).await;
        assert_eq!(replies.try_recv().unwrap().outcome, Outcome::Failed);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_that_has_ended_stops_nobody() {
        let log = Log::usual().await;
        let (gone, ended) = mpsc::channel(1);
        drop(ended);
        let (reply, mut replies) = mpsc::channel(1);
        log.log.append(entry(0, &gone)).await;
        log.log.append(entry(1, &reply)).await;
        assert_eq!(replies.recv().await.unwrap().tag, 1);
        assert_eq!(log.stored().await, 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn books_are_kept() {
        let log = Log::usual().await;
        let (reply, mut replies) = mpsc::channel(1);
        log.log.append(entry(0, &reply)).await;
        replies.recv().await.unwrap();
        let day = 86_400_000;
        let later = clock::now_ms() + 100 * day;
        let ending = CancellationToken::new();
        bookkeeping::keep_books_at(&log.store, log.pool, Config::default(), later, &ending)
            .await
            .unwrap();
        assert_eq!(log.stored().await, 1);
        let since = Minute::of_ms(clock::now_ms()).back(10);
        assert_eq!(
            log.store.pool_sums(log.pool, since).await.unwrap().shares,
            0
        );
    }
}
