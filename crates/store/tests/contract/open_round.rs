//! Where the round begins that is open, and whose work is in it.

use std::collections::BTreeSet;

use mining::{
    Scheme, Work,
    accounting::{Position, Window},
};

use super::{
    Place, contract,
    rounds::{NOW, block, found, mined, write},
    worker,
};

contract!(the_open_round_begins_with_the_last_block_once_that_is_located);

async fn the_open_round_begins_with_the_last_block_once_that_is_located(place: Place) {
    let (store, pool) = place.pool().await;
    let open = async |scheme| store.open_round(pool, scheme).await.unwrap();
    assert_eq!(open("pplns").await, Some(Position::START));
    let shares = [mined(1, "a", 10), mined(2, "b", 20), mined(3, "a", 30)];
    write(&store, pool, &shares).await;
    // In the order in which they are located, which is not that of their numbers.
    let last = found(&store, pool, 3).await;
    assert_eq!(open("pplns").await, Some(last));
    found(&store, pool, 2).await;
    assert_eq!(open("pplns").await, Some(last));
    let waiting = block(4, Scheme::Pplns, NOW);
    store.record_block(pool, &waiting).await.unwrap();
    assert_eq!(open("pplns").await, None);
    assert_eq!(open("prop").await, Some(Position::START));
    // Who did the work of a round is known by both names.
    let mut window = Window::empty(Work::from_hashes(u128::MAX));
    let filled = store.fill_window(pool, "pplns", last, None, &mut window);
    filled.await.unwrap();
    let workers: Vec<_> = window.work().keys().copied().collect();
    let names = store.worker_names(&workers).await.unwrap();
    let names: BTreeSet<_> = names.into_values().collect();
    let both = ["a", "b"].map(|name| (*worker(name)).clone());
    assert_eq!(names, both.into());
    assert!(store.worker_names(&[]).await.unwrap().is_empty());
}
