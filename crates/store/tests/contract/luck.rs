//! What work was expected to find and what it found, whatever is rolled up in which pieces.

use mining::{
    Amount, NetworkDifficulty, Scheme, Target, Work,
    accounting::ExpectedBlock,
    block::BlockState,
    luck::{Expected, Luck},
    orphans::LastBlocks,
};
use store::{BlockChange, NewBlock, PoolId, ShareRecord, ShareRow, Store, WorkerName};

use super::{Place, contract, hash, trouble};

contract!(
    work_meets_the_network_of_its_height,
    a_block_ends_the_round_of_the_whole_pool,
    a_round_that_began_before_it_was_counted_has_no_work,
    a88_accounts_with_enough_work_are_listed_until_they_are_counted_anew,
    a89_the_last_blocks_are_counted_with_their_orphans,
);

const NOW: i64 = 1_800_000_000_000;
/// Blocks of some 65,536 and 131,072 hashes.
const EASY: u32 = 0x1f00_ffff;
const HARD: u32 = 0x1e7f_ff80;

fn mined(number: u64, miner: &str, rig: &str, work: u64, height: u32) -> ShareRow {
    let time_ms = NOW + i64::try_from(number).unwrap();
    let work = Work::from_hashes(work.into());
    ShareRow {
        share: ShareRecord::new(hash(number), work, height, time_ms).unwrap(),
        worker: WorkerName::new(miner, rig).unwrap().into(),
        scheme: Scheme::Pplns,
    }
}

/// The block that share `number` is.
fn block(number: u64, miner: &str, height: u32) -> NewBlock {
    NewBlock {
        hash: hash(number + 1_000_000),
        proof: hash(number),
        height,
        worker: WorkerName::new(miner, "rig").unwrap(),
        network: NetworkDifficulty::Bits(EASY),
        time: u32::MAX,
        found_ms: NOW,
        reward: Amount::from_units(50),
        coinbase: None,
        scheme: Scheme::Pplns,
    }
}

async fn price(store: &Store, pool: PoolId, height: u32, bits: u32) {
    let expected = ExpectedBlock {
        height,
        network: NetworkDifficulty::Bits(bits),
        subsidy: Amount::from_units(50),
        fees: None,
    };
    store.note_price(pool, &expected).await.unwrap();
}

async fn append(store: &Store, pool: PoolId, shares: &[ShareRow]) {
    store.append_shares(pool, shares).await.unwrap();
}

async fn roll_up(store: &Store, pool: PoolId) {
    while !store.roll_up(pool).await.unwrap().done {}
}

fn expected(work: u128, bits: u32) -> Expected {
    let network = Target::from_compact(bits).unwrap().work();
    Expected::of(Work::from_hashes(work), network)
}

async fn work_meets_the_network_of_its_height(place: Place) {
    let (store, pool) = place.pool().await;
    price(&store, pool, 100, EASY).await;
    price(&store, pool, 102, HARD).await;
    let shares = [
        mined(1, "a", "one", 10_000, 100),
        mined(2, "a", "two", 20_000, 102),
        mined(3, "b", "one", 40_000, 101),
        mined(4, "a", "one", 30_000, 150),
        // Nobody knows.
        mined(5, "c", "one", 50_000, 99),
    ];
    append(&store, pool, &shares).await;
    let of = async |address| store.luck_of(pool, address).await.unwrap().expected;
    assert_eq!(of("a").await, Expected::ZERO, "it is not rolled up");
    roll_up(&store, pool).await;
    let a = [(10_000, EASY), (20_000, HARD), (30_000, HARD)];
    let a: Expected = a.map(|(work, bits)| expected(work, bits)).into_iter().sum();
    let b = expected(40_000, EASY);
    assert!(a > Expected::ZERO && a < Expected::whole(1));
    assert_eq!(
        (of("a").await, of("b").await, of("c").await),
        (a, b, Expected::ZERO)
    );
    assert_eq!(of("nobody").await, Expected::ZERO);
    let pools = store.pool_luck(pool).await.unwrap();
    assert_eq!((pools.expected, pools.found), (a.plus(b), 0));
    // What carries over is not lost, and a share is one block at most.
    let many: Vec<_> = (10..30)
        .map(|number| mined(number, "d", "one", 131_071, 102))
        .collect();
    for shares in many.chunks(3) {
        append(&store, pool, shares).await;
        roll_up(&store, pool).await;
    }
    let of_shares = |count: usize| expected(131_071 * u128::try_from(count).unwrap(), HARD);
    let d: Expected = many.chunks(3).map(|shares| of_shares(shares.len())).sum();
    assert!(d > Expected::whole(19) && d < Expected::whole(20));
    assert_eq!(of("d").await, d);
    let most = (1_u64 << 63) - 1;
    let many = (30..33).map(|number| mined(number, "e", "one", most, 102));
    append(&store, pool, &many.collect::<Vec<_>>()).await;
    roll_up(&store, pool).await;
    assert_eq!(of("e").await, Expected::whole(3));
}

