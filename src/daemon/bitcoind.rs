//! The calls of Bitcoin Core and its family that a pool makes, typed.
//!
//! <https://developer.bitcoin.org/reference/rpc/> has them; Litecoin Core and Dogecoin Core differ
//! only where it is said here.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use mining::{AnyTemplate, Coin, Network};
use pow::Hash;
use serde_json::json;
use tokio::time::Instant;

use super::{
    config::Config,
    reply::{BlockTemplate, ChainInfo, ChainTip, Header, NetworkInfo, NewBlock, ZmqNotification},
    rpc::{CallError, Lane, Rpc, cut, parse, request},
    template::{Refused, any_template, rules},
};

/// One daemon of this family.
#[derive(Debug)]
pub(super) struct Bitcoind {
    rpc: Rpc,
    coin: &'static Coin,
    network: Network,
}

/// A template as it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) template: AnyTemplate,
    /// When.
    pub(super) at: Instant,
    /// To wait for the next one with.
    pub(super) long_poll_id: Option<Arc<str>>,
}

/// Why there is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoTemplate {
    /// The daemon gave none.
    #[error("{0}")]
    Call(#[from] CallError),
    /// It gave one that cannot be mined.
    #[error("{0}")]
    Refused(#[from] Refused),
}

/// What a daemon says to a solved block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Submitted {
    /// It has it.
    Accepted,
    /// It has it but does not know yet what it is worth: ask for its status.
    Unclear(String),
    /// It lacks the block before it, and may get it any moment.
    NoParent,
    /// It will never have it.
    Rejected(String),
}

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockStatus {
    /// Its height.
    pub height: u32,
    /// 1 for the tip, more below it; negative for a block that is on a side branch.
    pub confirmations: i64,
}

/// What a daemon says to a block that is not solved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// Solved, it would be accepted.
    Good,
    /// It is not for the current tip, so nothing can be said.
    Stale,
    /// It would be rejected, for this reason.
    Bad(String),
}

/// "Block not found" and its like.
const INVALID_ADDRESS_OR_KEY: i64 = -5;

/// "Block decode failed": the same bytes will not do next time either.
const DESERIALIZATION_ERROR: i64 = -22;

/// How long `waitfornewblock` waits; the call may take a little more.
const WAIT: Duration = Duration::from_secs(30);

/// Longest handle of a long poll kept: it is a hash and a number.
const LONG_POLL_ID_LIMIT: usize = 256;

