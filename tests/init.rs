//! `adit init`: what it asks in a real terminal, what it refuses, and that what it writes runs.

mod monero;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    litecoind::Litecoin,
    support::{
        ADDRESS, Node, Process, adit, free_port, refusing_port, run, terminal::Terminal, wait_for,
    },
};

/// An address of Bitcoin's main network, where one of Litecoin's regtest is needed.
const ELSEWHERE: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";

/// The flags for a node that answers, and for ports that are free.
fn flags(folder: &Path, node: &Node) -> Vec<String> {
    let mut flags = flags_of(folder, "bitcoin", node.rpc.port);
    flags.push("--daemon-user=adit".into());
    flags
}

/// Those for a node of a coin at this port.
fn flags_of(folder: &Path, coin: &str, port: u16) -> Vec<String> {
    let (miners, http) = (free_port(), free_port());
    [
        "init",
        "--yes",
        &format!("--coin={coin}"),
        &format!("--daemon-url=http://127.0.0.1:{port}"),
        &format!("--config={}", folder.join("adit.toml").display()),
        &format!("--data={}", folder.join("data").display()),
        &format!("--listen=127.0.0.1:{miners}"),
        &format!("--http-listen=127.0.0.1:{http}"),
    ]
    .map(str::to_owned)
    .into()
}

fn with(flags: &[String], more: &[&str]) -> Output {
    with_variable(flags, more, ("ADIT_POOL__DAEMON__PASSWORD", "adit"))
}

/// The same with a secret in the environment.
fn with_variable(flags: &[String], more: &[&str], (name, value): (&str, &str)) -> Output {
    let is_replaced = |flag: &&str| {
        let name = flag.split('=').next().unwrap_or_default();
        more.iter()
            .any(|more| more.starts_with(&format!("{name}=")))
    };
    let flags = flags.iter().map(String::as_str);
    let flags: Vec<&str> = flags.filter(|flag| !is_replaced(flag)).collect();
    let mut command = adit(&[&flags[..], more].concat());
    command.env(name, value);
    command.output().unwrap()
}

#[track_caller]
fn refused(output: &Output, code: i32, text: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(text), "{text} is not in: {said}");
}

