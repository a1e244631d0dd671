//! What the operator is told: daemons, work, payments, books, disk, invalid shares, room.

use std::path::PathBuf;

use mining::{
    alert::{Event, Hold, Kind, Level, Phase, measure},
    ban::{Counts, Rule, Window},
    share::Reject,
};
use store::Seen;
use tracing::warn;

use super::troubles::{Key, Troubles};
use crate::{
    alerts::config::Config, daemon::Health, metrics::Metrics, pool::Pool, template_feed::Newest,
};

/// A daemon so many blocks behind another one lags.
const LAGS_BY: u32 = 2;
/// What is well again must be so for that long.
const GOOD_MS: i64 = 30_000;
/// How long invalid shares are counted.
const INVALID_WINDOW_MS: i64 = 20 * 60 * 1000;
/// Room that is taken for a moment is none.
const CAPACITY_MS: i64 = 30_000;
/// How often the books are added up, and when first: it reads all of them.
const BOOKS_EVERY_MS: i64 = 6 * 60 * 60 * 1000;
const BOOKS_FIRST_MS: i64 = 60_000;
/// How often the disk is looked at.
const DISK_EVERY_MS: i64 = 30_000;

pub(super) struct Operator {
    settings: Config,
    room: u64,
    disk: Option<PathBuf>,
    disk_ms: i64,
    invalid: Window,
    counted: Counts,
    books_ms: i64,
}

impl Operator {
    pub(super) fn new(
        counted: Counts,
        settings: &Config,
        room: usize,
        disk: Option<PathBuf>,
        now_ms: i64,
    ) -> Self {
        Self {
            settings: settings.clone(),
            room: u64::try_from(room).unwrap_or(u64::MAX),
            disk,
            disk_ms: 0,
            invalid: Window::new(now_ms),
            counted,
            books_ms: now_ms - BOOKS_EVERY_MS + BOOKS_FIRST_MS,
        }
    }

    pub(super) async fn look(
        &mut self,
        pool: &Pool,
        troubles: &mut Troubles,
        seen: &mut Seen,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        let mut look = Look {
            troubles,
            seen,
            now_ms,
        };
        self.look_at_daemons(&pool.daemons.health(), &mut look);
        self.look_at_work(pool, &mut look);
        self.look_at_shares(counts(&pool.metrics), &mut look);
        self.look_at_room(connections(pool), &mut look);
        self.look_at_disk(&mut look);
        self.look_at_payments(pool, &mut look).await?;
        self.look_at_books(pool, &mut look).await
    }

    fn look_at_daemons(&self, daemons: &[Health], look: &mut Look<'_>) {
        let best = daemons.iter().filter_map(|daemon| daemon.height).max();
        let hold = Hold {
            bad_ms: i64::from(self.settings.daemon_down_s) * 1000,
            good_ms: GOOD_MS,
        };
        for daemon in daemons {
            let behind = best.zip(daemon.height);
            let behind = behind.map_or(0, |(best, height)| best - height);
            let lags = behind >= LAGS_BY;
            let detail = format!("it is {behind} blocks behind another one");
            look.tell(
                Kind::DaemonLagging,
                &daemon.name,
                bad_if(lags),
                hold,
                detail,
            );
            let (level, detail) = match &daemon.fit {
                Ok(()) => (Level::Good, String::new()),
                // That is said already.
                Err(_) if lags => (Level::Unclear, String::new()),
                Err(reason) => (Level::Bad, reason.clone()),
            };
            look.tell(Kind::DaemonDown, &daemon.name, level, hold, detail);
        }
    }

    fn look_at_work(&self, pool: &Pool, look: &mut Look<'_>) {
        let most_s = u64::from(self.settings.template_old_s);
        let (level, detail) = match &*pool.newest.borrow() {
            Newest::Nothing(reason) => (Level::Bad, reason.to_string()),
            Newest::Offer(offer) => {
                let age_s = offer.received.elapsed().as_secs();
                let detail = format!("the newest is {age_s} seconds old");
                (bad_if(age_s >= most_s), detail)
            }
        };
        let hold = Hold {
            bad_ms: GOOD_MS.min(i64::from(self.settings.template_old_s) * 1000),
            good_ms: GOOD_MS,
        };
        look.tell(Kind::TemplateOld, "", level, hold, detail);
    }

