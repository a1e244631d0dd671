//! Signed messages of the old form: a header, then the r and s of a signature from which its key can
//! be recovered. The header says which of the possible keys it is and, by BIP137, for what kind of
//! address.

use bitcoin::{
    PublicKey, Script, VarInt,
    consensus::Encodable,
    hashes::{Hash, HashEngine, sha256d},
    secp256k1::{
        Message, Secp256k1,
        ecdsa::{RecoverableSignature, RecoveryId},
    },
};

use super::{BadSignature, HIGH_S, Kind};
use crate::coin::Coin;

/// Bytes of a signature.
pub(super) const LEN: usize = 65;

const FORM: &str = "a signed message of the old form with this header";

/// Whether the key that made `bytes` is the one that `script` pays.
pub(super) fn verify(
    coin: &Coin,
    kind: Kind,
    script: &Script,
    message: &str,
    bytes: &[u8; LEN],
) -> Result<(), BadSignature> {
    let [header, compact @ ..] = bytes;
    let (compressed, fits) = match header {
        27..=30 if matches!(kind, Kind::P2wpkh | Kind::P2shP2wpkh) => {
            return Err(BadSignature::Rule(
                "a key that is not compressed, which a segwit address cannot have",
            ));
        }
        27..=30 => (false, kind == Kind::P2pkh),
        // BIP137 means P2PKH alone; Electrum, Sparrow and Trezor write it for segwit too.
        31..=34 => (true, kind != Kind::P2tr),
        35..=38 => (true, kind == Kind::P2shP2wpkh),
        39..=42 => (true, kind == Kind::P2wpkh),
        _ => return Err(BadSignature::Form),
    };
    if !fits {
        return Err(kind.misfit(FORM));
    }
    let which = RecoveryId::from_i32(i32::from((header - 27) % 4))
        .expect("there are ids for 0, 1, 2 and 3");
    let signature =
        RecoverableSignature::from_compact(compact, which).map_err(|_| BadSignature::Form)?;
    let mut low = signature.to_standard();
    low.normalize_s();
    if low != signature.to_standard() {
        return Err(BadSignature::Rule(HIGH_S));
    }
    let digest = Message::from_digest(digest(coin, message).to_byte_array());
    // There is no key for some r, which then nobody can have signed with.
    let inner = Secp256k1::verification_only()
        .recover_ecdsa(&digest, &signature)
        .map_err(|_| BadSignature::OtherKey)?;
    if kind.pays(script, &PublicKey { compressed, inner }) {
        Ok(())
    } else {
        Err(BadSignature::OtherKey)
    }
}

/// What is signed: the coin's magic and the message, each behind its length, hashed twice.
pub(super) fn digest(coin: &Coin, message: &str) -> sha256d::Hash {
    let mut engine = sha256d::Hash::engine();
    let magic = coin.message_magic().unwrap_or_default();
    for part in [magic, message] {
        VarInt::from(part.len())
            .consensus_encode(&mut engine)
            .expect("a hash takes all bytes");
        engine.input(part.as_bytes());
    }
    sha256d::Hash::from_engine(engine)
}
