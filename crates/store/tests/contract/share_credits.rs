//! Shares that are paid for as they come: each once, at its height's price, to the fraction of a unit,
//! and never below what the reserve has to keep.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use mining::{
    Amount, NetworkDifficulty, Scheme, Work,
    accounting::{ExpectedBlock, Fee, Fees, Owed, Price},
    ledger::{Account, Entry, Transfer},
};
use proptest::prelude::*;
use store::{PoolId, ShareCredit, ShareRecord, ShareRow, Store, UnpaidShares, WorkerName};

use super::{Place, contract, hash};

contract!(
    work_waits_by_height,
    a_credit_counts_once_whoever_makes_it,
    fractions_wait_for_more,
    a_reserve_that_is_short_keeps_what_it_has,
    what_is_paid_for_as_it_comes_is_never_joined,
    a_height_has_one_price,
    a_height_that_was_missed_has_its_neighbours_price,
);

const NOW: i64 = 1_800_000_000_000;

/// Share `number` of this miner, of so much work, at a height.
fn mined(number: u64, miner: &str, work: u64, height: u32, scheme: Scheme) -> ShareRow {
    let time_ms = NOW + i64::try_from(number).unwrap();
    let work = Work::from_hashes(work.into());
    ShareRow {
        share: ShareRecord::new(hash(number), work, height, time_ms).unwrap(),
        worker: WorkerName::new(miner, "rig").unwrap().into(),
        scheme,
    }
}

fn pps(number: u64, miner: &str, work: u64, height: u32) -> ShareRow {
    mined(number, miner, work, height, Scheme::Pps)
}

async fn roll_up(store: &Store, pool: PoolId) {
    while !store.roll_up(pool).await.unwrap().done {}
}

fn fees() -> Fees {
    let fee = Fee {
        name: "pool".into(),
        percent: "2".parse().unwrap(),
    };
    Fees::new(vec![fee], "pool").unwrap()
}

fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

/// What the work is worth to each miner and to the fee.
async fn worth(store: &Store, unpaid: &UnpaidShares, price: Price) -> Vec<(Account, Owed)> {
    let workers: Vec<_> = unpaid.work.keys().copied().collect();
    let addresses = store.addresses(&workers).await.unwrap();
    let mut fee = Owed::default();
    let mut worth = Vec::new();
    for (worker, work) in &unpaid.work {
        let (miner, recipients) = price.of(*work, &fees()).unwrap();
        fee = fee.plus(recipients[0]).unwrap();
        worth.push((Account::Miner(addresses[worker].clone()), miner));
    }
    worth.push((Account::Fee("pool".into()), fee));
    worth
}

async fn credit(
    store: &Store,
    pool: PoolId,
    unpaid: &UnpaidShares,
    price: Price,
    least: i64,
) -> ShareCredit {
    let worth = worth(store, unpaid, price).await;
    store
        .credit_shares(pool, "bitcoin", unpaid, &worth, least, NOW)
        .await
        .unwrap()
}

async fn deposit(store: &Store, pool: PoolId, id: &str, amount: u64) {
    let transfer = Transfer::new(Account::Operator, Account::Reserve, units(amount)).unwrap();
    let entry = Entry::correction(id, transfer, "test");
    store.enter(pool, &entry, NOW).await.unwrap();
}

async fn posted(store: &Store, pool: PoolId, account: &str) -> i64 {
    let account: Account = account.parse().unwrap();
    store.balance(pool, &account).await.unwrap().posted
}

fn price(reward: u64, block: u128) -> Price {
    Price::new(units(reward), Work::from_hashes(block)).unwrap()
}

async fn unpaid(store: &Store, pool: PoolId, scheme: Scheme) -> Option<UnpaidShares> {
    store.unpaid_shares(pool, scheme).await.unwrap()
}

fn all_work(unpaid: &UnpaidShares) -> u128 {
    unpaid.work.values().map(|work| work.hashes()).sum()
}

