//! Accepted shares on their way into the store. A share is answered when the commit it is in has
//! reached the disk, not before; what cannot be written is answered as failed, never as accepted.
//!
//! One task writes. While one batch is committed the next gathers in the queue, so a commit holds
//! as many shares as came during the one before: one when the pool is idle, thousands when it is
//! not. Called by `connection`, which has few shares in flight at a time. A second task rolls up
//! what was written and removes what is no longer kept.

mod bookkeeping;
mod pace;

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mining::Scheme;
use pace::Pace;
use store::{FoundBlock, PoolId, ShareRecord, ShareRow, Store, WorkerName, WriteError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    mailbox::{Mailbox, Outcome},
    tasks::{Stage, Tasks},
};

/// The most shares of one commit. It takes some tens of milliseconds; a larger one would not be
/// cheaper by the share, but its miners would wait longer.
const MOST_SHARES: usize = 4_096;

/// How often a batch is tried while another process holds the database. Each try waits out the
/// store's busy timeout of 5 s; after 15 s a miner has better uses for its connection.
const TRIES: u32 = 3;

/// What an operator can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// A busy pool's commit waits for more shares, but no longer than this.
    pub commit_wait: Duration,
    /// How long shares are kept one by one.
    pub keep_shares: Duration,
    /// How long the minutes that they were rolled up to are kept.
    pub keep_minutes: Duration,
    /// How long the hours of workers are kept; those of the pool are kept for ever.
    pub keep_hours: Duration,
}

impl Default for Config {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            commit_wait: Duration::from_millis(2),
            keep_shares: Duration::from_secs(7 * DAY),
            keep_minutes: Duration::from_secs(2 * DAY),
            keep_hours: Duration::from_secs(90 * DAY),
        }
    }
}

/// A share to be written, and whom to answer.
#[derive(Debug)]
pub struct Entry {
    /// The share.
    pub share: ShareRecord,
    /// Whose it is.
    pub worker: Arc<WorkerName>,
    /// How it is paid.
    pub scheme: Scheme,
    /// The block that it is, if it is one: both are written in one commit.
    pub block: Option<Arc<FoundBlock>>,
    /// The connection's mailbox. Its shares are answered in the order in which they came.
    pub mailbox: Arc<Mailbox>,
}

/// What the share log has done since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Shares that were written.
    pub accepted: u64,
    /// Shares that could not be written.
    pub failed: u64,
    /// Commits.
    pub batches: u64,
    /// How long the last commit took, in microseconds.
    pub last_commit_us: u64,
    /// Shares that wait for a commit now.
    pub waiting: usize,
}

/// Takes shares in. Clones share the queue.
#[derive(Clone, Debug)]
pub struct ShareLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// The queue is as long as the writer waits for.
    filled: Notify,
    accepted: AtomicU64,
    failed: AtomicU64,
    batches: AtomicU64,
    last_commit_us: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    entries: Vec<Entry>,
    /// The length at which the writer is woken.
    wake_at: usize,
    closed: bool,
}

