//! The name a miner logs in with, parsed once: whom to pay, and which device this is.
//!
//! Called for each `mining.authorize`. An error is told to the miner; its text says what to write
//! instead.
//!
//! | written | meant |
//! |---|---|
//! | `address.worker`, `address_worker`, `address` | pay this address |
//! | `address1,address2.worker`, with `,` `-` or `/` | pay the one of this coin, keep the others |
//! | `.worker`, or nothing at all | pay the pool's own address, where it has one for that |
//! | `u/1f3.worker` | a short alias, as some devices cut names at 63 characters |
//!
//! Some firmware percent-encodes what it sends (`%2E` for the point), so that is undone once.

use std::{fmt, str::FromStr};

use crate::{Address, Coin, Network, address::BadAddress};

/// The longest worker name that is kept; what is longer is cut.
const WORKER_LEN_MAX: usize = 64;
/// The longest name that is read, in bytes as sent. Devices send up to 191; a name of two long
/// addresses, percent-encoded, has about 700.
const NAME_LEN_MAX: usize = 1024;
/// The most addresses in one name: merged mining of more coins than that is unheard of.
const ADDRESSES_MAX: usize = 8;
/// The longest address of another coin that is kept: Monero's longest has 106 characters.
const OTHER_LEN_MAX: usize = 128;

/// A worker: whom to pay, and which of the miner's devices this is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Username {
    /// Whom to pay, as it was typed: firmware compares it with what it was given.
    pub address: Address,
    /// The device, in characters that are safe in files, pages and terminals.
    pub worker: String,
}

/// What a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// To be paid at an address.
    Address {
        /// The worker, with the address of this coin.
        username: Username,
        /// The other addresses of the name, in their order: for merged mining. They are short and
        /// printable ASCII, and nothing else is known of them.
        others: Vec<String>,
    },
    /// To be paid at the address that this alias stands for.
    Alias {
        /// The alias's number, as in [`Alias`].
        number: u64,
        /// As in [`Username`].
        worker: String,
    },
}

/// Why a name is none to log in with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogin {
    /// Nothing stands before the worker's name, and the pool has no address for that.
    #[error("the name must begin with an address: address.worker")]
    NoAddress,
    /// What should be an address is none that can be paid here.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// More addresses than anyone mines at once.
    #[error("more than {ADDRESSES_MAX} addresses in one name")]
    TooManyAddresses,
    /// An address of another coin that is no text we keep.
    #[error("another coin's address is longer than {OTHER_LEN_MAX} or not printable ASCII")]
    Other,
    /// The part behind `u/` is no alias.
    #[error("u/ is followed by an alias: {0}")]
    Alias(#[from] BadAlias),
    /// An alias where only an address will do.
    #[error("an alias cannot be used here: the name must begin with an address")]
    AliasNotHere,
    /// A `%` that does not encode a character.
    #[error("a % in the name must be followed by the two hexadecimal digits of a character")]
    Percent,
    /// Longer than any device sends.
    #[error("the name is longer than {NAME_LEN_MAX} characters")]
    TooLong,
}

impl Login {
    /// Parses a name as the table above has it. `default` is paid where the name has no address.
    ///
    /// The first `.` separates the worker's name, or the first `_` where that comes before it: no
    /// address holds either. Without a worker's name it is called `worker`; in it, characters
    /// outside `A-Z a-z 0-9 . _ + -` become `_`.
    pub fn parse(
        coin: &Coin,
        network: Network,
        text: &str,
        default: Option<&Address>,
    ) -> Result<Self, BadLogin> {
        if text.len() > NAME_LEN_MAX {
            return Err(BadLogin::TooLong);
        }
        let text = percent_decoded(text)?;
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if text.is_empty() || text.starts_with('.') {
            let address = default.ok_or(BadLogin::NoAddress)?.clone();
            let worker = worker_name(text.strip_prefix('.').unwrap_or(text));
            return Ok(Self::Address {
                username: Username { address, worker },
                others: Vec::new(),
            });
        }
        let (paid, worker) = text.split_once(['.', '_']).unwrap_or((text, ""));
        let worker = worker_name(worker);
        if let Some(alias) = paid.strip_prefix("u/").or(paid.strip_prefix("U/")) {
            let Alias(number) = alias.parse()?;
            return Ok(Self::Alias { number, worker });
        }
        let (address, others) = addresses(coin, network, paid)?;
        let username = Username { address, worker };
        Ok(Self::Address { username, others })
    }
}

