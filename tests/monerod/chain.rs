//! A real monerod on a network of its own, and a real monero-wallet-rpc.

use std::{path::Path, process::Command, process::Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Process, free_port, http_get, runtime, wait_for};

/// Another wallet's address.
pub(crate) const SOMEBODY: &str = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A";

/// A wallet that lets in everybody on this machine.
const OPEN: &str = "--disable-rpc-login";
/// Where it keeps its files.
const FOLDER: &str = "--wallet-dir=";

/// A chain of its own, and no other node.
const ALONE: [&str; 3] = ["--regtest", "--keep-fakechain", "--offline"];

/// A node whose blocks take a fixed number of hashes.
pub(crate) struct Chain {
    pub(crate) port: u16,
    zmq: u16,
    process: Process,
    arguments: Vec<String>,
    epochs: Option<Epochs>,
    difficulty: u64,
}

/// When RandomX's key changes on a chain of one's own: as monerod's environment has it.
#[derive(Clone, Copy)]
pub(crate) struct Epochs {
    /// Blocks for each key.
    pub(crate) blocks: u32,
    /// Blocks between the one that gives the key and the first that needs it.
    pub(crate) lag: u32,
}

/// A wallet, which is asked over its own JSON-RPC.
pub(crate) struct Wallet {
    pub(crate) port: u16,
    process: Process,
    arguments: Vec<String>,
}

/// Debian's package has both.
fn command(name: &str, arguments: &[String]) -> Command {
    let path = Path::new("/usr/bin").join(name);
    assert!(path.exists(), "{name} is missing: run `make packages`");
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null());
    command
}

fn program(name: &str, arguments: &[String], log: &Path) -> Process {
    Process::start(command(name, arguments), log.to_owned())
}

fn run(arguments: &[String], epochs: Option<Epochs>, difficulty: u64, log: &Path) -> Process {
    let fixed = format!("--fixed-difficulty={difficulty}");
    let mut command = command("monerod", &[arguments, &[fixed]].concat());
    if let Some(Epochs { blocks, lag }) = epochs {
        command
            .env("SEEDHASH_EPOCH_BLOCKS", blocks.to_string())
            .env("SEEDHASH_EPOCH_LAG", lag.to_string());
    }
    Process::start(command, log.to_owned())
}

/// What keeps a node from all others but the one at this port.
fn alone_with(port: u16) -> [String; 3] {
    [
        format!("--add-exclusive-node=127.0.0.1:{port}"),
        "--allow-local-ip".to_owned(),
        "--hide-my-port".to_owned(),
    ]
}

impl Chain {
    /// On a network of its own without any other node.
    pub(crate) fn start(folder: &TempDir, difficulty: u64) -> Self {
        Self::named(folder, "monerod", difficulty)
    }

    /// The same beside others in this folder, none of which it knows.
    pub(crate) fn named(folder: &TempDir, name: &str, difficulty: u64) -> Self {
        Self::with(folder, name, difficulty, free_port(), &ALONE)
    }

    /// Two that know each other and nobody else.
    pub(crate) fn pair(folder: &TempDir, difficulty: u64) -> [Self; 2] {
        let [one, other] = [(); 2].map(|()| free_port());
        let chains = [
            Self::beside(folder, "first", difficulty, one, other),
            Self::beside(folder, "second", difficulty, other, one),
        ];
        for chain in &chains {
            wait_for("both nodes to know each other", || {
                (chain.ask("get_info", json!({}))["synchronized"] == true).then_some(())
            });
        }
        chains
    }

    /// One that is found by others at one port and knows of another one's, which may not be there: it has no
    /// chain before they have met.
    pub(crate) fn beside(
        folder: &TempDir,
        name: &str,
        difficulty: u64,
        own: u16,
        other: u16,
    ) -> Self {
        let other = alone_with(other);
        let flags = ["--regtest", "--keep-fakechain"];
        let flags = [&flags[..], &other.each_ref().map(String::as_str)].concat();
        Self::with(folder, name, difficulty, own, &flags)
    }

    /// One of the main network, of which it knows a single node, which is not there.
    pub(crate) fn of_the_main_network(folder: &TempDir) -> Self {
        let other = alone_with(free_port());
        let flags = other.each_ref().map(String::as_str);
        Self::with(folder, "main", 1, free_port(), &flags)
    }

