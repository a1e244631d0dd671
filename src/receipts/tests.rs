//! The logs of a real store: whatever happens between two steps, each share has one place, and each
//! place its proof.

use std::sync::Arc;

use futures_util::StreamExt as _;
use mining::{Network, Scheme, receipt::climb};
use store::{ShareRecord, ShareRow, WorkerName};

use super::*;

const ALICE: &str = "bcrt1qalice";
const BOB: &str = "bcrt1qbob";
/// 2026-11-27, some time of the morning.
const MORNING_MS: i64 = 1_795_773_600_000;
const DAY_MS: i64 = 86_400_000;

struct Rig {
    dir: tempfile::TempDir,
    store: Store,
    pool: PoolId,
    receipts: Receipts,
    written: u64,
    /// Miners beside the two.
    more: u64,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, pool, receipts) = Self::open(dir.path()).await;
        Self {
            dir,
            store,
            pool,
            receipts,
            written: 0,
            more: 0,
        }
    }

    async fn open(dir: &Path) -> (Store, PoolId, Receipts) {
        let url = format!("sqlite:{}", dir.join("pool.db").display());
        let store = Store::open(&url).await.unwrap();
        let coin = "bitcoin".parse().unwrap();
        let pool = store.pool("main", coin, Network::Regtest).await.unwrap();
        let issuer = Issuer::new("main", "bitcoin", "regtest").unwrap();
        let receipts = Receipts::open(store.clone(), pool, issuer, dir).await;
        (store, pool, receipts.unwrap())
    }

    /// What a new process finds.
    async fn restart(&mut self) {
        (self.store, self.pool, self.receipts) = Self::open(self.dir.path()).await;
    }

    /// Writes shares of this time in one batch, of two miners in turn.
    async fn write(&mut self, count: u64, time_ms: i64) {
        let rows: Vec<ShareRow> = (self.written..self.written + count)
            .map(|number| {
                let mut hash = [0; 32];
                hash[..8].copy_from_slice(&number.to_le_bytes());
                let work = Work::from_hashes(16 + u128::from(number % 5));
                let who = match (number / 3).checked_rem(self.more) {
                    Some(more) if number % 3 == 2 => &format!("bcrt1q{more}"),
                    _ if number % 3 == 0 => BOB,
                    _ => ALICE,
                };
                let height = 100 + Date::of_ms(time_ms).number() - day(0).number();
                let share = ShareRecord::new(pow::Hash(hash), work, height, time_ms);
                ShareRow {
                    share: share.unwrap(),
                    worker: Arc::new(WorkerName::new(who, "rig").unwrap()),
                    scheme: Scheme::Pplns,
                }
            })
            .collect();
        self.store.append_shares(self.pool, &rows).await.unwrap();
        self.written += count;
    }

    async fn keep(&self, now_ms: i64) {
        let config = Config {
            keep_shares: Duration::from_secs(7 * 86_400),
            keep_sums: Duration::from_secs(90 * 86_400),
        };
        let ending = CancellationToken::new();
        self.receipts
            .keep_at(config, now_ms, &ending)
            .await
            .unwrap();
    }

    /// All receipts of a miner, page by page.
    async fn all(&self, address: &str, date: Date) -> Vec<export::Receipt> {
        let (mut all, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            let page = self.receipts.of_miner(address, date, at, 500).await;
            let page = page.unwrap();
            all.extend(page.receipts);
            from = page.next;
        }
        all
    }

    async fn lines(&self, date: Date) -> Vec<String> {
        let pieces = self.receipts.lines(date).await.unwrap();
        let pieces: Vec<String> = pieces.map(|piece| piece.unwrap()).collect().await;
        pieces.concat().lines().map(str::to_owned).collect()
    }

    fn check(&self, files: &[String]) -> crate::verify::Report {
        let dir = tempfile::tempdir().unwrap();
        let path = |number: usize| dir.path().join(number.to_string());
        for (number, text) in files.iter().enumerate() {
            std::fs::write(path(number), text).unwrap();
        }
        let paths: Vec<_> = (0..files.len()).map(path).collect();
        crate::verify::verify(&paths, Some(self.receipts.public_key()))
    }
}

