//! `mining.notify`: a job, as a pool writes it and as a miner reads it.
//!
//! A pool makes one [`NotifyLine`] from each template and coinbase; every job made of it copies the
//! line with another id, salt and clean flag. A miner gets a [`Notify`] by
//! [`ServerMessage`](super::ServerMessage).
//!
//! The line; what is marked `*` differs between the jobs of one template:
//!
//! ```text
//! {"id":null,"method":"mining.notify","params":[
//!  "job id" *, "previous block", "coinbase1" + "salt" *, "coinbase2", ["branch", ...],
//!  "version", "bits", "ntime", clean *]}
//! ```
//!
//! The previous block's hash is in the order of the header with the bytes of each 4-byte word
//! reversed, a custom as old as the protocol. Version, bits and ntime are numbers of eight digits;
//! the rest is bytes in the order in which they are hashed.

use super::malformed::Fault;
use crate::hex;
use crate::job_id::JobId;
use crate::json::{Elements, Json};

/// What a job hashes, except for its extranonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The previous block's hash as it stands in the header.
    pub previous_block: [u8; 32],
    /// The coinbase up to the extranonce, and, in a [`NotifyLine`], up to the salt before it.
    pub coinbase1: Vec<u8>,
    pub coinbase2: Vec<u8>,
    /// From the coinbase's sibling upwards.
    pub branch: Vec<[u8; 32]>,
    pub version: u32,
    pub bits: u32,
    pub ntime: u32,
}

/// The line of a template, ready but for what differs between its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyLine {
    /// From behind the job id to the salt.
    middle: Vec<u8>,
    /// From behind the salt to the clean flag.
    end: Vec<u8>,
}

impl NotifyLine {
    pub fn new(work: &Work) -> Self {
        let mut middle = Vec::new();
        middle.extend_from_slice(br#"",""#);
        hex::push(&mut middle, &swap_words(work.previous_block));
        middle.extend_from_slice(br#"",""#);
        hex::push(&mut middle, &work.coinbase1);
        let mut end = Vec::new();
        end.extend_from_slice(br#"",""#);
        hex::push(&mut end, &work.coinbase2);
        end.extend_from_slice(br#"",["#);
        for (position, hash) in work.branch.iter().enumerate() {
            end.extend_from_slice(if position == 0 { b"\"" } else { b",\"" });
            hex::push(&mut end, hash);
            end.push(b'"');
        }
        end.push(b']');
        for number in [work.version, work.bits, work.ntime] {
            end.extend_from_slice(br#",""#);
            hex::push_u32(&mut end, number);
            end.push(b'"');
        }
        end.push(b',');
        Self { middle, end }
    }

    /// Appends the line of one job, newline included.
    pub fn write(&self, out: &mut Vec<u8>, job_id: JobId, salt: [u8; 4], clean: bool) {
        out.reserve(self.max_len());
        out.extend_from_slice(START);
        job_id.push(out);
        out.extend_from_slice(&self.middle);
        hex::push(out, &salt);
        out.extend_from_slice(&self.end);
        out.extend_from_slice(if clean { b"true]}\n" } else { b"false]}\n" });
    }

    /// No job's line is longer; NerdMiner reads 4096 bytes.
    pub fn max_len(&self) -> usize {
        START.len() + 8 + self.middle.len() + 8 + self.end.len() + 8
    }
}

const START: &[u8] = br#"{"id":null,"method":"mining.notify","params":[""#;

/// A job from an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// To be given back as it came.
    pub job_id: String,
    pub work: Work,
    /// Drop the jobs before this one.
    pub clean: bool,
}

/// The longest job id that is read from an upstream.
const MAX_JOB_ID: usize = 128;
/// The longest half of a coinbase that is read from an upstream, in bytes; OCEAN's largest
/// coinbase has half of it.
const MAX_COINBASE: usize = 32 * 1024;
/// A block has fewer than 2^32 transactions.
const MAX_BRANCH: usize = 32;

impl Notify {
    pub(crate) fn read(params: &Elements<'_>) -> Result<Self, Fault> {
        let bytes = |position, name| {
            let digits = params.at(position).string(2 * MAX_COINBASE);
            let bytes = digits.and_then(|digits| hex::vec(&digits, MAX_COINBASE));
            bytes.ok_or(Fault::Field(name))
        };
        let number = |position, name| {
            let digits = params.at(position).string(8);
            digits
                .and_then(|digits| hex::u32(&digits))
                .ok_or(Fault::Field(name))
        };
        let job_id = params
            .at(0)
            .string(MAX_JOB_ID)
            .ok_or(Fault::Field("job id"))?;
        let previous_block = hash(params.at(1)).ok_or(Fault::Field("previous block"))?;
        Ok(Self {
            job_id: job_id.into_owned(),
            work: Work {
                previous_block: swap_words(previous_block),
                coinbase1: bytes(2, "coinbase1")?,
                coinbase2: bytes(3, "coinbase2")?,
                branch: branch(params.at(4)).ok_or(Fault::Field("branch"))?,
                version: number(5, "version")?,
                bits: number(6, "bits")?,
                ntime: number(7, "ntime")?,
            },
            clean: params.at(8).boolean().ok_or(Fault::Field("clean"))?,
        })
    }
}

fn branch(json: Json<'_>) -> Option<Vec<[u8; 32]>> {
    let mut branch = Vec::new();
    json.for_each(|element| {
        branch.push(hash(element)?);
        (branch.len() <= MAX_BRANCH).then_some(())
    })?;
    Some(branch)
}

fn hash(json: Json<'_>) -> Option<[u8; 32]> {
    json.string(64).and_then(|digits| hex::array(&digits))
}

fn swap_words(mut hash: [u8; 32]) -> [u8; 32] {
    hash.as_chunks_mut::<4>()
        .0
        .iter_mut()
        .for_each(|word| word.reverse());
    hash
}
