//! What blocks pay for: the work up to their own share, to the share; and their way into the books.

use std::collections::BTreeMap;

use mining::{
    Amount, NetworkDifficulty, Scheme, Work,
    accounting::{Position, Window},
    block::BlockState,
    ledger::{Account, BlockBooks, BlockEntries, BlockStep, Entry, EntryId, Outcome, Transfer},
};
use proptest::prelude::*;
use store::{
    BlockChange, BlockCredit, BlockCredits, BlockFee, Located, NewBlock, PoolId, ShareRow,
    StepEntry, Store, WorkerName,
};

use super::{Place, contract, hash, share_at, worker};

contract!(
    a_block_pays_for_the_work_up_to_its_share,
    a_block_whose_share_is_not_there_waits_and_then_goes_without,
    a_later_block_waits_for_an_earlier_one,
    a_block_is_known_by_its_proof,
    schemes_do_not_mix,
    rounds_lie_between_blocks,
    old_buckets_are_joined_and_far_ones_go,
    a_block_that_came_late_still_cuts,
    credits_are_written_once,
    the_books_follow_a_block,
);

pub(super) const NOW: i64 = 1_800_000_000_000;

pub(super) fn block(number: u64, scheme: Scheme, found_ms: i64) -> NewBlock {
    NewBlock {
        hash: hash(number),
        proof: hash(number),
        height: 100,
        worker: WorkerName::new("bcrt1qfinder", "rig").unwrap(),
        network: NetworkDifficulty::Bits(0x207f_ffff),
        time: 1,
        found_ms,
        reward: Amount::from_units(5_000_000_000),
        coinbase: None,
        scheme,
    }
}

/// Share `number` of `rig`, of so much work, a millisecond after the one before.
pub(super) fn mined(number: u64, rig: &str, work: u64) -> ShareRow {
    share_at(
        number,
        &worker(rig),
        work,
        NOW + i64::try_from(number).unwrap(),
    )
}

pub(super) async fn write(store: &Store, pool: PoolId, shares: &[ShareRow]) {
    store.append_shares(pool, shares).await.unwrap();
}

async fn roll_up(store: &Store, pool: PoolId) {
    while !store.roll_up(pool).await.unwrap().done {}
}

pub(super) async fn found(store: &Store, pool: PoolId, number: u64) -> Position {
    let block = block(number, Scheme::Pplns, NOW + i64::try_from(number).unwrap());
    store.record_block(pool, &block).await.unwrap();
    located(store, pool, number).await
}

async fn located(store: &Store, pool: PoolId, number: u64) -> Position {
    match store.locate_block(pool, hash(number), NOW).await.unwrap() {
        Located::At(position) => position,
        Located::NotYet => panic!("the share of block {number} is there"),
    }
}

/// The work of each rig in a stretch that ends with a block.
async fn work(
    store: &Store,
    pool: PoolId,
    end: Position,
    after: Option<Position>,
) -> BTreeMap<String, u128> {
    let mut window = Window::empty(Work::from_hashes(u128::MAX));
    store
        .fill_window(pool, "pplns", end, after, &mut window)
        .await
        .unwrap();
    let names: BTreeMap<_, _> = store
        .workers(pool, None, &[], None, 1000)
        .await
        .unwrap()
        .into_iter()
        .map(|worker| (worker.id, worker.who.name().to_owned()))
        .collect();
    let mut sums = BTreeMap::new();
    for (worker, work) in window.work() {
        *sums.entry(names[worker].clone()).or_default() += work.hashes();
    }
    sums
}

fn sums(of: &[(&str, u128)]) -> BTreeMap<String, u128> {
    of.iter()
        .map(|(rig, work)| ((*rig).to_owned(), *work))
        .collect()
}

async fn a_block_pays_for_the_work_up_to_its_share(place: Place) {
    let (store, pool) = place.pool().await;
    write(
        &store,
        pool,
        &[mined(1, "a", 10), mined(2, "b", 20), mined(3, "a", 30)],
    )
    .await;
    write(&store, pool, &[mined(4, "b", 40), mined(5, "c", 50)]).await;
    // In the middle of a batch, whether that is rolled up or not.
    let end = found(&store, pool, 2).await;
    assert_eq!(
        work(&store, pool, end, None).await,
        sums(&[("a", 10), ("b", 20)])
    );
    roll_up(&store, pool).await;
    let last = found(&store, pool, 5).await;
    let all = sums(&[("a", 40), ("b", 60), ("c", 50)]);
    assert_eq!(work(&store, pool, last, None).await, all);
    // The first one is where it was, and the same when it is asked for again.
    assert_eq!(located(&store, pool, 2).await, end);
    assert_eq!(
        work(&store, pool, end, None).await,
        sums(&[("a", 10), ("b", 20)])
    );
    // Not more is read than is wanted.
    let mut some = Window::empty(Work::from_hashes(50));
    let newest = store.fill_window(pool, "pplns", last, None, &mut some);
    assert_eq!(newest.await.unwrap(), 1);
    assert!(some.is_full());
    assert!(end < last);
}

