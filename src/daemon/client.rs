//! A daemon of either family, behind the calls that a pool makes. What only one of them has is an error
//! or nothing with the other.

use axum::body::Bytes;
use mining::{Coin, Network};
use pow::Hash;

use super::{
    bitcoind::{self, Bitcoind, BlockStatus, NoTemplate, Proposal, Received, Submitted},
    config::Config,
    monerod::{self, Monerod, announcement::CHAIN_MAIN},
    notify::{HASHBLOCK, Publication},
    reply::{ChainInfo, Header, NetworkInfo},
    rpc::CallError,
};

/// The client of one daemon.
#[derive(Debug)]
pub(super) enum Client {
    Bitcoind(Bitcoind),
    Monerod(Monerod),
}

impl Client {
    /// Where the daemon makes the coinbases, they pay `pays`.
    pub(super) fn new(
        config: &Config,
        coin: &'static Coin,
        network: Network,
        pays: &str,
    ) -> anyhow::Result<Self> {
        Ok(match coin.cryptonote() {
            None => Self::Bitcoind(Bitcoind::new(config, coin, network)?),
            Some(rules) => Self::Monerod(Monerod::new(config, rules, pays)?),
        })
    }

    /// Bitcoin's, which alone tells of news by calls that wait.
    pub(super) fn bitcoind(&self) -> Option<&Bitcoind> {
        match self {
            Self::Bitcoind(bitcoind) => Some(bitcoind),
            Self::Monerod(_) => None,
        }
    }

    /// What it publishes of new tips.
    pub(super) fn publication(&self) -> Publication {
        match self {
            Self::Bitcoind(_) => HASHBLOCK,
            Self::Monerod(_) => CHAIN_MAIN,
        }
    }

    /// Closes connections that are idle.
    pub(super) fn hang_up(&self) {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.hang_up(),
            Self::Monerod(monerod) => monerod.hang_up(),
        }
    }

    pub(super) async fn chain_info(&self) -> Result<ChainInfo, CallError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.chain_info().await,
            Self::Monerod(monerod) => monerod.chain_info().await,
        }
    }

    pub(super) async fn network_info(&self) -> Result<NetworkInfo, CallError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.network_info().await,
            Self::Monerod(monerod) => monerod.network_info().await,
        }
    }

    pub(super) async fn block_hash(&self, height: u32) -> Result<Hash, CallError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.block_hash(height).await,
            Self::Monerod(monerod) => monerod.block_hash(height).await,
        }
    }

    pub(super) async fn header(&self, hash: Hash) -> Result<Header, CallError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.header(hash).await,
            Self::Monerod(monerod) => monerod.header(hash).await,
        }
    }

    /// Nothing if the daemon does not know the block.
    pub(super) async fn status(&self, hash: Hash) -> Result<Option<BlockStatus>, CallError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.status(hash).await,
            Self::Monerod(monerod) => monerod.status(hash).await,
        }
    }

    /// Whether the daemon found the branch that ends with `hash` to be invalid.
    pub(super) async fn is_invalid_tip(&self, hash: Hash) -> Result<bool, CallError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.is_invalid_tip(hash).await,
            Self::Monerod(monerod) => monerod.is_invalid_tip(hash).await,
        }
    }

    /// The template of the moment.
    pub(super) async fn template(&self) -> Result<Received, NoTemplate> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.template().await,
            Self::Monerod(monerod) => monerod.template().await,
        }
    }

    /// The request that submits a block, made once and sent to every daemon as often as needed.
    pub(super) fn submit_request(&self, block: &str) -> Bytes {
        match self {
            Self::Bitcoind(_) => bitcoind::submit_request(block),
            Self::Monerod(_) => monerod::submit_request(block),
        }
    }

    /// Sends a solved block of this id.
    pub(super) async fn submit(&self, request: Bytes, hash: Hash) -> Result<Submitted, CallError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.submit(request).await,
            Self::Monerod(monerod) => monerod.submit(request, hash).await,
        }
    }

    /// The id of the block before, out of a block in hexadecimal.
    pub(super) fn parent_of(&self, block: &str) -> Option<Hash> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.parent_of(block),
            Self::Monerod(_) => monerod::parent_of(block),
        }
    }

    /// Has a block checked that lacks only its proof of work. CryptoNote's daemons check none: nothing
    /// can be said.
    pub(super) async fn propose(&self, block: &str) -> Result<Proposal, CallError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.propose(block).await,
            Self::Monerod(_) => Ok(Proposal::Stale),
        }
    }
}
