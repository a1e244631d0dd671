//! `adit demo`: a whole pool on loopback in one process. A simulated node, the pool as `adit pool`
//! runs it, two CPU workers as `adit mine` runs them, and the status page.

mod money;
mod screen;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use mining::{Coin, Network, accounting::Percent};
use pow::Algorithm;
use serde::Serialize;
use simnet::Params;
use tokio::{sync::watch, time::Instant};

use super::pool::stop_signal;
use crate::{
    alerts, api,
    bans::WorkerBans,
    config,
    daemon::{self, Secret},
    data,
    devices::Devices,
    http::Rules,
    listener::{House, SharedPorts, StatusPage},
    open_files,
    pool::{self, Pool},
    systemd::Sockets,
    tasks::{Failures, Stage, Tasks},
    telemetry, worker,
};
use screen::Screen;

/// How often the screen is drawn and the end looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A block matures after so many confirmations: on a real chain it is a hundred or more.
const MATURITY: u32 = 3;
/// The time between blocks that the node's difficulty aims at.
const BLOCK_EVERY: Duration = Duration::from_secs(3);
/// The part of its time that a worker hashes, so that the machine stays usable.
const THROTTLE_PERCENT: u8 = 60;

/// Show a whole pool at work: a simulated node, a pool, two workers and a status page
#[derive(Debug, Parser)]
pub(crate) struct Demo {
    /// End once so many blocks were found, are mature and were paid out to the miners
    #[arg(long, value_name = "N")]
    blocks: Option<u64>,
    /// The coin
    #[arg(long, value_enum, default_value_t = DemoCoin::Bitcoin)]
    coin: DemoCoin,
    /// Keep chain and database in this directory; without it they go when the demo ends
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The port for miners
    #[arg(long, default_value_t = 3333, value_name = "PORT")]
    miner_port: u16,
    /// The port of the status page
    #[arg(long, default_value_t = 3334, value_name = "PORT")]
    http_port: u16,
    /// Print the summary as JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DemoCoin {
    /// SHA-256d
    Bitcoin,
    /// scrypt
    Litecoin,
}

impl DemoCoin {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::Bitcoin => Algorithm::Sha256d,
            Self::Litecoin => Algorithm::Scrypt,
        }
    }
}

/// What the demo did.
#[derive(Debug, Serialize)]
struct Summary {
    seconds: u64,
    seconds_to_first_block: Option<u64>,
    blocks_found: u64,
    blocks_accepted: u64,
    shares_accepted: u64,
    shares_rejected: u64,
    height: u32,
    money: money::Money,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let temporary = tempfile::tempdir().context("no temporary directory")?;
        let data = self
            .data
            .clone()
            .unwrap_or_else(|| temporary.path().to_owned());
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot make the directory {}", data.display()))?;
        let screen = Screen::new();
        // On a terminal the screen tells what happens, and log lines would break it.
        let filter = std::env::var("ADIT_LOG__FILTER").ok();
        let quiet = if screen.is_live() { "error" } else { "info" };
        telemetry::start(&config::Log {
            filter: filter.unwrap_or_else(|| quiet.into()),
            ..config::Log::default()
        })?;
        let (tasks, failures) = Tasks::new();
        let ended = self.play(&data, &screen, &tasks, failures).await;
        screen.clear();
        let in_time = tasks.shut_down().await;
        let summary = ended?;
        if self.json {
            println!("{}", serde_json::to_string(&summary)?);
        } else {
            summary.print();
        }
        anyhow::ensure!(in_time, "not everything ended in time");
        Ok(())
    }

    async fn play(
        &self,
        data: &std::path::Path,
        screen: &Screen,
        tasks: &Tasks,
        mut failures: Failures,
    ) -> anyhow::Result<Summary> {
        let started = Instant::now();
        let coin: &'static Coin = match self.coin {
            DemoCoin::Bitcoin => "bitcoin",
            DemoCoin::Litecoin => "litecoin",
        }
        .parse()?;
        let algorithm = self.coin.algorithm();
        let node = start_node(algorithm, data, tasks).await?;
        let settings = self.settings(coin, &node);
        let lock = data::lock(data)?;
        let store = data::open_store(data, None).await?;
        let http = config::Http {
            listen: SocketAddr::from(([127, 0, 0, 1], self.http_port)),
            ..config::Http::default()
        };
        let files = open_files::share(settings.listener[0].connections_max, http.connections_max);
        let house = House {
            holder: lock.name().to_owned(),
            sockets: Sockets::default(),
            worker_bans: WorkerBans::default(),
            devices: Devices::start(None, tasks)?,
            status_page: StatusPage::At(http.listen),
            files: files.miners,
            shared_ports: SharedPorts::default(),
        };
        let terms = alerts::Terms::new(&alerts::config::Config::default(), None)?;
        let pool = pool::start(&settings, data, &store, &house, &terms, tasks).await?;
        let room = [settings.connections_max()];
        alerts::start(&terms, std::slice::from_ref(&pool), &room, data, tasks).await?;
        let door = api::Door {
            rules: Rules::new(&http).map_err(config::BadConfig::Value)?,
            settings: Vec::new(),
            store: store.clone(),
            files: files.http,
            sockets: Sockets::default(),
        };
        let shapes = config::Compat::default();
        let page = api::open(door, vec![pool.clone()], &shapes, tasks).await?;
        let door = pool.doors.first().context("the pool listens for miners")?;
        let miners = &door.address;
        screen.open(
            &format!("http://{page}/"),
            &format!("stratum+tcp://{miners}"),
        );
        let workers = ["alice", "bob"]
            .map(|name| start_worker(name, *miners, &node.new_address(), algorithm, tasks));

        let mut first_block = None;
        // One listener for all turns: a signal between two of them must not be missed.
        let stop = stop_signal();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = &mut stop => break,
                failure = failures.first() => anyhow::bail!(failure),
            }
            let status = api::PoolSummary::of(&pool).await?;
            screen.draw(&status, &workers);
            let accepted = status.blocks.immature + status.blocks.mature;
            if accepted > 0 {
                first_block.get_or_insert_with(|| started.elapsed().as_secs());
            }
            if let Some(wanted) = self.blocks
                && money::are_paid(&pool, wanted).await?
            {
                break;
            }
        }
        summary(&pool, started, first_block, node.height()).await
    }

    fn settings(&self, coin: &Coin, node: &simnet::Simnet) -> config::Pool {
        let mut daemon = daemon::Config::at(node.url());
        daemon.user = Some(node.user().to_owned());
        daemon.password = Some(Secret::from(node.password()));
        daemon.zmq = node.zmq_endpoint().map(str::to_owned);
        daemon.poll_ms = 500;
        daemon.check_s = 2;
        // The simulated node changes its difficulty with each block.
        daemon.subsidy_only = false;
        config::Pool {
            name: "demo".into(),
            coin: coin.name.into(),
            network: Network::Regtest,
            payout_address: node.new_address(),
            coinbase_tag: "/adit demo/".into(),
            refresh_s: 10,
            maturity: Some(MATURITY),
            payout: config::Payout {
                enabled: true,
                // The node's own traffic comes from it too.
                shared_wallet: true,
                every_s: 2,
                confirmations: 1,
                fee_rate: Some("0.00005".into()),
                // Blocks come so fast that one in some is overtaken.
                orphan_rate_percent: Percent::from_hundredths(10_000).unwrap_or_default(),
                ..config::Payout::default()
            },
            daemon: vec![daemon],
            listener: vec![config::Listener {
                listen: SocketAddr::from(([127, 0, 0, 1], self.miner_port)),
                // A share every second or two from a CPU.
                start_difficulty: match self.coin {
                    DemoCoin::Bitcoin => 0.001,
                    DemoCoin::Litecoin => 0.05,
                },
                share_time_s: 2,
                ..config::Listener::default()
            }],
            ..config::Pool::default()
        }
    }
}

