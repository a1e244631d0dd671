//! `adit ledger`: the books, beside a running pool or without one.

mod transfer;
mod wallet;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use mining::{Amount, Coin, ledger::Account};
use serde::Serialize;
use store::{PoolId, Store};

use self::transfer::{Command, HowMuch};
use super::config::SettingsArguments;
use crate::{clock, config::BadConfig, data, display};

/// Lines of a statement, unless more are asked for.
const LINES: u32 = 100;
/// Accounts are read so many at a time.
const PAGE: u32 = 1_000;

/// Check, read and correct the books of a pool
#[derive(Debug, Parser)]
pub(crate) struct Ledger {
    #[command(flatten)]
    desk: DeskArguments,
    #[command(subcommand)]
    what: What,
}

/// Which pool an operator's command is about, and how it answers.
#[derive(Debug, Parser)]
pub(super) struct DeskArguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// The pool, by its name; the first of the configuration if none is named
    #[arg(long, value_name = "NAME", global = true)]
    pool: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add everything up again and compare: status 1 if something does not agree
    Check {
        /// Compare the books with the wallet too: what it has, and what it has sent that is no payout
        #[arg(long)]
        wallet: bool,
    },
    /// Show the balance of each account that has one
    Balance {
        /// Only this account: miner:ADDRESS, fee:NAME, reserve, operator, reward, paid, network-fee
        account: Option<Account>,
    },
    /// Show what happened to an account, newest first
    Statement {
        /// The account: miner:ADDRESS, fee:NAME, reserve, operator, reward, paid, network-fee, batch:NUMBER
        account: Account,
        /// At most so many lines
        #[arg(long, default_value_t = LINES, value_name = "N")]
        limit: u32,
        /// Print comma-separated values
        #[arg(long, conflicts_with = "json")]
        csv: bool,
    },
    /// Enter what you have put into the pool's wallet: the reserve has it then
    Deposit(HowMuch),
    /// Enter what you have taken from the pool's wallet: the reserve must have it
    Withdraw(HowMuch),
    /// Enter a correction: another transfer, as nothing that was entered is changed
    Correct {
        /// The account that gives
        #[arg(long, value_name = "ACCOUNT")]
        from: Account,
        /// The account that gets
        #[arg(long, value_name = "ACCOUNT")]
        to: Account,
        #[command(flatten)]
        how_much: HowMuch,
    },
}

/// A pool's database as an operator's command sees it.
pub(super) struct Desk {
    pub(super) store: Store,
    pub(super) pool: PoolId,
    pub(super) coin: &'static Coin,
    pub(super) settings: crate::config::Pool,
    pub(super) data: std::path::PathBuf,
}

#[derive(Serialize)]
struct Checked {
    entries: u64,
    /// What all balances add up to, in the smallest unit.
    sum: String,
    wrong: Vec<String>,
    owing: Vec<String>,
    balance: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet: Option<wallet::Compared>,
}

#[derive(Serialize)]
struct BalanceLine {
    account: String,
    posted: String,
    pending: String,
    unit: &'static str,
}

#[derive(Serialize)]
struct StatementLine {
    time: String,
    entry: String,
    state: String,
    amount: String,
    unit: &'static str,
    reason: String,
}

impl Desk {
    /// Opens the database of a pool of the configuration.
    pub(super) async fn open(arguments: &DeskArguments) -> anyhow::Result<Self> {
        let (_, config) = arguments.settings.read()?;
        let pool = arguments.pool.as_deref();
        let found = match pool {
            None => config.pool.first(),
            Some(name) => config.pool.iter().find(|settings| settings.name == name),
        };
        let settings = found.ok_or_else(|| {
            BadConfig::Value(match pool {
                None => "there is no [[pool]]".to_owned(),
                Some(name) => format!("there is no pool named {name:?}"),
            })
        })?;
        let coin: &'static Coin = settings
            .coin
            .parse()
            .map_err(|error| BadConfig::Value(format!("{error}")))?;
        let store = data::open_existing(&config.data, config.database.as_deref()).await?;
        let pool = store.pool(&settings.name, coin, settings.network).await?;
        Ok(Self {
            store,
            pool,
            coin,
            settings: settings.clone(),
            data: config.data.clone(),
        })
    }

    /// What is done at this desk, for the log of acts.
    pub(super) fn act(&self, what: &str, subject: String) -> store::Act {
        store::Act {
            time_ms: clock::now_ms(),
            who: "this machine".to_owned(),
            what: what.to_owned(),
            subject,
        }
    }

    /// An amount for people, with its sign.
    pub(super) fn coins(&self, units: i64) -> String {
        let sign = if units < 0 { "-" } else { "" };
        let amount = Amount::from_units(units.unsigned_abs());
        format!(
            "{sign}{} {}",
            amount.in_coins(self.coin.decimals),
            self.coin.ticker
        )
    }
}

