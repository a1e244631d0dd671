//! Who is paid, and how: scheme, address, wallet, fees.

use std::fmt;

use mining::{Address, Coin, Scheme, accounting::Percent};

use super::{Init, ask::Ask, node::Node};
use crate::{
    daemon::{self, wallet::Wallet},
    display::plain,
};

/// Where blocks pay, and what pays the miners.
pub(super) struct Payee {
    pub(super) address: Address,
    /// The name of the wallet that pays them; nothing if none does.
    pub(super) wallet: Option<String>,
}

/// What is taken before the miners.
pub(super) struct Fees {
    pub(super) pool: Percent,
    pub(super) foundation: Percent,
}

/// The most that the pool's own fee may be, in percent.
const POOL_FEE_MAX: &str = "10";

struct SchemeOption(Scheme);

#[derive(PartialEq, Eq)]
enum AddressOption {
    New,
    Typed,
}

#[derive(PartialEq, Eq)]
enum WalletOption {
    Again,
    Without,
}

impl Init {
    pub(super) fn scheme(&self, ask: Ask) -> anyhow::Result<Scheme> {
        if let Some(scheme) = self.scheme {
            return Ok(scheme);
        }
        let options = Scheme::ALL.map(SchemeOption).into();
        Ok(ask.choose("How are miners paid?", options, 0)?.0)
    }

    /// Asks for an address of the coin and network, with one of the wallet's own offered.
    pub(super) async fn payee(
        &self,
        ask: Ask,
        coin: &'static Coin,
        node: &Node,
        scheme: Scheme,
    ) -> anyhow::Result<Payee> {
        let name = match scheme {
            // Their blocks pay them.
            Scheme::Solo if self.wallet.is_none() && self.address.is_some() => None,
            _ => self.wallet_name(ask, node).await?,
        };
        let wallet = |name: &String| {
            let name = Some(name.as_str()).filter(|name| !name.is_empty());
            Wallet::new(&node.config, name, coin)
        };
        let wallet = name.as_ref().map(wallet).transpose()?;
        let mut flag = self.address.clone();
        loop {
            let is_flag = flag.is_some();
            let typed = match (flag.take(), &wallet) {
                (Some(address), _) => address,
                (None, Some(wallet)) => match self.new_address(ask, wallet).await? {
                    Some(address) => address,
                    None => typed_address(ask, coin, node)?,
                },
                (None, None) => typed_address(ask, coin, node)?,
            };
            let address = match Address::parse(coin, node.network, &typed) {
                Ok(address) => address,
                Err(error) => {
                    let told = format!("{}: {}", plain(&typed), plain(&error.to_string()));
                    ask.refuse(&told)?;
                    continue;
                }
            };
            let own = match &wallet {
                Some(wallet) => wallet.is_own(&address).await?,
                None => false,
            };
            let pays = own && scheme != Scheme::Solo;
            if wallet.is_some() && !own {
                println!(
                    "  That is no address of the node's wallet, which then has nothing to pay"
                );
                println!("  miners with. Without payouts, what they earn stays in the books.");
                let keep = is_flag || ask.yes("Take it all the same, without payouts?", false)?;
                if !keep {
                    continue;
                }
            }
            println!("  ok: blocks pay {address}");
            return Ok(Payee {
                address,
                wallet: name.filter(|_| pays),
            });
        }
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
            let options = vec![WalletOption::Again, WalletOption::Without];
            let first = usize::from(ask == Ask::Nobody);
            if ask.choose("What now?", options, first)? == WalletOption::Without {
                return Ok(None);
            }
        }
    }

    /// A new address of the wallet; nothing if another one shall be typed.
    async fn new_address(&self, ask: Ask, wallet: &Wallet) -> anyhow::Result<Option<String>> {
        let options = vec![AddressOption::New, AddressOption::Typed];
        let chosen = ask.choose("Where do blocks pay?", options, 0)?;
        if chosen == AddressOption::Typed {
            return Ok(None);
        }
        match wallet.new_address().await {
            Ok(address) => Ok(Some(address)),
            Err(error) => {
                let why = plain(&error.to_string());
                ask.refuse(&format!("the wallet gives no address: {why}"))?;
                Ok(None)
            }
        }
    }

    /// Nothing if miners keep their blocks.
    pub(super) fn fees(&self, ask: Ask, scheme: Scheme) -> anyhow::Result<Option<Fees>> {
        if scheme == Scheme::Solo {
            return Ok(None);
        }
        println!(
            "  Of each block the pool may keep a part before the miners are paid. They see it."
        );
        let (pool, foundation) = (self.pool_fee, self.foundation_fee);
        Ok(Some(Fees {
            pool: percent(
                ask,
                pool,
                "The pool's own fee, in percent:",
                "1.5",
                "--pool-fee",
            )?,
            foundation: percent(
                ask,
                foundation,
                "For the foundation, in percent (0 for none):",
                "1",
                "--foundation-fee",
            )?,
        }))
    }
}

fn typed_address(ask: Ask, coin: &Coin, node: &Node) -> anyhow::Result<String> {
    let question = format!("Your {} address on {}:", coin.title(), node.network);
    ask.text(
        &question,
        None,
        "the whole reward of each block goes there",
        "--address",
    )
}

fn percent(
    ask: Ask,
    mut flag: Option<Percent>,
    question: &str,
    default: &str,
    name: &str,
) -> anyhow::Result<Percent> {
    let most: Percent = POOL_FEE_MAX.parse()?;
    loop {
        let typed = match flag.take() {
            Some(percent) => percent.to_string(),
            None => ask.text(question, Some(default), "", name)?,
        };
        match typed.trim_end_matches(['%', ' ']).parse::<Percent>() {
            Ok(percent) if percent <= most => return Ok(percent),
            Ok(_) => ask.refuse(&format!("{name}: at most {POOL_FEE_MAX} percent"))?,
            Err(error) => ask.refuse(&plain(&error.to_string()))?,
        }
    }
}

impl fmt::Display for SchemeOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Scheme::Pplns => "pplns: all share each block, by their work of the last while",
            Scheme::Prop => "prop: all share each block, by their work since the block before",
            Scheme::Pps => "pps: each share at a fixed price, from a reserve that you fill",
            Scheme::Fpps => "fpps: likewise, and a part of the fees of transactions too",
            Scheme::Solo => "solo: who finds a block is paid by it, and nobody else",
        })
    }
}

impl fmt::Display for AddressOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "to a new address of the node's wallet",
            Self::Typed => "to an address that I type",
        })
    }
}

impl fmt::Display for WalletOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Again => "look again",
            Self::Without => "go on without payouts: what miners earn stays in the books",
        })
    }
}
