//! Keys of the operator open nothing but by their hash, and what operators did stays written.

use mining::api_key::{ApiKey, KeyName};
use store::{Act, KeyError};

use super::{Place, contract};

contract!(
    a_key_is_found_by_its_hash_until_it_is_revoked,
    a_name_is_given_to_one_key,
    there_is_an_end_of_keys,
    the_use_of_a_key_is_noted_once_a_minute,
    what_operators_did_is_read_page_by_page,
    a_pause_and_its_act_are_written_together,
);

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

fn act(time_ms: i64, what: &str) -> Act {
    Act {
        time_ms,
        who: "this machine".into(),
        what: what.into(),
        subject: "x".into(),
    }
}

async fn a_key_is_found_by_its_hash_until_it_is_revoked(place: Place) {
    let store = place.open().await;
    let (one, two) = (ApiKey::of_chance([1; 32]), ApiKey::of_chance([2; 32]));
    store
        .keep_key(&name("one"), one.hash(), &act(5, "made"))
        .await
        .unwrap();
    store.close().await;
    let store = place.open().await;
    let found = store.key_of(one.hash()).await.unwrap().unwrap();
    assert_eq!(
        (found.name.as_str(), found.made_ms, found.used_ms),
        ("one", 5, None)
    );
    assert_eq!(store.key_of(two.hash()).await.unwrap(), None);
    assert!(
        !store
            .revoke_key(&name("two"), &act(6, "revoked"))
            .await
            .unwrap()
    );
    assert!(
        store
            .revoke_key(&name("one"), &act(7, "revoked"))
            .await
            .unwrap()
    );
    assert_eq!(store.key_of(one.hash()).await.unwrap(), None);
    assert_eq!(store.keys().await.unwrap(), []);
    // A key that was not there is no act.
    let told = store.acts(None, 10).await.unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|kept| (kept.act.time_ms, &kept.act.what[..]))
        .collect();
    assert_eq!(told, [(7, "revoked"), (5, "made")]);
}

async fn a_name_is_given_to_one_key(place: Place) {
    let store = place.open().await;
    let (one, two) = (ApiKey::of_chance([1; 32]), ApiKey::of_chance([2; 32]));
    let made = store
        .keep_key(&name("a"), one.hash(), &act(1, "made"))
        .await;
    assert_eq!(made, Ok(()));
    let made = store
        .keep_key(&name("a"), two.hash(), &act(2, "made"))
        .await;
    assert_eq!(made, Err(KeyError::Taken));
    assert_eq!(store.key_of(two.hash()).await.unwrap(), None);
    assert!(store.key_of(one.hash()).await.unwrap().is_some());
    assert_eq!(store.acts(None, 10).await.unwrap().len(), 1);
}

async fn there_is_an_end_of_keys(place: Place) {
    let store = place.open().await;
    for number in 0..100 {
        let key = ApiKey::of_chance([number; 32]);
        let name = name(&format!("k{number:02}"));
        store
            .keep_key(&name, key.hash(), &act(1, "made"))
            .await
            .unwrap();
    }
    let more = ApiKey::of_chance([200; 32]);
    let made = store
        .keep_key(&name("more"), more.hash(), &act(1, "made"))
        .await;
    assert_eq!(made, Err(KeyError::TooMany));
    let keys = store.keys().await.unwrap();
    assert_eq!((keys.len(), keys[99].name.as_str()), (100, "k99"));
}

async fn the_use_of_a_key_is_noted_once_a_minute(place: Place) {
    let store = place.open().await;
    let hash = ApiKey::of_chance([1; 32]).hash();
    store
        .keep_key(&name("a"), hash, &act(1, "made"))
        .await
        .unwrap();
    for (now_ms, noted) in [(10, 10), (60_009, 10), (60_010, 60_010), (60_011, 60_010)] {
        let key = store.key_of(hash).await.unwrap().unwrap();
        store.note_key_used(&key, now_ms).await.unwrap();
        let key = store.key_of(hash).await.unwrap().unwrap();
        assert_eq!(key.used_ms, Some(noted), "at {now_ms}");
    }
}

async fn what_operators_did_is_read_page_by_page(place: Place) {
    let store = place.open().await;
    for time_ms in 1..=5 {
        store.keep_act(&act(time_ms, "did")).await.unwrap();
    }
    let long = Act {
        subject: format!("a\0{}", "ä".repeat(600)),
        ..act(6, "said much")
    };
    store.keep_act(&long).await.unwrap();
    let first = store.acts(None, 4).await.unwrap();
    let times: Vec<i64> = first.iter().map(|kept| kept.act.time_ms).collect();
    assert_eq!(times, [6, 5, 4, 3]);
    let subject = &first[0].act.subject;
    assert!(
        subject.starts_with("aä") && subject.len() <= 512,
        "{subject}"
    );
    let rest = store.acts(Some(first[3].seq), 4).await.unwrap();
    let times: Vec<i64> = rest.iter().map(|kept| kept.act.time_ms).collect();
    assert_eq!(times, [2, 1]);
}

async fn a_pause_and_its_act_are_written_together(place: Place) {
    let (store, pool) = place.pool().await;
    store
        .pause_payments_by(pool, "a reason", &act(1, "payouts paused"))
        .await
        .unwrap();
    let paused = store.payments_paused(pool).await.unwrap();
    assert_eq!(paused.as_deref(), Some("a reason"));
    store
        .pause_payments_by(pool, "", &act(2, "payouts resumed"))
        .await
        .unwrap();
    assert_eq!(store.payments_paused(pool).await.unwrap(), None);
    assert_eq!(store.acts(None, 10).await.unwrap().len(), 2);
}
