//! Whether the owner of an address of Monero signed a message: what its wallets make by `sign`, since 0.17.2, and check
//! by `verify`.
//!
//! ```text
//! "SigV2" | base58 of c 32 | r 32
//! m = keccak("MoneroMessageSignature\0" | spend key | view key | 0 | length of the message | the message)
//! c = keccak(m | spend key | c P + r G) as a number
//! ```
//!
//! The 0 says that the spend key signed. A wallet that only sees can sign with its view key; that shows nothing here,
//! for whoever has it owns nothing. Signatures of the form before (`SigV1`) do not say which of the two it was.

use curve25519_dalek::{
    EdwardsPoint, Scalar, edwards::CompressedEdwardsY, traits::IsIdentity as _,
};

use super::{
    Address, base58,
    keccak::keccak256,
    one_time_key::{point, scalar},
    varint,
};
use crate::message::BadSignature;

const PREFIX: &str = "SigV2";
const OF_OLD: &str = "SigV1";
const DOMAIN: &[u8] = b"MoneroMessageSignature\0";
const BY_SPEND_KEY: u8 = 0;
const BY_VIEW_KEY: u8 = 1;

/// Whether `signature` shows that the owner of `address` signed `message`, which counts to the byte.
pub fn verify(address: &Address, message: &str, signature: &str) -> Result<(), BadSignature> {
    if signature.starts_with(OF_OLD) {
        return Err(BadSignature::CannotSign("a wallet older than 0.17.2"));
    }
    let digits = signature.strip_prefix(PREFIX).ok_or(BadSignature::Form)?;
    let bytes = base58::decode(digits).map_err(|_| BadSignature::Form)?;
    let bytes: [u8; 64] = bytes.try_into().map_err(|_| BadSignature::Form)?;
    let (spend, view) = (address.spend_key(), address.view_key());
    let hash = |by: u8| {
        let length = varint::of_len(message.len());
        let parts = [DOMAIN, &spend, &view, &[by], &length, message.as_bytes()];
        keccak256(&parts)
    };
    if is_signed_by(spend, hash(BY_SPEND_KEY), &bytes) {
        return Ok(());
    }
    match is_signed_by(view, hash(BY_VIEW_KEY), &bytes) {
        true => Err(BadSignature::CannotSign("a view key")),
        false => Err(BadSignature::OtherKey),
    }
}

