//! The screen of `adit top`. It is made for 80 columns and 24 lines, shows more where there is room,
//! and what matters most where there is less. Without colours nothing is missing.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row, Table, TableState},
};

use super::{Blocks, Column, Pool, Session, Template, Top, Verification};
use crate::display::{difficulty, hashrate};

/// Blocks that are listed where there is room.
const BLOCKS_MAX: usize = 5;
/// Nodes that are listed.
const DAEMONS_MAX: usize = 3;
/// The widths of difficulty, accepted, rejected and last share.
const FIGURES: [u16; 4] = [8, 10, 10, 8];
/// Below so many lines there is only room for workers.
const BLOCKS_FROM: u16 = 20;

impl Top {
    /// Draws all of it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let head = self.head();
        let blocks = match self.shown() {
            Some(pool) if area.height >= BLOCKS_FROM => self.blocks(&pool.blocks),
            _ => Vec::new(),
        };
        let lines = |lines: &[Line<'_>]| u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let [top, workers, below, foot] = Layout::vertical([
            Constraint::Length(lines(&head)),
            Constraint::Min(0),
            Constraint::Length(lines(&blocks)),
            Constraint::Length(1),
        ])
        .areas(area);
        frame.render_widget(Paragraph::new(head), top);
        if let Some(pool) = self.shown() {
            self.workers(&pool.sessions, frame, workers);
        }
        frame.render_widget(Paragraph::new(blocks), below);
        let keys = "q quit  p next pool  up/down mark  left/right sort by  r reverse";
        frame.render_widget(Paragraph::new(keys).style(self.dim()), foot);
    }

    fn head(&self) -> Vec<Line<'_>> {
        let mut lines = vec![self.title()];
        if let Some(why) = &self.trouble {
            let told = format!("The pool does not answer: {why}.");
            lines.push(Line::styled(told, self.alarm()));
            let told = match &self.status {
                None => "Trying on.".to_owned(),
                Some(status) => format!("Trying on; what follows is of {}.", clock(&status.time)),
            };
            lines.push(Line::styled(told, self.alarm()));
        } else if self.status.is_none() {
            lines.push(Line::raw("Asking the pool ..."));
        }
        let Some(pool) = self.shown() else {
            if self.status.is_some() {
                lines.push(Line::raw("The process has no pool."));
            }
            return lines;
        };
        lines.push(labelled("hashrate", rates(pool)));
        lines.push(match (&pool.template, &pool.stopped) {
            (Some(template), _) => labelled("work", work(template)),
            (None, reason) => {
                let why = reason.as_deref().unwrap_or("none");
                let mut line = labelled("work", format!("NONE: {why}"));
                line.style = self.alarm();
                line
            }
        });
        lines.push(labelled("shares", shares(pool)));
        lines.extend(
            pool.verification
                .as_ref()
                .map(|it| labelled("verify", verified(it))),
        );
        lines.push(labelled("blocks", found(&pool.blocks)));
        for daemon in pool.daemons.iter().take(DAEMONS_MAX) {
            let height = daemon.height.map(|height| format!(" at height {height}"));
            let height = height.unwrap_or_default();
            lines.push(match (daemon.fit, &daemon.reason) {
                (true, _) => labelled("node", format!("{}{height}, in order", daemon.name)),
                (false, reason) => {
                    let why = reason.as_deref().unwrap_or("not fit");
                    let mut line = labelled("node", format!("{} NOT USED: {why}", daemon.name));
                    line.style = self.alarm();
                    line
                }
            });
        }
        lines.push(Line::default());
        lines
    }

    fn title(&self) -> Line<'_> {
        let mut text = format!("adit top  {}", self.url);
        if let Some(status) = &self.status {
            let of = status.pools.len();
            if let Some(pool) = self.shown() {
                let Pool {
                    name,
                    coin,
                    network,
                    ..
                } = pool;
                text += &format!("  {name} ({coin} {network})");
            }
            if of > 1 {
                text += &format!("  pool {} of {of}", self.pool + 1);
            }
            text += &format!("  {}", clock(&status.time));
        }
        Line::styled(text, Style::new().add_modifier(Modifier::BOLD))
    }

    fn workers(&self, sessions: &[Session], frame: &mut Frame<'_>, area: Rect) {
        let title = |column: Column| {
            let mark = match (column == self.sort, self.descending) {
                (false, _) => "",
                (true, true) => " v",
                (true, false) => " ^",
            };
            Cell::from(format!("{}{mark}", column.title()))
        };
        let header = Row::new(Column::ALL.map(title)).style(self.dim());
        // What the figures, the mark and the gaps leave.
        let free = area.width.saturating_sub(FIGURES.iter().sum::<u16>() + 7);
        let (worker, device) = (free - free / 3, free / 3);
        let row = |session: &Session| {
            let last = session.last_share.as_deref().map_or("-", clock);
            Row::new([
                shortened(&session.worker, worker.into()),
                shortened(&session.agent, device.into()),
                difficulty(session.difficulty),
                session.accepted.to_string(),
                session.rejected.to_string(),
                last.to_owned(),
            ])
        };
        let widths = [&[worker, device], &FIGURES[..]].concat();
        let widths = widths.into_iter().map(Constraint::Length);
        let table = Table::new(sessions.iter().map(row), widths)
            .header(header)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
            .highlight_symbol("> ");
        let marked = (!sessions.is_empty()).then_some(self.row);
        let mut state = TableState::new().with_selected(marked);
        frame.render_stateful_widget(table, area, &mut state);
    }

    fn blocks(&self, blocks: &Blocks) -> Vec<Line<'_>> {
        if blocks.last.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![Line::default(), Line::styled("last blocks", self.dim())];
        for block in blocks.last.iter().take(BLOCKS_MAX) {
            let text = format!(
                "{:>9}  {:9}  {:>4} deep  {}  {}",
                block.height,
                block.state,
                block.confirmations,
                block.found.replace('T', " ").trim_end_matches('Z'),
                shortened(&block.worker, 26),
            );
            let style = match block.state.as_str() {
                "orphaned" => self.alarm(),
                _ => Style::new(),
            };
            lines.push(Line::styled(text, style));
        }
        lines
    }

    fn dim(&self) -> Style {
        match self.colours {
            true => Style::new().fg(Color::Cyan),
            false => Style::new(),
        }
    }

    fn alarm(&self) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        match self.colours {
            true => bold.fg(Color::Red),
            false => bold,
        }
    }
}

