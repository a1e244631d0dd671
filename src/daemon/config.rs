//! How one daemon is reached and how often it is asked: the `[[pool.daemon]]` table.
//!
//! Secrets show as `***` in whatever is printed or written back.

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::{Context, bail, ensure};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::rpc::Patience;

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// One daemon.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where its JSON-RPC listens: `http://host:port`.
    #[serde(serialize_with = "without_secrets")]
    pub url: String,
    /// The name to log in with; `cookie` is the other way.
    #[serde(default)]
    pub user: Option<String>,
    /// The password that goes with `user`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The daemon's cookie file, read again whenever the daemon has written a new one. Monero's has
    /// none.
    #[serde(default)]
    pub cookie: Option<PathBuf>,
    /// Where it publishes `hashblock` over ZMQ, or Monero's daemon `json-minimal-chain_main`:
    /// `tcp://host:port`. Without it a daemon on loopback is asked for its own; Monero's does not say.
    #[serde(default)]
    pub zmq: Option<String>,
    /// The peers it must have to be used: 1, or 0 on regtest, unless set.
    #[serde(default)]
    pub min_peers: Option<u32>,
    /// Milliseconds between looks at the tip, for when no notification came.
    #[serde(default = "default_poll_ms")]
    pub poll_ms: u64,
    /// Seconds between templates of the same tip, for the fees that came in.
    #[serde(default = "default_refresh_s")]
    pub refresh_s: u64,
    /// Seconds between checks of its version, peers and genesis block.
    #[serde(default = "default_check_s")]
    pub check_s: u64,
    /// Whether a block without transactions is mined between a new tip and its first template.
    #[serde(default = "default_subsidy_only")]
    pub subsidy_only: bool,
    /// How long calls may take; only tests have none.
    #[serde(skip)]
    pub(super) patience: Patience,
}

const fn default_poll_ms() -> u64 {
    1000
}

const fn default_refresh_s() -> u64 {
    30
}

const fn default_check_s() -> u64 {
    10
}

const fn default_subsidy_only() -> bool {
    true
}

/// A poll below it is load, one above it leaves a lost notification unnoticed for too long.
const POLL_MS: std::ops::RangeInclusive<u64> = 50..=10_000;

/// A template is large, so not more often than each second; older than 5 min it lacks fees.
const REFRESH_S: std::ops::RangeInclusive<u64> = 1..=300;

/// What is wrong must be seen within half a minute, so that mining stops within one.
const CHECK_S: std::ops::RangeInclusive<u64> = 1..=30;

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// As nobody.
    None,
    /// With a name and a password.
    Password(String, Secret),
    /// With what the daemon wrote into this file.
    Cookie(PathBuf),
}

/// The pace at which a daemon is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) poll: Duration,
    pub(super) refresh: Duration,
    pub(super) check: Duration,
}

