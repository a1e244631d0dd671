//! A transaction that spends, as far as a pool needs it: what it spends, what the chain gets for it, and
//! to which one-time keys it pays.
//!
//! Called for what a wallet has made, before anyone sends it, and to find out what has spent a coin.
//! The id is worked out here from all bytes, so what a wallet says of it need not be believed. How the
//! bytes are laid out:
//!
//! | part | fields |
//! |---|---|
//! | prefix | version, unlock time, inputs, outputs, extra |
//! | base | type of ring signature, fee, an amount of 8 bytes and a commitment for each output |
//! | the rest | ring signatures and range proofs |

use super::{
    extra::{self, BadExtra, Fields},
    keccak::keccak256,
    reader::Reader,
    varint::BadVarint,
};
use crate::Amount;

/// The only version that is read.
const VERSION: u64 = 2;
/// The tag of an input that spends the output of a key.
const FROM_KEY: u8 = 0x02;
/// The tag of an output to a key.
const TO_KEY: u8 = 0x02;
/// The tag of an output to a key with a view tag, which Monero has had since version 15.
const TO_TAGGED_KEY: u8 = 0x03;
/// The types of ring signatures that write their amounts in 8 bytes and have no other fields before
/// the proofs: CLSAG, and the same with Bulletproofs+, which Monero has had since version 15.
const RCT_TYPES: [u8; 2] = [5, 6];
/// The nonce that begins an encrypted payment id.
const ENCRYPTED_PAYMENT_ID: u8 = 0x01;

/// A transaction that spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    id: [u8; 32],
    key_images: Vec<[u8; 32]>,
    fee: Amount,
    pub(super) outputs: Vec<Output>,
    pub(super) fields: Fields,
    pub(super) payment_id: Option<[u8; 8]>,
}

/// An output. How much it has, and whose it is, only its receiver can tell, and who has made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    /// The one-time key.
    pub(super) key: [u8; 32],
    /// By which wallets pass over most of what is not theirs.
    pub(super) view_tag: Option<u8>,
    /// The amount, hidden.
    pub(super) amount: [u8; 8],
    /// What the amount is held to.
    pub(super) commitment: [u8; 32],
}

