//! A real `monerod` on a network of its own and a real `monero-wallet-rpc`, where they are installed.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mining::{Amount, cryptonote::address::Tags};
use pow::Hash;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Monero;
use crate::{
    daemon::{
        Config,
        monero_wallet::{self, MoneroWallet},
        monerod::transactions::Transactions,
    },
    free_port::free_port,
};

/// The longest that anything here may take, with all processors busy.
const LIMIT: Duration = Duration::from_secs(120);

/// Another wallet's address.
const SOMEBODY: &str = "41yTY1oyTkuFzX4LWNkaVVapycdakhy6uU6cZKZN4twVdZao2tJaWzCW8gPhY6hJ5GSfARM7GjY5B76svoM3dkDZFFrxKKg";

/// A chain, the pool's wallet, which gets its blocks, and the addresses of a miner's wallet.
pub(super) struct Rig {
    node: Process,
    wallet: Process,
    folder: tempfile::TempDir,
    node_port: u16,
    wallet_port: u16,
    pub(super) purse: Monero,
    /// The pool's first address.
    pub(super) own: String,
    /// The miner's first address, then subaddresses.
    pub(super) miners: Vec<String>,
    /// The miner's first address with a payment id.
    pub(super) integrated: String,
}

/// Ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of Monero's: where the variable says, or where Debian's package puts it.
fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    let usual = ["/usr/bin", "/usr/local/bin"].map(|folder| Path::new(folder).join(name));
    found.into_iter().chain(usual).find(|path| path.is_file())
}

fn run(program: &Path, arguments: &[String]) -> Process {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    Process(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    )
}