async fn a_block_whose_share_is_not_there_waits_and_then_goes_without(place: Place) {
    let (store, pool) = place.pool().await;
    write(&store, pool, &[mined(1, "a", 10)]).await;
    write(&store, pool, &[mined(90, "b", 20)]).await;
    store
        .record_block(pool, &block(50, Scheme::Pplns, NOW + 50))
        .await
        .unwrap();
    let locate = async |at_ms| store.locate_block(pool, hash(50), at_ms).await.unwrap();
    assert_eq!(locate(NOW + 50).await, Located::NotYet);
    assert_eq!(locate(NOW + 60_050).await, Located::NotYet);
    let Located::At(end) = locate(NOW + 60_051).await else {
        panic!("its share cannot come any more");
    };
    assert_eq!(work(&store, pool, end, None).await, sums(&[("a", 10)]));
    // Before any share at all.
    let (other, pool) = (
        place.open().await,
        store.pool("none", super::bitcoin(), mining::Network::Regtest),
    );
    let pool = pool.await.unwrap();
    other
        .record_block(pool, &block(1, Scheme::Pplns, NOW))
        .await
        .unwrap();
    let Located::At(end) = other.locate_block(pool, hash(1), i64::MAX).await.unwrap() else {
        panic!("no share can come any more");
    };
    assert_eq!(work(&other, pool, end, None).await, sums(&[]));
}

/// Else the later one's round would take the work that the earlier one pays for.
async fn a_later_block_waits_for_an_earlier_one(place: Place) {
    let (store, pool) = place.pool().await;
    write(&store, pool, &[mined(1, "a", 10), mined(60, "b", 20)]).await;
    // The share of the first was never accepted; those of the others were.
    let lost = block(50, Scheme::Pplns, NOW + 50);
    let later = block(60, Scheme::Pplns, NOW + 60);
    let solo = block(70, Scheme::Solo, NOW + 70);
    let before = block(1, Scheme::Pplns, NOW + 1);
    for block in [&later, &lost, &solo, &before] {
        store.record_block(pool, block).await.unwrap();
    }
    let locate = async |number, at_ms| store.locate_block(pool, hash(number), at_ms).await.unwrap();
    assert_eq!(locate(60, NOW + 70).await, Located::NotYet);
    // An earlier one does not wait, nor one of another scheme.
    assert_ne!(locate(1, NOW + 70).await, Located::NotYet);
    assert_ne!(locate(70, NOW + 60_071).await, Located::NotYet);
    assert_eq!(locate(60, NOW + 60_071).await, Located::NotYet);
    let Located::At(first) = locate(50, NOW + 60_071).await else {
        panic!("its share cannot come any more");
    };
    let Located::At(second) = locate(60, NOW + 60_071).await else {
        panic!("nothing is waited for");
    };
    let start = store.round_start(pool, hash(60)).await.unwrap();
    assert_eq!(start, Some(first));
    assert_eq!(work(&store, pool, second, start).await, sums(&[("b", 20)]));
    // Nothing was accepted between block 1 and the one without a share: its round is empty.
    let start = store.round_start(pool, hash(50)).await.unwrap();
    assert_eq!(work(&store, pool, first, start).await, sums(&[]));
    assert_eq!(store.round_start(pool, hash(1)).await, Ok(None));
}

/// With scrypt a block's id is another hash than its proof of work.
async fn a_block_is_known_by_its_proof(place: Place) {
    let (store, pool) = place.pool().await;
    write(
        &store,
        pool,
        &[mined(1, "a", 10), mined(2, "b", 20), mined(3, "a", 30)],
    )
    .await;
    let scrypt = NewBlock {
        hash: hash(77),
        ..block(2, Scheme::Pplns, NOW + 2)
    };
    store.record_block(pool, &scrypt).await.unwrap();
    let end = located(&store, pool, 77).await;
    assert_eq!(
        work(&store, pool, end, None).await,
        sums(&[("a", 10), ("b", 20)])
    );
    let stored = store.block(pool, hash(77)).await.unwrap().unwrap();
    assert_eq!(stored.found, scrypt);
}

