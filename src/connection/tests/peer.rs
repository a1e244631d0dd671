//! The reference: what one miner has agreed with the pool and what its next share is due. Written
//! down a second time from the rules in `docs` and the comments, simply and without a look at cost.

use std::collections::{HashSet, VecDeque};

use serde_json::Value;

use super::heard::{Notified, hash_of, meets, target_of};
use crate::mailbox::Outcome;

/// Jobs a miner may answer, and how many of them may be of earlier tips.
pub(super) const JOBS: usize = 64;
const STALE_JOBS: usize = 8;

/// What a listener allows in one sequence. Difficulties are in steps of 2^-32.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) start: u64,
    pub(super) share_time_ms: u64,
    pub(super) mask: u32,
    pub(super) heeds: bool,
    pub(super) per_second: u32,
    pub(super) extranonce2_size: usize,
    /// A long sequence of shares and wishes on one tip, with a store that is slow.
    pub(super) is_steady: bool,
}

/// A device as `devices.toml` has it, with difficulties in steps of 2^-32.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device {
    pub(super) agent: Option<&'static str>,
    pub(super) class: &'static str,
    pub(super) start: Option<u64>,
    pub(super) min: Option<u64>,
    pub(super) harder_only: bool,
    pub(super) user_max: usize,
}

const STOCK: Device = Device {
    agent: None,
    class: "stock",
    start: None,
    min: None,
    harder_only: false,
    user_max: usize::MAX,
};

pub(super) const DEVICES: [Device; 7] = [
    STOCK,
    Device {
        agent: Some("unheard of/1"),
        ..STOCK
    },
    Device {
        agent: Some("adit/1"),
        class: "large",
        ..STOCK
    },
    Device {
        agent: Some("bitaxe/BM1370/v2.9"),
        class: "large",
        start: Some(1000 << 32),
        ..STOCK
    },
    Device {
        agent: Some("cgminer/4.12.1"),
        start: Some(10_000 << 32),
        user_max: 63,
        ..STOCK
    },
    Device {
        agent: Some("NerdMinerV2/1.8.3"),
        class: "toy",
        start: Some(644_245),
        min: Some(4_294),
        ..STOCK
    },
    Device {
        agent: Some("NiceHash/1.0.0"),
        class: "rental",
        start: Some(524_288 << 32),
        min: Some(524_288 << 32),
        harder_only: true,
        ..STOCK
    },
];

#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    pub(super) suggested: Option<u64>,
    pub(super) least: Option<u64>,
    pub(super) fixed: Option<u64>,
    pub(super) min: Option<u64>,
    pub(super) start: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connected,
    Subscribed,
    Authorized,
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) number: u32,
    pub(super) tip: u64,
    pub(super) height: u32,
    pub(super) min_time: u32,
    /// What the miner was told before it.
    pub(super) steps: u64,
    /// It was sent before the miner came back.
    pub(super) is_resumed: bool,
    pub(super) work: Notified,
}

#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) user: String,
    /// What the store knows it by.
    pub(super) name: String,
    pub(super) ceiling: Ceiling,
}

/// What a session leaves behind.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) extranonce1: [u8; 4],
    pub(super) class: &'static str,
    pub(super) mask: Option<u32>,
    pub(super) steps: u64,
    pub(super) jobs: VecDeque<Job>,
    pub(super) since_ms: u64,
}

/// A share as it is sent: texts, so that it can be sent again in another spelling.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    pub(super) worker: String,
    pub(super) job: String,
    pub(super) extranonce2: Vec<u8>,
    pub(super) ntime: u32,
    pub(super) nonce: u32,
    pub(super) bits: Option<u32>,
}

/// What a share is due, but for the rate at which its worker sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Refused(Refusal),
    Good {
        hash: [u8; 32],
        steps: u64,
        height: u32,
        tip: u64,
        worker: usize,
    },
}

/// A code, a text, and whether it counts towards a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) i32, pub(super) &'static str, pub(super) bool);

pub(super) const NOT_SUBSCRIBED: Refusal = Refusal(25, "Not subscribed", false);
pub(super) const UNAUTHORIZED: Refusal = Refusal(24, "Unauthorized worker", false);
const UNKNOWN_JOB: Refusal = Refusal(21, "Job not found", false);
const SIZE: Refusal = Refusal(20, "Invalid nonce2 length", true);
const VERSION: Refusal = Refusal(20, "Invalid version mask", true);
pub(super) const NTIME: Refusal = Refusal(20, "Ntime out of range", true);
pub(super) const STALE: Refusal = Refusal(21, "Stale", false);
const LOW: Refusal = Refusal(23, "Difficulty too low", true);
pub(super) const DUPLICATE: Refusal = Refusal(22, "Duplicate share", true);
pub(super) const TOO_MANY: Refusal = Refusal(20, "Too many shares", false);

