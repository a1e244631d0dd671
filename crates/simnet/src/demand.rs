//! How hard a block is: Bitcoin's bits, or VisionX's difficulty.

use bitcoin::{CompactTarget, Target};
use pow::visionx;
use ruint::aliases::U256;
use serde_json::{Value, json};

use crate::{target, vision};

/// What a header says that its hash meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    Bits(CompactTarget),
    Difficulty(u64),
}

impl Demand {
    /// The greatest hash that meets it.
    pub(crate) fn target(self) -> U256 {
        match self {
            Self::Bits(bits) => target::from_compact(bits).unwrap_or_default(),
            Self::Difficulty(difficulty) => {
                U256::from_limbs(visionx::target_of(difficulty).limbs())
            }
        }
    }

    /// The hashes that a block takes on average.
    pub(crate) fn hashes(self) -> U256 {
        match self {
            Self::Bits(_) => target::work(self.target()),
            Self::Difficulty(difficulty) => U256::from(difficulty),
        }
    }

    /// What a block adds to its branch.
    pub(crate) fn work(self) -> U256 {
        match self {
            Self::Bits(bits) => target::work(target::from_compact(bits).unwrap_or(U256::MAX)),
            Self::Difficulty(difficulty) => vision::weight(difficulty),
        }
    }

    /// Bitcoin's difficulty, for people to look at, or VisionX's, which is whole.
    pub(crate) fn difficulty(self) -> Value {
        match self {
            Self::Bits(bits) => json!(Target::from_compact(bits).difficulty_float()),
            Self::Difficulty(difficulty) => json!(difficulty),
        }
    }

    /// Puts `target`, `difficulty`, and where there are any, `bits` into an object.
    pub(crate) fn tell(self, json: &mut Value) {
        json["target"] = json!(format!("{:064x}", self.target()));
        json["difficulty"] = self.difficulty();
        if let Self::Bits(bits) = self {
            json["bits"] = json!(format!("{:08x}", bits.to_consensus()));
        }
    }
}