impl Bitcoind {
    pub(super) fn new(
        config: &Config,
        coin: &'static Coin,
        network: Network,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            rpc: Rpc::new(config)?,
            coin,
            network,
        })
    }

    /// Whether it runs on this machine, as far as its address tells.
    pub(super) fn is_on_loopback(&self) -> bool {
        self.rpc.is_on_loopback()
    }

    /// Closes connections that are idle.
    pub(super) fn hang_up(&self) {
        self.rpc.hang_up();
    }

    pub(super) async fn chain_info(&self) -> Result<ChainInfo, CallError> {
        self.rpc
            .call(Lane::Quick, "getblockchaininfo", json!([]))
            .await
    }

    pub(super) async fn network_info(&self) -> Result<NetworkInfo, CallError> {
        self.rpc
            .call(Lane::Quick, "getnetworkinfo", json!([]))
            .await
    }

    pub(super) async fn block_hash(&self, height: u32) -> Result<Hash, CallError> {
        self.rpc
            .call(Lane::Quick, "getblockhash", json!([height]))
            .await
    }

    pub(super) async fn header(&self, hash: Hash) -> Result<Header, CallError> {
        self.rpc
            .call(Lane::Quick, "getblockheader", json!([hash, true]))
            .await
    }

    /// Nothing if the daemon does not know the block.
    pub(super) async fn status(&self, hash: Hash) -> Result<Option<BlockStatus>, CallError> {
        match self.header(hash).await {
            Ok(header) => Ok(Some(BlockStatus {
                height: header.height,
                confirmations: header.confirmations,
            })),
            Err(CallError::Rpc {
                code: INVALID_ADDRESS_OR_KEY,
                ..
            }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether the daemon found the branch that ends with `hash` to be invalid.
    pub(super) async fn is_invalid_tip(&self, hash: Hash) -> Result<bool, CallError> {
        let tips: Vec<ChainTip> = self
            .rpc
            .call(Lane::Quick, "getchaintips", json!([]))
            .await?;
        Ok(tips
            .iter()
            .any(|tip| tip.hash == hash && tip.status == "invalid"))
    }

    pub(super) async fn zmq_notifications(&self) -> Result<Vec<ZmqNotification>, CallError> {
        self.rpc
            .call(Lane::Quick, "getzmqnotifications", json!([]))
            .await
    }

    /// The tip, once it is another one or half a minute has gone by.
    pub(super) async fn wait_for_new_block(&self) -> Result<NewBlock, CallError> {
        self.rpc
            .call(
                Lane::Wait,
                "waitfornewblock",
                json!([WAIT.as_secs() * 1000]),
            )
            .await
    }

    /// The template of the moment.
    pub(super) async fn template(&self) -> Result<Received, NoTemplate> {
        self.ask_template(Lane::Template, None).await
    }

    /// The next template that differs from the one with this handle.
    pub(super) async fn next_template(&self, long_poll_id: &str) -> Result<Received, NoTemplate> {
        self.ask_template(Lane::LongPoll, Some(long_poll_id)).await
    }

    async fn ask_template(
        &self,
        lane: Lane,
        long_poll_id: Option<&str>,
    ) -> Result<Received, NoTemplate> {
        let mut request = serde_json::Map::new();
        let rules = rules(self.coin, self.network);
        if !rules.is_empty() {
            request.insert("rules".to_owned(), json!(rules));
        }
        if let Some(id) = long_poll_id {
            request.insert("longpollid".to_owned(), json!(id));
        }
        let (coin, network) = (self.coin, self.network);
        self.rpc
            .call_with(lane, "getblocktemplate", [request], move |body| {
                let reply: BlockTemplate<'_> = parse(body)?;
                Ok(Received {
                    template: any_template(&reply, coin, network)?,
                    at: Instant::now(),
                    long_poll_id: reply
                        .long_poll_id
                        .filter(|id| id.len() <= LONG_POLL_ID_LIMIT)
                        .map(|id| id.as_ref().into()),
                })
            })
            .await
    }

    /// The id of the block before, out of the header in front of a block.
    pub(super) fn parent_of(&self, block: &str) -> Option<Hash> {
        parent_of(block, self.coin)
    }

    /// Sends a solved block.
    pub(super) async fn submit(&self, request: Bytes) -> Result<Submitted, CallError> {
        match self.rpc.send::<Option<String>>(Lane::Block, request).await {
            Ok(answer) => Ok(submitted(answer.as_deref())),
            Err(CallError::Rpc {
                code: DESERIALIZATION_ERROR,
                message,
            }) => Ok(Submitted::Rejected(message)),
            Err(failure) => Err(failure),
        }
    }

    /// Has a block checked that lacks only its proof of work.
    pub(super) async fn propose(&self, block: &str) -> Result<Proposal, CallError> {
        let request = json!([{
            "mode": "proposal", "data": block, "rules": rules(self.coin, self.network),
        }]);
        let answer: Option<String> = self
            .rpc
            .call(Lane::Template, "getblocktemplate", request)
            .await?;
        Ok(match answer.as_deref() {
            None | Some("duplicate") => Proposal::Good,
            Some("inconclusive-not-best-prevblk") => Proposal::Stale,
            Some(reason) => Proposal::Bad(cut(reason)),
        })
    }
}

/// The request that submits a block, made once and sent to every daemon as often as needed.
pub(super) fn submit_request(block: &str) -> Bytes {
    request(0, "submitblock", [block])
}

/// The id of the block before, out of the header in front of a block.
fn parent_of(block: &str, coin: &Coin) -> Option<Hash> {
    let mut parent = Hash::default();
    if coin.vision().is_some() {
        // Behind what a header begins with and its version; as it is printed.
        return block.get(16..80)?.parse().ok();
    }
    hex::decode_to_slice(block.get(8..72)?, &mut parent.0).ok()?;
    Some(parent)
}

/// What the answer to `submitblock` means (BIP 22).
fn submitted(answer: Option<&str>) -> Submitted {
    match answer {
        None | Some("duplicate") => Submitted::Accepted,
        Some(reason @ ("inconclusive" | "duplicate-inconclusive")) => {
            Submitted::Unclear(reason.to_owned())
        }
        Some("prev-blk-not-found") => Submitted::NoParent,
        Some(reason) => Submitted::Rejected(cut(reason)),
    }
}
