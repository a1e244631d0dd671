//! Which block's id is the key that RandomX hashes with at a height.
//!
//! Called for each template, and by whoever prepares the next key in time. Monero's key changes every 2,048
//! blocks, 64 blocks after the one that it comes from.

/// When the key changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// Blocks for each key: a power of two.
    pub blocks: u64,
    /// Blocks between the one that gives the key and the first that needs it.
    pub lag: u64,
}

impl Epochs {
    /// Monero's, and those of nearly all coins of its family.
    pub const MONERO: Self = Self {
        blocks: 2048,
        lag: 64,
    };

    /// The height of the block whose id is the key at `height`.
    pub fn seed_height(self, height: u64) -> u64 {
        if height <= self.blocks.saturating_add(self.lag) {
            0
        } else {
            (height - self.lag - 1) & !(self.blocks - 1)
        }
    }

    /// The height of the block whose id is the next key, once that block is there: at the last heights
    /// of the present key, as many as the lag has.
    pub fn next_seed_height(self, height: u64) -> Option<u64> {
        let next = self.seed_height(height.saturating_add(self.lag));
        (next != self.seed_height(height)).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_key_changes_64_blocks_after_each_epoch() {
        let case = |height, seed, next| {
            assert_eq!(Epochs::MONERO.seed_height(height), seed, "{height}");
            assert_eq!(Epochs::MONERO.next_seed_height(height), next, "{height}");
        };
        case(0, 0, None);
        case(1, 0, None);
        case(2048, 0, None);
        case(2049, 0, Some(2048));
        case(2112, 0, Some(2048));
        case(2113, 2048, None);
        case(4096, 2048, None);
        case(4097, 2048, Some(4096));
        case(4160, 2048, Some(4096));
        case(4161, 4096, None);
        // The first block of RandomX on Monero's main network.
        case(1_978_433, 1_978_368, None);
        case(u64::MAX, u64::MAX - 2047, None);
    }

    #[test]
    fn a_coin_of_short_epochs_changes_its_key_as_its_daemon_does() {
        let short = Epochs { blocks: 32, lag: 4 };
        for (height, seed, next) in [
            (1, 0, None),
            (32, 0, None),
            (33, 0, Some(32)),
            (36, 0, Some(32)),
            (37, 32, None),
            (65, 32, Some(64)),
            (68, 32, Some(64)),
            (69, 64, None),
        ] {
            assert_eq!(short.seed_height(height), seed, "{height}");
            assert_eq!(short.next_seed_height(height), next, "{height}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_there_before_it_is_needed(height in 1u64..1 << 40) {
            let seed = Epochs::MONERO.seed_height(height);
            prop_assert!(seed.is_multiple_of(2048) && seed < height);
            prop_assert!(height - seed <= 2048 + 64);
            // What the next block needs is either the same or has been told.
            let next = Epochs::MONERO.seed_height(height + 1);
            prop_assert!(next == seed || Epochs::MONERO.next_seed_height(height) == Some(next));
            if let Some(next) = Epochs::MONERO.next_seed_height(height) {
                prop_assert_eq!(next, seed + 2048);
                prop_assert!(next < height);
            }
        }
    }
}
