//! What a pool pays from: a wallet that signs, one whose key is elsewhere, or a key of its own. Called
//! by `payout`.
//!
//! Whatever makes a transaction, its outputs were compared with what is to be paid, and its fee is
//! within the limit. It is kept before anyone sends it or is shown it.

use bitcoin::{OutPoint, Psbt, Transaction, consensus, hashes::Hash as _};
use mining::{Address, Amount, payout::Standing};
use pow::Hash;
use store::Signed;

use super::key::{Key, Taken};
use crate::daemon::{
    CallError,
    wallet::{Sent, SignError, Unsigned, Wallet},
};

/// What a pool pays from.
#[derive(Debug)]
pub enum Purse {
    /// The daemon's wallet: it signs.
    Wallet(Wallet),
    /// The daemon's wallet chooses coins, and somebody else signs.
    Psbt(Wallet),
    /// No wallet: a descriptor of the operator's signs.
    Key(Box<Key>),
}

/// A transaction that pays a batch.
pub(super) enum Made {
    Signed(Signed),
    Unsigned(Unsigned),
}

impl Purse {
    /// Makes a transaction that pays all of these, each in full, for a fee of at most `fee_max`. It is
    /// for the payout of this number, and uses no coin that others have taken.
    pub(super) async fn make(
        &self,
        number: u64,
        taken: &Taken,
        payments: &[(Address, Amount)],
        fee_rate: Option<Amount>,
        fee_max: Amount,
    ) -> Result<Made, SignError> {
        Ok(match self {
            Self::Wallet(wallet) => {
                let draft = wallet.sign(payments, fee_rate, fee_max).await?;
                Made::Signed(Signed {
                    txid: draft.txid,
                    raw: draft.raw,
                    network_fee: draft.fee,
                })
            }
            Self::Psbt(wallet) => Made::Unsigned(wallet.draft(payments, fee_rate, fee_max).await?),
            Self::Key(key) => {
                let signed = key.sign(number, payments, fee_rate, fee_max, taken);
                Made::Signed(signed.await?)
            }
        })
    }

    /// Sends the bytes of a transaction.
    pub(super) async fn send(&self, raw: &[u8]) -> Result<Sent, CallError> {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => wallet.send(raw).await,
            Self::Key(key) => key.send(raw).await,
        }
    }

    /// Where a transaction stands.
    pub async fn standing(&self, signed: &Signed) -> Result<Standing, CallError> {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => wallet.standing(signed.txid).await,
            Self::Key(key) => key.standing(signed).await,
        }
    }

    /// The bytes of a transaction that somebody else has signed and sent; nothing if nobody has, or it
    /// cannot be told.
    pub(super) async fn signed_elsewhere(&self, psbt: &[u8]) -> Result<Option<Signed>, CallError> {
        let (Some(unsigned), Some(wallet)) = (Psbt::deserialize(psbt).ok(), self.wallet()) else {
            return Ok(None);
        };
        let txid = Hash(unsigned.unsigned_tx.compute_txid().to_byte_array());
        let Standing::Confirmed(_) = wallet.standing(txid).await? else {
            return Ok(None);
        };
        let raw = wallet.raw(txid).await?;
        let fee = unsigned.fee().map_or(0, bitcoin::Amount::to_sat);
        Ok(raw.map(|raw| Signed {
            txid,
            raw,
            network_fee: Amount::from_units(fee),
        }))
    }

    /// Keeps the inputs of what is kept from being used for anything else.
    pub(super) async fn lock(&self, inputs: &[OutPoint]) {
        if let Some(wallet) = self.wallet() {
            wallet.lock_inputs(inputs).await;
        }
    }

    /// Lets inputs be used again.
    pub async fn unlock(&self, inputs: &[OutPoint]) {
        if let Some(wallet) = self.wallet() {
            wallet.unlock_inputs(inputs).await;
        }
    }

    /// Whether an address can be paid from here.
    pub(super) async fn knows(&self, address: &Address) -> Result<bool, CallError> {
        match self.wallet() {
            Some(wallet) => wallet.knows(address).await,
            // It was read as an address before.
            None => Ok(true),
        }
    }

    /// Whether it can be paid from, and what it has; for `adit config --check`.
    pub async fn look(&self) -> anyhow::Result<Amount> {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => Ok(wallet.look().await?),
            Self::Key(key) => key.look().await,
        }
    }

    /// The wallet that draws up transactions for others to sign; nothing if they are signed here.
    pub fn drafts(&self) -> Option<&Wallet> {
        match self {
            Self::Psbt(wallet) => Some(wallet),
            Self::Wallet(_) | Self::Key(_) => None,
        }
    }

    /// The wallet, which has a history and locks coins; nothing if there is none.
    pub(super) fn wallet(&self) -> Option<&Wallet> {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => Some(wallet),
            Self::Key(_) => None,
        }
    }
}

/// The inputs of a signed transaction, or of a draft.
pub fn inputs(signed: Option<&Signed>, draft: Option<&[u8]>) -> Vec<OutPoint> {
    let transaction: Option<Transaction> = match (signed, draft) {
        (Some(signed), _) => consensus::deserialize(&signed.raw).ok(),
        (None, Some(psbt)) => Psbt::deserialize(psbt).ok().map(|psbt| psbt.unsigned_tx),
        (None, None) => None,
    };
    let inputs = transaction.map(|transaction| transaction.input);
    let inputs = inputs.unwrap_or_default().into_iter();
    inputs.map(|input| input.previous_output).collect()
}
