//! Hexadecimal, strictly: the alphabet and the length are checked before anything is decoded.
//!
//! Called by every codec of this crate. `None` means that the text is not what its field allows;
//! there is no sign, no `0x`, no space and no rounding down of an odd length. Both cases of letters
//! are read, only small ones are written: who compares must compare the decoded bytes.

/// A number of one to eight digits, padded or not.
pub fn u32(digits: &str) -> Option<u32> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let mut value = 0;
    let mut seen = 0;
    for &digit in digits.as_bytes() {
        let nibble = NIBBLE[usize::from(digit)];
        seen |= nibble;
        value = value << 4 | u32::from(nibble & 0x0f);
    }
    (seen < 16).then_some(value)
}

/// A number of exactly eight digits.
pub fn u32_padded(digits: &str) -> Option<u32> {
    if digits.len() == 8 { u32(digits) } else { None }
}

/// Exactly `N` bytes.
pub fn array<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (decode(digits, &mut bytes)? == N).then_some(bytes)
}

/// At most `limit` bytes.
pub fn vec(digits: &str, limit: usize) -> Option<Vec<u8>> {
    if digits.len() / 2 > limit {
        return None;
    }
    let mut bytes = vec![0; digits.len() / 2];
    decode(digits, &mut bytes)?;
    Some(bytes)
}

/// Decodes to the start of `bytes` and tells how many were written; `None` too if they do not fit.
pub fn decode(digits: &str, bytes: &mut [u8]) -> Option<usize> {
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    if !odd.is_empty() || pairs.len() > bytes.len() {
        return None;
    }
    let mut seen = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (NIBBLE[usize::from(*high)], NIBBLE[usize::from(*low)]);
        seen |= high | low;
        *byte = high << 4 | low & 0x0f;
    }
    (seen < 16).then_some(pairs.len())
}

/// Appends two digits for each byte.
pub fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.extend_from_slice(&pair(*byte));
    }
}

/// Appends eight digits.
pub fn push_u32(out: &mut Vec<u8>, value: u32) {
    push(out, &value.to_be_bytes());
}

/// Appends one to eight digits, without padding.
pub fn push_u32_short(out: &mut Vec<u8>, value: u32) {
    let mut digits = [0; 8];
    for (two, byte) in digits
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(value.to_be_bytes())
    {
        *two = pair(byte);
    }
    let zeros = digits[..7]
        .iter()
        .take_while(|digit| **digit == b'0')
        .count();
    out.extend_from_slice(&digits[zeros..]);
}

fn pair(byte: u8) -> [u8; 2] {
    [
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 0x0f)],
    ]
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The value of each byte as a digit; 0xff for what is none.
const NIBBLE: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 10 {
        table[b'0' as usize + value as usize] = value;
        value += 1;
    }
    while value < 16 {
        table[b'a' as usize + value as usize - 10] = value;
        table[b'A' as usize + value as usize - 10] = value;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_read_only_from_its_digits() {
        let case = |input: &str, expected| assert_eq!(u32(input), expected, "{input:?}");
        case("0", Some(0));
        case("f", Some(15));
        case("C0AD31eE", Some(0xc0ad_31ee));
        case("ffffffff", Some(u32::MAX));
        case("", None);
        case("000000000", None);
        case("+1", None);
        case("-1", None);
        case("0x1", None);
        case(" 1", None);
        case("1_0", None);
        case("g", None);
        case("\u{661}", None);
    }

    #[test]
    fn a_padded_number_has_eight_digits() {
        let case = |input: &str, expected| assert_eq!(u32_padded(input), expected, "{input:?}");
        case("0000000f", Some(15));
        case("f", None);
        case("+000000f", None);
        case("00000000f", None);
    }

    #[test]
    fn bytes_come_in_pairs_of_digits() {
        let case = |input: &str, expected: Option<&[u8]>| {
            assert_eq!(vec(input, 4).as_deref(), expected, "{input:?}");
        };
        case("", Some(&[]));
        case("00fF", Some(&[0, 255]));
        case("0001020", None);
        case("0000000g", None);
        case("g0", None);
        case("0011223344", None);
        assert_eq!(array::<2>("0102"), Some([1, 2]));
        assert_eq!(array::<2>("01"), None);
        assert_eq!(array::<2>("010203"), None);
    }

    proptest! {
        #[test]
        fn bytes_survive_the_round_trip(bytes: Vec<u8>) {
            let mut text = Vec::new();
            push(&mut text, &bytes);
            let text = String::from_utf8(text).unwrap();
            prop_assert_eq!(vec(&text, bytes.len()), Some(bytes.clone()));
            prop_assert_eq!(vec(&text.to_uppercase(), bytes.len()), Some(bytes));
        }

        #[test]
        fn numbers_survive_the_round_trip(value: u32) {
            let mut text = Vec::new();
            push_u32(&mut text, value);
            prop_assert_eq!(&text, &format!("{value:08x}").into_bytes());
            text.clear();
            push_u32_short(&mut text, value);
            prop_assert_eq!(&text, &format!("{value:x}").into_bytes());
        }

        #[test]
        fn any_text_gives_bytes_or_nothing(text: String) {
            let _ = (u32(&text), u32_padded(&text), array::<4>(&text), vec(&text, 8));
        }
    }
}
