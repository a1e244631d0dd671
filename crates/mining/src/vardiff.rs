//! The next difficulty of a connection, from the times of its shares.
//!
//! Shares arrive at random, so one late share means nothing: a difficulty changes when enough of
//! them, or enough silence, say so, and only when the change is worth a new job (the dead band).
//! Time is an argument, in milliseconds of any clock that does not jump.
//!
//! | seen | done |
//! |---|---|
//! | the first eight shares come four times too fast | jump to what they say |
//! | a window of shares is outside the dead band | go to what it says |
//! | six share times of silence | a quarter; before the first share, an eighth after two |

use crate::Difficulty;

/// Shares that make a window, if they come in time: their number is known to about a fifth.
const WINDOW_SHARES: u32 = 24;
/// The window ends after this many share times in any case.
const WINDOW_SHARE_TIMES: u64 = 16;
/// So many shares are enough to see a flood.
const FLOOD_SHARES: u32 = 8;
/// A flood is this many times too fast.
const FLOOD_FACTOR: u64 = 4;
/// One that goes by steps gets so many times as hard at once, and so does whoever is too fast to be served.
const STEP: u128 = 4;
/// Silence, in share times, after which it is made easier: by chance once in 400 windows.
const SILENCE: u64 = 6;
/// The same before the first share was seen, when nothing is known of the device.
const FIRST_SILENCE: u64 = 2;

/// What a listener allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The easiest difficulty.
    pub min: Difficulty,
    /// The hardest difficulty.
    pub max: Difficulty,
    /// The time between two shares to aim at, in milliseconds.
    pub share_time_ms: u64,
    /// Whether it is made harder only: whoever rents hashrate counts easy shares as a fault.
    pub harder_only: bool,
}

/// The difficulty of one connection.
#[derive(Clone, Debug)]
pub struct Vardiff {
    limits: Limits,
    current: Difficulty,
    window: Window,
    any_share: bool,
    by_steps: bool,
}

#[derive(Clone, Debug)]
struct Window {
    start_ms: u64,
    shares: u32,
    /// The sum of the difficulties of its shares, in steps of 2^-32.
    steps: u128,
}

impl Vardiff {
    /// Starts at `start`, brought into the limits.
    pub fn new(limits: Limits, start: Difficulty, now_ms: u64) -> Self {
        let current = start.clamp(limits.min, limits.max);
        Self {
            limits,
            current,
            window: Window::new(now_ms),
            any_share: false,
            by_steps: false,
        }
    }

    /// The same, which gets at most four times as hard at once: a difficulty that was asked for gives way only as
    /// far as it has to.
    pub fn by_steps(mut self) -> Self {
        self.by_steps = true;
        self
    }

    /// Aims at another time between two shares from now on, in milliseconds.
    pub fn aim_at(&mut self, share_time_ms: u64) {
        self.limits.share_time_ms = share_time_ms;
    }

    /// The difficulty for the next job.
    pub fn current(&self) -> Difficulty {
        self.current
    }

    /// The miner asks for a difficulty. It gets it within the limits, and vardiff goes on from there.
    pub fn suggest(&mut self, wanted: Difficulty, now_ms: u64) -> Option<Difficulty> {
        self.move_to(wanted.clamp(self.limits.min, self.limits.max), now_ms)
    }

    /// Shares come faster than they may: it is made four times as hard, where the limits let it.
    pub fn raise(&mut self, now_ms: u64) -> Option<Difficulty> {
        let harder = self.a_step_up();
        self.move_to(harder.clamp(self.limits.min, self.limits.max), now_ms)
    }

    /// A share was accepted at this difficulty, that of its job. Returns the new difficulty if
    /// it changes.
    pub fn share(&mut self, difficulty: Difficulty, now_ms: u64) -> Option<Difficulty> {
        self.any_share = true;
        self.window.shares = self.window.shares.saturating_add(1);
        self.window.steps = self.window.steps.saturating_add(difficulty.steps().into());
        let elapsed_ms = self.elapsed_ms(now_ms);
        let flood = self.window.shares >= FLOOD_SHARES
            && elapsed_ms * FLOOD_FACTOR
                < u64::from(self.window.shares) * self.limits.share_time_ms;
        let full = self.window.shares >= WINDOW_SHARES
            || elapsed_ms >= WINDOW_SHARE_TIMES * self.limits.share_time_ms;
        if flood || full {
            self.judge_window(now_ms)
        } else {
            None
        }
    }

