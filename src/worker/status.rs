//! What a worker tells of itself: a [`Snapshot`] of the newest figures, and each [`Event`].
//!
//! The session and the run loop write here. Texts of a pool are shown with control characters
//! escaped and never longer than a named limit, for they end on a terminal.

use std::collections::BTreeMap;

use pow::Hash;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::dialect::{Found, Job};

/// The newest figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// The pool, as a URL.
    pub pool: String,
    /// The pool has authorized the worker and the connection stands.
    pub connected: bool,
    /// Connections that reached that point.
    pub connections: u64,
    /// Hashes done since the start.
    pub hashes: u64,
    /// Hashes per second, over the last half minute.
    pub hashrate: u64,
    /// Shares answered true.
    pub accepted: u64,
    /// Shares refused, by the pool's reason.
    pub rejected: BTreeMap<String, u64>,
    /// Shares that were never sent, because their job had ended first.
    pub discarded: u64,
    /// Shares whose answer never came, because the connection was lost.
    pub unanswered: u64,
    /// The difficulty of the job in hand.
    pub difficulty: Option<f64>,
    /// The job in hand, as the pool calls it.
    pub job_id: Option<String>,
    /// The version bits that may be rolled, if that was agreed.
    pub version_mask: Option<u32>,
    /// The difficulty of the best share.
    pub best: Option<f64>,
    /// How much of RandomX's dataset is filled, in percent, while it is: nothing is hashed meanwhile.
    pub preparing: Option<u8>,
    /// Why the last connection ended or could not be made.
    pub last_error: Option<String>,
}

impl Snapshot {
    /// Shares refused for whatever reason.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// What has happened. Serialised as one JSON object with its kind in `event`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Authorized; work may come.
    Connected { pool: String },
    /// The connection ended or could not be made.
    Disconnected { reason: String },
    /// Another job in hand.
    Job {
        job_id: String,
        difficulty: f64,
        clean: bool,
    },
    /// A share was answered true.
    Accepted {
        hash: Hash,
        job_id: String,
        difficulty: f64,
        best: f64,
    },
    /// A share was refused.
    Rejected {
        hash: Hash,
        job_id: String,
        code: i32,
        reason: String,
    },
    /// The pool would have us read this.
    Message { text: String },
}

/// The longest text of a pool that is kept or shown, in characters; AxeOS shows as many.
const TEXT_MAX: usize = 256;
/// Reasons that are counted each by itself. Pools know about ten; the rest is `other`.
const REASONS_MAX: usize = 32;

/// The writing end of both.
pub(super) struct Status {
    snapshot: watch::Sender<Snapshot>,
    events: Option<mpsc::Sender<Event>>,
}

impl Status {
    pub(super) fn new(
        snapshot: watch::Sender<Snapshot>,
        events: Option<mpsc::Sender<Event>>,
    ) -> Self {
        Self { snapshot, events }
    }

    pub(super) async fn connected(&self, pool: String) {
        self.snapshot.send_modify(|snapshot| {
            snapshot.pool.clone_from(&pool);
            snapshot.connected = true;
            snapshot.connections += 1;
            snapshot.last_error = None;
        });
        self.emit(Event::Connected { pool }).await;
    }

    pub(super) async fn disconnected(&self, reason: String, unanswered: usize) {
        self.snapshot.send_modify(|snapshot| {
            snapshot.unanswered += u64::try_from(unanswered).unwrap_or(u64::MAX);
            snapshot.last_error = Some(reason.clone());
        });
        self.idle();
        self.emit(Event::Disconnected { reason }).await;
    }

    /// Shares whose answer will not come.
    pub(super) fn unanswered(&self, count: u64) {
        self.snapshot
            .send_modify(|snapshot| snapshot.unanswered += count);
    }

    /// The connection stands, and there is no job.
    pub(super) fn workless(&self) {
        self.snapshot.send_modify(|snapshot| {
            snapshot.job_id = None;
            snapshot.difficulty = None;
        });
    }

    /// Hashes per second, as they are shown.
    pub(super) fn hashrate(&self) -> u64 {
        self.snapshot.borrow().hashrate
    }

    /// No connection and no job.
    pub(super) fn idle(&self) {
        self.snapshot.send_modify(|snapshot| {
            snapshot.connected = false;
            snapshot.job_id = None;
            snapshot.difficulty = None;
            snapshot.version_mask = None;
            snapshot.hashrate = 0;
        });
    }

