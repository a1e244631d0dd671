//! The coins that are known without being told, one row each.

use pow::{Algorithm, Hash, randomx::Variant};

use super::{
    AddressRules, BitcoinRules, Coin, CryptoNoteRules, Family, Network, NetworkRules, Retarget,
    ScriptAddresses, UnsafeVersion, VisionRules,
};
use crate::cryptonote::{address::Tags, seed::Epochs};

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
        genesis: None,
        unminable: None,
    }
}

const fn cryptonote(network: Network, chain: &'static str, tags: Tags) -> NetworkRules {
    NetworkRules {
        network,
        chain,
        addresses: AddressRules::CryptoNote(tags),
        halving: None,
        genesis: None,
        unminable: None,
    }
}

/// A hash as it is written. One that is not 64 lower-case digits does not compile.
const fn hash(text: &str) -> Hash {
    let text = text.as_bytes();
    assert!(text.len() == 64);
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 64 {
        let digit = match text[at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("it is no digit"),
        };
        bytes[31 - at / 2] = bytes[31 - at / 2] << 4 | digit;
        at += 1;
    }
    Hash(bytes)
}

impl NetworkRules {
    const fn begins_with(mut self, genesis: &str) -> Self {
        self.genesis = Some(hash(genesis));
        self
    }

    const fn unminable(mut self, because: &'static str) -> Self {
        self.unminable = Some(because);
        self
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
            finds_coins: true,
        }),
        unsafe_versions: &[UnsafeVersion {
            below: 250_000,
            reason: "any peer can crash it (CVE-2024-35202, fixed in 25.0)",
        }],
        networks: &[
            network(Network::Main, "main", Some("bc"), 0x00, 0x05, Some(210_000))
                .begins_with("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
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
            finds_coins: true,
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
            )
            .begins_with("12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"),
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
            finds_coins: false,
        }),
        unsafe_versions: &[UnsafeVersion {
            below: 1_140_600,
            reason: "it lacks the security fixes of 1.14.6",
        }],
        networks: &[
            network(Network::Main, "main", None, 0x1e, 0x16, None)
                .begins_with("1a91e3dace36e2be3bf030a65679fe821aa1d6ef92e7c9902eb318182c355691"),
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
            epochs: Epochs::MONERO,
        }),
        unsafe_versions: &[],
        networks: &[
            cryptonote(Network::Main, "mainnet", Tags::MONERO)
                .begins_with("418015bb9ae982a1975da7d79277c2705727a56894ba0fb246adaabb1f4632e3"),
            cryptonote(Network::Stage, "stagenet", Tags::MONERO_STAGE),
            cryptonote(Network::Test, "testnet", Tags::MONERO_TEST),
            // Its addresses are those of the main network.
            cryptonote(Network::Regtest, "fakechain", Tags::MONERO),
        ],
    },
    Coin {
        name: "wownero",
        ticker: "WOW",
        unit: "units",
        decimals: 11,
        maturity: 288,
        spacing_s: 300,
        family: Family::CryptoNote(CryptoNoteRules {
            variants: &[(14..=17, Variant::Wow)],
            epochs: Epochs::MONERO,
        }),
        unsafe_versions: &[],
        networks: &[
            cryptonote(Network::Main, "mainnet", Tags::WOWNERO).unminable(
                "its blocks bear a signature of their miner since version 18, and a pool cannot make it",
            ),
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
