//! `adit ledger check --wallet`: what the wallet has beside what the books say it has, and what it has
//! sent that is no payout. Called by `adit ledger check`; it changes neither.
//!
//! The books say: all that miners, fees and the reserve have, be it mature or not, and what is on its way
//! to them; without that which is on the chain already.

use anyhow::{Context as _, ensure};
use mining::{
    ledger::Account,
    payout::{BatchState, Standing},
};
use serde::Serialize;

use super::{Desk, PAGE};
use crate::pool;

/// A wallet beside the books. Amounts are in the smallest unit.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    /// What the wallet has.
    has: String,
    /// What of that it can spend now.
    unlocked: String,
    /// What it has by the books.
    books: String,
    /// What it has more than that; below zero is missing.
    more: String,
    /// What it has sent since it was last compared, and is no payout.
    foreign: Vec<String>,
    unit: &'static str,
    #[serde(skip)]
    difference: i128,
}

/// Looks at the wallet of this pool's settings.
pub(super) async fn compare(desk: &Desk) -> anyhow::Result<Compared> {
    let purse = pool::purse(&desk.settings)?;
    // First what may have left the wallet: what leaves it meanwhile is missing there, and not here.
    let mut books: i128 = 0;
    let mut after = None;
    loop {
        let page = desk.store.balances(desk.pool, after.as_ref(), PAGE).await?;
        for (account, balance) in &page {
            if is_in_the_wallet(account) {
                books += i128::from(balance.posted) + i128::from(balance.pending);
            }
        }
        after = page.last().map(|(account, _)| account.clone());
        if after.is_none() {
            break;
        }
    }
    for payout in desk.store.open_payouts(desk.pool).await? {
        let Some(signed) = &payout.signed else {
            continue;
        };
        let is_sent = match payout.state {
            BatchState::Reserved => false,
            _ => matches!(
                purse.standing(signed).await.context("the wallet")?,
                Standing::Confirmed(_)
            ),
        };
        if is_sent {
            books -= i128::from(payout.total.units()) + i128::from(signed.network_fee.units());
        }
    }
    let holdings = purse.holdings().await.context("the wallet")?;
    let difference = i128::from(holdings.all.units()) - books;
    let mut foreign = Vec::new();
    if !desk.settings.payout.shared_wallet
        && let Some(since) = desk.store.wallet_compared(desk.pool).await?
        && let Some(sent) = purse.sent_since(Some(&since)).await.context("the wallet")?
    {
        let found = desk.store.foreign_sends(desk.pool, &sent.sent).await?;
        foreign = found.iter().map(pow::Hash::to_string).collect();
    }
    Ok(Compared {
        has: holdings.all.to_string(),
        unlocked: holdings.unlocked.to_string(),
        books: books.to_string(),
        more: difference.to_string(),
        foreign,
        unit: desk.coin.unit,
        difference,
    })
}

/// Whether what an account has is in the wallet yet.
fn is_in_the_wallet(account: &Account) -> bool {
    match account {
        Account::Miner(_) | Account::Fee(_) | Account::Batch(_) | Account::Reserve => true,
        Account::Reward | Account::Paid | Account::NetworkFee | Account::Operator => false,
    }
}

impl Compared {
    /// For people.
    pub(super) fn print(&self, desk: &Desk) {
        let coins = |units: &str| match units.parse() {
            Ok(units) => desk.coins(units),
            Err(_) => format!("{units} {}", self.unit),
        };
        println!(
            "The wallet has {}, of which {} can be spent; by the books it has {}.",
            coins(&self.has),
            coins(&self.unlocked),
            coins(&self.books)
        );
        match self.difference {
            0 => println!("They agree to the unit."),
            more if more > 0 => println!("It has {} more.", coins(&self.more)),
            _ => println!("It lacks {}.", coins(self.more.trim_start_matches('-'))),
        }
        for txid in &self.foreign {
            println!("It has sent {txid}, which is no payout.");
        }
    }

    /// An error if something is missing, or was sent that the books do not know. Having more is none:
    /// it may be the operator's own.
    pub(super) fn agrees(&self) -> anyhow::Result<()> {
        ensure!(
            self.difference >= 0,
            "the wallet has less than the books say"
        );
        ensure!(
            self.foreign.is_empty(),
            "the wallet has sent what is no payout"
        );
        Ok(())
    }
}
