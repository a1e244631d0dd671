//! One miner's work and money, whatever its workers are called.

use std::{collections::BTreeMap, sync::Arc};

use mining::{
    Amount, NetworkDifficulty, Scheme, Work,
    block::BlockState,
    ledger::{Account, BlockBooks, BlockEntries, BlockStep, Entry, Outcome, Transfer},
    payout::BatchState,
};
use store::{
    BlockCredit, BlockCredits, BlockFee, Lease, MinerBalance, Minute, NewBlock, PaymentRow, PoolId,
    Signed, StepEntry, Store, WorkerName,
};

use super::{Place, contract, hash, share_at};

contract!(
    a_miner_is_all_its_workers,
    who_never_mined_is_not_known,
    a_balance_adds_up_at_every_step,
    what_a_coinbase_pays_is_paid,
    a_credit_tells_how_it_came_about,
);

const NOW: i64 = 1_800_000_000_000;
const COIN: &str = "bitcoin";

fn miner(name: &str) -> Account {
    Account::Miner(name.into())
}

fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

fn named(address: &str, name: &str) -> Arc<WorkerName> {
    Arc::new(WorkerName::new(address, name).unwrap())
}

async fn a_miner_is_all_its_workers(place: Place) {
    let (store, pool) = place.pool().await;
    let minute = Minute::of_ms(NOW);
    let at = |minutes: i64| minute.start_ms() + minutes * 60_000;
    let windows = [minute, Minute::of_ms(at(5))];
    let (one, two) = (named("a", "one"), named("a", "two"));
    let early = [
        share_at(1, &one, 10, at(-9)),
        share_at(2, &two, 20, at(0)),
        share_at(3, &named("b", "one"), 1000, at(1)),
    ];
    store.append_shares(pool, &early).await.unwrap();
    while !store.roll_up(pool).await.unwrap().done {}
    // Not rolled up yet, a worker that is new among them.
    let late = [
        share_at(4, &two, 40, at(5)),
        share_at(5, &named("a", ""), 80, at(6)),
        share_at(6, &named("b", "one"), 1000, at(7)),
    ];
    store.append_shares(pool, &late).await.unwrap();
    let found = store.miner(pool, "a", &windows).await.unwrap();
    assert_eq!(found.workers, 3);
    assert_eq!(found.first_share_ms, Some(at(-9)));
    assert_eq!(found.last_share_ms, Some(at(6)));
    assert_eq!((found.total.shares, found.total.work.hashes()), (4, 150));
    let windows_of: Vec<_> = found
        .windows
        .iter()
        .map(|sums| (sums.shares, sums.work.hashes()))
        .collect();
    assert_eq!(windows_of, [(3, 140), (2, 120)]);
    // The same once all is rolled up.
    while !store.roll_up(pool).await.unwrap().done {}
    assert_eq!(store.miner(pool, "a", &windows).await, Ok(found));
    let nobody = store.miner(pool, "c", &[minute]).await.unwrap();
    assert_eq!((nobody.workers, nobody.last_share_ms), (0, None));
    assert_eq!(nobody.windows.len(), 1);
}

async fn who_never_mined_is_not_known(place: Place) {
    let (store, pool) = place.pool().await;
    let shares = [share_at(1, &named("a", "one"), 10, NOW)];
    store.append_shares(pool, &shares).await.unwrap();
    let gift = Transfer::new(Account::Reward, miner("rich"), units(5)).unwrap();
    let gift = Entry::correction("gift", gift, "");
    store.enter(pool, &gift, NOW).await.unwrap();
    let other = store
        .pool("other", super::bitcoin(), mining::Network::Regtest)
        .await
        .unwrap();
    for (address, known) in [("a", true), ("rich", true), ("A", false), ("", false)] {
        assert_eq!(store.knows(pool, address).await, Ok(known), "{address}");
        assert_eq!(store.knows(other, address).await, Ok(false), "{address}");
    }
}

/// What a statement adds up to, apart from what went to payouts and came back.
async fn posted_by_blocks(store: &Store, pool: PoolId, account: &Account) -> i64 {
    let lines = store.statement(pool, account, None, 1000).await.unwrap();
    lines
        .iter()
        .filter(|line| line.state == "posted" && !line.id.as_str().contains(":batch:"))
        .map(|line| line.amount)
        .sum()
}