/// One connection as it should be.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) setup: Setup,
    pub(super) stage: Stage,
    pub(super) session: String,
    pub(super) extranonce1: [u8; 4],
    pub(super) device: Device,
    pub(super) resumed: Option<Kept>,
    pub(super) mask: Option<u32>,
    pub(super) wishes: Wishes,
    pub(super) workers: Vec<Worker>,
    pub(super) jobs: VecDeque<Job>,
    pub(super) told: Option<u64>,
    /// The difficulty its vardiff has; the one it was told, as soon as there was a job.
    pub(super) steps: u64,
    pub(super) pace: Pace,
    pub(super) waiting: VecDeque<(Value, [u8; 32])>,
    pub(super) outcomes: VecDeque<Outcome>,
}

impl Peer {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            stage: Stage::Connected,
            session: String::new(),
            extranonce1: [0; 4],
            device: STOCK,
            resumed: None,
            mask: None,
            wishes: Wishes::default(),
            workers: Vec::new(),
            jobs: VecDeque::new(),
            told: None,
            steps: 0,
            pace: Pace::default(),
            waiting: VecDeque::new(),
            outcomes: VecDeque::new(),
        }
    }

    pub(super) fn is_authorized(&self) -> bool {
        self.stage == Stage::Authorized
    }

    /// The tip of the last job, which is the newest one the miner has heard of.
    pub(super) fn tip(&self) -> Option<u64> {
        self.jobs.back().map(|job| job.tip)
    }

    pub(super) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.work.id == id)
    }

    pub(super) fn heard_job(&mut self, job: Job) {
        let tip = job.tip;
        self.jobs.push_back(job);
        while self.jobs.iter().filter(|job| job.tip != tip).count() > STALE_JOBS
            || self.jobs.len() > JOBS
        {
            self.jobs.pop_front();
        }
    }

    /// The easiest and hardest difficulty, and the one that a wish leads to.
    pub(super) fn difficulties(&self, before: Option<u64>) -> (u64, u64, u64) {
        let Setup {
            min, max, start, ..
        } = self.setup;
        let easiest = self.device.min.unwrap_or(min).clamp(min, max);
        if let Some(fixed) = self.wishes.fixed {
            let fixed = fixed.clamp(easiest, max);
            return (fixed, fixed, fixed);
        }
        let least = self
            .wishes
            .least
            .unwrap_or(0)
            .max(self.wishes.min.unwrap_or(0));
        let least = least.clamp(easiest, max);
        let wished = self.wishes.start.or(self.wishes.suggested).or(before);
        let first = wished.or(self.device.start).unwrap_or(start);
        (least, max, first.clamp(easiest, max).clamp(least, max))
    }

    /// Takes the wishes into account; the new difficulty if it is another one.
    pub(super) fn wish(&mut self, now_ms: u64) -> Option<u64> {
        if !self.is_authorized() {
            return None;
        }
        let (min, max, wanted) = self.difficulties(Some(self.steps));
        self.pace = Pace {
            min,
            max,
            known_ms: now_ms,
            ..Pace::default()
        };
        (wanted != self.steps).then(|| {
            self.steps = wanted;
            wanted
        })
    }

    /// The header version of a share.
    pub(super) fn version(&self, job: &Job, bits: Option<u32>) -> u32 {
        match bits {
            Some(bits) => job.work.version & !self.mask.unwrap_or(0) | bits,
            None => job.work.version,
        }
    }

    /// The rules for a share, in the order in which they are asked.
    pub(super) fn judge(&self, shot: &Shot, now_s: u32, taken: &HashSet<[u8; 32]>) -> Verdict {
        match self.stage {
            Stage::Connected => return Verdict::Refused(NOT_SUBSCRIBED),
            Stage::Subscribed => return Verdict::Refused(UNAUTHORIZED),
            Stage::Authorized => {}
        }
        let named = |worker: &Worker| worker.user == shot.worker;
        let Some(worker) = self.workers.iter().position(named) else {
            return Verdict::Refused(UNAUTHORIZED);
        };
        let Some(job) = self.job(&shot.job) else {
            return Verdict::Refused(UNKNOWN_JOB);
        };
        if shot.extranonce2.len() != self.setup.extranonce2_size {
            return Verdict::Refused(SIZE);
        }
        if shot.bits.unwrap_or(0) & !self.mask.unwrap_or(0) != 0 {
            return Verdict::Refused(VERSION);
        }
        if shot.ntime < job.min_time || u64::from(shot.ntime) > u64::from(now_s) + 7200 {
            return Verdict::Refused(NTIME);
        }
        if Some(job.tip) != self.tip() {
            return Verdict::Refused(STALE);
        }
        let hash = self.hash(job, shot);
        if !meets(&hash, &target_of(job.steps)) {
            return Verdict::Refused(LOW);
        }
        if taken.contains(&hash) {
            return Verdict::Refused(DUPLICATE);
        }
        Verdict::Good {
            hash,
            steps: job.steps,
            height: job.height,
            tip: job.tip,
            worker,
        }
    }

    pub(super) fn hash(&self, job: &Job, shot: &Shot) -> [u8; 32] {
        let version = self.version(job, shot.bits);
        let header = job
            .work
            .header(self.extranonce1, &shot.extranonce2, version, shot.ntime);
        hash_of(header, shot.nonce)
    }
}

