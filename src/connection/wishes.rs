//! Which difficulty a miner gets: what it wishes, within what its device can bear, within what the
//! listener allows. What the password says goes before `mining.suggest_difficulty`, and that before
//! what is known of the device.

use mining::{
    Difficulty,
    device::{CoinbaseClass, Profile},
    password::{Ignored, Options},
    vardiff::{Limits, Vardiff},
};
use wire::sv1::reply;

use super::Context;

/// AxeOS shows no more of a message.
const MESSAGE_LEN_MAX: usize = 256;

/// What the device can bear, on this listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device {
    /// How large its coinbase may be.
    pub(crate) class: CoinbaseClass,
    limits: Limits,
    start: Difficulty,
    user_max: Option<usize>,
    /// Whether it reads targets of 4 bytes alone, in Monero's dialect.
    pub(super) short_target: bool,
}

/// What a miner has asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    /// The difficulty it asked for last.
    pub(crate) suggested: Option<Difficulty>,
    /// The easiest it wants (`minimum-difficulty` of BIP 310).
    pub(crate) least: Option<Difficulty>,
    fixed: Option<Difficulty>,
    min: Option<Difficulty>,
    start: Option<Difficulty>,
}

impl Device {
    pub(crate) fn new(profile: &Profile, context: &Context) -> Self {
        let rules = &context.rules;
        let algorithm = context.coin.algorithm();
        let (limits, start) = profile.within(rules.vardiff, rules.start_difficulty, algorithm);
        Self {
            class: profile.class,
            limits,
            start,
            user_max: profile.user_max,
            short_target: profile.short_target,
        }
    }

    /// The limits of this miner's vardiff, and where it begins. `before` is the difficulty it had
    /// when it was here last.
    pub(crate) fn difficulties(
        &self,
        wishes: &Wishes,
        before: Option<Difficulty>,
    ) -> (Limits, Difficulty) {
        let (easiest, hardest) = (self.limits.min, self.limits.max);
        if let Some(fixed) = wishes.fixed {
            let fixed = fixed.clamp(easiest, hardest);
            let limits = Limits {
                min: fixed,
                max: fixed,
                ..self.limits
            };
            return (limits, fixed);
        }
        let least = wishes.least.max(wishes.min);
        let limits = Limits {
            min: least.map_or(easiest, |least| least.clamp(easiest, hardest)),
            ..self.limits
        };
        let start = wishes.start.or(wishes.suggested).or(before);
        (
            limits,
            start.unwrap_or(self.start).clamp(limits.min, hardest),
        )
    }

    /// The vardiff of a miner whose shares are costly to verify, and the time between them to aim at, in
    /// milliseconds. What is fixed is the easiest then: it aims at no time by itself, and gives way while the miner
    /// takes more than its part of what can be verified.
    pub(crate) fn costly_vardiff(&self, wishes: &Wishes) -> (Vardiff, u64) {
        let (limits, start) = self.difficulties(wishes, None);
        match wishes.fixed {
            None => (Vardiff::new(limits, start, 0), limits.share_time_ms),
            Some(_) => {
                let limits = Limits {
                    max: self.limits.max,
                    share_time_ms: 1,
                    // What was asked for is never too easy.
                    harder_only: false,
                    ..limits
                };
                let vardiff = Vardiff::new(limits, start, 0).by_steps();
                (vardiff, limits.share_time_ms)
            }
        }
    }

    /// Tells the miner's owner what came out other than he may think.
    pub(crate) fn tell(&self, user: &str, ignored: &[Ignored], out: &mut Vec<u8>) {
        if let Some(longest) = self.user_max.filter(|longest| user.len() > *longest) {
            let text = format!(
                "This device may cut names after {longest} characters. The pool's page has a short one."
            );
            reply::show_message(out, &text);
        }
        if !ignored.is_empty() {
            let parts: Vec<_> = ignored.iter().map(Ignored::to_string).collect();
            let mut text = format!("Not heeded in the password: {}", parts.join("; "));
            text.truncate(MESSAGE_LEN_MAX);
            reply::show_message(out, &text);
        }
    }
}

impl Wishes {
    /// All of them in steps, to be written down.
    pub(crate) fn steps(&self) -> [Option<u64>; 5] {
        let Self {
            suggested,
            least,
            fixed,
            min,
            start,
        } = *self;
        [suggested, least, fixed, min, start].map(|wish| wish.map(Difficulty::steps))
    }

    /// What was written down.
    pub(crate) fn of_steps(steps: [Option<u64>; 5]) -> Self {
        let wishes = steps.map(|wish| wish.map(|steps| Difficulty::from_steps(steps.into())));
        let [suggested, least, fixed, min, start] = wishes;
        Self {
            suggested,
            least,
            fixed,
            min,
            start,
        }
    }

    /// Takes what the login says, which goes before what the password says.
    pub(crate) fn fix(&mut self, fixed: Option<Difficulty>) {
        self.fixed = fixed.or(self.fixed);
    }