fn labelled(label: &'static str, text: String) -> Line<'static> {
    Line::from(vec![
        Span::raw(format!("{label:10}")),
        Span::styled(text, Style::new()),
    ])
}

fn rates(pool: &Pool) -> String {
    let rate = &pool.hashrate;
    format!(
        "1m {}   15m {}   1h {}   {} miners connected",
        hashrate(rate.minute),
        hashrate(rate.quarter),
        hashrate(rate.hour),
        pool.connected
    )
}

fn work(template: &Template) -> String {
    format!(
        "height {}, difficulty {}, {} transactions, {} s old",
        template.height,
        difficulty(template.difficulty),
        template.transactions,
        template.age_s
    )
}

fn shares(pool: &Pool) -> String {
    let rejected = &pool.shares.rejected;
    let sum = rejected
        .iter()
        .fold(0_u64, |sum, reason| sum.saturating_add(reason.count));
    let mut text = format!("{} accepted, {sum} rejected", pool.shares.accepted);
    let mut reasons: Vec<_> = rejected.iter().filter(|reason| reason.count > 0).collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    let told = reasons.iter().take(3);
    let told: Vec<_> = told
        .map(|reason| format!("{} {}", reason.count, reason.reason))
        .collect();
    if !told.is_empty() {
        text += &format!(" ({})", told.join(", "));
    }
    text
}

fn verified(verification: &Verification) -> String {
    let Verification {
        verified,
        forged,
        believed,
        throttled,
        waiting,
        per_second,
    } = verification;
    format!(
        "{verified} true, {forged} forged, {believed} believed, {throttled} throttled; \
         {waiting} wait, {per_second:.1}/s"
    )
}

fn found(blocks: &Blocks) -> String {
    let mut text = format!(
        "{} found: {} submitted, {} immature, {} mature, {} orphaned",
        blocks.found, blocks.submitted, blocks.immature, blocks.mature, blocks.orphaned
    );
    if let Some(effort) = &blocks.effort {
        text += &format!("; effort {} %", effort.percent);
    }
    text
}

/// The clock of a time in RFC 3339.
fn clock(time: &str) -> &str {
    time.get(11..19).unwrap_or(time)
}

/// Beginning and end of a long text: an address begins with the network, and ends with the name.
fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most || !text.is_ascii() || most < 8 {
        return text.to_owned();
    }
    let end = most / 2;
    let start = most - end - 2;
    format!("{}..{}", &text[..start], &text[text.len() - end..])
}

