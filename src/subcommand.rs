//! The subcommands; each has a file of its own with its options and its `run`.

mod backup;
pub(crate) mod config;
mod demo;
mod init;
mod key;
mod ledger;
mod mine;
mod node;
mod payout;
mod pool;
mod receipts;
mod simnet;
mod top;
mod verify;
mod verify_rental;

use clap::Parser;

/// What `adit` can do.
#[derive(Parser)]
pub(crate) enum Subcommand {
    /// Show a whole pool at work: a simulated node, a pool, two workers and a status page
    Demo(demo::Demo),
    /// Ask a few questions, check the answers against the node, and write adit.toml
    Init(init::Init),
    /// Run a pool
    Pool(pool::Pool),
    /// Mine alone, host a pool or join one, and switch between them while it runs
    Node(node::Node),
    /// Mine on a pool with this machine's processor
    Mine(mine::Mine),
    /// Run the simulated node alone
    Simnet(simnet::Simnet),
    /// Check and read the books of a pool
    Ledger(ledger::Ledger),
    /// Look at the payouts of a pool, and decide what only a person can
    Payout(payout::Payout),
    /// Look at what is signed of each day, for receipts
    Receipts(receipts::Receipts),
    /// Check receipts, logs, splits and books that a pool exported, without trusting it
    Verify(verify::Verify),
    /// Show a running pool in the terminal
    Top(top::Top),
    /// Look at a pool as sellers of hashrate do before they let a buyer mine there
    VerifyRental(verify_rental::VerifyRental),
    /// Copy the database of a running pool, and what lies beside it, into one file
    Backup(backup::Backup),
    /// Put a backup back into an empty data directory
    Restore(backup::Restore),
    /// Make, list and revoke keys with which an operator is heard from anywhere
    Key(key::Key),
    /// Print the settings in force and where each came from
    Config(config::Config),
}

impl Subcommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Demo(demo) => demo.run().await,
            Self::Init(init) => init.run().await,
            Self::Pool(pool) => pool.run().await,
            Self::Node(node) => node.run().await,
            Self::Mine(mine) => mine.run().await,
            Self::Simnet(simnet) => simnet.run().await,
            Self::Ledger(ledger) => ledger.run().await,
            Self::Payout(payout) => payout.run().await,
            Self::Receipts(receipts) => receipts.run().await,
            Self::Verify(verify) => verify.run(),
            Self::Top(top) => top.run().await,
            Self::VerifyRental(verify) => verify.run().await,
            Self::Backup(backup) => backup.run().await,
            Self::Restore(restore) => restore.run().await,
            Self::Key(key) => key.run().await,
            Self::Config(config) => config.run().await,
        }
    }
}
