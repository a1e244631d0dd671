//! The logs of days: each share in one place, what is signed stays, and what is gone is said to be.

use std::collections::BTreeMap;

use mining::{
    Work,
    accounting::Position,
    date::Date,
    receipt::{CHUNK, Digest, Edge, Issuer, SaltKey, SecretKey, SignedStatement, Statement},
};
use store::{Chunk, LogChange, Minute, OpenLog, PoolId, Store, Unlogged};

use super::{Place, contract, shares, worker};

contract!(
    logs_go_on_where_they_were,
    what_is_not_logged_is_not_pruned,
    the_shares_of_chunks_are_found_in_batches_of_any_size,
    a_log_is_closed_when_all_is_logged_and_signed_once,
    what_proofs_are_made_from_is_pruned_and_statements_stay,
);

fn day(number: i64) -> Date {
    Date::from_number(20_000 + number).unwrap()
}

fn account(byte: u8) -> Digest {
    Digest([byte; 32])
}

/// Logs what is not logged, as if all of it came on one day and for one account.
async fn log_all(store: &Store, pool: PoolId, date: Date) -> u64 {
    let mut logged = 0;
    loop {
        let unlogged = store.unlogged_shares(pool).await.unwrap();
        if unlogged.shares.is_empty() {
            return logged;
        }
        logged += u64::try_from(unlogged.shares.len()).unwrap();
        let change = change(&unlogged, date);
        assert!(store.log_shares(pool, &unlogged, &[change]).await.unwrap());
    }
}

/// Leaves are counted and nothing else: what they are is no affair of the store's.
fn change(unlogged: &Unlogged, date: Date) -> LogChange {
    let mut log = match &unlogged.open {
        Some(open) if open.date == date => open.clone(),
        _ => OpenLog {
            date,
            edge: Edge::default(),
            work: Work::ZERO,
        },
    };
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut added = (0, Work::ZERO);
    for placed in &unlogged.shares {
        let count = log.edge.count();
        if count.is_multiple_of(CHUNK) {
            chunks.push(Chunk {
                number: count / CHUNK,
                first: Some(placed.at),
                digest: None,
            });
        }
        let hash = Digest(placed.share.hash().to_display_bytes());
        if let Some(digest) = log.edge.push(hash) {
            match chunks
                .last_mut()
                .filter(|last| last.number == count / CHUNK)
            {
                Some(last) => last.digest = Some(digest),
                None => chunks.push(Chunk {
                    number: count / CHUNK,
                    first: None,
                    digest: Some(digest),
                }),
            }
        }
        let work = placed.share.work();
        log.work = log.work.checked_add(work).unwrap();
        added = (added.0 + 1, added.1.checked_add(work).unwrap());
    }
    LogChange {
        log,
        chunks,
        added: BTreeMap::from([(account(1), added)]),
        closed: false,
    }
}

fn signed(log: &OpenLog, previous: Option<Digest>) -> SignedStatement {
    let key = SecretKey::from_bytes(&[7; 32]).unwrap();
    key.sign(Statement {
        issuer: Issuer::new("main", "bitcoin", "regtest").unwrap(),
        date: log.date,
        shares: log.edge.count(),
        work: log.work,
        root: log.edge.root().unwrap(),
        accounts: 1,
        accounts_root: account(9),
        previous,
    })
}

