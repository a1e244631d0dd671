//! The settings: defaults, then the file, then the environment, then flags; and where each came
//! from.
//!
//! Each section's keys are plain fields with a default. An unknown key is an error that names it
//! and the nearest known one. `adit config` prints what is in force, secrets as `***`.

mod coin;
mod compat;
mod layers;
mod node;

use std::{net::SocketAddr, path::PathBuf};

use mining::{
    Network, Scheme,
    accounting::{Multiple, Percent},
    coinbase,
};
use serde::{Deserialize, Serialize};

use crate::verifier;

pub use coin::{Coin, CoinNetwork};
pub use compat::{Compat, PublicPoolPorts};
pub use layers::{BadConfig, BrokenLine, Layers, Source};
pub use node::Node;

/// Everything an `adit.toml` can say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The directory of the database and of blocks on their way.
    pub data: PathBuf,
    /// The URL of a PostgreSQL database; without one it is a file in that directory.
    pub database: Option<String>,
    /// The operator's own table of devices; without one the built-in table is used.
    pub devices: Option<PathBuf>,
    /// What is logged.
    pub log: Log,
    /// Status page, API and metrics.
    pub http: Http,
    /// The shapes of other pools.
    pub compat: Compat,
    /// Who is told what.
    pub alerts: crate::alerts::config::Config,
    /// What `adit node` does.
    pub node: Node,
    /// Coins that are not in the table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coin: Vec<Coin>,
    /// The pools of this process; one for each coin.
    pub pool: Vec<Pool>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or `target=level` with commas between.
    pub filter: String,
    /// Lines for people, or JSON.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where to listen. Nothing beyond loopback unless asked for.
    pub listen: SocketAddr,
    /// Where people find the status page, for those who open a miners' port in a browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Networks and addresses of reverse proxies, whose `X-Forwarded-For` is believed.
    pub proxy_from: Vec<String>,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address, or one /64 of IPv6.
    pub connections_per_address_max: usize,
    /// Requests of one address or key in a second, in the long run; zero is no limit.
    pub requests_per_second: u32,
    /// Requests of one address or key at once.
    pub burst: u32,
}

/// `[[pool]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    /// The pool's name in the database, the API and logs.
    pub name: String,
    /// What workers of HTTP are told that it is called; its name if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The coin.
    pub coin: String,
    /// The coin's network.
    pub network: Network,
    /// Who is paid by the blocks. Required.
    pub payout_address: String,
    /// The private view key of that address, of Monero's family: with it miners may mine blocks of
    /// their own nodes (`self-select`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_key: Option<crate::daemon::Secret>,
    /// How miners are credited: `pplns`, `prop`, `pps`, `fpps` or `solo`.
    pub scheme: Scheme,
    /// The length of the PPLNS window: so many times the work that a block takes.
    pub window: Multiple,
    /// The confirmations after which a block is paid for; the coin's own if none are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maturity: Option<u32>,
    /// Which fee gets what cannot be split.
    pub remainder: String,
    /// What is taken from each reward before the miners.
    pub fee: Vec<Fee>,
    /// What block explorers know the pool by; at most 38 bytes.
    pub coinbase_tag: String,
    /// Whether coinbases bear what was signed last of the logs of shares.
    pub receipts_in_coinbase: bool,
    /// The bytes of extranonce2, 2 to 8.
    pub extranonce2_size: usize,
    /// The version bits that miners may roll, as eight hexadecimal digits.
    pub version_mask: String,
    /// Unchanged work is offered again after so many seconds.
    pub refresh_s: u64,
    /// What pays for shares as they come.
    pub reserve: Reserve,
    /// How balances are paid out.
    pub payout: Payout,
    /// What becomes of shares.
    pub shares: Shares,
    /// Who is banned.
    pub bans: Bans,
    /// How shares of RandomX are verified.
    pub randomx: verifier::Config,
    /// How shares of VisionX are verified.
    pub visionx: verifier::VisionX,
    /// The nodes, the preferred one first.
    pub daemon: Vec<crate::daemon::Config>,
    /// The ports for miners.
    pub listener: Vec<Listener>,
    /// Schemes by which work may be owed though no listener is of them now. No setting: a node's mode says so.
    #[serde(skip)]
    pub open_schemes: Vec<Scheme>,
}

/// `[[pool.fee]]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fee {
    /// By which the books and the dashboard call it.
    pub name: String,
    /// Its part of each reward.
    pub percent: Percent,
    /// Where it is paid; without one it stays in the pool's wallet, and in the books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// `[pool.reserve]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reserve {
    /// Shares are credited so often, in seconds.
    pub credit_every_s: u64,
    /// What it keeps: below that no shares are credited, in coins.
    pub least: String,
    /// What it may owe instead, in coins.
    pub debt_max: String,
}

