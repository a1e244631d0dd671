//! One call of a daemon's JSON-RPC over HTTP: log in, post, read a bounded reply, tell what went
//! wrong in terms of what to do about it.
//!
//! Two families speak two dialects, [`Dialect`]; what they have in common is all here.
//!
//! Connections are kept open. Quick calls and solved blocks share connections of their own, which
//! the look at the tip keeps warm, so a block never waits behind a template.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use axum::body::Bytes;
use reqwest::{
    Client, RequestBuilder, StatusCode, Url,
    header::{self, HeaderMap},
};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::{
    config::{Config, Login, Secret},
    dialect::{LARGE, json_of},
    digest::{self, Lines},
};

pub(super) use super::{
    dialect::{Dialect, parse, plain, request},
    lane::{Lane, Patience},
};

/// A name and a password.
type Credentials = (String, Secret);

/// The client of one daemon.
#[derive(Debug)]
pub(super) struct Rpc {
    dialect: Dialect,
    url: Url,
    login: Login,
    /// What was last read from the cookie file.
    cookie: Mutex<Option<Arc<Credentials>>>,
    clients: Mutex<Clients>,
    ids: AtomicU64,
    patience: Patience,
}

/// The connections kept open, by what goes over them.
#[derive(Clone, Debug)]
struct Clients {
    quick: Client,
    bulk: Client,
    /// In their place where there is a digest login: quick and bulk.
    lines: Option<[Arc<Lines>; 2]>,
}

/// What came of one request.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke: the daemon is down or its address wrong.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// No whole reply in time. The daemon may have done what it was asked.
    #[error("no answer in {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It does not know us.
    #[error("not let in: {0}")]
    Unauthorized(String),
    /// It is starting (-28).
    #[error("starting: {0}")]
    WarmingUp(String),
    /// It has no peers (-9).
    #[error("not connected: {0}")]
    NotConnected(String),
    /// It has not the whole chain yet (-10).
    #[error("in initial download: {0}")]
    InitialDownload(String),
    /// It did not do it (Monero's family tells some of what fails in a word of the answer).
    #[error("status {0:?}")]
    Status(String),
    /// Any other error it told.
    #[error("error {code}: {message}")]
    Rpc {
        /// Its number.
        code: i64,
        /// Its text, cut.
        message: String,
    },
    /// What came is not what the protocol has.
    #[error("malformed reply: {0}")]
    Malformed(String),
}

/// Where Monero's programs have JSON-RPC.
const JSON_RPC: &str = "/json_rpc";

/// Longest error text taken over from a daemon.
const TEXT_LIMIT: usize = 300;

/// Longest cookie file read: theirs have 75 bytes.
const COOKIE_LIMIT: u64 = 1024;

/// Loopback takes microseconds, another continent half a second.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A daemon closes a connection that was silent for 30 s (`rpcservertimeout`); ours go before.
const IDLE_LIMIT: Duration = Duration::from_secs(25);

/// Connections kept open a daemon and a client: no more calls than these run side by side.
const IDLE_CONNECTIONS: usize = 4;