    /// Takes how many hashes a second the miner says that it makes, unless it has said where to begin.
    pub(crate) fn of_speed(&mut self, hashes: Option<u64>, context: &Context) {
        let speed = Options {
            hashrate: hashes.filter(|hashes| *hashes > 0).map(u128::from),
            ..Options::default()
        };
        let share_time_ms = context.rules.vardiff.share_time_ms;
        self.begin_at(speed.start_difficulty(context.coin.algorithm(), share_time_ms));
    }

    /// Begins there, unless it was said where.
    fn begin_at(&mut self, start: Option<Difficulty>) {
        self.start = self.start.or(start);
    }

    /// Takes what the password says.
    pub(crate) fn of_password(&mut self, options: &Options, context: &Context) {
        let share_time_ms = context.rules.vardiff.share_time_ms;
        self.fixed = options.fixed;
        self.min = options.min;
        self.start = options.start_difficulty(context.coin.algorithm(), share_time_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difficulty(number: f64) -> Difficulty {
        Difficulty::from_f64(number).unwrap()
    }

    fn device() -> Device {
        Device {
            class: CoinbaseClass::Stock,
            limits: Limits {
                min: difficulty(1.0),
                max: difficulty(1000.0),
                share_time_ms: 15_000,
                harder_only: false,
            },
            start: difficulty(64.0),
            user_max: None,
            short_target: false,
        }
    }

    #[test]
    fn a_miner_that_says_how_fast_it_is_begins_there_unless_it_says_where() {
        let speed = |hashes| Options {
            hashrate: hashes,
            ..Options::default()
        };
        let begins =
            |options: &Options| options.start_difficulty(pow::ProofOfWork::RandomX, 10_000);
        assert_eq!(begins(&speed(Some(1_500))), Some(difficulty(15_000.0)));
        let mut wishes = Wishes::default();
        wishes.begin_at(begins(&speed(Some(1_500))));
        assert_eq!(wishes.start, Some(difficulty(15_000.0)));
        wishes.begin_at(begins(&speed(Some(3_000))));
        assert_eq!(wishes.start, Some(difficulty(15_000.0)));
        wishes.begin_at(begins(&speed(None)));
        assert_eq!(wishes.start, Some(difficulty(15_000.0)));
    }

    #[test]
    fn what_is_fixed_of_costly_shares_gives_way_while_they_cannot_be_verified() {
        let fixed = Wishes {
            fixed: Some(difficulty(8.0)),
            ..Wishes::default()
        };
        let mut rented = device();
        rented.limits.harder_only = true;
        for device in [device(), rented] {
            let (mut vardiff, wanted_ms) = device.costly_vardiff(&fixed);
            assert_eq!((vardiff.current(), wanted_ms), (difficulty(8.0), 1));
            let mut now = 0;
            let mut shares = |vardiff: &mut Vardiff, every_ms: u64, count: u32| {
                for _ in 0..count {
                    now += every_ms;
                    let difficulty = vardiff.current();
                    vardiff.share(difficulty, now);
                    vardiff.tick(now);
                }
                vardiff.current()
            };
            // Many shares or few: nobody is short of anything.
            for every_ms in [10, 60_000] {
                assert_eq!(shares(&mut vardiff, every_ms, 100), difficulty(8.0));
            }
            // There is room for a share in a second. A burst is no reason for more than a step.
            vardiff.aim_at(1_000);
            assert!(shares(&mut vardiff, 1, 8) <= difficulty(32.0));
            assert!(shares(&mut vardiff, 100, 200) > difficulty(40.0));
            vardiff.aim_at(1);
            assert_eq!(shares(&mut vardiff, 100, 100), difficulty(8.0));
        }
        let (vardiff, wanted_ms) = device().costly_vardiff(&Wishes::default());
        assert_eq!((vardiff.current(), wanted_ms), (difficulty(64.0), 15_000));
    }

    #[test]
    fn the_password_goes_before_a_suggestion_and_that_before_the_device() {
        let some = |number: f64| Some(difficulty(number));
        let case = |wishes: Wishes, before: Option<Difficulty>, expected: (f64, f64, f64)| {
            let (limits, start) = device().difficulties(&wishes, before);
            let (min, max, first) = expected;
            assert_eq!(
                (limits.min, limits.max, start),
                (difficulty(min), difficulty(max), difficulty(first)),
                "{wishes:?}"
            );
        };
        let none = Wishes::default();
        case(none, None, (1.0, 1000.0, 64.0));
        case(none, some(5.0), (1.0, 1000.0, 5.0));
        let suggested = Wishes {
            suggested: some(16.0),
            ..none
        };
        case(suggested, some(5.0), (1.0, 1000.0, 16.0));
        let start = Wishes {
            start: some(32.0),
            ..suggested
        };
        case(start, some(5.0), (1.0, 1000.0, 32.0));
        let least = Wishes {
            least: some(40.0),
            min: some(33.0),
            ..start
        };
        case(least, None, (40.0, 1000.0, 40.0));
        let fixed = Wishes {
            fixed: some(8.0),
            ..least
        };
        case(fixed, None, (8.0, 8.0, 8.0));
        for (wish, got) in [(0.001, 1.0), (5000.0, 1000.0)] {
            let fixed = Wishes {
                fixed: some(wish),
                ..none
            };
            case(fixed, None, (got, got, got));
        }
    }
}
