//! The server of the pages and the API: connections that are counted, heads that come in time, and limits
//! of how fast anybody may ask. It speaks HTTP/1.1 and nothing newer, so that none of the floods of HTTP/2
//! concern it. Called by `api`, which knows what is answered.

pub(crate) mod answer;
mod pace;
mod patience;
mod peer;
mod threads;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request, middleware::from_fn};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;
use tracing::{debug, warn};

use self::patience::Patience;
use crate::{
    config,
    listener::{ACCEPT_BACK_OFF, Addresses},
    networks::Networks,
    tasks::{Stage, Tasks},
};

pub(crate) use self::{
    pace::{Asker, Kind, Pace},
    peer::Peer,
    threads::threads,
};

/// How long a head may take, and how long a connection may be idle before the next one.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a reader may take nothing of what waits for it.
const READER_WITHIN: Duration = Duration::from_secs(30);
/// The longest head, and what is read ahead of a body.
const HEAD_MAX: usize = 16 << 10;
/// How long answers under way may take when the process stops.
const GRACE: Duration = Duration::from_secs(1);
/// How often buckets that are full again are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// A network may have so many times the connections of an address.
const PER_NETWORK: usize = 4;

/// The settings of `[http]`, checked.
#[derive(Clone)]
pub struct Rules {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Where people find the pages.
    pub(crate) url: Option<String>,
    /// Whose `X-Forwarded-For` is believed.
    proxies: Networks,
    /// Connections from one address.
    per_address: usize,
    /// How fast anybody may ask.
    pub(crate) pace: Pace,
}

impl Rules {
    /// The error says what is wrong with which key.
    pub fn new(http: &config::Http) -> Result<Self, String> {
        let proxies = Networks::parse(&http.proxy_from);
        if http.requests_per_second > 0 && http.burst < http.requests_per_second {
            return Err(format!(
                "http.burst: {} is less than requests_per_second",
                http.burst
            ));
        }
        for (key, number) in [
            ("connections_max", http.connections_max),
            (
                "connections_per_address_max",
                http.connections_per_address_max,
            ),
        ] {
            if number == 0 {
                return Err(format!("http.{key}: with 0 nobody could ask anything"));
            }
        }
        Ok(Self {
            listen: http.listen,
            url: http.url.clone(),
            proxies: proxies.map_err(|error| format!("http.proxy_from: {error}"))?,
            per_address: http.connections_per_address_max,
            pace: Pace::new(http.requests_per_second, http.burst),
        })
    }
}

/// Serves until shutdown, on the threads of `tasks`. Each connection takes a permit of `files`, or is
/// closed.
pub(crate) fn serve(
    listener: TcpListener,
    routes: Router,
    rules: &Rules,
    files: Arc<Semaphore>,
    tasks: &Tasks,
) -> io::Result<()> {
    // It is known to the caller's threads until here.
    let listener = listener.into_std()?;
    let server = Server::new(routes, rules, files, tasks);
    let (pace, stopping) = (rules.pace.clone(), tasks.ending(Stage::Doors));
    tasks.spawn(Stage::Doors, "pace", async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => pace.sweep(),
                () = stopping.cancelled() => return Ok(()),
            }
        }
    });
    tasks.spawn(Stage::Doors, "http", run(listener, Arc::new(server)));
    Ok(())
}

struct Server {
    routes: Router,
    proxies: Networks,
    addresses: Addresses,
    files: Arc<Semaphore>,
    tasks: Tasks,
}

