//! Which addresses a message may be sent to. The operator's own messages go wherever the operator says;
//! a miner's go to public addresses alone, or a miner could have this machine talk to its neighbours: a
//! wallet, a router, a cloud's store of secrets.
//!
//! A name is looked up once, all its addresses are judged, and the connection is made to one of those
//! that were judged: nobody looks the name up again in between.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use tokio::{net::TcpStream, time::timeout};

use crate::networks::Networks;

/// How long a name may take to be looked up.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried.
const TRIED_MAX: usize = 2;
/// Addresses of a name that are judged; no honest one has more.
const ADDRESSES_MAX: usize = 64;

/// IPv4 networks that are nobody's on the internet, <https://www.iana.org/assignments/iana-ipv4-special-registry>.
const NOT_PUBLIC_V4: [&str; 15] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    // Carrier-grade NAT.
    "100.64.0.0/10",
    "127.0.0.0/8",
    // Link-local; clouds have their metadata there.
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    // Multicast, and all that is reserved.
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// The only part of IPv6 that is given out, <https://www.iana.org/assignments/ipv6-unicast-address-assignments>.
/// Loopback, link-local, unique local, multicast and IPv4 in other clothes are outside of it.
const PUBLIC_V6: &str = "2000::/3";
/// What within that is not public, or hides an address of IPv4.
const NOT_PUBLIC_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

/// Where messages may go.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// Anywhere: the operator has named the place.
    Anywhere,
    /// To public addresses, and to these.
    Public(Networks),
}

/// Why nothing was reached. Shown to whoever owns the subscription: it tells nothing of what is behind
/// an address that may not be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    /// There is no such name.
    #[error("the name cannot be looked up")]
    NoName,
    /// One of its addresses may not be reached.
    #[error("the address is not a public one")]
    NotPublic,
    /// Nobody answers there.
    #[error("no connection: {0}")]
    Connect(io::ErrorKind),
    /// Nobody answers in time.
    #[error("no connection in time")]
    Slow,
}

impl Reach {
    /// Whether an address may be reached.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public(more) => is_public(address) || more.contains(address),
        }
    }

    /// Connects to a host, by name or address.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Unreached> {
        let found = self.look_up(host, port).await?;
        let mut failure = Unreached::NoName;
        for address in found.into_iter().take(TRIED_MAX) {
            match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => failure = Unreached::Connect(error.kind()),
                Err(_) => failure = Unreached::Slow,
            }
        }
        Err(failure)
    }

    /// All addresses of a host, if each of them may be reached: one that may not among others that may
    /// is a trap.
    pub(crate) async fn look_up(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Unreached> {
        let found = timeout(LOOK_UP_WITHIN, tokio::net::lookup_host((host, port))).await;
        let found = found.map_err(|_| Unreached::Slow)?;
        let found: Vec<SocketAddr> = found.map_err(|_| Unreached::NoName)?.collect();
        if found.is_empty() || found.len() > ADDRESSES_MAX {
            return Err(Unreached::NoName);
        }
        if found.iter().all(|address| self.allows(address.ip())) {
            Ok(found)
        } else {
            Err(Unreached::NotPublic)
        }
    }
}

/// Whether an address is one of the internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    let within = |network: &str| {
        let network: IpNet = network.parse().expect("the tables hold networks");
        network.contains(&address)
    };
    match address {
        IpAddr::V4(_) => !NOT_PUBLIC_V4.into_iter().any(within),
        IpAddr::V6(_) => within(PUBLIC_V6) && !NOT_PUBLIC_V6.into_iter().any(within),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public() -> Reach {
        Reach::Public(Networks::default())
    }

    #[test]
    fn addresses_that_are_not_public_are_refused_class_by_class() {
        for (class, addresses) in [
            ("this network", &["0.0.0.0", "0.1.2.3"][..]),
            (
                "private",
                &["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
            ),
            ("carrier-grade NAT", &["100.64.0.1", "100.127.255.255"]),
            ("loopback", &["127.0.0.1", "127.255.255.254", "::1"]),
            ("link-local", &["169.254.0.1", "fe80::1", "febf::1"]),
            (
                "metadata of a cloud",
                &["169.254.169.254", "fd00:ec2::254", "100.100.100.200"],
            ),
            ("unique local", &["fc00::1", "fd12:3456::1"]),
            ("site-local", &["fec0::1"]),
            ("multicast", &["224.0.0.1", "239.255.255.255", "ff02::1"]),
            (
                "IPv4 in IPv6 clothes",
                &[
                    "::ffff:127.0.0.1",
                    "::ffff:8.8.8.8",
                    "::127.0.0.1",
                    "64:ff9b::7f00:1",
                    "2002:7f00:1::",
                    "2001:0:7f00:1::",
                ],
            ),
            ("reserved", &["240.0.0.1", "255.255.255.255", "198.18.0.1"]),
            (
                "documentation",
                &["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"],
            ),
            ("unspecified", &["::"]),
            ("not given out", &["4000::1", "100::1"]),
        ] {
            for address in addresses {
                let address: IpAddr = address.parse().unwrap();
                assert!(!is_public(address), "{class}: {address}");
                assert!(!public().allows(address), "{class}: {address}");
                assert!(Reach::Anywhere.allows(address));
            }
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "193.0.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(public().allows(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_the_operator_allows_is_reached() {
        let reach = Reach::Public(Networks::parse(&["192.168.1.20".into()]).unwrap());
        assert!(reach.allows("192.168.1.20".parse().unwrap()));
        assert!(!reach.allows("192.168.1.21".parse().unwrap()));
        assert!(reach.allows("8.8.8.8".parse().unwrap()));
    }

    /// A real listener on loopback: it is never spoken to.
    #[tokio::test]
    async fn no_connection_is_made_to_an_address_that_is_not_public() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in [
            "127.0.0.1",
            "localhost",
            "0.0.0.0",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            let refused = public().connect(host, port).await.unwrap_err();
            assert!(matches!(refused, Unreached::NotPublic), "{host}: {refused}");
        }
        let nobody = timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err());
        Reach::Anywhere.connect("localhost", port).await.unwrap();
        let unknown = public().connect("no-such-name.invalid", port).await;
        // Whoever is asked for names may lose the question.
        let unknown = unknown.unwrap_err();
        assert!(
            matches!(unknown, Unreached::NoName | Unreached::Slow),
            "{unknown}"
        );
    }
}
