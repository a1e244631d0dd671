//! SIGHUP: the settings are read again. What can change while the pool runs is changed at once: what is
//! logged, and the rule of bans. All else is named in the log and waits for the next start; the table of
//! devices and certificates are followed by themselves.
//!
//! Nothing that changes money is changed in a running pool: a block is split by what was told to miners
//! when the process began, from the first of its shares to the last. Called by `adit pool`.

use std::collections::BTreeMap;

use tracing::{info, warn};

use crate::{
    bans::{self, Bans},
    config::{self, BadConfig, Config, Layers},
    pool,
    telemetry::Filter,
};

/// The keys of a pool's bans that a running pool takes over.
const BANS: [&str; 5] = [
    "invalid_percent",
    "shares_min",
    "window_s",
    "ban_s",
    "exempt",
];
/// The keys of a pool that say who gets what.
const MONEY: [&str; 9] = [
    "payout_address",
    "scheme",
    "window",
    "maturity",
    "remainder",
    "fee",
    "reserve",
    "payout",
    "coin",
];

/// What can be changed in this process, and what it began with.
pub(crate) struct Reload {
    layers: Layers,
    config: Config,
    filter: Filter,
    bans: Vec<Bans>,
}

/// What becomes of a setting that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Now,
    Restart,
    Money,
}

impl Reload {
    /// `bans` are those of the pools, in their order.
    pub(crate) fn new(layers: Layers, config: Config, filter: Filter, bans: Vec<Bans>) -> Self {
        Self {
            layers,
            config,
            filter,
            bans,
        }
    }

    /// The same for other pools, those of a node's mode, with bans of their own.
    pub(crate) fn take_for(&mut self, bans: Vec<Bans>, read: Result<(Layers, Config), BadConfig>) {
        self.bans = bans;
        self.take(read);
    }

    /// What holds now, with what was taken over.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Takes over what can be of new settings, and says what cannot. Settings that make no sense change
    /// nothing.
    pub(crate) fn take(&mut self, read: Result<(Layers, Config), BadConfig>) {
        if let Err(error) = read.and_then(|(layers, config)| self.change(layers, config)) {
            let error = format!("{:#}", anyhow::Error::from(error));
            warn!(error, "the settings stay as they are");
        }
    }

    fn change(&mut self, layers: Layers, config: Config) -> Result<(), BadConfig> {
        // All of it is checked before anything of it holds.
        let rules = config.pool.iter().map(pool::ban_settings);
        let rules: Vec<bans::Settings> = rules.collect::<Result<_, _>>()?;
        let filter = Filter::parse(&config.log)?;
        let names = |config: &Config| -> Vec<String> {
            let pools = config.pool.iter();
            pools.map(|pool| pool.name.clone()).collect()
        };
        if names(&config) != names(&self.config) {
            warn!(
                "needs a restart: pools were added, removed or renamed; nothing else was taken over"
            );
            return Ok(());
        }
        let changed = self.changed(&layers, &config);
        for (key, value) in &changed {
            match fate(key) {
                Fate::Now => info!(key, value, "changed"),
                Fate::Restart => warn!(key, value, "needs a restart"),
                Fate::Money => warn!(
                    key,
                    value,
                    "needs a restart: what miners are paid does not change in a running pool"
                ),
            }
        }
        if changed.is_empty() && config != self.config {
            warn!("needs a restart: a password or the URL of the database was changed");
        } else if changed.is_empty() {
            info!("the settings were read again, and are the same");
        }
        if config.log.filter != self.config.log.filter {
            self.filter.set(filter);
            self.config.log.filter = config.log.filter;
        }
        let pools = self.config.pool.iter_mut().zip(config.pool);
        for ((bans, rules), (old, new)) in self.bans.iter().zip(rules).zip(pools) {
            // Whether there are bans at all is said at the start.
            if old.bans.enabled && new.bans.enabled && old.bans != new.bans {
                bans.change(rules);
            }
            let enabled = old.bans.enabled;
            old.bans = config::Bans {
                enabled,
                ..new.bans
            };
        }
        Ok(())
    }

    /// The settings that differ from those in force.
    fn changed(&self, layers: &Layers, config: &Config) -> BTreeMap<String, String> {
        let all = |layers: &Layers, config: &Config| -> BTreeMap<String, String> {
            let all = layers.describe(config).into_iter();
            all.map(|(key, value, _)| (key, value)).collect()
        };
        let (before, mut after) = (all(&self.layers, &self.config), all(layers, config));
        for (key, value) in before {
            match after.get(&key) {
                Some(now) if *now == value => {
                    after.remove(&key);
                }
                Some(_) => {}
                None => {
                    after.insert(key, "nothing".to_owned());
                }
            }
        }
        after
    }
}

/// What becomes of the setting with this key: `pool.0.bans.ban_s`.
fn fate(key: &str) -> Fate {
    let parts: Vec<&str> = key.split('.').collect();
    match parts[..] {
        ["log", "filter"] => Fate::Now,
        ["pool", _, "bans", key] if BANS.contains(&key) => Fate::Now,
        ["pool", _, key, ..] if MONEY.contains(&key) => Fate::Money,
        ["pool", _, "listener", _, "scheme"] => Fate::Money,
        _ => Fate::Restart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_miners_are_paid_waits_for_a_restart() {
        for key in [
            "pool.0.fee.1.percent",
            "pool.1.scheme",
            "pool.0.payout.threshold",
            "pool.0.listener.2.scheme",
            "pool.0.payout_address",
        ] {
            assert_eq!(fate(key), Fate::Money, "{key}");
        }
        for key in [
            "log.format",
            "devices",
            "pool.0.bans.enabled",
            "http.listen",
            "data",
        ] {
            assert_eq!(fate(key), Fate::Restart, "{key}");
        }
        assert_eq!(fate("log.filter"), Fate::Now);
        assert_eq!(fate("pool.3.bans.exempt"), Fate::Now);
    }
}
