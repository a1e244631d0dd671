//! The life of a block the pool solved.
//!
//! ```text
//! submitted -> immature (confirmations count up) -> mature
//!     \             |  ^
//!      \            v  |   (the chain reorganised, and back)
//!       +-------> orphaned
//! ```

use std::fmt;

/// What has become of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockState {
    /// Sent to the daemons; not seen in the chain yet.
    Submitted,
    /// In the chain with this many confirmations, fewer than its coinbase needs.
    Immature(u32),
    /// Its coinbase can be spent.
    Mature,
    /// Not in the chain.
    Orphaned,
}

impl BlockState {
    /// The state of a block with `confirmations` as the daemon counts them: below zero it is off
    /// the chain.
    pub fn of_confirmations(confirmations: i64, maturity: u32) -> Self {
        match u32::try_from(confirmations) {
            Err(_) if confirmations < 0 => Self::Orphaned,
            Ok(count) if count < maturity => Self::Immature(count),
            _ => Self::Mature,
        }
    }

    /// Whether a block may go from this state to `next`. A mature block stays mature here: a
    /// reorganisation that deep is for people to look at.
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Mature, next) => next == Self::Mature,
            (_, Self::Submitted) => self == Self::Submitted,
            _ => true,
        }
    }

    /// The name in the store, the API and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Immature(_) => "immature",
            Self::Mature => "mature",
            Self::Orphaned => "orphaned",
        }
    }
}

impl fmt::Display for BlockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmations_tell_the_state() {
        #[track_caller]
        fn case(confirmations: i64, expected: BlockState) {
            assert_eq!(BlockState::of_confirmations(confirmations, 100), expected);
        }
        case(-1, BlockState::Orphaned);
        case(0, BlockState::Immature(0));
        case(99, BlockState::Immature(99));
        case(100, BlockState::Mature);
        case(i64::MAX, BlockState::Mature);
        case(i64::MIN, BlockState::Orphaned);
    }

    #[test]
    fn an_orphan_can_come_back_and_a_mature_block_stays() {
        assert!(BlockState::Orphaned.may_become(BlockState::Immature(3)));
        assert!(BlockState::Immature(3).may_become(BlockState::Orphaned));
        assert!(!BlockState::Mature.may_become(BlockState::Orphaned));
        assert!(!BlockState::Immature(1).may_become(BlockState::Submitted));
    }
}
