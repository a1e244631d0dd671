//! What a miner says to a pool: one line, one [`Request`].
//!
//! Called by the pool's connection for every line. Everything is borrowed from the line except
//! strings with escapes. An error is a [`Malformed`] with the id to answer with.

use std::borrow::Cow;

use super::authorize::Authorize;
use super::configure::Configure;
use super::difficulty::Difficulty;
use super::malformed::{Fault, Malformed};
use super::submit::Submit;
use super::submit_scan;
use super::subscribe::Subscribe;
use crate::envelope::Envelope;
use crate::hex;
use crate::id::Id;
use crate::json::Elements;

/// What is asked, and the id to answer with.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub id: Id<'a>,
    pub message: ClientMessage<'a>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage<'a> {
    Configure(Configure),
    Subscribe(Subscribe<'a>),
    Authorize(Authorize<'a>),
    SuggestDifficulty(Difficulty),
    /// Most significant byte first, as it is written.
    SuggestTarget([u8; 32]),
    ExtranonceSubscribe,
    Submit(Submit<'a>),
    GetTransactions,
    Ping,
    /// Asked by rental proxies; an answer is due, no more.
    MultiVersion,
    /// The answer to a request of ours, such as `mining.ping`: nothing to do.
    Response,
    /// A method we do not know, by its name.
    Unknown(Cow<'a, str>),
}

/// The methods we know, for what is said about a line that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Configure,
    Subscribe,
    Authorize,
    SuggestDifficulty,
    SuggestTarget,
    ExtranonceSubscribe,
    Submit,
    GetTransactions,
    Ping,
    MultiVersion,
    Pong,
}

impl Method {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Configure, "mining.configure"),
        (Self::Subscribe, "mining.subscribe"),
        (Self::Authorize, "mining.authorize"),
        (Self::SuggestDifficulty, "mining.suggest_difficulty"),
        (Self::SuggestTarget, "mining.suggest_target"),
        (Self::ExtranonceSubscribe, "mining.extranonce.subscribe"),
        (Self::Submit, "mining.submit"),
        (Self::GetTransactions, "mining.get_transactions"),
        (Self::Ping, "mining.ping"),
        (Self::MultiVersion, "mining.multi_version"),
        // ESP-Miner answers a ping with a method.
        (Self::Pong, "pong"),
        (Self::Pong, "mining.pong"),
    ];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(method, _)| *method)
    }
}

impl<'a> Request<'a> {
    /// Reads a line without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, Malformed<'a>> {
        if let Some((id, submit)) = std::str::from_utf8(line).ok().and_then(submit_scan::scan) {
            let malformed = |fault| Malformed {
                id,
                method: Some(Method::Submit),
                fault,
            };
            let message = submit.map(ClientMessage::Submit).map_err(malformed)?;
            return Ok(Self { id, message });
        }
        Self::parse_any(line)
    }

    /// The same without the short way for submits.
    pub fn parse_any(line: &'a [u8]) -> Result<Self, Malformed<'a>> {
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
        match ClientMessage::read(method, &envelope) {
            Ok(message) => Ok(Self { id, message }),
            Err(fault) => Err(malformed(id, Some(method), fault)),
        }
    }
}

impl<'a> ClientMessage<'a> {
    fn read(method: Method, envelope: &Envelope<'a>) -> Result<Self, Fault> {
        let params = || envelope.params().elements().ok_or(Fault::Params);
        Ok(match method {
            Method::Configure => Self::Configure(Configure::read(&params()?)?),
            Method::Subscribe if envelope.params().is_null() => {
                Self::Subscribe(Subscribe::default())
            }
            Method::Subscribe => Self::Subscribe(Subscribe::read(&params()?)?),
            Method::Authorize => Self::Authorize(Authorize::read(&params()?)?),
            Method::SuggestDifficulty => Self::SuggestDifficulty(difficulty(&params()?)?),
            Method::SuggestTarget => Self::SuggestTarget(target(&params()?)?),
            Method::Submit => Self::Submit(Submit::read(&params()?)?),
            // What these may carry decides nothing.
            Method::ExtranonceSubscribe => Self::ExtranonceSubscribe,
            Method::GetTransactions => Self::GetTransactions,
            Method::Ping => Self::Ping,
            Method::MultiVersion => Self::MultiVersion,
            Method::Pong => Self::Response,
        })
    }
}

fn difficulty(params: &Elements<'_>) -> Result<Difficulty, Fault> {
    Difficulty::read(params.at(0)).ok_or(Fault::Field("difficulty"))
}

fn target(params: &Elements<'_>) -> Result<[u8; 32], Fault> {
    let target = params
        .at(0)
        .string(64)
        .and_then(|digits| hex::array(&digits));
    target.ok_or(Fault::Field("target"))
}
