//! Whether transactions pay what they were made to pay: worked out from their bytes and the secret keys
//! that their maker drew for them, as each receiver's wallet will.
//!
//! Called for what a wallet has made, before anyone sends it. Of an output that pays an address all is
//! looked at that its receiver needs to find and spend it: the one-time key, the view tag, the amount,
//! the commitment and, of an integrated address, the payment id. Whoever has the keys of a transaction
//! can prove all of that to others, so they are kept with it. What the change is, only the wallet can
//! tell; nothing but one output of each transaction may be change.

use std::fmt;

use curve25519_dalek::{EdwardsPoint, Scalar};

use super::{
    Address,
    address::Kind,
    keccak::keccak256,
    one_time_key::{OneTime, point, scalar},
    transaction::{Output, Transaction},
};
use crate::Amount;

/// The second base of commitments to amounts.
const H: [u8; 32] = [
    0x8b, 0x65, 0x59, 0x70, 0x15, 0x37, 0x99, 0xaf, 0x2a, 0xea, 0xdc, 0x9f, 0xf1, 0xad, 0xd0, 0xea,
    0x6c, 0x72, 0x51, 0xd5, 0x41, 0x54, 0xcf, 0xa9, 0x2c, 0x17, 0x3a, 0x0d, 0xd3, 0x9c, 0x1f, 0x94,
];
/// What the key that hides a payment id ends with.
const PAYMENT_ID_TAIL: u8 = 0x8d;

/// The most destinations of one transaction: 16 outputs, one of them change.
pub const DESTINATIONS_MAX: usize = 15;

/// The secret keys of one transaction: one, and where subaddresses need them, one more for each output.
/// Whoever has them can see and prove whom it pays, and spend nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    main: Scalar,
    additional: Vec<Scalar>,
}

/// Why transactions do not pay what they were made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPaid {
    /// A destination gets another amount, or none.
    #[error("a payment that is not there, or not in full")]
    Payment,
    /// More than one output of a transaction pays somebody else.
    #[error("payments that nobody asked for")]
    Others,
    /// A transaction has no key, or several, by which receivers find their outputs.
    #[error("a transaction without its one public key")]
    PublicKey,
    /// More than any coin has.
    #[error("more than any coin has")]
    Sum,
}

impl Keys {
    /// Keys as a wallet gives them: 32 bytes each, the transaction's own first.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (keys, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() {
            return None;
        }
        let keys = keys
            .iter()
            .map(|key| Option::from(Scalar::from_canonical_bytes(*key)));
        let keys: Vec<Scalar> = keys.collect::<Option<_>>()?;
        let (main, additional) = keys.split_first()?;
        Some(Self {
            main: *main,
            additional: additional.to_vec(),
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

/// Whether these transactions together pay each address its amount, no more and no less, and beside
/// that at most one output of each pays something else: the change.
///
/// `own` is the wallet's own first address. What is to go there is not looked at, as it need not be
/// told from change.
pub fn check(
    transactions: &[(Transaction, Keys)],
    payments: &[(Address, Amount)],
    own: Option<&Address>,
) -> Result<(), NotPaid> {
    let is_own = |address: &Address| own == Some(address);
    let mut left: Vec<usize> = Vec::with_capacity(transactions.len());
    for (transaction, _) in transactions {
        if transaction.fields.public_keys.len() != 1 {
            return Err(NotPaid::PublicKey);
        }
        left.push(transaction.outputs.len());
    }
    for (address, amount) in payments.iter().filter(|(address, _)| !is_own(address)) {
        let mut sum = Amount::ZERO;
        for ((transaction, keys), left) in transactions.iter().zip(&mut left) {
            for got in received(transaction, keys, address) {
                sum = sum.checked_add(got).ok_or(NotPaid::Sum)?;
                *left = left.checked_sub(1).ok_or(NotPaid::Others)?;
            }
        }
        if sum != *amount {
            return Err(NotPaid::Payment);
        }
    }
    let to_ourselves = payments.iter().filter(|(address, _)| is_own(address));
    let others = 1 + to_ourselves.count();
    match left.iter().all(|left| *left <= others) {
        true => Ok(()),
        false => Err(NotPaid::Others),
    }
}

/// What each output of a transaction has that pays an address, in their order.
pub fn received(transaction: &Transaction, keys: &Keys, address: &Address) -> Vec<Amount> {
    let Some(receiver) = Receiver::of(address) else {
        return Vec::new();
    };
    let outputs = transaction.outputs.iter().enumerate();
    let got = outputs.filter_map(|(place, output)| {
        let derivation = receiver.derivation(transaction, keys, place)?;
        let amount = receiver.reads(output, place, &derivation)?;
        match address.kind() {
            Kind::Integrated(id) => {
                let mask = keccak256(&[&derivation, &[PAYMENT_ID_TAIL]]);
                let hidden = transaction.payment_id?;
                let told: [u8; 8] = std::array::from_fn(|place| hidden[place] ^ mask[place]);
                (told == id).then_some(amount)
            }
            Kind::Standard | Kind::Subaddress => Some(amount),
        }
    });
    got.collect()
}

/// The points of an address.
struct Receiver {
    spend: EdwardsPoint,
    view: EdwardsPoint,
    is_subaddress: bool,
}

impl Receiver {
    fn of(address: &Address) -> Option<Self> {
        Some(Self {
            spend: point(address.spend_key())?,
            view: point(address.view_key())?,
            is_subaddress: address.kind() == Kind::Subaddress,
        })
    }

    /// The secret that maker and receiver share for an output, if the receiver can work it out from
    /// what the transaction shows.
    fn derivation(&self, shown: &Transaction, keys: &Keys, place: usize) -> Option<[u8; 32]> {
        let shared = |secret: &Scalar| (self.view * secret).mul_by_cofactor().compress().0;
        // What the key that is shown must be, for the receiver to come to the same.
        let public = |secret: &Scalar| match self.is_subaddress {
            true => (self.spend * secret).compress().0,
            false => EdwardsPoint::mul_base(secret).compress().0,
        };
        if shown.fields.public_keys.first() == Some(&public(&keys.main)) {
            return Some(shared(&keys.main));
        }
        let secret = keys.additional.get(place)?;
        let shown = shown.fields.additional_keys.get(place)?;
        (*shown == public(secret)).then(|| shared(secret))
    }

    /// What an output has, if it is this receiver's and can be spent.
    fn reads(&self, output: &Output, place: usize, derivation: &[u8; 32]) -> Option<Amount> {
        let one_time = OneTime::new(derivation, place);
        let is_seen = output.view_tag.is_none_or(|tag| tag == one_time.view_tag());
        (is_seen && one_time.key(&self.spend) == output.key).then_some(())?;
        let shared = one_time.shared();
        let mask = keccak256(&[b"amount", shared.as_bytes()]);
        let amount: [u8; 8] = std::array::from_fn(|place| output.amount[place] ^ mask[place]);
        let amount = u64::from_le_bytes(amount);
        let blinding = scalar(&[b"commitment_mask", shared.as_bytes()]);
        let commitment = EdwardsPoint::mul_base(&blinding) + point(H)? * Scalar::from(amount);
        (commitment.compress().0 == output.commitment).then_some(Amount::from_units(amount))
    }
}

#[cfg(test)]
mod tests;
