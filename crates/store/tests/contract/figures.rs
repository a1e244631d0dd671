//! Every figure equals the sum over the shares, whatever was rolled up or pruned in between.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use mining::Work;
use proptest::prelude::*;
use store::{Active, Minute, Of, Store, Sums, WorkerName};

use super::{Place, contract, share, share_at, worker};

contract!(
    late_shares_count_in_their_minute,
    sums_outgrow_64_bits,
    pages_show_windows,
    hours_stay_when_minutes_go,
    figures_are_exact_while_many_write_read_and_roll_up,
);

/// Of all workers of these tests but those of the model, every second of which is of the other.
const ADDRESS: &str = "bcrt1qminer";
const OTHER: &str = "bcrt1qother";
const START: i64 = 1_800_000_000_000;

/// The minute so many after the start.
fn minute(number: i64) -> Minute {
    Minute::of_ms(START + number * 60_000)
}

async fn roll_up(store: &Store, pool: store::PoolId) {
    while !store.roll_up(pool).await.unwrap().done {}
}

async fn late_shares_count_in_their_minute(place: Place) {
    let (store, pool) = place.pool().await;
    let rig = worker("rig");
    let history = async || {
        store
            .history(pool, Of::Pool, minute(0), minute(9), 1)
            .await
            .unwrap()
    };
    let mut expected = Sums::default();
    for (number, work) in [(1, 5), (2, 6), (3, 1 << 40), (4, (1 << 32) - 1)] {
        let batch = [share_at(number, &rig, work, START)];
        store.append_shares(pool, &batch).await.unwrap();
        expected.shares += 1;
        let work = Work::from_hashes(work.into());
        expected.work = expected.work.checked_add(work).unwrap();
        for _ in 0..2 {
            assert_eq!(history().await, [(minute(0), expected)]);
            assert_eq!(store.pool_total(pool).await.unwrap(), expected);
            roll_up(&store, pool).await;
        }
    }
}

/// A share is in a figure from its commit on, once, whoever rolls it up meanwhile and whatever other readers
/// keep of it.
async fn figures_are_exact_while_many_write_read_and_roll_up(place: Place) {
    const BATCHES: u64 = 60;
    let (store, pool) = place.pool().await;
    let other = store
        .pool("other", super::bitcoin(), mining::Network::Regtest)
        .await
        .unwrap();
    let rig = worker("rig");
    let written = Arc::new(AtomicU64::new(0));
    let writing = tokio::spawn({
        let (store, written) = (store.clone(), Arc::clone(&written));
        async move {
            for number in 0..BATCHES {
                let batch = [share(3 * number, &rig), share(3 * number + 1, &rig)];
                store.append_shares(pool, &batch).await.unwrap();
                written.fetch_add(2, Ordering::SeqCst);
                let elsewhere = [share(3 * number + 2, &rig)];
                store.append_shares(other, &elsewhere).await.unwrap();
            }
        }
    });
    let rolling = (0..2).map(|_| {
        let (store, written) = (store.clone(), Arc::clone(&written));
        tokio::spawn(async move {
            while written.load(Ordering::SeqCst) < 2 * BATCHES {
                store.roll_up(pool).await.unwrap();
            }
        })
    });
    let reading = (0..3).map(|_| {
        let (store, written) = (store.clone(), Arc::clone(&written));
        tokio::spawn(async move {
            let mut seen = 0;
            while seen < 2 * BATCHES {
                let least = written.load(Ordering::SeqCst);
                let sums = store.pool_sums(pool, minute(0)).await.unwrap();
                // Those that are on their way may be there.
                let most = written.load(Ordering::SeqCst) + 2;
                assert!((least..=most).contains(&sums.shares), "{least} {sums:?}");
                assert!(sums.shares >= seen && sums.shares.is_multiple_of(2));
                assert_eq!(sums.work, Work::from_hashes(1000 * u128::from(sums.shares)));
                assert_eq!(store.pool_total(pool).await.unwrap().shares % 2, 0);
                seen = sums.shares;
            }
        })
    });
    let tasks: Vec<_> = rolling.chain(reading).chain([writing]).collect();
    for task in tasks {
        task.await.unwrap();
    }
    roll_up(&store, pool).await;
    let total = store.pool_total(pool).await.unwrap();
    assert_eq!(total.shares, 2 * BATCHES);
    assert_eq!(store.pool_total(other).await.unwrap().shares, BATCHES);
    let windows = store.pool_windows(pool, &[minute(0), minute(9)]).await;
    assert_eq!(windows.unwrap(), [total, Sums::default()]);
}

