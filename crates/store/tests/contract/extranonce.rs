//! No two leases overlap.

use std::collections::HashSet;

use super::{Place, contract, trouble::execute};

contract!(leases_never_overlap, leases_wrap_into_the_next_epoch);

async fn leases_never_overlap(place: Place) {
    let (first, pool) = place.pool().await;
    let second = place.open().await;
    let tasks: Vec<_> = (0..60_u32)
        .map(|i| {
            let store = if i % 2 == 0 {
                first.clone()
            } else {
                second.clone()
            };
            tokio::spawn(async move { store.lease_extranonce(pool, 1 + i % 7).await.unwrap() })
        })
        .collect();
    let mut leased = HashSet::new();
    for task in tasks {
        for number in task.await.unwrap() {
            assert!(leased.insert(number));
        }
    }
    first.close().await;
    second.close().await;
    let lease = place.open().await.lease_extranonce(pool, 3).await.unwrap();
    assert_eq!(lease.clone().count(), 3);
    assert!(lease.clone().all(|number| leased.insert(number)));
}

async fn leases_wrap_into_the_next_epoch(place: Place) {
    let (store, pool) = place.pool().await;
    execute(&place, "UPDATE pools SET next_extranonce = 4294967290").await;
    let lease = store.lease_extranonce(pool, 10).await.unwrap();
    let values: Vec<_> = lease
        .map(|number| (number >> 32, number & 0xffff_ffff))
        .collect();
    assert_eq!(values[5], (0, 0xffff_ffff));
    assert_eq!(values[6], (1, 0));
    assert_eq!(store.lease_extranonce(pool, 0).await.unwrap().count(), 0);
    assert_eq!(
        store.lease_extranonce(pool, u32::MAX).await.unwrap().end,
        (1 << 32) + 4 + 0xffff_ffff
    );
}
