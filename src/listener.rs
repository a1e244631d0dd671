//! Lets miners in: one permit and one task for each connection, and limits that an attacker meets
//! before anything is allocated for him. `src/listener/arrival.rs` is what comes between a socket
//! and a connection: the balancer's header, TLS, a browser that is sent elsewhere.

mod addresses;
mod arrival;
mod certificate;
mod first_bytes;
mod http;
mod shared_ports;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use tracing::{debug, info, warn};

use self::{arrival::Refused, shared_ports::Meeting};
use crate::{
    bans::WorkerBans,
    connection::{self, Context},
    devices::Devices,
    networks::Networks,
    stream::Stream,
    systemd::Sockets,
    tasks::{Stage, Tasks},
    template_feed::Newest,
};

pub(crate) use addresses::{Addresses, Counted};
pub use certificate::{Certificate, CertificateError, Fingerprint, NoFingerprint};
pub use http::StatusPage;
pub use shared_ports::SharedPorts;

/// How long to wait after the system refused to accept, most likely for want of file descriptors.
pub(crate) const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// How long miners are kept waiting for the first template; then they are let in and told that
/// there is no work, so that they go to another pool.
const FIRST_TEMPLATE: Duration = Duration::from_secs(5);

/// Connections that the system keeps until they are accepted, for a storm of reconnects.
const BACKLOG: u32 = 1024;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub connections: usize,
    /// From one address, or from one /64 of IPv6.
    pub per_address: usize,
    /// From one network: a /24 of IPv4, or a /48 of IPv6.
    pub per_network: usize,
}

/// A port for miners, checked.
pub struct Port {
    /// Where to listen.
    pub address: SocketAddr,
    /// How many connections there may be.
    pub limits: Limits,
    /// The balancers, which put a PROXY header before each connection; nobody else may.
    pub proxy_from: Networks,
    /// TLS; nothing if it is off.
    pub tls: Option<Tls>,
}

/// TLS of a port.
pub struct Tls {
    /// What the pool shows.
    pub certificate: Certificate,
    /// Whether there is nothing else on this port.
    pub only: bool,
}

/// What all ports of the process have in common.
#[derive(Clone, Debug)]
pub struct House {
    /// What is known of devices.
    pub devices: Devices,
    /// Where the status page is.
    pub status_page: StatusPage,
    /// One permit for each file that a miner may take.
    pub files: Arc<Semaphore>,
    /// What listens already, from the run before.
    pub sockets: Sockets,
    /// Which workers of HTTP are banned.
    pub worker_bans: WorkerBans,
    /// The name of the data directory, under which this process and no other acts.
    pub holder: String,
    /// Ports that two pools have together.
    pub shared_ports: SharedPorts,
}

/// A port as miners find it.
pub struct Opened {
    /// Where it listens.
    pub address: SocketAddr,
    /// By what its certificate is known, if it speaks TLS.
    pub tls: Option<watch::Receiver<Fingerprint>>,
}

/// Opens a port for miners. It serves them until shutdown. `work` is what it answers to workers of HTTP. One that
/// two pools have together is opened when the second one asks for it; its workers of HTTP are those of the pool
/// that stands first in the settings.
pub async fn open(
    port: Port,
    house: &House,
    context: Arc<Context>,
    work: Router,
    tasks: &Tasks,
) -> anyhow::Result<Opened> {
    let print = |port: &Port| port.tls.as_ref().map(|tls| tls.certificate.fingerprint());
    let mut opened = Opened {
        address: port.address,
        tls: print(&port),
    };
    let (port, context, other, work) = match house.shared_ports.meet(port, context, work) {
        Meeting::Alone(port, context, work) => (port, context, None, work),
        Meeting::Both(port, context, other, work) => (port, context, Some(other), work),
        Meeting::Waits => return Ok(opened),
    };
    // Of the one certificate that is shown and followed.
    opened.tls = print(&port);
    let listener = house
        .sockets
        .listen(port.address, || listen(port.address))
        .with_context(|| format!("cannot listen for miners at {}", port.address))?;
    let address = listener.local_addr()?;
    opened.address = address;
    let only_tls = port.tls.as_ref().is_some_and(|tls| tls.only);
    info!(%address, tls = port.tls.is_some(), "listening for miners");
    let page = http::Page {
        coin: match &other {
            None => context.coin.name.to_owned(),
            Some(other) => format!("{} and {}", context.coin.name, other.coin.name),
        },
        stratum: context.coin.vision().is_none() || other.is_some(),
        plain: !only_tls,
        tls: port.tls.is_some(),
        status: house.status_page.clone(),
    };
    let tls = port.tls.map(|tls| {
        let newest = tls.certificate.newest();
        let stopping = tasks.ending(Stage::Doors);
        tasks.spawn(
            Stage::Doors,
            "certificate",
            tls.certificate.follow(stopping),
        );
        newest
    });
    let door = Door {
        permits: Arc::new(Semaphore::new(port.limits.connections)),
        files: Arc::clone(&house.files),
        addresses: Addresses::new(port.limits.per_address, port.limits.per_network),
        proxy_from: port.proxy_from,
        tls,
        only_tls,
        routes: http::routes(work, page),
        context,
        other,
        tasks: tasks.clone(),
    };
    let left = house.sockets.take_connections(address.port());
    tasks.spawn(
        Stage::Doors,
        "listener",
        run(listener, left, Arc::new(door)),
    );
    Ok(opened)
}

