//! What `adit top` shows: the newest status of a running pool, what is looked at, and what a key does
//! to it. `src/top/screen.rs` draws it; `src/subcommand/top.rs` asks the pool and reads keys.
//!
//! Whatever the pool says is of others, miners among them, and is shown as [`plain`] text alone.

mod screen;

use std::cmp::Ordering;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde::Deserialize;

use crate::display::plain;

/// The state of the screen.
#[derive(Debug)]
pub struct Top {
    /// Where the pool is asked.
    url: String,
    /// What it said last.
    status: Option<Status>,
    /// Why it does not answer now.
    trouble: Option<String>,
    pool: usize,
    /// The row of workers that is marked.
    row: usize,
    sort: Column,
    /// Largest first.
    descending: bool,
    colours: bool,
}

/// What to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Draw again.
    Draw,
    /// End.
    Quit,
}

/// What workers are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Worker,
    Device,
    Difficulty,
    Accepted,
    Rejected,
    LastShare,
}

/// `/api/v1/status`, as far as it is shown. What is missing is not shown.
#[derive(Debug, Deserialize)]
pub struct Status {
    #[serde(default)]
    time: String,
    #[serde(default)]
    pools: Vec<Pool>,
}

#[derive(Debug, Deserialize)]
struct Pool {
    name: String,
    coin: String,
    #[serde(default)]
    network: String,
    template: Option<Template>,
    stopped: Option<String>,
    connected: u64,
    hashrate: Hashrate,
    shares: Shares,
    verification: Option<Verification>,
    blocks: Blocks,
    #[serde(default)]
    daemons: Vec<Daemon>,
    #[serde(default)]
    sessions: Vec<Session>,
}

#[derive(Debug, Deserialize)]
struct Template {
    height: u32,
    difficulty: f64,
    transactions: u64,
    age_s: u64,
}

#[derive(Debug, Deserialize)]
struct Hashrate {
    #[serde(rename = "1m")]
    minute: f64,
    #[serde(rename = "15m")]
    quarter: f64,
    #[serde(rename = "1h")]
    hour: f64,
}

#[derive(Debug, Deserialize)]
struct Shares {
    accepted: u64,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

#[derive(Debug, Deserialize)]
struct Verification {
    verified: u64,
    forged: u64,
    believed: u64,
    throttled: u64,
    waiting: u64,
    per_second: f64,
}

#[derive(Debug, Deserialize)]
struct Rejected {
    reason: String,
    count: u64,
}

#[derive(Debug, Deserialize)]
struct Blocks {
    found: u64,
    submitted: u64,
    immature: u64,
    mature: u64,
    orphaned: u64,
    effort: Option<Effort>,
    #[serde(default)]
    last: Vec<Block>,
}

#[derive(Debug, Deserialize)]
struct Effort {
    percent: String,
}

#[derive(Debug, Deserialize)]
struct Block {
    height: u32,
    worker: String,
    found: String,
    state: String,
    confirmations: u32,
}

#[derive(Debug, Deserialize)]
struct Daemon {
    name: String,
    fit: bool,
    reason: Option<String>,
    height: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Session {
    worker: String,
    #[serde(default)]
    agent: String,
    difficulty: f64,
    accepted: u64,
    rejected: u64,
    last_share: Option<String>,
}

impl Column {
    const ALL: [Self; 6] = [
        Self::Worker,
        Self::Device,
        Self::Difficulty,
        Self::Accepted,
        Self::Rejected,
        Self::LastShare,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Device => "device",
            Self::Difficulty => "diff",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::LastShare => "last",
        }
    }

    /// The column `by` places to the right; after the last one comes the first.
    fn beside(self, by: usize) -> Self {
        let all = Self::ALL;
        let at = all.iter().position(|column| *column == self).unwrap_or(0);
        all[(at + by) % all.len()]
    }