async fn work_waits_by_height(place: Place) {
    let (store, pool) = place.pool().await;
    // Connections hear of a new tip one after the other, so that heights mix for a moment.
    let shares = [
        pps(1, "a", 10, 100),
        pps(2, "b", 20, 101),
        pps(3, "a", 40, 100),
        mined(4, "c", 1000, 100, Scheme::Fpps),
        mined(5, "d", 5000, 100, Scheme::Pplns),
        pps(6, "a", 80, 101),
    ];
    store.append_shares(pool, &shares).await.unwrap();
    assert_eq!(unpaid(&store, pool, Scheme::Pps).await, None);
    roll_up(&store, pool).await;
    store
        .append_shares(pool, &[pps(7, "a", 160, 100)])
        .await
        .unwrap();
    roll_up(&store, pool).await;
    let first = unpaid(&store, pool, Scheme::Pps).await.unwrap();
    assert_eq!((first.height, first.scheme), (100, Scheme::Pps));
    assert_eq!(all_work(&first), 210);
    let free = price(0, 1);
    assert_eq!(
        credit(&store, pool, &first, free, 0).await,
        ShareCredit::Done(units(0))
    );
    let second = unpaid(&store, pool, Scheme::Pps).await.unwrap();
    assert_eq!((second.height, all_work(&second)), (101, 100));
    let other = unpaid(&store, pool, Scheme::Fpps).await.unwrap();
    assert_eq!((other.height, all_work(&other)), (100, 1000));
    assert_eq!(unpaid(&store, pool, Scheme::Pplns).await, None);
}

async fn a_credit_counts_once_whoever_makes_it(place: Place) {
    let (store, pool) = place.pool().await;
    let shares = [pps(1, "a", 30, 100), pps(2, "b", 70, 100)];
    store.append_shares(pool, &shares).await.unwrap();
    roll_up(&store, pool).await;
    deposit(&store, pool, "1", 5000).await;
    let waiting = unpaid(&store, pool, Scheme::Pps).await.unwrap();
    let other = place.open().await;
    let whole = price(1000, 100);
    let (first, second) = tokio::join!(
        credit(&store, pool, &waiting, whole, 0),
        credit(&other, pool, &waiting, whole, 0),
    );
    let mut made = [first, second];
    made.sort_by_key(|made| *made == ShareCredit::Before);
    assert_eq!(made, [ShareCredit::Done(units(1000)), ShareCredit::Before]);
    assert_eq!(
        credit(&other, pool, &waiting, whole, 0).await,
        ShareCredit::Before
    );
    assert_eq!(posted(&store, pool, "miner:a").await, 294);
    assert_eq!(posted(&store, pool, "miner:b").await, 686);
    assert_eq!(posted(&store, pool, "fee:pool").await, 20);
    assert_eq!(posted(&store, pool, "reserve").await, 4000);
    assert_eq!(unpaid(&store, pool, Scheme::Pps).await, None);
    // The same shares with others behind them were seen before the others were there.
    store
        .append_shares(pool, &[pps(3, "a", 5, 100)])
        .await
        .unwrap();
    roll_up(&store, pool).await;
    assert_eq!(
        credit(&store, pool, &waiting, whole, 0).await,
        ShareCredit::Before
    );
    let account = Account::Miner("a".into());
    let lines = store.statement(pool, &account, None, 9).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].id.as_str(), "bitcoin:shares:pps:1.1");
    assert_eq!(lines[0].reason, "shares at height 100");
    assert!(store.check_books(pool).await.unwrap().balance());
}

async fn fractions_wait_for_more(place: Place) {
    let (store, pool) = place.pool().await;
    deposit(&store, pool, "1", 10).await;
    let account = Account::Miner("a".into());
    let mut expected = Owed::default();
    let third = price(1, 3);
    for number in 1..=7 {
        store
            .append_shares(pool, &[pps(number, "a", 1, 100)])
            .await
            .unwrap();
        roll_up(&store, pool).await;
        let waiting = unpaid(&store, pool, Scheme::Pps).await.unwrap();
        let (miner, _) = third.of(Work::from_hashes(1), &fees()).unwrap();
        expected = expected.plus(miner).unwrap();
        assert!(matches!(
            credit(&store, pool, &waiting, third, 0).await,
            ShareCredit::Done(_)
        ));
        let kept = store.owed(pool, &account).await.unwrap();
        assert_eq!(kept.fraction(), expected.fraction());
    }
    // 7 * 0.98 / 3 = 2.28, and the fee has 0.04.
    assert_eq!(expected.whole(), units(2));
    assert_eq!(posted(&store, pool, "miner:a").await, 2);
    assert_eq!(posted(&store, pool, "reserve").await, 8);
    let fee = store
        .owed(pool, &Account::Fee("pool".into()))
        .await
        .unwrap();
    assert!(fee.fraction() > 0 && fee.whole() == Amount::ZERO);
    // Nothing was entered where there was no whole unit.
    let lines = store.statement(pool, &account, None, 9).await.unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        store.owed(pool, &Account::Paid).await,
        Ok(Owed::default()),
        "nobody owes it a fraction"
    );
}

