//! The books: what is entered counts once, nothing goes below zero, and nothing is taken back.

use std::collections::BTreeMap;

use mining::{
    Amount, Network, Work,
    accounting::{Credits, Fee, Fees},
    ledger::{Account, BatchEntries, BlockEntries, Entry, EntryId, Outcome, Transfer},
};
use store::{Balance, EntryError, PoolId, Store};

use super::{Place, bitcoin, contract, hash, trouble::refused};

contract!(
    an_entry_counts_once,
    what_is_pending_counts_when_it_is_posted,
    nobody_gives_what_it_has_not_got,
    who_may_owe_can_be_told_to_keep_something,
    a_large_entry_is_one,
    a_statement_tells_what_happened,
    pools_keep_separate_books,
    the_database_itself_refuses_what_is_wrong,
    a_change_behind_the_books_is_found,
    many_enter_the_same_at_once,
    random_entries_agree_with_plain_sums,
);

const NOW: i64 = 1_800_000_000_000;

fn miner(name: &str) -> Account {
    Account::Miner(name.into())
}

fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

fn transfer(from: Account, to: Account, amount: u64) -> Transfer {
    Transfer::new(from, to, units(amount)).unwrap()
}

fn correction(id: &str, from: Account, to: Account, amount: u64) -> Entry {
    Entry::correction(id, transfer(from, to, amount), "test")
}

fn fees() -> Fees {
    let fee = |name: &str| Fee {
        name: name.into(),
        percent: "1".parse().unwrap(),
    };
    Fees::new(vec![fee("pool"), fee("foundation")], "foundation").unwrap()
}

/// The credits of block `number`: a reward of 1,000 for two miners.
fn credited(number: u64, nth: u32) -> Entry {
    let work = [(miner("a"), 3), (miner("b"), 1)];
    let work = work.map(|(account, hashes)| (account, Work::from_hashes(hashes)));
    let credits = Credits::new(units(1000), &fees(), work).unwrap();
    entries(number).credit(nth, parts(&credits))
}

/// Who gets what, as the books have it.
fn parts(credits: &Credits<Account>) -> Vec<(Account, Amount)> {
    let names = fees().list().to_vec();
    let names = names.into_iter().map(|fee| Account::Fee(fee.name));
    let miners = credits.miners().iter();
    names
        .zip(credits.fees().iter().copied())
        .chain(miners.map(|credit| (credit.miner.clone(), credit.amount)))
        .collect()
}

fn entries(number: u64) -> BlockEntries<'static> {
    BlockEntries {
        coin: "bitcoin",
        block: hash(number),
    }
}

async fn posted(store: &Store, pool: PoolId, account: &Account) -> i64 {
    store.balance(pool, account).await.unwrap().posted
}

async fn assert_balanced(store: &Store, pool: PoolId) {
    let books = store.check_books(pool).await.unwrap();
    assert!(books.balance(), "{books:?}");
}

async fn an_entry_counts_once(place: Place) {
    let (store, pool) = place.pool().await;
    let entry = correction("1", Account::Reward, miner("a"), 70);
    assert_eq!(store.enter(pool, &entry, NOW).await, Ok(true));
    assert_eq!(store.enter(pool, &entry, NOW).await, Ok(false));
    // Also by another process, and whatever else it says.
    let again = place.open().await;
    let other = correction("1", Account::Reward, miner("b"), 1);
    assert_eq!(again.enter(pool, &other, NOW).await, Ok(false));
    assert_eq!(posted(&store, pool, &miner("a")).await, 70);
    assert_eq!(posted(&store, pool, &Account::Reward).await, -70);
    assert_eq!(
        store.balance(pool, &miner("b")).await,
        Ok(Balance::default())
    );
    assert_balanced(&store, pool).await;
}

async fn what_is_pending_counts_when_it_is_posted(place: Place) {
    let (store, pool) = place.pool().await;
    let (one, two) = (credited(1, 1), credited(2, 1));
    for entry in [&one, &two] {
        assert_eq!(store.enter(pool, entry, NOW).await, Ok(true));
    }
    let balance = |posted, pending| Ok(Balance { posted, pending });
    assert_eq!(store.balance(pool, &miner("a")).await, balance(0, 1470));
    let settle = |entry: &Entry, outcome| {
        let (store, id) = (store.clone(), entry.id().clone());
        async move { store.settle(pool, &id, outcome, NOW + 1).await }
    };
    assert_eq!(settle(&one, Outcome::Posted).await, Ok(true));
    assert_eq!(settle(&one, Outcome::Posted).await, Ok(false));
    assert_eq!(settle(&two, Outcome::Voided).await, Ok(true));
    assert_eq!(settle(&two, Outcome::Voided).await, Ok(false));
    for (entry, outcome, state) in [
        (&one, Outcome::Voided, "posted"),
        (&two, Outcome::Posted, "voided"),
    ] {
        let id = entry.id().clone();
        assert_eq!(
            settle(entry, outcome).await,
            Err(EntryError::Settled { id, state })
        );
    }
    let unknown = EntryId::of_row("nothing".into());
    assert_eq!(
        store.settle(pool, &unknown, Outcome::Posted, NOW).await,
        Err(EntryError::Unknown(unknown.clone()))
    );
    assert_eq!(store.balance(pool, &miner("a")).await, balance(735, 0));
    assert_eq!(store.balance(pool, &miner("b")).await, balance(245, 0));
    assert_eq!(
        store.balance(pool, &Account::Fee("pool".into())).await,
        balance(10, 0)
    );
    assert_eq!(
        store.balance(pool, &Account::Reward).await,
        balance(-1000, 0)
    );
    assert_balanced(&store, pool).await;
}

