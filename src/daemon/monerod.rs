//! The calls of Monero's daemon that a pool makes, typed; the answers are those of
//! [`bitcoind`](super::bitcoind).
//!
//! <https://docs.getmonero.org/rpc-library/monerod-rpc/> has them. Ids of blocks are
//! [`Hash`]es that print as the daemon prints them; see [`mining::cryptonote::id`].
//!
//! Unlike Core it says OK to a solved block that it dropped for want of its parent, to one beside its
//! chain and to one that it had: what became of a block is asked after it was sent. It tells that it is
//! not ready in three ways, an error -9, the status `BUSY` and `synchronized: false`, and all three mean
//! that it has not the whole chain.

pub(super) mod announcement;
mod reply;
mod template;
pub mod transactions;

use std::sync::Arc;

use axum::body::Bytes;
use mining::{
    AnyTemplate,
    coin::CryptoNoteRules,
    cryptonote::{Block, id},
};
use pow::Hash;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use self::reply::{BlockTemplate, Header as HeaderReply, HeaderOf, Info, result};
use super::{
    bitcoind::{BlockStatus, NoTemplate, Received, Submitted},
    config::Config,
    reply::{ChainInfo, Header, NetworkInfo},
    rpc::{CallError, Dialect, Lane, Rpc},
};

/// One daemon of this family.
#[derive(Debug)]
pub(super) struct Monerod {
    rpc: Rpc,
    rules: &'static CryptoNoteRules,
    /// Whom the blocks pay: it must be one that can be mined to, a wallet's first one.
    pays: String,
}

/// The bytes of each template that differ between jobs: a number of the instance, of the connection and of
/// the job find room in it.
pub(super) const RESERVE: usize = 16;

/// "Requested block height: … greater than current top block height".
const TOO_BIG_HEIGHT: i64 = -2;

/// "Internal error: can't get block by hash", and much else.
const INTERNAL_ERROR: i64 = -5;

/// "Wrong block blob": the same bytes will not do next time either.
const WRONG_BLOCK: i64 = -6;

/// "Block not accepted".
const NOT_ACCEPTED: i64 = -7;

/// "Block bloc size is too big, rejecting block".
const WRONG_BLOCK_SIZE: i64 = -8;

