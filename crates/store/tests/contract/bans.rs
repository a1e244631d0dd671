//! Bans outlive the process, belong to one pool, and are forgotten when they are over.

use mining::Network;
use store::Ban;

use super::{Place, bitcoin, contract, trouble::execute};

contract!(
    a_ban_is_kept_until_it_is_lifted,
    bans_that_ended_are_forgotten,
    an_address_that_is_none_is_an_error,
);

fn ban(address: &str, until_ms: i64) -> Ban {
    Ban {
        address: address.parse().unwrap(),
        since_ms: 1_000,
        until_ms,
        shares: 120,
        invalid: 30,
    }
}

async fn a_ban_is_kept_until_it_is_lifted(place: Place) {
    let (store, pool) = place.pool().await;
    let other = store
        .pool("other", bitcoin(), Network::Regtest)
        .await
        .unwrap();
    let (four, six) = (ban("1.2.3.4", 5_000), ban("2001:db8:1:2::", 9_000));
    store.keep_bans(pool, &[four, six]).await.unwrap();
    store
        .keep_bans(other, &[ban("1.2.3.4", 7_000)])
        .await
        .unwrap();
    store.close().await;
    let store = place.open().await;
    assert_eq!(store.bans(pool, 10).await.unwrap(), [six, four]);
    assert_eq!(store.bans(pool, 1).await.unwrap(), [six]);
    // The same address again is the same ban with new figures.
    let longer = Ban {
        invalid: u64::MAX,
        ..ban("1.2.3.4", 20_000)
    };
    store.keep_bans(pool, &[longer]).await.unwrap();
    let kept = store.bans(pool, 10).await.unwrap();
    assert_eq!((kept[0].until_ms, kept[0].invalid), (20_000, u64::MAX >> 1));
    store
        .lift_bans(pool, &[four.address, "9.9.9.9".parse().unwrap()])
        .await
        .unwrap();
    assert_eq!(store.bans(pool, 10).await.unwrap(), [six]);
    assert_eq!(
        store.bans(other, 10).await.unwrap(),
        [ban("1.2.3.4", 7_000)]
    );
}

async fn bans_that_ended_are_forgotten(place: Place) {
    let (store, pool) = place.pool().await;
    let bans = [
        ban("1.1.1.1", 4_999),
        ban("1.1.1.2", 5_000),
        ban("1.1.1.3", 5_001),
    ];
    store.keep_bans(pool, &bans).await.unwrap();
    assert_eq!(store.forget_bans(pool, 5_000).await.unwrap(), 2);
    assert_eq!(store.forget_bans(pool, 5_000).await.unwrap(), 0);
    assert_eq!(store.bans(pool, 10).await.unwrap(), [bans[2]]);
}

async fn an_address_that_is_none_is_an_error(place: Place) {
    let (store, pool) = place.pool().await;
    store.keep_bans(pool, &[ban("1.1.1.1", 5)]).await.unwrap();
    execute(&place, "UPDATE bans SET address = 'nowhere'").await;
    assert!(store.bans(pool, 10).await.is_err());
}
