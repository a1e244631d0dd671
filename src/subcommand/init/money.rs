//! Who is paid, and how: scheme, address, wallet, fees.

use std::fmt;

use mining::{
    Address, Coin, Network, Scheme,
    accounting::Percent,
    coin::NetworkRules,
    cryptonote::{self, address::Kind},
};

use super::{Init, ask::Ask, node::Node, wallet::Payer};
use crate::display::plain;

/// Where blocks pay, and what pays the miners.
pub(super) struct Payee {
    pub(super) address: Address,
    /// The wallet that pays them; nothing if none does.
    pub(super) wallet: Option<Payer>,
}

/// What is taken before the miners.
pub(super) struct Fees {
    pub(super) pool: Percent,
    pub(super) foundation: Percent,
}

/// The most that the pool's own fee may be, in percent.
const POOL_FEE_MAX: &str = "10";

struct SchemeOption {
    scheme: Scheme,
    coin: &'static Coin,
}

impl Init {
    pub(super) fn scheme(&self, ask: Ask, coin: &'static Coin) -> anyhow::Result<Scheme> {
        if let Some(scheme) = self.scheme {
            return Ok(scheme);
        }
        let options = Scheme::ALL.map(|scheme| SchemeOption { scheme, coin });
        let chosen = ask.choose("How are miners paid?", options.into(), 0)?;
        Ok(chosen.scheme)
    }

    /// Asks for an address of the coin and network, with one of the wallet's own offered.
    pub(super) async fn payee(
        &self,
        ask: Ask,
        coin: &'static Coin,
        node: &Node,
        scheme: Scheme,
    ) -> anyhow::Result<Payee> {
        let wallet = self.payer(ask, coin, node, scheme).await?;
        let mut flag = self.address.clone();
        loop {
            let is_flag = flag.is_some();
            let typed = match (flag.take(), &wallet) {
                (Some(address), _) => address,
                (None, Some(wallet)) => match wallet.offer(ask).await? {
                    Some(address) => address,
                    None => typed_address(ask, coin, node)?,
                },
                (None, None) => typed_address(ask, coin, node)?,
            };
            let address = match paid_by_blocks(coin, node.network, &typed) {
                Ok(address) => address,
                Err(why) => {
                    ask.refuse(&format!("{}: {}", plain(&typed), plain(&why)))?;
                    continue;
                }
            };
            let stranger = match &wallet {
                Some(wallet) if !wallet.is_own(&address).await? => Some(wallet.misses()),
                _ => None,
            };
            if let Some(misses) = stranger {
                println!("  {misses}, which then has nothing to pay");
                println!("  miners with. Without payouts, what they earn stays in the books.");
                let keep = is_flag || ask.yes("Take it all the same, without payouts?", false)?;
                if !keep {
                    continue;
                }
            }
            println!("  ok: blocks pay {address}");
            let pays = stranger.is_none() && scheme != Scheme::Solo;
            return Ok(Payee {
                address,
                wallet: wallet.filter(|_| pays),
            });
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

/// An address that the blocks of the coin can pay.
fn paid_by_blocks(coin: &Coin, network: Network, text: &str) -> Result<Address, String> {
    let address = Address::parse(coin, network, text).map_err(|error| error.to_string())?;
    let tags = coin.on(network).and_then(NetworkRules::tags);
    let parsed = tags.and_then(|tags| cryptonote::Address::parse(&tags, text).ok());
    let told = match parsed.map(|address| address.kind()) {
        None | Some(Kind::Standard) => return Ok(address),
        Some(Kind::Subaddress) => "a subaddress, which monerod's blocks cannot pay",
        Some(Kind::Integrated(_)) => "it has a payment id, which monerod's blocks do not bear",
    };
    Err(format!("{told}; a wallet's first address is needed"))
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
        f.write_str(match self.scheme {
            Scheme::Pplns => "pplns: all share each block, by their work of the last while",
            Scheme::Prop => "prop: all share each block, by their work since the block before",
            Scheme::Pps => "pps: each share at a fixed price, from a reserve that you fill",
            Scheme::Fpps => "fpps: likewise, and a part of the fees of transactions too",
            Scheme::Solo if self.coin.cryptonote().is_some() => {
                "solo: for miners of your own address alone, which all blocks pay"
            }
            Scheme::Solo => "solo: who finds a block is paid by it, and nobody else",
        })
    }
}
