//! A payout address, parsed once for one coin and network, and the script that pays it.
//!
//! Called for each name a miner authorizes with and for each address in the configuration. An error
//! means the address cannot be paid on this network, whatever the reason.

use std::fmt;

use bitcoin::{base58, bech32};

use crate::{
    coin::{AddressRules, Coin, Network, ScriptAddresses},
    cryptonote,
};

/// The most characters of any coin's address: what CryptoNote's may have, whatever their tag. Those of bech32 have
/// 90.
pub const ADDRESS_LEN_MAX: usize = cryptonote::address::ADDRESS_LEN_MAX;

/// An address of one coin and network.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    pays: Pays,
}

/// What a payment to an address is made with.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Pays {
    /// An output with this script.
    Script(Vec<u8>),
    /// An output that is made from the keys of the address anew each time.
    CryptoNote(cryptonote::address::Kind),
}

/// Why a text is not an address that can be paid here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Neither base58 with a right checksum nor bech32 of this network.
    #[error("not an address of {coin} on {network}")]
    Unknown {
        /// The coin's name.
        coin: &'static str,
        /// The network.
        network: Network,
    },
    /// A bech32 address of another coin or network.
    #[error("an address of {found}1..., but {expected}1... is needed here")]
    Prefix {
        /// The prefix that was found.
        found: String,
        /// The prefix of this coin and network.
        expected: &'static str,
    },
    /// A base58 address of another coin or network.
    #[error("an address with version byte {0}, which is of another coin or network")]
    Version(u8),
    /// A witness program without rules yet, which anyone could spend.
    #[error("a witness program of version {0} that anyone could spend")]
    Witness(u8),
    /// No address of CryptoNote's kind.
    #[error("{0}")]
    CryptoNote(#[from] cryptonote::address::BadAddress),
}

impl Address {
    /// Parses base58 and bech32(m) addresses of `coin` on `network`, or CryptoNote's.
    pub fn parse(coin: &Coin, network: Network, text: &str) -> Result<Self, BadAddress> {
        let unknown = BadAddress::Unknown {
            coin: coin.name,
            network,
        };
        let rules = coin.on(network).ok_or_else(|| unknown.clone())?;
        let rules = match &rules.addresses {
            AddressRules::Script(rules) => rules,
            AddressRules::CryptoNote(tags) => {
                let address = cryptonote::Address::parse(tags, text)?;
                return Ok(Self {
                    text: address.as_str().to_owned(),
                    pays: Pays::CryptoNote(address.kind()),
                });
            }
        };
        // 90 is the longest bech32 text; base58 addresses are shorter.
        if text.len() > 90 || !text.is_ascii() {
            return Err(unknown);
        }
        // BIP173: in capitals, as QR codes have it, it is the same address, and the same account.
        let (text, script) = match bech32::segwit::decode(text) {
            Ok((hrp, version, program)) => (
                text.to_ascii_lowercase(),
                witness_script(rules, hrp, version, &program)?,
            ),
            Err(_) => (text.to_owned(), base58_script(rules, text).ok_or(unknown)??),
        };
        Ok(Self {
            text,
            pays: Pays::Script(script),
        })
    }

    /// The address in the one form that it is kept in.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The output script that pays it; nothing where outputs have none.
    pub fn script(&self) -> Option<&[u8]> {
        match &self.pays {
            Pays::Script(script) => Some(script),
            Pays::CryptoNote(_) => None,
        }
    }

    /// The payment id that is part of it: a transaction has one at most.
    pub fn payment_id(&self) -> Option<[u8; 8]> {
        match self.pays {
            Pays::CryptoNote(cryptonote::address::Kind::Integrated(id)) => Some(id),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.text)
    }
}

/// BIP141: the witness version as a small-number opcode, then the program.
fn witness_script(
    rules: &ScriptAddresses,
    hrp: bech32::Hrp,
    version: bech32::Fe32,
    program: &[u8],
) -> Result<Vec<u8>, BadAddress> {
    let expected = rules.hrp.unwrap_or_default();
    let found = hrp.to_lowercase();
    if found != expected {
        return Err(BadAddress::Prefix { found, expected });
    }
    let opcode = match (version.to_u8(), program.len()) {
        (0, _) => 0x00,
        // BIP341 leaves other lengths of version 1 to anyone.
        (1, 32) => 0x51,
        (later, _) => return Err(BadAddress::Witness(later)),
    };
    let len = u8::try_from(program.len()).expect("a witness program has at most 40 bytes");
    Ok([&[opcode, len], program].concat())
}

