//! The transaction that pays for a block: one input, which holds the height, and outputs to one-time
//! keys.
//!
//! Called for each block that is read. It has no length of its own on the wire, so where it ends is
//! found only by reading all of it. Version 2 is read, which Monero has had since 2017.

use std::ops::Range;

use super::{
    extra::{self, BadExtra},
    keccak::keccak256,
    reader::Reader,
    varint::BadVarint,
};
use crate::Amount;

/// The only version that is read.
const VERSION: u64 = 2;
/// The tag of an input that spends nothing.
const GEN: u8 = 0xff;
/// The tag of an output to a key.
const TO_KEY: u8 = 0x02;
/// The tag of an output to a key with a view tag, which Monero has had since version 15.
const TO_TAGGED_KEY: u8 = 0x03;
/// The type of ring signature: none, as nothing is spent.
const RCT_NULL: u8 = 0x00;

/// A miner's transaction, and where its parts are in the block that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinerTransaction {
    /// The height before which the outputs cannot be spent.
    pub unlock_time: u64,
    /// The height of the block.
    pub height: u64,
    /// To whom, and how much; never empty.
    pub outputs: Vec<Output>,
    /// The sum of the outputs.
    pub reward: Amount,
    /// All but the type of ring signature, from the block's first byte.
    pub(super) prefix: Range<usize>,
    /// The nonces of the extra field, from the block's first byte.
    pub(super) nonces: Vec<Range<usize>>,
    /// What those nonces are.
    pub extra_nonces: Vec<Vec<u8>>,
    /// The keys from which receivers find their outputs: one, as a rule.
    pub public_keys: Vec<[u8; 32]>,
    /// One more key for each output; none, as a rule.
    pub additional_keys: Vec<[u8; 32]>,
}

/// An output. Whose it is only its receiver can tell, who has the view key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// In the smallest unit.
    pub amount: Amount,
    /// The one-time key.
    pub key: [u8; 32],
    /// By which wallets pass over most of what is not theirs.
    pub view_tag: Option<u8>,
}

/// Why bytes are no transaction of a miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMinerTransaction {
    /// The bytes end too early.
    #[error("it is cut off in its {0}")]
    CutOff(&'static str),
    /// A number that is none.
    #[error("its {0}: {1}")]
    Number(&'static str, BadVarint),
    /// Another version than 2.
    #[error("version {0}, but only {VERSION} is known")]
    Version(u64),
    /// Not one input, or one that spends something.
    #[error("it has another input than the one that makes new coins")]
    Input,
    /// No output at all.
    #[error("it pays nobody")]
    NoOutput,
    /// An output of a kind that wallets do not know.
    #[error("an output with the unknown tag {0:#04x}")]
    OutputTag(u8),
    /// The outputs together do not fit 64 bits.
    #[error("its outputs add up to more than 64 bits")]
    Sum,
    /// The extra field cannot be read.
    #[error("its extra field: {0}")]
    Extra(#[from] BadExtra),
    /// It claims to have ring signatures.
    #[error("ring signatures of type {0} where there is nothing to sign")]
    Rct(u8),
}

impl MinerTransaction {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, BadMinerTransaction> {
        use BadMinerTransaction as Bad;
        let number = |reader: &mut Reader<'_>, name| {
            let number = reader.varint();
            number.map_err(|fault| Bad::Number(name, fault))
        };
        let start = reader.position();
        let version = number(reader, "version")?;
        if version != VERSION {
            return Err(Bad::Version(version));
        }
        let unlock_time = number(reader, "unlock time")?;
        let inputs = number(reader, "number of inputs")?;
        if inputs != 1 || reader.byte().ok_or(Bad::CutOff("input"))? != GEN {
            return Err(Bad::Input);
        }
        let height = number(reader, "height")?;
        let count = number(reader, "number of outputs")?;
        let outputs = read_outputs(reader, count)?;
        let reward = Amount::checked_sum(outputs.iter().map(|output| output.amount));
        let extra_len = number(reader, "length of the extra field")?;
        let extra_start = reader.position();
        let extra = reader.bytes(extra_len).ok_or(Bad::CutOff("extra field"))?;
        let fields = extra::fields(extra)?;
        let in_block = |nonce: &Range<usize>| nonce.start + extra_start..nonce.end + extra_start;
        let nonces = fields.nonces.iter().map(in_block).collect();
        let texts = fields
            .nonces
            .iter()
            .map(|nonce| extra[nonce.clone()].to_vec());
        let end = reader.position();
        match reader.byte().ok_or(Bad::CutOff("type"))? {
            RCT_NULL => {}
            other => return Err(Bad::Rct(other)),
        }
        Ok(Self {
            unlock_time,
            height,
            outputs,
            reward: reward.ok_or(Bad::Sum)?,
            prefix: start..end,
            nonces,
            extra_nonces: texts.collect(),
            public_keys: fields.public_keys,
            additional_keys: fields.additional_keys,
        })
    }
}

fn read_outputs(reader: &mut Reader<'_>, count: u64) -> Result<Vec<Output>, BadMinerTransaction> {
    use BadMinerTransaction as Bad;
    if count == 0 {
        return Err(Bad::NoOutput);
    }
    let mut outputs = Vec::new();
    for _ in 0..count {
        let amount = reader
            .varint()
            .map_err(|fault| Bad::Number("amount", fault))?;
        let tag = reader.byte().ok_or(Bad::CutOff("output"))?;
        if !matches!(tag, TO_KEY | TO_TAGGED_KEY) {
            return Err(Bad::OutputTag(tag));
        }
        let key = reader.array().ok_or(Bad::CutOff("output"))?;
        let view_tag = match tag {
            TO_TAGGED_KEY => Some(reader.byte().ok_or(Bad::CutOff("output"))?),
            _ => None,
        };
        outputs.push(Output {
            amount: Amount::from_units(amount),
            key,
            view_tag,
        });
    }
    Ok(outputs)
}

/// The hash of a miner's transaction of version 2, by the parts of its prefix: that of the prefix, of
/// no ring signatures' base, and of none at all.
pub(super) fn hash(prefix: &[&[u8]]) -> [u8; 32] {
    keccak256(&[&keccak256(prefix), &keccak256(&[&[RCT_NULL]]), &[0; 32]])
}

/// What follows the prefix.
pub(super) const SUFFIX: [u8; 1] = [RCT_NULL];
