//! `adit mine`: joins a pool as a CPU worker, shows how it goes, and ends with a summary.
//!
//! On a terminal it draws one line that moves; elsewhere it logs a line now and then; with `--json`
//! standard output is one JSON object a line, an event or the summary. Ending by Ctrl-C, by SIGTERM
//! or after `--shares` is success; an error is one that trying again would not mend, or any with
//! `--fail-fast`.

mod report;

use std::{
    io::{IsTerminal as _, Write},
    path::PathBuf,
    thread::available_parallelism,
};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Log,
    listener::Fingerprint,
    telemetry,
    verifier::Mode,
    worker::{self, Algorithm, Config, Event, Profile, Snapshot},
};
use report::Report;

/// Join a pool and mine on this machine's CPU
#[derive(clap::Args)]
pub(crate) struct Mine {
    /// Pool to join: stratum+tcp://host:port or http://host:port, and stratum+ssl:// or https:// over TLS. Given again,
    /// one to go to while those before it are away
    #[arg(short = 'o', long = "url", value_name = "URL", required = true)]
    urls: Vec<String>,
    /// SHA-256 of a pool's certificate, which is then trusted alone; otherwise an authority must have signed it
    #[arg(long = "tls-fingerprint", value_name = "SHA256")]
    tls_fingerprints: Vec<Fingerprint>,
    /// Whom the pool pays: ADDRESS.WORKER
    #[arg(short, long, value_name = "ADDRESS.WORKER")]
    user: String,
    /// Password, of which most pools read nothing
    #[arg(short, long, default_value = "x")]
    password: String,
    /// Threads that hash [default: one a core]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// How much of the machine to take: laptop (a quarter of the cores, half of the time), balanced (half of the cores)
    /// or beast (all of it)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["threads", "throttle"])]
    profile: Option<Profile>,
    /// The pool's proof of work: sha256d, scrypt, rx/0 or randomx, or visionx [default: what a pool of HTTP says with
    /// its job; rx/0 for a Monero address or where the pool's first answer is that of Monero's, otherwise sha256d:
    /// Stratum V1 does not tell it]
    #[arg(short, long, value_name = "NAME")]
    algorithm: Option<Algorithm>,
    /// RandomX: fast takes 2.6 GiB of memory and hashes eight times as fast as light, which takes 517 MiB; auto is fast
    /// where memory allows
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = mode())]
    randomx_mode: Mode,
    /// Percentage of the time to hash, so that the machine stays usable
    #[arg(long, value_name = "PERCENT", default_value_t = 100,
        value_parser = clap::value_parser!(u8).range(1..=100))]
    throttle: u8,
    /// Ask the pool for this difficulty
    #[arg(long, value_name = "DIFFICULTY")]
    suggest_difficulty: Option<f64>,
    /// End after this many accepted shares
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    shares: Option<u64>,
    /// End with an error instead of connecting again
    #[arg(long)]
    fail_fast: bool,
    /// Print each event and the summary as one JSON object a line
    #[arg(long)]
    json: bool,
    /// Name to give the pool instead of our own
    #[arg(long, hide = true)]
    agent: Option<String>,
    /// Append the hash of each accepted share to this file, one a line
    #[arg(long, hide = true, value_name = "PATH")]
    accepted_log: Option<PathBuf>,
}

/// Events that wait to be printed; the worker waits while there are more.
const EVENTS_MAX: usize = 64;

impl Mine {
    /// Mines until it is interrupted, has its shares, or fails for good.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // On a terminal one line shows how it goes, and log lines would break it.
        let quiet = !self.json && std::io::stderr().is_terminal();
        telemetry::start(&Log {
            filter: if quiet { "error" } else { "info" }.into(),
            ..Log::default()
        })?;
        self.run_to(std::io::stdout()).await
    }

    async fn run_to(self, out: impl Write) -> anyhow::Result<()> {
        let (events, told) = mpsc::channel(EVENTS_MAX);
        let (snapshot, figures) = watch::channel(Snapshot::default());
        let cancel = CancellationToken::new();
        let mut report = Report::open(&self, figures, out).await?;
        let mining = worker::run(self.config(events), snapshot, cancel.clone());
        let (mined, reported) = tokio::join!(
            async {
                let mined = mining.await;
                // Whatever ended the worker ends the report.
                cancel.cancel();
                mined
            },
            async {
                let reported = report.follow(told, &cancel).await;
                cancel.cancel();
                reported
            }
        );
        report.summarise()?;
        mined.and(reported)
    }

    fn config(&self, events: mpsc::Sender<Event>) -> Config {
        let ours = Config::new("", &self.user);
        let cores = available_parallelism().map_or(1, usize::from);
        let (threads, throttle) = match self.profile {
            Some(profile) => profile.of(cores),
            None => (self.threads.unwrap_or(cores), self.throttle),
        };
        Config {
            password: self.password.clone(),
            threads,
            urls: self.urls.clone(),
            tls_fingerprints: self.tls_fingerprints.clone(),
            algorithm: self.algorithm,
            randomx: self.randomx_mode,
            agent: self.agent.clone().unwrap_or(ours.agent),
            suggest_difficulty: self.suggest_difficulty,
            throttle,
            fail_fast: self.fail_fast,
            events: Some(events),
            ..ours
        }
    }
}