    /// Time went by. To be called about once a share time. Returns the new difficulty if it changes.
    pub fn tick(&mut self, now_ms: u64) -> Option<Difficulty> {
        let (silence, easier) = if self.any_share {
            (SILENCE, 4)
        } else {
            (FIRST_SILENCE, 8)
        };
        let elapsed_ms = self.elapsed_ms(now_ms);
        if self.window.shares == 0 && elapsed_ms >= silence * self.limits.share_time_ms {
            let eased = Difficulty::from_steps(u128::from(self.current.steps() / easier));
            self.window = Window::new(now_ms);
            if self.limits.harder_only {
                return None;
            }
            return self.move_to(eased.clamp(self.limits.min, self.limits.max), now_ms);
        }
        let over = elapsed_ms >= WINDOW_SHARE_TIMES * self.limits.share_time_ms;
        if over {
            self.judge_window(now_ms)
        } else {
            None
        }
    }

    fn judge_window(&mut self, now_ms: u64) -> Option<Difficulty> {
        let elapsed_ms = self.elapsed_ms(now_ms).max(1);
        let steps = self
            .window
            .steps
            .saturating_mul(self.limits.share_time_ms.into());
        let mut wanted = Difficulty::from_steps(steps / u128::from(elapsed_ms)).rounded_to_ladder();
        if self.by_steps {
            wanted = wanted.min(self.a_step_up());
        }
        let wanted = wanted.clamp(self.limits.min, self.limits.max);
        self.window = Window::new(now_ms);
        let (wanted_steps, current) =
            (u128::from(wanted.steps()), u128::from(self.current.steps()));
        // The dead band: from 5/8 to 8/5 of the present difficulty nothing changes.
        let inside = wanted_steps * 8 >= current * 5 && wanted_steps * 5 <= current * 8;
        // What was asked for is gone back to all the way.
        let is_asked_for = self.by_steps && wanted == self.limits.min;
        if inside && !is_asked_for || self.limits.harder_only && wanted < self.current {
            None
        } else {
            self.move_to(wanted, now_ms)
        }
    }

    fn a_step_up(&self) -> Difficulty {
        Difficulty::from_steps(u128::from(self.current.steps()) * STEP)
    }

    fn move_to(&mut self, wanted: Difficulty, now_ms: u64) -> Option<Difficulty> {
        if wanted == self.current {
            return None;
        }
        self.current = wanted;
        self.window = Window::new(now_ms);
        Some(wanted)
    }

    fn elapsed_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.window.start_ms)
    }
}

