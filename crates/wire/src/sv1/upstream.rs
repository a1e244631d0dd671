//! What a pool says to a miner or to a proxy: one line, one [`ServerMessage`].
//!
//! Called by the miner's and the proxy's connection for every line. Read with the tolerance that
//! real pools need and with bounds on every size, for an upstream may be hostile, too. After a
//! [`Fault`] in a job or a difficulty the miner would work in vain: leave that upstream. Texts are
//! raw and may hold escape sequences.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::difficulty::Difficulty;
use super::malformed::Fault;
use super::notify::Notify;
use crate::envelope::Envelope;
use crate::hex;
use crate::id::Id;
use crate::json::{Elements, Json};

/// What an upstream orders, asks or answers.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage<'a> {
    Notify(Notify),
    /// Holds from the next job on.
    SetDifficulty(Difficulty),
    /// Holds from the next job on.
    SetExtranonce(Subscribed),
    SetVersionMask(u32),
    ShowMessage(Cow<'a, str>),
    /// Nothing named: come back to the same host. `wait` is in seconds.
    Reconnect {
        host: Option<Cow<'a, str>>,
        port: Option<u16>,
        wait: u32,
    },
    Ping {
        id: Id<'a>,
    },
    GetVersion {
        id: Id<'a>,
    },
    Response(Response<'a>),
    /// A method we do not know, by its name.
    Unknown {
        id: Id<'a>,
        method: Cow<'a, str>,
    },
}

/// The answer to a request of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// Ours are numbers; `None` answers nothing we asked.
    pub id: Option<u64>,
    /// JSON text; `null` with most errors.
    pub result: &'a str,
    pub error: Option<Refusal<'a>>,
}

/// Why a pool refused, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// Zero if it gave none that fits.
    pub code: i32,
    pub text: Cow<'a, str>,
}

/// The extranonce a pool has given us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    pub extranonce1: Vec<u8>,
    pub extranonce2_size: usize,
}

/// The longest extranonce1 that is read, in bytes.
const MAX_EXTRANONCE1: usize = 32;
/// One byte would be used up in a second; a coinbase's script has no room for more than sixteen
/// besides what else stands there.
const EXTRANONCE2_SIZES: std::ops::RangeInclusive<usize> = 2..=16;
/// The longest text that is read, in bytes.
const MAX_TEXT: usize = 1024;

impl<'a> ServerMessage<'a> {
    /// Reads a line without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(line).map_err(|_| Fault::Json)?;
        let envelope = Envelope::parse(text).ok_or(Fault::Json)?;
        if envelope.is_response() {
            return Ok(Self::Response(Response::read(&envelope)));
        }
        let id = || Id::new(envelope.id()).ok_or(Fault::Id);
        let params = || envelope.params().elements().ok_or(Fault::Params);
        let method = envelope.method().string(MAX_TEXT).ok_or(Fault::Method)?;
        Ok(match &*method {
            "mining.notify" => Self::Notify(Notify::read(&params()?)?),
            "mining.set_difficulty" => Self::SetDifficulty(
                Difficulty::read(params()?.at(0)).ok_or(Fault::Field("difficulty"))?,
            ),
            "mining.set_extranonce" => {
                let params = params()?;
                Self::SetExtranonce(Subscribed::read(params.at(0), params.at(1))?)
            }
            "mining.set_version_mask" => {
                Self::SetVersionMask(mask(params()?.at(0)).ok_or(Fault::Field("mask"))?)
            }
            "client.show_message" => Self::ShowMessage(
                params()?
                    .at(0)
                    .string(MAX_TEXT)
                    .ok_or(Fault::Field("message"))?,
            ),
            "client.reconnect" if envelope.params().is_null() => Self::Reconnect {
                host: None,
                port: None,
                wait: 0,
            },
            "client.reconnect" => reconnect(&params()?)?,
            "mining.ping" => Self::Ping { id: id()? },
            "client.get_version" => Self::GetVersion { id: id()? },
            _ => Self::Unknown { id: id()?, method },
        })
    }
}

impl<'a> Response<'a> {
    fn read(envelope: &Envelope<'a>) -> Self {
        Self {
            id: envelope.id().integer(),
            result: envelope.result().text(),
            error: Refusal::read(envelope.error()),
        }
    }