impl Secret {
    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Config {
    /// A daemon at `url`, everything else as it is by default.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            cookie: None,
            zmq: None,
            min_peers: None,
            poll_ms: default_poll_ms(),
            refresh_s: default_refresh_s(),
            check_s: default_check_s(),
            subsidy_only: default_subsidy_only(),
            patience: Patience::default(),
        }
    }

    /// The URL without a name and a password in it: what the daemon is called in logs and health.
    pub fn name(&self) -> String {
        shown(&self.url)
    }

    /// Whether all of it makes sense.
    pub fn check(&self) -> anyhow::Result<()> {
        self.endpoint()?;
        self.login()?;
        self.pace()?;
        Ok(())
    }

    /// The URL to post to, checked.
    pub(super) fn endpoint(&self) -> anyhow::Result<Url> {
        let url = Url::parse(&self.url).context("url of a daemon is not http://host:port")?;
        let name = self.name();
        ensure!(
            url.scheme() == "http",
            "{name}: a daemon's url starts with http://; reach a distant one through a tunnel"
        );
        ensure!(url.host().is_some(), "{name}: url has no host");
        ensure!(
            url.username().is_empty() && url.password().is_none(),
            "{name}: write user and password under their own keys, not into the url"
        );
        Ok(url)
    }

    /// How to log in, checked.
    pub(super) fn login(&self) -> anyhow::Result<Login> {
        let name = self.name();
        Ok(match (&self.user, &self.password, &self.cookie) {
            (None, None, None) => Login::None,
            (None, None, Some(path)) => Login::Cookie(path.clone()),
            (Some(user), Some(password), None) => {
                ensure!(!user.contains(':'), "{name}: user must not contain a colon");
                Login::Password(user.clone(), password.clone())
            }
            (Some(_), None, None) => bail!("{name}: user without password"),
            (None, Some(_), None) => bail!("{name}: password without user"),
            (_, _, Some(_)) => bail!("{name}: cookie, or user and password, not both"),
        })
    }

    /// The pace, checked.
    pub(super) fn pace(&self) -> anyhow::Result<Pace> {
        let name = self.name();
        for (key, value, range) in [
            ("poll_ms", self.poll_ms, POLL_MS),
            ("refresh_s", self.refresh_s, REFRESH_S),
            ("check_s", self.check_s, CHECK_S),
        ] {
            ensure!(
                range.contains(&value),
                "{name}: {key} is {value}, must be {} to {}",
                range.start(),
                range.end()
            );
        }
        Ok(Pace {
            poll: Duration::from_millis(self.poll_ms),
            refresh: Duration::from_secs(self.refresh_s),
            check: Duration::from_secs(self.check_s),
        })
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.name())
            .field("user", &self.user)
            .field("password", &self.password)
            .field("cookie", &self.cookie)
            .field("zmq", &self.zmq)
            .field("min_peers", &self.min_peers)
            .field("poll_ms", &self.poll_ms)
            .field("refresh_s", &self.refresh_s)
            .field("check_s", &self.check_s)
            .field("subsidy_only", &self.subsidy_only)
            .finish()
    }
}

fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else {
        return "daemon without a valid url".to_owned();
    };
    // Both fail only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string().trim_end_matches('/').to_owned()
}

/// The same of a URL that need not be there.
pub(crate) fn without_secrets_if_any<S: serde::Serializer>(
    url: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    url.as_deref().map(shown).serialize(serializer)
}

fn without_secrets<S: serde::Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_url_is_needed_and_unknown_keys_are_named() {
        let config: Config = toml::from_str("url = 'http://127.0.0.1:8332'").unwrap();
        assert_eq!(config, Config::at("http://127.0.0.1:8332"));
        let refused = toml::from_str::<Config>("url = 'http://a:1'\npassphrase = 'x'").unwrap_err();
        assert!(refused.to_string().contains("passphrase"), "{refused}");
    }

    #[test]
    fn secrets_are_never_shown() {
        let mut config = Config::at("http://alice:hunter2@127.0.0.1:8332");
        config.password = Some("hunter2".into());
        let shown = [
            format!("{config:?}"),
            config.name(),
            serde_json::to_string(&config).unwrap(),
            format!("{:#}", config.endpoint().unwrap_err()),
            format!("{:#}", config.login().unwrap_err()),
        ];
        for shown in shown {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(config.password.unwrap().expose(), "hunter2");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        #[track_caller]
        fn case(change: impl Fn(&mut Config), expected: &str) {
            let mut config = Config::at("http://127.0.0.1:8332");
            change(&mut config);
            let refused = config
                .endpoint()
                .and_then(|_| config.login())
                .and_then(|_| config.pace())
                .unwrap_err();
            assert!(format!("{refused:#}").contains(expected), "{refused:#}");
        }
        case(|c| c.url = "127.0.0.1:8332".into(), "http://");
        case(|c| c.url = "https://127.0.0.1".into(), "http://");
        case(|c| c.user = Some("u".into()), "user without password");
        case(|c| c.password = Some("p".into()), "password without user");
        case(
            |c| {
                c.cookie = Some("c".into());
                c.user = Some("u".into());
            },
            "not both",
        );
        case(|c| c.poll_ms = 0, "poll_ms is 0, must be 50 to 10000");
        case(|c| c.refresh_s = 0, "refresh_s");
        case(|c| c.check_s = 31, "check_s");
    }
}
