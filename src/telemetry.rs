//! Logging: fields, to standard error, for people or as JSON.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::config::{BadConfig, Log, LogFormat};

/// What is logged, to be changed while the process runs.
pub(crate) struct Filter(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Filter {
    /// The filter that the settings say.
    pub(crate) fn parse(log: &Log) -> Result<EnvFilter, BadConfig> {
        EnvFilter::try_new(&log.filter).map_err(|error| {
            BadConfig::Value(format!(
                "log.filter {:?} cannot be understood: {error}",
                log.filter
            ))
        })
    }

    /// Logs by another filter from now on.
    pub(crate) fn set(&self, filter: EnvFilter) {
        if let Err(error) = (self.0)(filter) {
            tracing::warn!(%error, "what is logged stays as it is");
        }
    }
}

/// Starts logging as configured. Standard output stays free for what a command prints.
pub(crate) fn start(log: &Log) -> anyhow::Result<Filter> {
    let lines = fmt()
        .with_env_filter(Filter::parse(log)?)
        .with_writer(io::stderr);
    let (filter, started) = match log.format {
        LogFormat::Text => {
            let lines = lines.with_ansi(io::stderr().is_terminal());
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            let set = move |filter| handle.reload(filter);
            (Filter(Box::new(set)), lines.try_init())
        }
        LogFormat::Json => {
            let lines = lines.json().with_filter_reloading();
            let handle = lines.reload_handle();
            let set = move |filter| handle.reload(filter);
            (Filter(Box::new(set)), lines.try_init())
        }
    };
    started.map_err(|error| anyhow::anyhow!("logging could not be started: {error}"))?;
    Ok(filter)
}
