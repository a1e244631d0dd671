//! The running money against a reference: work, blocks, branches of the chain, orphans before and after
//! they were mature, payouts with all that goes wrong at a wallet, thefts, operators, and ends of the
//! process amid any of it, in random orders. After each event the books balance, every balance is what
//! a plain computation says, and nobody has more on the chain than he was owed; in the end all is paid.
//!
//! `running` is the real store and the real tasks, on the node of `chain`, whose looks are taken by hand;
//! `reference` says what the books should say, `payments` what may become of payouts. A failure prints
//! the shortest sequence that was found for it. `ADIT_MODEL_CASES=1000 cargo test --lib running_money`
//! runs more of them.

mod action;
mod chain;
mod payments;
mod reference;
mod retry;
mod running;
mod world;

use std::cell::RefCell;

use bitcoin::{Address, Network, ScriptBuf, WitnessProgram, WitnessVersion};
use proptest::{
    prelude::any,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};

use self::{
    action::{Action, ShareComes, actions},
    reference::Way,
    world::{Counts, World},
};

/// Sequences of a usual run.
const CASES: u32 = 100;
const ACTIONS: std::ops::RangeInclusive<usize> = 10..=60;
/// How long a sequence that fails is made shorter.
const SHRINK_MS: u32 = 120_000;

const MATURITY: u32 = 3;
const CONFIRMATIONS: u32 = 2;
/// The window, and how many hashes that is where a block takes two.
const WINDOW_IN_BLOCKS: u32 = 5;
const WINDOW: u128 = 10;
/// Of the pool's own fee to begin with, in hundredths of a percent.
const POOL_FEE: u64 = 150;
const PAYMENTS_MAX: usize = 2;
const THRESHOLD: u64 = 1_000_000;
/// Whose they are, by number, and their names. One miner has two.
const WORKERS: [(u8, &str); 5] = [(1, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "a")];
/// Where the fee of the pool goes; the other one has no address.
const POOL: u8 = 100;

/// What the usual run has to reach, or it tests less than it seems to.
const REACHED: [&str; 17] = [
    "a block of a round whose fee is another one by now",
    "a block that came back after it was mature",
    "a block that left after it was mature",
    "a block that left before it was mature",
    "a block that was booked as mature",
    "a block whose share never came",
    "a look without the right to pay",
    "a payout given back that was not signed",
    "a payout given back that was signed",
    "a payout that a person gave back",
    "a payout that a person sent again",
    "a payout that waits for a person",
    "a payout that was confirmed",
    "a share that came later than its block",
    "a theft",
    "an end amid a payout",
    "an end amid the books",
];

