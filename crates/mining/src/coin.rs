//! Coins are data: one table that everything reads. A coin of these families is added by adding
//! a row.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use pow::{Algorithm, ProofOfWork, randomx::Variant};

use crate::cryptonote::address::Tags;

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
    /// Confirmations after which a coinbase can be spent.
    pub maturity: u32,
    /// The time between blocks that the chain aims at, in seconds.
    pub spacing_s: u32,
    /// What is different between Bitcoin's descendants and CryptoNote's.
    pub family: Family,
    /// The version numbers of the daemon that must not be mined with, each with the reason.
    pub unsafe_versions: &'static [UnsafeVersion],
    /// The networks of this coin.
    pub networks: &'static [NetworkRules],
}

/// Whose rules a coin has inherited.
#[derive(Debug, PartialEq, Eq)]
pub enum Family {
    /// Headers of 80 bytes, outputs with scripts.
    Bitcoin(BitcoinRules),
    /// Blobs of any length, outputs that only their owner can tell.
    CryptoNote(CryptoNoteRules),
    /// Headers that VisionX hashes, over outputs with scripts.
    Vision(VisionRules),
}

/// What differs between the coins that descend from Bitcoin.
#[derive(Debug, PartialEq, Eq)]
pub struct BitcoinRules {
    /// The line that signed messages of the old form begin with, so that none is a transaction.
    pub message_magic: &'static str,
    /// What a header is hashed with.
    pub algorithm: Algorithm,
    /// What `getblocktemplate` must be told that we understand.
    pub rules: &'static [&'static str],
    /// Whether `bits` and subsidy of the next block can be told from its parent alone, so that a
    /// subsidy-only job may be made before the daemon's template is there.
    pub retarget: Retarget,
}

/// What differs between the coins that descend from CryptoNote.
#[derive(Debug, PartialEq, Eq)]
pub struct CryptoNoteRules {
    /// Which RandomX a block is hashed with, by its major version. Versions that nobody knows yet are in
    /// no row: guessing would refuse every honest share.
    pub variants: &'static [(RangeInclusive<u8>, Variant)],
}

/// What differs between the coins that are mined by VisionX.
#[derive(Debug, PartialEq, Eq)]
pub struct VisionRules {
    /// The line that signed messages of the old form begin with, so that none is a transaction.
    pub message_magic: &'static str,
    /// What `getblocktemplate` must be told that we understand.
    pub rules: &'static [&'static str],
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
    /// The first good version, as the daemon's client gives it.
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
    /// Monero's network for trying out what will be on the main one.
    Stage,
    /// A network of one's own.
    Regtest,
}

/// What differs between the networks of one coin.
#[derive(Debug, PartialEq, Eq)]
pub struct NetworkRules {
    /// Which network.
    pub network: Network,
    /// Its name in `getblockchaininfo.chain`, or in `nettype` of `get_info`.
    pub chain: &'static str,
    /// What its addresses begin with.
    pub addresses: AddressRules,
    /// Blocks between halvings of the subsidy; none where the subsidy follows another rule.
    pub halving: Option<u32>,
}

/// What the addresses of a network begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressRules {
    /// Bitcoin's.
    Script(ScriptAddresses),
    /// CryptoNote's.
    CryptoNote(Tags),
}

/// Bitcoin's addresses: a script, in base58 or bech32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptAddresses {
    /// The human-readable part of segwit addresses, where there are any.
    pub hrp: Option<&'static str>,
    /// The version bytes of base58 pay-to-public-key-hash addresses.
    pub p2pkh: u8,
    /// The version byte of base58 pay-to-script-hash addresses.
    pub p2sh: u8,
}

/// A name that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown coin {0:?}; known are {known}", known = names())]
pub struct UnknownCoin(pub String);

fn names() -> String {
    let names: Vec<_> = COINS.iter().map(|coin| coin.name).collect();
    names.join(", ")
}

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
        addresses: AddressRules::Script(ScriptAddresses { hrp, p2pkh, p2sh }),
        halving,
    }
}

const fn cryptonote(network: Network, chain: &'static str, tags: Tags) -> NetworkRules {
    NetworkRules {
        network,
        chain,
        addresses: AddressRules::CryptoNote(tags),
        halving: None,
    }
}

