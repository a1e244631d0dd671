//! Who is connected now, for the pages and the API. A session takes itself off the list on drop.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use mining::{Difficulty, share::Reject, username::Username};

/// The list. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    sessions: HashMap<u64, Arc<Session>>,
}

/// A worker on a connection.
#[derive(Debug)]
pub struct Session {
    /// Its number, from 0 on since the process started.
    pub number: u64,
    /// The worker.
    pub worker: Username,
    /// What the device calls itself, as it said it.
    pub agent: String,
    /// Where it connects from.
    pub peer: SocketAddr,
    /// When it was authorized, in milliseconds since 1970.
    pub since_ms: i64,
    /// When its last accepted share came, likewise; zero if none did.
    pub last_share_ms: AtomicI64,
    /// Accepted shares.
    pub accepted: AtomicU64,
    /// Refused shares, in the order of [`Reject::ALL`].
    rejected: [AtomicU64; Reject::ALL.len()],
    difficulty: AtomicU64,
}

/// Keeps a session on the list.
#[derive(Debug)]
pub struct Entry {
    session: Arc<Session>,
    sessions: Sessions,
}

impl Sessions {
    /// Puts a worker on the list for as long as the entry lives.
    pub fn enter(&self, worker: Username, agent: String, peer: SocketAddr, now_ms: i64) -> Entry {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let session = Arc::new(Session {
            number,
            worker,
            agent,
            peer,
            since_ms: now_ms,
            last_share_ms: AtomicI64::new(0),
            accepted: AtomicU64::new(0),
            rejected: Default::default(),
            difficulty: AtomicU64::new(0),
        });
        state.sessions.insert(number, Arc::clone(&session));
        drop(state);
        Entry {
            session,
            sessions: self.clone(),
        }
    }

    /// All sessions, oldest first.
    pub fn list(&self) -> Vec<Arc<Session>> {
        let state = self.state();
        let mut sessions: Vec<_> = state.sessions.iter().collect();
        sessions.sort_by_key(|(number, _)| **number);
        sessions
            .into_iter()
            .map(|(_, session)| Arc::clone(session))
            .collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.state().sessions.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("nothing panics while holding this lock")
    }
}

impl Session {
    /// Counts a share that is refused.
    pub fn reject(&self, reject: Reject) {
        for (known, count) in Reject::ALL.iter().zip(&self.rejected) {
            if *known == reject {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The shares that were refused.
    pub fn rejected(&self) -> u64 {
        self.rejects().map(|(_, count)| count).sum()
    }

    /// How many were refused for each reason.
    pub fn rejects(&self) -> impl Iterator<Item = (Reject, u64)> + '_ {
        let counts = self.rejected.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        Reject::ALL.into_iter().zip(counts)
    }

    /// The difficulty it was told last.
    pub fn difficulty(&self) -> Difficulty {
        Difficulty::from_steps(self.difficulty.load(Ordering::Relaxed).into())
    }

    /// Notes the difficulty it was told.
    pub fn set_difficulty(&self, difficulty: Difficulty) {
        self.difficulty.store(difficulty.steps(), Ordering::Relaxed);
    }
}

impl std::ops::Deref for Entry {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.sessions.state().sessions.remove(&self.session.number);
    }
}
