//! What carries a miner's bytes. Nothing here waits but [`poll_readable`](Stream::poll_readable) and
//! [`writable`](Stream::writable), so that a connection can hold no buffer while it is idle.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

/// A connected peer's bytes.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
}

impl Stream {
    /// Bytes as they come from the socket.
    pub fn plain(socket: TcpStream) -> Self {
        Self { socket }
    }

    /// Ready when there is something to read, or the end.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_read_ready(context)
    }

    /// Reads what is there; 0 is the end, [`io::ErrorKind::WouldBlock`] nothing yet.
    pub fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.try_read(bytes)
    }

    /// Takes as much as there is room for, or says [`io::ErrorKind::WouldBlock`].
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_write(bytes)
    }

    /// Passes on what was taken; [`io::ErrorKind::WouldBlock`] if some of it has to wait.
    pub fn try_flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Waits until there is room to write.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Small replies leave at once.
    pub fn set_nodelay(&self) -> io::Result<()> {
        self.socket.set_nodelay(true)
    }
}
