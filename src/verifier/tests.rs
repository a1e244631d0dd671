//! The threads, with real caches. Order is counted; nothing here depends on how long a hash takes.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroUsize,
    sync::{OnceLock, atomic::AtomicU64},
};

use pow::{
    randomx::{CACHE_BYTES, Cache, DATASET_BYTES, NoDataset, NoMemory, Pages, Vm},
    visionx::{EpochSeed, Header, Params},
};

use super::*;
use crate::tasks::Failures;

const SEED: Seed = Seed([1; 32]);
const OTHER: Seed = Seed([2; 32]);
const THIRD: Seed = Seed([3; 32]);

/// The cache that all tests share but one.
fn cache() -> Arc<Cache> {
    static CACHE: OnceLock<Arc<Cache>> = OnceLock::new();
    let make = || Arc::new(Cache::new(Variant::Rx0, &SEED.0, Pages::Usual).unwrap());
    Arc::clone(CACHE.get_or_init(make))
}

struct Running {
    verifier: Verifier,
    tasks: Tasks,
    failures: Failures,
}

fn plan(threads: usize) -> Plan {
    Plan {
        is_fast: false,
        threads: NonZeroUsize::new(threads).unwrap(),
        pages: Pages::Usual,
        sampling: None,
        waits_for_memory: false,
    }
}

/// Threads for which [`SEED`] is prepared.
fn running(threads: usize) -> Running {
    let (tasks, failures) = Tasks::new();
    let known = Known {
        seed: SEED,
        cache: cache(),
        dataset: None,
    };
    let verifier = start_with(plan(threads), vec![known], &tasks).unwrap();
    Running {
        verifier,
        tasks,
        failures,
    }
}

/// A verifier for which [`SEED`] is prepared, and which has no thread yet.
fn waiting() -> Verifier {
    let known = Known {
        seed: SEED,
        cache: cache(),
        dataset: None,
    };
    Verifier(Arc::new(Shared::new(plan(1), vec![known])))
}

/// Starts its one thread, which ends when the verifier is closed.
fn verify_all(verifier: &Verifier) -> Tasks {
    let (tasks, _) = Tasks::new();
    let shared = Arc::clone(&verifier.0);
    run_thread(&tasks, "verify", move || verify(&shared)).unwrap();
    tasks
}

fn origin(address: u8, connection: u64) -> Origin {
    Origin {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, address)),
        connection,
    }
}

fn hash(blob: &[u8]) -> Hash {
    Vm::new(Memory::Light(cache()), Pages::Usual)
        .unwrap()
        .hash(blob)
}

fn junk(seed: Seed) -> Job {
    Job::new(seed, b"junk", Hash([7; 32]), false).unwrap()
}

#[tokio::test]
async fn a_share_that_is_what_it_claims_is_true_and_a_forged_one_is_not() {
    let Running {
        verifier, tasks, ..
    } = running(2);
    let claimed = hash(b"share");
    let verify = async |blob: &[u8], claimed| {
        let job = Job::new(SEED, blob, claimed, false).unwrap();
        verifier.submit(origin(1, 1), job).unwrap().await
    };
    assert_eq!(verify(b"share", claimed).await, Ok(Verdict::True));
    assert_eq!(
        verify(b"sharf", claimed).await,
        Ok(Verdict::False(hash(b"sharf")))
    );
    let mut near = claimed;
    near.0[0] ^= 1;
    assert_eq!(verify(b"share", near).await, Ok(Verdict::False(claimed)));
    let figures = verifier.figures();
    assert_eq!((figures.verified, figures.forged), (1, 2));
    assert!(tasks.shut_down().await);
}