#[cfg(test)]
mod tests {
    use ratatui::{
        Terminal,
        backend::TestBackend,
        buffer::Buffer,
        crossterm::event::{KeyCode, KeyEvent},
    };
    use serde_json::json;

    use super::*;
    use crate::top::{After, Status};

    fn status() -> serde_json::Value {
        let session = |worker: &str, agent: &str, accepted: u64| {
            json!({"worker": worker, "agent": agent, "difficulty": 1024.0, "accepted": accepted,
                "rejected": 1, "last_share": "2026-11-27T08:00:09Z"})
        };
        let pool = |name: &str| {
            json!({
                "name": name, "coin": "bitcoin", "network": "regtest", "connected": 2,
                "template": {"height": 102, "difficulty": 1e14, "transactions": 7, "age_s": 3},
                "stopped": null,
                "hashrate": {"1m": 1.5e12, "15m": 1e12, "1h": 9e11},
                "shares": {"accepted": 40, "rejected": [{"reason": "stale", "count": 2},
                    {"reason": "duplicate", "count": 0}]},
                "blocks": {"found": 1, "submitted": 0, "immature": 1, "mature": 0, "orphaned": 0,
                    "effort": {"percent": "34.50"},
                    "last": [{"height": 101, "worker": "bc1qexample.rig", "state": "immature",
                        "found": "2026-11-27T07:00:00Z", "confirmations": 2}]},
                "daemons": [{"name": "http://127.0.0.1:8332", "fit": true, "reason": null,
                    "height": 101}],
                "sessions": [session("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.garage", "bitaxe/BM1370", 10),
                    session("bc1qa.two", "\u{1b}[31mevil\u{202e}\u{200b}", 30)],
            })
        };
        json!({"time": "2026-11-27T08:00:10Z", "pools": [pool("main"), pool("second")]})
    }

    fn top(colours: bool) -> Top {
        let mut top = Top::new("http://127.0.0.1:3334", colours);
        top.heard(Ok(serde_json::from_value(status()).unwrap()));
        top
    }