async fn start_node(
    algorithm: Algorithm,
    data: &std::path::Path,
    tasks: &Tasks,
) -> anyhow::Result<simnet::Simnet> {
    let node = simnet::Config {
        zmq: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        data: Some(data.join("node")),
        traffic: Some(Duration::from_secs(2)),
        ..simnet::Config::new(
            Params::simnet(algorithm)
                .with_maturity(MATURITY)
                .with_spacing(BLOCK_EVERY),
        )
    };
    simnet::start(node, tasks.ending(Stage::Daemons))
        .await
        .context("the simulated node")
}

fn start_worker(
    name: &'static str,
    pool: SocketAddr,
    address: &str,
    algorithm: Algorithm,
    tasks: &Tasks,
) -> watch::Receiver<worker::Snapshot> {
    let (snapshots, snapshot) = watch::channel(worker::Snapshot::default());
    let config = worker::Config {
        algorithm: Some(algorithm.into()),
        throttle: THROTTLE_PERCENT,
        ..worker::Config::new(format!("stratum+tcp://{pool}"), format!("{address}.{name}"))
    };
    tasks.spawn(
        Stage::Doors,
        name,
        worker::run(config, snapshots, tasks.ending(Stage::Doors)),
    );
    snapshot
}

async fn summary(
    pool: &Pool,
    started: Instant,
    seconds_to_first_block: Option<u64>,
    height: u32,
) -> anyhow::Result<Summary> {
    let status = api::PoolSummary::of(pool).await?;
    Ok(Summary {
        seconds: started.elapsed().as_secs(),
        seconds_to_first_block,
        blocks_found: status.blocks.found,
        blocks_accepted: status.blocks.immature + status.blocks.mature,
        shares_accepted: status.shares.accepted,
        shares_rejected: status.rejected_total(),
        height,
        money: money::Money::of(pool).await?,
    })
}

impl Summary {
    fn print(&self) {
        let Self {
            seconds,
            blocks_found,
            blocks_accepted,
            ..
        } = self;
        println!(
            "In {seconds} s the pool found {blocks_found} blocks; the node accepted {blocks_accepted}."
        );
        if let Some(first) = self.seconds_to_first_block {
            println!("The first block came after {first} s.");
        }
        println!(
            "Shares: {} accepted, {} rejected. The chain is at height {}.",
            self.shares_accepted, self.shares_rejected, self.height
        );
        self.money.print();
    }
}