async fn schemes_do_not_mix(place: Place) {
    let (store, pool) = place.pool().await;
    let solo = |row: ShareRow| ShareRow {
        scheme: Scheme::Solo,
        ..row
    };
    let mixed = [
        mined(1, "a", 10),
        solo(mined(2, "s", 99)),
        mined(3, "b", 20),
    ];
    write(&store, pool, &mixed).await;
    write(&store, pool, &[solo(mined(4, "s", 99))]).await;
    let end = found(&store, pool, 3).await;
    assert_eq!(
        work(&store, pool, end, None).await,
        sums(&[("a", 10), ("b", 20)])
    );
    // All of them count in the figures.
    assert_eq!(store.pool_total(pool).await.unwrap().shares, 4);
    assert_eq!(store.newest_hashes(pool).await.unwrap().len(), 4);
    store
        .record_block(pool, &block(4, Scheme::Solo, NOW + 4))
        .await
        .unwrap();
    let end = located(&store, pool, 4).await;
    let mut all = Window::empty(Work::from_hashes(u128::MAX));
    let filling = store.fill_window(pool, "solo", end, None, &mut all);
    filling.await.unwrap();
    assert_eq!(all.total(), Work::from_hashes(198));
}

async fn rounds_lie_between_blocks(place: Place) {
    let (store, pool) = place.pool().await;
    let shares: Vec<_> = (1..=9).map(|number| mined(number, "a", number)).collect();
    write(&store, pool, &shares).await;
    let mut ends = Vec::new();
    // Found in another order than they are looked for.
    for number in [7, 3, 4] {
        ends.push(found(&store, pool, number).await);
    }
    let round = async |number, end| {
        let start = store.round_start(pool, hash(number)).await.unwrap();
        work(&store, pool, end, start).await
    };
    assert_eq!(round(3, ends[1]).await, sums(&[("a", 6)]));
    assert_eq!(round(4, ends[2]).await, sums(&[("a", 4)]));
    assert_eq!(round(7, ends[0]).await, sums(&[("a", 18)]));
}

async fn old_buckets_are_joined_and_far_ones_go(place: Place) {
    let (store, pool) = place.pool().await;
    for number in 1..=100 {
        write(
            &store,
            pool,
            &[mined(
                number,
                ["a", "b"][usize::try_from(number % 2).unwrap()],
                10,
            )],
        )
        .await;
        roll_up(&store, pool).await;
    }
    let end = found(&store, pool, 60).await;
    let join = async |grain, keep, before_ms| {
        let (grain, keep) = (Work::from_hashes(grain), Work::from_hashes(keep));
        let joined = store.join_buckets(pool, "pplns", grain, keep, before_ms);
        joined.await.unwrap()
    };
    while join(50, u128::MAX, NOW + 90).await {}
    let buckets = async |end| {
        let mut all = Window::empty(Work::from_hashes(u128::MAX));
        let filling = store.fill_window(pool, "pplns", end, None, &mut all);
        filling.await.unwrap()
    };
    // 12 of five shares up to the block, whose place is kept.
    assert_eq!(buckets(end).await, 12);
    assert_eq!(
        work(&store, pool, end, None).await,
        sums(&[("a", 300), ("b", 300)])
    );
    let last = found(&store, pool, 100).await;
    // 29 shares behind the block in six, 11 that are too young to be joined, and one cut off.
    assert_eq!(buckets(last).await, 12 + 6 + 11);
    assert_eq!(
        work(&store, pool, last, None).await,
        sums(&[("a", 500), ("b", 500)])
    );
    // What no window can reach goes.
    while join(50, 300, NOW).await {}
    let left: u128 = work(&store, pool, last, None).await.values().sum();
    assert!((301..=360).contains(&left), "{left}");
    // While a block is not located nothing is joined.
    store
        .record_block(pool, &block(500, Scheme::Pplns, NOW + 500))
        .await
        .unwrap();
    let before = buckets(last).await;
    assert!(!join(u128::MAX, 1, i64::MAX).await);
    assert_eq!(buckets(last).await, before);
}

async fn a_block_that_came_late_still_cuts(place: Place) {
    let (store, pool) = place.pool().await;
    let shares: Vec<_> = (1..=50).map(|number| mined(number, "a", 1)).collect();
    for batch in shares.chunks(7) {
        write(&store, pool, batch).await;
    }
    roll_up(&store, pool).await;
    while store
        .join_buckets(
            pool,
            "pplns",
            Work::from_hashes(1000),
            Work::from_hashes(1000),
            i64::MAX,
        )
        .await
        .unwrap()
    {}
    let end = found(&store, pool, 31).await;
    assert_eq!(work(&store, pool, end, None).await, sums(&[("a", 31)]));
    let end = found(&store, pool, 50).await;
    assert_eq!(work(&store, pool, end, None).await, sums(&[("a", 50)]));
}

