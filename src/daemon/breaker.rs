//! A circuit breaker: a daemon that does not answer is left alone for a while, then probed with one
//! call, and used again once that is answered.
//!
//! Kept by [`follow`](super::follow) for each daemon. A pure rule: `now` is an argument. A solved
//! block does not ask it: it is sent whatever the breaker says.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open the breaker: one can be an accident, three are not.
const THRESHOLD: u32 = 3;

/// How long it stays open the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How long it stays open at most: a daemon that is back is used again half a minute later.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A probe without an answer for so long was lost; another one may go.
const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// The breaker of one daemon.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    failures: u32,
    pause: Duration,
}

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Every call.
    Closed,
    /// None before `until`.
    Open {
        /// When a probe may go.
        until: Instant,
    },
    /// None but the probe that is under way.
    HalfOpen {
        /// When the probe went.
        probed: Instant,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            failures: 0,
            pause: FIRST_PAUSE,
        }
    }
}

impl Breaker {
    /// Whether a call may go now. A yes out of the open state is the one probe, and the answer to
    /// it must be told.
    pub fn allow(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } if now < until => false,
            State::HalfOpen { probed } if now < probed + PROBE_LIMIT => false,
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { probed: now };
                true
            }
        }
    }

    /// A call was answered.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// A call was not answered.
    pub fn failed(&mut self, now: Instant) {
        match self.state {
            State::Closed => {
                self.failures += 1;
                if self.failures >= THRESHOLD {
                    self.open(now);
                }
            }
            State::HalfOpen { .. } => {
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                self.open(now);
            }
            // A call from before it opened: nothing new.
            State::Open { .. } => {}
        }
    }

    /// Closes it by hand.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// What it lets through.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether every call may go.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    fn open(&mut self, now: Instant) {
        self.state = State::Open {
            until: now + self.pause,
        };
    }
}

impl State {
    /// One word, as health and metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half-open",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..THRESHOLD {
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.failed(now);
            breaker.failed(now);
            breaker.answered();
        }
        assert!(breaker.is_closed());
        assert!(!opened(now).is_closed());
    }

    #[test]
    fn pauses_double_up_to_the_limit_and_start_anew_after_an_answer() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let pause = Duration::from_secs(seconds);
            assert!(
                !breaker.allow(now + pause - Duration::from_nanos(1)),
                "{seconds}"
            );
            now += pause;
            assert!(breaker.allow(now), "{seconds}");
            breaker.failed(now);
        }
        assert!(breaker.allow(now + LONGEST_PAUSE));
        breaker.answered();
        assert!(breaker.is_closed());
        let mut breaker = opened(now);
        assert!(breaker.allow(now + FIRST_PAUSE));
    }

    #[test]
    fn a_lost_probe_does_not_keep_it_half_open_for_ever() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let probed = now + FIRST_PAUSE;
        assert!(breaker.allow(probed));
        assert!(!breaker.allow(probed + PROBE_LIMIT - Duration::from_nanos(1)));
        assert!(breaker.allow(probed + PROBE_LIMIT));
    }

    #[test]
    fn a_hand_closes_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(!breaker.allow(now));
        breaker.reset();
        assert!(breaker.allow(now) && breaker.is_closed());
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Ask,
        Answer,
        Fail,
        Reset,
        Wait(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Ask),
            1 => Just(Step::Answer),
            4 => Just(Step::Fail),
            1 => Just(Step::Reset),
            4 => (0u64..40_000).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn it_is_never_stuck_and_probes_one_at_a_time(
            steps in prop::collection::vec(any_step(), 0..200)
        ) {
            let mut now = Instant::now();
            let mut breaker = Breaker::default();
            let mut probing = None;
            for step in steps {
                match step {
                    Step::Ask => {
                        let closed = breaker.is_closed();
                        let allowed = breaker.allow(now);
                        prop_assert!(allowed || !closed);
                        if allowed && !closed {
                            let lost = |at: Instant| now >= at + PROBE_LIMIT;
                            prop_assert!(probing.is_none_or(lost), "two probes at once");
                            probing = Some(now);
                        }
                    }
                    Step::Answer => {
                        breaker.answered();
                        probing = None;
                        prop_assert!(breaker.is_closed());
                    }
                    Step::Fail => {
                        if matches!(breaker.state(), State::HalfOpen { .. }) {
                            probing = None;
                        }
                        breaker.failed(now);
                        prop_assert!(breaker.pause <= LONGEST_PAUSE);
                    }
                    Step::Reset => {
                        breaker.reset();
                        probing = None;
                    }
                    Step::Wait(millis) => now += Duration::from_millis(millis),
                }
            }
            prop_assert!(breaker.allow(now + PROBE_LIMIT.max(LONGEST_PAUSE)));
        }
    }
}