    fn compare(self, a: &Session, b: &Session) -> Ordering {
        match self {
            Self::Worker => a.worker.cmp(&b.worker),
            Self::Device => a.agent.cmp(&b.agent),
            Self::Difficulty => a.difficulty.total_cmp(&b.difficulty),
            Self::Accepted => a.accepted.cmp(&b.accepted),
            Self::Rejected => a.rejected.cmp(&b.rejected),
            // Times of one form are in the order of their texts.
            Self::LastShare => a.last_share.cmp(&b.last_share),
        }
    }
}

impl Top {
    /// Before the pool at this URL was asked.
    pub fn new(url: &str, colours: bool) -> Self {
        Self {
            url: url.to_owned(),
            status: None,
            trouble: None,
            pool: 0,
            row: 0,
            sort: Column::Accepted,
            descending: true,
            colours,
        }
    }

    /// What the pool said, or why it said nothing. The figures of before stay.
    pub fn heard(&mut self, answer: Result<Status, String>) {
        match answer {
            Ok(mut status) => {
                for pool in &mut status.pools {
                    pool.make_plain();
                }
                status.time = plain(&status.time);
                self.status = Some(status);
                self.trouble = None;
                self.sort_workers();
            }
            Err(why) => self.trouble = Some(plain(&why)),
        }
    }

    /// What a key does.
    pub fn pressed(&mut self, key: KeyEvent) -> After {
        let rows = self.shown().map_or(0, |pool| pool.sessions.len());
        let last = rows.saturating_sub(1);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return After::Quit,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return After::Quit;
            }
            KeyCode::Char('p') => {
                let pools = self.status.as_ref().map_or(0, |status| status.pools.len());
                self.pool = (self.pool + 1) % pools.max(1);
                self.row = 0;
            }
            KeyCode::Down => self.row = (self.row + 1).min(last),
            KeyCode::Up => self.row = self.row.saturating_sub(1),
            KeyCode::PageDown => self.row = (self.row + 10).min(last),
            KeyCode::PageUp => self.row = self.row.saturating_sub(10),
            KeyCode::Home => self.row = 0,
            KeyCode::End => self.row = last,
            KeyCode::Right => self.sort = self.sort.beside(1),
            KeyCode::Left => self.sort = self.sort.beside(Column::ALL.len() - 1),
            KeyCode::Char('r') => self.descending = !self.descending,
            _ => {}
        }
        self.sort_workers();
        After::Draw
    }

    fn shown(&self) -> Option<&Pool> {
        let pools = &self.status.as_ref()?.pools;
        pools.get(self.pool).or_else(|| pools.first())
    }

    fn sort_workers(&mut self) {
        let (sort, descending) = (self.sort, self.descending);
        let Some(status) = &mut self.status else {
            return;
        };
        for pool in &mut status.pools {
            pool.sessions.sort_by(|a, b| {
                let order = sort.compare(a, b);
                let order = if descending { order.reverse() } else { order };
                order.then_with(|| a.worker.cmp(&b.worker))
            });
        }
        let rows = self.shown().map_or(0, |pool| pool.sessions.len());
        self.row = self.row.min(rows.saturating_sub(1));
    }
}

impl Pool {
    fn make_plain(&mut self) {
        let clean = |text: &mut String| *text = plain(text);
        let clean_some = |text: &mut Option<String>| {
            if let Some(text) = text {
                clean(text);
            }
        };
        for text in [&mut self.name, &mut self.coin, &mut self.network] {
            clean(text);
        }
        clean_some(&mut self.stopped);
        for rejected in &mut self.shares.rejected {
            clean(&mut rejected.reason);
        }
        if let Some(effort) = &mut self.blocks.effort {
            clean(&mut effort.percent);
        }
        for block in &mut self.blocks.last {
            for text in [&mut block.worker, &mut block.found, &mut block.state] {
                clean(text);
            }
        }
        for daemon in &mut self.daemons {
            clean(&mut daemon.name);
            clean_some(&mut daemon.reason);
        }
        for session in &mut self.sessions {
            clean(&mut session.worker);
            clean(&mut session.agent);
            clean_some(&mut session.last_share);
        }
    }
}
