//! From a socket to a connection: a balancer's header, TLS, and a browser that is sent elsewhere.
//! All of it has the time that a connection has to authorize a worker, and no more.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tracing::debug;
use wire::{
    Dialect, LineBuffer,
    proxy::{HEADER_MAX, Origin, Progress, ProxyError},
};

use super::{
    Door, Place,
    first_bytes::{Speech, speech},
    http, shared_ports,
};
use crate::{
    connection::{self, Context},
    stream::Stream,
    tasks::Stage,
};

/// The longest first line by which two pools' miners are told apart: what a connection takes of one that
/// is not authorized.
const LINE_MAX: usize = 4 * 1024;

/// Why a peer does not become a miner.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("as many connections as there may be")]
    Full,
    #[error("as many connections from there as there may be")]
    Crowded,
    #[error("banned")]
    Banned,
    #[error("a PROXY header from where none may come")]
    StrangeProxy,
    #[error("{0}")]
    Proxy(#[from] ProxyError),
    #[error("TLS on a port without")]
    NoTls,
    #[error("no TLS on a port for nothing else")]
    OnlyTls,
    #[error("it ended before it said anything")]
    Ended,
    #[error("nothing whole was said in time")]
    Late,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A peer that is known and has said something.
struct Arrived {
    stream: Stream,
    peer: SocketAddr,
    speech: Speech,
    /// Of the pool that it is for.
    context: Arc<Context>,
    place: Place,
}

impl Door {
    /// Serves a peer until it is gone.
    pub(super) async fn arrive(
        self: Arc<Self>,
        socket: TcpStream,
        peer: SocketAddr,
        accepted_at: Instant,
        place: Place,
    ) {
        let stopping = self.tasks.ending(Stage::Doors);
        let deadline = accepted_at + self.context.rules.handshake;
        // Boxed, as what it holds is of no use to the connection that follows.
        let arriving = Box::pin(timeout_at(deadline, self.receive(socket, peer, place)));
        let arrived = tokio::select! {
            () = stopping.cancelled() => return,
            arrived = arriving => arrived.unwrap_or(Err(Refused::Late)),
        };
        let Arrived {
            stream,
            peer,
            speech,
            context,
            place,
        } = match arrived {
            Ok(arrived) => arrived,
            // Whoever looks whether the port is open comes and goes.
            Err(Refused::Ended) => return,
            Err(refused) => return self.turn_away(peer, &refused),
        };
        if speech == Speech::Http {
            let http = (&self.routes, self.context.rules.messages);
            let served = Box::pin(http::serve(stream, peer, http, &stopping));
            if let Err(error) = served.await {
                debug!(%peer, %error, "a connection of HTTP ended");
            }
        } else {
            let context = Arc::clone(&context);
            // Boxed too: it is there only once somebody speaks.
            Box::pin(connection::serve(stream, peer, accepted_at, context)).await;
        }
        drop(place);
    }

    /// Whose miner it is. Where two pools have the port its first line says so, and what says nothing is
    /// answered by the first one.
    async fn context_for(
        &self,
        stream: &mut Stream,
        peer: SocketAddr,
    ) -> Result<Arc<Context>, Refused> {
        let Some(other) = &self.other else {
            return Ok(Arc::clone(&self.context));
        };
        let line = Box::pin(first_line(stream)).await?;
        let dialect = line.and_then(|line| Dialect::of(&line));
        let context = match dialect {
            Some(dialect) if dialect == shared_ports::dialect(other.coin) => other,
            _ => &self.context,
        };
        match context.bans.is_banned(peer.ip()) {
            true => Err(Refused::Banned),
            false => Ok(Arc::clone(context)),
        }
    }

    async fn receive(
        &self,
        socket: TcpStream,
        mut peer: SocketAddr,
        mut place: Place,
    ) -> Result<Arrived, Refused> {
        let mut stream = Stream::plain(socket);
        if place.counted.is_none() {
            if let Origin::Peer(origin) = Box::pin(read_header(&mut stream)).await? {
                peer = origin;
            }
            place.counted = Some(self.count(peer.ip())?);
        }
        let mut said = speech(&mut stream).await?.ok_or(Refused::Ended)?;
        if said == Speech::Tls {
            let tls = self.tls.as_ref().ok_or(Refused::NoTls)?;
            let config = Arc::clone(&tls.borrow());
            Box::pin(stream.start_tls(config)).await?;
            said = speech(&mut stream).await?.ok_or(Refused::Ended)?;
        } else if self.only_tls && said != Speech::Proxy {
            return Err(Refused::OnlyTls);
        }
        match said {
            // Also a second one of a balancer, and one that hides under TLS.
            Speech::Proxy => Err(Refused::StrangeProxy),
            // TLS within TLS is nothing that a miner speaks.
            Speech::Tls => Err(Refused::NoTls),
            Speech::Http | Speech::Stratum => {
                let context = match said {
                    Speech::Stratum => self.context_for(&mut stream, peer).await?,
                    _ => Arc::clone(&self.context),
                };
                Ok(Arrived {
                    stream,
                    peer,
                    speech: said,
                    context,
                    place,
                })
            }
        }
    }
}

/// Reads until there is a whole line, or as much as there may be of one, and puts all of it back. Gives
/// the line without its end; nothing of one that is too long.
async fn first_line(stream: &mut Stream) -> Result<Option<Vec<u8>>, Refused> {
    let mut read = Vec::new();
    let mut lines = LineBuffer::new(LINE_MAX);
    let line = loop {
        let mut bytes = [0; 512];
        let count = stream.read(&mut bytes).await?;
        if count == 0 {
            return Err(Refused::Ended);
        }
        read.extend_from_slice(&bytes[..count]);
        lines.push(&bytes[..count]);
        match lines.next_line() {
            Ok(Some(line)) => break Some(line.to_vec()),
            Ok(None) if read.len() <= LINE_MAX => {}
            // Also of nothing but empty lines.
            Ok(None) | Err(_) => break None,
        }
    };
    stream.unread(&read);
    Ok(line)
}

/// Reads a PROXY header and not one byte more.
async fn read_header(stream: &mut Stream) -> Result<Origin, Refused> {
    let mut header = [0; HEADER_MAX];
    let mut length = 0;
    let mut wanted = wire::proxy::START;
    loop {
        match stream.read(&mut header[length..wanted]).await? {
            0 => return Err(Refused::Ended),
            count => length += count,
        }
        match wire::proxy::read(&header[..length])? {
            Progress::Whole(origin, _) => return Ok(origin),
            Progress::Needs(more) => wanted = more,
        }
    }
}
