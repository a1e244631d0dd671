//! The node that the pool takes its templates from: found or typed, and looked at before anything
//! else is asked.

use std::{fmt, path::PathBuf};

use mining::{Coin, Network};

use super::{
    Init,
    ask::Ask,
    nodes::{self, Found},
};
use crate::{
    daemon::{self, CallError, Secret},
    display::plain,
    pool,
};

/// A node that answers and is of the coin.
pub(super) struct Node {
    pub(super) config: daemon::Config,
    pub(super) network: Network,
    /// Whether it can be mined with as it is.
    pub(super) ready: bool,
}

/// Why a node does not do.
enum Fault {
    /// Nobody answers there.
    Away(String),
    /// It does not know us.
    Login(String),
    /// It is not the one that is needed.
    Wrong(String),
    /// It is, and cannot be mined with as it is.
    NotYet(Network, String),
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    Again,
    Login,
    Other,
    GoOn,
}

enum NodeOption<'a> {
    Found(&'a Found),
    Typed,
}

/// What the nodes of a coin call themselves.
const AGENTS: [(&str, &str); 3] = [
    ("/Satoshi:", "bitcoin"),
    ("/LitecoinCore:", "litecoin"),
    ("/Shibetoshi:", "dogecoin"),
];

impl Init {
    /// Asks for a node until one answers that can be mined with, or somebody goes on all the same.
    pub(super) async fn node(
        &self,
        ask: Ask,
        coin: &'static Coin,
        found: &[Found],
    ) -> anyhow::Result<Node> {
        let mut config = self.first_config(ask, coin, found)?;
        loop {
            println!("  looking at {} ...", config.name());
            let fault = match self.examine(&config, coin).await {
                Ok((network, found)) => {
                    println!("  ok: {} on {network}, {found}", coin.title());
                    return Ok(Node {
                        config,
                        network,
                        ready: true,
                    });
                }
                Err(fault) => fault,
            };
            println!("  no: {fault}");
            match fault.remedy(ask)? {
                Remedy::Again => {}
                Remedy::Login => {
                    let zmq = config.zmq.take();
                    config = login(ask, coin, daemon::Config::at(config.url))?;
                    config.zmq = zmq;
                }
                Remedy::Other => config = self.typed(ask, coin, Some(&config.url))?,
                Remedy::GoOn => {
                    let Fault::NotYet(network, _) = fault else {
                        continue;
                    };
                    return Ok(Node {
                        config,
                        network,
                        ready: false,
                    });
                }
            }
        }
    }

    /// By flags, of those that were found, or typed.
    fn first_config(
        &self,
        ask: Ask,
        coin: &'static Coin,
        found: &[Found],
    ) -> anyhow::Result<daemon::Config> {
        if self.daemon_url.is_some() {
            return self.typed(ask, coin, None);
        }
        let wanted = |found: &&Found| {
            let network = self.network.is_none_or(|network| found.network == network);
            found.coin == coin && network
        };
        let mut options: Vec<_> = found.iter().filter(wanted).map(NodeOption::Found).collect();
        if options.is_empty() {
            println!("  No node of {} answers on this machine.", coin.title());
            return self.typed(ask, coin, None);
        }
        options.push(NodeOption::Typed);
        match ask.choose("Which node?", options, 0)? {
            NodeOption::Found(found) => Ok(found.config.clone()),
            NodeOption::Typed => self.typed(ask, coin, None),
        }
    }

    /// Where the node is and how to log in, as flags say or somebody types.
    fn typed(&self, ask: Ask, coin: &Coin, before: Option<&str>) -> anyhow::Result<daemon::Config> {
        if let (Some(url), None) = (&self.daemon_url, before) {
            return self.login_by_flags(ask, coin, daemon::Config::at(url));
        }
        let usual = nodes::default_url(coin, self.network.unwrap_or(Network::Main));
        loop {
            let default = before.unwrap_or(&usual);
            let url = ask.text(
                "Where does the node's JSON-RPC listen?",
                Some(default),
                "http://host:port; reach a distant one through a tunnel",
                "--daemon-url",
            )?;
            let config = daemon::Config::at(url);
            match config.check() {
                Ok(()) => return self.login_by_flags(ask, coin, config),
                Err(error) => ask.refuse(&format!("{error:#}"))?,
            }
        }
    }

    fn login_by_flags(
        &self,
        ask: Ask,
        coin: &Coin,
        mut config: daemon::Config,
    ) -> anyhow::Result<daemon::Config> {
        match (&self.daemon_cookie, &self.daemon_user) {
            (Some(cookie), _) => config.cookie = Some(absolute(cookie.clone())),
            (None, Some(user)) => {
                config.user = Some(user.clone());
                config.password = Some(match &self.daemon_password {
                    Some(password) => Secret::from(password.as_str()),
                    None => ask.secret(login_words(coin)[1], "--daemon-password")?,
                });
            }
            // It lets in everybody on its machine unless it was told otherwise.
            (None, None) if coin.cryptonote().is_some() => {}
            (None, None) => return login(ask, coin, config),
        }
        Ok(config)
    }