async fn sums_outgrow_64_bits(place: Place) {
    let (store, pool) = place.pool().await;
    let rig = worker("rig");
    let most = (1_u64 << 63) - 1;
    let mut expected = Work::ZERO;
    for round in 0..5_u64 {
        let time_ms = START + i64::try_from(round).unwrap() * 60_000;
        let batch: Vec<_> = (0..100)
            .map(|i| share_at(round * 100 + i, &rig, most, time_ms))
            .collect();
        store.append_shares(pool, &batch).await.unwrap();
        let added = Work::from_hashes(u128::from(most) * 100);
        expected = expected.checked_add(added).unwrap();
        if round % 2 == 0 {
            roll_up(&store, pool).await;
        }
        for sums in [
            store.pool_total(pool).await.unwrap(),
            store.pool_sums(pool, minute(0)).await.unwrap(),
            store
                .workers(pool, None, &[minute(0)], None, 1)
                .await
                .unwrap()[0]
                .windows[0],
        ] {
            assert_eq!((sums.shares, sums.work), (round * 100 + 100, expected));
        }
    }
}

async fn pages_show_windows(place: Place) {
    let (store, pool) = place.pool().await;
    let (one, two) = (worker("one"), worker("two"));
    let rows = [
        share_at(1, &one, 1, START),
        share_at(2, &one, 10, START + 60_000),
        share_at(3, &one, 100, START + 120_000),
        share_at(4, &two, 1000, START + 60_001),
    ];
    store.append_shares(pool, &rows).await.unwrap();
    for _ in 0..2 {
        let windows = [minute(0), minute(1), minute(2)];
        let page = store.workers(pool, None, &windows, None, 10).await.unwrap();
        let works = |number: usize| {
            page[number]
                .windows
                .iter()
                .map(|sums| sums.work.hashes())
                .collect::<Vec<_>>()
        };
        assert_eq!(works(0), [111, 110, 100]);
        assert_eq!(works(1), [1000, 1000, 0]);
        assert_eq!(
            (page[0].first_share_ms, page[0].last_share_ms),
            (START, START + 120_000)
        );
        assert_eq!(
            (page[1].first_share_ms, page[1].last_share_ms),
            (START + 60_001, START + 60_001)
        );
        let active = async |since| store.active(pool, minute(since)).await.unwrap();
        assert_eq!(
            active(1).await,
            Active {
                workers: 2,
                addresses: 1
            }
        );
        assert_eq!(
            active(2).await,
            Active {
                workers: 1,
                addresses: 1
            }
        );
        assert_eq!(active(3).await, Active::default());
        roll_up(&store, pool).await;
    }
}

/// The minutes of the model lie so far apart that they are of several hours.
fn apart(at: u8) -> i64 {
    i64::from(at) * 25
}

/// Rigs of the model are of two addresses.
fn rig(number: u8) -> Arc<WorkerName> {
    Arc::new(WorkerName::new(address_of(number), &number.to_string()).unwrap())
}

fn address_of(rig: u8) -> &'static str {
    if rig.is_multiple_of(2) {
        ADDRESS
    } else {
        OTHER
    }
}

/// What can happen to a store.
#[derive(Clone, Debug)]
enum Step {
    Shares(Vec<(u8, u64, u8)>),
    RollUp,
    Prune(u8),
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    let share = (0_u8..4, 1..=i64::MAX.unsigned_abs(), 0_u8..10);
    prop_oneof![
        4 => prop::collection::vec(share, 1..40).prop_map(Step::Shares),
        2 => Just(Step::RollUp),
        1 => (0_u8..11).prop_map(Step::Prune),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn sums_are_those_of_all_shares(steps in prop::collection::vec(any_step(), 1..12)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let place = Place::sqlite();
            let (mut store, pool) = place.pool().await;
            let mut number = 0;
            // Worker, minute, work.
            let mut model: Vec<(u8, i64, u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Shares(shares) => {
                        let rows: Vec<_> = shares.iter().map(|(number_of_rig, work, at)| {
                            number += 1;
                            let rig = rig(*number_of_rig);
                            share_at(number, &rig, *work, minute(apart(*at)).start_ms())
                        }).collect();
                        store.append_shares(pool, &rows).await.unwrap();
                        model.extend(shares.iter().map(|(rig, work, at)| (*rig, apart(*at), *work)));
                    }
                    Step::RollUp => roll_up(&store, pool).await,
                    Step::Prune(before) => {
                        store.prune_shares(pool, minute(apart(before))).await.unwrap();
                    }
                    Step::Reopen => {
                        store.close().await;
                        store = place.open().await;
                    }
                }
                compare(&store, pool, &model).await;
            }
        });
    }
}

