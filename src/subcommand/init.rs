//! `adit init`: asks a few questions, checks each answer against the node at once, and writes
//! `adit.toml`. What a flag says is not asked; with `--yes` nothing is.
//!
//! An answer that cannot be used is told in a sentence and asked for again. Nothing is written before
//! the last answer, and a file that is there is replaced only on somebody's word.

mod ask;
mod money;
mod node;
mod nodes;
mod place;
mod wallet;
mod written;

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Parser;
use mining::{Coin, Network, Scheme, accounting::Percent, coin::COINS};

use self::{ask::Ask, nodes::Found, written::Answers};
use super::pool::default_file;
use crate::{
    config::{BadConfig, Config, Layers},
    pool::{self, Check},
};

/// The coins that can be set up. Wownero's blocks bear a signature that no template here has, and nodes
/// of Vision's main network give no templates.
const OFFERED: [&str; 4] = ["bitcoin", "litecoin", "dogecoin", "monero"];

/// Ask a few questions, check the answers against the node, and write adit.toml
#[derive(Debug, Parser)]
pub(crate) struct Init {
    /// The file to write
    #[arg(short, long, default_value_os_t = default_file(), value_name = "FILE")]
    config: PathBuf,
    /// The coin: bitcoin, litecoin, dogecoin or monero
    #[arg(long, value_parser = coin)]
    coin: Option<&'static Coin>,
    /// The network that the node must be on: main, test or regtest; for Bitcoin also testnet4 or signet,
    /// for Monero also stage
    #[arg(long, value_parser = network)]
    network: Option<Network>,
    /// Where the node's JSON-RPC listens: http://host:port
    #[arg(long, value_name = "URL")]
    daemon_url: Option<String>,
    /// The name to log in at the node with
    #[arg(long, value_name = "NAME")]
    daemon_user: Option<String>,
    /// The password that goes with it; others can see what a flag says, so better by the variable
    #[arg(
        long,
        value_name = "TEXT",
        env = "ADIT_POOL__DAEMON__PASSWORD",
        hide_env_values = true
    )]
    daemon_password: Option<String>,
    /// The node's cookie file, in place of name and password; Monero's has none
    #[arg(long, value_name = "FILE", conflicts_with = "daemon_user")]
    daemon_cookie: Option<PathBuf>,
    /// The node's wallet that pays miners; Monero's is at --wallet-url
    #[arg(long, value_name = "NAME")]
    wallet: Option<String>,
    /// Where monero-wallet-rpc listens, which pays miners of Monero [default: http://127.0.0.1:18083]
    #[arg(long, value_name = "URL")]
    wallet_url: Option<String>,
    /// The name to log in there with (its --rpc-login)
    #[arg(long, value_name = "NAME")]
    wallet_user: Option<String>,
    /// The password that goes with it; better by the variable, too
    #[arg(
        long,
        value_name = "TEXT",
        env = "ADIT_POOL__PAYOUT__WALLET_PASSWORD",
        hide_env_values = true
    )]
    wallet_password: Option<String>,
    /// Who is paid by the blocks [default: a new address of the node's wallet, or the first one of Monero's]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// How miners are credited: pplns, prop, pps, fpps or solo
    #[arg(long, value_parser = scheme)]
    scheme: Option<Scheme>,
    /// The pool's fee in percent, at most 10
    #[arg(long, value_name = "PERCENT")]
    pool_fee: Option<Percent>,
    /// The foundation's fee in percent; with 0 there is none
    #[arg(long, value_name = "PERCENT")]
    foundation_fee: Option<Percent>,
    /// Where to listen for miners
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where to listen for the status page and the API
    #[arg(long, value_name = "ADDRESS:PORT")]
    http_listen: Option<SocketAddr>,
    /// The directory of the database and of blocks on their way
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Ask nothing: what no flag says is as it is by default
    #[arg(short, long)]
    yes: bool,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let ask = Ask::whom(self.yes)?;
        let path = std::path::absolute(&self.config).context("the file has no place")?;
        self.may_replace(ask, &path)?;
        let found = match self.daemon_url {
            Some(_) => Vec::new(),
            None => nodes::find(std::env::home_dir().as_deref()).await,
        };
        let coin = self.coin(ask, &found)?;
        self.check_network(coin)?;
        self.check_wallet_flags(coin)?;
        let node = self.node(ask, coin, &found).await?;
        let scheme = self.scheme(ask, coin)?;
        let payee = self.payee(ask, coin, &node, scheme).await?;
        let fees = self.fees(ask, scheme)?;
        let listen = self.miners_port(ask)?;
        let http = self.http_port(ask, listen)?;
        let data = self.data(ask)?;
        let answers = Answers {
            coin,
            network: node.network,
            daemon: node.config,
            payee,
            scheme,
            fees,
            listen,
            http,
            data,
        };
        let text = answers.text();
        let config = read_back(&text)?;
        write(&path, &text, ask == Ask::Terminal || self.force)?;
        println!("\nWritten: {}, which only you can read.", path.display());
        let checks = pool::check(&config).await;
        for Check { what, ok, found } in &checks {
            println!("{} {what}: {found}", if *ok { "ok  " } else { "FAIL" });
        }
        answers.tell_next(&self.config);
        let failed = checks.iter().filter(|check| !check.ok).count();
        anyhow::ensure!(
            failed == 0 || !node.ready,
            "{failed} of {} checks failed",
            checks.len()
        );
        Ok(())
    }

    /// Whether a file that is there may go.
    fn may_replace(&self, ask: Ask, path: &Path) -> anyhow::Result<()> {
        if self.force || !path.exists() {
            return Ok(());
        }
        let is_there = format!("{} is there already", path.display());
        let replace = ask.yes(&format!("{is_there}. Replace it at the end?"), false)?;
        if !replace {
            let told = format!("{is_there}; --force replaces it, and -c names another file");
            return Err(BadConfig::Value(told).into());
        }
        Ok(())
    }

    fn coin(&self, ask: Ask, found: &[Found]) -> anyhow::Result<&'static Coin> {
        if let Some(coin) = self.coin {
            return Ok(coin);
        }
        let runs = |coin: &Coin| found.iter().any(|found| found.coin == coin);
        let coins = offered();
        let first = coins.iter().position(|coin| runs(coin)).unwrap_or(0);
        let options = coins.into_iter().map(|coin| CoinOption {
            coin,
            runs: runs(coin),
        });
        let chosen = ask.choose("Which coin shall the pool mine?", options.collect(), first)?;
        Ok(chosen.coin)
    }

    /// Refuses a network that the coin does not have.
    fn check_network(&self, coin: &Coin) -> Result<(), BadConfig> {
        match self.network {
            Some(network) if coin.on(network).is_none() => {
                let name = coin.title();
                Err(BadConfig::Value(format!("{name} has no network {network}")))
            }
            _ => Ok(()),
        }
    }
}

