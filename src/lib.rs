//! adit: a mining pool in one program.
//!
//! Two flows are the architecture; `ARCHITECTURE.md` walks both.
//!
//! ```text
//! template:  daemon -> template -> job -> connections
//! share:     miner -> connection -> job check -> validation -> share log -> store
//! ```
//!
//! The rules stand in the crate `mining`, the rows in `store`, and here are the tasks: sockets,
//! daemons, subcommands. Modules come in the order of the flow.

// A test may spawn what it waits for itself.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod daemon;
pub mod proposal;
pub mod template_feed;

pub mod bans;
pub mod listener;
pub mod networks;
pub mod open_files;

pub mod connection;
pub mod devices;
pub mod kept_sessions;
pub mod mailbox;
pub mod sessions;
pub mod stream;

pub mod verifier;

pub mod share_log;

pub mod block;

pub mod accounting;
pub mod luck;
pub mod payout;

#[cfg(test)]
mod free_port;
#[cfg(test)]
mod money_model;

pub mod receipts;
pub mod verify;

pub mod alerts;
pub mod backup;

mod base;
pub mod data;
pub mod first_block;
pub mod pool;

pub mod api;
pub mod dashboard;
pub mod http;
pub mod metrics;

pub mod display;
pub mod rental;
pub mod top;
pub mod work;
pub mod worker;

pub mod node;

mod arguments;
mod clock;
pub mod config;
mod reload;
mod subcommand;
pub mod systemd;
pub mod tasks;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use crate::{arguments::Arguments, config::BadConfig};

/// A bad configuration, as in BSD's `sysexits.h`.
const EX_USAGE: u8 = 64;

/// Every so many tasks a thread takes one from the common queue.
const GLOBAL_QUEUE_INTERVAL: u32 = 3;

/// Runs the command line. Codes: 0 ok, 1 failure, 64 bad configuration or command line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; the rest is.
            let code = if error.use_stderr() { EX_USAGE } else { 0 };
            // With standard output gone there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        // With more ready connections than a thread's own queue holds, the rest wait in the common
        // one; looked at rarely, it would make some miners wait for all others, again and again.
        .global_queue_interval(GLOBAL_QUEUE_INTERVAL)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("no runtime")),
    };
    match runtime.block_on(arguments.subcommand.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("because: {cause}");
    }
    let is_config = error
        .chain()
        .any(|cause| cause.is::<BadConfig>() || cause.is::<worker::NoEndpoint>());
    ExitCode::from(if is_config { EX_USAGE } else { 1 })
}
