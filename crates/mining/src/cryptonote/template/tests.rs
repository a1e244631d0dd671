//! Templates that monerod gave, held against its own hashing blobs, and templates that are odd.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::cryptonote::{
    block::{hashing_blob_of, id_of},
    seed::Epochs,
};

/// What a daemon answered.
#[derive(Clone, Debug)]
struct Answer {
    block: Vec<u8>,
    hashing_blob: Vec<u8>,
    offset: usize,
    len: usize,
    height: u64,
    previous: [u8; 32],
    reward: u64,
    seed_height: u64,
}

impl Answer {
    fn announced(&self) -> Announced<'_> {
        Announced {
            block: &self.block,
            hashing_blob: &self.hashing_blob,
            reserved_offset: self.offset,
            reserve_len: self.len,
            height: self.height,
            previous: self.previous,
            reward: Amount::from_units(self.reward),
        }
    }

    fn template(&self) -> Result<BlockTemplate, BadTemplate> {
        BlockTemplate::new(&self.announced())
    }
}

/// A private network's templates: of the first block; of a later one with 0 to 7 transactions; with
/// reserves of 1 and of 127 bytes. And the main network's, of Monero's documents.
fn answers() -> Vec<Answer> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/templates.json")).unwrap();
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let templates = vectors.as_array().unwrap().iter();
    templates
        .map(|template| Answer {
            block: bytes(&template["blocktemplate_blob"]),
            hashing_blob: bytes(&template["blockhashing_blob"]),
            offset: number(&template["reserved_offset"]).try_into().unwrap(),
            len: number(&template["reserve_size"]).try_into().unwrap(),
            height: number(&template["height"]),
            previous: bytes(&template["prev_hash"]).try_into().unwrap(),
            reward: number(&template["expected_reward"]),
            seed_height: number(&template["seed_height"]),
        })
        .collect()
}

#[test]
fn the_daemon_s_hashing_blob_comes_of_its_own_reserve() {
    let answers = answers();
    assert_eq!(answers.len(), 12);
    for (number, answer) in answers.iter().enumerate() {
        let template = answer.template().unwrap();
        let zeros = vec![0; answer.len];
        assert_eq!(
            template.hashing_blob(&zeros).as_ref(),
            Ok(&answer.hashing_blob)
        );
        assert_eq!(template.block(&zeros, [0; 4]).as_ref(), Ok(&answer.block));
        assert_eq!(template.nonce_offset(), 39);
        assert_eq!(template.major_version(), 16);
        assert_eq!(template.reserve_len(), answer.len);
        assert_eq!(template.height(), answer.height);
        assert_eq!(template.unlock_time(), answer.height + 60);
        assert_eq!(template.previous(), answer.previous);
        assert_eq!(template.reward().units(), answer.reward);
        assert_eq!(
            Epochs::MONERO.seed_height(answer.height),
            answer.seed_height
        );
        let transactions = [0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 0];
        assert_eq!(template.transactions().len(), transactions[number]);
    }
}

#[test]
fn a_job_changes_its_reserve_and_nonce_and_nothing_else() {
    for answer in answers() {
        let template = answer.template().unwrap();
        let reserve: Vec<u8> = (1..=255).cycle().take(answer.len).collect();
        let nonce = [1, 2, 3, 4];
        let block = template.block(&reserve, nonce).unwrap();
        let mut expected = answer.block.clone();
        expected[39..43].copy_from_slice(&nonce);
        expected[answer.offset..answer.offset + answer.len].copy_from_slice(&reserve);
        assert_eq!(block, expected);
        // The block by itself hashes to the same.
        let mut blob = template.hashing_blob(&reserve).unwrap();
        assert_eq!(blob[39..43], [0; 4]);
        blob[39..43].copy_from_slice(&nonce);
        assert_eq!(hashing_blob_of(&block), Ok(blob));
        assert_eq!(id_of(&block), Ok(template.id(&reserve, nonce).unwrap()));
    }
}

