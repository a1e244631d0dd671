//! Who may not connect for a while, because too many of his shares are invalid. The rule is
//! `mining::ban`; here are the counts, one for each address over all its connections, and the task
//! that keeps bans in the store, so that a restart lifts none.
//!
//! A connection takes its [`Tally`] once and counts in it; the listener asks [`Bans::is_banned`].
//! Bans are timed by the clock that never jumps; the time of day is only written down.

mod workers;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use mining::ban::{Counts, Rule, Window};
use store::{Ban, PoolId, Store};
use tokio::{sync::Notify, time::Instant};
use tracing::{info, warn};

pub use self::workers::WorkerBans;
pub(crate) use self::workers::{Banned, Standing};
use crate::{
    clock,
    mailbox::{Mailboxes, Notice},
    metrics::Metrics,
    networks::{Networks, party},
    tasks::{Stage, Tasks},
};

/// Addresses that are counted at a time, about 24 MB. An address without connections and without
/// shares in the window is forgotten; where all are in use, a new one is counted by connection.
const TALLIES_MAX: usize = 65_536;
/// Bans at a time, about 8 MB; with one more, the one that ends first is lifted.
const BANS_MAX: u32 = 65_536;
/// Bans in one commit: shares wait for it.
const WRITTEN_MAX: usize = 256;
/// How often counts grow old and bans are looked at. A window is hardly longer by it.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// How bans are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The rule; nothing if nobody is banned.
    pub rule: Option<Rule>,
    /// How long a ban lasts.
    pub lasts: Duration,
    /// Who is never banned.
    pub exempt: Networks,
}

/// The bans of a pool. Clones share them.
#[derive(Clone)]
pub struct Bans(Arc<Shared>);

struct Shared {
    settings: RwLock<Arc<Settings>>,
    mailboxes: Mailboxes,
    metrics: Arc<Metrics>,
    list: Mutex<List>,
    /// Something is to be written down.
    changed: Notify,
}

#[derive(Default)]
struct List {
    tallies: HashMap<IpAddr, Arc<Tally>>,
    bans: HashMap<IpAddr, Entry>,
    /// Bans that are over, and still in the store.
    over: Vec<IpAddr>,
}

struct Entry {
    ban: Ban,
    ends: Instant,
    is_kept: bool,
}

/// The shares of an address, over all its connections.
pub struct Tally {
    address: IpAddr,
    /// Accepted shares that the window does not have yet.
    valid: AtomicU64,
    window: Mutex<Window>,
    banned: AtomicBool,
    /// Nothing for an address that is never banned.
    bans: Weak<Shared>,
}

impl Tally {
    fn new(address: IpAddr, bans: Weak<Shared>) -> Self {
        Self {
            address,
            valid: AtomicU64::new(0),
            window: Mutex::new(Window::new(clock::now_ms())),
            banned: AtomicBool::new(false),
            bans,
        }
    }

    /// Counts an accepted share.
    pub fn valid(&self) {
        self.valid.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an invalid share. True if its address is banned now: the connection is to be closed.
    pub fn invalid(&self, now_ms: i64) -> bool {
        let Some(bans) = self.bans.upgrade() else {
            return false;
        };
        let Some(rule) = bans.settings().rule else {
            return false;
        };
        let counts = self.add(&rule, 1, now_ms);
        if rule.bans(counts) && !self.banned.swap(true, Ordering::Relaxed) {
            bans.ban(self.address, counts, now_ms);
            bans.mailboxes.post_to(self.address, Notice::Banned);
        }
        self.banned.load(Ordering::Relaxed)
    }

    fn add(&self, rule: &Rule, invalid: u64, now_ms: i64) -> Counts {
        let valid = self.valid.swap(0, Ordering::Relaxed);
        lock(&self.window).add(rule, Counts { valid, invalid }, now_ms)
    }
}

impl Shared {
    fn settings(&self) -> Arc<Settings> {
        let settings = self.settings.read();
        Arc::clone(&settings.unwrap_or_else(PoisonError::into_inner))
    }

