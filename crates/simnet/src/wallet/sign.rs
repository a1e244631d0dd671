//! Signatures for the wallet's four kinds of script, as finished inputs or inside a PSBT (BIP 174).
//!
//! Called by the RPC methods that sign, and by payments. An input that is not the wallet's is left as
//! it is; the caller learns whether anything is missing.

use bitcoin::{
    CompressedPublicKey, EcdsaSighashType, Psbt, ScriptBuf, TapSighashType, Transaction, TxOut,
    Witness, ecdsa,
    hashes::Hash as _,
    key::{Keypair, TapTweak},
    script::{Builder, PushBytesBuf},
    secp256k1::Message,
    sighash::{Prevouts, SighashCache},
    taproot,
};

use crate::{
    script::SECP,
    wallet::keys::{Key, Keys, Kind, redeem_script, script},
};

/// One signature with SIGHASH_ALL or, for taproot, SIGHASH_DEFAULT.
enum Signature {
    Ecdsa(ecdsa::Signature),
    Taproot(taproot::Signature),
}

/// Signs every input whose coin is the wallet's. `prevouts` are the coins of all inputs.
pub(crate) fn sign_transaction(keys: &Keys, transaction: &mut Transaction, prevouts: &[TxOut]) {
    let unsigned = transaction.clone();
    let mut cache = SighashCache::new(&unsigned);
    for (index, prevout) in prevouts.iter().enumerate() {
        let Some(key) = keys.find(&prevout.script_pubkey) else {
            continue;
        };
        let keypair = keys.keypair(key);
        let Some(signature) = signature(&mut cache, index, prevouts, &keypair, key.kind) else {
            continue;
        };
        let input = &mut transaction.input[index];
        (input.script_sig, input.witness) = spend(&keypair, key.kind, &signature);
    }
}

/// Tells the signers of a PSBT what they need to know about the wallet's inputs.
pub(crate) fn describe(keys: &Keys, psbt: &mut Psbt, index: usize, key: Key) {
    let keypair = keys.keypair(key);
    let origin = (keys.fingerprint(), keys.path(key));
    let input = &mut psbt.inputs[index];
    match key.kind {
        Kind::Taproot => {
            let internal = keypair.x_only_public_key().0;
            input.tap_internal_key = Some(internal);
            input.tap_key_origins.insert(internal, (Vec::new(), origin));
        }
        Kind::Nested | Kind::Segwit | Kind::Legacy => {
            if key.kind == Kind::Nested {
                input.redeem_script = Some(redeem_script(&keypair));
            }
            input.bip32_derivation.insert(keypair.public_key(), origin);
        }
    }
}

/// Adds the wallet's signatures to a PSBT. `prevouts` are the coins of all inputs.
pub(crate) fn sign_psbt(keys: &Keys, psbt: &mut Psbt, prevouts: &[TxOut]) {
    let unsigned = psbt.unsigned_tx.clone();
    let mut cache = SighashCache::new(&unsigned);
    for (index, prevout) in prevouts.iter().enumerate() {
        let input = &psbt.inputs[index];
        if input.final_script_sig.is_some() || input.final_script_witness.is_some() {
            continue;
        }
        let Some(key) = keys.find(&prevout.script_pubkey) else {
            continue;
        };
        let keypair = keys.keypair(key);
        describe(keys, psbt, index, key);
        let input = &mut psbt.inputs[index];
        match signature(&mut cache, index, prevouts, &keypair, key.kind) {
            Some(Signature::Ecdsa(signature)) => {
                input
                    .partial_sigs
                    .insert(keypair.public_key().into(), signature);
            }
            Some(Signature::Taproot(signature)) => input.tap_key_sig = Some(signature),
            None => {}
        }
    }
}

