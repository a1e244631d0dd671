//! What carries a miner's bytes to the pool. A test that speaks Stratum takes it as a parameter, so
//! that the same words can be said over anything.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream},
};

use super::{connect_from, loopback, wait_for};

/// Opens connections to a port of the pool.
pub(crate) trait Transport {
    /// A new connection, ready for the first byte of Stratum.
    fn connect(&self, port: u16) -> Box<dyn Duplex>;
}

/// An open connection.
pub(crate) trait Duplex: Read + Write + Send {
    /// The socket beneath, for timeouts.
    fn socket(&self) -> &TcpStream;
}

/// TCP and nothing else.
pub(crate) struct Plain;

/// TCP over IPv6.
pub(crate) struct Six;

/// TCP through a balancer at this address, which says that this peer connects.
pub(crate) struct Balanced {
    pub(crate) balancer: &'static str,
    pub(crate) peer: &'static str,
}

impl Transport for Plain {
    fn connect(&self, port: u16) -> Box<dyn Duplex> {
        Box::new(connect(loopback(port)))
    }
}

impl Transport for Six {
    fn connect(&self, port: u16) -> Box<dyn Duplex> {
        Box::new(connect(SocketAddr::from((Ipv6Addr::LOCALHOST, port))))
    }
}

impl Transport for Balanced {
    fn connect(&self, port: u16) -> Box<dyn Duplex> {
        let mut stream = connect_from(self.balancer, port);
        stream.write_all(&proxy_header(self.peer)).unwrap();
        Box::new(stream)
    }
}

impl Duplex for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    wait_for("the pool's port", || TcpStream::connect(address).ok())
}

/// A header of the PROXY protocol that says that `peer` connects.
pub(crate) fn proxy_header(peer: &str) -> Vec<u8> {
    let peer: SocketAddr = peer.parse().unwrap();
    let mut bytes = wire::proxy::SIGNATURE.to_vec();
    match peer.ip() {
        IpAddr::V4(address) => {
            bytes.extend([0x21, 0x11, 0, 12]);
            bytes.extend([address.octets(), [127, 0, 0, 1]].concat());
        }
        IpAddr::V6(address) => {
            bytes.extend([0x21, 0x21, 0, 36]);
            bytes.extend([address.octets(), [0; 16]].concat());
        }
    }
    bytes.extend(peer.port().to_be_bytes());
    bytes.extend(3333_u16.to_be_bytes());
    bytes
}
