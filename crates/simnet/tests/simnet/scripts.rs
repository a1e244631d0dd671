//! Signatures in blocks: every kind of script the node runs, signed by the bitcoin crate.

use bitcoin::{
    Amount, CompressedPublicKey, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, TapSighashType,
    Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    ecdsa,
    hashes::Hash as _,
    key::{Keypair, TapTweak},
    script::{Builder, PushBytesBuf},
    secp256k1::{Message, Secp256k1},
    sighash::{Prevouts, SighashCache},
    taproot, transaction,
};
use simnet::{Chain, Verdict};

use crate::maker::{chain_of, coinbase_at, next_block, reason, spend_to, submit};

fn keypair() -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[7; 32]).unwrap()
}

fn public() -> CompressedPublicKey {
    CompressedPublicKey(keypair().public_key())
}

/// A chain with a coin behind `script`, and a transaction that spends it without a signature.
fn paid_to(script: ScriptBuf) -> (Chain, TxOut, Transaction) {
    let mut chain = chain_of(101);
    let paying = spend_to(&[coinbase_at(&chain, 1)], 1000, script);
    let (txid, coin) = (paying.compute_txid(), paying.output[0].clone());
    let block = next_block(&chain, vec![paying]);
    assert_eq!(submit(&mut chain, &block), Verdict::Accepted);
    let spending = Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid, vout: 0 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(900),
            script_pubkey: ScriptBuf::from_bytes(vec![0x51]),
        }],
    };
    (chain, coin, spending)
}

/// Neither changed outputs nor a changed signature may be accepted; the signed spend must be.
#[track_caller]
fn accepts_only(mut chain: Chain, signed: &Transaction, text: &str) {
    let failed = format!("block-script-verify-flag-failed ({text})");
    let mut other = signed.clone();
    other.output[0].value = Amount::from_sat(901);
    let block = next_block(&chain, vec![other]);
    assert_eq!(reason(&mut chain, &block), Some(failed));
    let block = next_block(&chain, vec![signed.clone()]);
    assert_eq!(submit(&mut chain, &block), Verdict::Accepted);
}

const FALSE: &str =
    "Script evaluated without error but finished with a false/empty top stack element";

fn ecdsa_sign(digest: [u8; 32], kind: EcdsaSighashType) -> ecdsa::Signature {
    let message = Message::from_digest(digest);
    let signature = Secp256k1::new().sign_ecdsa(&message, &keypair().secret_key());
    ecdsa::Signature {
        signature,
        sighash_type: kind,
    }
}

fn push_only(elements: &[Vec<u8>]) -> ScriptBuf {
    let push = |builder: Builder, element: &Vec<u8>| {
        builder.push_slice(PushBytesBuf::try_from(element.clone()).unwrap())
    };
    elements.iter().fold(Builder::new(), push).into_script()
}

#[test]
fn pay_to_public_key_and_its_hash() {
    let script = ScriptBuf::new_p2pkh(&public().pubkey_hash());
    let (chain, coin, mut tx) = paid_to(script);
    let hash = SighashCache::new(&tx)
        .legacy_signature_hash(0, &coin.script_pubkey, 1)
        .unwrap();
    let signature = ecdsa_sign(hash.to_byte_array(), EcdsaSighashType::All);
    tx.input[0].script_sig = push_only(&[signature.to_vec(), public().to_bytes().to_vec()]);
    accepts_only(chain, &tx, FALSE);

    let script = ScriptBuf::new_p2pk(&public().into());
    let (chain, coin, mut tx) = paid_to(script);
    let hash = SighashCache::new(&tx)
        .legacy_signature_hash(0, &coin.script_pubkey, 1)
        .unwrap();
    let signature = ecdsa_sign(hash.to_byte_array(), EcdsaSighashType::All);
    tx.input[0].script_sig = push_only(&[signature.to_vec()]);
    accepts_only(chain, &tx, FALSE);
}

#[test]
fn pay_to_witness_public_key_hash_plain_and_nested() {
    let program = ScriptBuf::new_p2wpkh(&public().wpubkey_hash());
    for nested in [false, true] {
        for kind in [EcdsaSighashType::All, EcdsaSighashType::AllPlusAnyoneCanPay] {
            let script = if nested {
                program.to_p2sh()
            } else {
                program.clone()
            };
            let (chain, coin, mut tx) = paid_to(script);
            let hash = SighashCache::new(&tx)
                .p2wpkh_signature_hash(0, &program, coin.value, kind)
                .unwrap();
            let signature = ecdsa_sign(hash.to_byte_array(), kind);
            tx.input[0].witness = Witness::p2wpkh(&signature, &public().0);
            if nested {
                tx.input[0].script_sig = push_only(&[program.to_bytes()]);
            }
            accepts_only(chain, &tx, FALSE);
        }
    }
}

