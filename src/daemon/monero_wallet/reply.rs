//! The replies of a Monero wallet, as far as they are read. Keys that are not here are passed over.

use pow::Hash;
use serde::Deserialize;

use super::{Sending, Unsent};
use crate::daemon::CallError;

/// Transactions of one batch: coins of more blocks than anybody pays out at once.
const TRANSACTIONS_MAX: usize = 64;
/// The bytes of a secret key, and the most keys of a transaction: one, and one for each of 16 outputs.
const KEY_LEN: usize = 32;
const KEYS_MAX: usize = 17;

/// `get_address`.
#[derive(Deserialize)]
pub(super) struct Address {
    pub(super) address: String,
}

/// `get_balance`.
#[derive(Deserialize)]
pub(super) struct Balance {
    pub(super) balance: u64,
    pub(super) unlocked_balance: u64,
}

/// `get_height`.
#[derive(Deserialize)]
pub(super) struct Height {
    pub(super) height: u64,
}

/// `relay_tx`.
#[derive(Deserialize)]
pub(super) struct Relayed {
    pub(super) tx_hash: Hash,
}

/// `check_tx_key`.
#[derive(Deserialize)]
pub(super) struct CheckedKey {
    pub(super) received: u64,
}

/// `transfer_split`: lists of the same length.
#[derive(Deserialize)]
pub(super) struct Made {
    #[serde(default)]
    tx_hash_list: Vec<Hash>,
    #[serde(default)]
    tx_key_list: Vec<String>,
    #[serde(default)]
    tx_blob_list: Vec<String>,
    #[serde(default)]
    tx_metadata_list: Vec<String>,
}

/// `get_transfers`.
#[derive(Deserialize)]
pub(super) struct Transfers {
    #[serde(default)]
    out: Vec<Transfer>,
    #[serde(default)]
    pending: Vec<Transfer>,
}

/// `get_transfer_by_txid`.
#[derive(Deserialize)]
pub(super) struct OneTransfer {
    pub(super) transfer: Transfer,
}

/// One of `get_transfers`.
#[derive(Deserialize)]
pub(super) struct Transfer {
    txid: Hash,
    /// 0 for what is in no block.
    #[serde(default)]
    height: u64,
    /// `out`, `pending`, `in`, `pool`, `failed` or `block`.
    #[serde(rename = "type")]
    kind: String,
}

impl Made {
    /// The transactions, each with all that is needed to send it and to prove what it pays.
    pub(super) fn transactions(self) -> Result<Vec<Unsent>, CallError> {
        let count = self.tx_hash_list.len();
        let odd = |what: &str| CallError::Malformed(format!("transfer_split gave {what}"));
        if count == 0 || count > TRANSACTIONS_MAX {
            return Err(odd(&format!("{count} transactions")));
        }
        let lengths = [
            self.tx_key_list.len(),
            self.tx_blob_list.len(),
            self.tx_metadata_list.len(),
        ];
        if lengths != [count; 3] {
            return Err(odd("lists of different lengths"));
        }
        let lists = self.tx_hash_list.into_iter().zip(self.tx_key_list);
        let lists = lists.zip(self.tx_blob_list).zip(self.tx_metadata_list);
        let unsent = lists.map(|(((id, keys), blob), metadata)| {
            let keys = hex::decode(keys).ok().filter(|keys| {
                let count = keys.len() / KEY_LEN;
                keys.len() % KEY_LEN == 0 && (1..=KEYS_MAX).contains(&count)
            });
            let keys = keys.ok_or_else(|| odd("a key that is none"))?;
            let blob = hex::decode(blob).map_err(|_| odd("a transaction that is none"))?;
            if blob.is_empty() || metadata.is_empty() {
                return Err(odd("a transaction without its bytes"));
            }
            if !metadata.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(odd("metadata that are none"));
            }
            Ok(Unsent {
                id,
                blob,
                keys,
                metadata,
            })
        });
        unsent.collect()
    }
}

impl Transfers {
    pub(super) fn sendings(self) -> Vec<Sending> {
        let all = self.out.into_iter().chain(self.pending);
        all.filter_map(Transfer::sending).collect()
    }
}

impl Transfer {
    /// Nothing if it came in, or was never taken.
    pub(super) fn sending(self) -> Option<Sending> {
        let height = match self.kind.as_str() {
            "out" => Some(self.height),
            "pending" => None,
            _ => return None,
        };
        Some(Sending {
            id: self.txid,
            height,
        })
    }
}
