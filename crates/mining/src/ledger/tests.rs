//! The books against the plainest model of them: a map of balances.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::{
    Scheme, Work,
    accounting::{Credits, Fee, Fees},
};

const BLOCK: Hash = Hash([7; 32]);

/// Balances, posted and pending, as whoever adds by hand would have them.
#[derive(Default)]
struct Books {
    posted: BTreeMap<Account, i128>,
    pending: HashMap<EntryId, Entry>,
    ids: HashSet<EntryId>,
}

impl Books {
    /// Writes an entry; false if it is there already.
    fn enter(&mut self, entry: Entry) -> bool {
        if !self.ids.insert(entry.id().clone()) {
            return false;
        }
        if entry.is_pending() {
            self.pending.insert(entry.id().clone(), entry);
        } else {
            self.post(&entry);
        }
        true
    }

    fn settle(&mut self, id: &EntryId, outcome: Outcome) {
        let entry = self.pending.remove(id).expect("it is pending");
        if outcome == Outcome::Posted {
            self.post(&entry);
        }
    }

    fn post(&mut self, entry: &Entry) {
        for transfer in entry.transfers() {
            let amount = i128::from(transfer.amount().units());
            *self.posted.entry(transfer.from().clone()).or_default() -= amount;
            *self.posted.entry(transfer.to().clone()).or_default() += amount;
        }
        for (account, balance) in &self.posted {
            assert!(
                *balance >= 0 || account.may_owe(),
                "{account} has {balance}"
            );
        }
        assert_eq!(self.posted.values().sum::<i128>(), 0);
    }

    fn of(&self, account: &Account) -> i128 {
        self.posted.get(account).copied().unwrap_or_default()
    }
}

fn miner(name: &str) -> Account {
    Account::Miner(name.into())
}

fn fees() -> Fees {
    let fee = |name: &str, percent: &str| Fee {
        name: name.into(),
        percent: percent.parse().unwrap(),
    };
    Fees::new(
        vec![fee("pool", "1.5"), fee("foundation", "1")],
        "foundation",
    )
    .unwrap()
}

/// A reward, split among three miners by their work.
fn parts(reward: u64) -> Vec<(Account, Amount)> {
    let work = [(miner("a"), 70), (miner("b"), 30), (miner("c"), 0)];
    let work = work.map(|(account, hashes)| (account, Work::from_hashes(hashes)));
    let fees = fees();
    let credits = Credits::new(Amount::from_units(reward), &fees, work).unwrap();
    let names = fees.list().iter().map(|fee| Account::Fee(fee.name.clone()));
    let miners = credits.miners().iter();
    names
        .zip(credits.fees().iter().copied())
        .chain(miners.map(|credit| (credit.miner.clone(), credit.amount)))
        .collect()
}

#[test]
fn accounts_have_one_text_each() {
    for text in [
        "reward",
        "paid",
        "network-fee",
        "reserve",
        "operator",
        "miner:bc1qxyz",
        "fee:pool",
        "batch:0",
        "batch:17",
    ] {
        assert_eq!(text.parse::<Account>().unwrap().to_string(), text);
    }
    let long = format!("miner:{}", "x".repeat(200));
    for text in [
        "",
        "miner",
        "miner:",
        "Reward",
        "batch:+1",
        "batch:01",
        "batch:-1",
        "batch:x",
        "fee:",
        "fee:a b",
        "bank:x",
        "miner:a\nb",
        &long,
    ] {
        assert!(text.parse::<Account>().is_err(), "{text:?}");
    }
    let of_length = |length: usize| format!("miner:{}", "x".repeat(length - 6));
    assert!(of_length(160).parse::<Account>().is_ok());
    assert!(of_length(161).parse::<Account>().is_err());
}

#[test]
fn only_the_operator_s_accounts_may_owe_and_only_others_are_paid() {
    let accounts = [
        (Account::Reward, true, false),
        (Account::Reserve, true, false),
        (Account::Operator, true, false),
        (miner("a"), false, true),
        (Account::Fee("pool".into()), false, true),
        (Account::Batch(3), false, false),
        (Account::Paid, false, false),
        (Account::NetworkFee, false, false),
    ];
    for (account, may_owe, is_payable) in accounts {
        assert_eq!(account.may_owe(), may_owe, "{account}");
        assert_eq!(account.is_payable(), is_payable, "{account}");
    }
}

