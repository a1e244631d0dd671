//! What of a node's settings changes while it runs: told by its operator, checked here, and kept in its data
//! directory. What nobody has changed is as the configuration has it.
//!
//! A mode is a set of settings, too: [`Settings::config`] makes of the configuration the one that the pools of
//! a mode are started with. So a switch is the same as a restart, and what holds for a restart holds for it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use mining::{Address, Coin, Scheme, accounting::Percent, address::ADDRESS_LEN_MAX};
use pow::ProofOfWork;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::{
    config::{self, Config, TlsMode},
    listener::Fingerprint,
    pool,
    worker::{Endpoint, Profile},
};

/// The pool's own fee, by its name in the settings.
const POOL_FEE: &str = "pool";
/// The highest one, in hundredths of a percent.
const POOL_FEE_MAX: u16 = 1_000;
/// The ports that a pool can be moved to.
pub(crate) const PORTS: [u16; 2] = [7072, 8082];
/// The longest name of a pool, and of a worker.
pub(crate) const POOL_NAME_MAX: usize = 50;
pub(crate) const WORKER_NAME_MAX: usize = 32;
/// A day.
const FALL_BACK_MAX_S: u64 = 24 * 60 * 60;
/// The file in the data directory.
const FILE: &str = "node.json";

/// What somebody wants to be otherwise. What is empty is as the configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Changes {
    pub(crate) mode: Option<Mode>,
    /// What workers are told that the pool is called.
    pub(crate) pool_name: Option<String>,
    /// The pool's own part of each reward.
    pub(crate) pool_fee: Option<Percent>,
    /// Where workers connect: 7072 or 8082.
    pub(crate) pool_port: Option<u16>,
    /// Where that part is paid; with an empty text it stays in the pool's wallet.
    pub(crate) host_address: Option<String>,
    /// Whom the node's own work pays.
    pub(crate) wallet_address: Option<String>,
    pub(crate) worker_name: Option<String>,
    pub(crate) profile: Option<Profile>,
    /// The pool to join.
    pub(crate) url: Option<String>,
    /// Of the certificate of that pool, if no authority has signed it; with an empty text one has.
    pub(crate) tls_fingerprint: Option<String>,
    pub(crate) fall_back_s: Option<u64>,
    /// Why the node mines alone though nobody told it to.
    pub(crate) fell_back: Option<String>,
}

/// Changes that are on the disk, and do not hold yet.
#[must_use]
pub(crate) struct Prepared {
    beside: PathBuf,
    path: PathBuf,
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadSetting(pub(crate) String);

/// What holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) pool_name: String,
    pub(crate) pool_fee: Percent,
    pub(crate) pool_port: Option<u16>,
    /// Empty if that part stays in the pool's wallet.
    pub(crate) host_address: String,
    /// Empty if there is no pool whose address it could be.
    pub(crate) wallet_address: String,
    pub(crate) worker_name: String,
    pub(crate) profile: Profile,
    /// Empty if none is known.
    pub(crate) url: String,
    /// Empty if an authority has signed that pool's certificate.
    pub(crate) tls_fingerprint: String,
    pub(crate) fall_back_s: u64,
}

impl Changes {
    /// These on top of older ones, with which this url held.
    pub(crate) fn over(self, older: Self, url: &str) -> Self {
        // A certificate is that of one pool.
        let is_same_pool = self.url.as_ref().is_none_or(|own| own == url);
        let older_fingerprint = older.tls_fingerprint.filter(|_| is_same_pool);
        Self {
            mode: self.mode.or(older.mode),
            pool_name: self.pool_name.or(older.pool_name),
            pool_fee: self.pool_fee.or(older.pool_fee),
            pool_port: self.pool_port.or(older.pool_port),
            host_address: self.host_address.or(older.host_address),
            wallet_address: self.wallet_address.or(older.wallet_address),
            worker_name: self.worker_name.or(older.worker_name),
            profile: self.profile.or(older.profile),
            url: self.url.or(older.url),
            tls_fingerprint: self.tls_fingerprint.or(older_fingerprint),
            fall_back_s: self.fall_back_s.or(older.fall_back_s),
            // Until it is told what to do.
            fell_back: match self.mode {
                Some(_) => self.fell_back,
                None => older.fell_back,
            },
        }
    }

    /// An error for what cannot hold in this mode, though something kept could: at another pool another coin
    /// may be mined.
    pub(crate) fn check(&self, mode: Mode, config: &Config) -> Result<(), BadSetting> {
        match &self.wallet_address {
            Some(text) if mode != Mode::Join => address("wallet_address", text, config),
            _ => Ok(()),
        }
    }

    /// What was kept in this data directory; nothing the first time.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Self> {
        let path = file(data);
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            read => read
                .map_err(anyhow::Error::from)
                .and_then(|bytes| Ok(serde_json::from_slice(&bytes)?))
                .with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes them beside what is kept, so that all that can fail has been done before anything ends for them.
    pub(crate) fn prepare(&self, data: &Path) -> anyhow::Result<Prepared> {
        let path = file(data);
        let beside = path.with_extension("new");
        let written = || {
            let mut file = std::fs::File::create(&beside)?;
            serde_json::to_writer(&mut file, self)?;
            file.sync_all()
        };
        written().with_context(|| format!("cannot write {}", beside.display()))?;
        Ok(Prepared { beside, path })
    }
}