async fn run(listener: std::net::TcpListener, server: Arc<Server>) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let stopping = server.tasks.ending(Stage::Doors);
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => server.let_in(socket, peer),
            Err(error) => {
                warn!(%error, "cannot accept connections of HTTP");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

impl Server {
    fn new(routes: Router, rules: &Rules, files: Arc<Semaphore>, tasks: &Tasks) -> Self {
        Self {
            routes: routes.layer(from_fn(answer::as_it_says)),
            proxies: rules.proxies.clone(),
            addresses: Addresses::new(
                rules.per_address,
                rules.per_address.saturating_mul(PER_NETWORK),
            ),
            files,
            tasks: tasks.clone(),
        }
    }

    fn let_in(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        let address = peer.ip().to_canonical();
        let Ok(file) = Arc::clone(&self.files).try_acquire_owned() else {
            return debug!(%peer, "as many connections of HTTP as there may be");
        };
        // Behind a proxy are all its clients, and this machine has its own limit of files.
        let is_many = address.is_loopback() || self.proxies.contains(address);
        let counted = match is_many {
            true => None,
            false => match self.addresses.enter(address) {
                Some(counted) => Some(counted),
                None => return debug!(%peer, "as many connections from there as there may be"),
            },
        };
        let server = Arc::clone(self);
        let served = async move {
            server.converse(socket, peer).await;
            drop((file, counted));
        };
        self.tasks.spawn_connection(Stage::Doors, served, || {});
    }

    async fn converse(&self, socket: TcpStream, peer: SocketAddr) {
        let stopping = self.tasks.ending(Stage::Doors);
        let answer = service_fn(move |mut request: Request<Incoming>| {
            let asking = Peer::new(peer.ip(), request.headers(), &self.proxies);
            request.extensions_mut().insert(asking);
            self.routes.clone().call(request)
        });
        if let Err(error) = converse(socket, answer, HEAD_WITHIN, &stopping).await {
            debug!(%peer, %error, "a connection of HTTP ended");
        }
    }
}

/// Answers one request after the other until either side has enough, each with its head within this time.
pub(crate) async fn converse<S, A>(
    stream: S,
    answer: A,
    head_within: Duration,
    stopping: &CancellationToken,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: HttpService<Incoming, ResBody = Body>,
    A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head_within)
        .max_buf_size(HEAD_MAX);
    let stream = TokioIo::new(Patience::with(stream, READER_WITHIN));
    let conversation = builder.serve_connection(stream, answer);
    tokio::pin!(conversation);
    tokio::select! {
        ended = conversation.as_mut() => ended,
        () = stopping.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            // A client that keeps its connection open is not waited for.
            timeout(GRACE, conversation).await.unwrap_or(Ok(()))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A server, and a door to it by which anybody comes from anywhere.
    struct Street {
        server: Arc<Server>,
        listener: TcpListener,
    }

    impl Street {
        async fn with(change: impl FnOnce(&mut config::Http)) -> Self {
            let mut http = config::Http::default();
            change(&mut http);
            let rules = Rules::new(&http).unwrap();
            let routes = Router::new().route("/", get(async || "hello"));
            let (tasks, _) = Tasks::new();
            Self {
                server: Arc::new(Server::new(
                    routes,
                    &rules,
                    Arc::new(Semaphore::new(http.connections_max)),
                    &tasks,
                )),
                listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            }
        }

        /// A connection that is said to come from there.
        async fn come(&self, from: &str) -> TcpStream {
            let address = self.listener.local_addr().unwrap();
            let client = TcpStream::connect(address).await.unwrap();
            let (socket, _) = self.listener.accept().await.unwrap();
            self.server.let_in(socket, from.parse().unwrap());
            client
        }
    }

    /// Whether it is answered, rather than closed.
    async fn is_answered(client: &mut TcpStream) -> bool {
        let asked = client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        // It may be closed already.
        let _ = asked.await;
        let mut bytes = [0; 15];
        let read = timeout(HEAD_WITHIN, client.read_exact(&mut bytes));
        read.await.expect("an answer or an end").is_ok() && bytes == *b"HTTP/1.1 200 OK"
    }

    #[tokio::test]
    async fn an_address_and_its_network_have_so_many_connections_and_no_more() {
        let street = Street::with(|http| http.connections_per_address_max = 3).await;
        let mut open = Vec::new();
        for port in 1..=3 {
            let mut client = street.come(&format!("203.0.113.7:{port}")).await;
            assert!(is_answered(&mut client).await);
            open.push(client);
        }
        assert!(!is_answered(&mut street.come("203.0.113.7:4").await).await);
        // Written as IPv6 it is the same address; a /64 is one as well.
        assert!(!is_answered(&mut street.come("[::ffff:203.0.113.7]:4").await).await);
        for port in 1..=3 {
            let mut client = street.come(&format!("[2001:db8::{port}]:{port}")).await;
            assert!(is_answered(&mut client).await);
            open.push(client);
        }
        assert!(!is_answered(&mut street.come("[2001:db8::9]:1").await).await);
        // Four times as many from one network.
        for host in 1..=9 {
            let mut client = street.come(&format!("203.0.113.{}:1", 100 + host)).await;
            assert!(is_answered(&mut client).await, "{host}");
            open.push(client);
        }
        assert!(!is_answered(&mut street.come("203.0.113.200:1").await).await);
        assert!(is_answered(&mut street.come("203.0.114.1:1").await).await);
        // Whoever goes makes room.
        drop(open.remove(0));
        let until = tokio::time::Instant::now() + HEAD_WITHIN;
        while !is_answered(&mut street.come("203.0.113.7:5").await).await {
            assert!(tokio::time::Instant::now() < until, "no room");
        }
    }

    #[tokio::test]
    async fn this_machine_and_named_proxies_have_as_many_connections_as_there_are() {
        let street = Street::with(|http| {
            http.connections_per_address_max = 1;
            http.connections_max = 6;
            http.proxy_from = vec!["198.51.100.0/24".into()];
        })
        .await;
        let mut open = Vec::new();
        for port in 1..=3 {
            for from in ["127.0.0.1", "198.51.100.9"] {
                let mut client = street.come(&format!("{from}:{port}")).await;
                assert!(is_answered(&mut client).await, "{from}");
                open.push(client);
            }
        }
        assert!(!is_answered(&mut street.come("127.0.0.1:4").await).await);
        assert!(!is_answered(&mut street.come("203.0.113.7:1").await).await);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        #[track_caller]
        fn case(change: impl FnOnce(&mut config::Http), wanted: &str) {
            let mut http = config::Http::default();
            change(&mut http);
            let error = Rules::new(&http).err().unwrap_or_default();
            assert!(error.contains(wanted), "{error:?}");
        }
        assert!(Rules::new(&config::Http::default()).is_ok());
        case(
            |http| http.proxy_from = vec!["10.0.0.1/8".into()],
            "http.proxy_from",
        );
        case(|http| http.burst = 1, "http.burst");
        case(|http| http.connections_max = 0, "http.connections_max");
        case(
            |http| http.connections_per_address_max = 0,
            "per_address_max",
        );
    }
}