    fn with(folder: &TempDir, name: &str, difficulty: u64, peers: u16, flags: &[&str]) -> Self {
        Self::of_epochs(folder, name, difficulty, peers, flags, None)
    }

    /// On a network of its own whose key changes so.
    pub(crate) fn with_epochs(folder: &TempDir, difficulty: u64, epochs: Epochs) -> Self {
        let epochs = Some(epochs);
        Self::of_epochs(folder, "monerod", difficulty, free_port(), &ALONE, epochs)
    }

    fn of_epochs(
        folder: &TempDir,
        name: &str,
        difficulty: u64,
        peers: u16,
        flags: &[&str],
        epochs: Option<Epochs>,
    ) -> Self {
        let [port, zmq_rpc, zmq] = [(); 3].map(|()| free_port());
        let data = folder.path().join(name);
        let mut arguments = vec![
            "--no-igd".to_owned(),
            "--non-interactive".to_owned(),
            "--disable-dns-checkpoints".to_owned(),
            "--check-updates=disabled".to_owned(),
            format!("--data-dir={}", data.display()),
            format!("--rpc-bind-port={port}"),
            "--p2p-bind-ip=127.0.0.1".to_owned(),
            format!("--p2p-bind-port={peers}"),
            format!("--zmq-rpc-bind-port={zmq_rpc}"),
            format!("--zmq-pub=tcp://127.0.0.1:{zmq}"),
        ];
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let log = folder.path().join(format!("{name}.log"));
        let chain = Self {
            port,
            zmq,
            process: run(&arguments, epochs, difficulty, &log),
            arguments,
            epochs,
            difficulty,
        };
        chain.wait();
        chain
    }

    fn wait(&self) {
        wait_for("monerod", || self.try_ask("get_info", json!({})));
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again as it was, after it has ended.
    pub(crate) fn come_back(&mut self) {
        let log = self.process.log.clone();
        self.process = run(&self.arguments, self.epochs, self.difficulty, &log);
        self.wait();
    }

    /// Stops it in order and starts it again: blocks take so many hashes from now on.
    pub(crate) fn start_again(&mut self, difficulty: u64) {
        self.process.stop();
        self.difficulty = difficulty;
        self.come_back();
    }

    /// The `[[pool.daemon]]` table for it.
    pub(crate) fn daemon(&self) -> String {
        let Self { port, zmq, .. } = self;
        format!(
            "[[pool.daemon]]\nurl = \"http://127.0.0.1:{port}\"\n\
             zmq = \"tcp://127.0.0.1:{zmq}\"\npoll_ms = 200\ncheck_s = 1\nmin_peers = 0\n"
        )
    }

    /// What its own configuration file would say.
    pub(crate) fn conf(&self) -> String {
        let Self { port, zmq, .. } = self;
        format!("regtest=1\nrpc-bind-port={port}\nzmq-pub=tcp://127.0.0.1:{zmq}\n")
    }

    fn try_ask(&self, method: &str, params: Value) -> Option<Value> {
        post(self.port, "/json_rpc", &call(method, params))
    }

    #[track_caller]
    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let told = self.try_ask(method, params).expect("monerod answers");
        assert!(told["error"].is_null(), "{method}: {told}");
        told["result"].clone()
    }

    /// How many blocks there are besides the first.
    pub(crate) fn height(&self) -> u64 {
        self.ask("get_info", json!({}))["height"].as_u64().unwrap() - 1
    }

    /// Whether the block with this id is in its chain.
    pub(crate) fn has(&self, id: &str) -> bool {
        let told = self.try_ask("get_block_header_by_hash", json!({"hash": id}));
        told.is_some_and(|told| told["result"]["block_header"]["orphan_status"] == false)
    }

    /// The daemon mines so many blocks by itself.
    pub(crate) fn generate(&self, count: u32, address: &str) {
        let params =
            json!({"amount_of_blocks": count, "wallet_address": address, "starting_nonce": 0});
        self.ask("generateblocks", params);
    }

    /// Undoes blocks.
    pub(crate) fn undo(&self, count: u32) {
        let told = post(self.port, "/pop_blocks", &json!({"nblocks": count}));
        assert_eq!(told.unwrap()["status"], "OK");
    }
}

impl Wallet {
    /// With an empty wallet, which knows of blocks what the chain tells it.
    pub(crate) fn start(folder: &TempDir, chain: &Chain) -> Self {
        Self::with(folder, chain, &[])
    }