async fn a_reserve_that_is_short_keeps_what_it_has(place: Place) {
    let (store, pool) = place.pool().await;
    store
        .append_shares(pool, &[pps(1, "a", 100, 100)])
        .await
        .unwrap();
    roll_up(&store, pool).await;
    let waiting = unpaid(&store, pool, Scheme::Pps).await.unwrap();
    let whole = price(1000, 100);
    let wanted = units(1000);
    let short = |reserve| ShareCredit::Short { reserve, wanted };
    assert_eq!(credit(&store, pool, &waiting, whole, 0).await, short(0));
    assert_eq!(
        credit(&store, pool, &waiting, whole, -999).await,
        short(0),
        "it may owe 999"
    );
    deposit(&store, pool, "1", 1500).await;
    assert_eq!(
        credit(&store, pool, &waiting, whole, 501).await,
        short(1500)
    );
    assert_eq!(
        credit(&store, pool, &waiting, whole, i64::MAX).await,
        short(1500)
    );
    assert_eq!(posted(&store, pool, "miner:a").await, 0);
    assert_eq!(
        unpaid(&store, pool, Scheme::Pps).await.as_ref(),
        Some(&waiting)
    );
    assert_eq!(
        credit(&store, pool, &waiting, whole, 500).await,
        ShareCredit::Done(wanted)
    );
    assert_eq!(posted(&store, pool, "reserve").await, 500);
    // Down to a debt that is allowed, and no further.
    for (number, result, reserve) in [(2, ShareCredit::Done(wanted), -500), (3, short(-500), -500)]
    {
        store
            .append_shares(pool, &[pps(number, "a", 100, 100)])
            .await
            .unwrap();
        roll_up(&store, pool).await;
        let waiting = unpaid(&store, pool, Scheme::Pps).await.unwrap();
        assert_eq!(credit(&store, pool, &waiting, whole, -500).await, result);
        assert_eq!(posted(&store, pool, "reserve").await, reserve);
    }
    assert!(store.check_books(pool).await.unwrap().balance());
}

async fn what_is_paid_for_as_it_comes_is_never_joined(place: Place) {
    let (store, pool) = place.pool().await;
    for number in 1..=10 {
        let height = 100 + u32::try_from(number / 5).unwrap();
        let rows = [
            pps(2 * number, "a", 10, height),
            mined(2 * number + 1, "a", 10, height, Scheme::Pplns),
        ];
        store.append_shares(pool, &rows).await.unwrap();
        roll_up(&store, pool).await;
    }
    let before = unpaid(&store, pool, Scheme::Pps).await;
    for scheme in ["pps", "pplns"] {
        let (grain, keep) = (Work::from_hashes(1000), Work::from_hashes(20));
        while store
            .join_buckets(pool, scheme, grain, keep, i64::MAX)
            .await
            .unwrap()
        {}
    }
    assert_eq!(unpaid(&store, pool, Scheme::Pps).await, before);
}

fn expected(height: u32, bits: u32, subsidy: u64, fees: Option<u64>) -> ExpectedBlock {
    ExpectedBlock {
        height,
        network: NetworkDifficulty::Bits(bits),
        subsidy: units(subsidy),
        fees: fees.map(units),
    }
}

async fn a_height_has_one_price(place: Place) {
    let (store, pool) = place.pool().await;
    let at = async |height| store.expected_block(pool, height).await.unwrap();
    let note = async |block| store.note_price(pool, &block).await.unwrap();
    assert_eq!(at(100).await, None);
    // First without transactions, then fees come in, then the daemon mines on another chain.
    note(expected(100, 0x1d00_ffff, 50, None)).await;
    assert_eq!(at(100).await, Some(expected(100, 0x1d00_ffff, 50, None)));
    for (bits, subsidy, fees, kept) in [
        (0x1d00_ffff, 50, Some(7), Some(7)),
        (0x1d00_ffff, 50, None, Some(7)),
        (0x1c00_ffff, 25, Some(9), Some(9)),
        (0x1d00_ffff, 50, Some(0), Some(0)),
        (0x1d00_ffff, 50, Some(8), Some(8)),
    ] {
        note(expected(100, bits, subsidy, fees)).await;
        assert_eq!(at(100).await, Some(expected(100, 0x1d00_ffff, 50, kept)));
    }
    for height in 101..=110 {
        let fees = (height != 105).then_some(height.into());
        note(expected(height, 0x1d00_ffff, 50, fees)).await;
    }
    let fees = async |height, count| {
        let fees = store.fees_below(pool, height, count).await.unwrap();
        fees.into_iter().map(Amount::units).collect::<Vec<_>>()
    };
    // Below the height itself, newest first, over the one whose fees are not known.
    assert_eq!(fees(107, 3).await, [106, 104, 103]);
    assert_eq!(fees(102, 9).await, [101, 8]);
    assert_eq!(fees(100, 9).await, []);
    let too_much = expected(111, 0x1d00_ffff, u64::MAX, None);
    assert!(store.note_price(pool, &too_much).await.is_err());
    let other = store.pool("other", super::bitcoin(), mining::Network::Regtest);
    let other = other.await.unwrap();
    assert_eq!(store.expected_block(other, 100).await, Ok(None));
}

