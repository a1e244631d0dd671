//! A number as people write it: digits, perhaps a point and more digits. Read exactly, for
//! difficulties (`target.rs`) and hashrates (`password.rs`).
//!
//! No sign, no exponent, no hexadecimal, no `inf`: an error means that the text is none of our
//! numbers, never that it was rounded.

/// The most digits on each side of the point: what 64 bits hold, and far more than a step of 2^-32
/// or a single hash per second needs.
const DIGITS_MAX: usize = 19;

/// A number not below zero with at most 19 digits on each side of the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    whole: u64,
    /// What stands behind the point, in units of `1 / scale`.
    fraction: u64,
    /// A power of ten.
    scale: u64,
}

/// Why a text is no number of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDecimal {
    /// Something else than digits with at most one point before the last of them.
    #[error("not a decimal number such as 1000 or 0.5")]
    NotDecimal,
    /// More digits than are read exactly.
    #[error("more than {DIGITS_MAX} digits before or after the point")]
    TooLong,
    /// Zero, where only more than that makes sense.
    #[error("zero")]
    Zero,
}

impl Decimal {
    /// Reads `12`, `12.5` and `.5`. Zero is refused, as no caller has a use for it.
    pub(crate) fn parse(text: &str) -> Result<Self, BadDecimal> {
        let (whole, fraction) = match text.split_once('.') {
            // A point wants a digit behind it, and none has to stand before it.
            Some((_, "")) => return Err(BadDecimal::NotDecimal),
            Some((whole, fraction)) => (whole, fraction),
            None if text.is_empty() => return Err(BadDecimal::NotDecimal),
            None => (text, ""),
        };
        let read = Self {
            whole: digits(whole)?,
            fraction: digits(fraction)?,
            scale: fraction.bytes().fold(1, |scale, _| scale * 10),
        };
        if read.whole == 0 && read.fraction == 0 {
            return Err(BadDecimal::Zero);
        }
        Ok(read)
    }

    /// The number times `factor`, rounded down.
    pub(crate) fn times(self, factor: u64) -> u128 {
        let product = |a: u64| u128::from(a) * u128::from(factor);
        product(self.whole) + product(self.fraction) / u128::from(self.scale)
    }
}

/// Digits alone; an empty text is zero.
fn digits(text: &str) -> Result<u64, BadDecimal> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadDecimal::NotDecimal);
    }
    if text.len() > DIGITS_MAX {
        return Err(BadDecimal::TooLong);
    }
    Ok(text
        .bytes()
        .fold(0, |number, byte| number * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_with_a_point_are_read_exactly() {
        #[track_caller]
        fn case(text: &str, factor: u64, expected: u128) {
            assert_eq!(Decimal::parse(text).unwrap().times(factor), expected);
        }
        case("12", 1, 12);
        case("12.75", 100, 1275);
        case("12.75", 10, 127);
        case(".5", 2, 1);
        case("007", 3, 21);
        case("0.0000000000000000001", u64::MAX, 1);
        case("9999999999999999999", 1, 9_999_999_999_999_999_999);
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "", ".", "5.", "1.2.3", "+1", "-1", "1e3", "0x10", "nan", "inf", " 1", "1 ", "1_000",
            "1,5", "½", "٣", "1.٣",
        ] {
            assert_eq!(
                Decimal::parse(text),
                Err(BadDecimal::NotDecimal),
                "{text:?}"
            );
        }
        for text in ["0", "0.000", ".0"] {
            assert_eq!(Decimal::parse(text), Err(BadDecimal::Zero), "{text:?}");
        }
        for text in ["12345678901234567890", "1.12345678901234567890"] {
            assert_eq!(Decimal::parse(text), Err(BadDecimal::TooLong), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9.]{0,45}|.{0,20}", factor: u64) {
            if let Ok(number) = Decimal::parse(&text) {
                number.times(factor);
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
            }
        }

        #[test]
        fn six_places_are_millionths(whole in 0u64..1 << 40, millionths in 1u64..1_000_000) {
            let number = Decimal::parse(&format!("{whole}.{millionths:06}")).unwrap();
            prop_assert_eq!(number.times(1_000_000), u128::from(whole * 1_000_000 + millionths));
        }
    }
}