/// Nothing if the text is not base58check of 21 bytes at all.
fn base58_script(rules: &ScriptAddresses, text: &str) -> Option<Result<Vec<u8>, BadAddress>> {
    let payload = base58::decode_check(text).ok()?;
    let (version, hash) = payload.split_first()?;
    let hash: &[u8; 20] = hash.try_into().ok()?;
    Some(match *version {
        // OP_DUP OP_HASH160 <20> OP_EQUALVERIFY OP_CHECKSIG
        v if v == rules.p2pkh => Ok([&[0x76, 0xa9, 0x14], &hash[..], &[0x88, 0xac]].concat()),
        // OP_HASH160 <20> OP_EQUAL
        v if v == rules.p2sh => Ok([&[0xa9, 0x14], &hash[..], &[0x87]].concat()),
        other => Err(BadAddress::Version(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn case(coin: &str, network: Network, text: &str, script: Option<&str>) {
        let parsed = Address::parse(coin.parse().unwrap(), network, text);
        assert_eq!(
            parsed
                .as_ref()
                .ok()
                .map(|a| hex::encode(a.script().unwrap()))
                .as_deref(),
            script,
            "{parsed:?}"
        );
    }

    #[test]
    fn addresses_of_each_kind_give_their_script() {
        use Network::{Main, Regtest, Test};
        // BIP173 and BIP350 vectors.
        case(
            "bitcoin",
            Main,
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            Some("0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        );
        case(
            "bitcoin",
            Test,
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            Some("00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"),
        );
        case(
            "bitcoin",
            Main,
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            Some("512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
        );
        case(
            "bitcoin",
            Main,
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            Some("76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"),
        );
        case(
            "bitcoin",
            Main,
            "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
            Some("a914b472a266d0bd89c13706a4132ccfb16f7c3b9fcb87"),
        );
        case(
            "dogecoin",
            Main,
            "DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L",
            Some(
                "76a914830a7420e63d76244ff7cbd1c248e94c14463259 88ac"
                    .replace(' ', "")
                    .as_str(),
            ),
        );
        case(
            "bitcoin",
            Regtest,
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
            Some("0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        );
    }

    #[test]
    fn what_cannot_be_paid_here_is_refused() {
        use Network::{Main, Signet};
        for (coin, network, text) in [
            ("bitcoin", Main, ""),
            (
                "bitcoin",
                Main,
                "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            ),
            (
                "bitcoin",
                Main,
                "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
            ),
            (
                "bitcoin",
                Main,
                "bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            ),
            ("bitcoin", Main, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"),
            ("bitcoin", Main, "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn"),
            ("bitcoin", Main, "bc1sw50qgdz25j"),
            (
                "bitcoin",
                Main,
                "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
            ),
            ("litecoin", Main, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
            (
                "litecoin",
                Signet,
                "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
            ),
            (
                "dogecoin",
                Main,
                "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            ),
        ] {
            case(coin, network, text, None);
        }
    }

    /// The vectors of BIP 350: a checksum of the other version, a version that is none, a wrong length.
    #[test]
    fn a74_a_checksum_of_another_version_is_no_address() {
        let coin: &Coin = "bitcoin".parse().unwrap();
        let is_address = |text: &str| Address::parse(coin, Network::Main, text).is_ok();
        for good in [
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ] {
            assert!(
                is_address(good) && is_address(&good.to_uppercase()),
                "{good}"
            );
            // Any one letter wrong is found out, as is mixed case.
            for (place, _) in good.char_indices().skip(4) {
                let mut typo = good.to_owned();
                let other = if &typo[place..=place] == "q" {
                    "p"
                } else {
                    "q"
                };
                typo.replace_range(place..=place, other);
                assert!(!is_address(&typo), "{typo}");
            }
            assert!(!is_address(&good.replacen("bc1", "BC1", 1)), "{good}");
        }
        for bad in [
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
            "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
            "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
            "bc1pw5dgrnzv",
            "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
            "bc1gmk9yu",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