/// What can be told of vardiff without being it: exactly while no share came since its window was
/// seen to begin, and afterwards when it must stay as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) known_ms: u64,
    pub(super) shares: u32,
    pub(super) any_share: bool,
}

/// What vardiff may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Stay,
    To(u64),
    /// Anywhere else within the limits, or nowhere.
    Perhaps,
}

impl Peer {
    /// Time goes by.
    pub(super) fn tick(&mut self, now_ms: u64) -> Move {
        let share_time = self.setup.share_time_ms;
        let (silence, easier) = if self.pace.any_share { (6, 4) } else { (2, 8) };
        let elapsed = now_ms - self.pace.known_ms;
        if self.pace.shares > 0 {
            return self.perhaps(elapsed);
        }
        if elapsed < silence * share_time {
            return Move::Stay;
        }
        self.pace.known_ms = now_ms;
        let eased = (self.steps / easier).max(self.pace.min);
        if self.device.harder_only || eased == self.steps {
            return Move::Stay;
        }
        Move::To(eased)
    }

    /// A share was accepted.
    pub(super) fn share(&mut self, now_ms: u64, raise: bool) -> Move {
        self.pace.any_share = true;
        if raise {
            let raised = (self.steps * 4).clamp(self.pace.min, self.pace.max);
            if raised != self.steps {
                return Move::To(raised);
            }
        }
        self.pace.shares += 1;
        self.perhaps(now_ms - self.pace.known_ms)
    }

    /// Fewer than eight shares within sixteen share times mean nothing yet.
    fn perhaps(&self, elapsed: u64) -> Move {
        let few = self.pace.shares < 8 && elapsed < 16 * self.setup.share_time_ms;
        if few || self.pace.min == self.pace.max {
            Move::Stay
        } else {
            Move::Perhaps
        }
    }

    /// Vardiff has moved, so its window begins now.
    pub(super) fn moved(&mut self, steps: u64, now_ms: u64) {
        self.steps = steps;
        self.pace.known_ms = now_ms;
        self.pace.shares = 0;
    }
}

/// How fast a worker's shares come: in thousandths of a share.
#[derive(Clone, Debug)]
pub(super) struct Ceiling {
    per_second: u64,
    left: u64,
    at_ms: u64,
    excess: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rate {
    Fine,
    Raise,
    Refuse,
}

impl Ceiling {
    pub(super) fn new(per_second: u32, at_ms: u64) -> Self {
        let per_second = u64::from(per_second);
        Self {
            per_second,
            left: 2000 * per_second,
            at_ms,
            excess: None,
        }
    }

    pub(super) fn share(&mut self, now_ms: u64) -> Rate {
        if self.per_second == 0 {
            return Rate::Fine;
        }
        let gained = (now_ms - self.at_ms) * self.per_second;
        self.left = (self.left + gained).min(2000 * self.per_second);
        self.at_ms = now_ms;
        if self.left >= 1000 {
            self.left -= 1000;
            return Rate::Fine;
        }
        let (raised_ms, rate) = match self.excess {
            Some((raised, last)) if now_ms - last < 5000 => {
                let heeded = now_ms - raised >= 5000;
                (raised, if heeded { Rate::Refuse } else { Rate::Fine })
            }
            _ => (now_ms, Rate::Raise),
        };
        self.excess = Some((raised_ms, now_ms));
        rate
    }
}