/// The table.
pub static COINS: &[Coin] = &[
    Coin {
        name: "bitcoin",
        ticker: "BTC",
        unit: "satoshis",
        decimals: 8,
        maturity: 100,
        spacing_s: 600,
        family: Family::Bitcoin(BitcoinRules {
            message_magic: "Bitcoin Signed Message:\n",
            algorithm: Algorithm::Sha256d,
            rules: &["segwit"],
            retarget: Retarget::Every(2016),
        }),
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
        maturity: 100,
        spacing_s: 150,
        family: Family::Bitcoin(BitcoinRules {
            message_magic: "Litecoin Signed Message:\n",
            algorithm: Algorithm::Scrypt,
            rules: &["segwit", "mweb"],
            retarget: Retarget::Every(2016),
        }),
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
        maturity: 240,
        spacing_s: 60,
        family: Family::Bitcoin(BitcoinRules {
            message_magic: "Dogecoin Signed Message:\n",
            algorithm: Algorithm::Scrypt,
            rules: &[],
            retarget: Retarget::EachBlock,
        }),
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
    Coin {
        name: "monero",
        ticker: "XMR",
        unit: "piconeros",
        decimals: 12,
        maturity: 60,
        spacing_s: 120,
        family: Family::CryptoNote(CryptoNoteRules {
            variants: &[(12..=16, Variant::Rx0), (17..=17, Variant::Rx2)],
        }),
        unsafe_versions: &[],
        networks: &[
            cryptonote(Network::Main, "mainnet", Tags::MONERO),
            cryptonote(Network::Stage, "stagenet", Tags::MONERO_STAGE),
            cryptonote(Network::Test, "testnet", Tags::MONERO_TEST),
            // Its addresses are those of the main network.
            cryptonote(Network::Regtest, "fakechain", Tags::MONERO),
        ],
    },
    // Its blocks bear a signature of their miner from version 18 on, which no template here has.
    Coin {
        name: "wownero",
        ticker: "WOW",
        unit: "units",
        decimals: 11,
        maturity: 288,
        spacing_s: 300,
        family: Family::CryptoNote(CryptoNoteRules {
            variants: &[(14..=17, Variant::Wow)],
        }),
        unsafe_versions: &[],
        networks: &[
            cryptonote(Network::Main, "mainnet", Tags::WOWNERO),
            cryptonote(Network::Regtest, "fakechain", Tags::WOWNERO),
        ],
    },
    // Its main network has no node that can be asked for a template: see docs/operating.md.
    Coin {
        name: "vision",
        ticker: "LAND",
        unit: "units",
        decimals: 8,
        maturity: 100,
        spacing_s: 5,
        family: Family::Vision(VisionRules {
            message_magic: "Vision Signed Message:\n",
            rules: &["segwit"],
        }),
        unsafe_versions: &[],
        networks: &[network(
            Network::Regtest,
            "regtest",
            Some("bcrt"),
            0x6f,
            0xc4,
            Some(150),
        )],
    },
];

impl CryptoNoteRules {
    /// What a block of this major version is hashed with. Nothing for versions before RandomX, and for
    /// those that nobody knows yet.
    pub fn variant(&self, major_version: u8) -> Option<Variant> {
        let known = |row: &&(RangeInclusive<u8>, Variant)| row.0.contains(&major_version);
        self.variants.iter().find(known).map(|row| row.1)
    }
}

impl NetworkRules {
    /// What CryptoNote's addresses begin with; nothing where there are none.
    pub fn tags(&self) -> Option<Tags> {
        match self.addresses {
            AddressRules::Script(_) => None,
            AddressRules::CryptoNote(tags) => Some(tags),
        }
    }

    /// What addresses with scripts begin with; nothing where there are none.
    pub fn scripts(&self) -> Option<ScriptAddresses> {
        match self.addresses {
            AddressRules::Script(scripts) => Some(scripts),
            AddressRules::CryptoNote(_) => None,
        }
    }
}

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

    /// The proof of work.
    pub fn algorithm(&self) -> ProofOfWork {
        match &self.family {
            Family::Bitcoin(rules) => ProofOfWork::Header(rules.algorithm),
            Family::CryptoNote(_) => ProofOfWork::RandomX,
            Family::Vision(_) => ProofOfWork::VisionX,
        }
    }

    /// The rules of Bitcoin's descendants; nothing for others.
    pub fn bitcoin(&self) -> Option<&BitcoinRules> {
        match &self.family {
            Family::Bitcoin(rules) => Some(rules),
            Family::CryptoNote(_) | Family::Vision(_) => None,
        }
    }

    /// The rules of CryptoNote's descendants; nothing for others.
    pub fn cryptonote(&self) -> Option<&CryptoNoteRules> {
        match &self.family {
            Family::CryptoNote(rules) => Some(rules),
            Family::Bitcoin(_) | Family::Vision(_) => None,
        }
    }

    /// The rules of coins that are mined by VisionX; nothing for others.
    pub fn vision(&self) -> Option<&VisionRules> {
        match &self.family {
            Family::Vision(rules) => Some(rules),
            Family::Bitcoin(_) | Family::CryptoNote(_) => None,
        }
    }

    /// What `getblocktemplate` must be told that we understand; nothing where there is no such call.
    pub fn template_rules(&self) -> &'static [&'static str] {
        match &self.family {
            Family::Bitcoin(rules) => rules.rules,
            Family::Vision(rules) => rules.rules,
            Family::CryptoNote(_) => &[],
        }
    }

    /// The line that signed messages of the old form begin with; nothing where there are none.
    pub fn message_magic(&self) -> Option<&'static str> {
        match &self.family {
            Family::Bitcoin(rules) => Some(rules.message_magic),
            Family::Vision(rules) => Some(rules.message_magic),
            Family::CryptoNote(_) => None,
        }
    }

    /// Whether coinbases carry a witness commitment at all.
    pub fn has_segwit(&self) -> bool {
        self.template_rules().contains(&"segwit")
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
            Self::Stage => "stage",
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
        let regtest = litecoin.on(Network::Regtest).unwrap();
        assert_eq!(regtest.scripts().unwrap().hrp, Some("rltc"));
        assert_eq!(litecoin.on(Network::Signet), None);
        assert_eq!(
            "Bitcoin".parse::<&Coin>(),
            Err(UnknownCoin("Bitcoin".into()))
        );
        let text = "bitcoin, litecoin, dogecoin, monero, wownero, vision";
        let text = format!("unknown coin \"zcash\"; known are {text}");
        assert_eq!("zcash".parse::<&Coin>().unwrap_err().to_string(), text);
    }

    #[test]
    fn the_version_of_a_block_says_its_variant_and_an_unknown_one_is_not_guessed() {
        let monero: &Coin = "monero".parse().unwrap();
        for (version, variant) in [
            (11, None),
            (12, Some(Variant::Rx0)),
            (16, Some(Variant::Rx0)),
            (17, Some(Variant::Rx2)),
            (18, None),
            (255, None),
        ] {
            let found = monero.cryptonote().unwrap().variant(version);
            assert_eq!(found, variant, "{version}");
        }
    }
}