impl Window {
    fn new(start_ms: u64) -> Self {
        Self {
            start_ms,
            shares: 0,
            steps: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        min: Difficulty::MIN,
        max: Difficulty::MAX,
        share_time_ms: 15_000,
        harder_only: false,
    };

    fn difficulty(number: f64) -> Difficulty {
        Difficulty::from_f64(number).unwrap()
    }

    /// Runs a device of so many difficulty-1 shares an hour with exponentially distributed share
    /// times; returns the difficulty it ends at and the shares it sent.
    fn run(per_hour: f64, start: Difficulty, hours: f64, seed: u64) -> (f64, u32) {
        let mut random = seed | 1;
        let mut uniform = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            f64::from(u32::try_from(random >> 32).unwrap()) / f64::from(u32::MAX) + 1e-12
        };
        let mut vardiff = Vardiff::new(LIMITS, start, 0);
        let (mut now, mut shares, end) = (0.0, 0, hours * 3_600_000.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a test's clock"
        )]
        let ms = |time: f64| time as u64;
        let mut next_tick = 15_000.0;
        while now < end {
            let mean = vardiff.current().to_f64() / per_hour * 3_600_000.0;
            let next = now - uniform().ln() * mean;
            if next > next_tick {
                now = next_tick;
                next_tick += 15_000.0;
                vardiff.tick(ms(now));
            } else {
                now = next;
                shares += 1;
                vardiff.share(vardiff.current(), ms(now));
            }
        }
        (vardiff.current().to_f64(), shares)
    }

    #[test]
    fn any_device_settles_near_one_share_in_its_time() {
        // From a 20 kH/s toy (1e-5 difficulty-1 shares a second) to 300 TH/s.
        for (per_second, start) in [
            (4.6e-6, 1.0),
            (0.0015, 1024.0),
            (233.0, 1.0),
            (69_849.0, 1e-6),
        ] {
            for seed in 1..20 {
                let (end, shares) = run(per_second * 3600.0, difficulty(start), 4.0, seed * 77_777);
                let ratio = end / (per_second * 15.0);
                assert!(
                    (0.2..5.0).contains(&ratio),
                    "{per_second}/s from {start}: {ratio}"
                );
                assert!(
                    shares < 3_000,
                    "{per_second}/s from {start}: {shares} shares"
                );
            }
        }
    }

    #[test]
    fn a_first_flood_is_stopped_within_eight_shares() {
        let mut vardiff = Vardiff::new(LIMITS, difficulty(0.001), 0);
        let changes: Vec<_> = (1..=8)
            .filter_map(|i| vardiff.share(difficulty(0.001), i))
            .collect();
        // 8 shares of 0.001 in 8 ms are 15 a share time.
        assert_eq!(changes, [difficulty(14.0)]);
    }

    #[test]
    fn silence_makes_it_easier_down_to_the_limit() {
        let limits = Limits {
            min: difficulty(1.0),
            ..LIMITS
        };
        let mut vardiff = Vardiff::new(limits, difficulty(100.0), 0);
        assert_eq!(vardiff.tick(29_999), None);
        assert_eq!(vardiff.tick(30_000), Some(difficulty(12.5)));
        assert_eq!(vardiff.tick(60_000), Some(difficulty(1.5625)));
        assert_eq!(vardiff.tick(90_000), Some(difficulty(1.0)));
        assert_eq!(vardiff.tick(900_000), None);
    }

    #[test]
    fn a_steady_miner_is_left_alone() {
        let mut vardiff = Vardiff::new(LIMITS, difficulty(64.0), 0);
        for i in 1..500 {
            assert_eq!(vardiff.share(difficulty(64.0), i * 13_000), None);
            assert_eq!(vardiff.tick(i * 13_000 + 1), None);
        }
    }

    #[test]
    fn a_suggestion_is_taken_within_the_limits() {
        let limits = Limits {
            min: difficulty(0.5),
            max: difficulty(8.0),
            ..LIMITS
        };
        let mut vardiff = Vardiff::new(limits, difficulty(1.0), 0);
        assert_eq!(
            vardiff.suggest(difficulty(0.000_15), 1),
            Some(difficulty(0.5))
        );
        assert_eq!(vardiff.suggest(difficulty(1e9), 1), Some(difficulty(8.0)));
        assert_eq!(vardiff.suggest(difficulty(8.0), 1), None);
    }

    #[test]
    fn rented_hashrate_never_gets_easier_work() {
        let limits = Limits {
            harder_only: true,
            ..LIMITS
        };
        let mut vardiff = Vardiff::new(limits, difficulty(64.0), 0);
        assert_eq!(vardiff.tick(1_000_000), None);
        assert_eq!(vardiff.share(difficulty(64.0), 2_000_000), None);
        for i in 1..=24 {
            vardiff.share(difficulty(64.0), 2_000_000 + i);
        }
        assert!(vardiff.current() > difficulty(64.0));
    }

    #[test]
    fn one_that_goes_by_steps_gets_four_times_as_hard_at_once_and_falls_as_others_do() {
        let mut vardiff = Vardiff::new(LIMITS, difficulty(1.0), 0).by_steps();
        let burst = |vardiff: &mut Vardiff, now| {
            for _ in 0..FLOOD_SHARES {
                vardiff.share(vardiff.current(), now);
            }
            vardiff.current()
        };
        assert_eq!(burst(&mut vardiff, 1), difficulty(4.0));
        assert_eq!(burst(&mut vardiff, 2), difficulty(16.0));
        assert_eq!(vardiff.tick(1_000_000), Some(difficulty(4.0)));
    }

    #[test]
    fn a_raise_is_four_times_as_hard_up_to_the_limit() {
        let limits = Limits {
            max: difficulty(100.0),
            ..LIMITS
        };
        let mut vardiff = Vardiff::new(limits, difficulty(10.0), 0);
        assert_eq!(vardiff.raise(1), Some(difficulty(40.0)));
        assert_eq!(vardiff.raise(2), Some(difficulty(100.0)));
        assert_eq!(vardiff.raise(3), None);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_limits_whatever_happens(
            events in prop::collection::vec((any::<bool>(), 0u64..100_000, 1u64..1 << 62), 1..200),
            min in 1u64..1 << 40, span in 0u64..1 << 61,
        ) {
            let limits = Limits {
                min: Difficulty::from_steps(min.into()),
                max: Difficulty::from_steps(u128::from(min) + u128::from(span)),
                share_time_ms: 15_000,
                harder_only: false,
            };
            let mut vardiff = Vardiff::new(limits, difficulty(1.0), 0);
            let mut now = 0;
            for (share, passed, steps) in events {
                now += passed;
                if share {
                    vardiff.share(Difficulty::from_steps(steps.into()), now);
                } else {
                    vardiff.tick(now);
                }
                prop_assert!(vardiff.current() >= limits.min && vardiff.current() <= limits.max);
            }
        }
    }
}