    fn ban(&self, address: IpAddr, counts: Counts, now_ms: i64) {
        let lasts = self.settings().lasts;
        let lasts_ms = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
        let ban = Ban {
            address,
            since_ms: now_ms,
            until_ms: now_ms.saturating_add(lasts_ms),
            shares: counts.shares(),
            invalid: counts.invalid,
        };
        let mut list = lock(&self.list);
        if list.bans.contains_key(&address) {
            // By another of its connections, at the same time.
            return;
        }
        // Whoever comes back after the ban starts from nothing.
        list.tallies.remove(&address);
        list.make_room();
        let entry = Entry {
            ban,
            ends: Instant::now() + lasts,
            is_kept: false,
        };
        list.bans.insert(address, entry);
        drop(list);
        self.metrics.bans.inc();
        self.changed.notify_one();
        info!(%address, shares = ban.shares, invalid = ban.invalid, "banned");
    }
}

impl List {
    fn make_room(&mut self) {
        if u32::try_from(self.bans.len()).is_ok_and(|count| count < BANS_MAX) {
            return;
        }
        let first = self.bans.iter().min_by_key(|(_, entry)| entry.ends);
        if let Some(address) = first.map(|(address, _)| *address) {
            self.lift(address);
        }
    }

    fn lift(&mut self, address: IpAddr) -> bool {
        let is_banned = self.bans.remove(&address).is_some();
        if is_banned {
            self.over.push(address);
        }
        is_banned
    }

    /// Lets counts grow old, forgets what is of no use, and lifts bans that are over.
    fn sweep(&mut self, rule: &Rule, now_ms: i64, now: Instant) {
        self.tallies.retain(|_, tally| {
            tally.add(rule, 0, now_ms);
            Arc::strong_count(tally) > 1 || !lock(&tally.window).is_empty()
        });
        let over = self.bans.iter().filter(|(_, entry)| entry.ends <= now);
        let over: Vec<IpAddr> = over.map(|(address, _)| *address).collect();
        for address in over {
            self.lift(address);
            info!(%address, "no longer banned");
        }
    }
}

impl Bans {
    /// The counts of an address, for one connection; to be taken once.
    pub fn tally(&self, address: IpAddr) -> Arc<Tally> {
        let settings = self.0.settings();
        if settings.rule.is_none() || settings.exempt.contains(address) {
            return Arc::new(Tally::new(address, Weak::new()));
        }
        let address = party(address);
        let new = || Arc::new(Tally::new(address, Arc::downgrade(&self.0)));
        let mut list = lock(&self.0.list);
        match list.tallies.get(&address) {
            Some(tally) => Arc::clone(tally),
            None if list.tallies.len() >= TALLIES_MAX => new(),
            None => Arc::clone(list.tallies.entry(address).or_insert_with(new)),
        }
    }

    /// Bans by another rule from now on. Whoever is banned stays so for as long as he was told, unless
    /// he is exempt now; connections that were exempt until now are counted when they come anew.
    pub(crate) fn change(&self, settings: Settings) {
        let exempt = {
            let mut list = lock(&self.0.list);
            let banned = list.bans.keys().copied();
            let exempt: Vec<IpAddr> = banned
                .filter(|address| settings.exempt.contains(*address))
                .collect();
            for address in &exempt {
                list.lift(*address);
            }
            exempt
        };
        for address in exempt {
            info!(%address, "the ban was lifted");
        }
        let mut current = self
            .0
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(settings);
        drop(current);
        self.0.changed.notify_one();
    }

    /// Whether an address may not connect.
    pub fn is_banned(&self, address: IpAddr) -> bool {
        let list = lock(&self.0.list);
        // One that is over may stand there until the next sweep.
        list.bans
            .get(&party(address))
            .is_some_and(|entry| entry.ends > Instant::now())
    }

    /// Lifts the ban of an address; false if there is none.
    pub fn lift(&self, address: IpAddr) -> bool {
        let address = party(address);
        let is_lifted = lock(&self.0.list).lift(address);
        if is_lifted {
            self.0.changed.notify_one();
            info!(%address, "the ban was lifted");
        }
        is_lifted
    }

    /// The newest bans, at most `limit`, and how many there are in all.
    pub fn list(&self, limit: usize) -> (Vec<Ban>, usize) {
        let list = lock(&self.0.list);
        let mut bans: Vec<Ban> = list.bans.values().map(|entry| entry.ban).collect();
        drop(list);
        let count = bans.len();
        bans.sort_unstable_by_key(|ban| (std::cmp::Reverse(ban.since_ms), ban.address));
        bans.truncate(limit);
        (bans, count)
    }

