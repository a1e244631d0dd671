//! What the shapes are made of: a pool, a miner and its workers as they are now, read from the store
//! and the list of sessions. The shapes themselves only say it in other words.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::atomic::Ordering,
};

use bitcoin::hashes::{Hash as _, sha256};
use mining::{Address, Amount, Coin, Difficulty, Network, Scheme, Target, Work, share::Reject};
use pow::Hash;
use store::{BlockCounts, Minute, Of, ReadError, Sums, Worker, WorkerId, WorkerName};

use super::super::rate::Stretch;
use crate::{display, pool::Pool, sessions::Session, template_feed::Newest};

/// The stretches of a pool and a miner, in minutes.
pub(super) const STRETCHES: [u32; 8] = [1, 5, 10, 15, 60, 6 * 60, 24 * 60, 7 * 24 * 60];
/// Those of each worker.
pub(super) const OF_WORKERS: [u32; 6] = [1, 5, 10, 60, 24 * 60, 7 * 24 * 60];
/// Workers in one answer about a miner.
pub(super) const WORKERS_MAX: usize = 500;
/// The most that a block may weigh.
const WEIGHT_MAX: u64 = 4_000_000;
/// Workers in one question.
const PAGE: u32 = 1_000;
/// Blocks in one answer.
pub(super) const BLOCKS_MAX: u32 = 1_000;
/// A connected worker without a share for so long is idle.
const IDLE_AFTER_MS: i64 = 10 * 60 * 1000;
/// A worker that came and went is told of for so long.
const GONE_MINUTES: u32 = 60;

/// What was done in some stretches up to now.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows(Vec<Window>);

#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Asked for.
    pub(super) minutes: u32,
    /// What has gone by of them.
    pub(super) millis: u64,
    pub(super) sums: Sums,
}

/// The block that is mined.
#[derive(Clone, Debug)]
pub(super) struct Next {
    pub(super) height: u32,
    /// The hashes that it takes on average.
    pub(super) work: Work,
    pub(super) reward: Amount,
    pub(super) transactions: usize,
    /// What its transactions and header weigh.
    pub(super) weight: u64,
    pub(super) previous: Hash,
}

/// A pool now.
#[derive(Clone, Debug)]
pub(super) struct PoolNow {
    pub(super) name: String,
    pub(super) coin: &'static Coin,
    pub(super) network: Network,
    pub(super) now_ms: i64,
    pub(super) started_ms: i64,
    pub(super) windows: Windows,
    /// All that was ever accepted.
    pub(super) total: Sums,
    /// Shares refused since the process started.
    pub(super) rejected: u64,
    /// The work of the best hash.
    pub(super) best: Option<Work>,
    pub(super) presence: Presence,
    pub(super) next: Option<Next>,
    /// The work since the last block.
    pub(super) round: Option<Work>,
    pub(super) counts: BlockCounts,
    pub(super) fee_hundredths: u32,
}

/// Who is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Presence {
    /// Addresses connected.
    pub(super) users: usize,
    /// Workers connected.
    pub(super) workers: usize,
    /// Those among them without a share in the last ten minutes.
    pub(super) idle: usize,
    /// Workers with a share in the last hour of whom no session has had one.
    pub(super) gone: usize,
}

/// A miner now.
#[derive(Clone, Debug, Default)]
pub(super) struct MinerNow {
    pub(super) address: String,
    pub(super) windows: Windows,
    pub(super) total: Sums,
    pub(super) best: Option<Work>,
    pub(super) first_share_ms: Option<i64>,
    pub(super) last_share_ms: Option<i64>,
    /// Workers connected.
    pub(super) connected: usize,
    /// The strongest of the last day.
    pub(super) workers: Vec<WorkerNow>,
}

/// A worker now.
#[derive(Clone, Debug)]
pub(super) struct WorkerNow {
    pub(super) id: WorkerId,
    pub(super) address: String,
    pub(super) name: String,
    pub(super) windows: Windows,
    pub(super) total: Sums,
    pub(super) best: Option<Work>,
    /// Since when it is connected, or else when its first share came.
    pub(super) since_ms: i64,
    pub(super) last_share_ms: i64,
    /// What the device calls itself, while it is connected.
    pub(super) agent: Option<String>,
}

impl Windows {
    #[cfg(test)]
    pub(super) fn new(windows: Vec<Window>) -> Self {
        Self(windows)
    }

    fn of(stretches: &[(u32, Stretch)], sums: &[Sums]) -> Self {
        let window = |(place, (minutes, stretch)): (usize, &(u32, Stretch))| Window {
            minutes: *minutes,
            millis: stretch.millis,
            sums: sums.get(place).copied().unwrap_or_default(),
        };
        Self(stretches.iter().enumerate().map(window).collect())
    }

