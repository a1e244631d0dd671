//! Whether more of a pool's blocks become orphans than the network explains. Somebody who holds blocks
//! back to overtake others' (selfish mining) makes them so, and so does a node that hears late. Called by
//! `block`, which lets blocks be deeper before they are paid for while it is so.

use crate::{accounting::Percent, luck::Expected, poisson};

/// So many of the last blocks are looked at.
pub const LOOKED_AT: u32 = 144;

/// Fewer orphans are no reason for anything.
const LEAST: u32 = 3;

/// Three standard deviations above the average: what a normal distribution shows once in 741 times.
const UNLIKELY_ODDS: u128 = 741;

/// What became of the last blocks of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastBlocks {
    /// How many there are: at most [`LOOKED_AT`].
    pub blocks: u32,
    /// How many of them the chain has left or never had.
    pub orphans: u32,
}

impl LastBlocks {
    /// Whether there are more orphans than three standard deviations above the network's `rate`.
    ///
    /// The Poisson distribution stands for the binomial one, whose tail is a little thinner.
    pub fn are_too_often_orphans(self, rate: Percent) -> bool {
        let hundredths = u128::from(self.blocks) * u128::from(rate.hundredths());
        let expected = Expected::from_units((hundredths << 64).div_ceil(10_000));
        self.orphans >= LEAST
            && poisson::odds_of_at_least(self.orphans.into(), expected) >= UNLIKELY_ODDS
    }
}

/// The confirmations after which a block is paid for while too many become orphans.
pub fn raised(maturity: u32) -> u32 {
    maturity.saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a89_an_orphan_rate_far_above_the_network_s_is_told() {
        #[track_caller]
        fn case(orphans: u32, blocks: u32, rate: &str, expected: bool) {
            let last = LastBlocks { blocks, orphans };
            assert_eq!(last.are_too_often_orphans(rate.parse().unwrap()), expected);
        }
        // 1.44 of 144 are expected.
        case(6, 144, "1", false);
        case(7, 144, "1", true);
        case(144, 144, "1", true);
        case(4, 144, "0.5", false);
        case(5, 144, "0.5", true);
        // Of few blocks, two may always be.
        case(2, 2, "0.01", false);
        case(3, 3, "1", true);
        case(3, 21, "1", true);
        case(3, 22, "1", false);
        case(0, 0, "1", false);
        case(2, 144, "0", false);
        case(3, 144, "0", true);
        // Where all may be, nothing is told.
        case(144, 144, "100", false);
        assert_eq!((raised(100), raised(u32::MAX)), (200, u32::MAX));
    }
}
