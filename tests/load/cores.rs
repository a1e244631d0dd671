//! Who has which processor: the pool one half, and all that loads it the other, so that what a visitor's
//! own program costs is not counted as the pool's.

#![allow(clippy::cast_precision_loss)]

use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Threads of visitors give way to those of miners, who measure.
const NICE: i32 = 10;

/// The processors of this machine, in halves. A machine with one has it for both.
pub(crate) struct Cores {
    pool: CpuSet,
    rest: CpuSet,
}

impl Cores {
    pub(crate) fn halves() -> Self {
        let all = sched_getaffinity(None).unwrap();
        let there: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|core| all.is_set(*core))
            .collect();
        let half = there.len() / 2;
        let set = |cores: &[usize]| {
            let mut set = CpuSet::new();
            cores.iter().for_each(|core| set.set(*core));
            set
        };
        match half {
            0 => Self {
                pool: all,
                rest: all,
            },
            _ => Self {
                pool: set(&there[..half]),
                rest: set(&there[half..]),
            },
        }
    }

    /// What the calling thread starts from now on runs where the pool does.
    pub(crate) fn take_those_of_the_pool(&self) {
        sched_setaffinity(None, &self.pool).unwrap();
    }

    /// What the calling thread starts from now on leaves the pool alone.
    pub(crate) fn take_the_rest(&self) {
        sched_setaffinity(None, &self.rest).unwrap();
    }

    /// How many are not the pool's.
    pub(crate) fn rest(&self) -> usize {
        usize::try_from(self.rest.count()).unwrap()
    }
}

/// Lets the calling thread wait for those with more to do.
pub(crate) fn give_way() {
    // Where it may not be, the measure is only harder.
    let thread = Some(rustix::thread::gettid());
    let _ = rustix::process::setpriority_process(thread, NICE);
}

/// What a process has used of its processors, in steps of 10 ms.
pub(crate) fn spent(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name of the program may hold spaces.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}
