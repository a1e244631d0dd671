//! The name a miner logs in with: `address.worker`, parsed once.

use std::fmt;

use crate::{Address, Coin, Network, address::BadAddress};

/// The longest worker name that is kept; what is longer is cut.
const WORKER_LEN_MAX: usize = 64;

/// A worker: whom to pay, and which of the miner's devices this is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Username {
    /// Whom to pay.
    pub address: Address,
    /// The device, in characters that are safe in files, pages and terminals.
    pub worker: String,
}

impl Username {
    /// Parses `address.worker`. Without a worker's name it is called `worker`; characters outside
    /// `A-Z a-z 0-9 . _ + -` become `_`.
    pub fn parse(coin: &Coin, network: Network, text: &str) -> Result<Self, BadAddress> {
        let (address, worker) = text.split_once('.').unwrap_or((text, ""));
        let address = Address::parse(coin, network, address)?;
        let mut worker: String = worker
            .chars()
            .take(WORKER_LEN_MAX)
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._+-".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        if worker.is_empty() {
            worker.push_str("worker");
        }
        Ok(Self { address, worker })
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.address, self.worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

    #[test]
    fn the_worker_is_what_follows_the_first_dot_made_safe() {
        #[track_caller]
        fn case(name: &str, worker: &str) {
            let coin = "bitcoin".parse().unwrap();
            let parsed =
                Username::parse(coin, Network::Regtest, &format!("{ADDRESS}{name}")).unwrap();
            assert_eq!(
                (parsed.address.as_str(), parsed.worker.as_str()),
                (ADDRESS, worker)
            );
        }
        case("", "worker");
        case(".", "worker");
        case(".rig1", "rig1");
        case(".farm.rig-1_a+b", "farm.rig-1_a+b");
        case(".<script>\u{202e}\n=1", "_script____1");
        case(&format!(".{}", "x".repeat(500)), &"x".repeat(64));
    }

    #[test]
    fn a_name_without_an_address_is_refused() {
        for text in ["", ".rig", "rig1", "bcrt1q.rig"] {
            let coin = "bitcoin".parse().unwrap();
            assert!(
                Username::parse(coin, Network::Regtest, text).is_err(),
                "{text}"
            );
        }
    }
}
