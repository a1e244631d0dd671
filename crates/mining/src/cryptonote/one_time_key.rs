//! The one-time keys that outputs pay to, worked out from the secret that maker and receiver of a
//! transaction share. Called by whoever proves that an output is an address's own.

use curve25519_dalek::{
    EdwardsPoint, Scalar, edwards::CompressedEdwardsY, traits::IsIdentity as _,
};

use super::{keccak::keccak256, varint};

/// What one output of a transaction is made of.
pub(super) struct OneTime<'a> {
    derivation: &'a [u8; 32],
    place: Vec<u8>,
}

impl<'a> OneTime<'a> {
    /// By the shared secret and the output's place in its transaction.
    pub(super) fn new(derivation: &'a [u8; 32], place: usize) -> Self {
        let place = varint::of_len(place);
        Self { derivation, place }
    }

    /// By which a wallet passes over most of what is not its own.
    pub(super) fn view_tag(&self) -> u8 {
        let [tag, ..] = keccak256(&[b"view_tag", self.derivation, &self.place]);
        tag
    }

    /// What the key is more than the receiver's own.
    pub(super) fn shared(&self) -> Scalar {
        scalar(&[self.derivation, &self.place])
    }

    /// The key to which the output pays, if it pays this one.
    pub(super) fn key(&self, spend: &EdwardsPoint) -> [u8; 32] {
        (EdwardsPoint::mul_base(&self.shared()) + spend)
            .compress()
            .0
    }
}

/// The number that a hash is.
pub(super) fn scalar(parts: &[&[u8]]) -> Scalar {
    Scalar::from_bytes_mod_order(keccak256(parts))
}

pub(super) fn point(bytes: [u8; 32]) -> Option<EdwardsPoint> {
    let point = CompressedEdwardsY(bytes).decompress()?;
    (!point.is_identity()).then_some(point)
}