    fn look_at_shares(&mut self, now: Counts, look: &mut Look<'_>) {
        let more = Counts {
            valid: now.valid.saturating_sub(self.counted.valid),
            invalid: now.invalid.saturating_sub(self.counted.invalid),
        };
        self.counted = now;
        let rule = Rule {
            invalid_percent: 0,
            shares_min: 0,
            window_ms: INVALID_WINDOW_MS,
        };
        let counts = self.invalid.add(&rule, more, look.now_ms);
        let level = measure::rejects(counts.valid, counts.invalid, self.settings.invalid_percent);
        let detail = format!("{} of the last {}", counts.invalid, counts.shares());
        let hold = Hold {
            bad_ms: 0,
            good_ms: INVALID_WINDOW_MS / 2,
        };
        look.tell(Kind::InvalidShares, "", level, hold, detail);
    }

    fn look_at_room(&self, taken: i64, look: &mut Look<'_>) {
        let taken = u64::try_from(taken).unwrap_or(0);
        let percent = u128::from(taken) * 100 / u128::from(self.room.max(1));
        let percent = u64::try_from(percent).unwrap_or(u64::MAX);
        let level = measure::above(percent, self.settings.capacity_percent.into());
        let detail = format!("{taken} of {}", self.room);
        let hold = Hold {
            bad_ms: CAPACITY_MS,
            good_ms: CAPACITY_MS,
        };
        look.tell(Kind::NearCapacity, "", level, hold, detail);
    }

    fn look_at_disk(&mut self, look: &mut Look<'_>) {
        let Some(path) = &self.disk else {
            return;
        };
        if (self.disk_ms..self.disk_ms + DISK_EVERY_MS).contains(&look.now_ms) {
            return;
        }
        self.disk_ms = look.now_ms;
        let free = match rustix::fs::statvfs(path) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize) / 1_000_000,
            Err(error) => {
                warn!(%error, "the room on the disk cannot be told");
                return;
            }
        };
        let level = measure::below(free, self.settings.disk_low_mb);
        let detail = format!("{free} MB are free");
        let hold = Hold {
            bad_ms: 0,
            good_ms: GOOD_MS,
        };
        look.tell(Kind::DiskLow, "", level, hold, detail);
    }

    async fn look_at_payments(&self, pool: &Pool, look: &mut Look<'_>) -> anyhow::Result<()> {
        let Some(payouts) = &pool.payouts else {
            return Ok(());
        };
        let trouble = payouts.trouble();
        let paused = pool.store.payments_paused(pool.id).await?;
        let detail = match &paused {
            Some(reason) => format!("they are paused: {reason}"),
            None => trouble.lines.join("; "),
        };
        let is_bad = paused.is_some() || !trouble.lines.is_empty();
        let hold = Hold {
            bad_ms: i64::from(self.settings.payments_stopped_s) * 1000,
            good_ms: GOOD_MS,
        };
        look.tell(Kind::PaymentsStopped, "", bad_if(is_bad), hold, detail);
        Ok(())
    }

    async fn look_at_books(&mut self, pool: &Pool, look: &mut Look<'_>) -> anyhow::Result<()> {
        if (self.books_ms..self.books_ms + BOOKS_EVERY_MS).contains(&look.now_ms) {
            return Ok(());
        }
        self.books_ms = look.now_ms;
        let books = pool.store.check_books(pool.id).await?;
        let wrong = books.wrong.len() + books.owing.len();
        let detail = format!("the sum is {}, and {wrong} accounts are wrong", books.sum);
        let hold = Hold {
            bad_ms: 0,
            good_ms: 0,
        };
        look.tell(
            Kind::LedgerMismatch,
            "",
            bad_if(!books.balance()),
            hold,
            detail,
        );
        Ok(())
    }
}

/// One look.
struct Look<'a> {
    troubles: &'a mut Troubles,
    seen: &'a mut Seen,
    now_ms: i64,
}

impl Look<'_> {
    fn tell(&mut self, kind: Kind, subject: &str, level: Level, hold: Hold, detail: String) {
        let key = Key::new(kind, "", subject);
        let subject = subject.to_owned();
        self.troubles.observe(
            key,
            level,
            hold,
            self.now_ms,
            self.seen,
            |phase: Phase, _| Event::Pool {
                kind,
                phase,
                subject,
                detail,
            },
        );
    }
}

fn bad_if(is_bad: bool) -> Level {
    if is_bad { Level::Bad } else { Level::Good }
}

/// All shares since the start: good ones, and those that are invalid and not only late.
pub(super) fn counts(metrics: &Metrics) -> Counts {
    let invalid = Reject::ALL.into_iter().filter(|reject| reject.is_invalid());
    Counts {
        valid: metrics.accepted.get(),
        invalid: invalid.map(|reject| metrics.rejected(reject).get()).sum(),
    }
}

/// The connections of all listeners of a pool.
fn connections(pool: &Pool) -> i64 {
    let doors = pool.doors.iter();
    doors
        .map(|door| pool.metrics.connections(door.address).get())
        .sum()
}

#[cfg(test)]
mod tests;
