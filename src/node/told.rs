//! What a node tells of itself: what has happened, line by line, and its hashrate over time. Both have a
//! limit, and end with the process.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{clock, worker::Event};

/// Lines that are kept.
const LINES_MAX: usize = 200;
/// The longest line, in characters.
const LINE_MAX: usize = 300;
/// Hashrates that are kept, and how far they are apart: twenty minutes.
pub(crate) const HISTORY_MAX: usize = 120;
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// Both. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    lines: VecDeque<Line>,
    history: VecDeque<Sample>,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// In milliseconds since 1970.
    pub(crate) time_ms: i64,
    pub(crate) text: String,
    /// The accepted shares that it stands for.
    shares: u64,
}

/// A hashrate at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// In milliseconds since 1970.
    pub(crate) time_ms: i64,
    /// Hashes per second.
    pub(crate) hashrate: f64,
}

impl Told {
    /// Writes a line.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        let text = text.as_ref().chars().filter(|letter| !letter.is_control());
        let line = Line {
            time_ms: clock::now_ms(),
            text: text.take(LINE_MAX).collect(),
            shares: 0,
        };
        let mut kept = self.kept();
        kept.lines.push_front(line);
        kept.lines.truncate(LINES_MAX);
    }

    /// Writes what the node's own worker tells, as far as a person wants to read it.
    pub(crate) fn event(&self, event: &Event) {
        match event {
            Event::Connected { pool } => self.say(format!("mining at {pool}")),
            Event::Disconnected { reason } => self.say(format!("no connection: {reason}")),
            Event::Accepted { difficulty, .. } => self.share(*difficulty),
            Event::Rejected { job_id, reason, .. } => {
                self.say(format!("share refused, job {job_id}: {reason}"));
            }
            Event::Message { text } => self.say(format!("the pool says: {text}")),
            Event::Job { .. } => {}
        }
    }

    /// Writes that a share was accepted: those between two other events are one line.
    fn share(&self, difficulty: f64) {
        let mut kept = self.kept();
        let before = kept.lines.front().map_or(0, |line| line.shares);
        if before > 0 {
            kept.lines.pop_front();
        }
        let shares = before + 1;
        let text = match shares {
            1 => format!("a share accepted, of difficulty {difficulty}"),
            _ => format!("{shares} shares accepted, the last one of difficulty {difficulty}"),
        };
        kept.lines.push_front(Line {
            time_ms: clock::now_ms(),
            text,
            shares,
        });
        kept.lines.truncate(LINES_MAX);
    }

    /// Keeps a hashrate.
    pub(crate) fn sample(&self, hashrate: f64) {
        let mut kept = self.kept();
        kept.history.push_back(Sample {
            time_ms: clock::now_ms(),
            hashrate,
        });
        if kept.history.len() > HISTORY_MAX {
            kept.history.pop_front();
        }
    }

    /// The newest lines, the newest first.
    pub(crate) fn lines(&self, most: usize) -> Vec<Line> {
        self.kept().lines.iter().take(most).cloned().collect()
    }

    /// The newest hashrate, if there is one since this time in milliseconds since 1970.
    pub(crate) fn newest_since(&self, since_ms: i64) -> Option<f64> {
        let kept = self.kept();
        let newest = kept.history.back();
        let newest = newest.filter(|sample| sample.time_ms >= since_ms);
        newest.map(|sample| sample.hashrate)
    }

    /// The hashrates, the oldest first.
    pub(crate) fn history(&self) -> Vec<Sample> {
        self.kept().history.iter().copied().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_hashrates_have_a_limit_and_the_oldest_go() {
        let told = Told::default();
        for number in 0..1_000 {
            told.say(format!("line {number}"));
            told.sample(f64::from(number));
        }
        let lines = told.lines(usize::MAX);
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!((&*lines[0].text, &*lines[1].text), ("line 999", "line 998"));
        assert_eq!(told.lines(2).len(), 2);
        let history = told.history();
        assert_eq!(history.len(), HISTORY_MAX);
        assert!(history[0].hashrate < history[1].hashrate);
        assert!((history[HISTORY_MAX - 1].hashrate - 999.0).abs() < 0.5);
    }

    #[test]
    fn shares_in_a_row_are_one_line() {
        let told = Told::default();
        let share = Event::Accepted {
            hash: pow::Hash([0; 32]),
            job_id: "1".into(),
            difficulty: 4.0,
            best: 4.0,
        };
        let texts = || -> Vec<String> {
            let lines = told.lines(9).into_iter();
            lines.map(|line| line.text).collect()
        };
        told.event(&share);
        assert_eq!(texts(), ["a share accepted, of difficulty 4"]);
        (0..2).for_each(|_| told.event(&share));
        told.say("something else");
        told.event(&share);
        assert_eq!(
            texts(),
            [
                "a share accepted, of difficulty 4",
                "something else",
                "3 shares accepted, the last one of difficulty 4"
            ]
        );
    }

    #[test]
    fn what_a_pool_says_is_one_line_of_bounded_length() {
        let told = Told::default();
        let text = format!("a\r\nb\u{1b}[2J{}", "x".repeat(5_000));
        told.event(&Event::Message { text });
        let [line] = &told.lines(9)[..] else {
            panic!("one line");
        };
        assert!(
            line.text.starts_with("the pool says: ab[2Jx"),
            "{}",
            line.text
        );
        assert_eq!(line.text.chars().count(), LINE_MAX);
    }
}
