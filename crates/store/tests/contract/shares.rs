//! Batches of shares: written, found again, pruned.

use mining::{Scheme, Work};
use store::{Minute, ShareRecord, ShareRow, WorkerName};

use super::{Place, contract, hash, share, share_at, shares, worker};

contract!(
    batches_of_any_size_are_written,
    the_hashes_of_the_newest_height_come_back,
    a_batch_makes_its_workers,
    two_stores_make_the_same_workers,
    the_best_hash_is_kept,
    the_best_shares_are_ranked,
    what_is_pruned_stays_in_the_sums,
    the_newest_height_is_never_pruned,
);

async fn batches_of_any_size_are_written(place: Place) {
    let (store, pool) = place.pool().await;
    let rig = worker("rig");
    let mut total = 0;
    for size in [0, 1, 2, 1000, 5000] {
        let batch = shares(total..total + size, &rig);
        store.append_shares(pool, &batch).await.unwrap();
        total += size;
        assert_eq!(store.pool_total(pool).await.unwrap().shares, total);
    }
    let sums = place.open().await.pool_total(pool).await.unwrap();
    assert_eq!(
        (sums.shares, sums.work),
        (total, Work::from_hashes(u128::from(total) * 1000))
    );
}

async fn the_hashes_of_the_newest_height_come_back(place: Place) {
    let (store, pool) = place.pool().await;
    let other = store
        .pool("other", super::bitcoin(), mining::Network::Regtest)
        .await
        .unwrap();
    assert_eq!(store.newest_hashes(pool).await.unwrap(), []);
    let batches = [
        vec![at_height(1, 100, 5), at_height(2, 100, 6)],
        vec![at_height(3, 100, 7), at_height(4, 101, 8)],
        vec![at_height(5, 101, 9)],
    ];
    for batch in &batches {
        store.append_shares(pool, batch).await.unwrap();
    }
    let in_other = [at_height(6, 500, 9)];
    store.append_shares(other, &in_other).await.unwrap();
    let store = place.open().await;
    let mut found = store.newest_hashes(pool).await.unwrap();
    found.sort_by_key(|hash| hash.to_display_bytes());
    // Whole batches: the one that has the first share of a height may hold older ones.
    assert_eq!(found, [3, 4, 5].map(hash));
    assert_eq!(store.newest_hashes(other).await.unwrap(), [hash(6)]);
}

async fn a_batch_makes_its_workers(place: Place) {
    let (store, pool) = place.pool().await;
    // More than one statement of them, some of them twice, some of them known.
    for round in 0..2_u64 {
        let rows: Vec<ShareRow> = (0..3000)
            .map(|i| {
                share(
                    round * 3000 + i,
                    &worker(&format!("rig{}", (i + round * 700) % 1500)),
                )
            })
            .collect();
        store.append_shares(pool, &rows).await.unwrap();
    }
    let mut after = None;
    let mut seen = 0;
    loop {
        let page = store
            .workers(pool, Some("bcrt1qminer"), &[], after, 700)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen += page.len();
        assert!(page.iter().all(|worker| worker.total.shares == 4));
    }
    assert_eq!(seen, 1500);
    assert_eq!(
        store
            .workers(pool, Some("bcrt1qother"), &[], None, 10)
            .await
            .unwrap(),
        []
    );
}

