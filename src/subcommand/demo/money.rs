//! Who got what in the demo, from the books.

use anyhow::Context as _;
use mining::{Amount, block::BlockState, ledger::Account, payout::BatchState};
use serde::Serialize;
use store::Balance;

use super::MATURITY;
use crate::pool::Pool;

/// The most accounts that are listed: the demo has two miners.
const LISTED_MAX: u32 = 100;
/// How often the books are read at most for figures of one moment. Something changes every second or so,
/// and reading takes a part of that.
const READ_AT_MOST: u32 = 5;

/// The books of the demo's pool. Amounts are texts in the coin's smallest unit.
#[derive(Debug, Serialize)]
pub(super) struct Money {
    unit: &'static str,
    /// What mature blocks paid the pool.
    mature_rewards: String,
    /// What miners and fees were credited of that.
    credited: String,
    /// What was paid out.
    paid: String,
    /// What the chain took for it.
    network_fees: String,
    /// Payouts that are confirmed.
    payouts: usize,
    /// Whether every account agrees with its transfers and all of them add up to zero.
    books_balance: bool,
    accounts: Vec<Line>,
    #[serde(skip)]
    decimals: u8,
    #[serde(skip)]
    ticker: &'static str,
}

/// One miner or fee.
#[derive(Debug, Serialize)]
struct Line {
    account: String,
    /// Credited for mature blocks.
    credited: String,
    /// Of that, paid out.
    paid: String,
    /// Of that, not paid yet.
    available: String,
    /// For blocks that are not mature.
    immature: String,
}

/// Whether so many blocks are mature and all that miners got of them was paid out.
pub(super) async fn are_paid(pool: &Pool, wanted: u64) -> anyhow::Result<bool> {
    let counts = pool.store.block_counts(pool.id).await?;
    if counts.mature < wanted {
        return Ok(false);
    }
    // The oldest ones.
    let blocks = pool.store.blocks(pool.id, None, 1000).await?;
    let mature = blocks
        .iter()
        .rev()
        .filter(|block| block.state == BlockState::Mature);
    let mut due = 0;
    for block in mature.take(usize::try_from(wanted).unwrap_or(usize::MAX)) {
        let credits = pool.store.block_credits(pool.id, block.found.hash).await?;
        let Some(credits) = credits else {
            return Ok(false);
        };
        let miners = credits
            .miners
            .iter()
            .map(|credit| u128::from(credit.amount.units()));
        due += miners.sum::<u128>();
    }
    let paid = pool.store.balance(pool.id, &Account::Paid).await?.posted;
    Ok(u128::try_from(paid).is_ok_and(|paid| paid >= due))
}

impl Money {
    /// The books as they are, of one moment while blocks and payouts go on: what changes while it is read
    /// is read again.
    pub(super) async fn of(pool: &Pool) -> anyhow::Result<Self> {
        let mut before = Mark::of(pool).await?;
        for _ in 1..READ_AT_MOST {
            let money = Self::read(pool).await?;
            let after = Mark::of(pool).await?;
            if before == after {
                return Ok(money);
            }
            before = after;
        }
        Self::read(pool).await
    }

    async fn read(pool: &Pool) -> anyhow::Result<Self> {
        let (store, id) = (&pool.store, pool.id);
        let books = store.check_books(id).await?;
        let reward = store.balance(id, &Account::Reward).await?.posted;
        let mut lines = Vec::new();
        let mut credited = 0_i64;
        for (account, balance) in store.balances(id, None, LISTED_MAX).await? {
            if account.is_payable() {
                let line = Line::of(pool, account, balance).await?;
                credited += line.credited.parse::<i64>()?;
                lines.push(line);
            }
        }
        // Whoever was paid all has no balance any more, but a name.
        for worker in store.workers(id, None, &[], None, LISTED_MAX).await? {
            let account = Account::Miner(worker.who.address().to_owned());
            if !lines.iter().any(|line| line.account == account.to_string()) {
                let line = Line::of(pool, account, Balance::default()).await?;
                credited += line.credited.parse::<i64>()?;
                lines.push(line);
            }
        }
        let of = async |account| anyhow::Ok(store.balance(id, &account).await?.posted.to_string());
        let payouts = store.payouts(id, None, 1000).await?;
        Ok(Self {
            unit: pool.coin.unit,
            mature_rewards: reward.unsigned_abs().to_string(),
            credited: credited.to_string(),
            paid: of(Account::Paid).await?,
            network_fees: of(Account::NetworkFee).await?,
            payouts: payouts
                .iter()
                .filter(|payout| payout.state == BatchState::Confirmed)
                .count(),
            books_balance: books.balance() && credited == -reward,
            accounts: lines,
            decimals: pool.coin.decimals,
            ticker: pool.coin.ticker,
        })
    }

    pub(super) fn print(&self) {
        let coins = |units: &str| {
            let units: u64 = units.parse().unwrap_or_default();
            format!(
                "{} {}",
                Amount::from_units(units).in_coins(self.decimals),
                self.ticker
            )
        };
        println!();
        println!(
            "Blocks matured here after {MATURITY} confirmations; a real chain takes a hundred or more."
        );
        println!("Mature rewards: {}.", coins(&self.mature_rewards));
        for line in &self.accounts {
            println!(
                "  {:<60} got {}, of that paid {}",
                line.account,
                coins(&line.credited),
                coins(&line.paid)
            );
        }
        println!(
            "Paid out {} in {} transactions, for {} of network fees.",
            coins(&self.paid),
            self.payouts,
            coins(&self.network_fees)
        );
        match self.books_balance {
            true => {
                println!("The books balance: credits and fees are the mature rewards, to the unit.")
            }
            false => println!("THE BOOKS DO NOT BALANCE."),
        }
    }
}

/// What figures of another moment differ in.
#[derive(PartialEq, Eq)]
struct Mark {
    reward: Balance,
    payouts: Vec<(u64, BatchState)>,
}

impl Mark {
    async fn of(pool: &Pool) -> anyhow::Result<Self> {
        let payouts = pool.store.payouts(pool.id, None, 1000).await?;
        Ok(Self {
            reward: pool.store.balance(pool.id, &Account::Reward).await?,
            payouts: payouts
                .iter()
                .map(|payout| (payout.number, payout.state))
                .collect(),
        })
    }
}

impl Line {
    async fn of(pool: &Pool, account: Account, balance: Balance) -> anyhow::Result<Self> {
        let payments = pool
            .store
            .payments_of(pool.id, &account, None, 1000)
            .await?;
        let sum = |states: &[BatchState]| {
            let payments = payments
                .iter()
                .filter(|payment| states.contains(&payment.state));
            Amount::checked_sum(payments.map(|payment| payment.amount))
        };
        use BatchState::{Broadcast, Confirmed, Manual, Reserved, Signed};
        let paid = sum(&[Confirmed]).context("more than any coin has")?;
        let gone = sum(&[Reserved, Signed, Broadcast, Manual, Confirmed]);
        let gone = gone.context("more than any coin has")?;
        let credited = i64::try_from(gone.units())? + balance.posted;
        Ok(Self {
            account: account.to_string(),
            credited: credited.to_string(),
            paid: paid.to_string(),
            available: balance.posted.to_string(),
            immature: balance.pending.to_string(),
        })
    }
}
