//! Which workers of a port are banned, and the end of that by an operator's hand: asked by `src/api/bans.rs`.

use std::time::Duration;

use tokio::time::Instant;

use super::stats::PortWorkers;
use crate::clock;

/// A worker that is banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerBan {
    /// Its `worker_id`.
    pub(crate) id: String,
    /// How long that goes on.
    pub(crate) left: Duration,
}

impl PortWorkers {
    /// All of them, the newest ban first.
    pub(crate) fn bans(&self) -> Vec<WorkerBan> {
        let now = Instant::now();
        let workers = self.work().workers();
        let here = workers.values();
        let here = here.filter_map(|it| Some((it.id.clone(), it.standing().banned_until()?)));
        let banned = self.work().banned.lock();
        let away = banned.bans();
        let away = away.filter(|(id, _)| !workers.contains_key(*id));
        let all = here.chain(away.map(|(id, until)| (id.clone(), until)));
        let all = all.filter(|(_, until)| now < *until);
        let mut bans: Vec<WorkerBan> = all
            .map(|(id, until)| WorkerBan {
                id,
                left: until - now,
            })
            .collect();
        drop((banned, workers));
        bans.sort_by(|one, other| (other.left, &one.id).cmp(&(one.left, &other.id)));
        bans
    }

    /// Lifts a worker's ban, and forgets what it was banned for; false if it has none.
    pub(crate) fn lift(&self, id: &str) -> bool {
        let (now, now_ms) = (Instant::now(), clock::now_ms());
        let workers = self.work().workers();
        let away = self.work().banned.lock().lift(id, now);
        let here = workers.get(id).is_some_and(|it| it.lift(now, now_ms));
        away || here
    }
}
