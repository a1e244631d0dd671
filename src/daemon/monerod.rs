//! The calls of monerod that a pool makes, typed.

use axum::body::Bytes;
use mining::{Coin, Network};
use pow::Hash;

use super::{
    bitcoind::{BlockStatus, NoTemplate, Received, Submitted},
    config::Config,
    reply::{ChainInfo, Header, NetworkInfo},
    rpc::CallError,
};

#[derive(Debug)]
pub(super) struct Monerod;

impl Monerod {
    pub(super) fn new(_: &Config, _: &'static Coin, _: Network) -> anyhow::Result<Self> {
        anyhow::bail!("not yet")
    }
    pub(super) fn hang_up(&self) {}
    pub(super) async fn chain_info(&self) -> Result<ChainInfo, CallError> {
        Err(CallError::Malformed(String::new()))
    }
    pub(super) async fn network_info(&self) -> Result<NetworkInfo, CallError> {
        Err(CallError::Malformed(String::new()))
    }
    pub(super) async fn block_hash(&self, _: u32) -> Result<Hash, CallError> {
        Err(CallError::Malformed(String::new()))
    }
    pub(super) async fn header(&self, _: Hash) -> Result<Header, CallError> {
        Err(CallError::Malformed(String::new()))
    }
    pub(super) async fn status(&self, _: Hash) -> Result<Option<BlockStatus>, CallError> {
        Err(CallError::Malformed(String::new()))
    }
    pub(super) async fn is_invalid_tip(&self, _: Hash) -> Result<bool, CallError> {
        Err(CallError::Malformed(String::new()))
    }
    pub(super) async fn template(&self) -> Result<Received, NoTemplate> {
        Err(CallError::Malformed(String::new()).into())
    }
    pub(super) async fn submit(&self, _: Bytes) -> Result<Submitted, CallError> {
        Err(CallError::Malformed(String::new()))
    }
}
pub(super) fn submit_request(_: &str) -> Bytes {
    Bytes::new()
}
