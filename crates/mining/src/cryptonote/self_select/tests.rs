//! Blocks that a miner's own node could make, and what it should not.

use curve25519_dalek::{EdwardsPoint, Scalar};
use monero::{PrivateKey, PublicKey, cryptonote::onetime_key::KeyGenerator};
use proptest::prelude::*;

use super::*;
use crate::{
    Coin,
    cryptonote::{
        Address, address::Tags, block, id, one_time_key::OneTime, seed::Epochs, varint,
        view_key::BadViewKey,
    },
};

const HEIGHT: u64 = 1_000;
const PREVIOUS: [u8; 32] = [5; 32];
const SEED: [u8; 32] = [7; 32];
const TIME: u64 = 1_700_000_000;
const REWARD: u64 = 600_000_000_000;
const DIFFICULTY: u64 = 400;
/// The pool's keys: to see, and to spend.
const VIEW: u64 = 11;
const SPEND: u64 = 13;
/// Of the miner's transaction.
const SECRET: u64 = 17;

fn rules() -> &'static CryptoNoteRules {
    let coin: &'static Coin = "monero".parse().unwrap();
    coin.cryptonote().unwrap()
}

fn public(secret: u64) -> [u8; 32] {
    EdwardsPoint::mul_base(&Scalar::from(secret)).compress().0
}

fn secret(number: u64) -> [u8; 32] {
    Scalar::from(number).to_bytes()
}

fn address(view: u64, spend: u64) -> Address {
    let point = |secret| PublicKey::from_slice(&public(secret)).unwrap();
    let address = monero::Address::standard(monero::Network::Mainnet, point(spend), point(view));
    Address::parse(&Tags::MONERO, &address.to_string()).unwrap()
}

fn key() -> ViewKey {
    ViewKey::new(secret(VIEW), address(VIEW, SPEND)).unwrap()
}

/// An output that pays these keys, as others work it out.
fn pays(view: u64, spend: u64, place: usize) -> ([u8; 32], u8) {
    let point = |secret| PublicKey::from_slice(&public(secret)).unwrap();
    let random = PrivateKey::from_slice(&secret(SECRET)).unwrap();
    let keys = KeyGenerator::from_random(point(view), point(spend), random);
    let shared = EdwardsPoint::mul_base(&Scalar::from(view)) * Scalar::from(SECRET);
    let derivation = shared.mul_by_cofactor().compress().0;
    let tag = OneTime::new(&derivation, place).view_tag();
    (keys.one_time_key(place).to_bytes(), tag)
}

/// A block in its parts.
#[derive(Clone)]
struct Made {
    major: u8,
    time: u64,
    previous: [u8; 32],
    nonce: [u8; 4],
    unlock: u64,
    height: u64,
    outputs: Vec<(u64, [u8; 32], Option<u8>)>,
    public_keys: Vec<[u8; 32]>,
    extra_nonces: Vec<Vec<u8>>,
    more_extra: Vec<u8>,
    transactions: Vec<[u8; 32]>,
}

impl Made {
    fn new(extra_nonce: &[u8]) -> Self {
        let (key, tag) = pays(VIEW, SPEND, 0);
        Self {
            major: 16,
            time: TIME,
            previous: PREVIOUS,
            nonce: [0; 4],
            unlock: HEIGHT + 60,
            height: HEIGHT,
            outputs: vec![(REWARD, key, Some(tag))],
            public_keys: vec![public(SECRET)],
            extra_nonces: vec![extra_nonce.to_vec()],
            more_extra: vec![],
            transactions: vec![[9; 32], [8; 32]],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.major, 16];
        varint::push(&mut bytes, self.time);
        bytes.extend(self.previous);
        bytes.extend(self.nonce);
        bytes.push(2);
        varint::push(&mut bytes, self.unlock);
        bytes.extend([1, 0xff]);
        varint::push(&mut bytes, self.height);
        bytes.extend(varint::of_len(self.outputs.len()));
        for (amount, key, tag) in &self.outputs {
            varint::push(&mut bytes, *amount);
            bytes.push(if tag.is_some() { 3 } else { 2 });
            bytes.extend(key);
            bytes.extend(tag);
        }
        let mut extra = Vec::new();
        for key in &self.public_keys {
            extra.push(1);
            extra.extend(key);
        }
        for nonce in &self.extra_nonces {
            extra.push(2);
            extra.extend(varint::of_len(nonce.len()));
            extra.extend(nonce);
        }
        extra.extend(&self.more_extra);
        bytes.extend(varint::of_len(extra.len()));
        bytes.extend(extra);
        bytes.push(0);
        bytes.extend(varint::of_len(self.transactions.len()));
        bytes.extend(self.transactions.as_flattened());
        bytes
    }
}

