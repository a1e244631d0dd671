//! The wallet of a daemon of Bitcoin's family, for payouts: it chooses coins and signs, or leaves
//! that to somebody else. What it made is checked here to the last unit, and sent by whoever keeps it:
//! the wallet's own "send" is never called, as nobody could tell afterwards whether it did.
//!
//! Called by `payout`. The calls are those that Bitcoin Core, Litecoin Core and Dogecoin Core share,
//! but for PSBTs, which Dogecoin Core has not: <https://developer.bitcoin.org/reference/rpc/>.

mod check;
mod exposed;

use bitcoin::{OutPoint, Psbt, base64::prelude::*, hashes::Hash as _};
use mining::{Address, Amount, Coin, payout::Standing};
use pow::Hash;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use self::check::read;
use super::{
    config::Config,
    rpc::{CallError, Lane, Rpc},
};

pub(crate) use self::check::check;
pub(super) use self::{check::coins_of_json, exposed::is_exposed};

/// "Method not found".
const METHOD_NOT_FOUND: i64 = -32601;
/// What is not to be found: a transaction, an address.
const INVALID_ADDRESS_OR_KEY: i64 = -5;
/// The wallet has too little, or may not pay so large a fee.
const WALLET: [i64; 2] = [-4, -6];
/// The wallet has to be unlocked first.
const LOCKED: i64 = -13;
/// The chain does not take the transaction.
const REJECTED: [i64; 2] = [-25, -26];
/// It has the transaction in a block.
const IN_CHAIN: i64 = -27;
/// What a daemon says where an input is not there, or another transaction has it.
const INPUTS_GONE: [&str; 4] = [
    "bad-txns-inputs-missingorspent",
    "missing-inputs",
    "Missing inputs",
    "txn-mempool-conflict",
];

/// A wallet.
#[derive(Debug)]
pub struct Wallet {
    rpc: Rpc,
    coin: &'static Coin,
}

/// A transaction that was signed and not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its id.
    pub txid: Hash,
    /// Its bytes.
    pub raw: Vec<u8>,
    /// What the chain gets for it.
    pub fee: Amount,
}

/// A transaction that somebody else is to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// With all that a signer needs to know: BIP 174.
    pub psbt: Vec<u8>,
    /// What the chain gets for it.
    pub fee: Amount,
}

/// Why nothing was signed. Nothing was sent either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The wallet does not make it: it has too little, as a rule.
    #[error("the wallet does not make it: {0}")]
    Refused(String),
    /// It needs its passphrase.
    #[error("the wallet is locked: unlock it with walletpassphrase")]
    Locked,
    /// Anybody who reaches it can have it sign.
    #[error(
        "the wallet answers without a password, and not on loopback alone: whoever reaches it can take \
         its coins. Set rpcauth and rpcbind; nothing is paid until then"
    )]
    Exposed,
    /// It does not know an address of these.
    #[error("the wallet does not know an address: {0}")]
    Address(String),
    /// The transaction it made is not the one that was asked for.
    #[error("the wallet made another transaction than it was asked for: {0}")]
    Wrong(&'static str),
    /// The fee is more than may be.
    #[error("the chain wants {0} units for it, more than is allowed")]
    Fee(Amount),
    /// It did not answer, or not with that.
    #[error("the wallet: {0}")]
    Call(#[from] CallError),
}

/// What became of a transaction that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It waits for a block, or is in one.
    Taken,
    /// The daemon does not take it now, for this reason: its fee, as a rule.
    Refused(String),
    /// One of its inputs is not there, or another transaction has it.
    InputsGone(String),
}

/// What a wallet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// All of it.
    pub all: Amount,
    /// What it can spend now; the rest waits for blocks.
    pub unlocked: Amount,
}

/// What the wallet itself has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Transactions in blocks behind the one asked for, and in none yet.
    pub sent: Vec<Hash>,
    /// Those of them that are in no block.
    pub unconfirmed: Vec<Hash>,
    /// The newest block: ask from there the next time.
    pub newest_block: String,
}

#[derive(Deserialize)]
struct Funded {
    hex: String,
    fee: Box<RawValue>,
}

#[derive(Deserialize)]
struct FundedPsbt {
    psbt: String,
    fee: Box<RawValue>,
}

#[derive(Deserialize)]
struct SignedHex {
    hex: String,
    complete: bool,
}

#[derive(Deserialize)]
struct WalletTransaction {
    confirmations: i64,
    hex: String,
}

#[derive(Deserialize)]
struct SinceBlock {
    transactions: Vec<Listed>,
    lastblock: String,
}

#[derive(Deserialize)]
struct Listed {
    category: String,
    txid: Hash,
    confirmations: i64,
}

