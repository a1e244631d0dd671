//! `adit config`: the settings in force, and whether they work.

use std::path::PathBuf;

use clap::Parser;

use super::pool::default_file;
use crate::{
    api::Setting,
    config::{BadConfig, Config as Settings, Layers, Node as NodeSettings},
    node,
    pool::{self, Check},
};

/// Where the settings come from.
#[derive(Clone, Debug, Parser)]
pub(crate) struct SettingsArguments {
    /// The configuration file
    #[arg(short, long, global = true, default_value_os_t = default_file(), value_name = "FILE")]
    config: PathBuf,
    /// The directory of the database and of blocks on their way
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen for HTTP
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    http_listen: Option<String>,
    /// Where the first pool listens for miners
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// What to log: a level, or `target=level` with commas between
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
}

impl SettingsArguments {
    /// Defaults, file, environment, flags.
    pub(crate) fn read(&self) -> Result<(Layers, Settings), BadConfig> {
        let mut layers = Layers::default();
        layers.file(&self.config)?;
        layers.environment(std::env::vars())?;
        let data = self
            .data
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned());
        for (flag, key, value) in [
            ("--data", "data", &data),
            ("--http-listen", "http.listen", &self.http_listen),
            ("--listen", "pool.listener.listen", &self.listen),
            ("--log", "log.filter", &self.log),
        ] {
            if let Some(value) = value {
                layers.flag(flag, key, value)?;
            }
        }
        let config = layers.config()?;
        Ok((layers, config))
    }
}

/// Print the settings in force and where each came from
#[derive(Debug, Parser)]
pub(crate) struct Config {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Try the daemons, the wallets, the database and the ports
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Output {
    settings: Vec<Setting>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<Check>,
}

impl Config {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (layers, config) = self.settings.read()?;
        let settings = Setting::all(&layers, &config);
        let checks = if self.check {
            let mut checks = pool::check(&config).await;
            // Nobody else reads that section.
            if config.node != NodeSettings::default() {
                let wrong = node::check(&config);
                checks.push(Check {
                    what: "node".into(),
                    ok: wrong.is_none(),
                    found: wrong.unwrap_or_else(|| format!("{} to begin with", config.node.mode)),
                });
            }
            checks
        } else {
            Vec::new()
        };
        let failed = checks.iter().filter(|check| !check.ok).count();
        let output = Output { settings, checks };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&output)?);
        } else {
            output.print();
        }
        anyhow::ensure!(
            failed == 0,
            "{failed} of {} checks failed",
            output.checks.len()
        );
        Ok(())
    }
}

impl Output {
    fn print(&self) {
        let width = |text: fn(&Setting) -> &str| {
            self.settings
                .iter()
                .map(|setting| text(setting).len())
                .max()
                .unwrap_or(0)
                .min(48)
        };
        let (keys, values) = (
            width(|setting| &setting.key),
            width(|setting| &setting.value),
        );
        for Setting { key, value, source } in &self.settings {
            println!("{key:keys$} = {value:values$}  # {source}");
        }
        if !self.checks.is_empty() {
            println!();
        }
        for Check { what, ok, found } in &self.checks {
            println!("{} {what}: {found}", if *ok { "ok  " } else { "FAIL" });
        }
    }
}
