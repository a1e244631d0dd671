//! Why a line could not be read.
//!
//! [`Malformed`] goes to the pool, which answers with its id and counts it against the connection;
//! a bare [`Fault`] goes to the miner or proxy, which leaves an upstream that sends such lines.

use super::request::Method;
use crate::id::Id;

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not UTF-8, not JSON, not one object, or one of its keys given twice.
    #[error("not a JSON object")]
    Json,
    #[error("id is no number, string or null")]
    Id,
    /// None, or one that is no string.
    #[error("no method")]
    Method,
    #[error("params is no array")]
    Params,
    /// The named field is missing, has another type, or a value outside its bounds.
    #[error("{0} is malformed")]
    Field(&'static str),
}

/// A line from a miner that is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct Malformed<'a> {
    /// To answer with; [`Id::NULL`] where none could be read.
    pub id: Id<'a>,
    /// What was asked, if the line got that far.
    pub method: Option<Method>,
    pub fault: Fault,
}
