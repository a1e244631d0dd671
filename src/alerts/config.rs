//! `[alerts]`: what is trouble, what miners are offered, and where the operator is told.
//!
//! Secrets show as `***` in whatever is printed.

use std::path::PathBuf;

use mining::alert::{Kind, Kinds};
use serde::{Deserialize, Serialize};

use crate::daemon::Secret;

/// `[alerts]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether anybody is told anything.
    pub enabled: bool,
    /// Alerts are kept so many days.
    pub keep_days: u32,
    /// What the operator is told; nothing for all that is the operator's.
    pub kinds: Vec<String>,
    /// A worker that is gone for so many seconds is told to be.
    pub worker_offline_s: u32,
    /// A miner that does so many percent less than usual is told so.
    pub hashrate_drop_percent: u32,
    /// A miner is told if so many of a hundred of its shares are refused.
    pub rejects_percent: u32,
    /// A daemon that cannot be mined with for so many seconds.
    pub daemon_down_s: u32,
    /// Work that is older than so many seconds.
    pub template_old_s: u32,
    /// Payments that wait for so many seconds.
    pub payments_stopped_s: u32,
    /// Less room on the disk than so many MB.
    pub disk_low_mb: u64,
    /// So many of a hundred shares of a pool are invalid.
    pub invalid_percent: u32,
    /// So many of a hundred connections are taken.
    pub capacity_percent: u32,
    /// Certificates of authorities of your own, as PEM, beside the known ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// What miners can ask for.
    pub miners: Miners,
    /// `[alerts.webhook]`
    pub webhook: Webhook,
    /// `[alerts.ntfy]`
    pub ntfy: Ntfy,
    /// `[alerts.discord]`
    pub discord: Discord,
    /// `[alerts.telegram]`
    pub telegram: Telegram,
    /// `[alerts.email]`
    pub email: Email,
    /// `[alerts.mqtt]`
    pub mqtt: Mqtt,
}

/// `[alerts.miners]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Miners {
    /// The kinds of places that they can be told at.
    pub sinks: Vec<String>,
    /// Subscriptions of one address.
    pub of_address_max: u32,
    /// Subscriptions in a pool.
    pub subscriptions_max: u32,
    /// Subscriptions that one address may make in an hour.
    pub changes_per_hour_max: u32,
    /// Networks that their webhooks may reach although they are not public.
    pub reachable: Vec<String>,
}

/// `[alerts.webhook]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// Where alerts are posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// What they are signed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

/// `[alerts.ntfy]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ntfy {
    /// A topic of a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// What the server wants to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

/// `[alerts.discord]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discord {
    /// The webhook of a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
}

/// `[alerts.telegram]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telegram {
    /// The bot that writes, to miners too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The operator's chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// The server that bots talk to.
    pub server: String,
}

/// `[alerts.email]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Email {
    /// The server that takes messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub tls: EmailTls,
    /// The name to log in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Whom messages are from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The operator's mailboxes.
    pub to: Vec<String>,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailTls {
    /// It begins without TLS, and must change to it.
    StartTls,
    /// It speaks TLS from the beginning.
    On,
    /// It speaks none: for a server on this machine.
    Off,
}

/// `[alerts.mqtt]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    /// The broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The name to log in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// What topics begin with.
    pub prefix: String,
    /// What Home Assistant's discovery begins with; empty for none.
    pub discovery: String,
    /// Figures are published so often, in seconds.
    pub every_s: u32,
    /// The addresses whose workers are published.
    pub addresses: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            keep_days: 30,
            kinds: Vec::new(),
            worker_offline_s: 600,
            hashrate_drop_percent: 50,
            rejects_percent: 10,
            daemon_down_s: 60,
            template_old_s: 300,
            payments_stopped_s: 600,
            disk_low_mb: 1_024,
            invalid_percent: 20,
            capacity_percent: 90,
            ca_file: None,
            miners: Miners::default(),
            webhook: Webhook::default(),
            ntfy: Ntfy::default(),
            discord: Discord::default(),
            telegram: Telegram::default(),
            email: Email::default(),
            mqtt: Mqtt::default(),
        }
    }
}

impl Default for Miners {
    fn default() -> Self {
        let sinks = ["page", "webhook", "ntfy", "discord", "telegram", "email"];
        Self {
            sinks: sinks.map(str::to_owned).into(),
            of_address_max: 5,
            subscriptions_max: 10_000,
            changes_per_hour_max: 10,
            reachable: Vec::new(),
        }
    }
}

impl Default for Telegram {
    fn default() -> Self {
        Self {
            token: None,
            chat: None,
            server: "https://api.telegram.org".into(),
        }
    }
}

impl Default for Email {
    fn default() -> Self {
        Self {
            host: None,
            port: 587,
            tls: EmailTls::StartTls,
            user: None,
            password: None,
            from: None,
            to: Vec::new(),
        }
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            url: None,
            user: None,
            password: None,
            prefix: "adit".into(),
            discovery: "homeassistant".into(),
            every_s: 60,
            addresses: Vec::new(),
        }
    }
}

impl Config {
    /// All keys have a value, so that each is known by its name.
    pub(crate) fn with_every_key() -> Self {
        let some = || Some(Secret::from(""));
        let mut config = Self {
            ca_file: Some(PathBuf::new()),
            webhook: Webhook {
                url: some(),
                secret: some(),
            },
            ntfy: Ntfy {
                url: some(),
                token: some(),
            },
            discord: Discord { url: some() },
            ..Self::default()
        };
        config.telegram.token = some();
        config.telegram.chat = Some(String::new());
        config.email.host = Some(String::new());
        config.email.user = Some(String::new());
        config.email.password = some();
        config.email.from = Some(String::new());
        config.mqtt.url = Some(String::new());
        config.mqtt.user = Some(String::new());
        config.mqtt.password = some();
        config
    }

    /// What the operator wants to be told. The error names what is no kind.
    pub(super) fn operator_kinds(&self) -> Result<Kinds, String> {
        if self.kinds.is_empty() {
            return Ok(Kinds::of_operators());
        }
        let kind = |name: &String| {
            let kind = Kind::of_name(name);
            let kind = kind.filter(|kind| Kinds::of_operators().contains(*kind));
            kind.ok_or_else(|| {
                format!(
                    "alerts.kinds: {name:?} is none of {}",
                    Kinds::of_operators()
                )
            })
        };
        self.kinds.iter().map(kind).collect()
    }

    /// Whether every number is within its limits. The error names one that is not.
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, value, least, most) in [
            ("keep_days", self.keep_days, 2, 3_650),
            ("worker_offline_s", self.worker_offline_s, 1, 86_400),
            ("hashrate_drop_percent", self.hashrate_drop_percent, 10, 100),
            ("rejects_percent", self.rejects_percent, 1, 100),
            ("daemon_down_s", self.daemon_down_s, 1, 86_400),
            ("template_old_s", self.template_old_s, 1, 86_400),
            ("payments_stopped_s", self.payments_stopped_s, 1, 86_400),
            ("invalid_percent", self.invalid_percent, 1, 100),
            ("capacity_percent", self.capacity_percent, 1, 100),
            ("miners.of_address_max", self.miners.of_address_max, 0, 100),
            (
                "miners.subscriptions_max",
                self.miners.subscriptions_max,
                0,
                100_000,
            ),
            (
                "miners.changes_per_hour_max",
                self.miners.changes_per_hour_max,
                1,
                1_000,
            ),
            ("mqtt.every_s", self.mqtt.every_s, 1, 3_600),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("alerts.{key}: {least} to {most}"));
            }
        }
        Ok(())
    }
}