impl Rpc {
    /// A client of Core's family; connects with the first call.
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        Self::of(Dialect::Core, config.endpoint()?, config)
    }

    /// A client of Monero's daemon or wallet. `/json_rpc` need not be in the url, but may.
    pub(super) fn monero(config: &Config) -> anyhow::Result<Self> {
        let mut url = config.endpoint()?;
        let path = url.path().trim_end_matches('/');
        let path = format!("{}{JSON_RPC}", path.trim_end_matches(JSON_RPC));
        url.set_path(&path);
        let rpc = Self::of(Dialect::Monero, url, config)?;
        ensure!(
            !matches!(rpc.login, Login::Cookie(_)),
            "{}: Monero's programs have no cookie; set user and password",
            config.name()
        );
        Ok(rpc)
    }

    fn of(dialect: Dialect, url: Url, config: &Config) -> anyhow::Result<Self> {
        let login = config.login()?;
        Ok(Self {
            dialect,
            url,
            clients: Mutex::new(Clients::new(dialect, &login)?),
            login,
            cookie: Mutex::new(None),
            ids: AtomicU64::new(1),
            patience: config.patience,
        })
    }

    /// Closes the connections that are idle. An old Core that is told to stop does not end before
    /// they are closed, or half a minute has gone by.
    pub(super) fn hang_up(&self) {
        if let Ok(new) = Clients::new(self.dialect, &self.login) {
            *self.clients.lock().unwrap_or_else(PoisonError::into_inner) = new;
        }
    }

    /// The daemon's address.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the daemon runs on this machine, as far as its address tells.
    pub(super) fn is_on_loopback(&self) -> bool {
        match self.url.host_str() {
            Some("localhost" | "[::1]") => true,
            Some(host) => host
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback()),
            None => false,
        }
    }

    /// Calls `method` and reads its result.
    pub(super) async fn call<T>(
        &self,
        lane: Lane,
        method: &str,
        params: impl Serialize,
    ) -> Result<T, CallError>
    where
        T: for<'de> Deserialize<'de> + Send + 'static,
    {
        let dialect = self.dialect;
        let read = move |body: &[u8]| dialect.parse::<T>(body);
        self.call_with(lane, method, params, read).await
    }

    /// Calls `method` and has `read` make something of the reply, off the busy threads if it is
    /// large.
    pub(super) async fn call_with<T, E>(
        &self,
        lane: Lane,
        method: &str,
        params: impl Serialize,
        read: impl FnOnce(&[u8]) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CallError> + Send + 'static,
    {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let request = self.dialect.request(id, method, params);
        read_off(self.post(lane, &self.url, request).await?, read).await
    }

    /// Posts to another path beside `/json_rpc` and has `read` make something of the whole body.
    pub(super) async fn ask_with<T, E>(
        &self,
        lane: Lane,
        path: &str,
        params: impl Serialize,
        read: impl FnOnce(&[u8]) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CallError> + Send + 'static,
    {
        let mut url = self.url.clone();
        let before = url.path().trim_end_matches(JSON_RPC).to_owned();
        url.set_path(&(before + path));
        read_off(self.post(lane, &url, json_of(params)).await?, read).await
    }

    /// Sends a request made before.
    pub(super) async fn send<T: for<'de> Deserialize<'de>>(
        &self,
        lane: Lane,
        request: Bytes,
    ) -> Result<T, CallError> {
        self.dialect
            .parse(&self.post(lane, &self.url, request).await?)
    }

    /// The body of the reply. Errors of the RPC come with other statuses than 200 too and are told
    /// in the body; a daemon without a free thread says so in plain text.
    async fn post(&self, lane: Lane, url: &Url, request: Bytes) -> Result<Vec<u8>, CallError> {
        let (status, body) = match (&self.login, self.clients().lines_of(lane)) {
            (Login::Password(user, password), Some(lines)) => {
                self.post_with_digest((user, password), &lines, lane, url, request)
                    .await?
            }
            _ => self.post_logged_in(lane, url, request).await?,
        };
        if status != StatusCode::OK && body.first() != Some(&b'{') {
            let told = format!("HTTP {}: {}", status.as_u16(), text(&body));
            return Err(CallError::Malformed(told));
        }
        Ok(body)
    }

    async fn post_logged_in(
        &self,
        lane: Lane,
        url: &Url,
        request: Bytes,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        let credentials = self.credentials().await?;
        let (status, body) = self
            .post_to(url, credentials.as_deref(), lane, request.clone())
            .await?;
        match status {
            StatusCode::UNAUTHORIZED => {}
            StatusCode::FORBIDDEN => {
                let refused = "our address is not in its rpcallowip (HTTP 403)";
                return Err(CallError::Unauthorized(refused.to_owned()));
            }
            _ => return Ok((status, body)),
        }
        // A daemon that was started again has written a new cookie.
        let renewed = match &self.login {
            Login::Cookie(_) => self.read_cookie().await?,
            Login::None | Login::Password(..) => None,
        };
        if renewed.is_some() && renewed != credentials {
            let again = self.post_to(url, renewed.as_deref(), lane, request).await?;
            if again.0 != StatusCode::UNAUTHORIZED {
                return Ok(again);
            }
        }
        Err(CallError::Unauthorized(
            match self.login {
                Login::None if self.dialect == Dialect::Monero => "set user and password",
                Login::None => "set cookie, or user and password",
                Login::Password(..) => "user or password is wrong",
                Login::Cookie(_) => "the cookie is not this daemon's",
            }
            .to_owned(),
        ))
    }

    /// Sends a request with these credentials, or none.
    pub(super) async fn post_as(
        &self,
        credentials: Option<&Credentials>,
        lane: Lane,
        request: Bytes,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        self.post_to(&self.url, credentials, lane, request).await
    }

    async fn post_to(
        &self,
        url: &Url,
        credentials: Option<&Credentials>,
        lane: Lane,
        request: Bytes,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        let mut post = self.clients().of(lane).post(url.clone());
        if let Some((user, password)) = credentials {
            post = post.basic_auth(user, Some(password.expose()));
        }
        let answer = self.exchange(post, lane, request).await?;
        Ok((answer.status, answer.body))
    }

    /// A connection that has no challenge yet, or an old one, gets one for a first request; the
    /// second is let in.
    async fn post_with_digest(
        &self,
        (user, password): (&str, &Secret),
        lines: &Lines,
        lane: Lane,
        url: &Url,
        request: Bytes,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        let mut line = lines
            .take()
            .map_err(|failure| CallError::Unreachable(failure.to_string()))?;
        let mut refused = digest::Refused::Challenge;
        for _ in 0..digest::ATTEMPTS {
            let post = line.post(url, user, password);
            let answer = self.exchange(post, lane, request.clone()).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                lines.keep(line);
                return Ok((answer.status, answer.body));
            }
            refused = line.refused(&answer.headers);
            if refused != digest::Refused::Challenge {
                break;
            }
            tokio::time::sleep(digest::PAUSE).await;
        }
        Err(CallError::Unauthorized(refused.to_string()))
    }

    /// Sends a request and reads all of what comes, with limits on both time and size.
    async fn exchange(
        &self,
        post: RequestBuilder,
        lane: Lane,
        request: Bytes,
    ) -> Result<Answer, CallError> {
        let limit = self.patience.with(lane);
        let failed = |failure| failure_of(failure, limit);
        let post = post
            .timeout(limit)
            .header(header::CONTENT_TYPE, "application/json")
            .body(request);
        let mut response = post.send().await.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let most = lane.size_limit();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > most {
                return Err(CallError::Malformed(format!("more than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    fn clients(&self) -> Clients {
        self.clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn credentials(&self) -> Result<Option<Arc<Credentials>>, CallError> {
        match &self.login {
            Login::None => Ok(None),
            Login::Password(user, password) => Ok(Some(Arc::new((user.clone(), password.clone())))),
            Login::Cookie(_) => {
                let known = self
                    .cookie
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                match known {
                    Some(known) => Ok(Some(known)),
                    None => self.read_cookie().await,
                }
            }
        }
    }

    async fn read_cookie(&self) -> Result<Option<Arc<Credentials>>, CallError> {
        let Login::Cookie(path) = &self.login else {
            return Ok(None);
        };
        let shown = path.display();
        let mut cookie = String::new();
        let read = async {
            let file = tokio::fs::File::open(path).await?;
            file.take(COOKIE_LIMIT).read_to_string(&mut cookie).await
        };
        read.await.map_err(|failure| {
            CallError::Unauthorized(format!("cookie file {shown}: {failure}"))
        })?;
        let Some((user, password)) = cookie.trim_end().split_once(':') else {
            return Err(CallError::Unauthorized(format!(
                "{shown} is not a cookie file"
            )));
        };
        let read = Arc::new((user.to_owned(), Secret::from(password)));
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&read));
        Ok(Some(read))
    }
}

impl Clients {
    fn new(dialect: Dialect, login: &Login) -> reqwest::Result<Self> {
        let lines = || Arc::new(Lines::new(IDLE_CONNECTIONS));
        let has_digest = dialect == Dialect::Monero && matches!(login, Login::Password(..));
        Ok(Self {
            quick: client(IDLE_CONNECTIONS)?,
            bulk: client(IDLE_CONNECTIONS)?,
            lines: has_digest.then(|| [lines(), lines()]),
        })
    }

    fn lines_of(&self, lane: Lane) -> Option<Arc<Lines>> {
        let [quick, bulk] = self.lines.as_ref()?;
        Some(Arc::clone(if lane.is_quick() { quick } else { bulk }))
    }

    fn of(&self, lane: Lane) -> Client {
        if lane.is_quick() {
            self.quick.clone()
        } else {
            self.bulk.clone()
        }
    }
}

/// A client that keeps so many connections.
pub(super) fn client(idle: usize) -> reqwest::Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .pool_idle_timeout(IDLE_LIMIT)
        .pool_max_idle_per_host(idle)
        .build()
}

impl CallError {
    /// Whether the daemon answered at all, be it with an error.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Malformed(_) => false,
            Self::Unauthorized(_)
            | Self::WarmingUp(_)
            | Self::NotConnected(_)
            | Self::InitialDownload(_)
            | Self::Status(_)
            | Self::Rpc { .. } => true,
        }
    }
}

