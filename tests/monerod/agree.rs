//! The pool and monerod on the same shares: what one takes for a proof of work, the other does too.

use mining::{
    Coin,
    cryptonote::{
        Job, ShareTarget, Template,
        share::{Submission, check},
    },
    seen::Seen,
};
use pow::{
    Hash,
    randomx::{Cache, Memory, Pages, Variant, Vm},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::chain::{Chain, SOMEBODY};

/// Submissions of each kind, unless the environment says otherwise: each costs four hashes.
const USUAL: u32 = 60;
const TIP: u64 = 1;

/// A template as the daemon gives it.
fn template(chain: &Chain) -> Template {
    use mining::{
        Amount,
        cryptonote::{template::Announced, whole_template::Answer},
    };
    let params = json!({"wallet_address": SOMEBODY, "reserve_size": 16});
    let told = chain.ask("get_block_template", params);
    let bytes = |name: &str| hex::decode(told[name].as_str().unwrap()).unwrap();
    let number = |name: &str| told[name].as_u64().unwrap();
    let hash = |name: &str| -> [u8; 32] { bytes(name).try_into().unwrap() };
    let (block, hashing_blob) = (bytes("blocktemplate_blob"), bytes("blockhashing_blob"));
    let answer = Answer {
        block: Announced {
            block: &block,
            hashing_blob: &hashing_blob,
            reserved_offset: number("reserved_offset").try_into().unwrap(),
            reserve_len: 16,
            height: number("height"),
            previous: hash("prev_hash"),
            reward: Amount::from_units(number("expected_reward")),
        },
        difficulty: number("difficulty").into(),
        seed_height: number("seed_height"),
        seed: hash("seed_hash"),
        next_seed: None,
    };
    let monero: &Coin = "monero".parse().unwrap();
    Template::new(&answer, monero.cryptonote().unwrap()).unwrap()
}

/// What monerod says the hash of a blob is; that our blobs are its own is held together for each template.
fn hash_by_daemon(chain: &Chain, template: &Template, blob: &[u8]) -> Hash {
    let params = json!({
        "major_version": template.block().major_version(), "height": template.height(),
        "block_blob": hex::encode(blob), "seed_hash": hex::encode(template.seed().0),
    });
    let told: Value = chain.ask("calc_pow", params);
    let bytes = hex::decode(told.as_str().unwrap()).unwrap();
    Hash(bytes.try_into().unwrap())
}

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Half of the shares meet their target; a damaged one has another nonce, another result or another job
/// than its miner hashed.
#[test]
fn a18_monerod_and_the_pool_judge_the_same_shares_alike() {
    let count = std::env::var("ADIT_AGREEMENTS");
    let count = count.map_or(USUAL, |count| count.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, 2);
    let template = std::sync::Arc::new(template(&chain));
    let cache = Cache::new(Variant::Rx0, &template.seed().0, Pages::Usual).unwrap();
    let mut machine = Vm::new(Memory::Light(cache.into()), Pages::Usual).unwrap();
    let two = ShareTarget::new(2.try_into().unwrap());
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut judged = [[0_u32; 2]; 2];
    for number in 0..count {
        let extranonce = dice.next().to_le_bytes()[..4].try_into().unwrap();
        let job = |id| Job::new(id, TIP, template.clone(), extranonce, two).unwrap();
        let (own, other) = (job(number), job(u32::MAX - number));
        let nonce: [u8; 4] = dice.next().to_le_bytes()[..4].try_into().unwrap();
        let result = machine.hash(&own.blob_with(nonce));
        let (place, bit) = (dice.next(), 1 << (dice.next() % 8));
        let sound = Submission {
            nonce,
            result,
            commitment: None,
        };
        let mut damaged = sound;
        let mut damaged_job = &own;
        match dice.next() % 3 {
            0 => damaged.nonce[usize::try_from(place % 4).unwrap()] ^= bit,
            1 => damaged.result.0[usize::try_from(place % 32).unwrap()] ^= bit,
            _ => damaged_job = &other,
        }
        let good = (sound, &own);
        for (is_damaged, (submission, job)) in [good, (damaged, damaged_job)].iter().enumerate() {
            let seen = Seen::of_tip(TIP, []);
            let claim = check(job, submission, TIP, &seen).ok();
            let ours = claim.is_some_and(|claim| {
                machine.hash(&claim.blob) == claim.result && claim.proven(TIP).is_ok()
            });
            let blob = job.blob_with(submission.nonce);
            let hash = hash_by_daemon(&chain, &template, &blob);
            let theirs = hash == submission.result && template.target().is_met_by(&hash);
            assert_eq!(ours, theirs, "{number}: {submission:?}, {hash:?}");
            judged[is_damaged][usize::from(ours)] += 1;
        }
    }
    let [[low, good], [damaged, passed]] = judged;
    // Less than a twelfth comes once in a million million runs.
    assert!(low > count / 12 && good > count / 12, "{judged:?}");
    assert_eq!((damaged, passed), (count, 0), "{judged:?}");
}
