//! `mining.configure`: the extensions a miner asks for, and what it is granted ([BIP 310]).
//!
//! Params are `[[extension, …], {option: value, …}]`. An unknown extension is passed over and left
//! out of the answer. `version-rolling.min-bit-count` is never read: it decides nothing, and
//! Braiins OS has sent it malformed.
//!
//! [BIP 310]: https://github.com/bitcoin/bips/blob/master/bip-0310.mediawiki

use serde::Deserialize;
use serde_json::value::RawValue;

use super::difficulty::Difficulty;
use super::malformed::Fault;
use crate::hex;
use crate::json::{Elements, Json};

/// The extensions asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configure {
    /// The bits of the version the miner would roll; all of them if it names none.
    pub version_rolling: Option<u32>,
    /// What the miner would like at least; `Some(None)` for the zero that means any.
    pub minimum_difficulty: Option<Option<Difficulty>>,
    pub subscribe_extranonce: bool,
    pub info: bool,
}

/// The answer to each extension; `None` leaves it out, as is due when it was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// The bits the miner may roll. No bits are a refusal.
    pub version_rolling: Option<u32>,
    pub minimum_difficulty: Option<bool>,
    pub subscribe_extranonce: Option<bool>,
    pub info: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Options<'a> {
    #[serde(borrow, default, rename = "version-rolling.mask")]
    mask: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "minimum-difficulty.value")]
    minimum_difficulty: Option<&'a RawValue>,
}

impl Configure {
    pub(crate) fn read(params: &Elements<'_>) -> Result<Self, Fault> {
        let options = params.at(1).optional(Json::object::<Options<'_>>);
        let options = options.ok_or(Fault::Field("options"))?.unwrap_or_default();
        let mut asked = Self::default();
        let mut fault = None;
        let extensions = params.at(0).for_each(|extension| {
            match &*extension.string(usize::MAX)? {
                "version-rolling" => match mask(options.mask) {
                    Some(mask) => asked.version_rolling = Some(mask),
                    None => fault = Some("version-rolling.mask"),
                },
                "minimum-difficulty" => match minimum_difficulty(options.minimum_difficulty) {
                    Some(difficulty) => asked.minimum_difficulty = Some(difficulty),
                    None => fault = Some("minimum-difficulty.value"),
                },
                "subscribe-extranonce" => asked.subscribe_extranonce = true,
                "info" => asked.info = true,
                _ => {}
            }
            Some(())
        });
        match (extensions, fault) {
            (Some(()), None) => Ok(asked),
            (_, fault) => Err(Fault::Field(fault.unwrap_or("extensions"))),
        }
    }
}

fn mask(value: Option<&RawValue>) -> Option<u32> {
    let mask = Json::field(value).optional(|mask| hex::u32(&mask.string(8)?))?;
    Some(mask.unwrap_or(u32::MAX))
}

fn minimum_difficulty(value: Option<&RawValue>) -> Option<Option<Difficulty>> {
    let json = Json::field(value);
    if matches!(json.text(), "0" | "0.0") {
        Some(None)
    } else {
        Difficulty::read(json).map(Some)
    }
}
