//! What carries a miner's bytes to the pool. A test that speaks Stratum takes it as a parameter, so
//! that the same words can be said over anything.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::{loopback, wait_for};

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

impl Transport for Plain {
    fn connect(&self, port: u16) -> Box<dyn Duplex> {
        Box::new(wait_for("the pool's port", || {
            TcpStream::connect(loopback(port)).ok()
        }))
    }
}

impl Duplex for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}
