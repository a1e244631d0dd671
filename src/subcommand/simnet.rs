//! `adit simnet`: the simulated node alone.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use pow::Algorithm;

use simnet::{Auth, Config, Params};
use tokio_util::sync::CancellationToken;

use super::pool::stop_signal;
use crate::{config::Log, telemetry};

/// Run the simulated node alone
#[derive(Debug, Parser)]
pub(crate) struct Simnet {
    /// Where to listen for JSON-RPC
    #[arg(long, default_value = "127.0.0.1:18443", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where to publish `hashblock` over ZMQ
    #[arg(long, value_name = "ADDRESS:PORT")]
    zmq: Option<SocketAddr>,
    /// The user of its JSON-RPC
    #[arg(long, default_value = "adit")]
    user: String,
    /// The password of its JSON-RPC
    #[arg(long, default_value = "adit", env = "ADIT_SIMNET_PASSWORD")]
    password: String,
    /// The rules: a chain of our own with real work, or Bitcoin's regtest
    #[arg(long, value_enum, default_value_t = Rules::Simnet)]
    rules: Rules,
    /// The proof of work
    #[arg(long, value_enum, default_value_t = Work::Sha256d)]
    algorithm: Work,
    /// The seconds between blocks that the difficulty aims at
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    spacing: u64,
    /// The confirmations after which a block's coins can be spent; by the rules 100 on regtest, 10 else
    #[arg(long, value_name = "BLOCKS")]
    maturity: Option<u32>,
    /// The directory where blocks are kept; without it they are in memory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// The consensus rules of the chain.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rules {
    /// Real work, and a difficulty that follows it
    Simnet,
    /// Bitcoin's regtest: every second hash is a block
    Regtest,
}

/// A proof of work, as a flag names it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Work {
    /// SHA-256 twice
    Sha256d,
    /// scrypt, N = 1024
    Scrypt,
}

impl From<Work> for Algorithm {
    fn from(work: Work) -> Self {
        match work {
            Work::Sha256d => Self::Sha256d,
            Work::Scrypt => Self::Scrypt,
        }
    }
}

impl Simnet {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        telemetry::start(&Log::default())?;
        let mut params = match self.rules {
            Rules::Regtest => Params::regtest(),
            Rules::Simnet => Params::simnet(self.algorithm.into())
                .with_spacing(Duration::from_secs(self.spacing)),
        };
        if let Some(maturity) = self.maturity {
            params = params.with_maturity(maturity);
        }
        let config = Config {
            rpc: self.listen,
            zmq: self.zmq,
            auth: Auth::Password {
                user: self.user,
                password: self.password,
            },
            data: self.data,
            ..Config::new(params)
        };
        let stopping = CancellationToken::new();
        let node = simnet::start(config, stopping.clone()).await?;
        tracing::info!(
            url = node.url(),
            zmq = node.zmq_endpoint(),
            "the simulated node listens"
        );
        tokio::select! {
            () = stop_signal() => {}
            // By its own RPC `stop`.
            () = node.stopped() => return Ok(()),
        }
        stopping.cancel();
        node.stopped().await;
        Ok(())
    }
}