async fn a_height_that_was_missed_has_its_neighbours_price(place: Place) {
    let (store, pool) = place.pool().await;
    let at = async |height| store.expected_block(pool, height).await.unwrap();
    let (below, above) = (
        expected(100, 0x1d00_ffff, 50, Some(1)),
        expected(103, 0x1d00_ffff, 25, Some(2)),
    );
    store.note_price(pool, &below).await.unwrap();
    // Its own template may come yet.
    assert_eq!(at(101).await, None);
    store.note_price(pool, &above).await.unwrap();
    assert_eq!(at(101).await, Some(below));
    assert_eq!(at(99).await, Some(below));
    assert_eq!(at(104).await, None);
    let own = expected(102, 0x1d00_ffff, 25, None);
    store.note_price(pool, &own).await.unwrap();
    assert_eq!(at(102).await, Some(own));
}

const CREDITOR: &str = "ADIT_TEST_CREDITOR";
const KILLS: u64 = 25;

/// Killed between any two statements of a credit, it was made or was not.
#[test]
fn a76_a_kill_amid_crediting_loses_and_doubles_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Ok(start) = std::env::var(CREDITOR) {
        runtime.block_on(credit_until_killed(&start));
        return;
    }
    let place = Place::sqlite();
    let mut chance = 1_u64;
    for kill in 0..KILLS {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("share_credits::a76_a_kill_amid_crediting_loses_and_doubles_nothing")
            .env(
                CREDITOR,
                format!("{} {}", 1 + kill * 1_000_000, place.url()),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.find(|line| line.as_ref().is_ok_and(|line| line == "credited"));
        first.expect("it credits").unwrap();
        std::thread::sleep(Duration::from_micros((chance >> 40) % 40_000));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    runtime.block_on(async {
        let (store, pool) = place.pool().await;
        credit_all(&store, pool).await;
        let sums = store.pool_total(pool).await.unwrap();
        assert!(
            sums.shares > 3 * KILLS,
            "too few to mean anything: {sums:?}"
        );
        let given = given(&store, pool, &["miner:a", "miner:b", "miner:c", "fee:pool"]).await;
        let worth = ((sums.work.hashes() * 10) << 64) / 3;
        // A share is worth more than a unit, and what is below 2^-64 of one is rounded down.
        assert!(
            given <= worth && worth - given < 1 << 40,
            "{given} of {worth}"
        );
        assert!(store.check_books(pool).await.unwrap().balance());
    });
}

async fn credit_all(store: &Store, pool: PoolId) {
    roll_up(store, pool).await;
    while let Some(waiting) = unpaid(store, pool, Scheme::Pps).await {
        let credited = credit(store, pool, &waiting, price(10, 3), i64::MIN).await;
        assert!(matches!(credited, ShareCredit::Done(_)), "{credited:?}");
    }
}

async fn credit_until_killed(start: &str) {
    let (first, url) = start.split_once(' ').unwrap();
    let first: u64 = first.parse().unwrap();
    let store = Store::open(url).await.unwrap();
    let pool = super::pool(&store).await;
    for number in (first..).step_by(3) {
        let height = 100 + u32::try_from(number % 2).unwrap();
        let rows = [
            pps(number, "a", 1, height),
            pps(number + 1, "b", 2, 101),
            pps(number + 2, "c", 3, 100),
        ];
        store.append_shares(pool, &rows).await.unwrap();
        credit_all(&store, pool).await;
        println!("\ncredited");
    }
}

/// What accounts have and are owed, in 2^-64 of a unit.
async fn given(store: &Store, pool: PoolId, accounts: &[&str]) -> u128 {
    let mut given = 0;
    for account in accounts {
        let whole = posted(store, pool, account).await;
        let owed = store.owed(pool, &account.parse().unwrap()).await.unwrap();
        given += (u128::try_from(whole).unwrap() << 64) + u128::from(owed.fraction());
    }
    given
}

/// What happens to shares.
#[derive(Clone, Debug)]
enum Step {
    /// Miner, work, and how much higher than the last one.
    Shares(Vec<(u8, u64, u32)>),
    RollUp,
    /// Credits, at most so often, and each twice.
    Credit(u8),
    Deposit(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let rise = prop_oneof![8 => Just(0_u32), 1 => Just(1)];
    let share = (0_u8..4, 1_u64..1 << 40, rise);
    prop_oneof![
        4 => prop::collection::vec(share, 1..20).prop_map(Step::Shares),
        2 => Just(Step::RollUp),
        3 => (1_u8..6).prop_map(Step::Credit),
        2 => (1_u64..2000).prop_map(Step::Deposit),
        1 => Just(Step::Reopen),
    ]
}

/// The price of a height: each has another one.
fn price_at(height: u32) -> Price {
    price(1000 + u64::from(height), 1 << 42)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    /// Whatever is rolled up, credited and tried again in between: what was entered and what is kept
    /// below a unit is the worth of what was credited, short of less than 2^-64 units for each miner,
    /// height and credit; and what was not credited waits.
    #[test]
    fn a87_all_shares_are_credited_once_at_their_price(steps in prop::collection::vec(step(), 1..30)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let place = Place::sqlite();
            let (mut store, pool) = place.pool().await;
            let mut number = 0;
            let mut height = 100;
            // Work by height and miner that was accepted, and that was credited.
            let mut accepted: BTreeMap<(u32, u8), u128> = BTreeMap::new();
            let mut credited: BTreeMap<u32, u128> = BTreeMap::new();
            let (mut deposits, mut parts) = (0, 0_u64);
            for step in steps.into_iter().chain([Step::RollUp, Step::Deposit(1 << 40), Step::Credit(255)]) {
                match step {
                    Step::Shares(new) => {
                        let rows: Vec<_> = new.iter().map(|(miner, work, rise)| {
                            number += 1;
                            height += rise;
                            *accepted.entry((height, *miner)).or_default() += u128::from(*work);
                            pps(number, &format!("m{miner}"), *work, height)
                        }).collect();
                        store.append_shares(pool, &rows).await.unwrap();
                    }
                    Step::RollUp => roll_up(&store, pool).await,
                    Step::Credit(times) => {
                        for _ in 0..times {
                            let Some(waiting) = unpaid(&store, pool, Scheme::Pps).await else { break };
                            let price = price_at(waiting.height);
                            match credit(&store, pool, &waiting, price, 0).await {
                                ShareCredit::Done(_) => {
                                    *credited.entry(waiting.height).or_default() += all_work(&waiting);
                                    parts += u64::try_from(waiting.work.len()).unwrap() * 2;
                                }
                                ShareCredit::Short { reserve, wanted } => {
                                    assert!(u64::try_from(reserve).unwrap() < wanted.units());
                                    break;
                                }
                                ShareCredit::Before => panic!("nobody else credits"),
                            }
                            let again = credit(&store, pool, &waiting, price, 0).await;
                            assert_eq!(again, ShareCredit::Before);
                        }
                    }
                    Step::Deposit(amount) => {
                        deposits += 1;
                        deposit(&store, pool, &deposits.to_string(), amount).await;
                    }
                    Step::Reopen => {
                        store.close().await;
                        store = place.open().await;
                    }
                }
                let accounts = ["miner:m0", "miner:m1", "miner:m2", "miner:m3", "fee:pool"];
                let given = given(&store, pool, &accounts).await;
                let worth: u128 = credited.iter().map(|(height, work)| {
                    // The work of a block is 2^42: no division is needed.
                    (work * (1000 + u128::from(*height))) << (64 - 42)
                }).sum();
                assert!(given <= worth && worth - given <= u128::from(parts), "{given} of {worth}");
                assert!(posted(&store, pool, "reserve").await >= 0);
                assert!(store.check_books(pool).await.unwrap().balance());
            }
            let all: u128 = accepted.values().sum();
            assert_eq!(credited.values().sum::<u128>(), all, "in the end all is credited");
            assert_eq!(unpaid(&store, pool, Scheme::Pps).await, None);
        });
    }
}
