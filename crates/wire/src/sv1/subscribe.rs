//! `mining.subscribe`: who the miner says it is, and the session it would like to resume.
//!
//! Params are `[agent, session, …]`, each of which may be missing or `null`. NiceHash adds a time
//! and a proof, others host and port; nobody needs them and they are passed over.

use std::borrow::Cow;

use super::malformed::Fault;
use crate::json::Elements;

/// The longest user agent or session id that is read, in bytes.
pub const MAX_AGENT: usize = 255;

/// The fields of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribe<'a> {
    pub agent: Option<Cow<'a, str>>,
    pub session: Option<Cow<'a, str>>,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn read(params: &Elements<'a>) -> Result<Self, Fault> {
        let text = |position, name| {
            let json = params.at(position);
            json.optional(|json| json.string(MAX_AGENT))
                .ok_or(Fault::Field(name))
        };
        Ok(Self {
            agent: text(0, "agent")?,
            session: text(1, "session")?,
        })
    }
}