/// `[pool.payout]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Payout {
    /// Whether anything is paid; without it balances stay in the books.
    pub enabled: bool,
    /// Whether blocks pay miners by themselves, in their coinbases, as far as that goes.
    pub coinbase: bool,
    /// Who signs.
    pub from: PaidFrom,
    /// The wallet of the first daemon that pays; its only one if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
    /// Where `monero-wallet-rpc` listens, which a coin of Monero's family is paid by: `http://host:port`.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::daemon::config::without_secrets_if_any"
    )]
    pub wallet_url: Option<String>,
    /// The name to log in with there (`--rpc-login`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet_user: Option<String>,
    /// The password that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet_password: Option<crate::daemon::Secret>,
    /// How much that wallet pays for a place in a block: 1 to 4, or 0 for its own choice.
    pub priority: u8,
    /// Whether the wallet also sends what is no payout.
    pub shared_wallet: bool,
    /// The file of the descriptor that pays, with its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor_file: Option<PathBuf>,
    /// Balances are looked at so often, in seconds.
    pub every_s: u64,
    /// What a balance must reach to be paid, in coins.
    pub threshold: String,
    /// The least that is ever paid, in coins.
    pub least: String,
    /// A batch with less than that together waits for more, in coins.
    pub batch_min: String,
    /// The most payments in one transaction.
    pub payments_max: usize,
    /// What the chain's fee for a batch may be of it, in percent.
    pub fee_max_percent: Percent,
    /// What the chain gets for a thousand bytes, in coins; the daemon's estimate if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee_rate: Option<String>,
    /// Confirmations after which a payment is done.
    pub confirmations: u32,
    /// The part of blocks that the network makes orphans of, in percent.
    pub orphan_rate_percent: Percent,
    /// A payment whose inputs are gone without a trace for so long is left to a person, in seconds.
    pub unclear_s: u64,
}

/// What a pool pays from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaidFrom {
    /// The first daemon's wallet chooses coins and signs.
    #[default]
    Wallet,
    /// It chooses coins, and an operator has the transaction signed elsewhere.
    Psbt,
    /// A descriptor of the operator's own signs, and the first daemon needs no wallet.
    Key,
}

/// `[pool.shares]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// Single shares are kept so many days; after that, their sums by minute.
    pub keep_shares_days: u32,
    /// The sums by minute are kept so many days; after that, those by hour.
    pub keep_minutes_days: u32,
    /// The sums by hour are kept so many days; after that, all that a worker ever did, and the hours of
    /// the whole pool.
    pub keep_hours_days: u32,
    /// A commit waits so many milliseconds at most for more shares, where the last one had many. A
    /// share that comes after a pause is committed at once.
    pub commit_wait_ms: u64,
}

/// `[pool.bans]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bans {
    /// Whether anybody is.
    pub enabled: bool,
    /// More than so many of a hundred shares of an address are invalid.
    pub invalid_percent: u32,
    /// Of at least so many shares.
    pub shares_min: u32,
    /// Within so many seconds.
    pub window_s: u32,
    /// A ban lasts so many seconds.
    pub ban_s: u32,
    /// Networks and addresses that are never banned.
    pub exempt: Vec<String>,
}

/// Whether a port speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// It does not.
    Off,
    /// It does with those who begin with it.
    On,
    /// It speaks nothing else.
    Only,
}

