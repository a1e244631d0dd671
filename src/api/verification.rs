//! What was verified of shares whose hash is costly, and what was believed: in `/health`, with each pool,
//! and for `/metrics`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    display,
    verifier::{Capacity, Verifier},
};

/// More than so many seconds' worth of shares wait: it is too much for the machine.
const BUSY_S: u64 = 2;
/// Fewer that wait are no trouble, however slow the machine.
const BUSY_LEAST: u64 = 64;

/// Shares whose hash is costly, since the process started.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Verification {
    /// Those that were what they claimed.
    pub verified: u64,
    /// Those that were not.
    pub forged: u64,
    /// Those that were credited without being verified.
    pub believed: u64,
    /// Those that were turned away because too many waited.
    pub throttled: u64,
    /// Those that wait now.
    pub waiting: u64,
    /// How many can be verified in a second; zero before the first can.
    pub per_second: f64,
    /// The good ones after which some of a worker's are believed; absent where each is verified.
    pub trust_after: Option<u32>,
    /// Whole ones in a minute, of which those of a second are made.
    #[serde(skip)]
    pub(super) per_minute: u64,
}

impl Verification {
    /// What is so now.
    pub(super) fn of(verifier: &Verifier) -> Self {
        let figures = verifier.figures();
        let per_minute = verifier.capacity().map_or(0, Capacity::per_minute);
        let sampling = verifier.plan().sampling;
        Self {
            verified: figures.verified,
            forged: figures.forged,
            believed: figures.believed,
            throttled: figures.throttled,
            waiting: u64::try_from(figures.waiting).unwrap_or(u64::MAX),
            per_second: display::to_f64(per_minute.into()) / 60.0,
            trust_after: sampling.map(|rule| rule.after()),
            per_minute,
        }
    }

    /// Whether more wait than the machine is through with soon.
    pub(super) fn is_busy(&self) -> bool {
        let soon = self.per_minute.saturating_mul(BUSY_S) / 60;
        self.waiting > soon.max(BUSY_LEAST)
    }

    /// For people.
    pub(super) fn told(&self) -> String {
        let Self {
            verified,
            forged,
            believed,
            throttled,
            waiting,
            per_second,
            ..
        } = self;
        let mut text = format!(
            "{per_second:.1} shares a second can be verified, {waiting} wait; \
             {verified} were true, {forged} forged, {throttled} throttled"
        );
        match self.trust_after {
            None => text.push_str("; none is believed"),
            Some(after) => {
                text +=
                    &format!(", {believed} believed, of workers with more than {after} true ones");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(waiting: u64, per_minute: u64) -> Verification {
        Verification {
            verified: 120,
            forged: 2,
            believed: 40,
            throttled: 3,
            waiting,
            per_second: 40.0,
            trust_after: None,
            per_minute,
        }
    }

    #[test]
    fn more_than_two_seconds_of_waiting_shares_are_too_many_unless_they_are_few() {
        for (waiting, per_minute, is_busy) in [
            (0, 0, false),
            (64, 0, false),
            (65, 0, true),
            (80, 2_400, false),
            (81, 2_400, true),
            (65, 60, true),
        ] {
            assert_eq!(
                figures(waiting, per_minute).is_busy(),
                is_busy,
                "{waiting} {per_minute}"
            );
        }
    }

    #[test]
    fn whether_shares_are_believed_is_told_with_how_many_were() {
        let mut figures = figures(1, 2_400);
        assert_eq!(
            figures.told(),
            "40.0 shares a second can be verified, 1 wait; 120 were true, 2 forged, 3 throttled; \
             none is believed"
        );
        figures.trust_after = Some(30);
        assert!(figures.told().ends_with(
            "2 forged, 3 throttled, 40 believed, of workers with more than 30 true ones"
        ));
    }
}
