//! What an operator decides about payouts: held, sent again, given back, signed elsewhere.

use mining::{ledger::Account, payout::BatchState};
use store::{PayoutError, PoolId, Store};

use super::{
    Place, contract, hash,
    payouts::{COIN, NOW, assert_balanced, lease, miner, payment, posted, rich, signed, units},
};

contract!(
    what_is_held_is_left_alone_until_it_is_sent_again,
    what_is_given_back_by_hand_was_held_for_a_while,
    a_draft_is_signed_elsewhere_and_sent_from_here,
    a_draft_is_given_back_at_once,
    what_is_under_way_is_not_decided_by_hand,
    what_the_wallet_sent_is_a_payout_or_known,
);

/// A minute after [`NOW`].
const LATER: i64 = NOW + 60_000;

async fn state(store: &Store, pool: PoolId, number: u64) -> BatchState {
    let payouts = store.payouts(pool, None, 100).await.unwrap();
    let mut payouts = payouts.into_iter();
    payouts
        .find(|payout| payout.number == number)
        .unwrap()
        .state
}

async fn what_is_held_is_left_alone_until_it_is_sent_again(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    let number = store
        .reserve_payout(&lease, COIN, &[payment("a", 1000)], NOW)
        .await
        .unwrap();
    store
        .sign_payout(&lease, number, &signed(1), NOW)
        .await
        .unwrap();
    store.hold_payout(pool, number, "look", NOW).await.unwrap();
    assert_eq!(state(&store, pool, number).await, BatchState::Manual);
    // Whoever pays does not send it, nor does he note that he did.
    let sent = store.move_payout(&lease, number, BatchState::Broadcast, "", NOW);
    let refused = PayoutError::Illegal {
        from: BatchState::Manual,
        to: BatchState::Broadcast,
    };
    assert_eq!(sent.await, Err(refused));
    store
        .retry_payout(pool, number, "it was the wallet", NOW)
        .await
        .unwrap();
    assert_eq!(state(&store, pool, number).await, BatchState::Signed);
    assert_eq!(
        store.retry_payout(pool, number, "again", NOW).await,
        Err(PayoutError::NotByHand(BatchState::Signed))
    );
    assert_eq!(posted(&store, pool, &Account::Batch(number)).await, 1000);
    assert_balanced(&store, pool).await;
}

async fn what_is_given_back_by_hand_was_held_for_a_while(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    let number = store
        .reserve_payout(&lease, COIN, &[payment("a", 600)], NOW)
        .await
        .unwrap();
    store
        .sign_payout(&lease, number, &signed(1), NOW)
        .await
        .unwrap();
    store.hold_payout(pool, number, "look", NOW).await.unwrap();
    let void = |now| store.void_payout(pool, COIN, number, "the inputs are gone", now);
    assert_eq!(void(LATER - 1).await, Err(PayoutError::TooSoon));
    void(LATER).await.unwrap();
    assert_eq!(posted(&store, pool, &miner("a")).await, 1000);
    assert_eq!(posted(&store, pool, &Account::Batch(number)).await, 0);
    let again = Err(PayoutError::NotByHand(BatchState::Released));
    assert_eq!(void(LATER + 1).await, again);
    assert_balanced(&store, pool).await;
}

