//! The extra field of a transaction: a list of tagged fields, of which a pool needs the nonces and keys.
//!
//! Called for each block that is read, and for each transaction that pays miners. Consensus does not
//! look into the extra field; wallets do, and one that cannot read it does not find what it was paid.
//! So what cannot be read to its end is refused.

use std::ops::Range;

use super::{reader::Reader, varint::BadVarint};

/// Zeros to the end.
const PADDING: u8 = 0x00;
/// The key from which the receiver finds its outputs.
const PUBLIC_KEY: u8 = 0x01;
/// Bytes of anyone's choice.
const NONCE: u8 = 0x02;
/// The root of the chains that are mined beside this one.
const MERGE_MINING: u8 = 0x03;
/// One more key for each output, as subaddresses need.
const ADDITIONAL_KEYS: u8 = 0x04;
/// The most bytes of padding, and of a nonce, that the daemon reads.
const LEN_MAX: u64 = 255;

/// Why an extra field cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadExtra {
    /// A field is longer than what is left.
    #[error("a field of it is cut off")]
    CutOff,
    /// A length that is no number.
    #[error("the length of a field: {0}")]
    Length(#[from] BadVarint),
    /// A nonce longer than 255 bytes.
    #[error("a nonce of it is longer than {LEN_MAX} bytes")]
    LongNonce,
    /// Padding that is not zeros to the end, or too long.
    #[error("its padding is not zeros to the end, or more than {LEN_MAX} of them")]
    Padding,
    /// A field that a block's reward has no use for.
    #[error("a field with the unknown tag {0:#04x}")]
    Tag(u8),
}

/// What an extra field has, each in the order in which it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The keys from which receivers find their outputs: one, as a rule.
    pub public_keys: Vec<[u8; 32]>,
    /// One more key for each output; none where no subaddress needs them.
    pub additional_keys: Vec<[u8; 32]>,
    /// Where the nonces are. More than one is unusual and allowed.
    pub nonces: Vec<Range<usize>>,
}

/// Where the nonces are, in the order of the fields. More than one is unusual and allowed.
pub fn nonces(extra: &[u8]) -> Result<Vec<Range<usize>>, BadExtra> {
    fields(extra).map(|fields| fields.nonces)
}

/// All that is in an extra field.
pub fn fields(extra: &[u8]) -> Result<Fields, BadExtra> {
    let mut reader = Reader::new(extra);
    let mut found = Fields::default();
    while let Some(tag) = reader.byte() {
        match tag {
            PADDING => {
                let zeros = reader.rest();
                let len = u64::try_from(zeros.len()).map_err(|_| BadExtra::Padding)?;
                // The tag is one of them.
                if len >= LEN_MAX || zeros.iter().any(|byte| *byte != 0) {
                    return Err(BadExtra::Padding);
                }
                break;
            }
            PUBLIC_KEY => {
                let key = reader.array().ok_or(BadExtra::CutOff)?;
                found.public_keys.push(key);
            }
            NONCE => {
                let len = reader.varint()?;
                if len > LEN_MAX {
                    return Err(BadExtra::LongNonce);
                }
                let start = reader.position();
                reader.bytes(len).ok_or(BadExtra::CutOff)?;
                found.nonces.push(start..reader.position());
            }
            MERGE_MINING => {
                let len = reader.varint()?;
                reader.bytes(len).ok_or(BadExtra::CutOff)?;
            }
            ADDITIONAL_KEYS => {
                let keys = reader.varint()?;
                let len = keys.checked_mul(32).ok_or(BadExtra::CutOff)?;
                let keys = reader.bytes(len).ok_or(BadExtra::CutOff)?;
                found.additional_keys.extend(keys.as_chunks::<32>().0);
            }
            other => return Err(BadExtra::Tag(other)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_nonce_is_found_among_the_fields() {
        #[track_caller]
        fn case(extra: &[u8], expected: Result<Vec<Range<usize>>, BadExtra>) {
            assert_eq!(nonces(extra), expected);
        }
        let key = [&[1][..], &[9; 32]].concat();
        case(&[], Ok(vec![]));
        case(&key, Ok(vec![]));
        let one_nonce = std::iter::once(35..38).collect();
        case(&[&key[..], &[2, 3, 7, 7, 7]].concat(), Ok(one_nonce));
        case(&[2, 1, 7, 2, 0, 0, 0], Ok(vec![2..3, 5..5]));
        let merge_mined = [&[3, 33, 0][..], &[5; 32], &[2, 1, 0]].concat();
        let one_nonce = std::iter::once(37..38).collect();
        case(&merge_mined, Ok(one_nonce));
        let more_keys = [&[4, 2][..], &[5; 64], &[0, 0, 0]].concat();
        case(&more_keys, Ok(vec![]));
        let long = [&[2, 0xff, 1][..], &[0; 255]].concat();
        let one_nonce = std::iter::once(3..258).collect();
        case(&long, Ok(one_nonce));
        case(&[0; 255], Ok(vec![]));
        case(&[0; 256], Err(BadExtra::Padding));
        case(&[0, 0, 1], Err(BadExtra::Padding));
        case(&key[..32], Err(BadExtra::CutOff));
        case(&[2, 3, 7, 7], Err(BadExtra::CutOff));
        case(&[2], Err(BadExtra::Length(BadVarint::CutOff)));
        // As older daemons write a nonce of 200 bytes: the length is one byte, and no number.
        case(
            &[&[2, 200][..], &[0; 200]].concat(),
            Err(BadExtra::Length(BadVarint::Overlong)),
        );
        case(&[2, 0x80, 2], Err(BadExtra::LongNonce));
        case(
            &[4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            Err(BadExtra::CutOff),
        );
        case(&[3, 2, 0], Err(BadExtra::CutOff));
        case(&[0xde, 0], Err(BadExtra::Tag(0xde)));
    }

    proptest! {
        #[test]
        fn any_bytes_give_nonces_inside_them_or_an_error(extra: Vec<u8>) {
            for nonce in nonces(&extra).unwrap_or_default() {
                prop_assert!(nonce.start <= nonce.end && nonce.end <= extra.len());
            }
        }
    }
}