/// The figures of the network, and digests that the reference gives.
#[tokio::test]
async fn a_share_of_visionx_s_network_is_verified_and_its_miners_come_as_fast_as_that() {
    let Running {
        verifier, tasks, ..
    } = running(1);
    let seed = EpochSeed::of("mainnet", &[0; 32], 385);
    let dataset = Arc::new(Dataset::computed(Params::MAINNET, &seed, 385));
    let header = Header {
        parent: Hash([0x11; 32]),
        height: 12_345,
        timestamp: 1_700_000_000,
        difficulty: 1_000,
        nonce: 0,
        tx_root: [0x33; 32],
        miner: "pow_miner".parse().unwrap(),
    };
    let digest = |text: &str| text.parse::<Hash>().unwrap();
    let first = digest("e46a851bdc5b867a90fa5a32cc04bd3e7a46b58dd343f071497892329e7ff3df");
    let second = digest("4291311b5f5dfb0137985ff73721ab124eb4cd533d6c2487fe79a9f6bc6fa47d");
    let verify = async |nonce, claimed| {
        let (dataset, message) = (Arc::clone(&dataset), header.message());
        let job = Job::visionx(dataset, &message, nonce, claimed, false);
        let pending = verifier.submit(origin(1, 1), job).unwrap();
        let within = std::time::Duration::from_secs(60);
        tokio::time::timeout(within, pending)
            .await
            .expect("a hash takes milliseconds")
    };
    // Nothing is known of the machine yet.
    assert_eq!(verifier.share_time_ms(10_000, 1_000_000), 10_000);
    assert_eq!(verify(0, first).await, Ok(Verdict::True));
    assert_eq!(verify(42, second).await, Ok(Verdict::True));
    assert_eq!(
        verify(43, second).await.map(|it| it == Verdict::True),
        Ok(false)
    );
    assert_eq!(verify(42, first).await, Ok(Verdict::False(second)));
    let figures = verifier.figures();
    assert_eq!((figures.verified, figures.forged), (2, 2));
    // A million of them have to take their time, and one need not.
    let a_minute = verifier.capacity().unwrap().per_minute();
    assert_eq!(
        verifier.share_time_ms(1, 1_000_000),
        120_000_000_000_u64.div_ceil(a_minute)
    );
    assert_eq!(verifier.share_time_ms(600_000, 1), 600_000);
    assert!(tasks.shut_down().await);
}

#[tokio::test]
async fn a_seed_that_is_not_prepared_and_a_blob_that_is_too_long_are_refused() {
    let Running {
        verifier, tasks, ..
    } = running(1);
    let refused = verifier.submit(origin(1, 1), junk(OTHER)).err();
    assert_eq!(refused, Some(Unverified::UnknownSeed));
    let long = Job::new(SEED, &[0; BLOB_MAX + 1], Hash::default(), false).err();
    assert_eq!(long, Some(BlobTooLong));
    assert!(Job::new(SEED, &[0; BLOB_MAX], Hash::default(), false).is_ok());
    let seeds = Seeds {
        current: SEED,
        next: None,
    };
    assert_eq!(
        verifier.want(Variant::Rx2, seeds),
        Err(NoCache::NotComputed(Variant::Rx2))
    );
    assert!(tasks.shut_down().await);
}

#[tokio::test]
async fn a20_an_honest_share_waits_for_one_of_a_flood_and_a_claimed_block_for_none() {
    let forged = |is_candidate| Job::new(SEED, b"x", Hash::default(), is_candidate).unwrap();
    are_verified_in_order(forged).await;
}

/// All is handed in before the one thread starts, so that verdicts come in the order of the queue.
async fn are_verified_in_order(forged: impl Fn(bool) -> Job) {
    let verifier = waiting();
    let (told, mut order) = tokio::sync::mpsc::channel(1_000);
    let submit = |origin, name, is_candidate| {
        let pending = verifier.submit(origin, forged(is_candidate))?;
        let told = told.clone();
        tokio::spawn(async move { told.send((name, pending.await)).await });
        Ok(())
    };
    for number in 0..1_000 {
        let taken = submit(origin(1, 1), "flood", false);
        let throttled = number >= OF_CONNECTION_MAX;
        assert_eq!(taken.err(), throttled.then_some(Unverified::Throttled));
    }
    for connection in [2, 2, 3] {
        submit(origin(2, connection), "honest", false).unwrap();
    }
    submit(origin(3, 4), "block", true).unwrap();
    assert_eq!(verifier.figures().waiting, OF_CONNECTION_MAX + 4);
    // Each waits for its verdict from now on.
    tokio::task::yield_now().await;
    let tasks = verify_all(&verifier);
    let mut names = Vec::new();
    while names.len() < OF_CONNECTION_MAX + 4 {
        let (name, verdict) = order.recv().await.unwrap();
        assert!(matches!(verdict, Ok(Verdict::False(_))), "{verdict:?}");
        names.push(name);
    }
    let first = [
        "block", "flood", "honest", "flood", "honest", "flood", "honest",
    ];
    assert_eq!(names[..7], first);
    assert!(names[7..].iter().all(|name| *name == "flood"));
    assert_eq!(verifier.figures().throttled, 936);
    verifier.0.close();
    assert!(tasks.shut_down().await);
}

