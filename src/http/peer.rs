//! Who asks: the address that is counted, and whether it is this machine. Behind a reverse proxy that the
//! operator named it is what the proxy says; nobody else is believed.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header, request::Parts},
};

use crate::networks::{Networks, party};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// Addresses of `X-Forwarded-For` that are looked at, the last ones. No chain of proxies is longer.
const HOPS_MAX: usize = 16;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    address: IpAddr,
    is_forwarded: bool,
    is_secure: bool,
}

impl Peer {
    /// From a socket's other end and what a request says.
    pub(super) fn new(socket: IpAddr, headers: &HeaderMap, proxies: &Networks) -> Self {
        let socket = socket.to_canonical();
        if !proxies.contains(socket) {
            let tells = [FORWARDED_FOR, REAL_IP, header::FORWARDED, header::VIA];
            return Self {
                address: socket,
                // A proxy that nobody named is not this machine, whatever its address.
                is_forwarded: tells.iter().any(|name| headers.contains_key(name)),
                is_secure: false,
            };
        }
        let proto = headers.get(FORWARDED_PROTO);
        Self {
            address: forwarded_for(headers, proxies).unwrap_or(socket),
            is_forwarded: true,
            is_secure: proto.is_some_and(|proto| proto.as_bytes() == b"https"),
        }
    }

    /// Where it is counted: an address of IPv4, or a /64 of IPv6.
    pub(crate) fn party(&self) -> IpAddr {
        party(self.address)
    }

    /// Whether it is a program of this machine, with no proxy between.
    pub(crate) fn is_local(&self) -> bool {
        !self.is_forwarded && self.address.is_loopback()
    }

    /// Whether a proxy that is believed says that it came by TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }
}

/// Who is counted when nobody is known, which no request of the server's is.
const NOBODY: Peer = Peer {
    address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    is_forwarded: true,
    is_secure: false,
};

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(NOBODY))
    }
}

/// The last address that no proxy of the operator's has: what stands before it anybody can write.
fn forwarded_for(headers: &HeaderMap, proxies: &Networks) -> Option<IpAddr> {
    let mut found = None;
    let lines: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    for hop in hops.take(HOPS_MAX) {
        let address = address(hop.trim())?;
        found = Some(address);
        if !proxies.contains(address) {
            break;
        }
    }
    found
}

/// An address, which some proxies write with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address: IpAddr = match bare.unwrap_or(text).parse() {
        Ok(address) => address,
        Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(socket: &str, headers: &[(&'static str, &'static str)]) -> Peer {
        let proxies = Networks::parse(&["127.0.0.1".into(), "10.0.0.0/8".into()]).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Peer::new(socket.parse().unwrap(), &map, &proxies)
    }

    #[test]
    fn a_proxy_that_was_named_is_believed_up_to_the_first_stranger() {
        #[track_caller]
        fn case(header: &'static str, address: &str) {
            let peer = peer("127.0.0.1", &[("x-forwarded-for", header)]);
            assert_eq!(peer.address, address.parse::<IpAddr>().unwrap(), "{header}");
            assert!(!peer.is_local(), "{header}");
        }
        case("203.0.113.5", "203.0.113.5");
        case("127.0.0.1, 203.0.113.5", "203.0.113.5");
        case("1.1.1.1, 203.0.113.5,10.2.3.4", "203.0.113.5");
        case("203.0.113.5:4711", "203.0.113.5");
        case("[2001:db8::1]:4711", "2001:db8::1");
        case("[2001:db8::1]", "2001:db8::1");
        case("::ffff:203.0.113.5", "203.0.113.5");
        case("10.1.1.1, 10.2.2.2", "10.1.1.1");
        // What makes no sense is the proxy's own address, and never this machine.
        for nonsense in ["", "unknown", "1.2.3", "203.0.113.5, ", "127.0.0.1"] {
            case(nonsense, "127.0.0.1");
        }
        let two = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "9.9.9.9"),
        ];
        assert_eq!(peer("10.0.0.1", &two).address.to_string(), "9.9.9.9");
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let stranger = peer("203.0.113.5", &[("x-forwarded-for", "127.0.0.1")]);
        assert_eq!(stranger.address.to_string(), "203.0.113.5");
        assert!(!stranger.is_local() && !stranger.is_secure());
        let secure = [("x-forwarded-proto", "https")];
        assert!(!peer("203.0.113.5", &secure).is_secure());
        assert!(peer("10.0.0.1", &secure).is_secure());
        assert!(!peer("10.0.0.1", &[("x-forwarded-proto", "http")]).is_secure());
    }

    #[test]
    fn this_machine_is_loopback_without_a_proxy_between() {
        assert!(peer("127.0.0.2", &[]).is_local());
        assert!(peer("::1", &[]).is_local());
        assert!(peer("::ffff:127.0.0.2", &[]).is_local());
        assert!(!peer("192.168.1.2", &[]).is_local());
        // 127.0.0.1 is a proxy here, also where it forgets to say for whom it asks.
        assert!(!peer("127.0.0.1", &[]).is_local());
        for tells in ["x-forwarded-for", "x-real-ip", "forwarded", "via"] {
            assert!(!peer("127.0.0.2", &[(tells, "x")]).is_local(), "{tells}");
        }
    }

    #[test]
    fn an_ipv6_network_is_one_party() {
        let party = |address| peer(address, &[]).party();
        assert_eq!(party("2001:db8:1:2:3::4"), party("2001:db8:1:2:5::6"));
        assert_ne!(party("2001:db8:1:2::"), party("2001:db8:1:3::"));
    }
}
