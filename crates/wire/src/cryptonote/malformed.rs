//! Why a line could not be read.
//!
//! [`Malformed`] goes to the pool, which answers with its id and counts it against the connection;
//! a bare [`Fault`] goes to the miner or proxy, which leaves an upstream that sends such lines.

use super::request::Method;
use crate::id::Id;
use crate::json::Json;

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
    /// Missing, of another type, or with a key given twice.
    #[error("params is no object")]
    Params,
    /// As Bitcoin's dialect has it.
    #[error("params is an array, but must be an object with names: {{\"login\":...,\"pass\":...}}")]
    Positional,
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

/// Params read into a struct of fields.
pub(super) fn params<'a, T: serde::Deserialize<'a>>(json: Json<'a>) -> Result<T, Fault> {
    if json.text().starts_with('[') {
        return Err(Fault::Positional);
    }
    json.object().ok_or(Fault::Params)
}
