//! The private view key of an address: whoever has it sees what the address is paid, and can spend
//! nothing.
//!
//! Made of the configuration, once. A [`BadViewKey`] means that nothing could be proven with it.

use std::fmt;

use curve25519_dalek::{EdwardsPoint, Scalar};

use super::{
    Address,
    address::Kind,
    miner_transaction::Output,
    one_time_key::{OneTime, point},
};

/// The key, and the address that it is of.
#[derive(Clone)]
pub struct ViewKey {
    address: Address,
    secret: Scalar,
    spend: EdwardsPoint,
}

/// Why 32 bytes are not an address's view key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadViewKey {
    /// Blocks cannot pay another kind.
    #[error("only a wallet's first address can be mined to")]
    Kind,
    /// Not a number below the order of the group.
    #[error("no private key at all")]
    Scalar,
    /// Of another address.
    #[error("not the private view key of that address")]
    Other,
}

impl ViewKey {
    /// The view key of a wallet's first address.
    pub fn new(bytes: [u8; 32], address: Address) -> Result<Self, BadViewKey> {
        if address.kind() != Kind::Standard {
            return Err(BadViewKey::Kind);
        }
        let secret: Option<Scalar> = Scalar::from_canonical_bytes(bytes).into();
        let secret = secret.ok_or(BadViewKey::Scalar)?;
        let public = EdwardsPoint::mul_base(&secret).compress().0;
        let spend = point(address.spend_key()).filter(|_| public == address.view_key());
        Ok(Self {
            spend: spend.ok_or(BadViewKey::Other)?,
            secret,
            address,
        })
    }

    /// The address that it is of.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the address's wallet finds an output and can spend it. `public_key` is the transaction's.
    pub fn finds(&self, output: &Output, place: usize, public_key: [u8; 32]) -> bool {
        let Some(public_key) = point(public_key) else {
            return false;
        };
        let derivation = (public_key * self.secret).mul_by_cofactor().compress().0;
        let one_time = OneTime::new(&derivation, place);
        output.view_tag.is_none_or(|tag| tag == one_time.view_tag())
            && output.key == one_time.key(&self.spend)
    }
}

impl fmt::Debug for ViewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ViewKey(*** of {})", self.address)
    }
}
