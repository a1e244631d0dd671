//! Who is logged in to the operator's page: in memory alone, so that a restart ends all of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use mining::api_key::{ApiKey, KEY_BYTES, KeyHash};
use tokio::time::Instant;

/// How long a login lasts: a day's work.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 60 * 60);
/// Logins at a time; the oldest makes room.
const LOGINS_MAX: usize = 64;

/// Those who are logged in. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Logins(Arc<Mutex<HashMap<KeyHash, Login>>>);

/// A login, by the hash of what the browser has.
struct Login {
    /// The key that it was made with.
    key: KeyHash,
    since: Instant,
}

impl Logins {
    /// Logs in with a key, and gives what the browser has to show.
    pub(super) fn begin(&self, key: KeyHash, now: Instant) -> Result<ApiKey, getrandom::Error> {
        let mut chance = [0; KEY_BYTES];
        getrandom::fill(&mut chance)?;
        let token = ApiKey::of_chance(chance);
        let mut logins = self.lock();
        logins.retain(|_, login| login.is_good(now));
        if logins.len() >= LOGINS_MAX {
            let oldest = logins.iter().min_by_key(|(_, login)| login.since);
            if let Some(oldest) = oldest.map(|(token, _)| *token) {
                logins.remove(&oldest);
            }
        }
        logins.insert(token.hash(), Login { key, since: now });
        Ok(token)
    }

    /// The key that somebody logged in with who shows this.
    pub(super) fn key_of(&self, token: &ApiKey, now: Instant) -> Option<KeyHash> {
        let logins = self.lock();
        let login = logins.get(&token.hash())?;
        login.is_good(now).then_some(login.key)
    }

    /// Logs out.
    pub(super) fn end(&self, token: &ApiKey) {
        self.lock().remove(&token.hash());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyHash, Login>> {
        let logins = self.0.lock();
        logins.expect("nothing panics while holding this lock")
    }
}

impl Login {
    fn is_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < LASTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> KeyHash {
        KeyHash::from_bytes([number; 32])
    }

    #[test]
    fn a_login_lasts_for_its_time_or_until_it_is_ended() {
        let logins = Logins::default();
        let now = Instant::now();
        let token = logins.begin(key(1), now).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(logins.key_of(&token, now + LASTS - second), Some(key(1)));
        assert_eq!(logins.key_of(&token, now + LASTS), None);
        assert_eq!(logins.key_of(&ApiKey::of_chance([0; 32]), now), None);
        logins.end(&token);
        assert_eq!(logins.key_of(&token, now), None);
    }

    #[test]
    fn the_oldest_login_makes_room() {
        let logins = Logins::default();
        let now = Instant::now();
        let later = |number: u64| now + Duration::from_secs(number);
        let first = logins.begin(key(1), now).unwrap();
        let second = logins.begin(key(2), later(1)).unwrap();
        for number in 2..=64 {
            logins.begin(key(3), later(number)).unwrap();
        }
        assert_eq!(logins.key_of(&first, later(65)), None);
        assert_eq!(logins.key_of(&second, later(65)), Some(key(2)));
        assert_eq!(logins.lock().len(), LOGINS_MAX);
    }
}