async fn compare(store: &Store, pool: store::PoolId, model: &[(u8, i64, u64)]) {
    let sum = |is_asked: &dyn Fn(u8) -> bool, since: i64, to: i64| {
        let mut sums = Sums::default();
        for (_, _, work) in model
            .iter()
            .filter(|(rig, at, _)| is_asked(*rig) && (since..to).contains(at))
        {
            sums.shares += 1;
            sums.work = sums
                .work
                .checked_add(Work::from_hashes((*work).into()))
                .unwrap();
        }
        sums
    };
    let expected =
        |rig: Option<u8>, since, to| sum(&|of| rig.is_none_or(|rig| rig == of), since, to);
    let end = apart(40);
    assert_eq!(
        store.pool_total(pool).await.unwrap(),
        expected(None, 0, end)
    );
    // In the middle of an hour, at its beginning, and behind all.
    let since = [0, apart(3), 120, apart(7), end];
    let windows = since.map(minute);
    let page = store.workers(pool, None, &windows, None, 10).await.unwrap();
    let history = async |of, step| {
        let history = store.history(pool, of, minute(0), minute(end), step);
        let history: HashMap<_, _> = history.await.unwrap().into_iter().collect();
        history
    };
    let steps = |step: u32| (0..end).step_by(usize::try_from(step).unwrap());
    for worker in &page {
        let rig = Some(worker.who.name().parse().unwrap());
        assert_eq!(worker.total, expected(rig, 0, end));
        for (since, sums) in since.iter().zip(&worker.windows) {
            assert_eq!(*sums, expected(rig, *since, end));
        }
        for step in [1, 60] {
            let history = history(Of::Worker(worker.id), step).await;
            for at in steps(step) {
                let sums = history.get(&minute(at)).copied().unwrap_or_default();
                assert_eq!(sums, expected(rig, at, at + i64::from(step)), "{at} {step}");
            }
        }
    }
    for address in [ADDRESS, OTHER] {
        let miner = store.miner(pool, address, &windows).await.unwrap();
        for (since, sums) in since.iter().zip(&miner.windows) {
            assert_eq!(*sums, sum(&|rig| address_of(rig) == address, *since, end));
        }
        let own = sum(&|rig| address_of(rig) == address, 0, end);
        assert_eq!(miner.total, own);
    }
    for since in since {
        let of_pool = store.pool_sums(pool, minute(since)).await.unwrap();
        assert_eq!(of_pool, expected(None, since, end));
    }
    for step in [5, 60, 120] {
        for (of, whose) in [
            (Of::Pool, None),
            (Of::Miner(ADDRESS), Some(ADDRESS)),
            (Of::Miner(OTHER), Some(OTHER)),
        ] {
            let is_asked = |rig| whose.is_none_or(|address| address_of(rig) == address);
            let history = history(of, step).await;
            for at in steps(step) {
                let sums = history.get(&minute(at)).copied().unwrap_or_default();
                let expected = sum(&is_asked, at, at + i64::from(step));
                assert_eq!(sums, expected, "{at} {step}");
            }
        }
        assert!(history(Of::Miner("nobody"), step).await.is_empty());
    }
}

/// Hours are kept when minutes go, and those of the pool when both do.
async fn hours_stay_when_minutes_go(place: Place) {
    let (store, pool) = place.pool().await;
    for (number, at) in [(1, 0), (2, 61), (3, 130)] {
        let batch = [share_at(number, &worker("rig"), 10, minute(at).start_ms())];
        store.append_shares(pool, &batch).await.unwrap();
    }
    roll_up(&store, pool).await;
    let shares = async |of, step| {
        let history = store.history(pool, of, minute(0), minute(180), step);
        let history = history.await.unwrap();
        history.iter().map(|(_, sums)| sums.shares).sum::<u64>()
    };
    let of_rig = Of::Miner(ADDRESS);
    while store.prune_minutes(pool, minute(120)).await.unwrap() > 0 {}
    assert_eq!((shares(Of::Pool, 1).await, shares(of_rig, 1).await), (1, 1));
    assert_eq!(
        (shares(Of::Pool, 60).await, shares(of_rig, 60).await),
        (3, 3)
    );
    assert_eq!(store.pool_sums(pool, minute(60)).await.unwrap().shares, 2);
    while store.prune_hours(pool, minute(120)).await.unwrap() > 0 {}
    assert_eq!(
        (shares(Of::Pool, 60).await, shares(of_rig, 60).await),
        (3, 1)
    );
    assert_eq!(store.pool_total(pool).await.unwrap().shares, 3);
}
