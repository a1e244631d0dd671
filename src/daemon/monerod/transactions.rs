//! Transactions as Monero's daemon knows them: where each stands, sending one, and whether what one spends
//! is spent.
//!
//! Called by `payout`. A transaction's id is a [`Hash`] that prints as the daemon prints it; see
//! [`mining::cryptonote::id`]. The wallet may forget what it sent, but the daemon does not.

use std::fmt;

use mining::cryptonote::transaction::key_images;
use pow::Hash;
use serde::Deserialize;
use serde_json::json;

use super::reply::{self, Standing as Answered};
use crate::daemon::{
    config::Config,
    rpc::{CallError, Lane, Rpc, cut, plain},
};

/// A daemon, asked for transactions.
#[derive(Debug)]
pub struct Transactions {
    rpc: Rpc,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The daemon does not know it.
    Missing,
    /// It waits for a block.
    InPool {
        /// Whether another one was seen that spends the same.
        double_spend_seen: bool,
    },
    /// It is in the chain.
    InBlock {
        /// The block's height.
        height: u32,
        /// 1 in the tip, more below it.
        confirmations: u32,
    },
}

/// What a daemon says to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It has it, in its pool or in a block. Old daemons tell whether they had it before; those of today
    /// do not.
    Taken,
    /// It does not take it, for this reason.
    Refused(Refusal),
}

/// Why a daemon does not take a transaction: all that it says, which may be nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// In its words, cut.
    pub reason: String,
}

/// What may be wrong with a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What it spends is spent, in a block or in the pool.
    DoubleSpend,
    /// Its fee is too low for now.
    FeeTooLow,
    /// An input.
    InvalidInput,
    /// An output.
    InvalidOutput,
    /// Too few decoys.
    LowMixin,
    /// It pays more than it spends.
    Overspend,
    /// Its bytes.
    TooBig,
    /// It has one output only.
    TooFewOutputs,
    /// Its extra field is too long.
    ExtraTooBig,
    /// Its outputs are locked, which nothing but a coinbase may have.
    UnlockTime,
    /// It is none, or looks odd.
    Sanity,
}

/// Whether an output is spent, by its key image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// Not that the daemon knew.
    No,
    /// By a transaction in the chain.
    InBlock,
    /// By one that waits for a block.
    InPool,
}

#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    txs: Vec<Told>,
    #[serde(default)]
    missed_tx: Vec<Hash>,
}

#[derive(Deserialize)]
struct Told {
    tx_hash: Hash,
    in_pool: bool,
    #[serde(default)]
    double_spend_seen: bool,
    // Of those in a block.
    block_height: Option<u64>,
    confirmations: Option<u64>,
    // Without the proofs; whole, where a daemon does not prune.
    #[serde(default)]
    pruned_as_hex: String,
    #[serde(default)]
    as_hex: String,
}

#[derive(Deserialize)]
struct Taken {
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    double_spend: bool,
    #[serde(default)]
    fee_too_low: bool,
    #[serde(default)]
    invalid_input: bool,
    #[serde(default)]
    invalid_output: bool,
    #[serde(default)]
    low_mixin: bool,
    #[serde(default)]
    overspend: bool,
    #[serde(default)]
    too_big: bool,
    #[serde(default)]
    too_few_outputs: bool,
    #[serde(default)]
    tx_extra_too_big: bool,
    #[serde(default)]
    nonzero_unlock_time: bool,
    #[serde(default)]
    sanity_check_failed: bool,
}

#[derive(Deserialize)]
struct SpentStatus {
    #[serde(default)]
    spent_status: Vec<u8>,
}

/// The status of a transaction that is refused.
const FAILED: &str = "Failed";

/// Transactions asked for at once. They come with their bytes, of which a large one has 50 kB.
const AT_ONCE: usize = 10;