fn day(number: i64) -> Date {
    Date::of_ms(MORNING_MS + number * DAY_MS)
}

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_share_has_a_place_and_its_proof_over_chunks_days_and_restarts() {
    let mut rig = Rig::new().await;
    // Batches of all sizes, a restart between steps, and a midnight inside.
    rig.write(700, MORNING_MS).await;
    rig.keep(MORNING_MS).await;
    for size in [1, 2, 900, 1_500, 7] {
        rig.write(size, MORNING_MS + 1).await;
        rig.receipts.log_some().await.unwrap();
        rig.restart().await;
    }
    let first = rig.written;
    rig.write(40, MORNING_MS + DAY_MS).await;
    // Late: its own day has ended with the shares before.
    rig.write(3, MORNING_MS + 2).await;
    rig.keep(MORNING_MS + DAY_MS).await;
    let signed = rig.receipts.signed(day(0)).await.unwrap();
    assert_eq!(signed.statement.shares, first);
    assert_eq!(signed.statement.previous, None);
    let open = rig.store.open_log(rig.pool).await.unwrap().unwrap();
    assert_eq!((open.date, open.edge.count()), (day(1), 43));
    assert!(matches!(
        rig.receipts.signed(day(1)).await,
        Err(NotKept::Open)
    ));
    assert!(matches!(
        rig.receipts.signed(day(2)).await,
        Err(NotKept::Unknown)
    ));

    let mut files = Vec::new();
    let mut places = std::collections::BTreeSet::new();
    for address in [ALICE, BOB] {
        let all = rig.all(address, day(0)).await;
        let sum = rig.receipts.sum_of(address, day(0)).await.unwrap();
        assert_eq!(u64::try_from(all.len()).unwrap(), sum.shares);
        for receipt in &all {
            assert!(
                places.insert(receipt.index),
                "{} comes twice",
                receipt.index
            );
            let proof = receipt.proof.as_ref().unwrap();
            let leaf = receipt.share.parse().unwrap();
            let leaf = leaf.leaf(signed.statement.log());
            let reached = climb(&leaf, receipt.index, first, &proof.path().unwrap());
            assert_eq!(reached, Some(signed.statement.root));
        }
        files.extend(all.iter().take(3).map(text));
        files.push(text(&sum));
    }
    assert!(places.into_iter().eq(0..first), "each place has its share");
    let lines = rig.lines(day(0)).await;
    assert_eq!(lines.len(), usize::try_from(first).unwrap() + 1);
    files.push(lines.join("\n") + "\n");
    let report = rig.check(&files);
    assert!(report.accepted, "{report:?}");

    // The next day follows it, once it is over.
    rig.keep(day(1).end_ms() + CLOSE_AFTER_MS - 1).await;
    assert!(matches!(
        rig.receipts.signed(day(1)).await,
        Err(NotKept::Open)
    ));
    rig.keep(day(1).end_ms() + CLOSE_AFTER_MS).await;
    let next = rig.receipts.signed(day(1)).await.unwrap();
    assert_eq!(next.statement.previous, Some(signed.statement.digest()));
    // What comes late for a day that was closed by the clock is in the log after it.
    rig.write(1, MORNING_MS + DAY_MS).await;
    rig.keep(day(1).end_ms() + CLOSE_AFTER_MS).await;
    let open = rig.store.open_log(rig.pool).await.unwrap().unwrap();
    assert_eq!((open.date, open.edge.count()), (day(2), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_is_kept_and_one_that_is_not_is_noticed() {
    let mut rig = Rig::new().await;
    rig.write(10, MORNING_MS).await;
    rig.keep(MORNING_MS).await;
    let promised = rig.all(ALICE, day(0)).await;
    assert_eq!(promised.len(), 6);
    assert!(promised.iter().all(|receipt| receipt.proof.is_none()));
    rig.write(5, MORNING_MS).await;
    assert_eq!(rig.receipts.close_now().await.unwrap(), Some(day(0)));
    let proven = rig.all(ALICE, day(0)).await;
    let log = rig.lines(day(0)).await.join("\n") + "\n";
    let mut files: Vec<String> = promised.iter().chain(&proven).map(text).collect();
    files.push(log.clone());
    assert!(rig.check(&files).accepted);

    // The pool signs a promise that it does not keep: another share of the miner's in that place.
    let mut other = promised[1].clone();
    let share = export::Share {
        height: 101,
        ..other.share
    };
    let leaf = share
        .parse()
        .unwrap()
        .leaf(Log::new(&rig.receipts.issuer, day(0)));
    other.share = share;
    other.promise = Some(export::Promise {
        key: rig.receipts.public_key().to_string(),
        signature: rig.receipts.key.promise(other.index, leaf).to_string(),
    });
    assert!(rig.check(&[text(&other)]).accepted, "by itself it is right");
    for against in [text(&proven[1]), log] {
        let report = rig.check(&[text(&other), against]);
        assert!(!report.accepted, "{report:?}");
        let refused = report.files[1].refused.as_ref().unwrap();
        assert!(refused.contains("gave place"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_log_at_once_log_each_share_once() {
    let mut rig = Rig::new().await;
    let (_, _, other) = Rig::open(rig.dir.path()).await;
    for _ in 0..10 {
        rig.write(50, MORNING_MS).await;
        let (one, two) = tokio::join!(rig.receipts.log_some(), other.log_some());
        one.unwrap();
        two.unwrap();
    }
    rig.receipts.close_now().await.unwrap();
    let signed = rig.receipts.signed(day(0)).await.unwrap();
    assert_eq!(signed.statement.shares, rig.written);
    assert!(!rig.receipts.sign_one().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_kept_is_said_to_be_gone() {
    let mut rig = Rig::new().await;
    rig.write(5, MORNING_MS).await;
    rig.receipts.close_now().await.unwrap();
    assert_eq!(rig.receipts.close_now().await.unwrap(), None);
    let late = MORNING_MS + 200 * DAY_MS;
    rig.keep(late).await;
    assert!(rig.receipts.signed(day(0)).await.is_ok(), "statements stay");
    let gone = rig.receipts.of_miner(ALICE, day(0), 0, 10).await;
    assert!(matches!(gone, Err(NotKept::Gone)), "{gone:?}");
    let gone = rig.receipts.sum_of(ALICE, day(0)).await;
    assert!(matches!(gone, Err(NotKept::Gone)), "{gone:?}");
    let gone = rig.receipts.lines(day(0)).await.err();
    assert!(matches!(gone, Some(NotKept::Gone)), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lost_shares_in_its_middle_is_never_shown_as_another() {
    let mut rig = Rig::new().await;
    let tomorrow = MORNING_MS + DAY_MS;
    rig.write(1_500, tomorrow).await;
    // Late: they are too old to be kept before those around them are.
    rig.write(10, MORNING_MS).await;
    rig.write(600, tomorrow).await;
    rig.write(20, tomorrow + DAY_MS).await;
    rig.keep(tomorrow + DAY_MS).await;
    let whole = rig.lines(day(1)).await;
    assert_eq!(whole.len(), 2_111);
    while !rig.store.roll_up(rig.pool).await.unwrap().done {}
    let before = store::Minute::of_ms(day(0).end_ms());
    assert_eq!(rig.store.prune_shares(rig.pool, before).await, Ok(1));

    let first = rig.receipts.of_miner(ALICE, day(1), 0, 5).await.unwrap();
    assert_eq!(first.receipts.len(), 5);
    assert!(rig.check(&[text(&first.receipts[0])]).accepted);
    let gone = rig.receipts.of_miner(ALICE, day(1), CHUNK, 5).await;
    assert!(matches!(gone, Err(NotKept::Gone)), "{gone:?}");
    let pieces = rig.receipts.lines(day(1)).await.unwrap();
    let pieces: Vec<anyhow::Result<String>> = pieces.collect().await;
    let (last, good) = pieces.split_last().unwrap();
    assert!(last.is_err(), "{last:?}");
    for line in good.iter().flatten().flat_map(|piece| piece.lines()) {
        assert!(whole.iter().any(|kept| kept == line), "{line}");
    }
    assert!(rig.receipts.sum_of(ALICE, day(1)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_nobody_could_close_for_weeks_is_still_whole() {
    let mut rig = Rig::new().await;
    rig.write(900, MORNING_MS).await;
    rig.keep(MORNING_MS).await;
    rig.write(700, MORNING_MS + 1).await;
    // The process was down from here on, and everything that could be forgotten by then is due.
    rig.restart().await;
    let late = MORNING_MS + 100 * DAY_MS;
    while !rig.store.roll_up(rig.pool).await.unwrap().done {}
    let now = store::Minute::of_ms(late);
    assert_eq!(rig.store.prune_shares(rig.pool, now).await, Ok(0));
    while rig.store.prune_minutes(rig.pool, now).await.unwrap() > 0 {}
    while rig.store.prune_hours(rig.pool, now).await.unwrap() > 0 {}
    let config = Config {
        keep_shares: Duration::from_secs(200 * 86_400),
        keep_sums: Duration::from_secs(200 * 86_400),
    };
    let ending = CancellationToken::new();
    rig.receipts.keep_at(config, late, &ending).await.unwrap();
    let signed = rig.receipts.signed(day(0)).await.unwrap().statement;
    assert_eq!((signed.shares, signed.accounts), (1_600, 2));
    let work: u128 = (0..1_600).map(|number| 16 + number % 5).sum();
    assert_eq!(signed.work, Work::from_hashes(work));
    let sums = [
        rig.receipts.sum_of(ALICE, day(0)).await.unwrap(),
        rig.receipts.sum_of(BOB, day(0)).await.unwrap(),
    ];
    let bobs: u128 = (0..1_600_u128)
        .step_by(3)
        .map(|number| 16 + number % 5)
        .sum();
    assert_eq!((sums[1].shares, &sums[1].work), (534, &bobs.to_string()));
    assert_eq!(sums[0].shares, 1_066);
    let log = rig.lines(day(0)).await.join("\n") + "\n";
    let files = [text(&sums[0]), text(&sums[1]), log];
    assert!(rig.check(&files).accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_miner_is_told_names_and_unblinds_no_other() {
    let mut rig = Rig::new().await;
    rig.write(30, MORNING_MS).await;
    rig.keep(MORNING_MS).await;
    let open = rig.all(ALICE, day(0)).await;
    rig.receipts.close_now().await.unwrap();
    let closed = rig.all(ALICE, day(0)).await;
    let sum = rig.receipts.sum_of(ALICE, day(0)).await.unwrap();
    let mut told: Vec<String> = open.iter().chain(&closed).map(text).collect();
    told.push(text(&sum));
    let bob = rig.receipts.salt_key.salt(BOB);
    let account = Log::new(&rig.receipts.issuer, day(0)).account(bob, BOB);
    let alices = rig.receipts.salt_key.salt(ALICE).0.to_string();
    for text in &told {
        assert!(text.contains(ALICE) && text.contains(&alices));
        let others = [BOB.to_owned(), bob.0.to_string(), account.to_string()];
        for secret in others {
            assert!(!text.contains(&secret), "{secret} in {text}");
        }
    }
    // What everybody may read has no address and no salt at all, and the key of the salts is nowhere.
    let mut public = rig.lines(day(0)).await;
    public.push(text(&export::Day::new(
        &rig.receipts.signed(day(0)).await.unwrap(),
    )));
    assert!(public[1].contains(&account.to_string()));
    let key = hex::encode(rig.receipts.salt_key.to_bytes());
    for text in &public {
        for secret in [ALICE, BOB, &alices, &bob.0.to_string(), &key] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(told.iter().all(|text| !text.contains(&key)));
    // Who has nothing on this day is told no salt.
    let page = rig.receipts.of_miner("bcrt1qcarol", day(0), 0, 10).await;
    assert!(page.unwrap().receipts.is_empty());
    let none = rig.receipts.sum_of("bcrt1qcarol", day(0)).await;
    assert!(matches!(none, Err(NotKept::Unknown)), "{none:?}");
}

#[tokio::test]
async fn whoever_asks_waits_for_those_before_and_not_for_ever() {
    let mut rig = Rig::new().await;
    rig.write(3, MORNING_MS).await;
    rig.receipts.close_now().await.unwrap();
    let busy = rig.receipts.answering.clone();
    let turns = busy.acquire_many(u32::try_from(ANSWERED_AT_ONCE).unwrap());
    let turns = turns.await.unwrap();
    let refused = rig.receipts.sum_of(ALICE, day(0)).await;
    assert!(matches!(refused, Err(NotKept::Busy)), "{refused:?}");
    drop(turns);
    assert!(rig.receipts.sum_of(ALICE, day(0)).await.is_ok());
    // Shares are logged whoever asks.
    let turns = busy.acquire_many(u32::try_from(ANSWERED_AT_ONCE).unwrap());
    let _turns = turns.await.unwrap();
    rig.write(3, MORNING_MS + DAY_MS).await;
    assert_eq!(rig.receipts.close_now().await.unwrap(), Some(day(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_from_before_the_first_start_are_in_no_log() {
    let mut rig = Rig::new().await;
    let coin = "litecoin".parse().unwrap();
    let other = rig.store.pool("other", coin, Network::Regtest).await;
    rig.pool = other.unwrap();
    rig.write(3, MORNING_MS).await;
    let unlogged = rig.store.unlogged_shares(rig.pool).await.unwrap();
    assert!(unlogged.shares.is_empty());
    let issuer = Issuer::new("other", "litecoin", "regtest").unwrap();
    let receipts = Receipts::open(rig.store.clone(), rig.pool, issuer, rig.dir.path()).await;
    rig.receipts = receipts.unwrap();
    rig.write(2, MORNING_MS).await;
    rig.keep(MORNING_MS).await;
    let open = rig.store.open_log(rig.pool).await.unwrap().unwrap();
    assert_eq!(open.edge.count(), 2);
}

/// What a large day costs: ADIT_BENCH_SHARES shares, ADIT_BENCH_MINERS miners. Prints; run it by hand. With
/// ADIT_BENCH_LOG the log stays in that file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn a_large_day() {
    let mut rig = Rig::new().await;
    let asked =
        |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let shares = asked("ADIT_BENCH_SHARES", 1_000_000);
    rig.more = asked("ADIT_BENCH_MINERS", 10_000);
    while rig.written < shares {
        rig.write(4_000, MORNING_MS).await;
    }
    let (start, mut longest) = (std::time::Instant::now(), Duration::ZERO);
    loop {
        let unlogged = rig.store.unlogged_shares(rig.pool).await.unwrap();
        let addresses = rig.receipts.addresses(&unlogged.shares).await.unwrap();
        let changes = rig.receipts.changes(&unlogged, &addresses).unwrap();
        // Only here others wait for the database.
        let writing = std::time::Instant::now();
        let written = rig.store.log_shares(rig.pool, &unlogged, &changes).await;
        assert!(written.unwrap());
        longest = longest.max(writing.elapsed());
        if unlogged.done {
            break;
        }
    }
    println!(
        "{shares} shares logged in {:?}, the longest transaction {longest:?}",
        start.elapsed()
    );
    println!("{} MB at most so far", peak_mb());
    let start = std::time::Instant::now();
    rig.receipts.close_now().await.unwrap();
    println!(
        "closed and signed in {:?}, {} MB",
        start.elapsed(),
        peak_mb()
    );
    for from in [0, 0, shares / 2] {
        let start = std::time::Instant::now();
        let page = rig.receipts.of_miner(ALICE, day(0), from, 50).await;
        assert_eq!(page.unwrap().receipts.len(), 50);
        println!("a page of 50 proofs in {:?}", start.elapsed());
    }
    for who in [ALICE, BOB] {
        let start = std::time::Instant::now();
        rig.receipts.sum_of(who, day(0)).await.unwrap();
        println!("a sum in {:?}", start.elapsed());
    }
    let Ok(path) = std::env::var("ADIT_BENCH_LOG") else {
        return;
    };
    let start = std::time::Instant::now();
    let mut file = std::fs::File::create(&path).unwrap();
    let mut pieces = std::pin::pin!(rig.receipts.lines(day(0)).await.unwrap());
    while let Some(piece) = pieces.next().await {
        std::io::Write::write_all(&mut file, piece.unwrap().as_bytes()).unwrap();
    }
    println!("exported in {:?}, {} MB", start.elapsed(), peak_mb());
}

/// The most memory that the process had.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse::<u64>().unwrap() / 1024
}
