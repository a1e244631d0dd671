//! `[[coin]]`: coins that are not in the table, by the rules of one that is.
//!
//! What is said here becomes a row like the others, before any pool is looked at. What is not said is as
//! with the coin that it is like, but for addresses and first blocks: those are told for each network, or are not
//! known. A daemon that has the first block of a coin in the table is then not mined with.

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use mining::{
    Coin as Row, Network,
    coin::{
        AddressRules, BitcoinRules, CryptoNoteRules, Family, NetworkRules, Retarget,
        ScriptAddresses, VisionRules,
    },
    cryptonote::{address::Tags, seed::Epochs},
};
use pow::{Algorithm, Hash, randomx::Variant};
use serde::{Deserialize, Serialize};

/// Names stand in URLs, labels and the database.
const NAME_MAX: usize = 32;
/// The longest ticker and the longest name of a unit.
const WORD_MAX: usize = 16;
/// Half a year of Monero's blocks.
const SEED_BLOCKS_MAX: u64 = 1 << 17;
/// With more, 63 bits of the books would hold less than nine million coins.
const DECIMALS_MAX: u8 = 12;

/// `[[coin]]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Coin {
    /// By which a pool's `coin`, the API and the database call it.
    pub name: String,
    /// The coin of the table whose rules it has in all that is not said.
    pub like: String,
    /// The exchange symbol.
    pub ticker: String,
    /// The smallest unit, in the plural.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Decimal places between the coin and its smallest unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,
    /// Confirmations after which a coinbase can be spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maturity: Option<u32>,
    /// The time between blocks that the chain aims at, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_time_s: Option<u32>,
    /// What is hashed: `sha256d` or `scrypt`, and for Monero's family `rx/0`, `rx/2` or `rx/wow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// The first and the last major version of the blocks that are hashed so; for Monero's family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_versions: Option<String>,
    /// The key of RandomX changes after so many blocks, a power of two; for Monero's family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed_blocks: Option<u64>,
    /// The block that gives the key is so many blocks before the first that needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed_lag_blocks: Option<u64>,
    /// What `getblocktemplate` must be told that we understand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_rules: Option<Vec<String>>,
    /// The line that signed messages begin with, without its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_magic: Option<String>,
    /// The difficulty changes only where the height is a multiple of this; it may with each block if nothing
    /// is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retarget_blocks: Option<u32>,
    /// Whether the daemon has `scantxoutset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finds_coins: Option<bool>,
    /// Its networks, at least one.
    pub network: Vec<CoinNetwork>,
}

/// `[[coin.network]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoinNetwork {
    /// By which a pool's `network` calls it.
    pub network: Network,
    /// What the daemon calls it: `getblockchaininfo.chain`, or `nettype` of `get_info`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The first block: a daemon with another one is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genesis: Option<String>,
    /// What segwit addresses begin with, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hrp: Option<String>,
    /// The version byte of base58 addresses of keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p2pkh: Option<u8>,
    /// The version byte of base58 addresses of scripts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p2sh: Option<u8>,
    /// Blocks between halvings of the subsidy, where that is its rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halving: Option<u32>,
    /// The number that a wallet's first address begins with, of Monero's family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standard_tag: Option<u64>,
    /// That of addresses with a payment id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrated_tag: Option<u64>,
    /// That of a wallet's other addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subaddress_tag: Option<u64>,
}

impl Default for CoinNetwork {
    fn default() -> Self {
        Self {
            network: Network::Main,
            chain: None,
            genesis: None,
            hrp: None,
            p2pkh: None,
            p2sh: None,
            halving: None,
            standard_tag: None,
            integrated_tag: None,
            subaddress_tag: None,
        }
    }
}

impl Coin {
    /// Adds them to the table, or says which key is wrong. Nothing is added before all of them are read.
    pub(super) fn add(coins: &[Self]) -> Result<(), String> {
        let rows = coins.iter().map(Self::row);
        let rows = rows.collect::<Result<Vec<_>, _>>();
        for row in rows.map_err(|why| format!("coin.{why}"))? {
            let name = row.name;
            if let Some(rules) = row.cryptonote()
                && !rules
                    .variants
                    .iter()
                    .any(|(_, variant)| variant.is_computed())
            {
                return Err(format!(
                    "coin {name:?}: this version computes rx/0 and no other algorithm of its family"
                ));
            }
            row.add().map_err(|why| format!("coin {name:?}: {why}"))?;
        }
        Ok(())
    }