    /// Adds what others did in the same stretches.
    fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (window, other) in self.0.iter_mut().zip(&other.0) {
            window.sums = together(window.sums, other.sums);
        }
    }

    fn window(&self, minutes: u32) -> Option<&Window> {
        self.0.iter().find(|window| window.minutes == minutes)
    }

    /// In H/s, over so many minutes that are one of the stretches.
    pub(super) fn rate(&self, minutes: u32) -> u128 {
        self.window(minutes)
            .map_or(0, |window| window.sums.work.per_second(window.millis))
    }

    /// Shares in a second, for people.
    pub(super) fn shares_per_second(&self, minutes: u32) -> f64 {
        self.window(minutes).map_or(0.0, |window| {
            let thousandths =
                u128::from(window.sums.shares) * 1_000_000 / u128::from(window.millis);
            display::to_f64(thousandths) / 1000.0
        })
    }

    /// The work in these minutes.
    pub(super) fn work(&self, minutes: u32) -> Work {
        self.window(minutes)
            .map_or(Work::ZERO, |window| window.sums.work)
    }
}

/// The one definition of rates: [`Stretch`] over the store's sums.
pub(super) async fn windows(
    pool: &Pool,
    of: Of<'_>,
    minutes: &[u32],
    now_ms: i64,
) -> Result<Windows, ReadError> {
    let stretches = stretches(pool, minutes, now_ms);
    let since = since(&stretches);
    let sums = match of {
        Of::Miner(address) => pool.store.miner(pool.id, address, &since).await?.windows,
        Of::Pool => pool.store.pool_windows(pool.id, &since).await?,
        // Those of workers come with the workers.
        Of::Worker(_) => Vec::new(),
    };
    Ok(Windows::of(&stretches, &sums))
}

fn together(one: Sums, other: Sums) -> Sums {
    Sums {
        shares: one.shares.saturating_add(other.shares),
        work: [one.work, other.work].into_iter().sum(),
    }
}

fn stretches(pool: &Pool, minutes: &[u32], now_ms: i64) -> Vec<(u32, Stretch)> {
    let stretch = |minutes: &u32| (*minutes, Stretch::new(pool, *minutes, now_ms));
    minutes.iter().map(stretch).collect()
}

fn since(stretches: &[(u32, Stretch)]) -> Vec<Minute> {
    stretches.iter().map(|(_, stretch)| stretch.since).collect()
}

impl PoolNow {
    pub(super) async fn of(pool: &Pool, now_ms: i64) -> Result<Self, ReadError> {
        let store = &pool.store;
        let best = store.best_shares(pool.id, 1).await?;
        // There is room for one; other ports' rounds may yet have another.
        let schemes = &pool.terms.accounting.schemes;
        let scheme = schemes.first().copied().unwrap_or(Scheme::Solo);
        let fees = pool.terms.fees_now(scheme);
        let fees = fees.list().iter();
        let hundredths = fees.map(|fee| u32::from(fee.percent.hundredths()));
        Ok(Self {
            name: pool.name.clone(),
            coin: pool.coin,
            network: pool.network,
            now_ms,
            started_ms: pool.started_ms,
            windows: windows(pool, Of::Pool, &STRETCHES, now_ms).await?,
            total: store.pool_total(pool.id).await?,
            rejected: Reject::ALL
                .map(|reject| pool.metrics.rejected(reject).get())
                .iter()
                .sum(),
            best: best.first().map(|best| work_of(&best.hash)),
            presence: Presence::of(pool, now_ms).await?,
            next: Next::of(pool),
            round: store.round_work(pool.id).await?,
            counts: store.block_counts(pool.id).await?,
            fee_hundredths: hundredths.sum(),
        })
    }

    /// The work since the last block as a part of what a block takes: 1 is average luck.
    pub(super) fn effort_ratio(&self) -> f64 {
        match (self.round, &self.next) {
            (Some(round), Some(next)) => ratio(round, next.work),
            _ => 0.0,
        }
    }

    /// In percent.
    pub(super) fn fee(&self) -> f64 {
        f64::from(self.fee_hundredths) / 100.0
    }

    /// Work in shares of difficulty 1.
    pub(super) fn in_shares(&self, work: Work) -> u128 {
        in_shares(work, self.coin)
    }

    /// Blocks that are not orphaned.
    pub(super) fn blocks(&self) -> u64 {
        self.counts.submitted + self.counts.immature + self.counts.mature
    }
}

impl Next {
    fn of(pool: &Pool) -> Option<Self> {
        let newest = pool.newest.borrow();
        let Newest::Offer(offer) = &*newest else {
            return None;
        };
        let template = &offer.template;
        Some(Self {
            height: template.height(),
            work: template.work(),
            reward: template.value(),
            transactions: template.transactions(),
            weight: template.bitcoin().map_or(0, |template| {
                WEIGHT_MAX.saturating_sub(template.room.weight)
            }),
            previous: template.previous(),
        })
    }

