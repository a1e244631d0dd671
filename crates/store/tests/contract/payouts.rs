//! Payouts: claimed once, sent as they were signed, paid or given back, and by one process.

use mining::{
    Amount,
    ledger::{Account, Entry, Transfer},
    payout::BatchState,
};
use store::{EntryError, Lease, PaymentRow, PayoutError, PoolId, Signed, Store};

use super::{Place, contract, hash, trouble::refused};

contract!(
    a_payout_is_paid_once,
    a_payout_that_is_released_gives_all_back,
    a78_one_process_pays,
    what_is_not_there_is_not_claimed,
    payouts_only_go_forward,
    payments_can_be_paused,
    owners_have_what_is_posted,
    lists_are_paged,
    a_transaction_is_kept_before_it_can_be_sent,
);

pub(super) const NOW: i64 = 1_800_000_000_000;
pub(super) const COIN: &str = "bitcoin";

pub(super) fn miner(name: &str) -> Account {
    Account::Miner(name.into())
}

pub(super) fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

pub(super) fn payment(name: &str, amount: u64) -> PaymentRow {
    PaymentRow {
        account: miner(name),
        address: name.into(),
        amount: units(amount),
    }
}

pub(super) fn signed(number: u64) -> Signed {
    Signed {
        txid: hash(number),
        raw: vec![1, 2, 3],
        network_fee: units(7),
    }
}

/// A pool whose miners a and b have 1,000 each, and the right to pay.
pub(super) async fn rich(place: &Place) -> (Store, PoolId, Lease) {
    let (store, pool) = place.pool().await;
    for name in ["a", "b"] {
        let gift = Transfer::new(Account::Reward, miner(name), units(1000)).unwrap();
        let gift = Entry::correction(name, gift, "test");
        store.enter(pool, &gift, NOW).await.unwrap();
    }
    let lease = lease(&store, pool, "one", NOW).await.unwrap();
    (store, pool, lease)
}

pub(super) async fn lease(store: &Store, pool: PoolId, holder: &str, now_ms: i64) -> Option<Lease> {
    store
        .lease_payer(pool, holder, now_ms, now_ms + 1000)
        .await
        .unwrap()
}

pub(super) async fn posted(store: &Store, pool: PoolId, account: &Account) -> i64 {
    store.balance(pool, account).await.unwrap().posted
}

pub(super) async fn assert_balanced(store: &Store, pool: PoolId) {
    let books = store.check_books(pool).await.unwrap();
    assert!(books.balance(), "{books:?}");
}

