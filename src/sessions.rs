//! Who is connected now, for the pages and the API. A session takes itself off the list on drop.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use mining::{Difficulty, username::Username};

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
    /// Refused shares.
    pub rejected: AtomicU64,
    difficulty: AtomicU64,
}

/// Keeps a session on the list.
#[derive(Debug)]
pub struct Entry {
    session: Arc<Session>,
    number: u64,
    sessions: Sessions,
}

impl Sessions {
    /// Puts a worker on the list for as long as the entry lives.
    pub fn enter(&self, worker: Username, agent: String, peer: SocketAddr, now_ms: i64) -> Entry {
        let session = Arc::new(Session {
            worker,
            agent,
            peer,
            since_ms: now_ms,
            last_share_ms: AtomicI64::new(0),
            accepted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            difficulty: AtomicU64::new(0),
        });
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.sessions.insert(number, Arc::clone(&session));
        Entry {
            session,
            number,
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
        self.sessions.state().sessions.remove(&self.number);
    }
}
