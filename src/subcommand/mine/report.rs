//! What `adit mine` shows, prints and writes down while the worker works.
//!
//! It follows the events to the last one, so that no accepted share is missing from the log, and
//! it decides when enough shares were accepted. An error is one of writing.

use std::{
    io::{IsTerminal as _, Write},
    time::Duration,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    fs::{File, OpenOptions},
    io::AsyncWriteExt as _,
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Mine;
use crate::{
    display,
    worker::{Event, Snapshot},
};

/// Between two log lines where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Between two drawings of the progress line.
const DRAW_EVERY: Duration = Duration::from_millis(500);

/// What is shown, printed and written of the worker.
pub(super) struct Report<W> {
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
    pub(super) async fn open(
        mine: &Mine,
        figures: watch::Receiver<Snapshot>,
        out: W,
    ) -> anyhow::Result<Self> {
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
    pub(super) async fn follow(
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
                hashrate = display::hashrate(display::to_f64(figures.hashrate.into())),
                accepted = figures.accepted,
                rejected = figures.rejected_total(),
                difficulty = figures.difficulty,
                pool = figures.pool,
                connected = figures.connected,
                preparing = figures.preparing,
                "mining"
            ),
        }
    }

    pub(super) fn summarise(&mut self) -> anyhow::Result<()> {
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
    if let Some(percent) = figures.preparing {
        return format!("{}  filling RandomX's dataset: {percent} %", figures.pool);
    }
    let difficulty = figures
        .difficulty
        .map_or("no job yet".to_owned(), |difficulty| {
            format!("difficulty {}", number_text(difficulty))
        });
    format!(
        "{}  {} accepted  {} rejected  {difficulty}  {}",
        display::hashrate(display::to_f64(figures.hashrate.into())),
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
    use super::*;

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
        figures.preparing = Some(34);
        assert_eq!(
            line_text(&figures),
            "stratum+tcp://p:1  filling RandomX's dataset: 34 %"
        );
    }
}
