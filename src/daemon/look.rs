//! One look at a daemon, before it is followed: where it stands, and which wallets it has. Called by
//! `adit init`, which asks again whenever something does not answer.

use serde::Deserialize;
use serde_json::json;

use super::{
    config::Config,
    reply::ChainInfo,
    rpc::{CallError, Lane, Rpc, cut},
};

/// "Method not found".
const METHOD_NOT_FOUND: i64 = -32601;

/// What a daemon says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its chain, as `getblockchaininfo` calls it: `main`, `test`, ...
    pub chain: String,
    /// The height of its tip.
    pub height: u32,
    /// What it calls itself: `/Satoshi:29.0.0/`.
    pub agent: String,
}

#[derive(Deserialize)]
struct Agent {
    #[serde(default)]
    subversion: String,
}

/// Asks a daemon what it is. The outer error is a configuration that cannot be asked with.
pub async fn look(config: &Config) -> anyhow::Result<Result<Seen, CallError>> {
    let rpc = Rpc::new(config)?;
    let seen = async {
        let chain: ChainInfo = rpc
            .call(Lane::Quick, "getblockchaininfo", json!([]))
            .await?;
        let agent: Agent = rpc.call(Lane::Quick, "getnetworkinfo", json!([])).await?;
        Ok(Seen {
            chain: cut(&chain.chain),
            height: chain.blocks,
            agent: cut(&agent.subversion),
        })
    };
    Ok(seen.await)
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
