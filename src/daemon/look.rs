//! One look at a daemon, before it is followed: where it stands, whether it could be mined with, and which
//! wallets it has. Called by `adit init`, which asks again whenever something does not answer.

use std::time::Duration;

use anyhow::Context as _;
use mining::{Coin, Network};
use serde::Deserialize;
use serde_json::json;

use super::{
    check::{Expected, Facts},
    client::Client,
    config::Config,
    monerod::Monerod,
    reply::ChainInfo,
    rpc::{CallError, Lane, Rpc, cut},
};

/// "Method not found".
const METHOD_NOT_FOUND: i64 = -32601;

/// What a daemon says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its chain, as its family calls it: `main`, `test`, `mainnet`, ...
    pub chain: String,
    /// The height of its tip.
    pub height: u32,
    /// What it calls itself: `/Satoshi:29.0.0/`, `monerod 0.18.4.2`.
    pub agent: String,
}

#[derive(Deserialize)]
struct Agent {
    #[serde(default)]
    subversion: String,
}

/// Asks a daemon of the coin's family what it is. The outer error is a configuration that cannot be asked
/// with.
pub async fn look(config: &Config, coin: &'static Coin) -> anyhow::Result<Result<Seen, CallError>> {
    let told = match coin.cryptonote() {
        None => core(&Rpc::new(config)?).await,
        // Only templates need to know whom they pay.
        Some(rules) => Monerod::new(config, rules, "")?.introduction().await,
    };
    Ok(told.map(|(chain, agent)| Seen {
        chain: cut(&chain.chain),
        height: chain.blocks,
        agent: cut(&agent),
    }))
}

async fn core(rpc: &Rpc) -> Result<(ChainInfo, String), CallError> {
    let chain = rpc
        .call(Lane::Quick, "getblockchaininfo", json!([]))
        .await?;
    let agent: Agent = rpc.call(Lane::Quick, "getnetworkinfo", json!([])).await?;
    Ok((chain, agent.subversion))
}

/// The height of a daemon that may be mined with as far as that shows without a template: Monero's makes
/// none before it is told whom to pay. The error says why not.
pub async fn ready(config: &Config, coin: &'static Coin, network: Network) -> anyhow::Result<u32> {
    let rules = coin
        .on(network)
        .with_context(|| format!("{} has no network {network}", coin.name))?;
    let client = Client::new(config, coin, network, "")?;
    let chain = client.chain_info().await?;
    let told = client.network_info().await?;
    let genesis = client.block_hash(0).await?;
    let tip = client.header(chain.best).await?;
    let facts = Facts {
        chain: &chain,
        network: &told,
        genesis,
        // It is looked at once: whoever catches up for longer is in initial download.
        behind_headers: Duration::ZERO,
        tip_time: Some(tip.time),
        now: crate::clock::now_s(),
    };
    Expected::new(coin, rules, config.min_peers).check(facts)?;
    Ok(chain.blocks)
}

/// The names of the wallets it has loaded. A daemon that knows no names has one without a name, or
/// none.
pub async fn wallets(config: &Config) -> anyhow::Result<Vec<String>> {
    let rpc = Rpc::new(config)?;
    let not_found = |failure: &CallError| matches!(failure, CallError::Rpc { code, .. } if *code == METHOD_NOT_FOUND);
    match rpc.call(Lane::Quick, "listwallets", json!([])).await {
        Ok(names) => return Ok(names),
        Err(failure) if not_found(&failure) => {}
        Err(failure) => return Err(failure.into()),
    }
    let info: Result<serde_json::Value, CallError> =
        rpc.call(Lane::Quick, "getwalletinfo", json!([])).await;
    match info {
        Ok(_) => Ok(vec![String::new()]),
        Err(failure) if not_found(&failure) => Ok(Vec::new()),
        Err(failure) => Err(failure.into()),
    }
}
