//! Whole answers that monerod gave, and the same with one thing odd.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    Coin,
    cryptonote::{block::hashing_blob_of, seed::Epochs},
};

/// Monero's.
fn rules() -> &'static CryptoNoteRules {
    let monero: &'static Coin = "monero".parse().unwrap();
    monero.cryptonote().unwrap()
}

/// What a daemon answered, owned.
#[derive(Clone, Debug)]
struct Owned {
    block: Vec<u8>,
    hashing_blob: Vec<u8>,
    offset: usize,
    len: usize,
    height: u64,
    reward: u64,
    difficulty: u128,
    seed_height: u64,
    seed: [u8; 32],
    next_seed: Option<[u8; 32]>,
}

impl Owned {
    fn template(&self) -> Result<Template, Refused> {
        let block = Announced {
            block: &self.block,
            hashing_blob: &self.hashing_blob,
            reserved_offset: self.offset,
            reserve_len: self.len,
            height: self.height,
            previous: self.block[7..39].try_into().unwrap(),
            reward: Amount::from_units(self.reward),
        };
        let answer = Answer {
            block,
            difficulty: self.difficulty,
            seed_height: self.seed_height,
            seed: self.seed,
            next_seed: self.next_seed,
        };
        Template::new(&answer, rules())
    }

    /// The same block at another height, and whatever the daemon says of that.
    fn at(&self, height: u64) -> Self {
        let mut at = self.clone();
        // Unlock time, then one input, its kind, and the height.
        let unlock = crate::cryptonote::varint::of_len(usize::try_from(height + 60).unwrap());
        let own = crate::cryptonote::varint::of_len(usize::try_from(height).unwrap());
        let mut block = self.block[..44].to_vec();
        block.extend(&unlock);
        block.extend([1, 0xff]);
        block.extend(&own);
        assert_eq!(
            self.block[44..48],
            [0x3d, 1, 0xff, 1],
            "that of the first block"
        );
        block.extend(&self.block[48..]);
        at.offset += block.len() - self.block.len();
        at.block = block;
        at.height = height;
        at.hashing_blob = hashing_blob_of(&at.block).unwrap();
        at.seed_height = Epochs::MONERO.seed_height(height);
        at.next_seed = Epochs::MONERO.next_seed_height(height).map(|_| [9; 32]);
        at
    }
}

fn answers() -> Vec<Owned> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/templates.json")).unwrap();
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let templates = vectors.as_array().unwrap().iter();
    templates
        .map(|template| Owned {
            block: bytes(&template["blocktemplate_blob"]),
            hashing_blob: bytes(&template["blockhashing_blob"]),
            offset: number(&template["reserved_offset"]).try_into().unwrap(),
            len: number(&template["reserve_size"]).try_into().unwrap(),
            height: number(&template["height"]),
            reward: number(&template["expected_reward"]),
            difficulty: 400,
            seed_height: number(&template["seed_height"]),
            seed: bytes(&template["seed_hash"]).try_into().unwrap(),
            next_seed: bytes(&template["next_seed_hash"]).try_into().ok(),
        })
        .collect()
}

/// A template of this difficulty, for other tests.
pub(crate) fn of_difficulty(difficulty: u64) -> Template {
    let mut answer = answers().remove(0);
    answer.difficulty = difficulty.into();
    answer.template().unwrap()
}

/// One for blocks of this major version.
pub(crate) fn of_version(version: u8) -> Template {
    let mut answer = answers().remove(0);
    (answer.block[0], answer.hashing_blob[0]) = (version, version);
    answer.template().unwrap()
}