async fn nobody_gives_what_it_has_not_got(place: Place) {
    let (store, pool) = place.pool().await;
    let gift = correction("1", Account::Reward, miner("a"), 10);
    store.enter(pool, &gift, NOW).await.unwrap();
    let batch = BatchEntries {
        coin: "bitcoin",
        batch: 1,
    };
    let (a, b) = (miner("a"), miner("b"));
    let claim = batch.claim([(&a, units(10)), (&b, units(1))]);
    assert_eq!(
        store.enter(pool, &claim, NOW).await,
        Err(EntryError::TooLittle(b.clone()))
    );
    // Nothing of it is there, and a smaller claim under the same id is a new one.
    assert_eq!(posted(&store, pool, &a).await, 10);
    assert_eq!(
        store
            .enter(pool, &batch.claim([(&a, units(10))]), NOW)
            .await,
        Ok(true)
    );
    assert_eq!(posted(&store, pool, &Account::Batch(1)).await, 10);
    // The reserve may owe: that is a debt for all to see.
    let debt = correction("2", Account::Reserve, Account::Reward, 500);
    assert_eq!(store.enter(pool, &debt, NOW).await, Ok(true));
    assert_eq!(posted(&store, pool, &Account::Reserve).await, -500);
    // A84: more than 63 bits.
    let most = correction("3", Account::Reward, miner("c"), u64::MAX);
    assert_eq!(
        store.enter(pool, &most, NOW).await,
        Err(EntryError::Amount(units(u64::MAX)))
    );
    assert_balanced(&store, pool).await;
}

async fn who_may_owe_can_be_told_to_keep_something(place: Place) {
    let (store, pool) = place.pool().await;
    let put = correction("1", Account::Operator, Account::Reserve, 10);
    assert_eq!(store.enter(pool, &put, NOW).await, Ok(true));
    let taken = |id, amount| correction(id, Account::Reserve, Account::Operator, amount);
    let take = async |entry: Entry, least| {
        let reserve = Account::Reserve;
        store
            .enter_leaving(pool, &entry, &reserve, least, NOW)
            .await
    };
    let too_little = Err(EntryError::TooLittle(Account::Reserve));
    assert_eq!(take(taken("2", 11), 0).await, too_little);
    assert_eq!(take(taken("2", 8), 3).await, too_little);
    assert_eq!(posted(&store, pool, &Account::Reserve).await, 10);
    assert_eq!(take(taken("2", 7), 3).await, Ok(true));
    // It is there, whatever is to be kept now.
    assert_eq!(take(taken("2", 7), 4).await, Ok(false));
    assert_eq!(posted(&store, pool, &Account::Operator).await, -3);
    assert_balanced(&store, pool).await;
}

async fn a_large_entry_is_one(place: Place) {
    const MINERS: u64 = 1300;
    let (store, pool) = place.pool().await;
    let work = (0..MINERS).map(|number| {
        (
            miner(&format!("m{number:04}")),
            Work::from_hashes(u128::from(number)),
        )
    });
    let credits = Credits::new(units(5_000_000_000), &fees(), work).unwrap();
    let entry = entries(1).credit(1, parts(&credits));
    assert_eq!(store.enter(pool, &entry, NOW).await, Ok(true));
    store
        .settle(pool, entry.id(), Outcome::Posted, NOW)
        .await
        .unwrap();
    let mut found = Vec::new();
    while let page = store
        .balances(pool, found.last().map(|(account, _)| account), 500)
        .await
        .unwrap()
        && !page.is_empty()
    {
        found.extend(page);
    }
    // The one without work got nothing and is not there; the fees and the reward are.
    assert_eq!(found.len(), 1299 + 3);
    let sum: i64 = found.iter().map(|(_, balance)| balance.posted).sum();
    assert_eq!(sum, 0);
    assert_balanced(&store, pool).await;
}

