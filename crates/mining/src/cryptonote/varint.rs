//! CryptoNote's numbers of variable length: seven bits a byte, the least significant first, the top
//! bit set on all bytes but the last.
//!
//! Each number has one spelling only: bytes that say nothing, and more than 64 bits, are errors, as
//! they are to the daemon.

/// The most bytes of a number: nine of seven bits, and one for the last.
pub const VARINT_LEN_MAX: usize = 10;

/// Why bytes are no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadVarint {
    /// They end before the last byte.
    #[error("it is cut off")]
    CutOff,
    /// The last byte is zero: the same number has a shorter spelling.
    #[error("it is longer than needed")]
    Overlong,
    /// More than 64 bits.
    #[error("it has more than 64 bits")]
    Overflow,
}

/// Reads the number that `bytes` begin with, and tells how many bytes it has.
pub fn read(bytes: &[u8]) -> Result<(u64, usize), BadVarint> {
    let mut number = 0;
    for (place, &byte) in bytes.iter().enumerate() {
        // The tenth byte holds the last bit of 64.
        if place == VARINT_LEN_MAX - 1 && byte > 1 {
            return Err(BadVarint::Overflow);
        }
        if place > 0 && byte == 0 {
            return Err(BadVarint::Overlong);
        }
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok((number, place + 1));
        }
    }
    Err(BadVarint::CutOff)
}

/// Appends the number.
pub fn push(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let seven = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            out.push(seven);
            return;
        }
        out.push(seven | 0x80);
    }
}

/// The bytes of a length.
pub(crate) fn of_len(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(VARINT_LEN_MAX);
    push(
        &mut bytes,
        u64::try_from(len).expect("no memory holds more than 64 bits can count"),
    );
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_read_from_its_one_spelling() {
        let case = |bytes: &[u8], expected| assert_eq!(read(bytes), expected, "{bytes:02x?}");
        case(&[0], Ok((0, 1)));
        case(&[0x7f], Ok((127, 1)));
        case(&[0x80, 1], Ok((128, 2)));
        case(&[0xb2, 0x20], Ok((4146, 2)));
        case(&[0x7f, 0x99], Ok((127, 1)));
        case(
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            Ok((u64::MAX, 10)),
        );
        case(&[], Err(BadVarint::CutOff));
        case(&[0x80], Err(BadVarint::CutOff));
        case(&[0xff; 9], Err(BadVarint::CutOff));
        case(&[0x80, 0], Err(BadVarint::Overlong));
        case(&[0x80, 0x80, 0], Err(BadVarint::Overlong));
        case(&[0xff; 10], Err(BadVarint::Overflow));
        case(&[0xff; 11], Err(BadVarint::Overflow));
        case(
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            Err(BadVarint::Overflow),
        );
        case(
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
            Err(BadVarint::Overlong),
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, shift in 0u32..64, more: Vec<u8>) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            push(&mut bytes, number);
            let len = bytes.len();
            prop_assert!(len <= VARINT_LEN_MAX);
            bytes.extend(more);
            prop_assert_eq!(read(&bytes), Ok((number, len)));
        }

        #[test]
        fn what_is_read_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok((number, len)) = read(&bytes) {
                let mut again = Vec::new();
                push(&mut again, number);
                prop_assert_eq!(&bytes[..len], again);
            }
        }
    }
}