    fn row(&self) -> Result<Row, String> {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_ticker = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        let name = word("name", &self.name, NAME_MAX, is_name)?;
        let like: &Row = self.like.parse().map_err(|why| format!("like: {why}"))?;
        let unit = self.unit.as_deref().unwrap_or(like.unit);
        let decimals = self.decimals.unwrap_or(like.decimals);
        if decimals > DECIMALS_MAX {
            return Err(format!("decimals: at most {DECIMALS_MAX}"));
        }
        if self.network.is_empty() {
            return Err("network: there is none".into());
        }
        let networks = self.network.iter().map(|network| network.rules(like));
        let networks: Vec<_> = networks.collect::<Result<_, _>>()?;
        for (place, rules) in networks.iter().enumerate() {
            if networks[..place]
                .iter()
                .any(|it| it.network == rules.network)
            {
                return Err(format!("network: {} stands there twice", rules.network));
            }
        }
        let row = Row {
            name,
            ticker: word("ticker", &self.ticker, WORD_MAX, is_ticker)?,
            unit: word("unit", unit, WORD_MAX, |c| {
                c.is_ascii_lowercase() || c == ' '
            })?,
            decimals,
            maturity: above_zero("maturity", self.maturity, like.maturity)?,
            spacing_s: above_zero("block_time_s", self.block_time_s, like.spacing_s)?,
            family: self.family(like)?,
            unsafe_versions: &[],
            networks: networks.leak(),
        };
        if !row.has_segwit() && self.network.iter().any(|network| network.hrp.is_some()) {
            return Err(
                "network.hrp: without \"segwit\" in template_rules there are no such addresses"
                    .into(),
            );
        }
        Ok(row)
    }

    fn family(&self, like: &Row) -> Result<Family, String> {
        let has_none = |key: &str| Err(format!("{key}: coins like {} have none", like.name));
        let is_cryptonote = like.cryptonote().is_some();
        for (key, is_said, has_it) in [
            (
                "algorithm",
                self.algorithm.is_some(),
                like.vision().is_none(),
            ),
            (
                "block_versions",
                self.block_versions.is_some(),
                is_cryptonote,
            ),
            ("seed_blocks", self.seed_blocks.is_some(), is_cryptonote),
            (
                "seed_lag_blocks",
                self.seed_lag_blocks.is_some(),
                is_cryptonote,
            ),
            (
                "template_rules",
                self.template_rules.is_some(),
                !is_cryptonote,
            ),
            (
                "message_magic",
                self.message_magic.is_some(),
                !is_cryptonote,
            ),
            (
                "retarget_blocks",
                self.retarget_blocks.is_some(),
                like.bitcoin().is_some(),
            ),
            (
                "finds_coins",
                self.finds_coins.is_some(),
                like.bitcoin().is_some(),
            ),
        ] {
            if is_said && !has_it {
                return has_none(key);
            }
        }
        Ok(match &like.family {
            Family::Bitcoin(rules) => Family::Bitcoin(BitcoinRules {
                message_magic: self.message_magic(rules.message_magic),
                algorithm: match self.algorithm.as_deref() {
                    None => rules.algorithm,
                    Some(name) => [Algorithm::Sha256d, Algorithm::Scrypt]
                        .into_iter()
                        .find(|known| known.name() == name)
                        .ok_or("algorithm: known are sha256d and scrypt")?,
                },
                rules: self.template_rules(rules.rules),
                retarget: match self.retarget_blocks {
                    None => Retarget::EachBlock,
                    Some(0) => return Err("retarget_blocks: it is above zero".into()),
                    Some(blocks) => Retarget::Every(blocks),
                },
                finds_coins: self.finds_coins.unwrap_or(rules.finds_coins),
            }),
            Family::CryptoNote(rules) => Family::CryptoNote(CryptoNoteRules {
                variants: self.variants(rules)?,
                epochs: self.epochs(rules.epochs)?,
            }),
            Family::Vision(rules) => Family::Vision(VisionRules {
                message_magic: self.message_magic(rules.message_magic),
                rules: self.template_rules(rules.rules),
            }),
        })
    }