async fn a_statement_tells_what_happened(place: Place) {
    let (store, pool) = place.pool().await;
    for number in 1..=3 {
        let entry = credited(number, 1);
        store
            .enter(pool, &entry, NOW + i64::try_from(number).unwrap())
            .await
            .unwrap();
    }
    store
        .settle(pool, credited(1, 1).id(), Outcome::Posted, NOW + 9)
        .await
        .unwrap();
    store
        .settle(pool, credited(2, 1).id(), Outcome::Voided, NOW + 9)
        .await
        .unwrap();
    let batch = BatchEntries {
        coin: "bitcoin",
        batch: 1,
    };
    let a = miner("a");
    store
        .enter(pool, &batch.claim([(&a, units(700))]), NOW + 10)
        .await
        .unwrap();
    let lines = store.statement(pool, &a, None, 100).await.unwrap();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line.state.as_str(), line.amount, line.made_ms - NOW))
        .collect();
    let expected = [
        ("posted", -700, 10),
        ("pending", 735, 3),
        ("voided", 735, 2),
        ("posted", 735, 1),
    ];
    assert_eq!(told, expected);
    assert_eq!(lines[0].reason, "claimed for a payout");
    let page = store
        .statement(pool, &a, Some(lines[1].seq), 1)
        .await
        .unwrap();
    assert_eq!(page, lines[2..3]);
    assert_eq!(
        store.statement(pool, &miner("x"), None, 9).await,
        Ok(Vec::new())
    );
}

async fn pools_keep_separate_books(place: Place) {
    let (store, pool) = place.pool().await;
    let other = store
        .pool("other", bitcoin(), Network::Regtest)
        .await
        .unwrap();
    let entry = correction("1", Account::Reward, miner("a"), 7);
    assert_eq!(store.enter(pool, &entry, NOW).await, Ok(true));
    assert_eq!(
        store.balance(other, &miner("a")).await,
        Ok(Balance::default())
    );
    assert_eq!(store.enter(other, &entry, NOW).await, Ok(true));
    assert_eq!(posted(&store, pool, &miner("a")).await, 7);
    assert_balanced(&store, other).await;
}

/// Whatever a program does, or a person at the database.
async fn the_database_itself_refuses_what_is_wrong(place: Place) {
    let (store, pool) = place.pool().await;
    let other = store
        .pool("other", bitcoin(), Network::Regtest)
        .await
        .unwrap();
    store.enter(pool, &credited(1, 1), NOW).await.unwrap();
    let gift = correction("1", Account::Reward, miner("a"), 10);
    store.enter(pool, &gift, NOW).await.unwrap();
    let theirs = correction("1", Account::Reward, miner("b"), 3);
    store.enter(other, &theirs, NOW).await.unwrap();
    for wrong in [
        "UPDATE accounts SET posted = -1 WHERE name = 'miner:a'",
        "UPDATE transfers SET amount = 11",
        "DELETE FROM transfers",
        "DELETE FROM entries",
        "DELETE FROM accounts",
        "UPDATE entries SET state = 'voided', settled_ms = 1 WHERE id = 'operator:1'",
        "UPDATE entries SET reason = 'another' WHERE id = 'operator:1'",
        "UPDATE entries SET state = 'posted' WHERE state = 'pending'",
        "UPDATE entries SET id = 'x', state = 'posted', settled_ms = 1 WHERE state = 'pending'",
        "UPDATE entries SET state = 'lost', settled_ms = 1 WHERE state = 'pending'",
        // An entry that counts from the start, one of an id that is there.
        "INSERT INTO entries (seq, pool, id, state, reason, made_ms)
         VALUES (99, 1, 'x', 'posted', '', 1)",
        "INSERT INTO entries (seq, pool, id, state, reason, made_ms)
         VALUES (99, 1, 'operator:1', 'pending', '', 1)",
        // One more transfer for an entry that counts already.
        "INSERT INTO transfers (entry, place, debit, credit, amount)
         SELECT seq, 50, 1, 2, 5 FROM entries WHERE id = 'operator:1'",
        // Nothing, less than nothing, to itself, and of another pool.
        "INSERT INTO transfers (entry, place, debit, credit, amount)
         SELECT seq, 50, 1, 2, 0 FROM entries WHERE state = 'pending'",
        "INSERT INTO transfers (entry, place, debit, credit, amount)
         SELECT seq, 50, 1, 2, -5 FROM entries WHERE state = 'pending'",
        "INSERT INTO transfers (entry, place, debit, credit, amount)
         SELECT seq, 50, 1, 1, 5 FROM entries WHERE state = 'pending'",
        "INSERT INTO transfers (entry, place, debit, credit, amount)
         SELECT seq, 50, 1, 98, 5 FROM entries WHERE state = 'pending'",
        "INSERT INTO transfers (entry, place, debit, credit, amount)
         SELECT entries.seq, 50, 1, accounts.id, 5 FROM entries, accounts
         WHERE entries.state = 'pending' AND accounts.pool <> entries.pool",
        // A good one beside one of an entry that counts already.
        "INSERT INTO transfers (entry, place, debit, credit, amount)
         SELECT seq, 50, 1, 2, 5 FROM entries",
    ] {
        assert!(refused(&place, wrong).await, "{wrong}");
    }
    assert_eq!(posted(&store, pool, &miner("a")).await, 10);
    assert_balanced(&store, pool).await;
}

