//! How a worker of HTTP stands: which of its shares count for a ban, and until when it is banned. Counted by
//! `src/work/worker.rs`; that somebody is banned who was forgotten is kept in [`Away`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mining::ban::{self, Counts};
use store::PoolId;
use tokio::time::Instant;

/// More than a tenth of at least 100 shares in an hour.
const RULE: ban::Rule = ban::Rule {
    invalid_percent: 10,
    shares_min: 100,
    window_ms: 60 * 60 * 1000,
};
/// How long a worker is banned.
const LASTS: Duration = Duration::from_secs(60 * 60);
/// Bans that outlive their worker.
const AWAY_MAX: usize = 65_536;

/// How a worker stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    window: ban::Window,
    banned_until: Option<Instant>,
}

/// Until when workers are banned that are not here.
#[derive(Debug, Default)]
pub(crate) struct Away(HashMap<String, Instant>);

/// The same of one pool, at all its ports. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Banned(Arc<Mutex<Away>>);

/// The same of all pools of a process. It outlives their ports, so that a node that is switched lifts no ban.
/// Clones share it.
#[derive(Clone, Debug, Default)]
pub struct WorkerBans(Arc<Mutex<HashMap<PoolId, Banned>>>);

impl Standing {
    /// Of somebody of whom nothing is known. `now_ms` is in milliseconds since 1970.
    pub(crate) fn new(now_ms: i64) -> Self {
        Self {
            window: ban::Window::new(now_ms),
            banned_until: None,
        }
    }

    /// Whether it is banned. A ban that is over leaves nothing: it begins as whoever comes first.
    pub(crate) fn is_banned(&mut self, now: Instant, now_ms: i64) -> bool {
        match self.banned_until {
            Some(until) if now < until => true,
            Some(_) => {
                *self = Self::new(now_ms);
                false
            }
            None => false,
        }
    }

    /// It is not banned any more, and begins as whoever comes first; false if it was not.
    pub(crate) fn lift(&mut self, now: Instant, now_ms: i64) -> bool {
        let is_banned = self.is_banned(now, now_ms);
        if is_banned {
            *self = Self::new(now_ms);
        }
        is_banned
    }

    /// Until when it is banned, or was.
    pub(crate) fn banned_until(&self) -> Option<Instant> {
        self.banned_until
    }

    /// A share was accepted.
    pub(crate) fn valid(&mut self, now_ms: i64) {
        self.count(
            Counts {
                valid: 1,
                ..Counts::default()
            },
            now_ms,
        );
    }

    /// One was invalid. Too many of them ban.
    pub(crate) fn invalid(&mut self, now: Instant, now_ms: i64) {
        let counts = self.count(
            Counts {
                invalid: 1,
                ..Counts::default()
            },
            now_ms,
        );
        if RULE.bans(counts) {
            self.banned_until = Some(now + LASTS);
        }
    }

    fn count(&mut self, more: Counts, now_ms: i64) -> Counts {
        self.window.add(&RULE, more, now_ms)
    }
}

impl Away {
    /// A worker is forgotten; that it is banned is not, unless there are too many of its kind.
    pub(crate) fn keep(&mut self, id: &str, standing: &Standing, now: Instant) {
        let until = standing.banned_until().filter(|until| now < *until);
        if let Some(until) = until.filter(|_| self.0.len() < AWAY_MAX) {
            self.0.insert(id.to_owned(), until);
        }
    }

    /// Whether a worker that is not here is banned.
    pub(crate) fn is_banned(&self, id: &str, now: Instant) -> bool {
        self.0.get(id).is_some_and(|until| now < *until)
    }

    /// Who is banned that is not here, and until when it is, or was.
    pub(crate) fn bans(&self) -> impl Iterator<Item = (&String, Instant)> {
        self.0.iter().map(|(id, until)| (id, *until))
    }

    /// A worker that is not here is not banned any more; false if it was not.
    pub(crate) fn lift(&mut self, id: &str, now: Instant) -> bool {
        self.0.remove(id).is_some_and(|until| now < until)
    }