async fn a_balance_adds_up_at_every_step(place: Place) {
    let (store, pool) = place.pool().await;
    let nothing = MinerBalance::default();
    assert_eq!(store.miner_balance(pool, &miner("a")).await, Ok(nothing));
    let entries = BlockEntries {
        coin: COIN,
        block: hash(1),
    };
    let credit = entries.credit(1, [(miner("a"), units(1000)), (miner("b"), units(7))]);
    store.enter(pool, &credit, NOW).await.unwrap();
    let check = async |expected: [u64; 5]| {
        let balance = store.miner_balance(pool, &miner("a")).await.unwrap();
        let found = [
            balance.immature,
            balance.available,
            balance.pending,
            balance.in_flight,
            balance.paid,
        ];
        assert_eq!(found.map(Amount::units), expected);
        let posted = posted_by_blocks(&store, pool, &miner("a")).await;
        let earned = balance.earned().unwrap().units();
        assert_eq!(i64::try_from(earned), Ok(posted));
        let books = store.balance(pool, &miner("a")).await.unwrap();
        assert_eq!(u64::try_from(books.pending), Ok(expected[0]));
        assert_eq!(u64::try_from(books.posted), Ok(expected[1]));
    };
    check([1000, 0, 0, 0, 0]).await;
    let id = entries.credit_id(1);
    store.settle(pool, &id, Outcome::Posted, NOW).await.unwrap();
    check([0, 1000, 0, 0, 0]).await;
    let lease = store
        .lease_payer(pool, "one", NOW, NOW + 1000)
        .await
        .unwrap()
        .unwrap();
    let first = reserve(&store, &lease, 400).await;
    check([0, 600, 400, 0, 0]).await;
    sign(&store, &lease, first).await;
    check([0, 600, 0, 400, 0]).await;
    store
        .move_payout(&lease, first, BatchState::Broadcast, "", NOW)
        .await
        .unwrap();
    check([0, 600, 0, 400, 0]).await;
    // A second one, which nobody knows the fate of, and then comes back.
    let second = reserve(&store, &lease, 500).await;
    check([0, 100, 500, 400, 0]).await;
    sign(&store, &lease, second).await;
    store
        .move_payout(&lease, second, BatchState::Manual, "who knows", NOW)
        .await
        .unwrap();
    check([0, 100, 0, 900, 0]).await;
    store
        .confirm_payout(&lease, COIN, first, NOW)
        .await
        .unwrap();
    check([0, 100, 0, 500, 400]).await;
    store
        .release_payout(&lease, COIN, second, "conflict", NOW)
        .await
        .unwrap();
    check([0, 600, 0, 0, 400]).await;
}

async fn reserve(store: &Store, lease: &Lease, amount: u64) -> u64 {
    let payment = PaymentRow {
        account: miner("a"),
        address: "a".into(),
        amount: units(amount),
    };
    store
        .reserve_payout(lease, COIN, &[payment], NOW)
        .await
        .unwrap()
}

async fn sign(store: &Store, lease: &Lease, number: u64) {
    let signed = Signed {
        txid: hash(number),
        raw: vec![1],
        network_fee: units(1),
    };
    store
        .sign_payout(lease, number, &signed, NOW)
        .await
        .unwrap();
}

async fn what_a_coinbase_pays_is_paid(place: Place) {
    let (store, pool) = place.pool().await;
    let entries = BlockEntries {
        coin: COIN,
        block: hash(1),
    };
    let entry = entries.paid_by_itself(1, [(miner("a"), units(1000))]);
    store.enter(pool, &entry, NOW).await.unwrap();
    let nothing = MinerBalance::default();
    assert_eq!(store.miner_balance(pool, &miner("a")).await, Ok(nothing));
    let id = entries.credit_id(1);
    store.settle(pool, &id, Outcome::Posted, NOW).await.unwrap();
    let balance = store.miner_balance(pool, &miner("a")).await.unwrap();
    let paid = MinerBalance {
        paid: units(1000),
        ..nothing
    };
    assert_eq!(balance, paid);
}

async fn a_credit_tells_how_it_came_about(place: Place) {
    let (store, pool) = place.pool().await;
    for number in [1, 2] {
        let block = NewBlock {
            hash: hash(number),
            proof: hash(number),
            height: 100,
            worker: WorkerName::new("finder", "rig").unwrap(),
            network: NetworkDifficulty::Bits(0x207f_ffff),
            time: 1,
            found_ms: NOW,
            reward: units(1000),
            coinbase: None,
            scheme: Scheme::Prop,
        };
        store.record_block(pool, &block).await.unwrap();
    }
    // What is not split yet has nothing to tell.
    let detail = |name: &'static str, number| {
        let store = &store;
        async move {
            let account = miner(name);
            let found = store.credit_detail(pool, &account, hash(number));
            found.await.unwrap()
        }
    };
    assert_eq!(detail("a", 1).await, None);
    let fee = |name: &str, percent: &str, amount| BlockFee {
        name: name.into(),
        percent: percent.parse().unwrap(),
        amount: units(amount),
    };
    let credit = |name: &str, work, amount| BlockCredit {
        account: miner(name),
        work: Work::from_hashes(work),
        amount: units(amount),
    };
    let credits = BlockCredits {
        window: Work::from_hashes(1 << 80),
        length: Work::from_hashes(1 << 81),
        fees: vec![fee("pool", "1.5", 15), fee("foundation", "1", 10)],
        miners: vec![credit("a", 1 << 79, 488), credit("b", 1 << 79, 487)],
    };
    store.credit_block(pool, hash(1), &credits).await.unwrap();
    let found = detail("a", 1).await.unwrap();
    assert_eq!(found.credit.block, hash(1));
    assert_eq!(found.credit.state, BlockState::Submitted);
    let amounts = (found.credit.reward, found.credit.fees, found.credit.amount);
    assert_eq!(amounts, (units(1000), units(25), units(488)));
    assert_eq!((found.scheme, found.miners), (Scheme::Prop, 2));
    assert_eq!(found.length, credits.length);
    assert_eq!(found.credit.window, credits.window);
    assert_eq!(found.fees, credits.fees);
    assert_eq!(found.entered, 0);
    let entries = BlockEntries {
        coin: COIN,
        block: hash(1),
    };
    let parts: BTreeMap<Account, Amount> = [(miner("a"), units(488))].into();
    let entry = entries.credit(1, parts);
    let (books, step) = (BlockBooks::default(), BlockStep::Credit(1));
    store
        .step_block(pool, hash(1), books, step, StepEntry::New(&entry), NOW)
        .await
        .unwrap();
    assert_eq!(detail("a", 1).await.unwrap().entered, 1);
    // Another miner, another block, and no block at all.
    assert_eq!(detail("c", 1).await, None);
    assert_eq!(detail("a", 2).await, None);
    assert_eq!(detail("a", 3).await, None);
}