    /// Without the task that keeps them: a test has no more of it.
    pub(crate) fn new(settings: Settings, mailboxes: Mailboxes, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Shared {
            settings: RwLock::new(Arc::new(settings)),
            mailboxes,
            metrics,
            list: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Takes over what an earlier run wrote down. No ban lasts longer from now than a new one
    /// would, whatever the clock said when it was made.
    fn take_over(&self, kept: Vec<Ban>, now_ms: i64) {
        let settings = self.0.settings();
        let Settings { lasts, exempt, .. } = &*settings;
        let mut list = lock(&self.0.list);
        for mut ban in kept {
            let left = u64::try_from(ban.until_ms.saturating_sub(now_ms)).unwrap_or(0);
            let left = Duration::from_millis(left).min(*lasts);
            if left.is_zero() || exempt.contains(ban.address) {
                list.over.push(ban.address);
                continue;
            }
            // Written anew, so that the next start does not begin again from a wrong time.
            let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
            let until_ms = now_ms.saturating_add(left_ms);
            let is_kept = ban.until_ms == until_ms && ban.since_ms <= now_ms;
            ban.until_ms = until_ms;
            ban.since_ms = ban.since_ms.min(now_ms);
            let entry = Entry {
                ban,
                ends: Instant::now() + left,
                is_kept,
            };
            list.bans.insert(ban.address, entry);
        }
    }

    /// Writes down what has changed. What could not be written is tried again with the next sweep.
    async fn keep(&self, store: &Store, pool: PoolId) {
        let (over, new) = {
            let mut list = lock(&self.0.list);
            let over = std::mem::take(&mut list.over);
            let new = list.bans.values().filter(|entry| !entry.is_kept);
            let new: Vec<Ban> = new.map(|entry| entry.ban).collect();
            (over, new)
        };
        // What is over first: an address may be banned again since.
        for (at, some) in over.chunks(WRITTEN_MAX).enumerate() {
            if let Err(error) = store.lift_bans(pool, some).await {
                warn!(%error, "the end of a ban is not written down yet");
                let left = &over[at * WRITTEN_MAX..];
                lock(&self.0.list).over.extend_from_slice(left);
                return;
            }
        }
        for some in new.chunks(WRITTEN_MAX) {
            if let Err(error) = store.keep_bans(pool, some).await {
                warn!(%error, "a ban is not written down yet");
                return;
            }
            let mut list = lock(&self.0.list);
            for ban in some {
                if let Some(entry) = list.bans.get_mut(&ban.address)
                    && entry.ban == *ban
                {
                    entry.is_kept = true;
                }
            }
        }
    }
}

/// Reads the bans of earlier runs and keeps those of this one until shutdown.
pub async fn start(
    settings: Settings,
    store: Store,
    pool: PoolId,
    mailboxes: Mailboxes,
    metrics: Arc<Metrics>,
    tasks: &Tasks,
) -> anyhow::Result<Bans> {
    let bans = Bans::new(settings, mailboxes, metrics);
    // Without a rule nobody is banned; what is kept waits for the day when there is one.
    if bans.0.settings().rule.is_none() {
        return Ok(bans);
    }
    let now_ms = clock::now_ms();
    store.forget_bans(pool, now_ms).await?;
    bans.take_over(store.bans(pool, BANS_MAX).await?, now_ms);
    let keeping = bans.clone();
    let stopping = tasks.ending(Stage::Books);
    tasks.spawn(Stage::Books, "bans", async move {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            let is_stopping = tokio::select! {
                () = stopping.cancelled() => true,
                () = keeping.0.changed.notified() => false,
                _ = sweep.tick() => {
                    if let Some(rule) = keeping.0.settings().rule {
                        lock(&keeping.0.list).sweep(&rule, clock::now_ms(), Instant::now());
                    }
                    false
                }
            };
            keeping.keep(&store, pool).await;
            if is_stopping {
                return Ok(());
            }
        }
    });
    Ok(bans)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while holding this lock")
}

#[cfg(test)]
mod tests;
