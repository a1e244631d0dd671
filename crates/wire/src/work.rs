//! The HTTP work protocol: what a worker sends, checked. The fields are those of a table that older programs are
//! written for; `docs/http-work.md` has all of it.
//!
//! Numbers are whole and of their size, hashes are 64 hexadecimal digits, no field comes twice, and a body that is
//! anything else gives a text that says what is wrong with it.
//!
//! Partners call the same paths by JSON-RPC. [`Spoken`] is the one place that tells them from workers.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

use crate::{
    envelope::present,
    hex,
    id::{Id, OwnedId},
    json::Json,
};

/// The longest body: a registration, with the longest address and names.
pub const BODY_MAX: usize = 4 << 10;
/// The longest name of a worker, in characters.
pub const ID_LEN_MAX: usize = 64;
/// The longest method of a call, in bytes.
const METHOD_MAX: usize = 100;

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
    #[serde(default, deserialize_with = "digits")]
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

/// What a body speaks that came where workers send shares, or where figures are asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Spoken {
    /// The protocol of workers, or something that is nothing at all.
    Work,
    /// JSON-RPC, because there is a `jsonrpc` in it, whatever else is.
    JsonRpc(Call),
}

/// A call of JSON-RPC.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    id: OwnedId,
    /// The method; nothing where it is no call of version 2.0.
    method: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

impl Spoken {
    /// Tells the two apart. An error is a body that is no object, or has a key twice that says which it is.
    pub fn of(bytes: &[u8]) -> Result<Self, BadBody> {
        let body: Envelope<'_> = json(bytes)?;
        let Some(version) = body.jsonrpc else {
            return Ok(Self::Work);
        };
        let id = body.id.map(RawValue::get).map(Json::new).map(Id::new);
        // An id of another type, or a long one, is none that could be echoed.
        let (id, is_id) = match id {
            None => (Id::NULL, true),
            Some(id) => (id.unwrap_or(Id::NULL), id.is_some()),
        };
        let is_call = is_id && Json::new(version.get()).string(3).as_deref() == Some("2.0");
        let method = Json::field(body.method).string(METHOD_MAX);
        Ok(Self::JsonRpc(Call {
            id: id.to_owned(),
            method: method.filter(|_| is_call).map(Cow::into_owned),
        }))
    }
}

impl Call {
    /// Its method; nothing where it is no call of version 2.0.
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// The answer that there is no such method, or that it is no call, as JSON text. The id is echoed as it came.
    pub fn refused(&self) -> String {
        let (code, message) = match self.method {
            Some(_) => (-32601, "Method not found"),
            None => (-32600, "Invalid Request"),
        };
        let id = self.id.as_id();
        format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"{message}"}},"id":{id}}}"#)
    }
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
    /// Reads a body.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBody> {
        let body: Self = json(bytes)?;
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

