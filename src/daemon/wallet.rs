//! The wallet of a daemon of Bitcoin's family, for payouts: it chooses coins and signs. What it made
//! is checked here to the last unit, and sent by whoever keeps it: the wallet's own "send" is never
//! called, as nobody could tell afterwards whether it did.
//!
//! Called by `payout`. The calls are those that Bitcoin Core, Litecoin Core and Dogecoin Core share:
//! <https://developer.bitcoin.org/reference/rpc/>.

use std::collections::HashMap;

use bitcoin::{Transaction, consensus, hashes::Hash as _};
use mining::{Address, Amount, Coin};
use pow::Hash;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    config::Config,
    rpc::{CallError, Lane, Rpc},
};

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

/// Why nothing was signed. Nothing was sent either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The wallet does not make it: it has too little, as a rule.
    #[error("the wallet does not make it: {0}")]
    Refused(String),
    /// It needs its passphrase.
    #[error("the wallet is locked: unlock it with walletpassphrase")]
    Locked,
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
    /// The daemon does not take it, for this reason. It may take it later, or have another one with
    /// the same inputs.
    Refused(String),
}

/// Where a transaction of the wallet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In a block, with so many confirmations; in none yet with zero.
    Confirmed(u32),
    /// Another one with the same inputs is in a block, so deep: it can never confirm as long as that
    /// one stays.
    Conflicted(u32),
    /// The wallet does not know it.
    Unknown,
}

