//! How much of the machine RandomX may use: what the operator says, what memory allows, and what comes of
//! both. The same rule holds for the pool, which verifies, and for the worker, which mines.

use std::num::NonZeroUsize;

use mining::trust::Sampling;
pub(super) use pow::randomx::{CACHE_BYTES, DATASET_BYTES};
use pow::randomx::{Pages, VM_BYTES};
use serde::{Deserialize, Serialize};

/// Caches at a time: that of the seed in use, and either the next one or the one before.
pub(super) const SEEDS: usize = 2;
/// Memory that `auto` leaves to others when it chooses the dataset.
const LEFT_TO_OTHERS: u64 = 1 << 30;
/// More threads than any machine has cores for; each takes memory.
const THREADS_MAX: usize = 1_024;
/// Of a thousand shares: a liar is caught by the twelfth or so, and verifying costs a twelfth.
const TRUST_LEAST: u16 = 82;

/// What verifies shares of RandomX: `[pool.randomx]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether there is a dataset.
    pub mode: Mode,
    /// Threads that verify; 0 is one for each core but one.
    pub threads: usize,
    /// Whether to take large pages that the system has reserved (`vm.nr_hugepages`). Where there are too
    /// few, usual ones are taken.
    pub large_pages: bool,
    /// Good shares after which some of a worker's are believed; without it each is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_after: Option<u32>,
    /// How many of a thousand are verified nevertheless, at least.
    pub trust_least: u16,
}

/// What verifies shares of VisionX: `[pool.visionx]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct VisionX {
    /// Threads that verify; 0 is one for each core but one.
    pub threads: usize,
}

/// How fast, for how much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Fast if memory allows and a gigabyte is left, otherwise light.
    Auto,
    /// 512 MiB, some 30 shares a second and thread.
    Light,
    /// 2.6 GiB, some 170 shares a second and thread.
    Fast,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// There is a dataset, once it is filled.
    pub is_fast: bool,
    /// Threads that verify.
    pub threads: NonZeroUsize,
    /// What memory is asked for.
    pub pages: Pages,
    /// By which rule shares are believed; without one none is.
    pub sampling: Option<Sampling>,
    /// Whether it was more than is free: then nothing is asked for until it is.
    pub waits_for_memory: bool,
}

/// What the operator wants cannot be: the machine has too little memory, or a number makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPlanned {
    /// Not even for light verification.
    #[error("RandomX takes {} MiB of memory, and {} MiB are free", mib(.needed), mib(.free))]
    Light {
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// Light verification would do.
    #[error(
        "RandomX in fast mode takes {} MiB of memory, and {} MiB are free; \
         in light mode it takes {} MiB", mib(.needed), mib(.free), mib(.light)
    )]
    Fast {
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
        /// Bytes that light verification takes.
        light: u64,
    },
    /// More threads than there may be.
    #[error("{0} threads are too many; at most {THREADS_MAX}")]
    Threads(usize),
    /// No rule by which shares are believed.
    #[error("trust_after is at least 1, and trust_least from 1 to 1000")]
    Trust,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            threads: 0,
            large_pages: true,
            trust_after: None,
            trust_least: TRUST_LEAST,
        }
    }
}

impl Config {
    /// What this comes to on a machine with so many cores and so many bytes that are free; where nobody
    /// knows how many are, `auto` is light, and the operator is believed otherwise.
    pub fn plan(self, cores: usize, free: Option<u64>) -> Result<Plan, NotPlanned> {
        // The second number is checked whether or not there is a first one.
        let rule = Sampling::new(self.trust_after.unwrap_or(1), self.trust_least);
        let rule = rule.map_err(|_| NotPlanned::Trust)?;
        let threads = threads(self.threads, cores)?;
        let light = memory_of(threads, false);
        let fast = memory_of(threads, true);
        let is_fast = match (self.mode, free) {
            (Mode::Fast, Some(free)) if free < fast => {
                return Err(NotPlanned::Fast {
                    needed: fast,
                    free,
                    light,
                });
            }
            (_, Some(free)) if free < light => {
                return Err(NotPlanned::Light {
                    needed: light,
                    free,
                });
            }
            (Mode::Auto, Some(free)) => free >= fast + LEFT_TO_OTHERS,
            (mode, _) => mode == Mode::Fast,
        };
        Ok(Plan {
            is_fast,
            threads,
            pages: if self.large_pages {
                Pages::Large
            } else {
                Pages::Usual
            },
            sampling: self.trust_after.map(|_| rule),
            waits_for_memory: false,
        })
    }
}

/// As many as the operator says, or one for each core but one.
fn threads(said: usize, cores: usize) -> Result<NonZeroUsize, NotPlanned> {
    if said > THREADS_MAX {
        return Err(NotPlanned::Threads(said));
    }
    let threads = match said {
        0 => cores.saturating_sub(1).min(THREADS_MAX),
        threads => threads,
    };
    Ok(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN))
}