/// What the pool's own node says.
fn own() -> Arc<Template> {
    let made = Made {
        transactions: vec![],
        ..Made::new(&[0; 16])
    };
    let bytes = made.bytes();
    let block = Block::parse(&bytes).unwrap();
    let answer = Answer {
        block: Announced {
            block: &bytes,
            hashing_blob: &block.hashing_blob(&bytes),
            reserved_offset: block.miner_transaction.nonces[0].start,
            reserve_len: 16,
            height: HEIGHT,
            previous: PREVIOUS,
            reward: Amount::from_units(REWARD),
        },
        difficulty: DIFFICULTY.into(),
        seed_height: Epochs::MONERO.seed_height(HEIGHT),
        seed: SEED,
        next_seed: None,
    };
    Arc::new(Template::new(&answer, rules()).unwrap())
}

fn wanted(difficulty: u64) -> Wanted {
    let target = ShareTarget::new(difficulty.try_into().unwrap());
    Wanted::new(77, 3, own(), [1, 2, 3, 4], target)
}

fn brought(block: &[u8]) -> Brought<'_> {
    Brought {
        block,
        height: HEIGHT,
        difficulty: DIFFICULTY,
        previous: PREVIOUS,
        seed: Some(SEED),
    }
}

#[test]
fn a_block_that_pays_the_pool_is_a_job_of_its_own_bytes() {
    let wanted = wanted(20);
    assert_eq!(wanted.extra_nonce(), &[1, 2, 3, 4, 0, 0, 0, 77]);
    let bytes = Made::new(wanted.extra_nonce()).bytes();
    let job = wanted.job(&brought(&bytes), 3, &key(), rules()).unwrap();
    assert_eq!((job.id, job.tip), (77, 3));
    assert_eq!(job.target.difficulty().get(), 20);
    assert_eq!(job.seed(), own().seed());
    assert_eq!(job.template.difficulty().get(), DIFFICULTY);
    let blob = block::hashing_blob_of(&bytes).unwrap();
    assert_eq!(job.blob(), blob);
    let nonce = [1, 0, 0, 9];
    let solved = Made {
        nonce,
        ..Made::new(wanted.extra_nonce())
    };
    let (text, hash) = job.block(nonce);
    assert_eq!(hex::decode(text).unwrap(), solved.bytes());
    let expected = block::id_of(&solved.bytes()).unwrap();
    assert_eq!(hash, id::of_bytes(expected));
    // Never harder than the network, as all jobs.
    let hard = super::tests::wanted(1_000);
    assert_eq!(hard.target.difficulty().get(), DIFFICULTY);
    // A daemon that says no key of RandomX says nothing wrong.
    let silent = Brought {
        seed: None,
        ..brought(&bytes)
    };
    assert!(wanted.job(&silent, 3, &key(), rules()).is_ok());
}

#[test]
fn a_block_that_the_pool_would_not_make_is_refused_by_what_is_wrong() {
    #[track_caller]
    fn case(change: impl FnOnce(&mut Made), expected: Refused, is_fault: bool) {
        let wanted = wanted(20);
        let mut made = Made::new(wanted.extra_nonce());
        change(&mut made);
        let bytes = made.bytes();
        let refused = wanted.job(&brought(&bytes), 3, &key(), rules());
        assert_eq!(refused.unwrap_err(), expected);
        assert_eq!(expected.is_fault(), is_fault, "{expected}");
    }
    let least = REWARD / 10 * 9;
    let (theirs, tag) = pays(VIEW, 99, 0);
    let (unseen, other_tag) = pays(99, SPEND, 0);
    let (second, second_tag) = pays(VIEW, SPEND, 1);

    case(|made| made.previous[0] ^= 1, Refused::OtherTip, false);
    case(|made| made.time += 601, Refused::Time, false);
    case(|made| made.time -= 601, Refused::Time, false);
    let short = Refused::Reward {
        block: least - 1,
        least,
    };
    case(|made| made.outputs[0].0 = least - 1, short, false);
    case(|made| made.height += 1, Refused::Height(HEIGHT), true);
    case(|made| made.major = 15, Refused::Version(15), true);
    case(|made| made.unlock -= 1, Refused::Unlock(HEIGHT + 60), true);
    case(
        |made| made.extra_nonces[0][7] = 78,
        Refused::ExtraNonce,
        true,
    );
    case(
        |made| made.extra_nonces[0].push(0),
        Refused::ExtraNonce,
        true,
    );
    case(
        |made| made.extra_nonces.push(vec![1]),
        Refused::ExtraNonce,
        true,
    );
    case(|made| made.extra_nonces.clear(), Refused::ExtraNonce, true);
    case(|made| made.public_keys.clear(), Refused::PublicKey, true);
    case(
        |made| made.public_keys.push(public(3)),
        Refused::PublicKey,
        true,
    );
    case(
        |made| made.more_extra = [&[4, 1][..], &public(3)].concat(),
        Refused::PublicKey,
        true,
    );
    case(
        |made| made.outputs.push((1, second, Some(second_tag))),
        Refused::Outputs(2),
        true,
    );
    case(|made| made.outputs[0].2 = None, Refused::NoViewTag, true);
    case(
        |made| made.outputs[0].2 = Some(tag ^ 1),
        Refused::NotOurs,
        true,
    );
    case(
        |made| made.outputs[0] = (REWARD, theirs, Some(tag)),
        Refused::NotOurs,
        true,
    );
    case(
        |made| made.outputs[0] = (REWARD, unseen, Some(other_tag)),
        Refused::NotOurs,
        true,
    );
    // Right for the second output, and lost as the first one.
    case(
        |made| made.outputs[0] = (REWARD, second, Some(second_tag)),
        Refused::NotOurs,
        true,
    );
    case(
        |made| made.public_keys[0] = public(3),
        Refused::NotOurs,
        true,
    );
    // No point of the curve at all.
    case(
        |made| made.public_keys[0] = [0xff; 32],
        Refused::NotOurs,
        true,
    );
    case(
        |made| made.nonce = [0, 0, 0, 1],
        Refused::Template(whole_template::Refused::Block(
            crate::cryptonote::template::BadTemplate::Nonce,
        )),
        true,
    );
}