/// A signature by Schnorr, of two numbers below the order of the group, of which the first is not zero.
fn is_signed_by(key: [u8; 32], hash: [u8; 32], signature: &[u8; 64]) -> bool {
    let numbers = || {
        let (c, r) = signature.split_first_chunk()?;
        let c: Option<Scalar> = Scalar::from_canonical_bytes(*c).into();
        let r: Option<Scalar> = Scalar::from_canonical_bytes(r.try_into().ok()?).into();
        Some((c.filter(|c| *c != Scalar::ZERO)?, r?, point(key)?))
    };
    let Some((c, r, public)) = numbers() else {
        return false;
    };
    let commitment = EdwardsPoint::vartime_double_scalar_mul_basepoint(&c, &public, &r);
    if commitment.is_identity() {
        return false;
    }
    let CompressedEdwardsY(commitment) = commitment.compress();
    scalar(&[&hash, &key, &commitment]) == c
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cryptonote::address::Tags;

    const MESSAGE: &str = "adit: a message of a test";
    /// Made by monero-wallet-rpc 0.18.
    const FIRST: &str = "48yCC1WCmUmHmuAW8vrUUsCMXTteGmULPfgjXXDNEzd74RPfSxhSq7FBDVyetEr8pwY5XJyEN2nah4rppTPna17A6k6TQVT";
    const INTEGRATED: &str = "4JfsCpKhNkHHmuAW8vrUUsCMXTteGmULPfgjXXDNEzd74RPfSxhSq7FBDVyetEr8pwY5XJyEN2nah4rppTPna17A9NNLU4QDm9AKtwHPdA";
    const SUBADDRESS: &str = "8ALMva6ZkSodtzNMgFv6HefNmtXsbMR3wANqzULv6285iVrewUTGQDmDp8UDFZwKFegYWVAf7ENf3Grhe8xw5hTf3xxZSdb";
    const BY_FIRST: &str = "SigV2MLcoT2QvBED63whGTznUuTdbvwPKo2cPX9HTYTMsbges2XPJv6TS73TdeSPJHwkRSgehxwnqscreD827ZswD4HL7";
    const BY_FIRST_NOTHING: &str = "SigV2HponLsrgDQNaLWSCcC8YVKETqwXjZaoicDvqGSMyR2LJSa9HzyzzT9fiF6K7gGAUBffpimfQCg6jkQWvMHcTxfCM";
    const BY_VIEW: &str = "SigV2LZ4W4MYZ18jMnrSZqoQwGFNQP8mgG9AWdJ3XjRXvW36DCxSrB3ia279KHJXzpwSLvyDVK2rdsutKmaNbBkKSGLG7";
    const BY_SUBADDRESS: &str = "SigV2Kzz4twmhgtgBkmM7f4TGEGKBPcjvw1ca14ArHs3wKDZaiQBaQrSqrRB8a4AWdamEFMEiLXSmTUkdiApHnxbuSgbw";

    fn verified(address: &str, message: &str, signature: &str) -> Result<(), BadSignature> {
        let address = Address::parse(&Tags::MONERO, address).unwrap();
        verify(&address, message, signature)
    }

    #[test]
    fn what_a_wallet_signs_is_signed_and_nothing_else_is() {
        assert_eq!(verified(FIRST, MESSAGE, BY_FIRST), Ok(()));
        assert_eq!(verified(INTEGRATED, MESSAGE, BY_FIRST), Ok(()));
        assert_eq!(verified(FIRST, "", BY_FIRST_NOTHING), Ok(()));
        assert_eq!(verified(SUBADDRESS, MESSAGE, BY_SUBADDRESS), Ok(()));
        let other_key = Err(BadSignature::OtherKey);
        assert_eq!(verified(SUBADDRESS, MESSAGE, BY_FIRST), other_key);
        assert_eq!(verified(FIRST, MESSAGE, BY_SUBADDRESS), other_key);
        for message in [
            "",
            "adit: a message of a test ",
            "Adit: a message of a test",
        ] {
            assert_eq!(verified(FIRST, message, BY_FIRST), other_key, "{message}");
        }
    }

    #[test]
    fn a_view_key_shows_nothing_and_an_old_form_does_not_say_which_key_it_was() {
        let view = Err(BadSignature::CannotSign("a view key"));
        assert_eq!(verified(FIRST, MESSAGE, BY_VIEW), view);
        let old = BY_FIRST.replace("SigV2", "SigV1");
        let refused = Err(BadSignature::CannotSign("a wallet older than 0.17.2"));
        assert_eq!(verified(FIRST, MESSAGE, &old), refused);
        for text in [
            "",
            "SigV2",
            "SigV3abc",
            "sigv2",
            "SigV2l0",
            &BY_FIRST[..BY_FIRST.len() - 1],
        ] {
            assert_eq!(
                verified(FIRST, MESSAGE, text),
                Err(BadSignature::Form),
                "{text}"
            );
        }
        let longer = format!("{BY_FIRST}11");
        assert_eq!(verified(FIRST, MESSAGE, &longer), Err(BadSignature::Form));
    }

    #[test]
    fn numbers_that_no_wallet_makes_are_refused() {
        let with = |c: [u8; 32], r: [u8; 32]| {
            let bytes = [c, r].concat();
            verified(FIRST, MESSAGE, &format!("SigV2{}", base58::encode(&bytes)))
        };
        let good = base58::decode(&BY_FIRST[5..]).unwrap();
        let (c, r) = (
            good[..32].try_into().unwrap(),
            good[32..].try_into().unwrap(),
        );
        assert_eq!(with(c, r), Ok(()));
        let refused = Err(BadSignature::OtherKey);
        assert_eq!(with([0; 32], r), refused);
        // The same number again, with the order of the group added.
        let order: [u8; 32] = (Scalar::ZERO - Scalar::ONE).to_bytes();
        let mut carry = 1u16;
        let mut above = [0; 32];
        for ((sum, one), other) in above.iter_mut().zip::<[u8; 32]>(r).zip(order) {
            carry += u16::from(one) + u16::from(other);
            *sum = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert_eq!(with(c, above), refused);
    }

    proptest! {
        #[test]
        fn no_other_signature_is_one(place in 0usize..64, bit in 0u32..8) {
            let mut bytes = base58::decode(&BY_FIRST[5..]).unwrap();
            bytes[place] ^= 1 << bit;
            let text = format!("SigV2{}", base58::encode(&bytes));
            prop_assert!(verified(FIRST, MESSAGE, &text).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in "(SigV2)?[1-9A-Za-z]{0,120}") {
            prop_assert!(verified(FIRST, MESSAGE, &text).is_err());
        }
    }
}
