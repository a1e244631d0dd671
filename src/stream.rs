//! What carries a miner's bytes. Nothing here waits but [`poll_read`](Stream::poll_read) and
//! [`writable`](Stream::writable), so that a connection can hold no buffer while it is idle.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
};

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

    /// Reads what is there; 0 is the end. After a read that did not fill `bytes` the next one is
    /// not tried before the system says that there is more.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(bytes);
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
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