/// Whether an address can be listened at.
pub(crate) fn is_free(address: SocketAddr) -> std::io::Result<()> {
    listen(address).map(drop)
}

/// Listens at an address, for miners and for HTTP.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        // Both families at [::], whatever the system's default. Where it cannot be, IPv6 alone is.
        if let Err(error) = rustix::net::sockopt::set_ipv6_v6only(&socket, false) {
            debug!(%error, "no IPv4 on a port of IPv6");
        }
        socket
    };
    // A restart does not wait for the connections of the last run to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

struct Door {
    permits: Arc<Semaphore>,
    files: Arc<Semaphore>,
    addresses: Addresses,
    proxy_from: Networks,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    only_tls: bool,
    /// What is answered to HTTP.
    routes: Router,
    context: Arc<Context>,
    /// Of the other dialect, where two pools have the port.
    other: Option<Arc<Context>>,
    tasks: Tasks,
}

/// What a connection holds for as long as it lasts.
struct Place {
    /// Of the listener, and of the process.
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
    /// Nothing before a balancer has said whom it speaks for.
    counted: Option<Counted>,
}

async fn run(
    listener: TcpListener,
    left: Vec<std::net::TcpStream>,
    door: Arc<Door>,
) -> anyhow::Result<()> {
    let stopping = door.tasks.ending(Stage::Doors);
    // Miners that came before the first template would only be sent away again.
    let work = async {
        for context in door.contexts() {
            let mut newest = context.newest.clone();
            // An error means that the process is stopping.
            let _ = newest
                .wait_for(|newest| matches!(newest, Newest::Offer(_)))
                .await;
        }
    };
    tokio::select! {
        () = stopping.cancelled() => return Ok(()),
        () = work => {}
        () = tokio::time::sleep(FIRST_TEMPLATE) => {}
    }
    for socket in left {
        // It ended meanwhile, or nothing is known of it: a miner connects anew.
        if let Err(error) = door.take_back(socket) {
            debug!(%error, "a connection of the run before is closed");
        }
    }
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => door.let_in(socket, peer),
            Err(error) => {
                warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

impl Door {
    /// What belongs to each pool that has the port.
    fn contexts(&self) -> impl Iterator<Item = &Arc<Context>> {
        std::iter::once(&self.context).chain(&self.other)
    }

    /// Starts the connection's task, or drops the connection where a limit is reached.
    fn let_in(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let place = match self.place(peer.ip()) {
            Ok(place) => place,
            Err(refused) => return self.turn_away(peer, &refused),
        };
        let door = Arc::clone(self);
        let metrics = Arc::clone(&self.context.metrics);
        let accepted_at = Instant::now();
        let served = async move {
            door.arrive(socket, peer, accepted_at, place).await;
        };
        let panicked = move || {
            metrics.panics.inc();
        };
        self.tasks.spawn_connection(Stage::Doors, served, panicked);
    }

    /// Goes on with a connection of the run before.
    fn take_back(self: &Arc<Self>, socket: std::net::TcpStream) -> anyhow::Result<()> {
        socket.set_nonblocking(true)?;
        let ends = (socket.local_addr()?, socket.peer_addr()?);
        let left = self.contexts().find_map(|context| {
            let left = context.kept_sessions.take_open(ends)?;
            Some((left, Arc::clone(context)))
        });
        let (left, context) = left.context("nothing was written down of it")?;
        let mut place = self.place(ends.1.ip())?;
        if place.counted.is_none() {
            place.counted = Some(self.count(left.peer.ip())?);
        }
        let stream = Stream::plain(TcpStream::from_std(socket)?);
        let metrics = Arc::clone(&context.metrics);
        let served = async move {
            connection::go_on(stream, left, context).await;
            drop(place);
        };
        let panicked = move || {
            metrics.panics.inc();
        };
        self.tasks.spawn_connection(Stage::Doors, served, panicked);
        Ok(())
    }

    fn place(&self, address: IpAddr) -> Result<Place, Refused> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let file = Arc::clone(&self.files).try_acquire_owned();
        let (Ok(permit), Ok(file)) = (permit, file) else {
            return Err(Refused::Full);
        };
        // Behind a balancer's address are all its miners; they are counted once they are known.
        let counted = if self.proxy_from.contains(address) {
            None
        } else {
            Some(self.count(address)?)
        };
        Ok(Place {
            _permits: (permit, file),
            counted,
        })
    }

    fn count(&self, address: IpAddr) -> Result<Counted, Refused> {
        // Whom only one of two pools bans is told apart by the first line.
        if self
            .contexts()
            .all(|context| context.bans.is_banned(address))
        {
            return Err(Refused::Banned);
        }
        self.addresses.enter(address).ok_or(Refused::Crowded)
    }

    fn turn_away(&self, peer: SocketAddr, refused: &Refused) {
        self.context.metrics.turned_away.inc();
        debug!(%peer, reason = %refused, "turned away");
    }
}