#[tokio::test]
async fn what_waits_at_shutdown_is_answered_once_and_nothing_is_taken_any_more() {
    let Running {
        verifier,
        tasks,
        mut failures,
    } = running(2);
    let pending: Vec<_> = (0..150)
        .map(|number| verifier.submit(origin(1, number % 3), junk(SEED)).unwrap())
        .collect();
    assert!(tasks.shut_down().await);
    let (mut verified, mut closed) = (0, 0);
    for pending in pending {
        match pending.await {
            Ok(Verdict::False(_)) => verified += 1,
            Err(Unverified::Closed) => closed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(verified + closed, 150);
    let figures = verifier.figures();
    assert_eq!((figures.forged, figures.waiting), (verified, 0));
    assert_eq!(
        verifier.submit(origin(1, 1), junk(SEED)).err(),
        Some(Unverified::Closed)
    );
    let none = tokio::time::timeout(std::time::Duration::ZERO, failures.first()).await;
    assert!(none.is_err(), "{none:?}");
}

#[tokio::test]
async fn what_no_thread_has_begun_is_told_that_the_pool_stops() {
    let verifier = waiting();
    let pending: Vec<_> = (0..50)
        .map(|_| verifier.submit(origin(1, 1), junk(SEED)).unwrap())
        .collect();
    verifier.0.close();
    for pending in pending {
        assert_eq!(pending.await, Err(Unverified::Closed));
    }
}

#[tokio::test]
async fn a_share_whose_connection_has_gone_is_not_hashed() {
    let verifier = waiting();
    let first = verifier.submit(origin(1, 1), junk(SEED)).unwrap();
    for _ in 0..40 {
        drop(verifier.submit(origin(1, 1), junk(SEED)).unwrap());
    }
    let last = verifier.submit(origin(1, 1), junk(SEED)).unwrap();
    let tasks = verify_all(&verifier);
    assert!(first.await.is_ok() && last.await.is_ok());
    assert_eq!(verifier.figures().forged, 2);
    verifier.0.close();
    assert!(tasks.shut_down().await);
}

/// Threads of a machine with so much memory, of which the plan waits for what it needs if it says so.
fn on_a_machine_with(free: fn() -> Option<u64>, waits_for_memory: bool) -> Shared {
    let plan = Plan {
        waits_for_memory,
        ..plan(1)
    };
    Shared {
        free,
        ..Shared::new(plan, Vec::new())
    }
}

#[test]
fn who_waits_for_memory_asks_for_none_that_is_not_free_and_nobody_else_looks() {
    const LITTLE: fn() -> Option<u64> = || Some(CACHE_BYTES - 1);
    let waiting = on_a_machine_with(LITTLE, true);
    let short = |needed| NoMemory { needed };
    assert_eq!(
        waiting.cache(SEED).err(),
        Some(NoCache::NoMemory(short(CACHE_BYTES)))
    );
    assert_eq!(
        waiting.dataset(&cache()).err(),
        Some(NoDataset::NoMemory(short(DATASET_BYTES)))
    );
    // A dataset is begun where it is not asked what is free, or where that is enough or not known.
    for shared in [
        on_a_machine_with(LITTLE, false),
        on_a_machine_with(|| Some(DATASET_BYTES), true),
        on_a_machine_with(|| None, true),
    ] {
        shared.close();
        let begun = shared.dataset(&cache()).err();
        assert_eq!(begun, Some(NoDataset::Stopped));
    }
    let enough = on_a_machine_with(|| Some(DATASET_BYTES - 1), true);
    enough.close();
    let refused = enough.dataset(&cache()).err();
    assert_eq!(refused, Some(NoDataset::NoMemory(short(DATASET_BYTES))));
}

/// Fills a cache of its own, and takes the ten seconds after which memory is looked for again.
#[tokio::test]
async fn a_seed_is_prepared_once_there_is_memory_for_it() {
    static FREE: AtomicU64 = AtomicU64::new(CACHE_BYTES - 1);
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let shared = on_a_machine_with(
        || {
            ASKED.fetch_add(1, Relaxed);
            Some(FREE.load(Relaxed))
        },
        true,
    );
    let verifier = Verifier(Arc::new(shared));
    let (tasks, _failures) = Tasks::new();
    let preparing = Arc::clone(&verifier.0);
    run_thread(&tasks, "seeds", move || seeds::prepare(&preparing)).unwrap();
    let want = |current| {
        let seeds = Seeds {
            current,
            next: None,
        };
        verifier.want(Variant::Rx0, seeds).unwrap();
    };
    let asked_more_than = async |count| {
        let asked = async {
            while ASKED.load(Relaxed) <= count {
                tokio::task::yield_now().await;
            }
        };
        let within = std::time::Duration::from_secs(60);
        tokio::time::timeout(within, asked).await.expect("it asks");
    };
    want(SEED);
    asked_more_than(0).await;
    let mut prepared = verifier.prepared();
    assert!(prepared.borrow().is_empty());
    let refused = verifier.submit(origin(1, 1), junk(SEED)).err();
    assert_eq!(refused, Some(Unverified::UnknownSeed));
    FREE.store(CACHE_BYTES, Relaxed);
    prepared
        .wait_for(|seeds| seeds[..] == [SEED])
        .await
        .unwrap();
    // Short again, it waits; but not when the pool stops.
    FREE.store(0, Relaxed);
    let asked = ASKED.load(Relaxed);
    want(OTHER);
    asked_more_than(asked).await;
    assert_eq!(prepared.borrow()[..], [SEED]);
    verifier.0.close();
    assert!(tasks.shut_down().await);
}

/// A dataset takes two gigabytes: VisionX, which has no seeds, is here what is faster than a cache.
#[test]
fn miners_are_slowed_down_before_the_next_seed_comes_and_not_after() {
    const MS: u64 = 1_000_000;
    let verifier = waiting();
    let took = |kind, nanos| verifier.0.state().measured.took(kind, nanos);
    let want = |current, next| {
        verifier
            .want(Variant::Rx0, Seeds { current, next })
            .unwrap();
    };
    // Of half of 200 a second, each of 1,000 miners has one in ten seconds.
    let (fast, light) = (10_000, 80_000);
    took(Kind::VisionX, 5 * MS);
    want(OTHER, Some(SEED));
    assert_eq!(
        verifier.share_time_ms(1, 1_000),
        fast,
        "nothing slower is known"
    );
    took(Kind::Light, 40 * MS);
    assert_eq!(verifier.share_time_ms(1, 1_000), light);
    // What can be done now is more.
    assert_eq!(verifier.capacity().unwrap().per_second(), 200);
    want(OTHER, None);
    assert_eq!(verifier.share_time_ms(1, 1_000), fast);
    want(OTHER, Some(SEED));
    assert_eq!(verifier.share_time_ms(1, 1_000), light);
    assert_eq!(verifier.share_time_ms(90_000, 1_000), 90_000);
    // The next one has come, and has no dataset.
    want(SEED, None);
    assert_eq!(verifier.share_time_ms(1, 1_000), light);
    assert_eq!(verifier.capacity().unwrap().per_second(), 25);
}

/// Fills caches of its own: three, and never more than two at a time.
#[tokio::test]
async fn the_next_seed_is_prepared_beforehand_and_the_old_one_is_kept_until_a_third_is_wanted() {
    let (tasks, _failures) = Tasks::new();
    let verifier = start(plan(2), &tasks).unwrap();
    assert_eq!(verifier.capacity(), None);
    assert_eq!(
        verifier.submit(origin(1, 1), junk(SEED)).err(),
        Some(Unverified::UnknownSeed)
    );
    let mut prepared = verifier.prepared();
    let want = |current, next| {
        verifier
            .want(Variant::Rx0, Seeds { current, next })
            .unwrap()
    };
    let claimed = hash(b"share");
    let verify = async |seed| {
        let job = Job::new(seed, b"share", claimed, false).unwrap();
        verifier.submit(origin(1, 1), job)?.await
    };
    want(SEED, Some(OTHER));
    prepared
        .wait_for(|seeds| seeds[..] == [SEED, OTHER])
        .await
        .unwrap();
    assert!(verifier.capacity().unwrap().per_minute() > 0);
    assert_eq!(verify(SEED).await, Ok(Verdict::True));
    assert!(matches!(verify(OTHER).await, Ok(Verdict::False(_))));
    // The seed has changed: shares of the old one still come.
    want(OTHER, None);
    assert_eq!(verify(SEED).await, Ok(Verdict::True));
    // And now its room is needed. What waits of it is either verified or told that it is gone.
    let waiting: Vec<_> = (0..40)
        .map(|_| verifier.submit(origin(1, 1), junk(SEED)).unwrap())
        .collect();
    want(OTHER, Some(THIRD));
    prepared
        .wait_for(|seeds| seeds[..] == [OTHER, THIRD])
        .await
        .unwrap();
    for pending in waiting {
        let answer = pending.await;
        assert!(
            matches!(answer, Ok(Verdict::False(_)) | Err(Unverified::UnknownSeed)),
            "{answer:?}"
        );
    }
    assert_eq!(verify(SEED).await, Err(Unverified::UnknownSeed));
    assert!(matches!(verify(OTHER).await, Ok(Verdict::False(_))));
    assert!(matches!(verify(THIRD).await, Ok(Verdict::False(_))));
    assert!(tasks.shut_down().await);
}

#[tokio::test]
async fn a_thread_that_panics_or_fails_stops_the_process() {
    for panics in [false, true] {
        let (tasks, mut failures) = Tasks::new();
        run_thread(&tasks, "verify", move || {
            assert!(!panics, "broken");
            anyhow::bail!("broken")
        })
        .unwrap();
        assert!(failures.first().await.starts_with("verify: "));
    }
}

#[tokio::test]
async fn capacity_is_that_of_all_threads_and_is_measured_while_they_hash() {
    let one = running(1);
    assert_eq!(one.verifier.capacity(), None);
    for _ in 0..3 {
        let pending = one.verifier.submit(origin(1, 1), junk(SEED)).unwrap();
        assert!(pending.await.is_ok());
    }
    let capacity = one.verifier.capacity().unwrap();
    assert!(capacity.per_minute() >= 60 * capacity.per_second());
    assert!((6..60_000).contains(&capacity.per_minute()), "{capacity:?}");
    assert!(one.tasks.shut_down().await);
}

#[tokio::test]
#[ignore = "takes 2 GiB of memory and a minute of the processor"]
async fn shares_are_verified_while_the_dataset_is_filled_and_when_a_new_seed_takes_its_place() {
    let (tasks, _failures) = Tasks::new();
    let plan = Plan {
        is_fast: true,
        ..plan(2)
    };
    let verifier = start(plan, &tasks).unwrap();
    let want = |current, next| {
        verifier
            .want(Variant::Rx0, Seeds { current, next })
            .unwrap()
    };
    let claimed = hash(b"share");
    let verify = async |seed| {
        let job = Job::new(seed, b"share", claimed, false).unwrap();
        verifier.submit(origin(1, 1), job)?.await
    };
    want(SEED, Some(OTHER));
    let mut prepared = verifier.prepared();
    prepared.wait_for(|seeds| seeds.len() == 2).await.unwrap();
    let is_fast = |seed| {
        let state = verifier.0.state();
        let known = state.known.iter().find(|known| known.seed == seed);
        known.is_some_and(|known| known.dataset.is_some())
    };
    while !is_fast(SEED) {
        assert_eq!(verify(SEED).await, Ok(Verdict::True));
    }
    for _ in 0..100 {
        assert_eq!(verify(SEED).await, Ok(Verdict::True));
        assert!(matches!(verify(OTHER).await, Ok(Verdict::False(_))));
    }
    // The next seed will have no dataset at first.
    let pace = || verifier.share_time_ms(1, 1_000);
    let pace_of = |kind| {
        let measured = verifier.0.state().measured;
        measured.capacity(kind, 2).unwrap().share_time_ms(1_000)
    };
    assert_eq!(pace(), pace_of(Kind::Light));
    want(SEED, None);
    assert_eq!(pace(), pace_of(Kind::Fast));
    want(SEED, Some(OTHER));
    assert_eq!(pace(), pace_of(Kind::Light));
    want(OTHER, None);
    while is_fast(SEED) {
        assert_eq!(verify(SEED).await, Ok(Verdict::True));
    }
    assert_eq!(verify(SEED).await, Ok(Verdict::True));
    assert!(tasks.shut_down().await, "filling is stopped");
}
