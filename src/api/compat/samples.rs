//! What the kept shapes are made of: figures that never change.

use mining::{
    Amount, Network, NetworkDifficulty, Scheme, Work, block::BlockState, payout::BatchState,
};
use pow::Hash;
use store::{Block, BlockCounts, MinerBalance, NewBlock, OwnPayment, Sums, WorkerId, WorkerName};

use super::figures::{
    MinerNow, Next, OF_WORKERS, PoolNow, Presence, STRETCHES, Window, Windows, WorkerNow,
};
use super::money::{BlockNow, Money, Port};

/// 2027-01-15T08:00:00Z
pub(super) const NOW_MS: i64 = 1_800_000_000_000;
pub(super) const ADDRESS: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
/// The work of a share of difficulty 1.
const ONE: u128 = 4_295_032_833;

pub(super) fn bitcoin() -> &'static mining::Coin {
    "bitcoin".parse().expect("it is in the table")
}

/// So many shares of difficulty 1 in each minute of each stretch.
fn windows(minutes: &[u32], in_a_minute: u64) -> Windows {
    let window = |minutes: &u32| {
        let shares = in_a_minute * u64::from(*minutes);
        Window {
            minutes: *minutes,
            millis: u64::from(*minutes) * 60_000,
            sums: sums(shares),
        }
    };
    Windows::new(minutes.iter().map(window).collect())
}

fn sums(shares: u64) -> Sums {
    Sums {
        shares,
        work: Work::from_hashes(u128::from(shares) * ONE),
    }
}

fn shares(number: u128) -> Work {
    Work::from_hashes(number * ONE)
}

/// A pool with a block behind it.
pub(super) fn pool() -> PoolNow {
    PoolNow {
        name: "main".into(),
        coin: bitcoin(),
        network: Network::Main,
        now_ms: NOW_MS,
        started_ms: NOW_MS - 86_400_000,
        windows: windows(&STRETCHES, 9_000),
        total: sums(90_000_000),
        rejected: 17,
        best: Some(shares(2_500_000_000_000)),
        presence: Presence {
            users: 2,
            workers: 3,
            idle: 1,
            gone: 4,
        },
        next: Some(Next {
            height: 929_001,
            work: shares(150_000_000_000_000),
            reward: Amount::from_units(315_000_000),
            transactions: 3_000,
            weight: 3_992_000,
            previous: Hash([7; 32]),
        }),
        round: Some(shares(75_000_000_000_000)),
        counts: BlockCounts {
            submitted: 0,
            immature: 1,
            mature: 1,
            orphaned: 1,
        },
        fee_hundredths: 250,
    }
}

/// The same before its first template and its first share.
pub(super) fn young_pool() -> PoolNow {
    PoolNow {
        windows: Windows::default(),
        total: Sums::default(),
        rejected: 0,
        best: None,
        presence: Presence::default(),
        next: None,
        round: None,
        counts: BlockCounts::default(),
        ..pool()
    }
}

/// A miner with a worker that has a name to be careful with, and one without a name.
pub(super) fn miner() -> MinerNow {
    let workers = vec![
        worker(1, "<script>\"", Some("bitaxe/BM1370/v2.13")),
        worker(2, "", None),
    ];
    MinerNow {
        address: ADDRESS.into(),
        windows: windows(&STRETCHES, 30),
        total: sums(600_000),
        best: Some(shares(123_456_789)),
        first_share_ms: Some(NOW_MS - 30 * 86_400_000),
        last_share_ms: Some(NOW_MS - 12_345),
        connected: 1,
        workers,
    }
}

pub(super) fn worker(number: u64, name: &str, agent: Option<&str>) -> WorkerNow {
    WorkerNow {
        id: WorkerId::from_number(number),
        address: ADDRESS.into(),
        name: name.into(),
        windows: windows(&OF_WORKERS, 10 * number),
        total: sums(300_000 * number),
        best: Some(Work::from_hashes(ONE * 12_345 / 100 * u128::from(number))),
        since_ms: NOW_MS - 7_200_000,
        last_share_ms: NOW_MS - 12_345,
        agent: agent.map(str::to_owned),
    }
}

/// Three blocks, the newest first.
pub(super) fn blocks() -> Vec<Block> {
    let states = [
        BlockState::Immature,
        BlockState::Orphaned,
        BlockState::Mature,
    ];
    let block = |(place, state): (u8, BlockState)| Block {
        seq: 3 - u64::from(place),
        found: NewBlock {
            hash: Hash([0x10 + place; 32]),
            proof: Hash([0x10 + place; 32]),
            height: 929_000 - 100 * u32::from(place),
            worker: WorkerName::new(ADDRESS, "<script>\"").expect("a name"),
            network: NetworkDifficulty::Bits(0x1701_f0cc),
            time: 1_799_990_000 - 100_000 * u32::from(place),
            found_ms: NOW_MS - 10_000_000 - 100_000_000 * i64::from(place),
            reward: Amount::from_units(315_000_000),
            coinbase: None,
            scheme: Scheme::Pplns,
        },
        state,
        confirmations: match state {
            BlockState::Immature => 17,
            BlockState::Mature => 201,
            _ => 0,
        },
        verdict: None,
    };
    (0..).zip(states).map(block).collect()
}

/// The same with the work of their rounds, but for the oldest.
pub(super) fn found() -> Vec<BlockNow> {
    let round = |block: &Block| (block.seq > 1).then(|| shares(100_000_000_000_000));
    let blocks = blocks().into_iter();
    blocks
        .map(|block| BlockNow {
            round: round(&block),
            block,
        })
        .collect()
}

/// What a pool with these blocks has paid, and on what terms.
pub(super) fn money() -> Money {
    Money {
        paid: Amount::from_units(123_456_789),
        payouts: 2,
        miners_paid: 1,
        threshold: Amount::from_units(100_000),
        pays: true,
        scheme: "pplns",
        window: 2.0,
        operator: ADDRESS.into(),
        maturity: 100,
        ports: vec![
            Port {
                address: "0.0.0.0:3333".parse().expect("an address"),
                start: 1024.0,
                min: 0.000_001,
                max: 1_073_741_824.0,
                share_time_s: 15,
                tls: false,
            },
            Port {
                address: "[::]:4333".parse().expect("an address"),
                start: 500_000.0,
                min: 1024.0,
                max: 1_073_741_824.0,
                share_time_s: 15,
                tls: true,
            },
        ],
        last_block: found().into_iter().next(),
    }
}

/// The same before anything was found and paid.
pub(super) fn young_money() -> Money {
    Money {
        paid: Amount::ZERO,
        payouts: 0,
        miners_paid: 0,
        last_block: None,
        ..money()
    }
}

/// Two transactions, the newer one with two payments.
pub(super) fn payments() -> Vec<OwnPayment> {
    let payment = |payout: u64, units: u64, hours_ago: i64| OwnPayment {
        payout,
        state: BatchState::Confirmed,
        made_ms: NOW_MS - hours_ago * 3_600_000,
        txid: Some(Hash([0x20 + u8::try_from(payout).expect("few"); 32])),
        address: ADDRESS.into(),
        amount: Amount::from_units(units),
    };
    vec![
        payment(2, 100_000_000, 3),
        payment(2, 7, 3),
        payment(1, 23_456_782, 30),
    ]
}

/// Money in each state.
pub(super) fn balance() -> MinerBalance {
    let units = Amount::from_units;
    MinerBalance {
        immature: units(4),
        available: units(30),
        pending: units(200),
        in_flight: units(1_000),
        paid: units(50_000),
    }
}
