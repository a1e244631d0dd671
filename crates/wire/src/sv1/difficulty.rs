//! A difficulty as Stratum V1 writes it: a finite, positive JSON number.
//!
//! This is the number that people and firmware see. What a share is judged by is a target, kept by
//! the pool's rules: they round a suggestion once, on reading it, and never compute with this type.

use std::io::Write as _;

use crate::json::Json;

/// A finite number above zero.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Difficulty(f64);

impl Difficulty {
    /// `None` unless finite and above zero.
    pub fn new(value: f64) -> Option<Self> {
        (value.is_finite() && value > 0.0).then_some(Self(value))
    }

    pub fn get(self) -> f64 {
        self.0
    }

    /// A number, or a string that holds nothing but one.
    pub(crate) fn read(json: Json<'_>) -> Option<Self> {
        let string = json.string(MAX_TEXT);
        let text = string.as_deref().unwrap_or(json.text());
        // JSON's grammar, then the correctly rounded reading of the standard library.
        let number = matches!(
            text.as_bytes(),
            [b'0'..=b'9', .., b'0'..=b'9'] | [b'0'..=b'9']
        );
        if !number || serde_json::from_str::<f64>(text).is_err() {
            return None;
        }
        Self::new(text.parse().ok()?)
    }

    /// The shortest text that reads back as the same number, never with an exponent, which some
    /// firmware misreads, and without a fraction if there is none.
    pub(crate) fn push(self, out: &mut Vec<u8>) {
        write!(out, "{}", self.0).expect("writing to memory cannot fail");
    }
}

/// The longest numeric string that is read.
const MAX_TEXT: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_difficulty_is_read_from_a_number_or_a_numeric_string() {
        let case = |text: &str, expected: Option<f64>| {
            assert_eq!(
                Difficulty::read(Json::new(text)).map(Difficulty::get),
                expected,
                "{text}"
            );
        };
        case("1000", Some(1000.0));
        case("0.00015", Some(0.00015));
        case("1.5e-4", Some(0.00015));
        case("1e300", Some(1e300));
        case(r#""512""#, Some(512.0));
        case(r#""0.5""#, Some(0.5));
        case("0", None);
        case("0.0", None);
        case("-0", None);
        case("-1", None);
        case("1e400", None);
        case("1e-400", None);
        case(r#""nan""#, None);
        case(r#""inf""#, None);
        case(r#""infinity""#, None);
        case(r#""1e400""#, None);
        case(r#""+1""#, None);
        case(r#""-1""#, None);
        case(r#"" 1""#, None);
        case(r#""1 ""#, None);
        case(r#""1.""#, None);
        case(r#"".5""#, None);
        case(r#""01""#, None);
        case(r#""0x10""#, None);
        case(r#""1_000""#, None);
        case(r#""""#, None);
        case("null", None);
        case("true", None);
        case("[1]", None);
        case("{}", None);
        case(&"9".repeat(100_000), None);
    }

    #[test]
    fn a_difficulty_is_finite_and_above_zero() {
        for value in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Difficulty::new(value), None, "{value}");
        }
    }

    #[test]
    fn a_difficulty_is_written_without_an_exponent() {
        let case = |value, expected: &str| {
            let mut out = Vec::new();
            Difficulty::new(value).unwrap().push(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        case(1.0, "1");
        case(1000.0, "1000");
        case(0.00015, "0.00015");
        case(1e-9, "0.000000001");
        case(65535.99, "65535.99");
        case(9_007_199_254_740_992.0, "9007199254740992");
        case(1e21, "1000000000000000000000");
    }

    proptest! {
        #[test]
        fn a_difficulty_survives_the_round_trip(value in proptest::num::f64::POSITIVE) {
            prop_assume!(value.is_finite() && value > 0.0);
            let mut out = Vec::new();
            Difficulty(value).push(&mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(Difficulty::read(Json::new(&text)), Some(Difficulty(value)));
        }
    }
}