/// Digits and nothing else: no sign, no space.
fn digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    let number = Json::new(&text).integer();
    number
        .map(Some)
        .ok_or_else(|| D::Error::custom("not a number of digits"))
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BadBody> {
    // A derived struct would take an array, too.
    let first = bytes.iter().find(|byte| !b" \t\r\n".contains(byte));
    if first != Some(&b'{') {
        return Err(BadBody::Json("no object of JSON".to_owned()));
    }
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
    fn bodies_that_two_readers_might_read_differently_are_refused() {
        let share = |fields: &str| {
            let text = format!(r#"{{"worker_id":"a","job_id":"1-1","hash":"",{fields}}}"#);
            SubmitShare::parse(text.as_bytes())
        };
        assert!(share(r#""nonce":1"#).is_ok());
        for fields in [
            r#""nonce":+1"#,
            r#""nonce":01"#,
            r#""nonce":1.0"#,
            r#""nonce":1e2"#,
            r#""nonce":nan"#,
            r#""nonce":NaN"#,
            r#""nonce":Infinity"#,
            r#""nonce":0x10"#,
            r#""nonce":[1]"#,
            r#""nonce":null"#,
            r#""nonce":99999999999999999999999999999999999999"#,
            r#""nonce":1,"nonce":1"#,
            r#""nonce":1,"\u006eonce":2"#,
            r#""nonce":1,"worker_id":"b""#,
            r#""nonce":1,"extra_nonce":4294967295.5"#,
            r#""nonce":1,"ntime":-0.5"#,
            r#""nonce":1,"ntime":4294967296"#,
            r#""nonce":1,"hashrate":1e999"#,
            r#""nonce":1,"hashrate":-1e999"#,
            r#""nonce":1,"hashrate":NaN"#,
            r#""nonce":1,"hashrate":"12""#,
            r#""nonce":1}{"a":1"#,
            r#""nonce":1,"#,
        ] {
            assert!(matches!(share(fields), Err(BadBody::Json(_))), "{fields}");
        }
        // A rate is a guess, whatever its size; what is negative is left out where it is shown.
        for (fields, rate) in [
            (r#""nonce":1,"hashrate":12.5"#, 12.5),
            (r#""nonce":1,"hashrate":1e300"#, 1e300),
            (r#""nonce":1,"hashrate":-1"#, -1.0),
        ] {
            assert_eq!(share(fields).unwrap().hashrate, Some(rate), "{fields}");
        }
        // Fields that nobody knows are passed over, as older programs send some.
        assert!(share(r#""nonce":1,"rig":"a","rig":"b""#).is_ok());
        // An array in the order of the fields is none of the protocol.
        for text in [
            r#"["a","b"]"#,
            r#"[{"worker_id":"a","wallet_address":"b"}]"#,
            "",
            "null",
        ] {
            let refused = Register::parse(text.as_bytes());
            assert!(matches!(refused, Err(BadBody::Json(_))), "{text}");
        }
    }

    #[test]
    fn seconds_to_wait_are_digits() {
        let wait = |text: &str| {
            let asked = serde_json::json!({ "wait": text });
            AskJob::deserialize(asked).ok().and_then(|asked| asked.wait)
        };
        assert_eq!(wait("25"), Some(25));
        assert_eq!(
            AskJob::deserialize(serde_json::json!({})).unwrap().wait,
            None
        );
        for text in [
            "",
            "+5",
            "-5",
            " 5",
            "5.0",
            "5s",
            "0x5",
            "18446744073709551616",
        ] {
            assert_eq!(wait(text), None, "{text:?}");
        }
    }

    fn call(text: &str) -> Call {
        match Spoken::of(text.as_bytes()) {
            Ok(Spoken::JsonRpc(call)) => call,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_body_with_jsonrpc_is_a_call_whatever_else_is_in_it() {
        for text in [
            r#"{"jsonrpc":"2.0","method":"submit_share","params":{},"id":1}"#,
            r#"{"\u006asonrpc":"2.0","method":"submit_share","id":1}"#,
            r#"{"worker_id":"a","job_id":"1-1","nonce":1,"hash":"","jsonrpc":"2.0","method":"a"}"#,
            " \n{\"jsonrpc\":\"2.0\",\"method\":\"a\"}",
        ] {
            assert!(call(text).method().is_some(), "{text}");
        }
        for text in [
            "{}",
            r#"{"worker_id":"a","job_id":"1-1","nonce":1,"hash":""}"#,
            r#"{"params":{"jsonrpc":"2.0"}}"#,
            r#"{"method":"jsonrpc","id":{}}"#,
        ] {
            assert_eq!(Spoken::of(text.as_bytes()), Ok(Spoken::Work), "{text}");
        }
        for text in [
            "",
            "jsonrpc",
            r#"[{"jsonrpc":"2.0","method":"a","id":1}]"#,
            r#"{"jsonrpc":"2.0","jsonrpc":"2.0"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2}"#,
        ] {
            let refused = Spoken::of(text.as_bytes());
            assert!(matches!(refused, Err(BadBody::Json(_))), "{text}");
        }
    }

    #[test]
    fn a_call_is_answered_by_an_error_with_its_id() {
        #[track_caller]
        fn case(text: &str, code: i32, id: &str) {
            let refused = call(text).refused();
            let told: serde_json::Value = serde_json::from_str(&refused).unwrap();
            assert_eq!(told["jsonrpc"], "2.0");
            assert_eq!(told["error"]["code"], code, "{refused}");
            assert!(told["error"]["message"].is_string() && told.get("result").is_none());
            assert!(refused.ends_with(&format!(r#""id":{id}}}"#)), "{refused}");
        }
        case(r#"{"jsonrpc":"2.0","method":"x","id":7}"#, -32601, "7");
        case(
            r#"{"jsonrpc":"2.0","method":"x","id":"a\"b"}"#,
            -32601,
            r#""a\"b""#,
        );
        case(
            r#"{"jsonrpc":"2.0","method":"x","id":null}"#,
            -32601,
            "null",
        );
        case(r#"{"jsonrpc":"2.0","method":"x"}"#, -32601, "null");
        // No call of this version.
        case(r#"{"jsonrpc":"1.0","method":"x","id":7}"#, -32600, "7");
        case(r#"{"jsonrpc":2.0,"method":"x","id":7}"#, -32600, "7");
        case(r#"{"jsonrpc":"2.0","method":1,"id":7}"#, -32600, "7");
        case(r#"{"jsonrpc":"2.0","id":7}"#, -32600, "7");
        case(r#"{"jsonrpc":null,"method":"x","id":7}"#, -32600, "7");
        case(r#"{"jsonrpc":"2.0","method":"x","id":{}}"#, -32600, "null");
        case(r#"{"jsonrpc":"2.0","method":"x","id":[7]}"#, -32600, "null");
        let long = "x".repeat(300);
        case(
            &format!(r#"{{"jsonrpc":"2.0","method":"x","id":"{long}"}}"#),
            -32600,
            "null",
        );
        case(
            &format!(r#"{{"jsonrpc":"2.0","method":"{long}","id":1}}"#),
            -32600,
            "1",
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (Register::parse(&bytes), SubmitShare::parse(&bytes), Spoken::of(&bytes));
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