#[test]
fn the_running_money_is_what_the_model_says() {
    let cases = std::env::var("ADIT_MODEL_CASES").ok();
    let cases = cases.map_or(CASES, |text| text.parse().unwrap());
    let config = Config {
        cases,
        max_shrink_time: SHRINK_MS,
        failure_persistence: None,
        ..Config::default()
    };
    // The same sequences each time, and with more cases more of them.
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let counts = RefCell::new(Counts::new());
    let mut runner = TestRunner::new_with_rng(config, random);
    let sequences = (any::<bool>(), actions());
    let run = runner.run(&sequences, |(is_patient, actions)| {
        let more = runtime().block_on(async {
            let mut world = World::new(is_patient).await;
            for action in &actions {
                world.step(action).await;
            }
            world.settle().await;
            world.counts
        });
        for (what, count) in more {
            *counts.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    });
    if let Err(TestError::Fail(why, sequence)) = run {
        panic!("{sequence:#?}\n{why}");
    }
    let counts = counts.into_inner();
    println!("{counts:#?}");
    for what in REACHED {
        assert!(
            cases < CASES || counts.contains_key(what),
            "{what} was never reached"
        );
    }
}

/// The chain leaves eleven blocks, more than any payout waits for. On what is left the wallet's coins
/// are not mature, so the node forgets what spends them.
#[test]
fn a_payout_that_was_confirmed_and_has_left_the_chain_is_sent_again() {
    runtime().block_on(async {
        let mut world = World::new(false).await;
        let find = Action::Find(Way::Pplns, 0, ShareComes::WithBlock);
        for action in [find, Action::Seconds(6)] {
            world.step(&action).await;
        }
        assert!(world.counts["a payout that was confirmed"] > 1);
        world.step(&Action::Leave(11, 0)).await;
        for _ in 0..9 {
            world.step(&Action::Grow(1)).await;
        }
        assert!(!world.confirmed_are_there());
        for action in [Action::Restart, Action::Pay(0), Action::Grow(1)] {
            world.step(&action).await;
        }
        assert!(world.confirmed_are_there());
    });
}

/// The work before a block that was left at once is told apart from the rest only as long as it is kept,
/// and a branch may come back after more work than is kept for windows.
#[test]
fn a_block_that_comes_back_late_is_split_by_the_work_before_it() {
    runtime().block_on(async {
        let mut world = World::new(false).await;
        let find = Action::Find(Way::Pplns, 0, ShareComes::WithBlock);
        let books = [Action::Follow, Action::Account { joins: true }];
        for action in [find, Action::Leave(1, 0)].iter().chain(&books) {
            world.step(action).await;
        }
        for _ in 0..20 {
            world.step(&Action::Work(Way::Pplns, vec![(2, 6)])).await;
            world.step(&Action::AddUp).await;
        }
        for action in [books[1].clone(), Action::ComeBack].iter().chain(&books) {
            world.step(action).await;
        }
        assert_eq!(
            world.counts.get("a block that left before it was mature"),
            None
        );
        world.settle().await;
    });
}

/// The operator changes the pool's fee amid a round, which holds from the next one on. What was mined before pays
/// what was told.
#[test]
fn a_round_keeps_the_fees_that_it_began_with() {
    runtime().block_on(async {
        let mut world = World::new(false).await;
        let find = |way| Action::Find(way, 0, ShareComes::WithBlock);
        for way in [Way::Prop, Way::Pplns] {
            for action in [
                Action::Work(way, vec![(1, 5)]),
                Action::Fee(300),
                Action::Work(way, vec![(2, 5)]),
                Action::Fee(1_000),
                find(way),
                // Nobody has mined for the next round yet.
                Action::Fee(0),
                Action::Work(way, vec![(1, 5)]),
                find(way),
                Action::Work(way, vec![(2, 5)]),
                Action::Fee(150),
                find(way),
            ] {
                world.step(&action).await;
            }
            for action in [Action::Follow, Action::Account { joins: false }] {
                world.step(&action).await;
            }
            let fees = world.pool_fees(way).await;
            assert_eq!(fees, [150, 0, 0], "{way:?}");
        }
        assert!(world.counts["a block of a round whose fee is another one by now"] > 1);
        world.settle().await;
    });
}

/// Two blocks are found at about the same time, and the share of the second one is written first: it
/// belongs to its own round alone.
#[test]
fn a_share_counts_in_one_round_whenever_it_is_written() {
    runtime().block_on(async {
        let mut world = World::new(false).await;
        for action in [
            Action::Find(Way::Prop, 0, ShareComes::Later),
            Action::Find(Way::Prop, 2, ShareComes::WithBlock),
            Action::ShareComes,
            Action::Follow,
            Action::Account { joins: false },
        ] {
            world.step(&action).await;
        }
        // Each was alone in its round, so both have the same.
        world.settle().await;
    });
}

/// The fees, if this is the pool's own one, in hundredths of a percent. The last gets what is nobody's.
fn fees(pool: u64) -> [(&'static str, u64); 2] {
    [("pool", pool), ("foundation", 100)]
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// An address that nobody has the key of.
fn script_of(number: u8) -> ScriptBuf {
    let program = WitnessProgram::new(WitnessVersion::V0, &[number; 20]).unwrap();
    ScriptBuf::new_witness_program(&program)
}

fn address(number: u8) -> String {
    let script = script_of(number);
    Address::from_script(&script, Network::Regtest)
        .unwrap()
        .to_string()
}

/// Of a worker's miner.
fn address_of(worker: usize) -> String {
    address(WORKERS[worker].0)
}

/// Everyone who can be paid.
fn payees() -> impl Iterator<Item = String> {
    let miners = [1, 2, 3, 4].map(|number| format!("miner:{}", address(number)));
    miners.into_iter().chain(["fee:pool".to_owned()])
}

/// Where an account is paid.
fn pay_to(account: &str) -> Option<(String, ScriptBuf)> {
    match account.split_once(':')? {
        ("miner", text) => {
            let number = [1, 2, 3, 4]
                .into_iter()
                .find(|number| address(*number) == text)?;
            Some((text.to_owned(), script_of(number)))
        }
        ("fee", "pool") => Some((address(POOL), script_of(POOL))),
        _ => None,
    }
}
