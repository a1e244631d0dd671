//! The PROXY protocol, version 2: how a balancer tells whom it speaks for. Read by the listener,
//! and only from the networks that the operator named.
//!
//! Source: <https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>, section 2.2. Sixteen bytes
//! come first: the signature, version and command, family and transport, and the length of what
//! follows. Then come the addresses, and entries of other kinds, which are skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with. No text protocol does.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes before the addresses.
pub const START: usize = 16;

/// The longest header that is read: the payload that every IPv4 path carries in one packet, which
/// the specification asks senders not to pass.
pub const HEADER_MAX: usize = 536;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The balancer speaks for itself, to see whether the port is open.
    Local,
    /// It speaks for somebody and does not say for whom.
    Unknown,
    /// It speaks for this peer.
    Peer(SocketAddr),
}

/// How far a header has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// What is there is right so far, and the header has at least so many bytes in all.
    Needs(usize),
    /// It is complete, and has so many bytes.
    Whole(Origin, usize),
}

/// Why bytes are no header. The connection is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The first bytes are others.
    #[error("no PROXY header of version 2")]
    Signature,
    /// Another version than 2.
    #[error("PROXY header of version {0}")]
    Version(u8),
    /// Neither LOCAL nor PROXY.
    #[error("PROXY header with the unknown command {0}")]
    Command(u8),
    /// Not TCP over IPv4 or IPv6.
    #[error("PROXY header for something other than TCP: {0:#04x}")]
    Family(u8),
    /// Longer than [`HEADER_MAX`].
    #[error("PROXY header of {0} bytes, at most {HEADER_MAX} are read")]
    TooLong(usize),
    /// Too short for the addresses of its family.
    #[error("PROXY header with {0} bytes of addresses, too few for its family")]
    TooShort(usize),
}

/// Reads a header from the start of `bytes`, as far as they go. A wrong byte is an error as soon as
/// it is there.
pub fn read(bytes: &[u8]) -> Result<Progress, ProxyError> {
    let signed = bytes.len().min(SIGNATURE.len());
    if bytes[..signed] != SIGNATURE[..signed] {
        return Err(ProxyError::Signature);
    }
    let is_local = match bytes.get(12).map(|byte| (byte >> 4, byte & 0x0f)) {
        None => return Ok(Progress::Needs(START)),
        Some((2, 0)) => true,
        Some((2, 1)) => false,
        Some((2, command)) => return Err(ProxyError::Command(command)),
        Some((version, _)) => return Err(ProxyError::Version(version)),
    };
    let Some(&family) = bytes.get(13) else {
        return Ok(Progress::Needs(START));
    };
    // What stands in a LOCAL header is to be ignored, whatever it is.
    let addresses = match family {
        _ if is_local => 0,
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        other => return Err(ProxyError::Family(other)),
    };
    let Some(length) = bytes.get(14..START) else {
        return Ok(Progress::Needs(START));
    };
    let length = usize::from(length[0]) << 8 | usize::from(length[1]);
    let whole = START + length;
    if whole > HEADER_MAX {
        return Err(ProxyError::TooLong(whole));
    }
    if length < addresses {
        return Err(ProxyError::TooShort(length));
    }
    let Some(block) = bytes.get(START..whole) else {
        return Ok(Progress::Needs(whole));
    };
    let origin = match family {
        _ if is_local => Origin::Local,
        0x11 => Origin::Peer(peer_v4(block)),
        0x21 => Origin::Peer(peer_v6(block)),
        _ => Origin::Unknown,
    };
    Ok(Progress::Whole(origin, whole))
}

/// Source and destination address, then source and destination port.
fn peer_v4(block: &[u8]) -> SocketAddr {
    let octets: [u8; 4] = block[..4].try_into().expect("its length was checked");
    SocketAddr::new(Ipv4Addr::from(octets).into(), port(&block[8..10]))
}

fn peer_v6(block: &[u8]) -> SocketAddr {
    let octets: [u8; 16] = block[..16].try_into().expect("its length was checked");
    // An IPv4 address in IPv6 clothes is an IPv4 address.
    let address = IpAddr::from(Ipv6Addr::from(octets)).to_canonical();
    SocketAddr::new(address, port(&block[32..34]))
}