    fn variants(
        &self,
        like: &CryptoNoteRules,
    ) -> Result<&'static [(RangeInclusive<u8>, Variant)], String> {
        let (name, versions) = match (&self.algorithm, &self.block_versions) {
            (None, None) => return Ok(like.variants),
            (Some(name), Some(versions)) => (name, versions),
            _ => return Err("algorithm and block_versions: one needs the other".into()),
        };
        let variant: Variant = name.parse().map_err(|why| format!("algorithm: {why}"))?;
        let version = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<u8>().ok()).flatten()
        };
        let (first, last) = versions.split_once('-').unwrap_or((versions, versions));
        match (version(first), version(last)) {
            (Some(first), Some(last)) if first <= last => Ok(vec![(first..=last, variant)].leak()),
            _ => Err("block_versions: such as \"12-16\", or one number".into()),
        }
    }

    fn epochs(&self, like: Epochs) -> Result<Epochs, String> {
        let blocks = self.seed_blocks.unwrap_or(like.blocks);
        let lag = self.seed_lag_blocks.unwrap_or(like.lag);
        if !(2..=SEED_BLOCKS_MAX).contains(&blocks) || !blocks.is_power_of_two() {
            return Err(format!(
                "seed_blocks: a power of two, from 2 to {SEED_BLOCKS_MAX}"
            ));
        }
        match (1..blocks).contains(&lag) {
            true => Ok(Epochs { blocks, lag }),
            false => Err("seed_lag_blocks: above zero and below seed_blocks".into()),
        }
    }

    fn message_magic(&self, like: &'static str) -> &'static str {
        match &self.message_magic {
            Some(line) => kept(&format!("{line}\n")),
            None => like,
        }
    }

    fn template_rules(&self, like: &'static [&'static str]) -> &'static [&'static str] {
        match &self.template_rules {
            Some(rules) => rules
                .iter()
                .map(|rule| kept(rule))
                .collect::<Vec<_>>()
                .leak(),
            None => like,
        }
    }
}

impl CoinNetwork {
    fn rules(&self, like: &Row) -> Result<NetworkRules, String> {
        let named = like.on(self.network).map(|rules| rules.chain);
        let chain = match (&self.chain, named) {
            (Some(chain), _) => kept(chain),
            (None, Some(chain)) => chain,
            (None, None) => return Err("network.chain: what the daemon calls it".into()),
        };
        let genesis = self.genesis.as_deref().map(str::parse::<Hash>).transpose();
        Ok(NetworkRules {
            network: self.network,
            chain,
            addresses: self.addresses(like)?,
            halving: match self.halving {
                Some(0) => return Err("network.halving: it is above zero".into()),
                halving => halving,
            },
            genesis: genesis.map_err(|why| format!("network.genesis: {why}"))?,
            unminable: None,
        })
    }

    fn addresses(&self, like: &Row) -> Result<AddressRules, String> {
        let is_cryptonote = like.cryptonote().is_some();
        let of_scripts = [
            self.hrp.is_some(),
            self.p2pkh.is_some(),
            self.p2sh.is_some(),
            self.halving.is_some(),
        ];
        let of_keys = [
            self.standard_tag.is_some(),
            self.integrated_tag.is_some(),
            self.subaddress_tag.is_some(),
        ];
        match (self.p2pkh, self.p2sh) {
            (Some(p2pkh), Some(p2sh)) if !is_cryptonote && of_keys == [false; 3] => {
                if p2pkh == p2sh {
                    return Err("network.p2pkh and p2sh: they are the same".into());
                }
                let is_hrp = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                let hrp = self.hrp.as_deref();
                let hrp = hrp.map(|hrp| word("network.hrp", hrp, WORD_MAX, is_hrp));
                let hrp = hrp.transpose()?;
                Ok(AddressRules::Script(ScriptAddresses { hrp, p2pkh, p2sh }))
            }
            _ if !is_cryptonote => Err(
                "network: coins like that need p2pkh and p2sh, and perhaps hrp and halving".into(),
            ),
            _ => match (self.standard_tag, self.integrated_tag, self.subaddress_tag) {
                (Some(standard), Some(integrated), Some(subaddress))
                    if of_scripts == [false; 4] =>
                {
                    if standard == integrated || standard == subaddress || integrated == subaddress
                    {
                        return Err("network: two of the tags are the same".into());
                    }
                    Ok(AddressRules::CryptoNote(Tags::of(
                        standard, integrated, subaddress,
                    )))
                }
                _ => Err(
                    "network: coins like that need standard_tag, integrated_tag and subaddress_tag"
                        .into(),
                ),
            },
        }
    }
}

/// A word of such letters, for as long as the process runs.
fn word(
    key: &str,
    text: &str,
    max: usize,
    is_letter: impl Fn(char) -> bool,
) -> Result<&'static str, String> {
    match (1..=max).contains(&text.len()) && text.chars().all(is_letter) {
        true => Ok(kept(text)),
        false => Err(format!("{key}: {text:?} is none")),
    }
}

fn above_zero(key: &str, said: Option<u32>, like: u32) -> Result<u32, String> {
    match said.unwrap_or(like) {
        0 => Err(format!("{key}: it is above zero")),
        number => Ok(number),
    }
}

/// Kept for as long as the process runs, as rows are. Configuration is read at the start and when an
/// operator has it read again, so that this is not much.
fn kept(text: &str) -> &'static str {
    text.to_owned().leak()
}
