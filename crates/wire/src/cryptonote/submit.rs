//! `submit`: a share, its fields decoded but not judged.
//!
//! Digits are read in upper and lower case and compared as bytes from here on, so that two spellings
//! are one share. What proxies add for each other (`poolNonce`, `workerNonce` and more) is passed over.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::login::MAX_ALGORITHM;
use super::malformed::{Fault, params};
use super::request::session;
use crate::hex;
use crate::job_id::JobId;
use crate::json::Json;

/// The fields of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit<'a> {
    /// The session, as the answer to the login named it.
    pub session: Option<Cow<'a, str>>,
    /// `None`: an id we never gave out.
    pub job_id: Option<JobId>,
    /// In the order of the blob.
    pub nonce: [u8; 4],
    /// What the miner says the hash is: what meets the target. It proves nothing.
    pub result: [u8; 32],
    pub algorithm: Option<Cow<'a, str>>,
    /// With `rx/2`: RandomX's own hash, of which the result is made.
    pub commitment: Option<[u8; 32]>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    job_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    nonce: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    algo: Option<&'a RawValue>,
    #[serde(borrow, default)]
    commitment: Option<&'a RawValue>,
}

impl<'a> Submit<'a> {
    pub(super) fn read(json: Json<'a>) -> Result<Self, Fault> {
        let fields: Fields<'a> = params(json)?;
        let job_id = Json::field(fields.job_id).string(usize::MAX);
        let algorithm = Json::field(fields.algo).optional(|json| json.string(MAX_ALGORITHM));
        let commitment = Json::field(fields.commitment).optional(bytes);
        Ok(Self {
            session: session(fields.id)?,
            job_id: JobId::parse(&job_id.ok_or(Fault::Field("job_id"))?),
            nonce: bytes(Json::field(fields.nonce)).ok_or(Fault::Field("nonce"))?,
            result: bytes(Json::field(fields.result)).ok_or(Fault::Field("result"))?,
            algorithm: algorithm.ok_or(Fault::Field("algo"))?,
            commitment: commitment.ok_or(Fault::Field("commitment"))?,
        })
    }
}

fn bytes<const N: usize>(json: Json<'_>) -> Option<[u8; N]> {
    hex::array(&json.string(2 * N)?)
}
