//! Settings of payouts: changed with a number that holds once, and heeded where balances are paid.

use std::collections::HashMap;

use mining::{
    Amount,
    ledger::{Account, Entry, Transfer},
    payout::{BatchState, Schedule},
};
use store::{
    EntryError, NewSettings, PayWish, PayoutSettings, PoolId, Proof, SettingsError, Store,
};

use super::{Place, contract, payouts, trouble::refused};

contract!(
    settings_are_replaced_whole,
    a70_a_number_is_used_once,
    a70_the_time_of_a_changed_address_is_kept,
    a_request_is_noted_and_nothing_else_changed,
    a_request_is_used_up_by_its_payout,
    wishes_are_those_of_who_has_some,
    many_that_send_the_same_change_it_once,
    settings_belong_to_one_pool,
);

const NOW: i64 = 1_800_000_000_000;
/// The least time between two changes.
const LATER: i64 = NOW + 1_000;

fn miner(name: &str) -> Account {
    Account::Miner(name.into())
}

fn plain() -> NewSettings {
    NewSettings {
        threshold: None,
        schedule: Schedule::Threshold,
        paused: false,
        pay_to: None,
    }
}

fn proof(text: &str) -> Proof {
    Proof {
        text: text.into(),
        signature: "c2lnbmVk".into(),
    }
}

/// A pool whose miner `a` has 1,000.
async fn rich(place: &Place) -> (Store, PoolId) {
    let (store, pool) = place.pool().await;
    let gift = Transfer::new(Account::Reward, miner("a"), Amount::from_units(1000)).unwrap();
    let gift = Entry::correction("gift", gift, "test");
    store.enter(pool, &gift, NOW).await.unwrap();
    (store, pool)
}

async fn change(
    store: &Store,
    pool: PoolId,
    new: &NewSettings,
    number: u64,
    now_ms: i64,
) -> Result<(), SettingsError> {
    let text = proof(&format!("text {number}"));
    store
        .change_settings(pool, &miner("a"), new, &text, number, now_ms)
        .await
}

async fn settings(store: &Store, pool: PoolId) -> PayoutSettings {
    store.payout_settings(pool, &miner("a")).await.unwrap()
}

async fn settings_are_replaced_whole(place: Place) {
    let (store, pool) = rich(&place).await;
    assert_eq!(settings(&store, pool).await, PayoutSettings::default());
    let new = NewSettings {
        threshold: Some(Amount::from_units(500)),
        schedule: Schedule::Weekly,
        paused: true,
        pay_to: Some("elsewhere".into()),
    };
    change(&store, pool, &new, 7, NOW).await.unwrap();
    let expected = PayoutSettings {
        threshold: Some(Amount::from_units(500)),
        schedule: Schedule::Weekly,
        paused: true,
        requested: false,
        pay_to: Some("elsewhere".into()),
        pay_to_since_ms: Some(NOW),
        number: 7,
        changed_ms: Some(NOW),
        proof: Some(proof("text 7")),
        last_paid_ms: None,
    };
    assert_eq!(settings(&store, pool).await, expected);
    // Whoever pays reads the same.
    let owners = store.owners(pool).await.unwrap();
    assert_eq!(owners.len(), 1);
    let owner = &owners[0];
    assert_eq!(owner.threshold, expected.threshold);
    assert_eq!((owner.schedule, owner.paused), (Schedule::Weekly, true));
    assert_eq!(owner.pay_to, expected.pay_to);
    assert_eq!(owner.pay_to_since_ms, Some(NOW));
    change(&store, pool, &plain(), 8, LATER).await.unwrap();
    let now = settings(&store, pool).await;
    assert_eq!((now.threshold, now.paused, now.pay_to), (None, false, None));
    // More than the column holds.
    let most = NewSettings {
        threshold: Some(Amount::from_units(u64::MAX)),
        ..plain()
    };
    let refused = change(&store, pool, &most, 9, LATER + 1_000).await;
    let too_much = EntryError::Amount(Amount::from_units(u64::MAX));
    assert_eq!(refused, Err(SettingsError::Entry(too_much)));
    assert_eq!(settings(&store, pool).await.number, 8);
}

async fn a70_a_number_is_used_once(place: Place) {
    let (store, pool) = rich(&place).await;
    change(&store, pool, &plain(), 100, NOW).await.unwrap();
    let paused = NewSettings {
        paused: true,
        ..plain()
    };
    for number in [0, 1, 99, 100] {
        let again = change(&store, pool, &paused, number, LATER).await;
        assert_eq!(again, Err(SettingsError::Used(100)));
        let asked = store.request_payout(pool, &miner("a"), number, LATER).await;
        assert_eq!(asked, Err(SettingsError::Used(100)));
    }
    let soon = change(&store, pool, &paused, 101, LATER - 1).await;
    assert_eq!(soon, Err(SettingsError::TooSoon(LATER)));
    // Past what the database holds.
    assert!(
        change(&store, pool, &paused, u64::MAX, LATER)
            .await
            .is_err()
    );
    let now = settings(&store, pool).await;
    assert_eq!((now.number, now.paused, now.requested), (100, false, false));
    change(&store, pool, &paused, 101, LATER).await.unwrap();
    // A clock that was set back locks nobody out.
    change(&store, pool, &plain(), 102, NOW - 99).await.unwrap();
}