    fn drawn(top: &Top, width: u16, height: u16) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| top.draw(frame)).unwrap();
        terminal.backend().buffer().clone()
    }

    fn lines(buffer: &Buffer) -> Vec<String> {
        let width = usize::from(buffer.area.width);
        let cells = buffer.content.chunks(width);
        let line = |row: &[ratatui::buffer::Cell]| row.iter().map(|cell| cell.symbol()).collect();
        cells.map(line).collect()
    }

    fn press(top: &mut Top, code: KeyCode) -> After {
        top.pressed(KeyEvent::from(code))
    }

    #[track_caller]
    fn has(lines: &[String], text: &str) -> usize {
        let found = lines.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("{text} is not in:\n{}", lines.join("\n")))
    }

    #[test]
    fn a_pool_fits_on_80_columns_and_24_lines() {
        let lines = lines(&drawn(&top(false), 80, 24));
        has(&lines, "main (bitcoin regtest)  pool 1 of 2  08:00:10");
        has(
            &lines,
            "1m 1.50 TH/s   15m 1.00 TH/s   1h 900 GH/s   2 miners",
        );
        has(
            &lines,
            "height 102, difficulty 100 T, 7 transactions, 3 s old",
        );
        has(&lines, "40 accepted, 2 rejected (2 stale)");
        has(
            &lines,
            "1 found: 0 submitted, 1 immature, 0 mature, 0 orphaned; effort 34.50 %",
        );
        has(&lines, "http://127.0.0.1:8332 at height 101, in order");
        has(
            &lines,
            "immature      2 deep  2026-11-27 07:00:00  bc1qexample.rig",
        );
        has(&lines, "q quit");
        let header = has(&lines, "accepted v");
        // Sorted by shares, and the first one is marked. The name at the end of an address is seen.
        assert!(
            lines[header + 1].starts_with("> bc1qa.two"),
            "{}",
            lines[header + 1]
        );
        assert!(
            lines[header + 1].contains("?[31mevil??"),
            "{}",
            lines[header + 1]
        );
        assert!(
            lines[header + 2].contains(".garage"),
            "{}",
            lines[header + 2]
        );
        assert!(
            lines[header + 2].contains("08:00:09"),
            "{}",
            lines[header + 2]
        );
    }

    #[test]
    fn what_is_verified_is_shown_where_that_is_costly() {
        let shown = lines(&drawn(&top(false), 80, 24));
        assert!(!shown.iter().any(|line| line.starts_with("verify")));
        let mut value = status();
        value["pools"][0]["verification"] = json!({"verified": 120, "forged": 2, "believed": 40,
            "throttled": 3, "waiting": 1, "per_second": 37.25, "trust_after": null});
        let mut top = Top::new("http://127.0.0.1:3334", false);
        top.heard(Ok(serde_json::from_value(value).unwrap()));
        let told = "verify    120 true, 2 forged, 40 believed, 3 throttled; 1 wait, 37.2/s";
        has(&lines(&drawn(&top, 80, 24)), told);
    }

    #[test]
    fn keys_sort_mark_and_change_the_pool() {
        let mut top = top(false);
        press(&mut top, KeyCode::Char('r'));
        let shown = lines(&drawn(&top, 80, 24));
        let header = has(&shown, "accepted ^");
        assert!(shown[header + 1].contains(".garage"));
        press(&mut top, KeyCode::Down);
        press(&mut top, KeyCode::Down);
        let shown = lines(&drawn(&top, 80, 24));
        assert!(
            shown[header + 2].starts_with("> bc1qa.two"),
            "{}",
            shown[header + 2]
        );
        for _ in 0..3 {
            press(&mut top, KeyCode::Left);
        }
        has(&lines(&drawn(&top, 80, 24)), "worker ^");
        press(&mut top, KeyCode::Char('p'));
        has(
            &lines(&drawn(&top, 80, 24)),
            "second (bitcoin regtest)  pool 2 of 2",
        );
        press(&mut top, KeyCode::Char('p'));
        has(&lines(&drawn(&top, 80, 24)), "pool 1 of 2");
        assert_eq!(press(&mut top, KeyCode::Char('x')), After::Draw);
        assert_eq!(press(&mut top, KeyCode::Char('q')), After::Quit);
        assert_eq!(press(&mut top, KeyCode::Esc), After::Quit);
    }

    #[test]
    fn a_pool_that_does_not_answer_is_told_and_its_figures_stay() {
        let mut top = Top::new("http://127.0.0.1:3334", false);
        has(&lines(&drawn(&top, 80, 24)), "Asking the pool");
        top.heard(Err("connection refused".into()));
        let shown = lines(&drawn(&top, 80, 24));
        has(&shown, "The pool does not answer: connection refused.");
        has(&shown, "Trying on.");
        top.heard(Ok(serde_json::from_value(status()).unwrap()));
        top.heard(Err("no answer \u{1b}[2J".into()));
        let shown = lines(&drawn(&top, 80, 24));
        has(&shown, "The pool does not answer: no answer ?[2J.");
        has(&shown, "what follows is of 08:00:10");
        has(&shown, "40 accepted");
    }

    #[test]
    fn no_work_and_an_unfit_node_are_told_in_words() {
        let mut value = status();
        let pool = &mut value["pools"][0];
        pool["template"] = json!(null);
        pool["stopped"] = json!("no daemon is fit");
        pool["daemons"][0]["fit"] = json!(false);
        pool["daemons"][0]["reason"] = json!("it has 0 peers, not 1");
        let mut top = Top::new("http://x", false);
        top.heard(Ok(serde_json::from_value(value).unwrap()));
        let shown = lines(&drawn(&top, 80, 24));
        has(&shown, "NONE: no daemon is fit");
        has(&shown, "NOT USED: it has 0 peers, not 1");
    }

    #[test]
    fn without_colours_there_are_none_and_with_them_there_are() {
        let coloured = |top: &Top| {
            let buffer = drawn(top, 80, 24);
            let plain = |color| color == Color::Reset;
            buffer
                .content
                .iter()
                .any(|cell| !plain(cell.fg) || !plain(cell.bg))
        };
        let mut with = top(true);
        with.heard(Err("gone".into()));
        assert!(coloured(&with));
        let mut without = top(false);
        without.heard(Err("gone".into()));
        assert!(!coloured(&without));
    }

    #[test]
    fn a_terminal_of_any_size_is_drawn_on() {
        let top = top(true);
        for width in [0, 1, 5, 20, 79, 200] {
            for height in [0, 1, 2, 5, 12, 19, 60] {
                drawn(&top, width, height);
            }
        }
    }

    #[test]
    fn a_status_without_pools_is_no_error() {
        let mut top = Top::new("http://x", false);
        let status: Status = serde_json::from_str("{}").unwrap();
        top.heard(Ok(status));
        for code in [
            KeyCode::Down,
            KeyCode::Char('p'),
            KeyCode::End,
            KeyCode::Left,
        ] {
            press(&mut top, code);
        }
        has(&lines(&drawn(&top, 80, 24)), "The process has no pool.");
    }
}
