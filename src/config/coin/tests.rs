//! Coins that are told: such as are known anyway, and such as cannot be.

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
    wow(
        "unit = \"units\"",
        "seed_blocks = 33",
        "seed_blocks: a power of two",
    );
    wow(
        "unit = \"units\"",
        "seed_blocks = 1",
        "seed_blocks: a power of two",
    );
    wow(
        "unit = \"units\"",
        "seed_blocks = 64",
        "seed_lag_blocks: above zero and below",
    );
    wow(
        "unit = \"units\"",
        "seed_lag_blocks = 0",
        "seed_lag_blocks: above zero",
    );
    doge(
        "unit = \"koinus\"",
        "seed_blocks = 64",
        "seed_blocks: coins like litecoin",
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