async fn logs_go_on_where_they_were(place: Place) {
    let (store, pool) = place.pool().await;
    let rig = worker("rig");
    // From before the first call there is nothing.
    store
        .append_shares(pool, &shares(0..5, &rig))
        .await
        .unwrap();
    assert!(store.unlogged_shares(pool).await.unwrap().shares.is_empty());
    let key = store.salt_key(pool, SaltKey::random()).await.unwrap();
    assert!(store.unlogged_shares(pool).await.unwrap().shares.is_empty());
    store
        .append_shares(pool, &shares(5..3_000, &rig))
        .await
        .unwrap();
    store
        .append_shares(pool, &shares(3_000..3_001, &rig))
        .await
        .unwrap();

    let store = place.open().await;
    assert_eq!(store.salt_key(pool, SaltKey::random()).await, Ok(key));
    let unlogged = store.unlogged_shares(pool).await.unwrap();
    assert!(!unlogged.done, "a step ends after some thousands");
    assert_eq!(unlogged.shares[0].share.hash(), super::hash(5));
    let first = change(&unlogged, day(0));
    // Whoever was slower changes nothing.
    let changes = [first.clone()];
    assert!(store.log_shares(pool, &unlogged, &changes).await.unwrap());
    assert!(!store.log_shares(pool, &unlogged, &changes).await.unwrap());
    assert_eq!(log_all(&store, pool, day(0)).await, 1);
    let open = store.open_log(pool).await.unwrap().unwrap();
    assert_eq!((open.date, open.edge.count()), (day(0), 2_996));
    assert_eq!(open.work, Work::from_hashes(2_996 * 1_000));
    assert_eq!(store.day_log(pool, day(0)).await.unwrap(), Some(open));
    assert_eq!(store.day_log(pool, day(1)).await.unwrap(), None);
    let sums = store.day_sums(pool, day(0)).await.unwrap();
    assert_eq!(sums.len(), 1);
    assert_eq!((sums[0].account, sums[0].shares), (account(1), 2_996));
    assert_eq!(sums[0].work, Work::from_hashes(2_996 * 1_000));
    assert_eq!(store.chunk_digests(pool, day(0)).await.unwrap().len(), 2);
}

async fn what_is_not_logged_is_not_pruned(place: Place) {
    let (store, pool) = place.pool().await;
    store.salt_key(pool, SaltKey::random()).await.unwrap();
    let rig = worker("rig");
    for number in 0..4 {
        let mut rows = shares(number..number + 1, &rig);
        let height = 100 + u32::try_from(number).unwrap();
        let (hash, work) = (rows[0].share.hash(), rows[0].share.work());
        rows[0].share = store::ShareRecord::new(hash, work, height, 1_000).unwrap();
        store.append_shares(pool, &rows).await.unwrap();
    }
    while !store.roll_up(pool).await.unwrap().done {}
    let later = Minute::of_ms(i64::MAX);
    assert_eq!(store.prune_shares(pool, later).await.unwrap(), 0);
    log_all(&store, pool, day(0)).await;
    assert_eq!(store.prune_shares(pool, later).await.unwrap(), 3);
    let gone = store.logged_shares(pool, day(0), 0, 1).await.unwrap();
    assert_eq!(gone, None, "the first of them is not kept");
}

async fn the_shares_of_chunks_are_found_in_batches_of_any_size(place: Place) {
    let (store, pool) = place.pool().await;
    store.salt_key(pool, SaltKey::random()).await.unwrap();
    let rig = worker("rig");
    let mut total = 0;
    for size in [1, 600, 2, 2_000, 1, 1, 1, 700] {
        let rows = shares(total..total + size, &rig);
        store.append_shares(pool, &rows).await.unwrap();
        total += size;
        log_all(&store, pool, day(0)).await;
    }
    let mut next = 0;
    for chunk in 0..total.div_ceil(CHUNK) {
        let found = store.logged_shares(pool, day(0), chunk, 1).await.unwrap();
        for placed in found.unwrap() {
            assert_eq!(placed.share.hash(), super::hash(next));
            next += 1;
        }
        assert_eq!(next, total.min((chunk + 1) * CHUNK));
    }
    let all = store.logged_shares(pool, day(0), 0, 100).await.unwrap();
    let all = all.unwrap();
    assert_eq!(u64::try_from(all.len()).unwrap(), total);
    let at: Vec<Position> = all.iter().map(|placed| placed.at).collect();
    assert!(at.is_sorted());
    for (date, chunk) in [(day(0), 99), (day(1), 0)] {
        let none = store.logged_shares(pool, date, chunk, 1).await.unwrap();
        assert_eq!(none, None);
    }
}

