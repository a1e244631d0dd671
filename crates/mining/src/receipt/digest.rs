//! The hash of everything in a log: SHA-256 under a tag, as BIP 340 has it, so that what was hashed as
//! one thing is never taken for another.

use std::{fmt, str::FromStr};

use bitcoin::hashes::{HashEngine as _, sha256};

/// 32 bytes, written in the order in which they are hashed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// A text that is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not 64 of 0-9 and a-f")]
pub struct NotADigest;

/// What is hashed: the first 64 bytes are the tag's, and are hashed once.
#[derive(Clone, Copy)]
pub(super) struct Tag(sha256::Midstate);

impl Tag {
    pub(super) const fn new(name: &str) -> Self {
        Self(sha256::Midstate::hash_tag(name.as_bytes()))
    }

    /// `SHA-256(SHA-256(name) | SHA-256(name) | parts)`.
    pub(super) fn of(self, parts: &[&[u8]]) -> Digest {
        let mut engine = sha256::HashEngine::from_midstate(self.0, 64);
        for part in parts {
            engine.input(part);
        }
        let hash: sha256::Hash = bitcoin::hashes::Hash::from_engine(engine);
        Digest(bitcoin::hashes::Hash::to_byte_array(hash))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        read_hex(text).map(Self).ok_or(NotADigest)
    }
}

pub(super) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Bytes in hexadecimal, in small letters alone: there is one way to write them.
pub(super) fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_that_of_bip340() {
        // The way the specification writes it.
        let name = <sha256::Hash as bitcoin::hashes::Hash>::hash(b"adit/test");
        let name: [u8; 32] = bitcoin::hashes::Hash::to_byte_array(name);
        let text = [&name[..], &name[..], b"some", b"thing"].concat();
        let plain = <sha256::Hash as bitcoin::hashes::Hash>::hash(&text);
        let tagged = Tag::new("adit/test").of(&[b"some", b"thing"]);
        assert_eq!(tagged.0, bitcoin::hashes::Hash::to_byte_array(plain));
    }

    #[test]
    fn a_digest_has_one_text() {
        let text = "00ff".repeat(16);
        assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
        for wrong in [
            "",
            "00",
            &text[1..],
            &format!("{text}0"),
            &format!("{text}00"),
            &text.to_ascii_uppercase(),
            &text.replace('f', "g"),
            &text.replace("ff", "\u{e9}"),
        ] {
            assert_eq!(wrong.parse::<Digest>(), Err(NotADigest), "{wrong}");
        }
    }
}
