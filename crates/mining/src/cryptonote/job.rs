//! A job of this family: a template whose reserve is one miner's own.
//!
//! The reserve bears the connection's extranonce and the job's id, so that no two jobs of a pool are
//! the same work, whatever nonces their miners try.

use std::sync::Arc;

use pow::{Hash, randomx::Seed};

use super::{ShareTarget, Template, block::Nonce, id, template::WrongReserve};
use crate::job::push_hex;

/// The bytes that a daemon has to reserve at least: for an extranonce and a job's id.
pub const RESERVE_LEN: usize = 8;

/// What tells a job from all others of the pool.
pub(super) fn reserve_of(extranonce: [u8; 4], id: u32) -> [u8; RESERVE_LEN] {
    let ([a, b, c, d], [e, f, g, h]) = (extranonce, id.to_be_bytes());
    [a, b, c, d, e, f, g, h]
}

/// One miner's job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Unique in a run of the pool.
    pub id: u32,
    /// Counts the tips that the pool has mined on: equal numbers mean the same block before.
    pub tip: u64,
    /// What is mined.
    pub template: Arc<Template>,
    /// What its shares have to meet.
    pub target: ShareTarget,
    reserve: Box<[u8]>,
    blob: Vec<u8>,
}

impl Job {
    /// A job with this target, or with the network's where that is easier. Fails only where the daemon
    /// reserved fewer than [`RESERVE_LEN`] bytes.
    pub fn new(
        id: u32,
        tip: u64,
        template: Arc<Template>,
        extranonce: [u8; 4],
        wanted: ShareTarget,
    ) -> Result<Self, WrongReserve> {
        let found = template.block().reserve_len();
        let rest = found.checked_sub(RESERVE_LEN).ok_or(WrongReserve {
            expected: RESERVE_LEN,
            found,
        })?;
        let reserve = [&reserve_of(extranonce, id)[..], &vec![0; rest]].concat();
        let target = wanted.at_most(template.difficulty());
        Self::of_reserve(id, tip, template, target, &reserve)
    }

    /// A job with all of its reserve. Fails only where the template's is of another length.
    pub(super) fn of_reserve(
        id: u32,
        tip: u64,
        template: Arc<Template>,
        target: ShareTarget,
        reserve: &[u8],
    ) -> Result<Self, WrongReserve> {
        Ok(Self {
            blob: template.block().hashing_blob(reserve)?,
            id,
            tip,
            template,
            target,
            reserve: reserve.into(),
        })
    }

    /// What is hashed, with zeros for the nonce.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// What is hashed with a nonce.
    pub fn blob_with(&self, nonce: Nonce) -> Vec<u8> {
        let mut blob = self.blob.clone();
        let offset = self.template.block().nonce_offset();
        blob[offset..offset + nonce.len()].copy_from_slice(&nonce);
        blob
    }

    /// With which key.
    pub fn seed(&self) -> Seed {
        self.template.seed()
    }

    /// The whole block in hexadecimal, as the daemon takes it, and its id as the daemon prints it.
    pub fn block(&self, nonce: Nonce) -> (String, Hash) {
        let fits = "the reserve was taken when the job was made";
        let block = self.template.block().block(&self.reserve, nonce);
        let hash = self.template.block().id(&self.reserve, nonce).expect(fits);
        let mut text = String::new();
        push_hex(&mut text, &block.expect(fits));
        (text, id::of_bytes(hash))
    }
}
