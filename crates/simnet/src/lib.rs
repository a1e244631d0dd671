//! A small node of the Bitcoin family: its own chain behind Bitcoin Core's JSON-RPC.
//!
//! `adit demo` and `adit simnet` run it, and so do tests that need a daemon that fails on request.
//! [`start`] gives a [`Simnet`] that serves until its token is cancelled. The consensus part,
//! [`Chain`], is pure and gives Bitcoin Core's verdicts on regtest. There is no peer-to-peer network:
//! blocks come in through `submitblock` and `generatetoaddress`.
//!
//! Errors of [`start`] are of the operating system: a port in use, a folder that cannot be written.

mod address;
mod chain;
mod check;
mod connect;
mod decode;
mod demand;
mod disk;
mod fault;
mod grind;
mod mempool;
mod money;
mod node;
mod params;
mod rpc;
mod script;
mod sealed;
mod sigops;
mod target;
mod template;
mod traffic;
mod utxo;
mod vision;
mod wallet;
mod zmq;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use bitcoin::{BlockHash, ScriptBuf};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use crate::{
    chain::{Chain, Verdict},
    check::Reject,
    fault::{Calls, Fault},
    node::{NotGenerated, Tip},
    params::Params,
    utxo::Coin,
};
use crate::{
    node::{Node, SharedNode},
    wallet::{Wallet, keys::Kind},
};

/// How callers prove who they are, by HTTP basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// User `__cookie__` and a random password, written to `<data>/.cookie` when there is a folder.
    Cookie,
    /// A fixed user and password.
    Password {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cookie => f.write_str("Cookie"),
            Self::Password { user, .. } => write!(f, "Password({user}, ***)"),
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain.
    pub params: Params,
    /// Where JSON-RPC listens; port 0 takes any free one.
    pub rpc: SocketAddr,
    /// Where `hashblock` is published, if at all; port 0 takes any free one.
    pub zmq: Option<SocketAddr>,
    /// Who may call.
    pub auth: Auth,
    /// The folder for blocks, wallet seed and cookie; everything is in memory without one.
    pub data: Option<PathBuf>,
    /// How often the wallet pays itself once it has mature coins, if at all.
    pub traffic: Option<Duration>,
    /// What the wallet's keys are made from, when the folder has none yet.
    pub wallet_seed: String,
    /// How long a long poll waits before a changed pool alone answers it.
    pub long_poll_refresh: Duration,
}

impl Config {
    /// A chain in memory on any free loopback port, with a cookie, no traffic and no ZMQ.
    pub fn new(params: Params) -> Self {
        Self {
            params,
            rpc: (Ipv4Addr::LOCALHOST, 0).into(),
            zmq: None,
            auth: Auth::Cookie,
            data: None,
            traffic: None,
            wallet_seed: "adit simnet".to_owned(),
            long_poll_refresh: Duration::from_secs(5),
        }
    }
}

/// A running node. It serves until the token given to [`start`] is cancelled; dropping this does not
/// stop it.
#[derive(Debug)]
pub struct Simnet {
    node: SharedNode,
    address: SocketAddr,
    user: String,
    password: String,
    cookie: Option<PathBuf>,
    tasks: TaskTracker,
}

/// Binds the ports, reads the folder, and serves.
///
/// # Errors
///
/// A port that is in use, a folder that cannot be read or written, a block file that is damaged
/// before its end or of another chain.
pub async fn start(config: Config, cancel: CancellationToken) -> anyhow::Result<Simnet> {
    // The RPC method `stop` ends this node, not the program around it.
    let cancel = cancel.child_token();
    let tasks = TaskTracker::new();
    let folder = config.data.clone();
    let (params, text) = (config.params.clone(), config.wallet_seed.clone());
    let load = move || -> anyhow::Result<_> {
        let mut chain = Chain::new(params);
        let blocks = folder
            .as_deref()
            .map(|folder| disk::replay(folder, &mut chain))
            .transpose()?;
        let keys = disk::load_keys(folder.as_deref(), &text)?;
        if let Some(folder) = &folder {
            disk::save_keys(folder, &keys)?;
        }
        Ok((chain, blocks, Wallet::new(keys)))
    };
    let (chain, blocks, wallet) = tasks
        .spawn_blocking(load)
        .await
        .context("reading the chain was interrupted")??;

    let listener = TcpListener::bind(config.rpc)
        .await
        .with_context(|| format!("cannot listen on {}", config.rpc))?;
    let address = listener
        .local_addr()
        .context("the RPC socket has no address")?;
    let (mut announce, mut endpoint, mut publisher) = (None, None, None);
    if let Some(zmq) = config.zmq {
        let (socket, bound) = zmq::bind(zmq).await?;
        let (sender, receiver) = mpsc::channel(zmq::QUEUE);
        (announce, endpoint) = (Some(sender), Some(bound));
        publisher = Some((socket, receiver));
    }
    let (user, password, cookie) = credentials(&config)?;

    let node: SharedNode = Arc::new(Node::new(
        chain,
        wallet,
        blocks,
        config.data,
        announce,
        endpoint,
        config.long_poll_refresh,
        cancel.clone(),
    ));
    if let Some((socket, receiver)) = publisher {
        tasks.spawn(zmq::publish(socket, receiver, cancel.clone()));
    }
    if let Some(period) = config.traffic {
        tasks.spawn(traffic::send(node.clone(), period, cancel.clone()));
    }
    tasks.spawn(rpc::serve(listener, node.clone(), &user, &password, cancel));
    tasks.close();
    tracing::info!(%address, height = node.tip.borrow().height, "simnet is listening");
    Ok(Simnet {
        node,
        address,
        user,
        password,
        cookie,
        tasks,
    })
}