    /// The result is `true`, as of an accepted share.
    pub fn accepted(&self) -> bool {
        self.error.is_none() && self.result == "true"
    }

    /// The result of `mining.subscribe`.
    pub fn subscribed(&self) -> Result<Subscribed, Fault> {
        let result = Json::new(self.result)
            .elements()
            .ok_or(Fault::Field("result"))?;
        Subscribed::read(result.at(1), result.at(2))
    }

    /// The result of `mining.configure`: the bits that may be rolled, or none.
    pub fn version_mask(&self) -> Result<u32, Fault> {
        #[derive(Deserialize)]
        struct Granted<'a> {
            #[serde(borrow, default, rename = "version-rolling")]
            rolling: Option<&'a RawValue>,
            #[serde(borrow, default, rename = "version-rolling.mask")]
            mask: Option<&'a RawValue>,
        }

        let granted: Option<Granted<'_>> = Json::new(self.result).object();
        let granted = granted.ok_or(Fault::Field("result"))?;
        if Json::field(granted.rolling).boolean() != Some(true) {
            return Ok(0);
        }
        let mask = Json::field(granted.mask).optional(mask);
        Ok(mask
            .ok_or(Fault::Field("version-rolling.mask"))?
            .unwrap_or(0))
    }
}

impl<'a> Refusal<'a> {
    /// As `[code, "text", ...]`, `{"code": …, "message": …}` or a mere text.
    fn read(error: Json<'a>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Object<'a> {
            #[serde(borrow, default)]
            code: Option<&'a RawValue>,
            #[serde(borrow, default)]
            message: Option<&'a RawValue>,
        }

        let text = |json: Json<'a>| json.string(MAX_TEXT).unwrap_or_default();
        let code = |json: Json<'_>| json.text().parse().unwrap_or_default();
        if error.is_null() {
            None
        } else if let Some(elements) = error.elements() {
            let refusal = Self {
                code: code(elements.at(0)),
                text: text(elements.at(1)),
            };
            (elements.len() > 0).then_some(refusal)
        } else if let Some(object) = error.object::<Object<'a>>() {
            Some(Self {
                code: code(Json::field(object.code)),
                text: text(Json::field(object.message)),
            })
        } else {
            Some(Self {
                code: 0,
                text: text(error),
            })
        }
    }
}

impl Subscribed {
    fn read(extranonce1: Json<'_>, size: Json<'_>) -> Result<Self, Fault> {
        let extranonce1 = extranonce1.string(2 * MAX_EXTRANONCE1);
        let extranonce1 = extranonce1.and_then(|digits| hex::vec(&digits, MAX_EXTRANONCE1));
        let size = size.integer().and_then(|size| usize::try_from(size).ok());
        Ok(Self {
            extranonce1: extranonce1.ok_or(Fault::Field("extranonce1"))?,
            extranonce2_size: size
                .filter(|size| EXTRANONCE2_SIZES.contains(size))
                .ok_or(Fault::Field("extranonce2 size"))?,
        })
    }
}

fn mask(json: Json<'_>) -> Option<u32> {
    hex::u32(&json.string(8)?)
}

fn reconnect<'a>(params: &Elements<'a>) -> Result<ServerMessage<'a>, Fault> {
    let host = params
        .at(0)
        .optional(|json| json.string(253))
        .ok_or(Fault::Field("host"))?;
    let port = params.at(1).optional(number).ok_or(Fault::Field("port"))?;
    let port = port
        .map(u16::try_from)
        .transpose()
        .map_err(|_| Fault::Field("port"))?;
    let wait = params.at(2).optional(number).ok_or(Fault::Field("wait"))?;
    Ok(ServerMessage::Reconnect {
        host: host.filter(|host| !host.is_empty()),
        port: port.filter(|port| *port != 0),
        wait: u32::try_from(wait.unwrap_or(0)).map_err(|_| Fault::Field("wait"))?,
    })
}

/// An integer, by some pools written as a string.
fn number(json: Json<'_>) -> Option<u64> {
    let string = json.string(20);
    Json::new(string.as_deref().unwrap_or(json.text())).integer()
}
