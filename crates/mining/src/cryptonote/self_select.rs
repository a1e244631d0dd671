//! A job whose block a miner's own node makes: what the miner is asked for, and what it brings.
//!
//! The pool asks for a block that pays its address and bears an extra nonce of this job. What comes is
//! held against the pool's own template, as the same tip must give the same height, difficulty and key
//! of RandomX; and that it pays the pool is proven with the private view key. Which transactions are in
//! it is the miner's choice.
//!
//! Nothing here can tell whether a node would take the block: a transaction in it may be one that is
//! spent already. Only its own node keeps a miner from working for nothing, which costs the pool what a
//! miner costs it that keeps its blocks to itself.

use std::sync::Arc;

use super::{
    Block, Job, MinerTransaction, ShareTarget, Template, ViewKey,
    block::BadBlock,
    job::{RESERVE_LEN, reserve_of},
    template::{Announced, WrongReserve},
    whole_template::{self, Answer},
};
use crate::{Amount, coin::CryptoNoteRules};

/// The first version of blocks whose outputs have view tags.
const VIEW_TAGS_SINCE: u8 = 15;
/// The clocks of a miner's node and of the pool's may differ by so many seconds. Nodes take no block
/// that is two hours ahead, or older than the middle one of the last sixty, which is an hour old.
const CLOCKS_APART_MAX: u64 = 600;
/// A block pays at least so many hundredths of what the pool's own would: the miner's node may know
/// fewer transactions, but nobody gives away what the block could have.
const REWARD_LEAST_PERCENT: u64 = 90;

/// What a miner is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Unique in a run of the pool.
    pub id: u32,
    /// Counts the tips that the pool has mined on.
    pub tip: u64,
    /// What the job's shares have to meet.
    pub target: ShareTarget,
    template: Arc<Template>,
    extra_nonce: [u8; RESERVE_LEN],
}

/// What it brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought<'a> {
    /// The block, with zeros for the nonce.
    pub block: &'a [u8],
    /// The height that its node says.
    pub height: u64,
    /// The difficulty that its node says.
    pub difficulty: u64,
    /// The id of the block before that its node says.
    pub previous: [u8; 32],
    /// The key of RandomX that its node says, if it says one.
    pub seed: Option<[u8; 32]>,
}

