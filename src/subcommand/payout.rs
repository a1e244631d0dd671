//! `adit payout`: what would be paid, what was, and whether anything is. What an operator decides
//! about one payout is in `by_hand`.

mod by_hand;

use std::path::PathBuf;

use clap::{Parser, Subcommand, builder::NonEmptyStringValueParser};
use mining::{
    Address, Amount,
    ledger::Account,
    payout::{NotDue, Owner, batches, total},
};
use serde::Serialize;

use super::ledger::{Desk, DeskArguments};
use crate::{
    clock, display,
    payout::{address_of, stands_alone},
    pool,
};

/// Payouts in a list, unless more are asked for.
const LINES: u32 = 20;

/// Look at the payouts of a pool, and decide what only a person can
#[derive(Debug, Parser)]
pub(crate) struct Payout {
    #[command(flatten)]
    desk: DeskArguments,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show who would be paid now, and why others would not
    Preview,
    /// List payouts, newest first
    List {
        /// At most so many
        #[arg(long, default_value_t = LINES, value_name = "N")]
        limit: u32,
    },
    /// Begin no new payouts until they are resumed; those under way go on
    Pause {
        /// Why, for others
        #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Pay again
    Resume,
    /// Send a payout again, as it was signed, that waits for you
    Retry {
        /// Its number
        number: u64,
        /// Why, for others
        #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Leave a payout that is signed or sent alone until you decide
    Hold {
        /// Its number
        number: u64,
        /// Why, for others
        #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Give the balances of a payout back, if its transaction can never confirm
    Void {
        /// Its number
        number: u64,
        /// Why, for others
        #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        /// You know that it can never confirm, though the chain does not show it. If it confirms all
        /// the same, it is paid twice
        #[arg(long)]
        without_proof: bool,
    },
    /// Print the transaction of a payout that is to be signed elsewhere: a PSBT in base64
    Psbt {
        /// Its number
        number: u64,
    },
    /// Take back the transaction of a payout that was signed elsewhere
    Signed {
        /// Its number
        number: u64,
        /// A file with the PSBT, as bytes or in base64, or with the whole transaction in hexadecimal;
        /// `-` for standard input
        file: PathBuf,
    },
    /// Print what proves to a miner of Monero that a payout has paid him: for the command check_tx_key of his
    /// own wallet. It proves as much of every other address in that transaction, to whoever knows one
    Proof {
        /// Its number
        number: u64,
        /// His address
        address: String,
    },
    /// Say that the wallet has sent a transaction which is no payout, and that it is as it should be
    Accept {
        /// The transaction's id
        txid: String,
        /// Why, for others
        #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
}

#[derive(Serialize)]
struct Preview {
    enabled: bool,
    paused: Option<String>,
    owners: Vec<PreviewLine>,
    transactions: usize,
    total: String,
    unit: &'static str,
}

#[derive(Serialize)]
struct PreviewLine {
    account: String,
    available: String,
    due: bool,
    because: Option<String>,
}

#[derive(Serialize)]
struct PayoutLine {
    number: u64,
    state: &'static str,
    time: String,
    total: String,
    network_fee: Option<String>,
    unit: &'static str,
    txid: Option<String>,
    confirmations: u32,
    reason: String,
}

impl What {
    /// What the log of acts is told before it is tried; nothing of what only reads. A pause is written
    /// down by itself.
    fn act(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Preview | Self::List { .. } | Self::Psbt { .. } | Self::Proof { .. } => {
                return None;
            }
            Self::Pause { .. } | Self::Resume => return None,
            Self::Retry { number, reason } => ("payout sent again", format!("{number}: {reason}")),
            Self::Hold { number, reason } => ("payout held", format!("{number}: {reason}")),
            Self::Void { number, reason, .. } => ("payout voided", format!("{number}: {reason}")),
            Self::Signed { number, .. } => ("payout signed elsewhere", number.to_string()),
            Self::Accept { txid, reason } => ("transaction accepted", format!("{txid}: {reason}")),
        })
    }
}

impl Payout {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let desk = Desk::open(&self.desk).await?;
        if let Some((what, subject)) = self.what.act() {
            desk.store.keep_act(&desk.act(what, subject)).await?;
        }
        let done = match &self.what {
            What::Preview => self.preview(&desk).await,
            What::List { limit } => self.list(&desk, *limit).await,
            What::Pause { reason } => self.pause(&desk, reason).await,
            What::Resume => self.pause(&desk, "").await,
            What::Retry { number, reason } => by_hand::retry(&desk, *number, reason).await,
            What::Hold { number, reason } => by_hand::hold(&desk, *number, reason).await,
            What::Void {
                number,
                reason,
                without_proof,
            } => by_hand::void(&desk, *number, reason, *without_proof).await,
            What::Psbt { number } => by_hand::psbt(&desk, *number, self.desk.json).await,
            What::Signed { number, file } => by_hand::signed(&desk, *number, file).await,
            What::Accept { txid, reason } => by_hand::accept(&desk, txid, reason).await,
            What::Proof { number, address } => {
                by_hand::proof(&desk, *number, address, self.desk.json).await
            }
        };
        desk.store.close().await;
        done
    }

    async fn pause(&self, desk: &Desk, reason: &str) -> anyhow::Result<()> {
        let (what, subject) = match reason {
            "" => ("payouts resumed", desk.settings.name.clone()),
            reason => (
                "payouts paused",
                format!("{}: {reason}", desk.settings.name),
            ),
        };
        let act = desk.act(what, subject);
        let done = desk.store.pause_payments_by(desk.pool, reason, &act);
        done.await?;
        match reason {
            "" => println!("Payouts go on."),
            reason => println!("Payouts are paused: {reason}"),
        }
        Ok(())
    }

    async fn preview(&self, desk: &Desk) -> anyhow::Result<()> {
        let policy = pool::payout_policy(&desk.settings)?;
        let owners = desk.store.owners(desk.pool).await?;
        let (coin, network) = (desk.coin, desk.settings.network);
        let of_fee = |name: &str| {
            let mut fees = desk.settings.fee.iter();
            let fee = fees.find(|fee| fee.name == name)?;
            Address::parse(coin, network, fee.address.as_ref()?).ok()
        };
        let address = |owner: &Owner<Account>| address_of(owner, coin, network, of_fee);
        let paused = desk.store.payments_paused(desk.pool).await?;
        let now = clock::now_ms();
        let payable = owners.iter().filter(|owner| address(owner).is_some());
        let payable: Vec<_> = payable.cloned().collect();
        let alone = |owner: &Owner<Account>| address(owner).as_ref().is_some_and(stands_alone);
        let due = batches(&payable, &policy, now, alone);
        let whole = total(&due.concat()).map_or(0, Amount::units);
        let units = |amount: Amount| desk.coins(i64::try_from(amount.units()).unwrap_or(i64::MAX));
        let line = |owner: &Owner<Account>| {
            let because = owner
                .is_due(&policy, now)
                .err()
                .map(|not_due| match not_due {
                    NotDue::Below(wanted) => format!("below {}", units(wanted)),
                    NotDue::Before(ms) => format!("not before {}", display::time(ms)),
                    NotDue::Paused => "paused by its owner".to_owned(),
                });
            PreviewLine {
                account: owner.account.to_string(),
                available: owner.available.to_string(),
                due: because.is_none(),
                because,
            }
        };
        let preview = Preview {
            enabled: desk.settings.payout.enabled,
            paused,
            owners: owners.iter().map(line).collect(),
            transactions: due.len(),
            total: whole.to_string(),
            unit: desk.coin.unit,
        };
        if self.desk.json {
            println!("{}", serde_json::to_string_pretty(&preview)?);
            return Ok(());
        }
        for (owner, line) in owners.iter().zip(&preview.owners) {
            let state = line.because.as_deref().unwrap_or("due");
            println!(
                "{:<64} {:>24}  {state}",
                line.account,
                units(owner.available)
            );
        }
        let whole = desk.coins(i64::try_from(whole).unwrap_or(i64::MAX));
        println!("{whole} in {} transactions.", preview.transactions);
        if !preview.enabled {
            println!("Nothing is paid: payout.enabled is false.");
        }
        if let Some(reason) = &preview.paused {
            println!("Payouts are paused: {reason}");
        }
        Ok(())
    }

    async fn list(&self, desk: &Desk, limit: u32) -> anyhow::Result<()> {
        let payouts = desk.store.payouts(desk.pool, None, limit).await?;
        let line = |payout: store::Payout| PayoutLine {
            number: payout.number,
            state: payout.state.name(),
            time: display::time(payout.made_ms),
            total: payout.total.to_string(),
            network_fee: payout
                .signed
                .as_ref()
                .map(|signed| signed.network_fee.to_string()),
            unit: desk.coin.unit,
            txid: payout.signed.as_ref().map(|signed| signed.txid.to_string()),
            confirmations: payout.confirmations,
            reason: payout.reason,
        };
        let lines: Vec<PayoutLine> = payouts.into_iter().map(line).collect();
        if self.desk.json {
            println!("{}", serde_json::to_string_pretty(&lines)?);
            return Ok(());
        }
        for line in &lines {
            println!(
                "{:>6}  {}  {:<9}  {:>24}  {}  {}",
                line.number,
                line.time,
                line.state,
                desk.coins(line.total.parse()?),
                line.txid.as_deref().unwrap_or("-"),
                line.reason
            );
        }
        Ok(())
    }
}
