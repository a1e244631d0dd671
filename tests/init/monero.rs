//! `adit init` and Monero: a real monerod, and the wallets of monero-wallet-rpc that do and that do not.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::{checked, flags_of, refused, succeeded, with, with_variable};
use crate::{
    monerod::{
        chain::{Chain, SOMEBODY, Wallet},
        miner::Miner,
    },
    support::{Process, adit, free_port, http_get, refusing_port, terminal::Terminal, wait_for},
};

fn wallet_url(port: u16) -> String {
    format!("--wallet-url=http://127.0.0.1:{port}")
}

#[test]
fn init_sets_up_a_pool_of_monero_by_flags() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, 1);
    let mut wallet = Wallet::start(&folder, &chain);
    let own = wallet.create("pool");
    let config = folder.path().join("adit.toml");
    let flags = flags_of(folder.path(), "monero", chain.port);
    let url = wallet_url(wallet.port);
    let text = || fs::read_to_string(&config).unwrap();

    let written = with(&flags, &[&url]);
    succeeded(&written);
    checked(&config);
    let (_, wallet_is) = url.split_once('=').unwrap();
    for line in [
        "coin = \"monero\"".to_owned(),
        "network = \"regtest\"".to_owned(),
        format!("payout_address = \"{own}\""),
        format!("enabled = true\nwallet_url = \"{wallet_is}\"\n"),
    ] {
        assert!(text().contains(&line), "{line} is not in: {}", text());
    }
    assert!(!text().contains("wallet_user"), "{}", text());
    let said = String::from_utf8_lossy(&written.stdout);
    assert!(said.contains("xmrig -a rx/0 -o 127.0.0.1:"), "{said}");
    assert!(said.contains("-u ADDRESS.rig1 -p x"), "{said}");
    assert!(!said.contains("stratum+tcp"), "{said}");

    // The wallet would see nothing of what blocks pay elsewhere.
    let elsewhere = format!("--address={SOMEBODY}");
    let written = with(&flags, &["--force", &url, &elsewhere]);
    succeeded(&written);
    checked(&config);
    let said = String::from_utf8_lossy(&written.stdout);
    assert!(
        said.contains("That is not the first address of the wallet"),
        "{said}"
    );
    assert!(text().contains("enabled = false"), "{}", text());
    assert!(!text().contains("wallet_url"), "{}", text());

    // Whatever may answer where wallets usually are, it is not that of this address.
    succeeded(&with(&flags, &["--force", &elsewhere]));
    assert!(text().contains("enabled = false"), "{}", text());

    // Blocks pay one address, whoever finds them.
    let written = with(&flags, &["--force", "--scheme=solo", &elsewhere]);
    succeeded(&written);
    checked(&config);
    let said = String::from_utf8_lossy(&written.stdout);
    assert!(said.contains(&format!("-u {SOMEBODY}.rig1")), "{said}");
    assert!(text().contains("only its miners are let in"), "{}", text());

    // From here on the wallet knows those who know its login.
    wallet.start_again_for("pool", "pool:secret");
    fs::remove_file(&config).unwrap();
    let variable = "ADIT_POOL__PAYOUT__WALLET_PASSWORD";
    let logged_in =
        |password: &str| with_variable(&flags, &[&url, "--wallet-user=pool"], (variable, password));
    let in_vain = [
        (with(&flags, &[&url]), "set user and password"),
        (logged_in("wrong"), "user or password is wrong"),
    ];
    for (refusal, why) in in_vain {
        refused(&refusal, 1, "does not let the pool in");
        refused(&refusal, 1, why);
        assert!(!config.exists());
    }
    let written = logged_in("secret");
    succeeded(&written);
    checked(&config);
    let login = "wallet_user = \"pool\"\nwallet_password = \"secret\"\n";
    assert!(text().contains(login), "{}", text());
    let said = String::from_utf8_lossy(&written.stdout);
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn init_of_monero_refuses_what_does_not_work_and_writes_nothing() {
    let (folder, stage_folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let chain = Chain::start(&folder, 1);
    let wallet = Wallet::start(&folder, &chain);
    let config = folder.path().join("adit.toml");
    let flags = flags_of(folder.path(), "monero", chain.port);
    let case = |more: &[&str], code: i32, text: &str| {
        refused(&with(&flags, more), code, text);
        assert!(!config.exists(), "{more:?}");
    };
    let (_held, nobody) = refusing_port();
    let nowhere = wallet_url(nobody);
    case(
        &[&nowhere],
        1,
        &format!("no wallet answers at http://127.0.0.1:{nobody}"),
    );
    // An address does not make up for a wallet that was named.
    case(
        &[&nowhere, "--address", SOMEBODY],
        1,
        "no wallet answers at",
    );
    case(
        &["--wallet-url=127.0.0.1:18083"],
        64,
        "--wallet-url: url of a daemon is not http://host:port",
    );
    let url = wallet_url(wallet.port);
    case(&[&url], 1, "no wallet is open");
    // Monero's node is no wallet.
    case(
        &[&wallet_url(chain.port)],
        1,
        "is no wallet that the pool knows",
    );
    let stage = Wallet::with(&stage_folder, &chain, &["--stagenet", "--offline"]);
    stage.create("pool");
    case(
        &[&wallet_url(stage.port)],
        1,
        "is not of Monero on regtest: an address with tag 24",
    );

    wallet.create("pool");
    let subaddress = wallet.subaddresses(1).remove(0);
    case(
        &[&url, "--address", &subaddress],
        64,
        "a subaddress, which monerod's blocks cannot pay",
    );
    let integrated = wallet.ask(
        "make_integrated_address",
        json!({"payment_id": "0102030405060708"}),
    );
    let integrated = integrated["integrated_address"].as_str().unwrap();
    case(&[&url, "--address", integrated], 64, "it has a payment id");
    case(
        &[&url, "--network=stage"],
        1,
        "it is on the network regtest, not on stage",
    );
    case(
        &[&url, "--network=signet"],
        64,
        "Monero has no network signet",
    );
    case(
        &["--wallet=pool"],
        64,
        "--wallet-url says where monero-wallet-rpc listens",
    );
    case(
        &[&url, "--daemon-cookie=/nowhere"],
        1,
        "Monero's programs have no cookie",
    );
}

#[test]
fn init_asks_a_person_and_the_pool_of_monero_that_it_configures_has_work() {
    let folder = TempDir::new().unwrap();
    let chain = Chain::start(&folder, 1);
    let mut wallet = Wallet::start(&folder, &chain);
    let own = wallet.create("pool");
    let subaddress = wallet.subaddresses(1).remove(0);
    wallet.start_again_for("pool", "pool:secret");
    let home = folder.path().join("home");
    fs::create_dir_all(home.join(".bitmonero")).unwrap();
    fs::write(home.join(".bitmonero/bitmonero.conf"), chain.conf()).unwrap();
    let config = folder.path().join("adit.toml");
    let (miners, http) = (free_port(), free_port());
    let (_held, nobody) = refusing_port();
    let [node_url, wallet_url, nowhere] =
        [chain.port, wallet.port, nobody].map(|port| format!("http://127.0.0.1:{port}"));
    let http_listen = format!("--http-listen=127.0.0.1:{http}");
    let mut terminal = Terminal::start(
        (200, 60),
        &[("HOME", home.to_str().unwrap())],
        &["init", "-c", config.to_str().unwrap(), &http_listen],
    );

    terminal.expect("Which coin");
    terminal.expect("> Monero (a node runs on this machine)");
    let screen = terminal.screen();
    assert!(!screen.contains("Wownero"), "{screen}");
    assert!(!screen.contains("Vision"), "{screen}");
    terminal.press(&["Enter"]);

    terminal.expect(&format!("at {node_url} (regtest, height 0)"));
    terminal.press(&["Down", "Enter"]);
    terminal.expect("Where does the node's JSON-RPC listen?");
    terminal.type_line(&nowhere);
    terminal.expect(&format!("no: nothing answers at {nowhere}"));
    terminal.expect("What now?");
    terminal.press(&["Down", "Enter"]);
    terminal.expect("Where does the node's JSON-RPC listen?");
    terminal.type_line(&node_url);
    terminal.expect("ok: Monero on regtest, monerod ");

    terminal.expect("How are miners paid?");
    terminal.expect("solo: for miners of your own address alone");
    terminal.press(&["Enter"]);

    terminal.expect("Where does monero-wallet-rpc listen?");
    terminal.type_line(&nowhere);
    terminal.expect(&format!("no: no wallet answers at {nowhere}"));
    terminal.expect("What now?");
    terminal.press(&["Down", "Enter"]);
    terminal.expect("Where does monero-wallet-rpc listen?");
    terminal.type_line(&wallet_url);
    terminal.expect("does not let the pool in: set user and password");
    terminal.expect("What now?");
    terminal.press(&["Enter"]);
    terminal.expect("The wallet's user");
    terminal.type_line("pool");
    terminal.expect("The wallet's password");
    terminal.type_line("a wrong one");
    terminal.expect("does not let the pool in: user or password is wrong");
    assert!(!terminal.screen().contains("a wrong one"));
    terminal.expect("What now?");
    terminal.press(&["Enter"]);
    terminal.expect("The wallet's user");
    terminal.type_line("pool");
    terminal.expect("The wallet's password");
    terminal.type_line("secret");
    terminal.expect("ok: a wallet is open there");

    terminal.expect("Where do blocks pay?");
    terminal.press(&["Down", "Enter"]);
    terminal.expect("Your Monero address on regtest:");
    terminal.type_line(&subaddress);
    terminal.expect("a subaddress, which monerod's blocks cannot pay");
    terminal.expect("Where do blocks pay?");
    terminal.press(&["Enter"]);
    terminal.expect(&format!("ok: blocks pay {own}"));

    terminal.expect("The pool's own fee");
    terminal.press(&["Enter"]);
    terminal.expect("For the foundation");
    terminal.press(&["Enter"]);
    terminal.expect("Where are the miners?");
    terminal.press(&["Up", "Enter"]);
    terminal.expect("The port for miners:");
    terminal.type_line(&miners.to_string());
    terminal.expect("The folder of the database:");
    terminal.type_line(folder.path().join("data").to_str().unwrap());
    terminal.expect("Next:");
    terminal.expect("[ended: 0]");
    let screen = terminal.screen();
    assert!(!screen.contains("FAIL"), "{screen}");
    let command = format!("xmrig -a rx/0 -o 127.0.0.1:{miners} -u ADDRESS.rig1 -p x");
    assert!(screen.contains(&command), "{screen}");
    checked(&config);

    let mut command = adit(&["pool", "-c", config.to_str().unwrap()]);
    command.env("ADIT_POOL__RANDOMX__MODE", "light");
    command.env("ADIT_POOL__RANDOMX__THREADS", "1");
    let _pool = Process::start(command, folder.path().join("pool.log"));
    wait_for("the pool to have work", || {
        let (status, _) = http_get(http, "/ready")?;
        (status == 200).then_some(())
    });
    let miner = Miner::ready(miners, &format!("{SOMEBODY}.rig"));
    assert_eq!(miner.job["algo"], "rx/0", "{}", miner.job);
}
