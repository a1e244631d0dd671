//! `adit node`: one process that mines alone, hosts a pool or joins one; and the words that switch it while it
//! runs.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand as Words};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    config::SettingsArguments,
    pool::{stop_signal, until},
};
use crate::{
    api,
    base::Base,
    config::{BadConfig, Config, Layers},
    display,
    node::{self, Running, Turns},
    reload::Reload,
    systemd::{self, Sockets},
    tasks::{Failures, Tasks},
    telemetry,
    worker::Profile,
};

/// A switch ends one mode in order and starts the next.
const PATIENCE: Duration = Duration::from_secs(90);

/// Mine alone, host a pool or join one, and switch between them while it runs
#[derive(Debug, Parser)]
pub(crate) struct Node {
    #[command(flatten)]
    settings: SettingsArguments,
    #[command(subcommand)]
    word: Option<Word>,
}

/// What is said to the node that runs.
#[derive(Debug, Words)]
enum Word {
    /// Show what the running node does
    Status(Reached),
    /// Have the running node mine alone
    Solo(Reached),
    /// Have the running node host a pool
    Host(Host),
    /// Have the running node join a pool
    Join(Join),
}

/// Where the node that runs is reached.
#[derive(Debug, Args)]
struct Reached {
    /// Where its status page is [default: http.listen of the settings]
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,
    /// A file with an operator's key, where this is not the node's own machine
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Host {
    #[command(flatten)]
    reached: Reached,
    /// What workers are told that the pool is called
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The pool's own part of each reward, in percent: 0 to 10
    #[arg(long, value_name = "PERCENT")]
    fee: Option<String>,
    /// Where workers connect: 7072 or 8082
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

#[derive(Debug, Args)]
struct Join {
    /// The pool: http://host:port or stratum+tcp://host:port [default: the one of the last time]
    #[arg(value_name = "POOL")]
    pool: Option<String>,
    /// The SHA-256 of the pool's certificate, if it signed that itself
    #[arg(long, value_name = "SHA256")]
    tls_fingerprint: Option<String>,
    #[command(flatten)]
    reached: Reached,
    /// Whom it pays: your address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// What the worker is called
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// How much of the machine to take: laptop, balanced or beast
    #[arg(long, value_name = "NAME")]
    profile: Option<Profile>,
    /// Without the pool for so many seconds, mine alone; with 0, wait for it
    #[arg(long, value_name = "SECONDS")]
    fall_back: Option<u64>,
}

impl Node {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match &self.word {
            None => self.go().await,
            Some(word) => self.say(word).await,
        }
    }

    async fn go(&self) -> anyhow::Result<()> {
        // Its ports open and close with its modes, so nobody is asked to keep them.
        Sockets::inherited().close_rest();
        let stopped = stop_signal();
        let hangup = signal(SignalKind::hangup()).context("no handler for SIGHUP")?;
        let (layers, config) = self.read()?;
        let filter = telemetry::start(&config.log)?;
        let (tasks, failures) = Tasks::new();
        let running = Running::default();
        let served = async {
            let settings = api::Setting::all(&layers, &config);
            let base = Base::open(&config, settings, Sockets::default(), &tasks).await?;
            let turns = Turns::open(base, &config, running.clone(), &tasks).await?;
            let reload = Reload::new(layers, config, filter, Vec::new());
            self.follow(turns, reload, hangup, failures).await
        };
        let served = until(stopped, served).await;
        let in_time = running.shut_down().await;
        let in_time = tasks.shut_down().await && in_time;
        served?;
        anyhow::ensure!(in_time, "not everything ended in time");
        Ok(())
    }

    /// Does what is wished for, until a failure.
    async fn follow(
        &self,
        mut turns: Turns,
        mut reload: Reload,
        mut hangup: Signal,
        mut failures: Failures,
    ) -> anyhow::Result<()> {
        systemd::ready();
        let watched = systemd::watchdog();
        loop {
            let alive = tokio::time::sleep(watched.unwrap_or(Duration::MAX));
            let turn = tokio::select! {
                failure = failures.first() => return Err(anyhow::anyhow!(failure)),
                Some(()) = hangup.recv() => {
                    systemd::reloading();
                    reload.take_for(turns.bans(), self.read());
                    systemd::ready();
                    continue;
                }
                () = alive, if watched.is_some() => {
                    systemd::alive();
                    continue;
                }
                turn = turns.next() => turn,
            };
            systemd::alive_while(turns.take(turn, reload.config())).await?;
        }
    }

    fn read(&self) -> Result<(Layers, Config), BadConfig> {
        let (layers, config) = self.settings.read()?;
        Ok((layers, node::configuration(config)))
    }

    async fn say(&self, word: &Word) -> anyhow::Result<()> {
        let (reached, path, body) = match word {
            Word::Status(reached) => {
                let status = self.ask(reached, Method::GET, "/api/v1/node", None).await?;
                print!("{}", shown(&status));
                return Ok(());
            }
            Word::Solo(reached) => (reached, "/api/pool/mode", json!({ "mode": "solo" })),
            Word::Host(host) => {
                let fee = host.fee.as_deref().map(|text| {
                    // As it is written, so that no float is counted with.
                    serde_json::from_str::<serde_json::Number>(text)
                        .map_err(|_| BadConfig::Value(format!("--fee: {text:?} is no percentage")))
                });
                let wish = json!({
                    "pool_name": host.name,
                    "pool_fee": fee.transpose()?,
                    "pool_port": host.port,
                });
                (&host.reached, "/api/pool/start", without_nulls(wish))
            }
            Word::Join(join) => {
                let wish = json!({
                    "mode": "join",
                    "url": join.pool,
                    "tls_fingerprint": join.tls_fingerprint,
                    "wallet_address": join.address,
                    "worker_name": join.worker,
                    "profile": join.profile.map(Profile::name),
                    "fall_back_s": join.fall_back,
                });
                (&join.reached, "/api/pool/mode", without_nulls(wish))
            }
        };
        self.ask(reached, Method::POST, path, Some(body)).await?;
        let status = self.ask(reached, Method::GET, "/api/v1/node", None).await?;
        print!("{}", shown(&status));
        Ok(())
    }

    /// Asks the node that runs. An error says what it says.
    async fn ask(
        &self,
        reached: &Reached,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let at = match &reached.url {
            Some(url) => url.clone(),
            None => {
                let (_, config) = self.settings.read()?;
                let listen = config.http.listen;
                let host = match listen.ip().is_unspecified() {
                    true => "127.0.0.1".to_owned(),
                    false => listen.ip().to_string(),
                };
                match listen.is_ipv6() && !listen.ip().is_unspecified() {
                    true => format!("http://[{host}]:{}", listen.port()),
                    false => format!("http://{host}:{}", listen.port()),
                }
            }
        };
        let url = Url::parse(&format!("{}{path}", at.trim_end_matches('/')));
        let url = url.map_err(|error| BadConfig::Value(format!("--url: {error}")))?;
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .build()?;
        let mut request = client.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(path) = &reached.key_file {
            let key = std::fs::read_to_string(path);
            let key = key.with_context(|| format!("cannot read {}", path.display()))?;
            request = request.bearer_auth(key.trim());
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| match error {
            error if error.is_connect() => anyhow::anyhow!("no node runs at {at}"),
            error => error.without_url().into(),
        })?;
        let status = answer.status();
        let said: Value = answer.json().await.unwrap_or_default();
        if !status.is_success() {
            let message = said["error"]["message"]
                .as_str()
                .unwrap_or("it does not say why");
            bail!("{}", display::plain(message));
        }
        Ok(said)
    }
}

/// What is not said stays as it is.
fn without_nulls(mut wish: Value) -> Value {
    if let Some(fields) = wish.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    wish
}

/// What a node does, for people.
fn shown(status: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => display::plain(text),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let mut lines = vec![
        ("mode", text(&status["mode"])),
        ("since", text(&status["since"])),
        (
            "hashrate",
            display::hashrate(status["hashrate"].as_f64().unwrap_or(0.0)),
        ),
    ];
    if !status["fell_back"].is_null() {
        lines.push(("alone because", text(&status["fell_back"])));
    }
    if let Some(hosted) = status["hosted"].as_object() {
        lines.push(("pool", text(&hosted["name"])));
        lines.push(("workers connect to", text(&hosted["url"])));
    }
    if let Some(worker) = status["worker"].as_object() {
        lines.push(("mining at", text(&worker["pool"])));
        lines.push(("connected", text(&worker["connected"])));
        lines.push(("shares accepted", text(&worker["accepted"])));
        lines.push(("shares refused", text(&worker["rejected"])));
        if !worker["last_error"].is_null() {
            lines.push(("last error", text(&worker["last_error"])));
        }
    }
    let mut shown = String::new();
    for (name, value) in lines {
        shown.push_str(&format!("{name:18} {value}\n"));
    }
    shown
}
