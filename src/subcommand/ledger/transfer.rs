//! `adit ledger deposit`, `withdraw` and `correct`: what an operator enters in the books by hand, each
//! with its reason. Nothing that was entered is changed; each command is another entry, also the same
//! one twice.

use std::hash::BuildHasher as _;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use mining::{
    Address, Amount,
    ledger::{Account, Entry, Transfer},
};
use serde::Serialize;

use super::Desk;
use crate::clock;

/// The longest reason.
const REASON_MAX: usize = 200;

/// How much, and why.
#[derive(Debug, Args)]
pub(super) struct HowMuch {
    /// The amount in coins, such as 0.25
    amount: String,
    /// Why, for whoever reads the books
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
}

/// What an operator enters.
#[derive(Debug)]
pub(super) enum Command<'a> {
    /// From the operator to the reserve.
    Deposit,
    /// From the reserve to the operator.
    Withdraw,
    /// From one account to another.
    Correct(&'a Account, &'a Account),
}

#[derive(Serialize)]
struct Entered {
    entry: String,
    from: String,
    to: String,
    amount: String,
    unit: &'static str,
    reason: String,
}

impl Command<'_> {
    /// Enters it, and prints under which id.
    pub(super) async fn run(
        &self,
        desk: &Desk,
        how_much: &HowMuch,
        json: bool,
    ) -> anyhow::Result<()> {
        let HowMuch { amount, reason } = how_much;
        let amount = Amount::from_coins(amount, desk.coin.decimals)?;
        let (name, from, to) = match self {
            Self::Deposit => ("deposit", &Account::Operator, &Account::Reserve),
            Self::Withdraw => ("withdraw", &Account::Reserve, &Account::Operator),
            Self::Correct(from, to) => ("correct", *from, *to),
        };
        for account in [from, to] {
            exists(desk, account)?;
        }
        let transfer = Transfer::new(from.clone(), to.clone(), amount)?;
        let now = clock::now_ms();
        // Random for each process.
        let random = std::hash::RandomState::new().hash_one(now);
        let entry = Entry::correction(&format!("{name}:{now}-{random:016x}"), transfer, reason);
        let entered = match self {
            // It may owe, but not for this.
            Self::Withdraw => {
                let store = &desk.store;
                store.enter_leaving(desk.pool, &entry, from, 0, now).await
            }
            _ => desk.store.enter(desk.pool, &entry, now).await,
        };
        ensure!(
            entered.context("nothing was entered")?,
            "there is an entry of this id: give the command again"
        );
        let entered = Entered {
            entry: entry.id().to_string(),
            from: from.to_string(),
            to: to.to_string(),
            amount: amount.to_string(),
            unit: desk.coin.unit,
            reason: reason.clone(),
        };
        if json {
            println!("{}", serde_json::to_string_pretty(&entered)?);
        } else {
            let Entered {
                entry, from, to, ..
            } = entered;
            let amount = amount.in_coins(desk.coin.decimals);
            println!("{entry}: {amount} {} from {from} to {to}", desk.coin.ticker);
        }
        Ok(())
    }
}

/// Refuses accounts that are nobody's: one wrong letter, and an amount would be lost.
fn exists(desk: &Desk, account: &Account) -> anyhow::Result<()> {
    match account {
        Account::Miner(text) => {
            let address = Address::parse(desk.coin, desk.settings.network, text)
                .with_context(|| account.to_string())?;
            ensure!(
                address.as_str() == text,
                "{account}: it is kept as miner:{}",
                address.as_str()
            );
        }
        Account::Fee(name) => {
            let mut fees = desk.settings.fee.iter();
            ensure!(
                fees.any(|fee| fee.name == *name),
                "{account}: no [[pool.fee]] has this name"
            );
        }
        Account::Batch(_) => bail!("{account}: a payout on its way is not corrected by hand"),
        _ => {}
    }
    Ok(())
}

/// A reason is one line that says something.
fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > REASON_MAX || text.contains(char::is_control) {
        return Err(format!(
            "one line of 1 to {REASON_MAX} characters that says why"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(reason(" for a start "), Ok("for a start".into()));
        let long = "x".repeat(REASON_MAX + 1);
        for text in ["", "  ", "two\nlines", "\u{1b}[31m", &long] {
            assert!(reason(text).is_err(), "{text:?}");
        }
    }
}
