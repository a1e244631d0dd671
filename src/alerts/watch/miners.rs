//! What subscribers are told of their own work: workers that are gone and back, hashrate, rejects, the
//! best share. Only addresses that have subscriptions are looked at.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use mining::{
    Difficulty, Target,
    alert::{
        Event, Hold, Kind, Kinds, Phase,
        measure::{self, Done},
    },
    ban::{Counts, Rule, Window},
};
use pow::Hash;
use store::{AddressWork, Audience, Minute, Seen};

use super::{
    alert,
    troubles::{Key, Troubles},
};
use crate::{
    alerts::config::Config, display, pool::Pool, sessions::Session, template_feed::Newest,
};

/// Workers of an address that are watched, and of all together.
const OF_ADDRESS_MAX: u32 = 1_000;
const WORKERS_MAX: usize = 65_536;
/// A worker that was gone before a subscription, or before the process, is watched if it was there
/// within that time.
const WATCHED_MS: i64 = 24 * 60 * 60 * 1000;
/// Rejects are counted over that time.
const REJECTS_WINDOW_MS: i64 = 20 * 60 * 1000;
/// How often the work of the store is compared: it adds up half an hour and a day.
const FIGURES_EVERY_MS: i64 = 60_000;
/// How often best shares are.
const RECORDS_EVERY_MS: i64 = 10_000;
/// The stretch that counts as now, and what of it is not rolled up for sure.
const RECENT_MINUTES: u32 = 30;
const OPEN_MINUTES: u32 = 2;
/// The stretch that counts as usual, in minutes.
const USUAL_MINUTES: u32 = 24 * 60;
/// A drop that lasts longer is what is usual now.
const NEW_USUAL_MS: i64 = 24 * 60 * 60 * 1000;

pub(super) struct Miners {
    offline_ms: i64,
    drop_percent: u32,
    rejects_percent: u32,
    /// The last share of each worker that is watched, in milliseconds since 1970.
    workers: HashMap<(String, String), i64>,
    /// The addresses whose workers were looked up.
    looked_up: HashSet<String>,
    /// The sessions of the last look, with what they had accepted and rejected.
    sessions: HashMap<usize, (Arc<Session>, u64, u64)>,
    rejects: HashMap<String, Window>,
    figures_ms: Option<i64>,
    records_ms: Option<i64>,
}

impl Miners {
    pub(super) fn new(settings: &Config) -> Self {
        Self {
            offline_ms: i64::from(settings.worker_offline_s) * 1000,
            drop_percent: settings.hashrate_drop_percent,
            rejects_percent: settings.rejects_percent,
            workers: HashMap::new(),
            looked_up: HashSet::new(),
            sessions: HashMap::new(),
            rejects: HashMap::new(),
            figures_ms: None,
            records_ms: None,
        }
    }

    pub(super) async fn look(
        &mut self,
        pool: &Pool,
        subscribers: &HashMap<String, Kinds>,
        troubles: &mut Troubles,
        seen: &mut Seen,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        self.forget(subscribers);
        if subscribers.is_empty() {
            return Ok(());
        }
        self.look_up_workers(pool, subscribers, now_ms).await?;
        let sessions = pool.sessions.list();
        let connected = self.meet(&sessions, subscribers);
        // Without work it is not the workers' fault.
        let has_work = matches!(&*pool.newest.borrow(), Newest::Offer(_));
        self.look_at_workers(&connected, has_work, troubles, seen, now_ms);
        self.look_at_rejects(sessions, subscribers, troubles, seen, now_ms);
        if is_due(self.records_ms, RECORDS_EVERY_MS, now_ms) {
            self.records_ms = Some(now_ms);
            look_at_records(pool, troubles, seen, now_ms).await?;
        }
        if is_due(self.figures_ms, FIGURES_EVERY_MS, now_ms) {
            self.figures_ms = Some(now_ms);
            self.look_at_hashrate(pool, troubles, seen, now_ms).await?;
        }
        Ok(())
    }

    /// Forgets who has no subscription any more.
    fn forget(&mut self, subscribers: &HashMap<String, Kinds>) {
        let wants = |address: &String, kind| {
            let kinds = subscribers.get(address);
            kinds.is_some_and(|kinds| kinds.contains(kind))
        };
        self.looked_up
            .retain(|address| wants(address, Kind::WorkerOffline));
        self.workers
            .retain(|(address, _), _| wants(address, Kind::WorkerOffline));
        self.rejects
            .retain(|address, _| wants(address, Kind::HighRejects));
    }

    /// Looks up the workers of whoever is new.
    async fn look_up_workers(
        &mut self,
        pool: &Pool,
        subscribers: &HashMap<String, Kinds>,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        let new = subscribers
            .iter()
            .filter(|(address, kinds)| {
                kinds.contains(Kind::WorkerOffline) && !self.looked_up.contains(*address)
            })
            .map(|(address, _)| address.clone());
        for address in new.collect::<Vec<_>>() {
            let since_ms = now_ms - WATCHED_MS;
            let store = &pool.store;
            let workers = store.last_shares(pool.id, &address, since_ms, OF_ADDRESS_MAX);
            for (name, last_ms) in workers.await? {
                self.note(&address, &name, last_ms);
            }
            self.looked_up.insert(address);
        }
        Ok(())
    }

