//! `adit mine`: joins a pool as a CPU worker, shows how it goes, and ends with a summary.
//!
//! On a terminal it draws one line that moves; elsewhere it logs a line now and then; with `--json`
//! standard output is one JSON object a line, an event or the summary. Ending by Ctrl-C, by SIGTERM
//! or after `--shares` is success; an error is one that trying again would not mend, or any with
//! `--fail-fast`.

use std::{
    io::{IsTerminal as _, Write},
    path::PathBuf,
    thread::available_parallelism,
    time::Duration,
};

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use indicatif::{ProgressBar, ProgressStyle};
use pow::Algorithm;
use tokio::{
    fs::{File, OpenOptions},
    io::AsyncWriteExt as _,
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::worker::{self, Config, Event, Snapshot, hashrate_text};

/// Join a pool and mine on this machine's CPU
#[derive(clap::Args)]
pub struct Mine {
    /// Pool to join: stratum+tcp://host:port
    #[arg(short = 'o', long, value_name = "URL")]
    url: String,
    /// Whom the pool pays: ADDRESS.WORKER
    #[arg(short, long, value_name = "ADDRESS.WORKER")]
    user: String,
    /// Password, of which most pools read nothing
    #[arg(short, long, default_value = "x")]
    password: String,
    /// Threads that hash [default: one a core]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// The pool's proof of work
    #[arg(short, long, default_value = "sha256d", value_parser = algorithm())]
    algorithm: Algorithm,
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
/// Between two log lines where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Between two drawings of the progress line.
const DRAW_EVERY: Duration = Duration::from_millis(500);

impl Mine {
    /// Mines until it is interrupted, has its shares, or fails for good.
    pub async fn run(self) -> anyhow::Result<()> {
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
        let ours = Config::new(&self.url, &self.user);
        let cores = || available_parallelism().map_or(1, usize::from);
        Config {
            password: self.password.clone(),
            threads: self.threads.unwrap_or_else(cores),
            algorithm: self.algorithm,
            agent: self.agent.clone().unwrap_or(ours.agent),
            suggest_difficulty: self.suggest_difficulty,
            throttle: self.throttle,
            fail_fast: self.fail_fast,
            events: Some(events),
            ..ours
        }
    }
}

/// What is shown, printed and written of the worker.
struct Report<W> {
    out: W,
    figures: watch::Receiver<Snapshot>,
    json: bool,
    /// Accepted shares still wanted.
    wanted: Option<u64>,
    accepted_log: Option<File>,
    line: Option<ProgressBar>,
    started: Instant,
}

/// The last line of `--json`.
#[derive(serde::Serialize)]
struct Summary<'a> {
    event: &'static str,
    seconds: u64,
    #[serde(flatten)]
    figures: &'a Snapshot,
}

impl<W: Write> Report<W> {
    async fn open(mine: &Mine, figures: watch::Receiver<Snapshot>, out: W) -> anyhow::Result<Self> {
        let accepted_log = match &mine.accepted_log {
            None => None,
            Some(path) => {
                let opened = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .await;
                Some(opened.with_context(|| format!("cannot open {}", path.display()))?)
            }
        };
        Ok(Self {
            out,
            figures,
            json: mine.json,
            wanted: mine.shares,
            accepted_log,
            line: (!mine.json && std::io::stderr().is_terminal()).then(progress_line),
            started: Instant::now(),
        })
    }

    /// Reports until `cancel`, an interrupt, or the last share that was wanted.
    async fn follow(
        &mut self,
        mut told: mpsc::Receiver<Event>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut tick = interval(if self.line.is_some() {
            DRAW_EVERY
        } else {
            LOG_EVERY
        });
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        let interrupted = interrupted()?;
        tokio::pin!(interrupted);
        loop {
            tokio::select! {
                () = &mut interrupted => break,
                Some(event) = told.recv() => {
                    if self.event(&event).await? {
                        break;
                    }
                }
                _ = tick.tick() => self.draw(),
                () = cancel.cancelled() => break,
            }
        }
        // What was answered before the end is written down, too.
        cancel.cancel();
        while let Some(event) = told.recv().await {
            self.event(&event).await?;
        }
        Ok(())
    }

    /// True after the last share that was wanted.
    async fn event(&mut self, event: &Event) -> anyhow::Result<bool> {
        if self.json {
            print_line(&mut self.out, event)?;
        }
        if let (Event::Message { text }, Some(line)) = (event, &self.line) {
            line.println(format!("pool: {text}"));
        }
        let Event::Accepted { hash, .. } = event else {
            return Ok(false);
        };
        if let Some(log) = &mut self.accepted_log {
            let written = log.write_all(format!("{hash}\n").as_bytes()).await;
            written
                .and(log.flush().await)
                .context("cannot write the log of accepted shares")?;
        }
        if let Some(wanted) = &mut self.wanted {
            *wanted = wanted.saturating_sub(1);
        }
        Ok(self.wanted == Some(0))
    }

    fn draw(&self) {
        let figures = self.figures.borrow();
        match &self.line {
            Some(line) => {
                line.set_message(line_text(&figures));
                line.tick();
            }
            None => info!(
                hashrate = hashrate_text(figures.hashrate),
                accepted = figures.accepted,
                rejected = figures.rejected_total(),
                difficulty = figures.difficulty,
                pool = figures.pool,
                connected = figures.connected,
                "mining"
            ),
        }
    }

    fn summarise(&mut self) -> anyhow::Result<()> {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
        let figures = self.figures.borrow();
        let seconds = self.started.elapsed().as_secs();
        if self.json {
            let event = "summary";
            print_line(
                &mut self.out,
                &Summary {
                    event,
                    seconds,
                    figures: &figures,
                },
            )
        } else if figures.connections > 0 {
            let text = summary_text(&figures, seconds);
            write!(self.out, "{text}").context("cannot write to standard output")
        } else {
            Ok(())
        }
    }
}

fn algorithm() -> impl clap::builder::TypedValueParser<Value = Algorithm> {
    let names = [Algorithm::Sha256d, Algorithm::Scrypt].map(Algorithm::name);
    PossibleValuesParser::new(names).map(|name| {
        if name == Algorithm::Scrypt.name() {
            Algorithm::Scrypt
        } else {
            Algorithm::Sha256d
        }
    })
}

/// Ctrl-C, or SIGTERM as systemd sends it.
fn interrupted() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn progress_line() -> ProgressBar {
    let line = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {wide_msg}");
    line.set_style(style.expect("the template is a constant and well formed"));
    line
}

fn print_line(out: &mut impl Write, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(value).context("cannot write JSON")?;
    // A reader of the pipe sees each line at once.
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.context("cannot write to standard output")
}

fn line_text(figures: &Snapshot) -> String {
    if !figures.connected {
        let why = figures.last_error.as_deref().unwrap_or("connecting");
        return format!("{}  {why}", figures.pool);
    }
    let difficulty = figures
        .difficulty
        .map_or("no job yet".to_owned(), |difficulty| {
            format!("difficulty {}", number_text(difficulty))
        });
    format!(
        "{}  {} accepted  {} rejected  {difficulty}  {}",
        hashrate_text(figures.hashrate),
        figures.accepted,
        figures.rejected_total(),
        figures.pool
    )
}

fn summary_text(figures: &Snapshot, seconds: u64) -> String {
    let mut text = format!(
        "{} hashes in {seconds} s: {} shares accepted, {} rejected\n",
        figures.hashes,
        figures.accepted,
        figures.rejected_total()
    );
    for (reason, count) in &figures.rejected {
        text.push_str(&format!("  rejected {count}: {reason}\n"));
    }
    if let Some(best) = figures.best {
        text.push_str(&format!("  best share: difficulty {}\n", number_text(best)));
    }
    text
}

/// Enough digits to tell difficulties apart, whether below one or far above.
fn number_text(number: f64) -> String {
    match number {
        1000.0.. => format!("{number:.0}"),
        0.001.. => format!("{number:.3}"),
        _ => format!("{number:.2e}"),
    }
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
        let given = ["mine", "--url", "pool.example:3333", "--user", "a.b"];
        Arguments::try_parse_from(given.iter().chain(more)).map(|arguments| arguments.mine)
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
        let config = parse(&more).unwrap().config(events);
        assert_eq!((config.algorithm, config.threads), (Algorithm::Scrypt, 3));
        assert_eq!((config.throttle, config.agent.as_str()), (25, "cgminer/4"));
        assert_eq!(config.suggest_difficulty, Some(0.5));
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
    fn what_makes_no_sense_is_refused_before_anything_starts() {
        for more in [
            ["--algorithm", "x11"],
            ["--throttle", "0"],
            ["--throttle", "101"],
            ["--shares", "0"],
            ["--threads", "-1"],
        ] {
            assert!(parse(&more).is_err(), "{more:?}");
        }
    }

    #[test]
    fn the_line_and_the_summary_say_how_it_goes() {
        let mut figures = Snapshot {
            pool: "stratum+tcp://p:1".into(),
            ..Snapshot::default()
        };
        assert_eq!(line_text(&figures), "stratum+tcp://p:1  connecting");
        figures.connected = true;
        figures.hashrate = 9_554_292;
        figures.accepted = 7;
        figures.rejected.insert("Stale".into(), 2);
        figures.difficulty = Some(0.25);
        figures.best = Some(4096.4);
        figures.hashes = 10;
        assert_eq!(
            line_text(&figures),
            "9.55 MH/s  7 accepted  2 rejected  difficulty 0.250  stratum+tcp://p:1"
        );
        assert_eq!(
            summary_text(&figures, 3),
            "10 hashes in 3 s: 7 shares accepted, 2 rejected\n  rejected 2: Stale\n  \
             best share: difficulty 4096\n"
        );
        assert_eq!(number_text(0.000_01), "1.00e-5");
    }
}
