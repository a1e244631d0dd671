//! `adit receipts`: the logs of shares, beside a running pool or without one.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use mining::receipt::Issuer;

use super::ledger::{Desk, DeskArguments};
use crate::receipts::{Receipts as Logs, export::Day};

/// Days that are listed.
const LISTED: u32 = 1_000;

/// Look at what is signed of each day, or end the day's log now
#[derive(Debug, Parser)]
pub(crate) struct Receipts {
    #[command(flatten)]
    desk: DeskArguments,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the days that were signed, newest first
    List,
    /// End the log that is open, and sign it: for a pool that shuts down. Shares that come later on
    /// that day stand in the next day's log
    Close,
}

impl Receipts {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let desk = Desk::open(&self.desk).await?;
        let done = self.show(&desk).await;
        desk.store.close().await;
        done
    }

    async fn show(&self, desk: &Desk) -> anyhow::Result<()> {
        let days = match self.what {
            What::List => desk.store.statements(desk.pool, None, LISTED).await?,
            What::Close => {
                let settings = &desk.settings;
                let network = settings.network.to_string();
                let issuer = Issuer::new(&settings.name, desk.coin.name, &network)?;
                let logs = Logs::open(desk.store.clone(), desk.pool, issuer, &desk.data).await?;
                let date = logs.close_now().await?;
                let date = date.context("no log is open")?;
                desk.store
                    .statement_of(desk.pool, date)
                    .await?
                    .into_iter()
                    .collect()
            }
        };
        let days: Vec<Day> = days.iter().map(Day::new).collect();
        if self.desk.json {
            println!("{}", serde_json::to_string_pretty(&days)?);
            return Ok(());
        }
        for day in &days {
            println!(
                "{}  {:>12} shares  {:>10} miners  {}",
                day.date, day.shares, day.accounts, day.root
            );
        }
        Ok(())
    }
}
