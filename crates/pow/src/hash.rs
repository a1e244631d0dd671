//! A 32-byte hash, read as a little-endian number and written as people see it: most significant
//! byte first.

use std::{fmt, str::FromStr};

/// 32 bytes as the hash function gives them, which is the number in little-endian order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

/// Why a text is not a hash: it must be exactly 64 characters of `0-9a-fA-F`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAHash;

impl Hash {
    /// The bytes as hashed (little-endian number), the order used inside headers.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The bytes most significant first, the order in which hashes are printed and compared.
    pub fn to_display_bytes(self) -> [u8; 32] {
        let mut bytes = self.0;
        bytes.reverse();
        bytes
    }

    /// The number in four 64-bit limbs, least significant first.
    pub fn limbs(self) -> [u64; 4] {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(self.0.chunks_exact(8)) {
            *limb = u64::from_le_bytes(bytes.try_into().expect("chunks are 8 bytes long"));
        }
        limbs
    }
}

/// Compares as numbers, so that `hash <= target` reads as consensus says it.
impl Ord for Hash {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for Hash {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().rev() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl fmt::Display for NotAHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash is 64 hexadecimal characters")
    }
}

impl std::error::Error for NotAHash {}

/// The value of a digit; 0x10 for what is none. A template has thousands of hashes.
const NIBBLE: [u8; 256] = {
    let mut values = [0x10; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit as usize] as usize] = digit;
        values[b"0123456789ABCDEF"[digit as usize] as usize] = digit;
        digit += 1;
    }
    values
};

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let text: &[u8; 64] = text.as_bytes().try_into().map_err(|_| NotAHash)?;
        let mut bytes = [0; 32];
        let mut seen = 0;
        for (byte, pair) in bytes.iter_mut().rev().zip(text.chunks_exact(2)) {
            let (high, low) = (NIBBLE[usize::from(pair[0])], NIBBLE[usize::from(pair[1])]);
            seen |= high | low;
            *byte = high << 4 | low & 0xf;
        }
        if seen > 0xf {
            return Err(NotAHash);
        }
        Ok(Self(bytes))
    }
}

impl serde::Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Hash;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&NotAHash, f)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hash, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_most_significant_first_and_round_trips() {
        let text = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
        let hash: Hash = text.parse().unwrap();
        assert_eq!(hash.0[31], 0);
        assert_eq!(hash.0[0], 0x6f);
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.to_uppercase().parse::<Hash>().unwrap(), hash);
    }

    #[test]
    fn anything_but_64_hex_characters_is_refused() {
        for text in [
            "",
            "00",
            &"0".repeat(63),
            &"0".repeat(65),
            &"+".repeat(64),
            &"g".repeat(64),
        ] {
            assert_eq!(text.parse::<Hash>(), Err(NotAHash), "{text:?}");
        }
    }

    #[test]
    fn order_is_that_of_the_number() {
        let mut small = Hash([0xff; 32]);
        small.0[31] = 0;
        let large = Hash([1; 32]);
        assert!(small < large);
        assert_eq!(large.limbs(), [0x0101_0101_0101_0101; 4]);
    }
}