struct CoinOption {
    coin: &'static Coin,
    runs: bool,
}

impl std::fmt::Display for CoinOption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.coin.title())?;
        if self.runs {
            f.write_str(" (a node runs on this machine)")?;
        }
        Ok(())
    }
}

/// The settings that a text says: what is written must be what is read.
fn read_back(text: &str) -> anyhow::Result<Config> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    let mut layers = Layers::default();
    layers.file(file.path())?;
    Ok(layers.config()?)
}

/// Writes the file for its owner alone, whole or not at all.
fn write(path: &Path, text: &str, replace: bool) -> anyhow::Result<()> {
    let folder = path.parent().context("the file has no folder")?;
    let cannot = || format!("cannot write {}", path.display());
    std::fs::create_dir_all(folder).with_context(cannot)?;
    // A temporary file is its owner's alone from the beginning.
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)?;
    file.as_file().sync_all().with_context(cannot)?;
    match replace {
        true => file.persist(path).map(drop),
        false => file.persist_noclobber(path).map(drop),
    }
    .with_context(cannot)
}

/// The coins of the menu.
fn offered() -> Vec<&'static Coin> {
    let is_offered = |coin: &&Coin| OFFERED.contains(&coin.name);
    COINS.iter().filter(is_offered).collect()
}

fn coin(name: &str) -> Result<&'static Coin, String> {
    match name.parse::<&Coin>() {
        // A chain of one's own that mines by VisionX is nothing to begin with, but has nodes.
        Ok(coin) if OFFERED.contains(&coin.name) || coin.vision().is_some() => Ok(coin),
        _ => Err(format!("known are {}", OFFERED.join(", "))),
    }
}

fn scheme(name: &str) -> Result<Scheme, String> {
    let known = Scheme::ALL.map(Scheme::name).join(", ");
    Scheme::of_name(name).ok_or_else(|| format!("known are {known}"))
}

fn network(name: &str) -> Result<Network, String> {
    let all = [
        Network::Main,
        Network::Test,
        Network::Testnet4,
        Network::Signet,
        Network::Stage,
        Network::Regtest,
    ];
    let found = all.into_iter().find(|network| network.to_string() == name);
    let known = all.map(|network| network.to_string()).join(", ");
    found.ok_or_else(|| format!("known are {known}"))
}