#[track_caller]
fn succeeded(output: &Output) {
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What was written passes the check, and is its owner's alone.
#[track_caller]
fn checked(config: &Path) {
    let mode = fs::metadata(config).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let checked = run(&["config", "--check", "-c", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
}

#[test]
fn init_asks_a_person_and_the_pool_that_it_configures_takes_a_share() {
    let folder = TempDir::new().unwrap();
    let litecoin = Litecoin::start(&folder);
    let rpc = &litecoin.rpc;
    let home = folder.path().join("home");
    fs::create_dir_all(home.join(".litecoin")).unwrap();
    fs::write(
        home.join(".litecoin/litecoin.conf"),
        format!(
            "rpcuser=u\nrpcpassword=p\n[regtest]\nrpcport={}\n",
            rpc.port
        ),
    )
    .unwrap();
    let config = folder.path().join("adit.toml");
    let (miners, http) = (free_port(), free_port());
    let (_held, nobody) = refusing_port();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let http_listen = format!("127.0.0.1:{http}");
    let mut terminal = Terminal::start(
        (120, 60),
        &[("HOME", home.to_str().unwrap())],
        &[
            "init",
            "-c",
            config.to_str().unwrap(),
            "--http-listen",
            &http_listen,
        ],
    );

    terminal.expect("Which coin");
    terminal.expect("> Litecoin (a node runs on this machine)");
    terminal.press(&["Enter"]);

    // The one that was found is told with its network; another one is asked for.
    terminal.expect(&format!(
        "http://127.0.0.1:{} (regtest, height 0)",
        rpc.port
    ));
    terminal.press(&["Down", "Enter"]);
    terminal.expect("JSON-RPC listen?");
    terminal.type_line("litecoind");
    terminal.expect("no: url of a daemon is not http://host:port");
    terminal.expect("JSON-RPC listen?");
    terminal.type_line(&format!("http://127.0.0.1:{nobody}"));
    terminal.expect("How does the pool log in?");
    terminal.press(&["Enter"]);
    terminal.expect("The user");
    terminal.type_line("u");
    terminal.expect("The password");
    terminal.type_line("p");
    terminal.expect(&format!("no: nothing answers at http://127.0.0.1:{nobody}"));
    terminal.expect("What now?");
    terminal.press(&["Down", "Enter"]);
    terminal.expect("JSON-RPC listen?");
    terminal.type_line(&format!("http://127.0.0.1:{}", rpc.port));
    terminal.expect("How does the pool log in?");
    terminal.press(&["Enter"]);
    terminal.expect("The user");
    terminal.type_line("u");
    terminal.expect("The password");
    terminal.type_line("a wrong one");
    terminal.expect("does not let the pool in");
    assert!(!terminal.screen().contains("a wrong one"));
    terminal.expect("What now?");
    terminal.press(&["Enter"]);
    terminal.expect("How does the pool log in?");
    terminal.press(&["Enter"]);
    terminal.expect("The user");
    terminal.type_line("u");
    terminal.expect("The password");
    terminal.type_line("p");

    // A node without blocks believes itself in initial download.
    terminal.expect("no: the node is on regtest and cannot be mined with yet");
    rpc.call("createwallet", json!(["w"]));
    let first = rpc.call("getnewaddress", json!([]));
    rpc.call("generatetoaddress", json!([1, first]));
    terminal.expect("What now?");
    terminal.press(&["Enter"]);
    terminal.expect("ok: Litecoin on regtest");

    terminal.expect("How are miners paid?");
    terminal.press(&["Enter"]);
    terminal.expect("Where do blocks pay?");
    terminal.press(&["Down", "Enter"]);
    terminal.expect("Your Litecoin address on regtest:");
    terminal.type_line(ELSEWHERE);
    terminal.expect("no: bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4: an address of bc1..., but rltc1... is needed here");
    terminal.expect("Where do blocks pay?");
    terminal.press(&["Enter"]);
    terminal.expect("ok: blocks pay rltc1");

    terminal.expect("The pool's own fee");
    terminal.type_line("11");
    terminal.expect("no: --pool-fee: at most 10 percent");
    terminal.expect("The pool's own fee");
    terminal.press(&["Enter"]);
    terminal.expect("For the foundation");
    terminal.press(&["Enter"]);
    terminal.expect("Where are the miners?");
    terminal.press(&["Up", "Enter"]);
    terminal.expect("The port for miners:");
    terminal.type_line(&taken.local_addr().unwrap().port().to_string());
    terminal.expect("no: cannot listen at");
    terminal.expect("The port for miners:");
    terminal.type_line(&miners.to_string());
    terminal.expect("The folder of the database:");
    assert!(
        !config.exists(),
        "nothing is written before the last answer"
    );
    terminal.type_line(folder.path().join("data").to_str().unwrap());
    terminal.expect("Next:");
    terminal.expect("[ended: 0]");
    let screen = terminal.screen();
    assert!(!screen.contains("FAIL"), "{screen}");
    assert!(screen.contains(&format!("stratum+tcp://127.0.0.1:{miners}")));

    checked(&config);
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("enabled = true\nwallet = \"w\""), "{text}");

    let log = folder.path().join("pool.log");
    let _pool = Process::start(adit(&["pool", "-c", config.to_str().unwrap()]), log);
    let url = format!("stratum+tcp://127.0.0.1:{miners}");
    let user = format!("{}.cpu", first.as_str().unwrap());
    wait_for("a share", || {
        let mut miner: Command = adit(&["mine", "--url", &url, "--user", &user]);
        miner.args(["--algorithm", "scrypt", "--threads", "1", "--shares", "1"]);
        let mined = miner.args(["--fail-fast", "--json"]).output().unwrap();
        mined.status.success().then_some(())
    });
}

#[test]
fn init_without_a_terminal_takes_flags_and_writes_what_passes_the_check() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let config = folder.path().join("adit.toml");
    let flags = flags(folder.path(), &node);
    let written = with(
        &flags,
        &["--scheme=prop", "--foundation-fee=0", "--pool-fee=2"],
    );
    succeeded(&written);
    checked(&config);
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("network = \"regtest\""), "{text}");
    assert!(text.contains("remainder = \"pool\""), "{text}");

    // It is not replaced without a word.
    refused(
        &with(&flags, &[]),
        64,
        "is there already; --force replaces it",
    );
    assert_eq!(fs::read_to_string(&config).unwrap(), text);
    let replaced = with(&flags, &["--force", "--scheme=solo", "--address", ADDRESS]);
    succeeded(&replaced);
    checked(&config);
    let text = fs::read_to_string(&config).unwrap();
    assert!(
        text.contains("scheme = \"solo\"") && !text.contains("pool.fee"),
        "{text}"
    );
}

#[test]
fn init_by_flags_refuses_what_does_not_work_and_writes_nothing() {
    let folder = TempDir::new().unwrap();
    let node = Node::regtest(&folder);
    let config = folder.path().join("adit.toml");
    let flags = flags(folder.path(), &node);
    let case = |more: &[&str], code: i32, text: &str| {
        refused(&with(&flags, more), code, text);
        assert!(!config.exists(), "{more:?}");
    };
    case(&["--address", ELSEWHERE], 64, "but bcrt1... is needed here");
    case(
        &["--network=main"],
        1,
        "it is on the network regtest, not on main",
    );
    case(&["--network=stage"], 64, "Bitcoin has no network stage");
    case(
        &["--wallet-url=http://127.0.0.1:18083"],
        64,
        "--wallet-url and --wallet-user are for monero-wallet-rpc",
    );
    case(&["--pool-fee=10.01"], 64, "at most 10 percent");
    case(
        &["--wallet=none"],
        1,
        "the node has no wallet \"none\" loaded",
    );
    case(&["--data=/proc/nowhere"], 64, "cannot make the directory");
    let (_held, port) = refusing_port();
    let away = format!("--daemon-url=http://127.0.0.1:{port}");
    case(&[&away], 1, "nothing answers at");
    let wrong = with_variable(&flags, &[], ("ADIT_POOL__DAEMON__PASSWORD", "wrong"));
    refused(&wrong, 1, "does not let the pool in");
    case(
        &["--coin=wownero"],
        64,
        "known are bitcoin, litecoin, dogecoin, monero",
    );
    // Nobody to ask, and not told not to.
    let flags: Vec<&str> = flags
        .iter()
        .map(String::as_str)
        .filter(|flag| *flag != "--yes")
        .collect();
    refused(
        &adit(&flags).output().unwrap(),
        64,
        "there is no terminal to ask at",
    );
    assert!(!config.exists());
}