/// `[[pool.listener]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// Where to listen. Nothing beyond loopback unless asked for.
    pub listen: SocketAddr,
    /// The difficulty of a miner nothing is known of.
    pub start_difficulty: f64,
    /// The easiest difficulty.
    pub min_difficulty: f64,
    /// The hardest difficulty.
    pub max_difficulty: f64,
    /// The time between two shares of a miner that vardiff aims at, in seconds.
    pub share_time_s: u64,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address, or one /64 of IPv6.
    pub connections_per_address_max: usize,
    /// Connections from one /24 of IPv4, or one /48 of IPv6.
    pub connections_per_network_max: usize,
    /// A connection must have authorized a worker after so many seconds.
    pub handshake_s: u64,
    /// A miner that is silent for so many seconds is gone.
    pub idle_s: u64,
    /// A miner without an accepted share for so many seconds is gone, whatever else it sends.
    pub shareless_s: u64,
    /// Messages of one connection in a second, in the long run; zero is no limit.
    pub messages_per_second_max: u32,
    /// Shares of one worker in a second, in the long run; zero is no limit.
    pub shares_per_second_max: u32,
    /// Whether miners may say which difficulty they want.
    pub heed_suggestions: bool,
    /// Who is paid where a miner's name has no address: a home miner's own.
    pub default_address: Option<String>,
    /// How its miners are credited, if that is another way than the pool's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Whether workers of HTTP may come without the token of their registration, as older programs do.
    pub http_without_token: bool,
    /// Networks and addresses of balancers, which must put a PROXY header first.
    pub proxy_from: Vec<String>,
    /// Whether the port speaks TLS.
    pub tls: TlsMode,
    /// The chain of certificates, as PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// The key of the first certificate, as PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "adit-data".into(),
            database: None,
            devices: None,
            log: Log::default(),
            http: Http::default(),
            compat: Compat::default(),
            alerts: crate::alerts::config::Config::default(),
            node: Node::default(),
            coin: Vec::new(),
            pool: Vec::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".into(),
            format: LogFormat::Text,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3334)),
            url: None,
            proxy_from: Vec::new(),
            connections_max: 2_500,
            connections_per_address_max: 100,
            requests_per_second: 20,
            burst: 200,
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            name: "main".into(),
            title: None,
            coin: "bitcoin".into(),
            network: Network::Main,
            payout_address: String::new(),
            view_key: None,
            scheme: Scheme::default(),
            window: Multiple::DEFAULT,
            maturity: None,
            remainder: "foundation".into(),
            fee: vec![Fee::new("pool", 150), Fee::new("foundation", 100)],
            coinbase_tag: "/adit/".into(),
            receipts_in_coinbase: false,
            extranonce2_size: coinbase::EXTRANONCE2_SIZE_MAX,
            version_mask: "1fffe000".into(),
            refresh_s: 30,
            reserve: Reserve::default(),
            payout: Payout::default(),
            shares: Shares::default(),
            bans: Bans::default(),
            randomx: verifier::Config::default(),
            visionx: verifier::VisionX::default(),
            daemon: Vec::new(),
            listener: vec![Listener::default()],
            open_schemes: Vec::new(),
        }
    }
}

impl Pool {
    /// The connections that its listeners allow together.
    pub fn connections_max(&self) -> usize {
        let listeners = self.listener.iter();
        listeners.fold(0, |sum: usize, listener| {
            sum.saturating_add(listener.connections_max)
        })
    }
}

impl Fee {
    fn new(name: &str, hundredths: u16) -> Self {
        Self {
            name: name.into(),
            percent: Percent::from_hundredths(hundredths).unwrap_or_default(),
            address: None,
        }
    }
}

impl Default for Reserve {
    fn default() -> Self {
        Self {
            credit_every_s: 600,
            least: "0".into(),
            debt_max: "0".into(),
        }
    }
}

impl Default for Payout {
    fn default() -> Self {
        Self {
            enabled: false,
            coinbase: false,
            from: PaidFrom::Wallet,
            wallet: None,
            wallet_url: None,
            wallet_user: None,
            wallet_password: None,
            priority: 0,
            shared_wallet: false,
            descriptor_file: None,
            every_s: 3_600,
            threshold: "0.001".into(),
            least: "0.0001".into(),
            batch_min: "0".into(),
            payments_max: 500,
            fee_max_percent: Percent::from_hundredths(100).unwrap_or_default(),
            fee_rate: None,
            confirmations: 6,
            orphan_rate_percent: Percent::from_hundredths(100).unwrap_or_default(),
            unclear_s: 600,
        }
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            keep_shares_days: 7,
            keep_minutes_days: 2,
            keep_hours_days: 90,
            commit_wait_ms: 2,
        }
    }
}

impl Default for Bans {
    fn default() -> Self {
        Self {
            enabled: true,
            invalid_percent: 10,
            shares_min: 100,
            window_s: 600,
            ban_s: 3_600,
            exempt: vec!["127.0.0.0/8".into(), "::1/128".into()],
        }
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3333)),
            start_difficulty: 1024.0,
            min_difficulty: 0.000_001,
            max_difficulty: 1_073_741_824.0,
            share_time_s: 15,
            connections_max: 10_000,
            connections_per_address_max: 1_024,
            connections_per_network_max: 4_096,
            handshake_s: 10,
            idle_s: 600,
            shareless_s: 3_600,
            messages_per_second_max: 500,
            shares_per_second_max: 100,
            heed_suggestions: true,
            http_without_token: false,
            default_address: None,
            scheme: None,
            proxy_from: Vec::new(),
            tls: TlsMode::Off,
            tls_certificate: None,
            tls_key: None,
        }
    }
}