#[derive(Deserialize)]
struct WalletInfo {
    balance: Box<RawValue>,
    unconfirmed_balance: Box<RawValue>,
    immature_balance: Box<RawValue>,
}

#[derive(Deserialize)]
struct Validated {
    isvalid: bool,
}

#[derive(Deserialize)]
struct Owned {
    #[serde(default, rename = "ismine")]
    is_mine: bool,
}

#[derive(Deserialize)]
struct Finalized {
    hex: Option<String>,
    complete: bool,
}

#[derive(Deserialize)]
struct Accepted {
    allowed: bool,
    #[serde(rename = "reject-reason")]
    reject_reason: Option<String>,
}

/// The outputs of a payment, as JSON has them.
type Outputs = serde_json::Map<String, serde_json::Value>;

impl Wallet {
    /// The wallet of this name at a daemon, or the only one that it has.
    pub fn new(config: &Config, name: Option<&str>, coin: &'static Coin) -> anyhow::Result<Self> {
        let mut config = config.clone();
        if let Some(name) = name {
            config.url = format!("{}/wallet/{name}", config.url.trim_end_matches('/'));
        }
        Ok(Self {
            rpc: Rpc::new(&config)?,
            coin,
        })
    }

    /// Makes and signs a transaction that pays all of these, each in full, for a fee of at most
    /// `fee_max`. Nothing is locked: whoever keeps it locks its inputs ([`Self::lock_inputs`]).
    pub async fn sign(
        &self,
        payments: &[(Address, Amount)],
        fee_rate: Option<Amount>,
        fee_max: Amount,
    ) -> Result<Draft, SignError> {
        self.ask_if_exposed().await?;
        let outputs = self.outputs(payments)?;
        let bare: String = self
            .call("createrawtransaction", json!([[], outputs]))
            .await?;
        let funded: Funded = self
            .call("fundrawtransaction", json!([bare, self.options(fee_rate)]))
            .await?;
        let fee = self.fee(&funded.fee, fee_max)?;
        let signed = match self
            .call("signrawtransactionwithwallet", json!([funded.hex]))
            .await
        {
            Err(SignError::Call(CallError::Rpc {
                code: METHOD_NOT_FOUND,
                ..
            })) => self.call("signrawtransaction", json!([funded.hex])).await?,
            other => other?,
        };
        let signed: SignedHex = signed;
        if !signed.complete {
            return Err(SignError::Wrong("not fully signed"));
        }
        let (raw, transaction) = read(&signed.hex).ok_or(SignError::Wrong("no transaction"))?;
        check(&transaction, payments)?;
        Ok(Draft {
            txid: Hash(transaction.compute_txid().to_byte_array()),
            raw,
            fee,
        })
    }

    /// Makes a transaction likewise that somebody else is to sign.
    pub async fn draft(
        &self,
        payments: &[(Address, Amount)],
        fee_rate: Option<Amount>,
        fee_max: Amount,
    ) -> Result<Unsigned, SignError> {
        self.ask_if_exposed().await?;
        let outputs = self.outputs(payments)?;
        let mut options = self.options(fee_rate);
        // Coins that the wallet only watches, as their key is elsewhere.
        options["includeWatching"] = json!(true);
        let params = json!([[], outputs, 0, options, true]);
        let funded: FundedPsbt = self.call("walletcreatefundedpsbt", params).await?;
        let fee = self.fee(&funded.fee, fee_max)?;
        let psbt = BASE64_STANDARD
            .decode(&funded.psbt)
            .ok()
            .and_then(|bytes| Psbt::deserialize(&bytes).ok())
            .ok_or(SignError::Wrong("no PSBT"))?;
        check(&psbt.unsigned_tx, payments)?;
        Ok(Unsigned {
            psbt: psbt.serialize(),
            fee,
        })
    }

    /// One output for each address: no daemon takes the same one twice.
    fn outputs(&self, payments: &[(Address, Amount)]) -> Result<Outputs, SignError> {
        let mut outputs = Outputs::new();
        for (address, amount) in payments {
            let text = amount.in_coins(self.coin.decimals).to_string();
            if outputs
                .insert(address.as_str().to_owned(), json!(text))
                .is_some()
            {
                return Err(SignError::Wrong("an address twice"));
            }
        }
        Ok(outputs)
    }

    fn options(&self, fee_rate: Option<Amount>) -> serde_json::Value {
        let rate = fee_rate.map(|rate| rate.in_coins(self.coin.decimals).to_string());
        rate.map_or_else(|| json!({}), |rate| json!({"feeRate": rate}))
    }