#[test]
fn a_nested_program_needs_exactly_its_push_and_a_program_the_right_key() {
    let program = ScriptBuf::new_p2wpkh(&public().wpubkey_hash());
    let (mut chain, coin, mut tx) = paid_to(program.to_p2sh());
    let hash = SighashCache::new(&tx)
        .p2wpkh_signature_hash(0, &program, coin.value, EcdsaSighashType::All)
        .unwrap();
    let signature = ecdsa_sign(hash.to_byte_array(), EcdsaSighashType::All);
    tx.input[0].witness = Witness::p2wpkh(&signature, &public().0);
    let case = |chain: &mut Chain, tx: &Transaction, text: &str| {
        let block = next_block(chain, vec![tx.clone()]);
        let failed = format!("block-script-verify-flag-failed ({text})");
        assert_eq!(reason(chain, &block), Some(failed));
    };
    case(
        &mut chain,
        &tx,
        "Operation not valid with the current stack size",
    );
    tx.input[0].script_sig = push_only(&[vec![1], program.to_bytes()]);
    case(
        &mut chain,
        &tx,
        "Witness requires only-redeemscript scriptSig",
    );
    tx.input[0].script_sig = push_only(&[vec![1, 2]]);
    case(&mut chain, &tx, FALSE);
    tx.input[0].script_sig = push_only(&[program.to_bytes()]);
    let mut bytes = signature.to_vec();
    bytes[3] = 0;
    tx.input[0].witness = Witness::from_slice(&[bytes, vec![2; 33]]);
    case(&mut chain, &tx, "Script failed an OP_EQUALVERIFY operation");
    let mut bytes = signature.to_vec();
    bytes[1] += 1;
    tx.input[0].witness = Witness::from_slice(&[bytes, public().to_bytes().to_vec()]);
    case(&mut chain, &tx, "Non-canonical DER signature");
    // An empty signature is well formed, and false.
    tx.input[0].witness = Witness::from_slice(&[vec![], public().to_bytes().to_vec()]);
    case(&mut chain, &tx, FALSE);
}

#[test]
fn taproot_by_its_key() {
    let secp = Secp256k1::new();
    let tweaked = keypair().tap_tweak(&secp, None);
    let script = ScriptBuf::new_p2tr(&secp, keypair().x_only_public_key().0, None);
    for kind in [
        TapSighashType::Default,
        TapSighashType::All,
        TapSighashType::None,
    ] {
        let (mut chain, coin, mut tx) = paid_to(script.clone());
        let coins = [coin];
        let hash = SighashCache::new(&tx)
            .taproot_key_spend_signature_hash(0, &Prevouts::All(&coins), kind)
            .unwrap();
        let message = Message::from_digest(hash.to_byte_array());
        let signature = secp.sign_schnorr(&message, &tweaked.to_keypair());
        let signature = taproot::Signature {
            signature,
            sighash_type: kind,
        };
        let case = |chain: &mut Chain, witness: &[Vec<u8>], text: &str| {
            let mut tx = tx.clone();
            tx.input[0].witness = Witness::from_slice(witness);
            let block = next_block(chain, vec![tx]);
            let failed = format!("block-script-verify-flag-failed ({text})");
            assert_eq!(reason(chain, &block), Some(failed));
        };
        case(
            &mut chain,
            &[],
            "Witness program was passed an empty witness",
        );
        case(&mut chain, &[vec![1; 63]], "Invalid Schnorr signature size");
        case(
            &mut chain,
            &[vec![0; 65]],
            "Invalid Schnorr signature hash type",
        );
        case(
            &mut chain,
            &[vec![9; 65]],
            "Invalid Schnorr signature hash type",
        );
        case(&mut chain, &[vec![1; 64]], "Invalid Schnorr signature");
        let path = [vec![0x51], vec![0xc0; 33]];
        case(&mut chain, &path, "this node does not run such a script");
        tx.input[0].witness = Witness::p2tr_key_spend(&signature);
        if kind == TapSighashType::None {
            let block = next_block(&chain, vec![tx]);
            assert_eq!(submit(&mut chain, &block), Verdict::Accepted);
        } else {
            accepts_only(chain, &tx, "Invalid Schnorr signature");
        }
    }
}

#[test]
fn witness_script_hashes_and_programs_without_rules() {
    let script = ScriptBuf::from_bytes(vec![0x51]);
    let (mut chain, _, mut tx) = paid_to(script.to_p2wsh());
    tx.input[0].witness = Witness::from_slice(&[vec![0x52]]);
    let block = next_block(&chain, vec![tx.clone()]);
    let failed = "block-script-verify-flag-failed (Witness program hash mismatch)";
    assert_eq!(reason(&mut chain, &block).as_deref(), Some(failed));
    tx.input[0].witness = Witness::from_slice(&[vec![0x51]]);
    let block = next_block(&chain, vec![tx]);
    assert_eq!(submit(&mut chain, &block), Verdict::Accepted);

    // Pay to anchor, and a version nobody has given a meaning yet.
    for program in [vec![0x51, 0x02, 0x4e, 0x73], vec![0x60, 0x02, 1, 1]] {
        let (mut chain, _, tx) = paid_to(ScriptBuf::from_bytes(program));
        let block = next_block(&chain, vec![tx]);
        assert_eq!(submit(&mut chain, &block), Verdict::Accepted);
    }
    let (mut chain, _, mut tx) = paid_to(ScriptBuf::from_bytes(vec![0x00, 0x02, 1, 1]));
    tx.input[0].witness = Witness::from_slice(&[vec![0x51]]);
    let block = next_block(&chain, vec![tx]);
    let failed = "block-script-verify-flag-failed (Witness program has incorrect length)";
    assert_eq!(reason(&mut chain, &block).as_deref(), Some(failed));
}
