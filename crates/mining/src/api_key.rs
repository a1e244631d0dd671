//! A key of the operator's: what opens the calls that change something to whoever is not on the pool's
//! own machine. Called by `adit key`, which makes one, and by the API, which is shown one.
//!
//! The key itself is nowhere kept. What is kept is its SHA-256: 256 bits of chance cannot be guessed, so
//! that no slow hash and no salt is needed, and whoever reads the database cannot make a key of it.

use std::{fmt, str::FromStr};

use bitcoin::hashes::{Hash as _, sha256};

/// What each key begins with, so that people and programs that look for secrets know it.
const PREFIX: &str = "adit_";
/// The bytes of chance in a key.
pub const KEY_BYTES: usize = 32;
/// The longest name of a key.
pub const NAME_MAX: usize = 32;

/// A key. It is shown once, by [`ApiKey::text`].
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey([u8; KEY_BYTES]);

/// What is kept of a key: its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

/// By which an operator knows a key: 1 to 32 small letters, digits, `.`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(String);

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is \"adit_\" and 64 hexadecimal digits")]
pub struct NoKey;

/// A text that is no name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a key has 1 to 32 characters: small letters, digits, \".\", \"_\" and \"-\"")]
pub struct NoKeyName;

impl ApiKey {
    /// The key of these bytes, which must come from the system's randomness.
    pub fn of_chance(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key as it is written. A secret.
    pub fn text(&self) -> String {
        let mut text = PREFIX.to_owned();
        for byte in self.0 {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(digit.into(), 16));
            }
        }
        text
    }

    /// What is kept of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash(sha256::Hash::hash(&self.0).to_byte_array())
    }
}

/// A key is a secret, also in a log.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

impl FromStr for ApiKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let digits = text.strip_prefix(PREFIX).ok_or(NoKey)?.as_bytes();
        if digits.len() != 2 * KEY_BYTES {
            return Err(NoKey);
        }
        let mut bytes = [0; KEY_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl KeyHash {
    /// The hash of these bytes, as they were kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl KeyName {
    /// The name as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = NoKeyName;

    fn from_str(text: &str) -> Result<Self, NoKeyName> {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        match text.len() {
            1..=NAME_MAX if text.bytes().all(is_plain) => Ok(Self(text.to_owned())),
            _ => Err(NoKeyName),
        }
    }
}

/// A small hexadecimal digit: a key has one spelling.
fn digit(character: u8) -> Result<u8, NoKey> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(NoKey),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_has_one_spelling_and_tells_nobody_what_it_is() {
        let key = ApiKey::of_chance([0xab; 32]);
        let text = key.text();
        assert_eq!(text, format!("adit_{}", "ab".repeat(32)));
        assert_eq!(text.parse(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "ApiKey(***)");
        for wrong in [
            "",
            "adit_",
            &text[5..],
            &text[..68],
            &format!("{text}0"),
            &format!(" {text}"),
            &text.to_uppercase(),
            &text.replace("ab", "aB"),
            &text.replace("ab", "+b"),
            &text.replace("abab", "ä"),
        ] {
            assert_eq!(wrong.parse::<ApiKey>(), Err(NoKey), "{wrong:?}");
        }
    }

    /// FIPS 180-4 gives the hash of 32 bytes of zero as this.
    #[test]
    fn what_is_kept_of_a_key_is_its_sha256() {
        let hash = ApiKey::of_chance([0; 32]).hash();
        assert_eq!(
            hex::encode(hash.as_bytes()),
            "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
        );
    }

    #[test]
    fn the_name_of_a_key_is_plain() {
        for good in ["a", "ops-2", "anna.phone_1", &"x".repeat(32)] {
            assert_eq!(good.parse::<KeyName>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "a b", "a\n", "ä", "<b>", "=1", &"x".repeat(33)] {
            assert_eq!(bad.parse::<KeyName>(), Err(NoKeyName), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_comes_back_as_it_was(bytes in any::<[u8; 32]>()) {
            let key = ApiKey::of_chance(bytes);
            prop_assert_eq!(key.text().parse::<ApiKey>(), Ok(key));
        }

        #[test]
        fn no_text_is_too_much(text in ".{0,100}") {
            let _ = text.parse::<ApiKey>();
            let _ = text.parse::<KeyName>();
        }
    }
}
