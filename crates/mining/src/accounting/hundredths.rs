//! Numbers with at most two decimals, as an operator writes them: `1.5`, `2`, `"0.25"`. Kept as
//! hundredths, so that nothing is ever rounded.

use std::fmt;

use serde::de::{Error, Visitor};

/// Reads digits, perhaps a point, and one or two digits more.
pub(super) fn parse(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| {
        let fits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| text.parse::<u32>().ok()).flatten()
    };
    let tens = if decimals.len() == 1 { 10 } else { 1 };
    digits(whole, 6)?
        .checked_mul(100)?
        .checked_add(digits(decimals, 2)? * tens)
}

/// Writes them as shortly as they can be.
pub(super) fn write(f: &mut fmt::Formatter<'_>, hundredths: u32) -> fmt::Result {
    let (whole, decimals) = (hundredths / 100, hundredths % 100);
    match decimals {
        0 => write!(f, "{whole}"),
        tens if tens % 10 == 0 => write!(f, "{whole}.{}", tens / 10),
        _ => write!(f, "{whole}.{decimals:02}"),
    }
}

/// For numbers and texts of a configuration. What a float is written as is what was written.
pub(super) struct Hundredths(pub(super) &'static str);

impl Visitor<'_> for Hundredths {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<u32, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u32, E> {
        parse(text).ok_or_else(|| E::custom(format!("{text:?} is not {}", self.0)))
    }
}

/// A type that is so many hundredths reads and writes itself as a number.
macro_rules! serde_as_number {
    ($type:ident, $expected:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_f64(f64::from(self.0) / 100.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let visitor = $crate::accounting::hundredths::Hundredths($expected);
                let hundredths = deserializer.deserialize_any(visitor)?;
                hundredths
                    .try_into()
                    .ok()
                    .and_then(Self::from_hundredths)
                    .ok_or_else(|| serde::de::Error::custom(concat!("out of range: ", $expected)))
            }
        }
    };
}
pub(super) use serde_as_number;