/// Why bytes are no transaction that a pool pays with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTransaction {
    /// The bytes end too early.
    #[error("it is cut off in its {0}")]
    CutOff(&'static str),
    /// A number that is none.
    #[error("its {0}: {1}")]
    Number(&'static str, BadVarint),
    /// Another version than 2.
    #[error("version {0}, but only {VERSION} is known")]
    Version(u64),
    /// What it pays cannot be spent for a time.
    #[error("what it pays is locked until {0}")]
    Locked(u64),
    /// An input of another kind.
    #[error("an input with the unknown tag {0:#04x}")]
    InputTag(u8),
    /// No input at all.
    #[error("it spends nothing")]
    NoInput,
    /// An output of a kind that wallets do not know.
    #[error("an output with the unknown tag {0:#04x}")]
    OutputTag(u8),
    /// An amount in the open, as transactions had them before 2017.
    #[error("an amount that is not hidden")]
    OpenAmount,
    /// Signatures of another kind.
    #[error("ring signatures of the unknown type {0}")]
    Rct(u8),
    /// The extra field cannot be read.
    #[error("its extra field: {0}")]
    Extra(#[from] BadExtra),
}

impl Transaction {
    /// Reads a whole transaction.
    pub fn read(bytes: &[u8]) -> Result<Self, BadTransaction> {
        let mut reader = Reader::new(bytes);
        let prefix = Prefix::read(&mut reader)?;
        let prefix_end = reader.position();
        if prefix.unlock_time != 0 {
            return Err(BadTransaction::Locked(prefix.unlock_time));
        }
        let rct = reader.byte().ok_or(BadTransaction::CutOff("signatures"))?;
        if !RCT_TYPES.contains(&rct) {
            return Err(BadTransaction::Rct(rct));
        }
        let fee = number(&mut reader, "fee")?;
        let cut_off = || BadTransaction::CutOff("amounts");
        let mut outputs = Vec::with_capacity(prefix.outputs.len());
        for (key, view_tag) in prefix.outputs {
            outputs.push(Output {
                key,
                view_tag,
                amount: reader.array().ok_or_else(cut_off)?,
                commitment: [0; 32],
            });
        }
        for output in &mut outputs {
            output.commitment = reader.array().ok_or_else(cut_off)?;
        }
        let base_end = reader.position();
        if reader.rest().is_empty() {
            return Err(BadTransaction::CutOff("proofs"));
        }
        let parts = [
            keccak256(&[&bytes[..prefix_end]]),
            keccak256(&[&bytes[prefix_end..base_end]]),
            keccak256(&[&bytes[base_end..]]),
        ];
        let fields = extra::fields(prefix.extra)?;
        let payment_id = fields.nonces.iter().find_map(|place| {
            let (tag, id) = prefix.extra[place.clone()].split_first()?;
            (*tag == ENCRYPTED_PAYMENT_ID).then_some(())?;
            id.try_into().ok()
        });
        Ok(Self {
            id: keccak256(&[parts.as_flattened()]),
            key_images: prefix.key_images,
            fee: Amount::from_units(fee),
            outputs,
            fields,
            payment_id,
        })
    }

    /// The id, in the order in which it is written.
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// What the coins that it spends are known by: each coin has one, and is spent once.
    pub fn key_images(&self) -> &[[u8; 32]] {
        &self.key_images
    }

    /// What the chain gets for it.
    pub fn fee(&self) -> Amount {
        self.fee
    }
}

/// The key images of a transaction of which only the beginning may be there.
pub fn key_images(bytes: &[u8]) -> Result<Vec<[u8; 32]>, BadTransaction> {
    Prefix::read(&mut Reader::new(bytes)).map(|prefix| prefix.key_images)
}

struct Prefix<'a> {
    unlock_time: u64,
    key_images: Vec<[u8; 32]>,
    /// Their keys and view tags.
    outputs: Vec<([u8; 32], Option<u8>)>,
    extra: &'a [u8],
}

impl<'a> Prefix<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BadTransaction> {
        use BadTransaction as Bad;
        let version = number(reader, "version")?;
        if version != VERSION {
            return Err(Bad::Version(version));
        }
        let unlock_time = number(reader, "unlock time")?;
        let mut key_images = Vec::new();
        for _ in 0..number(reader, "inputs")? {
            let cut_off = || Bad::CutOff("inputs");
            match reader.byte().ok_or_else(cut_off)? {
                FROM_KEY => {}
                tag => return Err(Bad::InputTag(tag)),
            }
            number(reader, "input's amount")?;
            for _ in 0..number(reader, "ring")? {
                number(reader, "ring")?;
            }
            key_images.push(reader.array().ok_or_else(cut_off)?);
        }
        if key_images.is_empty() {
            return Err(Bad::NoInput);
        }
        let mut outputs = Vec::new();
        for _ in 0..number(reader, "outputs")? {
            let cut_off = || Bad::CutOff("outputs");
            if number(reader, "output's amount")? != 0 {
                return Err(Bad::OpenAmount);
            }
            let tag = reader.byte().ok_or_else(cut_off)?;
            if ![TO_KEY, TO_TAGGED_KEY].contains(&tag) {
                return Err(Bad::OutputTag(tag));
            }
            let key = reader.array().ok_or_else(cut_off)?;
            let view_tag = match tag {
                TO_TAGGED_KEY => Some(reader.byte().ok_or_else(cut_off)?),
                _ => None,
            };
            outputs.push((key, view_tag));
        }
        let len = number(reader, "extra field")?;
        let extra = reader.bytes(len).ok_or(Bad::CutOff("extra field"))?;
        Ok(Self {
            unlock_time,
            key_images,
            outputs,
            extra,
        })
    }
}

fn number(reader: &mut Reader<'_>, name: &'static str) -> Result<u64, BadTransaction> {
    let number = reader.varint();
    number.map_err(|fault| BadTransaction::Number(name, fault))
}
