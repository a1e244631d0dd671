//! Sessions whose connection has ended, for as long as the miner may come back to them: it names
//! the session at `mining.subscribe`, gets its extranonce again, and its jobs still count.
//!
//! Filled and asked by `connection`, saved and read by `pool`. Their number and age have a limit; what is pushed out costs a
//! miner the shares of its old jobs, no more.

mod left_open;
mod saved;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mining::{
    Difficulty,
    device::CoinbaseClass,
    extranonce::{Allocator, Prefix},
    jobs::Jobs,
};
use tokio::time::Instant;

use self::saved::Restored;
pub use self::{
    left_open::{LeftOpen, LeftWorker},
    saved::Saved,
};
use crate::template_feed::{Newest, Offer, Recipe};

/// So many sessions are kept, some KiB each.
const KEPT_MAX: usize = 10_000;
/// So long is one kept: who was away longer begins anew.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// What a session is called. Nobody can guess another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(u64);

/// What a session was.
#[derive(Debug)]
pub struct Kept {
    /// Its extranonce1; taken by the connection that goes on with it.
    pub prefix: Option<Prefix>,
    /// The class its coinbases were made for.
    pub class: CoinbaseClass,
    /// Whether its coinbases pay its miner: they are no work for any other listener.
    pub solo: bool,
    /// The version bits it could roll.
    pub version_mask: Option<u32>,
    /// Its difficulty.
    pub difficulty: Difficulty,
    /// The jobs it may still answer.
    pub jobs: Jobs,
}

/// The sessions of a pool. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct KeptSessions(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    secret: RandomState,
    next: AtomicU64,
    list: Mutex<List>,
    /// Of the run before this one.
    restored: Mutex<Option<Restored>>,
    /// Connections of the run before, or for the run after this one.
    left_open: Mutex<Vec<LeftOpen>>,
}

#[derive(Debug, Default)]
struct List {
    sessions: HashMap<SessionId, (Instant, Kept)>,
    /// Oldest first; some may have been taken since.
    order: VecDeque<(Instant, SessionId)>,
    /// Jobs of earlier tips earn nothing; without them their templates can go.
    tip: u64,
}

