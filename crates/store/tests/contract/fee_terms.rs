//! The fees that a round began with, and those of a height, whatever was changed since.

use mining::{
    Amount, NetworkDifficulty, Scheme, Work,
    accounting::{ExpectedBlock, Fee, Fees, Position},
};
use store::{Minute, PoolId, ShareRecord, ShareRow, Store};

use super::{
    Place, contract, hash,
    rounds::{NOW, found, mined, write},
};

contract!(
    a_round_has_the_fees_that_it_began_with,
    a_share_that_is_paid_for_as_it_comes_has_the_fees_of_its_height,
    what_is_pruned_was_mined_all_the_same,
    each_fee_comes_back_as_it_was,
);

fn fees(pool: &str) -> Fees {
    let fee = |name: &str, percent: &str| Fee {
        name: name.to_owned(),
        percent: percent.parse().unwrap(),
    };
    let list = vec![fee("pool", pool), fee("foundation", "1")];
    Fees::new(list, "foundation").unwrap()
}

async fn agree(store: &Store, pool: PoolId, percent: &str) {
    store.agree_fees(pool, &fees(percent)).await.unwrap();
}

async fn of_round(store: &Store, pool: PoolId, start: Position) -> Option<Fees> {
    let fees = store.fees_of_round(pool, Scheme::Pplns, start);
    fees.await.unwrap()
}

async fn a_round_has_the_fees_that_it_began_with(place: Place) {
    let (store, pool) = place.pool().await;
    assert_eq!(of_round(&store, pool, Position::END).await, None);
    agree(&store, pool, "1").await;
    // Nobody has mined by then: the first that are mined by hold from the beginning.
    agree(&store, pool, "2").await;
    write(&store, pool, &[mined(1, "a", 10), mined(2, "b", 20)]).await;
    agree(&store, pool, "3").await;
    // Nobody has mined by those either.
    agree(&store, pool, "4").await;
    // Of another scheme, whose rounds are its own.
    let other = ShareRow {
        scheme: Scheme::Prop,
        ..mined(3, "a", 10)
    };
    write(&store, pool, &[other]).await;
    agree(&store, pool, "4").await;
    let store = place.open().await;
    let first = found(&store, pool, 1).await;
    let second = found(&store, pool, 2).await;
    for (start, percent) in [(Position::START, "2"), (first, "2"), (second, "4")] {
        let held = of_round(&store, pool, start).await;
        assert_eq!(held, Some(fees(percent)), "{start:?}");
    }
    assert_eq!(of_round(&store, pool, Position::END).await, Some(fees("4")));
    // Back to what was before, for what comes now.
    write(&store, pool, &[mined(4, "a", 10)]).await;
    agree(&store, pool, "2").await;
    assert_eq!(of_round(&store, pool, second).await, Some(fees("4")));
    assert_eq!(of_round(&store, pool, Position::END).await, Some(fees("2")));
    let place_in_round = |share| store.round_of_share(pool, "pplns", share);
    assert_eq!(place_in_round(Position::END).await.unwrap(), second);
    assert_eq!(place_in_round(second).await.unwrap(), second);
    assert_eq!(place_in_round(first).await.unwrap(), first);
    let start = place_in_round(Position::START).await.unwrap();
    assert_eq!(start, Position::START);
}

async fn a_share_that_is_paid_for_as_it_comes_has_the_fees_of_its_height(place: Place) {
    let (store, pool) = place.pool().await;
    let at = async |height| {
        let fees = store.fees_at_height(pool, Scheme::Pps, height);
        fees.await.unwrap()
    };
    assert_eq!(at(0).await, None);
    agree(&store, pool, "1").await;
    let note = async |height| {
        let block = ExpectedBlock {
            height,
            network: NetworkDifficulty::Bits(0x207f_ffff),
            subsidy: Amount::from_units(50),
            fees: None,
        };
        store.note_price(pool, &block).await.unwrap();
    };
    note(100).await;
    // Nobody has mined by the first ones: the second ones hold for this height, too.
    agree(&store, pool, "0").await;
    assert_eq!(at(100).await, Some(fees("0")));
    agree(&store, pool, "1").await;
    let share = |number| ShareRow {
        scheme: Scheme::Pps,
        ..mined(number, "a", 10)
    };
    write(&store, pool, &[share(1)]).await;
    agree(&store, pool, "2").await;
    // Shares of this height come still, and by what was told at its beginning.
    write(&store, pool, &[share(2)]).await;
    agree(&store, pool, "3").await;
    note(101).await;
    for (height, percent) in [(0, "1"), (100, "1"), (101, "3"), (u32::MAX, "3")] {
        assert_eq!(at(height).await, Some(fees(percent)), "{height}");
    }
    // Blocks that pay their finder alone have none.
    let solo = store.fees_at_height(pool, Scheme::Solo, 101).await;
    assert_eq!(solo.unwrap(), None);
}

async fn what_is_pruned_was_mined_all_the_same(place: Place) {
    let (store, pool) = place.pool().await;
    agree(&store, pool, "1").await;
    write(&store, pool, &[mined(1, "a", 10), mined(2, "b", 20)]).await;
    // Of another port, and later.
    let share = ShareRecord::new(hash(3), Work::from_hashes(10), 101, NOW + 3);
    let other = ShareRow {
        share: share.unwrap(),
        scheme: Scheme::Solo,
        ..mined(3, "a", 10)
    };
    write(&store, pool, &[other]).await;
    while !store.roll_up(pool).await.unwrap().done {}
    let later = Minute::of_ms(NOW + 24 * 60 * 60 * 1000);
    assert_eq!(store.prune_shares(pool, later).await.unwrap(), 1);
    // The round is open, so it keeps what it began with, whatever comes behind it.
    for percent in ["2", "3"] {
        agree(&store, pool, percent).await;
        let open = of_round(&store, pool, Position::START).await;
        assert_eq!(open, Some(fees("1")), "{percent}");
        let next = of_round(&store, pool, Position::END).await;
        assert_eq!(next, Some(fees(percent)));
    }
}

async fn each_fee_comes_back_as_it_was(place: Place) {
    let (store, pool) = place.pool().await;
    let fee = |name: &str, percent: &str| Fee {
        name: name.to_owned(),
        percent: percent.parse().unwrap(),
    };
    let list = vec![fee("z", "0"), fee("pool", "9.99"), fee("a-b", "90.01")];
    let fees = Fees::new(list.clone(), "pool").unwrap();
    store.agree_fees(pool, &fees).await.unwrap();
    let newest = of_round(&store, pool, Position::END).await;
    assert_eq!(newest, Some(fees));
    // Who gets what cannot be split is a part of it.
    let other = Fees::new(list, "z").unwrap();
    store.agree_fees(pool, &other).await.unwrap();
    assert_eq!(of_round(&store, pool, Position::END).await, Some(other));
}