impl Rig {
    /// With so many blocks, all of them the pool's. Nothing where the programs are not installed.
    pub(super) async fn start(blocks: u32) -> Option<Self> {
        let (Some(monerod), Some(wallet_rpc)) = (
            program("MONEROD", "monerod"),
            program("MONERO_WALLET_RPC", "monero-wallet-rpc"),
        ) else {
            eprintln!("skipped: no monerod and monero-wallet-rpc in /usr/bin");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let (node_port, wallet_port) = (free_port(), free_port());
        let node = run(&monerod, &node_arguments(folder.path(), node_port));
        let wallet = run(
            &wallet_rpc,
            &wallet_arguments(folder.path(), node_port, wallet_port),
        );
        let purse = purse(node_port, wallet_port, Tags::MONERO, 0);
        let mut rig = Self {
            node,
            wallet,
            folder,
            node_port,
            wallet_port,
            purse,
            own: String::new(),
            miners: Vec::new(),
            integrated: String::new(),
        };
        rig.answers().await;
        rig.create("miner").await;
        let first = rig.purse.wallet.address().await.unwrap();
        let made = json!({"account_index": 0, "count": 45});
        let made = rig.ask("create_address", made).await;
        let made = made["addresses"].as_array().unwrap().iter();
        rig.miners = vec![first];
        rig.miners
            .extend(made.map(|address| address.as_str().unwrap().to_owned()));
        let made = rig.ask("make_integrated_address", json!({})).await;
        rig.integrated = made["integrated_address"].as_str().unwrap().to_owned();
        rig.create("pool").await;
        rig.own = rig.purse.wallet.address().await.unwrap();
        rig.mine(blocks).await;
        Some(rig)
    }

    /// What pays from the same wallet, and takes it for one of the network with these tags.
    pub(super) fn purse(&self, tags: Tags) -> Monero {
        self.purse_of(tags, 0)
    }

    /// The same, which pays for its place in a block by this priority.
    pub(super) fn purse_of(&self, tags: Tags, priority: u8) -> Monero {
        purse(self.node_port, self.wallet_port, tags, priority)
    }

    /// Waits until both answer.
    async fn answers(&self) {
        let began = Instant::now();
        loop {
            let node = self.purse.chain.standings(&[Hash::default()]).await;
            let wallet = self.purse.wallet.version().await;
            if node.is_ok() && wallet.is_ok() {
                return;
            }
            assert!(began.elapsed() < LIMIT, "{node:?}, {wallet:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn create(&self, name: &str) {
        let wallet = json!({"filename": name, "password": "x", "language": "English"});
        self.ask("create_wallet", wallet).await;
    }

    /// Opens another wallet, and stores the one that was open.
    pub(super) async fn open(&self, name: &str) {
        let wallet = json!({"filename": name, "password": "x"});
        self.ask("open_wallet", wallet).await;
    }

    /// Anything of the wallet.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Value {
        let told = self.purse.wallet.ask(method, params).await;
        told.unwrap_or_else(|failure| panic!("{method}: {failure}"))
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.node_port);
        let post = reqwest::Client::new().post(url).timeout(LIMIT).json(&body);
        post.send().await.unwrap().json().await.unwrap()
    }

    /// Blocks for the pool, which the wallet then knows.
    pub(super) async fn mine(&self, blocks: u32) {
        self.mine_for(&self.own, blocks).await;
        self.purse.wallet.refresh().await.unwrap();
    }

    /// Blocks for nobody here, which the wallet then knows.
    pub(super) async fn bury(&self, blocks: u32) {
        self.mine_for(SOMEBODY, blocks).await;
        self.purse.wallet.refresh().await.unwrap();
    }

    async fn mine_for(&self, address: &str, blocks: u32) {
        let params = json!({
            "amount_of_blocks": blocks,
            "wallet_address": address,
            "starting_nonce": 0,
        });
        let request =
            json!({"jsonrpc": "2.0", "id": 0, "method": "generateblocks", "params": params});
        let told = self.post("/json_rpc", request).await;
        assert_eq!(told["result"]["status"], "OK", "{told}");
    }

    /// Undoes blocks; what was in them waits for others.
    pub(super) async fn undo(&self, blocks: u32) {
        let told = self.post("/pop_blocks", json!({"nblocks": blocks})).await;
        assert_eq!(told["status"], "OK", "{told}");
    }

    /// Has the daemon forget what waits for a block.
    pub(super) async fn forget(&self) {
        let request = json!({"jsonrpc": "2.0", "id": 0, "method": "flush_txpool", "params": {}});
        let told = self.post("/json_rpc", request).await;
        assert_eq!(told["result"]["status"], "OK", "{told}");
    }

    /// Ends the wallet without a word to it.
    pub(super) fn kill_wallet(&mut self) {
        self.wallet.0.kill().unwrap();
        self.wallet.0.wait().unwrap();
    }

    /// Starts it again, with what it had stored.
    pub(super) async fn start_wallet(&mut self) {
        let program = program("MONERO_WALLET_RPC", "monero-wallet-rpc").unwrap();
        let arguments = wallet_arguments(self.folder.path(), self.node_port, self.wallet_port);
        self.wallet = run(&program, &arguments);
        self.answers().await;
        self.open("pool").await;
        self.purse.wallet.refresh().await.unwrap();
    }

    /// What the miner's wallet has got, by its own account.
    pub(super) async fn miner_has(&self) -> Amount {
        self.open("miner").await;
        self.purse.wallet.refresh().await.unwrap();
        let has = self.purse.wallet.holdings().await.unwrap().all;
        self.open("pool").await;
        self.purse.wallet.refresh().await.unwrap();
        has
    }

    /// Whether the node runs yet.
    pub(super) fn node_runs(&mut self) -> bool {
        self.node.0.try_wait().unwrap().is_none()
    }
}

fn purse(node_port: u16, wallet_port: u16, tags: Tags, priority: u8) -> Monero {
    let url = format!("http://127.0.0.1:{wallet_port}");
    let wallet = monero_wallet::config(&url, Some("pool"), Some(&"secret".into()));
    let node = Config::at(format!("http://127.0.0.1:{node_port}"));
    Monero::new(
        MoneroWallet::new(&wallet).unwrap(),
        Transactions::new(&node).unwrap(),
        tags,
        priority,
    )
}

fn node_arguments(folder: &Path, port: u16) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--regtest",
        "--offline",
        "--no-igd",
        "--no-zmq",
        "--non-interactive",
        "--disable-dns-checkpoints",
        "--check-updates=disabled",
        "--fixed-difficulty=1",
        "--rpc-bind-ip=127.0.0.1",
        "--p2p-bind-ip=127.0.0.1",
        "--p2p-bind-port=0",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--rpc-bind-port={port}"));
    arguments.push(format!("--data-dir={}", folder.join("node").display()));
    arguments
}

fn wallet_arguments(folder: &Path, node_port: u16, port: u16) -> Vec<String> {
    let wallets = folder.join("wallets");
    std::fs::create_dir_all(&wallets).unwrap();
    let mut arguments: Vec<String> = [
        "--trusted-daemon",
        "--non-interactive",
        "--rpc-bind-ip=127.0.0.1",
        "--rpc-login=pool:secret",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--daemon-address=127.0.0.1:{node_port}"));
    arguments.push(format!("--rpc-bind-port={port}"));
    arguments.push(format!("--wallet-dir={}", wallets.display()));
    arguments.push(format!(
        "--log-file={}",
        folder.join("wallet.log").display()
    ));
    arguments
}
