//! `adit top`: asks a running pool now and then, and shows it until `q`.

use std::{
    io::{IsTerminal as _, stdout},
    time::Duration,
};

use anyhow::ensure;
use clap::Parser;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEventKind},
};
use reqwest::Url;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::pool::stop_signal;
use crate::{
    config::BadConfig,
    top::{After, Status, Top as Screen},
};

/// How often keys are looked for: a person does not see the difference.
const KEYS: Duration = Duration::from_millis(50);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A status has fifty sessions and blocks of each pool.
const ANSWER_MAX: u64 = 8 << 20;

/// Show a running pool in the terminal
#[derive(Debug, Parser)]
pub(crate) struct Top {
    /// Where the pool's status page is
    #[arg(
        short,
        long,
        default_value = "http://127.0.0.1:3334",
        value_name = "URL"
    )]
    url: String,
    /// Seconds between two looks
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

impl Top {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let url = self.endpoint().map_err(BadConfig::Value)?;
        ensure!(
            stdout().is_terminal(),
            "there is no terminal to show it on; {url} has the same as JSON"
        );
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let screen = Screen::new(self.url.trim_end_matches('/'), colours);
        let mut terminal = ratatui::try_init()?;
        let shown = self.show(screen, &url, &mut terminal).await;
        ratatui::try_restore()?;
        shown
    }

    async fn show(
        &self,
        mut screen: Screen,
        url: &Url,
        terminal: &mut DefaultTerminal,
    ) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let mut keys = interval(KEYS);
        keys.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let every = Duration::from_secs(self.every);
        let stop = stop_signal();
        tokio::pin!(stop);
        // Asked beside the keys, so that `q` works while the pool does not answer.
        let mut asking = Box::pin(ask(&client, url, Instant::now()));
        terminal.draw(|frame| screen.draw(frame))?;
        loop {
            tokio::select! {
                answer = &mut asking => {
                    screen.heard(answer);
                    asking.set(ask(&client, url, Instant::now() + every));
                }
                _ = keys.tick() => {
                    let mut any = false;
                    while event::poll(Duration::ZERO)? {
                        any = true;
                        if let Event::Key(key) = event::read()?
                            && key.kind != KeyEventKind::Release
                            && screen.pressed(key) == After::Quit
                        {
                            return Ok(());
                        }
                    }
                    if !any {
                        continue;
                    }
                }
                () = &mut stop => return Ok(()),
            }
            terminal.draw(|frame| screen.draw(frame))?;
        }
    }

    fn endpoint(&self) -> Result<Url, String> {
        let url = format!("{}/api/v1/status", self.url.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|error| format!("--url: {error}"))?;
        match url.scheme() {
            "http" => Ok(url),
            _ => Err("--url starts with http://; reach a distant pool through a tunnel".into()),
        }
    }
}

/// What the pool says at that time, or a sentence about why it says nothing.
async fn ask(client: &reqwest::Client, url: &Url, at: Instant) -> Result<Status, String> {
    tokio::time::sleep_until(at).await;
    let said = |error: reqwest::Error| match error {
        error if error.is_timeout() => format!("nothing came within {} s", PATIENCE.as_secs()),
        error if error.is_connect() => "nothing listens there".to_owned(),
        error => error.without_url().to_string(),
    };
    let response = client.get(url.clone()).send().await.map_err(said)?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("it says {status}"));
    }
    if response
        .content_length()
        .is_some_and(|size| size > ANSWER_MAX)
    {
        return Err("it says far too much".to_owned());
    }
    let mut body = Vec::new();
    let mut response = response;
    while let Some(chunk) = response.chunk().await.map_err(said)? {
        body.extend_from_slice(&chunk);
        if u64::try_from(body.len()).is_ok_and(|size| size > ANSWER_MAX) {
            return Err("it says far too much".to_owned());
        }
    }
    serde_json::from_slice(&body).map_err(|_| "what it says is no status of a pool".to_owned())
}
