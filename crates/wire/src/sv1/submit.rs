//! `mining.submit`: a share, its fields decoded but not judged.
//!
//! Params are `[worker, job id, extranonce2, ntime, nonce]` and, from those who roll the version,
//! its bits. Fields are compared and hashed as numbers from here on, so that `c0ad31ee` and
//! `C0AD31EE` are one share. Whether the extranonce2 has the length its job wants is the rules' to say.

use std::borrow::Cow;
use std::fmt;

use super::authorize::MAX_USER;
use super::malformed::Fault;
use crate::hex;
use crate::job_id::JobId;
use crate::json::Elements;

/// The longest extranonce2 that is read, in bytes; cgminer and Whatsminer know no longer one.
pub const MAX_EXTRANONCE2: usize = 8;

/// The fields of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit<'a> {
    pub worker: Cow<'a, str>,
    /// `None`: an id we never gave out.
    pub job_id: Option<JobId>,
    pub extranonce2: Extranonce2,
    pub ntime: u32,
    pub nonce: u32,
    pub version_bits: Option<u32>,
}

/// The miner's part of the extranonce.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extranonce2 {
    bytes: [u8; MAX_EXTRANONCE2],
    len: usize,
}

impl Extranonce2 {
    /// `None` above [`MAX_EXTRANONCE2`] bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut copy = [0; MAX_EXTRANONCE2];
        copy.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self {
            bytes: copy,
            len: bytes.len(),
        })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn parse(digits: &str) -> Option<Self> {
        let mut bytes = [0; MAX_EXTRANONCE2];
        let len = hex::decode(digits, &mut bytes)?;
        Some(Self { bytes, len })
    }
}

impl fmt::Debug for Extranonce2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The params as strings, wherever they were found; the last is missing or `null` if the version
/// was not rolled.
pub(crate) struct Fields<T> {
    pub(crate) worker: T,
    pub(crate) job_id: T,
    pub(crate) extranonce2: T,
    pub(crate) ntime: T,
    pub(crate) nonce: T,
    pub(crate) version_bits: Option<T>,
}

impl<'a> Submit<'a> {
    pub(crate) fn read(params: &Elements<'a>) -> Result<Self, Fault> {
        let text = |position, name| {
            params
                .at(position)
                .string(usize::MAX)
                .ok_or(Fault::Field(name))
        };
        let version_bits = params.at(5).optional(|json| json.string(usize::MAX));
        Self::decode(Fields {
            worker: text(0, "worker")?,
            job_id: text(1, "job id")?,
            extranonce2: text(2, "extranonce2")?,
            ntime: text(3, "ntime")?,
            nonce: text(4, "nonce")?,
            version_bits: version_bits.ok_or(Fault::Field("version bits"))?,
        })
    }

    pub(crate) fn decode<T>(fields: Fields<T>) -> Result<Self, Fault>
    where
        T: AsRef<str> + Into<Cow<'a, str>>,
    {
        let worker = fields.worker.into();
        if worker.len() > MAX_USER {
            return Err(Fault::Field("worker"));
        }
        let version_bits = fields
            .version_bits
            .map(|bits| hex::u32_padded(bits.as_ref()).ok_or(Fault::Field("version bits")));
        Ok(Self {
            worker,
            job_id: JobId::parse(fields.job_id.as_ref()),
            extranonce2: Extranonce2::parse(fields.extranonce2.as_ref())
                .ok_or(Fault::Field("extranonce2"))?,
            ntime: hex::u32_padded(fields.ntime.as_ref()).ok_or(Fault::Field("ntime"))?,
            // NerdMiner does not pad its nonce.
            nonce: hex::u32(fields.nonce.as_ref()).ok_or(Fault::Field("nonce"))?,
            version_bits: version_bits.transpose()?,
        })
    }
}
