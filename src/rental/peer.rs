//! One connection to the pool that is looked at: blocking, with a limit on every wait, and a note of
//! what comes unasked.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs as _},
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use bitcoin::hashes::{Hash as _, sha256};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use wire::{
    LineBuffer,
    sv1::{Notify, Response, ServerMessage, Subscribed, client},
};

use crate::worker::{Endpoint, NoEndpoint};

/// The longest line that is read: a job with a large coinbase.
const LINE_MAX: usize = 160 * 1024;
/// More lines than a pool has reason to send while it is looked at.
const LINES_MAX: usize = 10_000;

/// Where the pool is, and whether it speaks TLS there.
#[derive(Clone, Debug)]
pub struct Target(Endpoint);

/// A text that names no pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoTarget(#[from] NoEndpoint);

/// A connection.
pub(super) struct Peer {
    stream: Box<dyn Stream>,
    /// The same socket, for its timeouts.
    socket: TcpStream,
    lines: LineBuffer,
    read: usize,
    opened: Duration,
    tls: Option<String>,
}

/// What came that was no answer.
#[derive(Default)]
pub(super) struct Seen {
    /// So many lines before the answer to `mining.subscribe`.
    pub(super) unasked: usize,
    /// The newest.
    pub(super) difficulty: Option<f64>,
    /// What was in force when the first job came.
    pub(super) difficulty_at_job: Option<f64>,
    pub(super) jobs: Vec<Notify>,
    pub(super) extranonce2: usize,
    extranonce1: usize,
}