async fn a_payout_is_paid_once(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    let payments = [payment("a", 1000), payment("b", 400)];
    let number = store
        .reserve_payout(&lease, COIN, &payments, NOW)
        .await
        .unwrap();
    assert_eq!(posted(&store, pool, &miner("a")).await, 0);
    assert_eq!(posted(&store, pool, &miner("b")).await, 600);
    assert_eq!(posted(&store, pool, &Account::Batch(number)).await, 1400);
    assert_eq!(store.payments(pool, number).await.unwrap(), payments);
    store
        .sign_payout(&lease, number, &signed(9), NOW + 1)
        .await
        .unwrap();
    store
        .move_payout(&lease, number, BatchState::Broadcast, "", NOW + 2)
        .await
        .unwrap();
    store.note_confirmations(&lease, number, 3).await.unwrap();
    let open = store.open_payouts(pool).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].state, open[0].confirmations),
        (BatchState::Broadcast, 3)
    );
    assert_eq!(
        (open[0].signed.clone(), open[0].total),
        (Some(signed(9)), units(1400))
    );
    store
        .confirm_payout(&lease, COIN, number, NOW + 3)
        .await
        .unwrap();
    let again = store.confirm_payout(&lease, COIN, number, NOW + 4).await;
    assert!(
        matches!(again, Err(PayoutError::Illegal { .. })),
        "{again:?}"
    );
    assert_eq!(posted(&store, pool, &Account::Batch(number)).await, 0);
    assert_eq!(posted(&store, pool, &Account::Paid).await, 1400);
    assert_eq!(posted(&store, pool, &Account::NetworkFee).await, 7);
    assert_eq!(posted(&store, pool, &Account::Reserve).await, -7);
    assert_eq!(store.open_payouts(pool).await, Ok(Vec::new()));
    assert_balanced(&store, pool).await;
    let mine = store
        .payments_of(pool, &miner("a"), None, 10)
        .await
        .unwrap();
    assert_eq!(mine.len(), 1);
    assert_eq!(
        (mine[0].txid, mine[0].state),
        (Some(hash(9)), BatchState::Confirmed)
    );
    assert_eq!(mine[0].amount, units(1000));
    // Those of the pool, the larger one first, but not what is only claimed.
    let claimed = [payment("b", 1)];
    let claimed = store.reserve_payout(&lease, COIN, &claimed, NOW + 9).await;
    claimed.unwrap();
    let recent = store.recent_payments(pool, 10).await.unwrap();
    let amounts: Vec<_> = recent.iter().map(|payment| payment.amount).collect();
    assert_eq!(amounts, [units(1000), units(400)]);
    assert_eq!((recent[1].payout, recent[1].txid), (number, Some(hash(9))));
    let one = store.recent_payments(pool, 1).await.unwrap();
    assert_eq!(one, recent[..1]);
    let paid = store.paid(pool).await.unwrap();
    assert_eq!((paid.payouts, paid.accounts), (1, 2));
    assert_eq!(paid.amount, units(1400));
}

async fn a_payout_that_is_released_gives_all_back(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    let payments = [payment("a", 1000), payment("b", 400)];
    for is_signed in [false, true] {
        let number = store
            .reserve_payout(&lease, COIN, &payments, NOW)
            .await
            .unwrap();
        if is_signed {
            store
                .sign_payout(&lease, number, &signed(number), NOW)
                .await
                .unwrap();
        }
        store
            .release_payout(&lease, COIN, number, "conflict", NOW)
            .await
            .unwrap();
        let again = store
            .release_payout(&lease, COIN, number, "conflict", NOW)
            .await;
        assert!(
            matches!(again, Err(PayoutError::Illegal { .. })),
            "{again:?}"
        );
        let confirmed = store.confirm_payout(&lease, COIN, number, NOW).await;
        assert!(
            matches!(confirmed, Err(PayoutError::Illegal { .. })),
            "{confirmed:?}"
        );
        assert_eq!(posted(&store, pool, &miner("a")).await, 1000);
        assert_eq!(posted(&store, pool, &miner("b")).await, 1000);
        assert_eq!(posted(&store, pool, &Account::Batch(number)).await, 0);
    }
    assert_eq!(
        store.payouts(pool, None, 9).await.unwrap()[0].reason,
        "conflict"
    );
    assert_balanced(&store, pool).await;
}

/// A process that slept through its lease changes nothing any more, whatever it was about to do.
async fn a78_one_process_pays(place: Place) {
    let (store, pool, old) = rich(&place).await;
    let payments = [payment("a", 10)];
    let number = store
        .reserve_payout(&old, COIN, &payments, NOW)
        .await
        .unwrap();
    let other = place.open().await;
    assert_eq!(lease(&other, pool, "two", NOW + 999).await, None);
    // Whoever has it can hold it for longer, and it stays the same one.
    assert_eq!(
        lease(&store, pool, "one", NOW + 500).await,
        Some(old.clone())
    );
    assert_eq!(lease(&other, pool, "two", NOW + 1499).await, None);
    let new = lease(&other, pool, "two", NOW + 1500).await.unwrap();
    assert_ne!(new, old);
    let not_the_holder = Err(PayoutError::NotTheHolder);
    assert_eq!(
        store
            .reserve_payout(&old, COIN, &payments, NOW)
            .await
            .map(drop),
        not_the_holder
    );
    assert_eq!(
        store.sign_payout(&old, number, &signed(1), NOW).await,
        not_the_holder
    );
    assert_eq!(
        store
            .move_payout(&old, number, BatchState::Manual, "", NOW)
            .await,
        not_the_holder
    );
    assert_eq!(
        store.confirm_payout(&old, COIN, number, NOW).await,
        not_the_holder
    );
    assert_eq!(
        store.release_payout(&old, COIN, number, "", NOW).await,
        not_the_holder
    );
    assert_eq!(
        store.note_confirmations(&old, number, 1).await,
        not_the_holder
    );
    other
        .sign_payout(&new, number, &signed(1), NOW)
        .await
        .unwrap();
    assert_eq!(posted(&store, pool, &Account::Batch(number)).await, 10);
}