/// Ids keep anything from being entered twice, by later versions too: these texts stay.
#[test]
fn the_same_thing_has_the_same_id_for_ever() {
    let coin = "bitcoin";
    let (one, nothing) = (Amount::from_units(1), Amount::ZERO);
    let block = BlockEntries { coin, block: BLOCK };
    let batch = BatchEntries { coin, batch: 3 };
    let transfer = Transfer::new(Account::Operator, Account::Reserve, one).unwrap();
    let hash = "07".repeat(32);
    let cases = [
        (
            block.credit(1, []),
            format!("bitcoin:block:{hash}:credit:1"),
        ),
        (
            block.to_reserve(2, one),
            format!("bitcoin:block:{hash}:credit:2"),
        ),
        (
            block.charge(1, one, nothing),
            format!("bitcoin:block:{hash}:charge:1"),
        ),
        (
            block.restore(1, one, nothing),
            format!("bitcoin:block:{hash}:restore:1"),
        ),
        (batch.claim([]), "bitcoin:batch:3:claim".into()),
        (
            batch.confirm(one, nothing),
            "bitcoin:batch:3:confirm".into(),
        ),
        (batch.release([], "test"), "bitcoin:batch:3:release".into()),
        (
            Entry::correction("7", transfer, "test"),
            "operator:7".into(),
        ),
    ];
    for (entry, id) in cases {
        assert_eq!(entry.id().as_str(), id);
        assert_eq!(entry.id().to_string(), id);
        assert_eq!(&EntryId::of_row(id), entry.id());
    }
}

#[test]
fn shares_are_paid_by_the_reserve_and_known_by_the_last_of_them() {
    let entries = ShareEntries {
        coin: "bitcoin",
        scheme: Scheme::Fpps,
        height: 900_000,
        last: (17, 3),
    };
    let amounts = [(miner("a"), 5), (miner("b"), 0), (miner("c"), 7)];
    let parts = amounts.map(|(account, units)| (account, Amount::from_units(units)));
    let entry = entries.credit(parts.iter().map(|(account, amount)| (account, *amount)));
    assert_eq!(entry.id().as_str(), "bitcoin:shares:fpps:17.3");
    assert_eq!(entry.reason(), "shares at height 900000");
    assert!(!entry.is_pending());
    let moved: Vec<_> = entry
        .transfers()
        .iter()
        .map(|transfer| (transfer.from(), transfer.to(), transfer.amount().units()))
        .collect();
    let reserve = &Account::Reserve;
    // Who gets less than a unit is not in it.
    assert_eq!(
        moved,
        [(reserve, &miner("a"), 5), (reserve, &miner("c"), 7)]
    );
}

#[test]
fn a_transfer_moves_something_somewhere() {
    let one = Amount::from_units(1);
    assert_eq!(
        Transfer::new(miner("a"), miner("b"), Amount::ZERO),
        Err(BadEntry::Nothing)
    );
    assert_eq!(
        Transfer::new(miner("a"), miner("a"), one),
        Err(BadEntry::Itself(miner("a")))
    );
}

#[test]
fn a_block_pays_its_miners_when_it_is_mature() {
    let entries = BlockEntries {
        coin: "bitcoin",
        block: BLOCK,
    };
    let entry = entries.credit(1, parts(1000));
    assert!(entry.is_pending());
    // Nobody is entered with nothing.
    assert_eq!(entry.transfers().len(), 4);
    let mut books = Books::default();
    assert!(books.enter(entry.clone()));
    assert!(!books.enter(entry.clone()), "the same thing happens once");
    assert_eq!(books.of(&miner("a")), 0);
    books.settle(entry.id(), Outcome::Posted);
    assert_eq!(books.of(&Account::Reward), -1000);
    // 15 and 10 for the fees, and 975 in the ratio of 7 to 3: 682.5 and 292.5.
    assert_eq!((books.of(&miner("a")), books.of(&miner("b"))), (683, 292));
    let all: i128 = [miner("a"), miner("b"), Account::Fee("pool".into())]
        .iter()
        .chain([&Account::Fee("foundation".into())])
        .map(|account| books.of(account))
        .sum();
    assert_eq!(all, 1000);
}

#[test]
fn a_block_that_pays_by_itself_leaves_nothing_to_pay() {
    let block = BlockEntries {
        coin: "bitcoin",
        block: BLOCK,
    };
    let mut books = Books::default();
    books.enter(block.paid_by_itself(1, parts(1000)));
    books.settle(&block.credit_id(1), Outcome::Posted);
    assert_eq!(books.of(&miner("a")), 0);
    assert_eq!(books.of(&Account::Paid), 1000);
    assert_eq!(books.of(&Account::Reward), -1000);
}

