//! Keys for every kind of script that the simulated node can check, and transactions signed with
//! them.

use std::sync::LazyLock;

use bitcoin::{
    Amount, EcdsaSighashType, OutPoint, PublicKey, ScriptBuf, Sequence, TapSighashType,
    Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    hashes::{Hash as _, sha256d},
    key::{Keypair, TapTweak, TweakedKeypair},
    opcodes::all::{OP_CHECKSIG, OP_PUSHNUM_1},
    script::{Builder, PushBytesBuf},
    secp256k1::{All, Message, Secp256k1, SecretKey},
    sighash::{Prevouts, SighashCache},
    transaction::Version,
};

static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// A kind of script to pay to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// `OP_TRUE`: anyone's.
    True,
    /// Bare public key.
    P2pk,
    /// Hash of a public key.
    P2pkh,
    /// Hash of a public key, with witness.
    P2wpkh,
    /// The same, within a script hash.
    P2shP2wpkh,
    /// Script hash with witness; the script is that of a bare public key.
    P2wsh,
    /// Taproot, spent by its key.
    P2tr,
}

/// An output that can be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Coin {
    pub(crate) outpoint: OutPoint,
    pub(crate) output: TxOut,
    pub(crate) kind: Kind,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::True,
        Self::P2pk,
        Self::P2pkh,
        Self::P2wpkh,
        Self::P2shP2wpkh,
        Self::P2wsh,
        Self::P2tr,
    ];

    /// The script that pays to this purse.
    pub(crate) fn script(self) -> ScriptBuf {
        let key = key();
        match self {
            Self::True => Builder::new().push_opcode(OP_PUSHNUM_1).into_script(),
            Self::P2pk => ScriptBuf::new_p2pk(&key),
            Self::P2pkh => ScriptBuf::new_p2pkh(&key.pubkey_hash()),
            Self::P2wpkh => ScriptBuf::new_p2wpkh(&key.wpubkey_hash().unwrap()),
            Self::P2shP2wpkh => Self::P2wpkh.script().to_p2sh(),
            Self::P2wsh => witness_script().to_p2wsh(),
            Self::P2tr => ScriptBuf::new_p2tr(&SECP, key.inner.x_only_public_key().0, None),
        }
    }

    /// Whether spending it needs a witness.
    pub(crate) fn has_witness(self) -> bool {
        matches!(
            self,
            Self::P2wpkh | Self::P2shP2wpkh | Self::P2wsh | Self::P2tr
        )
    }
}

/// The coins of a transaction that are of a kind known here.
pub(crate) fn coins(transaction: &Transaction) -> impl Iterator<Item = Coin> {
    let txid = transaction.compute_txid();
    (0..)
        .zip(&transaction.output)
        .filter_map(move |(vout, output)| {
            let kind = Kind::ALL
                .into_iter()
                .find(|kind| kind.script() == output.script_pubkey)?;
            Some(Coin {
                outpoint: OutPoint { txid, vout },
                output: output.clone(),
                kind,
            })
        })
}

/// A transaction that spends `coins`, signed in whole, and pays what is over `fee` to `kinds` in
/// equal parts.
pub(crate) fn pay(coins: &[Coin], kinds: &[Kind], fee: u64) -> Transaction {
    let total: u64 = coins.iter().map(|coin| coin.output.value.to_sat()).sum();
    let part = (total - fee) / kinds.len() as u64;
    let mut left = total - fee;
    let output = kinds.iter().enumerate().map(|(i, kind)| {
        let value = if i + 1 == kinds.len() { left } else { part };
        left -= value;
        TxOut {
            value: Amount::from_sat(value),
            script_pubkey: kind.script(),
        }
    });
    let mut transaction = unsigned(coins, output.collect());
    sign(&mut transaction, coins);
    transaction
}

/// A transaction without signatures, final and of version 2.
pub(crate) fn unsigned(coins: &[Coin], output: Vec<TxOut>) -> Transaction {
    let input = coins.iter().map(|coin| TxIn {
        previous_output: coin.outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    });
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: input.collect(),
        output,
    }
}

/// Signs all inputs for all outputs.
pub(crate) fn sign(transaction: &mut Transaction, coins: &[Coin]) {
    for (index, coin) in coins.iter().enumerate() {
        let hash_type = if coin.kind == Kind::P2tr { 0x00 } else { 0x01 };
        let signature = signature(transaction, index, coins, hash_type);
        unlock(
            &mut transaction.input[index],
            coin.kind,
            signature,
            &key().to_bytes(),
        );
    }
}