/// Starts to write the shares of one pool.
pub fn start(store: Store, pool: PoolId, config: Config, tasks: &Tasks) -> ShareLog {
    let shared = Arc::new(Shared::default());
    let writer = Writer {
        store: store.clone(),
        pool,
        commit_wait: config.commit_wait,
        shared: Arc::clone(&shared),
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
    ShareLog(shared)
}

impl ShareLog {
    /// Takes a share. Its answer comes to [`Entry::mailbox`]. The queue holds no more than the
    /// shares that all connections may have in flight.
    pub fn append(&self, entry: Entry) {
        let mut queue = self.0.queue();
        if queue.closed {
            drop(queue);
            self.0.failed.fetch_add(1, Relaxed);
            entry.mailbox.answer(Outcome::Failed);
            return;
        }
        queue.entries.push(entry);
        if queue.entries.len() == queue.wake_at {
            drop(queue);
            self.0.filled.notify_one();
        }
    }

    /// What it has done.
    pub fn figures(&self) -> Figures {
        let Shared {
            accepted,
            failed,
            batches,
            last_commit_us,
            ..
        } = &*self.0;
        Figures {
            accepted: accepted.load(Relaxed),
            failed: failed.load(Relaxed),
            batches: batches.load(Relaxed),
            last_commit_us: last_commit_us.load(Relaxed),
            waiting: self.0.queue().entries.len(),
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue
            .lock()
            .expect("nothing panics while holding this lock")
    }
}

/// The task that writes.
struct Writer {
    store: Store,
    pool: PoolId,
    commit_wait: Duration,
    shared: Arc<Shared>,
    ending: CancellationToken,
    /// The number of shares that failed since the last commit.
    outage: Option<usize>,
}

impl Writer {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut taken = Vec::new();
        let mut rows = Vec::new();
        let mut pace = Pace::new();
        let mut ended = Instant::now();
        loop {
            self.wait_for(1).await;
            let target = pace.target(ended.elapsed(), self.commit_wait);
            let in_time = target <= 1
                || tokio::time::timeout(self.commit_wait, self.wait_for(target))
                    .await
                    .is_ok();
            let closed = {
                let mut queue = self.shared.queue();
                queue.closed = self.ending.is_cancelled();
                std::mem::swap(&mut taken, &mut queue.entries);
                queue.closed
            };
            for batch in taken.chunks(MOST_SHARES) {
                self.commit(batch, &mut rows).await;
            }
            pace.written(taken.len(), in_time);
            ended = Instant::now();
            taken.clear();
            taken.shrink_to(MOST_SHARES);
            if closed {
                return Ok(());
            }
        }
    }

    /// Waits until the queue holds so many shares, or until nothing more comes in.
    async fn wait_for(&self, shares: usize) {
        loop {
            {
                let mut queue = self.shared.queue();
                if queue.entries.len() >= shares {
                    return;
                }
                queue.wake_at = shares;
            }
            tokio::select! {
                () = self.shared.filled.notified() => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    /// Writes a batch and answers it.
    async fn commit(&mut self, batch: &[Entry], rows: &mut Vec<ShareRow>) {
        rows.extend(batch.iter().map(|entry| ShareRow {
            share: entry.share,
            worker: Arc::clone(&entry.worker),
            scheme: entry.scheme,
        }));
        let begun = Instant::now();
        let blocks: Vec<&FoundBlock> = batch
            .iter()
            .filter_map(|entry| entry.block.as_deref())
            .collect();
        let written = self.write(rows, &blocks).await;
        rows.clear();
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let outcome = match written {
            Ok(()) => {
                let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.shared.last_commit_us.store(took, Relaxed);
                self.shared.batches.fetch_add(1, Relaxed);
                self.shared.accepted.fetch_add(count, Relaxed);
                if let Some(refused) = self.outage.take() {
                    info!(refused, "the database takes shares again");
                }
                Outcome::Accepted
            }
            Err(cause) => {
                if self.outage.is_none() {
                    error!(%cause, shares = count, "shares are refused: they cannot be written");
                }
                *self.outage.get_or_insert(0) += batch.len();
                self.shared.failed.fetch_add(count, Relaxed);
                match cause {
                    WriteError::Unknown(_) => Outcome::Unknown,
                    _ => Outcome::Failed,
                }
            }
        };
        for entry in batch {
            entry.mailbox.answer(outcome);
        }
    }

    async fn write(&self, rows: &[ShareRow], blocks: &[&FoundBlock]) -> Result<(), WriteError> {
        let mut tries = 1;
        loop {
            match self
                .store
                .append_shares_and_blocks(self.pool, rows, blocks)
                .await
            {
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
    use std::{future::poll_fn, path::PathBuf};

    use mining::{Network, Work};
    use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
    use store::{Durability, Minute, Of, Settings, WorkerId};

    use super::*;
    use crate::{
        clock,
        mailbox::{Listed, Mailboxes},
    };

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

    /// A connection's end: its mailbox and what it was told.
    struct Replies {
        mailbox: Listed,
        answered: u64,
    }

    impl Replies {
        fn new() -> Self {
            Self {
                mailbox: Mailboxes::default().enter([127, 0, 0, 1].into()),
                answered: 0,
            }
        }

        fn there(&mut self) -> Vec<Outcome> {
            let answers: Vec<_> = self.mailbox.answers(self.answered).collect();
            self.answered += u64::try_from(answers.len()).unwrap();
            answers
        }

        /// Waits for this many answers.
        async fn next(&mut self, count: usize) -> Vec<Outcome> {
            let mut answers = self.there();
            while answers.len() < count {
                let told = poll_fn(|context| self.mailbox.poll_take(context));
                tokio::time::timeout(Duration::from_secs(20), told)
                    .await
                    .expect("an answer");
                answers.extend(self.there());
            }
            assert_eq!(answers.len(), count);
            answers
        }
    }

    fn entry(number: u64, replies: &Replies) -> Entry {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        let work = Work::from_hashes(9);
        Entry {
            share: ShareRecord::new(pow::Hash(hash), work, 1, clock::now_ms()).unwrap(),
            scheme: Scheme::Pplns,
            block: None,
            worker: Arc::new(WorkerName::new("bcrt1qminer", "rig").unwrap()),
            mailbox: replies.mailbox.share(),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_means_that_the_share_is_stored() {
        let log = Log::usual().await;
        let mut replies = Replies::new();
        let mut second = log.stranger().await;
        for number in 0..20_u64 {
            log.log.append(entry(number, &replies));
            assert_eq!(replies.next(1).await, [Outcome::Accepted]);
            let stored: i64 = sqlx::query_scalar("SELECT SUM(count) FROM share_batches")
                .fetch_one(&mut second)
                .await
                .unwrap();
            assert_eq!(u64::try_from(stored).unwrap(), number + 1);
        }
        let figures = log.log.figures();
        assert_eq!((figures.accepted, figures.batches), (20, 20));
        assert!(figures.last_commit_us > 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn shares_that_come_during_a_commit_share_the_next_one() {
        let log = Log::usual().await;
        let mut replies = Replies::new();
        let mut lock = log.lock().await;
        for number in 0..6000 {
            log.log.append(entry(number, &replies));
        }
        assert_eq!(log.stored().await, 0);
        assert_eq!(replies.there(), []);
        execute(&mut lock, "ROLLBACK").await;
        replies.next(6000).await;
        assert!(log.log.figures().batches <= 4, "{:?}", log.log.figures());
        assert_eq!(log.stored().await, 6000);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_busy_log_waits_for_company_and_an_idle_one_does_not() {
        let config = Config {
            // Long for a busy machine, too.
            commit_wait: Duration::from_secs(3),
            ..Config::default()
        };
        let log = Log::start(config, Duration::from_secs(20)).await;
        let mut replies = Replies::new();
        // One goes at once, the next waits for a second one.
        log.log.append(entry(0, &replies));
        replies.next(1).await;
        log.log.append(entry(1, &replies));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(replies.there(), []);
        log.log.append(entry(2, &replies));
        replies.next(2).await;
        assert_eq!(log.log.figures().batches, 2);
        // Four are waited for; three do, when none comes any more.
        let begun = Instant::now();
        for number in 3..6 {
            log.log.append(entry(number, &replies));
        }
        replies.next(3).await;
        assert!(begun.elapsed() >= Duration::from_millis(2_900));
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        let begun = Instant::now();
        log.log.append(entry(6, &replies));
        replies.next(1).await;
        assert!(
            begun.elapsed() < Duration::from_millis(2_900),
            "after a pause"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_share_that_cannot_be_written_is_never_accepted() {
        let log = Log::start(Config::default(), Duration::from_millis(30)).await;
        let mut replies = Replies::new();
        let mut answer = async |number| {
            log.log.append(entry(number, &replies));
            replies.next(1).await[0]
        };
        assert_eq!(answer(0).await, Outcome::Accepted);
        let mut lock = log.lock().await;
        assert_eq!(answer(1).await, Outcome::Failed);
        assert_eq!(answer(2).await, Outcome::Failed);
        execute(&mut lock, "ROLLBACK").await;
        assert_eq!(answer(1).await, Outcome::Accepted);
        execute(&mut lock, "ALTER TABLE share_batches RENAME TO lost").await;
        assert_eq!(answer(3).await, Outcome::Failed);
        execute(&mut lock, "ALTER TABLE lost RENAME TO share_batches").await;
        assert_eq!(answer(3).await, Outcome::Accepted);
        assert_eq!(log.stored().await, 3);
        let figures = log.log.figures();
        assert_eq!((figures.accepted, figures.failed), (3, 3));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_taken_in_is_written_before_the_end() {
        let log = Log::usual().await;
        let mut replies = Replies::new();
        let mut lock = log.lock().await;
        for number in 0..5000 {
            log.log.append(entry(number, &replies));
        }
        let tasks = log.tasks.clone();
        let ended = tokio::spawn(async move { tasks.shut_down().await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!ended.is_finished());
        execute(&mut lock, "ROLLBACK").await;
        assert!(ended.await.unwrap());
        assert_eq!(log.stored().await, 5000);
        assert_eq!(replies.there(), [Outcome::Accepted; 5000]);
        // After the end nothing is taken, and nobody waits for an answer.
        log.log.append(entry(5000, &replies));
        assert_eq!(replies.there(), [Outcome::Failed]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_that_has_ended_stops_nobody() {
        let log = Log::usual().await;
        let gone = Replies::new();
        let mut replies = Replies::new();
        log.log.append(entry(0, &gone));
        drop(gone);
        log.log.append(entry(1, &replies));
        replies.next(1).await;
        assert_eq!(log.stored().await, 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn books_are_kept() {
        let log = Log::usual().await;
        let mut replies = Replies::new();
        log.log.append(entry(0, &replies));
        replies.next(1).await;
        let day = 86_400_000;
        let later = clock::now_ms() + 100 * day;
        let ending = CancellationToken::new();
        bookkeeping::keep_books_at(&log.store, log.pool, Config::default(), later, &ending)
            .await
            .unwrap();
        assert_eq!(log.stored().await, 1);
        // Its minute and its worker's hour go, and the pool's hour stays.
        let hour = Minute::of_ms(clock::now_ms()).hour().back(60);
        let end = Minute::of_ms(later);
        let steps = async |of, step| {
            let history = log.store.history(log.pool, of, hour, end, step);
            history.await.unwrap().len()
        };
        assert_eq!(steps(Of::Pool, 1).await, 0);
        assert_eq!(steps(Of::Worker(WorkerId::from_number(1)), 60).await, 0);
        assert_eq!(steps(Of::Pool, 60).await, 1);
    }
}