impl Ledger {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let desk = Desk::open(&self.desk).await?;
        let done = self.show(&desk).await;
        desk.store.close().await;
        done
    }

    async fn show(&self, desk: &Desk) -> anyhow::Result<()> {
        let json = self.desk.json;
        match &self.what {
            What::Check { wallet } => self.check(desk, *wallet).await,
            What::Balance { account } => self.balance(desk, account.as_ref()).await,
            What::Statement {
                account,
                limit,
                csv,
            } => self.statement(desk, account, *limit, *csv).await,
            What::Deposit(how_much) => Command::Deposit.run(desk, how_much, json).await,
            What::Withdraw(how_much) => Command::Withdraw.run(desk, how_much, json).await,
            What::Correct { from, to, how_much } => {
                Command::Correct(from, to).run(desk, how_much, json).await
            }
        }
    }

    async fn check(&self, desk: &Desk, with_wallet: bool) -> anyhow::Result<()> {
        let books = desk.store.check_books(desk.pool).await?;
        let names = |accounts: &[Account]| accounts.iter().map(Account::to_string).collect();
        let checked = Checked {
            entries: books.entries,
            sum: books.sum.to_string(),
            wrong: names(&books.wrong),
            owing: names(&books.owing),
            balance: books.balance(),
            wallet: match with_wallet {
                true => Some(wallet::compare(desk).await?),
                false => None,
            },
        };
        if self.desk.json {
            println!("{}", serde_json::to_string_pretty(&checked)?);
        } else {
            println!(
                "{} entries; all balances add up to {}.",
                checked.entries, checked.sum
            );
            for account in &checked.wrong {
                println!("{account} has not what its transfers say");
            }
            for account in &checked.owing {
                println!("{account} owes, and may not");
            }
        }
        anyhow::ensure!(checked.balance, "the books do not balance");
        if !self.desk.json {
            println!("The books balance.");
        }
        if let Some(compared) = &checked.wallet {
            if !self.desk.json {
                compared.print(desk);
            }
            compared.agrees()?;
        }
        Ok(())
    }

    async fn balance(&self, desk: &Desk, only: Option<&Account>) -> anyhow::Result<()> {
        let mut accounts = Vec::new();
        if let Some(account) = only {
            let balance = desk.store.balance(desk.pool, account).await?;
            accounts.push((account.clone(), balance));
        } else {
            loop {
                let after = accounts.last().map(|(account, _)| account);
                let page = desk.store.balances(desk.pool, after, PAGE).await?;
                if page.is_empty() {
                    break;
                }
                accounts.extend(page);
            }
        }
        if self.desk.json {
            let line = |(account, balance): (Account, store::Balance)| BalanceLine {
                account: account.to_string(),
                posted: balance.posted.to_string(),
                pending: balance.pending.to_string(),
                unit: desk.coin.unit,
            };
            let lines: Vec<_> = accounts.into_iter().map(line).collect();
            println!("{}", serde_json::to_string_pretty(&lines)?);
            return Ok(());
        }
        for (account, balance) in accounts {
            let pending = match balance.pending {
                0 => String::new(),
                pending => format!("  ({} immature)", desk.coins(pending)),
            };
            println!(
                "{:<64} {:>24}{pending}",
                account.to_string(),
                desk.coins(balance.posted)
            );
        }
        Ok(())
    }

    async fn statement(
        &self,
        desk: &Desk,
        account: &Account,
        limit: u32,
        csv: bool,
    ) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        let mut before = None;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        while lines.len() < limit {
            let left = u32::try_from(limit - lines.len()).unwrap_or(PAGE).min(PAGE);
            let page = desk
                .store
                .statement(desk.pool, account, before, left)
                .await?;
            before = page.last().map(|line| line.seq);
            if page.is_empty() {
                break;
            }
            lines.extend(page);
        }
        let line = |line: store::Line| StatementLine {
            time: display::time(line.made_ms),
            entry: line.id.to_string(),
            state: line.state,
            amount: line.amount.to_string(),
            unit: desk.coin.unit,
            reason: line.reason,
        };
        let lines: Vec<StatementLine> = lines.into_iter().map(line).collect();
        if self.desk.json {
            println!("{}", serde_json::to_string_pretty(&lines)?);
        } else if csv {
            println!("time,entry,state,amount,unit,reason");
            for line in &lines {
                let cells = [&line.time, &line.entry, &line.state, &line.amount];
                let cells = cells.map(|cell| csv_cell(cell));
                println!(
                    "{},{},{}",
                    cells.join(","),
                    line.unit,
                    csv_cell(&line.reason)
                );
            }
        } else {
            for line in &lines {
                let units: i64 = line.amount.parse().context("an amount")?;
                println!(
                    "{}  {:>24}  {:<8} {}  {}",
                    line.time,
                    desk.coins(units),
                    line.state,
                    line.reason,
                    line.entry
                );
            }
        }
        Ok(())
    }
}

/// A cell as RFC 4180 has it, and never one that a spreadsheet takes for a formula. Numbers stay
/// numbers.
fn csv_cell(text: &str) -> String {
    let is_number = text.parse::<i64>().is_ok();
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
    let guard = if is_formula { "'" } else { "" };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{guard}{}\"", text.replace('"', "\"\"")),
        false => format!("{guard}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::csv_cell;

    #[test]
    fn a68_a_cell_is_never_a_formula() {
        #[track_caller]
        fn case(text: &str, cell: &str) {
            assert_eq!(csv_cell(text), cell);
        }
        case("plain", "plain");
        case("-17", "-17");
        case("=HYPERLINK(1)", "'=HYPERLINK(1)");
        case("+1+1", "'+1+1");
        case("@x", "'@x");
        case("-2+3", "'-2+3");
        case("a,b", "\"a,b\"");
        case("say \"x\"", "\"say \"\"x\"\"\"");
        case("=a,b", "\"'=a,b\"");
    }
}