    /// The same with these flags more.
    pub(crate) fn with(folder: &TempDir, chain: &Chain, more: &[&str]) -> Self {
        let port = free_port();
        let wallets = folder.path().join("wallets");
        std::fs::create_dir_all(&wallets).unwrap();
        let mut arguments = vec![
            "--trusted-daemon".to_owned(),
            "--non-interactive".to_owned(),
            OPEN.to_owned(),
            "--rpc-bind-ip=127.0.0.1".to_owned(),
            format!("--rpc-bind-port={port}"),
            format!("--daemon-address=127.0.0.1:{}", chain.port),
            format!("{FOLDER}{}", wallets.display()),
            format!(
                "--log-file={}",
                folder.path().join("wallet-rpc.log").display()
            ),
        ];
        arguments.extend(more.iter().map(|flag| (*flag).to_owned()));
        let log = folder.path().join("wallet.log");
        let wallet = Self {
            port,
            process: program("monero-wallet-rpc", &arguments, &log),
            arguments,
        };
        wallet.wait();
        wallet
    }

    fn wait(&self) {
        wait_for("monero-wallet-rpc", || {
            post(self.port, "/json_rpc", &call("get_version", json!({})))
        });
    }

    /// Kills it and starts it again with the wallet of this name.
    pub(crate) fn start_again(&mut self, name: &str) {
        self.process.kill();
        let log = self.process.log.clone();
        self.process = program("monero-wallet-rpc", &self.arguments, &log);
        self.wait();
        self.open(name);
    }

    /// The same for whoever knows a login: `user:password`.
    pub(crate) fn start_again_for(&mut self, name: &str, login: &str) {
        self.process.kill();
        let mut kept = self.arguments.clone();
        let folder = kept.iter().position(|flag| flag.starts_with(FOLDER));
        let folder = kept.remove(folder.unwrap());
        let file = Path::new(&folder[FOLDER.len()..]).join(name);
        kept.retain(|flag| flag != OPEN);
        kept.push(format!("--wallet-file={}", file.display()));
        kept.extend(["--password".to_owned(), String::new()]);
        kept.push(format!("--rpc-login={login}"));
        let log = self.process.log.clone();
        self.process = program("monero-wallet-rpc", &kept, &log);
        wait_for("monero-wallet-rpc to refuse a stranger", || {
            let (status, _) = http_get(self.port, "/json_rpc")?;
            (status == 401).then_some(())
        });
    }

    #[track_caller]
    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let told = post(self.port, "/json_rpc", &call(method, params));
        let told = told.expect("monero-wallet-rpc answers");
        assert!(told["error"].is_null(), "{method}: {told}");
        told["result"].clone()
    }

    /// A new wallet is open then; its first address.
    pub(crate) fn create(&self, name: &str) -> String {
        let params = json!({"filename": name, "password": "", "language": "English"});
        self.ask("create_wallet", params);
        self.address()
    }

    pub(crate) fn open(&self, name: &str) {
        self.ask("open_wallet", json!({"filename": name, "password": ""}));
    }

    fn address(&self) -> String {
        let told = self.ask("get_address", json!({"account_index": 0}));
        told["address"].as_str().unwrap().to_owned()
    }

    /// So many other addresses of the wallet that is open.
    pub(crate) fn subaddresses(&self, count: u32) -> Vec<String> {
        let told = self.ask(
            "create_address",
            json!({"account_index": 0, "count": count}),
        );
        let all = told["addresses"].as_array().unwrap().iter();
        all.map(|address| address.as_str().unwrap().to_owned())
            .collect()
    }

    /// What the open wallet got at each of its addresses, locked or not.
    pub(crate) fn balances(&self) -> Vec<(String, u64)> {
        self.ask("refresh", json!({}));
        let told = self.ask("get_balance", json!({"account_index": 0}));
        let all = told["per_subaddress"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let row = |row: &Value| {
            let address = row["address"].as_str().unwrap().to_owned();
            (address, row["balance"].as_u64().unwrap())
        };
        all.iter().map(row).collect()
    }
}

fn call(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": "0", "method": method, "params": params})
}

fn post(port: u16, path: &str, body: &Value) -> Option<Value> {
    runtime().block_on(async {
        let url = format!("http://127.0.0.1:{port}{path}");
        let response = reqwest::Client::new().post(url).json(body).send().await;
        response.ok()?.json().await.ok()
    })
}
