//! `[compat]`: the shapes of other pools that dashboards, devices and apps read.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{Config, Listener};

/// Where a NerdMiner expects miners, and the HTTP that it asks then.
const MINERS_PORT: u16 = 2018;
const HTTP_PORT: u16 = 2019;

/// `[compat]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compat {
    /// `/pool/pool.status` and `/users/ADDRESS`, as ckpool has them.
    pub ckpool: bool,
    /// Where the same is written as files; nowhere if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ckpool_logdir: Option<PathBuf>,
    /// `/api/pool`, `/api/client/ADDRESS` and what else public-pool has.
    pub public_pool: bool,
    /// Whether the first bitcoin pool also listens where NerdMiners expect it: 2018, and 2019 for HTTP.
    pub public_pool_ports: bool,
    /// The widgets of Umbrel.
    pub umbrel: bool,
    /// `/api/pools` and `/api/v2/pools`, as miningcore has them.
    pub miningcore: bool,
    /// `/pool/stats`, `/network/stats` and what else nodejs-pool has.
    pub nodejs_pool: bool,
    /// `/stats` and `/api/stats_mod`.
    pub stats_mod: bool,
    /// NOMP's `/api/stats` and yiimp's `/api/status`.
    pub nomp: bool,
    /// Whether `/metrics` also has the names of p2poolv2 and Hydrapool.
    pub metrics_alias: bool,
}

impl Default for Compat {
    fn default() -> Self {
        Self {
            ckpool: true,
            ckpool_logdir: None,
            public_pool: true,
            public_pool_ports: false,
            umbrel: true,
            miningcore: true,
            nodejs_pool: true,
            stats_mod: true,
            nomp: true,
            metrics_alias: false,
        }
    }
}

/// The second pair of ports: which pool has it, and where HTTP listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicPoolPorts {
    /// The pool's place in the list.
    pub pool: usize,
    /// Where it answers in public-pool's shape.
    pub http: SocketAddr,
}

impl Config {
    /// Adds the listener of `compat.public_pool_ports` to the first bitcoin pool, as its first listener
    /// is, without TLS. Nothing if it is off, or there is no such pool.
    pub fn open_public_pool_ports(&mut self) -> Option<PublicPoolPorts> {
        if !self.compat.public_pool_ports {
            return None;
        }
        let is_bitcoin = |pool: &super::Pool| pool.coin == "bitcoin";
        let place = self.pool.iter().position(is_bitcoin)?;
        let pool = self.pool.get_mut(place)?;
        let host: IpAddr = pool.listener.first()?.listen.ip();
        let miners = SocketAddr::new(host, MINERS_PORT);
        if pool.listener.iter().all(|other| other.listen != miners) {
            let first = pool.listener.first()?.clone();
            pool.listener.push(Listener {
                listen: miners,
                tls: super::TlsMode::Off,
                tls_certificate: None,
                tls_key: None,
                ..first
            });
        }
        Some(PublicPoolPorts {
            pool: place,
            http: SocketAddr::new(host, HTTP_PORT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Pool, TlsMode};

    fn pool(coin: &str, listen: &str) -> Pool {
        let listener = Listener {
            listen: listen.parse().expect("an address"),
            tls: TlsMode::Only,
            start_difficulty: 7.0,
            ..Listener::default()
        };
        Pool {
            coin: coin.into(),
            listener: vec![listener],
            ..Pool::default()
        }
    }

    fn config(on: bool, pools: Vec<Pool>) -> Config {
        let compat = Compat {
            public_pool_ports: on,
            ..Compat::default()
        };
        Config {
            compat,
            pool: pools,
            ..Config::default()
        }
    }

    #[test]
    fn the_first_bitcoin_pool_gets_the_pair_at_its_own_address() {
        let pools = vec![
            pool("litecoin", "10.0.0.1:3333"),
            pool("bitcoin", "10.0.0.2:3333"),
            pool("bitcoin", "10.0.0.3:3333"),
        ];
        let mut config = config(true, pools);
        for _ in 0..2 {
            let opened = config.open_public_pool_ports();
            let http = "10.0.0.2:2019".parse().expect("an address");
            assert_eq!(opened, Some(PublicPoolPorts { pool: 1, http }));
            let counts: Vec<_> = config.pool.iter().map(|pool| pool.listener.len()).collect();
            assert_eq!(counts, [1, 2, 1], "once, however often it is asked for");
        }
        let added = &config.pool[1].listener[1];
        assert_eq!(added.listen.to_string(), "10.0.0.2:2018");
        assert_eq!((added.tls, added.start_difficulty), (TlsMode::Off, 7.0));
    }

    #[test]
    fn no_port_is_opened_unless_it_is_asked_for_and_bitcoin_is_mined() {
        let bitcoin = || pool("bitcoin", "127.0.0.1:3333");
        for (on, pools) in [
            (false, vec![bitcoin()]),
            (true, vec![]),
            (true, vec![pool("dogecoin", "127.0.0.1:3333")]),
        ] {
            let mut config = config(on, pools.clone());
            assert_eq!(config.open_public_pool_ports(), None);
            assert_eq!(config.pool, pools);
        }
    }
}