async fn a_change_behind_the_books_is_found(place: Place) {
    let (store, pool) = place.pool().await;
    let gift = correction("1", Account::Reward, miner("a"), 10);
    store.enter(pool, &gift, NOW).await.unwrap();
    let wrong = "UPDATE accounts SET posted = 11 WHERE name = 'miner:a'";
    assert!(!refused(&place, wrong).await);
    let books = store.check_books(pool).await.unwrap();
    assert!(!books.balance());
    assert_eq!((books.sum, books.wrong), (1, vec![miner("a")]));
}

async fn many_enter_the_same_at_once(place: Place) {
    let (store, pool) = place.pool().await;
    let other = place.open().await;
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let store = if number % 2 == 0 { &store } else { &other }.clone();
            tokio::spawn(async move {
                let entry = credited(1, 1);
                let entered = store.enter(pool, &entry, NOW).await.unwrap();
                let settled = store
                    .settle(pool, entry.id(), Outcome::Posted, NOW)
                    .await
                    .unwrap();
                (entered, settled)
            })
        })
        .collect();
    let (mut entered, mut settled) = (0, 0);
    for task in tasks {
        let (first, last) = task.await.unwrap();
        entered += u32::from(first);
        settled += u32::from(last);
    }
    assert_eq!((entered, settled), (1, 1));
    assert_eq!(posted(&store, pool, &miner("a")).await, 735);
    assert_balanced(&store, pool).await;
}

/// Some hundred entries, settled or not, against a map.
async fn random_entries_agree_with_plain_sums(place: Place) {
    let (store, pool) = place.pool().await;
    let accounts = [
        Account::Reward,
        Account::Reserve,
        miner("a"),
        miner("b"),
        Account::Fee("pool".into()),
        Account::Batch(1),
    ];
    let mut sums: BTreeMap<&Account, (i64, i64)> = BTreeMap::new();
    let mut pending: Vec<u64> = Vec::new();
    let mut chance = 1_u64;
    let mut next = |below: u64| {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (chance >> 33) % below
    };
    let (mut refusals, mut entered) = (0, 0);
    for number in 0..300_u64 {
        if next(4) == 0 {
            // A block: its credits come and go as they should.
            if let Some(block) = pending.pop() {
                let outcome = if next(2) == 0 {
                    Outcome::Posted
                } else {
                    Outcome::Voided
                };
                let entry = credited(block, 1);
                store.settle(pool, entry.id(), outcome, NOW).await.unwrap();
                for (account, amount) in [(0, -1000_i64), (2, 735), (3, 245), (4, 10)] {
                    let (posted, waiting) = sums.entry(&accounts[account]).or_default();
                    *waiting -= amount;
                    *posted += amount * i64::from(outcome == Outcome::Posted);
                }
            } else {
                store.enter(pool, &credited(number, 1), NOW).await.unwrap();
                pending.push(number);
                for (account, amount) in [(0, -1000_i64), (2, 735), (3, 245), (4, 10)] {
                    sums.entry(&accounts[account]).or_default().1 += amount;
                }
            }
            continue;
        }
        let from = usize::try_from(next(6)).unwrap();
        let to = (from + 1 + usize::try_from(next(5)).unwrap()) % 6;
        let amount = 1 + next(400);
        let entry = correction(
            &number.to_string(),
            accounts[from].clone(),
            accounts[to].clone(),
            amount,
        );
        let amount = i64::try_from(amount).unwrap();
        let has = sums.get(&accounts[from]).map_or(0, |(posted, _)| *posted);
        let result = store.enter(pool, &entry, NOW).await;
        if has < amount && !accounts[from].may_owe() {
            assert_eq!(result, Err(EntryError::TooLittle(accounts[from].clone())));
            refusals += 1;
            continue;
        }
        assert_eq!(result, Ok(true));
        entered += 1;
        sums.entry(&accounts[from]).or_default().0 -= amount;
        sums.entry(&accounts[to]).or_default().0 += amount;
    }
    assert!(refusals > 10 && entered > 50, "{refusals} and {entered}");
    for account in &accounts {
        let (posted, pending) = sums.get(account).copied().unwrap_or_default();
        assert_eq!(
            store.balance(pool, account).await,
            Ok(Balance { posted, pending }),
            "{account}"
        );
    }
    assert_balanced(&store, pool).await;
}
