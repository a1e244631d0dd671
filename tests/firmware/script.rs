//! What a firmware says and what it must hear, as data, and the miner that plays it.

use std::time::Duration;

use serde_json::Value;

use crate::support::{ADDRESS, Miner, miner::Solution, transport::Transport};

/// One thing that a firmware does.
///
/// Texts may hold `{user}`, and once they are known `{session}` and `{en1}` (from the subscription),
/// `{job}`, `{en2}`, `{ntime}`, `{nonce}`, `{short nonce}` (without leading zeros) and `{bits}`
/// (from the share that was mined).
pub(crate) enum Step {
    /// Sends these lines in one write, without waiting for anything.
    Say(&'static str),
    /// The same, so many times.
    Repeat(usize, &'static str),
    /// The next line is this one, byte for byte.
    Hear(&'static str),
    /// The next answer is this one, byte for byte; only notifications may come before it.
    Answer(&'static str),
    /// The difficulty and then the first job, which is a clean one.
    Work,
    /// Does not read for a while.
    Pause(Duration),
    /// Nothing more has come.
    Quiet,
    /// Finds a share of the newest job, with these version bits rolled.
    Mine(Option<u32>),
}

/// A firmware's way from its first byte to an accepted share.
pub(crate) struct Fixture {
    /// The name of its worker, too.
    pub(crate) name: &'static str,
    /// What it calls itself, as the pool's status must show it.
    pub(crate) agent: &'static str,
    /// The length of the whole user name, where the device has a limit of its own.
    pub(crate) user_len: usize,
    /// The longest line it can read, with the line's end.
    pub(crate) line_max: usize,
    pub(crate) steps: &'static [Step],
}

/// What most fixtures have in common.
pub(crate) const ANY: Fixture = Fixture {
    name: "",
    agent: "",
    user_len: 0,
    line_max: usize::MAX,
    steps: &[],
};

/// How long is waited for what must not come.
const QUIET: Duration = Duration::from_millis(100);

impl Fixture {
    /// The user name it logs in with.
    pub(crate) fn user(&self) -> String {
        let name = format!("{ADDRESS}.{}", self.name);
        let missing = self.user_len.saturating_sub(name.len());
        name + &"x".repeat(missing)
    }

    /// Plays all steps; the connection is still open afterwards.
    pub(crate) fn play(&self, transport: &dyn Transport, port: u16) -> Player<'_> {
        println!("{}", self.name);
        let mut player = Player {
            fixture: self,
            miner: Miner::over(transport, port),
            session: None,
            solution: None,
            configured: false,
            authorized: false,
        };
        for step in self.steps {
            player.step(step);
        }
        player
    }
}

/// A firmware in the middle of its script.
pub(crate) struct Player<'a> {
    fixture: &'a Fixture,
    pub(crate) miner: Miner,
    session: Option<String>,
    solution: Option<Solution>,
    configured: bool,
    authorized: bool,
}

impl Player<'_> {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Say(lines) => self.say(lines),
            Step::Repeat(times, lines) => self.say(&vec![*lines; *times].join("\n")),
            Step::Hear(expected) => {
                let line = self.line();
                self.check(&line, expected);
            }
            Step::Answer(expected) => loop {
                let line = self.line();
                let value: Value = serde_json::from_str(&line).unwrap();
                if value["method"].is_null() {
                    self.check(&line, expected);
                    break;
                }
                assert!(self.authorized, "sent before the authorization: {line}");
            },
            Step::Work => self.work(),
            Step::Pause(time) => std::thread::sleep(*time),
            Step::Quiet => assert_eq!(self.miner.overheard(QUIET), ""),
            Step::Mine(bits) => {
                let target = self.miner.target();
                let solution = self.miner.solve(1, *bits, |hash| target.is_met_by(hash));
                self.solution = Some(solution);
            }
        }
    }

    fn say(&mut self, lines: &str) {
        self.configured |= lines.contains("mining.configure");
        let lines = self.filled_in(lines);
        self.miner.say(&lines);
    }

    /// The next line, which has been followed as a miner does.
    fn line(&mut self) -> String {
        let line = self.miner.line().expect("the pool says something");
        assert!(line.len() < self.fixture.line_max, "{} bytes", line.len());
        let is_mask = line.contains("mining.set_version_mask");
        assert!(
            !is_mask || self.configured && self.authorized,
            "firmware restarts when this comes early or unasked: {line}"
        );
        self.miner.follow(&line);
        line
    }

    fn check(&mut self, line: &str, expected: &str) {
        if expected.contains("{en1}") {
            self.subscribed(line);
        }
        self.authorized |= line.contains(r#""result":true"#);
        assert_eq!(line, self.filled_in(expected));
    }

    fn subscribed(&mut self, line: &str) {
        let answer: Value = serde_json::from_str(line).unwrap();
        let result = &answer["result"];
        let text = |value: &Value| {
            value
                .as_str()
                .unwrap_or_else(|| panic!("{line}"))
                .to_owned()
        };
        let (session, extranonce1) = (text(&result[0][1][1]), text(&result[1]));
        assert!(is_number(&extranonce1), "{line}");
        assert!(!session.is_empty(), "{line}");
        self.session = Some(session);
        self.miner.extranonce1 = hex::decode(extranonce1).unwrap();
        // Larger, Whatsminer and cgminer overflow; smaller, rentals run out of work.
        self.miner.extranonce2_size = 8;
    }

    fn work(&mut self) {
        let line = loop {
            let line = self.line();
            if !line.contains("mining.set_version_mask") {
                break line;
            }
        };
        let difficulty = line
            .strip_prefix(r#"{"id":null,"method":"mining.set_difficulty","params":["#)
            .and_then(|rest| rest.strip_suffix("]}"))
            .unwrap_or_else(|| panic!("not a difficulty: {line}"));
        assert!(
            difficulty.bytes().all(|b| b.is_ascii_digit() || b == b'.'),
            "firmware misreads exponents: {line}"
        );
        let line = self.line();
        let notify: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(notify["method"], "mining.notify", "{line}");
        assert_eq!(notify["id"], Value::Null, "{line}");
        let params = notify["params"].as_array().unwrap();
        assert_eq!(params.len(), 9, "{line}");
        for number in &params[5..8] {
            assert!(is_number(number.as_str().unwrap()), "{line}");
        }
        assert!(params[4].as_array().unwrap().len() <= 32, "{line}");
        assert_eq!(params[8], true, "the first job is a clean one: {line}");
    }

    /// The text with what is known in place of the names in braces.
    fn filled_in(&self, text: &str) -> String {
        let mut text = text.replace("{user}", &self.fixture.user());
        if let Some(session) = &self.session {
            text = text
                .replace("{session}", session)
                .replace("{en1}", &hex::encode(&self.miner.extranonce1));
        }
        if let Some(solution) = &self.solution {
            let bits = solution.version_bits.unwrap_or(0);
            text = text
                .replace("{job}", &solution.job_id)
                .replace("{en2}", &hex::encode(&solution.extranonce2))
                .replace("{ntime}", &format!("{:08x}", solution.ntime))
                .replace("{nonce}", &format!("{:08x}", solution.nonce))
                .replace("{short nonce}", &format!("{:x}", solution.nonce))
                .replace("{bits}", &format!("{bits:08x}"));
        }
        text
    }
}

/// Eight digits in lower case, as cgminer and all after it write and read 32 bits.
fn is_number(text: &str) -> bool {
    text.len() == 8
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