async fn a70_the_time_of_a_changed_address_is_kept(place: Place) {
    let (store, pool) = rich(&place).await;
    let to = |address: &str| NewSettings {
        pay_to: Some(address.into()),
        ..plain()
    };
    let time = |nth: i64| NOW + nth * 1_000;
    // Not by a change of something else, but by each change of the address, the one back too.
    let steps = [
        (plain(), None),
        (to("x"), Some(time(1))),
        (to("x"), Some(time(1))),
        (to("y"), Some(time(3))),
        (plain(), Some(time(4))),
        (plain(), Some(time(4))),
    ];
    for (nth, (new, since)) in (0_i64..).zip(steps) {
        let number = u64::try_from(nth).unwrap() + 1;
        change(&store, pool, &new, number, time(nth)).await.unwrap();
        assert_eq!(settings(&store, pool).await.pay_to_since_ms, since, "{nth}");
    }
}

async fn a_request_is_noted_and_nothing_else_changed(place: Place) {
    let (store, pool) = rich(&place).await;
    let new = NewSettings {
        threshold: Some(Amount::from_units(5)),
        schedule: Schedule::Monthly,
        ..plain()
    };
    change(&store, pool, &new, 1, NOW).await.unwrap();
    store
        .request_payout(pool, &miner("a"), 2, LATER)
        .await
        .unwrap();
    let now = settings(&store, pool).await;
    assert!(now.requested);
    assert_eq!(now.threshold, new.threshold);
    assert_eq!(now.schedule, new.schedule);
    assert_eq!((now.number, now.changed_ms), (2, Some(LATER)));
    assert_eq!(now.proof, Some(proof("text 1")));
    assert!(store.owners(pool).await.unwrap()[0].requested);
    // Who has never had an account gets one.
    store
        .request_payout(pool, &miner("new"), 1, NOW)
        .await
        .unwrap();
    let theirs = store.payout_settings(pool, &miner("new")).await.unwrap();
    assert!(theirs.requested);
    assert!(refused(&place, "UPDATE payout_settings SET threshold = -1").await);
}

/// One request is one payout, and none if that is given back.
async fn a_request_is_used_up_by_its_payout(place: Place) {
    let (store, pool) = rich(&place).await;
    let a = miner("a");
    let lease = payouts::lease(&store, pool, "one", NOW).await.unwrap();
    let ask = async |number, now_ms| {
        let asked = store.request_payout(pool, &a, number, now_ms).await;
        asked.unwrap();
    };
    ask(1, NOW).await;
    let payments = [payouts::payment("a", 5)];
    let reserve = async || {
        let reserving = store.reserve_payout(&lease, payouts::COIN, &payments, NOW);
        reserving.await.unwrap()
    };
    let release = async |number| {
        let releasing = store.release_payout(&lease, payouts::COIN, number, "conflict", NOW);
        releasing.await.unwrap();
    };
    let first = reserve().await;
    assert!(!settings(&store, pool).await.requested);
    // One that nobody asked for changes nothing.
    let second = reserve().await;
    release(second).await;
    assert!(!settings(&store, pool).await.requested);
    release(first).await;
    assert!(settings(&store, pool).await.requested);
    // What is asked for while a payout is on its way is another one.
    let third = reserve().await;
    ask(2, NOW + 5000).await;
    let signed = payouts::signed(1);
    store
        .sign_payout(&lease, third, &signed, NOW)
        .await
        .unwrap();
    let sending = store.move_payout(&lease, third, BatchState::Broadcast, "", NOW);
    sending.await.unwrap();
    let confirming = store.confirm_payout(&lease, payouts::COIN, third, NOW);
    confirming.await.unwrap();
    assert!(settings(&store, pool).await.requested);
}

/// Who is paid otherwise than by the pool's defaults.
async fn wishes_are_those_of_who_has_some(place: Place) {
    let (store, pool) = rich(&place).await;
    let mut new = NewSettings {
        threshold: Some(Amount::from_units(5)),
        ..plain()
    };
    change(&store, pool, &new, 1, NOW).await.unwrap();
    assert_eq!(store.pay_wishes(pool).await.unwrap().len(), 0);
    new.paused = true;
    change(&store, pool, &new, 2, NOW + 5000).await.unwrap();
    let wish = |paused, pay_to: Option<&str>, pay_to_since_ms| PayWish {
        paused,
        pay_to: pay_to.map(str::to_owned),
        pay_to_since_ms,
    };
    let wishes = store.pay_wishes(pool).await.unwrap();
    assert_eq!(
        wishes,
        HashMap::from([(miner("a"), wish(true, None, None))])
    );
    new.paused = false;
    new.pay_to = Some("x".into());
    change(&store, pool, &new, 3, NOW + 10_000).await.unwrap();
    let wishes = store.pay_wishes(pool).await.unwrap();
    let there = wish(false, Some("x"), Some(NOW + 10_000));
    assert_eq!(wishes, HashMap::from([(miner("a"), there)]));
}

async fn many_that_send_the_same_change_it_once(place: Place) {
    let (store, pool) = rich(&place).await;
    let other = place.open().await;
    let mut tasks = Vec::new();
    for nth in 0..16_i64 {
        let store = if nth % 2 == 0 { &store } else { &other };
        let store = store.clone();
        // Far apart in time, so that the number alone decides.
        let now = NOW + nth * 10_000;
        tasks.push(tokio::spawn(async move {
            change(&store, pool, &plain(), 5, now).await
        }));
    }
    let mut done = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => done += 1,
            Err(error) => assert_eq!(error, SettingsError::Used(5)),
        }
    }
    assert_eq!(done, 1);
}

async fn settings_belong_to_one_pool(place: Place) {
    let (store, pool) = rich(&place).await;
    let other = store
        .pool("other", super::bitcoin(), mining::Network::Regtest)
        .await
        .unwrap();
    change(&store, pool, &plain(), 5, NOW).await.unwrap();
    assert_eq!(settings(&store, other).await, PayoutSettings::default());
    change(&store, other, &plain(), 3, NOW).await.unwrap();
    assert_eq!(settings(&store, other).await.number, 3);
    assert_eq!(settings(&store, pool).await.number, 5);
}
