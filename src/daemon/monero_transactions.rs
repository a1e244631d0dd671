//! Transactions as Monero's daemon knows them: where one is, which coins are spent, and whether it takes
//! another.
//!
//! Called by `payout`, which asks the daemon and not the wallet what became of a payment: a wallet
//! forgets. The calls: <https://docs.getmonero.org/rpc-library/monerod-rpc/>.

use mining::cryptonote::transaction::key_images;
use pow::Hash;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    config::Config,
    rpc::{CallError, Lane, Rpc, cut, plain},
    wallet::Sent,
};

/// A daemon that is open to all answers for no more at once.
const ASKED_AT_ONCE: usize = 100;

/// A daemon, asked for transactions.
#[derive(Debug)]
pub struct MoneroTransactions {
    rpc: Rpc,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The daemon does not know it.
    Nowhere,
    /// It waits for a block.
    Pool,
    /// In a block with so many confirmations, 1 for the newest.
    Block(u32),
}

/// A transaction that the daemon knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: Hash,
    /// Where it is.
    pub place: Place,
    /// What the coins that it spends are known by.
    pub key_images: Vec<[u8; 32]>,
}

/// What became of a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coin {
    /// Nothing has spent it.
    Unspent,
    /// A transaction in a block has.
    SpentInBlock,
    /// One that waits for a block has.
    SpentInPool,
}

#[derive(Deserialize)]
struct Transactions {
    #[serde(default)]
    txs: Vec<Listed>,
    status: String,
}

#[derive(Deserialize)]
struct Listed {
    tx_hash: Hash,
    in_pool: bool,
    #[serde(default)]
    block_height: Option<u64>,
    #[serde(default)]
    confirmations: Option<u64>,
    #[serde(default)]
    as_hex: String,
    #[serde(default)]
    pruned_as_hex: String,
}

#[derive(Deserialize)]
struct Height {
    height: u64,
}

#[derive(Deserialize)]
struct Spent {
    #[serde(default)]
    spent_status: Vec<u8>,
    status: String,
}

/// `send_raw_transaction`: why it was not taken, as flags.
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
    overspend: bool,
    #[serde(default)]
    too_big: bool,
}

impl MoneroTransactions {
    /// Those of a daemon.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            rpc: Rpc::monero(config)?,
        })
    }

    /// Where each of these is, in their order.
    pub async fn places(&self, ids: &[Hash]) -> Result<Vec<Place>, CallError> {
        let known = self.known(ids).await?;
        let place = |id: &Hash| {
            let found = known.iter().find(|known| known.id == *id);
            found.map_or(Place::Nowhere, |known| known.place)
        };
        Ok(ids.iter().map(place).collect())
    }

    /// Those of these that it knows.
    pub async fn known(&self, ids: &[Hash]) -> Result<Vec<Known>, CallError> {
        let mut found = Vec::with_capacity(ids.len());
        let mut blocks = None;
        for ids in ids.chunks(ASKED_AT_ONCE) {
            let params = json!({"txs_hashes": ids, "decode_as_json": false, "prune": true});
            let told: Transactions = self
                .ask(Lane::Template, "/get_transactions", params)
                .await?;
            ok(&told.status)?;
            for listed in told.txs {
                let place = match (listed.in_pool, listed.block_height, listed.confirmations) {
                    (true, ..) => Place::Pool,
                    (_, _, Some(confirmations)) => Place::Block(depth(confirmations)),
                    (_, Some(height), None) => {
                        // Older daemons leave that to us.
                        let blocks = match blocks {
                            Some(blocks) => blocks,
                            None => *blocks.insert(self.blocks().await?),
                        };
                        Place::Block(depth(blocks.saturating_sub(height)))
                    }
                    (false, None, None) => {
                        let odd = "a transaction that is nowhere";
                        return Err(CallError::Malformed(odd.into()));
                    }
                };
                found.push(Known {
                    id: listed.tx_hash,
                    place,
                    key_images: listed.key_images()?,
                });
            }
        }
        Ok(found)
    }

    /// What became of each of these coins, in their order.
    pub async fn coins(&self, key_images: &[[u8; 32]]) -> Result<Vec<Coin>, CallError> {
        let images: Vec<String> = key_images.iter().map(hex::encode).collect();
        let params = json!({"key_images": images});
        let told: Spent = self.ask(Lane::Quick, "/is_key_image_spent", params).await?;
        ok(&told.status)?;
        if told.spent_status.len() != key_images.len() {
            return Err(CallError::Malformed("not one answer for each coin".into()));
        }
        let coin = |status: &u8| match status {
            0 => Ok(Coin::Unspent),
            1 => Ok(Coin::SpentInBlock),
            2 => Ok(Coin::SpentInPool),
            other => Err(CallError::Malformed(format!("a coin in state {other}"))),
        };
        told.spent_status.iter().map(coin).collect()
    }

    /// Sends the bytes of a transaction. The same bytes can be sent as often as needed, while it is in
    /// no block.
    pub async fn send(&self, blob: &[u8]) -> Result<Sent, CallError> {
        let params = json!({
            "tx_as_hex": hex::encode(blob),
            "do_not_relay": false,
            "do_sanity_checks": false,
        });
        let told: Taken = self
            .ask(Lane::Block, "/send_raw_transaction", params)
            .await?;
        if told.status == "BUSY" {
            return Err(CallError::InitialDownload("it fetches the chain".into()));
        }
        if told.status == "OK" {
            return Ok(Sent::Taken);
        }
        let flags = [
            (told.double_spend, "its coins are spent"),
            (told.fee_too_low, "its fee is too low"),
            (told.invalid_input, "an input is not valid"),
            (told.invalid_output, "an output is not valid"),
            (told.overspend, "it pays more than it spends"),
            (told.too_big, "it is too large"),
        ];
        let said = flags
            .iter()
            .filter(|(is_so, _)| *is_so)
            .map(|(_, why)| *why);
        let mut why: Vec<&str> = said.collect();
        let reason = cut(&told.reason);
        if !reason.is_empty() || why.is_empty() {
            why.push(&reason);
        }
        let why = why.join("; ");
        Ok(match told.double_spend {
            true => Sent::InputsGone(why),
            false => Sent::Refused(why),
        })
    }

    /// How many blocks there are.
    pub async fn blocks(&self) -> Result<u64, CallError> {
        let told: Height = self.ask(Lane::Quick, "/get_height", json!({})).await?;
        Ok(told.height)
    }

    async fn ask<T: DeserializeOwned + Send + 'static>(
        &self,
        lane: Lane,
        path: &str,
        params: Value,
    ) -> Result<T, CallError> {
        let read = |body: &[u8]| plain(body);
        self.rpc.ask_with(lane, path, params, read).await
    }
}

impl Listed {
    fn key_images(&self) -> Result<Vec<[u8; 32]>, CallError> {
        let text = match self.pruned_as_hex.is_empty() {
            true => &self.as_hex,
            false => &self.pruned_as_hex,
        };
        let bytes = hex::decode(text).ok();
        let images = bytes.and_then(|bytes| key_images(&bytes).ok());
        images.ok_or_else(|| CallError::Malformed("a transaction that is none".into()))
    }
}

fn depth(confirmations: u64) -> u32 {
    // In a block it has one at least, even if the daemon has just gone back a block.
    u32::try_from(confirmations).unwrap_or(u32::MAX).max(1)
}

fn ok(status: &str) -> Result<(), CallError> {
    match status {
        "OK" => Ok(()),
        "BUSY" => Err(CallError::InitialDownload("it fetches the chain".into())),
        other => Err(CallError::Malformed(format!("status {}", cut(other)))),
    }
}