async fn what_is_not_there_is_not_claimed(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    let payments = [payment("a", 1000), payment("b", 1001)];
    let claimed = store.reserve_payout(&lease, COIN, &payments, NOW).await;
    let too_little = PayoutError::Entry(EntryError::TooLittle(miner("b")));
    assert_eq!(claimed, Err(too_little));
    assert_eq!(store.payouts(pool, None, 9).await, Ok(Vec::new()));
    assert_eq!(posted(&store, pool, &miner("a")).await, 1000);
    // A84: more than any coin has, together or alone.
    let most = [payment("a", u64::MAX), payment("b", 1)];
    assert!(
        store
            .reserve_payout(&lease, COIN, &most, NOW)
            .await
            .is_err()
    );
    assert!(store.reserve_payout(&lease, COIN, &[], NOW).await.is_err());
    assert_balanced(&store, pool).await;
}

async fn payouts_only_go_forward(place: Place) {
    let (store, _, lease) = rich(&place).await;
    let number = store
        .reserve_payout(&lease, COIN, &[payment("a", 10)], NOW)
        .await
        .unwrap();
    // What is not signed can neither be sent nor confirmed.
    for to in [
        BatchState::Broadcast,
        BatchState::Manual,
        BatchState::Confirmed,
    ] {
        let moved = store.move_payout(&lease, number, to, "", NOW).await;
        let from = BatchState::Reserved;
        assert_eq!(moved, Err(PayoutError::Illegal { from, to }));
    }
    store
        .sign_payout(&lease, number, &signed(1), NOW)
        .await
        .unwrap();
    let again = store.sign_payout(&lease, number, &signed(2), NOW).await;
    assert!(
        matches!(again, Err(PayoutError::Illegal { .. })),
        "what was signed stays"
    );
    assert_eq!(
        store
            .move_payout(&lease, 99, BatchState::Broadcast, "", NOW)
            .await,
        Err(PayoutError::Unknown(99))
    );
    assert_eq!(
        store.confirm_payout(&lease, COIN, u64::MAX, NOW).await,
        Err(PayoutError::Unknown(u64::MAX))
    );
    // Nobody knows, and then somebody does.
    store
        .move_payout(&lease, number, BatchState::Manual, "who knows", NOW)
        .await
        .unwrap();
    store
        .confirm_payout(&lease, COIN, number, NOW)
        .await
        .unwrap();
}

async fn payments_can_be_paused(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    assert_eq!(store.payments_paused(pool).await, Ok(None));
    store.pause_payments(pool, "by hand").await.unwrap();
    assert_eq!(
        store.payments_paused(pool).await,
        Ok(Some("by hand".into()))
    );
    let claimed = store
        .reserve_payout(&lease, COIN, &[payment("a", 10)], NOW)
        .await;
    assert_eq!(claimed, Err(PayoutError::Paused("by hand".into())));
    store.pause_payments(pool, "").await.unwrap();
    store
        .reserve_payout(&lease, COIN, &[payment("a", 10)], NOW)
        .await
        .unwrap();
    // Before anybody has paid at all.
    let fresh = store
        .pool("fresh", super::bitcoin(), mining::Network::Regtest)
        .await
        .unwrap();
    store.pause_payments(fresh, "not yet").await.unwrap();
    assert_eq!(
        store.payments_paused(fresh).await,
        Ok(Some("not yet".into()))
    );
    assert!(
        store
            .lease_payer(fresh, "one", NOW, NOW + 1)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        store.payments_paused(fresh).await,
        Ok(Some("not yet".into()))
    );
}