async fn a_block_ends_the_round_of_the_whole_pool(place: Place) {
    let (store, pool) = place.pool().await;
    price(&store, pool, 100, EASY).await;
    let rounds = async || store.round_works(pool, 0).await.unwrap();
    let present = async || store.round_work(pool).await.unwrap();
    assert_eq!(present().await, Some(Work::ZERO));
    for number in [3, 4, 7] {
        assert!(
            store
                .record_block(pool, &block(number, "a", 100))
                .await
                .unwrap()
        );
    }
    // One whose share was refused ends no round, and one of another height is not looked for.
    store
        .record_block(pool, &block(99, "a", 100))
        .await
        .unwrap();
    store
        .record_block(pool, &block(98, "a", 105))
        .await
        .unwrap();
    let mut solo = mined(2, "b", "rig", 20, 100);
    solo.scheme = Scheme::Solo;
    let shares = [
        mined(1, "a", "rig", 1, 100),
        solo,
        mined(3, "b", "rig", 300, 100),
        mined(4, "a", "rig", 4_000, 100),
        mined(5, "a", "rig", 50_000, 101),
        mined(6, "c", "rig", 600_000, 99),
        mined(7, "a", "rig", 7_000_000, 100),
        mined(8, "a", "rig", 80_000_000, 101),
    ];
    let list = store.blocks(pool, None, 10).await.unwrap();
    let seq = |number: u64| {
        let found = list.iter().find(|block| block.found.proof == hash(number));
        found.unwrap().seq
    };
    // In whatever pieces they are rolled up, within a commit too.
    for shares in [&shares[..2], &shares[2..6], &shares[6..]] {
        append(&store, pool, shares).await;
        roll_up(&store, pool).await;
    }
    let work = Work::from_hashes;
    let expected = [(3, 321), (4, 4_000), (7, 7_650_000)];
    let expected = expected.map(|(number, hashes)| (seq(number), work(hashes)));
    assert_eq!(rounds().await.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(present().await, Some(work(80_000_000)));
    let page = store.round_works(pool, seq(7)).await.unwrap();
    assert_eq!(page.into_iter().collect::<Vec<_>>(), expected[2..]);
    let found = async |address| store.luck_of(pool, address).await.unwrap().found;
    assert_eq!(
        (found("a").await, found("b").await, found("c").await),
        (2, 1, 0)
    );
    assert_eq!(store.pool_luck(pool).await.unwrap().found, 3);
}

async fn a_round_that_began_before_it_was_counted_has_no_work(place: Place) {
    let (store, pool) = place.pool().await;
    trouble::execute(
        &place,
        "UPDATE pools SET round_high = NULL, round_low = NULL",
    )
    .await;
    for number in [2, 4] {
        store
            .record_block(pool, &block(number, "a", 100))
            .await
            .unwrap();
    }
    append(&store, pool, &[mined(1, "a", "rig", 1, 100)]).await;
    roll_up(&store, pool).await;
    assert_eq!(store.round_work(pool).await.unwrap(), None);
    let shares = [2, 3, 4, 5].map(|number| mined(number, "a", "rig", 10, 100));
    append(&store, pool, &shares).await;
    roll_up(&store, pool).await;
    let rounds = store.round_works(pool, 0).await.unwrap();
    assert_eq!(
        rounds.into_values().collect::<Vec<_>>(),
        [Work::from_hashes(20)]
    );
    let present = store.round_work(pool).await.unwrap();
    assert_eq!(present, Some(Work::from_hashes(10)));
}

async fn a88_accounts_with_enough_work_are_listed_until_they_are_counted_anew(place: Place) {
    let (store, pool) = place.pool().await;
    price(&store, pool, 100, EASY).await;
    let network = Target::from_compact(EASY).unwrap().work().hashes();
    let network = u64::try_from(network).unwrap();
    let nine_blocks = |first: u64, miner: &'static str| {
        (first..first + 9).map(move |number| mined(number, miner, "rig", network, 100))
    };
    // Of one account the work of many machines counts.
    let mut shares: Vec<_> = (0..20)
        .map(|number| mined(number, "withholder", &number.to_string(), network / 2, 100))
        .collect();
    shares.extend(nine_blocks(30, "honest"));
    shares.extend(nine_blocks(40, "small").skip(1));
    shares.push(mined(49, "small", "rig", network - 1, 100));
    store
        .record_block(pool, &block(30, "honest", 100))
        .await
        .unwrap();
    append(&store, pool, &shares).await;
    roll_up(&store, pool).await;
    let nine = Expected::whole(9);
    let listed = async || {
        let lucks = store.lucks(pool, nine).await.unwrap();
        let listed = lucks.into_iter().map(|account| {
            let Luck { expected, found } = account.since;
            (account.address, expected, found, account.counted_anew_ms)
        });
        listed.collect::<Vec<_>>()
    };
    let half = expected(u128::from(network / 2), EASY);
    let ten: Expected = std::iter::repeat_n(half, 20).sum();
    let honest = ("honest".to_owned(), nine, 1, None);
    let withholder = ("withholder".to_owned(), ten, 0, None);
    assert_eq!(listed().await, [honest.clone(), withholder.clone()]);
    let lucks = store.lucks(pool, nine).await.unwrap();
    assert!(lucks[1].since.is_suspicious() && !lucks[0].since.is_suspicious());
    assert_eq!(lucks[1].last_share_ms, NOW + 19);

    store.count_anew(pool, "withholder", NOW + 1).await.unwrap();
    assert_eq!(listed().await, std::slice::from_ref(&honest));
    let more: Vec<_> = nine_blocks(60, "withholder").collect();
    append(&store, pool, &more).await;
    roll_up(&store, pool).await;
    let anew = ("withholder".to_owned(), nine, 0, Some(NOW + 1));
    assert_eq!(listed().await, [honest.clone(), anew]);
    let lucks = store.lucks(pool, nine).await.unwrap();
    assert_eq!(lucks[1].ever.expected, ten.plus(nine));
    // Again, and of somebody who has never been here.
    store.count_anew(pool, "withholder", NOW + 2).await.unwrap();
    store.count_anew(pool, "nobody", NOW + 2).await.unwrap();
    assert_eq!(listed().await, [honest]);
}

async fn a89_the_last_blocks_are_counted_with_their_orphans(place: Place) {
    use BlockState::{Immature, Mature, Orphaned};
    let (store, pool) = place.pool().await;
    let last = async |most| {
        let LastBlocks { blocks, orphans } = store.last_blocks(pool, most).await.unwrap();
        (blocks, orphans)
    };
    assert_eq!(last(144).await, (0, 0));
    let invalid = Some("bad-cb-amount".to_owned());
    for (number, state, verdict) in [
        (1, Orphaned, None),
        (2, Mature, None),
        (3, Orphaned, None),
        (4, Orphaned, invalid),
        (5, Immature, None),
    ] {
        store
            .record_block(pool, &block(number, "a", 100))
            .await
            .unwrap();
        let change = BlockChange {
            state,
            confirmations: 1,
            verdict,
        };
        let hash = block(number, "a", 100).hash;
        store.change_block(pool, hash, &change).await.unwrap();
    }
    // One that nobody has seen yet.
    store.record_block(pool, &block(6, "a", 100)).await.unwrap();
    assert_eq!(last(144).await, (4, 2));
    assert_eq!(last(3).await, (3, 1));
    assert_eq!(last(1).await, (1, 0));
}
