//! What a block or a payout that went on is told of: from the state that was looked at last, and the one
//! it is in now. Looked at twice in the same state, nothing is told.

use super::{Kind, Phase};
use crate::{block::BlockState, payout::BatchState};

/// How far a payout was told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// Not at all.
    #[default]
    Nothing,
    /// That it is sent.
    Sent,
    /// That it is confirmed.
    Confirmed,
}

impl Told {
    /// As the store keeps it.
    pub fn number(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Sent => 1,
            Self::Confirmed => 2,
        }
    }

    /// Likewise.
    pub fn of_number(number: u32) -> Option<Self> {
        let mut all = [Self::Nothing, Self::Sent, Self::Confirmed].into_iter();
        all.find(|told| told.number() == number)
    }
}

/// What is told of a block. One that was only submitted has not been found until a daemon has it.
pub fn of_block(before: Option<BlockState>, now: BlockState) -> Vec<(Kind, Phase)> {
    use BlockState::{Immature, Mature, Orphaned, Submitted};
    let once = |kind| (kind, Phase::Once);
    match (before.unwrap_or(Submitted), now) {
        (Submitted, Immature) => vec![once(Kind::BlockFound)],
        (Submitted, Mature) => vec![once(Kind::BlockFound), once(Kind::BlockMatured)],
        (Submitted | Immature | Mature, Orphaned) => vec![(Kind::BlockOrphaned, Phase::Begun)],
        (Immature, Mature) => vec![once(Kind::BlockMatured)],
        (Orphaned, Immature) => vec![(Kind::BlockOrphaned, Phase::Over)],
        (Orphaned, Mature) => vec![(Kind::BlockOrphaned, Phase::Over), once(Kind::BlockMatured)],
        (Submitted | Orphaned | Immature | Mature, Submitted)
        | (Immature | Mature, Immature)
        | (Mature, Mature)
        | (Orphaned, Orphaned) => Vec::new(),
    }
}

/// What is told of a payout, and how far it is told of then. What was sent is told once, however often
/// the chain leaves it.
pub fn of_payout(told: Told, now: BatchState) -> (Vec<Kind>, Told) {
    match now {
        BatchState::Reserved | BatchState::Signed => (Vec::new(), told),
        BatchState::Broadcast if told < Told::Sent => (vec![Kind::PayoutSent], Told::Sent),
        BatchState::Confirmed if told < Told::Sent => (
            vec![Kind::PayoutSent, Kind::PayoutConfirmed],
            Told::Confirmed,
        ),
        BatchState::Confirmed if told < Told::Confirmed => {
            (vec![Kind::PayoutConfirmed], Told::Confirmed)
        }
        BatchState::Broadcast | BatchState::Confirmed => (Vec::new(), told),
        BatchState::Released | BatchState::Manual => (vec![Kind::PayoutFailed], told),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whatever way a block goes that it may go, it is found once and matures once, and an orphan's
    /// return is told only where its loss was.
    #[test]
    fn a_block_is_told_of_once_whatever_way_it_goes() {
        let mut ways = vec![vec![BlockState::Submitted]];
        for _ in 0..6 {
            let longer = ways.iter().flat_map(|way| {
                let last = *way.last().unwrap();
                let next = BlockState::ALL.into_iter();
                next.filter(move |state| *state != last && last.becomes(*state))
                    .map(|state| [&way[..], &[state]].concat())
            });
            ways.extend(longer.collect::<Vec<_>>());
        }
        assert!(ways.len() > 50);
        for way in ways {
            let (mut before, mut found, mut matured, mut lost) = (None, 0, 0, 0);
            for state in &way {
                // Looked at twice, in case the process ends in between.
                for (kind, phase) in of_block(before, *state) {
                    match (kind, phase) {
                        (Kind::BlockFound, Phase::Once) => found += 1,
                        (Kind::BlockMatured, Phase::Once) => matured += 1,
                        (Kind::BlockOrphaned, Phase::Begun) => lost += 1,
                        (Kind::BlockOrphaned, Phase::Over) => lost -= 1,
                        other => panic!("{other:?}"),
                    }
                    assert!((0..=1).contains(&lost), "{way:?}");
                }
                before = Some(*state);
                assert_eq!(of_block(before, *state), []);
                assert_eq!(lost == 1, *state == BlockState::Orphaned, "{way:?}");
            }
            let ends = |state| way.iter().filter(|seen| **seen == state).count();
            assert!(found <= 1, "{way:?}");
            // A mature block that was left can mature again.
            assert_eq!(matured, ends(BlockState::Mature), "{way:?}");
        }
    }

    #[test]
    fn a_block_that_was_refused_is_lost_and_was_never_found() {
        let lost = [(Kind::BlockOrphaned, Phase::Begun)];
        assert_eq!(of_block(None, BlockState::Orphaned), lost);
        assert_eq!(of_block(None, BlockState::Submitted), []);
    }

    const STATES: [BatchState; 6] = [
        BatchState::Reserved,
        BatchState::Signed,
        BatchState::Broadcast,
        BatchState::Confirmed,
        BatchState::Released,
        BatchState::Manual,
    ];

    proptest! {
        /// In any order of states a payout is sent once and confirmed once, and never confirmed before
        /// it is sent.
        #[test]
        fn a_payout_is_told_of_once(states in prop::collection::vec(0..STATES.len(), 1..40)) {
            let (mut told, mut all) = (Told::Nothing, Vec::new());
            for state in states {
                let (kinds, next) = of_payout(told, STATES[state]);
                prop_assert!(next >= told);
                told = next;
                all.extend(kinds);
            }
            let places = |kind| {
                let all = all.iter().enumerate();
                all.filter(move |(_, other)| **other == kind).map(|(place, _)| place).collect::<Vec<_>>()
            };
            let (sent, confirmed) = (places(Kind::PayoutSent), places(Kind::PayoutConfirmed));
            prop_assert!(sent.len() <= 1 && confirmed.len() <= 1);
            if let [confirmed] = confirmed[..] {
                prop_assert!(sent[0] < confirmed);
            }
        }
    }

    #[test]
    fn what_is_told_comes_back_from_the_store() {
        for told in [Told::Nothing, Told::Sent, Told::Confirmed] {
            assert_eq!(Told::of_number(told.number()), Some(told));
        }
        assert_eq!(Told::of_number(3), None);
    }
}
