//! `mining.authorize`: the user name and the password, as typed by whoever set up the miner.
//!
//! Params are `[user]` or `[user, password, …]`. The texts are raw: anything may be in them, also
//! line ends and escape sequences, until the pool's rules have made an account of them.

use std::borrow::Cow;

use super::malformed::Fault;
use crate::json::Elements;

/// The longest user name that is read, in bytes; the limit that OCEAN documents.
pub const MAX_USER: usize = 191;
/// The longest password that is read, in bytes.
pub const MAX_PASSWORD: usize = 255;

/// The fields of an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorize<'a> {
    pub user: Cow<'a, str>,
    pub password: Option<Cow<'a, str>>,
}

impl<'a> Authorize<'a> {
    pub(crate) fn read(params: &Elements<'a>) -> Result<Self, Fault> {
        let password = params.at(1).optional(|json| json.string(MAX_PASSWORD));
        Ok(Self {
            user: params.at(0).string(MAX_USER).ok_or(Fault::Field("user"))?,
            password: password.ok_or(Fault::Field("password"))?,
        })
    }
}