/// Why what was brought is not mined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The pool has a newer tip.
    #[error("the job is over")]
    Expired,
    /// It follows another block than the newest that the pool's node has.
    #[error("your node's tip is not the pool's")]
    OtherTip,
    /// The block's time is too far from the pool's.
    #[error("the clock of your node is more than {CLOCKS_APART_MAX} s off")]
    Time,
    /// Less than the pool's own block would pay.
    #[error("the block pays {block} units, and at least {least} are due")]
    Reward {
        /// What it pays.
        block: u64,
        /// What it has to pay.
        least: u64,
    },
    /// It is no block.
    #[error(transparent)]
    Block(#[from] BadBlock),
    /// What the node said and what it made differ, or what every block of this height has is not there.
    #[error(transparent)]
    Template(#[from] whole_template::Refused),
    /// Another version than the pool's node makes: other rules hold for it.
    #[error("the block is of version {0}, which your node should not make now")]
    Version(u8),
    /// Another height than the tip's next one.
    #[error("the height is not {0}")]
    Height(u64),
    /// Another difficulty than the network's.
    #[error("the difficulty is not {0}")]
    Difficulty(u64),
    /// Another key of RandomX.
    #[error("the seed hash is another one")]
    Seed,
    /// The reward would be locked for another time.
    #[error("the unlock time is not {0}")]
    Unlock(u64),
    /// Not the one extra nonce that was asked for.
    #[error("the extra nonce is not the job's")]
    ExtraNonce,
    /// Wallets find what is paid by one key of the transaction.
    #[error("the miner's transaction has not one public key")]
    PublicKey,
    /// It pays several, or one in several parts.
    #[error("the miner's transaction has {0} outputs and not one")]
    Outputs(usize),
    /// Without a view tag nodes take no block any more.
    #[error("the output has no view tag")]
    NoViewTag,
    /// It pays somebody else.
    #[error("the block does not pay the pool's wallet")]
    NotOurs,
    /// The extra nonce has no room, which cannot be.
    #[error(transparent)]
    Reserve(#[from] WrongReserve),
}

impl Refused {
    /// Whether no honest node makes such a block, however far behind or ahead it is.
    pub fn is_fault(&self) -> bool {
        !matches!(
            self,
            Self::Expired | Self::OtherTip | Self::Time | Self::Reward { .. } | Self::Reserve(_)
        )
    }
}

impl Wanted {
    /// A job with this target, or with the network's where that is easier; `template` is the pool's own.
    pub fn new(
        id: u32,
        tip: u64,
        template: Arc<Template>,
        extranonce: [u8; 4],
        target: ShareTarget,
    ) -> Self {
        Self {
            id,
            tip,
            target: target.at_most(template.difficulty()),
            extra_nonce: reserve_of(extranonce, id),
            template,
        }
    }

    /// What the block has to bear.
    pub fn extra_nonce(&self) -> &[u8; RESERVE_LEN] {
        &self.extra_nonce
    }

    /// The pool's own template, which tells height and key.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The job that comes of what the miner brings. `tip` is the newest.
    pub fn job(
        &self,
        brought: &Brought<'_>,
        tip: u64,
        key: &ViewKey,
        rules: &CryptoNoteRules,
    ) -> Result<Job, Refused> {
        if self.tip != tip {
            return Err(Refused::Expired);
        }
        let block = Block::parse(brought.block)?;
        self.check(brought, &block)?;
        self.check_payment(&block, key)?;
        // The only nonce is the extra nonce, as was checked.
        let nonce = block.miner_transaction.nonces.first();
        let answer = Answer {
            block: Announced {
                block: brought.block,
                hashing_blob: &block.hashing_blob(brought.block),
                reserved_offset: nonce.ok_or(Refused::ExtraNonce)?.start,
                reserve_len: self.extra_nonce.len(),
                height: brought.height,
                previous: brought.previous,
                reward: block.miner_transaction.reward,
            },
            difficulty: self.template.difficulty().get().into(),
            seed_height: rules.epochs.seed_height(brought.height),
            seed: self.template.seed().0,
            next_seed: self.template.next_seed().map(|seed| seed.0),
        };
        let template = Arc::new(Template::new(&answer, rules)?);
        Ok(Job::of_reserve(
            self.id,
            self.tip,
            template,
            self.target,
            &self.extra_nonce,
        )?)
    }

    /// What every block on this tip has.
    fn check(&self, brought: &Brought<'_>, block: &Block) -> Result<(), Refused> {
        let own = self.template.block();
        if block.previous != own.previous() || brought.previous != own.previous() {
            return Err(Refused::OtherTip);
        }
        let transaction = &block.miner_transaction;
        if brought.height != own.height() || transaction.height != own.height() {
            return Err(Refused::Height(own.height()));
        }
        let difficulty = self.template.difficulty().get();
        if brought.difficulty != difficulty {
            return Err(Refused::Difficulty(difficulty));
        }
        if brought
            .seed
            .is_some_and(|seed| seed != self.template.seed().0)
        {
            return Err(Refused::Seed);
        }
        if block.major_version != own.major_version() {
            return Err(Refused::Version(block.major_version));
        }
        if block.timestamp.abs_diff(own.timestamp()) > CLOCKS_APART_MAX {
            return Err(Refused::Time);
        }
        match transaction.unlock_time == own.unlock_time() {
            true => Ok(()),
            false => Err(Refused::Unlock(own.unlock_time())),
        }
    }

    /// That all of the reward is the pool's, and that no other job has this block.
    fn check_payment(&self, block: &Block, key: &ViewKey) -> Result<(), Refused> {
        let MinerTransaction {
            outputs,
            reward,
            public_keys,
            additional_keys,
            extra_nonces,
            ..
        } = &block.miner_transaction;
        if *extra_nonces != [self.extra_nonce] {
            return Err(Refused::ExtraNonce);
        }
        let ([public_key], []) = (&public_keys[..], &additional_keys[..]) else {
            return Err(Refused::PublicKey);
        };
        let [output] = &outputs[..] else {
            return Err(Refused::Outputs(outputs.len()));
        };
        if block.major_version >= VIEW_TAGS_SINCE && output.view_tag.is_none() {
            return Err(Refused::NoViewTag);
        }
        if !key.finds(output, 0, *public_key) {
            return Err(Refused::NotOurs);
        }
        let least = least_reward(self.template.reward());
        match reward.units() >= least {
            true => Ok(()),
            false => Err(Refused::Reward {
                block: reward.units(),
                least,
            }),
        }
    }
}

/// What a block has to pay where the pool's own would pay `own`.
fn least_reward(own: Amount) -> u64 {
    let least = u128::from(own.units()) * u128::from(REWARD_LEAST_PERCENT) / 100;
    u64::try_from(least).unwrap_or(own.units())
}

#[cfg(test)]
mod tests;
