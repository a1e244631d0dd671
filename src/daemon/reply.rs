//! The replies of a daemon, as far as they are read. Keys that are not here are passed over; a
//! number that does not fit its type is an error and never rounded.

use std::{borrow::Cow, collections::HashMap, num::NonZeroU64};

use pow::{Hash, visionx::Params};
use serde::Deserialize;

/// `getblockchaininfo`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ChainInfo {
    /// The network: `main`, `test`, `regtest`, ...
    pub(super) chain: String,
    /// The height of the tip.
    pub(super) blocks: u32,
    /// The height of the best header.
    pub(super) headers: u32,
    /// The tip.
    #[serde(rename = "bestblockhash")]
    pub(super) best: Hash,
    /// Whether it still fetches the chain. Old daemons do not say.
    #[serde(default, rename = "initialblockdownload")]
    pub(super) initial_download: bool,
}

/// `getnetworkinfo`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NetworkInfo {
    /// The daemon's version as one number.
    pub(super) version: u64,
    /// How many peers it has.
    pub(super) connections: u32,
    /// Whether it tells strangers neither of them. Core's family hides nothing.
    #[serde(default)]
    pub(super) restricted: bool,
}

/// `getblockheader`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Header {
    /// The block's id.
    pub(super) hash: Hash,
    /// 1 for the tip; -1 for a block on a side branch.
    pub(super) confirmations: i64,
    /// Its height.
    pub(super) height: u32,
    /// Its time.
    pub(super) time: u32,
    /// The median of the times of the eleven blocks up to it.
    #[serde(rename = "mediantime")]
    pub(super) median_time: u32,
    /// Its target in compact form; empty where headers have none.
    #[serde(default)]
    pub(super) bits: String,
    /// The block before; the first one has none.
    #[serde(default, rename = "previousblockhash")]
    pub(super) previous: Option<Hash>,
}

/// One of `getchaintips`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ChainTip {
    /// Its last block.
    pub(super) hash: Hash,
    /// `active`, `valid-fork`, `valid-headers`, `headers-only` or `invalid`.
    pub(super) status: String,
}

/// One of `getzmqnotifications`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ZmqNotification {
    /// What is published: `pubhashblock`, ...
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Where.
    pub(super) address: String,
}

/// `waitfornewblock`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NewBlock {
    /// The tip.
    pub(super) hash: Hash,
}

/// `getblocktemplate`, borrowed from the reply.
#[derive(Debug, Deserialize)]
pub(super) struct BlockTemplate<'a> {
    /// The height of the block to be mined.
    pub(super) height: u32,
    /// The version, signed as the daemon has it.
    pub(super) version: i64,
    /// The tip.
    #[serde(rename = "previousblockhash")]
    pub(super) previous: Hash,
    /// The compact target, eight digits; empty where headers have none.
    #[serde(default, borrow)]
    pub(super) bits: Cow<'a, str>,
    /// The target.
    #[serde(borrow)]
    pub(super) target: Cow<'a, str>,
    /// The daemon's clock.
    #[serde(rename = "curtime")]
    pub(super) time: u32,
    /// The earliest time.
    #[serde(rename = "mintime")]
    pub(super) min_time: u32,
    /// Subsidy and fees.
    #[serde(rename = "coinbasevalue")]
    pub(super) value: u64,
    /// The transactions, in order.
    #[serde(borrow)]
    pub(super) transactions: Vec<TemplateTransaction<'a>>,
    /// The script of the witness commitment.
    #[serde(default, borrow)]
    pub(super) default_witness_commitment: Option<Cow<'a, str>>,
    /// What the coinbase's script should have.
    #[serde(default, borrow)]
    pub(super) coinbaseaux: HashMap<Cow<'a, str>, Cow<'a, str>>,
    /// The most weight of a block, where there is segwit.
    #[serde(default, rename = "weightlimit")]
    pub(super) weight_limit: Option<u64>,
    /// The most bytes of a block.
    #[serde(default, rename = "sizelimit")]
    pub(super) size_limit: Option<u64>,
    /// The most that signature operations may cost.
    #[serde(default, rename = "sigoplimit")]
    pub(super) sigops_limit: Option<u64>,
    /// The rules in force; one with `!` before it must be understood.
    #[serde(default, borrow)]
    pub(super) rules: Vec<Cow<'a, str>>,
    /// Litecoin's extension block.
    #[serde(default, borrow)]
    pub(super) mweb: Option<&'a str>,
    /// What a signet's blocks must satisfy.
    #[serde(default, borrow)]
    pub(super) signet_challenge: Option<Cow<'a, str>>,
    /// The handle for a long poll.
    #[serde(default, rename = "longpollid", borrow)]
    pub(super) long_poll_id: Option<Cow<'a, str>>,
    /// The expected number of hashes behind a block, where the chain mines by VisionX.
    #[serde(default)]
    pub(super) difficulty: Option<NonZeroU64>,
    /// How it is hashed there.
    #[serde(default, borrow)]
    pub(super) visionx: Option<VisionX<'a>>,
}

/// What a chain that mines by VisionX hashes with.
#[derive(Debug, Deserialize)]
pub(super) struct VisionX<'a> {
    /// Its name in the seeds of its epochs.
    #[serde(borrow)]
    pub(super) chain_id: Cow<'a, str>,
    /// The hash in the seeds of its epochs, as its bytes stand there.
    #[serde(borrow)]
    pub(super) genesis_pow_hash: Cow<'a, str>,
    /// The version of its headers.
    pub(super) header_version: u32,
    /// The figures of its hash.
    #[serde(flatten)]
    pub(super) params: Params,
}

/// A transaction of a template.
#[derive(Debug, Deserialize)]
pub(super) struct TemplateTransaction<'a> {
    /// Its bytes.
    #[serde(borrow)]
    pub(super) data: &'a str,
    /// Its id.
    #[serde(default)]
    pub(super) txid: Option<Hash>,
    /// The id with the witness; where there is no segwit, the id.
    #[serde(default)]
    pub(super) hash: Option<Hash>,
    /// What it pays.
    #[serde(default)]
    pub(super) fee: Option<i64>,
    /// Its weight, where there is segwit.
    #[serde(default)]
    pub(super) weight: Option<u64>,
    /// What its signature operations cost.
    #[serde(default)]
    pub(super) sigops: Option<u64>,
}
