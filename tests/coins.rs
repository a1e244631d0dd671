//! Coins that the program does not know: told in the configuration, and then mined like all others.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    monerod::{
        chain::{Chain, SOMEBODY},
        miner as monero,
    },
    support::{ADDRESS, Miner, Node, Pool, PoolSettings, adit, wait_for},
};

/// With simnet's addresses, as that is the node at hand.
const MYCOIN: &str = r#"
[[coin]]
name = "mycoin"
like = "bitcoin"
ticker = "MYC"
unit = "mites"
decimals = 8
maturity = 3
block_time_s = 60
[[coin.network]]
network = "regtest"
hrp = "bcrt"
p2pkh = 0x6f
p2sh = 0xc4
"#;

const MYNERO: &str = r#"
[[coin]]
name = "mynero"
like = "monero"
ticker = "MYR"
unit = "myros"
decimals = 11
maturity = 30
block_time_s = 300
algorithm = "rx/0"
block_versions = "14-16"
[[coin.network]]
network = "regtest"
standard_tag = 18
integrated_tag = 19
subaddress_tag = 42
"#;

/// What the API says of the pool.
fn told(pool: &Pool) -> Value {
    let (code, text) = pool.get("/api/v1/pools/main").unwrap();
    assert_eq!(code, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_coin_like_bitcoin_is_mined_and_booked_by_its_own_name_and_rules() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let settings = PoolSettings {
        coin: "mycoin",
        daemons: node.rpc.daemon() + MYCOIN,
        ..PoolSettings::default()
    };
    let pool = Pool::start(&folder, &settings);
    let mut miner = Miner::ready(pool.miners);
    let height = node.rpc.height();
    let block = miner.block(1, None);
    assert_eq!(miner.submit(&block)["result"], true);
    wait_for("the block", || {
        (node.rpc.height() == height + 1).then_some(())
    });
    let told = told(&pool);
    for (key, expected) in [
        ("coin", json!("mycoin")),
        ("ticker", json!("MYC")),
        ("unit", json!("mites")),
        ("decimals", json!(8)),
        ("algorithm", json!("sha256d")),
    ] {
        assert_eq!(told[key], expected, "{told}");
    }
    // Its own three confirmations are enough, where Bitcoin's blocks wait for a hundred.
    node.rpc.call("generatetoaddress", json!([3, ADDRESS]));
    wait_for("the block to be mature", || {
        (pool.status()["blocks"]["mature"] == 1).then_some(())
    });

    // What it is does not change while it is mined; all else of the file waits with it.
    let file = folder.path().join("adit.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let before = pool.process.log_text().len();
    std::fs::write(&file, text.replace("maturity = 3", "maturity = 4")).unwrap();
    pool.process.signal("HUP");
    let expected = "mycoin was told otherwise since the process started";
    wait_for(expected, || {
        pool.process.log_text()[before..]
            .contains(expected)
            .then_some(())
    });
    std::fs::write(&file, text).unwrap();
    pool.process.signal("HUP");
    let expected = "the settings were read again, and are the same";
    wait_for(expected, || {
        pool.process.log_text()[before..]
            .contains(expected)
            .then_some(())
    });
}

#[test]
fn a_coin_like_monero_is_mined_beside_monerod() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, 20);
    let settings = PoolSettings {
        coin: "mynero",
        address: SOMEBODY,
        pool: "randomx = { mode = \"light\", threads = 1 }\n",
        listener: "start_difficulty = 20.0\nmin_difficulty = 20.0\nmax_difficulty = 20.0\n",
        daemons: chain.daemon() + MYNERO,
        ..PoolSettings::default()
    };
    let pool = Pool::start(&folder, &settings);
    let mut miner = monero::Miner::ready(pool.miners, &format!("{SOMEBODY}.rig"));
    let height = chain.height();
    let block = miner.block(0, 20);
    assert_eq!(miner.submit(&block)["result"]["status"], "OK");
    wait_for("the block", || (chain.height() == height + 1).then_some(()));
    let told = told(&pool);
    assert_eq!(
        (&told["coin"], &told["ticker"]),
        (&json!("mynero"), &json!("MYR"))
    );
    assert_eq!(
        (&told["unit"], &told["decimals"]),
        (&json!("myros"), &json!(11))
    );
    assert_eq!(told["algorithm"], "randomx");
}

#[test]
fn a_coin_that_cannot_be_is_told_before_anything_starts() {
    #[track_caller]
    fn case(from: &str, to: &str, expected: &str) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("adit.toml");
        assert!(MYCOIN.contains(from), "{from}");
        let text = MYCOIN.replacen(from, to, 1);
        std::fs::write(&file, format!("{text}\n[[pool]]\ncoin = \"mycoin\"\n")).unwrap();
        let output = adit(&["config", "-c", file.to_str().unwrap()]).output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(told.contains(expected), "{told}");
    }
    case(
        "like = \"bitcoin\"",
        "like = \"zcash\"",
        "coin.like: unknown coin \"zcash\"",
    );
    case(
        "\"mycoin\"",
        "\"litecoin\"",
        "coin \"litecoin\": litecoin is a coin that is known",
    );
    case(
        "\"MYC\"",
        "\"XMR\"",
        "coin \"mycoin\": monero goes by that name or ticker",
    );
    case(
        "p2pkh = 0x6f\n",
        "",
        "coin.network: coins like that need p2pkh and p2sh",
    );
    case("p2pkh = 0x6f", "p2pkh = 300", "coin[0].network[0].p2pkh");
    case(
        "unit",
        "units",
        "unknown key \"units\"; the nearest is \"unit\"",
    );
}
