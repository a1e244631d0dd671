//! `monero-wallet-rpc`, for payouts: it chooses coins and signs, and relays what is given to it. It is
//! never told to make and send in one go, as nobody could tell afterwards whether it did: it forgets
//! what it has relayed if it is killed before it has stored that.
//!
//! Called by `payout`. The wallet is one that the operator has opened (`--wallet-file`), and it is asked
//! one thing at a time: while it reads blocks it answers nobody. The calls:
//! <https://docs.getmonero.org/rpc-library/wallet-rpc/>.

mod error;
mod reply;

use mining::Amount;
use pow::Hash;
use serde::Deserialize;
use serde_json::{Value, json};

pub use self::error::WalletError;
use self::reply::{Address, Balance, CheckedKey, Height, Made, OneTransfer, Relayed, Transfers};
use super::{
    CallError, Config, Secret,
    rpc::{Lane, Rpc},
    wallet::{self, Holdings, SignError},
};

/// The account that is paid from, and where blocks are paid to.
const ACCOUNT: u32 = 0;

/// A wallet.
#[derive(Debug)]
pub struct MoneroWallet {
    rpc: Rpc,
}

/// A transaction that the wallet has made and not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// Its id, as the wallet says.
    pub id: Hash,
    /// Its bytes.
    pub blob: Vec<u8>,
    /// Its secret keys, 32 bytes each.
    pub keys: Vec<u8>,
    /// By which a wallet relays it and remembers it, in hexadecimal.
    pub metadata: String,
}

/// A transaction that the wallet has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Its id.
    pub id: Hash,
    /// The height of its block; nothing if it is in none.
    pub height: Option<u64>,
}

/// What is known of an address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Validated {
    /// Whether it can be paid on the wallet's network.
    pub valid: bool,
    /// Whether it has a payment id.
    #[serde(default)]
    pub integrated: bool,
    /// Whether it is a subaddress.
    #[serde(default)]
    pub subaddress: bool,
    /// `mainnet`, `stagenet` or `testnet`.
    #[serde(default)]
    pub nettype: String,
}