#[test]
fn what_the_node_says_of_its_block_is_held_against_the_pool_s_own() {
    let wanted = wanted(20);
    let bytes = Made::new(wanted.extra_nonce()).bytes();
    let told = |change: fn(&mut Brought<'_>)| {
        let mut brought = brought(&bytes);
        change(&mut brought);
        wanted.job(&brought, 3, &key(), rules()).unwrap_err()
    };
    let refused = told(|brought| brought.previous[31] ^= 1);
    assert_eq!(refused, Refused::OtherTip);
    assert_eq!(told(|brought| brought.height += 1), Refused::Height(HEIGHT));
    let easier = Refused::Difficulty(DIFFICULTY);
    assert_eq!(told(|brought| brought.difficulty -= 1), easier);
    assert_eq!(told(|brought| brought.seed = Some([0; 32])), Refused::Seed);
    let cut = told(|brought| brought.block = &brought.block[..99]);
    assert!(matches!(cut, Refused::Block(_)) && cut.is_fault());
    let empty = told(|brought| brought.block = &[]);
    assert!(matches!(empty, Refused::Block(_)));
    let late = wanted.job(&brought(&bytes), 4, &key(), rules());
    assert_eq!(late.unwrap_err(), Refused::Expired);
}

#[test]
fn a_view_key_is_of_its_own_address_and_stays_secret() {
    let new = |view, address| ViewKey::new(view, address).map(drop);
    let own = address(VIEW, SPEND);
    assert_eq!(new(secret(VIEW), own.clone()), Ok(()));
    assert_eq!(new(secret(12), own.clone()), Err(BadViewKey::Other));
    assert_eq!(new(secret(SPEND), own.clone()), Err(BadViewKey::Other));
    assert_eq!(new([0xff; 32], own.clone()), Err(BadViewKey::Scalar));
    let point = |secret| PublicKey::from_slice(&public(secret)).unwrap();
    let other = monero::Address::subaddress(monero::Network::Mainnet, point(SPEND), point(VIEW));
    let other = Address::parse(&Tags::MONERO, &other.to_string()).unwrap();
    assert_eq!(new(secret(VIEW), other), Err(BadViewKey::Kind));
    let shown = format!("{:?}", key());
    assert!(!shown.contains(&hex::encode(secret(VIEW))) && shown.contains("***"));
}

proptest! {
    /// A byte that changes makes another block or none, and never one that pays somebody else.
    #[test]
    fn no_changed_byte_is_taken_for_the_pool_s(
        at in any::<prop::sample::Index>(),
        with in 1_u8..,
    ) {
        let wanted = wanted(20);
        let mut bytes = Made::new(wanted.extra_nonce()).bytes();
        let place = at.index(bytes.len());
        bytes[place] ^= with;
        if let Ok(job) = wanted.job(&brought(&bytes), 3, &key(), rules()) {
            // What is the miner's choice: the vote, the time, some of the reward, and transactions.
            let block = Block::parse(&bytes).unwrap();
            let output = &block.miner_transaction.outputs[0];
            prop_assert!(key().finds(output, 0, public(SECRET)));
            prop_assert_eq!(job.blob(), block::hashing_blob_of(&bytes).unwrap());
            prop_assert!(output.amount.units() >= REWARD / 10 * 9);
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(wanted(20).job(&brought(&bytes), 3, &key(), rules()).is_err());
    }
}