async fn two_stores_make_the_same_workers(place: Place) {
    let (first, pool) = place.pool().await;
    let second = place.open().await;
    let tasks: Vec<_> = (0..40_u64)
        .map(|i| {
            let store = if i % 2 == 0 {
                first.clone()
            } else {
                second.clone()
            };
            let row = share(i, &worker(&format!("rig{}", i / 10)));
            tokio::spawn(async move { store.append_shares(pool, &[row]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let workers = first.workers(pool, None, &[], None, 100).await.unwrap();
    let mut names: Vec<_> = workers
        .iter()
        .map(|worker| worker.who.to_string())
        .collect();
    names.sort();
    assert_eq!(names, [0, 1, 2, 3].map(|i| format!("bcrt1qminer.rig{i}")));
    assert!(workers.iter().all(|worker| worker.total.shares == 10));
}

async fn the_best_hash_is_kept(place: Place) {
    let (store, pool) = place.pool().await;
    let (one, two) = (worker("one"), worker("two"));
    let best = async |number: usize| {
        store.workers(pool, None, &[], None, 9).await.unwrap()[number]
            .best
            .unwrap()
    };
    store
        .append_shares(pool, &[share(50, &one), share(40, &one)])
        .await
        .unwrap();
    assert_eq!(best(0).await, hash(40));
    store
        .append_shares(pool, &[share(30, &one), share(45, &one)])
        .await
        .unwrap();
    assert_eq!(best(0).await, hash(30));
    // A better one through another store, then a worse one through this.
    place
        .open()
        .await
        .append_shares(pool, &[share(10, &one)])
        .await
        .unwrap();
    store.append_shares(pool, &[share(20, &one)]).await.unwrap();
    assert_eq!(best(0).await, hash(10));
    // Another's share is nobody else's best.
    store
        .append_shares(pool, &[share(99, &two), share(98, &two)])
        .await
        .unwrap();
    assert_eq!(best(1).await, hash(98));
}

async fn the_best_shares_are_ranked(place: Place) {
    let (store, pool) = place.pool().await;
    let (one, two) = (worker("one"), worker("two"));
    assert_eq!(store.first_share_ms(pool).await.unwrap(), None);
    assert_eq!(store.bests(pool, None, 9).await.unwrap(), []);
    let ranked = async |address: Option<&str>, limit| {
        let bests = store.bests(pool, address, limit).await.unwrap();
        let told = bests
            .into_iter()
            .map(|best| (best.worker.name().to_owned(), best.hash));
        told.collect::<Vec<_>>()
    };
    // What is not rolled up counts as what is.
    for (number, who) in [(50, &one), (40, &two), (60, &two), (30, &one)] {
        store
            .append_shares(pool, &[share(number, who)])
            .await
            .unwrap();
    }
    let expected = [("one".to_owned(), hash(30)), ("two".to_owned(), hash(40))];
    for _ in 0..2 {
        assert_eq!(ranked(None, 9).await, expected);
        assert_eq!(ranked(Some(one.address()), 9).await, expected);
        assert_eq!(ranked(None, 1).await, expected[..1]);
        assert_eq!(ranked(Some("another"), 9).await, []);
        while !store.roll_up(pool).await.unwrap().done {}
    }
    store.append_shares(pool, &[share(20, &two)]).await.unwrap();
    assert_eq!(ranked(None, 1).await, [("two".to_owned(), hash(20))]);
    assert!(store.first_share_ms(pool).await.unwrap().is_some());
}

fn at_height(number: u64, height: u32, time_ms: i64) -> ShareRow {
    let work = Work::from_hashes(7);
    let share = ShareRecord::new(hash(number), work, height, time_ms).unwrap();
    ShareRow {
        share,
        worker: worker("rig"),
        scheme: Scheme::Pplns,
    }
}

async fn what_is_pruned_stays_in_the_sums(place: Place) {
    let (store, pool) = place.pool().await;
    let minute = Minute::of_ms(1_800_000_000_000);
    let later = minute.start_ms() + 10 * 60_000;
    for i in 0..300 {
        let batch = [
            at_height(2 * i, 100, minute.start_ms()),
            at_height(2 * i + 1, 100, minute.start_ms()),
        ];
        store.append_shares(pool, &batch).await.unwrap();
    }
    for (number, height) in [(9_999, 101), (10_000, 100)] {
        let batch = [at_height(number, height, later)];
        store.append_shares(pool, &batch).await.unwrap();
    }
    let before = store.pool_total(pool).await.unwrap();
    assert_eq!(before.shares, 602);
    let future = Minute::of_ms(later + 86_400_000);
    // What is not rolled up is not removed.
    assert_eq!(store.prune_shares(pool, future).await.unwrap(), 0);
    while !store.roll_up(pool).await.unwrap().done {}
    assert_eq!(store.prune_shares(pool, minute).await.unwrap(), 0);
    let mut pruned = Vec::new();
    while pruned.last() != Some(&0) {
        let limit = Minute::of_ms(later);
        pruned.push(store.prune_shares(pool, limit).await.unwrap());
        assert_eq!(store.pool_total(pool).await.unwrap(), before);
        assert_eq!(store.pool_sums(pool, minute).await.unwrap(), before);
    }
    // All of those minutes, but the last batch holds a number that must not come again.
    assert_eq!(pruned.iter().sum::<u64>(), 0, "the newest height is 100");
    let batch = [at_height(20_000, 102, later)];
    store.append_shares(pool, &batch).await.unwrap();
    let mut pruned = Vec::new();
    while pruned.last() != Some(&0) {
        pruned.push(
            store
                .prune_shares(pool, Minute::of_ms(later))
                .await
                .unwrap(),
        );
    }
    assert_eq!(pruned, [256, 44, 0]);
    // Also when the minutes go.
    while !store.roll_up(pool).await.unwrap().done {}
    let before = store.pool_total(pool).await.unwrap();
    let limit = Minute::of_ms(later);
    while store.prune_minutes(pool, limit).await.unwrap() > 0 {}
    assert_eq!(store.pool_total(pool).await.unwrap(), before);
    // The hours have them still.
    assert_eq!(store.pool_sums(pool, minute).await.unwrap(), before);
}

async fn the_newest_height_is_never_pruned(place: Place) {
    let (store, pool) = place.pool().await;
    let start = 1_800_000_000_000;
    for (number, height) in [(1, 100), (2, 101), (3, 101)] {
        let batch = [at_height(number, height, start)];
        store.append_shares(pool, &batch).await.unwrap();
    }
    while !store.roll_up(pool).await.unwrap().done {}
    let future = Minute::of_ms(start + 86_400_000);
    assert_eq!(store.prune_shares(pool, future).await.unwrap(), 1);
    let mut kept = store.newest_hashes(pool).await.unwrap();
    kept.sort_by_key(|hash| hash.to_display_bytes());
    assert_eq!(kept, [hash(2), hash(3)]);
}

#[test]
fn what_does_not_fit_is_refused_before() {
    let too_much = Work::from_hashes(1 << 63);
    assert!(ShareRecord::new(hash(1), too_much, 1, 0).is_err());
    let most = Work::from_hashes((1 << 63) - 1);
    assert_eq!(ShareRecord::new(hash(1), most, 1, -1).unwrap().work(), most);
    for (address, name) in [
        ("", "rig"),
        ("a\0", ""),
        ("a", "b\n"),
        (&"a".repeat(129), ""),
    ] {
        assert!(WorkerName::new(address, name).is_err());
    }
    assert_eq!(WorkerName::new("a", "").unwrap().to_string(), "a");
    let _ = share_at(1, &worker("é"), 1, i64::MAX);
}