fn mode() -> impl clap::builder::TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(["auto", "light", "fast"]).map(|name| match name.as_str() {
        "light" => Mode::Light,
        "fast" => Mode::Fast,
        _ => Mode::Auto,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::worker::tests::pool::Pool;

    #[derive(clap::Parser)]
    #[command(args_override_self = true)]
    struct Arguments {
        #[command(flatten)]
        mine: Mine,
    }

    fn parse(more: &[&str]) -> Result<Mine, clap::Error> {
        let url = ["--url", "pool.example:3333"];
        let url = if more.first() == Some(&"--url") {
            &[][..]
        } else {
            &url
        };
        let given = ["mine", "--user", "a.b"].iter().chain(url).chain(more);
        Arguments::try_parse_from(given).map(|arguments| arguments.mine)
    }

    #[test]
    fn options_become_the_workers_configuration() {
        let (events, _) = mpsc::channel(1);
        let config = parse(&[]).unwrap().config(events.clone());
        assert_eq!((config.password.as_str(), config.throttle), ("x", 100));
        assert!(config.agent.starts_with("adit/") && config.threads >= 1 && !config.fail_fast);
        let more = [
            "--algorithm",
            "scrypt",
            "--threads",
            "3",
            "--throttle",
            "25",
        ];
        let more = [
            &more[..],
            &["--suggest-difficulty", "0.5", "--agent", "cgminer/4"],
        ]
        .concat();
        let config = parse(&more).unwrap().config(events.clone());
        let scrypt = Algorithm::Header(pow::Algorithm::Scrypt);
        assert_eq!((config.algorithm, config.threads), (Some(scrypt), 3));
        assert_eq!((config.throttle, config.agent.as_str()), (25, "cgminer/4"));
        assert_eq!(config.suggest_difficulty, Some(0.5));
        assert_eq!((config.randomx, config.urls.len()), (Mode::Auto, 1));
        for name in ["rx/0", "randomx"] {
            let more = [
                "--url",
                "a:1",
                "--algorithm",
                name,
                "--randomx-mode",
                "light",
                "--url",
                "b:1",
            ];
            let config = parse(&more).unwrap().config(events.clone());
            let randomx = Algorithm::RandomX(pow::randomx::Variant::Rx0);
            assert_eq!(
                (config.algorithm, config.randomx),
                (Some(randomx), Mode::Light)
            );
            assert_eq!(config.urls, ["a:1", "b:1"]);
        }
    }

    #[tokio::test]
    async fn the_shares_that_were_wanted_are_mined_logged_and_summed_up() {
        let pool = Pool::new().await;
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("accepted");
        let log = log.to_str().unwrap();
        let url = pool.url();
        let mine = parse(&[
            "--url",
            &url,
            "--shares",
            "3",
            "--json",
            "--accepted-log",
            log,
        ]);
        let mut printed = Vec::new();
        let difficulty = mining::Difficulty::from_steps(1 << 12);
        let (mined, proofs) = tokio::join!(mine.unwrap().run_to(&mut printed), async {
            let mut miner = pool.accept().await;
            miner.shake_hands().await;
            miner.set_difficulty(difficulty);
            let job = miner.notify("1", true);
            let share = miner.request("mining.submit").await;
            miner.refuse(&share, 23, "Difficulty too low");
            let mut proofs = Vec::new();
            for _ in 0..3 {
                let share = miner.request("mining.submit").await;
                proofs.push(miner.verify(&job, &share, difficulty).to_string());
                miner.answer(&share, true.into());
            }
            miner.gone().await;
            proofs
        });
        mined.unwrap();
        let logged = std::fs::read_to_string(log).unwrap();
        assert_eq!(logged.lines().collect::<Vec<_>>(), proofs);
        let printed = String::from_utf8(printed).unwrap();
        let lines: Vec<serde_json::Value> = printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let events: Vec<_> = lines
            .iter()
            .map(|line| line["event"].as_str().unwrap())
            .collect();
        let accepted = ["accepted"; 3];
        let expected = [
            &["connected", "job", "rejected"][..],
            &accepted,
            &["summary"],
        ]
        .concat();
        assert_eq!(events, expected);
        let summary = lines.last().unwrap();
        assert_eq!(summary["accepted"], 3);
        assert_eq!(summary["rejected"]["Difficulty too low"], 1);
        assert_eq!(lines[3]["hash"], proofs[0]);
    }

    #[tokio::test]
    async fn a_refusal_is_an_error_where_failures_are_final() {
        let pool = Pool::new().await;
        let url = pool.url();
        let mine = parse(&["--url", &url, "--fail-fast"]).unwrap();
        let mut printed = Vec::new();
        let (mined, ()) = tokio::join!(mine.run_to(&mut printed), async {
            let mut miner = pool.accept().await;
            let configure = miner.request("mining.configure").await;
            miner.answer(&configure, serde_json::json!({}));
            let subscribe = miner.request("mining.subscribe").await;
            miner.refuse(&subscribe, 20, "full");
            miner.gone().await;
        });
        assert_eq!(mined.unwrap_err().to_string(), "refused to subscribe: full");
        assert!(printed.is_empty());
    }

    #[test]
    fn a_profile_stands_alone() {
        let (events, _) = mpsc::channel(1);
        let laptop = parse(&["--profile", "laptop"]).unwrap().config(events);
        assert_eq!(laptop.throttle, 50);
        for other in ["--threads", "--throttle"] {
            assert!(parse(&["--profile", "beast", other, "2"]).is_err());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_starts() {
        for more in [
            ["--algorithm", "x11"],
            ["--algorithm", "rx/2"],
            ["--randomx-mode", "quick"],
            ["--profile", "monster"],
            ["--tls-fingerprint", "ab:cd"],
            ["--throttle", "0"],
            ["--throttle", "101"],
            ["--shares", "0"],
            ["--threads", "-1"],
        ] {
            assert!(parse(&more).is_err(), "{more:?}");
        }
    }
}