impl Plan {
    /// Of what needs no seed prepared, and no memory to speak of.
    pub fn without_seeds(said: usize, cores: usize) -> Result<Self, NotPlanned> {
        Ok(Self {
            is_fast: false,
            threads: threads(said, cores)?,
            pages: Pages::Usual,
            sampling: None,
            waits_for_memory: false,
        })
    }

    /// The most memory that it takes, in bytes.
    pub fn memory(self) -> u64 {
        memory_of(self.threads, self.is_fast)
    }
}

/// Each thread has a machine for the cache and, if there is one, another for the dataset.
fn memory_of(threads: NonZeroUsize, is_fast: bool) -> u64 {
    let threads = u64::try_from(threads.get()).unwrap_or(u64::MAX);
    let caches = CACHE_BYTES * u64::try_from(SEEDS).unwrap_or(u64::MAX);
    let (dataset, machines) = if is_fast { (DATASET_BYTES, 2) } else { (0, 1) };
    caches + dataset + VM_BYTES.saturating_mul(machines).saturating_mul(threads)
}

fn mib(bytes: &u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn config(mode: Mode, threads: usize) -> Config {
        Config {
            mode,
            threads,
            large_pages: false,
            ..Config::default()
        }
    }

    #[test]
    fn auto_is_fast_where_memory_allows_and_light_where_nobody_knows() {
        for (free, is_fast) in [
            (None, false),
            (Some(GIB), false),
            (Some(3 * GIB), false),
            (Some(4 * GIB), true),
        ] {
            let plan = config(Mode::Auto, 2).plan(8, free).unwrap();
            assert_eq!(plan.is_fast, is_fast, "{free:?}");
            assert!(free.is_none_or(|free| plan.memory() <= free));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_told_how_much_it_takes() {
        let fast = config(Mode::Fast, 2);
        assert!(fast.plan(8, None).unwrap().is_fast);
        assert!(fast.plan(8, Some(3 * GIB)).unwrap().is_fast);
        assert_eq!(
            fast.plan(8, Some(GIB)).unwrap_err().to_string(),
            "RandomX in fast mode takes 2601 MiB of memory, and 1024 MiB are free; \
             in light mode it takes 517 MiB"
        );
        for mode in [Mode::Auto, Mode::Light] {
            assert_eq!(
                config(mode, 2)
                    .plan(8, Some(GIB / 4))
                    .unwrap_err()
                    .to_string(),
                "RandomX takes 517 MiB of memory, and 256 MiB are free"
            );
        }
        assert!(!config(Mode::Light, 2).plan(8, Some(GIB)).unwrap().is_fast);
    }

    #[test]
    fn threads_are_one_less_than_cores_unless_the_operator_says_how_many() {
        for (said, cores, threads) in [(0, 8, 7), (0, 1, 1), (0, 0, 1), (3, 1, 3)] {
            let plan = config(Mode::Light, said).plan(cores, None).unwrap();
            assert_eq!(plan.threads.get(), threads, "{said} of {cores}");
        }
        assert_eq!(
            config(Mode::Light, 1_025).plan(8, None),
            Err(NotPlanned::Threads(1_025))
        );
    }

    #[test]
    fn shares_are_believed_only_where_the_operator_says_after_how_many() {
        let sampling = |trust_after, trust_least| {
            let config = Config {
                trust_after,
                trust_least,
                ..config(Mode::Light, 1)
            };
            config.plan(8, None).map(|plan| plan.sampling)
        };
        assert_eq!(config(Mode::Light, 1).plan(8, None).unwrap().sampling, None);
        assert_eq!(sampling(None, 500), Ok(None));
        let rule = sampling(Some(30), 82).unwrap().unwrap();
        assert_eq!((rule.after(), rule.least()), (30, 82));
        for (after, least) in [(Some(0), 82), (Some(30), 0), (Some(30), 1_001), (None, 0)] {
            let wrong = sampling(after, least);
            assert_eq!(wrong, Err(NotPlanned::Trust), "{after:?} {least}");
        }
    }

    #[test]
    fn the_keys_are_read_strictly() {
        let read = |text: &str| toml::from_str::<Config>(text);
        assert_eq!(read("").unwrap(), Config::default());
        assert_eq!(
            read("mode = \"light\"\nthreads = 2\nlarge_pages = false").unwrap(),
            config(Mode::Light, 2)
        );
        let trusting = read("trust_after = 30\ntrust_least = 100").unwrap();
        assert_eq!(
            (trusting.trust_after, trusting.trust_least),
            (Some(30), 100)
        );
        for text in [
            "mode = \"Light\"",
            "threads = -1",
            "hugepages = true",
            "trust_after = -1",
            "trust_least = 8.2",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