impl Simnet {
    /// Where JSON-RPC listens.
    pub fn rpc_address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of JSON-RPC, without credentials.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The user for basic authentication.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password for basic authentication.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The cookie file, when there is one.
    pub fn cookie(&self) -> Option<&Path> {
        self.cookie.as_deref()
    }

    /// Where `hashblock` is published, such as `tcp://127.0.0.1:28332`.
    pub fn zmq_endpoint(&self) -> Option<&str> {
        self.node.zmq_endpoint.as_deref()
    }

    /// The height of the tip.
    pub fn height(&self) -> u32 {
        self.tip().height
    }

    /// The hash of the tip.
    pub fn tip_hash(&self) -> BlockHash {
        self.tip().hash
    }

    /// The tip.
    pub fn tip(&self) -> Tip {
        *self.node.tip.borrow()
    }

    /// The tip, now and whenever it changes.
    pub fn tips(&self) -> watch::Receiver<Tip> {
        self.node.tip.subscribe()
    }

    /// Looks at the chain while nothing else can; meant for a few lines.
    pub fn with_chain<T>(&self, look: impl FnOnce(&Chain) -> T) -> T {
        look(&self.node.state().chain)
    }

    /// A fresh bech32 address of the node's wallet.
    pub fn new_address(&self) -> String {
        let script = self.node.new_script(Kind::Segwit);
        let state = self.node.state();
        address::encode(state.chain.params(), &script).expect("a witness program has an address")
    }

    /// The script an address of this chain pays to.
    pub fn script_of(&self, address: &str) -> Option<ScriptBuf> {
        address::decode(self.node.state().chain.params(), address)
    }

    /// Mines `count` blocks that pay to `script`, on a blocking thread.
    ///
    /// # Errors
    ///
    /// See [`NotGenerated`].
    pub async fn mine(
        &self,
        count: u32,
        script: ScriptBuf,
    ) -> Result<Vec<BlockHash>, NotGenerated> {
        let node = self.node.clone();
        tokio::task::spawn_blocking(move || node.generate(count, &script, None))
            .await
            .unwrap_or(Err(NotGenerated::Stopped))
    }

    /// Takes a serialised block, as `submitblock` does.
    pub fn submit(&self, block: &[u8]) -> Verdict {
        self.node.submit(block)
    }

    /// Puts a fault in force; `false` when too many are already.
    pub fn fault(&self, fault: Fault) -> bool {
        self.node.state().faults.add(fault)
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.node.state().faults = fault::Faults::default();
    }

    /// Ends this node alone, as cancelling the token or the RPC method `stop` does.
    pub fn stop(&self) {
        self.node.cancel.cancel();
    }

    /// Whether the node was told to end.
    pub fn is_stopping(&self) -> bool {
        self.node.cancel.is_cancelled()
    }

    /// Waits until everything has ended, within seconds of the node being told to. A `generate`
    /// under way ends with it.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}

/// User and password, and the cookie file when one was written.
fn credentials(config: &Config) -> anyhow::Result<(String, String, Option<PathBuf>)> {
    if let Auth::Password { user, password } = &config.auth {
        return Ok((user.clone(), password.clone(), None));
    }
    let secret: [u8; 32] = bitcoin::secp256k1::rand::random();
    let (user, password) = ("__cookie__".to_owned(), hex::encode(secret));
    let path = config.data.as_ref().map(|folder| folder.join(".cookie"));
    if let Some(path) = &path {
        std::fs::write(path, format!("{user}:{password}"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok((user, password, path))
}
