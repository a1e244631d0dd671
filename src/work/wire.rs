//! The bodies of the protocol, checked.

use pow::Hash;
use serde::{Deserialize, Serialize};

use super::refused::Refused;

/// The longest name of a worker, and of a job.
const ID_LEN_MAX: usize = 64;
/// The longest body: a registration, with Monero's longest address.
pub(super) const BODY_MAX: usize = 4 << 10;

/// `POST /pool/register`
#[derive(Debug, Deserialize)]
pub(super) struct Register {
    pub(super) worker_id: String,
    pub(super) wallet_address: String,
    #[serde(default)]
    pub(super) worker_name: Option<String>,
    /// What the program calls itself.
    #[serde(default)]
    pub(super) version: Option<String>,
    /// The token of an earlier registration.
    #[serde(default)]
    pub(super) token: Option<String>,
}

/// The answer.
#[derive(Serialize)]
pub(super) struct Registered {
    pub(super) ok: bool,
    pub(super) message: String,
    pub(super) pool_fee_bps: u64,
    pub(super) foundation_fee_bps: u64,
    /// What the worker shows from now on.
    pub(super) token: String,
    pub(super) algorithm: &'static str,
    pub(super) coin: &'static str,
    pub(super) extra_nonce_start: u32,
    pub(super) extra_nonce_end: u32,
}

/// The query of `GET /pool/job`.
#[derive(Debug, Deserialize)]
pub(super) struct AskJob {
    #[serde(default)]
    pub(super) worker_id: Option<String>,
    #[serde(default)]
    pub(super) token: Option<String>,
    /// Wait so many seconds for other work than `have`.
    #[serde(default)]
    pub(super) wait: Option<u64>,
    /// The job that the worker has; its last one if this is missing.
    #[serde(default)]
    pub(super) have: Option<String>,
}

/// `POST /pool/share`
#[derive(Debug, Deserialize)]
pub(super) struct SubmitShare {
    pub(super) worker_id: String,
    #[serde(default)]
    pub(super) wallet_address: Option<String>,
    pub(super) job_id: String,
    pub(super) nonce: u64,
    #[serde(default)]
    pub(super) extra_nonce: u32,
    pub(super) hash: String,
    /// Hashes a second, as the worker measures them. A guess, and shown as one.
    #[serde(default)]
    pub(super) hashrate: Option<f64>,
    /// The time in the header, where the coin's is one of 80 bytes.
    #[serde(default)]
    pub(super) ntime: Option<u32>,
    #[serde(default)]
    pub(super) token: Option<String>,
}

/// The answer.
#[derive(Serialize)]
pub(super) struct Accepted {
    pub(super) ok: bool,
    pub(super) message: &'static str,
    pub(super) is_block: bool,
    pub(super) total_shares: u64,
    /// Nobody knows before the block is there.
    pub(super) estimated_payout: Option<u64>,
}

/// The bytes of a hash as the worker wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written(pub(super) [u8; 32]);

/// What a worker says of a share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) nonce: u64,
    pub(super) extra_nonce: u32,
    pub(super) hash: Written,
    pub(super) ntime: Option<u32>,
}

impl Written {
    /// 64 hexadecimal digits, perhaps behind `0x`.
    pub(super) fn parse(text: &str) -> Result<Self, Refused> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = hex::decode(digits).map_err(|_| Refused::HashNotHex)?;
        let bytes = bytes.try_into().map_err(|_| Refused::HashLength)?;
        Ok(Self(bytes))
    }

    /// The hash that is printed like this: most of them are, from their last byte to the first.
    pub(super) fn as_printed(self) -> Hash {
        let mut bytes = self.0;
        bytes.reverse();
        Hash(bytes)
    }
}

impl SubmitShare {
    pub(super) fn sent(&self) -> Result<Sent, Refused> {
        Ok(Sent {
            nonce: self.nonce,
            extra_nonce: self.extra_nonce,
            hash: Written::parse(&self.hash)?,
            ntime: self.ntime,
        })
    }
}

/// A worker's name as it may be.
pub(super) fn worker_id(text: &str) -> Result<&str, Refused> {
    let length = text.chars().count();
    let is_name = (1..=ID_LEN_MAX).contains(&length) && !text.chars().any(char::is_control);
    is_name.then_some(text).ok_or(Refused::WorkerId)
}

/// Reads a body. What is wrong with it is told.
pub(super) fn body<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refused> {
    serde_json::from_slice(bytes).map_err(|error| Refused::Body(format!("body: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_digits_perhaps_behind_0x() {
        let digits = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        let written = Written::parse(digits).unwrap();
        assert_eq!(Written::parse(&format!("0x{digits}")), Ok(written));
        assert_eq!(written.as_printed().to_string(), digits.to_lowercase());
        for (text, refused) in [
            ("", Refused::HashLength),
            ("00", Refused::HashLength),
            (&digits[1..], Refused::HashNotHex),
            (&format!("{digits}00"), Refused::HashLength),
            (&format!("0x0x{digits}"), Refused::HashNotHex),
            (&format!("+{}", &digits[1..]), Refused::HashNotHex),
        ] {
            assert_eq!(Written::parse(text), Err(refused), "{text}");
        }
    }

    #[test]
    fn names_are_short_and_without_controls() {
        for name in ["a", "rig 1", "<script>", &"x".repeat(64)] {
            assert_eq!(worker_id(name), Ok(name));
        }
        for name in ["", "a\nb", "\u{7f}", &"x".repeat(65)] {
            assert_eq!(worker_id(name), Err(Refused::WorkerId), "{name:?}");
        }
    }

    #[test]
    fn numbers_are_whole_and_of_their_size() {
        let share = |nonce: &str, extra: &str| {
            let text = format!(
                r#"{{"worker_id":"a","job_id":"1-1","nonce":{nonce},"extra_nonce":{extra},"hash":""}}"#
            );
            body::<SubmitShare>(text.as_bytes()).is_ok()
        };
        assert!(share("18446744073709551615", "4294967295"));
        for (nonce, extra) in [
            ("18446744073709551616", "0"),
            ("-1", "0"),
            ("1.5", "0"),
            ("\"1\"", "0"),
            ("0", "4294967296"),
        ] {
            assert!(!share(nonce, extra), "{nonce} {extra}");
        }
    }
}
