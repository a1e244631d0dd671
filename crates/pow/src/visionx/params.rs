//! The figures of a chain that mines by VisionX, and the limits that every verifier keeps.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most MiB of a dataset.
const DATASET_MIB_MAX: u32 = 512;
/// The most MiB of a scratch.
const SCRATCH_MIB_MAX: u32 = 128;
/// The most iterations: some ten times what the network does.
const MIX_ITERS_MAX: u32 = 1_000_000;
/// The most reads of an iteration. Only whether they are four or more makes a difference.
const READS_MAX: u32 = 8;

/// The figures as they stand in JSON. Nothing is known about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Figures {
    /// MiB of the dataset: what scratches are filled from.
    pub dataset_mib: u32,
    /// MiB of the scratch: what a hash walks through.
    pub scratch_mib: u32,
    /// Iterations of a hash.
    pub mix_iters: u32,
    /// Reads of an iteration.
    pub reads_per_iter: u32,
    /// Every so many iterations a word of the scratch is written; 0 is never.
    pub write_every: u32,
    /// Blocks for which a dataset is good.
    pub epoch_blocks: u32,
}

/// Figures within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Figures", into = "Figures")]
pub struct Params(Figures);

/// Which figure is out of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotParams {
    figure: &'static str,
    value: u32,
    most: u32,
}

impl Params {
    /// Those of the network: 256 MiB, 32 MiB, 65,536 iterations.
    pub const MAINNET: Self = Self(Figures {
        dataset_mib: 256,
        scratch_mib: 32,
        mix_iters: 65_536,
        reads_per_iter: 4,
        write_every: 4,
        epoch_blocks: 32,
    });

    /// Those of private chains and tests: 1 MiB, 1 MiB, 1,000 iterations.
    pub const LITE: Self = Self(Figures {
        dataset_mib: 1,
        scratch_mib: 1,
        mix_iters: 1_000,
        reads_per_iter: 4,
        write_every: 4,
        epoch_blocks: 32,
    });

    /// Figures that no verifier refuses to compute with: all but `write_every` are above zero, a dataset has at
    /// most 512 MiB, a scratch 128 MiB, a hash a million iterations of at most 8 reads.
    pub fn new(figures: Figures) -> Result<Self, NotParams> {
        let limits = [
            ("dataset_mib", figures.dataset_mib, DATASET_MIB_MAX),
            ("scratch_mib", figures.scratch_mib, SCRATCH_MIB_MAX),
            ("mix_iters", figures.mix_iters, MIX_ITERS_MAX),
            ("reads_per_iter", figures.reads_per_iter, READS_MAX),
            ("epoch_blocks", figures.epoch_blocks, u32::MAX),
        ];
        for (figure, value, most) in limits {
            if value == 0 || value > most {
                return Err(NotParams {
                    figure,
                    value,
                    most,
                });
            }
        }
        Ok(Self(figures))
    }

    /// The same figures as they stand in JSON.
    pub fn figures(self) -> Figures {
        self.0
    }

    /// The epoch of a block at this height.
    pub fn epoch_of(self, height: u64) -> u64 {
        height / u64::from(self.0.epoch_blocks)
    }

    /// Words of the dataset less one: a power of two less one.
    pub(super) fn dataset_mask(self) -> u64 {
        mask_of(self.0.dataset_mib)
    }

    /// Words of the scratch less one: a power of two less one.
    pub(super) fn scratch_mask(self) -> u64 {
        mask_of(self.0.scratch_mib)
    }

    /// How often a hash writes to the scratch.
    pub(super) fn writes(self) -> u32 {
        match self.0.write_every {
            0 => 0,
            every => self.0.mix_iters.div_ceil(every),
        }
    }
}

impl TryFrom<Figures> for Params {
    type Error = NotParams;

    fn try_from(figures: Figures) -> Result<Self, NotParams> {
        Self::new(figures)
    }
}

impl From<Params> for Figures {
    fn from(params: Params) -> Self {
        params.0
    }
}

impl fmt::Display for NotParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} = {} is not within 1 and {}",
            self.figure, self.value, self.most
        )
    }
}

impl std::error::Error for NotParams {}

/// The words of so many MiB, rounded up to a power of two, less one.
fn mask_of(mib: u32) -> u64 {
    (u64::from(mib) << 17).next_power_of_two() - 1
}