#[test]
fn a43_the_books_follow_a_block_through_its_life() {
    use BlockState::{Immature, Mature, Orphaned, Submitted};
    #[track_caller]
    fn case(states: &[BlockState], expected: &[BlockStep]) {
        let mut books = BlockBooks::default();
        let mut steps = Vec::new();
        for state in states {
            while let Some(step) = books.next(*state) {
                steps.push(step);
                books = books.after(step);
                assert!(steps.len() < 20, "no end: {steps:?}");
            }
        }
        assert_eq!(steps, expected);
    }
    let posted = |nth| BlockStep::Settle(nth, Outcome::Posted);
    let voided = |nth| BlockStep::Settle(nth, Outcome::Voided);
    case(
        &[Submitted, Immature, Mature, Mature],
        &[BlockStep::Credit(1), posted(1)],
    );
    case(
        &[Submitted, Orphaned, Orphaned],
        &[BlockStep::Credit(1), voided(1)],
    );
    case(&[Orphaned], &[]);
    case(&[Mature], &[BlockStep::Credit(1), posted(1)]);
    case(
        &[Immature, Orphaned, Immature, Mature],
        &[
            BlockStep::Credit(1),
            voided(1),
            BlockStep::Credit(2),
            posted(2),
        ],
    );
    // A44: it was paid for, so the reserve bears it, each time anew.
    case(
        &[Mature, Orphaned, Orphaned, Immature, Mature, Orphaned],
        &[
            BlockStep::Credit(1),
            posted(1),
            BlockStep::Charge(1),
            BlockStep::Restore(1),
            BlockStep::Charge(2),
        ],
    );
}

#[test]
fn a_payout_that_fails_gives_all_back() {
    let mut books = Books::default();
    let block = BlockEntries {
        coin: "bitcoin",
        block: BLOCK,
    };
    books.enter(block.credit(1, parts(1000)));
    books.settle(&block.credit_id(1), Outcome::Posted);
    let before = books.posted.clone();
    let batch = BatchEntries {
        coin: "bitcoin",
        batch: 3,
    };
    let (a, b) = (miner("a"), miner("b"));
    let payments = [(&a, Amount::from_units(600)), (&b, Amount::from_units(200))];
    books.enter(batch.claim(payments));
    assert_eq!(books.of(&Account::Batch(3)), 800);
    books.enter(batch.release(payments, "its inputs were spent elsewhere"));
    assert_eq!(books.of(&Account::Batch(3)), 0);
    assert!(
        before
            .iter()
            .all(|(account, balance)| books.of(account) == *balance)
    );
}

