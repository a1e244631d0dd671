//! Who did the most of late, and whose shares are the best.

use mining::Work;
use store::{Minute, PoolId, Store, Worker, WorkerName};

use super::{Place, contract, hash, share_at};

contract!(
    the_strongest_come_first_rolled_up_or_not,
    an_address_is_ranked_alone,
    a_worker_is_found_by_its_name_alone,
    the_best_share_of_each_address_is_told,
);

/// A minute with which an hour begins.
const START: i64 = 1_800_000_000_000;

fn minute(after: u32) -> Minute {
    Minute::of_ms(START + i64::from(after) * 60_000)
}

async fn roll_up(store: &Store, pool: PoolId) {
    while !store.roll_up(pool).await.unwrap().done {}
}

fn named(address: &str, name: &str) -> std::sync::Arc<WorkerName> {
    WorkerName::new(address, name).unwrap().into()
}

/// Works since the minutes 0 and 2: a.one 11 and 10, a.two 30 and 0, b.one 20 and 20.
async fn stored(store: &Store, pool: PoolId) {
    let rows = [
        share_at(1, &named("a", "one"), 1, START),
        share_at(2, &named("a", "one"), 10, START + 120_000),
        share_at(3, &named("a", "two"), 30, START + 60_000),
        share_at(4, &named("b", "one"), 20, START + 180_000),
    ];
    store.append_shares(pool, &rows).await.unwrap();
}

fn told(workers: &[Worker]) -> Vec<(String, Vec<u128>)> {
    workers
        .iter()
        .map(|worker| {
            let works = worker.windows.iter().map(|sums| sums.work.hashes());
            (worker.who.to_string(), works.collect())
        })
        .collect()
}

fn expected(list: &[(&str, [u128; 2])]) -> Vec<(String, Vec<u128>)> {
    let entry = |(name, works): &(&str, [u128; 2])| ((*name).to_owned(), works.to_vec());
    list.iter().map(entry).collect()
}

async fn the_strongest_come_first_rolled_up_or_not(place: Place) {
    let (store, pool) = place.pool().await;
    stored(&store, pool).await;
    for _ in 0..2 {
        let windows = [minute(0), minute(2)];
        let all = store.strongest(pool, None, &windows, 10).await.unwrap();
        let list = [("a.two", [30, 0]), ("b.one", [20, 20]), ("a.one", [11, 10])];
        assert_eq!(told(&all), expected(&list));
        let two = store.strongest(pool, None, &windows, 2).await.unwrap();
        assert_eq!(told(&two), expected(&list[..2]));
        // Since the first of the windows: who did nothing since then is not among them.
        let late = [minute(2), minute(0)];
        let late = store.strongest(pool, None, &late, 10).await.unwrap();
        let list = [("b.one", [20, 20]), ("a.one", [10, 11])];
        assert_eq!(told(&late), expected(&list));
        let none = store.strongest(pool, None, &[minute(9)], 10).await.unwrap();
        assert!(none.is_empty());
        assert!(
            store
                .strongest(pool, None, &[], 10)
                .await
                .unwrap()
                .is_empty()
        );
        roll_up(&store, pool).await;
    }
}

async fn an_address_is_ranked_alone(place: Place) {
    let (store, pool) = place.pool().await;
    stored(&store, pool).await;
    for _ in 0..2 {
        let windows = [minute(0), minute(2)];
        let own = store
            .strongest(pool, Some("a"), &windows, 10)
            .await
            .unwrap();
        let list = [("a.two", [30, 0]), ("a.one", [11, 10])];
        assert_eq!(told(&own), expected(&list));
        let first = store.strongest(pool, Some("a"), &windows, 1).await.unwrap();
        assert_eq!(told(&first), expected(&list[..1]));
        let nobody = store.strongest(pool, Some("c"), &windows, 9).await.unwrap();
        assert!(nobody.is_empty());
        roll_up(&store, pool).await;
    }
}

async fn a_worker_is_found_by_its_name_alone(place: Place) {
    let (store, pool) = place.pool().await;
    stored(&store, pool).await;
    for _ in 0..2 {
        let found = store
            .worker(pool, "a", "one", &[minute(0), minute(2)])
            .await;
        let found = found.unwrap().unwrap();
        assert_eq!(
            told(std::slice::from_ref(&found)),
            expected(&[("a.one", [11, 10])])
        );
        assert_eq!(found.total.work, Work::from_hashes(11));
        assert_eq!(
            (found.first_share_ms, found.last_share_ms, found.best),
            (START, START + 120_000, Some(hash(1)))
        );
        for (address, name) in [("a", "on"), ("b", "two"), ("", "")] {
            let nobody = store.worker(pool, address, name, &[minute(0)]).await;
            assert_eq!(nobody.unwrap(), None, "{address}.{name}");
        }
        roll_up(&store, pool).await;
    }
}

async fn the_best_share_of_each_address_is_told(place: Place) {
    let (store, pool) = place.pool().await;
    stored(&store, pool).await;
    roll_up(&store, pool).await;
    let best = store.best_shares(pool, 10).await.unwrap();
    let told: Vec<_> = best
        .iter()
        .map(|best| (best.who.to_string(), best.hash, best.last_share_ms))
        .collect();
    let list = [
        ("a.one".to_owned(), hash(1), START + 120_000),
        ("b.one".to_owned(), hash(4), START + 180_000),
    ];
    assert_eq!(told, list);
    assert_eq!(store.best_shares(pool, 1).await.unwrap().len(), 1);
}