impl SessionId {
    /// Parses sixteen hexadecimal digits in lower case, as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 8] = wire::hex::array(text)?;
        let id = Self(u64::from_be_bytes(bytes));
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl KeptSessions {
    /// A name for a new session.
    pub fn new_id(&self) -> SessionId {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        SessionId(self.0.secret.hash_one(number))
    }

    /// Keeps a session whose connection has ended.
    pub fn keep(&self, id: SessionId, mut kept: Kept, now: Instant) {
        let mut list = self.list();
        kept.jobs.forget_before(list.tip);
        list.sessions.insert(id, (now, kept));
        list.order.push_back((now, id));
        while list.sessions.len() > KEPT_MAX || list.is_oldest_over(now) {
            list.drop_oldest();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.list().sessions.len()
    }

    /// Hands a session back to its miner.
    pub fn take(&self, id: SessionId, now: Instant) -> Option<Kept> {
        let mut list = self.list();
        let (since, kept) = list.sessions.remove(&id)?;
        (now < since + KEPT_FOR).then_some(kept)
    }

    /// There is a new tip, of this number.
    pub fn forget_jobs_before(&self, tip: u64) {
        let mut list = self.list();
        if list.tip == tip {
            return;
        }
        list.tip = tip;
        for (_, kept) in list.sessions.values_mut() {
            kept.jobs.forget_before(tip);
        }
    }

    /// Takes up what the run before has saved. It is handed out while its tip is the newest, and
    /// only if coinbases are still made by this recipe.
    pub fn restore(&self, mut saved: Saved, recipe: Recipe) {
        *self.left_open() = std::mem::take(&mut saved.left_open);
        *self.restored() = saved.restored(recipe);
    }

    /// Hands a session of the run before back to its miner.
    pub fn take_restored(
        &self,
        id: SessionId,
        newest: &Newest,
        prefixes: &Allocator,
    ) -> Option<Kept> {
        let mut slot = self.restored();
        let restored = slot.as_mut()?;
        match newest {
            Newest::Offer(offer) if restored.is_of(offer) => restored.take(id, prefixes),
            Newest::Offer(_) => {
                *slot = None;
                None
            }
            Newest::Nothing(_) => None,
        }
    }

    /// Leaves a connection to the next run; false if there are too many.
    pub fn leave_open(&self, left: LeftOpen) -> bool {
        let mut all = self.left_open();
        let fits = all.len() < KEPT_MAX;
        if fits {
            all.push(left);
        }
        fits
    }

    /// The connection with these ends that the run before has left, once.
    pub fn take_open(&self, ends: (SocketAddr, SocketAddr)) -> Option<LeftOpen> {
        let mut all = self.left_open();
        let place = all.iter().position(|left| left.ends == ends)?;
        Some(all.swap_remove(place))
    }

    /// What the next run needs of the sessions that are kept.
    pub fn save(&self, newest: &Offer, next_job: u32, recipe: &Recipe) -> Saved {
        let list = self.list();
        let sessions = list.sessions.iter().map(|(id, (_, kept))| (*id, kept));
        let mut saved = Saved::new(sessions, newest, next_job, recipe);
        saved.left_open.clone_from(&self.left_open());
        saved
    }

    /// Forgets what is too old.
    pub fn sweep(&self, now: Instant) {
        let mut list = self.list();
        while list.is_oldest_over(now) {
            list.drop_oldest();
        }
    }

    fn restored(&self) -> MutexGuard<'_, Option<Restored>> {
        let restored = self.0.restored.lock();
        restored.unwrap_or_else(PoisonError::into_inner)
    }

    fn left_open(&self) -> MutexGuard<'_, Vec<LeftOpen>> {
        let left_open = self.0.left_open.lock();
        left_open.unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn is_oldest_over(&self, now: Instant) -> bool {
        self.order
            .front()
            .is_some_and(|(since, _)| now >= *since + KEPT_FOR)
    }

    fn drop_oldest(&mut self) {
        let Some((since, id)) = self.order.pop_front() else {
            return;
        };
        // A session that came back and left again stands there a second time.
        if self.sessions.get(&id).is_some_and(|(at, _)| *at == since) {
            self.sessions.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use mining::extranonce::Allocator;

    use super::*;

    fn kept(allocator: &Allocator) -> Kept {
        Kept {
            prefix: Some(allocator.allocate().unwrap()),
            class: CoinbaseClass::Stock,
            solo: false,
            version_mask: None,
            difficulty: Difficulty::ONE,
            jobs: Jobs::default(),
        }
    }

    fn allocator() -> Allocator {
        let allocator = Allocator::default();
        allocator.lease(0..1 << 20);
        allocator
    }

    #[test]
    fn a_name_is_sixteen_digits_and_nobodys_twice() {
        let sessions = KeptSessions::default();
        let ids: HashSet<_> = (0..10_000).map(|_| sessions.new_id()).collect();
        assert_eq!(ids.len(), 10_000);
        for id in ids {
            assert_eq!(SessionId::parse(&id.to_string()), Some(id));
        }
        for text in [
            "",
            "1",
            "00000001",
            "0123456789ABCDEF",
            "0123456789abcdefg",
            "+123456789abcdef",
        ] {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn a_session_is_handed_back_once_and_in_time() {
        let (sessions, allocator) = (KeptSessions::default(), allocator());
        let now = Instant::now();
        let (first, second) = (sessions.new_id(), sessions.new_id());
        sessions.keep(first, kept(&allocator), now);
        sessions.keep(second, kept(&allocator), now);
        assert!(sessions.take(first, now + Duration::from_secs(1)).is_some());
        assert!(sessions.take(first, now + Duration::from_secs(1)).is_none());
        assert!(sessions.take(second, now + KEPT_FOR).is_none());
        assert!(sessions.take(sessions.new_id(), now).is_none());
    }

    #[tokio::test]
    async fn what_is_kept_stays_bounded_and_frees_its_extranonces() {
        let (sessions, allocator) = (KeptSessions::default(), allocator());
        let now = Instant::now();
        let ids: Vec<_> = (0..KEPT_MAX + 5).map(|_| sessions.new_id()).collect();
        for id in &ids {
            sessions.keep(*id, kept(&allocator), now);
        }
        assert_eq!(sessions.list().sessions.len(), KEPT_MAX);
        assert!(sessions.take(ids[4], now).is_none());
        let back = sessions.take(ids[5], now).unwrap();
        let later = now + Duration::from_secs(60);
        sessions.keep(ids[5], back, later);
        sessions.sweep(now + KEPT_FOR);
        assert_eq!(sessions.list().sessions.len(), 1, "it came back in between");
        sessions.sweep(later + KEPT_FOR);
        assert!(sessions.list().sessions.is_empty() && sessions.list().order.is_empty());
    }
}