impl MoneroWallet {
    /// The wallet that is open at this RPC.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            rpc: Rpc::monero(config)?,
        })
    }

    /// The version of its RPC: the first number times 65,536, and the second.
    pub async fn version(&self) -> Result<u32, WalletError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let told: Version = self.call(Lane::Quick, "get_version", json!({})).await?;
        Ok(told.version)
    }

    /// Its first address.
    pub async fn address(&self) -> Result<String, WalletError> {
        let params = json!({"account_index": ACCOUNT, "address_index": [0]});
        let told: Address = self.call(Lane::Quick, "get_address", params).await?;
        Ok(told.address)
    }

    /// What it knows of an address.
    pub async fn validate(&self, address: &str) -> Result<Validated, WalletError> {
        let params = json!({"address": address});
        self.call(Lane::Quick, "validate_address", params).await
    }

    /// What it has.
    pub async fn holdings(&self) -> Result<Holdings, WalletError> {
        let params = json!({"account_index": ACCOUNT});
        let told: Balance = self.call(Lane::Quick, "get_balance", params).await?;
        Ok(Holdings {
            all: Amount::from_units(told.balance),
            unlocked: Amount::from_units(told.unlocked_balance),
        })
    }

    /// The height up to which it has read the chain: the number of blocks.
    pub async fn height(&self) -> Result<u64, WalletError> {
        let told: Height = self.call(Lane::Quick, "get_height", json!({})).await?;
        Ok(told.height)
    }

    /// Reads the blocks that it does not know yet.
    pub async fn refresh(&self) -> Result<(), WalletError> {
        let _: Value = self.call(Lane::Transfer, "refresh", json!({})).await?;
        Ok(())
    }

    /// Writes down what it knows. Until then a wallet that is killed forgets what it has relayed.
    pub async fn store(&self) -> Result<(), WalletError> {
        let _: Value = self.call(Lane::Transfer, "store", json!({})).await?;
        Ok(())
    }

    /// Has transactions made that pay all of these together, each in full; one, unless it takes more
    /// coins than one can have. Nothing is sent, and the wallet keeps nothing of it: it uses the same
    /// coins the next time. `priority` is 0 to 4, where 0 is its own choice.
    ///
    /// What comes back is not checked: see `mining::cryptonote::payment`.
    pub async fn make(
        &self,
        payments: &[(&str, Amount)],
        priority: u8,
    ) -> Result<Vec<Unsent>, WalletError> {
        let destination = |(address, amount): &(&str, Amount)| json!({"address": address, "amount": amount.units()});
        let destinations: Vec<Value> = payments.iter().map(destination).collect();
        let params = json!({
            "destinations": destinations,
            "account_index": ACCOUNT,
            "priority": priority,
            "do_not_relay": true,
            "get_tx_keys": true,
            "get_tx_hex": true,
            "get_tx_metadata": true,
        });
        let made: Made = self.call(Lane::Transfer, "transfer_split", params).await?;
        Ok(made.transactions()?)
    }

    /// Sends a transaction by what the wallet has once given with it. The same can be sent as often as
    /// needed, while it is in no block.
    pub async fn relay(&self, metadata: &str) -> Result<Hash, WalletError> {
        let params = json!({"hex": metadata});
        let told: Relayed = self.call(Lane::Transfer, "relay_tx", params).await?;
        Ok(told.tx_hash)
    }

    /// What it has sent, in blocks from a height on and in none yet, by its own history.
    pub async fn sent_since(&self, height: u64) -> Result<Vec<Sending>, WalletError> {
        let mut params = json!({
            "out": true,
            "pending": true,
            "account_index": ACCOUNT,
        });
        if let Some(above) = height.checked_sub(1) {
            // It gives what is above, not what is at the height.
            params["filter_by_height"] = json!(true);
            params["min_height"] = json!(above);
        }
        let told: Transfers = self.call(Lane::Transfer, "get_transfers", params).await?;
        Ok(told.sendings())
    }

    /// A transaction that it has sent; nothing if it knows none of this id.
    pub async fn sending(&self, id: Hash) -> Result<Option<Sending>, WalletError> {
        let params = json!({"txid": id, "account_index": ACCOUNT});
        let told: Result<OneTransfer, WalletError> =
            self.call(Lane::Quick, "get_transfer_by_txid", params).await;
        match told {
            Ok(told) => Ok(told.transfer.sending()),
            Err(WalletError::UnknownTransaction) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// What an address has got from a transaction that the wallet's daemon knows, as the transaction's
    /// secret keys prove; for those who ask whether they were paid.
    pub async fn received(
        &self,
        id: Hash,
        keys: &[u8],
        address: &str,
    ) -> Result<Amount, WalletError> {
        let params = json!({"txid": id, "tx_key": hex::encode(keys), "address": address});
        let told: CheckedKey = self.call(Lane::Quick, "check_tx_key", params).await?;
        Ok(Amount::from_units(told.received))
    }

    /// Keeps it from using a coin for anything else, or lets it use that again.
    pub async fn freeze(&self, key_image: &[u8; 32], frozen: bool) -> Result<(), WalletError> {
        let method = if frozen { "freeze" } else { "thaw" };
        let params = json!({"key_image": hex::encode(key_image)});
        let _: Value = self.call(Lane::Quick, method, params).await?;
        Ok(())
    }

    /// Whether anybody who reaches it can have it sign.
    pub async fn is_exposed(&self) -> Result<bool, CallError> {
        wallet::is_exposed(&self.rpc, "get_version").await
    }

    /// Anything, for tests.
    #[cfg(test)]
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Result<Value, WalletError> {
        self.call(Lane::Transfer, method, params).await
    }

    async fn call<T: for<'de> Deserialize<'de> + Send + 'static>(
        &self,
        lane: Lane,
        method: &str,
        params: Value,
    ) -> Result<T, WalletError> {
        Ok(self.rpc.call(lane, method, params).await?)
    }
}

/// The settings of a wallet's RPC at a URL.
pub fn config(url: &str, user: Option<&str>, password: Option<&Secret>) -> Config {
    let mut config = Config::at(url);
    config.user = user.map(str::to_owned);
    config.password = password.cloned();
    config
}

impl From<WalletError> for SignError {
    fn from(failure: WalletError) -> Self {
        match failure {
            WalletError::Address(why) => Self::Address(why),
            WalletError::Call(failure) => Self::Call(failure),
            other => Self::Refused(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
