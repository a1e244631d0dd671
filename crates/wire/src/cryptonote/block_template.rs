//! `block_template`: a block of the miner's own node, for a job that asked for one.
//!
//! XMRig with `self-select` sends it for each such job, and hashes once it is answered `OK`. The fields
//! beside the block are what its node said of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::malformed::{Fault, params};
use super::request::session;
use crate::hex;
use crate::job_id::JobId;
use crate::json::Json;

/// The largest block that is read, in bytes: with 2,000 transactions, which is several times what the
/// largest blocks of Monero have. Transactions stand in it as hashes of 32 bytes.
pub const MAX_BLOCK: usize = 64 * 1024;

/// The fields of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockTemplate<'a> {
    /// The session, as the answer to the login named it.
    pub session: Option<Cow<'a, str>>,
    /// `None`: an id we never gave out.
    pub job_id: Option<JobId>,
    /// The block, as its node made it.
    pub block: Vec<u8>,
    pub height: u64,
    pub difficulty: u64,
    /// The block before, in the order of its text.
    pub previous: [u8; 32],
    /// The key of RandomX, where the node says it.
    pub seed: Option<[u8; 32]>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    job_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    blob: Option<&'a RawValue>,
    #[serde(borrow, default)]
    height: Option<&'a RawValue>,
    #[serde(borrow, default)]
    difficulty: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prev_hash: Option<&'a RawValue>,
    #[serde(borrow, default)]
    seed_hash: Option<&'a RawValue>,
}

impl<'a> BlockTemplate<'a> {
    pub(super) fn read(json: Json<'a>) -> Result<Self, Fault> {
        let fields: Fields<'a> = params(json)?;
        let job_id = Json::field(fields.job_id).string(usize::MAX);
        let block = Json::field(fields.blob).string(2 * MAX_BLOCK);
        let block = block.and_then(|digits| hex::vec(&digits, MAX_BLOCK));
        let number = |value, name| Json::field(value).integer().ok_or(Fault::Field(name));
        let seed = Json::field(fields.seed_hash).optional(hash);
        Ok(Self {
            session: session(fields.id)?,
            job_id: JobId::parse(&job_id.ok_or(Fault::Field("job_id"))?),
            block: block.ok_or(Fault::Field("blob"))?,
            height: number(fields.height, "height")?,
            difficulty: number(fields.difficulty, "difficulty")?,
            previous: hash(Json::field(fields.prev_hash)).ok_or(Fault::Field("prev_hash"))?,
            seed: seed.ok_or(Fault::Field("seed_hash"))?,
        })
    }
}

fn hash(json: Json<'_>) -> Option<[u8; 32]> {
    hex::array(&json.string(64)?)
}
