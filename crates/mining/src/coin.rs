//! Coins are data: one table that everything reads. A coin of these families is a further row: here, or
//! in an operator's configuration, from where it is [added](Coin::add) as the process starts.

mod table;

use std::{
    fmt,
    ops::RangeInclusive,
    str::FromStr,
    sync::{PoisonError, RwLock},
};

use pow::{Algorithm, Hash, ProofOfWork, randomx::Variant};

pub use self::table::COINS;
use crate::cryptonote::{address::Tags, seed::Epochs};

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
    /// Whether its daemon can search the unspent outputs of the chain (`scantxoutset`).
    pub finds_coins: bool,
}

/// What differs between the coins that descend from CryptoNote.
#[derive(Debug, PartialEq, Eq)]
pub struct CryptoNoteRules {
    /// Which RandomX a block is hashed with, by its major version. Versions that nobody knows yet are in
    /// no row: guessing would refuse every honest share.
    pub variants: &'static [(RangeInclusive<u8>, Variant)],
    /// When the key of RandomX changes.
    pub epochs: Epochs,
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
    /// The first block, where it is sure: a daemon that has another one is of another chain.
    pub genesis: Option<Hash>,
    /// Why no pool can mine it, if none can.
    pub unminable: Option<&'static str>,
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

/// Another coin goes by the name or the ticker of one that is to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Taken {
    /// The name is one of the table.
    #[error("{0} is a coin that is known without being told")]
    BuiltIn(&'static str),
    /// Another coin goes by that ticker, or by the name.
    #[error("{0} goes by that name or ticker")]
    Another(&'static str),
    /// It is there, but was another row when it was added.
    #[error("{0} was told otherwise since the process started, and stays so until the next start")]
    Changed(&'static str),
}

/// The coins that were added to the table.
static ADDED: RwLock<Vec<&'static Coin>> = RwLock::new(Vec::new());

fn names() -> String {
    let names: Vec<_> = all().iter().map(|coin| coin.name).collect();
    names.join(", ")
}

/// The rows of the table, and after them those that were added.
pub fn all() -> Vec<&'static Coin> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    COINS.iter().chain(added.iter().copied()).collect()
}

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
    /// Adds it to the table for as long as the process runs. The same row may be added again.
    pub fn add(self) -> Result<(), Taken> {
        if let Some(known) = COINS.iter().find(|coin| coin.name == self.name) {
            return Err(Taken::BuiltIn(known.name));
        }
        let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = added.iter().find(|coin| coin.name == self.name) {
            return match **known == self {
                true => Ok(()),
                false => Err(Taken::Changed(known.name)),
            };
        }
        let goes_by = |coin: &Coin, word: &str| {
            [coin.name, coin.ticker]
                .iter()
                .any(|own| own.eq_ignore_ascii_case(word))
        };
        let mut others = COINS.iter().chain(added.iter().copied());
        let other = others.find(|coin| goes_by(coin, self.name) || goes_by(coin, self.ticker));
        if let Some(other) = other {
            return Err(Taken::Another(other.name));
        }
        added.push(Box::leak(Box::new(self)));
        Ok(())
    }

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
        all()
            .into_iter()
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
        // Others may have been added.
        let text = "bitcoin, litecoin, dogecoin, monero, wownero, vision";
        let text = format!("unknown coin \"zcash\"; known are {text}");
        let told = "zcash".parse::<&Coin>().unwrap_err().to_string();
        assert!(told.starts_with(&text), "{told}");
    }

    fn further(name: &'static str, ticker: &'static str, maturity: u32) -> Coin {
        Coin {
            name,
            ticker,
            unit: "units",
            decimals: 8,
            maturity,
            spacing_s: 60,
            family: Family::Vision(VisionRules {
                message_magic: "Further Signed Message:\n",
                rules: &[],
            }),
            unsafe_versions: &[],
            networks: &[],
        }
    }

    #[test]
    fn a_coin_that_was_added_is_found_and_takes_nothing_from_another() {
        assert!("further".parse::<&Coin>().is_err());
        assert_eq!(further("further", "FUR", 9).add(), Ok(()));
        assert_eq!("further".parse::<&Coin>().unwrap().maturity, 9);
        assert!(all().iter().any(|coin| coin.name == "further"));
        assert_eq!(further("further", "FUR", 9).add(), Ok(()));
        let changed = further("further", "FUR", 8).add();
        assert_eq!(changed, Err(Taken::Changed("further")));
        let built_in = further("monero", "FUR2", 9).add();
        assert_eq!(built_in, Err(Taken::BuiltIn("monero")));
        for (name, ticker, of) in [
            ("another", "xmr", "monero"),
            ("another", "fur", "further"),
            ("another", "FURTHER", "further"),
            ("btc", "ANO", "bitcoin"),
        ] {
            let taken = further(name, ticker, 9).add();
            assert_eq!(taken, Err(Taken::Another(of)));
        }
        assert!("another".parse::<&Coin>().is_err());
        assert_eq!("further".parse::<&Coin>().unwrap().maturity, 9);
    }

    #[test]
    fn the_first_blocks_are_written_as_everywhere() {
        let bitcoin: &Coin = "bitcoin".parse().unwrap();
        let first = bitcoin.on(Network::Main).unwrap().genesis.unwrap();
        let text = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
        assert_eq!(first.to_string(), text);
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