    /// The network's hashes in a second, as its difficulty has it: what a block takes, by the time that
    /// the chain aims at.
    pub(super) fn network_rate(&self, coin: &Coin) -> u128 {
        self.work.hashes() / u128::from(coin.spacing_s.max(1))
    }

    pub(super) fn difficulty(&self, coin: &Coin) -> f64 {
        difficulty(self.work, coin)
    }
}

impl Presence {
    async fn of(pool: &Pool, now_ms: i64) -> Result<Self, ReadError> {
        let sessions = pool.sessions.list();
        let gone_since = Minute::of_ms(now_ms).back(GONE_MINUTES);
        let active = pool.store.active(pool.id, gone_since).await?;
        let active = usize::try_from(active.workers).unwrap_or(usize::MAX);
        Ok(Self::among(&sessions, gone_since, active, now_ms))
    }

    fn among(
        sessions: &[std::sync::Arc<Session>],
        gone_since: Minute,
        active: usize,
        now_ms: i64,
    ) -> Self {
        let users: HashSet<&str> = sessions
            .iter()
            .map(|one| one.worker.address.as_str())
            .collect();
        let mut last: HashMap<(&str, &str), i64> = HashMap::new();
        for session in sessions {
            let worker = &session.worker;
            let share_ms = session.last_share_ms.load(Ordering::Relaxed);
            let last = last
                .entry((worker.address.as_str(), &worker.worker))
                .or_insert(0);
            *last = share_ms.max(*last);
        }
        let is_idle = |last_ms: &&i64| **last_ms < now_ms - IDLE_AFTER_MS;
        let had_one = |last_ms: &&i64| Minute::of_ms(**last_ms) >= gone_since;
        let here = last.values().filter(had_one).count();
        Self {
            users: users.len(),
            workers: last.len(),
            idle: last.values().filter(is_idle).count(),
            gone: active.saturating_sub(here),
        }
    }
}

impl MinerNow {
    /// Adds a worker.
    fn add(&mut self, worker: WorkerNow, first_ms: i64) {
        self.address.clone_from(&worker.address);
        self.windows.add(&worker.windows);
        self.total = together(self.total, worker.total);
        self.best = self.best.max(worker.best);
        let first = self.first_share_ms.unwrap_or(first_ms);
        self.first_share_ms = Some(first.min(first_ms));
        self.last_share_ms = self.last_share_ms.max(Some(worker.last_share_ms));
        self.connected += usize::from(worker.agent.is_some());
        self.workers.push(worker);
    }

    /// With the strongest workers of the last day.
    pub(super) async fn of(pool: &Pool, address: &Address, now_ms: i64) -> Result<Self, ReadError> {
        let text = address.as_str();
        let stretches = stretches(pool, &STRETCHES, now_ms);
        let found = pool.store.miner(pool.id, text, &since(&stretches)).await?;
        let best = pool.store.bests(pool.id, Some(text), 1).await?;
        let sessions = Connected::of(pool, Some(address));
        Ok(Self {
            address: text.to_owned(),
            windows: Windows::of(&stretches, &found.windows),
            total: found.total,
            best: best.first().map(|best| work_of(&best.hash)),
            first_share_ms: found.first_share_ms,
            last_share_ms: found.last_share_ms,
            connected: sessions.0.len(),
            workers: workers(
                pool,
                Some(text),
                &OF_WORKERS,
                WORKERS_MAX,
                &sessions,
                now_ms,
            )
            .await?,
        })
    }
}

/// Everybody with a share since then, by address, and how many there are: at most `most`. One page of
/// workers after the other, so that each costs the same.
pub(super) async fn everybody(
    pool: &Pool,
    since_ms: i64,
    most: usize,
    now_ms: i64,
) -> Result<Vec<MinerNow>, ReadError> {
    let stretches = stretches(pool, &OF_WORKERS, now_ms);
    let (windows, sessions) = (since(&stretches), Connected::of(pool, None));
    let mut miners: BTreeMap<String, MinerNow> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = pool.store.workers(pool.id, None, &windows, after, PAGE);
        let page = page.await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for worker in page {
            let address = worker.who.address();
            let is_new = !miners.contains_key(address);
            if worker.last_share_ms < since_ms || (is_new && miners.len() >= most) {
                continue;
            }
            let first_ms = worker.first_share_ms;
            let miner = miners.entry(address.to_owned()).or_default();
            miner.add(WorkerNow::new(worker, &stretches, &sessions), first_ms);
        }
    }
    let mut miners: Vec<MinerNow> = miners.into_values().collect();
    for miner in &mut miners {
        let by_work = |worker: &WorkerNow| std::cmp::Reverse(worker.windows.work(24 * 60));
        miner.workers.sort_by_key(by_work);
        miner.workers.truncate(WORKERS_MAX);
    }
    Ok(miners)
}