/// What may happen to the books of a pool with three blocks and three batches.
#[derive(Clone, Debug)]
enum Event {
    Block(usize, BlockState),
    Claim(usize),
    Confirm(usize),
    Release(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let state = prop::sample::select(&BlockState::ALL[..]);
    prop_oneof![
        4 => (0..3_usize, state).prop_map(|(block, state)| Event::Block(block, state)),
        1 => (0..3_usize).prop_map(Event::Claim),
        1 => (0..3_usize).prop_map(Event::Confirm),
        1 => (0..3_usize).prop_map(Event::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// In any order of blocks, orphans and payouts the books balance after each entry, nobody but
    /// the reserve owes anything, and what was mined is what was paid, is owed, or is the reserve's.
    #[test]
    fn a91_the_books_balance_whatever_happens(events in prop::collection::vec(event(), 1..60)) {
        let mut books = Books::default();
        let mut states = [BlockState::Submitted; 3];
        let mut known = [BlockBooks::default(); 3];
        let mut claimed: [Option<Vec<(Account, Amount)>>; 3] = Default::default();
        let mut ended = [false; 3];
        for event in events {
            match event {
                Event::Block(place, state) => {
                    if !states[place].becomes(state) {
                        continue;
                    }
                    states[place] = state;
                    let block = Hash([u8::try_from(place).unwrap(); 32]);
                    let entries = BlockEntries { coin: "bitcoin", block };
                    let reward = 1000 + 7 * u64::try_from(place).unwrap();
                    let mut steps = 0;
                    while let Some(step) = known[place].next(state) {
                        steps += 1;
                        prop_assert!(steps < 5, "no end");
                        match step {
                            BlockStep::Credit(nth) => {
                                prop_assert!(books.enter(entries.credit(nth, parts(reward))));
                            }
                            BlockStep::Settle(nth, outcome) => {
                                books.settle(&entries.credit_id(nth), outcome);
                            }
                            BlockStep::Charge(nth) => {
                                prop_assert!(books.enter(entries.charge(nth, Amount::from_units(reward), Amount::ZERO)));
                            }
                            BlockStep::Restore(nth) => {
                                prop_assert!(books.enter(entries.restore(nth, Amount::from_units(reward), Amount::ZERO)));
                            }
                        }
                        known[place] = known[place].after(step);
                    }
                }
                Event::Claim(place) if claimed[place].is_none() => {
                    let payable = books.posted.iter().filter(|(account, balance)| {
                        account.is_payable() && **balance > 0
                    });
                    let payments: Vec<_> = payable
                        .map(|(account, balance)| {
                            (account.clone(), Amount::from_units(u64::try_from(*balance).unwrap()))
                        })
                        .collect();
                    let batch = BatchEntries { coin: "bitcoin", batch: u64::try_from(place).unwrap() };
                    let claim = payments.iter().map(|(account, amount)| (account, *amount));
                    prop_assert!(books.enter(batch.claim(claim)));
                    claimed[place] = Some(payments);
                }
                Event::Confirm(place) | Event::Release(place) => {
                    let Some(payments) = &claimed[place] else { continue };
                    if std::mem::replace(&mut ended[place], true) {
                        continue;
                    }
                    let batch = BatchEntries { coin: "bitcoin", batch: u64::try_from(place).unwrap() };
                    let payments = payments.iter().map(|(account, amount)| (account, *amount));
                    let entry = match event {
                        Event::Confirm(_) => {
                            let total = Amount::checked_sum(payments.map(|(_, amount)| amount));
                            batch.confirm(total.unwrap(), Amount::from_units(3))
                        }
                        _ => batch.release(payments, "test"),
                    };
                    prop_assert!(books.enter(entry));
                    prop_assert_eq!(books.of(&Account::Batch(u64::try_from(place).unwrap())), 0);
                }
                Event::Claim(_) => {}
            }
            // What miners, fees and batches have and had is what mature blocks brought.
            let posted = known.iter().enumerate().filter(|(_, known)| {
                known.outcome == Some(Outcome::Posted)
            });
            let mined: i128 = posted.map(|(place, _)| 1000 + 7 * i128::try_from(place).unwrap()).sum();
            let theirs = books.posted.iter().filter(|(account, _)| {
                account.is_payable() || matches!(account, Account::Batch(_) | Account::Paid)
            });
            prop_assert_eq!(theirs.map(|(_, balance)| *balance).sum::<i128>(), mined);
        }
    }
}

/// A coinbase that pays in part: what it paid is paid, what it did not is owed, and nobody pays for what
/// a later orphan took back from those who were paid by it.
#[test]
fn what_a_coinbase_paid_is_booked_as_it_was_paid() {
    let entries = BlockEntries {
        coin: "bitcoin",
        block: BLOCK,
    };
    let units = Amount::from_units;
    let paid = BTreeMap::from([(miner("a"), units(683))]);
    let mut books = Books::default();
    let entry = entries.paid_in_part(1, parts(1000), &paid);
    let id = entry.id().clone();
    assert!(entry.is_pending());
    books.enter(entry);
    assert_eq!(books.of(&Account::Paid), 0);
    books.settle(&id, Outcome::Posted);
    // 975 for the miners, 70 to 30: 682.5 and 292.5, of which the first gets the unit.
    assert_eq!(books.of(&miner("a")), 0);
    assert_eq!(books.of(&miner("b")), 292);
    assert_eq!(books.of(&Account::Paid), 683);
    assert_eq!(books.of(&Account::Reward), -1000);
    assert_eq!(books.of(&Account::Reserve), 0);
    books.enter(entries.charge(1, units(1000), units(683)));
    assert_eq!(books.of(&Account::Paid), 0);
    assert_eq!(books.of(&Account::Reserve), -317);
    assert_eq!(books.of(&Account::Reward), 0);
    books.enter(entries.restore(1, units(1000), units(683)));
    assert_eq!(books.of(&Account::Paid), 683);
    assert_eq!(books.of(&Account::Reserve), 0);
}

/// The fees were changed between the coinbase and the books: the reserve bears what was paid too much.
#[test]
fn a_coinbase_that_paid_too_much_is_the_reserve_s() {
    let entries = BlockEntries {
        coin: "bitcoin",
        block: BLOCK,
    };
    let units = Amount::from_units;
    let paid = BTreeMap::from([(miner("a"), units(700)), (miner("stranger"), units(5))]);
    let mut books = Books::default();
    let entry = entries.paid_in_part(1, parts(1000), &paid);
    let id = entry.id().clone();
    books.enter(entry);
    books.settle(&id, Outcome::Posted);
    assert_eq!(books.of(&miner("a")), 0);
    assert_eq!(books.of(&miner("stranger")), 0);
    assert_eq!(books.of(&Account::Paid), 705);
    assert_eq!(books.of(&Account::Reserve), -(700 - 683) - 5);
    assert_eq!(books.of(&Account::Reward), -1000);
}

#[test]
fn outcomes_have_their_names() {
    for (outcome, name) in [(Outcome::Posted, "posted"), (Outcome::Voided, "voided")] {
        assert_eq!(outcome.name(), name);
        assert_eq!(Outcome::of_name(name), Some(outcome));
    }
    assert_eq!(Outcome::of_name("pending"), None);
}
