//! Whether the owner of an address signed a message.
//!
//! Called where somebody without an account asks for what only the owner of an address may have. What
//! wallets make is taken: the old signed messages with the headers of BIP137, as Electrum and hardware
//! wallets write them too, BIP322 "simple" and "full", with or without the prefix of its version 1, and for
//! Monero's kin what [`cryptonote::signed_message`](crate::cryptonote::signed_message) tells of.
//! An error says what the signer can do about it.
//!
//! A signature says that a key signed a text, and no more. BIP322 commits to the script and not to
//! the coin, so one signature holds for the same key on Bitcoin and on Litecoin; and what was signed
//! once can be sent again. The message itself must name the pool, the coin, the address, the wish and
//! a number or time that holds once.

mod bip322;
mod legacy;

use bitcoin::{
    PublicKey, Script, ScriptBuf, Transaction, Witness,
    base64::{Engine, prelude::BASE64_STANDARD},
    consensus,
};

use crate::{
    address::Address,
    coin::{Coin, Network, NetworkRules},
    cryptonote::{self, signed_message},
};

/// The most characters of a signature. A full one of the longest kind has about 400.
pub const SIGNATURE_LEN_MAX: usize = 4_096;

/// The most bytes of a message. Who signs ought to read it, often on a device with a small screen.
pub const MESSAGE_LEN_MAX: usize = 1_024;

const HIGH_S: &str = "an S in the upper half, which anybody can make of one in the lower";

/// Why a text does not show that the owner of an address signed a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The message has more than [`MESSAGE_LEN_MAX`] bytes.
    #[error("a message of more than {MESSAGE_LEN_MAX} bytes")]
    MessageTooLong,
    /// The signature has more than [`SIGNATURE_LEN_MAX`] characters.
    #[error("a signature of more than {SIGNATURE_LEN_MAX} characters")]
    TooLong,
    /// Not the usual alphabet with its padding, or something stands around it.
    #[error("not base64")]
    Base64,
    /// Base64 of something else.
    #[error("no signature of the kind that wallets of this coin make")]
    Form,
    /// The address is not one of this coin and network.
    #[error("the address is of another coin or network")]
    OtherCoin,
    /// Keys of this kind are not understood, whatever was signed.
    #[error("{0} cannot sign here yet")]
    CannotSign(&'static str),
    /// The owner must sign in another form.
    #[error("an address of the kind {kind} cannot be proven by {form}")]
    Misfit {
        /// The kind of the address.
        kind: &'static str,
        /// The form of the signature.
        form: &'static str,
    },
    /// Whether it holds depends on a time, and there is no time here.
    #[error("a signature with a lock time or a sequence number")]
    TimeLock,
    /// The signature breaks a rule that transactions or BIP322 have.
    #[error("a signature with {0}")]
    Rule(&'static str),
    /// Another key signed, or this one signed something else: the two cannot be told apart.
    #[error("signed by the key of another address, or another message was signed")]
    OtherKey,
    /// The signature is of another message or for another address.
    #[error("another message was signed, or for another address")]
    OtherMessage,
}

/// Whether `signature` shows that the owner of `address`, of `coin` on `network`, signed `message`.
/// The message counts to the byte: nothing is trimmed or normalised.
pub fn verify(
    coin: &Coin,
    network: Network,
    address: &Address,
    message: &str,
    signature: &str,
) -> Result<(), BadSignature> {
    if message.len() > MESSAGE_LEN_MAX {
        return Err(BadSignature::MessageTooLong);
    }
    if signature.len() > SIGNATURE_LEN_MAX {
        return Err(BadSignature::TooLong);
    }
    // One script can be an address of several coins, so the script alone does not tell.
    if Address::parse(coin, network, address.as_str()).as_ref() != Ok(address) {
        return Err(BadSignature::OtherCoin);
    }
    let rules = coin.on(network);
    if let Some(tags) = rules.and_then(NetworkRules::tags) {
        let address = cryptonote::Address::parse(&tags, address.as_str());
        let address = address.map_err(|_| BadSignature::OtherCoin)?;
        return signed_message::verify(&address, message, signature);
    }
    let no_script = BadSignature::CannotSign("an address without a script");
    let script = Script::from_bytes(address.script().ok_or(no_script)?);
    let kind = Kind::of(coin, script)?;
    match Signature::parse(signature)? {
        Signature::Legacy(bytes) => legacy::verify(coin, kind, script, message, &bytes),
        Signature::Simple(witness) => bip322::verify_simple(kind, script, message, witness),
        Signature::Full(to_sign) => bip322::verify_full(kind, script, message, &to_sign),
    }
}

/// What a signature's text holds.
enum Signature {
    /// A header, then r and s.
    Legacy([u8; legacy::LEN]),
    Simple(Witness),
    Full(Transaction),
}

impl Signature {
    fn parse(text: &str) -> Result<Self, BadSignature> {
        // No signature without a prefix begins with one of these: its first byte would be no header,
        // no count of items and no version.
        let (prefix, text) = match text.split_at_checked(3) {
            Some((prefix @ ("smp" | "ful" | "pof"), text)) => (prefix, text),
            _ => ("", text),
        };
        let bytes = BASE64_STANDARD
            .decode(text)
            .map_err(|_| BadSignature::Base64)?;
        let simple = || consensus::deserialize(&bytes).map(Self::Simple);
        let full = || consensus::deserialize(&bytes).map(Self::Full);
        let parsed = match prefix {
            "smp" => simple(),
            "ful" => full(),
            "pof" => return Err(BadSignature::CannotSign("a proof of funds")),
            _ => match bytes.as_slice().try_into() {
                Ok(bytes) => return Ok(Self::Legacy(bytes)),
                // What is the one is never the other: a transaction's version, read as a witness, is
                // two empty items or none and leaves bytes over.
                Err(_) => simple().or_else(|_| full()),
            },
        };
        parsed.map_err(|_| BadSignature::Form)
    }
}

/// The kinds of addresses that can sign: those with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P2pkh,
    /// As far as its hash tells; what it is the hash of comes with the signature.
    P2shP2wpkh,
    P2wpkh,
    P2tr,
}

