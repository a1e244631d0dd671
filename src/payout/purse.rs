//! What a pool pays from: a wallet that signs, one whose key is elsewhere, a key of its own, or a wallet
//! of Monero's. Called by `payout`.
//!
//! Whatever makes a transaction, its outputs were compared with what is to be paid, and its fee is
//! within the limit. It is kept before anyone sends it or is shown it.

use bitcoin::{OutPoint, Psbt, Transaction, consensus, hashes::Hash as _};
use mining::{Address, Amount, payout::Standing};
use pow::Hash;
use store::{Payout, Signed};

use super::{
    key::{Key, Taken},
    monero::{self, Monero, Proof},
};
use crate::daemon::{
    CallError,
    wallet::{Holdings, Outgoing, Sent, SignError, Unsigned, Wallet},
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
    /// A wallet of Monero's, which signs.
    Monero(Box<Monero>),
}

/// A transaction that pays a batch.
pub(super) enum Made {
    Signed(Signed),
    Unsigned(Unsigned),
}

impl Purse {
    /// Makes a transaction that pays all of these, each in full, for a fee of at most `fee_max`. It is
    /// for the payout of this number, and uses no coin of payouts that are under way.
    pub(super) async fn make(
        &self,
        number: u64,
        open: &[Payout],
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
                let taken = Taken::by(open);
                let signed = key.sign(number, payments, fee_rate, fee_max, &taken);
                Made::Signed(signed.await?)
            }
            Self::Monero(monero) => Made::Signed(monero.sign(payments, fee_max, open).await?),
        })
    }

    /// Sends what was kept of a payout.
    pub(super) async fn send(&self, raw: &[u8]) -> Result<Sent, CallError> {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => wallet.send(raw).await,
            Self::Key(key) => key.send(raw).await,
            Self::Monero(monero) => monero.send(raw).await,
        }
    }

    /// The ids of the transactions of a payout beside that which it is known by.
    pub(super) fn further_ids(&self, signed: &Signed) -> Vec<Hash> {
        match self {
            Self::Wallet(_) | Self::Psbt(_) | Self::Key(_) => Vec::new(),
            Self::Monero(_) => monero::further_ids(signed),
        }
    }

    /// Where a transaction stands.
    pub async fn standing(&self, signed: &Signed) -> Result<Standing, CallError> {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => wallet.standing(signed.txid).await,
            Self::Key(key) => key.standing(signed).await,
            Self::Monero(monero) => monero.standing(signed).await,
        }
    }

    /// The bytes of a transaction that somebody else has signed and sent; nothing if nobody has, or it
    /// cannot be told.
    pub(super) async fn signed_elsewhere(&self, psbt: &[u8]) -> Result<Option<Signed>, CallError> {
        let (Ok(unsigned), Self::Wallet(wallet) | Self::Psbt(wallet)) =
            (Psbt::deserialize(psbt), self)
        else {
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
    pub(super) async fn lock(&self, signed: Option<&Signed>, draft: Option<&[u8]>) {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => {
                wallet.lock_inputs(&inputs(signed, draft)).await;
            }
            Self::Key(_) => {}
            Self::Monero(monero) => monero.freeze(signed, true).await,
        }
    }

    /// Lets the inputs of a payout be used again.
    pub async fn unlock(&self, payout: &Payout) {
        let signed = payout.signed.as_ref();
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => {
                let inputs = inputs(signed, payout.draft.as_deref());
                wallet.unlock_inputs(&inputs).await;
            }
            Self::Key(_) => {}
            Self::Monero(monero) => monero.freeze(signed, false).await,
        }
    }

    /// Whether an address can be paid from here.
    pub(super) async fn knows(&self, address: &Address) -> Result<bool, CallError> {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => wallet.knows(address).await,
            // It was read as an address before.
            Self::Key(_) => Ok(true),
            Self::Monero(monero) => monero.knows(address).await,
        }
    }

    /// Whether it can be paid from, and what it has that can be spent; for `adit config --check`.
    pub async fn look(&self) -> anyhow::Result<Amount> {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => Ok(wallet.look().await?),
            Self::Key(key) => key.look().await,
            Self::Monero(monero) => Ok(monero.look().await?.all),
        }
    }

    /// What proves that a payout pays an address; nothing where everybody sees that on the chain.
    pub async fn proof(
        &self,
        signed: &Signed,
        address: &Address,
    ) -> Result<Option<Vec<Proof>>, CallError> {
        match self {
            Self::Wallet(_) | Self::Psbt(_) | Self::Key(_) => Ok(None),
            Self::Monero(monero) => monero.proof(signed, address).await.map(Some),
        }
    }

    /// Why it gets nothing of the pool's blocks, as far as it is asked; nothing if it does.
    pub async fn misses_blocks(&self) -> Result<Option<String>, SignError> {
        match self {
            Self::Wallet(_) | Self::Psbt(_) | Self::Key(_) => Ok(None),
            Self::Monero(monero) => Ok(monero.misses_blocks().await?),
        }
    }

    /// What can be spent at once, where it costs little to ask.
    pub(super) async fn unlocked(&self) -> Result<Option<Amount>, SignError> {
        match self {
            Self::Wallet(_) | Self::Psbt(_) | Self::Key(_) => Ok(None),
            Self::Monero(monero) => Ok(Some(monero.look().await?.unlocked)),
        }
    }

    /// What it has, with what has to mature; for `adit ledger check --wallet`.
    pub async fn holdings(&self) -> anyhow::Result<Holdings> {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => Ok(wallet.holdings().await?),
            // A daemon without a wallet tells the coins, and not which of them are mature.
            Self::Key(key) => key.look().await.map(|all| Holdings { all, unlocked: all }),
            Self::Monero(monero) => Ok(monero.look().await?),
        }
    }

    /// What a wallet has sent since it was last compared with the books; nothing where there is none.
    pub async fn sent_since(&self, since: Option<&str>) -> Result<Option<Outgoing>, CallError> {
        match self {
            Self::Wallet(wallet) | Self::Psbt(wallet) => wallet.sent_since(since).await.map(Some),
            Self::Key(_) => Ok(None),
            Self::Monero(monero) => monero.sent_since(since).await.map(Some),
        }
    }

    /// The wallet that draws up transactions for others to sign; nothing if they are signed here.
    pub fn drafts(&self) -> Option<&Wallet> {
        match self {
            Self::Psbt(wallet) => Some(wallet),
            Self::Wallet(_) | Self::Key(_) | Self::Monero(_) => None,
        }
    }

    /// Whether there is a wallet, which has a history of its own that is read at once.
    pub(super) fn has_history(&self) -> bool {
        !matches!(self, Self::Key(_))
    }

    /// Whether what it says of a transaction is what the chain says. A wallet that is another one by now
    /// knows nothing of what the last one sent.
    pub(super) fn asks_the_chain(&self) -> bool {
        match self {
            Self::Wallet(_) | Self::Psbt(_) => false,
            Self::Key(_) | Self::Monero(_) => true,
        }
    }
}

/// The inputs of a signed transaction, or of a draft.
pub(super) fn inputs(signed: Option<&Signed>, draft: Option<&[u8]>) -> Vec<OutPoint> {
    let transaction: Option<Transaction> = match (signed, draft) {
        (Some(signed), _) => consensus::deserialize(&signed.raw).ok(),
        (None, Some(psbt)) => Psbt::deserialize(psbt).ok().map(|psbt| psbt.unsigned_tx),
        (None, None) => None,
    };
    let inputs = transaction.map(|transaction| transaction.input);
    let inputs = inputs.unwrap_or_default().into_iter();
    inputs.map(|input| input.previous_output).collect()
}
