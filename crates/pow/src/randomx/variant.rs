//! The members of the RandomX family, by the names that miners and pools use on the wire.

use std::{fmt, str::FromStr};

/// One of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Monero up to block version 16: `rx/0`.
    Rx0,
    /// Monero from block version 17 on: `rx/2`, RandomX v2 with commitments.
    Rx2,
    /// Wownero: `rx/wow`, RandomX with parameters of its own.
    Wow,
}

/// The text is no name of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAVariant;

impl Variant {
    /// All that are known.
    pub const ALL: [Self; 3] = [Self::Rx0, Self::Rx2, Self::Wow];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rx0 => "rx/0",
            Self::Rx2 => "rx/2",
            Self::Wow => "rx/wow",
        }
    }

    /// Whether the library that is built in computes it. It has v1 with Monero's parameters and
    /// nothing else, and would compute just that if asked for v2.
    pub fn is_computed(self) -> bool {
        self == Self::Rx0
    }

    /// Whether shares bear a commitment, and it is the commitment that meets the target.
    pub fn has_commitment(self) -> bool {
        self == Self::Rx2
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for NotAVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("known are rx/0, rx/2 and rx/wow")
    }
}

impl std::error::Error for NotAVariant {}

impl Variant {
    /// What pools and miners call a variant: its name, and what `rx/0` was called before there were others.
    pub fn called(name: &str) -> Option<Self> {
        match name {
            "randomx" | "randomx/0" | "rx" => Some(Self::Rx0),
            _ => name.parse().ok(),
        }
    }
}

impl FromStr for Variant {
    type Err = NotAVariant;

    /// Exactly the name on the wire.
    fn from_str(text: &str) -> Result<Self, NotAVariant> {
        Self::ALL
            .into_iter()
            .find(|variant| variant.name() == text)
            .ok_or(NotAVariant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_nothing_else_is_one() {
        for variant in Variant::ALL {
            assert_eq!(variant.to_string().parse(), Ok(variant));
        }
        for text in ["", "rx", "rx/1", "RX/0", "rx/0 ", "cn/r", "sha256d"] {
            assert_eq!(text.parse::<Variant>(), Err(NotAVariant), "{text:?}");
        }
    }

    #[test]
    fn v2_bears_a_commitment_and_is_not_computed() {
        assert!(Variant::Rx2.has_commitment() && !Variant::Rx2.is_computed());
        assert!(Variant::Rx0.is_computed() && !Variant::Rx0.has_commitment());
        assert!(!Variant::Wow.is_computed());
    }
}