    /// What a node is, and whether it can be mined with.
    async fn examine(
        &self,
        config: &daemon::Config,
        coin: &'static Coin,
    ) -> Result<(Network, String), Fault> {
        let seen = daemon::look(config, coin).await;
        let seen = seen.map_err(|error| Fault::Wrong(format!("{error:#}")))?;
        let seen = seen.map_err(|error| Fault::of(error, config, coin))?;
        let agent = plain(&seen.agent);
        let other = AGENTS
            .iter()
            .find(|(begins, of)| agent.starts_with(begins) && *of != coin.name);
        if let Some((_, other)) = other {
            let told = format!(
                "it calls itself {agent}: a node of {other}, not of {}",
                coin.name
            );
            return Err(Fault::Wrong(told));
        }
        let rules = coin.networks.iter().find(|rules| rules.chain == seen.chain);
        let Some(rules) = rules else {
            let chain = plain(&seen.chain);
            let told = format!(
                "it is on the chain {chain:?}, which {} does not have",
                coin.name
            );
            return Err(Fault::Wrong(told));
        };
        if let Some(wanted) = self.network.filter(|wanted| *wanted != rules.network) {
            let told = format!("it is on the network {}, not on {wanted}", rules.network);
            return Err(Fault::Wrong(told));
        }
        let network = rules.network;
        let tried = match coin.cryptonote() {
            None => pool::try_daemon(config, coin, network, "").await,
            // Its templates pay somebody, and whom is not known yet.
            Some(_) => {
                let ready = daemon::ready(config, coin, network).await;
                ready.map(|height| format!("at height {height}"))
            }
        };
        match tried {
            Ok(found) => Ok((network, format!("{agent}, {found}"))),
            Err(error) => Err(Fault::NotYet(network, format!("{error:#}"))),
        }
    }
}

/// What user and password are asked for by, with the node's own names for them.
fn login_words(coin: &Coin) -> [&'static str; 2] {
    match coin.cryptonote() {
        None => ["The user (rpcuser):", "The password (rpcpassword):"],
        Some(_) => ["The user (of rpc-login):", "The password (of rpc-login):"],
    }
}

/// Asks how to log in.
fn login(ask: Ask, coin: &Coin, mut config: daemon::Config) -> anyhow::Result<daemon::Config> {
    let options = vec![
        "user and password (rpcuser, rpcpassword)",
        "its cookie file",
    ];
    let by_cookie = options[1];
    if ask == Ask::Nobody {
        // A node may let in whoever comes from loopback through a proxy of its operator.
        return Ok(config);
    }
    let has_cookie = coin.cryptonote().is_none();
    if has_cookie && ask.choose("How does the pool log in?", options, 0)? == by_cookie {
        let path = ask.text(
            "The cookie file:",
            None,
            "the node writes it as .cookie",
            "--daemon-cookie",
        )?;
        config.cookie = Some(absolute(PathBuf::from(path)));
    } else {
        let [user, password] = login_words(coin);
        config.user = Some(ask.text(user, None, "", "--daemon-user")?);
        config.password = Some(ask.secret(password, "--daemon-password")?);
    }
    Ok(config)
}

/// The pool may be started from another folder.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

impl Fault {
    fn of(error: CallError, config: &daemon::Config, coin: &Coin) -> Self {
        let name = config.name();
        let is_core = coin.cryptonote().is_none();
        let running = if is_core {
            "Is the node running, with server=1?"
        } else {
            "Is monerod running?"
        };
        match error {
            CallError::Unreachable(why) => {
                Self::Away(format!("nothing answers at {name} ({why}). {running}"))
            }
            CallError::TimedOut(after) => Self::Away(format!(
                "{name} does not answer within {} s. Is it a node's JSON-RPC?",
                after.as_secs()
            )),
            CallError::Unauthorized(why) => Self::Login(format!(
                "the node at {name} does not let the pool in: {why}"
            )),
            CallError::WarmingUp(why) => Self::Away(format!("the node is still starting: {why}")),
            CallError::InitialDownload(why) => {
                Self::Away(format!("the node has not the whole chain yet: {why}"))
            }
            other => Self::Wrong(format!("{name} is no node that the pool knows: {other}")),
        }
    }

    fn remedy(&self, ask: Ask) -> anyhow::Result<Remedy> {
        if ask == Ask::Nobody {
            anyhow::bail!("{self}");
        }
        let remedies = match self {
            Self::Away(_) => vec![Remedy::Again, Remedy::Other],
            Self::Login(_) => vec![Remedy::Login, Remedy::Again, Remedy::Other],
            Self::Wrong(_) => vec![Remedy::Other, Remedy::Again],
            Self::NotYet(..) => vec![Remedy::Again, Remedy::Other, Remedy::GoOn],
        };
        ask.choose("What now?", remedies, 0)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) | Self::Login(why) | Self::Wrong(why) => f.write_str(&plain(why)),
            Self::NotYet(network, why) => write!(
                f,
                "the node is on {network} and cannot be mined with yet: {}",
                plain(why)
            ),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Again => "look again",
            Self::Login => "log in another way",
            Self::Other => "another node",
            Self::GoOn => "go on all the same: the pool waits for the node",
        })
    }
}

impl fmt::Display for NodeOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(found) => found.fmt(f),
            Self::Typed => f.write_str("another one"),
        }
    }
}