impl Prepared {
    /// Keeps them from now on, whole or not at all, also if the power fails.
    pub(crate) fn keep(self) -> anyhow::Result<()> {
        let Self { beside, path } = self;
        let kept = || {
            std::fs::rename(&beside, &path)?;
            let folder = path.parent().unwrap_or(Path::new("."));
            std::fs::File::open(folder)?.sync_all()
        };
        kept().with_context(|| format!("cannot keep {}", path.display()))
    }
}

/// An error unless it is empty, or an address of the coin of the first pool.
fn address(key: &str, text: &str, config: &Config) -> Result<(), BadSetting> {
    let Some(pool) = config.pool.first().filter(|_| !text.is_empty()) else {
        return Ok(());
    };
    // Which coin it is has to be said first.
    let parsed = coin(pool).map(|coin| Address::parse(coin, pool.network, text));
    match parsed {
        Some(Err(error)) => Err(BadSetting(format!("{key}: {error}"))),
        Some(Ok(_)) | None => Ok(()),
    }
}

fn file(data: &Path) -> PathBuf {
    data.join(FILE)
}

impl Settings {
    /// What holds with these changes of a configuration.
    pub(crate) fn of(config: &Config, changes: &Changes) -> Self {
        let (node, pool) = (&config.node, config.pool.first());
        let changed = changes.clone();
        let fee = pool.and_then(|pool| pool.fee.iter().find(|fee| fee.name == POOL_FEE));
        let pool_name = || pool.map(|pool| pool.title.clone().unwrap_or_else(|| pool.name.clone()));
        let own = || pool.map(|pool| pool.payout_address.clone());
        let mode = changed.mode.unwrap_or(node.mode);
        // What was said for another coin's pool is nobody's here.
        let is_good = |text: &String| {
            !text.is_empty() && (mode == Mode::Join || address("", text, config).is_ok())
        };
        let url = changed.url.or_else(|| node.url.clone()).unwrap_or_default();
        let configured = node.tls_fingerprint.clone();
        let configured = configured.filter(|_| node.url.as_ref() == Some(&url));
        Self {
            mode,
            pool_name: changed.pool_name.or_else(pool_name).unwrap_or_default(),
            pool_fee: changed
                .pool_fee
                .or_else(|| fee.map(|fee| fee.percent))
                .unwrap_or_default(),
            pool_port: changed.pool_port,
            host_address: changed
                .host_address
                .or_else(|| fee.and_then(|fee| fee.address.clone()))
                .unwrap_or_default(),
            wallet_address: changed
                .wallet_address
                .filter(is_good)
                .or_else(|| node.address.clone())
                .or_else(own)
                .unwrap_or_default(),
            worker_name: changed
                .worker_name
                .unwrap_or_else(|| node.worker_name.clone()),
            profile: changed.profile.unwrap_or(node.profile),
            url,
            tls_fingerprint: changed.tls_fingerprint.or(configured).unwrap_or_default(),
            fall_back_s: changed.fall_back_s.unwrap_or(node.fall_back_s),
        }
    }