fn credits() -> BlockCredits {
    let credit = |name: &str, hashes, units| BlockCredit {
        account: Account::Miner(name.into()),
        work: Work::from_hashes(hashes),
        amount: Amount::from_units(units),
    };
    BlockCredits {
        window: Work::from_hashes(1 << 90),
        length: Work::from_hashes(1 << 91),
        fees: vec![BlockFee {
            name: "pool".into(),
            percent: "1.5".parse().unwrap(),
            amount: Amount::from_units(75_000_000),
        }],
        miners: vec![
            credit("a", 3 << 80, 4_000_000_000),
            credit("b", 7, 925_000_000),
            credit("c", 1, 0),
        ],
    }
}

async fn credits_are_written_once(place: Place) {
    let (store, pool) = place.pool().await;
    store
        .record_block(pool, &block(1, Scheme::Pplns, NOW))
        .await
        .unwrap();
    assert_eq!(store.block_credits(pool, hash(1)).await, Ok(None));
    assert_eq!(
        store.credit_block(pool, hash(1), &credits()).await,
        Ok(true)
    );
    let other = BlockCredits {
        miners: Vec::new(),
        ..credits()
    };
    assert_eq!(store.credit_block(pool, hash(1), &other).await, Ok(false));
    assert_eq!(
        store.block_credits(pool, hash(1)).await,
        Ok(Some(credits()))
    );
    assert!(store.credit_block(pool, hash(2), &other).await.is_err());
    let of = async |name: &str| {
        let account = Account::Miner(name.into());
        store.credits_of(pool, &account, None, 10).await.unwrap()
    };
    let mine = of("b").await;
    assert_eq!(mine.len(), 1);
    assert_eq!(
        (mine[0].block, mine[0].amount.units()),
        (hash(1), 925_000_000)
    );
    assert_eq!(mine[0].fees, Amount::from_units(75_000_000));
    assert_eq!(
        (mine[0].work, mine[0].window),
        (Work::from_hashes(7), Work::from_hashes(1 << 90))
    );
    assert_eq!(of("x").await, []);
    let account = Account::Miner("b".into());
    assert_eq!(
        store
            .credits_of(pool, &account, Some(mine[0].seq), 10)
            .await,
        Ok(Vec::new())
    );
}

async fn the_books_follow_a_block(place: Place) {
    let (store, pool) = place.pool().await;
    store
        .record_block(pool, &block(1, Scheme::Pplns, NOW))
        .await
        .unwrap();
    let state = async |state| {
        let change = BlockChange {
            state,
            confirmations: 1,
            verdict: None,
        };
        store.change_block(pool, hash(1), &change).await.unwrap();
    };
    let entries = BlockEntries {
        coin: "bitcoin",
        block: hash(1),
    };
    let reward = Amount::from_units(5_000_000_000);
    // Brings the books to where the block is, as `accounting` does.
    let follow = async || {
        let open = store.open_books(pool).await.unwrap();
        for open in open {
            let mut books: BlockBooks = open.books;
            while let Some(step) = books.next(open.block.state) {
                let id: EntryId;
                let new: Entry;
                let entry = match step {
                    BlockStep::Credit(nth) => {
                        new = entries.to_reserve(nth, reward);
                        StepEntry::New(&new)
                    }
                    BlockStep::Settle(nth, outcome) => {
                        id = entries.credit_id(nth);
                        StepEntry::Settle(&id, outcome)
                    }
                    BlockStep::Charge(nth) => {
                        new = entries.charge(nth, reward, Amount::ZERO);
                        StepEntry::New(&new)
                    }
                    BlockStep::Restore(nth) => {
                        new = entries.restore(nth, reward, Amount::ZERO);
                        StepEntry::New(&new)
                    }
                };
                let stepped = store
                    .step_block(pool, hash(1), books, step, entry, NOW)
                    .await;
                assert_eq!(stepped, Ok(true));
                // Whoever is slower changes nothing.
                let again = store
                    .step_block(pool, hash(1), books, step, entry, NOW)
                    .await;
                assert_eq!(again, Ok(false));
                books = books.after(step);
            }
            store
                .books_agree(pool, hash(1), open.block.state)
                .await
                .unwrap();
        }
        assert_eq!(store.open_books(pool).await, Ok(Vec::new()));
        let balance = store.balance(pool, &Account::Reserve).await.unwrap();
        assert!(store.check_books(pool).await.unwrap().balance());
        (balance.posted, balance.pending)
    };
    let whole = 5_000_000_000;
    assert_eq!(follow().await, (0, whole));
    state(BlockState::Immature).await;
    assert_eq!(follow().await, (0, whole));
    state(BlockState::Orphaned).await;
    assert_eq!(follow().await, (0, 0));
    state(BlockState::Immature).await;
    assert_eq!(follow().await, (0, whole));
    state(BlockState::Mature).await;
    assert_eq!(follow().await, (whole, 0));
    state(BlockState::Orphaned).await;
    assert_eq!(follow().await, (0, 0));
    state(BlockState::Immature).await;
    assert_eq!(follow().await, (whole, 0));
    state(BlockState::Mature).await;
    assert_eq!(follow().await, (whole, 0));
    // A step that fails leaves nothing.
    let transfer = Transfer::new(Account::Paid, Account::NetworkFee, reward).unwrap();
    let wrong = Entry::correction("x", transfer, "test");
    state(BlockState::Orphaned).await;
    let open = store.open_books(pool).await.unwrap();
    let step = BlockStep::Charge(2);
    let books = open[0].books;
    let failed = store
        .step_block(pool, hash(1), books, step, StepEntry::New(&wrong), NOW)
        .await;
    assert!(failed.is_err());
    assert_eq!(store.open_books(pool).await.unwrap(), open);
    let unknown = EntryId::of_row("x".into());
    let settle = StepEntry::Settle(&unknown, Outcome::Posted);
    assert!(
        store
            .step_block(pool, hash(1), books, step, settle, NOW)
            .await
            .is_err()
    );
}

