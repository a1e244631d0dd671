//! How much of a machine a worker takes, by a name that people know.

use serde::{Deserialize, Serialize};

/// A part of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A quarter of the cores, half of the time.
    Laptop,
    /// Half of the cores.
    #[default]
    Balanced,
    /// All of it.
    Beast,
}

impl Profile {
    /// All of them, the smallest first.
    pub const ALL: [Self; 3] = [Self::Laptop, Self::Balanced, Self::Beast];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Laptop => "laptop",
            Self::Balanced => "balanced",
            Self::Beast => "beast",
        }
    }

    /// Threads, at least one, and the percentage of the time that they hash.
    pub fn of(self, cores: usize) -> (usize, u8) {
        match self {
            Self::Laptop => ((cores / 4).max(1), 50),
            Self::Balanced => ((cores / 2).max(1), 100),
            Self::Beast => (cores.max(1), 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_a_part_of_the_machine() {
        for (cores, laptop, balanced) in [(1, 1, 1), (2, 1, 1), (4, 1, 2), (16, 4, 8)] {
            assert_eq!(Profile::Laptop.of(cores), (laptop, 50), "{cores}");
            assert_eq!(Profile::Balanced.of(cores), (balanced, 100), "{cores}");
            assert_eq!(Profile::Beast.of(cores), (cores, 100), "{cores}");
        }
    }
}
