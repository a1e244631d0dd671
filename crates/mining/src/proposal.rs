//! Which blocks the daemon is asked about before they are solved.
//!
//! What can make a block of ours invalid lies in its [`Shape`], so one block of each shape is
//! enough, now and then. `src/proposal.rs` asks; here is when and about what.

use std::{collections::BTreeMap, fmt};

use crate::{device::CoinbaseClass, job::JobTemplate};

/// A shape is proposed again after this long, in milliseconds: a daemon may have been replaced, and
/// checking a full block keeps it busy for up to a second.
pub const AGAIN_AFTER_MS: u64 = 10 * 60 * 1000;

/// The most shapes remembered. More can only be numbers of outputs; the one asked about the longest
/// ago is forgotten, which costs one call.
const SHAPES_MAX: usize = 1_024;

/// What blocks have in common that are valid or invalid together, as far as it is our doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    /// The class of devices whose coinbase it has.
    pub class: CoinbaseClass,
    /// Whether there are transactions beside the coinbase.
    pub has_transactions: bool,
    /// The payments of the coinbase.
    pub outputs: usize,
    /// Whether the coinbase has a witness commitment.
    pub has_commitment: bool,
}

impl Shape {
    /// That of the blocks made from this template.
    pub fn of(shared: &JobTemplate) -> Self {
        Self {
            class: shared.class,
            has_transactions: shared.template.transactions.count() > 0,
            outputs: shared.coinbase.paid().len(),
            has_commitment: shared.template.witness_commitment.is_some(),
        }
    }
}

/// For people: `class stock, with transactions, 1 output, with a witness commitment`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = format!("{:?}", self.class).to_lowercase();
        let with = |has: bool| if has { "with" } else { "without" };
        let many = if self.outputs == 1 { "" } else { "s" };
        write!(
            f,
            "class {class}, {} transactions, {} output{many}, {} a witness commitment",
            with(self.has_transactions),
            self.outputs,
            with(self.has_commitment),
        )
    }
}

/// When each shape was proposed last. Times are milliseconds of a clock that never goes back.
#[derive(Clone, Debug, Default)]
pub struct Proposed(BTreeMap<Shape, u64>);

impl Proposed {
    /// Whether a shape is to be proposed: never yet, or long ago.
    pub fn is_due(&self, shape: Shape, now_ms: u64) -> bool {
        self.0
            .get(&shape)
            .is_none_or(|asked| now_ms.saturating_sub(*asked) >= AGAIN_AFTER_MS)
    }

    /// It is proposed now.
    pub fn note(&mut self, shape: Shape, now_ms: u64) {
        self.0.insert(shape, now_ms);
        if self.0.len() > SHAPES_MAX {
            let oldest = self.0.iter().min_by_key(|(_, asked)| **asked);
            if let Some(oldest) = oldest.map(|(shape, _)| *shape) {
                self.0.remove(&oldest);
            }
        }
    }

    /// The daemon had nothing to say about it: it is due at once.
    pub fn forget(&mut self, shape: Shape) {
        self.0.remove(&shape);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(outputs: usize) -> Shape {
        Shape {
            class: CoinbaseClass::Stock,
            has_transactions: true,
            outputs,
            has_commitment: false,
        }
    }

    #[test]
    fn a39_a_shape_is_new_once_and_due_again_after_ten_minutes() {
        let mut proposed = Proposed::default();
        assert!(proposed.is_due(shape(1), 0));
        proposed.note(shape(1), 5);
        assert!(!proposed.is_due(shape(1), 5));
        assert!(!proposed.is_due(shape(1), 600_004));
        assert!(proposed.is_due(shape(1), 600_005));
        proposed.note(shape(1), 600_005);
        assert!(!proposed.is_due(shape(1), 600_006));
        proposed.forget(shape(1));
        assert!(proposed.is_due(shape(1), 600_006));
    }

    #[test]
    fn a39_each_difference_is_another_shape() {
        let mut proposed = Proposed::default();
        proposed.note(shape(1), 0);
        let others = [
            shape(2),
            Shape {
                class: CoinbaseClass::Toy,
                ..shape(1)
            },
            Shape {
                has_transactions: false,
                ..shape(1)
            },
            Shape {
                has_commitment: true,
                ..shape(1)
            },
        ];
        for other in others {
            assert!(proposed.is_due(other, 0), "{other}");
        }
        assert!(!proposed.is_due(shape(1), 0));
    }

    #[test]
    fn a_shape_is_told_to_people() {
        let told = shape(1).to_string();
        let expected = "class stock, with transactions, 1 output, without a witness commitment";
        assert_eq!(told, expected);
        assert!(shape(2).to_string().contains("2 outputs"));
    }

    proptest! {
        #[test]
        fn a39_no_shape_is_asked_twice_in_ten_minutes(
            steps in prop::collection::vec((0usize..8, 0u64..400_000), 0..200),
        ) {
            let (mut proposed, mut now) = (Proposed::default(), 0);
            let mut asked: BTreeMap<usize, u64> = BTreeMap::new();
            for (outputs, elapsed) in steps {
                now += elapsed;
                let due = asked.get(&outputs).is_none_or(|at| now - at >= 600_000);
                prop_assert_eq!(proposed.is_due(shape(outputs), now), due);
                if due {
                    proposed.note(shape(outputs), now);
                    asked.insert(outputs, now);
                }
            }
        }

        #[test]
        fn what_is_remembered_has_a_limit(count in 0usize..3_000) {
            let mut proposed = Proposed::default();
            for (now, outputs) in (0..).zip(0..count) {
                proposed.note(shape(outputs), now);
            }
            prop_assert_eq!(proposed.0.len(), count.min(SHAPES_MAX));
            prop_assert!(count == 0 || !proposed.is_due(shape(count - 1), 3_000));
        }
    }
}
