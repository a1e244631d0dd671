//! Coins are data: one table that everything reads. A coin of these families is added by adding
//! a row.

use std::{fmt, str::FromStr};

use pow::Algorithm;

/// A coin: what the rules need to know of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Coin {
    /// The name in configuration and URLs.
    pub name: &'static str,
    /// The exchange symbol.
    pub ticker: &'static str,
    /// The smallest unit, in the plural.
    pub unit: &'static str,
    /// Decimal places between the coin and its smallest unit.
    pub decimals: u8,
    /// The line that signed messages of the old form begin with, so that none is a transaction.
    pub message_magic: &'static str,
    /// The proof of work.
    pub algorithm: Algorithm,
    /// Confirmations after which a coinbase can be spent.
    pub maturity: u32,
    /// The time between blocks that the chain aims at, in seconds.
    pub spacing_s: u32,
    /// What `getblocktemplate` must be told that we understand.
    pub rules: &'static [&'static str],
    /// Whether `bits` and subsidy of the next block can be told from its parent alone, so that a
    /// subsidy-only job may be made before the daemon's template is there.
    pub retarget: Retarget,
    /// The version numbers of the daemon (`getnetworkinfo`) that must not be mined with, each with
    /// the reason.
    pub unsafe_versions: &'static [UnsafeVersion],
    /// The networks of this coin.
    pub networks: &'static [NetworkRules],
}

/// When the difficulty of the next block may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retarget {
    /// Only where the height is a multiple of this number.
    Every(u32),
    /// With each block.
    EachBlock,
}

/// Versions below `below` are not to be mined with.
#[derive(Debug, PartialEq, Eq)]
pub struct UnsafeVersion {
    /// The first good version, as `getnetworkinfo.version` has it.
    pub below: u64,
    /// Why.
    pub reason: &'static str,
}

/// Which of a coin's networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The network whose coins have value.
    Main,
    /// The public test network.
    Test,
    /// Bitcoin's fourth public test network.
    Testnet4,
    /// Bitcoin's signed test network.
    Signet,
    /// A network of one's own.
    Regtest,
}

/// What differs between the networks of one coin.
#[derive(Debug, PartialEq, Eq)]
pub struct NetworkRules {
    /// Which network.
    pub network: Network,
    /// Its name in `getblockchaininfo.chain`.
    pub chain: &'static str,
    /// The human-readable part of segwit addresses, where there are any.
    pub hrp: Option<&'static str>,
    /// The version bytes of base58 pay-to-public-key-hash addresses.
    pub p2pkh: u8,
    /// The version byte of base58 pay-to-script-hash addresses.
    pub p2sh: u8,
    /// Blocks between halvings of the subsidy; none where the subsidy follows another rule.
    pub halving: Option<u32>,
}

/// A name that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown coin {0:?}; known are bitcoin, litecoin, dogecoin")]
pub struct UnknownCoin(pub String);

const fn network(
    network: Network,
    chain: &'static str,
    hrp: Option<&'static str>,
    p2pkh: u8,
    p2sh: u8,
    halving: Option<u32>,
) -> NetworkRules {
    NetworkRules {
        network,
        chain,
        hrp,
        p2pkh,
        p2sh,
        halving,
    }
}

/// The table.
pub static COINS: &[Coin] = &[
    Coin {
        name: "bitcoin",
        ticker: "BTC",
        unit: "satoshis",
        decimals: 8,
        message_magic: "Bitcoin Signed Message:\n",
        algorithm: Algorithm::Sha256d,
        maturity: 100,
        spacing_s: 600,
        rules: &["segwit"],
        retarget: Retarget::Every(2016),
        unsafe_versions: &[UnsafeVersion {
            below: 250_000,
            reason: "any peer can crash it (CVE-2024-35202, fixed in 25.0)",
        }],
        networks: &[
            network(Network::Main, "main", Some("bc"), 0x00, 0x05, Some(210_000)),
            network(Network::Test, "test", Some("tb"), 0x6f, 0xc4, Some(210_000)),
            network(
                Network::Testnet4,
                "testnet4",
                Some("tb"),
                0x6f,
                0xc4,
                Some(210_000),
            ),
            network(
                Network::Signet,
                "signet",
                Some("tb"),
                0x6f,
                0xc4,
                Some(210_000),
            ),
            network(
                Network::Regtest,
                "regtest",
                Some("bcrt"),
                0x6f,
                0xc4,
                Some(150),
            ),
        ],
    },
    Coin {
        name: "litecoin",
        ticker: "LTC",
        unit: "litoshis",
        decimals: 8,
        message_magic: "Litecoin Signed Message:\n",
        algorithm: Algorithm::Scrypt,
        maturity: 100,
        spacing_s: 150,
        rules: &["segwit", "mweb"],
        retarget: Retarget::Every(2016),
        unsafe_versions: &[UnsafeVersion {
            below: 210_505,
            reason: "it lacks the MWEB consensus fixes of 0.21.5.5",
        }],
        networks: &[
            network(
                Network::Main,
                "main",
                Some("ltc"),
                0x30,
                0x32,
                Some(840_000),
            ),
            network(
                Network::Test,
                "test",
                Some("tltc"),
                0x6f,
                0x3a,
                Some(840_000),
            ),
            network(
                Network::Regtest,
                "regtest",
                Some("rltc"),
                0x6f,
                0x3a,
                Some(150),
            ),
        ],
    },
    Coin {
        name: "dogecoin",
        ticker: "DOGE",
        unit: "koinus",
        decimals: 8,
        message_magic: "Dogecoin Signed Message:\n",
        algorithm: Algorithm::Scrypt,
        maturity: 240,
        spacing_s: 60,
        rules: &[],
        retarget: Retarget::EachBlock,
        unsafe_versions: &[UnsafeVersion {
            below: 1_140_600,
            reason: "it lacks the security fixes of 1.14.6",
        }],
        networks: &[
            network(Network::Main, "main", None, 0x1e, 0x16, None),
            network(Network::Test, "test", None, 0x71, 0xc4, None),
            network(Network::Regtest, "regtest", None, 0x6f, 0xc4, None),
        ],
    },
];

impl Coin {
    /// Its name as people write it: `Bitcoin`.
    pub fn title(&self) -> String {
        let mut letters = self.name.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    }

    /// What this coin's daemon and addresses look like on `network`, if it has it.
    pub fn on(&self, network: Network) -> Option<&'static NetworkRules> {
        let networks: &'static [NetworkRules] = self.networks;
        networks.iter().find(|rules| rules.network == network)
    }

    /// Whether coinbases carry a witness commitment at all.
    pub fn has_segwit(&self) -> bool {
        self.rules.contains(&"segwit")
    }
}

impl FromStr for &'static Coin {
    type Err = UnknownCoin;

    fn from_str(name: &str) -> Result<Self, UnknownCoin> {
        COINS
            .iter()
            .find(|coin| coin.name == name)
            .ok_or_else(|| UnknownCoin(name.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Main => "main",
            Self::Test => "test",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_row_and_networks_their_rules() {
        let litecoin: &Coin = "litecoin".parse().unwrap();
        assert_eq!(litecoin.on(Network::Regtest).unwrap().hrp, Some("rltc"));
        assert_eq!(litecoin.on(Network::Signet), None);
        assert_eq!(
            "Bitcoin".parse::<&Coin>(),
            Err(UnknownCoin("Bitcoin".into()))
        );
    }
}