#[test]
fn a_reserve_of_another_length_is_refused() {
    let template = answers()[1].template().unwrap();
    for found in [0, 1, 16, 18, 255] {
        let wrong = WrongReserve {
            expected: 17,
            found,
        };
        let reserve = vec![0; found];
        assert_eq!(template.hashing_blob(&reserve), Err(wrong));
        assert_eq!(template.block(&reserve, [0; 4]), Err(wrong));
        assert_eq!(template.id(&reserve, [0; 4]), Err(wrong));
    }
}

#[test]
fn a_reserve_outside_the_nonce_is_refused() {
    for answer in answers() {
        let case = |offset, len| {
            let odd = Answer {
                offset,
                len,
                ..answer.clone()
            };
            odd.template()
        };
        let refused = |offset, len| {
            let fault = BadTemplate::Reserve { offset, len };
            assert_eq!(case(offset, len), Err(fault), "{offset} {len}");
        };
        let (offset, len) = (answer.offset, answer.len);
        refused(offset - 1, len);
        refused(offset + 1, len);
        refused(offset, len + 1);
        refused(0, 1);
        refused(39, 4);
        refused(answer.block.len(), 1);
        refused(usize::MAX, len);
        refused(offset, usize::MAX);
        assert_eq!(case(offset, 0), Err(BadTemplate::NoReserve));
        // Less than was asked for is ours, too.
        if len > 1 {
            assert!(case(offset + 1, len - 1).is_ok());
        }
    }
}

#[test]
fn what_the_daemon_says_and_what_it_gives_must_agree() {
    for answer in answers() {
        let case = |change: &dyn Fn(&mut Answer), fault| {
            let mut odd = answer.clone();
            change(&mut odd);
            assert_eq!(odd.template(), Err(fault));
        };
        let block = answer.height;
        case(
            &|odd| odd.height += 1,
            BadTemplate::Height {
                block,
                announced: block + 1,
            },
        );
        case(&|odd| odd.previous[31] ^= 1, BadTemplate::Previous);
        case(
            &|odd| odd.reward += 1,
            BadTemplate::Reward {
                block: Amount::from_units(answer.reward),
                announced: Amount::from_units(answer.reward + 1),
            },
        );
        case(&|odd| odd.block[42] = 1, BadTemplate::Nonce);
        case(&|odd| odd.hashing_blob[0] ^= 1, BadTemplate::HashingBlob);
        case(&|odd| odd.hashing_blob.push(0), BadTemplate::HashingBlob);
        // A transaction that the daemon did not hash.
        if !answer.template().unwrap().transactions().is_empty() {
            let last = answer.block.len() - 1;
            case(&|odd| odd.block[last] ^= 1, BadTemplate::HashingBlob);
        }
    }
}

proptest! {
    #[test]
    fn each_reserve_and_nonce_make_a_block_that_reads_back(
        which in 0usize..12, reserve: [u8; 127], nonce: [u8; 4]
    ) {
        let answer = &answers()[which];
        let template = answer.template().unwrap();
        let reserve = &reserve[..answer.len];
        let block = template.block(reserve, nonce).unwrap();
        let read = Block::parse(&block).unwrap();
        prop_assert_eq!(read.nonce, nonce);
        prop_assert_eq!(id_of(&block), Ok(template.id(reserve, nonce).unwrap()));
    }

    #[test]
    fn a_template_with_some_bytes_changed_is_refused_unless_they_were_free(
        which in 0usize..12,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..3),
    ) {
        let mut answer = answers()[which].clone();
        let mut changed = Vec::new();
        for (at, by) in changes {
            let at = at.index(answer.block.len());
            answer.block[at] ^= by;
            changed.push(at);
        }
        let original = &answers()[which].block;
        if *original != answer.block {
            prop_assert!(answer.template().is_err(), "{:?}", changed);
        }
    }
}