async fn owners_have_what_is_posted(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    let fee = Transfer::new(Account::Reward, Account::Fee("pool".into()), units(5)).unwrap();
    store
        .enter(pool, &Entry::correction("fee", fee, ""), NOW)
        .await
        .unwrap();
    store
        .reserve_payout(&lease, COIN, &[payment("a", 1000)], NOW + 5)
        .await
        .unwrap();
    let number = store
        .reserve_payout(&lease, COIN, &[payment("b", 1)], NOW + 6)
        .await
        .unwrap();
    store
        .release_payout(&lease, COIN, number, "", NOW + 7)
        .await
        .unwrap();
    let owners = store.owners(pool).await.unwrap();
    let told: Vec<_> = owners
        .iter()
        .map(|owner| {
            (
                owner.account.to_string(),
                owner.available.units(),
                owner.last_paid_ms,
            )
        })
        .collect();
    // What is on its way is nobody's, and a payout that was released was none.
    assert_eq!(
        told,
        [
            ("fee:pool".to_owned(), 5, None),
            ("miner:b".to_owned(), 1000, None)
        ]
    );
    let gift = Transfer::new(Account::Reward, miner("a"), units(1)).unwrap();
    store
        .enter(pool, &Entry::correction("more", gift, ""), NOW)
        .await
        .unwrap();
    let owners = store.owners(pool).await.unwrap();
    let a = owners
        .iter()
        .find(|owner| owner.account == miner("a"))
        .unwrap();
    assert_eq!((a.available, a.last_paid_ms), (units(1), Some(NOW + 5)));
}

async fn lists_are_paged(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    let mut numbers = Vec::new();
    for _ in 0..5 {
        let payments = [payment("a", 10)];
        let reserved = store.reserve_payout(&lease, COIN, &payments, NOW);
        numbers.push(reserved.await.unwrap());
    }
    let page = store.payouts(pool, Some(numbers[3]), 2).await.unwrap();
    let found: Vec<_> = page.iter().map(|payout| payout.number).collect();
    assert_eq!(found, [numbers[2], numbers[1]]);
    let mine = store
        .payments_of(pool, &miner("a"), Some(numbers[1]), 9)
        .await
        .unwrap();
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0].payout, numbers[0]);
    assert_eq!(store.payments(pool, 999).await, Ok(Vec::new()));
    assert_eq!(store.payments(pool, u64::MAX).await, Ok(Vec::new()));
}

async fn a_transaction_is_kept_before_it_can_be_sent(place: Place) {
    let (store, _, lease) = rich(&place).await;
    let number = store
        .reserve_payout(&lease, COIN, &[payment("a", 10)], NOW)
        .await
        .unwrap();
    for wrong in [
        "UPDATE payouts SET state = 'signed'",
        "UPDATE payouts SET state = 'broadcast'",
        "UPDATE payouts SET state = 'lost'",
        "UPDATE payouts SET total = 0",
        "UPDATE payments SET amount = 0",
        "INSERT INTO payments (pool, payout, account, address, amount) VALUES (1, 77, 1, '', 5)",
    ] {
        assert!(refused(&place, wrong).await, "{wrong}");
    }
    store
        .sign_payout(&lease, number, &signed(1), NOW)
        .await
        .unwrap();
    // One transaction is one payout.
    let other = store
        .reserve_payout(&lease, COIN, &[payment("a", 10)], NOW)
        .await
        .unwrap();
    assert!(
        store
            .sign_payout(&lease, other, &signed(1), NOW)
            .await
            .is_err()
    );
    store
        .sign_payout(&lease, other, &signed(2), NOW)
        .await
        .unwrap();
}