impl Transactions {
    /// Those of a daemon.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            rpc: Rpc::monero(config)?,
        })
    }

    /// Where each of these stands, in their order.
    pub async fn standings(&self, ids: &[Hash]) -> Result<Vec<Standing>, CallError> {
        let mut standings = Vec::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            let params = json!({ "txs_hashes": ids, "decode_as_json": false, "prune": true });
            let known: Known = self.ask(Lane::Quick, "/get_transactions", params).await?;
            for id in ids {
                standings.push(known.standing(*id)?);
            }
        }
        Ok(standings)
    }

    /// Where each of these stands that the daemon knows, and the key images of what it spends.
    pub async fn spending(
        &self,
        ids: &[Hash],
    ) -> Result<Vec<(Standing, Vec<[u8; 32]>)>, CallError> {
        let mut spending = Vec::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            let params = json!({ "txs_hashes": ids, "decode_as_json": false, "prune": true });
            let known: Known = self.ask(Lane::Quick, "/get_transactions", params).await?;
            for told in &known.txs {
                let standing = known.standing(told.tx_hash)?;
                spending.push((standing, told.key_images()?));
            }
        }
        Ok(spending)
    }

    /// Sends the bytes of a transaction, which the daemon passes on. The same bytes can be sent as often
    /// as needed.
    pub async fn send(&self, raw: &[u8]) -> Result<Sent, CallError> {
        let params = json!({ "tx_as_hex": hex::encode(raw), "do_not_relay": false });
        self.rpc
            .ask_with(Lane::Block, "/send_raw_transaction", params, |body| {
                plain::<Taken>(body)?.sent()
            })
            .await
    }

    /// Whether the outputs with these key images are spent, in their order.
    pub async fn spent(&self, key_images: &[[u8; 32]]) -> Result<Vec<Spent>, CallError> {
        let texts: Vec<String> = key_images.iter().map(hex::encode).collect();
        let params = json!({ "key_images": texts });
        let told: SpentStatus = self.ask(Lane::Quick, "/is_key_image_spent", params).await?;
        if told.spent_status.len() != key_images.len() {
            return Err(CallError::Malformed("not a status for each image".into()));
        }
        let spent = told.spent_status.iter().map(|status| match status {
            0 => Ok(Spent::No),
            1 => Ok(Spent::InBlock),
            2 => Ok(Spent::InPool),
            other => Err(CallError::Malformed(format!("a spent status of {other}"))),
        });
        spent.collect()
    }

    async fn ask<T>(
        &self,
        lane: Lane,
        path: &str,
        params: serde_json::Value,
    ) -> Result<T, CallError>
    where
        T: for<'de> Deserialize<'de> + Send + 'static,
    {
        let read = |body: &[u8]| {
            plain::<Answered>(body)?.check()?;
            plain::<T>(body)
        };
        self.rpc.ask_with(lane, path, params, read).await
    }
}

impl Known {
    fn standing(&self, id: Hash) -> Result<Standing, CallError> {
        let Some(told) = self.txs.iter().find(|told| told.tx_hash == id) else {
            return match self.missed_tx.contains(&id) {
                true => Ok(Standing::Missing),
                false => Err(CallError::Malformed(format!("nothing is said of {id}"))),
            };
        };
        match (told.in_pool, told.block_height, told.confirmations) {
            (true, _, _) => Ok(Standing::InPool {
                double_spend_seen: told.double_spend_seen,
            }),
            (false, Some(height), Some(confirmations)) if confirmations > 0 => {
                Ok(Standing::InBlock {
                    height: reply::height(height)?,
                    confirmations: reply::height(confirmations)?,
                })
            }
            (false, _, _) => Err(CallError::Malformed(format!("{id} is nowhere"))),
        }
    }
}

impl Told {
    fn key_images(&self) -> Result<Vec<[u8; 32]>, CallError> {
        let text = match self.pruned_as_hex.is_empty() {
            true => &self.as_hex,
            false => &self.pruned_as_hex,
        };
        let bytes = hex::decode(text).ok();
        let images = bytes.and_then(|bytes| key_images(&bytes).ok());
        images.ok_or_else(|| CallError::Malformed(format!("{} is no transaction", self.tx_hash)))
    }
}

impl Taken {
    fn sent(self) -> Result<Sent, CallError> {
        if self.status == FAILED {
            return Ok(Sent::Refused(self.refusal()));
        }
        if let Some(failure) = reply::failure(&self.status) {
            return Err(failure);
        }
        Ok(Sent::Taken)
    }

    fn refusal(&self) -> Refusal {
        let faults = [
            (self.double_spend, Fault::DoubleSpend),
            (self.fee_too_low, Fault::FeeTooLow),
            (self.invalid_input, Fault::InvalidInput),
            (self.invalid_output, Fault::InvalidOutput),
            (self.low_mixin, Fault::LowMixin),
            (self.overspend, Fault::Overspend),
            (self.too_big, Fault::TooBig),
            (self.too_few_outputs, Fault::TooFewOutputs),
            (self.tx_extra_too_big, Fault::ExtraTooBig),
            (self.nonzero_unlock_time, Fault::UnlockTime),
            (self.sanity_check_failed, Fault::Sanity),
        ];
        Refusal {
            faults: faults
                .into_iter()
                .filter_map(|(is_so, fault)| is_so.then_some(fault))
                .collect(),
            reason: cut(&self.reason),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DoubleSpend => "what it spends is spent",
            Self::FeeTooLow => "its fee is too low",
            Self::InvalidInput => "an input is invalid",
            Self::InvalidOutput => "an output is invalid",
            Self::LowMixin => "it has too few decoys",
            Self::Overspend => "it pays more than it spends",
            Self::TooBig => "it is too big",
            Self::TooFewOutputs => "it has too few outputs",
            Self::ExtraTooBig => "its extra field is too big",
            Self::UnlockTime => "its outputs are locked",
            Self::Sanity => "it looks odd",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        match (faults.is_empty(), self.reason.as_str()) {
            (true, "") => f.write_str("it is not valid"),
            (true, reason) => f.write_str(reason),
            (false, _) => f.write_str(&faults.join(", ")),
        }
    }
}
