//! The session against a reference: random sequences of what miners do, legal and not, while work,
//! commits, time and bans go on around them. No valid share is refused, no invalid one taken, every
//! answer is the one that is due, and nothing panics.
//!
//! `rig` drives the real [`Session`](super::session::Session) with all its real parts but sockets;
//! `peer` is the reference. A failure prints the shortest sequence that was found for it, and its
//! seed: `ADIT_SEED=7 cargo test --lib a_session_does` runs that one again. `ADIT_SEQUENCES=100000` runs more.

mod action;
mod due;
mod handshake;
mod heard;
mod house;
mod peer;
mod random;
mod rig;
mod shot;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use self::{house::House, peer::Setup, random::Random, rig::Rig};

/// Sequences of a usual run: some seconds. 100,000 take about a minute.
const SEQUENCES: u64 = 5_000;
/// What a usual sequence has of actions, at least and below.
const ACTIONS: (usize, usize) = (12, 32);
/// One sequence in so many is longer: enough to push jobs out and to fill what is in flight.
const LONG_EVERY: usize = 100;
const LONG_ACTIONS: usize = 500;
/// What the generator has to reach in a usual run, or it tests less than it seems to.
const REACHED: [&str; 25] = [
    "Difficulty too low",
    "Duplicate share",
    "Invalid nonce2 length",
    "Invalid version mask",
    "Job not found",
    "Not subscribed",
    "Ntime out of range",
    "Stale",
    "Too many shares",
    "Unauthorized worker",
    "banned",
    "eased",
    "failed",
    "good",
    "good on a job from before",
    "good the second time",
    "in flight, all",
    "job pushed out",
    "misspelled",
    "no work",
    "raised",
    "resumed",
    "unknown",
    "vardiff",
    "wish granted",
];

type Counts = BTreeMap<&'static str, u64>;

/// Why a sequence failed, and at which of its actions.
struct Failure {
    why: String,
    at: usize,
    transcript: Vec<String>,
}

#[test]
fn a_session_does_what_the_model_says() {
    let house = House::start();
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number("ADIT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ADIT_SEQUENCES").unwrap_or(SEQUENCES),
    };
    let usual = seeds.end - seeds.start >= SEQUENCES;
    let mut counts = Counts::new();
    for seed in seeds {
        let actions = actions_of(seed, setup_of(seed));
        match run(&house, seed, &actions, false) {
            Ok(more) => more
                .into_iter()
                .for_each(|(what, count)| *counts.entry(what).or_default() += count),
            Err(failure) => panic!("{}", shortest(&house, seed, actions, failure)),
        }
    }
    for what in REACHED {
        assert!(
            !usual || counts.contains_key(what),
            "{what} was never reached"
        );
    }
}

fn actions_of(seed: u64, setup: Setup) -> Vec<usize> {
    let mut random = Random::new(seed, u64::MAX);
    let (least, end) = ACTIONS;
    let count = match setup.is_steady || random.one_in(LONG_EVERY) {
        true => LONG_ACTIONS,
        false => least + random.below(end - least),
    };
    (0..count).collect()
}

fn setup_of(seed: u64) -> Setup {
    action::setup(&mut Random::new(seed, u64::MAX - 1))
}

/// Runs these actions of a sequence.
fn run(house: &House, seed: u64, actions: &[usize], is_told: bool) -> Result<Counts, Failure> {
    let mut rig = Rig::new(house, setup_of(seed), is_told);
    for (at, action) in actions.iter().enumerate() {
        let mut random = Random::new(seed, u64::try_from(*action).unwrap());
        let done = catch_unwind(AssertUnwindSafe(|| action::step(&mut rig, &mut random)));
        let why = match done {
            Ok(Ok(())) => continue,
            Ok(Err(why)) => why,
            Err(_) => "a panic".to_owned(),
        };
        let transcript = rig.transcript.unwrap_or_default();
        return Err(Failure {
            why,
            at,
            transcript,
        });
    }
    Ok(rig.counts)
}

/// Leaves out whatever is not needed for a failure, and says what is left.
fn shortest(house: &House, seed: u64, mut actions: Vec<usize>, mut failure: Failure) -> String {
    actions.truncate(failure.at + 1);
    for at in (0..actions.len()).rev() {
        if at >= actions.len() {
            continue;
        }
        let mut fewer = actions.clone();
        fewer.remove(at);
        if let Err(another) = run(house, seed, &fewer, false) {
            fewer.truncate(another.at + 1);
            (actions, failure) = (fewer, another);
        }
    }
    // A header's time is judged by the time of day, so a few failures do not come again.
    let mut transcript = vec!["(it did not fail again)".to_owned()];
    let mut why = failure.why;
    if let Err(told) = run(house, seed, &actions, true) {
        (why, transcript) = (told.why, told.transcript);
    }
    format!(
        "seed {seed}, actions {actions:?}\n{}\n{why}",
        transcript.join("\n")
    )
}
