//! One call of a daemon's JSON-RPC over HTTP: log in, post, read a bounded reply, tell what went
//! wrong in terms of what to do about it.
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

use axum::body::Bytes;
use reqwest::{Client, StatusCode, Url, header};
use serde::{Deserialize, Deserializer, Serialize};
use tokio::io::AsyncReadExt;

use super::config::{Config, Login, Secret};

/// A name and a password.
type Credentials = (String, Secret);

/// The client of one daemon.
#[derive(Debug)]
pub(super) struct Rpc {
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
}

/// Which connections a call goes over and what it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A small question.
    Quick,
    /// A solved block.
    Block,
    /// A template.
    Template,
    /// A template, once it is a new one.
    LongPoll,
    /// A new tip, once there is one.
    Wait,
    /// All unspent outputs, searched for some.
    Scan,
}

/// How long a whole call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    pub(super) quick: Duration,
    pub(super) block: Duration,
    pub(super) template: Duration,
    pub(super) long_poll: Duration,
    pub(super) wait: Duration,
    pub(super) scan: Duration,
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

/// The error object of a reply.
#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
    #[serde(default)]
    message: String,
}

/// A reply. `result` tells a missing one from a null.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Reply<T> {
    #[serde(default = "none", deserialize_with = "present")]
    result: Option<T>,
    #[serde(default)]
    error: Option<ErrorObject>,
}

fn none<T>() -> Option<T> {
    None
}

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: P,
}

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

/// From this size on a reply is parsed on a thread where it holds up nobody.
const LARGE: usize = 64 * 1024;

impl Default for Patience {
    fn default() -> Self {
        Self {
            // A daemon that connects a block holds its lock for a second or two.
            quick: Duration::from_secs(5),
            // It validates the block before it answers.
            block: Duration::from_secs(60),
            template: Duration::from_secs(30),
            // It answers when its mempool changes, at the latest at the next block.
            long_poll: Duration::from_secs(600),
            // More than what `waitfornewblock` is told.
            wait: Duration::from_secs(40),
            // Bitcoin's take a minute or two, and on a slow disk many.
            scan: Duration::from_secs(3600),
        }
    }
}

impl Patience {
    fn with(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Quick => self.quick,
            Lane::Block => self.block,
            Lane::Template => self.template,
            Lane::LongPoll => self.long_poll,
            Lane::Wait => self.wait,
            Lane::Scan => self.scan,
        }
    }
}

impl Lane {
    /// The largest reply taken. A template of a full block of 4 MB is below 14 MB.
    fn size_limit(self) -> usize {
        match self {
            Self::Template | Self::LongPoll => 32 << 20,
            // A coin has 400 bytes.
            Self::Scan => 32 << 20,
            // The chain tips of a test network are 200 kB.
            Self::Quick | Self::Block | Self::Wait => 1 << 20,
        }
    }
}