impl Kind {
    fn of(coin: &Coin, script: &Script) -> Result<Self, BadSignature> {
        if script.is_p2pkh() {
            Ok(Self::P2pkh)
        } else if script.is_p2sh() && coin.has_segwit() {
            Ok(Self::P2shP2wpkh)
        } else if script.is_p2sh() {
            Err(BadSignature::CannotSign("an address of the kind P2SH"))
        } else if script.is_p2wpkh() {
            Ok(Self::P2wpkh)
        } else if script.is_p2tr() {
            Ok(Self::P2tr)
        } else {
            Err(BadSignature::CannotSign("an address of the kind P2WSH"))
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::P2pkh => "P2PKH",
            Self::P2shP2wpkh => "P2SH",
            Self::P2wpkh => "P2WPKH",
            Self::P2tr => "P2TR",
        }
    }

    fn misfit(self, form: &'static str) -> BadSignature {
        BadSignature::Misfit {
            kind: self.name(),
            form,
        }
    }

    /// Whether `script` pays to the hash of `key` by an address of this kind. Never for a key that is
    /// not compressed, where there is a witness.
    fn pays(self, script: &Script, key: &PublicKey) -> bool {
        let paying = match self {
            Self::P2pkh => Some(ScriptBuf::new_p2pkh(&key.pubkey_hash())),
            Self::P2wpkh => p2wpkh(key),
            Self::P2shP2wpkh => p2wpkh(key).map(|redeem| redeem.to_p2sh()),
            Self::P2tr => None,
        };
        paying.is_some_and(|paying| *paying == *script)
    }
}

/// The script that pays to a compressed key's hash.
fn p2wpkh(key: &PublicKey) -> Option<ScriptBuf> {
    let hash = key.wpubkey_hash().ok()?;
    Some(ScriptBuf::new_p2wpkh(&hash))
}

#[cfg(test)]
mod tests;
