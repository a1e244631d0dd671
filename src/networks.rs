//! Where a peer is counted: its party, its neighbourhood, and the networks an operator names.
//! Called by the listener and by bans.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use ipnet::IpNet;

/// Networks in a list. Enough for every balancer; each connection looks at all of them.
const NETWORKS_MAX: usize = 256;

/// What one party is assumed to have: an IPv4 address, or a /64 of IPv6. An IPv4 address in IPv6
/// clothes is an IPv4 address.
pub fn party(address: IpAddr) -> IpAddr {
    masked(address, 32, 64)
}

/// What one network is assumed to have: a /24 of IPv4, or a /48 of IPv6.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    masked(address, 24, 48)
}

/// This machine's address in its network: the one that it would send from. Nothing is sent.
pub(crate) fn of_this_machine() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address of documentation (RFC 5737), which is nobody's.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

fn masked(address: IpAddr, bits_v4: u32, bits_v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(bits_v4).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & !host).into()
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(bits_v6).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & !host).into()
        }
    }
}

/// Networks that an operator named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// Why a list of networks is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNetworks {
    /// Not of the form.
    #[error("{0:?} is no network: write it like \"10.0.0.0/8\", \"2001:db8::/32\" or \"10.1.2.3\"")]
    Form(String),
    /// The address has bits that its length does not cover.
    #[error("{found:?} is an address within a network; the network is \"{meant}\"")]
    HostBits {
        /// What was written.
        found: String,
        /// What may be meant.
        meant: IpNet,
    },
    /// An IPv4 network in IPv6 clothes, which would match nothing.
    #[error("{0:?} is a network of IPv4 written as IPv6: write it as IPv4")]
    Mapped(String),
    /// Too many.
    #[error("{0} networks, at most {NETWORKS_MAX}")]
    TooMany(usize),
}

impl Networks {
    /// Reads networks in CIDR form, or single addresses.
    pub fn parse(texts: &[String]) -> Result<Self, NotNetworks> {
        if texts.len() > NETWORKS_MAX {
            return Err(NotNetworks::TooMany(texts.len()));
        }
        let network = |text: &String| {
            let form = || NotNetworks::Form(text.clone());
            // Not ipnet's parser, which takes "010.0.0.0" that others read as octal.
            let (address, bits) = match text.split_once('/') {
                Some((address, bits)) => (address, Some(bits)),
                None => (text.as_str(), None),
            };
            let address: IpAddr = address.parse().map_err(|_| form())?;
            let network = match bits {
                None => IpNet::from(address),
                Some(bits) => {
                    let is_number = bits.bytes().all(|byte| byte.is_ascii_digit());
                    let bits = bits.parse().ok().filter(|_| is_number).ok_or_else(form)?;
                    IpNet::new(address, bits).map_err(|_| form())?
                }
            };
            if network.addr() != network.addr().to_canonical() {
                return Err(NotNetworks::Mapped(text.clone()));
            }
            if network.trunc() != network {
                return Err(NotNetworks::HostBits {
                    found: text.clone(),
                    meant: network.trunc(),
                });
            }
            Ok(network)
        };
        texts
            .iter()
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether an address lies in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Networks, NotNetworks> {
        Networks::parse(&[text.to_owned()])
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn parties_and_neighbourhoods_are_cut_where_they_are_said_to_be() {
        #[track_caller]
        fn case(address: &str, one: &str, around: &str) {
            assert_eq!(party(ip(address)), ip(one));
            assert_eq!(neighbourhood(ip(address)), ip(around));
        }
        case("1.2.3.4", "1.2.3.4", "1.2.3.0");
        case("::ffff:1.2.3.4", "1.2.3.4", "1.2.3.0");
        case("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::");
        case("::1", "::", "::");
    }

    #[test]
    fn networks_are_read_strictly() {
        for good in [
            "10.0.0.0/8",
            "10.1.2.3",
            "10.1.2.3/32",
            "0.0.0.0/0",
            "::/0",
            "::1",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "10",
            "10.0.0/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "x/8",
            " 10.0.0.0/8",
            "::/129",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
        ] {
            assert_eq!(parse(bad), Err(NotNetworks::Form(bad.into())));
        }
        assert!(matches!(
            parse("10.0.0.1/8"),
            Err(NotNetworks::HostBits { .. })
        ));
        assert!(matches!(
            parse("2001:db8::1/32"),
            Err(NotNetworks::HostBits { .. })
        ));
        assert!(matches!(
            parse("::ffff:10.0.0.0/104"),
            Err(NotNetworks::Mapped(_))
        ));
        let many = vec!["::1".to_owned(); NETWORKS_MAX + 1];
        assert!(matches!(
            Networks::parse(&many),
            Err(NotNetworks::TooMany(_))
        ));
    }

    #[test]
    fn a_network_has_the_addresses_it_says() {
        let networks = Networks::parse(&["10.0.0.0/8".into(), "2001:db8::/32".into()]).unwrap();
        for inside in ["10.255.0.1", "::ffff:10.0.0.1", "2001:db8:ffff::1"] {
            assert!(networks.contains(ip(inside)), "{inside}");
        }
        for outside in ["11.0.0.0", "9.255.255.255", "2001:db9::", "::"] {
            assert!(!networks.contains(ip(outside)), "{outside}");
        }
        assert!(!Networks::default().contains(ip("10.0.0.1")));
    }

    proptest! {
        #[test]
        fn a_party_lies_in_its_neighbourhood(address in any::<IpAddr>()) {
            prop_assert_eq!(neighbourhood(party(address)), neighbourhood(address));
            prop_assert_eq!(party(party(address)), party(address));
        }

        #[test]
        fn no_text_is_too_much(text in ".{0,50}") {
            let _ = parse(&text);
        }
    }
}
