//! BIP322: a message is signed like a transaction that spends from its address and that no chain
//! takes. "Simple" carries the witness of that transaction, "full" all of it.
//!
//! No script is run here. Of each kind of address there is one form in which a single key signs;
//! everything else is refused, even where the rules of the chain would let it pass.

use bitcoin::{
    Amount, OutPoint, PublicKey, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    Witness, XOnlyPublicKey,
    absolute::LockTime,
    blockdata::{opcodes::all::OP_RETURN, script::Builder},
    hashes::{Hash, HashEngine, sha256},
    script::Instruction,
    secp256k1::{Message, Secp256k1, ecdsa, schnorr},
    sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType},
    transaction::Version,
};

use super::{BadSignature, HIGH_S, Kind, p2wpkh};

const DER: &str = "an encoding that is not strict DER";
const HASH_TYPE: &str = "a hash type that does not commit to everything";
const KEY: &str = "something else where its public key must be";
const SCRIPT_SIG: &str = "something else in its scriptSig than this kind of address needs";
const WITNESS: &str = "something else in its witness than this kind of address needs";

const TAG: &[u8] = b"BIP0322-signed-message";
const IN_RANGE: &str = "the transaction has one input, and its output is there";

/// Whether `witness` alone signs `message` for `script`, everything else being as BIP322 has it.
pub(super) fn verify_simple(
    kind: Kind,
    script: &Script,
    message: &str,
    witness: Witness,
) -> Result<(), BadSignature> {
    // Without a scriptSig nothing but a witness program can be spent.
    if !matches!(kind, Kind::P2wpkh | Kind::P2tr) {
        return Err(kind.misfit("a simple BIP322 signature"));
    }
    let mut to_sign = to_sign(script, message, Version(0));
    to_sign.input[0].witness = witness;
    verify_spend(kind, script, &to_sign)
}

/// Whether `signed` is the transaction that signs `message` for `script`.
pub(super) fn verify_full(
    kind: Kind,
    script: &Script,
    message: &str,
    signed: &Transaction,
) -> Result<(), BadSignature> {
    let [input] = signed.input.as_slice() else {
        return Err(BadSignature::Rule("other inputs than the one needed"));
    };
    let expected = to_sign(script, message, signed.version);
    if !matches!(signed.version, Version(0) | Version::TWO) {
        return Err(BadSignature::Rule("a version other than 0 and 2"));
    }
    if signed.output != expected.output {
        return Err(BadSignature::Rule("other outputs than the one needed"));
    }
    if input.previous_output != expected.input[0].previous_output {
        return Err(BadSignature::OtherMessage);
    }
    if signed.lock_time != expected.lock_time || input.sequence != expected.input[0].sequence {
        return Err(BadSignature::TimeLock);
    }
    verify_spend(kind, script, signed)
}

/// What is hashed of a message.
pub(super) fn message_hash(message: &str) -> sha256::Hash {
    let tag = sha256::Hash::hash(TAG);
    let mut engine = sha256::Hash::engine();
    engine.input(tag.as_byte_array());
    engine.input(tag.as_byte_array());
    engine.input(message.as_bytes());
    sha256::Hash::from_engine(engine)
}

/// The transaction that pays nothing to `script` and bears the message.
pub(super) fn to_spend(script: &Script, message: &str) -> Transaction {
    let bearing = Builder::new()
        .push_int(0)
        .push_slice(message_hash(message).to_byte_array())
        .into_script();
    Transaction {
        version: Version(0),
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::all_zeros(), u32::MAX),
            script_sig: bearing,
            sequence: Sequence::ZERO,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey: script.to_owned(),
        }],
    }
}

/// The transaction that spends that, not signed yet.
pub(super) fn to_sign(script: &Script, message: &str, version: Version) -> Transaction {
    Transaction {
        version,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(to_spend(script, message).compute_txid(), 0),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ZERO,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey: Builder::new().push_opcode(OP_RETURN).into_script(),
        }],
    }
}

