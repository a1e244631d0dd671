//! What pays the miners: a wallet of the node, or `monero-wallet-rpc`. It is looked at before an address
//! is asked for, as blocks have to pay what pays the miners.

use std::fmt;

use mining::{Address, Coin, Network, Scheme};

use super::{Init, ask::Ask, node::Node};
use crate::{
    config::BadConfig,
    daemon::{
        self, CallError,
        monero_wallet::{MoneroWallet, WalletError},
        wallet::Wallet,
    },
    display::plain,
};

/// A wallet that answers.
pub(super) enum Payer {
    /// One of the node's, and its name; some nodes know no names.
    OfNode(String, Wallet),
    /// One of Monero's, at this RPC, and its first address.
    OfMonero(daemon::Config, String),
}

/// Why a wallet of Monero's does not do.
enum Fault {
    /// It does not know us.
    Login(String),
    /// It is not there, or not the one that is needed.
    Other(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AddressOption {
    New,
    First,
    Typed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    Again,
    Login,
    Other,
    Without,
}

/// Where Monero's wallet listens as a rule: it has no port of its own.
const USUAL_URL: &str = "http://127.0.0.1:18083";

impl Init {
    /// Refuses a flag for a wallet of the other family.
    pub(super) fn check_wallet_flags(&self, coin: &Coin) -> Result<(), BadConfig> {
        let (is_monero, name) = (coin.cryptonote().is_some(), coin.title());
        let told = if is_monero && self.wallet.is_some() {
            format!(
                "--wallet names a wallet of a node, and {name}'s nodes have none: --wallet-url says where \
                 monero-wallet-rpc listens"
            )
        } else if !is_monero && self.names_monero_wallet() {
            format!(
                "--wallet-url and --wallet-user are for monero-wallet-rpc, and {name} is paid by a wallet of \
                 the node: --wallet names it"
            )
        } else if self.wallet_password.is_some() && self.wallet_user.is_none() && is_monero {
            "--wallet-password goes with --wallet-user".to_owned()
        } else {
            return Ok(());
        };
        Err(BadConfig::Value(told))
    }

    fn names_monero_wallet(&self) -> bool {
        self.wallet_url.is_some() || self.wallet_user.is_some()
    }

    /// What pays the miners; nothing if nothing shall.
    pub(super) async fn payer(
        &self,
        ask: Ask,
        coin: &'static Coin,
        node: &Node,
        scheme: Scheme,
    ) -> anyhow::Result<Option<Payer>> {
        let names_one = self.wallet.is_some() || self.names_monero_wallet();
        if scheme == Scheme::Solo && !names_one && self.address.is_some() {
            // Their blocks pay them.
            return Ok(None);
        }
        if coin.cryptonote().is_some() {
            return self.wallet_of_monero(ask, coin, node.network).await;
        }
        let Some(name) = self.wallet_name(ask, node).await? else {
            return Ok(None);
        };
        let named = Some(name.as_str()).filter(|name| !name.is_empty());
        let wallet = Wallet::new(&node.config, named, coin)?;
        Ok(Some(Payer::OfNode(name, wallet)))
    }

    /// The node's wallet; nothing if there is none and the pool shall do without.
    async fn wallet_name(&self, ask: Ask, node: &Node) -> anyhow::Result<Option<String>> {
        loop {
            let mut names = daemon::wallets(&node.config).await?;
            if let Some(wanted) = &self.wallet {
                if names.contains(wanted) {
                    return Ok(Some(wanted.clone()));
                }
                let names = plain(&names.join(", "));
                anyhow::bail!("the node has no wallet {wanted:?} loaded; it has: {names}");
            }
            match names.len() {
                0 => {}
                1 => return Ok(names.pop()),
                _ => return Ok(Some(ask.choose("Which wallet pays miners?", names, 0)?)),
            }
            println!("  The node has no wallet loaded, and without one the pool pays nobody.");
            println!("  `createwallet pool` makes one: type it with the node's own -cli program.");
            let options = vec![Remedy::Again, Remedy::Without];
            let first = usize::from(ask == Ask::Nobody);
            if ask.choose("What now?", options, first)? == Remedy::Without {
                return Ok(None);
            }
        }
    }

    /// A wallet of Monero's that is open; nothing if the pool shall do without.
    async fn wallet_of_monero(
        &self,
        ask: Ask,
        coin: &Coin,
        network: Network,
    ) -> anyhow::Result<Option<Payer>> {
        println!(
            "  Miners of {} are paid by monero-wallet-rpc.",
            coin.title()
        );
        let mut config = self.wallet_config(ask, None)?;
        loop {
            println!("  looking at {} ...", config.name());
            let fault = match first_address(&config, coin, network).await {
                Ok(address) => {
                    println!("  ok: a wallet is open there");
                    return Ok(Some(Payer::OfMonero(config, address)));
                }
                Err(fault) => fault,
            };
            println!("  no: {fault}");
            match self.wallet_remedy(ask, &fault)? {
                Remedy::Again => {}
                Remedy::Login => config = wallet_login(ask, config)?,
                Remedy::Other => config = self.wallet_config(ask, Some(&config.url))?,
                Remedy::Without => return Ok(None),
            }
        }
    }

    /// What to do about a wallet that does not do. With nobody to ask, a pool that was given an address and
    /// no wallet does without one.
    fn wallet_remedy(&self, ask: Ask, fault: &Fault) -> anyhow::Result<Remedy> {
        if ask == Ask::Terminal {
            let remedies = match fault {
                Fault::Login(_) => vec![Remedy::Login, Remedy::Other, Remedy::Without],
                Fault::Other(_) => vec![Remedy::Again, Remedy::Other, Remedy::Without],
            };
            return ask.choose("What now?", remedies, 0);
        }
        if self.names_monero_wallet() {
            anyhow::bail!("{fault}");
        }
        if self.address.is_none() {
            anyhow::bail!(
                "{fault}; --wallet-url says where the wallet listens, and with --address alone the pool does \
                 without"
            );
        }
        println!("  Without a wallet what miners earn stays in the books.");
        Ok(Remedy::Without)
    }

    /// Where Monero's wallet is, as flags say or somebody types.
    fn wallet_config(&self, ask: Ask, before: Option<&str>) -> anyhow::Result<daemon::Config> {
        let mut flag = match before {
            None => self.wallet_url.clone(),
            Some(_) => None,
        };
        loop {
            let url = match flag.take() {
                Some(url) => url,
                None => ask.text(
                    "Where does monero-wallet-rpc listen?",
                    Some(before.unwrap_or(USUAL_URL)),
                    "http://host:port; start it with --wallet-file, --rpc-bind-port and --rpc-login",
                    "--wallet-url",
                )?,
            };
            let mut config = daemon::Config::at(url);
            if let Err(error) = config.check() {
                ask.refuse(&format!("--wallet-url: {error:#}"))?;
                continue;
            }
            if let Some(user) = &self.wallet_user {
                config.user = Some(user.clone());
                config.password = Some(match &self.wallet_password {
                    Some(password) => password.as_str().into(),
                    None => ask.secret(PASSWORD, "--wallet-password")?,
                });
            }
            return Ok(config);
        }
    }
}

const PASSWORD: &str = "The wallet's password (of --rpc-login):";

fn wallet_login(ask: Ask, mut config: daemon::Config) -> anyhow::Result<daemon::Config> {
    let user = ask.text(
        "The wallet's user (of --rpc-login):",
        None,
        "",
        "--wallet-user",
    )?;
    config.user = Some(user);
    config.password = Some(ask.secret(PASSWORD, "--wallet-password")?);
    Ok(config)
}

/// The first address of the wallet of Monero's that is open there, if it can pay the miners of a network.
async fn first_address(
    config: &daemon::Config,
    coin: &Coin,
    network: Network,
) -> Result<String, Fault> {
    let name = config.name();
    let wallet = MoneroWallet::new(config);
    let wallet = wallet.map_err(|error| Fault::Other(format!("{error:#}")))?;
    let address = wallet.address().await;
    let address = address.map_err(|failure| Fault::of(failure, &name))?;
    if let Err(error) = Address::parse(coin, network, &address) {
        return Err(Fault::Other(format!(
            "the wallet at {name} is not of {} on {network}: {error}",
            coin.title()
        )));
    }
    match wallet.is_exposed().await {
        Ok(false) => Ok(address),
        Ok(true) => Err(Fault::Other(format!(
            "the wallet at {name} signs for whoever reaches it: start it with --rpc-login"
        ))),
        Err(failure) => Err(Fault::of(failure.into(), &name)),
    }
}

impl Payer {
    /// An address of its own that blocks shall pay; nothing if another one shall be typed.
    pub(super) async fn offer(&self, ask: Ask) -> anyhow::Result<Option<String>> {
        let own = match self {
            Self::OfNode(..) => AddressOption::New,
            Self::OfMonero(..) => AddressOption::First,
        };
        let options = vec![own, AddressOption::Typed];
        if ask.choose("Where do blocks pay?", options, 0)? == AddressOption::Typed {
            return Ok(None);
        }
        let wallet = match self {
            Self::OfNode(_, wallet) => wallet,
            Self::OfMonero(_, address) => return Ok(Some(address.clone())),
        };
        match wallet.new_address().await {
            Ok(address) => Ok(Some(address)),
            Err(error) => {
                let why = plain(&error.to_string());
                ask.refuse(&format!("the wallet gives no address: {why}"))?;
                Ok(None)
            }
        }
    }

    /// Whether it gets what blocks pay to an address.
    pub(super) async fn is_own(&self, address: &Address) -> Result<bool, CallError> {
        match self {
            Self::OfNode(_, wallet) => wallet.is_own(address).await,
            // Blocks can pay no other address of it.
            Self::OfMonero(_, first) => Ok(address.as_str() == first),
        }
    }

    /// What an address is not that it does not get paid by.
    pub(super) fn misses(&self) -> &'static str {
        match self {
            Self::OfNode(..) => "That is no address of the node's wallet",
            Self::OfMonero(..) => "That is not the first address of the wallet",
        }
    }
}

impl Fault {
    fn of(failure: WalletError, name: &str) -> Self {
        Self::Other(match failure {
            WalletError::Call(CallError::Unauthorized(why)) => {
                return Self::Login(format!(
                    "the wallet at {name} does not let the pool in: {why}"
                ));
            }
            WalletError::Call(CallError::Unreachable(why)) => {
                format!("no wallet answers at {name} ({why}). Is monero-wallet-rpc running?")
            }
            WalletError::Call(CallError::TimedOut(after)) => format!(
                "{name} does not answer within {} s. Is it monero-wallet-rpc? While it reads blocks it \
                 answers nobody",
                after.as_secs()
            ),
            WalletError::Call(other) => {
                format!("{name} is no wallet that the pool knows: {other}")
            }
            other => format!("{name} answers, but {other}"),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login(why) | Self::Other(why) => f.write_str(&plain(why)),
        }
    }
}

impl fmt::Display for AddressOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "to a new address of the node's wallet",
            Self::First => "to the wallet's first address",
            Self::Typed => "to an address that I type",
        })
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Again => "look again",
            Self::Login => "log in with user and password",
            Self::Other => "another wallet",
            Self::Without => "go on without payouts: what miners earn stays in the books",
        })
    }
}
