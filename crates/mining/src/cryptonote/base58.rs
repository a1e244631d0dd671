//! CryptoNote's base 58: blocks of 8 bytes, each written in 11 characters, and a shorter last one.
//!
//! Called by [`address`](super::address). Each run of bytes has one spelling and each spelling one run
//! of bytes: a block that would be more than its bytes hold is refused.

/// As in Bitcoin: no `0`, `O`, `I` and `l`.
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// The bytes of a full block.
const BLOCK: usize = 8;
/// The characters of a full block.
const BLOCK_CHARACTERS: usize = 11;
/// The characters of a block by its bytes.
const CHARACTERS: [usize; BLOCK + 1] = [0, 2, 3, 5, 6, 7, 9, 10, BLOCK_CHARACTERS];

/// Why a text is not of this base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBase58 {
    /// A character outside the alphabet.
    #[error("{0:?} is no character of base 58")]
    Character(char),
    /// No bytes are written in so many characters.
    #[error("no bytes are written in {0} characters")]
    Length(usize),
    /// A block stands for a larger number than its bytes hold.
    #[error("characters {0} and following stand for too large a number")]
    Overflow(usize),
}

/// The bytes that a text stands for.
pub fn decode(text: &str) -> Result<Vec<u8>, BadBase58> {
    if let Some(odd) = text.chars().find(|c| value(*c).is_none()) {
        return Err(BadBase58::Character(odd));
    }
    let mut bytes = Vec::with_capacity(text.len() / BLOCK_CHARACTERS * BLOCK + BLOCK);
    for (number, block) in text.as_bytes().chunks(BLOCK_CHARACTERS).enumerate() {
        let len = CHARACTERS
            .iter()
            .position(|characters| *characters == block.len())
            .ok_or(BadBase58::Length(text.len()))?;
        let sum = block.iter().fold(0_u128, |sum, character| {
            let digit = value(char::from(*character)).unwrap_or_default();
            sum * 58 + u128::from(digit)
        });
        // 58^11 fits 65 bits.
        let value = sum.to_be_bytes();
        let (high, low) = value.split_at(value.len() - len);
        if high.iter().any(|byte| *byte != 0) {
            return Err(BadBase58::Overflow(number * BLOCK_CHARACTERS + 1));
        }
        bytes.extend_from_slice(low);
    }
    Ok(bytes)
}

/// The text that stands for bytes.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(BLOCK) * BLOCK_CHARACTERS);
    for block in bytes.chunks(BLOCK) {
        let mut number = block
            .iter()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let mut characters = [ALPHABET[0]; BLOCK_CHARACTERS];
        let characters = &mut characters[..CHARACTERS[block.len()]];
        for character in characters.iter_mut().rev() {
            let digit = usize::try_from(number % 58).expect("it is below 58");
            *character = ALPHABET[digit];
            number /= 58;
        }
        text.extend(characters.iter().map(|character| char::from(*character)));
    }
    text
}

/// The digit that a character stands for.
fn value(character: char) -> Option<u8> {
    let byte = u8::try_from(character).ok()?;
    let place = ALPHABET.iter().position(|known| *known == byte)?;
    u8::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_are_written_by_themselves() {
        // The blocks of Monero's own tests of base 58.
        let case = |bytes: &str, text: &str| {
            let bytes = hex::decode(bytes).unwrap();
            assert_eq!(encode(&bytes), text);
            assert_eq!(decode(text), Ok(bytes));
        };
        case("", "");
        case("00", "11");
        case("39", "1z");
        case("ff", "5Q");
        case("0000", "111");
        case("0039", "11z");
        case("0100", "15R");
        case("ffff", "LUv");
        case("000000", "11111");
        case("ffffff", "2UzHL");
        case("ffffffff", "7YXq9G");
        case("ffffffffff", "VtB5VXc");
        case("ffffffffffff", "3CUsUpv9t");
        case("ffffffffffffff", "Ahg1opVcGW");
        case("ffffffffffffffff", "jpXCZedGfVQ");
        case("0000000000000000", "11111111111");
        case("0000000000000001", "11111111112");
        case("000000000000000001", "1111111111112");
    }

    #[test]
    fn what_no_bytes_are_written_as_is_refused() {
        let case = |text: &str, fault| assert_eq!(decode(text), Err(fault), "{text}");
        case("1", BadBase58::Length(1));
        case("1111", BadBase58::Length(4));
        case("11111111", BadBase58::Length(8));
        case("111111111111", BadBase58::Length(12));
        case("5R", BadBase58::Overflow(1));
        case("LUw", BadBase58::Overflow(1));
        case("jpXCZedGfVR", BadBase58::Overflow(1));
        case("zzzzzzzzzzz", BadBase58::Overflow(1));
        case("1111111111111111111111zz", BadBase58::Overflow(23));
        case("10", BadBase58::Character('0'));
        case("1O", BadBase58::Character('O'));
        case("1I", BadBase58::Character('I'));
        case("1l", BadBase58::Character('l'));
        case("1 ", BadBase58::Character(' '));
        case("1\u{661}", BadBase58::Character('\u{661}'));
    }

    proptest! {
        #[test]
        fn bytes_survive_the_round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn a_text_that_is_read_is_the_one_that_is_written(text in "[1-9A-HJ-NP-Za-km-z]{0,40}|.{0,12}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
