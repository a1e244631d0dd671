//! `login`: who wants to mine, with what, and how to be told apart.
//!
//! The texts are raw: anything may be in them, also line ends and escape sequences, until the pool's
//! rules have made an account of them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::malformed::{Fault, params};
use crate::json::Json;

/// The longest login that is read, in bytes: two addresses, a worker's name and a difficulty fit.
pub const MAX_LOGIN: usize = 512;
/// The longest password that is read, in bytes.
pub const MAX_PASSWORD: usize = 255;
/// The longest user agent that is read, in bytes.
pub const MAX_AGENT: usize = 255;
/// The longest name of a rig that is read, in bytes.
pub const MAX_RIG: usize = 255;
/// The longest name of an algorithm that is read, in bytes.
pub(super) const MAX_ALGORITHM: usize = 32;
/// The most algorithms that are read; XMRig names about forty.
const MAX_ALGORITHMS: usize = 128;

/// The fields of a login. An empty text is one that was not given.
#[derive(Clone, Debug, PartialEq)]
pub struct Login<'a> {
    /// `address[.worker][+difficulty]`.
    pub login: Cow<'a, str>,
    pub password: Option<Cow<'a, str>>,
    pub agent: Option<Cow<'a, str>>,
    /// The rig's name, which is heeded before the password.
    pub rig: Option<Cow<'a, str>>,
    /// The algorithms that the miner knows, in its order; none if it names none.
    pub algorithms: Vec<Cow<'a, str>>,
    /// How fast it is with each, where it says so.
    pub speeds: Vec<AlgorithmSpeed<'a>>,
    /// The seconds that the miner would stay with an algorithm.
    pub min_time: Option<u64>,
    /// `self-select`, or another word.
    pub mode: Option<Cow<'a, str>>,
}

/// What a miner says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlgorithmSpeed<'a> {
    pub algorithm: Cow<'a, str>,
    /// Rounded down.
    pub hashes_per_second: u64,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    login: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pass: Option<&'a RawValue>,
    #[serde(borrow, default)]
    agent: Option<&'a RawValue>,
    #[serde(borrow, default)]
    rigid: Option<&'a RawValue>,
    #[serde(borrow, default)]
    algo: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "algo-perf")]
    speeds: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "algo-min-time")]
    min_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    mode: Option<&'a RawValue>,
}

impl<'a> Login<'a> {
    pub(super) fn read(json: Json<'a>) -> Result<Self, Fault> {
        let fields: Fields<'a> = params(json)?;
        let text = |value, limit, name| {
            let text = Json::field(value).optional(|json| json.string(limit));
            let text = text.ok_or(Fault::Field(name))?;
            Ok(text.filter(|text| !text.is_empty()))
        };
        let login = text(fields.login, MAX_LOGIN, "login")?.ok_or(Fault::Field("login"))?;
        let min_time = Json::field(fields.min_time).optional(whole);
        Ok(Self {
            login,
            password: text(fields.pass, MAX_PASSWORD, "pass")?,
            agent: text(fields.agent, MAX_AGENT, "agent")?,
            rig: text(fields.rigid, MAX_RIG, "rigid")?,
            algorithms: algorithms(Json::field(fields.algo)).ok_or(Fault::Field("algo"))?,
            speeds: speeds(Json::field(fields.speeds)).ok_or(Fault::Field("algo-perf"))?,
            min_time: min_time.ok_or(Fault::Field("algo-min-time"))?,
            mode: text(fields.mode, MAX_ALGORITHM, "mode")?,
        })
    }
}

/// A list of names, or one name alone.
fn algorithms(json: Json<'_>) -> Option<Vec<Cow<'_, str>>> {
    if json.is_null() {
        return Some(Vec::new());
    }
    if let Some(name) = json.string(MAX_ALGORITHM) {
        return Some(vec![name]);
    }
    let mut names = Vec::new();
    json.for_each(|element| {
        names.push(element.string(MAX_ALGORITHM)?);
        (names.len() <= MAX_ALGORITHMS).then_some(())
    })?;
    Some(names)
}

fn speeds(json: Json<'_>) -> Option<Vec<AlgorithmSpeed<'_>>> {
    if json.is_null() {
        return Some(Vec::new());
    }
    let pairs: Pairs<'_> = json.object()?;
    let mut speeds = Vec::new();
    for (name, value) in pairs.0 {
        speeds.push(AlgorithmSpeed {
            algorithm: name,
            hashes_per_second: whole(Json::field(Some(value)))?,
        });
    }
    Some(speeds)
}

/// A number that is not negative, rounded down to a whole one; what is past 64 bits is the largest.
fn whole(json: Json<'_>) -> Option<u64> {
    let is_number = json.text().starts_with(|c: char| c.is_ascii_digit());
    let number: f64 = json.text().parse().ok().filter(|_| is_number)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it has no sign; the cast rounds down and saturates"
    )]
    number.is_finite().then_some(number as u64)
}

/// The keys and values of an object, in its order and bounded.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> serde::de::Visitor<'de> for Object {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
                    let key = Json::field(Some(key)).string(MAX_ALGORITHM);
                    let key = key.filter(|_| pairs.len() < MAX_ALGORITHMS);
                    let key = key.ok_or(serde::de::Error::custom("a key too long or too many"))?;
                    pairs.push((key, value));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