#[derive(Deserialize)]
struct Funded {
    hex: String,
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
}

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
    /// `fee_max`. Its inputs are locked in the wallet, so that the next one takes others.
    pub async fn sign(
        &self,
        payments: &[(Address, Amount)],
        fee_rate: Option<Amount>,
        fee_max: Amount,
    ) -> Result<Draft, SignError> {
        let decimals = self.coin.decimals;
        // One output for each address: no daemon takes the same one twice.
        let mut outputs = serde_json::Map::new();
        for (address, amount) in payments {
            let text = amount.in_coins(decimals).to_string();
            if outputs
                .insert(address.as_str().to_owned(), json!(text))
                .is_some()
            {
                return Err(SignError::Wrong("an address twice"));
            }
        }
        let bare: String = self
            .call("createrawtransaction", json!([[], outputs]))
            .await?;
        let mut options = json!({"lockUnspents": true});
        if let Some(rate) = fee_rate {
            options["feeRate"] = json!(rate.in_coins(decimals).to_string());
        }
        let funded: Funded = self
            .call("fundrawtransaction", json!([bare, options]))
            .await?;
        let fee = coins_of_json(funded.fee.get(), decimals)
            .ok_or(SignError::Wrong("a fee that is none"))?;
        let made = self.complete(&funded, payments, fee, fee_max).await;
        if made.is_err() {
            self.unlock(&funded.hex).await;
        }
        made
    }

    async fn complete(
        &self,
        funded: &Funded,
        payments: &[(Address, Amount)],
        fee: Amount,
        fee_max: Amount,
    ) -> Result<Draft, SignError> {
        if fee > fee_max {
            return Err(SignError::Fee(fee));
        }
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

    /// Sends the bytes of a transaction. The same bytes can be sent as often as needed.
    pub async fn send(&self, raw: &[u8]) -> Result<Sent, CallError> {
        let sent: Result<Hash, CallError> = self
            .rpc
            .call(Lane::Quick, "sendrawtransaction", json!([hex::encode(raw)]))
            .await;
        match sent {
            Ok(_) => Ok(Sent::Taken),
            Err(CallError::Rpc { code: IN_CHAIN, .. }) => Ok(Sent::Taken),
            Err(CallError::Rpc { code, message }) if REJECTED.contains(&code) => {
                // Older versions say so of what they have.
                let known = ["txn-already-known", "txn-already-in-mempool"];
                match known.iter().any(|known| message.contains(known)) {
                    true => Ok(Sent::Taken),
                    false => Ok(Sent::Refused(message)),
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// Where a transaction stands.
    pub async fn standing(&self, txid: Hash) -> Result<Standing, CallError> {
        let known: Result<WalletTransaction, CallError> = self
            .rpc
            .call(Lane::Quick, "gettransaction", json!([txid]))
            .await;
        match known {
            Ok(known) => {
                let depth = u32::try_from(known.confirmations.unsigned_abs()).unwrap_or(u32::MAX);
                Ok(match known.confirmations < 0 {
                    true => Standing::Conflicted(depth),
                    false => Standing::Confirmed(depth),
                })
            }
            Err(CallError::Rpc {
                code: INVALID_ADDRESS_OR_KEY,
                ..
            }) => Ok(Standing::Unknown),
            Err(failure) => Err(failure),
        }
    }

    /// Lets the wallet use the inputs of a transaction again that will not be sent.
    pub async fn unlock_inputs(&self, raw: &[u8]) {
        self.unlock(&hex::encode(raw)).await;
    }

    async fn unlock(&self, transaction: &str) {
        let Some((_, transaction)) = read(transaction) else {
            return;
        };
        let inputs: Vec<_> = transaction
            .input
            .iter()
            .map(|input| {
                let outpoint = input.previous_output;
                json!({"txid": outpoint.txid.to_string(), "vout": outpoint.vout})
            })
            .collect();
        let unlocked: Result<bool, CallError> = self
            .rpc
            .call(Lane::Quick, "lockunspent", json!([true, inputs]))
            .await;
        if let Err(failure) = unlocked {
            // They are free again when the daemon is started the next time.
            tracing::debug!(%failure, "inputs stay locked in the wallet");
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
            other => Ok(other?),
        }
    }
}

fn read(text: &str) -> Option<(Vec<u8>, Transaction)> {
    let raw = hex::decode(text).ok()?;
    let transaction = consensus::deserialize(&raw).ok()?;
    Some((raw, transaction))
}

/// Whether a transaction pays these, each once and in full, and at most one output beside them: the
/// change.
fn check(transaction: &Transaction, payments: &[(Address, Amount)]) -> Result<(), SignError> {
    let mut outputs: HashMap<(&[u8], u64), u32> = HashMap::new();
    for output in &transaction.output {
        let key = (output.script_pubkey.as_bytes(), output.value.to_sat());
        *outputs.entry(key).or_default() += 1;
    }
    for (address, amount) in payments {
        let left = outputs.get_mut(&(address.script(), amount.units()));
        match left {
            Some(left) if *left > 0 => *left -= 1,
            _ => return Err(SignError::Wrong("a payment that is not there")),
        }
    }
    match outputs.values().sum::<u32>() {
        0 | 1 => Ok(()),
        _ => Err(SignError::Wrong("payments that nobody asked for")),
    }
}

/// An amount as JSON has it, which may write a small one with an exponent: `1.555e-5`. Exact; nothing
/// if it is no whole number of units.
fn coins_of_json(number: &str, decimals: u8) -> Option<Amount> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.to_owned() + fraction;
    if digits.len() > 30 || exponent.len() > 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: u128 = digits.parse().ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    let behind = i32::try_from(fraction.len()).ok()?;
    // So many places the digits move to the left to be units.
    let shift = i32::from(decimals) + exponent - behind;
    let power = 10_u128.checked_pow(shift.unsigned_abs())?;
    let units = match shift >= 0 {
        true => digits.checked_mul(power)?,
        false if digits.is_multiple_of(power) => digits / power,
        false => return None,
    };
    u64::try_from(units).ok().map(Amount::from_units)
}

#[cfg(test)]
mod tests {
    use bitcoin::{ScriptBuf, TxOut, absolute::LockTime, transaction::Version};
    use mining::Network;

    use super::*;

    #[test]
    fn amounts_of_json_are_exact() {
        #[track_caller]
        fn case(number: &str, units: Option<u64>) {
            assert_eq!(
                coins_of_json(number, 8).map(Amount::units),
                units,
                "{number}"
            );
        }
        case("0", Some(0));
        case("0.00001555", Some(1555));
        case("1.555e-5", Some(1555));
        case("1.555E-05", Some(1555));
        case("1e-8", Some(1));
        case("2.5e1", Some(2_500_000_000));
        case("12", Some(1_200_000_000));
        case("12.500000000", Some(1_250_000_000));
        case("184467440737.09551615", Some(u64::MAX));
        for none in [
            "1e-9",
            "0.000000001",
            "-1",
            "+1",
            "",
            ".",
            "e5",
            "1e",
            "1e+",
            "nan",
            "1e99999",
            "1e99",
            "184467440737.09551616",
            "0x1",
            "1 ",
            "null",
        ] {
            case(none, None);
        }
    }

    fn paying(outputs: &[(&[u8], u64)]) -> Transaction {
        let output = |(script, units): &(&[u8], u64)| TxOut {
            value: bitcoin::Amount::from_sat(*units),
            script_pubkey: ScriptBuf::from_bytes(script.to_vec()),
        };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: Vec::new(),
            output: outputs.iter().map(output).collect(),
        }
    }

    #[test]
    fn a_wallet_that_pays_something_else_is_found_out() {
        let coin: &Coin = "bitcoin".parse().unwrap();
        let address = |text| Address::parse(coin, Network::Main, text).unwrap();
        let one = address("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4");
        let two = address("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa");
        let payments = [
            (one.clone(), Amount::from_units(500)),
            (two.clone(), Amount::from_units(700)),
        ];
        let (a, b, change) = (one.script(), two.script(), &[0x51][..]);
        assert_eq!(check(&paying(&[(b, 700), (a, 500)]), &payments), Ok(()));
        assert_eq!(
            check(&paying(&[(b, 700), (change, 9), (a, 500)]), &payments),
            Ok(())
        );
        for wrong in [
            &[(a, 500)][..],
            &[(a, 500), (b, 699)],
            &[(a, 700), (b, 500)],
            &[(a, 501), (b, 700)],
            &[(a, 500), (b, 700), (change, 1), (change, 2)],
            &[],
        ] {
            assert!(check(&paying(wrong), &payments).is_err(), "{wrong:?}");
        }
    }
}
