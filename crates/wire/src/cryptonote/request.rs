//! What a miner says to a pool: one line, one [`Request`].
//!
//! Called by the pool's connection for every line. Everything is borrowed from the line except
//! strings with escapes. An error is a [`Malformed`] with the id to answer with.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::block_template::BlockTemplate;
use super::login::Login;
use super::malformed::{Fault, Malformed, params};
use super::submit::Submit;
use crate::envelope::Envelope;
use crate::id::Id;
use crate::json::Json;

/// The longest name of a session that is read, in bytes.
pub const MAX_SESSION: usize = 64;

/// What is asked, and the id to answer with.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub id: Id<'a>,
    pub message: ClientMessage<'a>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage<'a> {
    Login(Login<'a>),
    Submit(Submit<'a>),
    /// A block of the miner's own node.
    BlockTemplate(BlockTemplate<'a>),
    /// A sign of life; an answer is due, no more.
    KeepAlive {
        session: Option<Cow<'a, str>>,
    },
    /// For a job, unless the miner has the newest.
    GetJob {
        session: Option<Cow<'a, str>>,
    },
    /// The answer to a request of ours, of which there are none: nothing to do.
    Response,
    /// A method we do not know, by its name.
    Unknown(Cow<'a, str>),
}

/// The methods we know, for what is said about a line that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Login,
    Submit,
    BlockTemplate,
    KeepAlive,
    GetJob,
}

impl Method {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "login" => Self::Login,
            "submit" => Self::Submit,
            "block_template" => Self::BlockTemplate,
            "keepalived" | "keepalive" => Self::KeepAlive,
            "getjob" => Self::GetJob,
            _ => return None,
        })
    }
}

impl<'a> Request<'a> {
    /// Reads a line without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, Malformed<'a>> {
        let malformed = |id, method, fault| Malformed { id, method, fault };
        let early = |fault| malformed(Id::NULL, None, fault);
        let text = std::str::from_utf8(line).map_err(|_| early(Fault::Json))?;
        let envelope = Envelope::parse(text).ok_or(early(Fault::Json))?;
        let id = Id::new(envelope.id()).ok_or(early(Fault::Id))?;
        if envelope.is_response() {
            return Ok(Self {
                id,
                message: ClientMessage::Response,
            });
        }
        let name = envelope.method().string(usize::MAX);
        let name = name.ok_or(malformed(id, None, Fault::Method))?;
        let Some(method) = Method::parse(&name) else {
            return Ok(Self {
                id,
                message: ClientMessage::Unknown(name),
            });
        };
        match ClientMessage::read(method, envelope.params()) {
            Ok(message) => Ok(Self { id, message }),
            Err(fault) => Err(malformed(id, Some(method), fault)),
        }
    }
}

impl<'a> ClientMessage<'a> {
    fn read(method: Method, json: Json<'a>) -> Result<Self, Fault> {
        #[derive(Default, Deserialize)]
        struct Fields<'a> {
            #[serde(borrow, default)]
            id: Option<&'a RawValue>,
        }

        // Where there is nothing but the session to say, some miners say nothing.
        let of_session = || {
            let fields: Fields<'a> = match json.is_null() {
                true => Fields::default(),
                false => params(json)?,
            };
            session(fields.id)
        };
        Ok(match method {
            Method::Login => Self::Login(Login::read(json)?),
            Method::Submit => Self::Submit(Submit::read(json)?),
            Method::BlockTemplate => Self::BlockTemplate(BlockTemplate::read(json)?),
            Method::KeepAlive => Self::KeepAlive {
                session: of_session()?,
            },
            Method::GetJob => Self::GetJob {
                session: of_session()?,
            },
        })
    }
}

/// The name of a session, which only its own connection may use.
pub(super) fn session(value: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, Fault> {
    let session = Json::field(value).optional(|json| json.string(MAX_SESSION));
    session.ok_or(Fault::Field("id"))
}
