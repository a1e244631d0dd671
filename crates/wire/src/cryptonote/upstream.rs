//! What a pool says to a miner or to a proxy: one line, one [`ServerMessage`].
//!
//! Called by the miner's connection for every line. Read with the tolerance that real pools need and
//! with bounds on every size, for an upstream may be hostile, too. After a [`Fault`] in a job the miner
//! would work in vain: leave that upstream. Texts are raw and may hold escape sequences.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::job::Extensions;
use super::malformed::Fault;
use super::notice::Notice;
use super::reason;
use super::request::MAX_SESSION;
use crate::envelope::Envelope;
use crate::json::Json;

/// The longest text that is read, in bytes.
const MAX_TEXT: usize = 1024;
/// The longest name of a host, in bytes.
const MAX_HOST: usize = 253;

/// What an upstream orders or answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage<'a> {
    Job(Notice),
    /// Hang up and go there.
    Reconnect {
        host: Cow<'a, str>,
        port: u16,
    },
    Response(Response<'a>),
    /// A method we do not know, by its name.
    Unknown(Cow<'a, str>),
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

/// What comes of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// To be named with every request.
    pub session: String,
    pub job: Notice,
    pub extensions: Extensions,
}

/// Whether a line is a refusal as only this dialect has it: JSON-RPC 2.0 with an error that is an object.
/// So a miner that began in Bitcoin's dialect learns which one the pool speaks.
pub fn refuses(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, default)]
        jsonrpc: Option<&'a RawValue>,
        #[serde(borrow, default)]
        error: Option<&'a RawValue>,
    }

    let read = |line| {
        let fields: Fields<'_> = Json::new(line).object()?;
        let version = Json::field(fields.jsonrpc).string(MAX_TEXT)?;
        let is_object = Json::field(fields.error).text().starts_with('{');
        Some(version == "2.0" && is_object)
    };
    let line = std::str::from_utf8(line).ok();
    line.and_then(read).unwrap_or(false)
}

impl<'a> ServerMessage<'a> {
    /// Reads a line without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(line).map_err(|_| Fault::Json)?;
        let envelope = Envelope::parse(text).ok_or(Fault::Json)?;
        // Some pools write a null method beside the answer, others leave it out.
        if envelope.is_response() {
            return Ok(Self::Response(Response::read(&envelope)));
        }
        let method = envelope.method().string(MAX_TEXT).ok_or(Fault::Method)?;
        Ok(match &*method {
            "job" => Self::Job(Notice::read(envelope.params())?),
            "client.reconnect" => reconnect(envelope.params())?,
            _ => Self::Unknown(method),
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

    /// As of an accepted share or a sign of life: a status that is no error, or a mere `true`.
    pub fn accepted(&self) -> bool {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow, default)]
            status: Option<&'a RawValue>,
        }

        let result = Json::new(self.result);
        let status = || {
            let fields: Fields<'a> = result.object()?;
            Json::field(fields.status).string(MAX_TEXT)
        };
        let is_good = result.boolean() == Some(true)
            || status().is_some_and(|status| matches!(&*status, "OK" | "KEEPALIVED"));
        self.error.is_none() && is_good
    }

    /// The result of `login`.
    pub fn logged_in(&self) -> Result<LoggedIn, Fault> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow, default)]
            id: Option<&'a RawValue>,
            #[serde(borrow, default)]
            job: Option<&'a RawValue>,
            #[serde(borrow, default)]
            extensions: Option<&'a RawValue>,
        }

        let fields: Option<Fields<'a>> = Json::new(self.result).object();
        let fields = fields.ok_or(Fault::Field("result"))?;
        let session = Json::field(fields.id).string(MAX_SESSION);
        let mut extensions = Extensions::default();
        let named = Json::field(fields.extensions).optional(|names| {
            names.for_each(|name| {
                extensions = extensions.with(&name.string(MAX_TEXT)?);
                Some(())
            })
        });
        named.ok_or(Fault::Field("extensions"))?;
        Ok(LoggedIn {
            session: session.ok_or(Fault::Field("id"))?.into_owned(),
            job: Notice::read(Json::field(fields.job))?,
            extensions,
        })
    }

    /// The result of `getjob`; nothing if the newest job is the one we have.
    pub fn job(&self) -> Result<Option<Notice>, Fault> {
        let result = Json::new(self.result);
        if result.is_null() {
            return Ok(None);
        }
        Notice::read(result).map(Some)
    }
}

impl<'a> Refusal<'a> {
    /// Whether the connection is of no more use: log in anew.
    pub fn ends_connection(&self) -> bool {
        reason::ends_connection(&self.text)
    }

    /// As `{"code": …, "message": …}`, or a mere text.
    fn read(error: Json<'a>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow, default)]
            code: Option<&'a RawValue>,
            #[serde(borrow, default)]
            message: Option<&'a RawValue>,
        }

        if error.is_null() {
            return None;
        }
        let fields: Option<Fields<'a>> = error.object();
        let (code, text) = fields.map_or((Json::NULL, error), |fields| {
            (Json::field(fields.code), Json::field(fields.message))
        });
        Some(Self {
            code: code.text().parse().unwrap_or_default(),
            text: text.string(MAX_TEXT).unwrap_or_default(),
        })
    }
}

/// A host and a port, both of them strings; a port that is a number is read, too.
fn reconnect(params: Json<'_>) -> Result<ServerMessage<'_>, Fault> {
    let params = params.elements().ok_or(Fault::Field("params"))?;
    let host = params.at(0).string(MAX_HOST);
    let text = params.at(1).string(5);
    let port = Json::new(text.as_deref().unwrap_or(params.at(1).text())).integer();
    let port = port.and_then(|port| u16::try_from(port).ok());
    Ok(ServerMessage::Reconnect {
        host: host
            .filter(|host| !host.is_empty())
            .ok_or(Fault::Field("host"))?,
        port: port.filter(|port| *port != 0).ok_or(Fault::Field("port"))?,
    })
}