impl Rpc {
    /// A client; connects with the first call.
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            url: config.endpoint()?,
            login: config.login()?,
            cookie: Mutex::new(None),
            clients: Mutex::new(Clients::new()?),
            ids: AtomicU64::new(1),
            patience: config.patience,
        })
    }

    /// Closes the connections that are idle. An old Core that is told to stop does not end before
    /// they are closed, or half a minute has gone by.
    pub(super) fn hang_up(&self) {
        if let Ok(new) = Clients::new() {
            *self.clients.lock().unwrap_or_else(PoisonError::into_inner) = new;
        }
    }

    /// The daemon's address.
    pub(super) fn url(&self) -> &Url {
        &self.url
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
        self.call_with(lane, method, params, |body| parse::<T>(body))
            .await
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
        let request = request(id, method, params);
        let body = self.post(lane, request).await?;
        if body.len() < LARGE {
            return read(&body);
        }
        match tokio::task::spawn_blocking(move || read(&body)).await {
            Ok(read) => read,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            Err(_) => Err(CallError::Unreachable("shutting down".to_owned()).into()),
        }
    }

    /// Sends a request made before.
    pub(super) async fn send<T: for<'de> Deserialize<'de>>(
        &self,
        lane: Lane,
        request: Bytes,
    ) -> Result<T, CallError> {
        parse(&self.post(lane, request).await?)
    }

    /// The body of the reply. Errors of the RPC come with other statuses than 200 too and are told
    /// in the body; a daemon without a free thread says so in plain text.
    async fn post(&self, lane: Lane, request: Bytes) -> Result<Vec<u8>, CallError> {
        let (status, body) = self.post_logged_in(lane, request).await?;
        if status != StatusCode::OK && body.first() != Some(&b'{') {
            let told = format!("HTTP {}: {}", status.as_u16(), text(&body));
            return Err(CallError::Malformed(told));
        }
        Ok(body)
    }

    async fn post_logged_in(
        &self,
        lane: Lane,
        request: Bytes,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        let credentials = self.credentials().await?;
        let (status, body) = self
            .post_as(credentials.as_deref(), lane, request.clone())
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
            let again = self.post_as(renewed.as_deref(), lane, request).await?;
            if again.0 != StatusCode::UNAUTHORIZED {
                return Ok(again);
            }
        }
        Err(CallError::Unauthorized(
            match self.login {
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
        let client = self
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .of(lane);
        let limit = self.patience.with(lane);
        let failed = |failure| failure_of(failure, limit);
        let mut post = client
            .post(self.url.clone())
            .timeout(limit)
            .header(header::CONTENT_TYPE, "application/json")
            .body(request);
        if let Some((user, password)) = credentials {
            post = post.basic_auth(user, Some(password.expose()));
        }
        let mut response = post.send().await.map_err(failed)?;
        let status = response.status();
        let most = lane.size_limit();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > most {
                return Err(CallError::Malformed(format!("more than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
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
    fn new() -> reqwest::Result<Self> {
        let client = || {
            Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_LIMIT)
                .pool_idle_timeout(IDLE_LIMIT)
                .pool_max_idle_per_host(IDLE_CONNECTIONS)
                .build()
        };
        Ok(Self {
            quick: client()?,
            bulk: client()?,
        })
    }

    fn of(&self, lane: Lane) -> Client {
        match lane {
            Lane::Quick | Lane::Block => self.quick.clone(),
            Lane::Template | Lane::LongPoll | Lane::Wait | Lane::Scan => self.bulk.clone(),
        }
    }
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
            | Self::Rpc { .. } => true,
        }
    }
}

impl From<ErrorObject> for CallError {
    fn from(error: ErrorObject) -> Self {
        let message = cut(&error.message);
        match error.code {
            -28 => Self::WarmingUp(message),
            -9 => Self::NotConnected(message),
            -10 => Self::InitialDownload(message),
            code => Self::Rpc { code, message },
        }
    }
}

/// The body of a request.
pub(super) fn request(id: u64, method: &str, params: impl Serialize) -> Bytes {
    let request = Request {
        jsonrpc: "1.0",
        id,
        method,
        params,
    };
    serde_json::to_vec(&request)
        .expect("requests have string keys and no failing fields")
        .into()
}

/// The result in a reply.
pub(super) fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, CallError> {
    // Errors first: theirs have a null for a result, which few results can be read from.
    if body.len() < LARGE
        && let Ok(Reply {
            error: Some(error), ..
        }) = serde_json::from_slice::<Reply<serde::de::IgnoredAny>>(body)
    {
        return Err(error.into());
    }
    let reply: Reply<T> = serde_json::from_slice(body)
        .map_err(|failure| CallError::Malformed(cut(&failure.to_string())))?;
    if let Some(error) = reply.error {
        return Err(error.into());
    }
    reply
        .result
        .ok_or_else(|| CallError::Malformed("neither result nor error".to_owned()))
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
