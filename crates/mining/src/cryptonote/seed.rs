//! Which block's id is the key that RandomX hashes with at a height.
//!
//! Called for each template, and by whoever prepares the next key in time. The key changes every 2,048
//! blocks, 64 blocks after the one that it comes from.

/// Blocks for each key.
const EPOCH: u64 = 2048;
/// Blocks between the one that gives the key and the first that needs it.
const LAG: u64 = 64;

/// The height of the block whose id is the key at `height`.
pub fn seed_height(height: u64) -> u64 {
    if height <= EPOCH + LAG {
        0
    } else {
        (height - LAG - 1) & !(EPOCH - 1)
    }
}

/// The height of the block whose id is the next key, once that block is there: at the last 64 heights
/// of the present key.
pub fn next_seed_height(height: u64) -> Option<u64> {
    let next = seed_height(height.saturating_add(LAG));
    (next != seed_height(height)).then_some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_key_changes_64_blocks_after_each_epoch() {
        let case = |height, seed, next| {
            assert_eq!(seed_height(height), seed, "{height}");
            assert_eq!(next_seed_height(height), next, "{height}");
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

    proptest! {
        #[test]
        fn a_key_is_there_before_it_is_needed(height in 1u64..1 << 40) {
            let seed = seed_height(height);
            prop_assert!(seed.is_multiple_of(2048) && seed < height);
            prop_assert!(height - seed <= 2048 + 64);
            // What the next block needs is either the same or has been told.
            let next = seed_height(height + 1);
            prop_assert!(next == seed || next_seed_height(height) == Some(next));
            if let Some(next) = next_seed_height(height) {
                prop_assert_eq!(next, seed + 2048);
                prop_assert!(next < height);
            }
        }
    }
}
