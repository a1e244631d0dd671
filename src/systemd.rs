//! What is said to systemd, if it has started the process: that it runs, reloads, stops, and is alive; and
//! the sockets that it keeps while the process is started anew. Called by `adit pool`.
//!
//! A kept socket goes on listening without the process. Who connects meanwhile waits, and is let in by
//! the next run; nobody is refused. Miners' connections are kept likewise, and what they send meanwhile
//! waits, too: `src/kept_sessions/left_open.rs` is what else the next run needs to go on with them. Without
//! systemd nothing of this does anything.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tracing::{debug, info, warn};

/// What systemd calls all connections of miners.
const MINERS: &str = "miners";

/// Sockets of the run before that nobody has taken yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Sockets(Arc<Mutex<Inherited>>);

#[derive(Debug, Default)]
struct Inherited {
    waiting: Vec<(SocketAddr, std::net::TcpListener)>,
    /// Connections of miners.
    connections: Vec<std::net::TcpStream>,
    /// Whether systemd has any connection, which it is to forget once all are taken.
    had_connections: bool,
    /// How many more systemd has room for; none where it keeps nothing.
    room: usize,
}

impl Sockets {
    /// Those that systemd has kept for this process.
    pub fn inherited() -> Self {
        let mut all = ListenFd::from_env();
        let mut waiting = Vec::new();
        let mut connections = Vec::new();
        for index in 0..all.len() {
            // What is no socket of TCP is nobody's here.
            let Ok(Some(listener)) = all.take_tcp_listener(index) else {
                continue;
            };
            if !socket_acceptconn(&listener).unwrap_or(false) {
                connections.push(OwnedFd::from(listener).into());
            } else if let Ok(address) = listener.local_addr() {
                waiting.push((address, listener));
            }
        }
        let inherited = Inherited {
            // It has them until it is told to forget them.
            room: store_max().saturating_sub(waiting.len()),
            waiting,
            had_connections: !connections.is_empty(),
            connections,
        };
        Self(Arc::new(Mutex::new(inherited)))
    }

    /// Takes the connections of the run before that came to this port.
    pub fn take_connections(&self, port: u16) -> Vec<std::net::TcpStream> {
        let mut inherited = self.inherited_now();
        let is_of_port = |connection: &mut std::net::TcpStream| {
            connection.local_addr().is_ok_and(|at| at.port() == port)
        };
        inherited.connections.extract_if(.., is_of_port).collect()
    }

    /// Whether a connection can be handed to the next run.
    pub fn keeps(&self) -> bool {
        self.inherited_now().room > 0
    }

    /// Hands a connection to systemd, for the next run. Whoever calls it may close the socket then.
    pub fn keep_connection(&self, socket: impl AsFd) -> io::Result<()> {
        self.inherited_now().keep(MINERS, socket.as_fd())
    }

    fn inherited_now(&self) -> MutexGuard<'_, Inherited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket that listens at an address: kept from the run before, or made by `bind` and kept for
    /// the next.
    pub fn listen(
        &self,
        address: SocketAddr,
        bind: impl FnOnce() -> io::Result<TcpListener>,
    ) -> io::Result<TcpListener> {
        let mut inherited = self.inherited_now();
        let found = inherited.waiting.iter().position(|(at, _)| *at == address);
        if let Some(index) = found {
            let (_, listener) = inherited.waiting.swap_remove(index);
            listener.set_nonblocking(true)?;
            info!(%address, "goes on listening with the socket of the run before");
            return TcpListener::from_std(listener);
        }
        let listener = bind()?;
        // A port that the system chooses is another one the next time.
        if inherited.room > 0
            && address.port() != 0
            && let Err(error) = inherited.keep(&name(address), listener.as_fd())
        {
            warn!(%error, %address, "systemd does not keep a socket for the next run");
        }
        Ok(listener)
    }

    /// Closes what nobody has taken: ports that the configuration names no longer, and their connections.
    pub fn close_rest(&self) {
        let mut inherited = self.inherited_now();
        inherited.connections.clear();
        if std::mem::take(&mut inherited.had_connections) {
            // They are this process's now, and end with it or are handed over anew.
            tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(MINERS)]);
        }
        for (address, _) in inherited.waiting.drain(..) {
            info!(%address, "no longer listening here");
            let name = name(address);
            tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(&name)]);
        }
    }
}

impl Inherited {
    /// Hands a socket to systemd, if it has room: what is too much for it, it closes without a word.
    fn keep(&mut self, name: &str, socket: BorrowedFd<'_>) -> io::Result<()> {
        let left = self.room.checked_sub(1);
        let left = left.ok_or_else(|| io::Error::other("systemd has no room for more sockets"))?;
        let state = [NotifyState::FdStore, NotifyState::FdName(name)];
        sd_notify::notify_with_fds(&state, &[socket])?;
        self.room = left;
        Ok(())
    }
}

/// How many sockets systemd keeps for this process. It says so itself from version 254 on, and our unit
/// says it for older ones; whoever else listens at `NOTIFY_SOCKET` would take sockets and close them.
fn store_max() -> usize {
    let told = std::env::var("FDSTORE").unwrap_or_default();
    let is_told_to = std::env::var_os("NOTIFY_SOCKET").is_some();
    told.parse().ok().filter(|_| is_told_to).unwrap_or(0)
}

/// All that starts has started.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The settings are being read again; [`ready`] comes when they are.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "no clock for systemd"),
    }
}

/// The process is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The process lives.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Says that the process lives for as long as something takes.
pub async fn alive_while<T>(taking: impl Future<Output = T>) -> T {
    tokio::pin!(taking);
    let every = watchdog().unwrap_or(Duration::MAX);
    loop {
        tokio::select! {
            taken = &mut taking => return taken,
            () = tokio::time::sleep(every) => alive(),
        }
    }
}

/// How often [`alive`] has to be said; nothing if nobody waits for it. Twice in the time that systemd
/// was told, as it asks for.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "systemd was not told");
    }
}

/// What systemd calls a socket: a colon is not allowed in it.
fn name(address: SocketAddr) -> String {
    format!("tcp-{address}").replace(':', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_a_name_that_systemd_takes() {
        assert_eq!(name("0.0.0.0:3333".parse().unwrap()), "tcp-0.0.0.0_3333");
        assert_eq!(name("[::1]:3333".parse().unwrap()), "tcp-[__1]_3333");
    }
}
