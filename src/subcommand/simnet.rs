//! `adit simnet`: the simulated node alone.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::ensure;
use clap::{Parser, ValueEnum};
use pow::{Algorithm, visionx};
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
    /// The figures of VisionX: small ones for tests, or the network's
    #[arg(long, value_enum, default_value_t = Figures::Lite)]
    figures: Figures,
    /// The difficulty of every VisionX block; without it one of 1 to 248 that follows the blocks
    #[arg(long, value_name = "HASHES", value_parser = clap::value_parser!(u64).range(1..))]
    difficulty: Option<u64>,
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
enum Work {
    /// SHA-256 twice
    Sha256d,
    /// scrypt, N = 1024
    Scrypt,
    /// VisionX, whose headers are its own
    Visionx,
}

/// How much work and memory a VisionX hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figures {
    /// 1 MiB and 1,000 iterations
    Lite,
    /// 256 MiB and 65,536 iterations
    Mainnet,
}

impl Simnet {
    fn params(&self) -> anyhow::Result<Params> {
        let is_visionx = matches!(self.algorithm, Work::Visionx);
        ensure!(
            is_visionx || (self.difficulty.is_none() && self.figures == Figures::Lite),
            "--difficulty and --figures are for --algorithm visionx"
        );
        let params = match (self.rules, self.algorithm) {
            (Rules::Regtest, Work::Visionx) => anyhow::bail!("regtest does not mine by VisionX"),
            (Rules::Regtest, _) => return Ok(Params::regtest()),
            (Rules::Simnet, Work::Sha256d) => Params::simnet(Algorithm::Sha256d),
            (Rules::Simnet, Work::Scrypt) => Params::simnet(Algorithm::Scrypt),
            (Rules::Simnet, Work::Visionx) => {
                let params = Params::visionx(match self.figures {
                    Figures::Lite => visionx::Params::LITE,
                    Figures::Mainnet => visionx::Params::MAINNET,
                });
                match self.difficulty {
                    Some(difficulty) => params.with_difficulty(difficulty),
                    None => params,
                }
            }
        };
        Ok(params.with_spacing(Duration::from_secs(self.spacing)))
    }

    pub(crate) async fn run(self) -> anyhow::Result<()> {
        telemetry::start(&Log::default())?;
        let mut params = self.params()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn params(flags: &str) -> anyhow::Result<Params> {
        let arguments = std::iter::once("simnet").chain(flags.split_whitespace());
        Simnet::try_parse_from(arguments)?.params()
    }

    #[test]
    fn a_flag_of_visionx_is_refused_where_nothing_mines_by_it() {
        let name = |flags| params(flags).unwrap().proof_name();
        assert_eq!(name(""), "sha256d");
        assert_eq!(name("--algorithm scrypt"), "scrypt");
        assert_eq!(name("--algorithm visionx --difficulty 1000"), "visionx");
        assert_eq!(name("--algorithm visionx --figures mainnet"), "visionx");
        for flags in [
            "--difficulty 1000",
            "--algorithm scrypt --figures mainnet",
            "--algorithm visionx --rules regtest",
            "--algorithm visionx --difficulty 0",
            "--algorithm vision",
        ] {
            assert!(params(flags).is_err(), "{flags}");
        }
    }
}