impl Monerod {
    /// A daemon of a coin with these rules, whose blocks pay to an address.
    pub(super) fn new(
        config: &Config,
        rules: &'static CryptoNoteRules,
        pays: &str,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            rpc: Rpc::monero(config)?,
            rules,
            pays: pays.to_owned(),
        })
    }

    /// Closes connections that are idle.
    pub(super) fn hang_up(&self) {
        self.rpc.hang_up();
    }

    pub(super) async fn chain_info(&self) -> Result<ChainInfo, CallError> {
        self.info().await?.chain()
    }

    /// Where it stands, and what it calls itself.
    pub(super) async fn introduction(&self) -> Result<(ChainInfo, String), CallError> {
        let info = self.info().await?;
        Ok((info.chain()?, info.agent()))
    }

    pub(super) async fn network_info(&self) -> Result<NetworkInfo, CallError> {
        self.info().await?.network()
    }

    /// The id of the block at a height.
    pub(super) async fn block_hash(&self, height: u32) -> Result<Hash, CallError> {
        let told: Result<Hash, _> = self
            .rpc
            .call(Lane::Quick, "on_get_block_hash", [height])
            .await;
        match told.map_err(reply::told)? {
            // 0.18.0 says so to a height above its tip.
            hash if hash == Hash::default() => Err(CallError::Rpc {
                code: TOO_BIG_HEIGHT,
                message: format!("no block at height {height}"),
            }),
            hash => Ok(hash),
        }
    }

    /// Of what [`Header`] has, this family has neither a median time nor `bits`: the one is the time
    /// itself here and the other is empty.
    pub(super) async fn header(&self, hash: Hash) -> Result<Header, CallError> {
        self.header_of(hash).await?.header()
    }

    /// Nothing if the daemon does not know the block.
    pub(super) async fn status(&self, hash: Hash) -> Result<Option<BlockStatus>, CallError> {
        match self.header(hash).await {
            Ok(header) => Ok(Some(BlockStatus {
                height: header.height,
                confirmations: header.confirmations,
            })),
            // The number alone says too little.
            Err(CallError::Rpc {
                code: INTERNAL_ERROR,
                message,
            }) if message.contains("get block by hash") => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether the daemon found the branch that ends with `hash` to be invalid. It keeps no such
    /// branch: a block that it knows may be in its chain one day.
    pub(super) async fn is_invalid_tip(&self, _hash: Hash) -> Result<bool, CallError> {
        Ok(false)
    }

    /// The template of the moment.
    pub(super) async fn template(&self) -> Result<Received, NoTemplate> {
        let params = json!({ "wallet_address": self.pays, "reserve_size": RESERVE });
        let rules = self.rules;
        let received = self
            .rpc
            .call_with(Lane::Template, "get_block_template", params, move |body| {
                let reply: BlockTemplate<'_> = result(body)?;
                Ok::<_, NoTemplate>(Received {
                    template: AnyTemplate::CryptoNote(Arc::new(template::template(
                        &reply, RESERVE, rules,
                    )?)),
                    at: Instant::now(),
                    long_poll_id: None,
                })
            })
            .await;
        received.map_err(|failure| match failure {
            NoTemplate::Call(call) => NoTemplate::Call(reply::told(call)),
            refused @ NoTemplate::Refused(_) => refused,
        })
    }

    /// Sends a solved block and asks what became of it: the daemon's own answer does not say. `hash` is
    /// the block's id.
    pub(super) async fn submit(&self, request: Bytes, hash: Hash) -> Result<Submitted, CallError> {
        let sent = self.rpc.send::<reply::Standing>(Lane::Block, request).await;
        match sent.and_then(|standing| standing.check()) {
            Ok(()) => Ok(match self.status(hash).await? {
                Some(status) => known(status),
                // It is kept nowhere: its parent is not there.
                None => Submitted::NoParent,
            }),
            Err(CallError::Rpc {
                code: NOT_ACCEPTED,
                message,
            }) => Ok(match self.status(hash).await? {
                // A peer was faster than we.
                Some(status) => known(status),
                None => Submitted::Rejected(message),
            }),
            Err(CallError::Rpc {
                code: WRONG_BLOCK | WRONG_BLOCK_SIZE,
                message,
            }) => Ok(Submitted::Rejected(message)),
            Err(failure) => Err(reply::told(failure)),
        }
    }

    async fn info(&self) -> Result<Info, CallError> {
        info(&self.rpc).await
    }

    async fn header_of(&self, hash: Hash) -> Result<HeaderReply, CallError> {
        let params = json!({ "hash": hash });
        let reply: HeaderOf = self.call("get_block_header_by_hash", params).await?;
        if reply.block_header.hash != hash {
            let other = format!(
                "the header of {} in place of {hash}",
                reply.block_header.hash
            );
            return Err(CallError::Malformed(other));
        }
        Ok(reply.block_header)
    }

    async fn call<T>(&self, method: &str, params: serde_json::Value) -> Result<T, CallError>
    where
        T: for<'de> Deserialize<'de> + Send + 'static,
    {
        call(&self.rpc, method, params).await
    }
}

async fn info(rpc: &Rpc) -> Result<Info, CallError> {
    call(rpc, "get_info", json!({})).await
}

async fn call<T>(rpc: &Rpc, method: &str, params: serde_json::Value) -> Result<T, CallError>
where
    T: for<'de> Deserialize<'de> + Send + 'static,
{
    rpc.call_with(Lane::Quick, method, params, |body| result::<T>(body))
        .await
        .map_err(reply::told)
}

/// The template in a reply, or why there is none.
#[cfg(fuzzing)]
pub(super) fn read_template(
    body: &[u8],
    reserve: usize,
    rules: &CryptoNoteRules,
) -> Result<mining::cryptonote::Template, String> {
    let reply: BlockTemplate<'_> = result(body).map_err(|failure| failure.to_string())?;
    template::template(&reply, reserve, rules).map_err(|refused| refused.to_string())
}

/// The request that submits a block, made once and sent to every daemon as often as needed.
pub(super) fn submit_request(block: &str) -> Bytes {
    Dialect::Monero.request(0, "submit_block", [block])
}

/// The id of the block before, out of a block's bytes.
pub(super) fn parent_of(block: &str) -> Option<Hash> {
    let block = Block::parse(&hex::decode(block).ok()?).ok()?;
    Some(id::of_bytes(block.previous))
}

/// A block that the daemon has.
fn known(status: BlockStatus) -> Submitted {
    if status.confirmations > 0 {
        Submitted::Accepted
    } else {
        Submitted::Unclear("it is beside the chain".to_owned())
    }
}