impl Username {
    /// Parses a name as [`Login::parse`] does, where only an address of its own will do.
    pub fn parse(coin: &Coin, network: Network, text: &str) -> Result<Self, BadLogin> {
        match Login::parse(coin, network, text, None)? {
            Login::Address { username, .. } => Ok(username),
            Login::Alias { .. } => Err(BadLogin::AliasNotHere),
        }
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.address, self.worker)
    }
}

/// A short name for an address, written as `u/` and this number in base 32.
///
/// The digits are `0` to `9` and the letters without `i`, `l`, `o` and `u`: a person copies an
/// alias into a device by hand, and one read as another would pay somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias(u64);

/// Why a text is no alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAlias {
    /// No digit at all, or too many.
    #[error("1 to {ALIAS_DIGITS_MAX} letters and digits")]
    Length,
    /// A character that is no digit of an alias.
    #[error("letters and digits without i, l, o and u")]
    Digit,
    /// A zero before other digits: each alias is written in one way only.
    #[error("it does not begin with 0")]
    LeadingZero,
}

/// The digits of an alias, by their value.
const ALIAS_DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// The most digits of an alias: 60 bits, which SQL's integers hold.
const ALIAS_DIGITS_MAX: usize = 12;

impl Alias {
    /// The largest number that has an alias.
    pub const NUMBER_MAX: u64 = (1 << (5 * ALIAS_DIGITS_MAX)) - 1;

    /// The alias of a number; none above [`NUMBER_MAX`](Self::NUMBER_MAX).
    pub fn new(number: u64) -> Option<Self> {
        (number <= Self::NUMBER_MAX).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Reads the digits without `u/`, in upper or lower case.
impl FromStr for Alias {
    type Err = BadAlias;

    fn from_str(text: &str) -> Result<Self, BadAlias> {
        if text.is_empty() || text.len() > ALIAS_DIGITS_MAX {
            return Err(BadAlias::Length);
        }
        if text.len() > 1 && text.starts_with('0') {
            return Err(BadAlias::LeadingZero);
        }
        let mut number = 0;
        for byte in text.bytes().map(|byte| byte.to_ascii_lowercase()) {
            let digit = (0u64..).zip(ALIAS_DIGITS).find(|(_, d)| **d == byte);
            let (value, _) = digit.ok_or(BadAlias::Digit)?;
            number = number << 5 | value;
        }
        Ok(Self(number))
    }
}

/// The digits without `u/`, in lower case.
impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = (64 - self.0.leading_zeros()).div_ceil(5).max(1);
        for place in (0..digits).rev() {
            let value = usize::try_from(self.0 >> (5 * place) & 31).expect("five bits");
            write!(f, "{}", char::from(ALIAS_DIGITS[value]))?;
        }
        Ok(())
    }
}

/// A name of a device that is safe in files, pages and terminals, and never empty.
pub fn worker_name(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let name: String = text
        .chars()
        .take(WORKER_LEN_MAX)
        .map(|c| if safe(c) { c } else { '_' })
        .collect();
    if name.is_empty() {
        "worker".to_owned()
    } else {
        name
    }
}

/// The first address of this coin, wherever it stands, and the others.
fn addresses(
    coin: &Coin,
    network: Network,
    text: &str,
) -> Result<(Address, Vec<String>), BadLogin> {
    let (mut paid, mut first_fault, mut others) = (None, None, Vec::new());
    // What is empty between two separators says nothing.
    for (number, part) in text
        .split([',', '-', '/'])
        .filter(|part| !part.is_empty())
        .enumerate()
    {
        if number >= ADDRESSES_MAX {
            return Err(BadLogin::TooManyAddresses);
        }
        if paid.is_none() {
            match Address::parse(coin, network, part) {
                Ok(address) => {
                    paid = Some(address);
                    continue;
                }
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        others.push(part);
    }
    let Some(paid) = paid else {
        return Err(first_fault.map_or(BadLogin::NoAddress, BadLogin::Address));
    };
    let is_kept =
        |text: &&str| text.len() <= OTHER_LEN_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    if !others.iter().all(is_kept) {
        return Err(BadLogin::Other);
    }
    Ok((paid, others.into_iter().map(str::to_owned).collect()))
}

/// Undoes percent-encoding once: `%252E` becomes `%2E` and stays so.
fn percent_decoded(text: &str) -> Result<String, BadLogin> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || bytes.next().and_then(hex_digit).ok_or(BadLogin::Percent);
            digit()? << 4 | digit()?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).map_err(|_| BadLogin::Percent)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