async fn a_draft_is_signed_elsewhere_and_sent_from_here(place: Place) {
    let (store, pool, right) = rich(&place).await;
    let number = store
        .reserve_payout(&right, COIN, &[payment("a", 1000)], NOW)
        .await
        .unwrap();
    // Nothing is signed that nobody was shown.
    assert_eq!(
        store.sign_draft(pool, number, &signed(1), NOW).await,
        Err(PayoutError::NotByHand(BatchState::Reserved))
    );
    store
        .draft_payout(&right, number, b"psbt", units(7))
        .await
        .unwrap();
    let twice = store.draft_payout(&right, number, b"other", units(8)).await;
    assert_eq!(twice, Err(PayoutError::NotByHand(BatchState::Reserved)));
    let open = store.open_payouts(pool).await.unwrap();
    assert_eq!(open[0].draft.as_deref(), Some(b"psbt".as_slice()));
    assert_eq!(open[0].signed, None);
    store
        .sign_draft(pool, number, &signed(1), NOW)
        .await
        .unwrap();
    let open = store.open_payouts(pool).await.unwrap();
    assert_eq!(open[0].state, BatchState::Signed);
    assert_eq!(open[0].signed, Some(signed(1)));
    assert_eq!(
        store.sign_draft(pool, number, &signed(2), NOW).await,
        Err(PayoutError::NotByHand(BatchState::Signed))
    );
    store
        .confirm_payout(&right, COIN, number, NOW)
        .await
        .unwrap();
    assert_eq!(posted(&store, pool, &Account::Paid).await, 1000);
    assert_balanced(&store, pool).await;
    // Another process that pays begins no draft in a payout of this one.
    let other = lease(&store, pool, "two", NOW + 10_000).await.unwrap();
    let stale = store.draft_payout(&right, number, b"x", units(1)).await;
    assert_eq!(stale, Err(PayoutError::NotTheHolder));
    let done = store.draft_payout(&other, number, b"x", units(1)).await;
    assert_eq!(done, Err(PayoutError::NotByHand(BatchState::Confirmed)));
}

async fn a_draft_is_given_back_at_once(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    let number = store
        .reserve_payout(&lease, COIN, &[payment("a", 1000)], NOW)
        .await
        .unwrap();
    let void = || store.void_payout(pool, COIN, number, "nobody signs it", NOW);
    let reserved = Err(PayoutError::NotByHand(BatchState::Reserved));
    assert_eq!(void().await, reserved);
    store
        .draft_payout(&lease, number, b"psbt", units(7))
        .await
        .unwrap();
    void().await.unwrap();
    assert_eq!(posted(&store, pool, &miner("a")).await, 1000);
    assert_eq!(
        store.sign_draft(pool, number, &signed(1), NOW).await,
        Err(PayoutError::NotByHand(BatchState::Released))
    );
    assert_balanced(&store, pool).await;
}

async fn what_is_under_way_is_not_decided_by_hand(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    let number = store
        .reserve_payout(&lease, COIN, &[payment("a", 1000)], NOW)
        .await
        .unwrap();
    let illegal = PayoutError::Illegal {
        from: BatchState::Reserved,
        to: BatchState::Manual,
    };
    assert_eq!(
        store.hold_payout(pool, number, "look", NOW).await,
        Err(illegal)
    );
    store
        .sign_payout(&lease, number, &signed(1), NOW)
        .await
        .unwrap();
    assert_eq!(
        store.void_payout(pool, COIN, number, "no", LATER).await,
        Err(PayoutError::NotByHand(BatchState::Signed))
    );
    let unknown = Err(PayoutError::Unknown(number + 1));
    assert_eq!(
        store.void_payout(pool, COIN, number + 1, "no", NOW).await,
        unknown
    );
    assert_eq!(store.hold_payout(pool, u64::MAX, "no", NOW).await, {
        Err(PayoutError::Unknown(u64::MAX))
    });
    assert_eq!(posted(&store, pool, &Account::Batch(number)).await, 1000);
}

async fn what_the_wallet_sent_is_a_payout_or_known(place: Place) {
    let (store, pool, lease) = rich(&place).await;
    let number = store
        .reserve_payout(&lease, COIN, &[payment("a", 1000)], NOW)
        .await
        .unwrap();
    store
        .sign_payout(&lease, number, &signed(1), NOW)
        .await
        .unwrap();
    let sent = [hash(1), hash(2), hash(3)];
    let foreign = store.foreign_sends(pool, &sent).await.unwrap();
    assert_eq!(foreign, [hash(2), hash(3)]);
    store
        .accept_send(pool, hash(2), "to the exchange", NOW)
        .await
        .unwrap();
    store
        .accept_send(pool, hash(2), "twice", NOW)
        .await
        .unwrap();
    assert_eq!(store.foreign_sends(pool, &sent).await.unwrap(), [hash(3)]);
    assert_eq!(store.wallet_compared(pool).await.unwrap(), None);
    store.note_compared(&lease, "00ab").await.unwrap();
    let compared = store.wallet_compared(pool).await.unwrap();
    assert_eq!(compared.as_deref(), Some("00ab"));
}
