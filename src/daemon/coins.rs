//! Coins as a daemon without a wallet knows them: which there are for a descriptor, whether one is
//! still there, and what the chain wants for a transaction.
//!
//! Called by `payout`. The calls are those that Bitcoin Core and Litecoin Core share:
//! <https://developer.bitcoin.org/reference/rpc/>. Dogecoin Core has no `scantxoutset`.

use bitcoin::{OutPoint, ScriptBuf, Txid};
use mining::{Amount, Coin};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    config::Config,
    rpc::{CallError, Lane, Rpc},
    wallet::{self, Sent, coins_of_json},
};

/// The daemon scans already.
const BUSY: i64 = -8;
/// Blocks within which a payment is to be in the chain, for the estimate of its fee.
const TARGET: u32 = 6;
/// A daemon takes no wider range of a descriptor at once: less than a million.
const RANGE_MAX: u32 = 999_999;

/// A daemon, asked for coins.
#[derive(Debug)]
pub struct Coins {
    rpc: Rpc,
    coin: &'static Coin,
}

/// A coin in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub outpoint: OutPoint,
    /// Who can spend it.
    pub script: ScriptBuf,
    /// What it has.
    pub amount: Amount,
}

/// A coin that is not spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unspent {
    /// Who can spend it.
    pub script: ScriptBuf,
    /// What it has.
    pub amount: Amount,
    /// Blocks that confirm it; none if it waits for one.
    pub confirmations: u32,
    /// Whether it has to mature.
    pub coinbase: bool,
}

#[derive(Deserialize)]
struct Scanned {
    success: bool,
    bestblock: Option<String>,
    unspents: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    txid: Txid,
    vout: u32,
    script_pub_key: String,
    amount: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TxOut {
    confirmations: u32,
    value: Box<RawValue>,
    script_pub_key: Script,
    coinbase: bool,
}

#[derive(Deserialize)]
struct Script {
    hex: String,
}

#[derive(Deserialize)]
struct Estimate {
    feerate: Option<Box<RawValue>>,
}

impl Coins {
    /// Those of a daemon.
    pub fn new(config: &Config, coin: &'static Coin) -> anyhow::Result<Self> {
        Ok(Self {
            rpc: Rpc::new(config)?,
            coin,
        })
    }

    /// All coins in blocks of a public descriptor, with the newest block at that time. With `last` it
    /// is one of a range, and its scripts 0 to `last` are looked for. The daemon reads all there is:
    /// minutes, on a large chain. Nothing if it scans already.
    pub async fn scan(
        &self,
        descriptor: &str,
        last: Option<u32>,
    ) -> Result<Option<(Vec<Found>, String)>, CallError> {
        let objects: Vec<serde_json::Value> = match last {
            None => vec![json!({"desc": descriptor})],
            Some(last) => (0..=last)
                .step_by(usize::try_from(RANGE_MAX).unwrap_or(usize::MAX))
                .map(|first| {
                    let until = last.min(first.saturating_add(RANGE_MAX - 1));
                    json!({"desc": descriptor, "range": [first, until]})
                })
                .collect(),
        };
        let params = json!(["start", objects]);
        let scanned: Result<Scanned, CallError> =
            self.rpc.call(Lane::Scan, "scantxoutset", params).await;
        let scanned = match scanned {
            Err(CallError::Rpc {
                code: BUSY,
                message,
            }) if message.contains("already in progress") => return Ok(None),
            other => other?,
        };
        if !scanned.success {
            return Err(CallError::Malformed("the scan was aborted".into()));
        }
        let newest_block = scanned
            .bestblock
            .ok_or_else(|| CallError::Malformed("a scan without its block".into()))?;
        let found = scanned.unspents.into_iter().map(|listed| {
            Ok(Found {
                outpoint: OutPoint::new(listed.txid, listed.vout),
                script: script(&listed.script_pub_key)?,
                amount: self.amount(&listed.amount)?,
            })
        });
        Ok(Some((
            found.collect::<Result<_, CallError>>()?,
            newest_block,
        )))
    }

    /// The coin, unless it is spent, be it by a transaction that waits for a block, or was never
    /// there.
    pub async fn unspent(&self, outpoint: &OutPoint) -> Result<Option<Unspent>, CallError> {
        let params = json!([outpoint.txid, outpoint.vout, true]);
        // A null is an answer.
        let told: Option<TxOut> = self.rpc.call(Lane::Quick, "gettxout", params).await?;
        told.map(|told| {
            Ok(Unspent {
                script: script(&told.script_pub_key.hex)?,
                amount: self.amount(&told.value)?,
                confirmations: told.confirmations,
                coinbase: told.coinbase,
            })
        })
        .transpose()
    }

    /// What the chain gets for a thousand virtual bytes, as the daemon has seen it; nothing if it has
    /// not seen enough.
    pub async fn fee_rate(&self) -> Result<Option<Amount>, CallError> {
        let params = json!([TARGET]);
        let told: Estimate = self
            .rpc
            .call(Lane::Quick, "estimatesmartfee", params)
            .await?;
        told.feerate.map(|rate| self.amount(&rate)).transpose()
    }

    /// Sends the bytes of a transaction. The same bytes can be sent as often as needed.
    pub async fn send(&self, raw: &[u8]) -> Result<Sent, CallError> {
        wallet::send(&self.rpc, raw).await
    }

    fn amount(&self, told: &RawValue) -> Result<Amount, CallError> {
        coins_of_json(told.get(), self.coin.decimals)
            .ok_or_else(|| CallError::Malformed("an amount that is none".into()))
    }
}

fn script(hex: &str) -> Result<ScriptBuf, CallError> {
    ScriptBuf::from_hex(hex).map_err(|_| CallError::Malformed("a script that is none".into()))
}