/// Has `read` make something of a reply, off the busy threads if it is large.
async fn read_off<T, E>(
    body: Vec<u8>,
    read: impl FnOnce(&[u8]) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<CallError> + Send + 'static,
{
    if body.len() < LARGE {
        return read(&body);
    }
    match tokio::task::spawn_blocking(move || read(&body)).await {
        Ok(read) => read,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(_) => Err(CallError::Unreachable("shutting down".to_owned()).into()),
    }
}

/// What became of a request on its way.
fn failure_of(failure: reqwest::Error, limit: Duration) -> CallError {
    if failure.is_timeout() && !failure.is_connect() {
        return CallError::TimedOut(limit);
    }
    // The causes, as the outermost only says that sending failed.
    let mut told = failure.to_string();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&failure);
    while let Some(inner) = cause {
        told = inner.to_string();
        cause = inner.source();
    }
    if failure.is_body() || failure.is_decode() {
        CallError::Malformed(cut(&format!("reply broke off: {told}")))
    } else {
        CallError::Unreachable(cut(&told))
    }
}

/// A daemon's text on one line and of bounded length.
pub(super) fn cut(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(TEXT_LIMIT).map(plain).collect()
}

fn text(body: &[u8]) -> String {
    cut(&String::from_utf8_lossy(
        &body[..body.len().min(TEXT_LIMIT)],
    ))
}
