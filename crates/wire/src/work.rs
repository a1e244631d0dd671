//! The HTTP work protocol: what a worker sends, checked. The fields are those of a table that older programs are
//! written for; `docs/http-work.md` has all of it.
//!
//! Numbers are whole and of their size, hashes are 64 hexadecimal digits, and a body that is anything else gives a
//! text that says what is wrong with it.

use serde::{Deserialize, de::IgnoredAny};

use crate::hex;

/// The longest body: a registration, with the longest address and names.
pub const BODY_MAX: usize = 4 << 10;
/// The longest name of a worker, in characters.
pub const ID_LEN_MAX: usize = 64;

/// `POST /pool/register`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Register {
    /// What the worker calls itself.
    pub worker_id: String,
    /// Whom to pay.
    pub wallet_address: String,
    /// What people call it; its `worker_id` if this is missing.
    #[serde(default)]
    pub worker_name: Option<String>,
    /// What the program calls itself.
    #[serde(default)]
    pub version: Option<String>,
    /// The token of an earlier registration.
    #[serde(default)]
    pub token: Option<String>,
}

/// The query of `GET /pool/job`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct AskJob {
    /// Who asks.
    #[serde(default)]
    pub worker_id: Option<String>,
    /// By which it is known, where no header says it.
    #[serde(default)]
    pub token: Option<String>,
    /// Wait so many seconds for other work than `have`.
    #[serde(default)]
    pub wait: Option<u64>,
    /// The job that the worker has; its last one if this is missing.
    #[serde(default)]
    pub have: Option<String>,
}

/// `POST /pool/share`
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SubmitShare {
    /// Who sends it.
    pub worker_id: String,
    /// Whom the worker has registered for.
    #[serde(default)]
    pub wallet_address: Option<String>,
    /// The job.
    pub job_id: String,
    /// The nonce.
    pub nonce: u64,
    /// The extra nonce, where the coinbase has one.
    #[serde(default)]
    pub extra_nonce: u32,
    /// What the hash is, says the worker; [`SubmitShare::hash`] reads it.
    pub hash: String,
    /// Hashes a second, as the worker measures them. A guess, and shown as one.
    #[serde(default)]
    pub hashrate: Option<f64>,
    /// The time in the header, in seconds since 1970, where it is one of 80 bytes.
    #[serde(default)]
    pub ntime: Option<u32>,
    /// What the hash is, says the worker, where `hash` is a commitment to it (`rx/2`).
    #[serde(default)]
    pub commitment: Option<String>,
    /// By which the worker is known, where no header says it.
    #[serde(default)]
    pub token: Option<String>,
}

/// The bytes of a hash in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written(pub [u8; 32]);

/// Why a body is none of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// It is no JSON, lacks a field, or has one of another type.
    #[error("body: {0}")]
    Json(String),
    /// It is a call of JSON-RPC.
    #[error("JSON-RPC is not spoken here")]
    JsonRpc,
    /// A name is empty, too long, or has controls.
    #[error("worker_id: 1 to {ID_LEN_MAX} characters, none of them a control")]
    WorkerId,
    /// A hash has other characters than digits, or half a byte.
    #[error("hash is not hex")]
    HashNotHex,
    /// A hash has more or fewer bytes.
    #[error("hash is not of 32 bytes")]
    HashLength,
}

#[derive(Deserialize)]
struct JsonRpc {
    #[serde(default, rename = "jsonrpc")]
    version: Option<IgnoredAny>,
}

impl Register {
    /// Reads a body.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBody> {
        let body: Self = json(bytes)?;
        check_id(&body.worker_id)?;
        Ok(body)
    }
}

impl SubmitShare {
    /// Reads a body. A call of JSON-RPC is told from one that is merely wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBody> {
        let body: Result<Self, BadBody> = json(bytes);
        if body.is_err() && json::<JsonRpc>(bytes).is_ok_and(|call| call.version.is_some()) {
            return Err(BadBody::JsonRpc);
        }
        let body = body?;
        check_id(&body.worker_id)?;
        Ok(body)
    }

    /// The hash.
    pub fn hash(&self) -> Result<Written, BadBody> {
        Written::parse(&self.hash)
    }

    /// The hash behind a commitment.
    pub fn commitment(&self) -> Result<Option<Written>, BadBody> {
        self.commitment.as_deref().map(Written::parse).transpose()
    }
}