    /// A worker had a share then.
    fn note(&mut self, address: &str, name: &str, last_ms: i64) {
        let key = (address.to_owned(), name.to_owned());
        if self.workers.len() < WORKERS_MAX || self.workers.contains_key(&key) {
            let last = self.workers.entry(key).or_insert(last_ms);
            *last = (*last).max(last_ms);
        }
    }

    /// Takes the last shares of sessions, and gives the workers that are connected. A connection that
    /// never had a share is no worker: some devices only try whether the pool is there.
    fn meet(
        &mut self,
        sessions: &[Arc<Session>],
        subscribers: &HashMap<String, Kinds>,
    ) -> HashSet<(String, String)> {
        let mut connected = HashSet::new();
        for session in sessions {
            let address = session.worker.address.as_str();
            let kinds = subscribers.get(address);
            if !kinds.is_some_and(|kinds| kinds.contains(Kind::WorkerOffline)) {
                continue;
            }
            let name = session.worker.worker.as_str();
            let last_ms = session.last_share_ms.load(Ordering::Relaxed);
            if last_ms > 0 {
                self.note(address, name, last_ms);
            }
            connected.insert((address.to_owned(), name.to_owned()));
        }
        connected
    }

    fn look_at_workers(
        &mut self,
        connected: &HashSet<(String, String)>,
        has_work: bool,
        troubles: &mut Troubles,
        seen: &mut Seen,
        now_ms: i64,
    ) {
        let hold = Hold {
            bad_ms: self.offline_ms,
            good_ms: 0,
        };
        for (who, last_ms) in &self.workers {
            let key = Key::new(Kind::WorkerOffline, &who.0, &who.1);
            let is_connected = connected.contains(who);
            if !is_connected && !has_work {
                continue;
            }
            let level = measure::worker(is_connected, troubles.since_ms(&key), *last_ms);
            let offline_ms = self.offline_ms;
            troubles.observe(key, level, hold, now_ms, seen, |phase, since_ms| {
                let worker = who.1.clone();
                if phase == Phase::Begun {
                    let minutes = minutes(now_ms - last_ms);
                    Event::WorkerOffline { worker, minutes }
                } else {
                    let minutes = minutes(now_ms - since_ms + offline_ms);
                    Event::WorkerBack { worker, minutes }
                }
            });
        }
    }

    fn look_at_rejects(
        &mut self,
        sessions: Vec<Arc<Session>>,
        subscribers: &HashMap<String, Kinds>,
        troubles: &mut Troubles,
        seen: &mut Seen,
        now_ms: i64,
    ) {
        let rule = Rule {
            invalid_percent: 0,
            shares_min: 0,
            window_ms: REJECTS_WINDOW_MS,
        };
        let mut counts: HashMap<String, Counts> = HashMap::new();
        let mut now = HashMap::new();
        let wanting = sessions.into_iter().filter(|session| {
            let kinds = subscribers.get(session.worker.address.as_str());
            kinds.is_some_and(|kinds| kinds.contains(Kind::HighRejects))
        });
        let ended = std::mem::take(&mut self.sessions);
        let before = |at: usize| ended.get(&at).map_or((0, 0), |(_, a, r)| (*a, *r));
        let mut add = |session: &Session, before: (u64, u64)| {
            let accepted = session.accepted.load(Ordering::Relaxed);
            let rejected = session.rejected();
            let address = session.worker.address.as_str().to_owned();
            let counts = counts.entry(address).or_default();
            counts.valid += accepted.saturating_sub(before.0);
            counts.invalid += rejected.saturating_sub(before.1);
            (accepted, rejected)
        };
        for session in wanting {
            // Held until the next look, so that no other has its place in between.
            let at = Arc::as_ptr(&session).addr();
            let (accepted, rejected) = add(&session, before(at));
            now.insert(at, (session, accepted, rejected));
        }
        for (at, (session, accepted, rejected)) in &ended {
            if !now.contains_key(at) {
                add(session, (*accepted, *rejected));
            }
        }
        self.sessions = now;
        let hold = Hold {
            bad_ms: 0,
            good_ms: REJECTS_WINDOW_MS / 2,
        };
        for (address, counts) in counts {
            let window = self.rejects.entry(address.clone());
            let window = window.or_insert_with(|| Window::new(now_ms));
            let counts = window.add(&rule, counts, now_ms);
            let level = measure::rejects(counts.valid, counts.invalid, self.rejects_percent);
            let key = Key::new(Kind::HighRejects, &address, "");
            troubles.observe(key, level, hold, now_ms, seen, |phase, _| {
                let (rejected, shares) = (counts.invalid, counts.shares());
                if phase == Phase::Begun {
                    Event::RejectsHigh { rejected, shares }
                } else {
                    Event::RejectsNormal { rejected, shares }
                }
            });
        }
    }