/// The answer to a request.
pub(super) struct Answer {
    pub(super) took: Duration,
    pub(super) accepted: bool,
    pub(super) code: i32,
    pub(super) refusal: Option<String>,
    pub(super) subscribed: Option<Subscribed>,
    pub(super) version_mask: Option<u32>,
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(url: &str) -> Result<Self, NoTarget> {
        let endpoint: Endpoint = url.parse()?;
        // What is rented speaks in lines.
        match endpoint.is_http() {
            true => Err(NoEndpoint::Scheme("http".to_owned()).into()),
            false => Ok(Self(endpoint)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Seen {
    /// The bytes between the two parts of a coinbase.
    pub(super) fn extranonce_size(&self) -> usize {
        self.extranonce1 + self.extranonce2
    }
}

impl Peer {
    pub(super) fn connect(target: &Target, limit: Duration) -> Result<Self, String> {
        let (host, port) = (target.0.host(), target.0.port());
        let began = Instant::now();
        let addresses = (host, port)
            .to_socket_addrs()
            .map_err(|error| format!("{host} has no address: {error}"))?;
        let mut socket = Err(format!("{host} has no address"));
        for address in addresses {
            socket = TcpStream::connect_timeout(&address, limit)
                .map_err(|error| format!("nothing answers at {address}: {error}"));
            if socket.is_ok() {
                break;
            }
        }
        let socket = socket?;
        let set = |error: io::Error| error.to_string();
        socket.set_nodelay(true).map_err(set)?;
        socket.set_read_timeout(Some(limit)).map_err(set)?;
        socket.set_write_timeout(Some(limit)).map_err(set)?;
        let handle = socket.try_clone().map_err(set)?;
        let (stream, tls): (Box<dyn Stream>, _) = if target.0.is_tls() {
            let (stream, told) = shake_hands(socket, host)?;
            (Box::new(stream), Some(told))
        } else {
            (Box::new(socket), None)
        };
        Ok(Self {
            stream,
            socket: handle,
            lines: LineBuffer::new(LINE_MAX),
            read: 0,
            opened: began.elapsed(),
            tls,
        })
    }

    /// How long it took to be connected.
    pub(super) fn opened(&self) -> Duration {
        self.opened
    }

    /// What TLS is spoken; nothing if it is not.
    pub(super) fn tls(&self) -> Option<String> {
        self.tls.clone()
    }

    /// Sends the lines that are written to its argument.
    pub(super) fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), String> {
        let mut out = Vec::new();
        write(&mut out);
        let sent = self
            .stream
            .write_all(&out)
            .and_then(|()| self.stream.flush());
        sent.map_err(|error| format!("the connection broke: {error}"))
    }

    /// The answer with this id; nothing if there is none in time.
    pub(super) fn answer(
        &mut self,
        id: u64,
        limit: Duration,
        seen: &mut Seen,
    ) -> Result<Option<Answer>, String> {
        let began = Instant::now();
        while let Some(line) = self.line(began, limit)? {
            if let Some(mut answer) = self.take(&line, Some(id), seen)? {
                answer.took = began.elapsed();
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Hears what comes unasked until it is enough, or the time is over. Says how long it was.
    pub(super) fn hear_until(
        &mut self,
        limit: Duration,
        seen: &mut Seen,
        enough: impl Fn(&Seen) -> bool,
    ) -> Result<Duration, String> {
        let began = Instant::now();
        while !enough(seen) {
            let Some(line) = self.line(began, limit)? else {
                break;
            };
            self.take(&line, None, seen)?;
        }
        Ok(began.elapsed())
    }

    /// Makes of a line what it is.
    fn take(
        &mut self,
        line: &[u8],
        awaited: Option<u64>,
        seen: &mut Seen,
    ) -> Result<Option<Answer>, String> {
        let text = || String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        let message = ServerMessage::parse(line)
            .map_err(|fault| format!("a line that is none of Stratum's ({fault}): {}", text()))?;
        match message {
            ServerMessage::Response(response) => {
                if response.id.is_some() && response.id == awaited {
                    let answer = Answer::of(&response);
                    if let Some(subscribed) = &answer.subscribed {
                        seen.extranonce1 = subscribed.extranonce1.len();
                    }
                    return Ok(Some(answer));
                }
                return Ok(None);
            }
            ServerMessage::Notify(notify) => {
                if seen.jobs.is_empty() {
                    seen.difficulty_at_job = seen.difficulty;
                }
                seen.jobs.push(notify);
            }
            ServerMessage::SetDifficulty(difficulty) => seen.difficulty = Some(difficulty.get()),
            ServerMessage::Ping { id } => self.say(|out| client::pong(out, id))?,
            _ => {}
        }
        seen.unasked += usize::from(seen.extranonce1 == 0);
        Ok(None)
    }

    /// The next line; nothing if the time is over.
    fn line(&mut self, began: Instant, limit: Duration) -> Result<Option<Vec<u8>>, String> {
        loop {
            let line = self.lines.next_line().map_err(|error| error.to_string())?;
            if let Some(line) = line {
                self.read += 1;
                if self.read > LINES_MAX {
                    return Err("the pool does not stop talking".to_owned());
                }
                return Ok(Some(line.to_vec()));
            }
            let left = limit.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            let set = self.socket.set_read_timeout(Some(left));
            set.map_err(|error| error.to_string())?;
            let mut buffer = [0; 8192];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err("the pool closed the connection".to_owned()),
                Ok(size) => self.lines.push(&buffer[..size]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(format!("the connection broke: {error}")),
                },
            }
        }
    }
}

impl Answer {
    fn of(response: &Response<'_>) -> Self {
        let told = response.error.as_ref();
        let reason = told.map(|error| match error.text.is_empty() {
            true => format!("code {}", error.code),
            false => format!("{} (code {})", error.text, error.code),
        });
        Self {
            took: Duration::ZERO,
            accepted: response.accepted(),
            code: told.map_or(0, |error| error.code),
            refusal: reason,
            subscribed: response.subscribed().ok(),
            version_mask: response.version_mask().ok(),
        }
    }
}

/// Takes any certificate: miners do not look at who signed it, and its print is shown to a person.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

fn shake_hands(mut socket: TcpStream, host: &str) -> Result<(TlsStream, String), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| format!("{host} is no name for TLS"))?;
    let client = ClientConnection::new(Arc::new(config), name);
    let mut client = client.map_err(|error| error.to_string())?;
    while client.is_handshaking() {
        let shaken = client.complete_io(&mut socket);
        shaken.map_err(|error| format!("TLS is not spoken there: {error}"))?;
    }
    let version = client
        .protocol_version()
        .map(|version| format!("{version:?}"));
    let print = client
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| sha256::Hash::hash(certificate).to_string());
    let told = format!(
        "{}; the certificate's SHA-256 is {}",
        version.unwrap_or_default(),
        print.unwrap_or_default()
    );
    Ok((StreamOwned::new(client, socket), told))
}