async fn a_log_is_closed_when_all_is_logged_and_signed_once(place: Place) {
    let (store, pool) = place.pool().await;
    store.salt_key(pool, SaltKey::random()).await.unwrap();
    let rig = worker("rig");
    assert!(!store.close_log(pool, day(0)).await.unwrap());
    store
        .append_shares(pool, &shares(0..3, &rig))
        .await
        .unwrap();
    log_all(&store, pool, day(0)).await;
    store
        .append_shares(pool, &shares(3..4, &rig))
        .await
        .unwrap();
    assert!(!store.close_log(pool, day(0)).await.unwrap(), "one waits");
    log_all(&store, pool, day(0)).await;
    assert!(!store.close_log(pool, day(1)).await.unwrap());
    assert_eq!(store.unsigned_log(pool).await.unwrap(), None);
    assert!(store.close_log(pool, day(0)).await.unwrap());
    assert!(!store.close_log(pool, day(0)).await.unwrap());
    assert_eq!(store.open_log(pool).await.unwrap(), None);
    let unlogged = store.unlogged_shares(pool).await.unwrap();
    assert_eq!((unlogged.open, unlogged.closed), (None, Some(day(0))));

    let unsigned = store.unsigned_log(pool).await.unwrap().unwrap();
    assert_eq!((unsigned.sums.len(), &unsigned.previous), (1, &None));
    let first = signed(&unsigned.log, None);
    assert!(store.sign_log(pool, &first).await.unwrap());
    let other = signed(&unsigned.log, Some(account(5)));
    assert!(
        !store.sign_log(pool, &other).await.unwrap(),
        "what is signed stays"
    );
    assert_eq!(store.unsigned_log(pool).await.unwrap(), None);

    store
        .append_shares(pool, &shares(4..5, &rig))
        .await
        .unwrap();
    log_all(&store, pool, day(3)).await;
    store.close_log(pool, day(3)).await.unwrap();
    let unsigned = store.unsigned_log(pool).await.unwrap().unwrap();
    assert_eq!(unsigned.previous.as_ref(), Some(&first));
    let second = signed(&unsigned.log, Some(first.statement.digest()));
    assert!(store.sign_log(pool, &second).await.unwrap());
    let store = place.open().await;
    let statements = async |before, limit| store.statements(pool, before, limit).await.unwrap();
    assert_eq!(statements(None, 9).await, [second.clone(), first.clone()]);
    assert_eq!(statements(None, 1).await, std::slice::from_ref(&second));
    assert_eq!(
        statements(Some(day(3)), 9).await,
        std::slice::from_ref(&first)
    );
    for (date, found) in [
        (day(0), Some(first)),
        (day(1), None),
        (day(3), Some(second)),
    ] {
        assert_eq!(store.statement_of(pool, date).await.unwrap(), found);
    }
}

async fn what_proofs_are_made_from_is_pruned_and_statements_stay(place: Place) {
    let (store, pool) = place.pool().await;
    store.salt_key(pool, SaltKey::random()).await.unwrap();
    let rig = worker("rig");
    store
        .append_shares(pool, &shares(0..3, &rig))
        .await
        .unwrap();
    log_all(&store, pool, day(0)).await;
    // A log that is open, or not signed, loses nothing.
    let (all, none) = (day(100), day(0));
    assert_eq!(store.prune_receipts(pool, all, all).await.unwrap(), 0);
    store.close_log(pool, day(0)).await.unwrap();
    assert_eq!(store.prune_receipts(pool, none, all).await.unwrap(), 0);
    let unsigned = store.unsigned_log(pool).await.unwrap().unwrap();
    store
        .sign_log(pool, &signed(&unsigned.log, None))
        .await
        .unwrap();
    assert_eq!(store.prune_receipts(pool, none, none).await.unwrap(), 0);
    assert_eq!(store.prune_receipts(pool, all, none).await.unwrap(), 1);
    assert_eq!(store.prune_receipts(pool, all, all).await.unwrap(), 1);
    assert_eq!(store.prune_receipts(pool, all, all).await.unwrap(), 0);
    assert!(store.statement_of(pool, day(0)).await.unwrap().is_some());
    assert_eq!(store.day_sums(pool, day(0)).await.unwrap(), []);
    assert_eq!(store.logged_shares(pool, day(0), 0, 1).await.unwrap(), None);
}
