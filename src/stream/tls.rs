//! TLS over a socket that never blocks: rustls' state and nothing else, so that an idle connection
//! holds little. Called by [`Stream`](super::Stream) alone. An error means that the peer speaks no
//! proper TLS; it has been told so where it could be.

use std::{
    io::{self, BufRead as _, Read, Write},
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection};
use tokio::net::TcpStream;

/// The most bytes that are read before the handshake is over. A client's first message has 200 to
/// 2,000 and may have to be sent twice; rustls alone would keep 64 KiB of one that never ends.
const HANDSHAKE_MAX: usize = 4 * 1024;
/// The most bytes that wait to be sent. More waits with the connection, which has a limit too.
const UNSENT_MAX: usize = 16 * 1024;
/// Reads from the socket in one go, after which other connections have their turn: a peer can send
/// records without content faster than they are read.
const READS_MAX: usize = 4;

/// One end of a TLS connection: the pool's.
pub(super) struct Tls {
    connection: ServerConnection,
    /// Bytes that came during the handshake.
    heard: usize,
    /// The peer sends nothing any more.
    ended: bool,
}

/// A socket as rustls wants it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Tls {
    pub(super) fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(UNSENT_MAX));
        Ok(Self {
            connection,
            heard: 0,
            ended: false,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes what the socket has, at most a few KiB. False once the peer has ended.
    pub(super) fn receive(&mut self, socket: &TcpStream) -> io::Result<bool> {
        let count = self.connection.read_tls(&mut Socket(socket))?;
        self.ended = count == 0;
        let state = self.connection.process_new_packets();
        // Alerts and answers of TLS itself. What has no room waits for the next bytes to send.
        match self.send(socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock && state.is_ok() => {
                return Err(error);
            }
            _ => {}
        }
        state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        // Afterwards, as the last read of a handshake may hold what follows it.
        if self.connection.is_handshaking() {
            self.heard += count;
            if self.heard > HANDSHAKE_MAX {
                return Err(io::Error::other("the TLS handshake is too long"));
            }
        }
        Ok(!self.ended)
    }

    /// As [`Stream::try_read`](super::Stream::try_read).
    pub(super) fn read(&mut self, socket: &TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
        for _ in 0..READS_MAX {
            match self.connection.reader().read(bytes) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Many devices hang up without a word; lines have an end of their own.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            self.receive(socket)?;
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Copies the first bytes that can be read, and leaves them there.
    pub(super) fn peek(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut reader = self.connection.reader();
        let there = reader.fill_buf()?;
        let count = there.len().min(bytes.len());
        bytes[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }

    /// As [`Stream::try_write`](super::Stream::try_write).
    pub(super) fn write(&mut self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = self.connection.writer().write(bytes)?;
        match self.send(socket) {
            Ok(()) if taken == 0 => taken = self.connection.writer().write(bytes)?,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    /// Sends what waits; [`io::ErrorKind::WouldBlock`] if there is no room for all of it.
    pub(super) fn send(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Socket(socket))?;
        }
        Ok(())
    }

    /// Tells the peer that nothing more comes.
    pub(super) fn say_good_bye(&mut self, socket: &TcpStream) {
        self.connection.send_close_notify();
        // The peer may be gone already.
        let _ = self.send(socket);
    }
}