/// Turns the signatures of one PSBT input into its scripts; `false` when they do not suffice.
pub(crate) fn finalize(psbt: &mut Psbt, index: usize, prevout: &TxOut) -> bool {
    let input = &mut psbt.inputs[index];
    if input.final_script_sig.is_some() || input.final_script_witness.is_some() {
        return true;
    }
    let paid = &prevout.script_pubkey;
    let (script_sig, witness) = if paid.is_p2tr() {
        let Some(signature) = input.tap_key_sig else {
            return false;
        };
        (ScriptBuf::new(), Witness::p2tr_key_spend(&signature))
    } else {
        let found = input.partial_sigs.iter().find_map(|(public, signature)| {
            let public = CompressedPublicKey::try_from(*public).ok()?;
            let program = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
            if *paid == program {
                Some((ScriptBuf::new(), Witness::p2wpkh(signature, &public.0)))
            } else if *paid == program.to_p2sh() {
                Some((
                    push_only(&[program.as_bytes()]),
                    Witness::p2wpkh(signature, &public.0),
                ))
            } else if *paid == ScriptBuf::new_p2pkh(&public.pubkey_hash()) {
                Some((
                    push_only(&[&signature.to_vec(), &public.to_bytes()]),
                    Witness::new(),
                ))
            } else {
                None
            }
        });
        let Some(found) = found else {
            return false;
        };
        found
    };
    input.final_script_sig = (!script_sig.is_empty()).then_some(script_sig);
    input.final_script_witness = (!witness.is_empty()).then_some(witness);
    input.partial_sigs.clear();
    input.bip32_derivation.clear();
    input.redeem_script = None;
    input.tap_key_sig = None;
    input.tap_internal_key = None;
    input.tap_key_origins.clear();
    true
}

fn signature(
    cache: &mut SighashCache<&Transaction>,
    index: usize,
    prevouts: &[TxOut],
    keypair: &Keypair,
    kind: Kind,
) -> Option<Signature> {
    let all = EcdsaSighashType::All;
    let digest = match kind {
        Kind::Legacy => {
            let paid = script(keypair, kind);
            cache
                .legacy_signature_hash(index, &paid, all.to_u32())
                .ok()?
                .to_byte_array()
        }
        Kind::Nested | Kind::Segwit => {
            let (program, value) = (redeem_script(keypair), prevouts[index].value);
            cache
                .p2wpkh_signature_hash(index, &program, value, all)
                .ok()?
                .to_byte_array()
        }
        Kind::Taproot => {
            let kind = TapSighashType::Default;
            let hash = cache
                .taproot_key_spend_signature_hash(index, &Prevouts::All(prevouts), kind)
                .ok()?;
            let message = Message::from_digest(hash.to_byte_array());
            let tweaked = keypair.tap_tweak(&SECP, None).to_keypair();
            let signature = SECP.sign_schnorr_no_aux_rand(&message, &tweaked);
            let signature = taproot::Signature {
                signature,
                sighash_type: kind,
            };
            return Some(Signature::Taproot(signature));
        }
    };
    let signature = SECP.sign_ecdsa(&Message::from_digest(digest), &keypair.secret_key());
    Some(Signature::Ecdsa(ecdsa::Signature {
        signature,
        sighash_type: all,
    }))
}

fn spend(keypair: &Keypair, kind: Kind, signature: &Signature) -> (ScriptBuf, Witness) {
    let public = keypair.public_key();
    match (signature, kind) {
        (Signature::Taproot(signature), _) => {
            (ScriptBuf::new(), Witness::p2tr_key_spend(signature))
        }
        (Signature::Ecdsa(signature), Kind::Legacy) => (
            push_only(&[&signature.to_vec(), &public.serialize()]),
            Witness::new(),
        ),
        (Signature::Ecdsa(signature), Kind::Nested) => (
            push_only(&[redeem_script(keypair).as_bytes()]),
            Witness::p2wpkh(signature, &public),
        ),
        (Signature::Ecdsa(signature), _) => (ScriptBuf::new(), Witness::p2wpkh(signature, &public)),
    }
}

fn push_only(elements: &[&[u8]]) -> ScriptBuf {
    elements
        .iter()
        .fold(Builder::new(), |builder, element| {
            let push = PushBytesBuf::try_from(element.to_vec());
            builder.push_slice(push.expect("signatures and keys are far below 4 GiB"))
        })
        .into_script()
}