/// What happens to the share log.
#[derive(Clone, Debug)]
enum Step {
    Shares(Vec<(u8, u8)>),
    /// The share so far back is a block.
    Block(u8),
    RollUp,
    Join,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let share = (0_u8..4, 1_u8..200);
    prop_oneof![
        4 => prop::collection::vec(share, 1..30).prop_map(Step::Shares),
        2 => (0_u8..40).prop_map(Step::Block),
        2 => Just(Step::RollUp),
        2 => Just(Step::Join),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    /// Whatever is rolled up and joined in between, a block pays for all shares up to its own, and
    /// its round for those since the block before.
    #[test]
    fn a85_windows_and_rounds_are_exact_to_the_share(steps in prop::collection::vec(step(), 1..25)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let place = Place::sqlite();
            let (mut store, pool) = place.pool().await;
            let mut shares: Vec<(u8, u128)> = Vec::new();
            let mut ends: Vec<usize> = Vec::new();
            for step in steps {
                match step {
                    Step::Shares(new) => {
                        let rows: Vec<_> = new.iter().map(|(rig, work)| {
                            shares.push((*rig, u128::from(*work)));
                            let number = u64::try_from(shares.len()).unwrap();
                            mined(number, &rig.to_string(), (*work).into())
                        }).collect();
                        write(&store, pool, &rows).await;
                    }
                    Step::Block(back) => {
                        let number = shares.len().saturating_sub(back.into());
                        if number == 0 || ends.contains(&number) {
                            continue;
                        }
                        let end = found(&store, pool, u64::try_from(number).unwrap()).await;
                        let of = |shares: &[(u8, u128)]| {
                            let mut sums = BTreeMap::new();
                            for (rig, work) in shares {
                                *sums.entry(rig.to_string()).or_default() += work;
                            }
                            sums
                        };
                        assert_eq!(work(&store, pool, end, None).await, of(&shares[..number]));
                        let block = hash(u64::try_from(number).unwrap());
                        let start = store.round_start(pool, block).await.unwrap();
                        let before = ends.iter().filter(|end| **end < number).max();
                        let round = &shares[before.copied().unwrap_or(0)..number];
                        assert_eq!(work(&store, pool, end, start).await, of(round));
                        // Its credits are made, so that it is no edge but to its round.
                        let done = BlockCredits { miners: Vec::new(), fees: Vec::new(), ..credits() };
                        let hash = hash(u64::try_from(number).unwrap());
                        store.credit_block(pool, hash, &done).await.unwrap();
                        ends.push(number);
                    }
                    Step::RollUp => roll_up(&store, pool).await,
                    Step::Join => {
                        // Blocks come at most 40 shares late here: those are not joined.
                        let young = NOW + i64::try_from(shares.len()).unwrap() - 41;
                        let keep = Work::from_hashes(u128::MAX);
                        let grain = Work::from_hashes(500);
                        while store.join_buckets(pool, "pplns", grain, keep, young).await.unwrap() {}
                    }
                    Step::Reopen => {
                        store.close().await;
                        store = place.open().await;
                    }
                }
            }
        });
    }
}
