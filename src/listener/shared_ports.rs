//! Ports that two pools have together, one of them for Bitcoin's dialect and one for CryptoNote's: each
//! connection goes to the pool whose dialect its first line is in.
//!
//! Made of the settings of all pools, before any is started. An error means that they cannot listen
//! where they say.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::Router;
use mining::Coin;
use wire::Dialect;

use super::Port;
use crate::{
    config::{self, BadConfig},
    connection::Context,
};

/// The ports, and who waits at each for the other pool. Clones share them.
#[derive(Clone, Default)]
pub struct SharedPorts(Arc<Mutex<HashMap<SocketAddr, Option<First>>>>);

/// The pool that was there first.
type First = (Port, Arc<Context>, Router);

/// What becomes of a port that a pool asks for.
pub(super) enum Meeting {
    /// It is this pool's alone.
    Alone(Port, Arc<Context>, Router),
    /// The other pool is not there yet.
    Waits,
    /// Both are there, in the order of the settings; what is answered to HTTP is the first one's.
    Both(Port, Arc<Context>, Arc<Context>, Router),
}

impl SharedPorts {
    /// The ports that two of these pools name. They have to be of different dialects, and to say the
    /// same of what comes before the first line.
    pub fn of(pools: &[config::Pool]) -> Result<Self, BadConfig> {
        let mut all: HashMap<SocketAddr, Vec<(&config::Pool, &config::Listener)>> = HashMap::new();
        for pool in pools {
            for listener in &pool.listener {
                // Each gets another port of the system's choice.
                if listener.listen.port() != 0 {
                    all.entry(listener.listen)
                        .or_default()
                        .push((pool, listener));
                }
            }
        }
        let mut shared = HashMap::new();
        for (address, users) in all {
            match users[..] {
                [_] => {}
                [one, other] => {
                    can_share(one, other).map_err(|why| bad(address, &why))?;
                    shared.insert(address, None);
                }
                _ => {
                    let why = "two pools can have a port together, and no more";
                    return Err(bad(address, why));
                }
            }
        }
        Ok(Self(Arc::new(Mutex::new(shared))))
    }

    /// A pool asks for a port, and says what it answers to HTTP.
    pub(super) fn meet(&self, port: Port, context: Arc<Context>, http: Router) -> Meeting {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.get_mut(&port.address) {
            None => Meeting::Alone(port, context, http),
            Some(place) => match place.take() {
                None => {
                    *place = Some((port, context, http));
                    Meeting::Waits
                }
                Some((port, first, http)) => Meeting::Both(port, first, context, http),
            },
        }
    }
}

impl fmt::Debug for SharedPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(waiting.keys()).finish()
    }
}

/// What the miners of a coin speak.
pub(super) fn dialect(coin: &Coin) -> Dialect {
    match coin.cryptonote() {
        Some(_) => Dialect::CryptoNote,
        None => Dialect::Sv1,
    }
}

fn bad(address: SocketAddr, why: &str) -> BadConfig {
    BadConfig::Value(format!("port for miners {address}: {why}"))
}

fn can_share(
    (one, first): (&config::Pool, &config::Listener),
    (other, second): (&config::Pool, &config::Listener),
) -> Result<(), String> {
    let names = format!("pools {:?} and {:?}", one.name, other.name);
    if std::ptr::eq(one, other) {
        return Err(format!("pool {:?} names it twice", one.name));
    }
    // A coin that nobody knows is refused with its pool's settings.
    let of = |pool: &config::Pool| pool.coin.parse::<&'static Coin>().ok().map(dialect);
    if let (Some(one), Some(other)) = (of(one), of(other))
        && one == other
    {
        return Err(format!(
            "{names} both name it, and their miners cannot be told apart: they speak one dialect"
        ));
    }
    let same = [
        (
            "connections_max",
            first.connections_max == second.connections_max,
        ),
        (
            "connections_per_address_max",
            first.connections_per_address_max == second.connections_per_address_max,
        ),
        (
            "connections_per_network_max",
            first.connections_per_network_max == second.connections_per_network_max,
        ),
        ("handshake_s", first.handshake_s == second.handshake_s),
        ("proxy_from", first.proxy_from == second.proxy_from),
        ("tls", first.tls == second.tls),
        (
            "tls_certificate",
            first.tls_certificate == second.tls_certificate,
        ),
        ("tls_key", first.tls_key == second.tls_key),
    ];
    match same.iter().find(|(_, is_same)| !is_same) {
        Some((key, _)) => Err(format!(
            "{names} have it together, so {key} must be the same in both"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listener, Pool, TlsMode};

    fn pool(name: &str, coin: &str, listeners: Vec<Listener>) -> Pool {
        Pool {
            name: name.into(),
            coin: coin.into(),
            listener: listeners,
            ..Pool::default()
        }
    }

    fn at(port: u16) -> Listener {
        Listener {
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            ..Listener::default()
        }
    }

    fn refused(pools: &[Pool]) -> String {
        SharedPorts::of(pools).unwrap_err().to_string()
    }

    #[test]
    fn two_pools_of_different_dialects_may_have_a_port_together() {
        let harder = Listener {
            start_difficulty: 9.0,
            idle_s: 9,
            ..at(3333)
        };
        let pools = [
            pool("btc", "bitcoin", vec![at(3333), at(3335), at(0), at(0)]),
            pool("xmr", "monero", vec![harder, at(0)]),
            pool("ltc", "litecoin", vec![at(3336)]),
        ];
        let shared = SharedPorts::of(&pools).unwrap();
        assert_eq!(format!("{shared:?}"), "{127.0.0.1:3333}");
    }

    #[test]
    fn a_port_that_two_pools_cannot_share_is_refused() {
        type Change = (&'static str, fn(&mut Listener));

        let xmr = |listener| pool("xmr", "monero", vec![listener]);
        let btc = || pool("btc", "bitcoin", vec![at(3333)]);
        let same = refused(&[btc(), pool("ltc", "litecoin", vec![at(3333)])]);
        assert!(same.contains("they speak one dialect"), "{same}");
        assert!(same.contains("127.0.0.1:3333"), "{same}");
        let same = refused(&[xmr(at(3333)), pool("wow", "wownero", vec![at(3333)])]);
        assert!(same.contains("they speak one dialect"), "{same}");
        let twice = refused(&[pool("btc", "bitcoin", vec![at(3333), at(3333)])]);
        assert!(twice.contains("names it twice"), "{twice}");
        let three = refused(&[btc(), xmr(at(3333)), pool("d", "dogecoin", vec![at(3333)])]);
        assert!(three.contains("no more"), "{three}");
        let changes: [Change; 8] = [
            ("connections_max", |listener| listener.connections_max = 9),
            ("connections_per_address_max", |listener| {
                listener.connections_per_address_max = 9;
            }),
            ("connections_per_network_max", |listener| {
                listener.connections_per_network_max = 9;
            }),
            ("handshake_s", |listener| listener.handshake_s = 9),
            ("proxy_from", |listener| {
                listener.proxy_from = vec!["10.0.0.0/8".into()];
            }),
            ("tls", |listener| listener.tls = TlsMode::On),
            ("tls_certificate", |listener| {
                listener.tls_certificate = Some("c".into());
            }),
            ("tls_key", |listener| listener.tls_key = Some("k".into())),
        ];
        for (key, change) in changes {
            let mut other = at(3333);
            change(&mut other);
            let why = refused(&[btc(), xmr(other)]);
            assert!(why.contains(&format!("so {key} must be")), "{why}");
        }
    }
}
