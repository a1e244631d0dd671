//! A job: work handed to a miner, made from a template.
//!
//! What all miners of one coinbase class share is a [`JobTemplate`], built once. A [`Job`] adds its
//! id, which is also the salt in its coinbase, so that no two jobs are the same work, and the
//! difficulty it was sent with, by which its shares are judged and credited whatever comes later.

use std::sync::Arc;

use pow::{Algorithm, Hash};

use crate::{
    Difficulty, Target, Template,
    accounting::Split,
    coinbase::{Coinbase, CoinbaseError, Payees},
    device::CoinbaseClass,
};

/// A template with its coinbase for one class of devices.
#[derive(Clone, Debug)]
pub struct JobTemplate {
    /// The template.
    pub template: Arc<Template>,
    /// The coinbase of this class.
    pub coinbase: Coinbase,
    /// The class.
    pub class: CoinbaseClass,
    /// Counts the tips that the pool has mined on: equal numbers mean the same block before.
    pub tip: u64,
    /// The proof of work.
    pub algorithm: Algorithm,
    /// Whose work the coinbase is split by, where it pays miners by itself.
    pub split: Option<Arc<Split>>,
}

/// One miner's job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Unique in a run of the pool, and in the coinbase as its salt.
    pub id: u32,
    /// What is shared with others.
    pub shared: Arc<JobTemplate>,
    /// What the miner was told.
    pub difficulty: Difficulty,
    /// What its shares have to meet.
    pub target: Target,
}

/// What is hashed: 80 bytes.
///
/// ```text
/// version 4 | previous block 32 | merkle root 32 | time 4 | bits 4 | nonce 4    little-endian
/// ```
pub type Header = [u8; 80];

impl JobTemplate {
    /// A job template for each class of devices, in the order of [`CoinbaseClass::ALL`].
    pub fn for_all_classes(
        template: &Arc<Template>,
        tag: &[u8],
        payees: &Payees,
        extranonce2_size: usize,
        tip: u64,
        algorithm: Algorithm,
    ) -> Result<[Arc<Self>; CoinbaseClass::ALL.len()], CoinbaseError> {
        let mut made = Vec::with_capacity(CoinbaseClass::ALL.len());
        for class in CoinbaseClass::ALL {
            let coinbase = Coinbase::new(template, tag, payees, extranonce2_size, class)?;
            let template = Arc::clone(template);
            made.push(Arc::new(Self {
                template,
                coinbase,
                class,
                tip,
                algorithm,
                split: None,
            }));
        }
        Ok(made.try_into().expect("one was made for each class"))
    }

    /// The header of a solution; nothing is allocated.
    pub fn header(
        &self,
        salt: u32,
        extranonce1: [u8; 4],
        extranonce2: &[u8],
        version: u32,
        time: u32,
        nonce: u32,
    ) -> Header {
        let coinbase = self.coinbase.id(salt, extranonce1, extranonce2);
        let root = self.template.transactions.branch().root(coinbase);
        let mut header = [0; 80];
        header[..4].copy_from_slice(&version.to_le_bytes());
        header[4..36].copy_from_slice(&self.template.previous.0);
        header[36..68].copy_from_slice(&root);
        header[68..72].copy_from_slice(&time.to_le_bytes());
        header[72..76].copy_from_slice(&self.template.bits.to_le_bytes());
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        header
    }

    /// The whole block in hexadecimal, ready for `submitblock`.
    pub fn block_hex(&self, header: &Header, coinbase: &[u8]) -> String {
        let transactions = &self.template.transactions;
        let count = crate::coinbase::compact_size(transactions.count() + 1);
        let mut block = String::with_capacity(
            2 * (header.len() + count.len() + coinbase.len())
                + transactions.hex().len()
                + self.template.tail.len(),
        );
        push_hex(&mut block, header);
        push_hex(&mut block, &count);
        push_hex(&mut block, coinbase);
        block.push_str(transactions.hex());
        block.push_str(&self.template.tail);
        block
    }
}

impl JobTemplate {
    /// A whole block with everything but its proof of work, in hexadecimal: for the daemon to check
    /// beforehand. `salt` is a job's id.
    pub fn unsolved_block_hex(&self, salt: u32, extranonce2: &[u8]) -> String {
        let extranonce1 = [0; crate::coinbase::EXTRANONCE1_SIZE];
        let template = &self.template;
        let (version, time) = (template.version, template.time);
        let header = self.header(salt, extranonce1, extranonce2, version, time, 0);
        let coinbase = self.coinbase.transaction(salt, extranonce1, extranonce2);
        self.block_hex(&header, &coinbase)
    }
}

impl Job {
    /// A job at `difficulty`, or at the network's where that is easier.
    pub fn new(id: u32, shared: Arc<JobTemplate>, difficulty: Difficulty) -> Self {
        let (algorithm, network) = (shared.algorithm, shared.template.target);
        let difficulty = difficulty.min(Difficulty::at_most(network, algorithm));
        let target = Target::of_share(difficulty, algorithm, network);
        Self {
            id,
            shared,
            difficulty,
            target,
        }
    }

    /// The id of the block before.
    pub fn previous(&self) -> Hash {
        self.shared.template.previous
    }
}

/// Appends bytes in hexadecimal, as daemons take blocks.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
}