fn port(bytes: &[u8]) -> u16 {
    u16::from(bytes[0]) << 8 | u16::from(bytes[1])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header with this first part, and a block of this length.
    fn encode(version_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [
            &SIGNATURE[..],
            &[version_command, family],
            &length[..],
            block,
        ]
        .concat()
    }

    fn block_of(peer: SocketAddr, extra: &[u8]) -> (u8, Vec<u8>) {
        let (family, mut block) = match peer.ip() {
            IpAddr::V4(address) => (0x11, [address.octets(), [10, 0, 0, 9]].concat()),
            IpAddr::V6(address) => (0x21, [address.octets(), [9; 16]].concat()),
        };
        block.extend(peer.port().to_be_bytes());
        block.extend(3333_u16.to_be_bytes());
        block.extend(extra);
        (family, block)
    }

    #[test]
    fn a_balancers_own_connection_and_an_unknown_peer_are_told_apart() {
        #[track_caller]
        fn case(command: u8, family: u8, block: &[u8], expected: Origin) {
            let bytes = encode(command, family, block);
            assert_eq!(read(&bytes), Ok(Progress::Whole(expected, bytes.len())));
        }
        case(0x20, 0x00, &[], Origin::Local);
        case(0x20, 0x11, &[1, 2, 3], Origin::Local);
        case(0x20, 0xff, &[0; 520], Origin::Local);
        case(0x21, 0x00, &[], Origin::Unknown);
        case(0x21, 0x00, &[7; 40], Origin::Unknown);
    }

    #[test]
    fn wrong_headers_are_refused_by_name() {
        #[track_caller]
        fn case(bytes: &[u8], expected: ProxyError) {
            assert_eq!(read(bytes), Err(expected));
        }
        case(b"{", ProxyError::Signature);
        case(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyError::Signature);
        case(b"\r\n\r\n\0\r\nQUIT\r", ProxyError::Signature);
        case(&encode(0x11, 0x11, &[0; 12]), ProxyError::Version(1));
        case(&encode(0x31, 0x11, &[0; 12]), ProxyError::Version(3));
        case(&encode(0x22, 0x11, &[0; 12]), ProxyError::Command(2));
        case(&encode(0x21, 0x12, &[0; 12]), ProxyError::Family(0x12));
        case(&encode(0x21, 0x10, &[0; 12]), ProxyError::Family(0x10));
        case(&encode(0x21, 0x22, &[0; 36]), ProxyError::Family(0x22));
        case(&encode(0x21, 0x31, &[0; 216]), ProxyError::Family(0x31));
        case(&encode(0x21, 0x41, &[0; 216]), ProxyError::Family(0x41));
        case(&encode(0x21, 0x11, &[0; 11]), ProxyError::TooShort(11));
        case(&encode(0x21, 0x21, &[0; 35]), ProxyError::TooShort(35));
        case(&encode(0x21, 0x11, &[0; 521]), ProxyError::TooLong(537));
        // A length that lies is found out before the bytes come.
        let lie = [&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat();
        case(&lie, ProxyError::TooLong(65_551));
    }

    #[test]
    fn the_longest_header_is_read() {
        let bytes = encode(0x21, 0x11, &[1; 520]);
        assert_eq!(bytes.len(), HEADER_MAX);
        let peer = "1.1.1.1:257".parse().unwrap();
        assert_eq!(
            read(&bytes),
            Ok(Progress::Whole(Origin::Peer(peer), HEADER_MAX))
        );
    }

    #[test]
    fn a_mapped_address_is_the_address_of_ipv4() {
        let (family, block) = block_of("[::ffff:1.2.3.4]:5".parse().unwrap(), &[]);
        let bytes = encode(0x21, family, &block);
        let peer = "1.2.3.4:5".parse().unwrap();
        assert_eq!(read(&bytes), Ok(Progress::Whole(Origin::Peer(peer), 52)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            v4 in any::<Option<[u8; 4]>>(),
            v6 in any::<[u8; 16]>(),
            port in any::<u16>(),
            extra in prop::collection::vec(any::<u8>(), 0..484),
            after in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let address = v4.map_or(IpAddr::from(v6), IpAddr::from).to_canonical();
            let peer = SocketAddr::new(address, port);
            let (family, block) = block_of(peer, &extra);
            let header = encode(0x21, family, &block);
            let bytes = [&header[..], &after].concat();
            let whole = Ok(Progress::Whole(Origin::Peer(peer), header.len()));
            prop_assert_eq!(read(&bytes), whole);
            for length in 0..header.len() {
                // Less than all of it asks for more, and never for more than there is.
                match read(&bytes[..length]) {
                    Ok(Progress::Needs(needed)) => {
                        prop_assert!(length < needed && needed <= header.len());
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }

        #[test]
        fn no_bytes_are_too_much(
            signed in any::<bool>(),
            rest in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let start: &[u8] = if signed { &SIGNATURE } else { &[] };
            let bytes = [start, &rest].concat();
            match read(&bytes) {
                Ok(Progress::Whole(_, length)) => prop_assert!(length <= bytes.len()),
                Ok(Progress::Needs(length)) => prop_assert!(length > bytes.len()),
                Err(_) => {}
            }
        }
    }
}