    fn fee(&self, told: &RawValue, fee_max: Amount) -> Result<Amount, SignError> {
        let fee = coins_of_json(told.get(), self.coin.decimals)
            .ok_or(SignError::Wrong("a fee that is none"))?;
        match fee > fee_max {
            true => Err(SignError::Fee(fee)),
            false => Ok(fee),
        }
    }

    /// Sends the bytes of a transaction. The same bytes can be sent as often as needed.
    pub async fn send(&self, raw: &[u8]) -> Result<Sent, CallError> {
        send(&self.rpc, raw).await
    }

    /// The signed transaction of a PSBT, as bytes; nothing if signatures are missing. A finished one
    /// is taken as it is.
    pub async fn finalize(&self, psbt: &Psbt) -> Result<Option<Vec<u8>>, CallError> {
        let text = BASE64_STANDARD.encode(psbt.serialize());
        let done: Finalized = self
            .rpc
            .call(Lane::Quick, "finalizepsbt", json!([text]))
            .await?;
        let raw = done.hex.filter(|_| done.complete);
        Ok(raw.and_then(|hex| Some(read(&hex)?.0)))
    }

    /// Whether the daemon would take a transaction; the reason if not. Nothing is sent.
    pub async fn would_take(&self, raw: &[u8]) -> Result<Result<(), String>, CallError> {
        let params = json!([[hex::encode(raw)]]);
        let told: Vec<Accepted> = self
            .rpc
            .call(Lane::Quick, "testmempoolaccept", params)
            .await?;
        let told = told.into_iter().next();
        let told = told.ok_or_else(|| CallError::Malformed("nothing was tested".into()))?;
        let reason = told.reject_reason.unwrap_or_default();
        let known = ["txn-already-known", "txn-already-in-mempool"];
        Ok(match told.allowed || known.contains(&reason.as_str()) {
            true => Ok(()),
            false => Err(reason),
        })
    }

    /// Where a transaction stands.
    pub async fn standing(&self, txid: Hash) -> Result<Standing, CallError> {
        let known = self.transaction(txid).await?;
        Ok(known.map_or(Standing::Unknown, |known| {
            let depth = u32::try_from(known.confirmations.unsigned_abs()).unwrap_or(u32::MAX);
            match known.confirmations < 0 {
                true => Standing::Conflicted(depth),
                false => Standing::Confirmed(depth),
            }
        }))
    }

    /// The bytes of a transaction of the wallet; nothing if it has none of this id.
    pub async fn raw(&self, txid: Hash) -> Result<Option<Vec<u8>>, CallError> {
        let known = self.transaction(txid).await?;
        Ok(known.and_then(|known| Some(read(&known.hex)?.0)))
    }