    async fn look_at_hashrate(
        &mut self,
        pool: &Pool,
        troubles: &mut Troubles,
        seen: &mut Seen,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        let end = Minute::of_ms(now_ms).back(OPEN_MINUTES);
        let begin = end.back(RECENT_MINUTES);
        // What was not done while the pool was not there is nobody's fault.
        if begin.start_ms() <= pool.started_ms {
            return Ok(());
        }
        let store = &pool.store;
        let recent = store.recent_work(pool.id, begin, end).await?;
        let usual = store
            .usual_work(pool.id, begin.back(USUAL_MINUTES), begin)
            .await?;
        self.compare(recent, usual, begin, troubles, seen, now_ms);
        Ok(())
    }

    /// Compares what was done since `begin` with what was done before it.
    fn compare(
        &self,
        recent: Vec<AddressWork>,
        usual: Vec<AddressWork>,
        begin: Minute,
        troubles: &mut Troubles,
        seen: &mut Seen,
        now_ms: i64,
    ) {
        let recent: HashMap<String, AddressWork> = recent
            .into_iter()
            .map(|work| (work.address.clone(), work))
            .collect();
        for usual in usual {
            let address = &usual.address;
            let key = Key::new(Kind::HashrateDrop, address, "");
            if let Some(since_ms) = troubles.since_ms(&key)
                && now_ms - since_ms >= NEW_USUAL_MS
            {
                troubles.end(&key, seen);
            }
            let now = recent.get(address);
            let now = Done {
                hashes: now.map_or(0, |work| work.sums.work.hashes()),
                shares: now.map_or(0, |work| work.sums.shares),
                millis: u64::from(RECENT_MINUTES) * 60_000,
            };
            let usual = Done {
                hashes: usual.sums.work.hashes(),
                shares: usual.sums.shares,
                millis: millis(usual.first, begin.hour()),
            };
            // What was usual when it began is what it is compared with.
            let kept = troubles.value(&key).and_then(|value| value.parse().ok());
            let usual = kept.map_or(usual, |rate: u128| Done {
                hashes: rate.saturating_mul(u128::from(usual.millis.max(1)) / 1000),
                ..usual
            });
            let level = measure::hashrate(now, usual, self.drop_percent);
            let hold = Hold {
                bad_ms: 0,
                good_ms: 0,
            };
            let shown = |done: Done| display::hashrate(display::to_f64(done.per_second()));
            let told = troubles.observe(key.clone(), level, hold, now_ms, seen, |phase, _| {
                if phase == Phase::Begun {
                    Event::HashrateDropped {
                        now: shown(now),
                        usual: shown(usual),
                    }
                } else {
                    Event::HashrateBack { now: shown(now) }
                }
            });
            if told && troubles.since_ms(&key).is_some() {
                troubles.keep(&key, usual.per_second().to_string(), seen);
            }
        }
    }
}

async fn look_at_records(
    pool: &Pool,
    troubles: &mut Troubles,
    seen: &mut Seen,
    now_ms: i64,
) -> anyhow::Result<()> {
    let best = pool.store.best_hashes(pool.id).await?;
    let network = match &*pool.newest.borrow() {
        Newest::Offer(offer) => Some(offer.template.target()),
        Newest::Nothing(_) => None,
    };
    let shown = |target| {
        let difficulty = Difficulty::at_most(target, pool.coin.algorithm());
        display::difficulty(difficulty.to_f64())
    };
    note_records(best, network.map(shown), shown, troubles, seen, now_ms);
    Ok(())
}

/// The first time an address is looked at, its best share is only noted.
fn note_records(
    best: Vec<(String, Hash)>,
    network: Option<String>,
    shown: impl Fn(Target) -> String,
    troubles: &mut Troubles,
    seen: &mut Seen,
    now_ms: i64,
) {
    for (address, hash) in best {
        let key = Key::new(Kind::RecordShare, &address, "");
        let text = hash.to_string();
        let known = troubles.value(&key);
        // Both have 64 digits, so their order is that of the numbers.
        if known.is_some_and(|known| known <= text.as_str()) {
            continue;
        }
        if known.is_some()
            && let Ok(target) = Target::from_hex(&text)
        {
            let event = Event::Record {
                difficulty: shown(target),
                network: network.clone(),
            };
            seen.alerts
                .push(alert(Audience::Miner(address.clone()), event));
        }
        troubles.set(key, text, now_ms, seen);
    }
}

/// Whether it is time again for something.
fn is_due(last_ms: Option<i64>, every_ms: i64, now_ms: i64) -> bool {
    last_ms.is_none_or(|last_ms| now_ms < last_ms || now_ms - last_ms >= every_ms)
}

fn millis(from: Minute, to: Minute) -> u64 {
    u64::try_from(to.start_ms() - from.start_ms()).unwrap_or(0)
}

fn minutes(millis: i64) -> i64 {
    millis / 60_000
}

#[cfg(test)]
mod tests;
