//! The name a miner of this family logs in with, parsed once: whom to pay, which device this is, and
//! at what difficulty.
//!
//! Called for each `login`. An error is told to the miner; its text says what to write instead.
//!
//! | written | meant |
//! |---|---|
//! | `address` | pay this address |
//! | `address.worker` | and call this device so |
//! | `address+5000`, `address.worker+5000`, `address+5000.worker` | this difficulty and no other |
//! | `address.5000`, `address.worker.5000` | the same, as P2Pool has it |
//!
//! A last part of fewer than three digits, or with a zero first, is a worker's name: people number
//! their rigs, and nobody mines at a difficulty of 7. An integrated address holds its payment id in
//! itself, so nothing of all this touches it.

use super::address::{Address, BadAddress, Tags};
use crate::{Difficulty, password::Options, username::worker_name};

/// The longest name that is read, in bytes.
pub const NAME_LEN_MAX: usize = 512;
/// The fewest digits of a difficulty behind a point.
const DIGITS_MIN: usize = 3;
/// The digits of a payment id of old, behind a point.
const PAYMENT_ID_DIGITS: usize = 64;

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Whom to pay.
    pub address: Address,
    /// The device's name as part of the login, in characters that are safe in files, pages and
    /// terminals; [`worker`](Self::worker) heeds the other places for it.
    pub named: Option<String>,
    /// The only difficulty the miner wants.
    pub fixed: Option<Difficulty>,
}

/// Why a name is none to log in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogin {
    /// Nothing at all, or nothing before the worker's name.
    #[error("the login must begin with an address: address.worker+difficulty")]
    NoAddress,
    /// Longer than any miner sends.
    #[error("the login is longer than {NAME_LEN_MAX} characters")]
    TooLong,
    /// What should be an address is none that can be paid here.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// What follows a plus is no whole number above zero.
    #[error("a + in the login must be followed by a difficulty, such as +5000")]
    Difficulty,
    /// Two pluses.
    #[error("the login has more than one difficulty")]
    Again,
    /// A payment id of old, which no wallet pays any more.
    #[error("payment ids behind an address are no longer paid: use an integrated address")]
    PaymentId,
}

impl Login {
    /// Parses a name as the table above has it.
    pub fn parse(tags: &Tags, text: &str) -> Result<Self, BadLogin> {
        if text.len() > NAME_LEN_MAX {
            return Err(BadLogin::TooLong);
        }
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        let end = text.find(['.', '+']).unwrap_or(text.len());
        let (address, mut rest) = text.split_at(end);
        if address.is_empty() {
            return Err(BadLogin::NoAddress);
        }
        let address = Address::parse(tags, address)?;
        let (mut fixed, mut names) = (None, Vec::new());
        let mut is_last_named = false;
        while let Some(separator) = rest.chars().next() {
            let part = &rest[1..];
            let end = part.find(['.', '+']).unwrap_or(part.len());
            let part = &part[..end];
            rest = &rest[1 + end..];
            is_last_named = separator == '.';
            if is_last_named {
                let is_payment_id = part.len() == PAYMENT_ID_DIGITS
                    && part.bytes().all(|byte| byte.is_ascii_hexdigit());
                if is_payment_id {
                    return Err(BadLogin::PaymentId);
                }
                names.push(part);
            } else if fixed.is_some() {
                return Err(BadLogin::Again);
            } else {
                fixed = Some(difficulty(part).ok_or(BadLogin::Difficulty)?);
            }
        }
        if fixed.is_none() && is_last_named {
            let last = names
                .last()
                .filter(|part| part.len() >= DIGITS_MIN && !part.starts_with('0'));
            fixed = last.and_then(|part| difficulty(part));
            if fixed.is_some() {
                names.pop();
            }
        }
        let name = names.join(".");
        Ok(Self {
            address,
            named: (!name.is_empty()).then(|| worker_name(&name)),
            fixed,
        })
    }

    /// The device's name: from the login, or else the miner's `rigid`, or else the password, where it
    /// is more than an `x`.
    pub fn worker(&self, rigid: Option<&str>, password: &Options) -> String {
        if let Some(named) = &self.named {
            return named.clone();
        }
        if let Some(rigid) = rigid.filter(|rigid| !rigid.is_empty()) {
            return worker_name(rigid);
        }
        if let Some(named) = &password.worker {
            return named.clone();
        }
        // `worker:email`, and `~algorithm`, which is no name.
        let literal = password.literal.as_deref().unwrap_or_default();
        let name = literal.split(':').next().unwrap_or_default();
        let is_name = !name.eq_ignore_ascii_case("x") && !name.starts_with('~');
        worker_name(if is_name { name } else { "" })
    }

    /// The only difficulty the miner wants: from the login, or else the password.
    pub fn fixed(&self, password: &Options) -> Option<Difficulty> {
        self.fixed.or(password.fixed)
    }
}

/// Digits alone; what is out of range is brought into it.
fn difficulty(digits: &str) -> Option<Difficulty> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
