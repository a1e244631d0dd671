//! The life of a block the pool solved.
//!
//! ```text
//! submitted -> immature -> mature
//!     \          |  ^
//!      \         v  |       the chain reorganised, and back
//!       +----> orphaned <---- mature, when the chain reorganised deeper than that: for people
//! ```

use std::fmt;

/// How far a block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockState {
    /// Sent to the daemons; not yet seen in a chain.
    Submitted,
    /// In the chain; its coins cannot be spent yet.
    Immature,
    /// Its coins can be spent. Only a reorganisation deeper than that ends it.
    Mature,
    /// Refused, or left by the chain. It comes back if the chain does.
    Orphaned,
}

impl BlockState {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Submitted,
        Self::Immature,
        Self::Mature,
        Self::Orphaned,
    ];

    /// The state of a block with `confirmations` as daemons count them: below zero it is off the
    /// chain, and at `maturity` its coins can be spent by the next block.
    pub fn of_confirmations(confirmations: i64, maturity: u32) -> Self {
        if confirmations < 0 {
            Self::Orphaned
        } else if confirmations < i64::from(maturity) {
            Self::Immature
        } else {
            Self::Mature
        }
    }

    /// Whether a block in this state can be in the other one next.
    pub fn becomes(self, next: Self) -> bool {
        match self {
            Self::Submitted => true,
            Self::Immature => next != Self::Submitted,
            // What was paid cannot be taken back; a reorganisation that deep is for people.
            Self::Mature => matches!(next, Self::Mature | Self::Orphaned),
            Self::Orphaned => matches!(next, Self::Orphaned | Self::Immature),
        }
    }

    /// The state of a block that was in this one and now has so many confirmations: one step at a
    /// time, however deep an orphan is when it comes back, and a mature block stays so while it is
    /// in the chain.
    pub fn after(self, confirmations: i64, maturity: u32) -> Self {
        match (self, Self::of_confirmations(confirmations, maturity)) {
            (Self::Orphaned, Self::Mature) => Self::Immature,
            (Self::Mature, Self::Immature) => Self::Mature,
            (_, state) => state,
        }
    }

    /// The name in the store, the API and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Immature => "immature",
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
    fn a43_confirmations_tell_the_state() {
        #[track_caller]
        fn case(confirmations: i64, expected: BlockState) {
            assert_eq!(BlockState::of_confirmations(confirmations, 100), expected);
        }
        case(-1, BlockState::Orphaned);
        case(i64::MIN, BlockState::Orphaned);
        case(0, BlockState::Immature);
        case(99, BlockState::Immature);
        case(100, BlockState::Mature);
        case(i64::MAX, BlockState::Mature);
    }

    #[test]
    fn a44_what_confirmations_make_of_a_state_is_always_legal() {
        for state in BlockState::ALL {
            for confirmations in [i64::MIN, -1, 0, 1, 99, 100, 101, i64::MAX] {
                let next = state.after(confirmations, 100);
                assert!(state.becomes(next), "{state} to {next}");
            }
        }
        let mature = BlockState::Mature;
        assert_eq!(mature.after(-1, 100), BlockState::Orphaned);
        assert_eq!(mature.after(99, 100), mature, "a block less above it");
        assert_eq!(
            BlockState::Orphaned.after(500, 100),
            BlockState::Immature,
            "one step at a time"
        );
    }

    #[test]
    fn a43_an_orphan_can_come_back_and_a_mature_block_matures_once() {
        assert!(BlockState::Orphaned.becomes(BlockState::Immature));
        assert!(BlockState::Immature.becomes(BlockState::Orphaned));
        assert!(BlockState::Mature.becomes(BlockState::Orphaned));
        assert!(!BlockState::Mature.becomes(BlockState::Immature));
        assert!(!BlockState::Mature.becomes(BlockState::Submitted));
        assert!(!BlockState::Immature.becomes(BlockState::Submitted));
        assert!(!BlockState::Orphaned.becomes(BlockState::Mature));
    }
}
