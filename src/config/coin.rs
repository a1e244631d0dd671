//! `[[coin]]`: coins that are not in the table, by the rules of one that is.
//!
//! What is said here becomes a row like the others, before any pool is looked at. What is not said is as
//! with the coin that it is like, but for addresses and first blocks: those are told for each network, or are not
//! known. A daemon that has the first block of a coin in the table is then not mined with.

use std::ops::RangeInclusive;

use mining::{
    Coin as Row, Network,
    coin::{
        AddressRules, BitcoinRules, CryptoNoteRules, Family, NetworkRules, Retarget,
        ScriptAddresses, VisionRules,
    },
    cryptonote::address::Tags,
};
use pow::{Algorithm, Hash, randomx::Variant};
use serde::{Deserialize, Serialize};

/// Names stand in URLs, labels and the database.
const NAME_MAX: usize = 32;
/// The longest ticker and the longest name of a unit.
const WORD_MAX: usize = 16;
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
        let family = self.family(like)?;
        let has_segwit = match &family {
            Family::Bitcoin(rules) => rules.rules.contains(&"segwit"),
            Family::Vision(rules) => rules.rules.contains(&"segwit"),
            Family::CryptoNote(_) => false,
        };
        if !has_segwit && self.network.iter().any(|network| network.hrp.is_some()) {
            return Err(
                "network.hrp: without \"segwit\" in template_rules there are no such addresses"
                    .into(),
            );
        }
        Ok(Row {
            name,
            ticker: word("ticker", &self.ticker, WORD_MAX, is_ticker)?,
            unit: word("unit", unit, WORD_MAX, |c| {
                c.is_ascii_lowercase() || c == ' '
            })?,
            decimals,
            maturity: above_zero("maturity", self.maturity, like.maturity)?,
            spacing_s: above_zero("block_time_s", self.block_time_s, like.spacing_s)?,
            family,
            unsafe_versions: &[],
            networks: networks.leak(),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    const DOGECOIN: &str = r#"
        name = "shibe"
        like = "litecoin"
        ticker = "SHIB3"
        unit = "koinus"
        maturity = 240
        block_time_s = 60
        template_rules = []
        message_magic = "Dogecoin Signed Message:"
        finds_coins = false
        [[network]]
        network = "main"
        genesis = "1a91e3dace36e2be3bf030a65679fe821aa1d6ef92e7c9902eb318182c355691"
        p2pkh = 0x1e
        p2sh = 0x16
        [[network]]
        network = "test"
        p2pkh = 0x71
        p2sh = 0xc4
        [[network]]
        network = "regtest"
        p2pkh = 0x6f
        p2sh = 0xc4
    "#;

    const WOWNERO: &str = r#"
        name = "such-wow"
        like = "monero"
        ticker = "WOW2"
        unit = "units"
        decimals = 11
        maturity = 288
        block_time_s = 300
        algorithm = "rx/wow"
        block_versions = "14-17"
        [[network]]
        network = "main"
        standard_tag = 4146
        integrated_tag = 6810
        subaddress_tag = 12208
        [[network]]
        network = "regtest"
        standard_tag = 4146
        integrated_tag = 6810
        subaddress_tag = 12208
    "#;

    fn said(text: &str) -> Coin {
        toml::from_str(text).unwrap()
    }

    /// What is not said of a coin that is told is nobody's.
    fn without_what_only_the_table_knows(name: &str) -> (Vec<NetworkRules>, String) {
        let known: &Row = name.parse().unwrap();
        let networks = known.networks.iter().map(|rules| NetworkRules {
            network: rules.network,
            chain: rules.chain,
            addresses: rules.addresses,
            halving: rules.halving,
            genesis: rules.genesis,
            unminable: None,
        });
        let text = format!(
            "{:?}",
            (
                known.unit,
                known.decimals,
                known.maturity,
                known.spacing_s,
                &known.family
            )
        );
        (networks.collect(), text)
    }

    #[test]
    fn dogecoin_and_wownero_could_be_told_as_they_are_known() {
        for (text, name) in [(DOGECOIN, "dogecoin"), (WOWNERO, "wownero")] {
            let row = said(text).row().unwrap();
            let (networks, rest) = without_what_only_the_table_knows(name);
            assert_eq!(row.networks, networks);
            let (unit, decimals, maturity) = (row.unit, row.decimals, row.maturity);
            let told = (unit, decimals, maturity, row.spacing_s, &row.family);
            assert_eq!(format!("{told:?}"), rest);
        }
    }

    #[test]
    fn little_need_be_said_of_a_coin_that_is_like_another() {
        let row = said(
            "name = \"mycoin\"\nlike = \"bitcoin\"\nticker = \"MYC\"\n\
             [[network]]\np2pkh = 52\np2sh = 13\nhrp = \"my\"\nhalving = 210000\n",
        );
        let row = row.row().unwrap();
        let bitcoin: &Row = "bitcoin".parse().unwrap();
        assert_eq!((row.name, row.ticker), ("mycoin", "MYC"));
        assert_eq!((row.unit, row.maturity), (bitcoin.unit, bitcoin.maturity));
        assert_eq!(row.algorithm(), bitcoin.algorithm());
        let rules = row.bitcoin().unwrap();
        // When the difficulty changes is not guessed.
        assert_eq!(rules.retarget, Retarget::EachBlock);
        assert!(row.unsafe_versions.is_empty());
        let [main] = row.networks else {
            panic!("{:?}", row.networks)
        };
        assert_eq!((main.network, main.chain), (Network::Main, "main"));
        // Nor is its first block Bitcoin's.
        assert_eq!(main.genesis, None);
    }

    #[test]
    fn what_cannot_be_is_told_by_its_key() {
        #[track_caller]
        fn case(text: &str, from: &str, to: &str, why: &str) {
            assert!(text.contains(from), "{from}");
            let told = said(&text.replacen(from, to, 1)).row().unwrap_err();
            assert!(told.starts_with(why), "{told}");
        }
        let doge = |from: &str, to: &str, why: &str| case(DOGECOIN, from, to, why);
        doge("\"shibe\"", "\"Shibe\"", "name: \"Shibe\" is none");
        doge("\"shibe\"", "\"\"", "name: ");
        doge("\"litecoin\"", "\"no\"", "like: unknown coin \"no\"");
        doge("\"SHIB3\"", "\"doge\"", "ticker: ");
        doge("\"koinus\"", "\"<b>\"", "unit: ");
        doge("unit = \"koinus\"", "decimals = 13", "decimals: at most 12");
        doge("= 240", "= 0", "maturity: it is above zero");
        doge("= 60", "= 0", "block_time_s: ");
        doge(
            "unit = \"koinus\"",
            "retarget_blocks = 0",
            "retarget_blocks: ",
        );
        doge(
            "unit = \"koinus\"",
            "algorithm = \"x11\"",
            "algorithm: known are sha256d",
        );
        doge(
            "unit = \"koinus\"",
            "block_versions = \"1\"",
            "block_versions: coins like litecoin",
        );
        doge("1a91e3", "1A91E", "network.genesis: ");
        doge(
            "p2pkh = 0x1e",
            "",
            "network: coins like that need p2pkh and p2sh",
        );
        doge("p2pkh = 0x1e", "p2pkh = 0x16", "network.p2pkh and p2sh: ");
        doge(
            "p2pkh = 0x1e",
            "p2pkh = 0x1e\nhalving = 0",
            "network.halving: ",
        );
        doge("p2pkh = 0x1e", "p2pkh = 0x1e\nhrp = \"D\"", "network.hrp: ");
        doge(
            "p2pkh = 0x1e",
            "p2pkh = 0x1e\nstandard_tag = 1",
            "network: coins like that",
        );
        doge("\"test\"", "\"main\"", "network: main stands there twice");
        doge("\"test\"", "\"signet\"", "network.chain: ");
        let wow = |from: &str, to: &str, why: &str| case(WOWNERO, from, to, why);
        for versions in ["17-14", "14-256", "+14", "14-", "-17", "", "a"] {
            let to = format!("\"{versions}\"");
            wow("\"14-17\"", &to, "block_versions: such as");
        }
        wow("\"rx/wow\"", "\"cn/r\"", "algorithm: known are rx/0");
        wow(
            "block_versions = \"14-17\"",
            "",
            "algorithm and block_versions: ",
        );
        wow(
            "unit = \"units\"",
            "message_magic = \"x\"",
            "message_magic: ",
        );
        wow("unit = \"units\"", "finds_coins = true", "finds_coins: ");
        wow(
            "standard_tag = 4146",
            "",
            "network: coins like that need standard_tag",
        );
        wow(
            "standard_tag = 4146",
            "standard_tag = 6810",
            "network: two of the tags",
        );
        wow(
            "standard_tag = 4146",
            "standard_tag = 1\np2pkh = 1",
            "network: coins like that",
        );
        let bare = "name = \"x\"\nlike = \"vision\"\nticker = \"X\"\n";
        case(bare, "X", "X", "network: there is none");
        case(
            bare,
            "\"X\"\n",
            "\"X\"\nalgorithm = \"scrypt\"\n[[network]]\np2pkh = 1\np2sh = 2\nchain = \"main\"\n",
            "algorithm: coins like vision have none",
        );
    }
}
