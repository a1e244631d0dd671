//! When a trouble begins and when it is over. What is observed must stay bad for a while before it is
//! told, and stay good for a while before it is over, so that nothing flaps.

use super::Phase;

/// What was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Trouble.
    Bad,
    /// Between trouble and none, or too little is known: nothing begins or ends.
    Unclear,
    /// No trouble.
    Good,
}

/// How long an observation must hold, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Trouble, before it begins.
    pub bad_ms: i64,
    /// No trouble, before it is over.
    pub good_ms: i64,
}

/// A trouble that may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Since when it is trouble that was told, in milliseconds since 1970.
    begun_ms: Option<i64>,
    /// Since when the opposite of that is observed.
    against_ms: Option<i64>,
}

impl Condition {
    /// One that had begun already, as the store remembers it.
    pub fn begun(since_ms: i64) -> Self {
        Self {
            begun_ms: Some(since_ms),
            against_ms: None,
        }
    }

    /// Since when it is trouble; nothing if it is none.
    pub fn since_ms(&self) -> Option<i64> {
        self.begun_ms
    }

    /// Takes an observation, and says whether the trouble begins with it or is over. A clock that was
    /// set back lets the wait begin anew.
    pub fn observe(&mut self, level: Level, hold: Hold, now_ms: i64) -> Option<Phase> {
        let (against, wait_ms) = match self.begun_ms {
            None => (Level::Bad, hold.bad_ms),
            Some(_) => (Level::Good, hold.good_ms),
        };
        if level != against {
            self.against_ms = None;
            return None;
        }
        let since_ms = match self.against_ms {
            Some(since_ms) if since_ms <= now_ms => since_ms,
            _ => *self.against_ms.insert(now_ms),
        };
        if now_ms.saturating_sub(since_ms) < wait_ms {
            return None;
        }
        self.against_ms = None;
        match self.begun_ms {
            None => {
                self.begun_ms = Some(now_ms);
                Some(Phase::Begun)
            }
            Some(_) => {
                self.begun_ms = None;
                Some(Phase::Over)
            }
        }
    }

    /// It is no trouble any more, and nobody is told.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOLD: Hold = Hold {
        bad_ms: 60_000,
        good_ms: 30_000,
    };

    fn at(condition: &mut Condition, level: Level, second: i64) -> Option<Phase> {
        condition.observe(level, HOLD, second * 1000)
    }

    #[test]
    fn trouble_that_holds_begins_and_is_over_when_it_has_gone() {
        let mut condition = Condition::default();
        assert_eq!(at(&mut condition, Level::Bad, 0), None);
        assert_eq!(at(&mut condition, Level::Bad, 59), None);
        assert_eq!(at(&mut condition, Level::Bad, 60), Some(Phase::Begun));
        assert_eq!(condition.since_ms(), Some(60_000));
        assert_eq!(at(&mut condition, Level::Bad, 500), None, "told once");
        assert_eq!(at(&mut condition, Level::Good, 501), None);
        assert_eq!(at(&mut condition, Level::Good, 531), Some(Phase::Over));
        assert_eq!(at(&mut condition, Level::Good, 600), None, "told once");
    }

    #[test]
    fn what_comes_between_lets_the_wait_begin_anew() {
        let mut condition = Condition::default();
        at(&mut condition, Level::Bad, 0);
        at(&mut condition, Level::Unclear, 50);
        assert_eq!(at(&mut condition, Level::Bad, 60), None);
        assert_eq!(at(&mut condition, Level::Bad, 119), None);
        assert_eq!(at(&mut condition, Level::Bad, 120), Some(Phase::Begun));
        at(&mut condition, Level::Good, 130);
        at(&mut condition, Level::Bad, 159);
        assert_eq!(at(&mut condition, Level::Good, 160), None);
        // The clock was set back: nothing is over too early, and nothing waits for ever.
        assert_eq!(at(&mut condition, Level::Good, 100), None);
        assert_eq!(at(&mut condition, Level::Good, 129), None);
        assert_eq!(at(&mut condition, Level::Good, 130), Some(Phase::Over));
    }

    #[test]
    fn what_the_store_remembers_is_not_told_again() {
        let mut condition = Condition::begun(5);
        assert_eq!(at(&mut condition, Level::Bad, 1_000), None);
        assert_eq!(condition.since_ms(), Some(5));
        condition.forget();
        assert_eq!(condition, Condition::default());
    }

    proptest! {
        /// Whatever is observed, beginnings and ends take turns, and each comes only after a stretch
        /// as long as was asked for in which nothing else was observed.
        #[test]
        fn nothing_flaps(
            steps in prop::collection::vec((0..20_000_i64, 0..3_u8), 1..300),
            bad_ms in 0..50_000_i64,
            good_ms in 0..50_000_i64,
        ) {
            let hold = Hold { bad_ms, good_ms };
            let (mut condition, mut now) = (Condition::default(), 0);
            let mut seen: Vec<(i64, Level)> = Vec::new();
            let mut last = Phase::Over;
            for (passed, level) in steps {
                now += passed;
                let level = [Level::Bad, Level::Unclear, Level::Good][usize::from(level)];
                seen.push((now, level));
                let Some(phase) = condition.observe(level, hold, now) else {
                    continue;
                };
                prop_assert_ne!(phase, last);
                let (wanted, held) = match phase {
                    Phase::Begun => (Level::Bad, bad_ms),
                    _ => (Level::Good, good_ms),
                };
                let run = seen.iter().rev().take_while(|(_, level)| *level == wanted);
                let since = run.last().expect("this one at least").0;
                prop_assert!(now - since >= held, "{since} to {now}");
                last = phase;
            }
        }
    }
}