/// The workers with a share in the last day, the strongest first.
pub(super) async fn workers(
    pool: &Pool,
    address: Option<&str>,
    minutes: &[u32],
    limit: usize,
    sessions: &Connected,
    now_ms: i64,
) -> Result<Vec<WorkerNow>, ReadError> {
    let day = 24 * 60;
    // Of whole hours: those are quickly summed.
    let since_when = Minute::of_ms(now_ms).back(day).hour();
    ranked(pool, address, since_when, minutes, limit, sessions, now_ms).await
}

/// The workers with a share since then, the strongest first.
pub(super) async fn ranked(
    pool: &Pool,
    address: Option<&str>,
    since_when: Minute,
    minutes: &[u32],
    limit: usize,
    sessions: &Connected,
    now_ms: i64,
) -> Result<Vec<WorkerNow>, ReadError> {
    let stretches = stretches(pool, minutes, now_ms);
    let mut asked = vec![since_when];
    asked.extend(since(&stretches));
    let found = pool
        .store
        .strongest(pool.id, address, &asked, limit)
        .await?;
    let worker = |mut worker: Worker| {
        worker.windows.remove(0);
        WorkerNow::new(worker, &stretches, sessions)
    };
    Ok(found.into_iter().map(worker).collect())
}

impl WorkerNow {
    /// One worker; nothing if it never found a share.
    pub(super) async fn of(
        pool: &Pool,
        address: &Address,
        name: &str,
        now_ms: i64,
    ) -> Result<Option<Self>, ReadError> {
        let stretches = stretches(pool, &OF_WORKERS, now_ms);
        let text = address.as_str();
        let found = pool
            .store
            .worker(pool.id, text, name, &since(&stretches))
            .await?;
        let sessions = Connected::of(pool, Some(address));
        Ok(found.map(|found| Self::new(found, &stretches, &sessions)))
    }

    fn new(worker: Worker, stretches: &[(u32, Stretch)], sessions: &Connected) -> Self {
        let (address, name) = (worker.who.address(), worker.who.name());
        let session = sessions.0.get(&(address.to_owned(), name.to_owned()));
        Self {
            id: worker.id,
            address: address.to_owned(),
            name: name.to_owned(),
            windows: Windows::of(stretches, &worker.windows),
            total: worker.total,
            best: worker.best.as_ref().map(work_of),
            since_ms: session.map_or(worker.first_share_ms, |session| session.since_ms),
            last_share_ms: worker.last_share_ms,
            agent: session.map(|session| session.agent.clone()),
        }
    }
}

/// The oldest session of each worker that is connected, by address and name.
pub(super) struct Connected(HashMap<(String, String), std::sync::Arc<Session>>);

impl Connected {
    /// All of them, or those of an address.
    pub(super) fn of(pool: &Pool, address: Option<&Address>) -> Self {
        let mut connected = HashMap::new();
        for session in pool.sessions.list() {
            let worker = &session.worker;
            if address.is_none_or(|address| worker.address == *address) {
                let key = (worker.address.as_str().to_owned(), worker.worker.clone());
                connected.entry(key).or_insert(session);
            }
        }
        Self(connected)
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.0.values().map(|session| &**session)
    }

    /// What a worker calls itself; nothing if it is not connected.
    pub(super) fn agent(&self, who: &WorkerName) -> String {
        let session = self
            .0
            .get(&(who.address().to_owned(), who.name().to_owned()));
        session
            .map(|session| session.agent.clone())
            .unwrap_or_default()
    }
}

/// What stands for a session: ours have none that outlives a connection, so it is a worker's own, made of
/// its name.
pub(super) fn session_id(address: &str, name: &str) -> String {
    let digest = sha256::Hash::hash(format!("{address}.{name}").as_bytes());
    hex::encode(&digest.as_byte_array()[..4])
}

/// The work that this hash is a proof of.
pub(super) fn work_of(hash: &Hash) -> Work {
    // No hash of a chain is ever below 2^128.
    Target::from_bytes(hash.to_display_bytes()).map_or(Work::from_hashes(u128::MAX), Target::work)
}

/// Work as a difficulty, for people.
pub(super) fn difficulty(work: Work, coin: &Coin) -> f64 {
    ratio(work, one(coin))
}

/// Work in shares of difficulty 1.
pub(super) fn in_shares(work: Work, coin: &Coin) -> u128 {
    work.hashes() / one(coin).hashes().max(1)
}

/// The work of a share of difficulty 1.
pub(super) fn one(coin: &Coin) -> Work {
    Difficulty::ONE.target(coin.algorithm()).work()
}

pub(super) fn ratio(work: Work, other: Work) -> f64 {
    display::to_f64(work.hashes()) / display::to_f64(other.hashes().max(1))
}