    /// Forgets bans that are over.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.0.retain(|_, until| now < *until);
    }
}

impl Banned {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Away> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkerBans {
    /// Those of a pool.
    pub(crate) fn of(&self, pool: PoolId) -> Banned {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pools.entry(pool).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn after(valid: u32, invalid: u32) -> Standing {
        let mut standing = Standing::new(NOW_MS);
        (0..valid).for_each(|_| standing.valid(NOW_MS));
        (0..invalid).for_each(|_| standing.invalid(Instant::now(), NOW_MS));
        standing
    }

    fn is_banned(standing: &mut Standing) -> bool {
        standing.is_banned(Instant::now(), NOW_MS)
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_a_tenth_of_a_hundred_is_a_ban_and_exactly_a_tenth_is_none() {
        for (valid, invalid, expected) in [
            (0, 99, false),
            (0, 100, true),
            (90, 10, false),
            (89, 11, true),
            (900, 100, false),
            (900, 101, true),
        ] {
            let mut standing = after(valid, invalid);
            assert_eq!(is_banned(&mut standing), expected, "{valid} {invalid}");
        }
        // Good ones alone never ban, not even behind as many bad ones as would have.
        let mut standing = after(0, 99);
        standing.valid(NOW_MS);
        assert!(!is_banned(&mut standing));
        standing.invalid(Instant::now(), NOW_MS);
        assert!(is_banned(&mut standing));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ban_is_lifted_once_and_leaves_nothing() {
        let mut standing = after(0, 100);
        let mut away = Away::default();
        away.keep("banned", &standing, Instant::now());
        assert_eq!(away.bans().count(), 1);
        assert!(standing.lift(Instant::now(), NOW_MS) && away.lift("banned", Instant::now()));
        assert!(!is_banned(&mut standing) && !away.is_banned("banned", Instant::now()));
        assert!(standing.window.is_empty() && away.bans().count() == 0);
        assert!(!standing.lift(Instant::now(), NOW_MS) && !away.lift("banned", Instant::now()));
        // What is over by itself is no ban.
        away.keep("late", &after(0, 100), Instant::now());
        advance(LASTS).await;
        assert!(!away.lift("late", Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ban_lasts_an_hour_and_leaves_nothing() {
        let mut standing = after(0, 100);
        advance(LASTS - Duration::from_millis(1)).await;
        assert!(is_banned(&mut standing));
        advance(Duration::from_millis(1)).await;
        assert!(!is_banned(&mut standing));
        assert!(standing.window.is_empty() && standing.banned_until().is_none());
        // It takes a hundred again, of which the old ones are none.
        (0..99).for_each(|_| standing.invalid(Instant::now(), NOW_MS));
        assert!(!is_banned(&mut standing));
        standing.invalid(Instant::now(), NOW_MS);
        assert!(is_banned(&mut standing));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_forgotten_stays_banned_until_its_hour_is_over_and_others_leave_no_trace() {
        let mut away = Away::default();
        away.keep("banned", &after(0, 100), Instant::now());
        away.keep("honest", &after(100, 0), Instant::now());
        assert_eq!(away.0.len(), 1);
        let is_banned = |away: &Away| away.is_banned("banned", Instant::now());
        assert!(is_banned(&away) && !away.is_banned("honest", Instant::now()));
        advance(LASTS - Duration::from_millis(1)).await;
        away.sweep(Instant::now());
        assert!(is_banned(&away));
        advance(Duration::from_millis(1)).await;
        // Over is over, before anybody sweeps too.
        assert!(!is_banned(&away));
        away.sweep(Instant::now());
        assert!(away.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_no_more_bans_of_those_who_left_than_there_is_room_for() {
        let (mut away, banned) = (Away::default(), after(0, 100));
        for number in 0..=AWAY_MAX {
            away.keep(&number.to_string(), &banned, Instant::now());
        }
        assert_eq!(away.0.len(), AWAY_MAX);
    }
}