/// The signature of one input with its hash type as the last byte (none for taproot's default).
/// Any byte may be a hash type but for taproot.
pub(crate) fn signature(
    transaction: &Transaction,
    index: usize,
    coins: &[Coin],
    hash_type: u8,
) -> Vec<u8> {
    let mut cache = SighashCache::new(transaction);
    let coin = &coins[index];
    let spent: Vec<&TxOut> = coins.iter().map(|coin| &coin.output).collect();
    let digest = match coin.kind {
        Kind::True => return Vec::new(),
        Kind::P2pk | Kind::P2pkh => cache
            .legacy_signature_hash(index, &coin.output.script_pubkey, u32::from(hash_type))
            .unwrap()
            .to_byte_array(),
        Kind::P2wpkh | Kind::P2shP2wpkh | Kind::P2wsh => {
            let code = match coin.kind {
                Kind::P2wsh => witness_script(),
                _ => Kind::P2pkh.script(),
            };
            let mut signed = Vec::new();
            let standard = EcdsaSighashType::from_consensus(u32::from(hash_type));
            cache
                .segwit_v0_encode_signing_data_to(
                    &mut signed,
                    index,
                    &code,
                    coin.output.value,
                    standard,
                )
                .unwrap();
            // BIP 143 signs the hash type as it is written, standard or not.
            let end = signed.len() - 4;
            signed[end..].copy_from_slice(&u32::from(hash_type).to_le_bytes());
            sha256d::Hash::hash(&signed).to_byte_array()
        }
        Kind::P2tr => {
            let kind = TapSighashType::from_consensus_u8(hash_type).unwrap();
            let prevouts = if hash_type & 0x80 == 0 {
                Prevouts::All(&spent)
            } else {
                Prevouts::One(index, spent[index])
            };
            let digest = cache
                .taproot_key_spend_signature_hash(index, &prevouts, kind)
                .unwrap();
            let pair: TweakedKeypair =
                Keypair::from_secret_key(&SECP, &secret()).tap_tweak(&SECP, None);
            let message = Message::from_digest(digest.to_byte_array());
            let signature = SECP.sign_schnorr_no_aux_rand(&message, &pair.to_keypair());
            let mut bytes = signature.serialize().to_vec();
            bytes.extend((hash_type != 0).then_some(hash_type));
            return bytes;
        }
    };
    let signature = SECP.sign_ecdsa(&Message::from_digest(digest), &secret());
    let mut bytes = signature.serialize_der().to_vec();
    bytes.push(hash_type);
    bytes
}

/// Puts a signature and the key it is for to where this kind of script looks for them.
pub(crate) fn unlock(input: &mut TxIn, kind: Kind, signature: Vec<u8>, key: &[u8]) {
    input.script_sig = match kind {
        Kind::P2pk => Builder::new().push_slice(push(&signature)).into_script(),
        Kind::P2pkh => Builder::new()
            .push_slice(push(&signature))
            .push_slice(push(key))
            .into_script(),
        Kind::P2shP2wpkh => Builder::new()
            .push_slice(push(Kind::P2wpkh.script().as_bytes()))
            .into_script(),
        _ => ScriptBuf::new(),
    };
    input.witness = match kind {
        Kind::P2wpkh | Kind::P2shP2wpkh => Witness::from_slice(&[&signature, key]),
        Kind::P2wsh => Witness::from_slice(&[&signature, witness_script().as_bytes()]),
        Kind::P2tr => Witness::from_slice(&[&signature]),
        _ => Witness::new(),
    };
}

/// The public key of this purse.
pub(crate) fn key() -> PublicKey {
    PublicKey::new(secret().public_key(&SECP))
}

/// Bytes to be pushed by a script.
pub(crate) fn push(bytes: &[u8]) -> PushBytesBuf {
    PushBytesBuf::try_from(bytes.to_vec()).unwrap()
}

fn secret() -> SecretKey {
    SecretKey::from_slice(&[0x42; 32]).unwrap()
}

fn witness_script() -> ScriptBuf {
    Builder::new()
        .push_key(&key())
        .push_opcode(OP_CHECKSIG)
        .into_script()
}