    pub(super) async fn job(&self, job: &impl Job, clean: bool) {
        let (job_id, difficulty) = (shown(job.id()), job.difficulty());
        self.snapshot.send_modify(|snapshot| {
            snapshot.job_id = Some(job_id.clone());
            snapshot.difficulty = Some(difficulty);
            snapshot.version_mask = job.version_mask();
        });
        self.emit(Event::Job {
            job_id,
            difficulty,
            clean,
        })
        .await;
    }

    pub(super) async fn accepted(&self, found: &impl Found) {
        let best = found.difficulty();
        self.snapshot.send_modify(|snapshot| {
            snapshot.accepted += 1;
            snapshot.best = Some(snapshot.best.map_or(best, |before| before.max(best)));
        });
        self.emit(Event::Accepted {
            hash: found.hash(),
            job_id: shown(found.job().id()),
            difficulty: found.job().difficulty(),
            best,
        })
        .await;
    }

    pub(super) async fn rejected(&self, found: &impl Found, code: i32, reason: &str) {
        let reason = match shown(reason) {
            empty if empty.is_empty() => format!("code {code}"),
            reason => reason,
        };
        self.snapshot.send_modify(|snapshot| {
            let rejected = &mut snapshot.rejected;
            let known = rejected.contains_key(&reason) || rejected.len() < REASONS_MAX;
            let name = if known {
                reason.clone()
            } else {
                "other".to_owned()
            };
            let count = rejected.entry(name).or_default();
            *count += 1;
            // Once each: a pool that refuses everything would fill the log.
            if *count == 1 {
                warn!(code, reason, "shares are refused");
            }
        });
        let job_id = shown(found.job().id());
        self.emit(Event::Rejected {
            hash: found.hash(),
            job_id,
            code,
            reason,
        })
        .await;
    }

    pub(super) fn discarded(&self) {
        self.snapshot
            .send_modify(|snapshot| snapshot.discarded += 1);
    }

    pub(super) async fn message(&self, text: &str) {
        let text = shown(text);
        info!(text, "message from the pool");
        self.emit(Event::Message { text }).await;
    }

    pub(super) fn hashes(&self, hashes: u64, rate: u64) {
        self.snapshot.send_if_modified(|snapshot| {
            let rate = if snapshot.connected { rate } else { 0 };
            let changed = (snapshot.hashes, snapshot.hashrate) != (hashes, rate);
            (snapshot.hashes, snapshot.hashrate) = (hashes, rate);
            changed
        });
    }

    /// Percent of what hashing needs, while something is missing.
    pub(super) fn preparing(&self, percent: Option<u8>) {
        self.snapshot.send_if_modified(|snapshot| {
            let before = std::mem::replace(&mut snapshot.preparing, percent);
            before != percent
        });
    }

    /// Waits for room, so that whoever counts shares by their events misses none.
    async fn emit(&self, event: Event) {
        if let Some(events) = &self.events {
            // Nobody listens any more, which is theirs to decide.
            let _ = events.send(event).await;
        }
    }
}

/// A pool's text, made fit for a terminal.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(TEXT_MAX) {
        match character {
            '"' | '\'' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{super::sv1::tests::found, *};

    #[test]
    fn a_pools_text_cannot_move_the_cursor_and_has_a_limit() {
        assert_eq!(shown("it's \"ok\" é"), "it's \"ok\" é");
        assert_eq!(shown("\x1b[2J\r\n\u{202e}"), "\\u{1b}[2J\\r\\n\\u{202e}");
        assert_eq!(shown(&"x".repeat(5000)).len(), TEXT_MAX);
    }

    #[tokio::test]
    async fn reasons_are_counted_up_to_a_limit_and_then_together() {
        let (snapshot, figures) = watch::channel(Snapshot::default());
        let status = Status::new(snapshot, None);
        let found = found();
        for reason in 0..100 {
            status
                .rejected(&found, 23, &format!("reason {reason}"))
                .await;
        }
        status.rejected(&found, 23, "reason 1").await;
        let figures = figures.borrow();
        assert_eq!(figures.rejected.len(), REASONS_MAX + 1);
        assert_eq!(figures.rejected["reason 1"], 2);
        assert_eq!(figures.rejected["other"], 68);
        assert_eq!(figures.rejected_total(), 101);
    }
}
