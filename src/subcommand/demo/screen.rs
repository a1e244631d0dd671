//! What the demo shows: a few living lines on a terminal, or a line for each block elsewhere.

use std::{
    io::{self, IsTerminal},
    sync::Mutex,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;

use crate::{api::PoolSummary, display, worker::Snapshot};

/// The terminal, if there is one. Everything goes to standard error.
pub(super) struct Screen {
    lines: Option<Lines>,
    /// The height of the last block that was told of.
    told: Mutex<Option<u32>>,
}

struct Lines {
    all: MultiProgress,
    pool: ProgressBar,
    workers: [ProgressBar; 2],
}

impl Screen {
    pub(super) fn new() -> Self {
        let lines = io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let line = || {
                let style = ProgressStyle::with_template("{msg}")
                    .expect("the template is a single known key");
                all.add(ProgressBar::new_spinner().with_style(style))
            };
            let (pool, workers) = (line(), [line(), line()]);
            Lines { all, pool, workers }
        });
        Self {
            lines,
            told: Mutex::new(None),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.lines.is_some()
    }

    /// Says where to look and where to connect.
    pub(super) fn open(&self, page: &str, miners: &str) {
        self.say("adit demo: a simulated node, a pool and two workers in this process.");
        self.say(&format!("  status page   {page}"));
        self.say(&format!("  for miners    {miners}"));
        self.say("  Ctrl-C ends it.");
        self.say("");
    }

    /// Shows the pool and its workers as they are now.
    pub(super) fn draw(&self, pool: &PoolSummary, workers: &[watch::Receiver<Snapshot>; 2]) {
        self.tell_of_blocks(pool);
        let Some(lines) = &self.lines else { return };
        let height = pool.template.as_ref().map_or(0, |template| template.height);
        lines.pool.set_message(format!(
            "pool    height {height}  {}  {} blocks  {} shares  {} rejected",
            display::hashrate(pool.hashrate.minute),
            pool.blocks.found,
            pool.shares.accepted,
            pool.rejected_total(),
        ));
        for ((line, snapshot), name) in lines.workers.iter().zip(workers).zip(["alice", "bob  "]) {
            let snapshot = snapshot.borrow();
            line.set_message(format!(
                "{name}   {}  difficulty {}  {} accepted  {} rejected",
                display::hashrate(display::to_f64(snapshot.hashrate.into())),
                snapshot
                    .difficulty
                    .map_or_else(|| "-".into(), display::difficulty),
                snapshot.accepted,
                snapshot.rejected_total(),
            ));
        }
    }

    /// Takes the living lines away.
    pub(super) fn clear(&self) {
        if let Some(Lines {
            pool,
            workers: [first, second],
            ..
        }) = &self.lines
        {
            for line in [pool, first, second] {
                line.finish_and_clear();
            }
        }
    }

    fn tell_of_blocks(&self, pool: &PoolSummary) {
        let mut told = self
            .told
            .lock()
            .expect("nothing panics while holding this lock");
        for block in pool.blocks.last.iter().rev() {
            if block.state == "submitted" || Some(block.height) <= *told {
                continue;
            }
            *told = Some(block.height);
            self.say(&format!(
                "block {} {}: {} {} by {}",
                block.height,
                if block.state == "orphaned" {
                    "orphaned"
                } else {
                    "accepted"
                },
                display::coins(&block.reward, 8),
                pool.ticker,
                block.worker.rsplit('.').next().unwrap_or_default(),
            ));
        }
    }

    fn say(&self, line: &str) {
        match &self.lines {
            // Without a terminal any more there is nobody to tell.
            Some(lines) => drop(lines.all.println(line)),
            None => eprintln!("{line}"),
        }
    }
}