    async fn transaction(&self, txid: Hash) -> Result<Option<WalletTransaction>, CallError> {
        // Also what it only watches.
        let params = json!([txid, true]);
        match self.rpc.call(Lane::Quick, "gettransaction", params).await {
            Ok(known) => Ok(Some(known)),
            Err(CallError::Rpc {
                code: INVALID_ADDRESS_OR_KEY,
                ..
            }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// What the wallet has sent since a block; ever, if none is named.
    pub async fn sent_since(&self, block: Option<&str>) -> Result<Outgoing, CallError> {
        let params = json!([block.unwrap_or_default(), 1, true]);
        let since: SinceBlock = self.rpc.call(Lane::Quick, "listsinceblock", params).await?;
        let sent = since.transactions.iter();
        let mut sent: Vec<&Listed> = sent.filter(|listed| listed.category == "send").collect();
        // One line for each output of a transaction.
        sent.dedup_by_key(|listed| listed.txid);
        let waiting = sent.iter().filter(|listed| listed.confirmations <= 0);
        Ok(Outgoing {
            unconfirmed: waiting.map(|listed| listed.txid).collect(),
            sent: sent.iter().map(|listed| listed.txid).collect(),
            newest_block: since.lastblock,
        })
    }

    /// Keeps the wallet from using these inputs for anything else, until its daemon is started
    /// anew. What is locked already, or spent, is left as it is.
    pub async fn lock_inputs(&self, inputs: &[OutPoint]) {
        self.lock(false, inputs).await;
    }

    /// Lets the wallet use inputs again.
    pub async fn unlock_inputs(&self, inputs: &[OutPoint]) {
        self.lock(true, inputs).await;
    }

    async fn lock(&self, unlock: bool, inputs: &[OutPoint]) {
        // One by one: the call refuses all if one is spent.
        for outpoint in inputs {
            let input = json!({"txid": outpoint.txid.to_string(), "vout": outpoint.vout});
            let done: Result<bool, CallError> = self
                .rpc
                .call(Lane::Quick, "lockunspent", json!([unlock, [input]]))
                .await;
            if let Err(failure) = done {
                tracing::debug!(%failure, %outpoint, unlock, "an input is not locked or unlocked");
            }
        }
    }

    /// Whether the daemon knows this for an address that can be paid.
    pub async fn knows(&self, address: &Address) -> Result<bool, CallError> {
        let params = json!([address.as_str()]);
        let told: Validated = self
            .rpc
            .call(Lane::Quick, "validateaddress", params)
            .await?;
        Ok(told.isvalid)
    }

    /// A new address of the wallet.
    pub async fn new_address(&self) -> Result<String, CallError> {
        let params = match self.coin.has_segwit() {
            true => json!(["adit", "bech32"]),
            false => json!(["adit"]),
        };
        self.rpc.call(Lane::Quick, "getnewaddress", params).await
    }

    /// Whether the wallet can spend what is paid to an address.
    pub async fn is_own(&self, address: &Address) -> Result<bool, CallError> {
        let params = json!([address.as_str()]);
        let told: Result<Owned, CallError> =
            self.rpc.call(Lane::Quick, "getaddressinfo", &params).await;
        let told = match told {
            // Dogecoin Core tells it elsewhere.
            Err(CallError::Rpc {
                code: METHOD_NOT_FOUND,
                ..
            }) => {
                self.rpc
                    .call(Lane::Quick, "validateaddress", &params)
                    .await?
            }
            told => told?,
        };
        Ok(told.is_mine)
    }

    /// Whether the wallet is there, and what it has; for `adit config --check`.
    pub async fn look(&self) -> Result<Amount, SignError> {
        self.ask_if_exposed().await?;
        let balance: Box<RawValue> = self.rpc.call(Lane::Quick, "getbalance", json!([])).await?;
        coins_of_json(balance.get(), self.coin.decimals)
            .ok_or_else(|| CallError::Malformed("a balance that is none".into()).into())
    }

    /// What it has, with what waits for a block and with blocks that have to mature.
    pub async fn holdings(&self) -> Result<Holdings, SignError> {
        self.ask_if_exposed().await?;
        let told: WalletInfo = self.call("getwalletinfo", json!([])).await?;
        let amount = |told: &RawValue| {
            coins_of_json(told.get(), self.coin.decimals)
                .ok_or_else(|| CallError::Malformed("a balance that is none".into()))
        };
        let unlocked = amount(&told.balance)?;
        let waiting = [&told.unconfirmed_balance, &told.immature_balance].map(|told| amount(told));
        let [unconfirmed, immature] = waiting;
        let all = Amount::checked_sum([unlocked, unconfirmed?, immature?]);
        let all = all.ok_or_else(|| CallError::Malformed("more than any coin has".into()))?;
        Ok(Holdings { all, unlocked })
    }

    async fn ask_if_exposed(&self) -> Result<(), SignError> {
        match is_exposed(&self.rpc, "getbalance").await? {
            true => Err(SignError::Exposed),
            false => Ok(()),
        }
    }

    async fn call<T: for<'de> Deserialize<'de> + Send + Sync + 'static>(
        &self,
        method: &str,
        params: serde_json::Value,
    ) -> Result<T, SignError> {
        match self.rpc.call(Lane::Quick, method, params).await {
            Err(CallError::Rpc { code, message }) if WALLET.contains(&code) => {
                Err(SignError::Refused(message))
            }
            Err(CallError::Rpc { code: LOCKED, .. }) => Err(SignError::Locked),
            Err(CallError::Rpc {
                code: INVALID_ADDRESS_OR_KEY,
                message,
            }) => Err(SignError::Address(message)),
            other => Ok(other?),
        }
    }
}

pub(super) async fn send(rpc: &Rpc, raw: &[u8]) -> Result<Sent, CallError> {
    let sent: Result<Hash, CallError> = rpc
        .call(Lane::Quick, "sendrawtransaction", json!([hex::encode(raw)]))
        .await;
    match sent {
        Ok(_) => Ok(Sent::Taken),
        Err(CallError::Rpc { code: IN_CHAIN, .. }) => Ok(Sent::Taken),
        Err(CallError::Rpc { code, message }) if REJECTED.contains(&code) => {
            let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
            // Older versions say so of what they have.
            if says(&["txn-already-known", "txn-already-in-mempool"]) {
                return Ok(Sent::Taken);
            }
            Ok(match says(&INPUTS_GONE) {
                true => Sent::InputsGone(message),
                false => Sent::Refused(message),
            })
        }
        Err(failure) => Err(failure),
    }
}
