//! The subcommands; each has a file of its own with its options and its `run`.

pub(crate) mod config;
mod demo;
mod key;
mod ledger;
mod mine;
mod payout;
mod pool;
mod simnet;

use clap::Parser;

/// What `adit` can do.
#[derive(Parser)]
pub(crate) enum Subcommand {
    /// Show a whole pool at work: a simulated node, a pool, two workers and a status page
    Demo(demo::Demo),
    /// Run a pool
    Pool(pool::Pool),
    /// Mine on a pool with this machine's processor
    Mine(mine::Mine),
    /// Run the simulated node alone
    Simnet(simnet::Simnet),
    /// Check and read the books of a pool
    Ledger(ledger::Ledger),
    /// Look at the payouts of a pool, and decide what only a person can
    Payout(payout::Payout),
    /// Make, list and revoke keys with which an operator is heard from anywhere
    Key(key::Key),
    /// Print the settings in force and where each came from
    Config(config::Config),
}

impl Subcommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Demo(demo) => demo.run().await,
            Self::Pool(pool) => pool.run().await,
            Self::Mine(mine) => mine.run().await,
            Self::Simnet(simnet) => simnet.run().await,
            Self::Ledger(ledger) => ledger.run().await,
            Self::Payout(payout) => payout.run().await,
            Self::Key(key) => key.run().await,
            Self::Config(config) => config.run().await,
        }
    }
}
