//! A job, as a miner reads it from any pool.
//!
//! Every size is bounded as XMRig bounds it. What a job leaves out is `None`: whether that matters
//! depends on the algorithm.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::login::MAX_ALGORITHM;
use super::malformed::{Fault, params};
use crate::hex;
use crate::json::Json;

/// The longest job id that is read.
const MAX_JOB_ID: usize = 128;
/// A blob's bytes: the nonce ends at byte 43, and XMRig keeps no more than 407.
const BLOB_SIZES: std::ops::RangeInclusive<usize> = 43..=407;

/// A job from an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// To be given back as it came.
    pub job_id: String,
    pub blob: Vec<u8>,
    pub target: TargetBytes,
    pub algorithm: Option<String>,
    pub height: Option<u64>,
    pub seed_hash: Option<[u8; 32]>,
    pub next_seed_hash: Option<[u8; 32]>,
}

/// A target in one of its two spellings, in the order of the wire; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetBytes {
    Four([u8; 4]),
    Eight([u8; 8]),
}

impl TargetBytes {
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Four(bytes) => bytes,
            Self::Eight(bytes) => bytes,
        }
    }

    fn read(json: Json<'_>) -> Option<Self> {
        let digits = json.string(16)?;
        let target = match digits.len() {
            8 => Self::Four(hex::array(&digits)?),
            16 => Self::Eight(hex::array(&digits)?),
            _ => return None,
        };
        let is_zero = target.as_slice().iter().all(|byte| *byte == 0);
        (!is_zero).then_some(target)
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    job_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    blob: Option<&'a RawValue>,
    #[serde(borrow, default)]
    target: Option<&'a RawValue>,
    #[serde(borrow, default)]
    algo: Option<&'a RawValue>,
    #[serde(borrow, default)]
    height: Option<&'a RawValue>,
    #[serde(borrow, default)]
    seed_hash: Option<&'a RawValue>,
    #[serde(borrow, default)]
    next_seed_hash: Option<&'a RawValue>,
}

impl Notice {
    pub(super) fn read(json: Json<'_>) -> Result<Self, Fault> {
        let fields: Fields<'_> = params(json)?;
        let job_id = Json::field(fields.job_id).string(MAX_JOB_ID);
        let job_id = job_id.filter(|job_id| !job_id.is_empty());
        let blob = Json::field(fields.blob)
            .string(2 * BLOB_SIZES.end())
            .and_then(|digits| hex::vec(&digits, *BLOB_SIZES.end()))
            .filter(|blob| BLOB_SIZES.contains(&blob.len()));
        let algorithm = Json::field(fields.algo).optional(|json| json.string(MAX_ALGORITHM));
        let algorithm = algorithm.ok_or(Fault::Field("algo"))?;
        let height = Json::field(fields.height).optional(Json::integer);
        let hash = |value, name| seed(Json::field(value)).ok_or(Fault::Field(name));
        Ok(Self {
            job_id: job_id.ok_or(Fault::Field("job_id"))?.into_owned(),
            blob: blob.ok_or(Fault::Field("blob"))?,
            target: TargetBytes::read(Json::field(fields.target)).ok_or(Fault::Field("target"))?,
            algorithm: algorithm
                .filter(|name| !name.is_empty())
                .map(|name| name.into_owned()),
            height: height.ok_or(Fault::Field("height"))?,
            seed_hash: hash(fields.seed_hash, "seed_hash")?,
            next_seed_hash: hash(fields.next_seed_hash, "next_seed_hash")?,
        })
    }
}

/// A hash, or nothing where there is none or an empty text, as daemons have it for one not known yet.
fn seed(json: Json<'_>) -> Option<Option<[u8; 32]>> {
    match &*json.optional(|json| json.string(64))?.unwrap_or_default() {
        "" => Some(None),
        digits => hex::array(digits).map(Some),
    }
}