impl Written {
    /// 64 hexadecimal digits, perhaps behind `0x`.
    pub fn parse(text: &str) -> Result<Self, BadBody> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = hex::vec(digits, BODY_MAX).ok_or(BadBody::HashNotHex)?;
        let bytes = bytes.try_into().map_err(|_| BadBody::HashLength)?;
        Ok(Self(bytes))
    }

    /// From the last byte to the first, as most hashes are kept.
    pub fn reversed(self) -> [u8; 32] {
        let mut bytes = self.0;
        bytes.reverse();
        bytes
    }
}

fn check_id(id: &str) -> Result<(), BadBody> {
    let length = id.chars().take(ID_LEN_MAX + 1).count();
    let is_name = (1..=ID_LEN_MAX).contains(&length) && !id.chars().any(char::is_control);
    is_name.then_some(()).ok_or(BadBody::WorkerId)
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BadBody> {
    serde_json::from_slice(bytes).map_err(|error| BadBody::Json(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGITS: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    #[test]
    fn a_hash_is_64_digits_perhaps_behind_0x() {
        let written = Written::parse(DIGITS).unwrap();
        assert_eq!(Written::parse(&format!("0x{DIGITS}")), Ok(written));
        assert_eq!(written.reversed()[..2], [0xff, 0xee]);
        for (text, refused) in [
            ("", BadBody::HashLength),
            ("00", BadBody::HashLength),
            (&DIGITS[1..], BadBody::HashNotHex),
            (&format!("{DIGITS}00"), BadBody::HashLength),
            (&format!("0x0x{DIGITS}"), BadBody::HashNotHex),
            (&format!("+0{}", &DIGITS[2..]), BadBody::HashNotHex),
        ] {
            assert_eq!(Written::parse(text), Err(refused), "{text}");
        }
    }

    #[test]
    fn names_are_short_and_without_controls() {
        let register = |id: &str| {
            let body = serde_json::json!({"worker_id": id, "wallet_address": "a"});
            Register::parse(body.to_string().as_bytes()).map(|body| body.worker_id)
        };
        for name in ["a", "rig 1", "<script>", "\u{e4}", &"x".repeat(64)] {
            assert_eq!(register(name).as_deref(), Ok(name));
        }
        for name in ["", "a\nb", "\u{7f}", "\u{9b}2J", &"x".repeat(65)] {
            assert_eq!(register(name), Err(BadBody::WorkerId), "{name:?}");
        }
    }

    #[test]
    fn numbers_are_whole_and_of_their_size() {
        let share = |nonce: &str, extra: &str| {
            let text = format!(
                r#"{{"worker_id":"a","job_id":"1-1","nonce":{nonce},"extra_nonce":{extra},"hash":""}}"#
            );
            SubmitShare::parse(text.as_bytes())
        };
        assert!(share("18446744073709551615", "4294967295").is_ok());
        for (nonce, extra) in [
            ("18446744073709551616", "0"),
            ("-1", "0"),
            ("1.5", "0"),
            ("\"1\"", "0"),
            ("0", "4294967296"),
        ] {
            let refused = share(nonce, extra);
            assert!(matches!(refused, Err(BadBody::Json(_))), "{nonce} {extra}");
        }
    }

    #[test]
    fn a_call_of_json_rpc_is_told_from_a_share() {
        let call = br#"{"jsonrpc":"2.0","method":"submit_share","params":{},"id":1}"#;
        assert_eq!(SubmitShare::parse(call), Err(BadBody::JsonRpc));
        assert!(matches!(SubmitShare::parse(b"{}"), Err(BadBody::Json(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (Register::parse(&bytes), SubmitShare::parse(&bytes));
        }

        #[test]
        fn what_is_written_is_read(bytes: [u8; 32]) {
            let mut digits = Vec::new();
            hex::push(&mut digits, &bytes);
            let digits = String::from_utf8(digits).unwrap();
            prop_assert_eq!(Written::parse(&digits), Ok(Written(bytes)));
        }
    }
}