    /// An error for what makes no sense, whatever the mode.
    pub(crate) fn check(&self, config: &Config) -> Result<(), BadSetting> {
        let bad = |text: &str| Err(BadSetting(text.to_owned()));
        if self.pool_fee.hundredths() > POOL_FEE_MAX {
            return bad("pool fee above 10 %");
        }
        if self.pool_port.is_some_and(|port| !PORTS.contains(&port)) {
            return bad("pool port other than 7072 and 8082");
        }
        let is_text = |text: &str, most: usize| {
            (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        if !config.pool.is_empty() && !is_text(&self.pool_name, POOL_NAME_MAX) {
            return bad("pool_name: 1 to 50 characters");
        }
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        if !is_text(&self.worker_name, WORKER_NAME_MAX) || !self.worker_name.chars().all(is_plain) {
            return bad("worker_name: 1 to 32 letters, digits, '-' and '_'");
        }
        if self.fall_back_s > FALL_BACK_MAX_S {
            return bad("fall_back_s: at most 86400");
        }
        if !self.url.is_empty() {
            let endpoint = self.url.parse::<Endpoint>();
            let endpoint = endpoint.map_err(|error| BadSetting(format!("url: {error}")))?;
            if !endpoint.is_tls() && !self.tls_fingerprint.is_empty() {
                return bad("tls_fingerprint: only https:// and stratum+ssl:// have a certificate");
            }
        }
        if !self.tls_fingerprint.is_empty() {
            let parsed = self.tls_fingerprint.parse::<Fingerprint>();
            parsed.map_err(|error| BadSetting(format!("tls_fingerprint: {error}")))?;
        }
        address("host_address", &self.host_address, config)?;
        let is_of_none = |c: char| matches!(c, '.' | '+') || c.is_whitespace() || c.is_control();
        if self.wallet_address.len() > ADDRESS_LEN_MAX || self.wallet_address.contains(is_of_none) {
            return bad("wallet_address is no address");
        }
        Ok(())
    }

    /// The configuration of this mode. What can be seen to be wrong with it is an error before anything that
    /// runs is stopped for it.
    pub(crate) fn config(&self, config: &Config) -> Result<Config, BadSetting> {
        self.check(config)?;
        let mut config = config.clone();
        if let Some(pool) = config.pool.first_mut() {
            pool.title = Some(self.pool_name.clone());
            self.set_fee(pool);
            if let (Some(port), Some(listener)) = (self.pool_port, pool.listener.first_mut()) {
                listener.listen.set_port(port);
            }
        }
        let no_pool = |what: &str| {
            Err(BadSetting(format!(
                "{what} needs a [[pool]] in the settings"
            )))
        };
        match self.mode {
            Mode::Host if config.pool.is_empty() => return no_pool("hosting"),
            Mode::Host => {}
            Mode::Solo => {
                let (listen, solo) = (config.node.solo_listen, self.solo_listener(&config)?);
                let Some(mut solo) = solo else {
                    return no_pool("mining alone");
                };
                solo.listen = listen;
                close_all(&mut config);
                if let Some(pool) = config.pool.first_mut() {
                    pool.listener.push(solo);
                }
            }
            Mode::Join if self.url.is_empty() => {
                return Err(BadSetting("no url of a pool to join".into()));
            }
            Mode::Join if self.wallet_address.is_empty() => {
                return Err(BadSetting(
                    "no wallet_address that the pool could pay".into(),
                ));
            }
            Mode::Join => {
                if self.fall_back_s > 0 {
                    self.can_be_alone(&config)?;
                }
                close_all(&mut config);
            }
        }
        for pool in &config.pool {
            pool::makes_sense(pool).map_err(|error| BadSetting(error.to_string()))?;
        }
        Ok(config)
    }

    /// Whether the node's own worker is another one than with these.
    pub(crate) fn has_other_worker(&self, other: &Self) -> bool {
        let of = |settings: &Self| {
            let Self {
                profile,
                url,
                tls_fingerprint,
                fall_back_s,
                ..
            } = settings;
            // Nobody is joined.
            let pool = (url.clone(), tls_fingerprint.clone(), *fall_back_s);
            let pool = (self.mode == Mode::Join).then_some(pool);
            (settings.user(), *profile, pool)
        };
        self.mode != Mode::Host && of(self) != of(other)
    }

    /// An error if what it would fall back to makes no sense.
    fn can_be_alone(&self, config: &Config) -> Result<(), BadSetting> {
        let alone = Changes {
            mode: Some(Mode::Solo),
            ..Changes::default()
        };
        let made = Self::of(config, &alone).config(config);
        made.map(drop)
            .map_err(|BadSetting(text)| BadSetting(format!("fall_back_s: {text}")))
    }

    /// As the name of a worker says whom to pay.
    pub(crate) fn user(&self) -> String {
        format!("{}.{}", self.wallet_address, self.worker_name)
    }

    fn set_fee(&self, pool: &mut config::Pool) {
        let address = Some(self.host_address.clone()).filter(|address| !address.is_empty());
        match pool.fee.iter_mut().find(|fee| fee.name == POOL_FEE) {
            Some(fee) => (fee.percent, fee.address) = (self.pool_fee, address),
            None if self.pool_fee.hundredths() == 0 => {}
            None => pool.fee.push(config::Fee {
                name: POOL_FEE.into(),
                percent: self.pool_fee,
                address,
            }),
        }
    }

    /// The one listener of whoever mines alone: each block pays the finder, and nobody else.
    fn solo_listener(&self, config: &Config) -> Result<Option<config::Listener>, BadSetting> {
        let Some(pool) = config.pool.first() else {
            return Ok(None);
        };
        let is_one_address =
            coin(pool).is_some_and(|coin| coin.algorithm() == ProofOfWork::RandomX);
        if is_one_address && self.wallet_address != pool.payout_address {
            let coin = &pool.coin;
            return Err(BadSetting(format!(
                "wallet_address: alone, {coin} is mined for the pool's payout_address"
            )));
        }
        let first = pool.listener.first().cloned().unwrap_or_default();
        Ok(Some(config::Listener {
            scheme: Some(Scheme::Solo),
            default_address: Some(self.wallet_address.clone()),
            http_without_token: false,
            proxy_from: Vec::new(),
            tls: TlsMode::Off,
            tls_certificate: None,
            tls_key: None,
            ..first
        }))
    }
}

/// Books go on without miners.
fn close_all(config: &mut Config) {
    config.compat.public_pool_ports = false;
    for pool in &mut config.pool {
        let schemes = pool
            .listener
            .iter()
            .map(|it| it.scheme.unwrap_or(pool.scheme));
        pool.open_schemes = schemes.collect();
        pool.listener.clear();
    }
}

fn coin(pool: &config::Pool) -> Option<&'static Coin> {
    pool.coin.parse().ok()
}

#[cfg(test)]
mod tests;
