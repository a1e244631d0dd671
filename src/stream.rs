//! What carries a miner's bytes: a socket, plain or under TLS. Nothing here waits but
//! [`poll_read`](Stream::poll_read) and [`writable`](Stream::writable), so that a connection can
//! hold no buffer while it is idle; the listener's own calls, before there is a connection, wait
//! too.

mod tls;

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};

use self::tls::Tls;

/// How long a peer that was told good-bye may take to take its last bytes.
const LINGER: Duration = Duration::from_secs(1);
/// How much of what it still sends is read meanwhile.
const LINGER_READS: usize = 16;

/// A connected peer's bytes.
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<Tls>>,
    /// What was read and put back.
    unread: Option<Box<[u8]>>,
}

impl Stream {
    /// Bytes as they come from the socket.
    pub fn plain(socket: TcpStream) -> Self {
        Self {
            socket,
            tls: None,
            unread: None,
        }
    }

    /// Whether it is under TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The socket, of a peer that could go on talking to another process: nothing under TLS, whose keys are
    /// this process's alone.
    pub fn plain_socket(&self) -> Option<&TcpStream> {
        self.tls.is_none().then_some(&self.socket)
    }

    /// The address the peer connected to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Goes on under TLS, once the handshake is over. Waits for the peer: the caller sets the limit.
    pub async fn start_tls(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let tls = self.tls.insert(Box::new(Tls::new(config)?));
        loop {
            while let Err(error) = tls.send(&self.socket) {
                if error.kind() != io::ErrorKind::WouldBlock {
                    return Err(error);
                }
                self.socket.writable().await?;
            }
            if !tls.is_handshaking() {
                return Ok(());
            }
            self.socket.readable().await?;
            match tls.receive(&self.socket) {
                Ok(true) => {}
                Ok(false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for bytes and copies the first of them, without taking them; 0 is the end. Called
    /// again it gives the same bytes at once, and maybe more.
    pub async fn peek(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.peek(bytes).await;
        };
        loop {
            match tls.peek(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            self.socket.readable().await?;
            match tls.receive(&self.socket) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    /// Reads what is there; 0 is the end. After a read that did not fill `bytes` the next one is
    /// not tried before the system says that there is more.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(unread) = self.unread.take() {
            let count = unread.len().min(bytes.len());
            bytes[..count].copy_from_slice(&unread[..count]);
            self.unread(&unread[count..]);
            return Poll::Ready(Ok(count));
        }
        let Some(tls) = &mut self.tls else {
            let mut buffer = ReadBuf::new(bytes);
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer))?;
            return Poll::Ready(Ok(buffer.filled().len()));
        };
        loop {
            match tls.read(&self.socket, bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            ready!(self.socket.poll_read_ready(context))?;
        }
    }

    /// Waits for bytes; 0 is the end.
    pub async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, bytes)).await
    }

    /// Puts back what was read, to be read again. Nothing is to be waiting from another time.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.unread = (!bytes.is_empty()).then(|| bytes.into());
    }

    /// Takes as much as there is room for, or says [`io::ErrorKind::WouldBlock`].
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.write(&self.socket, bytes),
            None => self.socket.try_write(bytes),
        }
    }

    /// Passes on what was taken; [`io::ErrorKind::WouldBlock`] if some of it has to wait.
    pub fn try_flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.send(&self.socket),
            None => Ok(()),
        }
    }

    /// Takes as much as there is room for, at least something.
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            ready!(self.socket.poll_write_ready(context))?;
        }
    }

    /// Passes all on that was taken.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            ready!(self.socket.poll_write_ready(context))?;
        }
    }

    /// Waits until there is room to write.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Small replies leave at once.
    pub fn set_nodelay(&self) -> io::Result<()> {
        self.socket.set_nodelay(true)
    }

    /// Ends the connection such that what was sent arrives: a socket that is closed while there is
    /// something to read takes back what the peer has not read yet. Takes a second at most.
    pub async fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.say_good_bye(&self.socket);
        }
        let lingering = async {
            self.socket.shutdown().await?;
            let mut bytes = [0; 1024];
            for _ in 0..LINGER_READS {
                self.socket.readable().await?;
                match self.socket.try_read(&mut bytes) {
                    Ok(0) => break,
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        };
        // The peer may be gone, or not want to go: both is its own affair.
        let _ = tokio::time::timeout(LINGER, lingering).await;
    }
}

/// For those who bring buffers of their own, as servers of HTTP do.
impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = ready!(Stream::poll_read(
            &mut self,
            context,
            into.initialize_unfilled()
        ))?;
        into.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Stream::poll_write(&mut self, context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_flush(&mut self, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Stream::poll_flush(&mut self, context))?;
        let stream = &mut *self;
        if let Some(tls) = &mut stream.tls {
            tls.say_good_bye(&stream.socket);
        }
        Pin::new(&mut stream.socket).poll_shutdown(context)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.say_good_bye(&self.socket);
        }
    }
}
