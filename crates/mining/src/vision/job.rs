//! A job of this family: a template with a coinbase and a header that are one miner's own.

use std::{num::NonZeroU64, sync::Arc};

use pow::{
    Hash,
    visionx::{Header, Miner},
};

use super::{Template, template::target_of};
use crate::{
    Difficulty, Target,
    accounting::Split,
    coinbase::{Coinbase, EXTRANONCE1_SIZE},
    job::push_hex,
};

/// A template with its coinbase: what all miners of a pool share.
#[derive(Clone, Debug)]
pub struct Work {
    /// The template.
    pub template: Arc<Template>,
    /// Its coinbase.
    pub coinbase: Coinbase,
    /// The bytes of extranonce2, which nobody searches: the nonce has room enough.
    pub extranonce2_size: usize,
    /// Counts the tips that the pool has mined on: equal numbers mean the same block before.
    pub tip: u64,
    /// Who mines, as the header says.
    pub miner: Miner,
    /// Whose work the coinbase is split by, where it pays miners by itself.
    pub split: Option<Arc<Split>>,
}

/// One miner's job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Unique in a run of the pool, and in the coinbase as its salt.
    pub id: u32,
    /// What is shared with others.
    pub work: Arc<Work>,
    /// What its shares have to meet.
    pub target: Target,
    difficulty: NonZeroU64,
    extranonce1: [u8; EXTRANONCE1_SIZE],
    /// With the nonce 0.
    header: Header,
    message: Vec<u8>,
}

impl Work {
    fn extranonce2(&self) -> Vec<u8> {
        vec![0; self.extranonce2_size]
    }
}

impl Job {
    /// A job at `difficulty`, or at the network's where that is easier.
    pub fn new(
        id: u32,
        work: Arc<Work>,
        extranonce1: [u8; EXTRANONCE1_SIZE],
        difficulty: Difficulty,
    ) -> Self {
        let template = &work.template;
        let wanted = NonZeroU64::new(difficulty.steps() >> 32).unwrap_or(NonZeroU64::MIN);
        let difficulty = wanted.min(template.difficulty());
        let body = template.body();
        let coinbase = work.coinbase.id(id, extranonce1, &work.extranonce2());
        let header = Header {
            parent: body.previous,
            height: body.height.into(),
            timestamp: body.time.into(),
            difficulty: template.difficulty().get(),
            nonce: 0,
            tx_root: template.root(coinbase),
            miner: work.miner.clone(),
        };
        Self {
            id,
            target: target_of(difficulty),
            difficulty,
            extranonce1,
            message: header.message(),
            header,
            work,
        }
    }

    /// The template.
    pub fn template(&self) -> &Template {
        &self.work.template
    }

    /// The expected number of hashes behind a share.
    pub fn difficulty(&self) -> NonZeroU64 {
        self.difficulty
    }

    /// The header, with the nonce 0.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What is hashed with a nonce.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The whole block in hexadecimal, as the daemon takes it, and the id of its coinbase.
    pub fn block(&self, nonce: u64) -> (String, Hash) {
        let Work {
            template, coinbase, ..
        } = &*self.work;
        let extranonce2 = self.work.extranonce2();
        let header = Header {
            nonce,
            ..self.header.clone()
        };
        let transactions = &template.body().transactions;
        let mut text = String::new();
        push_hex(&mut text, &header.encode());
        push_hex(
            &mut text,
            &crate::coinbase::compact_size(transactions.count() + 1),
        );
        let bytes = coinbase.transaction(self.id, self.extranonce1, &extranonce2);
        push_hex(&mut text, &bytes);
        text.push_str(transactions.hex());
        let id = coinbase.id(self.id, self.extranonce1, &extranonce2);
        (text, id)
    }
}