#[test]
fn what_a_daemon_says_is_one_whole() {
    let answers = answers();
    assert!(answers.len() > 10);
    for answer in answers {
        let template = answer.template().unwrap();
        assert_eq!(u64::from(template.height()), answer.height);
        let previous = hex::encode(&answer.block[7..39]);
        assert_eq!(template.previous().to_string(), previous);
        assert_eq!(template.difficulty().get(), 400);
        let of_400 = Target::of_hashes(400.try_into().unwrap());
        assert_eq!(template.target(), of_400);
        assert_eq!(template.variant(), Variant::Rx0);
        assert_eq!(template.seed(), Seed(answer.seed));
        assert_eq!(template.next_seed(), None);
        assert_eq!(template.reward().units(), answer.reward);
        assert_eq!(
            u64::from(template.time()),
            template.block().timestamp(),
            "the daemon's clock"
        );
    }
}

#[test]
fn the_key_is_that_of_the_rule_and_the_next_is_told_in_time() {
    let first = answers().remove(0);
    for (height, seed_height, is_told) in [
        (2048, 0, false),
        (2049, 0, true),
        (2112, 0, true),
        (2113, 2048, false),
        (4160, 2048, true),
    ] {
        let mut answer = first.at(height);
        assert_eq!(answer.seed_height, seed_height);
        let template = answer.template().unwrap();
        assert_eq!(template.next_seed(), is_told.then_some(Seed([9; 32])));
        let told = 2048 - seed_height;
        answer.seed_height = told;
        assert_eq!(
            answer.template(),
            Err(Refused::SeedHeight {
                height,
                told,
                rule: seed_height
            })
        );
        let mut answer = first.at(height);
        answer.next_seed = (!is_told).then_some([9; 32]);
        let told = !is_told;
        assert_eq!(answer.template(), Err(Refused::NextSeed { height, told }));
    }
}

#[test]
fn what_cannot_be_mined_is_refused() {
    #[track_caller]
    fn case(change: impl FnOnce(&mut Owned), expected: Refused) {
        let mut answer = answers().remove(1);
        change(&mut answer);
        assert_eq!(answer.template(), Err(expected));
    }
    case(|a| a.difficulty = 0, Refused::Difficulty(0));
    let wide = u128::from(u64::MAX) + 1;
    case(|a| a.difficulty = wide, Refused::Difficulty(wide));
    case(|a| a.height = 82, {
        let (block, announced) = (81, 82);
        Refused::Block(BadTemplate::Height { block, announced })
    });
    case(
        |a| {
            a.block[0] = 18;
            a.hashing_blob[0] = 18;
        },
        Refused::Version(18),
    );
    case(
        |a| {
            // Of as many bytes, but beyond 32 bits.
            a.block[6] = 0x7f;
            a.hashing_blob[6] = 0x7f;
        },
        Refused::Time(34_276_471_192),
    );
    let mut answer = answers().remove(1);
    answer.difficulty = u64::MAX.into();
    assert_eq!(answer.template().unwrap().difficulty(), NonZeroU64::MAX);
}

#[test]
fn a_height_that_no_chain_has_is_refused() {
    let first = answers().remove(0);
    let most = 0x7fff_ffff;
    assert_eq!(first.at(most).template().unwrap().height(), 0x7fff_ffff);
    for height in [0, most + 1, 1 << 40] {
        assert_eq!(first.at(height).template(), Err(Refused::Height(height)));
    }
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(
        block: Vec<u8>,
        number in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        difficulty: u128,
        seed_height: u64,
        next_seed: Option<[u8; 32]>,
        offset in 0usize..400,
        len in 0usize..300,
    ) {
        let answers = answers();
        let mut changed = answers[number.index(answers.len())].clone();
        for (at, byte) in changes {
            let at = at.index(changed.block.len());
            changed.block[at] = byte;
        }
        (changed.difficulty, changed.seed_height, changed.next_seed) = (difficulty, seed_height, next_seed);
        if let Ok(template) = changed.template() {
            prop_assert_eq!(u128::from(template.difficulty().get()), difficulty);
        }
        (changed.offset, changed.len) = (offset, len);
        if block.len() >= 39 {
            changed.block = block;
        }
        let _ = changed.template();
    }
}
