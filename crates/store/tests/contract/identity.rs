//! Whose database it is, and by which program it was written.

use mining::{Coin, Network};
use store::{GenesisError, OpenError, PoolError, Store};

use super::{Place, bitcoin, contract, hash, pool};

contract!(
    a_pool_keeps_its_id,
    a74_another_chain_is_refused,
    another_first_block_is_refused,
    a_newer_schema_is_refused,
    many_open_a_new_database_at_once,
    it_is_healthy,
);

async fn a_pool_keeps_its_id(place: Place) {
    let (first, id) = place.pool().await;
    let other = first
        .pool("other", bitcoin(), Network::Regtest)
        .await
        .unwrap();
    assert_ne!(id, other);
    assert_eq!(pool(&place.open().await).await, id);
}

async fn a74_another_chain_is_refused(place: Place) {
    let (_, _) = place.pool().await;
    let store = place.open().await;
    let litecoin: &Coin = "litecoin".parse().unwrap();
    for (coin, network) in [(bitcoin(), Network::Main), (litecoin, Network::Regtest)] {
        let error = store.pool("main", coin, network).await.unwrap_err();
        let PoolError::OtherChain { name, stamped, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(
            (name.as_str(), stamped.as_str()),
            ("main", "bitcoin regtest")
        );
    }
    pool(&store).await;
}

async fn another_first_block_is_refused(place: Place) {
    let (store, id) = place.pool().await;
    for _ in 0..2 {
        store.stamp_genesis(id, hash(1)).await.unwrap();
    }
    let stamped = GenesisError::OtherChain { stamped: hash(1) };
    assert_eq!(
        place.open().await.stamp_genesis(id, hash(2)).await,
        Err(stamped)
    );
    store.stamp_genesis(id, hash(1)).await.unwrap();
}

async fn a_newer_schema_is_refused(place: Place) {
    place.open().await.close().await;
    super::trouble::execute(&place, "INSERT INTO schema_version (version) VALUES (1000)").await;
    let error = Store::open(&place.url()).await.err().unwrap();
    assert!(
        matches!(error, OpenError::NewerSchema { found: 1000, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("use the newer program"));
}

async fn many_open_a_new_database_at_once(place: Place) {
    let url = place.url();
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { pool(&Store::open(&url).await.unwrap()).await })
        })
        .collect();
    for task in opened {
        assert_eq!(task.await.unwrap(), pool(&place.open().await).await);
    }
}

async fn it_is_healthy(place: Place) {
    let (store, _) = place.pool().await;
    store.ping().await.unwrap();
    assert_eq!(
        store.integrity_check().await.unwrap(),
        store::Integrity::Whole
    );
    assert!(store.size().await.unwrap() > 0);
}

#[tokio::test]
async fn what_is_no_url_of_a_database_is_refused() {
    for url in [
        "",
        "pool.db",
        "sqlite:",
        "sqlite::memory:",
        "mysql://localhost/pool",
    ] {
        assert_eq!(Store::open(url).await.err(), Some(OpenError::Url));
    }
    let nowhere = Store::open("sqlite:/nowhere/pool.db").await.err().unwrap();
    assert!(matches!(nowhere, OpenError::Broken(_)), "{nowhere}");
}