/// Whether the only input of `signed` may spend from `script`.
pub(super) fn verify_spend(
    kind: Kind,
    script: &Script,
    signed: &Transaction,
) -> Result<(), BadSignature> {
    let TxIn {
        script_sig,
        witness,
        ..
    } = &signed.input[0];
    if kind == Kind::P2pkh && !witness.is_empty() {
        return Err(BadSignature::Rule(WITNESS));
    }
    if matches!(kind, Kind::P2wpkh | Kind::P2tr) && !script_sig.is_empty() {
        return Err(BadSignature::Rule(SCRIPT_SIG));
    }
    match kind {
        Kind::P2pkh => {
            let pushed = pushes(script_sig).ok_or(BadSignature::Rule(SCRIPT_SIG))?;
            let [signature, key] = pushed[..] else {
                return Err(BadSignature::Rule(SCRIPT_SIG));
            };
            let key = key_of(kind, script, key)?;
            let all = EcdsaSighashType::All;
            let digest = SighashCache::new(signed)
                .legacy_signature_hash(0, script, all.to_u32())
                .expect(IN_RANGE);
            verify_ecdsa(&key, Message::from(digest), signature)
        }
        Kind::P2wpkh | Kind::P2shP2wpkh => {
            let redeem = match kind {
                Kind::P2wpkh => script,
                _ => match pushes(script_sig).as_deref() {
                    Some(&[redeem]) if Script::from_bytes(redeem).is_p2wpkh() => {
                        Script::from_bytes(redeem)
                    }
                    _ => {
                        let other = "an address of the kind P2SH that holds no P2WPKH";
                        return Err(BadSignature::CannotSign(other));
                    }
                },
            };
            let (Some(signature), Some(key), 2) = (witness.nth(0), witness.nth(1), witness.len())
            else {
                return Err(BadSignature::Rule(WITNESS));
            };
            let key = key_of(kind, script, key)?;
            if p2wpkh(&key).as_deref() != Some(redeem) {
                return Err(BadSignature::OtherKey);
            }
            let digest = SighashCache::new(signed)
                .p2wpkh_signature_hash(0, redeem, Amount::ZERO, EcdsaSighashType::All)
                .expect(IN_RANGE);
            verify_ecdsa(&key, Message::from(digest), signature)
        }
        Kind::P2tr => match (witness.nth(0), witness.len()) {
            (Some(signature), 1) => verify_taproot(script, signed, signature),
            (Some(_), _) => {
                let path = "an address of the kind P2TR by a script or with an annex";
                Err(BadSignature::CannotSign(path))
            }
            (None, _) => Err(BadSignature::Rule(WITNESS)),
        },
    }
}

fn verify_taproot(
    script: &Script,
    signed: &Transaction,
    signature: &[u8],
) -> Result<(), BadSignature> {
    let (signature, hash_type) = match signature {
        // BIP341: the default has no byte, so that it has one form.
        [signature @ .., 0x01] if signature.len() == 64 => (signature, TapSighashType::All),
        _ if signature.len() == 65 => return Err(BadSignature::Rule(HASH_TYPE)),
        _ => (signature, TapSighashType::Default),
    };
    let signature = schnorr::Signature::from_slice(signature)
        .map_err(|_| BadSignature::Rule("another length than Schnorr signatures have"))?;
    let key = XOnlyPublicKey::from_slice(&script.as_bytes()[2..])
        .map_err(|_| BadSignature::CannotSign("an address whose key is none"))?;
    let spent = TxOut {
        value: Amount::ZERO,
        script_pubkey: script.to_owned(),
    };
    let digest = SighashCache::new(signed)
        .taproot_key_spend_signature_hash(0, &Prevouts::All(&[spent]), hash_type)
        .expect(IN_RANGE);
    Secp256k1::verification_only()
        .verify_schnorr(&signature, &Message::from(digest), &key)
        .map_err(|_| BadSignature::OtherKey)
}

/// The key in `bytes`, if it is the one that `script` pays.
fn key_of(kind: Kind, script: &Script, bytes: &[u8]) -> Result<PublicKey, BadSignature> {
    let key = PublicKey::from_slice(bytes).map_err(|_| BadSignature::Rule(KEY))?;
    if kind != Kind::P2pkh && !key.compressed {
        return Err(BadSignature::Rule(KEY));
    }
    if kind.pays(script, &key) {
        Ok(key)
    } else {
        Err(BadSignature::OtherKey)
    }
}

/// Of a signature with its hash type: that it has the one form the rules of transactions leave, and
/// that `key` made it.
fn verify_ecdsa(key: &PublicKey, digest: Message, bytes: &[u8]) -> Result<(), BadSignature> {
    let (hash_type, der) = bytes.split_last().ok_or(BadSignature::Rule(DER))?;
    if u32::from(*hash_type) != EcdsaSighashType::All.to_u32() {
        return Err(BadSignature::Rule(HASH_TYPE));
    }
    let signature = ecdsa::Signature::from_der(der).map_err(|_| BadSignature::Rule(DER))?;
    if *signature.serialize_der() != *der {
        return Err(BadSignature::Rule(DER));
    }
    let mut low = signature;
    low.normalize_s();
    if low != signature {
        return Err(BadSignature::Rule(HIGH_S));
    }
    Secp256k1::verification_only()
        .verify_ecdsa(&digest, &signature, &key.inner)
        .map_err(|_| BadSignature::OtherMessage)
}

/// What a script pushes, if it does nothing else and each push is the shortest.
pub(super) fn pushes(script: &Script) -> Option<Vec<&[u8]>> {
    let pushed = script.instructions_minimal().map(|instruction| {
        if let Ok(Instruction::PushBytes(bytes)) = instruction {
            Some(bytes.as_bytes())
        } else {
            None
        }
    });
    pushed.collect()
}
