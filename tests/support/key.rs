//! A miner's key, with the address that it mines for and the signatures that a wallet makes with it.

use bitcoin::{
    Amount, CompressedPublicKey, KnownHrp, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Witness,
    absolute::LockTime,
    base64::{Engine as _, prelude::BASE64_STANDARD},
    consensus,
    hashes::{Hash as _, HashEngine as _, sha256},
    opcodes::all::OP_RETURN,
    script::Builder,
    secp256k1::{Message, Secp256k1, SecretKey},
    sighash::{EcdsaSighashType, SighashCache},
    sign_message::signed_msg_hash,
    transaction::Version,
};

/// A key of regtest.
pub(crate) struct Key {
    secret: SecretKey,
    public: CompressedPublicKey,
    /// Pay-to-witness-public-key-hash.
    pub(crate) address: String,
}

impl Key {
    /// The same number gives the same key.
    pub(crate) fn new(number: u8) -> Self {
        let secret = SecretKey::from_slice(&[number; 32]).unwrap();
        let public = CompressedPublicKey(secret.public_key(&Secp256k1::new()));
        let address = bitcoin::Address::p2wpkh(&public, KnownHrp::Regtest);
        Self {
            secret,
            public,
            address: address.to_string(),
        }
    }

    /// A signed message of the old form, as Electrum writes it.
    pub(crate) fn sign(&self, text: &str) -> String {
        let digest = Message::from_digest(signed_msg_hash(text).to_byte_array());
        let signed = Secp256k1::new().sign_ecdsa_recoverable(&digest, &self.secret);
        let (which, compact) = signed.serialize_compact();
        let header = 31 + u8::try_from(which.to_i32()).unwrap();
        BASE64_STANDARD.encode([&[header], &compact[..]].concat())
    }

    /// A "simple" BIP-322 signature, as Sparrow writes it.
    pub(crate) fn sign_bip322(&self, text: &str) -> String {
        let script = ScriptBuf::new_p2wpkh(&self.public.wpubkey_hash());
        let tag = sha256::Hash::hash(b"BIP0322-signed-message");
        let mut engine = sha256::Hash::engine();
        engine.input(&[tag.as_byte_array(), &tag.as_byte_array()[..]].concat());
        engine.input(text.as_bytes());
        let digest = sha256::Hash::from_engine(engine).to_byte_array();
        let signed = Builder::new().push_int(0).push_slice(digest);
        let to_spend = spending(OutPoint::null(), signed.into_script(), script.clone());
        let out = Builder::new().push_opcode(OP_RETURN).into_script();
        let from = OutPoint::new(to_spend.compute_txid(), 0);
        let to_sign = spending(from, ScriptBuf::new(), out);
        let mut cache = SighashCache::new(&to_sign);
        let all = EcdsaSighashType::All;
        let digest = cache.p2wpkh_signature_hash(0, &script, Amount::ZERO, all);
        let signature = Secp256k1::new().sign_ecdsa(&Message::from(digest.unwrap()), &self.secret);
        let signature = bitcoin::ecdsa::Signature::sighash_all(signature);
        let witness = Witness::p2wpkh(&signature, &self.public.0);
        BASE64_STANDARD.encode(consensus::serialize(&witness))
    }
}

fn spending(from: OutPoint, script_sig: ScriptBuf, to: ScriptBuf) -> Transaction {
    Transaction {
        version: Version(0),
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: from,
            script_sig,
            sequence: Sequence::ZERO,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey: to,
        }],
    }
}
