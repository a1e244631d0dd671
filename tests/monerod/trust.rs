//! Shares that are believed, and what becomes of whoever abuses it.

use serde_json::Value;
use tempfile::TempDir;

use super::{
    NETWORK, assert_refused,
    chain::{Chain, SOMEBODY},
    miner::{Miner, Share},
};
use crate::support::{Pool, PoolSettings};

/// Another account.
const OTHER: &str = "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H";
/// After four good shares three of four are verified, and one of ten in the end.
const TRUSTING: &str =
    "randomx = { mode = \"light\", threads = 1, trust_after = 3, trust_least = 100 }\n";
/// One hash in 4 is a share.
const ONE_IN_4: &str = "start_difficulty = 4.0\nmin_difficulty = 4.0\nmax_difficulty = 4.0\n\
                        messages_per_second_max = 0\nshares_per_second_max = 0\n";
/// Lies after which a liar would be undiscovered once in a thousand million runs.
const LIES_MAX: u64 = 200;

/// What the pool has done with shares.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    verified: u64,
    forged: u64,
    believed: u64,
}

fn figures(pool: &Pool) -> Figures {
    let metric = |name: &str| pool.metric(&format!("adit_shares_{name}_total"));
    Figures {
        verified: metric("verified"),
        forged: metric("forged"),
        believed: metric("believed"),
    }
}

/// Mines, each with a nonce of its own, from this one on.
struct Honest {
    miner: Miner,
    next: u32,
    sent: u64,
}

impl Honest {
    fn new(pool: &Pool, login: &str, next: u32) -> Self {
        Self {
            miner: Miner::ready(pool.miners, login),
            next,
            sent: 0,
        }
    }

    #[track_caller]
    fn mine(&mut self) {
        let share = self.miner.no_block(self.next, NETWORK);
        let nonce = hex::decode(&share.nonce).unwrap().try_into().unwrap();
        self.next = u32::from_le_bytes(nonce) + 1;
        self.sent += 1;
        let told = self.miner.submit(&share);
        assert_eq!(told["result"]["status"], "OK", "{told}");
    }

    /// A result that would be a share and no block, if it were one.
    fn lie(&mut self, number: u64) -> Value {
        let mut result = [0xa5; 32];
        result[..8].copy_from_slice(&number.to_le_bytes());
        result[24..].copy_from_slice(&(u64::MAX / 20).to_le_bytes());
        let share = Share {
            job: self.miner.job["job_id"].clone(),
            nonce: hex::encode(u32::MAX.to_le_bytes()),
            result: hex::encode(result),
        };
        self.miner.submit(&share)
    }
}

/// Whoever has shown enough has some shares believed: each is credited, and costs no hash. The lie that is
/// found is the last one of the whole account, on whichever connection and under whichever name.
#[test]
fn a19_some_shares_of_a_known_worker_are_believed_until_the_first_lie_of_its_account() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, NETWORK);
    let settings = PoolSettings {
        coin: "monero",
        address: SOMEBODY,
        pool: TRUSTING,
        listener: ONE_IN_4,
        daemons: chain.daemon(),
        ..PoolSettings::default()
    };
    let pool = Pool::start(&folder, &settings);
    let mut one = Honest::new(&pool, &format!("{SOMEBODY}.one"), 0);
    let mut other = Honest::new(&pool, &format!("{OTHER}.rig"), 1 << 30);
    (0..4).for_each(|_| one.mine());
    let new = Figures {
        verified: 4,
        forged: 0,
        believed: 0,
    };
    assert_eq!(figures(&pool), new, "a new worker is verified");
    for miner in [&mut one, &mut other] {
        let before = figures(&pool);
        while figures(&pool).believed < before.believed + 3 || miner.sent < 20 {
            assert!(miner.sent < 200, "{:?}", figures(&pool));
            miner.mine();
        }
    }
    let honest = figures(&pool);
    let sent = one.sent + other.sent;
    assert_eq!(honest.verified + honest.believed, sent, "{honest:?}");
    assert_eq!(pool.status()["shares"]["stored"], sent);

    // The last lie is the one that the draw fell on: those before it were taken for true.
    let mut lies = 0;
    let told = loop {
        assert!(lies < LIES_MAX, "{:?}", figures(&pool));
        let told = one.lie(lies);
        if told["result"]["status"] != "OK" {
            break told;
        }
        lies += 1;
    };
    assert_refused(&told, "Rejected share: invalid result");
    let caught = figures(&pool);
    assert_eq!(caught.believed, honest.believed + lies);
    assert_eq!((caught.verified, caught.forged), (honest.verified, 1));
    assert_eq!(pool.status()["shares"]["stored"], sent + lies);

    // The connection goes on, as somebody else's may be behind it, and nothing of it is believed again.
    let mut two = Honest::new(&pool, &format!("{SOMEBODY}.two"), 1 << 31);
    for _ in 0..12 {
        one.mine();
        two.mine();
    }
    for number in 0..20 {
        let told = two.lie(1_000 + number);
        assert_refused(&told, "Rejected share: invalid result");
    }
    let now = figures(&pool);
    assert_eq!(now.believed, caught.believed);
    assert_eq!((now.verified, now.forged), (caught.verified + 24, 21));

    // Another account's trust is its own. What claims to be a block is verified, and then doubted, too.
    while figures(&pool).believed == now.believed {
        assert!(other.sent < 400, "{:?}", figures(&pool));
        other.mine();
    }
    let forged = Share {
        result: "00".repeat(32),
        ..other.miner.no_block(0, NETWORK)
    };
    let told = other.miner.submit(&forged);
    assert_refused(&told, "Rejected share: invalid result");
    let before = figures(&pool);
    (0..12).for_each(|_| other.mine());
    assert_eq!(figures(&pool).believed, before.believed);
    assert_eq!(pool.status()["blocks"]["found"], 0);

    // The same numbers stand where people and programs look.
    let told = pool.status()["verification"].clone();
    assert_eq!(told["believed"], before.believed, "{told}");
    assert_eq!(told["trust_after"], 3, "{told}");
    let (_, health) = pool.get("/health").unwrap();
    let health: Value = serde_json::from_str(&health).unwrap();
    let parts = health["components"].as_array().unwrap();
    let part = parts
        .iter()
        .find(|part| part["name"] == "verifier")
        .unwrap();
    assert_eq!(part["figures"]["forged"], 22, "{part}");
    assert!(
        part["figures"]["per_second"].as_f64().unwrap() > 0.0,
        "{part}"
    );
}
